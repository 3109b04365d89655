//! What an image must be: a checksum, or a vendor's signed list that has it.

use super::source::FileOrUrl;
use crate::content::copy::Digest;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// What is demanded of an image before it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// Its SHA-256.
    pub sha256: Option<Digest>,
    /// A list of checksums that has it by its name.
    pub checksums: Option<FileOrUrl>,
    /// The list's signature, where it lies neither in the list nor beside it.
    pub signature: Option<FileOrUrl>,
    /// Files of OpenPGP keys, one of which must have signed the list.
    pub keys: Vec<PathBuf>,
    /// Read the whole image, also where a part would do.
    pub whole: bool,
}

impl Demand {
    /// # Errors
    /// `Usage` for a demand that means nothing.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str, hint: &str| Err(Error::usage(what.to_owned()).hint(hint));
        if self.checksums.is_none() && (self.signature.is_some() || !self.keys.is_empty()) {
            return wrong(
                "a signature or a key, and no list of checksums that is signed",
                "--checksums, or checksums in [source], names the list",
            );
        }
        if self.signature.is_some() && self.keys.is_empty() {
            return wrong(
                "a signature, and no key to check it with",
                "--key, or key in [source], names a file with the vendor's key",
            );
        }
        if self.whole && self.sha256.is_none() && self.checksums.is_none() {
            return wrong(
                "the whole is to be compared, and nothing is given to compare it with",
                "--sha256 or --checksums says what it must be",
            );
        }
        Ok(())
    }
}
