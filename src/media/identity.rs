//! What a medium is, from facts, each with its evidence: its own statements first (`.treeinfo`,
//! `.disk/info`, `.discinfo`), then the names of its release packages, its labels last, for those
//! are edited freely and shared between variants (every Rocky medium's ends in `-dvd`).

use super::appliance;
use super::labels::{self, Labels, Reading};

use super::{markers, suse};
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::format::diskinfo::{parse_discinfo, parse_disk_info};
use crate::format::treeinfo::TreeInfo;
use crate::model::arch::Arch;
use serde::{Deserialize, Serialize};

/// A value and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Where it was read: `.treeinfo [release] version`.
    pub evidence: String,
    /// True where it was concluded from something weak (a label), not read from a statement.
    pub assumed: bool,
}

impl<T> Fact<T> {
    pub(super) fn read(value: T, evidence: impl Into<String>) -> Option<Self> {
        Some(Fact { value, evidence: evidence.into(), assumed: false })
    }

    fn assumed(value: T, evidence: impl Into<String>) -> Option<Self> {
        Some(Fact { value, evidence: evidence.into(), assumed: true })
    }
}

/// The text fields of the primary volume descriptor, trimmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeLabels {
    /// Volume identifier.
    pub volume_id: String,
    /// System identifier.
    pub system_id: String,
    /// Publisher identifier.
    pub publisher: String,
    /// Data preparer identifier.
    pub preparer: String,
    /// Application identifier.
    pub application: String,
}

/// What a medium is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Distribution as the medium names it: `AlmaLinux`, `Debian GNU/Linux`.
    pub distro: Option<Fact<String>>,
    /// Version as the medium says it: `9.4`.
    pub version: Option<Fact<String>>,
    /// Release code name, lower case.
    pub codename: Option<Fact<String>>,
    /// Variant: `dvd`, `minimal`, `boot`, `netinst`, `live`.
    pub variant: Option<Fact<String>>,
    /// Architecture.
    pub arch: Option<Fact<Arch>>,
    /// Volume id.
    pub volume_id: String,
    /// What the labels say by themselves; none where they have no known shape.
    #[serde(default)]
    pub label: Option<Reading>,
}

impl Identity {
    /// Major version: `9` of `9.4`.
    pub fn major(&self) -> Option<u32> {
        let v = &self.version.as_ref()?.value;
        v[..v.find(|c: char| !c.is_ascii_digit()).unwrap_or(v.len())].parse().ok()
    }
}

/// Finds out what a medium is. Never fails: what can't be read stays unknown. `labels`: the shapes
/// of labels that are known.
pub fn identify(tree: &Tree, volume: &VolumeLabels, labels: &Labels) -> Identity {
    let mut id = Identity {
        volume_id: volume.volume_id.clone(),
        label: labels.read(volume).ok(),
        ..Identity::default()
    };
    appliance::identify(tree, &mut id);
    from_treeinfo(tree, &mut id);
    markers::read(tree, &mut id);
    from_disk_info(tree, &mut id);
    from_discinfo(tree, &mut id);
    suse::identify(tree, &mut id);
    from_release_package(tree, &mut id);
    from_label(&mut id);
    from_layout(tree, &mut id);
    id
}

/// The bytes of a file that only says what the medium is.
pub(super) fn small_file(tree: &Tree, path: &str) -> Option<Vec<u8>> {
    let (_, content) = tree.file_any_case(&TreePath::new(path).ok()?)?;
    content.read_all(256 << 10).ok()
}

fn from_treeinfo(tree: &Tree, id: &mut Identity) {
    let Some((name, bytes)) =
        [".treeinfo", "treeinfo"].into_iter().find_map(|n| small_file(tree, n).map(|b| (n, b)))
    else {
        return;
    };
    let Ok(info) = TreeInfo::parse(&bytes) else { return };
    if let Some((v, key)) = info.family() {
        id.distro = Fact::read(v.to_owned(), format!("{name} {key}"));
    }
    if let Some((v, key)) = info.version() {
        id.version = Fact::read(v.to_owned(), format!("{name} {key}"));
    }
    if let Some((v, key)) = info.arch()
        && let Some(arch) = Arch::from_vendor(v)
    {
        id.arch = Fact::read(arch, format!("{name} {key}"));
    }
}

