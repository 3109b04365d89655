//! Files of ours as one more archive: the vendor's bytes stay as they are. Three rules of the kernel
//! decide how.
//!
//! A plain cpio archive starts at a multiple of 4. Behind an LZ4 member nothing may follow, for it has
//! no end mark (kernels before 5.13 read on to the end): there ours goes in front of it. And a later
//! entry changes what is there: a folder's mode, a link into a folder, a hard link's other names.

use super::Inside;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::NodeKind;
use crate::error::{Error, ErrorKind, Result};
use crate::format::compress::{Codec, Input};
use crate::format::cpio::{self, Entry};
use std::collections::BTreeSet;

/// An initrd with our files.
#[derive(Debug, Clone)]
pub struct Appended {
    /// All of it.
    pub content: Content,
    /// Where our entries landed, without the folders made for them; what was there already is left out.
    pub landed: Vec<TreePath>,
    /// Where our archive starts.
    pub offset: u64,
}

/// Initrds one after the other, each at a multiple of 4.
pub fn join(initrds: &[Content]) -> Content {
    Content::concat(initrds.iter().flat_map(|i| [i.clone(), gap(i.len())]))
        .slice(0..joined_len(initrds))
        .unwrap_or_default()
}

/// Without the zeros behind the last one.
fn joined_len(initrds: &[Content]) -> u64 {
    let aligned = |len: u64, i: &Content| len.next_multiple_of(4) + i.len();
    initrds.iter().fold(0, aligned)
}

fn gap(len: u64) -> Content {
    Content::zeros(len.next_multiple_of(4) - len)
}

/// The vendor's initrds with our entries.
///
/// Only where an entry could meet one of the vendor's is the vendor's unpacked and looked through: a
/// file at the top whose name has a dot (`preseed.cfg`) is taken for ours, for all that lies at the top
/// of an initrd is folders, links to folders, and programs without one.
///
/// # Errors
/// `Conflict` where an entry would change what something is, `Corrupt` where the initrd had to be
/// looked through and can't be, `Unsupported` for a file of 4 GiB or more.
pub fn append(vendor: &[Content], ours: &[Entry]) -> Result<Appended> {
    let inside = match may_meet(ours) {
        true => Some(Inside::of(&join(vendor))?),
        false => None,
    };
    append_to(vendor, inside.as_ref(), ours)
}

/// [`append`] where somebody looked through the vendor's initrds before; `inside` may be absent only where
/// no entry [may meet](may_meet) one of the vendor's.
///
/// # Errors
/// As [`append`].
pub fn append_to(vendor: &[Content], inside: Option<&Inside>, ours: &[Entry]) -> Result<Appended> {
    let content = join(vendor);
    if ours.is_empty() {
        let offset = content.len();
        return Ok(Appended { content, landed: Vec::new(), offset });
    }
    let lz4 = lz4_offset(vendor, inside);
    let ours = match inside {
        Some(i) => settle(i, ours, lz4)?,
        None => ours.to_vec(),
    };
    no_two(&ours)?;
    let landed = ours.iter().map(|e| e.path.clone()).collect();
    let there = |dir: &TreePath| lz4.is_none() && inside.is_some_and(|i| i.tree.get(dir).is_some());
    let archive = cpio::archive_of(&cpio::with_parents(&ours, &there))?;
    let at = lz4.unwrap_or(content.len());
    let (front, behind) = (content.slice(0..at)?, content.slice(at..content.len())?);
    let offset = at.next_multiple_of(4);
    let content = Content::concat([front, gap(at), archive, behind]);
    Ok(Appended { content, landed, offset })
}

/// True where nothing may follow these initrds: an LZ4 legacy stream has no end mark.
pub fn must_be_last(vendor: &[Content]) -> bool {
    lz4_offset(vendor, None).is_some()
}

