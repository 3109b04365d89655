//! Where bytes come from: `ReadAt`, the first of the two open seams, and its file implementation.
//!
//! No mmap: a file that shrinks under a mapping is SIGBUS; `pread` gives an error with an offset.

use super::remote::RemoteSource;
use crate::error::{Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Random access to a fixed number of bytes.
///
/// Invariants that each implementation keeps (and the conformance test checks): `len` never
/// changes; `read_at` fills the whole buffer or fails; a range past the end fails with
/// `UnexpectedEof`; there is no cursor, so calls from many threads do not disturb each other.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// True where there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from byte `off`, or fails.
    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()>;

    /// The file behind it, where there is one whose bytes stand at the same offsets, so that the
    /// kernel can do the copy.
    fn file(&self) -> Option<&File> {
        None
    }

    /// What to call it in an error.
    fn name(&self) -> &str {
        "memory"
    }

    /// The image on a server, where that is what it is.
    fn remote(&self) -> Option<&RemoteSource> {
        None
    }

    /// True where no byte has to be fetched from far away.
    fn is_at_hand(&self) -> bool {
        self.remote().is_none() || self.file().is_some()
    }

    /// Tells that `len` bytes from `off` on are about to be read in order, with `again` not for the last time. A
    /// source that is far away asks for just those; others have nothing to do.
    fn in_order(&self, _off: u64, _len: u64, _again: bool) {}

    /// Tells which bytes will be read, sooner or later and in whatever order.
    fn wanted(&self, _ranges: &[Range<u64>]) {}

    /// What changes when the bytes do, where that can be told without reading them.
    fn stamp(&self) -> Option<Stamp> {
        self.file().and_then(|f| f.metadata().ok()).as_ref().map(Stamp::of_file)
    }
}

/// A state of a source, told without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// For a file its device, inode, length, and both times to the nanosecond: the time of the inode's last
    /// change can't be set back by whoever writes the file.
    pub text: String,
    /// Seconds since 1970 of the last change, where it is one of a clock as coarse as a file system's: what
    /// changed a moment ago may change again with the same time.
    pub changed: i64,
}

impl Stamp {
    fn of_file(m: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let text = format!(
            "{}.{}.{}.{}.{}.{}.{}",
            m.dev(),
            m.ino(),
            m.len(),
            m.mtime(),
            m.mtime_nsec(),
            m.ctime(),
            m.ctime_nsec()
        );
        Stamp { text, changed: m.ctime() }
    }
}

/// A regular file or block device, read with `pread`.
pub struct FileSource {
    file: File,
    len: u64,
    name: String,
}

impl FileSource {
    /// Opens `path` read-only. A block device's length is found by seeking.
    ///
    /// # Errors
    /// `NotFound`, `Io`, or `Usage` where `path` is a directory.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| {
            let e2 = Error::io("can't open", e).source_name(&name);
            match e2.kind() {
                crate::ErrorKind::NotFound => {
                    e2.hint("check the path; nothing of that name is there")
                }
                _ => e2,
            }
        })?;
        Self::from_file(file, name)
    }

    /// Takes a file that the caller opened in its own way; `name` is for errors.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn from_file(mut file: File, name: impl Into<String>) -> Result<Self> {
        use std::io::Seek;
        let name = name.into();
        let meta = file.metadata().map_err(|e| Error::io("can't stat", e).source_name(&name))?;
        if meta.is_dir() {
            return Err(Error::usage("is a directory, not an image")
                .source_name(&name)
                .hint("give the .iso file itself"));
        }
        let len = file.seek(io::SeekFrom::End(0)).map_err(|e| {
            Error::io("can't find the size (a pipe can't be read at random)", e).source_name(&name)
        })?;
        Ok(FileSource { file, len, name })
    }
}

impl ReadAt for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, off)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A regular file that is opened for each read: for a folder of more files than may be open at once.
pub struct PathSource {
    path: PathBuf,
    len: u64,
    name: String,
}

impl PathSource {
    /// Opens `path` once, to see whether it can be; a link is not followed.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = no_link(path).map_err(|e| Error::io("can't open", e))?;
        let meta = file.metadata().map_err(|e| Error::io("can't stat", e))?;
        Ok(PathSource { path: path.to_owned(), len: meta.len(), name: path.display().to_string() })
    }
}

fn no_link(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    File::options().read(true).custom_flags(flags).open(path)
}

impl ReadAt for PathSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        let file = no_link(&self.path)?;
        if file.metadata()?.len() != self.len {
            return Err(io::Error::other(format!("{} has changed meanwhile", self.name)));
        }
        file.read_exact_at(buf, off)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn stamp(&self) -> Option<Stamp> {
        self.path.symlink_metadata().ok().filter(|m| m.is_file()).as_ref().map(Stamp::of_file)
    }
}

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        let end = off.checked_add(buf.len() as u64).filter(|&e| e <= ReadAt::len(self));
        match end {
            Some(end) => {
                buf.copy_from_slice(&self[off as usize..end as usize]);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
