//! What media say of themselves that carry one system's image and no packages: CoreOS, Proxmox,
//! Harvester, Flatcar. Talos' say nothing but their label.

use super::identity::{Fact, Identity};
use crate::content::path::TreePath;
use crate::content::tree::Tree;

/// Bytes of a statement that are read; `kargs.json` has some hundred.
const MAX_TEXT: u64 = 64 << 10;
/// The area for an Ignition configuration is 256 KiB; what is larger is none of the empty ones.
const MAX_AREA: u64 = 1 << 20;

/// Fills in what is there.
pub(super) fn identify(tree: &Tree, id: &mut Identity) {
    coreos(tree, id);
    proxmox(tree, id);
    harvester(tree, id);
    if has(tree, "flatcar/vmlinuz") {
        id.distro = read("Flatcar Container Linux", "flatcar/vmlinuz");
    }
}

fn read(value: impl Into<String>, evidence: impl Into<String>) -> Option<Fact<String>> {
    Some(Fact { value: value.into(), evidence: evidence.into(), assumed: false })
}

fn has(tree: &Tree, path: &str) -> bool {
    TreePath::new(path).is_ok_and(|p| tree.file_any_case(&p).is_some())
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    let (_, content) = tree.file_any_case(&TreePath::new(path).ok()?)?;
    String::from_utf8(content.read_all(MAX_TEXT).ok()?).ok()
}

/// The names of CoreOS streams as their labels have them.
const COREOS: [(&str, &str); 3] = [
    ("fedora-coreos-", "Fedora CoreOS"),
    ("rhcos-", "Red Hat Enterprise Linux CoreOS"),
    ("scos-", "CentOS Stream CoreOS"),
];

/// What the medium's own kernel arguments look for (`coreos.liveiso=`) names system and version; older
/// media have no such list, and the label says the same.
fn coreos(tree: &Tree, id: &mut Identity) {
    if !has(tree, "images/pxeboot/rootfs.img") {
        return;
    }
    let kargs = "coreos/kargs.json";
    let stated = text(tree, kargs).and_then(|t| {
        let all: serde_json::Value = serde_json::from_str(&t).ok()?;
        let words = all.get("default")?.as_str()?.to_owned();
        let word = words.split_whitespace().find_map(|w| w.strip_prefix("coreos.liveiso="))?;
        Some((word.to_owned(), format!("{kargs} coreos.liveiso"), false))
    });
    let label = || (id.volume_id.clone(), format!("volume id \"{}\"", id.volume_id), true);
    let (name, evidence, assumed) = stated.unwrap_or_else(label);
    let Some((rest, distro)) =
        COREOS.iter().find_map(|(prefix, distro)| Some((name.strip_prefix(prefix)?, *distro)))
    else {
        return;
    };
    let fact = |value: String| Some(Fact { value, evidence: evidence.clone(), assumed });
    id.version = fact(if distro == "Fedora CoreOS" { rest.into() } else { openshift(rest) });
    id.distro = match embedded(tree) {
        Some(path) => read("Customized CoreOS", format!("a configuration in {path}")),
        None => fact(distro.to_owned()),
    };
}

/// `4.16` of `416.94.202404301731-0`; `9.6` of `9.6.20250523-0`, as RHCOS counts since OpenShift 4.19.
fn openshift(build: &str) -> String {
    let mut parts = build.split('.');
    let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match first.strip_prefix('4').filter(|minor| !minor.is_empty()) {
        Some(minor) if first.len() <= 4 => format!("4.{minor}"),
        _ if second.is_empty() => first.to_owned(),
        _ => format!("{first}.{second}"),
    }
}

/// The area for an Ignition configuration, where one is in it: it is all zeros on the vendor's media.
fn embedded(tree: &Tree) -> Option<&'static str> {
    let path = "images/ignition.img";
    let (_, content) = tree.file_any_case(&TreePath::new(path).ok()?)?;
    let empty = content.read_all(MAX_AREA).is_ok_and(|bytes| bytes.iter().all(|b| *b == 0));
    (!empty).then_some(path)
}

