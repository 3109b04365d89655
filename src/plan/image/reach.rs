//! What an edit of the menus does not reach: a firmware that boots past them, and a default that is not
//! the installer.

use super::super::{Inputs, printable};
use super::menus::Menu;
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::{Error, Result};
use crate::family::draft::Draft;
use crate::format::uki::Uki;
use crate::media::Media;
use crate::model::arch::Firmware;
use crate::model::boot::Locus;

/// Refuses a medium that UEFI boots by a unified kernel image and nothing else: kernel, initrd and
/// arguments are one file there, and mostly a signed one.
pub(super) fn unified(inputs: &Inputs, menus: &[Menu]) -> Result<()> {
    let Inputs { media, docs, .. } = inputs;
    let refused = |at: &Locus| {
        Err(Error::unsupported(
            "UEFI boots this unified kernel image, whose arguments can't be edited",
        )
        .path(at)
        .hint("boot its kernel from the network instead: isowright build"))
    };
    // What firmware starts by itself comes before all menus.
    if let Some(at) = removable(media) {
        return refused(&at);
    }
    let edited = menus.iter().filter(|m| !m.entries.is_empty());
    let for_uefi =
        |m: &Menu| docs.get(&m.locus).is_some_and(|d| d.firmware.contains(&Firmware::Uefi));
    match docs.unified().next() {
        Some(at) if !edited.into_iter().any(for_uefi) => refused(at),
        _ => Ok(()),
    }
}

/// A unified kernel image under the name that UEFI looks for on removable media (UEFI 2.10, 3.5.1.1).
fn removable(media: &Media) -> Option<Locus> {
    let trees = std::iter::once((None, &media.tree))
        .chain(media.fat_images.iter().map(|f| (Some(&f.name), &f.tree)));
    trees.into_iter().find_map(|(image, tree)| {
        let path = in_efi_boot(tree)?;
        Some(Locus { image: image.cloned(), path })
    })
}

fn in_efi_boot(tree: &Tree) -> Option<TreePath> {
    let is_unified = |c: &crate::content::Content| Uki::read(c).is_ok_and(|u| u.is_some());
    ["x64", "aa64", "ia32", "riscv64"].iter().find_map(|arch| {
        let path = format!("EFI/BOOT/BOOT{arch}.EFI").parse().ok()?;
        let (path, content) = tree.file_any_case(&path)?;
        is_unified(content).then(|| path.clone())
    })
}

/// Tells where a menu's own default is not what was edited: the vendor's starts the local disk.
pub(super) fn defaults(inputs: &Inputs, menus: &[Menu], unattended: bool, draft: &mut Draft) {
    let edited = |at: &Locus, id: &str| {
        menus.iter().any(|m| m.locus == *at && m.entries.iter().any(|e| e.id == id))
    };
    for e in inputs.docs.entries() {
        if !e.entry.default || edited(&e.locus, &e.entry.id) {
            continue;
        }
        let text = format!(
            "{}: left alone, the menu starts \"{}\", which is not the installer: choose an entry by hand.",
            e.locus,
            printable(&e.entry.title)
        );
        match unattended {
            true => draft.warn(text),
            false => draft.note(text),
        }
    }
}
