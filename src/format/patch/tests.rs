use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

fn all(c: &Content) -> Vec<u8> {
    c.read_all(1 << 24).expect("in range")
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect()
}

fn source(bytes: Vec<u8>) -> Content {
    Content::whole(Arc::new(Bytes::from(bytes)))
}

fn written(base: &Content, new: &Content) -> Content {
    let file = Patch::between(base, new).expect("patch").to_content(&|_| true).expect("file");
    source(all(&file))
}

#[test]
fn what_moved_is_not_carried_and_what_stayed_is_not_read() {
    let base = source(noise(1 << 20, 1));
    let new = Content::concat([
        base.slice(0..32_768).expect("in"),
        noise(2048, 2).into(),
        base.slice(34_816..base.len()).expect("in"),
        base.slice(100_000..400_000).expect("in"),
        Content::zeros(4096),
    ]);
    let file = written(&base, &new);
    assert!(file.len() < 3000, "{}", file.len());
    let patch = Patch::read(&file, &|_| true).expect("read");
    assert_eq!(
        patch.header.ops,
        [
            Op::Copy(0, 32_768),
            Op::Put(2048),
            Op::Copy(34_816, (1 << 20) - 34_816),
            Op::Copy(100_000, 300_000),
            Op::Zero(4096),
        ]
    );
    assert_eq!(all(&patch.apply(&base).expect("apply")), all(&new));
}

#[test]
fn another_base_is_refused() {
    let base = source(noise(1 << 18, 1));
    let new = base.splice(70_000..72_000, noise(2000, 9).into()).expect("in");
    let patch = Patch::read(&written(&base, &new), &|_| true).expect("read");
    let refused = |b: Vec<u8>| {
        let e = patch.apply(&source(b)).expect_err("another base");
        assert_eq!(e.kind(), ErrorKind::Conflict);
        e.to_string()
    };
    assert!(refused(noise((1 << 18) - 1, 1)).contains("262143"));
    for at in [5, 70_001] {
        let mut other = noise(1 << 18, 1);
        other[at] ^= 1;
        assert!(refused(other).contains("reads otherwise"));
    }
}

#[test]
fn a_damaged_patch_is_refused() {
    let base = source(noise(1 << 16, 1));
    let new = base.splice(10..20, "hello".into()).expect("in");
    let file = all(&written(&base, &new));
    for cut in 0..file.len() {
        assert!(Patch::read(&source(file[..cut].to_vec()), &|_| true).is_err(), "{cut}");
        let mut other = file.clone();
        other[cut] ^= 1;
        assert!(Patch::read(&source(other), &|_| true).is_err(), "{cut}");
    }
}

/// Steps that don't add up, behind a seal that is right.
#[test]
fn a_hostile_header_is_refused() {
    let digest = Digest([0; 32]);
    let side = |size| Side { size, sha256: None };
    for (ops, size) in [
        (vec![Op::Copy(u64::MAX, 2)], 2),
        (vec![Op::Copy(5, 6)], 6),
        (vec![Op::Zero(u64::MAX), Op::Zero(2)], 1),
        (vec![Op::Put(1)], 1),
        (vec![Op::Zero(3)], 4),
    ] {
        let header = Header { base: side(10), replaced: digest, result: side(size), ops };
        let file = Patch { header, literals: Content::empty() }.to_content(&|_| true);
        assert!(Patch::read(&file.expect("file"), &|_| true).is_err());
    }
}

#[test]
fn the_way_back_lies_in_the_image() {
    let vendor = source(noise(300_000, 1));
    let change = |record: &Content| {
        // As a graft does: sizes in a descriptor, a directory, and what is new behind the end.
        let size = (vendor.len() + record.len()).to_string();
        let mut new = vendor.splice(32_768..34_816, Content::from(format!("{size:2048}")))?;
        new = new.splice(100_000..100_010, "0123456789".into())?;
        Ok((Content::concat([new, record.clone()]), record.len()))
    };
    let (image, len) = Undo::recorded(&vendor, change).expect("recorded");
    let image = source(all(&image));
    let undo = Undo::read(&image.slice(image.len() - len..image.len()).expect("in"), &|_| true);
    let back = undo.expect("read").apply(&image).expect("apply");
    assert_eq!(all(&back), all(&vendor));
    assert!(len < 6000, "{len}");
}

proptest! {
    #[test]
    fn a_patch_makes_the_new_image(
        edits in prop::collection::vec((0u64..20_000, 0u64..9000, 0u8..4, any::<u32>()), 0..12),
    ) {
        let base = source(noise(20_000, 7));
        let other = source(noise(9000, 8));
        let mut new = base.clone();
        for (at, len, kind, seed) in edits {
            let at = at.min(new.len());
            let end = (at + len).min(new.len());
            let piece = match kind {
                0 => Content::from(noise(len as usize, seed)),
                1 => Content::zeros(len),
                2 => base.slice(u64::from(seed) % 11_000..u64::from(seed) % 11_000 + len).expect("in"),
                _ => other.slice(0..len).expect("in"),
            };
            new = new.splice(at..end, piece).expect("in");
        }
        let patch = Patch::read(&written(&base, &new), &|_| true).expect("read");
        prop_assert_eq!(all(&patch.apply(&base).expect("apply")), all(&new));
        // And back: the old image from the new one.
        let back = Patch::read(&written(&new, &base), &|_| true).expect("read");
        prop_assert_eq!(all(&back.apply(&new).expect("apply")), all(&base));
    }
}
