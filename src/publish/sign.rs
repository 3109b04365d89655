//! Signatures beside files: `vmlinuz.sig` for `vmlinuz`, in CMS as iPXE's `imgverify` takes them.
//!
//! Signed is what a machine starts from, and what is not the vendor's: scripts, kernel, initrd, answers. The
//! manifest speaks for every file, and is signed too. A signature needs a file's digest only, which the
//! manifest has: nothing is read again.

use super::manifest::FileRow;
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::cms::Signer;
use crate::plan::netboot::{INITRD, KERNEL};
use crate::plan::{Origin, Plan, Planned, Role};
use std::collections::BTreeMap;

/// What a signature's name ends with; iPXE has no rule of its own, its documentation does so.
pub const SUFFIX: &str = ".sig";
/// The manifest's signature.
pub const MANIFEST_SIG: &str = "manifest.json.sig";

/// True for a file that gets a signature.
pub fn is_signed(path: &TreePath, f: &Planned) -> bool {
    let started = f.role == Role::EntryPoint
        || [KERNEL, INITRD].iter().any(|n| n.as_bytes() == path.as_bytes());
    started || !matches!(f.origin, Origin::Medium { .. })
}

/// The name of a file's signature.
///
/// # Errors
/// Never, for a path that is one.
pub fn beside(path: &TreePath) -> Result<TreePath> {
    TreePath::new([path.as_bytes(), SUFFIX.as_bytes()].concat())
}

/// The signatures of a plan's files, as files of the tree; `rows` hold the digests.
///
/// # Errors
/// `Conflict` where the tree has a file of that name, those of [`Signer::sign`].
pub fn signatures(
    plan: &Plan,
    rows: &BTreeMap<TreePath, FileRow>,
    signer: &Signer,
) -> Result<BTreeMap<TreePath, Planned>> {
    let mut out = BTreeMap::new();
    for (path, _) in plan.files.iter().filter(|(p, f)| is_signed(p, f)) {
        let Some(row) = rows.get(path) else { continue };
        let name = beside(path)?;
        if plan.files.contains_key(&name) {
            return Err(crate::error::Error::new(
                crate::error::ErrorKind::Conflict,
                "the signature's name is that of another file of the tree",
            )
            .path(name));
        }
        let file = Planned {
            content: signer.sign(&row.sha256)?.into(),
            origin: Origin::Made,
            reasons: vec![format!("signature of {path}")],
            role: Role::Payload,
            mode: 0o644,
            mtime: plan.source_date_epoch,
        };
        out.insert(name, file);
    }
    Ok(out)
}
