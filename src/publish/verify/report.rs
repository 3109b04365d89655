//! What was looked at, and what was found: the same for a folder, a store and a web server.

use crate::publish::manifest::Manifest;
use serde::Serialize;
use std::collections::BTreeSet;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// True where the tree will fail or lies; false for what is only good to know.
    pub broken: bool,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files whose bytes were compared.
    pub files: usize,
    /// Bytes compared.
    pub bytes: u64,
    /// Boot entries looked at.
    pub entries: usize,
    /// Findings in order.
    pub findings: Vec<Finding>,
    /// Files that are there and whose bytes were not compared.
    pub unread: BTreeSet<String>,
    /// Signatures that hold.
    pub signatures: usize,
    /// Whose they are.
    pub signers: BTreeSet<String>,
    /// The tree's manifest.
    #[serde(skip)]
    pub manifest: Option<Box<Manifest>>,
}

impl Report {
    /// True where nothing is broken.
    pub fn holds(&self) -> bool {
        !self.findings.iter().any(|f| f.broken)
    }

    pub(super) fn broken(&mut self, path: impl ToString, what: impl Into<String>) {
        self.find(path, what, true);
    }

    pub(super) fn note(&mut self, path: impl ToString, what: impl Into<String>) {
        self.find(path, what, false);
    }

    /// For what was told last.
    pub(super) fn hint(&mut self, hint: &str) {
        if let Some(f) = self.findings.last_mut() {
            f.hint = Some(hint.to_owned());
        }
    }

    fn find(&mut self, path: impl ToString, what: impl Into<String>, broken: bool) {
        let (path, what) = (path.to_string(), what.into());
        self.findings.push(Finding { path, what, broken, hint: None });
    }
}
