//! EFI programs: PE images, with the parts that Secure Boot looks at. Read only, and in pieces: of a unified
//! kernel image of 50 MB only the headers are read to name its signer.
//!
//! Sources: Microsoft, "PE Format" and "Windows Authenticode Portable Executable Signature Format";
//! UEFI 2.10, 32; shim's SBAT.md, and `cert_table` in its cert.S.
//! Not read: page hashes, signatures inside signatures, time stamps, the hashes that shim denies.

mod authenticode;
mod signature;
#[cfg(test)]
mod tests;

pub use super::x509::{Certificate, UefiCa};
pub use signature::{Signature, State};

use super::fields::{le16, le32};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::model::arch::Arch;
use std::ops::Range;

/// UAPI.5 names a dozen sections, and the linker adds a few.
const MAX_SECTIONS: u64 = 96;
/// Of one text section that is read.
const MAX_TEXT: u64 = 64 << 10;
/// Of `.vendor_cert`: one certificate, or a list of them.
const MAX_VENDOR: u64 = 1 << 20;

/// A PE image's headers.
#[derive(Debug, Clone)]
pub struct Pe {
    image: Content,
    machine: u16,
    sections: Vec<Section>,
    /// `None` where the optional header is missing or stops before what is wanted.
    optional: Option<Optional>,
}

#[derive(Debug, Clone)]
struct Section {
    /// Without its NULs.
    name: Vec<u8>,
    at: u64,
    /// Without padding.
    len: u64,
    /// On disk, with padding.
    raw_len: u64,
}

/// Where the parts that Authenticode leaves out stand.
#[derive(Debug, Clone)]
struct Optional {
    checksum_at: u64,
    /// `SizeOfHeaders`.
    headers_len: u64,
    /// The certificate table's directory entry, 8 bytes.
    entry_at: u64,
    /// The certificate table itself: an offset in the file, unlike those of other entries.
    table: Range<u64>,
}

/// A line of `.sbat`: shim starts a program only where each generation is at least the one that the
/// machine asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Sbat {
    /// `shim`, `grub`, `grub.debian`.
    pub component: String,
    /// Counts the vendor's security fixes.
    pub generation: u32,
}

impl Pe {
    /// Reads the headers; `None` for what is no PE image.
    ///
    /// # Errors
    /// `Corrupt` where the section table is cut short, and those of the source.
    pub fn read(image: &Content) -> Result<Option<Pe>> {
        let mut dos = [0; 64];
        if image.len() < 64 {
            return Ok(None);
        }
        image.read_at(&mut dos, 0)?;
        let at = u64::from(le32(&dos, 0x3c));
        if !dos.starts_with(b"MZ") || at + 24 > image.len() {
            return Ok(None);
        }
        let mut head = [0; 24];
        image.read_at(&mut head, at)?;
        if !head.starts_with(b"PE\0\0") {
            return Ok(None);
        }
        let optional_at = at + 24;
        let optional_len = u64::from(le16(&head, 20));
        let count = u64::from(le16(&head, 6)).min(MAX_SECTIONS);
        let table = optional_at + optional_len;
        // The string table stands behind the symbols, of 18 bytes each.
        let strings = u64::from(le32(&head, 12)) + u64::from(le32(&head, 16)) * 18;
        let bytes = image.slice(table..table + count * 40)?.read_all(MAX_SECTIONS * 40)?;
        Ok(Some(Pe {
            machine: le16(&head, 4),
            sections: bytes
                .chunks_exact(40)
                .map(|s| section(image, strings, s))
                .collect::<Result<_>>()?,
            optional: optional(image, optional_at, optional_len)?,
            image: image.clone(),
        }))
    }

    /// What it runs on; `None` where we have no word for it.
    pub fn arch(&self) -> Option<Arch> {
        Some(match self.machine {
            0x8664 => Arch::X86_64,
            0x014c => Arch::I386,
            0xaa64 => Arch::Aarch64,
            0x5064 => Arch::Riscv64,
            _ => return None,
        })
    }

    /// The bytes of the section `name`, without padding.
    ///
    /// # Errors
    /// `Corrupt` where it reaches over the image's end.
    pub fn section(&self, name: &str) -> Result<Option<Content>> {
        let found = self.sections.iter().find(|s| s.name == name.as_bytes());
        found.map(|s| self.image.slice(s.at..s.at + s.len)).transpose()
    }

