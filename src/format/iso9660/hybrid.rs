//! Partition tables in the first sixteen sectors, so that an image starts from a USB stick too.
//! Sources: the MBR as UEFI 2.10 section 5.2 describes it; GPT, section 5.3, by the crate `gpt`;
//! Apple's partition map from Inside Macintosh: Devices (only seen, not read).
//!
//! The MBR is read here: the crate mbrman panics on /usr/lib/ipxe/ipxe.iso and hides type 0x00.
//! `gpt` asserts an entry size and allocates what the header says, so both are bounded before it is
//! asked. Not supported: logical partitions, 4096-byte sectors.

use crate::content::Content;
use crate::error::Result;
use crate::format::fields::{le32, le64};
use gpt::disk::LogicalBlockSize::Lb512;
use serde::Serialize;
use std::io::BufReader;

/// A partition table's sector, in bytes.
const SECTOR: u64 = 512;
/// Image makers write up to 248 entries.
const MAX_GPT_ENTRIES: u32 = 1024;
/// GPT type of an EFI system partition (UEFI 2.10 table 5.7).
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// What partition tables an image has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partitions {
    /// Master boot record, where its signature is there.
    pub mbr: Option<Mbr>,
    /// GUID partition table.
    pub gpt: Option<Gpt>,
    /// Byte offset of an Apple partition map.
    pub apm: Option<u64>,
    /// What is odd about them.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A master boot record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mbr {
    /// Disk signature, bytes 440..444.
    pub disk_id: u32,
    /// True where there is boot code.
    pub code: bool,
    /// Entries that name sectors, whatever their type.
    pub partitions: Vec<MbrPartition>,
}

/// An entry of the MBR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MbrPartition {
    /// 1 to 4.
    pub number: u32,
    /// True where the status byte is 0x80.
    pub active: bool,
    /// Type byte: 0xef is an EFI system partition, 0xee protects a GPT.
    pub kind: u8,
    /// First sector of 512 bytes.
    pub first: u32,
    /// Number of sectors of 512 bytes.
    pub sectors: u32,
}

/// A GUID partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpt {
    /// Disk GUID.
    pub disk_guid: String,
    /// True where the second header is where the first one says.
    pub backup: bool,
    /// Used entries.
    pub partitions: Vec<GptPartition>,
}

/// An entry of the GPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GptPartition {
    /// From 1.
    pub number: u32,
    /// Type GUID, lower case.
    pub kind: String,
    /// Unique GUID, lower case.
    pub guid: String,
    /// Name.
    pub name: String,
    /// First sector of 512 bytes.
    pub first: u64,
    /// Last sector of 512 bytes.
    pub last: u64,
    /// Attribute bits.
    pub flags: u64,
}

/// A partition as bytes of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its number in its table.
    pub number: u32,
    /// Byte offset.
    pub start: u64,
    /// Length in bytes; may reach past the image's end.
    pub len: u64,
    /// True for an EFI system partition.
    pub esp: bool,
}

impl Partitions {
    /// All partitions, those of the GPT first.
    pub fn spans(&self) -> Vec<Span> {
        let gpt = self.gpt.iter().flat_map(|g| &g.partitions).map(|p| Span {
            number: p.number,
            start: p.first.saturating_mul(SECTOR),
            len: (p.last.saturating_sub(p.first).saturating_add(1)).saturating_mul(SECTOR),
            esp: p.kind == ESP,
        });
        let mbr = self.mbr.iter().flat_map(|m| &m.partitions).map(|p| Span {
            number: p.number,
            start: u64::from(p.first) * SECTOR,
            len: u64::from(p.sectors) * SECTOR,
            esp: p.kind == 0xef,
        });
        gpt.chain(mbr).collect()
    }
}

