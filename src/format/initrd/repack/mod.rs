//! An initrd made anew, for where a file must go: what is read before the kernel unpacks anything
//! (microcode) stays as it is in front, then comes one cpio archive in one compressed member. One, for
//! an archive that is split over several gzip members is junk to the kernel.
//!
//! Streams: held are a decoder's window, an encoder's, some pieces on their way between the thread
//! that unpacks and those that compress, and where something is dropped, replaced or overwritten the
//! headers of all entries. Same initrd and options, same bytes, whatever the number of threads.

mod fates;

pub use fates::matching;

use super::append::front;
use super::walk::walk_from;
use super::{At, FileKey, file_key, walk};
use crate::content::Content;
use crate::content::copy::{self, Watch};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::compress::{Codec, Encoder, level_of};
use crate::format::cpio::{self, Body, Header};
use fates::{Fate, Fates, Used};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::io::Write;

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Compression; none: the vendor's own.
    pub codec: Option<Codec>,
    /// Its level; none: the codec's usual one.
    pub level: Option<u32>,
    /// Threads that compress, where the codec can have several.
    pub threads: u32,
    /// Paths or globs of what must go; below a folder all goes.
    pub drop: Vec<String>,
    /// Files that get other bytes.
    pub replace: Vec<(TreePath, Content)>,
    /// Whether identical files become hard links: smaller in memory too, but who writes into one
    /// changes all.
    pub link_identical: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Compression of the one member.
    pub codec: Codec,
    /// Bytes in front that stayed as they are.
    pub early: u64,
    /// Entries read.
    pub read: usize,
    /// Entries written.
    pub written: usize,
    /// What was dropped, in order.
    pub dropped: Vec<TreePath>,
    /// Entries left out, for a later one overwrites them.
    pub overwritten: usize,
    /// Files that became hard links.
    pub linked: usize,
    /// Bytes of the new archive before compression.
    pub unpacked: u64,
}

/// Makes the initrd anew. `fresh` gives a place to write to, empty: it is called again where the first
/// look was not enough.
///
/// # Errors
/// As [`walk`]; `NotFound` where something that is to be dropped or replaced is not there, `Usage` for
/// a level that there is not, `Io`, `Interrupted`.
pub fn repack<W: Write>(
    initrd: &Content,
    options: &Options,
    fresh: &mut dyn FnMut() -> Result<W>,
    watch: Watch,
) -> Result<(W, Report)> {
    let front = front(initrd);
    let head = initrd.slice(0..front.early)?;
    // What stays as it is is held against the kernel's rules too.
    walk(&head, false, &mut |_, _, _| Ok(()))?;
    let vendors = front.end.1.filter(|c| *c != Codec::Lzo).unwrap_or(Codec::None);
    let codec = options.codec.unwrap_or(vendors);
    level_of(codec, options.level)?;
    let job = Job { initrd, start: front.early, codec, options, watch };
    let asked = !options.drop.is_empty() || !options.replace.is_empty() || options.link_identical;
    if !asked && let Some(done) = job.pass(&head, fresh()?, None)? {
        return Ok(done);
    }
    let mut used = Used::new(options)?;
    let in_head = Fates::of(&head, 0, options, &mut used, watch)?;
    let in_rest = Fates::of(initrd, front.early, options, &mut used, watch)?;
    used.all(options)?;
    let head = match in_head.of.is_empty() {
        true => head,
        false => job.early(&head, &in_head)?,
    };
    let done = job.pass(&head, fresh()?, Some(&in_rest))?;
    let (out, mut report) =
        done.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the initrd changed meanwhile"))?;
    report.read += in_head.read;
    report.dropped = [in_head.dropped, in_rest.dropped].concat();
    report.overwritten = in_rest.overwritten;
    report.linked = in_rest.linked;
    Ok((out, report))
}

struct Job<'a> {
    initrd: &'a Content,
    /// Where what is made anew starts.
    start: u64,
    codec: Codec,
    options: &'a Options,
    watch: Watch<'a>,
}

