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
                "{others} files in {} are named like kernel modules and say no version.",
                folder.name
            ));
        }
        report(folder, kernel, version, &misfits, lenient, draft)?;
    }
    Ok(())
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