fn from_disk_info(tree: &Tree, id: &mut Identity) {
    let Some(info) = small_file(tree, ".disk/info").as_deref().and_then(parse_disk_info) else {
        return;
    };
    let ev = ".disk/info";
    if id.distro.is_some() {
        return;
    }
    id.distro = Fact::read(info.name, ev);
    id.version = info.version.and_then(|v| Fact::read(v, ev));
    // Of "noble numbat" the first word is what archives call it.
    id.codename =
        info.codename.and_then(|v| Fact::read(v.split_whitespace().next()?.to_owned(), ev));
    id.arch = info.arch.and_then(|v| Fact::read(v, ev));
    id.variant = info.variant.and_then(|v| Fact::read(v.to_owned(), ev));
}

fn from_discinfo(tree: &Tree, id: &mut Identity) {
    let Some(info) = small_file(tree, ".discinfo").as_deref().and_then(parse_discinfo) else {
        return;
    };
    let ev = ".discinfo";
    let (name, version) = info.name_and_version();
    if id.distro.is_none() {
        id.distro = name.and_then(|n| Fact::read(n.to_owned(), ev));
    }
    if let Some(v) = version {
        more_precise(&mut id.version, v, ev);
    }
    if id.arch.is_none() {
        id.arch = info.arch.and_then(|a| Fact::read(a, ev));
    }
}

/// Takes `new` where nothing is known, or where it only adds to what is known (`9` becomes `9.4`).
fn more_precise(known: &mut Option<Fact<String>>, new: &str, evidence: &str) {
    let adds = match known {
        None => true,
        Some(f) => new.strip_prefix(&f.value).is_some_and(|rest| rest.starts_with('.')),
    };
    if adds {
        *known = Fact::read(new.to_owned(), evidence);
    }
}

/// Release packages, and whose they are. The rebuilds of Red Hat's carry a `redhat-release` of their
/// own, so that one is asked last.
const RELEASE_PACKAGES: [(&str, &str); 8] = [
    ("oraclelinux-release-", "Oracle Linux"),
    ("almalinux-release-", "AlmaLinux"),
    ("rocky-release-", "Rocky Linux"),
    ("centos-stream-release-", "CentOS Stream"),
    ("centos-linux-release-", "CentOS Linux"),
    ("centos-release-", "CentOS"),
    ("fedora-release-common-", "Fedora"),
    ("redhat-release-", "Red Hat Enterprise Linux"),
];

fn from_release_package(tree: &Tree, id: &mut Identity) {
    // Only EL-like media need it; Debian's have thousands of packages and no such name.
    let mut best: Option<(usize, String, String)> = None;
    for (path, _) in tree.files() {
        let Some(file) = std::str::from_utf8(path.name()).ok().filter(|f| f.ends_with(".rpm"))
        else {
            continue;
        };
        for (rank, (prefix, _)) in RELEASE_PACKAGES.iter().enumerate() {
            let Some(rest) = file.strip_prefix(prefix) else { continue };
            let rest = rest.strip_prefix("server-").unwrap_or(rest);
            let version = &rest[..rest.find('-').unwrap_or(0)];
            if version.starts_with(|c: char| c.is_ascii_digit())
                && best.as_ref().is_none_or(|(r, _, _)| rank < *r)
            {
                best = Some((rank, version.to_owned(), path.to_string()));
            }
        }
    }
    let Some((rank, version, path)) = best else { return };
    let name = RELEASE_PACKAGES[rank].1;
    // "CentOS" is what both CentOS Linux and CentOS Stream call themselves in some .treeinfo.
    let vague = id.distro.as_ref().is_none_or(|d| d.value == "CentOS");
    if vague {
        id.distro = Fact::read(name.to_owned(), path.clone());
    }
    // CentOS Stream has no minor versions; its package's "9.0" is a counter.
    if name != "CentOS Stream" || id.version.is_none() {
        more_precise(&mut id.version, &version, &path);
    }
}

