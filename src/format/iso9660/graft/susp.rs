//! System Use entries of a record: found with their place, changed there, and made for new records.
//! Sources: SUSP 1.12, RRIP 1.12.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{le32, put_both32, short_date_bytes};
use crate::format::iso9660::SECTOR;
use crate::format::iso9660::record::Raw;
use crate::format::iso9660::rockridge::scan;

use super::canvas::Canvas;
use super::{Meta, What};

/// Continuation areas that are followed from one record.
const MAX_HOPS: usize = 64;
/// Most text that one NM entry holds: 255 less its head.
const NM_TEXT: usize = 250;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Byte offset in the record.
    Record(usize),
    /// Byte offset in the volume: in a continuation area.
    Volume(u64),
}

pub(super) struct Entry {
    pub spot: Spot,
    pub bytes: Vec<u8>,
}

impl Entry {
    pub fn is(&self, signature: &[u8; 2]) -> bool {
        self.bytes.starts_with(signature)
    }
}

/// All entries of `record` but CE, in order.
pub(super) fn entries(volume: &Content, record: &[u8], skip: u8) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let Some(raw) = Raw::first(record) else { return Ok(found) };
    let area = raw.system_use().get(usize::from(skip)..).unwrap_or_default();
    let base = raw.len() - area.len();
    let place = |area: &[u8], e: &[u8]| e.as_ptr() as usize - area.as_ptr() as usize;
    let mut next = scan(
        area,
        |e| found.push(Entry { spot: Spot::Record(base + place(area, e)), bytes: e.to_vec() }),
        &mut None,
    );
    for _ in 0..MAX_HOPS {
        let Some((lba, off, len)) = next else { return Ok(found) };
        let at = u64::from(lba) * SECTOR + u64::from(off);
        // A new one, which has nothing but the name. The reader has refused others.
        if at >= volume.len() || len == 0 {
            return Ok(found);
        }
        let mut area = vec![0; u64::from(len).min(SECTOR) as usize];
        volume.read_at(&mut area, at)?;
        let area = &area[..];
        next = scan(
            area,
            |e| {
                let spot = Spot::Volume(at + place(area, e) as u64);
                found.push(Entry { spot, bytes: e.to_vec() });
            },
            &mut None,
        );
    }
    Err(Error::corrupt("a chain of continuation areas (SUSP CE) that does not end", 0))
}

/// The entry `signature` of `record`, if it has one.
pub(super) fn find(
    volume: &Content,
    record: &[u8],
    skip: u8,
    signature: &[u8; 2],
) -> Result<Option<Entry>> {
    Ok(entries(volume, record, skip)?.into_iter().find(|e| e.is(signature)))
}

/// Writes an entry back that is as long as it was.
pub(super) fn store(
    canvas: &mut Canvas,
    base: u64,
    record: &mut [u8],
    e: &Entry,
    what: What,
) -> Result<()> {
    match e.spot {
        Spot::Record(at) => record[at..at + e.bytes.len()].copy_from_slice(&e.bytes),
        Spot::Volume(at) => canvas.patch(base + at, &e.bytes, what)?,
    }
    Ok(())
}

/// PX's serial number, where it has one: RRIP 1.12 has, 1.09 has not.
pub(super) fn serial(entries: &[Entry]) -> Option<u32> {
    let px = entries.iter().find(|e| e.is(b"PX"))?;
    (px.bytes.len() >= 44).then(|| le32(&px.bytes, 36))
}

/// Sets the modification date in a TF entry; false where it has none.
pub(super) fn set_tf(e: &mut Entry, t: i64) -> bool {
    let Some(&flags) = e.bytes.get(4) else { return false };
    if flags & 2 == 0 {
        return false;
    }
    let before = usize::from(flags & 1);
    let date: Vec<u8> =
        if flags & 0x80 != 0 { long_date(t).to_vec() } else { short_date_bytes(t).to_vec() };
    let at = 5 + before * date.len();
    match e.bytes.get_mut(at..at + date.len()) {
        Some(place) => {
            place.copy_from_slice(&date);
            true
        }
        None => false,
    }
}

/// ECMA-119 8.4.26.1, of a date that the short form can say too.
fn long_date(t: i64) -> [u8; 17] {
    let [y, mo, d, h, mi, s, _] = short_date_bytes(t);
    let text = format!("{:04}{mo:02}{d:02}{h:02}{mi:02}{s:02}00\0", 1900 + u32::from(y));
    let mut out = [0; 17];
    out.copy_from_slice(text.as_bytes());
    out
}

