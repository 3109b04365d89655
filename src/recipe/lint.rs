//! `isowright recipe lint`: what is wrong with a recipe or job, with the line.

use super::job::Job;
use super::{Kind, Match, Recipe, kind_of, label};
use crate::content::path::TreePath;
use crate::family::Family;
use crate::format::preseed::Mirror;
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, but hardly as meant.
    Warning,
    /// It can't be used.
    Error,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Counts from 1.
    pub line: usize,
    /// How bad.
    pub severity: Severity,
    /// What and, where known, what was meant.
    pub message: String,
}

/// Looks at a recipe or a job; tells which by itself. `others`: the recipes it will stand beside.
pub fn lint(text: &str, others: &[Recipe]) -> Vec<Finding> {
    match kind_of(text) {
        Kind::Job => lint_job(text),
        Kind::Recipe => {
            let mut found = lint_recipe(text);
            if found.iter().all(|f| f.severity != Severity::Error)
                && let Ok(recipe) = toml::from_str::<Recipe>(text)
            {
                found.extend(shadowed(text, &recipe, others));
                found.extend(taken(text, &recipe, others));
            }
            found
        }
    }
}

/// A recipe by itself.
pub(crate) fn lint_recipe(text: &str) -> Vec<Finding> {
    let recipe: Recipe = match toml::from_str(text) {
        Ok(r) => r,
        Err(e) => return vec![parse_error(text, &e)],
    };
    let mut found = Vec::new();
    let name_ok = !recipe.name.is_empty()
        && recipe.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_ok {
        let message = format!("name \"{}\": lower case, digits and hyphens only", recipe.name);
        found.push(error(text, "name", message));
    }
    if recipe.matches.is_empty() && recipe.family != Family::Generic {
        found.push(error(text, "family", "no [[match]]: it would never be selected".into()));
    }
    for m in &recipe.matches {
        lint_match(text, m, &mut found);
    }
    for (nth, shape) in recipe.labels.iter().enumerate() {
        for (key, message) in label::faults(shape) {
            let line = label_line(text, nth, key);
            found.push(Finding { line, severity: Severity::Error, message });
        }
    }
    let globs = [
        &recipe.boot.kernel,
        &recipe.boot.initrd,
        &recipe.hosted.files,
        &recipe.ram.payload,
        &recipe.initrd.drop,
    ];
    for g in globs.into_iter().flatten() {
        lint_glob(text, g, &mut found);
    }
    if recipe.boot.kernel.is_empty() != recipe.boot.initrd.is_empty() {
        found.push(error(text, "[boot]", "kernel without initrd, or initrd without kernel".into()));
    }
    if recipe.hosted.tree && !recipe.hosted.files.is_empty() {
        let message = "hosted: the tree has the files in it already";
        found.push(warning(text, "[hosted]", message.into()));
    }
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic());
    if let Some(m) = &recipe.answers.mirror
        && !(word(m) && Mirror::from_url(m, false).is_some())
    {
        let message = format!("mirror \"{}\" is no http(s) URL", m.escape_debug());
        found.push(error(text, "[answers]", message));
    }
    if let Some(h) = &recipe.answers.hostname
        && (h.is_empty() || !h.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    {
        let message = format!("hostname \"{}\" is no host name", h.escape_debug());
        found.push(error(text, "[answers]", message));
    }
    for line in &recipe.answers.preseed {
        let words = line.split_whitespace().count();
        if words < 3 || line.chars().any(char::is_control) {
            let message = format!(
                "preseed \"{}\": a line has owner, question, type and value",
                line.escape_debug()
            );
            found.push(error(text, "preseed", message));
        }
    }
    if !recipe.ram.payload.is_empty() && recipe.ram.payload_percent == 0 {
        let message = "ram: payload without payload_percent counts for nothing";
        found.push(warning(text, "[ram]", message.into()));
    }
    found.sort_by_key(|f| f.line);
    found
}

fn lint_match(text: &str, m: &Match, found: &mut Vec<Finding>) {
    if m.files.is_empty() && m.distro.is_empty() {
        found.push(error(text, "[[match]]", "a match without files or distro".into()));
    }
    for g in m.files.iter().chain(&m.not_files) {
        lint_glob(text, g, found);
    }
}

