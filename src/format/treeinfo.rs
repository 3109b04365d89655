//! `.treeinfo`: what an Anaconda tree says about itself.
//!
//! Follows productmd's description of treeinfo 1.x (<https://productmd.readthedocs.io/>), and the
//! older `[general]`-only form of EL7. Read like Python's configparser: `key = value` or
//! `key: value`, `;` and `#` start a comment line, keys in any case. Not supported: continuation
//! lines, interpolation (no vendor uses them); such a line is left out.

use crate::error::{Error, Result};

/// No vendor's file is a tenth of this.
const LIMIT: usize = 256 << 10;

/// A `.treeinfo`, sections and keys in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeInfo {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl TreeInfo {
    /// Reads the text.
    ///
    /// # Errors
    /// `Unsupported` where it is longer than any such file, `Corrupt` where it has no section.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LIMIT {
            return Err(Error::unsupported(format!(".treeinfo of {} bytes", bytes.len())));
        }
        let text = String::from_utf8_lossy(bytes);
        let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                sections.push((name.trim().to_owned(), Vec::new()));
            } else if let (Some(at), Some((_, keys))) = (line.find(['=', ':']), sections.last_mut())
            {
                keys.push((line[..at].trim().to_owned(), line[at + 1..].trim().to_owned()));
            }
        }
        if sections.is_empty() {
            return Err(Error::corrupt("no [section] in it", 0));
        }
        Ok(TreeInfo { sections })
    }

    /// The value of `key` in `section`, where it is there and not empty.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.sections
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(section))
            .flat_map(|(_, keys)| keys)
            .find(|(k, v)| k.eq_ignore_ascii_case(key) && !v.is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Names of the sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|(name, _)| name.as_str())
    }

    /// Distribution, and the key that says so: `[release] name`, else `[general] family`.
    pub fn family(&self) -> Option<(&str, &'static str)> {
        self.first(&[
            ("release", "name", "[release] name"),
            ("general", "family", "[general] family"),
        ])
    }

    /// Version, and the key that says so.
    pub fn version(&self) -> Option<(&str, &'static str)> {
        self.first(&[
            ("release", "version", "[release] version"),
            ("general", "version", "[general] version"),
        ])
    }

    /// Architecture, and the key that says so.
    pub fn arch(&self) -> Option<(&str, &'static str)> {
        self.first(&[("tree", "arch", "[tree] arch"), ("general", "arch", "[general] arch")])
    }

    /// `Server`, `BaseOS`, `Everything`; many media have none.
    pub fn variant(&self) -> Option<&str> {
        self.get("general", "variant")
    }

    /// Path of stage 2.
    pub fn main_image(&self) -> Option<&str> {
        self.get("stage2", "mainimage")
    }

    /// Kernel and initrd for `arch` (the kernel's spelling).
    pub fn boot_files(&self, arch: &str) -> Option<(&str, &str)> {
        let section = format!("images-{arch}");
        Some((self.get(&section, "kernel")?, self.get(&section, "initrd")?))
    }

    /// Each `[variant-…]`'s name and the path of its repository.
    pub fn repositories(&self) -> Vec<(&str, &str)> {
        self.sections()
            .filter_map(|s| {
                let name = s.strip_prefix("variant-")?;
                Some((name, self.get(s, "repository")?))
            })
            .collect()
    }

    fn first(&self, keys: &[(&str, &str, &'static str)]) -> Option<(&str, &'static str)> {
        keys.iter().find_map(|&(s, k, shown)| Some((self.get(s, k)?, shown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ages_are_read() {
        let new = TreeInfo::parse(
            b"[general]\n; a comment = no key\nfamily = Old\n[release]\nname = New Linux\nversion = 9.4\n\
              [tree]\narch = x86_64\n[images-x86_64]\nkernel = a/vmlinuz\ninitrd = a/initrd.img\n\
              [variant-BaseOS]\nrepository = BaseOS\n[stage2]\nmainimage = images/install.img\n",
        )
        .expect("parses");
        assert_eq!(new.family(), Some(("New Linux", "[release] name")));
        assert_eq!(new.version(), Some(("9.4", "[release] version")));
        assert_eq!(new.boot_files("x86_64"), Some(("a/vmlinuz", "a/initrd.img")));
        assert_eq!(new.repositories(), [("BaseOS", "BaseOS")]);
        assert_eq!(new.main_image(), Some("images/install.img"));
        let old = TreeInfo::parse(b"[general]\r\nFamily: Elder\r\nversion = 7\r\nvariant = \r\n")
            .expect("parses");
        assert_eq!(old.family(), Some(("Elder", "[general] family")));
        assert_eq!((old.variant(), old.main_image()), (None, None));
    }

    #[test]
    fn what_is_none_is_refused_and_nothing_panics() {
        assert!(TreeInfo::parse(b"").is_err());
        assert!(TreeInfo::parse(b"hello = world").is_err());
        assert!(TreeInfo::parse(&vec![b'['; LIMIT + 1]).is_err());
        assert!(TreeInfo::parse(b"[a]\n=\n:\n[\n]\n\xff\xfe = x\n").is_ok());
    }
}
