//! The boot catalog. Sources: El Torito 1.0 (1995); UEFI 2.10 section 13.3.2.1 for platform 0xEF; the
//! boot information table as mkisofs(8) describes it under `-boot-info-table`.
//!
//! Not supported: selection criteria are shown as bytes, not understood.

use super::SECTOR;
use super::hybrid::Span;
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::fat;
use crate::format::fields::{le16, le32};
use serde::{Serialize, Serializer};

/// El Torito counts a boot image in sectors of 512 bytes.
const VIRTUAL_SECTOR: u64 = 512;
/// Bytes of catalog that are read: 512 entries. Real ones have two to six.
const MAX_CATALOG: u64 = 8 * SECTOR;
/// A boot image that is summed up to check its information table; isolinux.bin has 40 KiB.
const MAX_CHECKED: u64 = 16 << 20;

/// For which machine an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// 0x00: PC BIOS.
    Bios,
    /// 0x01.
    PowerPc,
    /// 0x02.
    Mac,
    /// 0xEF: UEFI.
    Uefi,
    /// Any other number.
    Other(u8),
}

impl From<u8> for Platform {
    fn from(n: u8) -> Self {
        match n {
            0 => Platform::Bios,
            1 => Platform::PowerPc,
            2 => Platform::Mac,
            0xef => Platform::Uefi,
            n => Platform::Other(n),
        }
    }
}

/// What the boot image pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// Nothing: it is loaded and started.
    None,
    /// A floppy disk of that many KiB: 1200, 1440 or 2880.
    Floppy(u16),
    /// A hard disk.
    HardDisk,
    /// A number that the specification does not have.
    Unknown(u8),
}

/// The boot catalog.
#[derive(Debug, Clone, Serialize)]
pub struct BootCatalog {
    /// Its block of 2048 bytes.
    pub lba: u32,
    /// The file that holds it, where one does.
    pub path: Option<TreePath>,
    /// Manufacturer or developer, from the validation entry.
    pub id: String,
    /// False where the validation entry's sum is wrong.
    pub checksum_ok: bool,
    /// Every entry in order; the first is the default.
    pub entries: Vec<BootImage>,
    /// What is odd about it.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// An entry of the catalog and its boot image.
#[derive(Debug, Clone, Serialize)]
pub struct BootImage {
    /// From the validation entry or the section header.
    pub platform: Platform,
    /// Section's id string; empty for the default entry.
    pub section: String,
    /// False for an entry that must not be started.
    pub bootable: bool,
    /// Emulated drive.
    pub emulation: Emulation,
    /// Real-mode segment; 0 means 0x7c0.
    pub load_segment: u16,
    /// Partition type of an emulated hard disk.
    pub system_type: u8,
    /// Number of sectors of 512 bytes to load, as written.
    pub sectors: u16,
    /// Block of 2048 bytes where the image starts.
    pub lba: u32,
    /// Selection criteria: type, then bytes with those of extension entries. Empty for none.
    #[serde(serialize_with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<u8>,
    /// The file that holds the image, where one starts there.
    pub path: Option<TreePath>,
    /// Length of the image in bytes, as far as can be told.
    pub size: u64,
    /// isolinux' and GRUB's boot information table in the image.
    pub boot_info: Option<BootInfo>,
    /// True where isolinux says that it can start from a disk too (`isohybrid`).
    pub isohybrid: bool,
    /// Byte offset of this entry in the image.
    #[serde(skip)]
    pub at: u64,
    /// The image's bytes.
    #[serde(skip)]
    pub content: Content,
}

/// A boot information table, bytes 8..64 of a boot image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BootInfo {
    /// Length that it says the image has, in bytes.
    pub length: u32,
    /// True where that is the file's length and the sum over it is right.
    pub ok: bool,
}

fn hex<S: Serializer>(b: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&b.iter().map(|b| format!("{b:02x}")).collect::<String>())
}

