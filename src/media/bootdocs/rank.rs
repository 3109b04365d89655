//! RANKING: the entries as the menus show them, which of them starts by itself, and the kernels.

use super::find::Index;
use super::{BootDoc, BootDocs, KernelPair, Part};
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::format::{bls, syslinux};
use crate::model::arch::Firmware;
use crate::model::boot::{BootEntry, FoundEntry, Payload};
use std::collections::HashMap;

impl BootDocs {
    /// All entries, menu by menu as they are shown. `default` is that of the whole menu, also where
    /// the menu is made of several files.
    pub fn entries(&self) -> Vec<FoundEntry> {
        let of_doc: Vec<Vec<BootEntry>> =
            self.docs.iter().map(|d| d.doc.entries(&d.base)).collect();
        let mut out = Vec::new();
        for menu in &self.menus {
            let from = out.len();
            for part in menu {
                self.part(part, &of_doc, &mut out);
            }
            self.choose(menu, &mut out[from..]);
        }
        out
    }

    fn part(&self, part: &Part, of_doc: &[Vec<BootEntry>], out: &mut Vec<FoundEntry>) {
        let (n, range) = match part {
            Part::Doc(n, range) => (*n, range.clone()),
            Part::Image(n) => {
                let (locus, entry) = self.images[*n].clone();
                out.push(FoundEntry { locus, firmware: vec![Firmware::Uefi], entry });
                return;
            }
        };
        let d = &self.docs[n];
        for entry in of_doc[n].get(range).unwrap_or_default().iter().cloned() {
            let firmware = match &d.doc {
                BootDoc::Grub(g) => narrowed(&d.firmware, g.firmware(&entry.id)),
                BootDoc::Syslinux(_) | BootDoc::Bls(_) => d.firmware.clone(),
            };
            out.push(FoundEntry { locus: d.locus.clone(), firmware, entry });
        }
    }

    /// Marks the default of a menu that is made of several files. GRUB's are of one, which says it
    /// itself.
    fn choose(&self, menu: &[Part], entries: &mut [FoundEntry]) {
        let mut labels = Vec::new();
        let mut choice = syslinux::Choice::default();
        let mut pattern = None;
        let mut single = false;
        for part in menu {
            let Part::Doc(n, range) = part else {
                single = true;
                continue;
            };
            match &self.docs[*n].doc {
                BootDoc::Syslinux(s) => {
                    labels.extend(s.labels().skip(range.start).take(range.len()));
                    choice = choice.then(s.choice().clone());
                }
                BootDoc::Bls(b) => {
                    single = true;
                    pattern = pattern.or(b.default_pattern());
                }
                BootDoc::Grub(_) => {}
            }
        }
        let default = match single {
            true => pick_single(pattern.as_deref(), entries),
            false if labels.is_empty() => return,
            false => choice.pick(labels.iter().copied()),
        };
        for (i, e) in entries.iter_mut().enumerate() {
            e.entry.default = default == Some(i);
        }
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

/// The entry that `loader.conf` names, else the first. systemd-boot does not show what starts nothing.
fn pick_single(pattern: Option<&str>, entries: &[FoundEntry]) -> Option<usize> {
    let starts = |e: &FoundEntry| !matches!(e.entry.payload, Payload::Opaque { .. });
    let named = |e: &FoundEntry| pattern.is_some_and(|p| bls::matches(p, &e.entry.id));
    let first = || entries.iter().position(starts);
    entries.iter().position(|e| starts(e) && named(e)).or_else(first)
}
