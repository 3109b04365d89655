//! `initrd`: what lies in an initrd, and initrds with other files in them.

pub mod args;
mod extract;
mod folder;
mod write;

use super::{Outcome, term};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{NodeKind, Special};
use crate::error::{Error, ErrorKind, Result};
use crate::format::compress::Codec;
use crate::format::initrd::{self, Entry, Inside, Segment, What};
use crate::plan::render::human;
use args::{Cat, InitrdVerb, Inspect, Ls};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Runs one of the verbs.
///
/// # Errors
/// As the verb.
pub fn run(verb: &InitrdVerb) -> Result<Outcome> {
    match verb {
        InitrdVerb::Inspect(a) => inspect(a),
        InitrdVerb::Ls(a) => ls(a),
        InitrdVerb::Cat(a) => cat(a),
        InitrdVerb::Extract(a) => extract::run(a),
        InitrdVerb::Append(a) => write::append(a),
        InitrdVerb::Repack(a) => write::repack(a),
    }
}

/// An error of reading `file`, with its name and what may be done.
fn of(file: &Path) -> impl Fn(Error) -> Error {
    let name = file.display().to_string();
    move |e| {
        let corrupt = e.kind() == ErrorKind::Corrupt;
        let e = e.source_name(&name);
        match corrupt {
            true => e.hint(
                "it may be cut short or be no initrd: compare its size and checksum with the vendor's",
            ),
            false => e,
        }
    }
}

fn look(file: &Path) -> Result<(Content, Inside)> {
    let content = Content::open(file)?;
    if content.is_empty() {
        return Err(Error::new(ErrorKind::Corrupt, "the file is empty")).map_err(of(file));
    }
    let inside = Inside::of(&content).map_err(of(file))?;
    let is_root = |e: &Entry| matches!(&e.header.name[..], b"." | b"/" | b"./");
    let unshown =
        inside.entries.iter().filter(|e| e.header.path().is_none() && !is_root(e)).count();
    if unshown > 0 {
        eprintln!("note: {unshown} names with control bytes or .. in them are passed over");
    }
    Ok((content, inside))
}

fn inspect(a: &Inspect) -> Result<Outcome> {
    let (content, inside) = look(&a.file)?;
    let notes: Vec<String> = inside.segments.iter().filter_map(|s| note(&content, s)).collect();
    if a.json {
        let v = json!({
            "name": a.file.display().to_string(),
            "size": content.len(),
            "segments": inside.segments,
            "notes": notes,
        });
        term::out(&format!("{v:#}\n"));
        return Ok(Outcome::Done);
    }
    let mut s =
        format!("{} ({})\n", term::safe(&a.file.display().to_string()), human(content.len()));
    let _ = writeln!(s, "      offset      length  what         unpacked  entries");
    for g in &inside.segments {
        let what = match g.what {
            What::Padding => "zeros",
            What::Cpio => "cpio",
            What::Compressed => g.codec.name(),
        };
        let _ = write!(s, "  {:>#10x} {:>11}  {what:<9}", g.offset, human(g.len));
        if g.what != What::Padding {
            let c = &g.entries;
            let _ = write!(
                s,
                " {:>11}  {}: {} files, {} folders, {} links, {} special",
                human(g.unpacked),
                c.total(),
                c.files,
                c.folders,
                c.symlinks,
                c.special
            );
            if g.archives != 1 {
                let _ = write!(s, ", in {} archives", g.archives);
            }
        }
        s.push('\n');
    }
    for n in notes {
        let _ = writeln!(s, "note: {n}");
    }
    term::out(&s);
    Ok(Outcome::Done)
}

/// What the kernel may not take of a segment that we do.
fn note(content: &Content, s: &Segment) -> Option<String> {
    let mut flags = [0; 8];
    content.read_at(&mut flags, s.offset).ok()?;
    // Stream flags, xz file format 2.1.1.2.
    let check = match (s.codec, flags[7]) {
        (Codec::Xz, 4) => "CRC64",
        (Codec::Xz, 10) => "SHA-256",
        _ => return None,
    };
    Some(format!(
        "the xz member at {:#x} is checked by {check}, which the kernel does not know: xz --check=crc32",
        s.offset
    ))
}

