//! Directory records, made and changed: ECMA-119 9.1.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{put_both32, short_date_bytes};
use crate::format::iso9660::SECTOR;
use crate::format::iso9660::record::{FLAG_DIRECTORY, FLAG_MORE_EXTENTS};

use super::canvas::Canvas;
use super::layout::block;
use super::names;
use super::side::{Entry, Kind, Side};
use super::susp;
use super::{Meta, What};
use std::collections::HashSet;

/// Most bytes of one extent, in whole sectors: what 32 bits hold (ECMA-119 9.1.4).
const MAX_EXTENT: u64 = (1 << 32) - SECTOR;
/// A record's length has eight bits and is even.
const MAX_RECORD: usize = 254;

/// Where a file's bytes are: contiguous.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    /// Byte offset in the image.
    pub at: u64,
    pub len: u64,
}

impl Data {
    /// Block and length of each extent.
    fn extents(self, side: &Side) -> Result<Vec<(u32, u32)>> {
        if self.len == 0 {
            return Ok(vec![(0, 0)]);
        }
        let mut out = Vec::new();
        let mut done = 0;
        while done < self.len {
            let len = (self.len - done).min(MAX_EXTENT);
            out.push((block(side, self.at + done)?, len as u32));
            done += len;
        }
        Ok(out)
    }
}

fn record(id: &[u8], (lba, len): (u32, u32), flags: u8, meta: &Meta, su: &[u8]) -> Vec<u8> {
    let mut r = vec![0; (33 + id.len()).next_multiple_of(2)];
    put_both32(&mut r, 2, lba);
    put_both32(&mut r, 10, len);
    r[18..25].copy_from_slice(&short_date_bytes(meta.mtime));
    r[25] = flags;
    // Volume sequence number, both byte orders: volume sets of several are not supported.
    r[28..32].copy_from_slice(&[1, 0, 0, 1]);
    r[32] = id.len() as u8;
    r[33..33 + id.len()].copy_from_slice(id);
    r.extend_from_slice(su);
    r.resize(r.len().next_multiple_of(2), 0);
    r[0] = r.len() as u8;
    r
}

/// Adds a file of `data` to directory `dir`.
pub(super) fn add_file(
    side: &mut Side,
    dir: usize,
    name: &[u8],
    data: Data,
    meta: &Meta,
) -> Result<()> {
    let extents = data.extents(side)?;
    add(side, dir, name, &extents, Kind::File, meta)
}

/// Adds an empty directory to `parent`, to be placed later.
pub(super) fn add_dir(
    side: &mut Side,
    canvas: &mut Canvas,
    parent: usize,
    name: &[u8],
    meta: &Meta,
) -> Result<usize> {
    let path = side.dirs[parent].path.join(name)?;
    let up = side.dirs[parent].lba;
    let up = (u32::from_le_bytes(first4(&side.dirs[parent].dots[0][2..])), up);
    let su = match side.style {
        Some(style) => susp::field(style, b"", meta, 2, MAX_RECORD).inline,
        None => Vec::new(),
    };
    let len = u32::from_le_bytes(first4(&side.dirs[parent].dots[0][10..]));
    let dots = [
        record(&[0], (0, 0), FLAG_DIRECTORY, meta, &su),
        record(&[1], (up.0, len), FLAG_DIRECTORY, meta, &su),
    ];
    let (i, lba) = side.add_dir(path, parent, dots);
    put_both32(&mut side.dirs[i].dots[0], 2, lba);
    add(side, parent, name, &[(lba, 0)], Kind::Dir(lba), meta)?;
    count_links(side, canvas, parent, 1)?;
    Ok(i)
}

fn first4(b: &[u8]) -> [u8; 4] {
    [b[0], b[1], b[2], b[3]]
}

fn add(
    side: &mut Side,
    dir: usize,
    name: &[u8],
    extents: &[(u32, u32)],
    kind: Kind,
    meta: &Meta,
) -> Result<()> {
    let directory = matches!(kind, Kind::Dir(_));
    let d = &side.dirs[dir];
    // A version or a dot at the end do not tell names apart.
    let shown: HashSet<Vec<u8>> = d.entries.iter().map(|e| side.shown_plainly(e.id())).collect();
    let taken = |id: &[u8]| shown.contains(&side.shown_plainly(id));
    // Where the name is shown it is not cut.
    let mut habit = d.habit;
    habit.long |= side.shown;
    habit.joliet_long |= side.shown;
    // A folder without a file goes by the others.
    let others = || side.dirs.iter().find_map(|d| d.habit.no_version);
    habit.no_version = habit.no_version.or_else(others);
    let id = names::fresh(name, directory, side.alphabet, habit, &taken)
        .ok_or_else(|| Error::unsupported("no free name in the ISO 9660 view"))?;
    let room = MAX_RECORD - (33 + id.len()).next_multiple_of(2);
    let links = if directory { 2 } else { 1 };
    let (mut su, mut far) = (Vec::new(), Vec::new());
    if let Some(style) = side.style {
        let field = susp::field(style, name, meta, links, room);
        su = field.inline;
        far = field.far;
        if !far.is_empty() {
            if su.len() + susp::CE_LEN > room {
                return Err(Error::unsupported("a name that no directory record holds"));
            }
            su.extend_from_slice(&susp::ce(0, 0, 0));
        }
    }
    let flags = if directory { FLAG_DIRECTORY } else { 0 };
    let last = extents.len() - 1;
    let records: Vec<Vec<u8>> = (extents.iter().enumerate())
        .map(|(i, &e)| {
            let more = if i < last { FLAG_MORE_EXTENTS } else { 0 };
            record(&id, e, flags | more, meta, &su)
        })
        .collect();
    let shown = side.shown_as(name, &id);
    let alphabet = side.alphabet;
    let d = &mut side.dirs[dir];
    let behind = |e: &Entry| names::order(e.id(), &id, alphabet).is_gt();
    let at = d.entries.iter().position(behind).unwrap_or(d.entries.len());
    d.entries.insert(at, Entry { records, name: shown, kind, far });
    d.dirty = true;
    Ok(())
}

