//! Any bytes: no panic, and what parses comes back; an edit taken back leaves no trace.
#![no_main]

use isowright::content::path::TreePath;
use isowright::format::bls::Doc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut doc) = Doc::parse("a+1-2.conf", data) else { return };
    assert_eq!(doc.to_bytes(), data);
    assert!(doc.rank() == doc.rank());
    doc.entries(&TreePath::root());
    if doc.edit_cmdline("a+1-2.conf", |c| c.append("fuzz.word=1 2")).is_ok() {
        let taken = doc.edit_cmdline("a+1-2.conf", |c| {
            c.remove("fuzz.word");
            Ok(())
        });
        // A document that holds our word already is one that we have edited.
        if taken.is_ok() && !data.windows(9).any(|w| w == b"fuzz.word" || w == b"fuzz-word") {
            assert_eq!(doc.to_bytes(), data);
        }
    }
    if let Ok(settings) = Doc::parse("loader.conf", data) {
        if let Some(p) = settings.default_pattern() {
            isowright::format::bls::matches(&p, "a.conf");
        }
    }
});
