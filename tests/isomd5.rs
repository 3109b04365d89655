//! The implanted MD5 against isomd5sum: `implantisomd5` writes the bytes that we would, and
//! `checkisomd5` takes ours, on images that we did not make.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::content::Content;
use isowright::format::isomd5::{self, AREA, BLANK, Verdict};
use std::path::{Path, PathBuf};
use std::process::Command;

fn images() -> Vec<PathBuf> {
    let mut all = Vec::new();
    all.extend(support::packaged("/usr/lib/ipxe/ipxe.iso", "ipxe"));
    for name in ["memtest86+x64.iso", "memtest86+ia32.iso"] {
        all.extend(support::packaged(&format!("/usr/lib/memtest86+/{name}"), "memtest86+"));
    }
    let made = ["debian-installer.iso", "hard-hybrid.iso", "hard-g-rrj.iso", "hard-g-udf.iso"];
    all.extend(made.iter().filter_map(|n| support::material(n)));
    all
}

fn tools() -> Option<()> {
    support::packaged("/usr/bin/implantisomd5", "isomd5sum")?;
    support::packaged("/usr/bin/checkisomd5", "isomd5sum")?;
    Some(())
}

fn implanted_by_them(image: &Path) {
    let out = Command::new("implantisomd5").arg("--force").arg(image).output().unwrap();
    assert!(out.status.success(), "{}: {out:?}", image.display());
}

fn accepted_by_them(image: &Path) -> bool {
    Command::new("checkisomd5").arg("--verbose").arg(image).output().unwrap().status.success()
}

fn set_area(image: &mut [u8], area: &[u8]) {
    image[AREA.start as usize..AREA.end as usize].copy_from_slice(area);
}

/// Gives the volume another size, as the descriptor says it.
fn set_blocks(image: &mut [u8], blocks: u32) {
    let at = 16 * 2048 + 80;
    image[at..at + 4].copy_from_slice(&blocks.to_le_bytes());
    image[at + 4..at + 8].copy_from_slice(&blocks.to_be_bytes());
}

fn volume_len(image: &[u8]) -> usize {
    let at = 16 * 2048 + 80;
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize * 2048
}

fn compute(image: &[u8], supported: bool) -> isomd5::Implanted {
    isomd5::compute(&image.to_vec().into(), supported, &|_| true).unwrap()
}

/// Ours and theirs on the same bytes.
fn agree(bytes: &[u8], name: &str, dir: &Path) {
    let file = dir.join("image.iso");
    let mut image = bytes.to_vec();
    set_area(&mut image, &compute(bytes, false).to_area());
    std::fs::write(&file, &image).unwrap();
    assert!(accepted_by_them(&file), "{name}: checkisomd5 refuses ours");
    implanted_by_them(&file);
    assert!(std::fs::read(&file).unwrap() == image, "{name}: implantisomd5 writes other bytes");
    let check = |i: &[u8]| isomd5::check(&Content::from(i.to_vec()), &|_| true).unwrap();
    assert_eq!(check(&image), Some(Verdict::Passed), "{name}");
    // Images may have more bytes than their volume.
    for at in [0, volume_len(&image) / 2] {
        image[at] ^= 0x40;
        std::fs::write(&file, &image).unwrap();
        assert!(!accepted_by_them(&file), "{name}");
        assert!(matches!(check(&image), Some(Verdict::FailedBy(_))), "{name} changed at {at}");
        image[at] ^= 0x40;
    }
    set_area(&mut image, &BLANK);
    assert_eq!(check(&image), None, "{name}");
}

#[test]
fn real_images_get_the_same_bytes_and_pass() {
    let Some(()) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    for path in images() {
        agree(&std::fs::read(&path).unwrap(), &path.display().to_string(), dir.path());
    }
}

#[test]
fn odd_sizes_get_the_same_bytes_and_pass() {
    let Some(()) = tools() else { return };
    let Some(path) = support::packaged("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+")
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut image = std::fs::read(path).unwrap();
    image.resize(8 << 20, 0x5a);
    // 351 blocks is the smallest of which each fragment holds a piece that isomd5sum reads.
    for blocks in [351, 352, 367, 383, 400, 1000, 1023, 1024, 1025, 2047, 3001, 4096] {
        set_blocks(&mut image, blocks);
        for cut in [blocks as usize * 2048, image.len()] {
            agree(&image[..cut], &format!("{blocks} blocks in {cut} bytes"), dir.path());
        }
    }
    // Far below, checkisomd5 refuses what implantisomd5 wrote, and we write nothing.
    set_blocks(&mut image, 100);
    assert!(isomd5::compute(&image.clone().into(), false, &|_| true).is_err());
    let file = dir.path().join("small.iso");
    std::fs::write(&file, &image).unwrap();
    implanted_by_them(&file);
    assert!(!accepted_by_them(&file));
}

#[test]
fn the_vendors_word_is_carried() {
    let Some(()) = tools() else { return };
    let Some(path) = support::packaged("/usr/lib/ipxe/ipxe.iso", "ipxe") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.iso");
    let mut image = std::fs::read(path).unwrap();
    set_area(&mut image, &BLANK);
    std::fs::write(&file, &image).unwrap();
    let out = Command::new("implantisomd5").arg("--supported-iso").arg(&file).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let theirs = Content::open(&file).unwrap();
    let found = isomd5::find(&theirs).unwrap().unwrap();
    assert!(found.supported);
    assert_eq!(found, compute(&image, true));
}

#[test]
fn cut_and_mutated_images_are_answered() {
    let Some(path) = support::packaged("/usr/lib/ipxe/ipxe.iso", "ipxe") else { return };
    let mut image = std::fs::read(path).unwrap();
    let sum = compute(&image, false).to_area();
    set_area(&mut image, &sum);
    for sector in 0..image.len() / 2048 {
        let cut = Content::from(image[..sector * 2048].to_vec());
        let told = isomd5::check(&cut, &|_| true).unwrap();
        assert!(sector < 17 && told.is_none() || told.is_some(), "cut at sector {sector}");
        assert!(isomd5::compute(&cut, false, &|_| true).is_err() || told == Some(Verdict::Passed));
    }
    // Each byte of the text and of the size: an answer, and never that the changed sum holds.
    let size = 16 * 2048 + 84..16 * 2048 + 88;
    for at in (AREA.start as usize..AREA.start as usize + 45).chain(size) {
        let mut m = image.clone();
        m[at] ^= 0x10;
        let told = isomd5::check(&m.into(), &|_| true).unwrap();
        assert_ne!(told, Some(Verdict::Passed), "byte {at}");
    }
}
