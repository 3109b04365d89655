//! INITRDS: what lies in a vendor's, our files behind it, and one made anew where a file must go.
//!
//! Appended files must land where the vendor's own links lead: an appended folder `lib` over a link
//! `lib -> usr/lib` replaces the link, and init dies.

mod append;
mod repack;
mod walk;

pub use append::{Appended, append, append_to, join, landed, may_meet, must_be_last};
pub use repack::{Options, Report, matching, repack};
pub use walk::{At, Counts, Segment, What, walk};

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree, resolve_links};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cpio::{Body, Header};
use std::collections::{BTreeMap, HashMap};

/// An entry that was met.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where.
    pub at: At,
    /// Its header.
    pub header: Header,
    /// A symbolic link's target.
    pub target: Option<Vec<u8>>,
}

/// What lies in an initrd, by name and type.
#[derive(Debug, Default)]
pub struct Inside {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Every entry in order, those too that a later one overwrites.
    pub entries: Vec<Entry>,
    /// What the kernel makes of it: the last of each name, links followed. Files have no content.
    pub tree: Tree,
    /// The entry behind each of the tree's nodes, in the tree's order.
    of_node: Vec<usize>,
    /// The entry that holds the bytes of a file with several names.
    bytes: HashMap<FileKey, usize>,
}

/// Names the file of a hard link: archive, device, inode, type.
type FileKey = (usize, (u32, u32), u32, u32);

impl Inside {
    /// Looks through an initrd.
    ///
    /// # Errors
    /// As [`walk`].
    pub fn of(initrd: &Content) -> Result<Self> {
        Self::with(initrd, &mut |_, _, _| Ok(()))
    }

    /// [`Inside::of`], and `see` sees the bodies of all but symbolic links.
    ///
    /// # Errors
    /// As [`walk`].
    pub fn with(initrd: &Content, see: walk::Visit) -> Result<Self> {
        Self::from(initrd, 0, see)
    }

    /// [`Inside::with`] from a segment's start on.
    fn from(initrd: &Content, start: u64, see: walk::Visit) -> Result<Self> {
        let mut entries = Vec::new();
        let segments = walk::walk_from(initrd, start, false, &mut |at, header, body| {
            let mut target = None;
            if header.is_symlink() && header.size <= walk::MAX_TARGET {
                let mut t = Vec::with_capacity(header.size as usize);
                body.copy(&mut t)?;
                target = Some(t);
            } else {
                see(at, header, body)?;
            }
            entries.push(Entry { at, header: header.clone(), target });
            Ok(())
        })?;
        let mut inside = Inside { segments, entries, ..Inside::default() };
        inside.build();
        Ok(inside)
    }

    fn build(&mut self) {
        let mut last: BTreeMap<TreePath, usize> = BTreeMap::new();
        for (i, path) in self.places().into_iter().enumerate() {
            if let Some(path) = path {
                last.insert(path, i);
            }
        }
        for (i, e) in self.entries.iter().enumerate() {
            let Some(key) = file_key(e.at, &e.header) else { continue };
            let first = !self.bytes.contains_key(&key);
            if first || e.header.size > 0 {
                self.bytes.insert(key, i);
            }
        }
        let node = |e: &Entry| Node {
            kind: match (&e.target, e.header.special()) {
                (Some(t), _) => NodeKind::Symlink(t.clone()),
                (_, Some(s)) => NodeKind::Special(s),
                _ if e.header.is_dir() => NodeKind::Dir,
                _ => NodeKind::File(Content::empty()),
            },
            mode: e.header.mode & 0o7777,
            mtime: Some(i64::from(e.header.mtime)),
        };
        let (nodes, of_node) =
            last.into_iter().map(|(p, i)| ((p, node(&self.entries[i])), i)).unzip();
        (self.tree, self.of_node) = (Tree::of_sorted(nodes), of_node);
    }

