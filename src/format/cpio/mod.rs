//! cpio "newc" archives, as the kernel's initramfs takes them
//! (Documentation/driver-api/early-userspace/buffer-format.rst): newc and crc are read, newc is
//! written. Names are bytes.

mod read;

pub use read::{Body, header};

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{NodeKind, Special};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// Something for the archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path without a leading `/`.
    pub path: TreePath,
    /// Permission bits.
    pub mode: u32,
    /// What it is. A file's content is our own bytes, or an extent of the medium.
    pub kind: NodeKind,
}

impl Entry {
    /// A regular file.
    pub fn file(path: TreePath, mode: u32, content: impl Into<Content>) -> Self {
        Entry { path, mode, kind: NodeKind::File(content.into()) }
    }

    /// A folder.
    pub fn dir(path: TreePath, mode: u32) -> Self {
        Entry { path, mode, kind: NodeKind::Dir }
    }

    /// A symbolic link.
    pub fn symlink(path: TreePath, target: impl Into<Vec<u8>>) -> Self {
        Entry { path, mode: 0o777, kind: NodeKind::Symlink(target.into()) }
    }
}

/// Bytes of a header without its name.
pub const HEADER: u64 = 110;
/// The name that ends an archive.
pub const TRAILER: &[u8] = b"TRAILER!!!";

const S_IFMT: u32 = 0o170_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFSOCK: u32 = 0o140_000;

/// A header as it stands in an archive, name and all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// As stored, without the NUL: `usr/bin`, `./usr/bin`, whatever the archiver wrote.
    pub name: Vec<u8>,
    /// Inode number: with `device` and the type it names a hard link's file, up to the trailer.
    pub ino: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names. From 2 on the kernel looks for the others.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Bytes of the body.
    pub size: u32,
    /// Major and minor of the device that the file was on.
    pub device: (u32, u32),
    /// Major and minor of the device that the file is.
    pub node: (u32, u32),
    /// Sum of the body's bytes, in the crc format.
    pub check: Option<u32>,
}

impl Header {
    /// The path that the kernel unpacks it to. None for the root, and for a name that no tree of ours
    /// can hold (`..`, a control byte).
    pub fn path(&self) -> Option<TreePath> {
        let mut name = &self.name[..];
        while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
            name = rest;
        }
        TreePath::new(name).ok().filter(|p| !p.is_root())
    }

    /// True for a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & S_IFMT == S_IFREG
    }

    /// True for a folder.
    pub fn is_dir(&self) -> bool {
        self.mode & S_IFMT == S_IFDIR
    }

    /// True for a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// True where the kernel looks for other names of the same file.
    pub fn is_hard_link(&self) -> bool {
        self.nlink >= 2 && !self.is_dir() && !self.is_symlink()
    }

    /// The device, pipe or socket that it is.
    pub fn special(&self) -> Option<Special> {
        let (major, minor) = self.node;
        match self.mode & S_IFMT {
            S_IFIFO => Some(Special::Fifo),
            S_IFSOCK => Some(Special::Socket),
            S_IFCHR => Some(Special::Char(major, minor)),
            S_IFBLK => Some(Special::Block(major, minor)),
            _ => None,
        }
    }

    /// The header in newc, its name and the padding behind it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER as usize + self.name.len() + 4);
        let (major, minor) = self.device;
        let (rmajor, rminor) = self.node;
        out.extend_from_slice(b"070701");
        for v in [
            self.ino,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.size,
            major,
            minor,
            rmajor,
            rminor,
            self.name.len() as u32 + 1,
            0,
        ] {
            out.extend((0..8).rev().map(|i| b"0123456789abcdef"[(v >> (4 * i)) as usize & 15]));
        }
        out.extend_from_slice(&self.name);
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}

/// What ends an archive.
pub fn trailer() -> Vec<u8> {
    Header { name: TRAILER.to_vec(), nlink: 1, ..Header::default() }.to_bytes()
}

/// The file type's bits, and major and minor of a device.
fn type_of(kind: &NodeKind) -> (u32, (u32, u32)) {
    match kind {
        NodeKind::File(_) => (S_IFREG, (0, 0)),
        NodeKind::Dir => (S_IFDIR, (0, 0)),
        NodeKind::Symlink(_) => (S_IFLNK, (0, 0)),
        NodeKind::Special(Special::Fifo) => (S_IFIFO, (0, 0)),
        NodeKind::Special(Special::Socket) => (S_IFSOCK, (0, 0)),
        NodeKind::Special(Special::Char(major, minor)) => (S_IFCHR, (*major, *minor)),
        NodeKind::Special(Special::Block(major, minor)) => (S_IFBLK, (*major, *minor)),
    }
}

impl Entry {
    /// Its header and its body. Times and owners are 0.
    ///
    /// # Errors
    /// `Unsupported` for a file of 4 GiB or more: newc has no room for its size.
    pub fn record(&self, ino: u32) -> Result<(Header, Content)> {
        let body = match &self.kind {
            NodeKind::File(c) => c.clone(),
            NodeKind::Symlink(target) => target.clone().into(),
            NodeKind::Dir | NodeKind::Special(_) => Content::empty(),
        };
        let size = u32::try_from(body.len()).map_err(|_| {
            Error::unsupported("a file of 4 GiB or more does not fit into an initrd")
                .path(&self.path)
        })?;
        let (kind, node) = type_of(&self.kind);
        let nlink = if kind == S_IFDIR { 2 } else { 1 };
        let mode = kind | (self.mode & 0o7777);
        let name = self.path.as_bytes().to_vec();
        Ok((Header { name, ino, mode, nlink, size, node, ..Header::default() }, body))
    }
}

