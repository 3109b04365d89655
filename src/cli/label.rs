//! `recipe match`: a recipe by the label alone.

use super::args::MatchArgs;
use super::{Outcome, resolve, term};
use crate::error::{Error, Result};
use crate::media::identity::VolumeLabels;
use crate::media::labels::{Labels, Reading};
use crate::recipe::label;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes: a descriptor's fields have 450 between them.
const LINE: u64 = 1 << 20;

pub fn run(args: &MatchArgs) -> Result<Outcome> {
    let labels = label::labels(&resolve::recipes(args.recipes.as_deref())?)?;
    if let Some(file) = &args.tsv {
        return table(&labels, file);
    }
    let volume = VolumeLabels {
        volume_id: args.volume_id.clone().unwrap_or_default(),
        system_id: args.system_id.clone(),
        publisher: args.publisher.clone(),
        preparer: args.preparer.clone(),
        application: args.application.clone(),
    };
    let reading = labels.read(&volume);
    term::out(&match args.json {
        true => format!("{:#}\n", as_json(&reading)),
        false => as_text(&reading),
    });
    Ok(if reading.is_ok() { Outcome::Done } else { Outcome::Different })
}

fn as_text(reading: &std::result::Result<Reading, String>) -> String {
    let r = match reading {
        Ok(r) => r,
        Err(why) => return format!("unknown: {}\n", term::safe(why)),
    };
    let mut s = format!("{}\n", r.recipe);
    for (name, value) in [
        ("distro", Some(&r.distro)),
        ("version", r.version.as_ref()),
        ("arch", r.arch.as_ref()),
        ("variant", r.variant.as_ref()),
    ] {
        if let Some(value) = value {
            let _ = writeln!(s, "  {name:<10} {}", term::safe(value));
        }
    }
    let _ = write!(s, "  confidence {}", r.confidence.word());
    if !r.or.is_empty() {
        let _ = write!(s, "; media of {} have the same label", r.or.join(", "));
    }
    let _ = writeln!(s, "\n  evidence   {}", term::safe(&r.evidence.join(", ")));
    s
}

/// One object for known and unknown ones, the same keys in both.
fn as_json(reading: &std::result::Result<Reading, String>) -> Value {
    match reading {
        Ok(r) => json!({
            "recipe": r.recipe,
            "distro": r.distro,
            "version": r.version,
            "major": r.major(),
            "arch": r.arch,
            "variant": r.variant,
            "confidence": r.confidence,
            "or": r.or,
            "evidence": r.evidence,
        }),
        Err(why) => json!({
            "recipe": null,
            "distro": null,
            "version": null,
            "major": null,
            "arch": null,
            "variant": null,
            "confidence": null,
            "or": [],
            "evidence": [why],
        }),
    }
}

/// Reads a table and prints a line for each of its rows, in order. A row that can't be read is told of
/// by its number, unknown, and makes the exit code 1; the others are none the worse.
fn table(labels: &Labels, file: &Path) -> Result<Outcome> {
    let name = file.display().to_string();
    let input: Box<dyn Read> = match name.as_str() {
        "-" => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(file).map_err(|e| Error::io("can't open", e).source_name(&name))?),
    };
    let mut lines = Lines { input: BufReader::new(input), name, number: 0 };
    let fault = |lines: &Lines, what: &str| {
        Error::usage(what.to_owned())
            .source_name(format!("{}:{}", lines.name, lines.number.max(1)))
            .hint("a tab between columns, their names in the first line, volume_id among them")
    };
    let head = lines.next().transpose()?.unwrap_or_else(|| Ok(String::new()));
    let head = head.map_err(|what| fault(&lines, what))?;
    let columns = Columns::from_head(&head)
        .ok_or_else(|| fault(&lines, "the first line names no column volume_id"))?;
    let (mut out, mut outcome) = (String::new(), Outcome::Done);
    while let Some(line) = lines.next().transpose()? {
        let (volume, reading) = match line {
            Ok(line) => {
                let volume = columns.of(&line);
                let reading = labels.read(&volume);
                (volume, reading)
            }
            Err(what) => {
                eprintln!("{}:{}: {what}", term::safe(&lines.name), lines.number);
                outcome = Outcome::Different;
                (VolumeLabels::default(), Err(what.to_owned()))
            }
        };
        let mut row = json!({"line": lines.number, "volume_id": volume.volume_id});
        if let (Value::Object(row), Value::Object(reading)) = (&mut row, as_json(&reading)) {
            row.extend(reading);
        }
        let _ = writeln!(out, "{row}");
        if out.len() > 1 << 16 {
            term::out(&std::mem::take(&mut out));
        }
    }
    term::out(&out);
    Ok(outcome)
}

