//! `manifest.json` and `SHA256SUMS`: what a tree holds, where each byte came from, and what its boot
//! entries must say. No clock in it, so that two builds are byte-equal.

use crate::content::copy::Digest;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::family::draft::{Coverage, Disks, Note};
use crate::media::identity::Identity;
use crate::model::network::Mac;
use crate::plan::hosts::HostPlan;
use crate::plan::{Origin, Plan, Planned, Source};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// What a tree holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub format: u32,
    /// Who wrote it.
    pub tool: String,
    /// `almalinux-9.4-x86_64`.
    pub name: String,
    /// The recipe.
    pub recipe: String,
    /// What the medium is.
    pub media: Identity,
    /// The medium: its file name and its size in bytes.
    pub source: Source,
    /// Seconds since 1970, where SOURCE_DATE_EPOCH was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<i64>,
    /// Title shown for it in a menu.
    pub title: String,
    /// Kernel arguments that every entry must hold, for `verify`.
    pub must_have: Vec<String>,
    /// Paths below the tree that arguments name and that are to be hosted by somebody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosted_elsewhere: Vec<String>,
    /// The machines that it serves, and no others; none where it serves whoever comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostRow>,
    /// MiB of RAM below which it is known to fail; 0: unknown.
    pub ram_mib: u64,
    /// True where disks may be wiped without a question.
    pub unattended: bool,
    /// What becomes of disks. An older manifest has `unattended` alone.
    #[serde(default)]
    pub disks: Disks,
    /// Console and bond, layer by layer.
    pub coverage: Vec<Coverage>,
    /// What the operator was told.
    pub notes: Vec<Note>,
    /// Every file but this one and SHA256SUMS, by path.
    pub files: Vec<FileRow>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub macs: Vec<Mac>,
    /// True where its disks may be wiped without a question.
    pub unattended: bool,
    /// Kernel arguments that its entry must hold beside what every entry must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_have: Vec<String>,
}

impl HostRow {
    fn new(h: &HostPlan) -> Self {
        HostRow {
            name: h.name.clone(),
            macs: h.macs.clone(),
            unattended: h.unattended,
            must_have: h.must_have.clone(),
        }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Path in the tree.
    pub path: TreePath,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
    /// Permission bits in octal, where others may not read it: `0600`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Where the bytes came from.
    pub origin: Origin,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl FileRow {
    /// The row of a planned file.
    pub fn new(path: &TreePath, f: &Planned, sha256: Digest) -> Self {
        FileRow {
            path: path.clone(),
            size: f.content.len(),
            sha256,
            mode: (f.mode & 0o077 == 0).then(|| format!("{:04o}", f.mode)),
            origin: f.origin.clone(),
            reasons: f.reasons.clone(),
        }
    }
}

/// JSON with a line for each member of the manifest and for each row of its lists, for a tree of a thousand
/// hosts has two thousand rows.
#[derive(Default)]
struct RowPerLine {
    depth: usize,
}

impl RowPerLine {
    /// Levels that stand on lines of their own.
    const LINES: usize = 2;

    fn next<W: Write + ?Sized>(&self, w: &mut W, first: bool) -> io::Result<()> {
        let comma = if first { "" } else { "," };
        if self.depth > Self::LINES {
            return w.write_all(comma.as_bytes());
        }
        write!(w, "{comma}\n{:1$}", "", self.depth)
    }

    fn begin<W: Write + ?Sized>(&mut self, w: &mut W, with: &[u8]) -> io::Result<()> {
        self.depth += 1;
        w.write_all(with)
    }

    fn end<W: Write + ?Sized>(&mut self, w: &mut W, with: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.depth == 0 {
            w.write_all(b"\n")?;
        }
        w.write_all(with)
    }
}

impl serde_json::ser::Formatter for RowPerLine {
    fn begin_array<W: Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.next(w, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.next(w, first)
    }
}

impl Manifest {
    /// The manifest of a plan that was written.
    pub fn new(plan: &Plan, files: Vec<FileRow>) -> Self {
        Manifest {
            format: 1,
            tool: concat!("isowright ", env!("CARGO_PKG_VERSION")).into(),
            name: plan.name.clone(),
            recipe: plan.recipe.clone(),
            media: plan.identity.clone(),
            source: plan.source.clone(),
            source_date_epoch: plan.source_date_epoch,
            title: plan.title.clone(),
            must_have: plan.must_have.clone(),
            hosted_elsewhere: plan.hosted_elsewhere.clone(),
            hosts: plan.hosts.iter().map(HostRow::new).collect(),
            ram_mib: plan.ram_mib,
            unattended: plan.disks.at_risk(),
            disks: plan.disks.clone(),
            coverage: plan.coverage.clone(),
            notes: plan.notes.clone(),
            files,
        }
    }

    /// As written to the tree, with a final newline.
    ///
    /// # Errors
    /// `Io` where it can't be spelled as JSON.
    pub fn to_json(&self) -> Result<String> {
        let wrong = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(crate::ErrorKind::Io, "can't write the manifest").because(e)
        };
        let mut out = Vec::new();
        let mut to = serde_json::Serializer::with_formatter(&mut out, RowPerLine::default());
        self.serialize(&mut to).map_err(|e| wrong(e.into()))?;
        out.push(b'\n');
        String::from_utf8(out).map_err(|e| wrong(e.into()))
    }

    /// As a JSON value.
    ///
    /// # Errors
    /// As [`Manifest::to_json`].
    pub fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(crate::ErrorKind::Io, "can't write the manifest").because(e))
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `Corrupt`, or `Unsupported` for one of a later version.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let m: Manifest = serde_json::from_slice(text).map_err(|e| {
            Error::new(crate::ErrorKind::Corrupt, "not a manifest of ours").because(e)
        })?;
        if m.format != 1 {
            return Err(Error::unsupported(format!("manifest of format {}", m.format))
                .hint("it was written by a later isowright"));
        }
        Ok(m)
    }

    /// `SHA256SUMS` as `sha256sum -c` reads it, the manifest included. A name with a backslash or a
    /// byte that is not UTF-8 is spelled as it is: only `\` and newline need an escape there, and a
    /// [`TreePath`] holds no newline.
    ///
    /// # Errors
    /// As [`Manifest::to_json`].
    pub fn sums(&self) -> Result<Vec<u8>> {
        let own = crate::content::copy::digest(&self.to_json()?.into(), &|_| true)?;
        let manifest: TreePath = super::MANIFEST.parse()?;
        let mut out = Vec::new();
        let rows = self.files.iter().map(|f| (&f.path, f.sha256));
        for (path, sha) in rows.chain([(&manifest, own)]) {
            let name = path.as_bytes();
            if name.contains(&b'\\') {
                out.push(b'\\');
            }
            out.extend_from_slice(format!("{sha}  ").as_bytes());
            for &b in name {
                out.extend_from_slice(if b == b'\\' { b"\\\\" } else { std::slice::from_ref(&b) });
            }
            out.push(b'\n');
        }
        Ok(out)
    }
}