/// Where the catalog's neighbours stand, to tell what a boot image is and how long.
pub struct Around<'a> {
    /// The file that starts at a byte offset: its path and length.
    pub file_at: &'a dyn Fn(u64) -> Option<(TreePath, u64)>,
    /// Partitions.
    pub spans: &'a [Span],
}

/// Reads the catalog at block `lba`; the descriptor at `named_at` says so. `None` where what stands
/// there is no catalog, with a note in `notes`.
///
/// # Errors
/// `Corrupt` where it lies past the image's end.
pub fn read(
    image: &Content,
    lba: u32,
    named_at: u64,
    around: &Around,
    notes: &mut Vec<String>,
) -> Result<Option<BootCatalog>> {
    let at = u64::from(lba) * SECTOR;
    let len = image.len().saturating_sub(at).min(MAX_CATALOG);
    if len < 64 {
        let what = "the El Torito boot catalog lies past the end";
        return Err(Error::corrupt(what, at)
            .hint("the image may be cut short: compare its size and checksum with the vendor's"));
    }
    let mut b = vec![0u8; (len / 32 * 32) as usize];
    image.read_at(&mut b, at)?;
    if b[0] != 1 || b[30..32] != [0x55, 0xaa] {
        notes.push(format!(
            "no El Torito boot catalog at offset {at:#x}, where the descriptor at {named_at:#x} says"
        ));
        return Ok(None);
    }
    let sum = (0..16).fold(0u16, |s, i| s.wrapping_add(le16(&b, 2 * i)));
    let mut catalog = BootCatalog {
        lba,
        path: (around.file_at)(at).map(|(p, _)| p),
        id: crate::format::fields::text(&b[4..28]),
        checksum_ok: sum == 0,
        entries: Vec::new(),
        notes: Vec::new(),
    };
    if sum != 0 {
        catalog.notes.push(format!("the boot catalog's checksum is wrong (at offset {at:#x})"));
    }
    let scan = Scan { image, around, bytes: &b, at };
    scan.entries(&mut catalog);
    Ok(Some(catalog))
}

struct Scan<'a> {
    image: &'a Content,
    around: &'a Around<'a>,
    bytes: &'a [u8],
    at: u64,
}