fn lint_glob(text: &str, pattern: &str, found: &mut Vec<Finding>) {
    if let Err(e) = super::glob(pattern) {
        found.push(error(text, pattern, format!("\"{pattern}\": {}", e.kind())));
    } else if pattern.starts_with('/') {
        let message = format!("\"{pattern}\": paths on the medium have no leading /");
        found.push(error(text, pattern, message));
    } else if pattern.is_empty() || TreePath::new(pattern).is_err() {
        found.push(error(text, pattern, format!("\"{pattern}\" is no path on a medium")));
    }
}

/// Matches that another recipe's match would take as well, so that every such medium is ambiguous.
fn shadowed(text: &str, recipe: &Recipe, others: &[Recipe]) -> Vec<Finding> {
    let mut found = Vec::new();
    for other in others.iter().filter(|o| o.name != recipe.name) {
        let same = recipe.matches.iter().any(|m| other.matches.iter().any(|o| covers(o, m)));
        if same {
            let message = format!(
                "recipe \"{}\" matches every medium that this does; tell them apart by distro or files",
                other.name
            );
            found.push(warning(text, "[[match]]", message));
        }
    }
    found
}

/// Labels that are of another recipe's shape as well, so that they would say nothing.
fn taken(text: &str, recipe: &Recipe, others: &[Recipe]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (nth, shape) in recipe.labels.iter().enumerate() {
        let outline = label::Outline::of(shape);
        let other = label::shapes(others)
            .find(|(name, its)| *name != recipe.name && outline.overlaps(&label::Outline::of(its)));
        if let Some((name, its)) = other {
            let message = format!(
                "labels of this shape can be recipe \"{name}\"'s too (\"{}\")",
                its.volume_id
            );
            let line = label_line(text, nth, "volume_id");
            found.push(Finding { line, severity: Severity::Error, message });
        }
    }
    found
}

/// True where all that fits `narrow` fits `wide` too, and no less closely: a match that names the
/// distribution goes before one that does not.
fn covers(wide: &Match, narrow: &Match) -> bool {
    let in_narrow = |list: &[String], of: &[String]| list.iter().all(|x| of.contains(x));
    let distro = wide.distro.is_empty() == narrow.distro.is_empty()
        && in_narrow(&narrow.distro, &wide.distro);
    in_narrow(&wide.files, &narrow.files) && in_narrow(&wide.not_files, &narrow.not_files) && distro
}

fn lint_job(text: &str) -> Vec<Finding> {
    match toml::from_str::<Job>(text) {
        Err(e) => vec![parse_error(text, &e)],
        Ok(job) => {
            job.check().err().map(|e| error(text, "[source]", e.to_string())).into_iter().collect()
        }
    }
}

/// serde's message, with what was probably meant.
fn parse_error(text: &str, e: &toml::de::Error) -> Finding {
    let line = e.span().map_or(1, |s| line_of(text, s.start));
    let mut message = e.message().replace('\n', " ");
    if let Some(meant) = suggestion(&message) {
        message.push_str(&format!("; \"{meant}\" was meant?"));
    }
    Finding { line, severity: Severity::Error, message }
}

