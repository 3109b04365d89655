//! Any bytes as a kernel module, compressed or not: no panic, no big allocation.
#![no_main]

use isowright::format::module::Vermagic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(v)) = Vermagic::read(&data.to_vec().into()) {
        v.has_checksums();
        assert!(!v.release().contains(' '));
    }
});
