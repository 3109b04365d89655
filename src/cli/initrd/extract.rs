//! `initrd extract`. Nothing is written outside the folder: each part of a path is opened from its
//! parent without following links, and links come last.

use super::args::Extract;
use super::{behind_a_link, bytes, look, of};
use crate::cli::Outcome;
use crate::cli::term::{self, Bar};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::initrd::{self, Entry, Inside};
use crate::plan::render::human;
use crate::publish::dir::{DirSink, nodes};
use crate::publish::{Progress, PutMeta};
use globset::GlobBuilder;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

type Item<'a> = (&'a TreePath, &'a Entry);

pub fn run(a: &Extract) -> Result<Outcome> {
    let (content, inside) = look(&a.file)?;
    let items = select(&inside, &a.paths).map_err(|e| e.source_name(a.file.display()))?;
    let (items, behind): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|(p, _)| !behind_a_link(&inside, p));
    for (p, _) in behind {
        eprintln!("note: {} lies behind a link and was left out", term::safe(&p.to_string()));
    }
    let Some(output) = a.output.as_deref().filter(|_| !a.dry_run) else {
        let mut s = String::new();
        for (p, e) in &items {
            let _ = writeln!(s, "{:>13} {}", bytes(&inside, e), term::safe(&p.to_string()));
        }
        term::out(&s);
        return Ok(Outcome::Done);
    };
    let files: Vec<Item> = items.iter().copied().filter(|(_, e)| is_file(e)).collect();
    // A file's bytes once, however many names it has.
    let once: HashMap<usize, u32> =
        files.iter().map(|(_, e)| (inside.bytes_of(e.at.entry), bytes(&inside, e))).collect();
    let total: u64 = once.into_values().map(u64::from).sum();
    let sink = DirSink::loose(output)?;
    let bar = Bar::new(total);
    for (p, _) in items.iter().filter(|(_, e)| e.header.is_dir()) {
        sink.make_dir(p)?;
    }
    let job = Job { sink: &sink, inside: &inside, bar: &bar };
    job.files(&content, &files).map_err(of(&a.file))?;
    let left_out = job.rest(&items).map_err(|e| e.source_name(output.display()))?;
    bar.end();
    if left_out > 0 {
        eprintln!("note: {left_out} devices were left out: only root can make them");
    }
    let (n, dir) = (files.len(), output.display());
    term::out(&format!("{n} files, {} in {dir}\n", human(total)));
    Ok(Outcome::Done)
}

fn is_file(e: &Entry) -> bool {
    !e.header.is_dir() && !e.header.is_symlink() && e.header.special().is_none()
}

fn owner(e: &Entry) -> Option<nodes::Owner> {
    nodes::is_root().then_some((e.header.uid, e.header.gid))
}

struct Job<'a> {
    sink: &'a DirSink,
    inside: &'a Inside,
    bar: &'a Bar,
}

impl Job<'_> {
    /// Files as they come out of the initrd; other names of the same file are linked to the first.
    fn files(&self, content: &Content, files: &[Item]) -> Result<()> {
        let mut names: HashMap<usize, Vec<Item>> = HashMap::new();
        for (p, e) in files {
            names.entry(self.inside.bytes_of(e.at.entry)).or_default().push((p, e));
        }
        initrd::walk(content, true, &mut |at, _, body| {
            term::stopped()?;
            let Some(names) = names.get(&at.entry) else { return Ok(()) };
            let (first, e) = names[0];
            let mtime = Some(i64::from(e.header.mtime));
            let meta = PutMeta { mode: e.header.mode & 0o7777, mtime, hash: false };
            self.sink.put_stream(first, meta, owner(e), &mut |file| {
                let mut piece = |b: &[u8]| {
                    file.write_all(b).map_err(|e| Error::io("can't write", e))?;
                    self.bar.advance(first, b.len() as u64);
                    term::stopped()
                };
                while body.piece(&mut piece)? {}
                Ok(())
            })?;
            names[1..].iter().try_for_each(|(p, _)| self.sink.hard_link(first, p))
        })
        .map(drop)
    }

    /// Devices and links, last the folders' modes. Tells how many devices could not be made.
    fn rest(&self, items: &[Item]) -> Result<usize> {
        let mut left_out = 0;
        for (p, e) in items {
            if let Some(target) = &e.target {
                self.sink.symlink(p, target)?;
            } else if let Some(s) = e.header.special() {
                if !self.sink.special(p, s, e.header.mode & 0o7777)? {
                    left_out += 1;
                    continue;
                }
            } else {
                continue;
            }
            if let Some(o) = owner(e) {
                self.sink.own(p, o)?;
            }
        }
        for (p, e) in items.iter().rev().filter(|(_, e)| e.header.is_dir()) {
            if let Some(o) = owner(e) {
                self.sink.own(p, o)?;
            }
            // Never so strict that the owner can't delete it again.
            self.sink.set_dir_mode(p, e.header.mode & 0o7777 | 0o700)?;
        }
        Ok(left_out)
    }
}

/// What is asked for and what lies below it. A path wins over its reading as a glob.
fn select<'a>(inside: &'a Inside, wanted: &[String]) -> Result<Vec<Item<'a>>> {
    let mut tests = Vec::new();
    for w in wanted {
        let trimmed = w.trim_matches('/');
        let literal = TreePath::new(trimmed)?;
        let glob = GlobBuilder::new(trimmed)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|e| {
                Error::usage(format!("bad pattern \"{w}\""))
                    .because(e)
                    .hint("a [ or { of a name is written \\[ or \\{")
            })?
            .compile_matcher();
        let exact = inside.tree.get(&literal).is_some();
        let hit =
            move |p: &TreePath| if exact { *p == literal } else { glob.is_match(p.as_path()) };
        if !inside.nodes().any(|(p, _)| hit(p)) {
            return Err(Error::new(ErrorKind::NotFound, format!("\"{w}\" matches nothing")).hint(
                "`isowright initrd ls` lists all; quote globs, so that the shell leaves them alone",
            ));
        }
        tests.push(hit);
    }
    let asked = |p: &TreePath| {
        let mut above = std::iter::successors(Some(p.clone()), TreePath::parent);
        tests.is_empty() || above.any(|a| tests.iter().any(|hit| hit(&a)))
    };
    Ok(inside.nodes().filter(|(p, _)| asked(p)).collect())
}
