//! An image that is full: the same file system, longer at its end.
//!
//! Clusters keep their numbers. The tables in front of them get longer, so the data area moves as one
//! piece. Where there are more clusters than the width counts, the next width takes over, with the same
//! size of sectors and clusters, serial number, label and OEM name. The boot code stays but where FAT32
//! takes over, whose parameter block lies where the code was.

use super::layout::{Layout, Width};
use super::volume::{ROOT, Volume};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::le16;

/// Whether there is more in it than it holds.
pub(super) fn needed(volume: &Volume<'_>) -> bool {
    let l = &volume.layout;
    let fixed = volume.folders.get(&ROOT).filter(|f| f.chain.is_empty());
    volume.table.len() as u64 - 2 > l.clusters
        || fixed.is_some_and(|f| f.bytes.len() as u64 > l.root_len)
}

/// The clusters that `width` can count: the fewest that all drivers take for it, and the most.
fn bounds(width: Width) -> (u64, u64) {
    match width {
        Width::Fat12 => (0, 4084),
        Width::Fat16 => (4087, 65_524),
        Width::Fat32 => (65_529, super::volume::MAX_CLUSTERS),
    }
}

/// Makes room for all that `volume` holds: its layout and `boot` are the new ones then. Returns the
/// image with empty tables and an empty root area.
///
/// # Errors
/// `Unsupported` over the bounds.
pub(super) fn grow(volume: &mut Volume<'_>, boot: &mut [u8; 512]) -> Result<Content> {
    let old = volume.layout.clone();
    let width = wider(volume)?;
    let root_len = match width {
        Width::Fat32 => 0,
        _ => root_len(volume, &old)?,
    };
    let reserved = match old.width {
        Width::Fat32 => old.tables_at,
        _ if width == Width::Fat32 => old.tables_at.max(32 * old.sector),
        _ => old.tables_at,
    };
    let new = resized(&old, width, reserved, root_len, volume.table.len() as u64 - 2, boot)?;
    if let Some(root) = volume.folders.get_mut(&ROOT) {
        root.changed = true;
    }
    volume.table.resize(new.clusters as usize + 2, 0);
    describe(boot, &old, &new, volume)?;
    let mut head = volume.image.slice(0..old.tables_at)?;
    if width == Width::Fat32 && old.width != Width::Fat32 {
        head = fat32_head(&head, &new, boot)?;
    }
    let data = volume.image.slice(old.data_at..old.data_at + old.clusters * old.cluster)?;
    let rest = new.total - new.data_at - data.len();
    volume.layout = new;
    let l = &volume.layout;
    let between = Content::zeros(l.data_at - head.len());
    Ok(Content::concat([head, between, data, Content::zeros(rest)]))
}

/// The width that counts all clusters. FAT32 has its root folder among them, and all 32 bits of each
/// entry's cluster mean something.
fn wider(volume: &mut Volume<'_>) -> Result<Width> {
    let count = volume.table.len() as u64 - 2;
    let old = volume.layout.width;
    let width = match old {
        Width::Fat12 if count <= bounds(Width::Fat12).1 => Width::Fat12,
        Width::Fat12 | Width::Fat16 if count <= bounds(Width::Fat16).1 => Width::Fat16,
        _ => Width::Fat32,
    };
    if width == Width::Fat32 && old != Width::Fat32 {
        volume.layout.width = width;
        volume.fit(ROOT)?;
        if volume.folders.get(&ROOT).is_some_and(|f| f.chain.is_empty()) {
            let mut chain = Vec::new();
            volume.extend(&mut chain, 1)?;
            if let Some(root) = volume.folders.get_mut(&ROOT) {
                root.chain = chain;
            }
        }
        for folder in volume.folders.values_mut() {
            folder.changed = true;
        }
    }
    Ok(width)
}

fn root_len(volume: &Volume<'_>, old: &Layout) -> Result<u64> {
    let need = volume.folders.get(&ROOT).map_or(0, |f| f.bytes.len() as u64);
    let len = old.root_len.max(need.next_multiple_of(old.sector));
    if len > old.root_len && len / 32 > u64::from(u16::MAX) {
        return Err(
            Error::unsupported("the root folder of FAT16 can't hold so many entries").at(17)
        );
    }
    Ok(len)
}