/// From "unknown field `kernal`, expected one of `kernel`, `initrd`", the one that is nearest.
fn suggestion(message: &str) -> Option<String> {
    let (head, tail) = message.split_once(", expected ")?;
    let bad = head.split('`').nth(1)?;
    let near = tail.split('`').skip(1).step_by(2).min_by_key(|w| distance(bad, w))?;
    (distance(bad, near) <= 1 + near.len() / 3).then(|| near.to_owned())
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

/// The first line that has `word`; 1 where none has.
fn find_line(text: &str, word: &str) -> usize {
    text.find(word).map_or(1, |at| line_of(text, at))
}

/// The line of `key` in the label table number `nth`, which counts from 0.
fn label_line(text: &str, nth: usize, key: &str) -> usize {
    let lines = || text.lines().map(str::trim_start).enumerate();
    let head = lines().filter(|(_, l)| l.starts_with("[[label]]")).nth(nth);
    let head = head.map_or(0, |(at, _)| at);
    lines().find(|(at, l)| *at > head && l.starts_with(key)).map_or(head, |(at, _)| at) + 1
}

fn error(text: &str, near: &str, message: String) -> Finding {
    Finding { line: find_line(text, near), severity: Severity::Error, message }
}

fn warning(text: &str, near: &str, message: String) -> Finding {
    Finding { line: find_line(text, near), severity: Severity::Warning, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"x\"\ntitle = \"X\"\nfamily = \"anaconda\"\nproven = \"boot\"\n\
                        [[match]]\nfiles = [\"a\"]\ndistro = [\"X\"]\n";

    #[test]
    fn the_bundled_recipes_are_clean_beside_each_other() {
        let all = super::super::bundled().expect("recipes");
        for (file, text) in super::super::BUNDLED {
            assert_eq!(lint(text, &all), [], "{file}");
        }
    }

    #[test]
    fn each_slip_is_told_with_its_line() {
        let bundled = super::super::bundled().expect("recipes");
        let label = |volume_id: &str, more: &str| {
            format!("{GOOD}[[label]]\nvolume_id = \"{volume_id}\"\ndistro = \"L\"\n{more}")
        };
        for (text, line, words) in [
            (GOOD.replace("title", "titel"), 2, "\"title\" was meant"),
            (GOOD.replace("\"anaconda\"", "\"anacondo\""), 3, "\"anaconda\" was meant"),
            (GOOD.replace("\"a\"", "\"/a\""), 6, "leading /"),
            (GOOD.replace("\"a\"", "\"a/../b\""), 6, "no path"),
            (GOOD.replace("\"a\"", "\"[a\""), 6, "[a"),
            (GOOD.replace("files = [\"a\"]\ndistro = [\"X\"]", ""), 5, "without files"),
            (label("(", ""), 9, "volume_id"),
            (label(".*", ""), 9, "without a label"),
            (label("rocky-9-4-x86_64-.*", ""), 9, "rocky"),
            (label("a", "from = \"x\"\n"), 11, "no version"),
            (label("a", "").replace("distro = \"L\"", "distro = \"\""), 10, "distro is empty"),
            (format!("{GOOD}[boot]\nkernel = [\"k\"]\n"), 8, "without initrd"),
            (format!("{GOOD}[netboot]\nwhy = \"x\"\n"), 8, "url"),
            (GOOD.replace("name = \"x\"", "name = \"X y\""), 1, "lower case"),
            (format!("{GOOD}[answers]\nmirror = \"ftp://x/y\"\n"), 8, "no http(s) URL"),
            (format!("{GOOD}[answers]\nmirror = \"http://x/y z\"\n"), 8, "no http(s) URL"),
            (format!("{GOOD}[answers]\nhostname = \"a b\"\n"), 8, "no host name"),
            (format!("{GOOD}[answers]\npreseed = [\"d-i x\"]\n"), 9, "owner, question, type"),
            (format!("{GOOD}[answers]\nkickstart = \"fedra\"\n"), 9, "\"fedora\" was meant"),
            (GOOD.replace("[[match]]", "[[match"), 5, ""),
        ] {
            let found = lint(&text, &bundled);
            let first = found.first().unwrap_or_else(|| panic!("nothing found in {text}"));
            assert_eq!((first.line, first.severity), (line, Severity::Error), "{first:?}");
            assert!(first.message.contains(words), "{first:?}");
        }
        assert_eq!(lint(GOOD, &[]), []);
    }

    #[test]
    fn a_match_that_another_recipe_takes_too_is_told() {
        let wide = GOOD.replace("\"x\"", "\"wide\"").replace("[\"X\"]", "[\"X\", \"Y\"]");
        let wide = Recipe::from_toml(&wide, "wide").expect("recipe");
        let found = lint(GOOD, std::slice::from_ref(&wide));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("\"wide\" matches every medium"), "{found:?}");
        assert_eq!(found[0].severity, Severity::Warning);
        // One for whoever has such files leaves the medium to those who ask for it by name.
        let wide =
            Recipe { matches: vec![Match { distro: vec![], ..wide.matches[0].clone() }], ..wide };
        assert_eq!(lint(GOOD, &[wide]), []);
    }
}
