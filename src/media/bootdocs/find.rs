//! FINDING: which files are boot configurations, by their names.

use super::{BootDoc, BootDocs, FoundDoc};
use crate::content::path::TreePath;
use crate::content::tree::{Node, Tree};
use crate::error::Error;
use crate::format::{bls, syslinux};
use crate::model::boot::Locus;
use std::collections::{BTreeSet, HashMap};

/// Debian's menu is some 30 files.
pub(super) const MAX_DOCS: usize = 256;
/// Of all documents together.
const MAX_BYTES: usize = 16 << 20;

/// Finds the boot configurations in `tree` and in the FAT images `fat`, each by its name for a
/// [`Locus`].
pub fn find(tree: &Tree, fat: &[(String, &Tree)]) -> BootDocs {
    let mut out = BootDocs::default();
    let mut bytes_left = MAX_BYTES;
    let all = std::iter::once((None, tree)).chain(fat.iter().map(|(n, t)| (Some(n.clone()), *t)));
    for (image, tree) in all {
        let mut f = Finder {
            tree,
            index: Index::of(tree),
            image,
            seen: BTreeSet::new(),
            out: &mut out,
            bytes_left,
        };
        f.run();
        bytes_left = f.bytes_left;
    }
    out.set_firmware();
    out
}

/// Paths without their case, for media that shout.
pub(super) struct Index(HashMap<Vec<u8>, TreePath>);

impl Index {
    pub fn of(tree: &Tree) -> Index {
        let files = tree.iter().filter(|(_, n)| !n.is_dir());
        Index(files.map(|(p, _)| (p.as_bytes().to_ascii_lowercase(), p.clone())).collect())
    }

    /// `path` as `tree` has it: exactly, through links, or in another case.
    pub fn get(&self, tree: &Tree, path: &TreePath) -> Option<TreePath> {
        if tree.file(path).is_ok() {
            return Some(path.clone());
        }
        let p = self.0.get(&path.as_bytes().to_ascii_lowercase())?;
        tree.file(p).is_ok().then(|| p.clone())
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Dialect {
    Syslinux,
    Grub,
    /// An entry, or the settings beside the entries.
    Bls,
    /// No text, but a line of systemd-boot's menu all the same.
    Uki,
}

/// By name alone, in any case.
fn dialect(path: &TreePath) -> Option<Dialect> {
    let path = path.as_bytes().to_ascii_lowercase();
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    match name {
        b"isolinux.cfg" | b"syslinux.cfg" | b"extlinux.conf" => Some(Dialect::Syslinux),
        b"default" if path.ends_with(b"pxelinux.cfg/default") => Some(Dialect::Syslinux),
        b"grub.cfg" => Some(Dialect::Grub),
        _ if name.ends_with(b".cfg") && path.starts_with(b"boot/grub") => Some(Dialect::Grub),
        _ => single(&path, name),
    }
}

/// Files that are a menu line each. They lie below the root of the partition that is booted from, or
/// below `boot` where that is a folder of the medium.
fn single(path: &[u8], name: &[u8]) -> Option<Dialect> {
    let folder = path[..path.len() - name.len()].strip_suffix(b"/")?;
    match folder.strip_prefix(b"boot/").unwrap_or(folder) {
        b"loader" => (name == bls::LOADER_CONF.as_bytes()).then_some(Dialect::Bls),
        b"loader/entries" => bls::is_entry_name(name).then_some(Dialect::Bls),
        b"efi/linux" => name.ends_with(b".efi").then_some(Dialect::Uki),
        _ => None,
    }
}

pub(super) struct Finder<'a> {
    pub tree: &'a Tree,
    pub index: Index,
    pub image: Option<String>,
    seen: BTreeSet<TreePath>,
    pub out: &'a mut BootDocs,
    bytes_left: usize,
}

impl Finder<'_> {
    fn run(&mut self) {
        let named =
            |(p, n): (&TreePath, &Node)| (!n.is_dir()).then(|| Some((dialect(p)?, p.clone())))?;
        let roots: Vec<(Dialect, TreePath)> = self.tree.iter().filter_map(named).collect();
        let mut singles = Vec::new();
        for (dialect, path) in roots {
            let folder = path.parent().unwrap_or_default();
            match dialect {
                Dialect::Syslinux => self.syslinux(path, &folder),
                Dialect::Grub => self.grub(path),
                Dialect::Bls | Dialect::Uki => singles.push((dialect, path)),
            }
        }
        self.systemd_boot(singles);
    }

    pub fn note(&mut self, at: &TreePath, why: impl std::fmt::Display) {
        let locus = Locus { image: self.image.clone(), path: at.clone() };
        if self.out.notes.len() < 1000 {
            self.out.notes.push(format!("{locus}: {why}"));
        }
    }

    /// The bytes of a document that was not read before.
    pub fn read(&mut self, path: &TreePath) -> Option<Vec<u8>> {
        // A link and its target are one document.
        let real = self.tree.resolve(path).unwrap_or_else(|_| path.clone());
        if !self.seen.insert(real) {
            return None;
        }
        let read = if self.out.docs.len() >= MAX_DOCS {
            Err(Error::unsupported(format!("more than {MAX_DOCS} boot configurations")))
        } else {
            let limit = self.bytes_left.min(syslinux::MAX_LEN) as u64;
            self.tree.file(path).and_then(|c| c.read_all(limit))
        };
        match read {
            Ok(b) => {
                self.bytes_left -= b.len();
                Some(b)
            }
            Err(e) => {
                self.note(path, e);
                None
            }
        }
    }

    pub fn push(&mut self, path: TreePath, doc: BootDoc, base: TreePath, root: bool) -> usize {
        let locus = Locus { image: self.image.clone(), path };
        self.out.docs.push(FoundDoc { locus, doc, firmware: Vec::new(), base, root });
        self.out.docs.len() - 1
    }
}
