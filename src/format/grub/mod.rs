//! GRUB 2 configuration (a script) as a lossless document.
//!
//! Source: GNU GRUB manual 2.06, chapters on shell-like scripting and on commands; how arguments
//! reach the kernel: `grub-core/lib/cmdline.c`. The bytes are kept as they came; what is known of
//! them is spans, and an edit changes its own span only.
//!
//! The script is read, not run. Not supported: what a loop or a function boots (functions' bodies
//! are skipped), entries made by a function, `blscfg`, variables whose value depends on a condition
//! (they stay as written), positional parameters. Conditions are known only where they ask for
//! `grub_platform`.

mod edit;
mod lexer;
mod menu;
mod read;

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::spans;
use crate::model::arch::Firmware;
use crate::model::boot::BootEntry;
use crate::model::console::Serial;

/// Bytes that a document may have.
pub const MAX_LEN: usize = spans::MAX_LEN;

/// Id of what a script boots outside any menu entry.
pub const DIRECT: &str = "direct";

/// A grub.cfg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    bytes: Vec<u8>,
    script: read::Script,
}

/// Another script that this one names. The caller finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As written, variables too.
    pub written: String,
    /// On the medium, where that is known.
    pub path: Option<TreePath>,
    /// True inside a menu entry: read only when that is chosen.
    pub in_entry: bool,
}

/// `serial --unit=1 …`, or `None` where GRUB's `serial` can't drive the port: it counts COM1 to COM4
/// (manual, "serial").
pub fn serial_command(s: &Serial) -> Option<String> {
    s.io_port()?;
    let parity = match s.parity {
        'e' => "even",
        'o' => "odd",
        _ => "no",
    };
    Some(format!(
        "serial --unit={} --speed={} --word={} --parity={parity} --stop=1",
        s.unit, s.baud, s.bits
    ))
}

/// `text` as one word of a GRUB script that stands for exactly these characters.
pub fn quote(text: &str) -> String {
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '_' | '-' | '~' | '^' | '(' | ')'
            )
    };
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.contains('\'') && (text.is_empty() || text.contains([' ', '\t', '\n'])) {
        return format!("'{text}'");
    }
    // A backslash before a newline would join the lines, so that one is always in quotes.
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '\n' => out.push_str("'\n'"),
            c if plain(c) => out.push(c),
            c => out.extend(['\\', c]),
        }
        out
    })
}

impl Doc {
    /// Takes a file's bytes.
    ///
    /// # Errors
    /// `Unsupported` above [`MAX_LEN`], `Corrupt` for a NUL and for blocks and quotes that don't end,
    /// with the line.
    pub fn parse(bytes: &[u8]) -> Result<Doc> {
        spans::check_text(bytes)?;
        Ok(Doc { script: read::Script::of(bytes)?, bytes: bytes.to_vec() })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The entries in the order of the document, submenus' too, with their positions as ids. `base`
    /// is the document's folder, which `$prefix` stands for. What the script boots outside any entry
    /// comes last, with the id [`DIRECT`].
    pub fn entries(&self, base: &TreePath) -> Vec<BootEntry> {
        menu::Menu::of(&self.script, base).entries()
    }

    /// Scripts that `source`, `.`, `configfile` and their kin name, in order.
    pub fn requests(&self, base: &TreePath) -> Vec<Request> {
        menu::Menu::of(&self.script, base).requests()
    }

    /// The firmware that alone gets to see the entry `id`: by a condition on `grub_platform`, or
    /// because it boots with `linuxefi` or `linux16`.
    pub fn firmware(&self, id: &str) -> Option<Firmware> {
        let i = self.script.entries.iter().position(|e| e.id == id)?;
        let mut at = Some(i);
        while let Some(n) = at {
            let e = &self.script.entries[n];
            if e.when.firmware.is_some() {
                return e.when.firmware;
            }
            at = e.parent;
        }
        let mine = self.script.commands.iter().filter(|c| c.entry == Some(i));
        mine.map(read::Command::name).find_map(|n| match &n[..] {
            "linuxefi" | "initrdefi" => Some(Firmware::Uefi),
            "linux16" | "initrd16" => Some(Firmware::Bios),
            _ => None,
        })
    }

    /// True where the entry `id` stands under a condition that only a running GRUB can answer.
    pub fn conditional(&self, id: &str) -> bool {
        self.script.entries.iter().any(|e| e.id == id && e.when.unsure)
    }
}

#[cfg(test)]
mod tests;