/// `.cd-info` is shell: `PRODUCTLONG='Proxmox VE'`, `RELEASE='8.2'`, `ISORELEASE='1'`.
fn proxmox(tree: &Tree, id: &mut Identity) {
    for path in [".cd-info", ".disk/info"] {
        let Some(info) = text(tree, path) else { continue };
        let value = |key: &str| {
            info.lines().find_map(|l| {
                let (k, v) = l.split_once('=')?;
                (k == key).then(|| v.trim().trim_matches(['\'', '"']).to_owned())
            })
        };
        let (Some(product), Some(release)) = (value("PRODUCTLONG"), value("RELEASE")) else {
            continue;
        };
        if !product.starts_with("Proxmox") {
            continue;
        }
        id.distro = read(product, format!("{path} PRODUCTLONG"));
        id.version = read(
            match value("ISORELEASE") {
                Some(respin) => format!("{release}-{respin}"),
                None => release,
            },
            format!("{path} RELEASE"),
        );
        return;
    }
}

/// Its label, `COS_LIVE`, is every cOS medium's; the version stands in a file that its menu reads.
fn harvester(tree: &Tree, id: &mut Identity) {
    let path = "boot/grub2/harvester.cfg";
    let Some(cfg) = text(tree, path) else { return };
    id.distro = read("Harvester", path);
    let version = cfg.lines().find_map(|l| {
        let v = l.trim().strip_prefix("set harvester_version=")?;
        Some(v.trim_matches(['\'', '"']).trim_start_matches('v').to_owned())
    });
    id.version = version.filter(|v| !v.is_empty()).and_then(|v| read(v, path));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::tree::Node;

    fn known(volume_id: &str, files: &[(&str, &str)]) -> String {
        let tree: Tree = files
            .iter()
            .map(|(p, t)| (p.parse().expect("path"), Node::file(t.as_bytes().to_vec())))
            .collect();
        let mut id = Identity { volume_id: volume_id.into(), ..Identity::default() };
        identify(&tree, &mut id);
        let word = |f: &Option<Fact<String>>| f.as_ref().map_or("?".into(), |f| f.value.clone());
        format!("{} {}", word(&id.distro), word(&id.version))
    }

    #[test]
    fn rhcos_counts_as_openshift_does_and_later_as_rhel() {
        for (build, version) in [
            ("48.84.202109241901-0", "4.8"),
            ("416.94.202404301731-0", "4.16"),
            ("9.6.20250523-0", "9.6"),
            ("4", "4"),
            ("", ""),
        ] {
            assert_eq!(openshift(build), version, "{build}");
        }
    }

    #[test]
    fn a_configuration_on_the_medium_makes_it_another() {
        let root = ("images/pxeboot/rootfs.img", "x");
        let label = "rhcos-416.94.202404301731-0";
        assert_eq!(
            known(label, &[root, ("images/ignition.img", "\0\0\0")]),
            "Red Hat Enterprise Linux CoreOS 4.16"
        );
        let full = [root, ("images/ignition.img", "\x1f\u{8b}")];
        assert_eq!(known(label, &full), "Customized CoreOS 4.16");
        assert_eq!(known("nobody", &full), "? ?");
    }

    #[test]
    fn statements_and_labels_are_read_and_strangers_are_not() {
        let cd =
            "PRODUCT='pbs'\nPRODUCTLONG='Proxmox Backup Server'\nRELEASE='3.2'\nISORELEASE='1'\n";
        assert_eq!(known("PBS", &[(".cd-info", cd)]), "Proxmox Backup Server 3.2-1");
        assert_eq!(known("X", &[(".cd-info", "PRODUCTLONG='X'\nRELEASE='1'\n")]), "? ?");
        let cfg = "set harvester_version=\"v1.3.1\"\n";
        assert_eq!(known("COS_LIVE", &[("boot/grub2/harvester.cfg", cfg)]), "Harvester 1.3.1");
    }
}
