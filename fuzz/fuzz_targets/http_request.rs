//! Any bytes as a request head: no panic, no path that leaves the tree, and no range that leaves the file.
#![no_main]

use isowright::serve::date;
use isowright::serve::range::{Asked, asked};
use isowright::serve::request::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some((request, used))) = parse(data) else { return };
    assert!(used <= data.len());
    if let Some(path) = &request.path {
        assert!(path.as_bytes().split(|&b| b == b'/').all(|p| p != b".." && p != b"."));
    }
    let len = data.len() as u64;
    let inside = |r: &std::ops::Range<u64>| assert!(r.start < r.end && r.end <= len);
    match asked(request.wants.range.as_deref(), len) {
        Asked::Part(r) => inside(&r),
        Asked::Parts(all) => all.iter().for_each(inside),
        Asked::Whole | Asked::Outside => {}
    }
    if let Some(t) = request.wants.if_modified_since.as_deref().and_then(date::read) {
        assert!(date::write(t).is_some());
    }
});
