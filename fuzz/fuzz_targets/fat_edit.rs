//! Any bytes as a FAT image that is edited: an error, or what was put is there, what was removed is not,
//! and the same edit once more changes nothing.
#![no_main]

use isowright::content::Content;
use isowright::format::fat::{Change, edit, open};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|data: &[u8]| {
    let image: Content = data.to_vec().into();
    let path = |s: &str| s.parse().expect("path");
    let file: Content = vec![7u8; 3000].into();
    let changes = BTreeMap::from([
        (path("EFI/BOOT/a longer name.cfg"), Change::Put(file)),
        (path("GRUB.CFG"), Change::Put("x".into())),
        (path("A"), Change::Remove),
    ]);
    let Ok(new) = edit(&image, &changes, 0) else { return };
    let tree = open(&new.image).expect("what was edited can be read").expect("a FAT");
    let any = |s: &str| tree.file_any_case(&path(s)).map(|(_, c)| c.len());
    assert_eq!(any("A"), None);
    // A file may have the name as its short one, and be shown by its long one.
    assert!(tree.files().any(|(_, c)| c.len() == 1));
    let twice = edit(&new.image, &changes, 1).expect("once more");
    let all = |c: &Content| c.read_all(1 << 31).expect("bytes");
    assert!(all(&twice.image) == all(&new.image));
});
