//! The image while it is edited: the vendor's bytes, sectors changed in place, and what is appended.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::iso9660::SECTOR;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{Touched, What};

pub(super) struct Canvas {
    image: Content,
    /// Changed sectors of the vendor's image, by byte offset.
    sectors: BTreeMap<u64, Vec<u8>>,
    /// File contents over the vendor's sectors, and all that is appended, by byte offset. Whole sectors.
    pieces: BTreeMap<u64, Content>,
    /// Where the vendor's image ends, in whole sectors.
    old_end: u64,
    /// Where the next piece goes.
    pub end: u64,
    /// How much is taken, in bytes, of the room for directories in front of the other pieces.
    taken: u64,
    done: Vec<Touched>,
}

impl Canvas {
    /// `room` bytes behind the image are for directories: libarchive wants them in front of the files.
    pub fn new(image: &Content, room: u64) -> Self {
        let old_end = image.len().next_multiple_of(SECTOR);
        Canvas {
            image: image.clone(),
            sectors: BTreeMap::new(),
            pieces: BTreeMap::new(),
            old_end,
            end: old_end + room,
            taken: 0,
            done: Vec::new(),
        }
    }

    /// True for a byte that the vendor's image has.
    pub fn is_old(&self, at: u64) -> bool {
        at < self.old_end
    }

    /// The vendor's image.
    pub fn image(&self) -> &Content {
        &self.image
    }

    /// What was taken of the room for directories, or would have been. Where it is other than what was
    /// kept, the pieces lie over each other: then it is to be done again with that much.
    pub fn room_taken(&self) -> u64 {
        self.taken
    }

    /// Room for a directory, behind the one before.
    pub fn reserve_directory(&mut self, len: u64) -> u64 {
        let at = self.old_end + self.taken;
        self.taken += len.next_multiple_of(SECTOR);
        at
    }

    /// True once something lies behind the vendor's end.
    pub fn grown(&self) -> bool {
        self.end > self.old_end
    }

    pub fn is_untouched(&self) -> bool {
        self.done.is_empty() && !self.grown()
    }

    fn sector(&mut self, start: u64) -> Result<&mut Vec<u8>> {
        if !self.sectors.contains_key(&start) {
            let have = self.image.len().saturating_sub(start).min(SECTOR) as usize;
            let mut b = vec![0; SECTOR as usize];
            self.image.read_at(&mut b[..have.max(1)], start)?;
            self.sectors.insert(start, b);
        }
        self.sectors.get_mut(&start).ok_or_else(|| Error::corrupt("no such sector", start))
    }

    /// Bytes of the vendor's part as they are now.
    pub fn read(&mut self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut b = vec![0; len];
        self.image.read_at(&mut b, at)?;
        let first = at / SECTOR * SECTOR;
        for (start, s) in self.sectors.range(first..at + len as u64) {
            let from = at.max(*start);
            let to = (at + len as u64).min(start + SECTOR);
            b[(from - at) as usize..(to - at) as usize]
                .copy_from_slice(&s[(from - start) as usize..(to - start) as usize]);
        }
        Ok(b)
    }

    /// Overwrites bytes of the vendor's part. What is the same already leaves no trace.
    pub fn patch(&mut self, at: u64, bytes: &[u8], what: What) -> Result<()> {
        if self.read(at, bytes.len())? == bytes {
            return Ok(());
        }
        let mut done = 0;
        while done < bytes.len() {
            let pos = at + done as u64;
            let start = pos / SECTOR * SECTOR;
            let off = (pos - start) as usize;
            let n = (bytes.len() - done).min(SECTOR as usize - off);
            self.sector(start)?[off..off + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
        self.done.push(Touched { range: at..at + bytes.len() as u64, what });
        Ok(())
    }

    /// Puts `content` over the vendor's bytes from `at`, a sector's start; the rest of its last sector
    /// becomes zero.
    pub fn replace(&mut self, at: u64, content: &Content, what: What) {
        self.done.push(Touched { range: at..at + content.len(), what });
        self.pieces.insert(at, padded(content));
    }

    /// Appends `content` in whole sectors and says at which byte.
    pub fn append(&mut self, content: &Content, what: What) -> u64 {
        let at = self.reserve(content.len());
        self.fill(at, content, what);
        at
    }

    /// Keeps room for `len` bytes at the end.
    pub fn reserve(&mut self, len: u64) -> u64 {
        let at = self.end;
        self.end += len.next_multiple_of(SECTOR);
        at
    }

    /// Fills what was reserved.
    pub fn fill(&mut self, at: u64, content: &Content, what: What) {
        self.replace(at, content, what);
    }

    /// The whole, and what was done in order of place.
    ///
    /// # Errors
    /// `Corrupt` where two changes lie over each other: the vendor's structures overlap.
    pub fn finish(self) -> Result<(Content, Vec<Touched>)> {
        let mut all: Vec<(u64, Content)> = self.pieces.into_iter().collect();
        let mut run: Option<(u64, Vec<u8>)> = None;
        for (at, bytes) in self.sectors {
            match &mut run {
                Some((start, b)) if *start + b.len() as u64 == at => b.extend_from_slice(&bytes),
                _ => {
                    all.extend(run.take().map(|(at, b)| (at, Content::from(b))));
                    run = Some((at, bytes));
                }
            }
        }
        all.extend(run.map(|(at, b)| (at, Content::from(b))));
        all.retain(|(_, c)| !c.is_empty());
        all.sort_by_key(|(at, _)| *at);
        let mut parts = Vec::with_capacity(2 * all.len() + 1);
        let mut pos = 0;
        for (at, c) in all {
            if at < pos {
                let what = "two structures that are to be changed lie over each other";
                return Err(Error::corrupt(what, at));
            }
            parts.push(gap(&self.image, pos..at)?);
            pos = at + c.len();
            parts.push(c);
        }
        let end = if self.end > self.old_end { self.end } else { self.image.len() };
        if pos < end {
            parts.push(gap(&self.image, pos..end)?);
        }
        let mut done = self.done;
        done.sort_by_key(|t| (t.range.start, t.range.end));
        let whole = Content::concat(parts);
        Ok((whole.slice(0..end.min(whole.len()))?, done))
    }
}

/// Bytes that nothing changed: the vendor's, then zeros.
fn gap(image: &Content, r: Range<u64>) -> Result<Content> {
    let from = r.start.min(image.len());
    let to = r.end.min(image.len());
    let zeros = Content::zeros((r.end - r.start) - (to - from));
    Ok(Content::concat([image.slice(from..to)?, zeros]))
}

fn padded(c: &Content) -> Content {
    Content::concat([c.clone(), Content::zeros(c.len().next_multiple_of(SECTOR) - c.len())])
}