fn resized(
    old: &Layout,
    width: Width,
    tables_at: u64,
    root_len: u64,
    need: u64,
    boot: &[u8; 512],
) -> Result<Layout> {
    let (fewest, most) = bounds(width);
    let fewest = if width == old.width { 0 } else { fewest };
    // Whole tracks, which mtools wants, and whole sectors of a CD.
    let track = u64::from(le16(boot, 24)) * old.sector;
    let cd = old.sector.max(2048);
    let unit = if (1..=63).contains(&le16(boot, 24)) { lcm(track, cd) } else { cd };
    let mut clusters = need.max(fewest);
    let mut table_len = if width == old.width { old.table_len } else { old.sector };
    loop {
        table_len =
            table_len.max(Layout::table_bytes(width, clusters).next_multiple_of(old.sector));
        let root_at = tables_at + old.tables * table_len;
        let data_at = root_at + root_len;
        let exact = data_at + clusters * old.cluster;
        let round = exact.next_multiple_of(unit);
        let fitting = (round - data_at) / old.cluster;
        let total = if fitting > most { exact } else { round };
        let clusters_now = (total - data_at) / old.cluster;
        if clusters_now > most || total / old.sector > u64::from(u32::MAX) {
            let what = format!("the FAT can't grow to {clusters_now} clusters");
            return Err(Error::unsupported(what).at(0));
        }
        if Layout::table_bytes(width, clusters_now) <= table_len {
            let active = (old.table_at - old.tables_at) / old.table_len;
            let table_at = tables_at + active * table_len;
            let clusters = clusters_now;
            let l = old.clone();
            return Ok(Layout {
                width,
                total,
                tables_at,
                table_at,
                table_len,
                root_at,
                root_len,
                data_at,
                clusters,
                ..l
            });
        }
        clusters = clusters_now;
    }
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// Puts the new layout into the boot sector.
fn describe(boot: &mut [u8; 512], old: &Layout, new: &Layout, volume: &Volume<'_>) -> Result<()> {
    let sectors = |bytes: u64| (bytes / new.sector) as u32;
    if new.width == Width::Fat32 && old.width != Width::Fat32 {
        let root = volume.folders.get(&ROOT).and_then(|f| f.chain.first());
        become_fat32(boot, root.copied().unwrap_or(2));
    }
    let total = sectors(new.total);
    let total16 = u16::try_from(total).ok().filter(|_| new.width != Width::Fat32);
    boot[19..21].copy_from_slice(&total16.unwrap_or(0).to_le_bytes());
    boot[32..36].copy_from_slice(&(if total16.is_some() { 0 } else { total }).to_le_bytes());
    boot[14..16].copy_from_slice(&(sectors(new.tables_at) as u16).to_le_bytes());
    let table = sectors(new.table_len).to_le_bytes();
    if new.width == Width::Fat32 {
        boot[36..40].copy_from_slice(&table);
        return Ok(());
    }
    boot[22..24].copy_from_slice(&table[..2]);
    if new.root_len > old.root_len {
        boot[17..19].copy_from_slice(&((new.root_len / 32) as u16).to_le_bytes());
    }
    if new.width != old.width && &boot[54..62] == b"FAT12   " {
        boot[54..62].copy_from_slice(b"FAT16   ");
    }
    Ok(())
}

/// FAT32's parameter block from FAT16's. Its code would not fit: it halts.
fn become_fat32(boot: &mut [u8; 512], root: u32) {
    let was = *boot;
    boot[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
    boot[17..19].fill(0);
    boot[22..24].fill(0);
    boot[36..510].fill(0);
    boot[44..48].copy_from_slice(&root.to_le_bytes());
    (boot[48], boot[50]) = (1, 6);
    (boot[64], boot[66]) = (was[36], 0x29);
    boot[71..82].copy_from_slice(b"NO NAME    ");
    if was[38] == 0x29 {
        boot[67..82].copy_from_slice(&was[39..54]);
    }
    boot[82..90].copy_from_slice(b"FAT32   ");
    // hlt; jmp to it
    boot[90..93].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
}

/// The reserved sectors of a FAT32 that was none: FSInfo as sector 1, and copies of both from 6 on.
fn fat32_head(old: &Content, new: &Layout, boot: &[u8; 512]) -> Result<Content> {
    let mut info = [0u8; 512];
    info[..4].copy_from_slice(b"RRaA");
    info[484..488].copy_from_slice(b"rrAa");
    info[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut head = Content::concat([old.clone(), Content::zeros(new.tables_at - old.len())]);
    for (sector, bytes) in [(1, &info), (6, boot), (7, &info)] {
        let at = sector * new.sector;
        head = head.splice(at..at + 512, bytes.to_vec().into())?;
    }
    Ok(head)
}
