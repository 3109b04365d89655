//! Checksum files on the medium, as a lossless document: `md5sum.txt` of Debian and Ubuntu, `CHECKSUMS` of
//! SUSE, `airootfs.sha512` of Arch, the BSD lines of others, SUSE's older `content` file, and the
//! `[checksums]` of a `.treeinfo`.
//!
//! Sources: GNU coreutils, "md5sum invocation" and "cksum output modes"; openSUSE, "content file";
//! productmd, "Treeinfo file format".
//! Lines of other kinds are kept as they are. Hashes without a file's name are not entries.

mod sum;

use sum::ALGORITHMS;
pub use sum::{Algorithm, Sum};

use super::{paths, spans};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use std::ops::Range;

/// A DVD of 60,000 packages has 6 MB.
const MAX_LEN: usize = 16 << 20;

/// A file's sum, as a line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// On the medium.
    pub path: TreePath,
    /// Its sum.
    pub sum: Sum,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `HEX  PATH`, or with `*` for the second space.
    Gnu,
    /// `MD5 (PATH) = HEX`.
    Bsd,
    /// `HASH SHA256 HEX  PATH`; also `META` and `KEY`.
    Suse,
    /// `PATH = sha256:HEX`.
    Treeinfo,
}

/// A line that is an entry: spans of the document.
#[derive(Debug, Clone)]
struct Line {
    all: Range<usize>,
    hex: Range<usize>,
    name: Range<usize>,
    algorithm: Algorithm,
    style: Style,
    /// GNU's mark for a name with a backslash or a line end in it.
    escaped: bool,
}

/// A checksum file.
#[derive(Debug, Clone)]
pub struct Doc {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Where its names start.
    folder: TreePath,
    /// True for a `.treeinfo`, which lists only what an installer fetches by name.
    treeinfo: bool,
}

/// Whether a file of that name is such a document, by the vendors' habits.
pub fn is_name(path: &TreePath) -> bool {
    if is_treeinfo(path) {
        return true;
    }
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    let sums = |n: &str| {
        let n = n.trim_start_matches('.');
        matches!(n, "checksum" | "checksums" | "content")
            || ALGORITHMS.iter().any(|(_, a, _)| {
                let rest = n.strip_prefix(&a.to_ascii_lowercase());
                matches!(rest, Some("" | "sum" | "sums"))
            })
    };
    let by_ending = ending != "content" && !stem.is_empty() && sums(ending);
    by_ending || sums(&name) || (ending == "txt" && sums(stem))
}

fn is_treeinfo(path: &TreePath) -> bool {
    matches!(path.name(), b".treeinfo" | b"treeinfo")
}

/// Where a detached signature of the file at `path` would lie: beside it, with one of these endings.
pub fn signature_names(path: &TreePath) -> Vec<TreePath> {
    let with = |ending: &str| TreePath::new([path.as_bytes(), ending.as_bytes()].concat()).ok();
    [".asc", ".gpg", ".sig", ".sign"].iter().filter_map(|e| with(e)).collect()
}

impl Doc {
    /// Takes the bytes of the file at `path` on the medium: GNU's names are as seen from its folder.
    ///
    /// # Errors
    /// `Unsupported` above 16 MiB, `Corrupt` where there is a NUL: that is no text.
    pub fn parse(path: &TreePath, bytes: &[u8]) -> Result<Doc> {
        if bytes.len() > MAX_LEN {
            let what = format!("a checksum file of {} bytes; the limit is {MAX_LEN}", bytes.len());
            return Err(Error::unsupported(what).path(path));
        }
        if let Some(at) = bytes.iter().position(|&b| b == 0) {
            return Err(Error::corrupt("a NUL byte: this is no text", at as u64).path(path));
        }
        let folder = path.parent().unwrap_or_default();
        let treeinfo = is_treeinfo(path);
        Ok(Doc { lines: lines(bytes, treeinfo), bytes: bytes.to_vec(), folder, treeinfo })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// True for a file that is signed in itself (OpenPGP's clear text): an edit breaks the signature.
    pub fn is_signed(&self) -> bool {
        let mark = b"-----BEGIN PGP SIGNED MESSAGE-----";
        self.bytes.split(|&b| b == b'\n').any(|l| l.starts_with(mark))
    }

    /// Its entries, in order. Names that no medium can have are left out.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.lines.iter().filter_map(|l| Some(Entry { path: self.path(l)?, sum: self.sum(l) }))
    }

    /// What the file at `path` is hashed with here; empty where it is not listed.
    pub fn algorithms(&self, path: &TreePath) -> Vec<Algorithm> {
        self.at(path).map(|i| self.lines[i].algorithm).collect()
    }