/// Lets entry `e` of `dir` have `data`, and date and mode where they are given.
pub(super) fn set_data(
    side: &mut Side,
    canvas: &mut Canvas,
    (dir, e): (usize, usize),
    data: Option<Data>,
    meta: (Option<u32>, Option<i64>),
) -> Result<()> {
    let mut records = side.dirs[dir].entries[e].records.clone();
    if let Some(data) = data {
        let extents = data.extents(side)?;
        let template = records[0].clone();
        let last = extents.len() - 1;
        records = (extents.iter().enumerate())
            .map(|(i, &(lba, len))| {
                let mut r = template.clone();
                r[1] = 0;
                put_both32(&mut r, 2, lba);
                put_both32(&mut r, 10, len);
                r[25] &= !FLAG_MORE_EXTENTS;
                r[25] |= if i < last { FLAG_MORE_EXTENTS } else { 0 };
                r
            })
            .collect();
    }
    for r in &mut records {
        set_meta(side, canvas, r, meta, dir)?;
    }
    let d = &mut side.dirs[dir];
    if d.entries[e].records != records {
        d.entries[e].records = records;
        d.dirty = true;
    }
    Ok(())
}

fn set_meta(
    side: &Side,
    canvas: &mut Canvas,
    r: &mut [u8],
    (mode, mtime): (Option<u32>, Option<i64>),
    dir: usize,
) -> Result<()> {
    if let Some(t) = mtime
        && crate::format::fields::short_date(&r[18..25]) != Some(t)
    {
        r[18..25].copy_from_slice(&short_date_bytes(t));
    }
    let Some(style) = side.style else { return Ok(()) };
    for mut entry in susp::entries(&side.volume, r, style.skip)? {
        let changed = match (&entry.bytes[..2], mode, mtime) {
            (b"PX", Some(mode), _) if entry.bytes.len() >= 36 => {
                let kind = crate::format::fields::le32(&entry.bytes, 4) & 0o170_000;
                put_both32(&mut entry.bytes, 4, kind | mode & 0o7777);
                true
            }
            (b"TF", _, Some(t)) => susp::set_tf(&mut entry, t),
            _ => false,
        };
        if changed {
            let what = What::Directory(side.dirs[dir].path.clone());
            susp::store(canvas, side.base, r, &entry, what)?;
        }
    }
    Ok(())
}

/// Takes entry `e` out of `dir`.
pub(super) fn remove(side: &mut Side, canvas: &mut Canvas, dir: usize, e: usize) -> Result<()> {
    if matches!(side.dirs[dir].entries[e].kind, Kind::Dir(_)) {
        drop_dir(side, dir, e)?;
        count_links(side, canvas, dir, -1)?;
    }
    side.dirs[dir].entries.remove(e);
    side.dirs[dir].dirty = true;
    Ok(())
}

/// Marks the folder that entry `e` names and all below it as gone. What was relocated out of it goes with
/// it.
fn drop_dir(side: &mut Side, dir: usize, e: usize) -> Result<()> {
    let relocated = side.dirs[dir].entries[e].is_link_to_folder();
    let Some(i) = side.enter(dir, e)? else { return Ok(()) };
    if side.dirs[i].gone || side.dirs[i].lba == side.root {
        return Ok(());
    }
    side.dirs[i].gone = true;
    if relocated {
        let (lba, parent) = (side.dirs[i].lba, side.dirs[i].parent);
        let d = &mut side.dirs[parent];
        d.entries.retain(|e| e.kind != Kind::Relocated || e.blocks() != [lba]);
        d.dirty = true;
    }
    for e in 0..side.dirs[i].entries.len() {
        drop_dir(side, i, e)?;
    }
    Ok(())
}

/// PX counts a directory's subdirectories in its links, where the image's maker did. It stands in `.`
/// and in the record above.
fn count_links(side: &mut Side, canvas: &mut Canvas, dir: usize, by: i32) -> Result<()> {
    let Some(style) = side.style else { return Ok(()) };
    let lba = side.dirs[dir].lba;
    let parent = side.dirs[dir].parent;
    let mut bump = |volume: &Content, base: u64, r: &mut Vec<u8>| -> Result<bool> {
        let px = susp::find(volume, r, style.skip, b"PX")?.filter(|e| e.bytes.len() >= 36);
        let Some(mut px) = px else { return Ok(false) };
        let links = crate::format::fields::le32(&px.bytes, 12);
        if links < 2 {
            return Ok(false);
        }
        put_both32(&mut px.bytes, 12, links.saturating_add_signed(by).max(2));
        susp::store(canvas, base, r, &px, What::Continuation)?;
        Ok(true)
    };
    let Side { dirs, volume, base, .. } = side;
    if bump(volume, *base, &mut dirs[dir].dots[0])? {
        dirs[dir].dirty = true;
    }
    let above = dirs[parent].entries.iter_mut().find(|e| e.kind == Kind::Dir(lba));
    if let Some(e) = above
        && bump(volume, *base, &mut e.records[0])?
    {
        dirs[parent].dirty = true;
    }
    Ok(())
}