impl Scan<'_> {
    fn slot(&self, i: usize) -> Option<&[u8]> {
        self.bytes.get(32 * i..32 * i + 32)
    }

    /// The default entry, then sections: a header (0x90, or 0x91 for the last), its entries, each with
    /// extensions (0x44) where its media byte says so.
    fn entries(&self, catalog: &mut BootCatalog) {
        let default = Platform::from(self.bytes[1]);
        let mut i = 1;
        self.entry(&mut i, default, "", catalog);
        while let Some(header) = self.slot(i) {
            let last = match header[0] {
                0x90 => false,
                0x91 => true,
                // Some writers put further entries behind the default one without a header.
                0x88 => {
                    self.entry(&mut i, default, "", catalog);
                    continue;
                }
                _ => return,
            };
            let platform = Platform::from(header[1]);
            let section = crate::format::fields::text(&header[4..32]);
            let count = le16(header, 2);
            i += 1;
            for _ in 0..count {
                if !self.entry(&mut i, platform, &section, catalog) {
                    return;
                }
            }
            if last {
                return;
            }
        }
        catalog.notes.push(format!("the boot catalog does not end (at offset {:#x})", self.at));
    }

    /// Takes the entry in slot `i` and moves on; false where the catalog is over.
    fn entry(&self, i: &mut usize, platform: Platform, section: &str, c: &mut BootCatalog) -> bool {
        let Some(e) = self.slot(*i) else { return false };
        if !matches!(e[0], 0x88 | 0x00) {
            c.notes.push(format!(
                "a boot catalog entry with indicator {:#04x} (at offset {:#x})",
                e[0],
                self.at + 32 * *i as u64
            ));
            return false;
        }
        let at = self.at + 32 * *i as u64;
        *i += 1;
        // The default entry has no selection criteria; its bytes 12..32 are unused.
        let mut criteria = Vec::new();
        if *i > 2 && e[12] != 0 {
            criteria.extend_from_slice(&e[12..32]);
        }
        let mut more = *i > 2 && e[1] & 0x20 != 0;
        while more && let Some(x) = self.slot(*i).filter(|x| x[0] == 0x44) {
            criteria.extend_from_slice(&x[2..32]);
            more = x[1] & 0x20 != 0;
            *i += 1;
        }
        let mut image = BootImage {
            platform,
            section: section.to_string(),
            bootable: e[0] == 0x88,
            emulation: emulation(e[1]),
            load_segment: le16(e, 2),
            system_type: e[4],
            sectors: le16(e, 6),
            lba: le32(e, 8),
            criteria,
            path: None,
            size: 0,
            boot_info: None,
            isohybrid: false,
            at,
            content: Content::empty(),
        };
        // An entry of zeros only fills a slot.
        if e.iter().any(|&b| b != 0) {
            self.fill(&mut image, &mut c.notes);
            c.entries.push(image);
        }
        true
    }

    /// Finds the boot image's bytes.
    fn fill(&self, b: &mut BootImage, notes: &mut Vec<String>) {
        let start = u64::from(b.lba) * SECTOR;
        let left = self.image.len().saturating_sub(start);
        let mut size = u64::from(b.sectors) * VIRTUAL_SECTOR;
        if let Some((path, len)) = (self.around.file_at)(start) {
            b.path = Some(path);
            size = len;
        } else if let Emulation::Floppy(kib) = b.emulation {
            size = u64::from(kib) * 1024;
        } else if b.platform == Platform::Uefi {
            size = self.efi_size(start).unwrap_or(size);
        }
        if size > left {
            notes.push(format!(
                "a boot image of {size} bytes starts where only {left} are left (at offset {start:#x})"
            ));
        }
        b.size = size.min(left);
        b.content = self.image.slice(start..start + b.size).unwrap_or_default();
        self.look_inside(b);
    }

    /// An EFI image's real length: the sector count has 16 bits, and firmware ignores 0 and 1 anyway.
    fn efi_size(&self, start: u64) -> Option<u64> {
        let partition = self.around.spans.iter().find(|s| s.start == start && s.len > 0);
        let rest = self.image.slice(start..self.image.len()).ok()?;
        partition.map(|s| s.len).or_else(|| fat::size(&rest))
    }

    fn look_inside(&self, b: &mut BootImage) {
        let mut head = [0u8; 68];
        if b.size < 68 || b.content.read_at(&mut head, 0).is_err() {
            return;
        }
        b.isohybrid = head[64..68] == [0xfb, 0xc0, 0x78, 0x70];
        // Bytes 8..12 name the volume descriptor, 12..16 the image itself.
        if le32(&head, 8) == 16 && le32(&head, 12) == b.lba {
            let length = le32(&head, 16);
            let sum = checksum(&b.content, u64::from(length));
            b.boot_info = Some(BootInfo { length, ok: sum == Some(le32(&head, 20)) });
        }
    }
}

fn emulation(media: u8) -> Emulation {
    match media & 0x0f {
        0 => Emulation::None,
        1 => Emulation::Floppy(1200),
        2 => Emulation::Floppy(1440),
        3 => Emulation::Floppy(2880),
        4 => Emulation::HardDisk,
        n => Emulation::Unknown(n),
    }
}

/// Sum of the little-endian words from byte 64 on; `None` where `content` has another length.
fn checksum(content: &Content, len: u64) -> Option<u32> {
    if content.len() != len || len > MAX_CHECKED {
        return None;
    }
    let bytes = content.read_all(MAX_CHECKED).ok()?;
    let words = bytes.get(64..)?.chunks(4).map(|c| {
        let mut w = [0; 4];
        w[..c.len()].copy_from_slice(c);
        u32::from_le_bytes(w)
    });
    Some(words.fold(0, u32::wrapping_add))
}
