//! Entity tags (RFC 9110, 8.8.3). A file of this machine goes by what the file system says of it, as every
//! web server's do: device, inode, size and the nanosecond of its last change. An extent of an ISO is that
//! of the ISO, and where it lies in it; a remote one goes by the tag that its server gives it. Bytes in memory go by themselves. Nothing is read for a tag.

use crate::content::{Content, Segment};
use crate::error::{Error, Result};
use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// Bytes in memory up to so many are hashed for each request. What is longer goes by its place in memory,
/// which is nobody else's while it is served.
const HASHED: usize = 64 << 10;

/// Two hashes of 64 bits over the same words.
struct Hash(DefaultHasher, DefaultHasher);

impl Hash {
    fn new() -> Self {
        let mut other = DefaultHasher::new();
        other.write_u8(1);
        Hash(DefaultHasher::new(), other)
    }

    fn number(&mut self, n: u64) {
        self.0.write_u64(n);
        self.1.write_u64(n);
    }

    fn bytes(&mut self, b: &[u8]) {
        self.number(b.len() as u64);
        self.0.write(b);
        self.1.write(b);
    }

    fn file(&mut self, meta: &Metadata) {
        for n in [meta.dev(), meta.ino(), meta.size()] {
            self.number(n);
        }
        self.number(meta.mtime() as u64);
        self.number(meta.mtime_nsec() as u64);
    }

    fn tag(self) -> String {
        format!("\"{:016x}{:016x}\"", self.0.finish(), self.1.finish())
    }
}

/// The tag of a file of this machine, whole.
pub fn of_file(meta: &Metadata) -> String {
    let mut h = Hash::new();
    h.file(meta);
    h.tag()
}

/// The tag of a rope. `nonce` is this run's: it goes in where the bytes have no lasting name.
///
/// # Errors
/// `Io` where the file system says nothing about a file that is open.
pub fn of_content(content: &Content, nonce: u64) -> Result<String> {
    let mut h = Hash::new();
    let mut last: Option<*const File> = None;
    for s in content.segments() {
        h.number(s.len());
        match s {
            Segment::Bytes(b) if b.len() <= HASHED => h.bytes(b),
            Segment::Bytes(b) => {
                h.number(nonce);
                h.number(b.as_ptr().addr() as u64);
            }
            Segment::Zero(_) => h.number(0),
            Segment::Extent { src, off, .. } => {
                h.number(*off);
                match src.file() {
                    // A repacked image has thousands of extents of one file: asked once.
                    Some(f) if last == Some(std::ptr::from_ref(f)) => {}
                    Some(f) => {
                        last = Some(std::ptr::from_ref(f));
                        let meta = f
                            .metadata()
                            .map_err(|e| Error::io("can't stat", e).source_name(src.name()))?;
                        h.file(&meta);
                    }
                    None => match src.stamp() {
                        Some(stamp) => h.bytes(stamp.text.as_bytes()),
                        None => {
                            h.number(nonce);
                            h.number(Arc::as_ptr(src).addr() as u64);
                        }
                    },
                }
            }
        }
    }
    Ok(h.tag())
}
