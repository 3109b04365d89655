//! Changed directories get a place: their own sectors where they fit, else the image's end. Whoever names
//! a directory that moved is told. Sources: ECMA-119 6.8; RRIP 4.1.5 for relocated ones.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{le32, put_both32};
use crate::format::iso9660::SECTOR;
use crate::format::iso9660::record::FLAG_DIRECTORY;

use super::canvas::Canvas;
use super::paths::Moved;
use super::side::{Dir, Kind, Side};
use super::{What, susp};

/// Where a directory goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    lba: u32,
    len: u32,
}

/// Places and writes all changed directories of `side`. Gives those that are elsewhere now.
pub(super) fn write(side: &mut Side, canvas: &mut Canvas) -> Result<Vec<Moved>> {
    let mut moved = Vec::new();
    // A folder that moves makes the one above it dirty, which may have to move in turn.
    let order = in_order(side);
    while let Some(i) = order.iter().copied().find(|&i| must_move(&side.dirs[i])) {
        let d = &side.dirs[i];
        let (old, len) = (d.lba, bytes_of(d).len() as u64);
        let len = len.max(d.len.next_multiple_of(SECTOR));
        let place = Place { lba: block(side, canvas.reserve_directory(len))?, len: len as u32 };
        point(side, canvas, i, place)?;
        take_along(side, canvas, i)?;
        moved.push(Moved { old, new: place.lba });
    }
    for d in side.dirs.iter().filter(|d| d.dirty && !d.gone) {
        let mut bytes = bytes_of(d);
        let start = le32(&d.dots[0], 2);
        let at = side.base + u64::from(start) * SECTOR;
        let what = What::Directory(d.path.clone());
        bytes.resize(le32(&d.dots[0], 10) as usize, 0);
        if start == d.lba {
            canvas.patch(at, &bytes, what)?;
        } else {
            canvas.fill(at, &Content::from(bytes), what);
        }
    }
    Ok(moved)
}

/// Whether the directory's own sectors do not do.
pub(super) fn must_move(d: &Dir) -> bool {
    let has = d.len.next_multiple_of(SECTOR);
    // libarchive reads continuation areas only right behind the directory.
    let near = d.entries.iter().all(|e| e.far.is_empty());
    let stays = near && d.clean && !d.is_new() && d.len == has && bytes_of(d).len() as u64 <= has;
    let placed = le32(&d.dots[0], 2) != d.lba;
    !d.gone && !placed && (d.moves || d.dirty && !stays)
}

/// Decides which directories move: those that have to, and all below them, for libarchive reads a folder
/// only behind the one above. True where the root is among them.
pub(super) fn settle(side: &mut Side) -> Result<bool> {
    let mut i = 0;
    while i < side.dirs.len() {
        if must_move(&side.dirs[i]) {
            side.dirs[i].moves = true;
            side.dirs[i].dirty = true;
            for e in 0..side.dirs[i].entries.len() {
                if let Some(below) = side.enter(i, e)? {
                    side.dirs[below].moves = true;
                }
            }
        }
        i += 1;
    }
    let root = side.root()?;
    Ok(side.dirs[root].moves)
}

/// All directories that were read, each before those in it, and where relocated ones stand first, as
/// genisoimage has it: the order in which libarchive finds them all.
fn in_order(side: &Side) -> Vec<usize> {
    let mut order = Vec::with_capacity(side.dirs.len());
    let mut seen = vec![false; side.dirs.len()];
    let mut left: Vec<usize> = side.known(side.root).into_iter().collect();
    while let Some(i) = left.pop() {
        if std::mem::replace(&mut seen[i], true) {
            continue;
        }
        order.push(i);
        let in_it = side.dirs[i].entries.iter().filter_map(|e| match e.kind {
            Kind::Dir(lba) if !e.is_link_to_folder() => side.known(lba),
            Kind::Relocated => side.known(*e.blocks().first()?),
            _ => None,
        });
        let mut in_it: Vec<usize> = in_it.collect();
        let holds = |d: &usize| side.dirs[*d].entries.iter().any(|e| e.kind == Kind::Relocated);
        in_it.sort_by_key(|d| (!holds(d), side.dirs[*d].lba));
        left.extend(in_it.into_iter().rev());
    }
    // One that is gone hangs nowhere.
    order.extend((0..seen.len()).filter(|&i| !seen[i]));
    order
}

