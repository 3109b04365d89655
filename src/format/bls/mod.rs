//! Boot Loader Specification entries of type 1 (`loader/entries/*.conf`) and systemd-boot's own
//! `loader/loader.conf`, as lossless documents. Each entry is a file of its own.
//!
//! Source: UAPI.1, "Type #1 Boot Loader Entries" and "Sorting"; loader.conf(5); where systemd-boot
//! does it otherwise, `src/boot/boot.c` of systemd. The bytes are kept as they came; what is known
//! of them is spans. Unknown keys and comments stay.
//!
//! Not supported: GRUB's variables in entries (Fedora's `$tuned_params`; they stay as written), and
//! `architecture` is not held against the machine's.

mod edit;
mod order;

pub use order::Rank;

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::paths;
use crate::format::spans::{self, Line};
use crate::model::boot::{BootEntry, Payload};
use crate::model::cmdline::Cmdline;
use crate::model::console::Serial;
use std::ops::Range;

/// Bytes that a document may have.
pub const MAX_LEN: usize = spans::MAX_LEN;

/// The file of settings, which lies in the folder above the entries'.
pub const LOADER_CONF: &str = "loader.conf";

/// An entry, or the loader's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    name: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    pairs: Vec<Pair>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    key: String,
    /// Without white space and quotes around it.
    value: Range<usize>,
    /// Index of its line.
    line: usize,
}

/// The keys that say what is started; an entry has one of them.
const STARTS: [&str; 4] = ["linux", "efi", "uki", "uki-url"];

impl Doc {
    /// Takes a file's bytes. `name` is the file's own, for it is part of what an entry says: its id
    /// and how often it may still be tried. [`LOADER_CONF`] is no entry.
    ///
    /// # Errors
    /// `Unsupported` above [`MAX_LEN`], `Corrupt` where there is a NUL: that is no text.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Doc> {
        spans::check_text(bytes)?;
        let lines = spans::lines(bytes, true);
        let pairs = pairs(bytes, &lines);
        Ok(Doc { name: name.to_owned(), bytes: bytes.to_vec(), lines, pairs })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The one entry, with the file's name as its id; none in [`LOADER_CONF`]. `base` is the root of
    /// the file system that its paths are seen from, whether they begin with `/` or not.
    pub fn entries(&self, base: &TreePath) -> Vec<BootEntry> {
        if self.is_loader_conf() {
            return Vec::new();
        }
        let title = self.get("title").filter(|t| !t.is_empty());
        vec![BootEntry {
            id: self.name.clone(),
            title: title.unwrap_or_else(|| self.name.clone()),
            payload: self.payload(base),
            default: true,
        }]
    }

    /// There is nothing to set: systemd-boot's menu is on the firmware's consoles, of which a serial
    /// one is the firmware's to set up. Always `false`, for the shape that all dialects share.
    pub fn set_serial(&mut self, _port: &Serial) -> Result<bool> {
        Ok(false)
    }

    /// Where the entry stands in the menu.
    pub fn rank(&self) -> Rank {
        Rank::new(&self.name, self.get("sort-key"), self.get("machine-id"), self.get("version"))
    }

    /// Glob over ids that the default entry is named by, as [`LOADER_CONF`] says. `@saved` is the
    /// machine's memory of the last start: a medium has none.
    pub fn default_pattern(&self) -> Option<String> {
        self.get("default").filter(|d| !d.starts_with('@'))
    }

    /// Seconds that the menu waits, as [`LOADER_CONF`] says; words such as `menu-hidden` are no number.
    pub fn timeout(&self) -> Option<u64> {
        self.get("timeout")?.parse().ok()
    }

    /// The text mode that [`LOADER_CONF`] wants of the firmware's console: a number, `auto`, `max`, `keep`.
    pub fn console_mode(&self) -> Option<String> {
        self.get("console-mode")
    }

    fn is_loader_conf(&self) -> bool {
        self.name.eq_ignore_ascii_case(LOADER_CONF)
    }

    fn text(&self, r: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[r.clone()]).into_owned()
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Pair> {
        self.pairs.iter().filter(move |p| p.key == key)
    }

