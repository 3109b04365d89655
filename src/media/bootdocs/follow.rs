//! FOLLOWING: SYSLINUX menus through INCLUDE and CONFIG, GRUB's through `source` and `configfile` where
//! the path is known, systemd-boot's over the files of its folders.

use super::find::{Dialect, Finder, MAX_DOCS};
use super::{BootDoc, Part};
use crate::content::path::TreePath;
use crate::format::{bls, grub, paths, syslinux, uki};
use crate::model::boot::{BootEntry, Locus, Payload};

/// SYSLINUX's own limit on nested includes is of this order.
const MAX_DEPTH: usize = 16;

/// `dir` and the folders above it.
fn upwards(dir: &TreePath) -> impl Iterator<Item = TreePath> {
    std::iter::successors(Some(dir.clone()), TreePath::parent)
}

impl Finder<'_> {
    pub(super) fn syslinux(&mut self, path: TreePath, loader: &TreePath) {
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
        menu: &mut Vec<Part>,
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
                    menu.push(Part::Doc(me, at..r.after));
                    at = r.after;
                    self.include(found, loader, depth + 1, menu, queue);
                }
            }
        }
        menu.push(Part::Doc(me, at..count));
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

    pub(super) fn grub(&mut self, path: TreePath) {
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
            self.out.menus.push(vec![Part::Doc(me, 0..count)]);
        }
    }

    /// systemd-boot's menu is its folders: one for the partition's root, and one for `boot` where that
    /// is a folder of the medium.
    pub(super) fn systemd_boot(&mut self, files: Vec<(Dialect, TreePath)>) {
        let top = |p: &TreePath| upwards(p).find(|p| p.parts().count() == 1).unwrap_or_default();
        let below_boot = |p: &TreePath| top(p).as_bytes().eq_ignore_ascii_case(b"boot");
        let (boot, root): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, p)| below_boot(p));
        for files in [root, boot] {
            let first = self.out.docs.len();
            let (mut menu, mut lines) = (Vec::new(), Vec::new());
            let boot = files.first().and_then(|(_, p)| below_boot(p).then(|| top(p)));
            for (dialect, path) in files {
                match dialect {
                    Dialect::Uki => lines.extend(self.uki(&path)),
                    _ => self.bls(path, &mut menu, &mut lines),
                }
            }
            if let Some(boot) = boot {
                self.rebase(first, &boot);
            }
            lines.sort_by(|a, b| a.0.cmp(&b.0));
            menu.extend(lines.into_iter().map(|(_, part)| part));
            if !menu.is_empty() {
                self.out.menus.push(menu);
            }
        }
    }

    fn bls(&mut self, path: TreePath, menu: &mut Vec<Part>, lines: &mut Vec<(bls::Rank, Part)>) {
        let Some(bytes) = self.read(&path) else { return };
        let name = String::from_utf8_lossy(path.name()).into_owned();
        let doc = match bls::Doc::parse(&name, &bytes) {
            Ok(d) => d,
            Err(e) => return self.note(&path, e),
        };
        let rank = doc.rank();
        let count = doc.entries(&TreePath::root()).len();
        let me = self.push(path, BootDoc::Bls(doc), TreePath::root(), count == 0);
        match count {
            0 => menu.push(Part::Doc(me, 0..0)),
            n => lines.push((rank, Part::Doc(me, 0..n))),
        }
    }

    /// Paths start at the root of the file system. Those below `boot` may be written for a partition of
    /// its own, as Fedora's are: that is so where only then a kernel is found.
    fn rebase(&mut self, first: usize, boot: &TreePath) {
        let has_kernel = |base: &TreePath| {
            let entries = self.out.docs[first..].iter().flat_map(|d| d.doc.entries(base));
            entries.into_iter().any(|e| match e.payload {
                Payload::Linux { kernel, .. } => self.index.get(self.tree, &kernel).is_some(),
                _ => false,
            })
        };
        if !has_kernel(&TreePath::root()) && has_kernel(boot) {
            for d in &mut self.out.docs[first..] {
                d.base = boot.clone();
            }
        }
    }

    fn uki(&mut self, path: &TreePath) -> Option<(bls::Rank, Part)> {
        if self.out.images.len() >= MAX_DOCS {
            return None;
        }
        let u = match self.tree.file(path).and_then(uki::Uki::read) {
            Ok(u) => u?,
            Err(e) => {
                self.note(path, e);
                return None;
            }
        };
        let id = String::from_utf8_lossy(path.name()).into_owned();
        let rank = u.rank(&id);
        let kernel = u.kernel.map_or_else(String::new, |k| format!(" (Linux {k})"));
        let what = format!("unified kernel image /{path}{kernel}: {}", u.cmdline);
        let payload = Payload::Chain { what: what.trim_end_matches([':', ' ']).to_owned() };
        let title = if u.title.is_empty() { id.clone() } else { u.title };
        let locus = Locus { image: self.image.clone(), path: path.clone() };
        self.out.images.push((locus, BootEntry { id, title, payload, default: false }));
        Some((rank, Part::Image(self.out.images.len() - 1)))
    }
}
