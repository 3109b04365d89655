//! cpio "newc" archives, as the kernel's initramfs takes them
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Writing only: reading comes with the
//! initrd verbs. Names are bytes. No hard links, no device nodes.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// A file for the archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path without a leading `/`.
    pub path: TreePath,
    /// Permission bits.
    pub mode: u32,
    /// Content: our own bytes, or an extent of the medium.
    pub content: Content,
}

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

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
                record(&mut out, ino, S_IFDIR | 0o755, dir.as_bytes(), 0);
            }
        }
        ino += 1;
        let size = u32::try_from(e.content.len()).map_err(|_| {
            Error::unsupported("a file of 4 GiB or more does not fit into an initrd").path(&e.path)
        })?;
        record(&mut out, ino, S_IFREG | (e.mode & 0o7777), e.path.as_bytes(), size);
        parts.push(Content::from(std::mem::take(&mut out)));
        parts.push(e.content.clone());
        parts.push(Content::zeros(e.content.len().next_multiple_of(4) - e.content.len()));
    }
    record(&mut out, 0, 0, b"TRAILER!!!", 0);
    parts.push(out.into());
    Ok(Content::concat(parts))
}

fn record(out: &mut Vec<u8>, ino: u32, mode: u32, name: &[u8], size: u32) {
    let nlink = if mode & S_IFDIR != 0 { 2 } else { 1 };
    out.extend_from_slice(b"070701");
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    for v in [ino, mode, 0, 0, nlink, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0] {
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

/// True where nothing may follow these initrds: an LZ4 legacy stream has no end mark.
///
/// # Errors
/// `Corrupt` where one can't be read.
pub fn must_be_last(vendor: &[Content]) -> Result<bool> {
    for v in vendor.iter().filter(|v| v.len() >= 4) {
        let mut magic = [0; 4];
        v.read_at(&mut magic, 0)?;
        if magic == LZ4_LEGACY {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The vendor's initrds one after the other with our archive as one more member, so that the
/// vendor's bytes stay an extent. A raw cpio header must start at a multiple of 4. Where
/// nothing may follow ([`must_be_last`]) the archive goes in front.
///
/// # Errors
/// `Corrupt` where an initrd can't be read.
pub fn extend_initrd(vendor: &[Content], ours: &[Entry]) -> Result<Content> {
    let mut parts = Vec::new();
    let mut len = 0u64;
    let lz4 = must_be_last(vendor)?;
    for v in vendor {
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
        Entry { path: path.parse().expect("path"), mode: 0o600, content: bytes.to_vec().into() }
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
