//! Any bytes as a checksum file: no panic, what parses comes back, and a line that is added goes again.
#![no_main]

use isowright::content::path::TreePath;
use isowright::format::sums::{Algorithm, Doc};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let at = TreePath::new("d/md5sum.txt").expect("path");
    let Ok(mut doc) = Doc::parse(&at, data) else { return };
    assert_eq!(doc.to_bytes(), data);
    let new = TreePath::new("d/added by the fuzzer").expect("path");
    let sum = Algorithm::Md5.sum(&data.to_vec().into(), &|_| true).expect("sum");
    if doc.algorithms(&new).is_empty() && !data.ends_with(b"\r") && doc.add(&new, &sum).is_ok() {
        assert!(!doc.algorithms(&new).is_empty());
        assert!(doc.remove(&new));
        assert_eq!(doc.to_bytes(), data);
    }
    let entries: Vec<_> = doc.entries().collect();
    for e in entries.iter().take(8) {
        doc.set(&e.path, &sum);
        doc.remove(&e.path);
        assert!(doc.algorithms(&e.path).is_empty());
    }
});