fn from_label(id: &mut Identity) {
    let Some(label) = id.label.clone() else { return };
    let ev = label.evidence.join(", ");
    match &id.distro {
        None => id.distro = Fact::assumed(label.distro.clone(), &ev),
        Some(d) if d.value == "CentOS" && label.distro == "CentOS Stream" => {
            id.distro = Fact::assumed(label.distro.clone(), &ev);
        }
        // A label that contradicts the medium's own statement says nothing about the rest either.
        Some(d) if !labels::same_distro(&d.value, &label.distro) => return,
        Some(_) => {}
    }
    if let Some(v) = label.version {
        let finer = id
            .version
            .as_ref()
            .is_none_or(|f| v.strip_prefix(&f.value).is_some_and(|rest| rest.starts_with('.')));
        if finer {
            id.version = Fact::assumed(v, &ev);
        }
    }
    if id.arch.is_none() {
        let arch = label.arch.as_deref().and_then(Arch::from_vendor);
        id.arch = arch.and_then(|a| Fact::assumed(a, &ev));
    }
    if id.variant.is_none() {
        id.variant = label.variant.and_then(|v| Fact::assumed(v, &ev));
    }
}

/// What the folders say: code name from `dists/`, variant from what packages are there.
fn from_layout(tree: &Tree, id: &mut Identity) {
    let has = |p: &str| TreePath::new(p).is_ok_and(|p| tree.file_any_case(&p).is_some());
    if id.codename.is_none() {
        id.codename = suite(tree);
    }
    if id.arch.is_none() {
        id.arch = from_loader(tree);
    }
    if id.variant.is_some() {
        return;
    }
    let stage2 = ["images/install.img", "LiveOS/squashfs.img"].into_iter().find(|p| has(p));
    id.variant = if has("Minimal/repodata/repomd.xml") {
        Fact::read("minimal".to_owned(), "Minimal/repodata")
    } else if has("BaseOS/repodata/repomd.xml") {
        Fact::read("dvd".to_owned(), "BaseOS/repodata")
    } else if has("repodata/repomd.xml") {
        Fact::read("dvd".to_owned(), "repodata")
    } else if let Some(path) = stage2.filter(|_| has(".treeinfo") || has("images/install.img")) {
        Fact::read("boot".to_owned(), format!("{path}, and no repodata"))
    } else if has("live/filesystem.squashfs") || stage2.is_some() {
        Fact::read("live".to_owned(), "a live system's squashfs")
    } else if has("casper/vmlinuz") {
        Fact::read("live".to_owned(), "casper/vmlinuz")
    } else {
        None
    };
}

/// The architecture that UEFI's loader is named for, where there is but one.
fn from_loader(tree: &Tree) -> Option<Fact<Arch>> {
    let names = [("X64", Arch::X86_64), ("AA64", Arch::Aarch64), ("RISCV64", Arch::Riscv64)];
    let path = |name: &str| format!("EFI/BOOT/BOOT{name}.EFI");
    let there =
        |name: &str| TreePath::new(path(name)).is_ok_and(|p| tree.file_any_case(&p).is_some());
    let mut found = names.into_iter().filter(|(name, _)| there(name));
    let (name, arch) = found.next()?;
    // i386 media bring the 64-bit loader too.
    if found.next().is_some() || there("IA32") {
        return None;
    }
    Fact::read(arch, path(name))
}

/// The folder in `dists/` that is no alias (`stable`, `testing`).
fn suite(tree: &Tree) -> Option<Fact<String>> {
    let dists = TreePath::new("dists").ok()?;
    let mut names = tree.below(&dists).filter_map(|(p, _)| {
        let name = p.parts().nth(1)?;
        std::str::from_utf8(name).ok().map(str::to_lowercase)
    });
    let alias = ["stable", "testing", "unstable", "oldstable", "frozen"];
    let found = names.find(|n| !alias.contains(&n.as_str()))?;
    Fact::read(found.clone(), format!("dists/{found}"))
}