/// Entries for an archive of their own that stands beside the vendor's initrds, where the vendor's
/// links lead; `inside` as [`append`] looks through them.
///
/// # Errors
/// As [`append`].
pub fn landed(vendor: &[Content], inside: Option<&Inside>, ours: Vec<Entry>) -> Result<Vec<Entry>> {
    match inside {
        Some(i) => settle(i, &ours, lz4_offset(vendor, inside)),
        None => Ok(ours),
    }
}

/// True where an entry could meet one of the vendor's, so that the vendor's must be looked through.
pub fn may_meet(ours: &[Entry]) -> bool {
    !ours.iter().all(is_surely_new)
}

fn is_surely_new(e: &Entry) -> bool {
    let at_top = e.path.parent().is_some_and(|p| p.is_root());
    at_top && matches!(e.kind, NodeKind::File(_)) && e.path.name().contains(&b'.')
}

/// Where the first LZ4 member starts in the joined initrds. Where they were not looked through, only
/// plain archives before it are seen.
fn lz4_offset(vendor: &[Content], inside: Option<&Inside>) -> Option<u64> {
    if let Some(i) = inside {
        return i.segments.iter().find(|s| s.codec == Codec::Lz4).map(|s| s.offset);
    }
    let mut start = 0u64;
    for v in vendor {
        start = start.next_multiple_of(4);
        if let (at, Some(Codec::Lz4)) = front(v).end {
            return Some(start + at);
        }
        start += v.len();
    }
    None
}

/// The plain archives that an initrd begins with.
pub(super) struct Front {
    /// Bytes up to behind those that are read before the kernel unpacks anything: CPU microcode and
    /// ACPI tables below `kernel/`. Zeros that follow are counted in.
    pub early: u64,
    /// Where the first thing that is no plain archive starts, and what it is; the end and none, where
    /// there is no such thing or it can't be told.
    pub end: (u64, Option<Codec>),
}

/// Looks at headers only. What is corrupt ends the look; who unpacks tells it better.
pub(super) fn front(initrd: &Content) -> Front {
    let mut input = Input::new(initrd);
    let mut f = Front { early: 0, end: (initrd.len(), None) };
    let mut all_early = true;
    loop {
        while let Ok(([0], 1)) = input.peek::<1>() {
            input.skip(1);
        }
        if all_early {
            f.early = input.position();
        }
        match input.peek::<4>() {
            Ok((head, 4)) if &head == b"0707" => {
                let Some(early) = pass_archive(&mut input) else { return f };
                all_early &= early;
            }
            Ok((head, n)) if n > 0 => {
                f.end = (input.position(), Codec::of(&head[..n]));
                return f;
            }
            _ => return f,
        }
    }
}

/// Goes on behind an archive; true where all in it is for before the kernel unpacks.
fn pass_archive(input: &mut Input) -> Option<bool> {
    let mut early = true;
    while let Some(h) = cpio::header(input).ok()? {
        let below = h.path().is_none_or(|p| p.parts().next() == Some(b"kernel"));
        early &= below;
        input.skip(u64::from(h.size).next_multiple_of(4));
    }
    Some(early)
}

/// Our entries where the vendor's links lead, without those that are there already.
fn settle(vendor: &Inside, ours: &[Entry], lz4: Option<u64>) -> Result<Vec<Entry>> {
    let linked: BTreeSet<usize> = vendor.hard_links().into_values().flatten().collect();
    let mut landed = Vec::new();
    for e in ours {
        let path = landing(vendor, e)?;
        let there = vendor.entry(&path);
        let clash = |why: &str| Error::new(ErrorKind::Conflict, why).path(&path);
        if let Some(i) = there.filter(|_| !matches!(e.kind, NodeKind::Dir)) {
            if linked.contains(&i) {
                return Err(clash("the initrd's file has other names, which would change with it")
                    .hint("replace it: isowright initrd repack --replace"));
            }
            if lz4.is_some_and(|at| vendor.segments[vendor.entries[i].at.segment].offset >= at) {
                let why = "nothing can follow this initrd's LZ4 member, and its own file would win";
                return Err(clash(why).hint("replace it: isowright initrd repack --replace"));
            }
        }
        let keep = match &e.kind {
            NodeKind::Dir => there.is_none(),
            _ => true,
        };
        if keep {
            landed.push(Entry { path, ..e.clone() });
        }
    }
    Ok(landed)
}

