//! ISO 9660 with Rock Ridge, Joliet, El Torito and hybrid partition tables, read from a [`Content`].
//!
//! | file | source |
//! |---|---|
//! | `descriptors.rs` | ECMA-119 (4th edition) clause 8; ECMA-167 part 2 to recognise UDF |
//! | `read.rs`, `record.rs` | ECMA-119 clauses 6.8 and 9: directories and extents |
//! | `rockridge.rs` | SUSP 1.12, RRIP 1.12 |
//! | `joliet.rs` | Joliet specification, 1995 |
//! | `eltorito.rs` | El Torito 1.0, UEFI 2.10 section 13.3.2.1 |
//! | `graft/` | the same sources, for changing what is there |
//! | `hybrid.rs` | MBR, GPT (UEFI 2.10 section 5), Apple partition map (only seen) |
//!
//! Not supported: interleaved files, volume sets of several discs, zisofs (shown compressed), Apple
//! and XA attributes, ISO 9660:1999 enhanced descriptors, UDF.

pub mod descriptors;
pub mod eltorito;
pub mod graft;
pub mod hybrid;
mod joliet;
pub mod read;
mod record;
mod rockridge;

use crate::content::Content;
use crate::content::tree::Tree;
use crate::error::{Error, Result};
use descriptors::{Descriptors, Found};
pub use descriptors::{SECTOR, Volume};
pub use read::Record;
use serde::Serialize;

/// Which names and attributes of a volume are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// Universal Disk Format; recognised, not read.
    Udf,
    /// ISO 9660 with POSIX names and modes.
    RockRidge,
    /// ISO 9660 with a second tree of UTF-16 names.
    Joliet,
    /// ISO 9660 as it is: short names in capitals.
    Plain,
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            View::Udf => "UDF",
            View::RockRidge => "Rock Ridge",
            View::Joliet => "Joliet",
            View::Plain => "plain ISO 9660",
        })
    }
}

/// An opened volume.
#[derive(Debug, Clone)]
pub struct Iso {
    /// What the descriptors say.
    pub volume: Volume,
    /// The view that `tree` shows.
    pub view: View,
    /// All views on the medium, best first.
    pub views: Vec<View>,
    /// Names, modes, extents. Notes on what was left out are in it.
    pub tree: Tree,
    /// Of each node of `tree` in order: where its directory record and data stand in the image.
    pub records: Vec<Record>,
    /// Block number of the El Torito catalog and the offset of the descriptor that names it.
    pub boot_catalog: Option<(u32, u64)>,
}

/// Opens `image` as ISO 9660 in its best view. `None` where it is none.
///
/// # Errors
/// `Corrupt` with path and offset; `Unsupported` for UDF without a usable ISO 9660 side, and for
/// trees that would need more memory than [`read::MAX_MEMORY`].
pub fn open(image: &Content) -> Result<Option<Iso>> {
    let d = match descriptors::read(image)? {
        Found::Iso(d) => d,
        Found::UdfOnly(at) => return Err(udf_only(at)),
        Found::Nothing => return Ok(None),
    };
    let skip = rockridge::probe(image, &d.volume, d.joliet.is_some())?;
    let mut views = Vec::new();
    views.extend(d.udf_at.map(|_| View::Udf));
    views.extend(skip.map(|_| View::RockRidge));
    views.extend(d.joliet.as_ref().map(|_| View::Joliet));
    views.push(View::Plain);
    let view = views.iter().copied().find(|v| *v != View::Udf).unwrap_or(View::Plain);
    open_view(image, *d, view, views, skip).map(Some)
}

fn open_view(
    image: &Content,
    d: Descriptors,
    view: View,
    views: Vec<View>,
    skip: Option<u8>,
) -> Result<Iso> {
    let (root, names) = match (view, &d.joliet, skip) {
        (View::RockRidge, _, Some(skip)) => (d.volume.root, read::Names::RockRidge { skip }),
        (View::Joliet, Some(j), _) => (j.root, read::Names::Joliet),
        _ => (d.volume.root, read::Names::Plain),
    };
    let (mut tree, records) = read::walk(image, d.volume.block_size, root, names)?;
    if let Some(at) = d.udf_at {
        if is_stub(&tree) {
            return Err(udf_only(at));
        }
        tree.note(format!(
            "UDF stands beside ISO 9660 (at offset {at:#x}) and is not supported yet: the {view} side is shown"
        ));
    }
    for n in &d.notes {
        tree.note(n.clone());
    }
    Ok(Iso { volume: d.volume, view, views, tree, records, boot_catalog: d.boot_catalog })
}

/// Windows and other UDF media carry an ISO 9660 side with one file that says that UDF is needed.
fn is_stub(tree: &Tree) -> bool {
    tree.len() <= 1
        && tree
            .iter()
            .all(|(p, n)| !n.is_dir() && p.name().to_ascii_lowercase().starts_with(b"readme"))
}

fn udf_only(at: u64) -> Error {
    Error::unsupported("UDF is not supported yet, and there is no ISO 9660 side with the files")
        .at(at)
        .hint("recognised only; Windows media are made like this")
}
