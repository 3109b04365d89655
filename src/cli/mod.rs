//! The command line: the one room that prints, reads argv, the clock and the environment.

pub mod args;
mod boot;
mod build;
mod docs;
mod extract;
mod image;
mod index;
pub mod initrd;
mod inspect;
mod label;
mod ls;
mod matrix;
mod output;
mod publish;
mod recipe;
mod remote;
mod resolve;
mod serve;
mod signers;
pub mod term;
mod trust;
mod verify;

use crate::error::{ErrorKind, Result};
use args::{Cli, Verb};
use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// A difference was found, or a proof failed.
    Different,
}

/// Parses argv, runs the verb, prints what went wrong. Exit: 0 done, 1 different, 2 error,
/// 130 interrupted.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if asks_to_stop(&cli.verb) {
        hear_ctrl_c();
    }
    remote::set(&cli.fetch);
    match run(&cli.verb) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(1),
        Err(e) => {
            eprintln!("isowright: {}", term::safe(&e.to_string()));
            if let Some(h) = e.hint_text() {
                eprintln!("hint: {}", term::safe(h));
            }
            if cli.debug {
                eprintln!("{e:?}");
            }
            ExitCode::from(if e.kind() == ErrorKind::Interrupted { 130 } else { 2 })
        }
    }
}

/// True for a verb that asks [`term::STOP`] and tidies up. The others are short, and Ctrl-C may end
/// them where they are.
fn asks_to_stop(verb: &Verb) -> bool {
    match verb {
        Verb::Inspect(_) | Verb::Ls(_) | Verb::Index(_) => false,
        Verb::Completions(_) | Verb::Man(_) => false,
        Verb::Initrd(v) => v.asks_to_stop(),
        _ => true,
    }
}

fn hear_ctrl_c() {
    // A second Ctrl-C is for when the first one is not heard.
    let handler = || {
        if term::STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(e) = ctrlc::set_handler(handler) {
        eprintln!("isowright: Ctrl-C will not be handled: {e}");
    }
}

fn run(verb: &Verb) -> Result<Outcome> {
    match verb {
        Verb::Inspect(a) => inspect::run(a),
        Verb::Ls(a) => ls::run(a),
        Verb::Cat(a) => ls::cat(a),
        Verb::Extract(a) => extract::run(a),
        Verb::Plan(a) => build::plan(a),
        Verb::Build(a) => build::run(a),
        Verb::Publish(a) => publish::run(a),
        Verb::Image(a) => image::run(a),
        Verb::Recipe(a) => recipe::run(a),
        Verb::Verify(a) => verify::run(a),
        Verb::Boot(a) => boot::run(a),
        Verb::Index(a) => index::run(a),
        Verb::Serve(a) => serve::run(a),
        Verb::Initrd(v) => initrd::run(v),
        Verb::Completions(a) => docs::completions(a),
        Verb::Man(a) => docs::man(a),
    }
}
