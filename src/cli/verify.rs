//! `verify`.

use super::args::Verify;
use super::publish;
use super::term::{self, Bar};
use super::{Outcome, resolve};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::render::human;
use crate::publish::Progress;
use crate::publish::chain::{Chain, State};
use crate::publish::store::Target;
use crate::publish::verify::{self, Report, web};
use serde_json::json;
use std::fmt::Write;

pub fn run(a: &Verify) -> Result<Outcome> {
    let trusted = resolve::trusted(&a.cert)?;
    let bar = Bar::new(0);
    let path = "verify".parse()?;
    let watch = |n| bar.advance(&path, n);
    let trusts = !trusted.is_empty();
    let named = a.dir.to_str();
    let url = named.filter(|s| s.starts_with("http://") || s.starts_with("https://"));
    let r = match (url, named.filter(|s| Target::looks_like_one(s))) {
        (Some(url), _) => web::walk(url, web::Options { whole: a.whole, trusted }, &watch)?,
        (None, Some(to)) => {
            let store = publish::open(to, &a.store)?;
            verify::store::verify(&store, a.whole, &trusted, &bar)?
        }
        (None, None) => verify::verify(&a.dir, &trusted, &watch)?,
    };
    bar.end();
    let manifest = r.manifest.as_deref().filter(|_| a.chain);
    let chain = manifest.map(|m| Chain::of(m, &r, trusts));
    match a.json {
        true => {
            let mut v = json!({"ok": r.holds(), "files": r.files, "bytes": r.bytes, "entries": r.entries, "signatures": r.signatures, "signers": r.signers, "findings": r.findings});
            if let Some(c) = &chain {
                v["chain"] = json!({"whole": c.is_whole(), "links": c.links, "files": c.files});
            }
            let text = serde_json::to_string_pretty(&v)
                .map_err(|e| Error::new(ErrorKind::Io, "can't spell the report").because(e))?;
            term::out(&(text + "\n"));
        }
        false => {
            if let Some(c) = &chain {
                term::lines(&links(c));
            }
            term::out(&text(&a.dir.display().to_string(), &r));
        }
    }
    Ok(if r.holds() { Outcome::Done } else { Outcome::Different })
}

/// The links that all files share, a line for each file, and whether there is a gap.
fn links(c: &Chain) -> String {
    let mark = |s: State| match s {
        State::Held => "held  ",
        State::Gap => "GAP   ",
        State::Broken => "BROKEN",
    };
    let mut s = String::from("Chain\n");
    for l in &c.links {
        let _ = writeln!(s, "   {}  {:<20}  {}", mark(l.state), l.link, l.how);
    }
    s.push_str("Files, their SHA-256, and where their bytes came from\n");
    for f in &c.files {
        let _ = writeln!(s, "   {}  {}  {} <- {}", mark(f.state), f.sha256, f.path, f.from);
    }
    s.push_str(match c.is_whole() {
        true => "The chain is whole.\n",
        false => "The chain has a gap.\n",
    });
    s
}

/// A line for each finding, each hint once, and a verdict.
fn text(what: &str, r: &Report) -> String {
    let mut s = String::new();
    let mut hints: Vec<&str> = Vec::new();
    for f in &r.findings {
        let mark = if f.broken { "BROKEN" } else { "note" };
        let _ = writeln!(s, "{mark}: {}: {}", term::safe(&f.path), term::safe(&f.what));
        hints.extend(f.hint.as_deref().filter(|h| !hints.contains(h)));
    }
    for h in hints {
        let _ = writeln!(s, "hint: {}", term::safe(h));
    }
    if r.signatures > 0 {
        let by: Vec<&str> = r.signers.iter().map(String::as_str).collect();
        let _ = writeln!(s, "{} signatures hold, by {}", r.signatures, term::safe(&by.join(", ")));
    }
    let verdict = if r.holds() { "holds" } else { "DOES NOT HOLD" };
    // A store is looked at by what it lists: no bytes are read there, and no boot entries.
    let bytes = if r.bytes > 0 { format!(", {}", human(r.bytes)) } else { String::new() };
    let entries =
        if r.entries > 0 { format!(", {} boot entries", r.entries) } else { String::new() };
    let _ = writeln!(s, "{what}: {} files{bytes}{entries}: {verdict}", r.files);
    s
}
