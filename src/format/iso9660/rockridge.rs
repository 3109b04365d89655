//! Rock Ridge: POSIX names, modes, links and dates in the System Use field of directory records.
//! Sources: SUSP 1.12 (IEEE P1281), RRIP 1.12 (IEEE P1282).
//!
//! Read: SP CE ST (ER only to recognise), PX PN SL NM CL RE TF. Not supported: SF (sparse files), ZF
//! (zisofs; the file is shown compressed), AA (Apple), extension selection by ES.

use super::Volume;
use super::descriptors::SECTOR;
use crate::content::Content;
use crate::content::tree::Special;
use crate::error::Result;
use crate::format::fields::{le32, long_date, short_date};
use std::borrow::Cow;

/// Continuation areas of one record. A name of 255 bytes and a target of 1,000 need six.
const MAX_HOPS: u32 = 64;
/// Continuation areas of one volume, so that a hostile one ends in a second.
const MAX_ALL_HOPS: u32 = 400_000;
/// PATH_MAX: what a name or a link's target may come to.
const MAX_TEXT: usize = 4096;

/// What the System Use field of one record says.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    /// Borrowed from the record where it stands there in one piece, as nearly all do.
    pub name: Option<Cow<'a, [u8]>>,
    /// File type and permission bits, as in `st_mode`.
    pub mode: Option<u32>,
    pub device: (u32, u32),
    pub target: Option<Vec<u8>>,
    pub mtime: Option<i64>,
    /// CL: the block where the folder that belongs here stands.
    pub child: Option<u32>,
    /// RE: this folder is shown elsewhere.
    pub relocated: bool,
    /// What is wrong with the field; the rest is used all the same.
    pub fault: Option<&'static str>,
    name_goes_on: bool,
    link: Link,
}

/// A link's target while its components come in.
#[derive(Debug, Default)]
struct Link {
    /// The last component is not at its end, so the next one follows without a `/`.
    goes_on: bool,
}

impl<'a> Facts<'a> {
    /// The special node that PX and PN describe, if it is one.
    pub fn special(&self) -> Option<Special> {
        match self.mode? & 0o170_000 {
            0o010_000 => Some(Special::Fifo),
            0o140_000 => Some(Special::Socket),
            0o020_000 => Some(Special::Char(self.device.0, self.device.1)),
            0o060_000 => Some(Special::Block(self.device.0, self.device.1)),
            _ => None,
        }
    }

    /// Whether PX's file type goes with what else the record says.
    pub fn agree(&self, directory: bool) -> bool {
        match self.mode.map(|m| m & 0o170_000) {
            None => true,
            // A relocated folder's placeholder is an empty file; makers differ in its PX.
            Some(_) if self.child.is_some() => true,
            Some(0o040_000) => directory,
            Some(0o120_000) => !directory && self.target.is_some(),
            Some(_) => !directory && self.target.is_none(),
        }
    }

    /// Takes an entry; `lasting` is the same bytes where they outlive this call.
    fn entry(&mut self, e: &[u8], lasting: Option<&'a [u8]>) {
        let data = &e[4..];
        match &e[..2] {
            b"NM" => self.nm(data, lasting.map(|e| &e[4..])),
            b"SL" => self.sl(data),
            b"PX" if data.len() >= 8 => self.mode = Some(le32(data, 0)),
            b"PN" if data.len() >= 16 => self.device = device(le32(data, 0), le32(data, 8)),
            b"TF" => self.mtime = self.mtime.or_else(|| tf(data)),
            b"CL" if data.len() >= 8 => self.child = Some(le32(data, 0)),
            b"RE" => self.relocated = true,
            b"PX" | b"PN" | b"CL" => self.fault = Some("a Rock Ridge entry is too short"),
            _ => {}
        }
    }

    /// RRIP 4.1.4. Flag 1: the name goes on in the next NM; 2 and 4 stand for `.` and `..`.
    fn nm(&mut self, data: &[u8], lasting: Option<&'a [u8]>) {
        let Some((&flags, text)) = data.split_first() else {
            self.fault = Some("an empty NM entry");
            return;
        };
        if self.name.is_some() && !self.name_goes_on {
            self.fault = Some("two NM names");
            return;
        }
        self.name_goes_on = flags & 1 != 0;
        if flags & 0b110 == 0 {
            match (&mut self.name, lasting) {
                (None, Some(data)) => self.name = Some(Cow::Borrowed(&data[1..])),
                (None, None) => self.name = Some(Cow::Owned(text.to_vec())),
                (Some(name), _) if name.len() + text.len() > MAX_TEXT => {
                    self.fault = Some("an NM name of over 4096 bytes");
                }
                (Some(name), _) => name.to_mut().extend_from_slice(text),
            }
        }
    }

