//! Finds every boot configuration on the medium, also inside FAT images.
//!
//! SYSLINUX menus are followed through INCLUDE and CONFIG, GRUB's through `source` and `configfile`
//! where the path is known. What can't be read is a note, never a failure: a broken spare menu must
//! not keep the rest from being used.
//!
//! Over 400 lines: finding, following and ranking share one index of the medium's names.

use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{grub, paths, syslinux};
use crate::model::arch::Firmware;
use crate::model::boot::{BootEntry, FoundEntry, Locus, Payload};
use crate::model::cmdline::Cmdline;
use crate::model::console::Serial;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Debian's menu is some 30 files.
const MAX_DOCS: usize = 256;
/// Of all documents together.
const MAX_BYTES: usize = 16 << 20;
/// SYSLINUX's own limit on nested includes is of this order.
const MAX_DEPTH: usize = 16;

/// A boot configuration of any dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootDoc {
    /// ISOLINUX, SYSLINUX, PXELINUX, EXTLINUX.
    Syslinux(syslinux::Doc),
    /// GRUB 2.
    Grub(grub::Doc),
}

impl BootDoc {
    /// The entries, with paths as seen from `base`.
    pub fn entries(&self, base: &TreePath) -> Vec<BootEntry> {
        match self {
            BootDoc::Syslinux(d) => d.entries(base),
            BootDoc::Grub(d) => d.entries(base),
        }
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            BootDoc::Syslinux(d) => d.to_bytes(),
            BootDoc::Grub(d) => d.to_bytes(),
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
        }
    }

    /// Makes the loader's own terminal serial; says whether the bytes changed.
    ///
    /// # Errors
    /// As the dialect's `set_serial`.
    pub fn set_serial(&mut self, port: &Serial) -> Result<bool> {
        match self {
            BootDoc::Syslinux(d) => Ok(d.set_serial(port)),
            BootDoc::Grub(d) => d.set_serial(port),
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
    /// Menus: documents and the ranges of their entries, in the order in which they are shown.
    menus: Vec<Vec<(usize, Range<usize>)>>,
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
struct Index(HashMap<Vec<u8>, TreePath>);

impl Index {
    fn of(tree: &Tree) -> Index {
        let files = tree.iter().filter(|(_, n)| !n.is_dir());
        Index(files.map(|(p, _)| (p.as_bytes().to_ascii_lowercase(), p.clone())).collect())
    }

    /// `path` as `tree` has it: exactly, through links, or in another case.
    fn get(&self, tree: &Tree, path: &TreePath) -> Option<TreePath> {
        if tree.file(path).is_ok() {
            return Some(path.clone());
        }
        let p = self.0.get(&path.as_bytes().to_ascii_lowercase())?;
        tree.file(p).is_ok().then(|| p.clone())
    }
}

/// `dir` and the folders above it.
fn upwards(dir: &TreePath) -> impl Iterator<Item = TreePath> {
    std::iter::successors(Some(dir.clone()), TreePath::parent)
}

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Syslinux,
    Grub,
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
        _ => None,
    }
}

struct Finder<'a> {
    tree: &'a Tree,
    index: Index,
    image: Option<String>,
    seen: BTreeSet<TreePath>,
    out: &'a mut BootDocs,
    bytes_left: usize,
}