    /// The last value counts, as in systemd-boot.
    fn get(&self, key: &str) -> Option<String> {
        self.all(key).last().map(|p| self.text(&p.value))
    }

    fn payload(&self, base: &TreePath) -> Payload {
        let mut starts = STARTS.iter().filter_map(|k| Some((*k, self.get(k)?)));
        let built = match (starts.next(), starts.next()) {
            (Some(("linux", file)), None) => self.linux(base, &file),
            (Some(("efi", file)), None) => Ok(Payload::Chain { what: file }),
            (Some((_, file)), None) => {
                Ok(Payload::Chain { what: format!("unified kernel image {file}") })
            }
            (Some((a, _)), Some((b, _))) => {
                Err(Error::unsupported(format!("{a} and {b} exclude each other")))
            }
            (None, _) => Err(Error::unsupported("neither linux nor efi")),
        };
        built.unwrap_or_else(|e| Payload::Opaque { why: e.to_string() })
    }

    /// systemd-boot takes an `initrd` line for one path. GRUB's reader and systemd's own tools part it
    /// at white space, and nobody has paths with spaces, so it is parted here.
    fn linux(&self, base: &TreePath, kernel: &str) -> Result<Payload> {
        let mut names: Vec<String> = Vec::new();
        for p in self.all("initrd") {
            let line = self.text(&p.value);
            // What begins with `$` is a variable of GRUB's, empty unless somebody sets it.
            names.extend(line.split_whitespace().filter(|w| !w.starts_with('$')).map(Into::into));
        }
        let options: Vec<String> = self.all("options").map(|p| self.text(&p.value)).collect();
        let mut cmdline = Cmdline::parse(&options.join(" "))?;
        // The kernel's EFI stub loads these too; it takes both slashes.
        names.extend(cmdline.get_all("initrd").map(|n| n.replace('\\', "/")));
        cmdline.remove_where(|w| matches!(w.key, "initrd" | "BOOT_IMAGE"));
        let cmdline = Cmdline::parse(cmdline.as_str().trim())?;
        let initrds = names.iter().map(|n| from_root(base, n)).collect::<Result<_>>()?;
        Ok(Payload::Linux { kernel: from_root(base, kernel)?, initrds, cmdline })
    }
}

/// All paths start at the root of the file system, with or without the slash.
fn from_root(root: &TreePath, raw: &str) -> Result<TreePath> {
    paths::from_folder(root, raw.trim_start_matches('/'))
}

/// `line_get_key_value` of systemd-boot: white space around a line goes, `#` makes it a comment, a line
/// without a value says nothing, quotes around a whole value go.
fn pairs(bytes: &[u8], lines: &[Line]) -> Vec<Pair> {
    let mut out = Vec::new();
    for (n, l) in lines.iter().enumerate() {
        let (key, mut value) = spans::first_word(bytes, l.text.clone());
        value.end = value.start + bytes[value.clone()].trim_ascii_end().len();
        if let [b'"', .., b'"'] = &bytes[value.clone()] {
            value = value.start + 1..value.end - 1;
        }
        if value.is_empty() || bytes[key.clone()].starts_with(b"#") {
            continue;
        }
        let key = String::from_utf8_lossy(&bytes[key]).into_owned();
        out.push(Pair { key, value, line: n });
    }
    out
}

/// Whether `id` is named by a [`Doc::default_pattern`].
pub fn matches(pattern: &str, id: &str) -> bool {
    // fnmatch(3), which systemd-boot follows, knows no `{a,b}`.
    let plain = pattern.replace('{', "[{]").replace('}', "[}]");
    globset::GlobBuilder::new(&plain)
        .case_insensitive(true)
        .backslash_escape(true)
        .build()
        .is_ok_and(|g| g.compile_matcher().is_match(id))
}

/// Whether a file in `loader/entries` is an entry: hidden ones and those that systemd-boot keeps for
/// itself are none.
pub fn is_entry_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(b".conf") && !name.starts_with(b".") && !name.starts_with(b"auto-")
}

#[cfg(test)]
mod tests;
