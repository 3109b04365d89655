//! FAT12, FAT16 and FAT32 with long names: read as a [`Tree`] whose files are extents of the image, and
//! edited into an image that shares with the old one all that did not change.
//! Sources: Microsoft's "FAT: General Overview of On-Disk Format" 1.03; Linux' choice of FAT32 by the
//! fields rather than by the cluster count, for mkfs.vfat makes small FAT32.
//!
//! Written here and not left to the crate `fatfs` 0.3.6: it gives no extents (a file could only be
//! copied, not shared), and refuses the small FAT32 images that mkfs.vfat makes.
//!
//! Not supported: code pages other than 437 in short names, exFAT; making a file system where there is
//! none.

mod edit;
mod folder;
mod grow;
mod layout;
mod name;
mod read;
mod volume;
mod write;

#[cfg(doc)]
use crate::content::tree::Tree;

use crate::content::Content;
use layout::Layout;

pub use edit::{Change, Edited, edit};
pub use read::open;

/// Folders inside folders.
const MAX_DEPTH: u16 = 64;
/// One folder: 65,536 entries of 32 bytes is FAT's own limit.
const MAX_DIRECTORY: u64 = 2 << 20;

/// The bytes that the image's own parameter block says it has; `None` where there is no FAT.
pub fn size(image: &Content) -> Option<u64> {
    Layout::of(image).ok().flatten().map(|l| l.total)
}