impl Finder<'_> {
    fn run(&mut self) {
        let named = |(p, n): (&TreePath, &crate::content::tree::Node)| {
            (!n.is_dir()).then(|| Some((dialect(p)?, p.clone())))?
        };
        let roots: Vec<(Dialect, TreePath)> = self.tree.iter().filter_map(named).collect();
        for (dialect, path) in roots {
            let folder = path.parent().unwrap_or_default();
            match dialect {
                Dialect::Syslinux => self.syslinux(path, &folder),
                Dialect::Grub => self.grub(path),
            }
        }
    }

    fn note(&mut self, at: &TreePath, why: impl std::fmt::Display) {
        let locus = Locus { image: self.image.clone(), path: at.clone() };
        if self.out.notes.len() < 1000 {
            self.out.notes.push(format!("{locus}: {why}"));
        }
    }

    /// The bytes of a document that was not read before.
    fn read(&mut self, path: &TreePath) -> Option<Vec<u8>> {
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

    fn push(&mut self, path: TreePath, doc: BootDoc, base: TreePath, root: bool) -> usize {
        let locus = Locus { image: self.image.clone(), path };
        self.out.docs.push(FoundDoc { locus, doc, firmware: Vec::new(), base, root });
        self.out.docs.len() - 1
    }

    fn syslinux(&mut self, path: TreePath, loader: &TreePath) {
        // CONFIG starts over, so each is a menu of its own; the queue ends because none is read twice.
        let mut queue = vec![path];
        while let Some(path) = queue.pop() {
            let first = self.out.docs.len();
            let mut menu = Vec::new();
            self.include(path, loader, 0, &mut menu, &mut queue);
            if self.out.docs.len() == first {
                continue;
            }
            let base = self.base(first, loader);
            for d in &mut self.out.docs[first..] {
                d.base = base.clone();
            }
            self.out.menus.push(menu);
        }
    }

    /// Where relative paths start: the loader's folder, or, in a tree laid out for TFTP (Debian's
    /// netboot: `kernel debian-installer/amd64/linux`), the folder above it that has the kernels.
    fn base(&self, first: usize, loader: &TreePath) -> TreePath {
        let has_kernel = |base: &TreePath| {
            let docs = self.out.docs[first..].iter();
            docs.flat_map(|d| d.doc.entries(base)).any(|e| match e.payload {
                Payload::Linux { kernel, .. } => self.index.get(self.tree, &kernel).is_some(),
                _ => false,
            })
        };
        upwards(loader).take(MAX_DEPTH).find(has_kernel).unwrap_or_else(|| loader.clone())
    }

    fn include(
        &mut self,
        path: TreePath,
        loader: &TreePath,
        depth: usize,
        menu: &mut Vec<(usize, Range<usize>)>,
        queue: &mut Vec<TreePath>,
    ) {
        if depth > MAX_DEPTH {
            return self.note(&path, format!("includes nested more than {MAX_DEPTH} deep"));
        }
        let Some(bytes) = self.read(&path) else { return };
        let doc = match syslinux::Doc::parse(&bytes) {
            Ok(d) => d,
            Err(e) => return self.note(&path, e),
        };
        let requests = doc.requests().to_vec();
        let count = doc.labels().count();
        let here = path.parent().unwrap_or_default();
        let me = self.push(path.clone(), BootDoc::Syslinux(doc), loader.clone(), depth == 0);
        let mut at = 0;
        for r in requests {
            let Some(found) = self.syslinux_file(&r.path, loader, &here) else {
                self.note(&path, format!("line {}: \"{}\" is not there", r.line, r.path));
                continue;
            };
            match r.kind {
                syslinux::RequestKind::Config => queue.push(found),
                syslinux::RequestKind::Include => {
                    menu.push((me, at..r.after));
                    at = r.after;
                    self.include(found, loader, depth + 1, menu, queue);
                }
            }
        }
        menu.push((me, at..count));
    }

    /// SYSLINUX looks from its current folder, the loader's; a tree for TFTP from its root, which may
    /// be any folder above.
    fn syslinux_file(&self, raw: &str, loader: &TreePath, here: &TreePath) -> Option<TreePath> {
        let folders = [loader.clone(), here.clone()].into_iter();
        let above = upwards(loader).take(MAX_DEPTH);
        folders
            .chain(above)
            .filter_map(|d| paths::from_folder(&d, raw).ok())
            .find_map(|p| self.index.get(self.tree, &p))
    }

    fn grub(&mut self, path: TreePath) {
        let mut queue = vec![(path, true)];
        while let Some((path, root)) = queue.pop() {
            let Some(bytes) = self.read(&path) else { continue };
            let doc = match grub::Doc::parse(&bytes) {
                Ok(d) => d,
                Err(e) => {
                    self.note(&path, e);
                    continue;
                }
            };
            let base = path.parent().unwrap_or_default();
            for r in doc.requests(&base) {
                let found = r.path.and_then(|p| self.index.get(self.tree, &p));
                queue.extend(found.map(|p| (p, false)));
            }
            let count = doc.entries(&base).len();
            let me = self.push(path, BootDoc::Grub(doc), base, root);
            self.out.menus.push(vec![(me, 0..count)]);
        }
    }
}

