//! Completions and man pages, from the one clap definition.

use super::args::{Cli, Completions, Man};
use super::{Outcome, term};
use crate::error::{Error, Result};
use clap::CommandFactory;

pub fn completions(a: &Completions) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(a.shell, &mut Cli::command(), "isowright", &mut text);
    term::out(&String::from_utf8_lossy(&text));
    Ok(Outcome::Done)
}

pub fn man(a: &Man) -> Result<Outcome> {
    let io = |e| Error::io("can't write man pages", e).source_name(a.dir.display());
    std::fs::create_dir_all(&a.dir).map_err(io)?;
    clap_mangen::generate_to(Cli::command(), &a.dir).map_err(io)?;
    Ok(Outcome::Done)
}
