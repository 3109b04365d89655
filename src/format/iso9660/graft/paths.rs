//! The path tables, ECMA-119 6.9 and 9.4: every directory again, in a list, in both byte orders.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{be32, le16, le32, put_both32};
use crate::format::iso9660::SECTOR;
use std::collections::{HashMap, HashSet};

use super::canvas::Canvas;
use super::layout::block;
use super::side::Side;
use super::{What, names};

/// ECMA-119 6.9.1: a parent's number has 16 bits.
const MAX_DIRS: usize = 65_535;
/// What a table of that many directories with names of 207 bytes comes to.
const MAX_TABLE: u32 = 16 << 20;

/// A directory that has another place.
pub(super) struct Moved {
    pub old: u32,
    pub new: u32,
}

struct Line {
    id: Vec<u8>,
    lba: u32,
    /// Index of the parent; the root's is itself.
    parent: usize,
    depth: usize,
}

/// Brings the tables of `side` up to what was `moved` (new directories too) and what is gone.
pub(super) fn update(side: &Side, canvas: &mut Canvas, moved: &[Moved]) -> Result<()> {
    let gone: HashSet<u32> =
        side.dirs.iter().filter(|d| d.gone && !d.is_new()).map(|d| d.lba).collect();
    if moved.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let mut lines = read(side, canvas)?;
    // What hangs below a folder that is gone is gone with it.
    let mut dead: Vec<bool> = lines.iter().map(|l| gone.contains(&l.lba)).collect();
    for i in 0..lines.len() {
        dead[i] |= dead[lines[i].parent];
    }
    let mut at: HashMap<u32, usize> = HashMap::new();
    lines.iter().enumerate().filter(|(i, _)| !dead[*i]).for_each(|(i, l)| {
        at.insert(l.lba, i);
    });
    for m in moved {
        match at.get(&m.old) {
            Some(&i) => lines[i].lba = m.new,
            None => add(side, m, &mut lines, &mut at)?,
        }
    }
    dead.resize(lines.len(), false);
    let order = sorted(side, &lines, &dead);
    if order.len() > MAX_DIRS {
        return Err(Error::unsupported("more than 65535 folders (ECMA-119 6.9.1)"));
    }
    let mut number = vec![0u16; lines.len()];
    order.iter().enumerate().for_each(|(n, &i)| number[i] = n as u16 + 1);
    let table = |big: bool| -> Vec<u8> {
        order.iter().flat_map(|&i| line(&lines[i], number[lines[i].parent], big)).collect()
    };
    write(side, canvas, &table(false), &table(true))
}

fn read(side: &Side, canvas: &mut Canvas) -> Result<Vec<Line>> {
    let first = side.descriptors.first().copied().unwrap_or_default();
    let d = canvas.read(first, 190)?;
    let (len, at) = (le32(&d, 132), u64::from(le32(&d, 140)) * SECTOR);
    let damaged = |why: &str| {
        Error::corrupt(format!("the path table is damaged: {why} (ECMA-119 9.4)"), side.base + at)
    };
    if len > MAX_TABLE || len != be32(&d, 136) {
        return Err(damaged("its length"));
    }
    let mut b = vec![0; len as usize];
    side.volume.read_at(&mut b, at)?;
    let mut lines: Vec<Line> = Vec::new();
    let mut rest = &b[..];
    while rest.len() >= 8 {
        let id = rest.get(8..8 + usize::from(rest[0])).ok_or_else(|| damaged("a name"))?.to_vec();
        let lba = le32(rest, 2).saturating_add(u32::from(rest[1]));
        let parent = usize::from(le16(rest, 6));
        if id.is_empty() || parent == 0 || parent > lines.len().max(1) {
            return Err(damaged("a parent's number"));
        }
        let parent = parent - 1;
        let depth = lines.get(parent).map_or(0, |p| p.depth + 1);
        let step = (8 + id.len()).next_multiple_of(2);
        lines.push(Line { id, lba, parent, depth });
        rest = rest.get(step..).unwrap_or_default();
    }
    if lines.first().is_none_or(|l| l.id != [0]) {
        return Err(damaged("it does not begin with the root"));
    }
    Ok(lines)
}

