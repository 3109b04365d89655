//! Where the medium came from, and what its vendor says of it: for the manifest and for the operator.

use super::{Inputs, Origin, Plan};
use crate::content::path::TreePath;
use crate::content::{Content, Segment};
use crate::error::{Error, Result};
use crate::family::draft::Note;
use crate::format::sums::Doc;
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
    let partly = !image.is_at_hand();
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

/// Lists of sums that media have at their root, and their longest length in bytes.
const LISTS: [&str; 4] = [".treeinfo", "md5sum.txt", "SHA256SUMS", "MD5SUMS"];
const MAX_LIST: u64 = 1 << 20;

impl Plan {
    /// Adds what is to be said of the medium.
    pub(super) fn vouched(mut self, inputs: &Inputs) -> Result<Plan> {
        let contents = self.files.values().map(|f| &f.content);
        let mut notes = notes(inputs, contents);
        if !inputs.media.image.is_at_hand() {
            notes.extend(self.by_its_own_sums(inputs.media)?);
        }
        self.notes.extend(notes);
        Ok(self)
    }

    /// What starts a machine, held against the sums that the medium itself has. They lie beside the files and
    /// vouch for nobody, but they tell of damage on the way.
    fn by_its_own_sums(&self, media: &Media) -> Result<Option<Note>> {
        let list = |name: &&'static str| {
            let path = TreePath::new(name).ok()?;
            let bytes = media.tree.file(&path).ok()?.read_all(MAX_LIST).ok()?;
            Some((*name, Doc::parse(&path, &bytes).ok()?.entries().collect::<Vec<_>>()))
        };
        let lists: Vec<_> = LISTS.iter().filter_map(list).collect();
        let (mut compared, mut unlisted) = (Vec::new(), Vec::new());
        for f in self.files.iter().filter(|(p, _)| p.parts().count() == 1).map(|(_, f)| f) {
            let (Origin::Medium { path, .. } | Origin::Extended { path, .. }) = &f.origin else {
                continue;
            };
            let Some(path) = path.strip_prefix("iso:/").filter(|p| !p.contains('!')) else {
                continue;
            };
            let at = TreePath::new(path)?;
            let found = lists.iter().find_map(|(name, entries)| {
                entries.iter().find(|e| e.path == at).map(|e| (name, &e.sum))
            });
            let Some((name, want)) = found else {
                unlisted.push(path.to_owned());
                continue;
            };
            let got = want.algorithm.sum(media.tree.file(&at)?, &|_| true)?;
            if got != *want {
                let how = want.algorithm.name();
                let what = format!("its {how} is {}, not {} as {name} says", got.hex(), want.hex());
                return Err(Error::corrupt(what, 0).path(path).source_name(&media.name).hint(
                    "the medium is damaged, or was altered: compare the whole with --verify-whole",
                ));
            }
            compared.push(format!("{path} ({name}, {})", want.algorithm.name()));
        }
        let text = match (&compared[..], &unlisted[..]) {
            ([], []) => return Ok(None),
            ([], _) => "The medium has no sums of its own for what starts a machine.".to_owned(),
            (some, others) => {
                let none = match others {
                    [] => String::new(),
                    _ => format!("; it has none for {}", others.join(", ")),
                };
                format!(
                    "Compared with the medium's own sums: {}{none}. They tell of damage on the way, not who \
                     made them.",
                    some.join(", ")
                )
            }
        };
        Ok(Some(Note { warning: false, text, assumed: false }))
    }
}
