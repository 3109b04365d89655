//! What makers other than the installers' own put on their media to say what it is.

use super::identity::{Fact, Identity, small_file};
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::model::arch::Arch;

struct Found {
    distro: &'static str,
    version: Option<String>,
    variant: Option<String>,
    /// And where it was read.
    arch: Option<(Arch, String)>,
    evidence: String,
    /// Others build with the same tool and keep the folder's name.
    assumed: bool,
}

impl Found {
    fn new(distro: &'static str, evidence: &str) -> Self {
        let evidence = evidence.to_owned();
        Found { distro, version: None, variant: None, arch: None, evidence, assumed: false }
    }
}

/// Takes what a marker says, where the medium has no statement of a better kind.
pub(super) fn read(tree: &Tree, id: &mut Identity) {
    if id.distro.is_some() {
        return;
    }
    let all = [alpine, arch, system_rescue, nixos, vyos, gentoo, truenas];
    let Some(f) = all.iter().find_map(|marker| marker(tree)) else { return };
    let ev = &f.evidence;
    let mut distro = Fact::read(f.distro.to_owned(), ev);
    if let Some(d) = &mut distro {
        d.assumed = f.assumed;
    }
    id.distro = distro;
    id.version = id.version.take().or(f.version.and_then(|v| Fact::read(v, ev)));
    id.variant = id.variant.take().or(f.variant.and_then(|v| Fact::read(v, ev)));
    id.arch = id.arch.take().or(f.arch.and_then(|(a, ev)| Fact::read(a, ev)));
}

fn has(tree: &Tree, path: &str) -> bool {
    TreePath::new(path).is_ok_and(|p| tree.file_any_case(&p).is_some())
}

/// The first line of a small text file.
fn line(tree: &Tree, path: &str) -> Option<String> {
    let bytes = small_file(tree, path)?;
    let text = String::from_utf8(bytes).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn version_line(tree: &Tree, path: &str) -> Option<String> {
    line(tree, path).filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))
}

/// The one architecture that a folder in `folder` is named for.
fn arch_folder(tree: &Tree, folder: &str) -> Option<(Arch, String)> {
    let path = TreePath::new(folder).ok()?;
    let mut names = tree.below(&path).filter_map(|(p, _)| {
        let name = std::str::from_utf8(p.parts().nth(path.parts().count())?).ok()?;
        Some((Arch::from_vendor(name)?, format!("{folder}/{name}")))
    });
    let first = names.next()?;
    names.all(|(a, _)| a == first.0).then_some(first)
}

/// aports, scripts/mkimg.base.sh: `alpine-standard-3.20.3 240906`.
fn alpine(tree: &Tree) -> Option<Found> {
    let text = line(tree, ".alpine-release")?;
    let name = text.split(' ').next()?.strip_prefix("alpine-")?;
    let (variant, version) = name.split_once('-')?;
    Some(Found {
        version: Some(version.to_owned()),
        variant: Some(variant.to_owned()),
        arch: arch_folder(tree, "apks"),
        ..Found::new("Alpine Linux", ".alpine-release")
    })
}

/// archiso, mkarchiso `_write_version`.
fn arch(tree: &Tree) -> Option<Found> {
    Some(Found {
        version: Some(version_line(tree, "arch/version")?),
        arch: arch_folder(tree, "arch"),
        assumed: true,
        ..Found::new("Arch Linux", "arch/version")
    })
}

fn system_rescue(tree: &Tree) -> Option<Found> {
    Some(Found {
        version: Some(version_line(tree, "sysresccd/VERSION")?),
        arch: arch_folder(tree, "sysresccd"),
        ..Found::new("SystemRescue", "sysresccd/VERSION")
    })
}

/// nixpkgs, nixos/modules/installer/cd-dvd/iso-image.nix.
fn nixos(tree: &Tree) -> Option<Found> {
    let (version, evidence) = match version_line(tree, "version.txt") {
        Some(v) if has(tree, "nix-store.squashfs") => (Some(v), "version.txt"),
        _ if has(tree, "EFI/nixos-installer-image") => (None, "EFI/nixos-installer-image"),
        _ => return None,
    };
    Some(Found { version, ..Found::new("NixOS", evidence) })
}

/// vyos-build, scripts/image-build/build-vyos-image.
fn vyos(tree: &Tree) -> Option<Found> {
    if !has(tree, "live/filesystem.squashfs") {
        return None;
    }
    let json: serde_json::Value =
        serde_json::from_slice(&small_file(tree, "version.json")?).ok()?;
    let text = |key: &str| json.get(key)?.as_str().map(str::to_owned);
    Some(Found {
        version: Some(text("version")?),
        arch: text("architecture")
            .and_then(|a| Some((Arch::from_vendor(&a)?, "version.json".to_owned()))),
        ..Found::new("VyOS", "version.json")
    })
}

/// catalyst, targets/livecd-stage2.
fn gentoo(tree: &Tree) -> Option<Found> {
    let there = has(tree, "boot/gentoo") && has(tree, "image.squashfs");
    there.then(|| Found::new("Gentoo", "boot/gentoo"))
}

/// truenas/scale-build, scale_build/iso.py.
fn truenas(tree: &Tree) -> Option<Found> {
    let update = "TrueNAS-SCALE.update";
    let there = has(tree, update) && has(tree, "live/filesystem.squashfs");
    there.then(|| Found::new("TrueNAS SCALE", update))
}