/// Two files of ours in one place would lose one without a word, and a folder of ours replace a file or
/// a link of ours.
fn no_two(ours: &[Entry]) -> Result<()> {
    let is_dir = |e: &&Entry| matches!(e.kind, NodeKind::Dir);
    let clash = |p: &TreePath| {
        let what = "two things that go into the initrd would lie there";
        Err(Error::new(ErrorKind::Conflict, what).source_name("initrd").path(p))
    };
    let mut files = BTreeSet::new();
    for e in ours.iter().filter(|e| !is_dir(e)) {
        if !files.insert(&e.path) {
            return clash(&e.path);
        }
    }
    for e in ours {
        let mut folders = std::iter::successors(e.path.parent(), TreePath::parent);
        if let Some(p) = folders.find(|p| files.contains(p)) {
            return clash(&p);
        }
    }
    match ours.iter().filter(is_dir).find(|e| files.contains(&e.path)) {
        Some(e) => clash(&e.path),
        None => Ok(()),
    }
}

/// Where an entry must be written so that it lands where the vendor's links lead, and nothing of the
/// vendor's changes its type.
///
/// # Errors
/// `Conflict` where it would.
fn landing(vendor: &Inside, e: &Entry) -> Result<TreePath> {
    let tree = &vendor.tree;
    let parent = e.path.parent().unwrap_or_default();
    let dir = tree.resolve(&parent)?;
    let clash = |p: &TreePath| {
        let theirs = tree.get(p).map_or("something", |n| kind_word(&n.kind));
        let ours = kind_word(&e.kind);
        let what = format!(
            "would become another type: the initrd has {theirs} there, and {} is {ours}",
            e.path
        );
        Error::new(ErrorKind::Conflict, what).path(p)
    };
    for above in std::iter::successors(Some(dir.clone()), TreePath::parent) {
        if tree.get(&above).is_some_and(|n| !n.is_dir()) {
            return Err(clash(&above));
        }
    }
    let to = dir.join(e.path.name())?;
    match (&e.kind, tree.get(&to).map(|n| &n.kind)) {
        (_, None)
        | (NodeKind::File(_), Some(NodeKind::File(_)))
        | (NodeKind::Dir, Some(NodeKind::Dir))
        | (NodeKind::Symlink(_), Some(NodeKind::Symlink(_))) => Ok(to),
        // A folder of ours over a link to one: what is in it goes where the link leads.
        (NodeKind::Dir, Some(NodeKind::Symlink(_))) => {
            let led = tree.resolve(&to)?;
            match tree.get(&led).is_some_and(|n| n.is_dir()) {
                true => Ok(led),
                false => Err(clash(&to)),
            }
        }
        (NodeKind::Special(ours), Some(NodeKind::Special(theirs))) if ours == theirs => Ok(to),
        (_, Some(_)) => Err(clash(&to)),
    }
}