/// A new directory; its parent stands in the table already, for it was made before.
fn add(side: &Side, m: &Moved, lines: &mut Vec<Line>, at: &mut HashMap<u32, usize>) -> Result<()> {
    let missing = || Error::corrupt("the path table lacks a folder (ECMA-119 9.4)", side.base);
    let i = side.known(m.old).filter(|&i| side.dirs[i].is_new()).ok_or_else(missing)?;
    let up = &side.dirs[side.dirs[i].parent];
    let parent = *at.get(&up.lba).ok_or_else(missing)?;
    let id = up.entries.iter().find(|e| le32(&e.records[0], 2) == m.new).ok_or_else(missing)?.id();
    let depth = lines[parent].depth + 1;
    at.insert(m.old, lines.len());
    lines.push(Line { id: id.to_vec(), lba: m.new, parent, depth });
    Ok(())
}

/// ECMA-119 6.9.1: by level, then by the parent's number, then by name.
fn sorted(side: &Side, lines: &[Line], dead: &[bool]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(lines.len());
    let mut rank = vec![0usize; lines.len()];
    let deepest = lines.iter().map(|l| l.depth).max().unwrap_or(0);
    let mut levels: Vec<Vec<usize>> = vec![Vec::new(); deepest + 1];
    (0..lines.len()).filter(|&i| !dead[i]).for_each(|i| levels[lines[i].depth].push(i));
    for mut level in levels {
        level.sort_by(|&a, &b| {
            let by_parent = rank[lines[a].parent].cmp(&rank[lines[b].parent]);
            by_parent.then_with(|| names::order(&lines[a].id, &lines[b].id, side.alphabet))
        });
        for i in level {
            rank[i] = order.len();
            order.push(i);
        }
    }
    order
}

fn line(l: &Line, parent: u16, big: bool) -> Vec<u8> {
    let mut b = vec![l.id.len() as u8, 0];
    if big {
        b.extend_from_slice(&l.lba.to_be_bytes());
        b.extend_from_slice(&parent.to_be_bytes());
    } else {
        b.extend_from_slice(&l.lba.to_le_bytes());
        b.extend_from_slice(&parent.to_le_bytes());
    }
    b.extend_from_slice(&l.id);
    b.resize(b.len().next_multiple_of(2), 0);
    b
}

/// Over the old tables where they have as many sectors, else at the end, optional copies too.
fn write(side: &Side, canvas: &mut Canvas, little: &[u8], big: &[u8]) -> Result<()> {
    let mut places: HashMap<u64, u32> = HashMap::new();
    for &at in &side.descriptors {
        let mut d = canvas.read(at, 190)?;
        let len = u64::from(le32(&d, 132));
        for (field, bytes) in [(140, little), (144, little), (148, big), (152, big)] {
            let m = field >= 148;
            let old = if m { be32(&d, field) } else { le32(&d, field) };
            if old == 0 {
                continue;
            }
            let from = side.base + u64::from(old) * SECTOR;
            let lba = match places.get(&from) {
                Some(&lba) => lba,
                None if fits(canvas, from, len, bytes.len() as u64)? => {
                    let mut padded = bytes.to_vec();
                    padded.resize(bytes.len().max(len as usize), 0);
                    canvas.patch(from, &padded, What::PathTable)?;
                    old
                }
                None => {
                    let c = Content::from(bytes.to_vec());
                    block(side, canvas.append(&c, What::PathTable))?
                }
            };
            places.insert(from, lba);
            let number = if m { lba.to_be_bytes() } else { lba.to_le_bytes() };
            d[field..field + 4].copy_from_slice(&number);
        }
        put_both32(&mut d, 132, little.len() as u32);
        canvas.patch(at + 132, &d[132..156], What::Descriptor)?;
    }
    Ok(())
}

/// Whether `new` bytes go where `old` are: into the last sector's rest only if it is zero.
fn fits(canvas: &mut Canvas, at: u64, old: u64, new: u64) -> Result<bool> {
    if new <= old {
        return Ok(true);
    }
    let rest = old.next_multiple_of(SECTOR) - old;
    Ok(new <= old + rest && canvas.read(at + old, rest as usize)?.iter().all(|&b| b == 0))
}
