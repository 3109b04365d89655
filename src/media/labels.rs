//! Volume ids, the weakest evidence: only used where a medium says nothing about itself, or to add
//! a minor version. A label that fits no vendor's pattern exactly says nothing: better unknown than
//! a wrong vendor.

use crate::model::arch::Arch;
use regex::Regex;
use std::sync::LazyLock;

/// What a volume id says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Distribution.
    pub distro: &'static str,
    /// `9.4`, `40`, `12.5.0`.
    pub version: Option<String>,
    /// Architecture.
    pub arch: Option<Arch>,
    /// True for a live system's.
    pub live: bool,
}

const ARCH: &str = "(?<arch>x86_64|aarch64|ppc64le|ppc64|s390x|i[3-6]86|amd64|arm64|ppc64el)";

/// Vendor, and the shape of its volume ids. `%V` stands for a version with dots or hyphens, `%A`
/// for an architecture.
const SHAPES: [(&str, &str); 17] = [
    ("AlmaLinux", r"^AlmaLinux-(%V)-%A(-(dvd|minimal|boot))?$"),
    ("AlmaLinux", r"^AlmaLinux-(%V)-%A-(?<live>Live)\b.*$"),
    ("AlmaLinux Kitten", r"^AlmaLinux-Kitten-(%V)-%A(-\w+)?$"),
    ("Rocky Linux", r"^Rocky-(%V)-%A-dvd\d?$"),
    ("Red Hat Enterprise Linux", r"^RHEL-(%V)-BaseOS-%A$"),
    ("Red Hat Enterprise Linux", r"^RHEL-(%V) (Server|ComputeNode|Client|Workstation)\.%A$"),
    ("CentOS Stream", r"^CentOS-Stream-(%V)-(BaseOS-)?%A(-dvd)?$"),
    ("CentOS Stream", r"^CentOS[-_]Stream[-_]BaseOS[-_]%A$"),
    ("CentOS Linux", r"^CentOS[-_](%V)[-_](BaseOS[-_])?%A([-_]dvd)?$"),
    ("CentOS", r"^CentOS (%V) %A$"),
    ("Oracle Linux", r"^OL-(%V)(-BaseOS-|-| Server\.)%A$"),
    ("Fedora", r"^Fedora-(S|E|WS)-(dvd|netinst|ostree)-%A-(%V)$"),
    ("Fedora", r"^Fedora-(S|E|WS|C)-(%V)-%A$"),
    ("Fedora", r"^Fedora-([\w-]*-)??(?<live>Live)-(\w+-)??(%A-)?(%V)([-_.].*)?$"),
    ("Debian GNU/Linux", r"^Debian (%V|testing) (%A|\w+) (n|\d+)$"),
    ("Debian GNU/Linux", r"^(?<live>d-live) (%V) .*?\b%A$"),
    ("Devuan GNU/Linux", r"^(?i:devuan)[ _-](\w+[ _-])?(%V)[ _-]%A.*$"),
];

static COMPILED: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    SHAPES
        .iter()
        .filter_map(|(distro, shape)| {
            let re = shape.replace("%A", ARCH).replace("%V", r"(?<v>\d+([._-]\d+)*)");
            Some((*distro, Regex::new(&re).ok()?))
        })
        .collect()
});

/// Reads a volume id.
pub fn read(volume_id: &str) -> Option<Label> {
    let id = volume_id.trim();
    let (distro, found) = COMPILED.iter().find_map(|(d, re)| Some((*d, re.captures(id)?)))?;
    let version = found.name("v").map(|v| {
        // RHEL-8-7-0 and Rocky-9-4: hyphens for dots; a number too many is the respin's.
        let parts: Vec<&str> = v.as_str().split(['.', '-', '_']).collect();
        let keep = match distro {
            "Fedora" => 1,
            "Debian GNU/Linux" | "Devuan GNU/Linux" => 3,
            _ => 2,
        };
        parts[..parts.len().min(keep)].join(".")
    });
    Some(Label {
        distro,
        version,
        arch: found.name("arch").and_then(|a| Arch::from_vendor(a.as_str())),
        live: found.name("live").is_some(),
    })
}

/// True where both name the same distribution: the first words agree (`Oracle Linux Server`,
/// `Oracle Linux`).
pub fn same_distro(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.to_ascii_lowercase().starts_with(&short.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_compiles() {
        assert_eq!(COMPILED.len(), SHAPES.len());
    }

    #[test]
    fn known_labels_are_read_and_strangers_are_not() {
        for (id, distro, version) in [
            ("AlmaLinux-9-4-x86_64-dvd", "AlmaLinux", "9.4"),
            ("AlmaLinux-Kitten-10-x86_64", "AlmaLinux Kitten", "10"),
            ("Rocky-9-4-x86_64-dvd", "Rocky Linux", "9.4"),
            ("RHEL-8-7-0-BaseOS-x86_64", "Red Hat Enterprise Linux", "8.7"),
            ("RHEL-7.9 Server.x86_64", "Red Hat Enterprise Linux", "7.9"),
            ("CentOS-Stream-9-BaseOS-x86_64", "CentOS Stream", "9"),
            ("CentOS-8-5-2111-x86_64-dvd", "CentOS Linux", "8.5"),
            ("CentOS 7 x86_64", "CentOS", "7"),
            ("OL-8-5-0-BaseOS-x86_64", "Oracle Linux", "8.5"),
            ("OL-7.9 Server.x86_64", "Oracle Linux", "7.9"),
            ("Fedora-S-dvd-x86_64-40", "Fedora", "40"),
            ("Fedora-Live-WS-x86_64-22-3", "Fedora", "22"),
            ("AlmaLinux-9_5-x86_64-Live-MATE", "AlmaLinux", "9.5"),
            ("CentOS_8_2_2004_ppc64le_dvd", "CentOS Linux", "8.2"),
            ("Debian 12.5.0 amd64 n", "Debian GNU/Linux", "12.5.0"),
        ] {
            let l = read(id).expect(id);
            assert_eq!((l.distro, l.version.as_deref()), (distro, Some(version)), "{id}");
            assert!(l.arch.is_some(), "{id}");
        }
        for stranger in ["", "EuroLinux-9-x86_64-dvd", "RHEL Atomic Host 7 x86_64", "ISOIMAGE"] {
            assert_eq!(read(stranger), None, "{stranger}");
        }
    }
}
