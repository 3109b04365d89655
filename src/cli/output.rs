//! One file out: it gets its name when it is whole, and is written under another one beside it first.

use super::term;
use crate::error::{Error, Result};
use std::fs::Permissions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::{NamedTempFile, TempPath};

/// Where one file goes to.
pub enum Out {
    /// Nowhere: counted only.
    Nowhere(u64),
    /// Standard output.
    Stdout(io::Stdout),
    /// A file that has not its name yet.
    File(NamedTempFile),
}

impl Out {
    /// Where `path` says; `-` is standard output, `None` nowhere.
    ///
    /// # Errors
    /// `Usage` for a terminal and for a folder, `Io`.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Out::Nowhere(0)) };
        if path == Path::new("-") {
            let out = io::stdout();
            return match out.is_terminal() {
                true => Err(Error::usage("what is written is binary, and this is a terminal")
                    .hint("name a file with -o, or redirect it")),
                false => Ok(Out::Stdout(out)),
            };
        }
        let dir = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if path.is_dir() || path.file_name().is_none() {
            return Err(Error::usage("is a folder")
                .source_name(path.display())
                .hint("name the file to write with -o FILE"));
        }
        let file = tempfile::Builder::new()
            .prefix(".isowright-part-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(|e| {
                Error::io("can't write there", e)
                    .source_name(dir.display())
                    .hint("the folder must be there, and yours to write to")
            })?;
        Ok(Out::File(file))
    }

    /// Gives the file its name; the bytes written.
    ///
    /// # Errors
    /// `Io`, `Interrupted`; the file is gone then.
    pub fn done(self, path: Option<&Path>) -> Result<u64> {
        let io = |e| Error::io("can't write", e);
        match (self, path) {
            (Out::Nowhere(n), _) => Ok(n),
            (Out::Stdout(mut o), _) => o.flush().map_err(io).map(|()| 0),
            (Out::File(f), Some(path)) => {
                term::stopped()?;
                let n = f.as_file().metadata().map_err(io)?.len();
                let part: TempPath = f.into_temp_path();
                part.persist(path).map_err(|e| io(e.error).source_name(path.display()))?;
                Ok(n)
            }
            (Out::File(_), None) => Ok(0),
        }
    }
}

impl Write for Out {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        match self {
            Out::Nowhere(n) => {
                *n += b.len() as u64;
                Ok(b.len())
            }
            Out::Stdout(o) => o.write(b),
            Out::File(f) => f.as_file_mut().write(b),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses to write over a file that is read: the vendor's image is worth more than a copy, and its sum is
/// known. Links count as what they lead to.
///
/// # Errors
/// `Usage`.
pub fn not_over(read: &Path, to: &Path) -> Result<()> {
    let file = |p: &Path| p.metadata().ok().map(|m| (m.dev(), m.ino()));
    match (file(read), file(to)) {
        (Some(a), Some(b)) if a == b => Err(Error::usage("it would be written over itself")
            .source_name(to.display())
            .hint("name another file with -o")),
        _ => Ok(()),
    }
}

/// Where the file itself goes to standard output, words would spoil it.
pub fn tell(path: Option<&Path>, what: &str) {
    match path {
        Some(p) if p == Path::new("-") => eprint!("{what}"),
        _ => term::out(what),
    }
}
