//! What an operator adds to an initrd: files and folders of this machine as archive entries.

use crate::content::folder;
use crate::content::path::TreePath;
use crate::content::tree::Node;
use crate::error::Result;
use crate::format::cpio::Entry;
use std::path::Path;

/// All that lies in `dir`, in order of names, with its modes; links as links.
///
/// # Errors
/// As [`folder::read`].
pub fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let tree = folder::read(dir)
        .map_err(|e| e.hint("--folder takes a folder of files, folders and links"))?;
    Ok(tree.iter().map(|(path, n)| at(path.clone(), n.clone())).collect())
}

/// One file of this machine, to lie at `path`.
///
/// # Errors
/// As [`folder::node`].
pub fn entry(from: &Path, path: TreePath) -> Result<Entry> {
    let node = folder::node(from).map_err(|e| e.source_name(from.display()))?;
    Ok(at(path, node))
}

fn at(path: TreePath, node: Node) -> Entry {
    Entry { path, mode: node.mode, kind: node.kind }
}
