//! What SUSE's media say of themselves: `media.1/products` lists repositories and the products in them,
//! a line each, `FOLDER NAME VERSION-RELEASE` (libzypp). From version 16 on there is no such file.

use super::identity::{Fact, Identity};
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::model::arch::Arch;

/// A repository on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Product<'t> {
    name: &'t str,
    version: &'t str,
}

/// Every line that has the shape, in order.
fn products(text: &str) -> impl Iterator<Item = Product<'_>> {
    text.lines().take(1000).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (folder, name, version) = (words.next()?, words.next()?, words.next()?);
        let version = version.rsplit_once('-').map_or(version, |(v, _)| v);
        let whole = folder.starts_with('/') && words.next().is_none();
        let number = version.starts_with(|c: char| c.is_ascii_digit());
        (whole && number).then_some(Product { name, version })
    })
}

/// Distribution and version. A medium with many products is called by the one that runs on servers.
fn named(text: &str) -> Option<(&'static str, String)> {
    products(text).find_map(|p| {
        let distro = match p.name {
            "openSUSE-Leap" => "openSUSE Leap",
            // A snapshot's date is its version.
            "openSUSE" if p.version.len() == 8 => "openSUSE Tumbleweed",
            "openSUSE" => "openSUSE",
            "SLES" => "SUSE Linux Enterprise Server",
            _ => return None,
        };
        Some((distro, p.version.to_owned()))
    })
}

/// Adds what is there to what is known.
pub(super) fn identify(tree: &Tree, id: &mut Identity) {
    let path = "media.1/products";
    let file = TreePath::new(path).ok().and_then(|p| tree.file_any_case(&p));
    let text = file.and_then(|(_, c)| c.read_all(64 << 10).ok());
    let Some(text) = text.and_then(|b| String::from_utf8(b).ok()) else { return };
    let fact = |value: String| Some(Fact { value, evidence: path.into(), assumed: false });
    if id.distro.is_none()
        && let Some((distro, version)) = named(&text)
    {
        id.distro = fact(distro.to_owned());
        id.version = fact(version);
    }
    let mut installer = None;
    for (p, _) in tree.files() {
        let parts: Vec<&[u8]> = p.parts().collect();
        let [boot, arch, rest @ ..] = &parts[..] else { continue };
        let Some(arch) = std::str::from_utf8(arch).ok().and_then(Arch::from_vendor) else {
            continue;
        };
        if !boot.eq_ignore_ascii_case(b"boot") {
            continue;
        }
        if id.arch.is_none() {
            id.arch = Some(Fact { value: arch, evidence: p.to_string(), assumed: false });
        }
        let root = matches!(rest, [name] if name.eq_ignore_ascii_case(b"root"));
        installer = Some(installer.unwrap_or(false) || root);
    }
    if installer == Some(false) && id.variant.is_none() {
        let evidence = "no installation system in boot".into();
        id.variant = Some(Fact { value: "net".into(), evidence, assumed: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_called_by_its_product() {
        let of = |t: &str| named(t).map(|(d, v)| format!("{d} {v}")).unwrap_or_default();
        assert_eq!(of("/ openSUSE-Leap 15.6-1\n"), "openSUSE Leap 15.6");
        assert_eq!(of("/ openSUSE 20240118-0\n"), "openSUSE Tumbleweed 20240118");
        assert_eq!(of("/ openSUSE 13.2-0\n"), "openSUSE 13.2");
        let full = "/Module-Basesystem Basesystem 15.6-0\n/Product-SLES SLES 15.6-0\n";
        assert_eq!(of(full), "SUSE Linux Enterprise Server 15.6");
        for stranger in ["", "/", "openSUSE-Leap 15.6-1", "/ openSUSE-Leap x", "/ a b 1 2"] {
            assert_eq!(of(stranger), "", "{stranger}");
        }
    }
}
