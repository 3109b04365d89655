//! The oracles by which repacked ISOs are judged, judged themselves: on images that nobody touched they
//! agree and find no fault; on images that were broken in one place the one whose matter it is speaks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use support::iso_oracles::{self as oracles, Depth, Implanted, Kind};

const MADE: [&str; 5] =
    ["img-debian.iso", "img-el.iso", "img-grub.iso", "img-rr.iso", "img-joliet.iso"];
const REAL: [(&str, &str); 3] = [
    ("/usr/lib/ipxe/ipxe.iso", "ipxe"),
    ("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+"),
    ("/usr/lib/memtest86+/memtest86+ia32.iso", "memtest86+"),
];

fn images() -> Vec<PathBuf> {
    let real = REAL.iter().filter_map(|(path, package)| support::packaged(path, package));
    real.chain(MADE.iter().filter_map(|n| support::material(n))).collect()
}

#[test]
fn all_tools_see_the_same_tree() {
    for image in images() {
        let tree = oracles::xorriso_tree(&image, Depth::Bytes);
        assert!(tree.values().any(|e| matches!(e.kind, Kind::File { .. })), "{}", image.display());
        oracles::assert_same_everywhere(&image, &tree, Depth::Bytes);
    }
}

#[test]
fn a_file_of_two_extents_has_one_size_everywhere() {
    let Some(image) = support::material("img-big.iso") else { return };
    let tree = oracles::xorriso_tree(&image, Depth::Names);
    let big = Kind::File { size: 4_500_000_000, sha256: None };
    assert_eq!(tree["boot/big.img"].kind, big);
    oracles::assert_same_everywhere(&image, &tree, Depth::Names);
}

#[test]
fn boot_structures_are_sound() {
    let mut fats = 0;
    for image in images() {
        let place = image.display();
        assert_eq!(oracles::faults(&image), Vec::<String>::new(), "{place}");
        let report = oracles::boot_report(&image);
        assert!(!oracles::reported(&report, "El Torito boot img").is_empty(), "{place}");
        fats += oracles::fats(&image, &report).len();
        let el = image.ends_with("img-el.iso");
        let md5 = if el { Implanted::Holds } else { Implanted::Absent };
        assert_eq!(oracles::implanted_md5(&image), md5, "{place}");
    }
    assert!(fats >= 5, "{fats}");
}

/// What each layout is there for: if xorriso or a script changes, the tests would lose it in silence.
#[test]
fn the_layouts_are_the_vendors() {
    let summary = |name: &str| {
        let report = oracles::boot_report(&support::material(name)?);
        Some(oracles::reported(&report, "System area summary").concat())
    };
    let has = |name: &str, words: &str| {
        assert!(summary(name).is_none_or(|s| s.contains(words)), "{name}: {words}");
    };
    has("img-debian.iso", "MBR isohybrid cyl-align-on GPT APM");
    has("img-el.iso", "MBR isohybrid cyl-align-on GPT");
    has("img-grub.iso", "grub2-mbr cyl-align-off GPT");
    let complaints =
        |name: &str| support::material(name).map(|i| oracles::gpt_complaints(&i).unwrap().len());
    assert!(complaints("img-debian.iso").is_none_or(|n| n > 0), "isohybrid's overlaps");
    assert!(complaints("img-grub.iso").is_none_or(|n| n == 0));
    let views = |name: &str| support::material(name).map(|i| oracles::views(&i));
    assert!(views("img-rr.iso").is_none_or(|v| v.rock_ridge && !v.joliet));
    assert!(views("img-joliet.iso").is_none_or(|v| v.joliet && !v.rock_ridge));
}

/// A copy of the image with `bytes` at `at`.
fn broken(image: &Path, at: u64, bytes: &[u8]) -> tempfile::NamedTempFile {
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(image, copy.path()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(copy.path()).unwrap();
    file.write_all_at(bytes, at).unwrap();
    copy
}

#[test]
fn a_broken_checksum_is_found() {
    let Some(image) = support::material("img-el.iso") else { return };
    let len = std::fs::metadata(&image).unwrap().len();
    let copy = broken(&image, len / 2, b"not what was here");
    assert_eq!(oracles::implanted_md5(copy.path()), Implanted::Broken);
}

#[test]
fn a_broken_fat_is_found() {
    let Some(image) = support::material("img-grub.iso") else { return };
    let report = oracles::boot_report(&image);
    let (at, _) = *oracles::fats(&image, &report).first().expect("an ESP");
    // The first FAT begins in the fifth sector at the latest; its copy stays as it was.
    let copy = broken(&image, at + 4 * 512 + 100, &[0x5a; 64]);
    let faults = oracles::faults(copy.path());
    assert!(faults.iter().any(|f| f.starts_with("FAT at")), "{faults:?}");
}

#[test]
fn a_broken_gpt_is_found() {
    let Some(image) = support::material("img-grub.iso") else { return };
    assert!(oracles::gpt_complaints(&image).unwrap().is_empty());
    // The last usable block, in the header at LBA 1.
    let copy = broken(&image, 512 + 48, &[1]);
    let faults = oracles::faults(copy.path());
    assert!(faults.iter().any(|f| f.starts_with("GPT")), "{faults:?}");
    assert!(!oracles::gpt_complaints(copy.path()).unwrap().is_empty());
}

#[test]
fn trees_that_differ_are_found() {
    let Some(image) = support::material("img-rr.iso") else { return };
    let tree = oracles::xorriso_tree(&image, Depth::Bytes);
    let differs = |tree: oracles::Tree| {
        let image = image.clone();
        std::panic::catch_unwind(move || {
            oracles::assert_same_everywhere(&image, &tree, Depth::Bytes);
        })
        .is_err()
    };
    assert!(!differs(tree.clone()));
    let mut other = tree.clone();
    other.insert("boot/grub/grub.cfg".into(), oracles::file(b"set timeout=5\n", 0o444));
    assert!(differs(other), "another content");
    let mut other = tree.clone();
    other.insert("boot/more".into(), oracles::file(b"", 0o444));
    assert!(differs(other), "a file that is not there");
    let mut other = tree.clone();
    other.get_mut("boot").unwrap().mode = Some(0o700);
    assert!(differs(other), "another mode");
    let mut other = tree;
    other.remove("boot/vmlinuz");
    assert!(differs(other), "a file too many");
}
