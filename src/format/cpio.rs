//! cpio "newc" archives, as the kernel's initramfs takes them
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Writing only: reading comes with the
//! initrd verbs. Names are bytes. Hard links come with it.

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

const S_IFMT: u32 = 0o170_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFSOCK: u32 = 0o140_000;

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

/// One archive of `entries` in their order, each with its parent folders before it: the kernel makes
/// no folder by itself, and a file without one is lost without a word. Same entries, same bytes:
/// times and owners are 0, inode numbers count from 1.
///
/// # Errors
/// `Unsupported` for a file of 4 GiB or more: newc has no room for its size.
pub fn archive(entries: &[Entry]) -> Result<Content> {
    let mut parts = Vec::new();
    let mut out = Vec::new();
    let mut made = BTreeSet::new();
    let mut ino = 0;
    for e in entries {
        let mut parents: Vec<TreePath> =
            std::iter::successors(e.path.parent(), TreePath::parent).collect();
        parents.pop();
        for dir in parents.into_iter().rev() {
            if made.insert(dir.clone()) {
                ino += 1;
                record(&mut out, ino, S_IFDIR | 0o755, dir.as_bytes(), 0, (0, 0));
            }
        }
        if matches!(e.kind, NodeKind::Dir) {
            made.insert(e.path.clone());
        }
        ino += 1;
        let content = match &e.kind {
            NodeKind::File(c) => c.clone(),
            NodeKind::Symlink(target) => target.clone().into(),
            NodeKind::Dir | NodeKind::Special(_) => Content::empty(),
        };
        let size = u32::try_from(content.len()).map_err(|_| {
            Error::unsupported("a file of 4 GiB or more does not fit into an initrd").path(&e.path)
        })?;
        let (kind, device) = type_of(&e.kind);
        record(&mut out, ino, kind | (e.mode & 0o7777), e.path.as_bytes(), size, device);
        let gap = content.len().next_multiple_of(4) - content.len();
        parts.push(Content::from(std::mem::take(&mut out)));
        parts.push(content);
        parts.push(Content::zeros(gap));
    }
    record(&mut out, 0, 0, b"TRAILER!!!", 0, (0, 0));
    parts.push(out.into());
    Ok(Content::concat(parts))
}

fn record(out: &mut Vec<u8>, ino: u32, mode: u32, name: &[u8], size: u32, device: (u32, u32)) {
    let nlink = if mode & S_IFMT == S_IFDIR { 2 } else { 1 };
    let (major, minor) = device;
    out.extend_from_slice(b"070701");
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    for v in [ino, mode, 0, 0, nlink, 0, size, 0, 0, major, minor, name.len() as u32 + 1, 0] {
        out.extend_from_slice(format!("{v:08x}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The LZ4 legacy frame's magic (`lz4 -l`, what the kernel's initramfs wants).
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// The vendor's initrds one after the other with our archive as one more member, so that the
/// vendor's bytes stay an extent. A raw cpio header must start at a multiple of 4. Behind an LZ4
/// legacy stream nothing may follow, for it has no end mark: there the archive goes in front.
///
/// # Errors
/// `Corrupt` where an initrd can't be read.
pub fn extend_initrd(vendor: &[Content], ours: &[Entry]) -> Result<Content> {
    let mut parts = Vec::new();
    let mut len = 0u64;
    let mut lz4 = false;
    for v in vendor {
        let mut magic = [0; 4];
        if v.len() >= 4 {
            v.read_at(&mut magic, 0)?;
        }
        lz4 |= magic == LZ4_LEGACY;
        push_aligned(&mut parts, &mut len, v.clone());
    }
    if ours.is_empty() {
        return Ok(Content::concat(parts));
    }
    let cpio = archive(ours)?;
    if lz4 {
        let mut front = Vec::new();
        let mut at = 0;
        push_aligned(&mut front, &mut at, cpio);
        for p in parts {
            push_aligned(&mut front, &mut at, p);
        }
        return Ok(Content::concat(front));
    }
    push_aligned(&mut parts, &mut len, cpio);
    Ok(Content::concat(parts))
}

fn push_aligned(parts: &mut Vec<Content>, len: &mut u64, c: Content) {
    let gap = len.next_multiple_of(4) - *len;
    *len += gap + c.len();
    parts.push(Content::zeros(gap));
    parts.push(c);
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
    fn our_member_starts_aligned_and_the_vendors_bytes_stay() {
        let vendor: Content = vec![0x1f, 0x8b, 8, 0, 1].into();
        let c = extend_initrd(&[vendor], &[entry("x", b"y")]).expect("extend");
        let b = c.read_all(10_000).expect("read");
        assert_eq!(&b[..8], [0x1f, 0x8b, 8, 0, 1, 0, 0, 0]);
        assert_eq!(&b[8..14], b"070701");
    }

    #[test]
    fn behind_lz4_nothing_follows() {
        let vendor: Content = [&LZ4_LEGACY[..], &[1, 2, 3]].concat().into();
        let c = extend_initrd(&[vendor], &[entry("x", b"y")]).expect("extend");
        let b = c.read_all(10_000).expect("read");
        assert_eq!(&b[..6], b"070701");
        assert!(b.ends_with(&[0x02, 0x21, 0x4c, 0x18, 1, 2, 3]));
        assert_eq!((b.len() - 7) % 4, 0);
    }
}
