//! Every boot configuration on the medium, also inside FAT images: found by name, followed where one
//! names another, and put in the order of the menus. What can't be read is a note, never a failure: a
//! broken spare menu must not keep the rest from being used.

mod find;
mod follow;
mod rank;

pub use find::find;

use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{bls, grub, syslinux};
use crate::model::arch::Firmware;
use crate::model::boot::{BootEntry, Locus, Payload};
use crate::model::cmdline::Cmdline;
use crate::model::console::Serial;
use std::ops::Range;

/// A boot configuration of any dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootDoc {
    /// ISOLINUX, SYSLINUX, PXELINUX, EXTLINUX.
    Syslinux(syslinux::Doc),
    /// GRUB 2.
    Grub(grub::Doc),
    /// An entry of its own file, or systemd-boot's settings.
    Bls(bls::Doc),
}

impl BootDoc {
    /// The entries, with paths as seen from `base`.
    pub fn entries(&self, base: &TreePath) -> Vec<BootEntry> {
        match self {
            BootDoc::Syslinux(d) => d.entries(base),
            BootDoc::Grub(d) => d.entries(base),
            BootDoc::Bls(d) => d.entries(base),
        }
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            BootDoc::Syslinux(d) => d.to_bytes(),
            BootDoc::Grub(d) => d.to_bytes(),
            BootDoc::Bls(d) => d.to_bytes(),
        }
    }

    /// Lets `f` change an entry's command line; says whether the bytes changed.
    ///
    /// # Errors
    /// As the dialect's `edit_cmdline`.
    pub fn edit_cmdline(
        &mut self,
        id: &str,
        f: impl FnMut(&mut Cmdline) -> Result<()>,
    ) -> Result<bool> {
        match self {
            BootDoc::Syslinux(d) => d.edit_cmdline(id, f),
            BootDoc::Grub(d) => d.edit_cmdline(id, f),
            BootDoc::Bls(d) => d.edit_cmdline(id, f),
        }
    }

    /// Adds `file`, a path from the root of the file system, to the initrds that an entry loads, behind
    /// them or before them; says whether the bytes changed.
    ///
    /// # Errors
    /// As the dialect's `add_initrd`.
    pub fn add_initrd(&mut self, id: &str, file: &str, before: bool) -> Result<bool> {
        match self {
            BootDoc::Syslinux(d) => d.add_initrd(id, file, before),
            BootDoc::Grub(d) => d.add_initrd(id, file, before),
            BootDoc::Bls(d) => d.add_initrd(id, file, before),
        }
    }

    /// Whether the menu starts its default entry by itself, where this document says so.
    pub fn goes_on(&self) -> Option<bool> {
        match self {
            BootDoc::Syslinux(d) => d.goes_on(),
            BootDoc::Grub(d) => d.goes_on(),
            BootDoc::Bls(d) => d.goes_on(),
        }
    }

    /// Makes the menu start its default entry after so many seconds; says whether the bytes changed.
    ///
    /// # Errors
    /// As the dialect's `set_timeout`.
    pub fn set_timeout(&mut self, seconds: u32) -> Result<bool> {
        match self {
            BootDoc::Syslinux(d) => Ok(d.set_timeout(seconds)),
            BootDoc::Grub(d) => d.set_timeout(seconds),
            BootDoc::Bls(d) => Ok(d.set_timeout(seconds)),
        }
    }

    /// Makes the loader's own terminal serial; says whether the bytes changed. systemd-boot has none to
    /// set.
    ///
    /// # Errors
    /// As the dialect's `set_serial`.
    pub fn set_serial(&mut self, port: &Serial) -> Result<bool> {
        match self {
            BootDoc::Syslinux(d) => Ok(d.set_serial(port)),
            BootDoc::Grub(d) => d.set_serial(port),
            BootDoc::Bls(d) => d.set_serial(port),
        }
    }
}

/// A boot configuration and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDoc {
    /// Where.
    pub locus: Locus,
    /// What it says.
    pub doc: BootDoc,
    /// Which firmware gets to see it.
    pub firmware: Vec<Firmware>,
    /// The folder that its relative paths start from: the boot loader's, not always its own.
    pub base: TreePath,
    /// True where nothing includes it: the loader starts with it, so loader settings belong here.
    pub root: bool,
}

/// All boot configurations of a medium.
#[derive(Debug, Clone, Default)]
pub struct BootDocs {
    /// Each document once, root documents before what they include.
    pub docs: Vec<FoundDoc>,
    /// What could not be read or found, and why.
    pub notes: Vec<String>,
    /// Unified kernel images: entries without a document.
    images: Vec<(Locus, BootEntry)>,
    /// Each in the order in which it is shown.
    menus: Vec<Vec<Part>>,
}

/// A piece of a menu.
#[derive(Debug, Clone)]
enum Part {
    /// So many entries of the document of that index.
    Doc(usize, Range<usize>),
    /// The unified kernel image of that index.
    Image(usize),
}

/// A kernel with its initial RAM disks, as some entry names them and the medium has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPair {
    /// The kernel, in the medium's own spelling.
    pub kernel: TreePath,
    /// Initial RAM disks in order.
    pub initrds: Vec<TreePath>,
    /// Index in [`BootDocs::entries`] of the entry that speaks for it: a default one, else the first.
    pub entry: usize,
    /// True where a default entry boots it.
    pub default: bool,
}

impl BootDocs {
    /// ISOLINUX is BIOS's; systemd-boot's, and what lies in an EFI folder or a FAT image, is UEFI's.
    /// GRUB's files in boot/ serve the firmware that has nothing of its own.
    fn set_firmware(&mut self) {
        use Firmware::{Bios, Uefi};
        let is_efi = |d: &FoundDoc| {
            let first = d.locus.path.parts().next().unwrap_or_default();
            d.locus.image.is_some()
                || first.eq_ignore_ascii_case(b"efi")
                || matches!(d.doc, BootDoc::Bls(_))
        };
        let is_syslinux = |d: &FoundDoc| matches!(d.doc, BootDoc::Syslinux(_));
        let bios_has_own = self.docs.iter().any(|d| is_syslinux(d) && !is_efi(d));
        // A stub that only hands on to boot/grub is no menu of its own.
        let starts =
            |e: &BootEntry| matches!(e.payload, Payload::Linux { .. } | Payload::Multiboot { .. });
        let has_own = |d: &FoundDoc| is_efi(d) && d.doc.entries(&d.base).iter().any(starts);
        let uefi_has_own = !self.images.is_empty() || self.docs.iter().any(has_own);
        for d in &mut self.docs {
            d.firmware = match (is_efi(d), is_syslinux(d)) {
                (true, _) => vec![Uefi],
                (false, true) => vec![Bios],
                (false, false) if bios_has_own => vec![Uefi],
                (false, false) if uefi_has_own => vec![Bios],
                (false, false) => vec![Bios, Uefi],
            };
        }
    }

    /// Where the unified kernel images lie.
    pub fn unified(&self) -> impl Iterator<Item = &Locus> {
        self.images.iter().map(|(locus, _)| locus)
    }

    /// The document at `locus`.
    pub fn get(&self, locus: &Locus) -> Option<&FoundDoc> {
        self.docs.iter().find(|d| d.locus == *locus)
    }

    /// The document at `locus`, to edit.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get_mut(&mut self, locus: &Locus) -> Result<&mut FoundDoc> {
        self.docs.iter_mut().find(|d| d.locus == *locus).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no boot configuration {locus}"))
        })
    }
}

#[cfg(test)]
mod tests;
