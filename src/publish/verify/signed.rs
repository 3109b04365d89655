//! Signatures of a tree: whether they hold for the digests of the manifest, and whether whoever made them is
//! trusted.

use super::Report;
use crate::content::copy;
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::cms::Signature;
use crate::format::x509::Certificate;
use crate::publish::MANIFEST;
use crate::publish::manifest::{FileRow, Manifest};
use crate::publish::sign::{MANIFEST_SIG, SUFFIX};
use std::collections::BTreeMap;

/// A signature holds some certificates.
pub const MAX_SIGNATURE: u64 = 256 << 10;

/// Looks at the signatures. `own` is the manifest as it came, `file` the bytes of a file of the tree. With
/// `trusted` the manifest must be signed by one of these or by whom they vouch for; without, what signatures
/// there are must hold.
///
/// # Errors
/// Those of `file`.
pub fn check(
    own: &[u8],
    manifest: &Manifest,
    trusted: &[Certificate],
    file: &dyn Fn(&TreePath) -> Result<Option<Vec<u8>>>,
    r: &mut Report,
) -> Result<()> {
    let is_one = |r: &FileRow| r.reasons.iter().any(|r| r.starts_with("signature of "));
    if trusted.is_empty() && !manifest.files.iter().any(is_one) {
        return Ok(());
    }
    let digest = copy::digest(&own.to_vec().into(), &|_| true)?;
    match file(&MANIFEST_SIG.parse()?)? {
        Some(s) => r.signature(MANIFEST_SIG, MANIFEST, &s, digest, trusted),
        None => {
            r.broken(MANIFEST_SIG, "missing: nobody signed the manifest");
            r.hint("build or publish with --sign");
        }
    }
    let digests: BTreeMap<&[u8], copy::Digest> =
        manifest.files.iter().map(|f| (f.path.as_bytes(), f.sha256)).collect();
    for row in &manifest.files {
        let Some(of) = row.path.as_bytes().strip_suffix(SUFFIX.as_bytes()) else { continue };
        let (true, Some(digest)) = (is_one(row), digests.get(of)) else { continue };
        // A file that is missing was told already.
        if let Some(s) = file(&row.path)? {
            let of = String::from_utf8_lossy(of);
            r.signature(&row.path.to_string(), &of, &s, *digest, trusted);
        }
    }
    Ok(())
}

impl Report {
    fn signature(
        &mut self,
        name: &str,
        of: &str,
        bytes: &[u8],
        digest: copy::Digest,
        trusted: &[Certificate],
    ) {
        let Some(s) = Signature::parse(bytes) else {
            return self.broken(name, "is no signature of the kind that is made here");
        };
        let by = &s.signer.subject;
        if !s.holds(&digest) {
            self.broken(
                name,
                format!("is not {by}'s signature of {of}: one of them is another file"),
            );
        } else if !trusted.is_empty() && !s.is_trusted(trusted) {
            self.broken(name, format!("is signed by {by}, for whom no certificate given vouches"));
        } else {
            self.signatures += 1;
            self.signers.insert(by.clone());
        }
    }
}