    /// RRIP 4.1.3.1. A component's flags: 1 goes on in the next, 2 `.`, 4 `..`, 8 `/`.
    fn sl(&mut self, data: &[u8]) {
        let target = self.target.get_or_insert_default();
        let mut rest = data.get(1..).unwrap_or_default();
        while let [flags, len, tail @ ..] = rest {
            let len = usize::from(*len);
            let text = match flags & 0b1110 {
                2 => &b"."[..],
                4 => b"..",
                8 if target.is_empty() => b"/",
                // Image makers write the middle of `a//b` as a root, which Linux takes as nothing.
                8 => b"",
                _ => tail.get(..len).unwrap_or_else(|| {
                    // genisoimage 1.1.11 writes this for targets that need several SL entries.
                    self.fault = Some("a link's target runs over its SL entry; it is cut there");
                    tail
                }),
            };
            if target.len() + text.len() >= MAX_TEXT {
                self.fault = Some("a link's target of over 4096 bytes; it is cut there");
                return;
            }
            if !target.is_empty() && target != b"/" && !self.link.goes_on {
                target.push(b'/');
            }
            target.extend_from_slice(text);
            self.link.goes_on = flags & 1 != 0;
            rest = tail.get(len..).unwrap_or_default();
        }
    }
}

/// PN's two halves as major and minor. Writers either put them in the two halves, or the C library's
/// packed number in the low one.
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 && low > 0xff {
        ((low >> 8) & 0xfff, (low & 0xff) | ((low >> 12) & !0xff))
    } else {
        (high, low)
    }
}

/// RRIP 4.1.6: the dates that the flags name follow each other; bit 1 is the modification.
fn tf(data: &[u8]) -> Option<i64> {
    let (&flags, dates) = data.split_first()?;
    if flags & 2 == 0 {
        return None;
    }
    let before = usize::from(flags & 1);
    if flags & 0x80 != 0 {
        long_date(dates.get(before * 17..)?)
    } else {
        short_date(dates.get(before * 7..)?)
    }
}

/// Reads System Use fields with their continuation areas.
pub(super) struct Susp<'a> {
    image: &'a Content,
    block_size: u64,
    /// Bytes that SP says to skip at the start of each field.
    skip: usize,
    hops: u32,
    /// The sector of the last continuation area: the next record's lies in it too, as a rule.
    cached: Option<(u64, Vec<u8>)>,
}

impl<'a> Susp<'a> {
    pub fn new(image: &'a Content, block_size: u32, skip: u8) -> Self {
        let (block_size, skip) = (u64::from(block_size), usize::from(skip));
        Susp { image, block_size, skip, hops: 0, cached: None }
    }

    /// What the System Use field `area` of a record says.
    ///
    /// # Errors
    /// `Corrupt` where a continuation area lies past the image's end.
    pub fn facts<'r>(&mut self, area: &'r [u8]) -> Result<Facts<'r>> {
        let mut facts = Facts::default();
        let area = area.get(self.skip..).unwrap_or_default();
        let mut fault = None;
        let next = scan(area, |e| facts.entry(e, Some(e)), &mut fault);
        self.continued(next, |e| facts.entry(e, None), &mut fault)?;
        facts.fault = fault.or(facts.fault);
        if facts.link.goes_on || facts.name_goes_on {
            facts.fault = facts.fault.or(Some("a Rock Ridge name or target that does not end"));
        }
        Ok(facts)
    }

    /// Hands each entry of the continuation areas from `next` on to `take`.
    fn continued(
        &mut self,
        mut next: Option<Area>,
        mut take: impl FnMut(&[u8]),
        fault: &mut Option<&'static str>,
    ) -> Result<()> {
        for _ in 0..MAX_HOPS {
            let Some((lba, off, len)) = next else { return Ok(()) };
            self.hops += 1;
            if self.hops > MAX_ALL_HOPS {
                break;
            }
            let at = u64::from(lba) * self.block_size + u64::from(off);
            // SUSP 5.1: an area stays within its block.
            let len = u64::from(len).min(SECTOR);
            let (start, sector) = self.sector(at, len)?;
            let from = (at - start) as usize;
            next = scan(&sector[from..from + len as usize], &mut take, fault);
        }
        *fault = Some("a chain of continuation areas (SUSP CE) that does not end");
        Ok(())
    }

    /// The sector, or the two, with the `len` bytes at `at`.
    fn sector(&mut self, at: u64, len: u64) -> Result<(u64, &[u8])> {
        let start = at / SECTOR * SECTOR;
        let fits = |(s, b): &(u64, Vec<u8>)| *s == start && s + b.len() as u64 >= at + len;
        if !self.cached.as_ref().is_some_and(fits) {
            let end = (at + len).max((start + SECTOR).min(self.image.len()));
            let mut buf = vec![0; (end - start) as usize];
            self.image.read_at(&mut buf, start)?;
            self.cached = Some((start, buf));
        }
        Ok(self.cached.as_ref().map_or((start, &[][..]), |(s, b)| (*s, b)))
    }
}

/// A continuation area: block, byte offset in it, length.
pub(super) type Area = (u32, u32, u32);

