//! `recipe list | show | lint | schema`; `match` has a file of its own.

use super::args::{RecipeVerb, SchemaKind};
use super::{Outcome, label, resolve, term};
use crate::error::{Error, ErrorKind, Result};
use crate::model::hosts::HostsFile;
use crate::model::profile::Profile;
use crate::recipe::lint::{self, Severity};
use crate::recipe::{self, Proven, Recipe, job::Job, select};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

pub fn run(verb: &RecipeVerb) -> Result<Outcome> {
    match verb {
        RecipeVerb::List { recipes, json } => list(recipes.as_deref(), *json),
        RecipeVerb::Show { name, recipes } => show(name, recipes.as_deref()),
        RecipeVerb::Match(args) => label::run(args),
        RecipeVerb::Lint { file } => lint_file(file),
        RecipeVerb::Schema { kind } => schema(*kind),
    }
}

fn list(folder: Option<&Path>, as_json: bool) -> Result<Outcome> {
    let all = resolve::recipes(folder)?;
    if as_json {
        let rows: Vec<_> = all
            .iter()
            .map(|r| json!({"name": r.name, "title": r.title, "family": r.family, "proven": r.proven, "proven_by": r.proven_by}))
            .collect();
        term::out(&format!("{:#}\n", serde_json::Value::from(rows)));
        return Ok(Outcome::Done);
    }
    let mut s = String::new();
    for proven in [Proven::Boot, Proven::Validator, Proven::Documentation] {
        let group: Vec<&Recipe> = all.iter().filter(|r| r.proven == proven).collect();
        if !group.is_empty() {
            if !s.is_empty() {
                s.push('\n');
            }
            let _ = writeln!(s, "{}", legend(proven));
            proven_alike(&mut s, &group);
        }
    }
    term::out(&s);
    Ok(Outcome::Done)
}

fn legend(p: Proven) -> &'static str {
    match p {
        Proven::Boot => "Proven by boot: machines were started from it here",
        Proven::Validator => "Proven by validator: the installer's own, over its answers",
        Proven::Documentation => {
            "By documentation only: written from what the vendor says, and not tried"
        }
    }
}

/// Columns of the list.
const WIDTH: usize = 100;

/// Recipes under the sentence that says what was done; those without one first.
fn proven_alike(s: &mut String, group: &[&Recipe]) {
    let mut said: Vec<Option<&str>> = group.iter().map(|r| r.proven_by.as_deref()).collect();
    said.sort_unstable();
    said.dedup();
    for by in said {
        for line in by.map_or_else(Vec::new, |t| wrapped(&term::safe(t), WIDTH - 2)) {
            let _ = writeln!(s, "  {line}");
        }
        for r in group.iter().filter(|r| r.proven_by.as_deref() == by) {
            let title = wrapped(&term::safe(&r.title), WIDTH - 26);
            let first = title.first().map_or("", String::as_str);
            let _ = writeln!(s, "    {:<20}  {first}", r.name);
            for more in title.iter().skip(1) {
                let _ = writeln!(s, "{:26}{more}", "");
            }
        }
    }
}

/// `text` in lines of at most `width` columns; a longer word has one of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(l) if l.chars().count() + 1 + word.chars().count() <= width => {
                l.push(' ');
                l.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn severity(s: Severity) -> &'static str {
    match s {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn show(name: &str, folder: Option<&Path>) -> Result<Outcome> {
    let all = resolve::recipes(folder)?;
    let r: &Recipe = select::by_name(&all, name)?;
    term::out(&r.text);
    Ok(Outcome::Done)
}

fn clean(file: &Path) -> Outcome {
    term::out(&format!("{}: nothing to complain about\n", file.display()));
    Outcome::Done
}

/// By the tables and keys that only a profile has: one of them may be misspelt.
fn is_profile(text: &str) -> bool {
    let marks = ["console", "unattended", "extra_args", "[network", "[install", "[answers"];
    let starts = |l: &str| marks.iter().any(|m| l.starts_with(m));
    let other = |l: &str| {
        l.starts_with("[[match]]") || l.starts_with("[source]") || l.starts_with("family")
    };
    !text.lines().any(other) && text.lines().any(starts)
}

/// By the tables that only it has, or as a table of its own.
fn is_hosts(file: &Path, text: &str) -> bool {
    let starts = |l: &str| ["[[host]]", "[role.", "csv"].iter().any(|m| l.starts_with(m));
    file.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) || text.lines().any(starts)
}

fn lint_file(file: &Path) -> Result<Outcome> {
    let text = resolve::read_text(file)?;
    let read = if is_hosts(file, &text) {
        Some(resolve::hosts(file).map(drop))
    } else if is_profile(&text) {
        Some(Profile::from_toml(&text, &file.display().to_string()).map(drop))
    } else {
        None
    };
    match read {
        Some(Ok(())) => return Ok(clean(file)),
        Some(Err(e)) => {
            term::out(&format!("{}\n", term::safe(&e.to_string())));
            return Ok(Outcome::Different);
        }
        None => {}
    }
    let findings = lint::lint(&text, &recipe::bundled()?);
    if findings.is_empty() {
        return Ok(clean(file));
    }
    let mut s = String::new();
    for f in &findings {
        let _ = writeln!(
            s,
            "{}:{}: {}: {}",
            file.display(),
            f.line,
            severity(f.severity),
            term::safe(&f.message)
        );
    }
    term::out(&s);
    Ok(match findings.iter().any(|f| f.severity == Severity::Error) {
        true => Outcome::Different,
        false => Outcome::Done,
    })
}

fn schema(kind: SchemaKind) -> Result<Outcome> {
    let schema = match kind {
        SchemaKind::Recipe => schemars::schema_for!(recipe::Recipe),
        SchemaKind::Job => schemars::schema_for!(Job),
        SchemaKind::Profile => schemars::schema_for!(Profile),
        SchemaKind::Hosts => schemars::schema_for!(HostsFile),
    };
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|e| Error::new(ErrorKind::Io, "can't spell the schema").because(e))?;
    term::out(&(text + "\n"));
    Ok(Outcome::Done)
}
