//! What every Linux installer takes in the same words: consoles, and arguments that hide messages.

use super::draft::{ArgOp, Aspect, Cover, Draft, Layer};
use crate::model::console::Console;

/// Where the installed system gets its consoles from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An answer file says them.
    Answers,
    /// The installer copies what stands behind `---` (Debian).
    BehindDashes,
}

/// Says the consoles to the kernel and the boot loaders, and takes out what would hide messages.
pub(super) fn say(consoles: &[Console], target: Target, draft: &mut Draft) {
    for (word, why) in [
        ("quiet", "it hides the kernel's messages"),
        ("rhgb", "it draws on a screen that nobody sees"),
        ("splash", "it draws on a screen that nobody sees"),
        ("vga", "it sets a screen mode that nobody sees"),
    ] {
        draft.arg(ArgOp::Remove(word.to_owned()), why);
    }
    if consoles.is_empty() {
        return;
    }
    draft.arg(ArgOp::Remove("console".to_owned()), "the profile's consoles take its place");
    let last = consoles.len() - 1;
    for (i, c) in consoles.iter().enumerate() {
        let word = format!("console={c}");
        let why = match (i == last, c.serial().is_some()) {
            (true, _) => "the last console gets the installer",
            (false, true) => "kernel messages on this port too",
            (false, false) => "kernel messages on the screen too",
        };
        draft.arg(
            match target {
                Target::Answers => ArgOp::Append(word),
                Target::BehindDashes => ArgOp::AppendForTarget(word),
            },
            why,
        );
    }
    draft.loader_console = consoles.to_vec();
}

/// `console=tty0 console=ttyS1,115200n8`, for a coverage row.
pub(super) fn words(consoles: &[Console]) -> String {
    consoles.iter().map(|c| format!("console={c}")).collect::<Vec<_>>().join(" ")
}

/// The two rows that are the same for every family: boot loader and kernel.
pub(super) fn cover_start(consoles: &[Console], draft: &mut Draft) {
    if consoles.is_empty() {
        for layer in Layer::ALL {
            let why = "no console is wished for: the vendor's stay".to_owned();
            draft.cover(layer, Aspect::Console, Cover::NotNeeded { why });
        }
        return;
    }
    let loader = match consoles.iter().rev().find_map(Console::serial) {
        Some(s) => Cover::Set {
            how: format!("GRUB's terminal on {}; iPXE speaks where its build says", s.tty()),
        },
        None => Cover::NotNeeded { why: "no serial console is wished for".to_owned() },
    };
    draft.cover(Layer::BootLoader, Aspect::Console, loader);
    draft.cover(Layer::Kernel, Aspect::Console, Cover::Set { how: words(consoles) });
}

/// The user's own kernel arguments, last, so that they win.
pub(super) fn extra(args: &[String], draft: &mut Draft) {
    for a in args {
        draft.arg(ArgOp::Append(a.clone()), "extra_args in the profile");
    }
}
