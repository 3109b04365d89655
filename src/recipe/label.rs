//! The recipes' `[[label]]` tables: gathered to read media with, and held against each other.

use super::Recipe;
use crate::error::Result;
use crate::media::labels::{LabelShape, Labels, compile, numbers, whole};
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::{start, syntax};
use std::collections::HashSet;

/// The shapes of `recipes`, each with its recipe's name.
pub fn shapes(recipes: &[Recipe]) -> impl Iterator<Item = (&str, &LabelShape)> {
    recipes.iter().flat_map(|r| r.labels.iter().map(|l| (r.name.as_str(), l)))
}

/// The labels that `recipes` know, ready to read media with.
///
/// # Errors
/// `Usage` for a pattern that is no regular expression.
pub fn labels(recipes: &[Recipe]) -> Result<Labels> {
    Labels::new(shapes(recipes))
}

/// What is wrong with one shape: the key that is at fault, and the fault.
pub(super) fn faults(shape: &LabelShape) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (key, pattern) in shape.patterns() {
        if let Some(Err(e)) = pattern.map(compile) {
            found.push((key, format!("{key} {e}")));
        }
    }
    if compile(&shape.volume_id).is_ok_and(|re| re.is_match(b"")) {
        found.push(("volume_id", "volume_id fits a medium without a label too".into()));
    }
    if shape.distro.trim().is_empty() {
        found.push(("distro", "distro is empty".into()));
    }
    for (key, bound) in [("from", &shape.from), ("before", &shape.before)] {
        if bound.as_deref().is_some_and(|b| numbers(b).is_empty()) {
            found.push((key, format!("{key} is no version")));
        }
    }
    found
}

type Machine = dense::DFA<Vec<u32>>;

/// A shape's patterns as automata, to hold shapes against each other.
pub struct Outline<'s> {
    shape: &'s LabelShape,
    /// In the order of the fields; the outer `None` where the shape does not name the field, the
    /// inner where the automaton would be too big.
    automata: [Option<Option<Machine>>; 5],
}

impl<'s> Outline<'s> {
    /// Builds the automata.
    pub fn of(shape: &'s LabelShape) -> Self {
        Outline { shape, automata: shape.patterns().map(|(_, p)| p.map(automaton)) }
    }

    /// True where some label is of both shapes: every field that both name has a text that fits
    /// both, and the versions that they hold for are not apart.
    pub fn overlaps(&self, other: &Outline<'_>) -> bool {
        let apart = |low: &LabelShape, high: &LabelShape| match (&low.before, &high.from) {
            (Some(before), Some(from)) => numbers(before) <= numbers(from),
            _ => false,
        };
        !apart(self.shape, other.shape)
            && !apart(other.shape, self.shape)
            && self.automata.iter().zip(&other.automata).all(|pair| match pair {
                (Some(Some(a)), Some(Some(b))) => intersect(a, b),
                _ => true,
            })
    }
}

/// Whether some text fits both: the automata are walked side by side, over printable ASCII.
fn intersect(a: &Machine, b: &Machine) -> bool {
    let begin = |dfa: &Machine| dfa.start_state(&start::Config::new().anchored(Anchored::Yes));
    let (Ok(x), Ok(y)) = (begin(a), begin(b)) else { return true };
    let mut seen = HashSet::from([(x, y)]);
    let mut todo = vec![(x, y)];
    while let Some((x, y)) = todo.pop() {
        if a.is_match_state(a.next_eoi_state(x)) && b.is_match_state(b.next_eoi_state(y)) {
            return true;
        }
        for byte in b' '..=b'~' {
            let next = (a.next_state(x, byte), b.next_state(y, byte));
            let dead = a.is_dead_state(next.0) || b.is_dead_state(next.1);
            if !dead && seen.insert(next) {
                todo.push(next);
            }
        }
    }
    false
}

fn automaton(pattern: &str) -> Option<Machine> {
    let limit = Some(8 << 20);
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .dfa_size_limit(limit)
                .determinize_size_limit(limit),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false).case_insensitive(true))
        .build(&whole(pattern))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_of_two_recipes_shapes() {
        let recipes = super::super::bundled().expect("recipes");
        let shapes: Vec<_> = shapes(&recipes).collect();
        let outlines: Vec<Outline> = shapes.iter().map(|(_, s)| Outline::of(s)).collect();
        let mut both = Vec::new();
        for (i, (name, shape)) in shapes.iter().enumerate() {
            assert_eq!(faults(shape), [], "{name}");
            assert!(outlines[i].automata.iter().flatten().all(Option::is_some), "{name}");
            for (j, (other, its)) in shapes.iter().enumerate().skip(i + 1) {
                if name != other && outlines[i].overlaps(&outlines[j]) {
                    both.push(format!("{name} {} | {other} {}", shape.volume_id, its.volume_id));
                }
            }
        }
        assert!(both.is_empty(), "{}", both.join("\n"));
    }

    #[test]
    fn overlaps_are_seen_and_what_is_apart_is_not() {
        for (a, b, both) in [
            ("X-[0-9]+", "x-1.*", true),
            ("X-[a-z]+", "X-[0-9]+", false),
            ("X-.*-live", "X-9-.*", true),
            ("X", "X-", false),
        ] {
            let overlap = |a: &LabelShape, b: &LabelShape| Outline::of(a).overlaps(&Outline::of(b));
            let shape = |v: &str| LabelShape { volume_id: v.into(), ..LabelShape::default() };
            assert_eq!(overlap(&shape(a), &shape(b)), both, "{a} {b}");
            let old = LabelShape { before: Some("10.04".into()), ..shape(a) };
            let new = LabelShape { from: Some("10.04".into()), ..shape(b) };
            assert!(!overlap(&old, &new) && !overlap(&new, &old), "{a} {b}");
            let mine = LabelShape { application: Some("A".into()), ..shape(a) };
            assert_eq!(overlap(&mine, &shape(b)), both, "{a} {b}");
            let its = LabelShape { application: Some("B?".into()), ..shape(b) };
            assert!(!overlap(&mine, &its), "{a} {b}");
        }
    }
}
