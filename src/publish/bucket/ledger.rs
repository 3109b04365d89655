//! `.isowright/objects.json`: what publish has put below a prefix, object by object, with the state that the
//! store gave it. The manifest says what a tree holds; this says what became of it in the store.

use crate::content::copy::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::store::{Head, Listed, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Its key below the prefix.
pub const LEDGER: &str = ".isowright/objects.json";
/// It is read up to here: 300 bytes for each of a million objects.
const MAX: u64 = 300 << 20;

/// What is said of it and of the claim.
pub(super) const HEAD: Head =
    Head { media_type: "application/json", cache: "no-store", sha256: None };

/// What was put.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Version of this layout.
    format: u32,
    /// By key below the prefix.
    pub objects: BTreeMap<String, Row>,
}

/// An object as it was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of what was sent.
    pub sha256: Digest,
    /// The entity tag that the store gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When, by the store's clock, in seconds since 1970; where its listings have no entity tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// The source's state, where that says whether it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// `Content-Type`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// `Cache-Control`.
    pub cache: String,
}

impl Ledger {
    /// The ledger of a prefix; empty where there is none.
    ///
    /// # Errors
    /// `Remote`; `Unsupported` for a later version's.
    pub fn read(store: &Store) -> Result<Ledger> {
        let Some((text, _)) = store.get(LEDGER, MAX)? else { return Ok(Ledger::default()) };
        let at = |e: Error| e.source_name(store.target()).path(LEDGER);
        let l: Ledger = serde_json::from_slice(&text).map_err(|e| {
            at(Error::new(ErrorKind::Corrupt, "is no ledger of ours").because(e))
                .hint("delete the object: all files are put again then")
        })?;
        match l.format {
            1 => Ok(l),
            n => Err(at(Error::unsupported(format!("ledger of format {n}")))
                .hint("it was written by a later isowright")),
        }
    }

    /// As it is stored.
    ///
    /// # Errors
    /// `Io` where it can't be spelled.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let l = Ledger { format: 1, objects: self.objects.clone() };
        serde_json::to_vec(&l)
            .map_err(|e| Error::new(ErrorKind::Io, "can't spell the ledger").because(e))
    }
}

impl Row {
    /// True where `there` is what this row tells of; `None` where only a HEAD can say.
    pub fn is(&self, there: &Listed) -> Option<bool> {
        if self.size != there.size {
            return Some(false);
        }
        match (&self.etag, &there.etag, self.modified) {
            (Some(a), Some(b), _) => Some(a == b),
            (_, None, Some(m)) => Some(m == there.modified),
            _ => None,
        }
    }
}
