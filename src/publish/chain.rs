//! The chain from the vendor's word to each published file: what speaks for what, and where nobody does.
//!
//! vendor's list of checksums -> medium -> extent -> file's digest -> manifest -> its signature -> the file as
//! it is now. Each link is held, or is a gap that is told; nothing is taken for granted.

use super::manifest::{FileRow, Manifest};
use super::sign::SUFFIX;
use super::verify::Report;
use crate::content::copy::Digest;
use crate::plan::Origin;
use serde::Serialize;
use std::collections::BTreeSet;

/// Whether a link holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was checked, now or when the tree was made.
    Held,
    /// Nobody checked it.
    Gap,
    /// It was checked, and is wrong.
    Broken,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// From what to what.
    pub link: &'static str,
    /// Whether it holds.
    pub state: State,
    /// By what it holds, or what is missing.
    pub how: String,
}

/// The last links of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileLinks {
    /// Its path.
    pub path: String,
    /// Its SHA-256 by the manifest.
    pub sha256: Digest,
    /// Where its bytes came from.
    pub from: String,
    /// Whether it is now what the manifest says.
    pub state: State,
}

/// The chain of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// What all files have in common, from the vendor on.
    pub links: Vec<Link>,
    /// Each file of the manifest.
    pub files: Vec<FileLinks>,
}

impl Chain {
    /// The chain of a tree that was verified: `trusted` says whether it was told whom to trust.
    pub fn of(m: &Manifest, r: &Report, trusted: bool) -> Chain {
        let broken: BTreeSet<&str> =
            r.findings.iter().filter(|f| f.broken).map(|f| f.path.as_str()).collect();
        let files: Vec<FileLinks> = m.files.iter().map(|f| file(f, r, &broken)).collect();
        let links =
            vec![vendor(m), medium(m), extents(m), bytes(&files), manifest(r, trusted, &broken)];
        Chain { links, files }
    }

    /// True where nothing is a gap, and nothing broken.
    pub fn is_whole(&self) -> bool {
        let held = |s: State| s == State::Held;
        self.links.iter().all(|l| held(l.state)) && self.files.iter().all(|f| held(f.state))
    }
}

fn vendor(m: &Manifest) -> Link {
    let link = "vendor -> checksum";
    let gap = |how: String| Link { link, state: State::Gap, how };
    match m.source.vouched.as_ref().map(|v| (v, &v.list, &v.signer)) {
        None => gap("no list of the vendor's checksums was compared when the tree was made".into()),
        Some((v, None, _)) => gap(format!("the {} was given by the operator", v.algorithm)),
        Some((_, Some(list), None)) => gap(format!("the list {list} is not signed")),
        Some((v, Some(list), Some(s))) => {
            let how = format!(
                "{} {} by the list {list}, signed by {} ({})",
                v.algorithm, v.digest, s.user, s.fingerprint
            );
            Link { link, state: State::Held, how }
        }
    }
}

fn medium(m: &Manifest) -> Link {
    let link = "checksum -> medium";
    let (name, size) = (&m.source.name, m.source.size);
    match &m.source.vouched {
        Some(v) if v.compared => {
            let how = format!("the {} of {name} ({size} bytes) is that one", v.algorithm);
            Link { link, state: State::Held, how }
        }
        Some(v) => {
            let how = format!(
                "{name} ({size} bytes) was read in part, so its {} was not compared",
                v.algorithm
            );
            Link { link, state: State::Gap, how }
        }
        None => {
            let how = format!("the SHA-256 of {name} ({size} bytes) was compared with nothing");
            Link { link, state: State::Gap, how }
        }
    }
}

/// Held by the build itself, which hashes what it copies.
fn extents(m: &Manifest) -> Link {
    let [mut whole, mut changed, mut given, mut made] = [0usize; 4];
    for f in m.files.iter().filter(|f| !f.path.as_bytes().ends_with(SUFFIX.as_bytes())) {
        match f.origin {
            Origin::Medium { .. } => whole += 1,
            Origin::Extended { .. } | Origin::Repacked { .. } | Origin::Edited { .. } => {
                changed += 1
            }
            Origin::Given { .. } => given += 1,
            Origin::Made => made += 1,
        }
    }
    let mut how = format!("files of the medium's bytes: {whole}");
    for (n, what) in [
        (changed, "more with changes that are listed"),
        (given, "given by the operator"),
        (made, "made here"),
    ] {
        if n > 0 {
            how += &format!(", {n} {what}");
        }
    }
    Link { link: "medium -> digests", state: State::Held, how }
}

fn bytes(files: &[FileLinks]) -> Link {
    let count = |s: State| files.iter().filter(|f| f.state == s).count();
    let (held, gap, broken) = (count(State::Held), count(State::Gap), count(State::Broken));
    let (state, how) = match (gap, broken) {
        (0, 0) => (State::Held, format!("all {held} files have the manifest's digests")),
        (gap, 0) => (
            State::Gap,
            format!(
                "{held} files have the manifest's digests, and {gap} were not read: --whole reads them"
            ),
        ),
        (_, broken) => {
            (State::Broken, format!("{broken} of {} files are not the manifest's", files.len()))
        }
    };
    Link { link: "manifest -> files", state, how }
}

fn manifest(r: &Report, trusted: bool, broken: &BTreeSet<&str>) -> Link {
    let link = "signer -> manifest";
    let by: Vec<&str> = r.signers.iter().map(String::as_str).collect();
    let signed = broken.iter().find(|p| p.ends_with(SUFFIX));
    let (state, how) = match signed {
        Some(p) => (State::Broken, format!("{p} does not hold")),
        None if r.signatures == 0 => (State::Gap, "nobody signed the manifest".into()),
        None if !trusted => (
            State::Gap,
            format!("{} signed it, and --cert says nobody whom to trust", by.join(", ")),
        ),
        None => {
            (State::Held, format!("{} signed it, and {} files", by.join(", "), r.signatures - 1))
        }
    };
    Link { link, state, how }
}

fn file(f: &FileRow, r: &Report, broken: &BTreeSet<&str>) -> FileLinks {
    let path = f.path.to_string();
    let state = match () {
        () if broken.contains(path.as_str()) => State::Broken,
        () if r.unread.contains(&path) => State::Gap,
        () => State::Held,
    };
    FileLinks { state, sha256: f.sha256, from: from(&f.origin), path }
}

fn from(o: &Origin) -> String {
    match o {
        Origin::Medium { path, offset: Some(at) } => format!("{path} @ {at:#x}"),
        Origin::Medium { path, offset: None } => path.clone(),
        Origin::Extended { path, bytes, .. } => format!("{path} + {bytes} bytes of ours"),
        Origin::Repacked { path, .. } => format!("{path}, made anew"),
        Origin::Edited { path } => format!("{path}, edited"),
        Origin::Given { name } => format!("{name}, given by the operator"),
        Origin::Made => "made here".into(),
    }
}
