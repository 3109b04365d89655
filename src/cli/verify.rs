//! `verify`.

use super::Outcome;
use super::args::Verify;
use super::publish;
use super::term::{self, Bar};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::render::human;
use crate::publish::store::Target;
use crate::publish::{Progress, verify};
use serde_json::json;
use std::fmt::Write;

pub fn run(a: &Verify) -> Result<Outcome> {
    let bar = Bar::new(0);
    let path = "verify".parse()?;
    let to = a.dir.to_str().filter(|s| Target::looks_like_one(s));
    let r = match to {
        Some(to) => verify::store::verify(&publish::open(to, &a.store)?, a.whole, &bar)?,
        None => verify::verify(&a.dir, &|n| bar.advance(&path, n))?,
    };
    bar.end();
    if a.json {
        let v = json!({"ok": r.holds(), "files": r.files, "bytes": r.bytes, "entries": r.entries, "findings": r.findings});
        let text = serde_json::to_string_pretty(&v)
            .map_err(|e| Error::new(ErrorKind::Io, "can't spell the report").because(e))?;
        term::out(&(text + "\n"));
    } else {
        let mut s = String::new();
        for f in &r.findings {
            let mark = if f.broken { "BROKEN" } else { "note" };
            let _ = writeln!(s, "{mark}: {}: {}", term::safe(&f.path), term::safe(&f.what));
        }
        let verdict = if r.holds() { "holds" } else { "DOES NOT HOLD" };
        let _ = writeln!(
            s,
            "{}: {} files, {}, {} boot entries: {verdict}",
            a.dir.display(),
            r.files,
            human(r.bytes),
            r.entries
        );
        term::out(&s);
    }
    Ok(if r.holds() { Outcome::Done } else { Outcome::Different })
}