    /// The first 64 KiB of a section, as text without NULs and line ends behind it.
    ///
    /// # Errors
    /// As [`Pe::section`].
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(content) = self.section(name)? else { return Ok(None) };
        let bytes = content.slice(0..content.len().min(MAX_TEXT))?.read_all(MAX_TEXT)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(text.trim_end_matches(['\0', '\n']).to_owned()))
    }

    /// The lines of `.sbat`; none where there is no such section.
    ///
    /// # Errors
    /// As [`Pe::section`].
    pub fn sbat(&self) -> Result<Vec<Sbat>> {
        let text = self.text(".sbat")?.unwrap_or_default();
        let line = |l: &str| {
            let mut fields = l.trim_end_matches(['\r', '\0']).split(',');
            let component = fields.next().filter(|c| !c.is_empty())?.to_owned();
            Some(Sbat { component, generation: fields.next()?.parse().ok()? })
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// True for shim: no other program has a `.vendor_cert`.
    pub fn is_shim(&self) -> bool {
        self.sections.iter().any(|s| s.name == b".vendor_cert")
    }

    /// The certificates that this shim trusts beside the firmware's, from `.vendor_cert`.
    ///
    /// # Errors
    /// `Corrupt` where the section contradicts itself, `Unsupported` over the bound.
    pub fn vendor_certificates(&self) -> Result<Vec<Certificate>> {
        let Some(section) = self.section(".vendor_cert")? else { return Ok(Vec::new()) };
        let corrupt = |what: &str| {
            let at = section.origin().map_or(0, |(_, at)| at);
            Error::corrupt(format!("shim's .vendor_cert: {what}"), at)
        };
        let mut head = [0; 16];
        if section.len() < 16 {
            return Err(corrupt("no room for its header"));
        }
        section.read_at(&mut head, 0)?;
        let (len, at) = (u64::from(le32(&head, 0)), u64::from(le32(&head, 8)));
        if len == 0 {
            return Ok(Vec::new());
        }
        if at + len > section.len() {
            return Err(corrupt("the certificate reaches over its end"));
        }
        let bytes = section.slice(at..at + len)?.read_all(MAX_VENDOR)?;
        // A lone certificate is a DER SEQUENCE; else the list is one that firmware would take.
        let ders = if bytes[0] == 0x30 { vec![&bytes[..]] } else { signature_lists(&bytes) };
        ders.into_iter()
            .map(Certificate::parse)
            .collect::<Option<_>>()
            .ok_or_else(|| corrupt("holds something that is no X.509 certificate"))
    }
}

fn section(image: &Content, strings: u64, s: &[u8]) -> Result<Section> {
    let raw_len = u64::from(le32(s, 16));
    // Padding counts for the size on disk, and not for the virtual one.
    let len = raw_len.min(u64::from(le32(s, 8)));
    let name = until_nul(&s[..8]);
    let name = match long_name(name) {
        Some(offset) => string(image, strings + offset)?.unwrap_or_else(|| name.to_vec()),
        None => name.to_vec(),
    };
    Ok(Section { name, at: u64::from(le32(s, 20)), len, raw_len })
}

fn until_nul(b: &[u8]) -> &[u8] {
    &b[..b.iter().position(|&b| b == 0).unwrap_or(b.len())]
}

/// Where a name of over 8 bytes stands in the string table: `/37` (as GNU's linker does for images too).
fn long_name(name: &[u8]) -> Option<u64> {
    std::str::from_utf8(name).ok()?.strip_prefix('/')?.parse().ok()
}

/// A name in the string table; `None` where the image ends before it.
fn string(image: &Content, at: u64) -> Result<Option<Vec<u8>>> {
    let mut b = [0; 32];
    let n = image.len().saturating_sub(at).min(32) as usize;
    if n > 0 {
        image.read_at(&mut b[..n], at)?;
    }
    Ok((n > 0).then(|| until_nul(&b[..n]).to_vec()))
}

fn optional(image: &Content, at: u64, len: u64) -> Result<Option<Optional>> {
    let mut b = [0; 152];
    let n = len.min(152) as usize;
    image.read_at(&mut b[..n], at)?;
    // PE32+ has wider fields before its directories.
    let directories = match le16(&b, 0) {
        0x10b => 96,
        0x20b => 112,
        _ => return Ok(None),
    };
    let entry = directories + 4 * 8;
    if n < entry + 8 || le32(&b, directories - 4) <= 4 {
        return Ok(None);
    }
    let start = u64::from(le32(&b, entry));
    Ok(Some(Optional {
        checksum_at: at + 64,
        headers_len: u64::from(le32(&b, 60)),
        entry_at: at + entry as u64,
        table: start..start + u64::from(le32(&b, entry + 4)),
    }))
}

/// `EFI_CERT_X509_GUID`, as it lies in memory.
const X509: [u8; 16] = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];

/// The certificates in `EFI_SIGNATURE_LIST`s (UEFI 32.4.1). Hashes are left out, and what is cut.
fn signature_lists(mut b: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while b.len() >= 28 {
        let [list, head, each] = [16, 20, 24].map(|at| le32(b, at) as usize);
        let Some(body) = b.get(28..list).and_then(|l| l.get(head..)) else { break };
        // Each has its owner in front.
        if b.starts_with(&X509) && each > 16 {
            found.extend(body.chunks_exact(each).map(|s| &s[16..]));
        }
        b = &b[list..];
    }
    found
}
