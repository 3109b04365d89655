//! Any bytes as a kernel: no panic, and a version is one line of text.
#![no_main]

use isowright::format::bzimage::KernelVersion;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(v)) = KernelVersion::read(&data.to_vec().into()) {
        assert!(!v.release().is_empty() && !v.release().contains(char::is_whitespace));
        assert!(v.as_str().bytes().all(|b| (b' '..=b'~').contains(&b)));
    }
});
