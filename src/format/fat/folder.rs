//! A folder's slots of 32 bytes.

use super::MAX_DIRECTORY;
use super::layout::Width;
use super::name::{LongName, fold, short_name};
use crate::error::{Error, Result};
use crate::format::fields::{le16, le32};

/// One name of a folder.
pub(super) struct Entry<'a> {
    /// The first of its slots: of the long name, where it has one.
    pub(super) from: usize,
    /// The slot of its short entry.
    pub(super) at: usize,
    pub(super) raw: &'a [u8],
    pub(super) name: String,
}

impl Entry<'_> {
    pub(super) fn is_dir(&self) -> bool {
        self.raw[11] & 0x10 != 0
    }

    /// Of a [`Folder`], where both halves count.
    pub(super) fn first(&self) -> u32 {
        first_cluster(self.raw, Width::Fat32)
    }

    pub(super) fn size(&self) -> u64 {
        u64::from(le32(self.raw, 28))
    }
}

/// The first cluster that a short entry names. FAT12 and FAT16 may have other things in the high half.
pub(super) fn first_cluster(e: &[u8], width: Width) -> u32 {
    let high = if width == Width::Fat32 { le16(e, 20) } else { 0 };
    u32::from(le16(e, 26)) | u32::from(high) << 16
}

/// What a folder holds, but for `.`, `..`, the volume label and what was deleted.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut long = LongName::default();
    let mut long_from = 0;
    let used = bytes.chunks_exact(32).enumerate().take_while(|(_, e)| e[0] != 0);
    used.filter_map(move |(at, raw)| {
        match (raw[0], raw[11] & 0x3f) {
            (0xe5, _) => long = LongName::default(),
            (first, 0x0f) => {
                if first & 0x40 != 0 {
                    long_from = at;
                }
                long.take(raw);
            }
            // A volume label.
            (_, attr) if attr & 0x08 != 0 => long = LongName::default(),
            _ => {
                let (from, name) = match std::mem::take(&mut long).finish(raw) {
                    Some(name) => (long_from, name),
                    None => (at, short_name(raw)),
                };
                let itself = matches!(&name[..], "." | "..");
                return (!itself).then_some(Entry { from, at, raw, name });
            }
        }
        None
    })
}

fn is_long(e: &[u8]) -> bool {
    e[11] & 0x3f == 0x0f
}

/// A folder as it is edited.
pub(super) struct Folder {
    /// Its slots up to the end mark.
    pub(super) bytes: Vec<u8>,
    /// Its clusters; none for the root folder of FAT12 and FAT16.
    pub(super) chain: Vec<u32>,
    pub(super) changed: bool,
}

impl Folder {
    /// A folder as it lies there. FAT12 and FAT16 may have other things in the high half of a first
    /// cluster: it is 0 from here on, so that it is right when the image becomes FAT32.
    pub(super) fn new(mut bytes: Vec<u8>, chain: Vec<u32>, width: Width) -> Self {
        let end = bytes.chunks_exact(32).position(|e| e[0] == 0);
        bytes.truncate(end.map_or(bytes.len(), |n| n * 32));
        for e in bytes.chunks_exact_mut(32).filter(|e| width != Width::Fat32 && !is_long(e)) {
            e[20..22].fill(0);
        }
        Folder { bytes, chain, changed: false }
    }

    /// The entry that `name` means: spelled so, else in another case, else by its short name.
    pub(super) fn find(&self, name: &str) -> Option<Entry<'_>> {
        let folded = fold(name);
        let rank = |e: &Entry<'_>| match () {
            _ if e.name == name => Some(0),
            _ if fold(&e.name) == folded => Some(1),
            _ if fold(&short_name(e.raw)) == folded => Some(2),
            _ => None,
        };
        let ranked = entries(&self.bytes).filter_map(|e| Some((rank(&e)?, e)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, e)| e)
    }

    /// Frees the slots of an entry.
    pub(super) fn erase(&mut self, from: usize, at: usize) {
        for slot in from..=at {
            self.bytes[slot * 32] = 0xe5;
        }
        self.changed = true;
    }

    /// Puts entries into the first slots in a row that are free; where the last of them went.
    ///
    /// # Errors
    /// `Unsupported` where the folder would be bigger than FAT has it.
    pub(super) fn insert(&mut self, new: &[[u8; 32]]) -> Result<usize> {
        let slots: Vec<bool> = self.bytes.chunks_exact(32).map(|e| e[0] == 0xe5).collect();
        let hole = slots.windows(new.len()).position(|w| w.iter().all(|free| *free));
        let from = hole.unwrap_or(slots.len());
        if hole.is_none() {
            let len = self.bytes.len() + new.len() * 32;
            if len as u64 > MAX_DIRECTORY - 32 {
                return Err(Error::unsupported("a FAT folder can't hold more than 65,535 entries"));
            }
            self.bytes.resize(len, 0);
        }
        self.bytes[from * 32..(from + new.len()) * 32].copy_from_slice(new.as_flattened());
        self.changed = true;
        Ok(from + new.len() - 1)
    }

    /// The short entry in slot `at`, to be changed.
    pub(super) fn slot(&mut self, at: usize) -> &mut [u8] {
        self.changed = true;
        &mut self.bytes[at * 32..at * 32 + 32]
    }
}

/// The short names that are taken.
pub(super) fn shorts(bytes: &[u8]) -> impl Iterator<Item = [u8; 11]> {
    let used = bytes.chunks_exact(32).filter(|e| e[0] != 0xe5 && !is_long(e));
    used.filter(|e| e[11] & 0x08 == 0).filter_map(|e| e.first_chunk().copied())
}