/// How a volume's maker writes Rock Ridge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Bytes that SP says to skip.
    pub skip: u8,
    /// PX with a serial number.
    pub serials: bool,
    /// An RR entry (RRIP 1.09) in each record.
    pub rr: bool,
}

/// The System Use field for a new record: what goes in it, and what goes to a continuation area.
pub(super) struct Field {
    pub inline: Vec<u8>,
    pub far: Vec<u8>,
}

/// Room that CE takes.
pub(super) const CE_LEN: usize = 28;

/// PX, TF and NM of a new file or folder, `room` bytes in the record. RRIP 4.1.
pub(super) fn field(style: Style, name: &[u8], meta: &Meta, links: u32, room: usize) -> Field {
    let mut inline = vec![0; usize::from(style.skip)];
    if style.rr {
        // PX, NM and TF are there.
        inline.extend_from_slice(b"RR\x05\x01\x89");
    }
    let mut px = vec![0; if style.serials { 44 } else { 36 }];
    let len = px.len() as u8;
    px[..4].copy_from_slice(&[b'P', b'X', len, 1]);
    put_both32(&mut px, 4, meta.mode);
    put_both32(&mut px, 12, links);
    if style.serials {
        put_both32(&mut px, 36, meta.serial);
    }
    inline.extend_from_slice(&px);
    let date = short_date_bytes(meta.mtime);
    inline.extend_from_slice(&[b'T', b'F', 26, 1, 0x0e]);
    (0..3).for_each(|_| inline.extend_from_slice(&date));
    let nm = nm(name);
    if inline.len() + nm.len() <= room {
        inline.extend_from_slice(&nm);
        return Field { inline, far: Vec::new() };
    }
    Field { inline, far: nm }
}

/// RRIP 4.1.4; flag 1 where the name goes on.
fn nm(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pieces = name.chunks(NM_TEXT).peekable();
    while let Some(piece) = pieces.next() {
        let more = u8::from(pieces.peek().is_some());
        out.extend_from_slice(&[b'N', b'M', piece.len() as u8 + 5, 1, more]);
        out.extend_from_slice(piece);
    }
    out
}

/// SUSP 5.1.
pub(super) fn ce(lba: u32, offset: u32, len: u32) -> [u8; CE_LEN] {
    let mut e = [0; CE_LEN];
    e[..4].copy_from_slice(b"CE\x1c\x01");
    put_both32(&mut e, 4, lba);
    put_both32(&mut e, 12, offset);
    put_both32(&mut e, 20, len);
    e
}

/// Where CE stands in `record`.
pub(super) fn continues(record: &[u8], skip: u8) -> Option<usize> {
    let raw = Raw::first(record)?;
    let area = raw.system_use().get(usize::from(skip)..)?;
    let mut at = raw.len() - area.len();
    while let Some(e) = record.get(at..at + 4).filter(|e| e[0] != 0 && e[2] >= 4) {
        if e.starts_with(b"CE") && usize::from(e[2]) >= CE_LEN && at + CE_LEN <= record.len() {
            return Some(at);
        }
        at += usize::from(e[2]);
    }
    None
}

/// Keeps the bytes of a continuation area and says at which block and offset.
pub(super) type Keep<'a> = dyn FnMut(&[u8]) -> Result<(u32, u32)> + 'a;

/// Puts `entries` into continuation areas by `keep`, and gives the CE that leads to them. Areas of more
/// than a block are chained, the last one first.
pub(super) fn areas(entries: Vec<Vec<u8>>, keep: &mut Keep) -> Result<Option<[u8; CE_LEN]>> {
    let mut groups: Vec<Vec<u8>> = Vec::new();
    for e in entries {
        match groups.last_mut() {
            Some(g) if g.len() + e.len() + CE_LEN <= SECTOR as usize => g.extend_from_slice(&e),
            _ => groups.push(e),
        }
    }
    let mut next: Option<[u8; CE_LEN]> = None;
    for mut g in groups.into_iter().rev() {
        g.extend_from_slice(next.as_ref().map_or(&[], |ce| ce));
        let (lba, off) = keep(&g)?;
        next = Some(ce(lba, off, g.len() as u32));
    }
    Ok(next)
}
