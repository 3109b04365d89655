//! Any bytes as an EFI program: no panic, no big allocation.
#![no_main]

use isowright::format::uki::Uki;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(u)) = Uki::read(&data.to_vec().into()) {
        assert!(u.rank("a.efi") == u.rank("a.efi"));
    }
});
