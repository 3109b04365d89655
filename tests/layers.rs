//! Who may depend on whom: every `crate::` path in `src/` is held against the table of DESIGN.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room -> rooms it may use. `error` and the room itself always are.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("content", &[]),
    ("model", &["content"]),
    ("format", &["content", "model"]),
    ("media", &["content", "model", "format"]),
    ("family", &["content", "model", "format"]),
    ("recipe", &["content", "model", "format", "media", "family"]),
    ("plan", &["content", "model", "format", "media", "family", "recipe"]),
    ("publish", &["content", "model", "format", "media", "family", "plan"]),
    ("serve", &["content", "model"]),
    ("boot", &["content", "model", "format", "serve"]),
    (
        "cli",
        &[
            "content", "model", "format", "media", "family", "recipe", "plan", "publish", "serve",
            "boot",
        ],
    ),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).unwrap().flatten() {
        if e.path().is_dir() {
            sources(&e.path(), out);
        } else if e.path().extension().is_some_and(|x| x == "rs") {
            out.push(e.path());
        }
    }
}

/// Rooms that a file's code names, comments left out, its tests too.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    let mut found = BTreeSet::new();
    for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + 7..];
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.chars().next().is_some_and(char::is_lowercase) {
                found.insert(name);
            }
            if let Some(list) = rest.strip_prefix('{') {
                for part in list.split('}').next().unwrap_or("").split(',') {
                    let name: String = part
                        .trim()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    if name.chars().next().is_some_and(char::is_lowercase) {
                        found.insert(name);
                    }
                }
            }
        }
    }
    found
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for f in &files {
        let rel = f.strip_prefix(&src).unwrap();
        let first = rel.components().next().unwrap().as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(r, _)| *r == room)
            .unwrap_or_else(|| panic!("{room} is not in the table"));
        seen.insert(room.clone());
        for used in rooms_named(&std::fs::read_to_string(f).unwrap()) {
            if used != room && used != "error" && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {room} may not use {used}", rel.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), MAY_USE.len(), "a room of the table is gone");
}

#[test]
fn only_cli_prints_and_reads_the_environment() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for f in files.iter().filter(|f| !f.starts_with(src.join("cli"))) {
        let text = std::fs::read_to_string(f).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for (n, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in ["println!", "eprintln!", "env::var", "env::args", "SystemTime::now"] {
                if line.contains(word) {
                    wrong.push(format!("{}:{}: {word}", f.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
