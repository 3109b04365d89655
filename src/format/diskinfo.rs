//! The one-line identities: Debian's `.disk/info`, and Anaconda's `.discinfo`.
//!
//! `.disk/info` is free text by debian-cd and live-build; the shapes read here:
//! ```text
//! Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27
//! Official Debian GNU/Linux Live 12.5.0 standard 2024-02-10T12:45
//! Devuan GNU/Linux 5.0.0 daedalus amd64 - netinstall 2023-08-14
//! ```
//! `.discinfo` (lorax): a time stamp, the release's name, the architecture, one to a line.

use crate::model::arch::Arch;

/// What a `.disk/info` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskInfo {
    /// `Debian GNU/Linux`, `Ubuntu-Server`.
    pub name: String,
    /// `12.5.0`, `testing`.
    pub version: Option<String>,
    /// Lower case: `bookworm`, `jammy jellyfish`.
    pub codename: Option<String>,
    /// Architecture.
    pub arch: Option<Arch>,
    /// `netinst`, `dvd`, `cd`, `live`.
    pub variant: Option<&'static str>,
}

/// Reads a `.disk/info`; `None` where the first line names nothing.
pub fn parse_disk_info(bytes: &[u8]) -> Option<DiskInfo> {
    let line = first_lines(bytes, 1).pop()?;
    let mut rest = line.strip_prefix("Official ").unwrap_or(&line);
    let mut codename = None;
    let mut head = rest;
    if let Some((before, after)) = rest.split_once('"')
        && let Some((quoted, tail)) = after.split_once('"')
    {
        codename = Some(quoted.to_lowercase());
        head = before;
        rest = tail;
    }
    let words: Vec<&str> = head.split_whitespace().collect();
    let at = words.iter().position(|w| is_version(w)).unwrap_or(words.len());
    let mut name_words = words[..at].to_vec();
    let live = line.split_whitespace().any(|w| w.eq_ignore_ascii_case("live"));
    name_words.retain(|w| !w.eq_ignore_ascii_case("live") && *w != "-");
    if name_words.is_empty() {
        return None;
    }
    // Devuan leaves the quotes out: the word behind the version is the code name.
    if codename.is_none() && words.first() == Some(&"Devuan") {
        codename = words
            .get(at + 1)
            .filter(|w| w.chars().all(char::is_alphabetic))
            .map(|w| w.to_lowercase());
    }
    Some(DiskInfo {
        name: name_words.join(" "),
        version: words.get(at).map(|w| (*w).to_owned()),
        codename,
        arch: words.iter().copied().chain(rest.split_whitespace()).find_map(arch_word),
        variant: if live { Some("live") } else { variant(&line) },
    })
}

fn is_version(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || matches!(word, "testing" | "unstable" | "sid")
}

fn arch_word(word: &str) -> Option<Arch> {
    Arch::from_vendor(word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
}

fn variant(line: &str) -> Option<&'static str> {
    let lower = line.to_ascii_lowercase();
    let has = |w: &str| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|x| x == w);
    if has("netinst") || has("netinstall") {
        Some("netinst")
    } else if has("dvd") || has("bd") || has("dlbd") {
        Some("dvd")
    } else if has("cd") {
        Some("cd")
    } else {
        None
    }
}

/// What a `.discinfo` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscInfo {
    /// `AlmaLinux 9.4`.
    pub release: String,
    /// Architecture.
    pub arch: Option<Arch>,
}

/// Reads a `.discinfo`; `None` where it has not the three lines, or only a version for a release
/// (Fedora's own has just `40`).
pub fn parse_discinfo(bytes: &[u8]) -> Option<DiscInfo> {
    let lines = first_lines(bytes, 3);
    let [stamp, release, arch] = &lines[..] else { return None };
    if !stamp.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(DiscInfo { release: release.clone(), arch: Arch::from_vendor(arch) })
}

impl DiscInfo {
    /// Name and version apart: `AlmaLinux` and `9.4`. No name where the line is only a version.
    pub fn name_and_version(&self) -> (Option<&str>, Option<&str>) {
        let (name, last) = self.release.rsplit_once(' ').unwrap_or(("", &self.release));
        match (name, is_version(last)) {
            ("", true) => (None, Some(last)),
            ("", false) => (Some(&self.release), None),
            (n, true) => (Some(n.trim()), Some(last)),
            (_, false) => (Some(&self.release), None),
        }
    }
}

/// The first `n` lines that are not empty, at most 512 bytes each, without control characters.
fn first_lines(bytes: &[u8], n: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    text.lines()
        .map(|l| l.chars().filter(|c| !c.is_control()).take(512).collect::<String>())
        .map(|l| l.trim().to_owned())
        .filter(|l| !l.is_empty())
        .take(n)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_shapes_are_read() {
        for (line, name, version, codename, arch, variant) in [
            (
                "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 NETINST with firmware 20240210-11:27",
                "Debian GNU/Linux",
                "12.5.0",
                Some("bookworm"),
                Some(Arch::X86_64),
                Some("netinst"),
            ),
            (
                "Debian GNU/Linux 11.9.0 \"Bullseye\" - Official arm64 DVD Binary-1 20240210-12:00",
                "Debian GNU/Linux",
                "11.9.0",
                Some("bullseye"),
                Some(Arch::Aarch64),
                Some("dvd"),
            ),
            (
                "Official Debian GNU/Linux Live 12.5.0 standard 2024-02-10T12:45",
                "Debian GNU/Linux",
                "12.5.0",
                None,
                None,
                Some("live"),
            ),
            (
                "Debian GNU/Linux testing \"Trixie\" - Official Snapshot amd64 LIVE Binary 20240101-00:00",
                "Debian GNU/Linux",
                "testing",
                Some("trixie"),
                Some(Arch::X86_64),
                Some("live"),
            ),
            (
                "Devuan GNU/Linux 5.0.0 daedalus amd64 - netinstall 2023-08-14",
                "Devuan GNU/Linux",
                "5.0.0",
                Some("daedalus"),
                Some(Arch::X86_64),
                Some("netinst"),
            ),
            (
                "Ubuntu-Server 22.04.4 LTS \"Jammy Jellyfish\" - Release amd64 (20240216.1)",
                "Ubuntu-Server",
                "22.04.4",
                Some("jammy jellyfish"),
                Some(Arch::X86_64),
                None,
            ),
        ] {
            let d = parse_disk_info(line.as_bytes()).expect(line);
            assert_eq!(
                (&*d.name, d.version.as_deref(), d.codename.as_deref(), d.arch, d.variant),
                (name, Some(version), codename, arch, variant),
                "{line}"
            );
        }
        assert_eq!(parse_disk_info(b"12.5.0"), None);
        assert_eq!(parse_disk_info(b" \n"), None);
    }

    #[test]
    fn discinfo_with_and_without_a_name() {
        let d = parse_discinfo(b"1714.2\nAlmaLinux 9.4\nx86_64\n").expect("reads");
        assert_eq!(d.name_and_version(), (Some("AlmaLinux"), Some("9.4")));
        assert_eq!(d.arch, Some(Arch::X86_64));
        let f = parse_discinfo(b"1714.2\n40\nx86_64\n1\n").expect("reads");
        assert_eq!(f.name_and_version(), (None, Some("40")));
        assert_eq!(parse_discinfo(b"hello\n"), None);
    }
}