    /// Puts `sum` in the place of each sum of that algorithm for the file at `path`, in the case of the
    /// one before. Says whether the bytes changed.
    pub fn set(&mut self, path: &TreePath, sum: &Sum) -> bool {
        let old: Vec<usize> = self
            .at(path)
            .filter(|&i| {
                self.lines[i].algorithm == sum.algorithm && self.sum(&self.lines[i]) != *sum
            })
            .collect();
        for &i in &old {
            let hex = &mut self.bytes[self.lines[i].hex.clone()];
            let shout = hex.iter().any(u8::is_ascii_uppercase);
            hex.copy_from_slice(sum.hex.as_bytes());
            if shout {
                hex.make_ascii_uppercase();
            }
        }
        !old.is_empty()
    }

    /// Takes the lines of the file at `path` out. Says whether there were any.
    pub fn remove(&mut self, path: &TreePath) -> bool {
        let mut gone: Vec<Range<usize>> =
            self.at(path).map(|i| self.lines[i].all.clone()).collect();
        // A last line without a line end takes the one before it along, as `add` has put it.
        if !self.bytes.ends_with(b"\n")
            && let [earlier @ .., last] = &mut gone[..]
            && last.end == self.bytes.len()
        {
            let before = &self.bytes[..last.start];
            let eol =
                if before.ends_with(b"\r\n") { 2 } else { usize::from(before.ends_with(b"\n")) };
            last.start = (last.start - eol).max(earlier.last().map_or(0, |r| r.end));
        }
        let edits: Vec<spans::Edit> = gone.into_iter().map(|r| (r, String::new())).collect();
        self.replace(spans::splice(&self.bytes, &edits));
        !edits.is_empty()
    }

    /// Adds a line for the file at `path` behind the others, written as the last of them is. A `.treeinfo`
    /// stays as it is.
    ///
    /// # Errors
    /// `Unsupported` for a name that such a line can't hold, or outside the folder that the names start in.
    pub fn add(&mut self, path: &TreePath, sum: &Sum) -> Result<()> {
        if self.treeinfo {
            return Ok(());
        }
        let no = || Error::unsupported("its checksum file can't name it").path(path);
        let name = match self.folder.is_root() {
            true => path.as_bytes(),
            false => {
                let below = path.as_bytes().strip_prefix(self.folder.as_bytes());
                below.and_then(|p| p.strip_prefix(b"/")).ok_or_else(no)?
            }
        };
        let name = std::str::from_utf8(name).map_err(|_| no())?;
        let like = self.lines.last();
        let dot = like.is_none_or(|l| self.bytes[l.name.clone()].starts_with(b"./"));
        let name = if dot { format!("./{name}") } else { name.to_owned() };
        let (hex, algorithm) = (&sum.hex, sum.algorithm.name());
        let line = match like.map_or(Style::Gnu, |l| l.style) {
            Style::Gnu if name.contains('\\') => {
                format!("\\{hex}  {}", name.replace('\\', "\\\\"))
            }
            Style::Gnu => {
                let star = like.is_some_and(|l| self.bytes[l.name.start - 1] == b'*');
                format!("{hex} {}{name}", if star { '*' } else { ' ' })
            }
            Style::Bsd => format!("{algorithm} ({name}) = {hex}"),
            Style::Suse => format!("HASH {algorithm} {hex}  {name}"),
            Style::Treeinfo => return Ok(()),
        };
        let eol = spans::eol(&self.bytes);
        let ended = self.bytes.is_empty() || self.bytes.ends_with(b"\n");
        let text = if ended { format!("{line}{eol}") } else { format!("{eol}{line}") };
        let mut bytes = self.bytes.clone();
        bytes.extend_from_slice(text.as_bytes());
        self.replace(bytes);
        match self.lines.last().and_then(|l| self.path(l)).as_ref() == Some(path) {
            true => Ok(()),
            false => {
                self.replace(self.bytes[..self.bytes.len() - text.len()].to_vec());
                Err(no())
            }
        }
    }

    fn replace(&mut self, bytes: Vec<u8>) {
        self.lines = lines(&bytes, self.treeinfo);
        self.bytes = bytes;
    }

    /// Lines of the file at `path`.
    fn at<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = usize> + 'a {
        (0..self.lines.len()).filter(move |&i| self.path(&self.lines[i]).as_ref() == Some(path))
    }

    fn path(&self, l: &Line) -> Option<TreePath> {
        let raw = &self.bytes[l.name.clone()];
        let unescaped = if l.escaped { unescape(raw)? } else { raw.to_vec() };
        paths::from_folder(&self.folder, std::str::from_utf8(&unescaped).ok()?).ok()
    }

    fn sum(&self, l: &Line) -> Sum {
        let hex = String::from_utf8_lossy(&self.bytes[l.hex.clone()]).to_ascii_lowercase();
        Sum { algorithm: l.algorithm, hex }
    }
}