/// Hands each entry of `area` to `take`; gives where CE says that it goes on.
pub(super) fn scan<'a>(
    area: &'a [u8],
    mut take: impl FnMut(&'a [u8]),
    fault: &mut Option<&'static str>,
) -> Option<Area> {
    let mut next = None;
    let mut rest = area;
    // Four bytes are the smallest entry; less is padding. A signature of NULs is padding too.
    while rest.len() >= 4 && rest[0] != 0 {
        let len = usize::from(rest[2]);
        if len < 4 || len > rest.len() {
            *fault = Some("a System Use entry that does not fit (SUSP 4)");
            break;
        }
        let entry = &rest[..len];
        match &entry[..2] {
            b"ST" => break,
            b"CE" if len >= 28 => next = Some((le32(entry, 4), le32(entry, 12), le32(entry, 20))),
            _ => take(entry),
        }
        rest = &rest[len..];
    }
    next
}

/// Whether the primary tree has Rock Ridge names, and then how many bytes SP says to skip.
///
/// SP in the root's `.` says that there is SUSP. Names are believed where ER announces them or the
/// first entries carry NM; beside Joliet only the latter counts, for then Joliet's are better.
pub(super) fn probe(image: &Content, volume: &Volume, joliet: bool) -> Result<Option<u8>> {
    let len = volume.root.len.min(SECTOR);
    let mut sector = vec![0u8; len as usize];
    image.read_at(&mut sector, volume.root.start).map_err(|e| e.path("/"))?;
    let mut susp = Susp::new(image, volume.block_size, 0);
    let mut skip = None;
    let (mut announced, mut named, mut entries) = (false, false, 0);
    let mut rest = &sector[..];
    while let Some(r) = super::record::Raw::first(rest) {
        let area = match (entries, skip) {
            (0, _) => r.system_use(),
            (_, Some(n)) => r.system_use().get(usize::from(n)..).unwrap_or_default(),
            (_, None) => return Ok(None),
        };
        let mut look = |e: &[u8]| match &e[..2] {
            b"SP" if entries == 0 && e.len() >= 7 && e[4..6] == [0xbe, 0xef] => skip = Some(e[6]),
            b"ER" => announced |= is_rrip(e),
            b"RR" => announced = true,
            b"NM" => named = true,
            _ => {}
        };
        let next = scan(area, &mut look, &mut None);
        susp.continued(next, &mut look, &mut None)?;
        entries += 1;
        rest = &rest[r.len()..];
    }
    Ok(skip.filter(|_| named || (announced && (!joliet || entries <= 2))))
}

/// SUSP 5.5: an ER entry whose identifier is one of RRIP's three.
fn is_rrip(e: &[u8]) -> bool {
    let len = usize::from(*e.get(4).unwrap_or(&0));
    let id = e.get(8..8 + len).unwrap_or_default();
    matches!(id, b"RRIP_1991A" | b"IEEE_P1282" | b"IEEE_1282")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(area: &[u8]) -> Facts<'_> {
        Susp::new(&Content::zeros(4096), 2048, 0).facts(area).expect("facts")
    }

    fn entry(sig: &[u8; 2], data: &[u8]) -> Vec<u8> {
        [&sig[..], &[data.len() as u8 + 4, 1], data].concat()
    }

    #[test]
    fn a_target_is_joined_over_components_and_entries() {
        let one = entry(b"SL", b"\x01\x08\x00\x00\x03usr\x01\x02li");
        let two = entry(b"SL", b"\x00\x00\x01b\x04\x00\x02\x00\x08\x00\x00\x01x");
        assert_eq!(facts(&[one, two].concat()).target.as_deref(), Some(&b"/usr/lib/.././/x"[..]));
    }

    #[test]
    fn a_name_goes_on_in_the_next_entry() {
        let a = [entry(b"NM", b"\x01long"), entry(b"NM", b"\x00er")].concat();
        assert_eq!(facts(&a).name.as_deref(), Some(&b"longer"[..]));
        assert!(facts(&entry(b"NM", b"\x01long")).fault.is_some());
    }

    #[test]
    fn a_chain_that_bites_its_tail_ends() {
        let mut sector = vec![0u8; 2048];
        sector[..4].copy_from_slice(b"CE\x1c\x01");
        sector[20] = 28;
        let image = Content::from(sector.clone());
        let f = Susp::new(&image, 2048, 0).facts(&sector[..28]).expect("facts");
        assert!(f.fault.is_some_and(|f| f.contains("does not end")));
    }

    #[test]
    fn dates_and_devices_in_both_spellings() {
        let t = entry(b"TF", b"\x03\x00\x00\x00\x00\x00\x00\x00\x7c\x02\x1d\x0c\x00\x00\x00");
        assert_eq!(facts(&t).mtime, Some(1_709_208_000));
        assert_eq!((device(5, 1), device(0, 0x501)), ((5, 1), (5, 1)));
    }
}