/// `entries` in their order, each with its parent folders before it: the kernel makes no folder by
/// itself, and a file without one is lost without a word. Folders that `there` says are there already
/// keep their modes.
pub fn with_parents(entries: &[Entry], there: &dyn Fn(&TreePath) -> bool) -> Vec<Entry> {
    let mut made = BTreeSet::new();
    let mut all = Vec::new();
    for e in entries {
        let parents = std::iter::successors(e.path.parent(), TreePath::parent);
        let mut parents: Vec<TreePath> = parents.filter(|p| !p.is_root()).collect();
        parents.reverse();
        for dir in parents {
            if made.insert(dir.clone()) && !there(&dir) {
                all.push(Entry::dir(dir, 0o755));
            }
        }
        if matches!(e.kind, NodeKind::Dir) {
            made.insert(e.path.clone());
        }
        all.push(e.clone());
    }
    all
}

/// One archive of `entries` and of the folders they lie in. Same entries, same bytes: inode numbers
/// count from 1.
///
/// # Errors
/// As [`Entry::record`].
pub fn archive(entries: &[Entry]) -> Result<Content> {
    archive_of(&with_parents(entries, &|_| false))
}

/// One archive of `entries` as they are.
///
/// # Errors
/// As [`Entry::record`].
pub fn archive_of(entries: &[Entry]) -> Result<Content> {
    let mut parts = Vec::new();
    for (ino, e) in (1..).zip(entries) {
        let (header, body) = e.record(ino)?;
        let gap = body.len().next_multiple_of(4) - body.len();
        parts.extend([header.to_bytes().into(), body, Content::zeros(gap)]);
    }
    parts.push(trailer().into());
    Ok(Content::concat(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn entry(path: &str, bytes: &[u8]) -> Entry {
        Entry::file(path.parse().expect("path"), 0o600, bytes.to_vec())
    }

    #[test]
    fn gnu_cpio_lists_what_was_put_in() {
        let a =
            archive(&[entry("ks.cfg", b"text\n"), entry("a/b/c", b"12345"), entry("a/b/d", b"")])
                .and_then(|a| a.read_all(10_000))
                .expect("archive");
        assert_eq!(a.len() % 4, 0);
        let Ok(mut child) = Command::new("cpio")
            .args(["-itv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "cpio is missing");
            return;
        };
        child.stdin.take().expect("stdin").write_all(&a).expect("write");
        let out = child.wait_with_output().expect("cpio");
        assert!(out.status.success());
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let names: Vec<&str> = text.lines().filter_map(|l| l.split_whitespace().last()).collect();
        assert_eq!(names, ["ks.cfg", "a", "a/b", "a/b/c", "a/b/d"]);
        assert!(text.starts_with("-rw-------"), "{text}");
    }

    #[test]
    fn what_is_written_is_read_again_whatever_its_type() {
        let p = |s: &str| s.parse::<TreePath>().expect("path");
        let node = |s| Entry { path: p("n"), mode: 0o640, kind: NodeKind::Special(s) };
        let all = [
            entry("f", b"12345"),
            Entry::dir(p("d"), 0o1777),
            Entry::symlink(p("l"), "d/x"),
            node(Special::Char(4, 65)),
            node(Special::Block(8, 1)),
            node(Special::Fifo),
            node(Special::Socket),
        ];
        let bytes = archive(&all).and_then(|a| a.read_all(10_000)).expect("archive");
        let mut r = &bytes[..];
        for (ino, e) in (1..).zip(&all) {
            let (want, body) = e.record(ino).expect("record");
            let got = header(&mut r).expect("header").expect("entry");
            assert_eq!(got, want);
            assert_eq!(got.special().is_some(), matches!(e.kind, NodeKind::Special(_)));
            let mut b = Vec::new();
            let mut reader = Body::new(&got, &mut r);
            reader.copy(&mut b).expect("body");
            reader.end().expect("end");
            assert_eq!(b, body.read_all(100).expect("body"));
        }
        assert_eq!(header(&mut r).expect("trailer"), None);
        assert!(r.is_empty());
    }

    #[test]
    fn a_wrong_checksum_and_a_short_archive_are_told() {
        let mut bytes = archive(&[entry("f", b"ab")]).and_then(|a| a.read_all(1000)).expect("cpio");
        bytes[..6].copy_from_slice(b"070702");
        let ends = |bytes: &[u8]| {
            let mut r = bytes;
            let h = header(&mut r)?.expect("entry");
            Body::new(&h, &mut r).end()
        };
        let e = ends(&bytes).expect_err("0 is no checksum of ab");
        assert!(e.to_string().contains("000000c3, not 00000000"), "{e}");
        bytes[102..110].copy_from_slice(b"000000C3");
        ends(&bytes).expect("the sum of a and b");
        assert!(ends(&bytes[..113]).is_err());
        assert!(ends(&bytes[..60]).is_err());
    }
}
