//! A file of the plan: its bytes, where they came from, and why it is there.

use super::overlay;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file's bytes: where they came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// The vendor's bytes as they are.
    Medium {
        /// Path on the medium, as [`Locus`](crate::model::boot::Locus) prints it.
        path: String,
        /// Byte offset on the medium, where it is one extent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    },
    /// The vendor's bytes with ours appended.
    Extended {
        /// Where the vendor's bytes came from.
        path: String,
        /// What was added, by path in the initrd, but for the operator's folders.
        added: Vec<String>,
        /// The operator's folders that were added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        folders: Vec<overlay::Laid>,
        /// Bytes added.
        bytes: u64,
    },
    /// The vendor's initrd made anew without what the recipe says must go, and ours behind it.
    Repacked {
        /// Where the vendor's bytes came from.
        path: String,
        /// What was left out, by path in the initrd.
        dropped: Vec<String>,
        /// What was added, by path in the initrd, but for the operator's folders.
        added: Vec<String>,
        /// The operator's folders that were added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        folders: Vec<overlay::Laid>,
    },
    /// The vendor's file with edits.
    Edited {
        /// Where it came from.
        path: String,
    },
    /// A file given by the operator.
    Given {
        /// Its file name, without folders.
        name: String,
    },
    /// Ours.
    Made,
}

/// When a file must appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// First, in any order.
    Payload,
    /// Last: a machine starts from it.
    EntryPoint,
}

/// A file of the plan.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its bytes.
    pub content: Content,
    /// Where they came from.
    pub origin: Origin,
    /// Why it is there.
    pub reasons: Vec<String>,
    /// When it must appear.
    pub role: Role,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970, where the medium or SOURCE_DATE_EPOCH says.
    pub mtime: Option<i64>,
}

/// Adds a file; two files of one name would lose one without a word.
pub(crate) fn add(
    files: &mut BTreeMap<TreePath, Planned>,
    path: TreePath,
    file: Planned,
) -> Result<()> {
    if files.contains_key(&path) {
        return Err(
            Error::new(ErrorKind::Conflict, "two files of the plan have this name").path(path)
        );
    }
    files.insert(path, file);
    Ok(())
}
