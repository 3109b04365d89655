//! The digest that is signed, and the table where the signatures stand.

use super::signature::{Signature, State};
use super::{Optional, Pe};
use crate::content::copy::Watch;
use crate::error::{Error, ErrorKind, Result};
use crate::format::fields::{le16, le32};
use sha2::{Digest as _, Sha256};
use std::ops::Range;

/// A signature has 2 to 10 KB.
const MAX_TABLE: u64 = 1 << 20;
const MAX_SIGNATURES: usize = 16;
/// Bytes hashed at a time.
const CHUNK: u64 = 256 << 10;
/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const SIGNED_DATA: u16 = 2;

impl Pe {
    /// The Authenticode digest: SHA-256 of the image without its checksum, the certificate table and the
    /// table's directory entry.
    ///
    /// # Errors
    /// `Corrupt` where headers and sections contradict each other, `Unsupported` where the headers end
    /// before a certificate table is named, `Interrupted`, and those of the source.
    pub fn digest(&self, watch: Watch) -> Result<[u8; 32]> {
        let Some(optional) = &self.optional else {
            return Err(Error::unsupported("a PE image without room for a signature"));
        };
        let mut hash = Sha256::new();
        let mut buf = vec![0; CHUNK as usize];
        self.image.in_order(true);
        for range in self.counted(optional)? {
            let mut at = range.start;
            while at < range.end {
                let n = CHUNK.min(range.end - at) as usize;
                self.image.read_at(&mut buf[..n], at)?;
                hash.update(&buf[..n]);
                at += n as u64;
                if !watch(n as u64) {
                    return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
                }
            }
        }
        Ok(hash.finalize().into())
    }

    /// The parts that are hashed, in order: headers, sections by their place, and what stands behind.
    fn counted(&self, o: &Optional) -> Result<Vec<Range<u64>>> {
        let len = self.image.len();
        let corrupt = |what: &str, at| Err(Error::corrupt(format!("PE image: {what}"), at));
        if o.entry_at + 8 > o.headers_len || o.headers_len > len {
            return corrupt("the size of its headers can't be (SizeOfHeaders)", o.checksum_at - 4);
        }
        let table = o.table.end - o.table.start;
        if table > 0 && (o.table.start < o.headers_len || o.table.end > len) {
            return corrupt("its certificate table reaches over its end", o.entry_at);
        }
        let mut ranges =
            vec![0..o.checksum_at, o.checksum_at + 4..o.entry_at, o.entry_at + 8..o.headers_len];
        let mut sections: Vec<_> = self
            .sections
            .iter()
            .map(|s| s.at..s.at + s.raw_len)
            .filter(|r| !r.is_empty())
            .collect();
        sections.sort_by_key(|r| r.start);
        // What firmware and shim add up: gaps between sections would shift it.
        let mut sum = o.headers_len;
        let mut end = o.headers_len;
        for r in sections {
            if r.start < end || r.end > len - table {
                return corrupt("its sections overlap or reach over its end", r.start);
            }
            end = r.end;
            sum += r.end - r.start;
            ranges.push(r);
        }
        ranges.push(sum..len - table);
        Ok(ranges)
    }

    /// Its signatures in order, each held against the image; empty for an image that is not signed.
    ///
    /// # Errors
    /// `Corrupt` where the table or a signature can't be read, `Unsupported` over the bounds, and as
    /// [`Pe::digest`].
    pub fn signatures(&self, watch: Watch) -> Result<Vec<Signature>> {
        let Some(o) = self.optional.as_ref().filter(|o| !o.table.is_empty()) else {
            return Ok(Vec::new());
        };
        if o.table.end > self.image.len() {
            let what = "PE image: its certificate table reaches over its end";
            return Err(Error::corrupt(what, o.table.start));
        }
        let table = self.image.slice(o.table.clone())?.read_all(MAX_TABLE)?;
        let mut signatures = Vec::new();
        let mut at = 0;
        while at + 8 <= table.len() {
            let place = o.table.start + at as u64;
            let len = le32(&table, at) as usize;
            let Some(bytes) = table.get(at + 8..at.saturating_add(len)) else {
                return Err(Error::corrupt("PE image: a signature's length can't be", place));
            };
            if le16(&table, at + 6) == SIGNED_DATA {
                let unreadable = || Error::corrupt("a signature that can't be read", place);
                signatures.push(Signature::parse(bytes).ok_or_else(unreadable)?);
            }
            if signatures.len() > MAX_SIGNATURES {
                let what = format!("more than {MAX_SIGNATURES} signatures");
                return Err(Error::unsupported(what).at(place));
            }
            at = at.saturating_add(len.max(8)).next_multiple_of(8);
        }
        if signatures.iter().any(|s| s.state == State::Intact) {
            let digest = self.digest(watch)?;
            for s in &mut signatures {
                if s.state == State::Intact && s.image_digest() != digest {
                    s.state = State::Altered;
                }
            }
        }
        Ok(signatures)
    }
}
