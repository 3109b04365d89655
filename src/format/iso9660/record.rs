//! One directory record: ECMA-119 clause 9.1.

use crate::format::fields::{be32, le32, short_date};

/// A directory record, ECMA-119 9.1.
pub(super) struct Raw<'a>(&'a [u8]);

impl<'a> Raw<'a> {
    /// The record at the start of `b`; `None` where there is none that fits.
    #[inline]
    pub fn first(b: &'a [u8]) -> Option<Self> {
        let len = usize::from(*b.first()?);
        let b = b.get(..len)?;
        (len >= 34 && 33 + usize::from(b[32]) <= len && b[32] > 0).then_some(Raw(b))
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub fn id(&self) -> &'a [u8] {
        &self.0[33..33 + usize::from(self.0[32])]
    }

    /// What follows the name and its padding to an even length.
    #[inline]
    pub fn system_use(&self) -> &'a [u8] {
        self.0.get((33 + usize::from(self.0[32])).next_multiple_of(2)..).unwrap_or_default()
    }

    #[inline]
    pub fn is_dots(&self) -> bool {
        matches!(self.id(), [0] | [1])
    }

    /// ECMA-119 6.8.2.2: a directory's first record describes the directory itself.
    #[inline]
    pub fn is_dot_of(&self, start: u64, block_size: u64) -> bool {
        self.id() == [0] && self.start(block_size) == start
    }

    /// Byte offset of the data, behind the extended attribute record.
    #[inline]
    pub fn start(&self, block_size: u64) -> u64 {
        (u64::from(le32(self.0, 2)) + u64::from(self.0[1])) * block_size
    }

    #[inline]
    pub fn data_len(&self) -> u64 {
        u64::from(le32(self.0, 10))
    }

    /// The data begins behind an extended attribute record (ECMA-119 9.5).
    #[inline]
    pub fn has_attribute_record(&self) -> bool {
        self.0[1] != 0
    }

    /// File units with gaps between them (ECMA-119 6.4.3).
    #[inline]
    pub fn is_interleaved(&self) -> bool {
        (self.0[26], self.0[27]) != (0, 0)
    }

    #[inline]
    pub fn mtime(&self) -> Option<i64> {
        short_date(&self.0[18..25])
    }

    #[inline]
    pub fn flags(&self) -> u8 {
        self.0[25]
    }

    #[inline]
    pub fn byte_orders_agree(&self) -> bool {
        le32(self.0, 2) == be32(self.0, 6) && le32(self.0, 10) == be32(self.0, 14)
    }
}

pub(super) const FLAG_DIRECTORY: u8 = 0x02;
pub(super) const FLAG_ASSOCIATED: u8 = 0x04;
pub(super) const FLAG_MORE_EXTENTS: u8 = 0x80;

/// ECMA-119 7.5: `NAME.EXT;VERSION`. The version and a dot without an extension are not shown.
pub(super) fn plain_name(id: &[u8]) -> &[u8] {
    let stem = match id.iter().rposition(|&b| b == b';') {
        Some(i) if id[i + 1..].iter().all(u8::is_ascii_digit) => &id[..i],
        _ => id,
    };
    match stem.strip_suffix(b".") {
        Some(s) if !s.is_empty() => s,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_lose_version_and_lone_dot() {
        assert_eq!(plain_name(b"BOOT.CAT;1"), b"BOOT.CAT");
        assert_eq!(plain_name(b"VMLINUZ.;1"), b"VMLINUZ");
        assert_eq!(plain_name(b"A;B"), b"A;B");
    }
}
