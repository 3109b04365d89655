//! The operator's folders in the initrd: drivers, firmware and what else. Kernel modules among them are
//! held against the kernel that the tree starts.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, Tree};
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::Draft;
use crate::format::bzimage::KernelVersion;
use crate::format::cpio;
use crate::format::module::{self, Vermagic};
use serde::{Deserialize, Serialize};

/// A folder that goes into the initrd.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The profile's setting that wants it.
    pub setting: &'static str,
    /// The folder as the operator names it.
    pub name: String,
    /// What is in it, by its path in the initrd.
    pub tree: Tree,
}

/// A folder that went into the initrd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laid {
    /// The profile's setting.
    pub setting: String,
    /// Last part of the folder's name.
    pub folder: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Where its files and links are in the initrd, as the operator wrote them.
    pub paths: Vec<String>,
}

impl Folder {
    /// `initrd.overlay`: goes in as it lies there.
    pub fn overlay(name: String, tree: Tree) -> Self {
        Folder { setting: "initrd.overlay", name, tree }
    }

    /// `initrd.firmware`: goes in below lib/firmware.
    ///
    /// # Errors
    /// Never.
    pub fn firmware(name: String, tree: Tree) -> Result<Self> {
        let below: TreePath = "lib/firmware".parse()?;
        let tree = tree.iter().map(|(p, n)| (below.join_path(p), n.clone())).collect();
        Ok(Folder { setting: "initrd.firmware", name, tree })
    }

    /// For the archive, a folder before what is in it.
    pub(super) fn entries(&self) -> Vec<cpio::Entry> {
        let entry = |(path, n): (&TreePath, &Node)| cpio::Entry {
            path: path.clone(),
            mode: n.mode,
            kind: n.kind.clone(),
        };
        self.tree.iter().map(entry).collect()
    }

    pub(super) fn laid(&self) -> Laid {
        let files = self.tree.iter().filter(|(_, n)| !n.is_dir());
        Laid {
            setting: self.setting.to_owned(),
            folder: super::file_name(self.name.trim_end_matches('/')),
            bytes: self.tree.files().map(|(_, c)| c.len()).sum(),
            paths: files.map(|(p, _)| format!("/{p}")).collect(),
        }
    }

    /// An error about something in it.
    fn wrong(&self, path: &TreePath, what: String) -> Error {
        Error::new(ErrorKind::Conflict, what).source_name(&self.name).path(path)
    }
}

impl Laid {
    /// `initrd.firmware = "fw": 12 files, 3.4 MiB`.
    pub fn words(&self) -> String {
        let n = self.paths.len();
        let files = if n == 1 { "file" } else { "files" };
        let size = super::render::human(self.bytes);
        format!("{} = \"{}\": {n} {files}, {size}", self.setting, super::printable(&self.folder))
    }
}

/// The kernel that the modules must be for.
pub(super) struct Kernel<'a> {
    /// Where it came from.
    pub name: String,
    pub version: Option<&'a KernelVersion>,
}