/// GNU's escapes in a name.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&b) = rest.next() {
        out.push(match b {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            b => b,
        });
    }
    Some(out)
}

/// The entries. Not by [`spans::lines`], which would keep each empty line of a hostile file.
fn lines(bytes: &[u8], treeinfo: bool) -> Vec<Line> {
    let mut found = Vec::new();
    let mut at = 0;
    for whole in bytes.split_inclusive(|&b| b == b'\n') {
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (text, next) = (at..at + text.len(), at + whole.len());
        found.extend(match treeinfo {
            true => treeinfo_line(bytes, text, next),
            false => line(bytes, text, next),
        });
        at += whole.len();
    }
    found
}

/// The entry in `text`, whose line reaches to `next`.
fn line(bytes: &[u8], text: Range<usize>, next: usize) -> Option<Line> {
    let all = text.start..next;
    let escaped = bytes[text.clone()].starts_with(b"\\");
    let body = text.start + usize::from(escaped)..text.end;
    let found =
        gnu(bytes, body.clone()).or_else(|| bsd(bytes, body)).or_else(|| suse(bytes, text))?;
    let (style, algorithm, hex, name) = found;
    Some(Line { all, hex, name, algorithm, style, escaped })
}

/// `PATH = sha256:HEX`, as productmd writes it; other keys have no such value.
fn treeinfo_line(bytes: &[u8], text: Range<usize>, next: usize) -> Option<Line> {
    let b = &bytes[text.clone()];
    let colon = b.iter().rposition(|&b| b == b':')?;
    let equals = b[..colon].iter().rposition(|&b| b == b'=')?;
    let algorithm = Algorithm::by_name(b[equals + 1..colon].trim_ascii())?;
    let digits = b[colon + 1..].trim_ascii_end().len();
    let hex = &b[colon + 1..colon + 1 + digits];
    let name = b[..equals].trim_ascii_end();
    let fits = digits == algorithm.digits() && hex.iter().all(u8::is_ascii_hexdigit);
    let at = text.start;
    (fits && !name.is_empty()).then(|| Line {
        all: at..next,
        hex: at + colon + 1..at + colon + 1 + digits,
        name: at..at + name.len(),
        algorithm,
        style: Style::Treeinfo,
        escaped: false,
    })
}

type Found = (Style, Algorithm, Range<usize>, Range<usize>);

/// `HEX`, a space, a space or `*`, `PATH`.
fn gnu(bytes: &[u8], text: Range<usize>) -> Option<Found> {
    let b = &bytes[text.clone()];
    let digits = b.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let algorithm = Algorithm::by_digits(digits)?;
    let named = matches!(b.get(digits..digits + 2)?, b"  " | b" *") && b.len() > digits + 2;
    let at = text.start;
    named.then(|| (Style::Gnu, algorithm, at..at + digits, at + digits + 2..text.end))
}

/// `ALGORITHM (PATH) = HEX`.
fn bsd(bytes: &[u8], text: Range<usize>) -> Option<Found> {
    let b = &bytes[text.clone()];
    let open = b.iter().position(|&b| b == b'(').filter(|n| *n > 0)?;
    let algorithm = Algorithm::by_name(b[..open].strip_suffix(b" ")?)?;
    let hex = b.len().checked_sub(algorithm.digits())?;
    let close = hex.checked_sub(4).filter(|close| *close > open + 1)?;
    let fits = &b[close..hex] == b") = " && b[hex..].iter().all(u8::is_ascii_hexdigit);
    let at = text.start;
    fits.then(|| (Style::Bsd, algorithm, at + hex..text.end, at + open + 1..at + close))
}

/// `HASH SHA256 HEX  PATH`.
fn suse(bytes: &[u8], text: Range<usize>) -> Option<Found> {
    let (word, rest) = spans::first_word(bytes, text);
    let (kind, rest) = spans::first_word(bytes, rest);
    let (hex, name) = spans::first_word(bytes, rest);
    let algorithm = Algorithm::by_name(&bytes[kind])?;
    let fits = matches!(&bytes[word], b"HASH" | b"META" | b"KEY")
        && hex.len() == algorithm.digits()
        && bytes[hex.clone()].iter().all(u8::is_ascii_hexdigit)
        && !name.is_empty();
    fits.then_some((Style::Suse, algorithm, hex, name))
}

#[cfg(test)]
mod tests;
