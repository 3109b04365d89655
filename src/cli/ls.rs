//! `ls` and `cat`.

use super::args::{Cat, Ls};
use super::{Outcome, resolve, term};
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Special};
use crate::error::{Error, ErrorKind, Result};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::mem::ManuallyDrop;

/// Printed at a time, in bytes.
const PIECE: usize = 64 << 10;

pub fn run(a: &Ls) -> Result<Outcome> {
    // The process ends here: to free 100,000 nodes one by one would take as long as to print them.
    let media = ManuallyDrop::new(resolve::open(&a.image)?);
    let (inside, tree, path) = resolve::place(&media, a.path.as_deref().unwrap_or("/"))?;
    let at = tree.resolve(&path)?;
    let one = tree.get(&at).filter(|n| !n.is_dir());
    if one.is_none() && !at.is_root() && tree.get(&at).is_none() {
        return Err(Error::new(ErrorKind::NotFound, "no such file or folder")
            .path(format!("{inside}{path}"))
            .source_name(&media.name)
            .hint("`isowright ls -R` lists all; names are case-sensitive"));
    }
    // Below a file there is nothing.
    let below = tree.below(&at).filter(|(p, _)| a.recursive || p.is_in(&at));
    let nodes = one.map(|n| (&at, n)).into_iter().chain(below);
    if a.json {
        let rows: Vec<_> = nodes.map(|(p, n)| row(&inside, p, n)).collect();
        term::out(&format!("{:#}\n", serde_json::Value::from(rows)));
        return Ok(Outcome::Done);
    }
    let mut s = Vec::with_capacity(PIECE + 8192);
    for (p, n) in nodes {
        if a.long {
            s.extend_from_slice(long(n).as_bytes());
        }
        let shown = if a.recursive { p.as_bytes() } else { p.name() };
        // No path has control characters, and those that are as bad are not ASCII.
        if shown.is_ascii() {
            s.extend_from_slice(shown);
        } else {
            s.extend_from_slice(term::safe(&TreePath::new(shown)?.to_string()).as_bytes());
        }
        if n.is_dir() {
            s.push(b'/');
        }
        if let (NodeKind::Symlink(t), true) = (&n.kind, a.long) {
            let _ = write!(s, " -> {}", term::safe(&String::from_utf8_lossy(t)));
        }
        s.push(b'\n');
        if s.len() >= PIECE {
            term::out_bytes(&s);
            s.clear();
        }
    }
    term::out_bytes(&s);
    Ok(Outcome::Done)
}

fn kind(n: &Node) -> (char, &'static str) {
    match n.kind {
        NodeKind::File(_) => ('-', "file"),
        NodeKind::Dir => ('d', "dir"),
        NodeKind::Symlink(_) => ('l', "symlink"),
        NodeKind::Special(Special::Fifo) => ('p', "fifo"),
        NodeKind::Special(Special::Socket) => ('s', "socket"),
        NodeKind::Special(Special::Char(..)) => ('c', "char-device"),
        NodeKind::Special(Special::Block(..)) => ('b', "block-device"),
    }
}

fn long(n: &Node) -> String {
    format!("{}{:04o} {:>13} ", kind(n).0, n.mode, n.size())
}

fn row(inside: &str, p: &TreePath, n: &Node) -> serde_json::Value {
    let mut v = json!({
        "path": format!("{inside}{p}"),
        "type": kind(n).1,
        "mode": format!("{:04o}", n.mode),
        "size": n.size(),
    });
    if let Some(t) = n.mtime {
        v["mtime"] = t.into();
    }
    match &n.kind {
        NodeKind::Symlink(t) => v["target"] = String::from_utf8_lossy(t).into(),
        NodeKind::File(c) => {
            if let (Some((_, off)), 1) = (c.origin(), c.segments().count()) {
                v["offset"] = off.into();
            }
        }
        _ => {}
    }
    v
}

pub fn cat(a: &Cat) -> Result<Outcome> {
    let media = resolve::open(&a.image)?;
    let content = media.file(&a.path)?;
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let head = content.slice(0..content.len().min(4096))?.read_all(4096)?;
        if head.contains(&0) {
            return Err(Error::usage("that is binary, and this is a terminal")
                .path(&a.path)
                .hint("redirect it: isowright cat … > file"));
        }
        // On a terminal escapes are shown, not obeyed.
        let text = content.read_all(64 << 20)?;
        let lines: Vec<String> = String::from_utf8_lossy(&text)
            .split('\n')
            .map(|l| l.split('\t').map(term::safe).collect::<Vec<_>>().join("\t"))
            .collect();
        term::out(&lines.join("\n"));
        return Ok(Outcome::Done);
    }
    let stop = |_| !term::STOP.load(std::sync::atomic::Ordering::Relaxed);
    match crate::content::copy::to_writer(&content, &mut out, false, &stop) {
        Err(e) if e.to_string().contains("Broken pipe") => Ok(Outcome::Done),
        Err(e) => Err(e),
        Ok(_) => {
            out.flush().map_err(|e| Error::io("can't write", e))?;
            Ok(Outcome::Done)
        }
    }
}
