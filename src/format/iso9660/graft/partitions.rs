//! The partition tables of a medium that has grown. Sources: UEFI 2.10 sections 5.2 and 5.3; libisofs'
//! `boot_sectors.txt` for what image makers put there.
//!
//! An entry that covers the files is stretched to their new end. One that holds a boot image goes with
//! it. An appended partition would end up inside the files' one: an MBR entry of type 0 may cover it,
//! for firmware skips that type; else the appended partition is put behind the new files.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{le32, le64};
use crate::format::iso9660::SECTOR;
use crate::format::iso9660::hybrid::{MbrPartition, Partitions};

use super::canvas::Canvas;
use super::{Moved, What};

const MBR_TABLE: u64 = 446;
/// GPT entries are 128 bytes; the reader has refused others.
const ENTRY: u64 = 128;
/// GPT's header, of which the checksum covers 92 bytes.
const HEADER: usize = 92;

/// The tables as they are, and what must be known before the image grows.
pub(super) struct Tables {
    mbr: Vec<MbrPartition>,
    gpt: Option<Gpt>,
    /// Length of the image in sectors of 512 bytes.
    old_end: u64,
    /// Bytes from which the files can be mounted.
    bases: Vec<u64>,
}

struct Gpt {
    header: Vec<u8>,
    /// All entries.
    entries: Vec<u8>,
    /// How far before the last sector the backup's entries begin, and the usable ones end.
    backup: u64,
    unusable: u64,
}

impl Tables {
    /// `bases` are the bytes from which the files can be mounted.
    pub fn read(image: &Content, p: &Partitions, bases: Vec<u64>) -> Result<Self> {
        let gpt = match &p.gpt {
            Some(_) => Some(Gpt::read(image)?),
            None => None,
        };
        let mbr = p.mbr.as_ref().map(|m| m.partitions.clone()).unwrap_or_default();
        Ok(Tables { mbr, gpt, old_end: image.len() / 512, bases })
    }

    /// Whether the entry from sector `first` up to `end` is one from which the files are mounted.
    fn holds_files(&self, first: u64, end: u64) -> bool {
        self.bases.iter().any(|b| b / 512 == first && end * 512 > b + 17 * SECTOR)
    }

