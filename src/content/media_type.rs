//! A file's media type, by its name. Who boots over HTTP goes by it: UEFI wants `application/efi` of a
//! loader (UEFI 2.10, 24.7.2) and knows an ISO by a type of its own; object stores keep what they are told.

/// For bytes that are nothing in particular.
pub const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// Ends of names, and what they mean. In the order of the types.
const TYPES: &[(&[&str], &str)] = &[
    (&["efi"], "application/efi"),
    (&["iso"], "application/vnd.efi-iso"),
    (&["json", "ign"], "application/json"),
    (&["xml"], "application/xml"),
    (&["html", "htm"], "text/html; charset=utf-8"),
    (
        &["ipxe", "cfg", "conf", "txt", "toml", "yaml", "yml", "ks", "seed", "sh", "list", "repo"],
        TEXT,
    ),
    (&["gz", "tgz"], "application/gzip"),
    (&["xz"], "application/x-xz"),
    (&["zst"], "application/zstd"),
    (&["tar"], "application/x-tar"),
    (&["rpm"], "application/x-rpm"),
    (&["deb", "udeb"], "application/vnd.debian.binary-package"),
];

/// Whole names that have no telling end.
const NAMES: &[&str] = &[
    ".treeinfo",
    ".discinfo",
    "SHA256SUMS",
    "MD5SUMS",
    "Release",
    "Packages",
    "user-data",
    "meta-data",
];

/// The type of a file of this name, folders left out or not.
pub fn of(name: &[u8]) -> &'static str {
    let last = name.rsplit(|&b| b == b'/').next().unwrap_or(b"");
    if NAMES.iter().any(|n| n.as_bytes() == last) {
        return TEXT;
    }
    let Some(dot) = last.iter().rposition(|&b| b == b'.') else { return BYTES };
    let end = &last[dot + 1..];
    let is = |e: &&str| e.as_bytes().eq_ignore_ascii_case(end);
    TYPES.iter().find(|(ends, _)| ends.iter().any(is)).map_or(BYTES, |(_, t)| t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_tell_whatever_their_case() {
        for (name, want) in [
            ("EFI/BOOT/BOOTX64.EFI", "application/efi"),
            ("boot.ipxe", TEXT),
            ("a.iso", "application/vnd.efi-iso"),
            ("initrd.img", BYTES),
            ("vmlinuz", BYTES),
            ("repo/.treeinfo", TEXT),
            ("config.ign", "application/json"),
            ("iso", BYTES),
            ("", BYTES),
        ] {
            assert_eq!(of(name.as_bytes()), want, "{name}");
        }
    }
}
