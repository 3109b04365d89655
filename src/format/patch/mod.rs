//! Patches of ours: what turns one image into another, as a small file.
//!
//! A file is framed as `frame.rs` says. The new image is told from its first byte to its last by
//! [`Op`]s, so a patch that is read is a [`Content`] again: the base's extents, the patch's extents and
//! zeros, and nothing is unpacked.
//!
//! What holds a patch and a base together: the base's size; the SHA-256 of what of it the new image does
//! *not* take over, and of its first 64 KiB; and where somebody had read all of it anyway, of the whole.

mod diff;
mod frame;
mod undo;

pub use diff::diff;
pub use undo::Undo;

use crate::content::Content;
use crate::content::copy::{self, Digest, Watch};
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

const MAGIC: &str = "isowright patch 1\n";
/// Descriptors, boot code and, on most media, the path tables.
const HEAD: u64 = 64 << 10;

/// A step in the making of the new image, from its first byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Bytes of the base: offset and length.
    Copy(u64, u64),
    /// So many of the patch's own bytes, which follow each other.
    Put(u64),
    /// So many zeros.
    Zero(u64),
}

/// One of the two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of it all, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// What stands in front of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What the patch is for.
    pub base: Side,
    /// SHA-256 of the base's first 64 KiB and of all that is not taken over, in order.
    pub replaced: Digest,
    /// What it makes.
    pub result: Side,
    /// How.
    pub ops: Vec<Op>,
}

/// From `base` to `new`.
#[derive(Debug, Clone)]
pub struct Patch {
    /// What it is for and what it does.
    pub header: Header,
    /// The patch's own bytes.
    pub literals: Content,
}

impl Patch {
    /// The patch from `base` to `new`, found by what the two ropes share: no byte is compared that comes
    /// from the same place of the same source. Its literals are read when it is written.
    ///
    /// # Errors
    /// Those of reading what is replaced.
    pub fn between(base: &Content, new: &Content) -> Result<Patch> {
        let (ops, literals) = diff(base, new)?;
        let side = |c: &Content| Side { size: c.len(), sha256: None };
        let replaced = replaced(base, &ops)?;
        Ok(Patch {
            header: Header { base: side(base), replaced, result: side(new), ops },
            literals,
        })
    }

    /// As a file.
    ///
    /// # Errors
    /// Those of reading the literals, for the seal.
    pub fn to_content(&self, watch: Watch) -> Result<Content> {
        frame::write(MAGIC, &self.header, &self.literals, watch)
    }

    /// Reads a patch.
    ///
    /// # Errors
    /// `Unsupported` where it is none or of a later version, `Corrupt` where it is damaged or its steps
    /// don't add up.
    pub fn read(file: &Content, watch: Watch) -> Result<Patch> {
        let (header, literals) = frame::read::<Header>(MAGIC, file, watch)?;
        add_up(&header.ops, header.base.size, header.result.size, literals.len())?;
        Ok(Patch { header, literals })
    }

    /// The new image, made of the base's extents and the patch's.
    ///
    /// # Errors
    /// `Conflict` where the base is another image.
    pub fn apply(&self, base: &Content) -> Result<Content> {
        let Header { base: want, replaced: digest, ops, .. } = &self.header;
        let another = |what: String| {
            Error::new(ErrorKind::Conflict, format!("this patch is for another image: {what}"))
                .hint("take the very image that the patch was made from")
        };
        if base.len() != want.size {
            return Err(another(format!("of {} bytes, and this has {}", want.size, base.len())));
        }
        if replaced(base, ops)? != *digest {
            return Err(another("what it replaces reads otherwise".into()));
        }
        made(ops, base, &self.literals)
    }
}

/// What the steps make.
fn made(ops: &[Op], base: &Content, literals: &Content) -> Result<Content> {
    let mut at = 0;
    let parts = ops.iter().map(|op| match *op {
        Op::Copy(from, len) => base.slice(from..from + len),
        Op::Zero(len) => Ok(Content::zeros(len)),
        Op::Put(len) => {
            at += len;
            literals.slice(at - len..at)
        }
    });
    Ok(Content::concat(parts.collect::<Result<Vec<_>>>()?))
}

/// All lengths and places agree with the sizes; afterwards no sum of them can overflow.
fn add_up(ops: &[Op], base: u64, result: u64, literals: u64) -> Result<()> {
    let wrong = || Error::corrupt("the steps don't add up", MAGIC.len() as u64);
    let (mut size, mut put) = (0u64, 0u64);
    for op in ops {
        let len = match *op {
            Op::Copy(from, len) => {
                let end = from.checked_add(len).ok_or_else(wrong)?;
                if end > base {
                    return Err(wrong());
                }
                len
            }
            Op::Put(len) => {
                put = put.checked_add(len).ok_or_else(wrong)?;
                len
            }
            Op::Zero(len) => len,
        };
        size = size.checked_add(len).ok_or_else(wrong)?;
    }
    if size == result && put == literals { Ok(()) } else { Err(wrong()) }
}

/// Digest of the base's head and of what no step takes over at its place.
fn replaced(base: &Content, ops: &[Op]) -> Result<Digest> {
    let mut kept: Vec<(u64, u64)> = ops
        .iter()
        .filter_map(|op| match *op {
            Op::Copy(from, len) => Some((from, from + len)),
            _ => None,
        })
        .collect();
    kept.sort_unstable();
    let mut parts = vec![base.slice(0..HEAD.min(base.len()))?];
    let mut at = 0;
    for (from, to) in kept {
        if from > at {
            parts.push(base.slice(at..from)?);
        }
        at = at.max(to);
    }
    parts.push(base.slice(at.min(base.len())..base.len())?);
    copy::digest(&Content::concat(parts), &|_| true)
}

#[cfg(test)]
mod tests;