/// Lines of a file as text, whatever bytes they have, counted from 1; what is wrong with one instead,
/// where it can't be held.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    name: String,
    number: usize,
}

impl Iterator for Lines {
    type Item = Result<std::result::Result<String, &'static str>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(LINE + 1).read_until(b'\n', &mut bytes);
        self.number += 1;
        let read = match read {
            Ok(0) => return None,
            Ok(n) if n as u64 > LINE => {
                let rest =
                    if bytes.ends_with(b"\n") { Ok(0) } else { self.input.skip_until(b'\n') };
                rest.map(|_| Err("the line is over 1 MiB"))
            }
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(Ok(text.trim_end_matches(['\n', '\r']).to_owned()))
            }
            Err(e) => Err(e),
        };
        Some(read.map_err(|e| Error::io("can't read", e).source_name(&self.name)))
    }
}

/// Which column has which field.
#[derive(Debug, PartialEq, Eq)]
struct Columns {
    volume_id: usize,
    system_id: Option<usize>,
    publisher: Option<usize>,
    preparer: Option<usize>,
    application: Option<usize>,
}

impl Columns {
    fn from_head(head: &str) -> Option<Columns> {
        let names: Vec<String> = head
            .trim_start_matches('\u{feff}')
            .split('\t')
            .map(|n| unquoted(n).trim().to_ascii_lowercase())
            .collect();
        let at = |any: &[&str]| names.iter().position(|n| any.contains(&n.as_str()));
        Some(Columns {
            volume_id: at(&["volume_id"])?,
            system_id: at(&["system_id"]),
            publisher: at(&["publisher_id", "publisher"]),
            preparer: at(&["data_preparer_id", "preparer_id", "preparer"]),
            application: at(&["application_id", "application"]),
        })
    }

    /// A row's fields; those that a short one lacks are empty.
    fn of(&self, line: &str) -> VolumeLabels {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |at: Option<usize>| {
            let text = at.and_then(|at| fields.get(at)).copied().unwrap_or_default();
            unquoted(text).trim_matches([' ', '\0']).to_owned()
        };
        VolumeLabels {
            volume_id: field(Some(self.volume_id)),
            system_id: field(self.system_id),
            publisher: field(self.publisher),
            preparer: field(self.preparer),
            application: field(self.application),
        }
    }
}

/// A cell without the quotes that spreadsheets put around it, those in it doubled.
fn unquoted(cell: &str) -> Cow<'_, str> {
    match cell.trim().strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
        Some(inner) => Cow::Owned(inner.replace("\"\"", "\"")),
        None => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_short_rows_have_empty_fields() {
        let c = Columns::from_head("\u{feff}release\tPublisher_ID\tvolume_id ").expect("columns");
        assert_eq!((c.volume_id, c.publisher, c.system_id), (2, Some(1), None));
        assert_eq!(c.of("x\tACME\tDISK\0 \tmore").volume_id, "DISK");
        assert_eq!(c.of("x\tACME").publisher, "ACME");
        assert_eq!(c.of("").volume_id, "");
        assert_eq!(c.of("\t\"A \"\"B\"\"\"\t\" DISK \"").volume_id, "DISK");
        assert_eq!(c.of("\t\"A \"\"B\"\"\"\t\" DISK \"").publisher, "A \"B\"");
        assert_eq!(c.of("\t\"\t\"\"").publisher, "\"");
        let quoted = Columns::from_head("\u{feff}\"publisher\"\t\"Volume_ID\"").expect("columns");
        assert_eq!((quoted.volume_id, quoted.publisher), (1, Some(0)));
        assert_eq!(Columns::from_head("os\trelease"), None);
    }
}