/// Holds every module and every `lib/modules/VERSION` against the kernel. What does not fit is an error,
/// or with `lenient` a warning, and a warning where the kernel does not say its version.
///
/// # Errors
/// `Conflict`, naming both versions; `Corrupt` for a module that is cut short.
pub(super) fn check(
    folders: &[Folder],
    kernel: &Kernel,
    lenient: bool,
    draft: &mut Draft,
) -> Result<()> {
    for folder in folders {
        warn_of_secrets(folder, draft);
        let modules: Vec<(&TreePath, &Content)> =
            folder.tree.files().filter(|(p, _)| module::is_module_name(p.name())).collect();
        let releases = releases(&folder.tree);
        let Some(version) = kernel.version else {
            if !modules.is_empty() || !releases.is_empty() {
                draft.warn(format!(
                    "{} does not say its version: whether the {} kernel modules in {} are for it is not known.",
                    kernel.name, modules.len(), folder.name
                ));
            }
            continue;
        };
        let mut misfits = Vec::new();
        for (path, release) in releases.iter().filter(|(_, r)| r != version.release()) {
            let what = format!("this folder is for Linux {release}, and");
            misfits.push((path.clone(), what, false));
        }
        let mut others = 0;
        for (path, content) in modules {
            let read = Vermagic::read(content).map_err(|e| e.path(path).source_name(&folder.name));
            match read? {
                None => others += 1,
                Some(v) if v.release() != version.release() => {
                    let what = format!("this module is for Linux {}, and", v.release());
                    misfits.push((path.clone(), what, v.has_checksums()));
                }
                Some(_) => {}
            }
        }
        if others > 0 {
            draft.warn(format!(
                "Named like kernel modules, but they say no version: {others} in {}.",
                folder.name
            ));
        }
        report(folder, kernel, version, &misfits, lenient, draft)?;
    }
    Ok(())
}

/// A mode of 0600 holds in the installer, and not on the web server.
fn warn_of_secrets(folder: &Folder, draft: &mut Draft) {
    let closed = |(_, n): &(&TreePath, &Node)| n.content().is_some() && n.mode & 0o004 == 0;
    let all: Vec<String> = folder.tree.iter().filter(closed).map(|(p, _)| p.to_string()).collect();
    if let Some(first) = all.first() {
        let more = match all.len() {
            1 => String::new(),
            n => format!(" and {} more files", n - 1),
        };
        draft.warn(format!(
            "{first}{more} in {} can't be read by everybody there, but whoever can fetch the tree can read initrd.img.",
            folder.name
        ));
    }
}

fn report(
    folder: &Folder,
    kernel: &Kernel,
    version: &KernelVersion,
    misfits: &[(TreePath, String, bool)],
    lenient: bool,
    draft: &mut Draft,
) -> Result<()> {
    let Some((path, what, checksums)) = misfits.first() else { return Ok(()) };
    let more = match misfits.len() {
        1 => String::new(),
        n => format!(" (and {} more like it)", n - 1),
    };
    let what = format!("{what} {} is Linux {}{more}", kernel.name, version.release());
    if lenient {
        draft.warn(format!("{}: {path}: {what}.", folder.name));
        return Ok(());
    }
    let hint = match checksums {
        true => {
            "it checks symbols by checksum and may load all the same: --lenient makes this a warning"
        }
        false => "take modules that were built for this kernel: it loads no others",
    };
    Err(folder.wrong(path, what).hint(hint))
}

