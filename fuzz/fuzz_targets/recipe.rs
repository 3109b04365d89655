//! Any text as a recipe and as a job: no panic, and lint points into the text.
#![no_main]

use isowright::recipe::{Recipe, job::Job, lint};
use std::path::Path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = 1 + text.matches('\n').count();
    for f in lint::lint(text, &[]) {
        assert!((1..=lines).contains(&f.line), "{f:?}");
    }
    let _ = Recipe::from_toml(text, "fuzz");
    let _ = Job::from_toml(text, Path::new("fuzz.toml"));
});
