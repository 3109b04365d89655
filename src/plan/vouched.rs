//! Where the medium came from, and what its vendor says of it: for the manifest and for the operator.

use super::{Inputs, Plan};
use crate::content::{Content, Segment};
use crate::family::draft::Note;
use crate::media::Media;
use crate::plan::render::human;
use serde::{Deserialize, Serialize};

/// The medium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// File name, without folders.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its address, where it was read by URL; without user, password and query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the server calls the version that was read: a strong ETag, or Last-Modified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The checksum that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched: Option<Vouched>,
}

/// A checksum of the whole medium, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// `SHA256`, `SHA512`.
    pub algorithm: String,
    /// Hex digits in lower case.
    pub digest: String,
    /// The list that it stands in; none where the operator gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Who signed the list, where it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// True where the whole medium was read and compared.
    pub compared: bool,
}

/// The key that signed a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Fingerprint of the primary key, upper-case hex.
    pub fingerprint: String,
    /// Its first user id.
    pub user: String,
    /// Fingerprint of the subkey, where one signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subkey: Option<String>,
}

impl Source {
    /// Of an opened medium.
    pub(super) fn of(media: &Media, vouched: Option<&Vouched>) -> Source {
        let remote = media.image.remote();
        Source {
            name: super::file_name(&media.name),
            size: media.image.len(),
            url: remote.map(|_| media.name.clone()),
            version: remote.and_then(|r| r.pin().version()).map(str::to_owned),
            vouched: vouched.cloned(),
        }
    }
}

/// What could be verified of the medium and what could not.
pub(super) fn notes<'a>(inputs: &Inputs, contents: impl Iterator<Item = &'a Content>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut say = |warning, text| notes.push(Note { warning, text, assumed: false });
    let image = &inputs.media.image;
    if let Some(remote) = image.remote() {
        remote.notes().iter().for_each(|n| say(false, n.clone()));
    }
    let partly = image.remote().is_some() && image.len() > 0;
    let part = || format!("{} of its {} are read", human(needed(contents)), human(image.len()));
    match &inputs.target.vouched {
        Some(v) if v.compared => say(false, format!("{}; the whole was compared.", said(v))),
        Some(v) => say(
            false,
            format!(
                "{}; {}, so the whole was not compared (--verify-whole reads and compares it).",
                said(v),
                part()
            ),
        ),
        None if partly => say(
            false,
            format!(
                "Nobody vouches for the ISO at this address: {}, and no checksum was given \
                 (--sha256, or --checksums with --key).",
                part()
            ),
        ),
        None => {}
    }
    notes
}

/// Who says what.
fn said(v: &Vouched) -> String {
    let by = match (&v.list, &v.signer) {
        (None, _) => "as given".to_owned(),
        (Some(list), None) => format!("by the list {list}, which is not signed"),
        (Some(list), Some(s)) if s.user.is_empty() => {
            format!("by the list {list}, signed by {}", s.fingerprint)
        }
        (Some(list), Some(s)) => {
            format!("by the list {list}, signed by {} ({})", s.user, s.fingerprint)
        }
    };
    format!("The ISO's {} is {} {by}", v.algorithm, v.digest)
}

/// Bytes of remote sources that `contents` are made of, each counted once.
fn needed<'a>(contents: impl Iterator<Item = &'a Content>) -> u64 {
    let mut ranges: Vec<(u64, u64)> = contents
        .flat_map(Content::segments)
        .filter_map(|s| match s {
            Segment::Extent { src, off, len } if src.remote().is_some() => Some((*off, off + len)),
            _ => None,
        })
        .collect();
    ranges.sort_unstable();
    let mut end = 0;
    ranges.iter().fold(0, |sum, (from, to)| {
        let new = to.saturating_sub(end.max(*from));
        end = end.max(*to);
        sum + new
    })
}

impl Plan {
    /// Adds what is to be said of the medium.
    pub(super) fn vouched(mut self, inputs: &Inputs) -> Plan {
        let contents = self.files.values().map(|f| &f.content);
        let notes = notes(inputs, contents);
        self.notes.extend(notes);
        self
    }
}
