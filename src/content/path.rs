//! `TreePath`: a name inside a tree, which is also a name that may be written below an output folder.

use crate::error::{Error, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A relative path of bytes.
///
/// Invariants, checked when one is made:
/// - parts are separated by single `/`; no leading or trailing `/`
/// - no part is empty, `.` or `..`
/// - no byte below 0x20 and no 0x7f in it, so it can be printed on one line and never ends a string
/// - at most 4096 bytes
///
/// The empty path is the root. Order is by parts, so a folder comes right before what is in it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Arc<[u8]>);

impl TreePath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks and takes `path`; one leading and one trailing `/` are dropped.
    ///
    /// # Errors
    /// `Usage` for what the invariants forbid, naming it.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self> {
        let p = path.as_ref();
        let p = p.strip_prefix(b"/").unwrap_or(p);
        let p = p.strip_suffix(b"/").unwrap_or(p);
        if p.is_empty() {
            return Ok(Self::root());
        }
        if p.len() > 4096 {
            return Err(Error::usage(format!("path of {} bytes; the limit is 4096", p.len())));
        }
        for part in p.split(|&b| b == b'/') {
            Self::check_part(part)
                .map_err(|why| Error::usage(format!("bad path \"{}\": {why}", p.escape_ascii())))?;
        }
        Ok(TreePath(p.into()))
    }

    /// This path with one more part.
    ///
    /// # Errors
    /// `Usage` for a part that is empty, `.`, `..`, or holds `/`, NUL or a control byte.
    pub fn join(&self, part: impl AsRef<[u8]>) -> Result<Self> {
        let part = part.as_ref();
        let bad = |why: &str| Error::usage(format!("bad name \"{}\": {why}", part.escape_ascii()));
        Self::check_part(part).map_err(bad)?;
        if part.contains(&b'/') {
            return Err(bad("holds a /"));
        }
        if self.0.len() + 1 + part.len() > 4096 {
            return Err(bad("makes a path of over 4096 bytes"));
        }
        let parts = if self.is_root() { [&[][..], b"", part] } else { [&self.0[..], b"/", part] };
        Ok(Self::of(&parts))
    }

    /// This path with all of `other` below it.
    pub fn join_path(&self, other: &TreePath) -> Self {
        if self.is_root() {
            return other.clone();
        }
        if other.is_root() {
            return self.clone();
        }
        Self::of(&[&self.0, b"/", &other.0])
    }

    /// The pieces one after the other. Joined on the stack where they are short, as a rule: a reader of
    /// 100,000 entries feels a second allocation.
    fn of(pieces: &[&[u8]; 3]) -> Self {
        let mut short = [0u8; 256];
        let mut at = 0;
        for piece in pieces {
            let Some(to) = short.get_mut(at..at + piece.len()) else {
                return TreePath(pieces.concat().into());
            };
            to.copy_from_slice(piece);
            at += piece.len();
        }
        TreePath(short[..at].into())
    }

    fn check_part(part: &[u8]) -> std::result::Result<(), &'static str> {
        // All bytes are looked at, without a way out in between, so that many are at a time.
        let control = |p: &[u8]| p.iter().fold(false, |bad, &b| bad | (b < 0x20) | (b == 0x7f));
        match part {
            b"" => Err("empty part"),
            b"." | b".." => Err("\".\" or \"..\""),
            p if control(p) => Err("control byte"),
            _ => Ok(()),
        }
    }

    /// The raw bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As an OS path, relative.
    pub fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// True for the root.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that holds it; `None` for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(i) => TreePath(self.0[..i].into()),
            None => TreePath::root(),
        })
    }

    /// True where `dir` is the folder that holds it.
    pub fn is_in(&self, dir: &TreePath) -> bool {
        let name = self.name();
        !name.is_empty() && self.starts_with(dir) && {
            let above = self.0.len() - name.len();
            above.saturating_sub(1) == dir.0.len()
        }
    }

    /// The last part.
    #[inline]
    pub fn name(&self) -> &[u8] {
        let from = self.0.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
        &self.0[from..]
    }

    /// The parts, outermost first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|p| !p.is_empty())
    }

    /// True where this path is `dir` or lies below it.
    #[inline]
    pub fn starts_with(&self, dir: &TreePath) -> bool {
        dir.is_root()
            || (self.0.starts_with(&dir.0) && matches!(self.0.get(dir.0.len()), None | Some(b'/')))
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Neighbours in a tree begin alike: what is the same is skipped eight bytes at a time.
        let chunks = self.0.chunks_exact(8).zip(other.0.chunks_exact(8));
        let same = 8 * chunks.take_while(|(a, b)| a == b).count();
        // '/' sorts below every byte a name may hold, which is the order by parts.
        let key = |b: &u8| if *b == b'/' { 0u8 } else { *b };
        self.0[same..].iter().map(key).cmp(other.0[same..].iter().map(key))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// UTF-8 as it is; a byte that is not becomes `\xNN`, so that two different paths never print alike
/// by losing bytes.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for b in chunk.invalid() {
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl std::str::FromStr for TreePath {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::new(s)
    }
}

impl serde::Serialize for TreePath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TreePath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        TreePath::new(s).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_the_tree_is_refused() {
        for bad in ["a/../b", "..", "./a", "a//b", "a\nb", "a\0b", "\x1b[2J", "a/\x7f"] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        assert!(TreePath::root().join("a/b").is_err());
        assert!(TreePath::new("/").expect("root").is_root());
    }

    #[test]
    fn a_folder_stands_right_before_what_is_in_it() {
        let mut v: Vec<TreePath> =
            ["a-b", "a", "a/z", "a.c"].iter().map(|s| s.parse().expect("path")).collect();
        v.sort();
        let shown: Vec<String> = v.iter().map(|p| p.to_string()).collect();
        assert_eq!(shown, ["a", "a/z", "a-b", "a.c"]);
    }

    #[test]
    fn a_path_is_in_its_parent_and_in_no_other_folder() {
        let p = |s: &str| TreePath::new(s).expect("path");
        for path in ["a", "a/b", "a/b/c", "ab/c"] {
            for dir in ["", "a", "a/b", "ab", "b"] {
                let same = p(path).parent() == Some(p(dir));
                assert_eq!(p(path).is_in(&p(dir)), same, "{path} in {dir}");
            }
        }
        assert!(!p("").is_in(&p("")));
    }

    #[test]
    fn long_and_short_joins_agree() {
        let mut path = TreePath::root();
        for n in 1..100 {
            let part = "x".repeat(n % 50 + 1);
            let whole = format!("{path}/{part}");
            path = path.join(&part).expect("short enough");
            assert_eq!(path, TreePath::new(whole).expect("path"));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_apart_on_screen() {
        let p = TreePath::new(b"caf\xe9").expect("path");
        assert_eq!(p.to_string(), "caf\\xe9");
        assert_eq!(p.as_bytes(), b"caf\xe9");
    }
}