fn kind_word(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::File(_) => "a file",
        NodeKind::Dir => "a folder",
        NodeKind::Symlink(_) => "a link",
        NodeKind::Special(_) => "a device or pipe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tree::Special;

    fn p(s: &str) -> TreePath {
        s.parse().expect("path")
    }

    fn file(path: &str) -> Entry {
        Entry::file(p(path), 0o644, "ours")
    }

    fn vendor() -> Content {
        let all = [
            Entry::dir(p("tmp"), 0o1777),
            Entry::dir(p("usr/lib"), 0o755),
            Entry::symlink(p("lib"), "usr/lib"),
            Entry::file(p("init"), 0o755, "theirs"),
        ];
        cpio::archive(&all).expect("archive")
    }

    fn landed(e: Entry) -> Result<Vec<String>> {
        let a = append(&[vendor()], &[e])?;
        Ok(a.landed.iter().map(TreePath::to_string).collect())
    }

    #[test]
    fn files_land_behind_the_vendors_links_and_change_nothing_of_theirs() {
        assert_eq!(landed(file("lib/x.d/S31")).expect("lands"), ["usr/lib/x.d/S31"]);
        assert_eq!(landed(file("preseed.cfg")).expect("lands"), ["preseed.cfg"]);
        assert_eq!(landed(file("init")).expect("lands"), ["init"]);
        assert_eq!(landed(Entry::dir(p("lib"), 0o700)).expect("is there"), [""; 0]);
        assert_eq!(landed(Entry::symlink(p("lib"), "usr/lib64")).expect("lands"), ["lib"]);
        let null = Entry { path: p("init"), mode: 0o666, kind: NodeKind::Special(Special::Fifo) };
        for bad in [file("init/x"), file("usr"), file("lib"), Entry::dir(p("init"), 0o755), null] {
            let e = landed(bad.clone()).expect_err("another type");
            assert_eq!(e.kind(), ErrorKind::Conflict, "{bad:?}");
        }
    }

    #[test]
    fn ours_do_not_lie_on_each_other() {
        let ok = [file("a.x"), Entry::dir(p("usr/lib/d"), 0o755), Entry::dir(p("lib/d"), 0o755)];
        append(&[vendor()], &ok).expect("folders may");
        let link = Entry::symlink(p("new"), "usr");
        for two in [
            [file("a.x"), file("a.x")],
            [file("lib/d/a"), file("usr/lib/d/a")],
            [link.clone(), file("new/a")],
            [Entry::dir(p("new"), 0o755), link],
        ] {
            let e = append(&[vendor()], &two).expect_err("two");
            assert!(e.to_string().contains("two things"), "{e}");
        }
    }

    #[test]
    fn the_vendors_folders_keep_their_modes() {
        let a = append(&[vendor()], &[file("tmp/a"), file("new/b")]).expect("append");
        let i = Inside::of(&a.content).expect("inside");
        let mode = |s: &str| i.tree.get(&p(s)).map(|n| n.mode);
        assert_eq!((mode("tmp"), mode("new")), (Some(0o1777), Some(0o755)));
        assert_eq!(i.segments.len(), 2);
        assert_eq!(i.segments[1].offset, a.offset);
    }

    #[test]
    fn our_member_starts_aligned_and_the_vendors_bytes_stay() {
        let odd: Content = vec![0x1f, 0x8b, 8, 0, 1].into();
        let c = append(&[odd.clone(), odd], &[file("x.cfg")]).expect("append").content;
        let b = c.read_all(10_000).expect("read");
        assert_eq!(&b[..16], [0x1f, 0x8b, 8, 0, 1, 0, 0, 0, 0x1f, 0x8b, 8, 0, 1, 0, 0, 0]);
        assert_eq!(&b[16..22], b"070701");
    }

    #[test]
    fn behind_lz4_nothing_follows_and_microcode_stays_in_front() {
        let early = Entry::file(p("kernel/x86/microcode/GenuineIntel.bin"), 0o644, "code");
        let early = cpio::archive(&[early]).and_then(|c| c.read_all(1000)).expect("archive");
        let lz4 = [0x02, 0x21, 0x4c, 0x18, 1, 2, 3];
        for vendor in [vec![lz4.to_vec().into()], vec![[&early, &lz4[..]].concat().into()]] {
            let before = vendor.iter().map(Content::len).sum::<u64>() - 7;
            let a = append(&vendor, &[file("x.cfg")]).expect("append");
            let b = a.content.read_all(10_000).expect("read");
            assert_eq!(a.offset, before);
            assert_eq!(&b[before as usize..][..6], b"070701");
            assert!(b.ends_with(&lz4));
        }
    }

    #[test]
    fn an_empty_list_adds_nothing() {
        let v = vendor();
        assert_eq!(append(std::slice::from_ref(&v), &[]).expect("append").content.len(), v.len());
    }
}