    /// Where each entry lands, links to its folder followed; nowhere for the root and for names that
    /// no tree can hold.
    pub fn places(&self) -> Vec<Option<TreePath>> {
        let mut links: BTreeMap<TreePath, &Vec<u8>> = BTreeMap::new();
        let mut places = Vec::with_capacity(self.entries.len());
        for e in &self.entries {
            let path = e.header.path().map(|p| through(&links, p));
            match (&path, &e.target) {
                (Some(p), Some(t)) => drop(links.insert(p.clone(), t)),
                (Some(p), None) => drop(links.remove(p)),
                (None, _) => {}
            }
            places.push(path);
        }
        places
    }

    /// The entry at exactly `path`, by its place in `entries`.
    pub fn entry(&self, path: &TreePath) -> Option<usize> {
        self.tree.position(path).ok().map(|i| self.of_node[i])
    }

    /// The tree's paths, each with its entry.
    pub fn nodes(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.tree.iter().zip(&self.of_node).map(|((p, _), i)| (p, &self.entries[*i]))
    }

    /// The names of files that have several, by the file that they are of.
    pub fn hard_links(&self) -> BTreeMap<FileKey, Vec<usize>> {
        let mut all: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (i, e) in self.entries.iter().enumerate() {
            if let Some(key) = file_key(e.at, &e.header) {
                all.entry(key).or_default().push(i);
            }
        }
        all.retain(|_, names| names.len() > 1);
        all
    }

    /// The entry that holds the bytes of entry `i`: its own, or that of another of its file's names.
    /// The same for all names of a file.
    pub fn bytes_of(&self, i: usize) -> usize {
        let e = &self.entries[i];
        file_key(e.at, &e.header).and_then(|key| self.bytes.get(&key).copied()).unwrap_or(i)
    }

    /// The file at `path`, links followed: the entry that holds its bytes.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` for what is no file.
    pub fn file(&self, path: &TreePath) -> Result<usize> {
        self.tree.file(path)?;
        let at = self.tree.resolve(path)?;
        let entry = self.entry(&at).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no such file in the initrd").path(path)
        })?;
        Ok(self.bytes_of(entry))
    }
}

/// What the kernel looks for other names by, where an entry says that it has some.
pub(super) fn file_key(at: At, h: &Header) -> Option<FileKey> {
    h.is_hard_link().then_some((at.archive, h.device, h.ino, h.mode >> 12))
}

/// No initrd is so deep; hostile names are.
const DEEP: usize = 64;

/// Where an entry lands: its folder may be a link.
fn through(links: &BTreeMap<TreePath, &Vec<u8>>, path: TreePath) -> TreePath {
    let (Some(parent), name) = (path.parent(), path.name()) else { return path };
    if links.is_empty() || parent.parts().count() > DEEP {
        return path;
    }
    let resolved = resolve_links(&parent, &|p| links.get(p).copied());
    resolved.and_then(|p| p.join(name)).unwrap_or(path)
}

/// The nodes of an initrd, files without their content.
///
/// # Errors
/// As [`walk`].
pub fn nodes(initrd: &Content) -> Result<Tree> {
    Ok(Inside::of(initrd)?.tree)
}

/// Looks at no more than it takes to meet the first entry: enough to tell an initrd from another file,
/// not from one that was cut short.
///
/// # Errors
/// `Corrupt` where nothing in it is what the kernel unpacks.
pub fn begins_as_one(initrd: &Content) -> Result<()> {
    let mut met = false;
    let done = walk(initrd, false, &mut |_, _, _| {
        met = true;
        Err(Error::new(ErrorKind::Interrupted, "met"))
    });
    match done {
        _ if met => Ok(()),
        Ok(segments) if segments.iter().all(|s| s.archives == 0) => {
            Err(Error::corrupt("there is no cpio archive in it", 0))
        }
        Ok(_) => Ok(()),
        // It is one, and of no use to us further in (LZO).
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(()),
        Err(e) => Err(e),
    }
}