impl Job<'_> {
    /// One pass. Without fates it ends with nothing at a name that it has met already: to leave out
    /// what a later entry overwrites, all must be known first.
    fn pass<W: Write>(
        &self,
        head: &Content,
        mut out: W,
        fates: Option<&Fates>,
    ) -> Result<Option<(W, Report)>> {
        copy::to_writer(head, &mut out, false, self.watch)?;
        let mut report = Report {
            codec: self.codec,
            early: head.len(),
            read: 0,
            written: 0,
            dropped: Vec::new(),
            overwritten: 0,
            linked: 0,
            unpacked: 0,
        };
        if self.start == self.initrd.len() && !head.is_empty() {
            // Microcode alone: there is nothing to make anew.
            report.codec = Codec::None;
            return Ok(Some((out, report)));
        }
        let gap = head.len().next_multiple_of(4) - head.len();
        out.write_all(&[0; 3][..gap as usize]).map_err(|e| Error::io("can't write", e))?;
        let o = self.options;
        let mut new = New::start(Encoder::new(self.codec, o.level, o.threads, out)?, self.watch);
        let keep_all = Fates::default();
        let (mut met, mut again, mut read) = (HashSet::new(), false, 0);
        let done = walk_from(self.initrd, self.start, true, &mut |at, h, body| {
            read = at.entry + 1;
            if fates.is_none() && !h.is_dir() && !met.insert(h.name.clone()) {
                again = true;
                return Err(Error::new(ErrorKind::Interrupted, "met twice"));
            }
            new.entry(at, h, body, fates.unwrap_or(&keep_all), o)
        });
        if again {
            return Ok(None);
        }
        done?;
        (report.read, report.written, report.unpacked) = (read, new.written, new.at);
        Ok(Some((new.finish()?, report)))
    }

    /// What comes first, without what must go; nothing where all of it must.
    fn early(&self, head: &Content, fates: &Fates) -> Result<Content> {
        let mut new = New::start(Encoder::None(Vec::new()), self.watch);
        let mut files = 0;
        walk(head, false, &mut |at, h, body| {
            let before = new.written;
            new.entry(at, h, body, fates, self.options)?;
            files += usize::from(!h.is_dir() && new.written > before);
            Ok(())
        })?;
        Ok(if files > 0 { new.finish()?.into() } else { Content::empty() })
    }
}

/// The new archive on its way.
struct New<'a, W: Write> {
    out: Encoder<W>,
    /// Bytes before compression.
    at: u64,
    ino: u32,
    /// Inode numbers of files with several names.
    files: HashMap<FileKey, u32>,
    /// Inode numbers of files that identical ones become names of, by entry.
    firsts: HashMap<usize, u32>,
    written: usize,
    watch: Watch<'a>,
}

impl<'a, W: Write> New<'a, W> {
    fn start(out: Encoder<W>, watch: Watch<'a>) -> Self {
        let (files, firsts) = (HashMap::new(), HashMap::new());
        New { out, at: 0, ino: 0, files, firsts, written: 0, watch }
    }

    fn entry(
        &mut self,
        at: At,
        h: &Header,
        body: &mut Body,
        fates: &Fates,
        options: &Options,
    ) -> Result<()> {
        let i = at.entry;
        if let Some((other, name)) = fates.takes_over.get(&i) {
            let ino = self.number(file_key(At { entry: *other, ..at }, name));
            self.put(&Header { ino, size: h.size, ..name.clone() }, body)?;
        }
        match fates.of.get(&i) {
            None => {
                let ino = self.number(file_key(at, h));
                let mut h = Header { ino, ..h.clone() };
                if let Some(names) = fates.names.get(&i) {
                    h.nlink = *names;
                    self.firsts.insert(i, ino);
                }
                self.put(&h, body)
            }
            Some(Fate::Gone | Fate::Moved) => Ok(()),
            Some(Fate::Replaced(n)) => {
                let content = &options.replace[*n].1;
                let size = u32::try_from(content.len()).map_err(|_| {
                    Error::unsupported("a file of 4 GiB or more does not fit into an initrd")
                })?;
                let ino = self.number(None);
                self.head(&Header { ino, size, nlink: 1, ..h.clone() })?;
                copy::to_writer(content, &mut self.out, false, self.watch)?;
                self.pad(u64::from(size))
            }
            Some(Fate::Name { of, names }) => {
                let ino = self.firsts.get(of).copied().unwrap_or_default();
                self.head(&Header { ino, size: 0, nlink: *names, ..h.clone() })
            }
        }
    }

    /// The inode number of a file: its own, but one for all names of the same.
    fn number(&mut self, key: Option<FileKey>) -> u32 {
        let next = self.ino + 1;
        let ino = key.map_or(next, |k| *self.files.entry(k).or_insert(next));
        self.ino = self.ino.max(ino);
        ino
    }

    fn head(&mut self, h: &Header) -> Result<()> {
        let bytes = Header { device: (0, 0), ..h.clone() }.to_bytes();
        self.out.write_all(&bytes).map_err(|e| Error::io("can't write", e))?;
        self.at += bytes.len() as u64;
        self.written += 1;
        Ok(())
    }

    fn put(&mut self, h: &Header, body: &mut Body) -> Result<()> {
        self.head(h)?;
        let (out, watch) = (&mut self.out, self.watch);
        let mut piece = |b: &[u8]| {
            out.write_all(b).map_err(|e| Error::io("can't write", e))?;
            match watch(b.len() as u64) {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            }
        };
        while body.piece(&mut piece)? {}
        self.pad(u64::from(h.size))
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let gap = size.next_multiple_of(4) - size;
        self.at += size + gap;
        self.out.write_all(&[0; 3][..gap as usize]).map_err(|e| Error::io("can't write", e))
    }

    fn finish(mut self) -> Result<W> {
        let end = cpio::trailer();
        self.at += end.len() as u64;
        let done = self.out.write_all(&end).and_then(|()| self.out.finish());
        done.map_err(|e| Error::io("can't write", e))
    }
}

#[cfg(test)]
mod tests;
