//! Any bytes: no panic, and what parses comes back; an edit taken back leaves no trace.
#![no_main]

use isowright::content::path::TreePath;
use isowright::format::grub::Doc;
use isowright::model::console::Serial;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut doc) = Doc::parse(data) else { return };
    assert_eq!(doc.to_bytes(), data);
    let port = Serial { device: "ttyS".into(), unit: 1, baud: 115_200, parity: 'n', bits: 8 };
    // A document that holds our marks already is one that we have edited.
    if data.windows(10).any(|w| w == b"isowright ") || data.windows(10).any(|w| w == b"isowright#") {
        return;
    }
    let _ = doc.set_serial(&port);
    for e in doc.entries(&TreePath::root()) {
        if doc.edit_cmdline(&e.id, |c| c.append("fuzz.word=1 2")).is_ok() {
            doc.entries(&TreePath::root());
        }
    }
    let mut doc = Doc::parse(data).expect("parsed before");
    let _ = doc.set_serial(&port);
    let _ = doc.remove_serial();
    assert_eq!(doc.to_bytes(), data);
});
