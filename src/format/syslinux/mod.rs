//! Configuration of the SYSLINUX family (ISOLINUX, PXELINUX, EXTLINUX) as a lossless document.
//!
//! Source: doc/syslinux.txt and doc/menu.txt of SYSLINUX 6, and the Config and Menu pages of its
//! wiki. The bytes are kept as they came; what is known of them is spans. Unknown lines stay.
//!
//! Not supported: what MENU draws (colours, margins), PXELINUX's `::` and URL prefixes in paths,
//! gfxboot's own configuration file, `MENU GOTO`, passwords.

mod edit;
mod read;

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::{paths, spans};
use crate::model::boot::{BootEntry, Payload};
use crate::model::cmdline::Cmdline;
use crate::model::console::Serial;
use std::ops::Range;

/// Bytes that a document may have.
pub const MAX_LEN: usize = spans::MAX_LEN;

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    bytes: Vec<u8>,
    parts: read::Parts,
}

/// Another file that this one names. The caller finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As written.
    pub path: String,
    /// `INCLUDE` and `MENU INCLUDE` read the file in place; `CONFIG` starts over with it.
    pub kind: RequestKind,
    /// How many labels of this document stand before it.
    pub after: usize,
    /// Counts from 1.
    pub line: usize,
}

/// How another file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// `INCLUDE`.
    Include,
    /// `CONFIG` of a label, or of the document.
    Config,
}

/// What decides the entry that starts by itself. In a menu of several files these add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `DEFAULT`.
    pub default: Option<String>,
    /// `ONTIMEOUT`.
    pub on_timeout: Option<String>,
    /// Label of the entry with `MENU DEFAULT`.
    pub menu_default: Option<String>,
}

impl Choice {
    /// Takes over what `later`, read behind this one, says.
    pub fn then(self, later: Choice) -> Choice {
        Choice {
            default: later.default.or(self.default),
            on_timeout: later.on_timeout.or(self.on_timeout),
            menu_default: later.menu_default.or(self.menu_default),
        }
    }

    /// Which of `labels` starts when nobody presses a key: the one that ONTIMEOUT names, else
    /// DEFAULT, else MENU DEFAULT, else the first. A DEFAULT that names a menu program names no label.
    pub fn pick<'a>(&self, labels: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
        let named = |want: &Option<String>| {
            let want = want.as_deref()?;
            let word = want.split_whitespace().next()?;
            labels.clone().position(|l| l == want || l == word)
        };
        named(&self.on_timeout)
            .or_else(|| named(&self.default))
            .or_else(|| named(&self.menu_default))
            .or_else(|| labels.clone().next().map(|_| 0))
    }
}

/// `SERIAL 1 115200`, or `None` where SYSLINUX can't drive the port: it knows COM1 to COM4 and
/// always speaks 8 bits without parity (doc/syslinux.txt, SERIAL).
pub fn serial_line(s: &Serial) -> Option<String> {
    (s.io_port().is_some() && s.parity == 'n' && s.bits == 8)
        .then(|| format!("SERIAL {} {}", s.unit, s.baud))
}

impl Doc {
    /// Takes a file's bytes.
    ///
    /// # Errors
    /// `Unsupported` above [`MAX_LEN`], `Corrupt` where there is a NUL: that is no text.
    pub fn parse(bytes: &[u8]) -> Result<Doc> {
        spans::check_text(bytes)?;
        Ok(Doc { parts: read::Parts::of(bytes), bytes: bytes.to_vec() })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Other files that this one names, in order.
    pub fn requests(&self) -> &[Request] {
        &self.parts.requests
    }

    /// What this document alone says about the default entry.
    pub fn choice(&self) -> &Choice {
        &self.parts.choice
    }

    /// The labels as written, in order; as many as there are entries.
    pub fn labels(&self) -> impl Iterator<Item = &str> + Clone {
        self.parts.labels.iter().map(|l| l.name.as_str())
    }

    /// The arguments of the SERIAL line that holds.
    pub fn serial(&self) -> Option<&str> {
        self.parts.serial.as_deref()
    }

    /// The entries in order, with paths as seen from the folder `base`. A label that stands there
    /// a second time has the id `label#2`.
    pub fn entries(&self, base: &TreePath) -> Vec<BootEntry> {
        let default = self.parts.choice.pick(self.labels());
        self.parts
            .labels
            .iter()
            .enumerate()
            .map(|(i, l)| BootEntry {
                id: l.id.clone(),
                title: l.title.clone().unwrap_or_else(|| l.name.clone()),
                payload: self.payload(l, base),
                default: default == Some(i),
            })
            .collect()
    }

    fn text(&self, r: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[r.clone()]).into_owned()
    }

    /// A label's own APPEND, else the global one; `APPEND -` is none.
    fn append_of(&self, l: &read::Label) -> String {
        let t = l.append.as_ref().or(l.inherited.as_ref()).map(|r| self.text(r));
        t.filter(|t| t.trim() != "-").unwrap_or_default()
    }

    fn payload(&self, l: &read::Label, base: &TreePath) -> Payload {
        let opaque = |why: String| Payload::Opaque { why };
        let Some((kind, file)) = &l.kernel else {
            return opaque(l.why.unwrap_or("no KERNEL line").to_owned());
        };
        let args = match (&l.kernel_args[..], self.append_of(l)) {
            ("", append) => append,
            (own, append) => format!("{own} {append}"),
        };
        let result = match read::what_starts(kind, file) {
            read::Starts::Linux => self.linux(l, base, file, &args),
            read::Starts::LinuxC32 => {
                let (k, rest) = args.trim_start().split_once([' ', '\t']).unwrap_or((&args, ""));
                self.linux(l, base, k, rest)
            }
            read::Starts::Mboot if !args.trim_start().starts_with('-') => mboot(base, &args),
            _ => Ok(Payload::Chain { what: format!("{} {args}", file).trim().to_owned() }),
        };
        result.unwrap_or_else(|e| opaque(e.to_string()))
    }

    fn linux(&self, l: &read::Label, base: &TreePath, k: &str, args: &str) -> Result<Payload> {
        let kernel = in_tree(base, k)?;
        let mut cmdline = Cmdline::parse(args)?;
        let mut names = l.initrd.clone();
        names.extend(cmdline.get_all("initrd").map(str::to_owned));
        cmdline.remove_where(|w| matches!(w.key, "initrd" | "BOOT_IMAGE"));
        let initrds = names
            .iter()
            .flat_map(|n| n.split(','))
            .filter(|n| !n.is_empty())
            .map(|n| in_tree(base, n))
            .collect::<Result<_>>()?;
        let cmdline = Cmdline::parse(cmdline.as_str().trim())?;
        Ok(Payload::Linux { kernel, initrds, cmdline })
    }
}

/// `mboot.c32 kernel args --- module args --- ...` (doc of com32/mboot).
fn mboot(base: &TreePath, args: &str) -> Result<Payload> {
    let first = args.split("---").next().unwrap_or_default().trim();
    let (kernel, rest) = first.split_once([' ', '\t']).unwrap_or((first, ""));
    Ok(Payload::Multiboot { kernel: in_tree(base, kernel)?, cmdline: Cmdline::parse(rest.trim())? })
}

fn in_tree(base: &TreePath, raw: &str) -> Result<TreePath> {
    if raw.contains("::") || raw.contains("://") || raw.starts_with('(') {
        return Err(Error::unsupported(format!("\"{raw}\" is not on the medium")));
    }
    paths::from_folder(base, raw)
}

#[cfg(test)]
mod tests;