    /// Partitions behind the files' one that it must not come to cover: first sector and length.
    pub fn followers(&self) -> Vec<(u64, u64)> {
        let gpt: Vec<(u64, u64)> = self.gpt.iter().flat_map(Gpt::spans).collect();
        // A protective entry covers all; type 0 is no partition to firmware.
        let real = |m: &&MbrPartition| !matches!(m.kind, 0 | 0xee);
        let span = |m: &MbrPartition| (u64::from(m.first), u64::from(m.sectors));
        let mbr: Vec<(u64, u64)> = self.mbr.iter().filter(real).map(span).collect();
        let mut out = Vec::new();
        for table in [&gpt, &mbr] {
            for &(first, len) in table.iter().filter(|(f, n)| self.holds_files(*f, f + n)) {
                let end = first + len;
                let behind = |s: &&(u64, u64)| s.0 >= end && s.0 + s.1 <= self.old_end;
                out.extend(table.iter().filter(behind).copied());
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// How much is to follow the last partition, in bytes: the GPT's second copy.
    pub fn tail(&self) -> u64 {
        self.gpt.as_ref().map_or(0, |g| (g.backup + 1) * 512)
    }

    /// What the image's length is to be a multiple of: whole cylinders where it was so.
    pub fn align(&self) -> u64 {
        let ends =
            self.mbr.iter().any(|m| u64::from(m.first) + u64::from(m.sectors) == self.old_end);
        let whole = |unit: u64| (self.old_end * 512).is_multiple_of(unit);
        match ends {
            true if whole(64 * 32 * 512) => 64 * 32 * 512,
            _ => SECTOR,
        }
    }

    /// Where a partition that ended at sector `end` ends now.
    fn stretched(&self, end: u64, data: u64, whole: u64) -> u64 {
        if end >= self.old_end { whole / 512 } else { data / 512 }
    }

    /// Writes both tables for an image of `whole` bytes with files up to `data`.
    pub fn write(&self, canvas: &mut Canvas, moved: &[Moved], data: u64, whole: u64) -> Result<()> {
        for m in &self.mbr {
            self.mbr_entry(canvas, m, moved, data, whole)?;
        }
        match &self.gpt {
            Some(g) => self.write_gpt(g, canvas, moved, data, whole),
            None => Ok(()),
        }
    }

    fn mbr_entry(
        &self,
        canvas: &mut Canvas,
        m: &MbrPartition,
        moved: &[Moved],
        data: u64,
        whole: u64,
    ) -> Result<()> {
        let (first, len) = (u64::from(m.first), u64::from(m.sectors));
        let (new_first, new_len) = if m.kind == 0xee {
            if first + len < self.old_end || m.sectors == u32::MAX {
                return Ok(());
            }
            (first, whole / 512 - first)
        } else if let Some(to) = follow(first, len, moved) {
            to
        } else if canvas.grown() && self.holds_files(first, first + len) {
            (first, self.stretched(first + len, data, whole) - first)
        } else {
            return Ok(());
        };
        let at = MBR_TABLE + 16 * u64::from(m.number - 1);
        let mut e = canvas.read(at, 16)?;
        chs_pair(&mut e, (first, first + len - 1), (new_first, new_first + new_len - 1));
        // A table of 32 bits ends at 2 TiB, by custom with all ones.
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        e[8..12].copy_from_slice(&number(new_first));
        e[12..16].copy_from_slice(&number(new_len));
        canvas.patch(at, &e, What::PartitionTable)
    }

    fn write_gpt(
        &self,
        g: &Gpt,
        canvas: &mut Canvas,
        moved: &[Moved],
        data: u64,
        whole: u64,
    ) -> Result<()> {
        let last = whole / 512 - 1;
        let usable = last - g.unusable;
        let mut entries = g.entries.clone();
        for e in entries.chunks_mut(ENTRY as usize) {
            let (first, end) = (le64(e, 32), le64(e, 40).wrapping_add(1));
            if e[..16] == [0; 16] || end <= first {
                continue;
            }
            let (first, end) = if let Some((first, len)) = follow(first, end - first, moved) {
                (first, first + len)
            } else if canvas.grown() && self.holds_files(first, end) {
                // Image makers end it with the last whole block before the second copy.
                let all = end + 4 > le64(&g.header, 48) + 1 && end <= self.old_end;
                (first, if all { (usable + 1) / 4 * 4 } else { data / 512 })
            } else {
                continue;
            };
            e[32..40].copy_from_slice(&first.to_le_bytes());
            e[40..48].copy_from_slice(&(end - 1).to_le_bytes());
        }
        let mut header = g.header.clone();
        let crc = crc(&entries);
        header[88..92].copy_from_slice(&crc.to_le_bytes());
        if canvas.grown() {
            header[32..40].copy_from_slice(&last.to_le_bytes());
            header[48..56].copy_from_slice(&usable.to_le_bytes());
        }
        seal(&mut header);
        let entries_at = le64(&header, 72) * 512;
        canvas.patch(entries_at, &entries, What::PartitionTable)?;
        canvas.patch(512, &header, What::PartitionTable)?;
        if entries == g.entries && header == g.header {
            return Ok(());
        }
        let last = le64(&header, 32);
        header[24..32].copy_from_slice(&last.to_le_bytes());
        header[32..40].copy_from_slice(&1u64.to_le_bytes());
        header[72..80].copy_from_slice(&(last - g.backup).to_le_bytes());
        seal(&mut header);
        self.write_backup(g, canvas, &entries, &header, last)
    }

    /// The second copy: over the old one where the image did not grow, else at the new end.
    fn write_backup(
        &self,
        g: &Gpt,
        canvas: &mut Canvas,
        entries: &[u8],
        header: &[u8],
        last: u64,
    ) -> Result<()> {
        let entries_at = (last - g.backup) * 512;
        if !canvas.grown() {
            if (last + 1) * 512 > canvas.image().len() {
                return Ok(());
            }
            canvas.patch(entries_at, entries, What::PartitionTable)?;
            return canvas.patch(last * 512, header, What::PartitionTable);
        }
        let start = entries_at / SECTOR * SECTOR;
        let mut tail = vec![0; ((last + 1) * 512 - start) as usize];
        let off = (entries_at - start) as usize;
        tail[off..off + entries.len()].copy_from_slice(entries);
        let off = (last * 512 - start) as usize;
        tail[off..off + header.len()].copy_from_slice(header);
        canvas.fill(start, &Content::from(tail), What::PartitionTable);
        Ok(())
    }
}

impl Gpt {
    fn read(image: &Content) -> Result<Self> {
        let mut header = vec![0; HEADER];
        image.read_at(&mut header, 512)?;
        let damaged = |why: &str| Error::corrupt(format!("the GPT is damaged: {why}"), 512);
        let count = u64::from(le32(&header, 80));
        let mut entries = vec![0; (count.min(1024) * ENTRY) as usize];
        image.read_at(&mut entries, le64(&header, 72).saturating_mul(512))?;
        if le32(&header, 12) as usize != HEADER {
            return Err(damaged("its header has another length"));
        }
        let (last, usable) = (le64(&header, 32), le64(&header, 48));
        let sectors = (entries.len() as u64).div_ceil(512);
        let fits = usable < last && last - usable >= sectors && last - usable < 4096;
        if !fits || last >= image.len() / 512 {
            return Err(damaged("its second copy has no place"));
        }
        let mut second = vec![0; HEADER];
        image.read_at(&mut second, last * 512)?;
        let backup = match last.checked_sub(le64(&second, 72)) {
            Some(n) if second.starts_with(b"EFI PART") && n >= sectors && n <= last - usable => n,
            _ => sectors,
        };
        Ok(Gpt { header, entries, backup, unusable: last - usable })
    }

    /// First sector and length of each used entry.
    fn spans(&self) -> impl Iterator<Item = (u64, u64)> {
        self.entries.chunks(ENTRY as usize).filter_map(|e| {
            let (first, last) = (le64(e, 32), le64(e, 40));
            (e[..16] != [0; 16] && last >= first && last < u64::MAX)
                .then(|| (first, last - first + 1))
        })
    }
}

/// Where a partition goes whose first byte has moved: first sector and length. It covers what it
/// covered, in blocks of 2048.
fn follow(first: u64, len: u64, moved: &[Moved]) -> Option<(u64, u64)> {
    let m = moved.iter().find(|m| m.old == first.checked_mul(512).unwrap_or(0) && m.old > 0)?;
    let len = if len * 512 >= m.old_len { m.new_len.next_multiple_of(SECTOR) / 512 } else { len };
    Some((m.new / 512, len))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// UEFI 2.10 5.3.2: the sum is over the header with zeros in its own field.
fn seal(header: &mut [u8]) {
    header[16..20].fill(0);
    let sum = crc(&header[..HEADER]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
}

/// Heads and sectors that image makers count with.
const GEOMETRIES: [(u64, u64); 2] = [(64, 32), (255, 63)];

/// Cylinder, head and sector of `sector`; `None` past what the fields hold.
fn chs(sector: u64, (heads, sectors): (u64, u64)) -> Option<[u8; 3]> {
    let cylinder = sector / sectors / heads;
    let head = sector / sectors % heads;
    (cylinder < 1024).then(|| {
        let high = (cylinder >> 2) & 0xc0;
        [head as u8, (sector % sectors + 1) as u8 | high as u8, cylinder as u8]
    })
}

/// Rewrites the two addresses of an entry in the geometry that fits the old end; one that says nothing
/// stays so.
fn chs_pair(entry: &mut [u8], old: (u64, u64), new: (u64, u64)) {
    let beyond = [0xfe, 0xff, 0xff];
    let fits = |g: &&(u64, u64)| chs(old.1, **g).is_some_and(|c| c == entry[5..8]);
    let Some(geometry) = GEOMETRIES.iter().find(fits) else {
        return;
    };
    entry[1..4].copy_from_slice(&chs(new.0, *geometry).unwrap_or(beyond));
    entry[5..8].copy_from_slice(&chs(new.1, *geometry).unwrap_or(beyond));
}
