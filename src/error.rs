//! One error type: a kind to match, a place to look, a hint where we have one.
//!
//! `Corrupt` and `Unsupported` say at which offset and which field or spec clause. The binary prints
//! an error on one line; the hint goes on a second.

use std::fmt;
use std::io;

/// Result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was; for callers that decide, not for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, path, recipe or entry that was named does not exist.
    NotFound,
    /// Bytes that contradict their format.
    Corrupt,
    /// Valid, but beyond what this version does.
    Unsupported,
    /// More than one answer fits.
    Ambiguous,
    /// Two wishes exclude each other, or an output would be overwritten.
    Conflict,
    /// The operating system said no.
    Io,
    /// A server said no.
    Remote,
    /// The user's own input (argument, profile, recipe) is wrong.
    Usage,
    /// Ctrl-C.
    Interrupted,
}

/// Where it happened: source (an image's name), path in it, byte offset. Each as far as known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// File name or URL of the image or document.
    pub source: Option<String>,
    /// Path inside the source.
    pub path: Option<String>,
    /// Byte offset in the source.
    pub offset: Option<u64>,
}

/// The error of this crate. See the module's text for what each part is for.
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    what: String,
    place: Place,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `what` is lower case, without a full stop, and names the thing.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Error {
            inner: Box::new(Inner {
                kind,
                what: what.into(),
                place: Place::default(),
                hint: None,
                cause: None,
            }),
        }
    }

    /// Bytes at `offset` of the source contradict their format.
    pub fn corrupt(what: impl Into<String>, offset: u64) -> Self {
        Self::new(ErrorKind::Corrupt, what).at(offset)
    }

    /// Valid input that this version can't handle.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, what)
    }

    /// The user's own input is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what)
    }

    /// The operating system's answer to `what` (a doing: "opening x.iso").
    pub fn io(what: impl Into<String>, cause: io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, what).because(cause)
    }

    /// Adds the byte offset, if none is known yet.
    pub fn at(mut self, offset: u64) -> Self {
        self.inner.place.offset.get_or_insert(offset);
        self
    }

    /// Adds the path inside the source, if none is known yet.
    pub fn path(mut self, path: impl fmt::Display) -> Self {
        self.inner.place.path.get_or_insert(path.to_string());
        self
    }

    /// Adds the image's or document's name, if none is known yet.
    pub fn source_name(mut self, name: impl fmt::Display) -> Self {
        self.inner.place.source.get_or_insert(name.to_string());
        self
    }

    /// Adds what the user can do about it, if nothing is said yet.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint.get_or_insert(hint.into());
        self
    }

    /// Adds the underlying error.
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.cause = Some(cause.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Where it happened, as far as known.
    pub fn place(&self) -> &Place {
        &self.inner.place
    }

    /// What the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { source, path, offset } = &self.inner.place;
        match (source, path) {
            (Some(s), Some(p)) => write!(f, "{s}:{p}: ")?,
            (Some(one), None) | (None, Some(one)) => write!(f, "{one}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.inner.what)?;
        if let Some(off) = offset {
            write!(f, " (at offset {off:#x})")?;
        }
        let mut cause = self.inner.cause.as_deref().map(|c| c as &dyn std::error::Error);
        while let Some(c) = cause {
            write!(f, ": {c}")?;
            cause = c.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Display already walks the chain, so that the one line is whole.
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_source_path_offset_and_cause() {
        let e = Error::corrupt("directory record too short", 0x8800)
            .path("/boot")
            .source_name("a.iso")
            .because(io::Error::other("why"));
        assert_eq!(
            e.to_string(),
            "a.iso:/boot: directory record too short (at offset 0x8800): why"
        );
    }
}
