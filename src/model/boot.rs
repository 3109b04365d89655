//! A boot menu in neutral terms, as read from any dialect.

use super::arch::Firmware;
use super::cmdline::Cmdline;
use crate::content::path::TreePath;
use serde::Serialize;

/// One line of a boot menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// Stable within its document: a syslinux label, or the GRUB entry's position as `0`, `1>2`.
    pub id: String,
    /// What the menu shows, without hotkey marks.
    pub title: String,
    /// What it starts.
    pub payload: Payload,
    /// True for the entry that starts when nobody presses a key.
    pub default: bool,
}

/// What a boot entry starts. Paths are those of the medium, resolved from the document's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A Linux kernel.
    Linux {
        /// The kernel image.
        kernel: TreePath,
        /// Initial RAM disks in order.
        initrds: Vec<TreePath>,
        /// Kernel command line, without `initrd=` and `BOOT_IMAGE=`.
        cmdline: Cmdline,
    },
    /// A multiboot kernel with modules (Xen, ESXi).
    Multiboot {
        /// The kernel image.
        kernel: TreePath,
        /// Its command line.
        cmdline: Cmdline,
    },
    /// An EFI program or another boot loader.
    Chain {
        /// What is named, as written.
        what: String,
    },
    /// Something that is kept, but not understood.
    Opaque {
        /// Why, or what it is.
        why: String,
    },
}

/// A boot entry and where it was found.
#[derive(Debug, Clone)]
pub struct FoundEntry {
    /// The document: `iso:/isolinux/txt.cfg`, `iso:/images/efiboot.img!/EFI/BOOT/grub.cfg`.
    pub locus: Locus,
    /// Which firmware gets to see it.
    pub firmware: Vec<Firmware>,
    /// The entry.
    pub entry: BootEntry,
}

/// A file on the medium, or in a FAT image on the medium.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locus {
    /// The FAT image: a path on the ISO, or `partition N` for an appended one. `None`: on the ISO itself.
    pub image: Option<String>,
    /// Path in the ISO or in the image.
    pub path: TreePath,
}

impl std::fmt::Display for Locus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.image {
            Some(i) => write!(f, "iso:/{i}!/{}", self.path),
            None => write!(f, "iso:/{}", self.path),
        }
    }
}

impl Serialize for Locus {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
