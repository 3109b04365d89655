//! What an operator adds to an initrd: files and folders of this machine as archive entries.

use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{NodeKind, Special};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cpio::Entry;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// All that lies in `dir`, in order of names, with its modes; links as links.
///
/// # Errors
/// `Io`, `Usage` for a name that no initrd of ours can hold, `Unsupported` for a device.
pub fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    below(dir, &TreePath::root(), &mut all)?;
    Ok(all)
}

fn below(dir: &Path, at: &TreePath, all: &mut Vec<Entry>) -> Result<()> {
    let io = |e| {
        Error::io("can't read the folder", e)
            .source_name(dir.display())
            .hint("give a folder that you may read")
    };
    let found = std::fs::read_dir(dir).and_then(|d| d.collect::<std::io::Result<Vec<_>>>());
    let mut found = found.map_err(io)?;
    found.sort_by_key(std::fs::DirEntry::file_name);
    for f in found {
        let path = at.join(f.file_name().as_bytes()).map_err(|e| e.source_name(dir.display()))?;
        let e = entry(&f.path(), path.clone())?;
        let folder = matches!(e.kind, NodeKind::Dir);
        all.push(e);
        if folder {
            below(&f.path(), &path, all)?;
        }
    }
    Ok(())
}

/// One file of this machine, to lie at `path`.
///
/// # Errors
/// As [`entries`].
pub fn entry(from: &Path, path: TreePath) -> Result<Entry> {
    let io = |e| {
        Error::io("can't read", e)
            .source_name(from.display())
            .hint("check the path that is to be added")
    };
    let meta = from.symlink_metadata().map_err(io)?;
    let t = meta.file_type();
    let kind = if t.is_dir() {
        NodeKind::Dir
    } else if t.is_symlink() {
        NodeKind::Symlink(std::fs::read_link(from).map_err(io)?.as_os_str().as_bytes().to_vec())
    } else if t.is_fifo() {
        NodeKind::Special(Special::Fifo)
    } else if t.is_file() {
        NodeKind::File(Content::open(from)?)
    } else {
        return Err(Error::new(ErrorKind::Unsupported, "is a device or a socket")
            .source_name(from.display())
            .hint("the kernel makes devices in /dev by itself"));
    };
    Ok(Entry { path, mode: meta.mode() & 0o7777, kind })
}
