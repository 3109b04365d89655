//! Which trees a medium has, and its descriptors once it has grown. Source: ECMA-119 clause 8.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::format::fields::{be32, le32, put_both32};
use crate::format::iso9660::record::Raw;
use crate::format::iso9660::{Iso, SECTOR, View, joliet, rockridge};

use super::What;
use super::canvas::Canvas;
use super::names::Alphabet;
use super::side::Side;
use super::susp::{self, Style};

/// Descriptors that are looked at. Real media have three to eight.
const MAX: u64 = 64;
/// A partition that is to be mounted by itself starts within the first megabyte, as a rule at block 16.
const MAX_BASE: u64 = 1 << 20;

/// The trees of `image`, that of `iso`'s view first.
///
/// # Errors
/// `Unsupported` for blocks of another size and for descriptors that are not understood.
pub(super) fn sides(image: &Content, iso: &Iso, partitions: &[u64]) -> Result<Vec<Side>> {
    let mut sides = Vec::new();
    volume(image, 0, &mut sides)?;
    for &base in partitions {
        if base > 0 && base < MAX_BASE && base.is_multiple_of(SECTOR) && is_twin(image, base)? {
            volume(image, base, &mut sides)?;
        }
    }
    let best = sides.iter().position(|s: &Side| {
        s.base == 0
            && match iso.view {
                View::Joliet => s.is_joliet(),
                View::RockRidge => s.style.is_some(),
                _ => s.alphabet == Alphabet::Iso,
            }
    });
    let Some(best) = best else {
        return Err(Error::unsupported("a medium without a tree that can be edited"));
    };
    sides.swap(0, best);
    sides[0].shown = true;
    Ok(sides)
}

/// Whether the same volume can be mounted from `base` on: xorriso's `-partition_offset`.
fn is_twin(image: &Content, base: u64) -> Result<bool> {
    let (mut first, mut second) = ([0u8; 72], [0u8; 72]);
    let at = base + 16 * SECTOR;
    if at + SECTOR > image.len() {
        return Ok(false);
    }
    image.read_at(&mut first, 16 * SECTOR)?;
    image.read_at(&mut second, at)?;
    Ok(first[..6] == second[..6] && first[40..] == second[40..])
}

fn volume(image: &Content, base: u64, sides: &mut Vec<Side>) -> Result<()> {
    let volume = image.slice(base..image.len())?;
    let first = sides.len();
    for n in 16..16 + MAX {
        let at = base + n * SECTOR;
        let mut d = vec![0; SECTOR as usize];
        image.read_at(&mut d, at)?;
        if &d[1..6] != b"CD001" {
            return Err(Error::corrupt("a volume descriptor is missing (ECMA-119 8.1)", at));
        }
        let alphabet = match d[0] {
            255 => return Ok(()),
            1 => Alphabet::Iso,
            2 if joliet::is_joliet(&d) => Alphabet::Joliet,
            // ISO 9660:1999: an enhanced descriptor has version 2.
            2 if d[6] == 2 => Alphabet::Enhanced,
            2 => {
                let what = "a supplementary tree in an unknown character set (ECMA-119 8.5.6)";
                return Err(Error::unsupported(what).at(at));
            }
            _ => continue,
        };
        if (d[128], d[129]) != (0, 8) {
            return Err(Error::unsupported("blocks of other than 2048 bytes").at(at + 128));
        }
        let root = le32(&d, 158).saturating_add(u32::from(d[157]));
        let known = sides[first..].iter().position(|s| s.root == root);
        let i = match known {
            Some(i) => first + i,
            None => {
                let style = (alphabet == Alphabet::Iso).then(|| style(&volume, root, &d));
                let mut side =
                    Side::new(base, volume.clone(), alphabet, style.transpose()?.flatten());
                side.root = root;
                sides.push(side);
                sides.len() - 1
            }
        };
        sides[i].descriptors.push(at);
    }
    Err(Error::corrupt(format!("more than {MAX} volume descriptors"), base + (16 + MAX) * SECTOR))
}

/// How the root directory's own record and its first entries write Rock Ridge, where they do.
fn style(volume: &Content, root: u32, d: &[u8]) -> Result<Option<Style>> {
    let found = crate::format::iso9660::descriptors::Volume {
        block_size: SECTOR as u32,
        root: crate::format::iso9660::descriptors::Root {
            record_at: 0,
            start: u64::from(root) * SECTOR,
            len: u64::from(le32(d, 166)),
        },
        ..Default::default()
    };
    // Beside Joliet the probe wants to see names; the tree is the same one either way.
    let Some(skip) = rockridge::probe(volume, &found, false)? else { return Ok(None) };
    let mut first = vec![0; SECTOR as usize];
    volume.read_at(&mut first, u64::from(root) * SECTOR)?;
    let dot = Raw::first(&first).map_or(0, |r| r.len());
    let entries = susp::entries(volume, &first[..dot], 0)?;
    Ok(Some(Style {
        skip,
        serials: susp::serial(&entries).is_some(),
        rr: entries.iter().any(|e| e.is(b"RR")),
    }))
}

/// Where a grown medium ends.
pub(super) struct Ends {
    /// Byte behind the files.
    pub data: u64,
    /// Length of the image.
    pub whole: u64,
}

/// Volume space size in all descriptors, ECMA-119 8.4.8: a volume that covered the old image covers the
/// new one, another ends with the files.
pub(super) fn resize(sides: &[Side], canvas: &mut Canvas, ends: &Ends) -> Result<()> {
    let old = canvas.image().len() / SECTOR * SECTOR;
    for side in sides {
        for &at in &side.descriptors {
            let mut size = canvas.read(at + 80, 8)?;
            if le32(&size, 0) != be32(&size, 4) {
                let what = "the volume's size differs in the two byte orders (ECMA-119 8.4.8)";
                return Err(Error::corrupt(what, at + 80));
            }
            let covered = side.base + u64::from(le32(&size, 0)) * SECTOR >= old;
            let end = if covered { ends.whole } else { ends.data };
            let blocks = u32::try_from((end - side.base) / SECTOR)
                .map_err(|_| Error::unsupported("an image of over 8 TiB (ECMA-119 8.4.8)"))?;
            let blocks = blocks.max(le32(&size, 0));
            put_both32(&mut size, 0, blocks);
            canvas.patch(at + 80, &size, What::Descriptor)?;
        }
    }
    Ok(())
}
