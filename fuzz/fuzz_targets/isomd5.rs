//! Any bytes as an implanted text: no panic, and what is read comes back as it would be written.
#![no_main]

use isowright::format::isomd5::{self, Implanted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = isomd5::check(&data.to_vec().into(), &|_| true);
    if let Some(i) = Implanted::parse(data) {
        assert_eq!(Implanted::parse(&i.to_area()).map(|again| again.md5), Some(i.md5));
    }
});
