//! Descriptors and directories from sector 16 on, so that no input is spent on the system area.
#![no_main]

use isowright::content::Content;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let image = Content::concat([Content::zeros(16 * 2048), data.to_vec().into()]);
    let Ok(Some(iso)) = isowright::format::iso9660::open(&image) else { return };
    assert_eq!(iso.records.len(), iso.tree.len());
    for (path, node) in iso.tree.iter() {
        assert!(path.parent().is_some_and(|p| p.is_root() || iso.tree.get(&p).is_some()), "{path}");
        assert!(node.mode <= 0o7777);
    }
});