impl BootDocs {
    /// ISOLINUX is BIOS's; what lies in an EFI folder or a FAT image is UEFI's. GRUB's files in
    /// boot/ serve the firmware that has nothing of its own.
    fn set_firmware(&mut self) {
        use Firmware::{Bios, Uefi};
        let is_efi = |d: &FoundDoc| {
            let first = d.locus.path.parts().next().unwrap_or_default();
            d.locus.image.is_some() || first.eq_ignore_ascii_case(b"efi")
        };
        let is_syslinux = |d: &FoundDoc| matches!(d.doc, BootDoc::Syslinux(_));
        let bios_has_own = self.docs.iter().any(|d| is_syslinux(d) && !is_efi(d));
        // A stub that only hands on to boot/grub is no menu of its own.
        let starts =
            |e: &BootEntry| matches!(e.payload, Payload::Linux { .. } | Payload::Multiboot { .. });
        let has_own = |d: &FoundDoc| is_efi(d) && d.doc.entries(&d.base).iter().any(starts);
        let uefi_has_own = self.docs.iter().any(has_own);
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

    /// All entries, menu by menu as they are shown. `default` is that of the whole menu, also where
    /// the menu is made of several files.
    pub fn entries(&self) -> Vec<FoundEntry> {
        let of_doc: Vec<Vec<BootEntry>> =
            self.docs.iter().map(|d| d.doc.entries(&d.base)).collect();
        let mut out = Vec::new();
        for menu in &self.menus {
            let from = out.len();
            let mut labels = Vec::new();
            let mut choice = syslinux::Choice::default();
            for (n, range) in menu {
                let d = &self.docs[*n];
                for i in range.clone() {
                    let Some(entry) = of_doc[*n].get(i).cloned() else { continue };
                    let firmware = match &d.doc {
                        BootDoc::Grub(g) => narrowed(&d.firmware, g.firmware(&entry.id)),
                        BootDoc::Syslinux(_) => d.firmware.clone(),
                    };
                    out.push(FoundEntry { locus: d.locus.clone(), firmware, entry });
                }
                if let BootDoc::Syslinux(s) = &d.doc {
                    labels.extend(s.labels().skip(range.start).take(range.len()));
                    choice = choice.then(s.choice().clone());
                }
            }
            if !labels.is_empty() {
                let default = choice.pick(labels.iter().copied());
                for (i, e) in out[from..].iter_mut().enumerate() {
                    e.entry.default = default == Some(i);
                }
            }
        }
        out
    }

    /// Distinct kernels with their initial RAM disks that `tree` has: first those with an initrd,
    /// and of them those of default entries, in the order of the menus.
    pub fn kernels(&self, tree: &Tree) -> Vec<KernelPair> {
        let index = Index::of(tree);
        let mut out: Vec<KernelPair> = Vec::new();
        let mut known: HashMap<(TreePath, Vec<TreePath>), usize> = HashMap::new();
        for (n, e) in self.entries().iter().enumerate() {
            let Payload::Linux { kernel, initrds, .. } = &e.entry.payload else { continue };
            let initrds: Option<Vec<_>> = initrds.iter().map(|p| index.get(tree, p)).collect();
            let (Some(kernel), Some(initrds)) = (index.get(tree, kernel), initrds) else {
                continue;
            };
            let default = e.entry.default;
            let at = *known.entry((kernel.clone(), initrds.clone())).or_insert_with(|| {
                out.push(KernelPair { kernel, initrds, entry: n, default });
                out.len() - 1
            });
            if default && !out[at].default {
                (out[at].default, out[at].entry) = (true, n);
            }
        }
        out.sort_by_key(|k| (k.initrds.is_empty(), !k.default));
        out
    }
}

fn narrowed(of_doc: &[Firmware], of_entry: Option<Firmware>) -> Vec<Firmware> {
    of_entry.map_or_else(|| of_doc.to_vec(), |f| vec![f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tree::Node;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let node = |(p, t): &(&str, &str)| (p.parse().expect("path"), Node::file(*t));
        files.iter().map(node).collect()
    }

    fn show(d: &BootDocs) -> Vec<String> {
        let star = |e: &FoundEntry| if e.entry.default { "*" } else { "" };
        let fw =
            |e: &FoundEntry| e.firmware.iter().map(|f| f.to_string()).collect::<Vec<_>>().join(",");
        let line = |e: &FoundEntry| format!("{} {}{} {}", e.locus, e.entry.id, star(e), fw(e));
        d.entries().iter().map(line).collect()
    }

    #[test]
    fn a_menu_of_many_files_has_one_default() {
        let t = tree(&[
            ("ISOLINUX/ISOLINUX.CFG", "include menu.cfg\ndefault vesamenu.c32\n"),
            (
                "ISOLINUX/MENU.CFG",
                "include txt.cfg\nlabel help\nconfig prompt.cfg\ninclude gone.cfg\ninclude menu.cfg\n",
            ),
            (
                "ISOLINUX/TXT.CFG",
                "default install\nlabel x\nmenu default\nkernel /install/vmlinuz\nlabel install\nkernel /install/vmlinuz\nappend initrd=/install/initrd.gz --- quiet\n",
            ),
            ("ISOLINUX/PROMPT.CFG", "include menu.cfg\nlabel last\nkernel k\n"),
            ("INSTALL/VMLINUZ", "k"),
            ("INSTALL/INITRD.GZ", "i"),
            (
                "boot/grub/grub.cfg",
                "menuentry a { linux /install/vmlinuz; initrd /install/initrd.gz }\n",
            ),
        ]);
        let d = find(&t, &[]);
        let want = [
            "iso:/ISOLINUX/TXT.CFG x* bios",
            "iso:/ISOLINUX/TXT.CFG install bios",
            "iso:/ISOLINUX/MENU.CFG help bios",
            "iso:/ISOLINUX/PROMPT.CFG last bios",
            "iso:/boot/grub/grub.cfg 0* uefi",
        ];
        let mut got = show(&d);
        got.sort();
        let mut want: Vec<String> = want.iter().map(|s| s.to_string()).collect();
        want[3] = "iso:/ISOLINUX/PROMPT.CFG last* bios".into();
        want.sort();
        assert_eq!(got, want);
        assert_eq!(d.notes, ["iso:/ISOLINUX/MENU.CFG: line 4: \"gone.cfg\" is not there"]);
        let k = d.kernels(&t);
        assert_eq!(k[0].kernel.to_string(), "INSTALL/VMLINUZ");
        assert_eq!(k[0].initrds[0].to_string(), "INSTALL/INITRD.GZ");
        assert!(k[0].default && k[1].initrds.is_empty());
    }

    #[test]
    fn a_tree_for_tftp_starts_its_paths_higher_up() {
        let t = tree(&[
            ("net/di/boot-screens/syslinux.cfg", "include di/boot-screens/txt.cfg\n"),
            (
                "net/di/boot-screens/txt.cfg",
                "label a\nkernel di/linux\nappend initrd=di/initrd.gz\n",
            ),
            ("net/di/linux", "k"),
            ("net/di/initrd.gz", "i"),
        ]);
        let k = find(&t, &[]).kernels(&t);
        assert_eq!(k[0].kernel.to_string(), "net/di/linux");
    }

    #[test]
    fn fat_images_are_uefi_and_the_rest_is_biosed() {
        let cfg = "menuentry a { linux /v }\n";
        let iso = tree(&[("boot/grub2/grub.cfg", cfg), ("EFI/BOOT/grub.cfg", cfg), ("v", "k")]);
        let fat = tree(&[("EFI/BOOT/GRUB.CFG", cfg), ("EFI/BOOT/BAD/grub.cfg", "}")]);
        let d = find(&iso, &[("images/efiboot.img".into(), &fat)]);
        let want = [
            "iso:/EFI/BOOT/grub.cfg 0* uefi",
            "iso:/boot/grub2/grub.cfg 0* bios",
            "iso:/images/efiboot.img!/EFI/BOOT/GRUB.CFG 0* uefi",
        ];
        assert_eq!(show(&d), want);
        assert_eq!(
            d.notes,
            ["iso:/images/efiboot.img!/EFI/BOOT/BAD/grub.cfg: line 1: } without {"]
        );
        let stub = tree(&[("EFI/BOOT/grub.cfg", "configfile /boot/grub/grub.cfg\n")]);
        let both = tree(&[("boot/grub/grub.cfg", cfg)]);
        let d = find(&both, &[("efi.img".into(), &stub)]);
        assert_eq!(show(&d)[0], "iso:/boot/grub/grub.cfg 0* bios,uefi");
    }

    #[test]
    fn a_chain_of_includes_ends() {
        let files: Vec<(String, String)> = (0..400)
            .map(|i| (format!("isolinux/{i}.cfg"), format!("include {}.cfg\n", (i + 1) % 400)))
            .collect();
        let mut t = tree(&[("isolinux/isolinux.cfg", "include 0.cfg\n")]);
        for (p, s) in files {
            t.insert(p.parse().expect("path"), Node::file(s));
        }
        let d = find(&t, &[]);
        assert!(d.notes.iter().any(|n| n.contains("16 deep")), "{:?}", d.notes);
        assert!(d.docs.len() < 20);
    }
}
