//! What was edited, as an image again: the sectors that differ, between extents of the old image.

use super::edit::Edited;
use super::folder::Folder;
use super::grow;
use super::layout::{Layout, Width};
use super::volume::{Volume, encode, runs};
use crate::content::Content;
use crate::error::Result;
use crate::format::fields::{le16, le32};
use std::collections::BTreeMap;

/// What is compared, whatever the sector's size.
const UNIT: usize = 512;

/// # Errors
/// `Unsupported` where the image can't grow so far; `Corrupt` and `Io` as its source says.
pub(super) fn finish(mut volume: Volume<'_>) -> Result<Edited> {
    if !volume.changed {
        return Ok(Edited { image: volume.image.clone(), grown: false });
    }
    let mut boot = [0u8; UNIT];
    volume.image.read_at(&mut boot, 0)?;
    let grown = grow::needed(&volume);
    let base = if grown { grow::grow(&mut volume, &mut boot)? } else { volume.image.clone() };
    let mut patches = Patches { base: &base, parts: BTreeMap::new() };
    tables(&mut volume, &mut patches)?;
    for (key, folder) in volume.folders.iter().filter(|(_, f)| f.changed) {
        put_folder(&volume.layout, *key, folder, &mut patches)?;
    }
    boot_sectors(&volume, &mut boot, &mut patches)?;
    for (first, content) in std::mem::take(&mut volume.data) {
        patches.parts.insert(volume.layout.cluster_at(first)?, content);
    }
    Ok(Edited { image: patches.apply()?, grown })
}

fn tables(volume: &mut Volume<'_>, patches: &mut Patches<'_>) -> Result<()> {
    let l = &volume.layout;
    // Entry 1: unmounted cleanly, and no disk errors.
    volume.table[1] |= match l.width {
        Width::Fat12 => 0,
        Width::Fat16 => 0xc000,
        Width::Fat32 => 0x0c00_0000,
    };
    let len = Layout::table_bytes(l.width, l.clusters).next_multiple_of(UNIT as u64);
    // All of them, whichever counts: a checker compares them.
    for i in 0..l.tables {
        let at = l.tables_at + i * l.table_len;
        let mut bytes = patches.base.slice(at..at + len)?.read_all(len)?;
        encode(&volume.table, l.width, &mut bytes);
        patches.bytes(at, &bytes)?;
    }
    Ok(())
}

fn put_folder(l: &Layout, key: u32, folder: &Folder, patches: &mut Patches<'_>) -> Result<()> {
    let mut bytes = folder.bytes.clone();
    if folder.chain.is_empty() {
        debug_assert_eq!(key, super::volume::ROOT);
        bytes.resize(l.root_len as usize, 0);
        return patches.bytes(l.root_at, &bytes);
    }
    bytes.resize(folder.chain.len() * l.cluster as usize, 0);
    let mut left = &bytes[..];
    for (first, n) in runs(&folder.chain) {
        let (run, rest) = left.split_at((n * l.cluster) as usize);
        patches.bytes(l.cluster_at(first)?, run)?;
        left = rest;
    }
    Ok(())
}

/// The boot sector and, on FAT32, its backup, and the counts of free clusters in both.
fn boot_sectors(
    volume: &Volume<'_>,
    boot: &mut [u8; UNIT],
    patches: &mut Patches<'_>,
) -> Result<()> {
    let l = &volume.layout;
    let state = if l.width == Width::Fat32 { 65 } else { 37 };
    if matches!(boot[state + 1], 0x28 | 0x29) {
        // "Dirty", as Linux and Windows set it while the volume is mounted.
        boot[state] &= !1;
    }
    patches.bytes(0, &boot[..])?;
    if l.width != Width::Fat32 {
        return Ok(());
    }
    let inside = |n: u64| (n > 0 && n * l.sector < l.tables_at).then_some(n * l.sector);
    let (info, backup) = (u64::from(le16(&boot[..], 48)), u64::from(le16(&boot[..], 50)));
    if let Some(at) = inside(backup) {
        let mut b = [0u8; UNIT];
        patches.base.read_at(&mut b, at)?;
        if b[510..] == [0x55, 0xaa] && info != backup {
            patches.bytes(at, &boot[..])?;
        }
    }
    let copy = if backup > 0 { inside(backup + info) } else { None };
    for at in inside(info).into_iter().chain(copy) {
        let mut b = [0u8; UNIT];
        patches.base.read_at(&mut b, at)?;
        if le32(&b, 0) == 0x4161_5252 && le32(&b, 484) == 0x6141_7272 {
            count_free(&volume.table, &mut b);
            patches.bytes(at, &b)?;
        }
    }
    Ok(())
}

/// FSInfo: free clusters, and where to look for the next one.
fn count_free(table: &[u32], info: &mut [u8; UNIT]) {
    let is_free = |v: &&u32| **v & super::volume::END == 0;
    let free = table[2..].iter().filter(is_free).count() as u32;
    let next = table[2..].iter().position(|v| is_free(&v)).map_or(u32::MAX, |n| n as u32 + 2);
    info[488..492].copy_from_slice(&free.to_le_bytes());
    info[492..496].copy_from_slice(&next.to_le_bytes());
}

/// What differs from `base`, by offset; no two overlap.
struct Patches<'a> {
    base: &'a Content,
    parts: BTreeMap<u64, Content>,
}

impl Patches<'_> {
    /// `new` at `at`, both whole units: only what differs is taken.
    fn bytes(&mut self, at: u64, new: &[u8]) -> Result<()> {
        let old = self.base.slice(at..at + new.len() as u64)?.read_all(new.len() as u64)?;
        let mut from = 0;
        while from < new.len() {
            let differs = |n: usize| n < new.len() && old[n..n + UNIT] != new[n..n + UNIT];
            let mut to = from;
            while differs(to) {
                to += UNIT;
            }
            if to > from {
                self.parts.insert(at + from as u64, new[from..to].to_vec().into());
            }
            from = to + UNIT;
        }
        Ok(())
    }

    fn apply(self) -> Result<Content> {
        let mut done = 0;
        let mut all = Vec::new();
        for (at, content) in self.parts {
            all.push(self.base.slice(done..at)?);
            done = at + content.len();
            all.push(content);
        }
        all.push(self.base.slice(done..self.base.len())?);
        Ok(Content::concat(all))
    }
}
