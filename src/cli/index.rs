//! `index`: one menu over the trees beside each other.

use super::args::Index;
use super::{Outcome, resolve, term};
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::Disks;
use crate::plan;
use crate::publish::dir::DirSink;
use crate::publish::manifest::Manifest;
use crate::publish::{MANIFEST, PutMeta, Sink, Unwatched};
use std::fmt::Write;

/// The menu's name.
pub(super) const NAME: &str = "index.ipxe";

pub fn run(a: &Index) -> Result<Outcome> {
    let dirs = std::fs::read_dir(&a.dir).map_err(|e| {
        Error::io("can't read the folder", e)
            .source_name(a.dir.display())
            .hint("give the folder that holds the trees")
    })?;
    let mut trees = Vec::new();
    for d in dirs.flatten() {
        let manifest = d.path().join(MANIFEST);
        if manifest.exists() && d.path().join("boot.ipxe").exists() {
            let m = Manifest::from_json(&resolve::read_file(&manifest, 256 << 20)?)
                .map_err(|e| e.source_name(manifest.display()))?;
            trees.push(Entry {
                dir: d.file_name().to_string_lossy().into_owned(),
                title: m.title,
                disks: m.disks,
                unattended: m.unattended,
            });
        }
    }
    if trees.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no trees in the folder")
            .source_name(a.dir.display())
            .hint("build some first: isowright build some.iso -o DIR/some"));
    }
    trees.sort_by(|x, y| x.dir.cmp(&y.dir));
    let text = menu(&trees)?;
    if a.dry_run {
        term::out(&text);
        return Ok(Outcome::Done);
    }
    let sink = DirSink::loose(&a.dir)?;
    let meta = PutMeta { mode: 0o644, mtime: None, hash: false };
    sink.put(&NAME.parse()?, &text.into(), meta, &Unwatched)?;
    sink.finish()?;
    term::out(&format!("{} trees in {}/{NAME}\n", trees.len(), a.dir.display()));
    Ok(Outcome::Done)
}

/// A tree of the menu.
pub(super) struct Entry {
    /// Its folder beside the menu.
    pub dir: String,
    /// What the menu calls it.
    pub title: String,
    /// What becomes of a machine's disks.
    pub disks: Disks,
    /// Whether they are wiped without a question.
    pub unattended: bool,
}

/// A machine nobody looks after must not install anything: the menu waits for a minute, then goes on
/// to the next boot device. A tree's script without `${cwduri}` goes by the lease's filename, which is the
/// menu's: it is made the script's.
pub(super) fn menu(trees: &[Entry]) -> Result<String> {
    let mut s = String::from("#!ipxe\nmenu isowright\n");
    for (i, m) in trees.iter().enumerate() {
        let wipes = match &m.disks {
            Disks::AsOwn { .. } => " - MAY WIPE THE DISKS",
            _ if m.unattended => " - WIPES THE DISKS",
            _ => "",
        };
        let _ = writeln!(s, "item tree{i} {}{wipes}", plan::printable(&m.title));
    }
    s.push_str("item next Next boot device\nchoose --default next --timeout 60000 tree || goto next\ngoto ${tree}\n");
    for (i, m) in trees.iter().enumerate() {
        let script = format!("{}/boot.ipxe", url_path(&m.dir)?);
        let _ = writeln!(
            s,
            ":tree{i}\nisset ${{filename}} && set filename ${{filename}}/../{script} ||\n\
             chain {script} || goto next"
        );
    }
    s.push_str(":next\nexit 1\n");
    Ok(s)
}

/// A folder's name as part of a URL.
fn url_path(dir: &str) -> Result<String> {
    let mut s = String::new();
    for b in dir.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                s.push(char::from(b))
            }
            _ => write!(s, "%{b:02X}")
                .map_err(|e| Error::new(ErrorKind::Io, "can't spell the URL").because(e))?,
        }
    }
    Ok(s)
}
