//! The volume descriptors: ECMA-119 clause 8, and the volume recognition sequence of ECMA-167 part 2
//! that tells of UDF beside it.
//!
//! Not supported: volume partition descriptors (skipped), enhanced descriptors of ISO 9660:1999
//! (skipped), logical blocks over 2048 bytes.

use super::joliet;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{be32, le16, le32, long_date, text};
use serde::Serialize;

/// A logical sector, in bytes.
pub const SECTOR: u64 = 2048;
/// ECMA-119 6.2.1: the first sixteen sectors belong to the system.
const FIRST: u64 = 16;
/// Real media have three to eight. A hostile one must not make us read all of it.
const MAX: u64 = 64;

/// What the primary volume descriptor says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Volume identifier, the label that boot configs search for.
    pub id: String,
    /// System identifier.
    pub system_id: String,
    /// Volume set identifier.
    pub set_id: String,
    /// Publisher.
    pub publisher_id: String,
    /// Data preparer: the tool that made it, often.
    pub preparer_id: String,
    /// Application.
    pub application_id: String,
    /// Bytes of a logical block: 2048 on real media.
    pub block_size: u32,
    /// Volume space size, in blocks.
    pub blocks: u32,
    /// Creation, seconds since 1970.
    pub created: Option<i64>,
    /// Modification, seconds since 1970.
    pub modified: Option<i64>,
    /// Byte offset of the descriptor.
    #[serde(skip)]
    pub at: u64,
    /// The root directory.
    #[serde(skip)]
    pub root: Root,
}

/// A root directory, as a volume descriptor names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Root {
    /// Byte offset of the record in the descriptor.
    pub record_at: u64,
    /// Byte offset of the directory.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// The Joliet side.
#[derive(Debug, Clone)]
pub(super) struct Joliet {
    pub root: Root,
}

/// All that the descriptors say.
#[derive(Debug, Clone)]
pub(super) struct Descriptors {
    pub volume: Volume,
    pub joliet: Option<Joliet>,
    pub boot_catalog: Option<(u32, u64)>,
    pub udf_at: Option<u64>,
    pub notes: Vec<String>,
}

pub(super) enum Found {
    Iso(Box<Descriptors>),
    /// UDF at this offset, without ISO 9660.
    UdfOnly(u64),
    Nothing,
}

/// Reads the descriptors of `image`.
pub(super) fn read(image: &Content) -> Result<Found> {
    let mut scan = Scan::default();
    let mut sector = [0u8; SECTOR as usize];
    let mut ended = false;
    for lba in FIRST..FIRST + MAX {
        let at = lba * SECTOR;
        if at + SECTOR > image.len() {
            // After the terminator the medium may end; before it, it may not.
            if ended || scan.volume.is_none() {
                break;
            }
            image.read_at(&mut sector, at)?;
        }
        image.read_at(&mut sector, at)?;
        match &sector[1..6] {
            b"CD001" if !ended => ended = scan.descriptor(&sector, at)?,
            b"NSR02" | b"NSR03" => scan.udf_at = scan.udf_at.or(Some(at)),
            b"BEA01" | b"TEA01" | b"BOOT2" => {}
            _ if ended || scan.volume.is_none() => break,
            _ => {
                return Err(Error::corrupt(
                    "the volume descriptors end without a terminator (ECMA-119 8.3)",
                    at,
                ));
            }
        }
    }
    let Some(volume) = scan.volume else {
        return Ok(scan.udf_at.map_or(Found::Nothing, Found::UdfOnly));
    };
    if !ended {
        let what = format!("more than {MAX} volume descriptors");
        return Err(Error::corrupt(what, (FIRST + MAX) * SECTOR));
    }
    let mut notes = scan.notes;
    let says = u64::from(volume.blocks) * u64::from(volume.block_size);
    if says > image.len() {
        notes.push(format!(
            "the volume says it has {says} bytes, the image has {}: it may be cut short",
            image.len()
        ));
    }
    let (joliet, boot_catalog, udf_at) = (scan.joliet, scan.boot_catalog, scan.udf_at);
    Ok(Found::Iso(Box::new(Descriptors { volume, joliet, boot_catalog, udf_at, notes })))
}

#[derive(Default)]
struct Scan {
    volume: Option<Volume>,
    joliet: Option<Joliet>,
    boot_catalog: Option<(u32, u64)>,
    udf_at: Option<u64>,
    notes: Vec<String>,
}

impl Scan {
    /// Takes one descriptor; true for the terminator.
    fn descriptor(&mut self, d: &[u8], at: u64) -> Result<bool> {
        match d[0] {
            0 if d[7..39].starts_with(b"EL TORITO SPECIFICATION") => {
                self.boot_catalog = self.boot_catalog.or(Some((le32(d, 0x47), at)));
            }
            // A second primary descriptor is a copy (ECMA-119 6.7.1.1): the first counts.
            1 if self.volume.is_none() => self.volume = Some(volume(d, at)?),
            2 if joliet::is_joliet(d) && self.joliet.is_none() => match root(d, at) {
                Ok(root) => self.joliet = Some(Joliet { root }),
                Err(e) => self.notes.push(format!("the Joliet descriptor is not usable: {e}")),
            },
            255 => {
                if self.volume.is_none() {
                    let what = "volume descriptors without a primary one (ECMA-119 8.4)";
                    return Err(Error::corrupt(what, at));
                }
                return Ok(true);
            }
            // Other boot records, enhanced descriptors, partitions.
            _ => {}
        }
        Ok(false)
    }
}

fn volume(d: &[u8], at: u64) -> Result<Volume> {
    Ok(Volume {
        id: text(&d[40..72]),
        system_id: text(&d[8..40]),
        set_id: text(&d[190..318]),
        publisher_id: text(&d[318..446]),
        preparer_id: text(&d[446..574]),
        application_id: text(&d[574..702]),
        block_size: block_size(d, at)?,
        blocks: le32(d, 80),
        created: long_date(&d[813..830]),
        modified: long_date(&d[830..847]),
        at,
        root: root(d, at)?,
    })
}

fn block_size(d: &[u8], at: u64) -> Result<u32> {
    if le16(d, 128) != u16::from_be_bytes([d[130], d[131]]) {
        let what = "the block size's two byte orders disagree (ECMA-119 7.2.3)";
        return Err(Error::corrupt(what, at + 128));
    }
    match le16(d, 128) {
        n @ (512 | 1024 | 2048) => Ok(u32::from(n)),
        n => Err(Error::unsupported(format!("logical blocks of {n} bytes (ECMA-119 8.4.12)"))
            .at(at + 128)),
    }
}

fn root(d: &[u8], at: u64) -> Result<Root> {
    let r = &d[156..190];
    let record_at = at + 156;
    let (lba, len) = (le32(r, 2), le32(r, 10));
    if r[0] < 34 || r[25] & 2 == 0 {
        let what = "the volume descriptor's root record is not one (ECMA-119 8.4.18)";
        return Err(Error::corrupt(what, record_at));
    }
    if be32(r, 6) != lba || be32(r, 14) != len {
        let what = "the root record's two byte orders disagree (ECMA-119 7.3.3)";
        return Err(Error::corrupt(what, record_at));
    }
    let start = (u64::from(lba) + u64::from(r[1])) * u64::from(block_size(d, at)?);
    Ok(Root { record_at, start, len: u64::from(len) })
}
