//! Boot images that changed or moved: catalog entries, boot information tables, GRUB's own pointer.
//! Sources: El Torito 1.0; mkisofs(8) `-boot-info-table`; libisofs' `boot_sectors.txt` and xorriso's
//! `--grub2-boot-info`.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{le32, le64};
use crate::format::iso9660::eltorito::{BootCatalog, BootImage, Emulation, Platform};
use crate::format::iso9660::{Iso, SECTOR, View};

use super::canvas::Canvas;
use super::{Moved, What};

/// A boot image that is summed up. isolinux.bin has 40 KiB.
const MAX_SUMMED: u64 = 16 << 20;
/// Where `--grub2-boot-info` puts 64 bits: the image's sector of 512 bytes, plus 5.
const GRUB_INFO: usize = 2548;

/// Prepares `new` to stand at `at` where the boot image `old` was: tables that `old` has are written
/// into it.
pub(super) fn prepare(old: &BootImage, new: &Content, at: u64) -> Result<Content> {
    if let Emulation::Floppy(kib) = old.emulation
        && new.len() != u64::from(kib) * 1024
        && new.len() != old.size
    {
        let what = format!("a floppy image of {kib} KiB can't become one of {} bytes", new.len());
        return Err(Error::unsupported(what));
    }
    let grub = has_grub_info(old);
    if old.boot_info.is_none() && !grub {
        return Ok(new.clone());
    }
    let mut b = new.read_all(MAX_SUMMED)?;
    if b.len() < 64 || (grub && b.len() < GRUB_INFO + 8) {
        let what = "a boot image that is too short for the table that the old one has";
        return Err(Error::unsupported(what));
    }
    if grub {
        let sector = at / 512 + 5;
        b[GRUB_INFO..GRUB_INFO + 8].copy_from_slice(&sector.to_le_bytes());
    }
    if old.boot_info.is_some() {
        let block = u32::try_from(at / SECTOR).map_err(|_| Error::unsupported("over 8 TiB"))?;
        let numbers = [16, block, b.len() as u32, sum(&b[64..])];
        for (i, n) in numbers.into_iter().enumerate() {
            b[8 + 4 * i..12 + 4 * i].copy_from_slice(&n.to_le_bytes());
        }
        b[24..64].fill(0);
    }
    Ok(b.into())
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0, |sum, c| {
        let mut w = [0; 4];
        w[..c.len()].copy_from_slice(c);
        sum.wrapping_add(u32::from_le_bytes(w))
    })
}

fn has_grub_info(old: &BootImage) -> bool {
    let mut b = [0; 8];
    old.content.read_at(&mut b, GRUB_INFO as u64).is_ok()
        && le64(&b, 0) == u64::from(old.lba) * 4 + 5
}

/// Points the catalog's entries at images that moved.
pub(super) fn follow(catalog: &BootCatalog, canvas: &mut Canvas, moved: &[Moved]) -> Result<()> {
    for e in &catalog.entries {
        let Some(m) = moved.iter().find(|m| m.old == u64::from(e.lba) * SECTOR) else { continue };
        let mut entry = canvas.read(e.at, 12)?;
        let lba = u32::try_from(m.new / SECTOR).map_err(|_| Error::unsupported("over 8 TiB"))?;
        entry[6..8].copy_from_slice(&sectors(e, m).to_le_bytes());
        entry[8..12].copy_from_slice(&lba.to_le_bytes());
        canvas.patch(e.at, &entry, What::BootCatalog)?;
    }
    Ok(())
}

/// The sector count: one that covered the old image covers the new one. The field has 16 bits; 0 is what
/// firmware takes as "to the end of the medium" (UEFI 2.10 13.3.2.1).
fn sectors(e: &BootImage, m: &Moved) -> u16 {
    let old = u64::from(e.sectors);
    let covered = e.emulation == Emulation::None && old > 1 && old * 512 >= m.old_len;
    match covered {
        true => u16::try_from(m.new_len.div_ceil(512)).unwrap_or(match e.platform {
            Platform::Uefi => 0,
            _ => u16::MAX,
        }),
        false => e.sectors,
    }
}

/// Reads the catalog of `iso`; `file_at` finds the file that starts at a byte.
pub(super) fn catalog(
    image: &Content,
    iso: &Iso,
    around: &crate::format::iso9660::eltorito::Around,
) -> Result<Option<BootCatalog>> {
    debug_assert!(iso.view != View::Udf);
    let Some((lba, at)) = iso.boot_catalog else { return Ok(None) };
    crate::format::iso9660::eltorito::read(image, lba, at, around, &mut Vec::new())
}

/// What the MBR's boot code has at byte 432: where the boot image starts, in sectors of 512 bytes;
/// isohybrid's as it is, GRUB's plus 4.
pub(super) fn follow_in_mbr(
    canvas: &mut Canvas,
    catalog: Option<&BootCatalog>,
    moved: &[Moved],
) -> Result<()> {
    const AT: u64 = 432;
    let b = canvas.read(0, 512)?;
    if b[510..] != [0x55, 0xaa] {
        return Ok(());
    }
    let (low, high) = (le32(&b, AT as usize), le32(&b, AT as usize + 4));
    for e in catalog.iter().flat_map(|c| &c.entries) {
        let Some(m) = moved.iter().find(|m| m.old == u64::from(e.lba) * SECTOR) else { continue };
        let old = m.old / 512;
        let new = match (u64::from(high) << 32 | u64::from(low)).checked_sub(old) {
            Some(plus @ (0 | 4)) if old > 0 => m.new / 512 + plus,
            _ => continue,
        };
        return canvas.patch(AT, &new.to_le_bytes(), What::BootCode);
    }
    Ok(())
}
