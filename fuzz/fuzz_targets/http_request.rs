//! Any bytes as a request head: no panic, and no path that leaves the tree.
#![no_main]

use isowright::serve::request::{asked, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some((request, used))) = parse(data) else { return };
    assert!(used <= data.len());
    if let Some(path) = &request.path {
        assert!(path.as_bytes().split(|&b| b == b'/').all(|p| p != b".." && p != b"."));
    }
    asked(request.range.as_deref(), data.len() as u64);
});