/// Reads the tables of `image`. A table that is damaged is told in the notes.
///
/// # Errors
/// `Io` of the source.
pub fn read(image: &Content) -> Result<Partitions> {
    let mut out = Partitions::default();
    if image.len() < 2 * SECTOR {
        return Ok(out);
    }
    let mut b = [0u8; 1024];
    image.read_at(&mut b, 0)?;
    out.mbr = mbr(&b);
    out.apm = apple_map(image, &b)?;
    if b[512..].starts_with(b"EFI PART") {
        match gpt_table(image, &b[512..]) {
            Ok(g) => {
                if !g.backup {
                    out.notes.push("the GPT's second header is not at its place".into());
                }
                out.gpt = Some(g);
            }
            Err(why) => out.notes.push(format!("the GPT is damaged: {why} (at offset 0x200)")),
        }
    }
    for s in out.spans() {
        if s.start.saturating_add(s.len) > image.len() {
            out.notes.push(format!(
                "partition {} reaches to byte {}, the image has {}",
                s.number,
                s.start.saturating_add(s.len),
                image.len()
            ));
        }
    }
    Ok(out)
}

fn mbr(b: &[u8]) -> Option<Mbr> {
    if b[510..512] != [0x55, 0xaa] {
        return None;
    }
    let entry = |i: usize| {
        let e = &b[446 + 16 * i..462 + 16 * i];
        MbrPartition {
            number: i as u32 + 1,
            active: e[0] == 0x80,
            kind: e[4],
            first: le32(e, 8),
            sectors: le32(e, 12),
        }
    };
    Some(Mbr {
        disk_id: le32(b, 440),
        code: b[..440].iter().any(|&c| c != 0),
        partitions: (0..4).map(entry).filter(|p| p.sectors != 0).collect(),
    })
}

fn gpt_table(image: &Content, header: &[u8]) -> Result<Gpt, String> {
    let (count, size) = (le32(header, 80), le32(header, 84));
    if size != 128 || count > MAX_GPT_ENTRIES {
        return Err(format!("{count} entries of {size} bytes"));
    }
    let mut reader = BufReader::new(image.reader());
    let head = gpt::header::read_header_from_arbitrary_device(&mut reader, Lb512)
        .map_err(|e| e.to_string())?;
    let table = gpt::partition::file_read_partitions(&mut reader, &head, Lb512)
        .map_err(|e| e.to_string())?;
    let mut signature = [0u8; 8];
    let backup_at = le64(header, 32).saturating_mul(SECTOR);
    let backup = image.read_at(&mut signature, backup_at).is_ok() && &signature == b"EFI PART";
    let partitions = table
        .into_iter()
        .filter(|(_, p)| p.is_used())
        .map(|(number, p)| GptPartition {
            number,
            kind: p.part_type_guid.guid.to_string(),
            guid: p.part_guid.to_string(),
            name: p.name,
            first: p.first_lba,
            last: p.last_lba,
            flags: p.flags,
        })
        .collect();
    Ok(Gpt { disk_guid: head.disk_guid.to_string(), backup, partitions })
}

/// A map entry ("PM") at block 1, of 512 or 2048 bytes.
fn apple_map(image: &Content, b: &[u8]) -> Result<Option<u64>> {
    if b[512..].starts_with(b"PM\0\0") {
        return Ok(Some(512));
    }
    let mut sig = [0u8; 4];
    if image.len() >= 2052 {
        image.read_at(&mut sig, 2048)?;
    }
    Ok((&sig == b"PM\0\0").then_some(2048))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpt_that_asks_for_too_much_is_told_and_not_obeyed() {
        let mut b = vec![0u8; 4096];
        b[510..512].copy_from_slice(&[0x55, 0xaa]);
        b[512..520].copy_from_slice(b"EFI PART");
        for (count, size) in [(u32::MAX, 128u32), (4, 0), (4, 4096)] {
            b[592..596].copy_from_slice(&count.to_le_bytes());
            b[596..600].copy_from_slice(&size.to_le_bytes());
            let p = read(&b.clone().into()).expect("read");
            assert!(p.gpt.is_none() && p.notes[0].contains("damaged"), "{:?}", p.notes);
        }
    }

    #[test]
    fn an_mbr_shows_every_entry_with_sectors() {
        let mut b = vec![0u8; 2048];
        b[510..512].copy_from_slice(&[0x55, 0xaa]);
        b[446 + 12] = 9;
        b[462 + 4] = 0xef;
        b[462 + 8] = 2;
        b[462 + 12] = 1;
        let p = read(&b.into()).expect("read");
        assert_eq!(p.mbr.as_ref().map(|m| m.partitions.len()), Some(2));
        assert_eq!(p.spans()[1], Span { number: 2, start: 1024, len: 512, esp: true });
    }
}