fn ls(a: &Ls) -> Result<Outcome> {
    let (_, inside) = look(&a.file)?;
    let within = match &a.path {
        None => TreePath::root(),
        Some(p) => {
            let at = inside.tree.resolve(&TreePath::new(p)?)?;
            if !at.is_root() && inside.tree.get(&at).is_none() {
                return Err(Error::new(ErrorKind::NotFound, "no such file or folder")
                    .path(p)
                    .source_name(a.file.display())
                    .hint("`isowright initrd ls` without a path lists all"));
            }
            at
        }
    };
    let nodes = inside.nodes().filter(|(p, _)| p.starts_with(&within));
    if a.json {
        let rows: Vec<_> = nodes.map(|(p, e)| row(&inside, p, e)).collect();
        term::out(&format!("{:#}\n", serde_json::Value::from(rows)));
        return Ok(Outcome::Done);
    }
    let mut s = String::new();
    for (p, e) in nodes {
        if a.long {
            let h = &e.header;
            let size = match e.header.special() {
                Some(Special::Char(major, minor) | Special::Block(major, minor)) => {
                    format!("{major}, {minor}")
                }
                _ => bytes(&inside, e).to_string(),
            };
            let owner = format!("{}:{}", h.uid, h.gid);
            let _ = write!(s, "{}{:04o} {owner:>9} {size:>11} ", kind(e).0, h.mode & 0o7777);
        }
        let _ = write!(s, "{}", term::safe(&p.to_string()));
        if e.header.is_dir() {
            s.push('/');
        }
        if let (Some(t), true) = (&e.target, a.long) {
            let _ = write!(s, " -> {}", term::safe(&String::from_utf8_lossy(t)));
        }
        s.push('\n');
    }
    term::out(&s);
    Ok(Outcome::Done)
}

/// A file's bytes, where they stand with another of its names too.
fn bytes(inside: &Inside, e: &Entry) -> u32 {
    inside.entries[inside.bytes_of(e.at.entry)].header.size
}

fn kind(e: &Entry) -> (char, &'static str) {
    match e.header.special() {
        _ if e.header.is_dir() => ('d', "dir"),
        _ if e.header.is_symlink() => ('l', "symlink"),
        Some(Special::Fifo) => ('p', "fifo"),
        Some(Special::Socket) => ('s', "socket"),
        Some(Special::Char(..)) => ('c', "char-device"),
        Some(Special::Block(..)) => ('b', "block-device"),
        None => ('-', "file"),
    }
}

fn row(inside: &Inside, p: &TreePath, e: &Entry) -> serde_json::Value {
    let h = &e.header;
    let mut v = json!({
        "path": p,
        "type": kind(e).1,
        "mode": format!("{:04o}", h.mode & 0o7777),
        "uid": h.uid,
        "gid": h.gid,
        "size": bytes(inside, e),
        "mtime": h.mtime,
        "segment": e.at.segment,
    });
    if let Some(t) = &e.target {
        v["target"] = String::from_utf8_lossy(t).into();
    }
    if let Some(Special::Char(major, minor) | Special::Block(major, minor)) = h.special() {
        v["device"] = json!([major, minor]);
    }
    if h.is_hard_link() {
        v["hard_link"] = format!("{}:{}", e.at.archive, h.ino).into();
    }
    v
}

/// A text file of at most so many bytes is shown on a terminal.
const SHOWN: u64 = 64 << 20;

fn cat(a: &Cat) -> Result<Outcome> {
    let (content, inside) = look(&a.file)?;
    let path = TreePath::new(&a.path)?;
    let entry = inside.file(&path).map_err(|e| {
        e.source_name(a.file.display()).hint("`isowright initrd ls` lists all files")
    })?;
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let size = u64::from(inside.entries[entry].header.size);
        let mut text = Vec::new();
        if size <= SHOWN {
            initrd::cat(&content, entry, &mut |b| b.copy(&mut text)).map_err(of(&a.file))?;
        }
        if size > SHOWN || text.contains(&0) {
            return Err(Error::usage("that is binary, and this is a terminal")
                .path(&path)
                .hint("redirect it: isowright initrd cat … > file"));
        }
        // On a terminal escapes are shown, not obeyed.
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = |l: &str| l.split('\t').map(term::safe).collect::<Vec<_>>().join("\t");
        term::out(&text.split('\n').map(line).collect::<Vec<_>>().join("\n"));
        return Ok(Outcome::Done);
    }
    let done = initrd::cat(&content, entry, &mut |b| {
        let mut piece = |b: &[u8]| {
            out.write_all(b).map_err(|e| Error::io("can't write", e))?;
            term::stopped()
        };
        while b.piece(&mut piece)? {}
        out.flush().map_err(|e| Error::io("can't write", e))
    });
    match done {
        Err(e) if e.to_string().contains("Broken pipe") => Ok(Outcome::Done),
        other => other.map(|()| Outcome::Done).map_err(of(&a.file)),
    }
}

/// True for what a folder of the output can't hold: it lies behind a link.
fn behind_a_link(inside: &Inside, path: &TreePath) -> bool {
    let above = std::iter::successors(path.parent(), TreePath::parent);
    let mut nodes = above.filter_map(|p| inside.tree.get(&p));
    nodes.any(|n| !matches!(n.kind, NodeKind::Dir))
}
