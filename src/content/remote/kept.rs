//! Bytes of a remote image that are kept, so that they are fetched once: in a folder for the next run, or else
//! in a file without a name that goes with the process.

use super::cache::Cache;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

/// The file without a name, in bytes at most: kernels and initrds are read twice, repositories once.
const SPILLED: u64 = 512 << 20;

/// Where bytes are kept.
pub(super) enum Kept {
    /// For this run.
    Here(Spill),
    /// For the next one too.
    Folder(Cache),
}

impl Kept {
    /// True where all that is fetched is kept.
    pub fn is_for_all(&self) -> bool {
        matches!(self, Kept::Folder(_))
    }

    /// Copies what is kept from `at` on; `None` where nothing is, or it is damaged.
    pub fn read(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        match self {
            Kept::Here(s) => s.read(at, buf),
            Kept::Folder(c) => c.read(at, buf),
        }
    }

    /// Where the next kept bytes after `at` begin, `least` of them or more.
    pub fn next_after(&self, at: u64, least: u64) -> Option<u64> {
        match self {
            Kept::Here(s) => s.next_after(at, least),
            Kept::Folder(c) => c.next_after(at, least),
        }
    }

    /// Keeps `bytes`, as far as there is room; what can't be kept is fetched again.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        match self {
            Kept::Here(s) => s.put(at, bytes),
            Kept::Folder(c) => c.put(at, bytes),
        }
    }
}

/// A file that has no name.
#[derive(Default)]
pub(super) struct Spill(Mutex<Spilled>);

#[derive(Default)]
struct Spilled {
    file: Option<File>,
    /// Offset in the image -> length, and offset in the file.
    pieces: BTreeMap<u64, (u64, u64)>,
    len: u64,
    full: bool,
}

impl Spill {
    fn read(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        let s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, (len, place)) = s.pieces.range(..=at).next_back()?;
        let skip = at - start;
        let n = len.checked_sub(skip).filter(|n| *n > 0)?.min(buf.len() as u64) as usize;
        s.file.as_ref()?.read_exact_at(&mut buf[..n], place + skip).ok()?;
        Some(n)
    }

    fn next_after(&self, at: u64, least: u64) -> Option<u64> {
        let s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        s.pieces.range(at + 1..).find(|(_, (len, _))| *len >= least).map(|(start, _)| *start)
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        let mut s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !s.full && s.put(at, bytes).is_err() {
            s.full = true;
        }
    }
}

impl Spilled {
    fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let n = bytes.len() as u64;
        if self.pieces.get(&at).is_some_and(|(len, _)| *len >= n) {
            return Ok(());
        }
        if self.len + n > SPILLED {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let place = self.len;
        let file = match &mut self.file {
            Some(f) => f,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all_at(bytes, place)?;
        self.len += n;
        self.pieces.insert(at, (n, place));
        Ok(())
    }
}