/// Block number in the side of byte `at` of the image.
pub(super) fn block(side: &Side, at: u64) -> Result<u32> {
    u32::try_from((at - side.base) / SECTOR)
        .map_err(|_| Error::unsupported("an image of over 8 TiB (ECMA-119 7.3.3)"))
}

/// The directory's sectors. ECMA-119 6.8.1.1: a record does not cross a sector's end.
fn bytes_of(d: &Dir) -> Vec<u8> {
    let mut out = Vec::new();
    for r in d.dots.iter().chain(d.entries.iter().flat_map(|e| &e.records)) {
        let left = SECTOR as usize - out.len() % SECTOR as usize;
        if r.len() > left {
            out.resize(out.len() + left, 0);
        }
        out.extend_from_slice(r);
    }
    out.resize(out.len().next_multiple_of(SECTOR as usize), 0);
    out
}

/// The continuation areas of a directory that moves go with it, right behind it.
fn take_along(side: &mut Side, canvas: &mut Canvas, i: usize) -> Result<()> {
    let Some(style) = side.style else { return Ok(()) };
    let mut dots = side.dirs[i].dots.clone();
    let mut entries = std::mem::take(&mut side.dirs[i].entries);
    let with_far = entries.iter_mut().flat_map(|e| {
        let far = std::mem::take(&mut e.far);
        e.records.iter_mut().map(move |r| (r, far.clone()))
    });
    for (r, mut far) in dots.iter_mut().map(|r| (r, Vec::new())).chain(with_far) {
        let Some(at) = susp::continues(r, style.skip) else { continue };
        let mut parts = vec![];
        if far.is_empty() {
            for e in susp::entries(&side.volume, r, style.skip)? {
                if let susp::Spot::Volume(at) = e.spot {
                    // It may have been changed meanwhile.
                    parts.push(canvas.read(side.base + at, e.bytes.len())?);
                }
            }
        } else {
            parts.push(std::mem::take(&mut far));
        }
        if let Some(ce) = susp::areas(parts, &mut |b| side.continuation(canvas, b))? {
            r[at..at + susp::CE_LEN].copy_from_slice(&ce);
        }
    }
    side.dirs[i].dots = dots;
    side.dirs[i].entries = entries;
    side.flush(canvas);
    Ok(())
}

fn aim(record: &mut [u8], p: Place) {
    // ECMA-119 9.1.2: a directory has no attribute record here.
    record[1] = 0;
    put_both32(record, 2, p.lba);
    put_both32(record, 10, p.len);
}

/// Directory `i` goes to `p`: its own records, the one above, those below, and Rock Ridge's relocation
/// marks are changed.
fn point(side: &mut Side, canvas: &mut Canvas, i: usize, p: Place) -> Result<()> {
    let old = side.dirs[i].lba;
    aim(&mut side.dirs[i].dots[0], p);
    // libisofs lets the .. of Joliet's folders name the folder itself.
    if le32(&side.dirs[i].dots[1], 2) == old {
        let up = side.dirs[i].parent;
        let up =
            Place { lba: le32(&side.dirs[up].dots[0], 2), len: le32(&side.dirs[up].dots[0], 10) };
        aim(&mut side.dirs[i].dots[1], up);
    }
    if old == side.root {
        aim(&mut side.dirs[i].dots[1], p);
        side.root = p.lba;
        for at in side.descriptors.clone() {
            let mut record = canvas.read(at + 156, 34)?;
            aim(&mut record, p);
            canvas.patch(at + 156, &record, What::Descriptor)?;
        }
    } else {
        above(side, canvas, i, old, p)?;
    }
    below(side, canvas, i, p)
}