/// Each `lib/modules/RELEASE`, below `usr` too.
fn releases(tree: &Tree) -> Vec<(TreePath, String)> {
    let of = |p: &TreePath| {
        let parts: Vec<&[u8]> = p.parts().collect();
        match parts.strip_prefix(&[&b"usr"[..]]).unwrap_or(&parts) {
            [b"lib", b"modules", release] => Some(String::from_utf8_lossy(release).into_owned()),
            _ => None,
        }
    };
    let dirs = tree.iter().filter(|(_, n)| n.is_dir());
    dirs.filter_map(|(p, _)| Some((p.clone(), of(p)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::bzimage;
    use crate::format::module::tests::built_for;

    fn folder(files: &[(&str, Vec<u8>)]) -> Folder {
        let mut tree = Tree::new();
        for (path, bytes) in files {
            let path: TreePath = path.parse().expect("path");
            let mut above = path.parent();
            while let Some(p) = above.filter(|p| !p.is_root()) {
                above = p.parent();
                tree.insert(p, Node::dir());
            }
            tree.insert(path, Node::file(bytes.clone()));
        }
        Folder::overlay("drivers".into(), tree)
    }

    fn checked(kernel: &str, lenient: bool, folders: &[Folder]) -> Result<Vec<String>> {
        let image = bzimage::stand_in(kernel).into();
        let version = KernelVersion::read(&image).expect("read");
        let kernel = Kernel { name: "vmlinuz".into(), version: version.as_ref() };
        let mut draft = Draft::default();
        check(folders, &kernel, lenient, &mut draft)?;
        Ok(draft.notes.into_iter().map(|n| n.text).collect())
    }

    #[test]
    fn a_module_must_be_for_the_kernel_that_is_started() {
        let module = built_for("6.1.0-50-amd64 SMP preempt mod_unload modversions ");
        let plain = built_for("6.1.0-50-amd64 SMP mod_unload ");
        let in_extra = |m: &[u8]| [folder(&[("lib/modules/6.1/extra/x.ko", m.to_vec())])];
        let ours = "6.1.0-50-amd64 (x@y) #1";
        let fits = [folder(&[("lib/modules/6.1.0-50-amd64/x.ko", module.clone())])];
        assert_eq!(checked(ours, false, &fits).expect("fits"), [""; 0]);
        let at_top = [folder(&[("x.ko", module.clone())])];
        let e = checked("6.1.0-51-amd64 #1", false, &at_top).expect_err("another");
        let want = "drivers:x.ko: this module is for Linux 6.1.0-50-amd64, and vmlinuz is Linux 6.1.0-51-amd64";
        assert_eq!(e.to_string(), want);
        assert!(e.hint_text().expect("hint").contains("--lenient"), "{e:?}");
        let e = checked("7 #1", false, &[folder(&[("x.ko", plain)])]).expect_err("another");
        assert!(e.hint_text().expect("hint").contains("built for this kernel"), "{e:?}");
        let e = checked(ours, false, &in_extra(&module)).expect_err("another folder");
        assert!(e.to_string().starts_with("drivers:lib/modules/6.1: this folder is for"), "{e}");
        let notes = checked("6.2 #1", true, &in_extra(&module)).expect("lenient");
        assert!(notes[0].contains("vmlinuz is Linux 6.2 (and 1 more like it)"), "{notes:?}");
    }

    #[test]
    fn what_can_not_be_told_is_a_warning() {
        let module = built_for("6.1 SMP ");
        let notes = checked("", false, &[folder(&[("x.ko", module)])]).expect("unknown");
        assert!(notes[0].contains("vmlinuz does not say its version"), "{notes:?}");
        let notes = checked("6.1 #1", false, &[folder(&[("tutor.ko", b"text".to_vec())])]);
        assert!(notes.expect("text")[0].ends_with("say no version: 1 in drivers."));
        assert_eq!(checked("", false, &[folder(&[("a", vec![])])]).expect("none"), [""; 0]);
        let cut = built_for("6.1 SMP ")[..150].to_vec();
        let e = checked("6.1 #1", false, &[folder(&[("x.ko", cut)])]).expect_err("cut");
        assert!(e.to_string().starts_with("drivers:x.ko: "), "{e}");
    }

    #[test]
    fn what_others_may_not_read_is_told_of() {
        let mut f = folder(&[("etc/key", b"x".to_vec()), ("etc/open", b"x".to_vec())]);
        let closed = Node { mode: 0o600, ..Node::file("x") };
        f.tree.insert("etc/key".parse().expect("path"), closed);
        let notes = checked("6.1 #1", false, &[f]).expect("checked");
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("etc/key in drivers can't be read by everybody"), "{notes:?}");
    }

    #[test]
    fn firmware_goes_where_the_kernel_looks_for_it() {
        let mut tree = Tree::new();
        tree.insert("a/b.bin".parse().expect("path"), Node::file("1234"));
        let laid = Folder::firmware("/x/fw/".into(), tree).expect("folder").laid();
        assert_eq!(laid.paths, ["/lib/firmware/a/b.bin"]);
        assert_eq!(laid.words(), "initrd.firmware = \"fw\": 1 file, 4 B");
    }
}