/// Reads the body of one entry to `out`.
///
/// # Errors
/// As [`walk`], `Io` of `out`.
pub fn cat(
    initrd: &Content,
    entry: usize,
    take: &mut dyn FnMut(&mut Body) -> Result<()>,
) -> Result<()> {
    let mut found = false;
    let done = walk(initrd, false, &mut |at, _, body| {
        if at.entry == entry {
            found = true;
            take(body)?;
            // The rest needs no look.
            return Err(Error::new(ErrorKind::Interrupted, "found"));
        }
        Ok(())
    });
    if found {
        return match done {
            Err(e) if e.kind() != ErrorKind::Interrupted => Err(e),
            _ => Ok(()),
        };
    }
    done.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cpio;
    use std::io::Write;

    fn p(s: &str) -> TreePath {
        s.parse().expect("path")
    }

    fn gz(b: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(b).expect("gz");
        e.finish().expect("gz")
    }

    #[test]
    fn plain_then_padding_then_gzip_is_read_to_the_end() {
        let one = |n: &str| {
            let a = cpio::archive(&[cpio::Entry::file(p(n), 0o644, vec![1, 2, 3])]);
            a.and_then(|a| a.read_all(1000)).expect("archive")
        };
        let mut all = one("kernel/x86/microcode/GenuineIntel.bin");
        all.resize(all.len().next_multiple_of(512), 0);
        all.extend(gz(&one("etc/a")));
        all.extend([0; 3]);
        let t = nodes(&all.into()).expect("nodes");
        assert!(t.get(&p("kernel/x86/microcode/GenuineIntel.bin")).is_some());
        assert!(t.get(&p("etc/a")).is_some());
        assert!(nodes(&vec![0xfd, b'7', b'z'].into()).is_err());
    }

    #[test]
    fn an_initrd_is_told_from_another_file_by_its_first_entry() {
        let a = cpio::archive(&[cpio::Entry::file(p("a"), 0o644, vec![7; 3000])]);
        let a = a.and_then(|a| a.read_all(9000)).expect("archive");
        let lzo = b"\x89LZO\0\r\n\x1a\n".to_vec();
        // What lies behind the first entry is not looked at.
        for good in [a.clone(), a[..2000].to_vec(), gz(&a), [vec![0; 512], gz(&a)].concat(), lzo] {
            begins_as_one(&good.clone().into()).unwrap_or_else(|e| panic!("{:?}: {e}", &good[..4]));
        }
        let empty = cpio::archive(&[]).and_then(|a| a.read_all(512)).expect("archive");
        begins_as_one(&empty.into()).expect("an archive with nothing in it");
        let text = b"d-i passwd/make-user boolean false\n".to_vec();
        for bad in [text.clone(), gz(&text), vec![], vec![0; 512], gz(&[]), a[..50].to_vec()] {
            let e = begins_as_one(&bad.into()).expect_err("no initrd");
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
        }
    }

    #[test]
    fn a_bomb_is_left_before_it_takes_memory_or_time() {
        let entry = |name: &str| {
            let mut e =
                format!("070701{}{:08x}{}", "00000000".repeat(11), name.len() + 1, "00000000")
                    .into_bytes();
            e.extend(name.as_bytes());
            e.resize((e.len() + 1).next_multiple_of(4), 0);
            e
        };
        for (bomb, words) in [
            (entry("a").repeat(100_001), "100,000 entries"),
            (entry(&"a".repeat(4000)).repeat(5_000), "16 MiB"),
            (gz(&[]).repeat(33_000), "2048 MiB"),
        ] {
            let e = nodes(&gz(&bomb).into()).or_else(|_| nodes(&bomb.into())).expect_err(words);
            assert!(e.to_string().contains(words), "{e}");
        }
    }

    #[test]
    fn debians_own_initrd_is_read() {
        let path =
            "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/initrd.gz";
        let Ok(c) = Content::open(std::path::Path::new(path)) else { return };
        let t = nodes(&c).expect("nodes");
        assert!(
            t.get(&p("sbin/reopen-console")).is_some()
                || t.get(&p("usr/sbin/reopen-console")).is_some()
        );
        for cut in [10, 1000, 1 << 20] {
            assert!(nodes(&c.slice(0..cut).expect("cut")).is_err());
        }
    }
}