/// The record in the parent, and CL where the folder belongs if it was relocated.
fn above(side: &mut Side, canvas: &mut Canvas, i: usize, old: u32, p: Place) -> Result<()> {
    let parent = side.dirs[i].parent;
    let d = &mut side.dirs[parent];
    d.dirty = true;
    let is_it = |r: &&mut Vec<u8>| r[25] & FLAG_DIRECTORY != 0 && le32(r, 2) == old;
    if let Some(r) = d.entries.iter_mut().flat_map(|e| &mut e.records).find(is_it) {
        aim(r, p);
    }
    for e in d.entries.iter_mut().filter(|e| e.kind == Kind::Dir(old)) {
        e.kind = Kind::Dir(p.lba);
    }
    let Some(style) = side.style else { return Ok(()) };
    let Some(pl) = susp::find(&side.volume, &side.dirs[i].dots[1], style.skip, b"PL")? else {
        return Ok(());
    };
    if pl.bytes.len() < 12 {
        return Err(Error::corrupt("a PL entry that is too short (RRIP 4.1.5.2)", 0));
    }
    let path = side.dirs[i].path.parent().unwrap_or_default();
    let names = |d: &Dir| d.lba == le32(&pl.bytes, 4) || le32(&d.dots[0], 2) == le32(&pl.bytes, 4);
    let Some(logical) = side.dirs.iter().position(names) else {
        return Err(Error::corrupt("a PL entry that leads nowhere (RRIP 4.1.5.2)", side.base));
    };
    let Side { base, volume, dirs, .. } = side;
    for e in dirs[logical].entries.iter_mut().filter(|e| e.kind == Kind::Dir(old)) {
        if let Some(mut cl) = susp::find(volume, &e.records[0], style.skip, b"CL")? {
            put_both32(&mut cl.bytes, 4, p.lba);
            susp::store(canvas, *base, &mut e.records[0], &cl, What::Directory(path.clone()))?;
            e.kind = Kind::Dir(p.lba);
        }
    }
    dirs[logical].dirty = true;
    Ok(())
}

/// `..` of the folders in it, and PL of those that were relocated out of it.
fn below(side: &mut Side, canvas: &mut Canvas, i: usize, p: Place) -> Result<()> {
    let mut children: Vec<(u32, bool)> = Vec::new();
    for e in &side.dirs[i].entries {
        match e.kind {
            Kind::Dir(c) if e.is_link_to_folder() => children.push((c, true)),
            Kind::Dir(_) | Kind::Relocated => children.push((le32(&e.records[0], 2), false)),
            _ => {}
        }
    }
    for (c, far) in children {
        let current = |d: &Dir| d.lba == c || le32(&d.dots[0], 2) == c;
        let known = side.dirs.iter().position(current);
        let (mut record, at) = match known {
            Some(k) => (side.dirs[k].dots[1].clone(), 0),
            None => dotdot(side, canvas, c)?,
        };
        let what = What::Directory(side.dirs[i].path.clone());
        if far {
            let pl = susp::find(&side.volume, &record, side.skip(), b"PL")?;
            let Some(mut pl) = pl.filter(|e| e.bytes.len() >= 12) else {
                let what = "a relocated folder without PL (RRIP 4.1.5.2)";
                return Err(Error::corrupt(what, side.base + u64::from(c) * SECTOR));
            };
            put_both32(&mut pl.bytes, 4, p.lba);
            susp::store(canvas, side.base, &mut record, &pl, what.clone())?;
        } else {
            aim(&mut record, p);
        }
        match known {
            Some(k) => {
                side.dirs[k].dots[1] = record;
                side.dirs[k].dirty = true;
            }
            None => canvas.patch(at, &record, what)?,
        }
    }
    Ok(())
}

/// The `..` of a directory that was not read, and its byte offset in the image.
fn dotdot(side: &Side, canvas: &mut Canvas, lba: u32) -> Result<(Vec<u8>, u64)> {
    let at = side.base + u64::from(lba) * SECTOR;
    let first = canvas.read(at, SECTOR as usize)?;
    let own = usize::from(first[0]);
    let end = own + usize::from(*first.get(own).unwrap_or(&0));
    let record = first.get(own..end).unwrap_or_default();
    if first[32..34] != [1, 0] || record.len() < 34 || record[32..34] != [1, 1] {
        return Err(Error::corrupt("a folder without . and .. (ECMA-119 6.8.2.2)", at));
    }
    Ok((record.to_vec(), at + own as u64))
}
