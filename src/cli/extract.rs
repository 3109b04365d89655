//! `extract`: files out of the ISO and out of FAT images in it, straight from their extents.

use super::args::Extract;
use super::term::{self, Bar};
use super::{Outcome, resolve};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::content::tree::{Node, NodeKind, Tree};
use crate::error::{Error, ErrorKind, Result};
use crate::media::Media;
use crate::plan::render::human;
use crate::publish::dir::DirSink;
use crate::publish::{PutMeta, Sink, in_parallel};
use globset::{GlobBuilder, GlobMatcher};
use std::fmt::Write;

/// One thing to write: where, and what.
struct Item<'a> {
    to: TreePath,
    node: &'a Node,
}

pub fn run(a: &Extract) -> Result<Outcome> {
    let media = resolve::open(&a.image)?;
    let items = select(&media, &a.paths)?;
    if a.dry_run {
        let mut s = String::new();
        for i in &items {
            let _ = writeln!(s, "{:>13} {}", i.node.size(), term::safe(&i.to.to_string()));
        }
        term::out(&s);
        return Ok(Outcome::Done);
    }
    let total: u64 = items.iter().filter_map(|i| i.node.content()).map(Content::len).sum();
    let sink = DirSink::loose(&a.output)?;
    let bar = Bar::new(total);
    write(&sink, &items, &bar).map_err(|e| e.source_name(a.output.display()))?;
    sink.finish()?;
    bar.end();
    if a.json {
        return report(&items);
    }
    for n in media.notes() {
        eprintln!("note: {}", term::safe(n));
    }
    let skipped: Vec<&Item> =
        items.iter().filter(|i| matches!(i.node.kind, NodeKind::Special(_))).collect();
    for i in &skipped {
        eprintln!(
            "note: {} is a device, pipe or socket and was left out",
            term::safe(&i.to.to_string())
        );
    }
    let files = items.iter().filter(|i| i.node.content().is_some()).count();
    term::out(&format!("{files} files, {} in {}\n", human(total), a.output.display()));
    Ok(Outcome::Done)
}

/// One row per item; a device, pipe or socket was left out.
fn report(items: &[Item]) -> Result<Outcome> {
    let row = |i: &Item| {
        let special = matches!(i.node.kind, NodeKind::Special(_));
        serde_json::json!({"path": i.to, "size": i.node.size(), "written": !special})
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    term::out(&format!("{:#}\n", serde_json::Value::from(rows)));
    Ok(Outcome::Done)
}

/// Folders, then files, then links, last the folders' modes: nothing is ever
/// written through a link, and a read-only folder takes its files first.
fn write(sink: &DirSink, items: &[Item], bar: &Bar) -> Result<()> {
    for i in items.iter().filter(|i| i.node.is_dir()) {
        sink.make_dir(&i.to)?;
    }
    let files: Vec<(&Item, &Content)> =
        items.iter().filter_map(|i| i.node.content().map(|c| (i, c))).collect();
    crate::content::wanted(files.iter().map(|(_, c)| *c));
    in_parallel(&files, |(i, content)| {
        let meta = PutMeta { mode: i.node.mode, mtime: i.node.mtime, hash: false };
        sink.put(&i.to, content, meta, bar).map(drop)
    })?;
    for i in items {
        if let NodeKind::Symlink(target) = &i.node.kind {
            sink.symlink(&i.to, target)?;
        }
    }
    for i in items.iter().rev().filter(|i| i.node.is_dir()) {
        // Never so strict that the owner can't delete it again.
        sink.set_dir_mode(&i.to, i.node.mode | 0o700)?;
    }
    Ok(())
}

fn select<'a>(media: &'a Media, wanted: &[String]) -> Result<Vec<Item<'a>>> {
    if wanted.is_empty() {
        let all = media.tree.iter().map(|(p, node)| Item { to: p.clone(), node });
        return Ok(all.collect());
    }
    let mut items: Vec<Item> = Vec::new();
    for w in wanted {
        let before = items.len();
        let spec = w.strip_prefix("iso:").unwrap_or(w);
        match resolve::in_image(media, spec) {
            None => matching(&media.tree, spec, &TreePath::root(), &mut items)?,
            Some((image, inner)) => {
                let image = glob(image)?;
                for f in &media.fat_images {
                    if image.is_match(&f.name) {
                        let below = TreePath::new(format!("{}!", f.name))?;
                        matching(&f.tree, inner, &below, &mut items)?;
                    }
                }
            }
        }
        if items.len() == before {
            return Err(Error::new(ErrorKind::NotFound, format!("\"{w}\" matches nothing"))
                .source_name(&media.name)
                .hint(
                    "`isowright ls -R` lists all; quote globs, so that the shell leaves them alone",
                ));
        }
    }
    items.sort_by(|a, b| a.to.cmp(&b.to));
    items.dedup_by(|a, b| a.to == b.to);
    Ok(items)
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    let trimmed = pattern.trim_matches('/');
    GlobBuilder::new(trimmed)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| Error::usage(format!("bad pattern \"{pattern}\"")).because(e))
}

/// A literal path wins over its reading as a glob, so that `[` in a name needs no escape. What lies
/// below a matching folder comes along.
fn matching<'a>(
    tree: &'a Tree,
    pattern: &str,
    below: &TreePath,
    items: &mut Vec<Item<'a>>,
) -> Result<()> {
    let mut take = |p: &TreePath, node: &'a Node| items.push(Item { to: below.join_path(p), node });
    let literal = TreePath::new(pattern)?;
    let exact = literal.is_root() || tree.get(&literal).is_some();
    let g = glob(pattern)?;
    for (p, node) in tree.iter() {
        let hit = |p: &TreePath| if exact { *p == literal } else { g.is_match(p.as_path()) };
        let above = std::iter::successors(Some(p.clone()), TreePath::parent).any(|a| hit(&a));
        if above {
            take(p, node);
        }
    }
    Ok(())
}
