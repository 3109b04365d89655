//! The same file in another view. Views share the files' extents and nothing else: names are cut and
//! replaced as each view demands, so they are compared with that in mind.

use crate::error::{Error, Result};
use crate::format::iso9660::SECTOR;

use super::names::alike;
use super::side::{Entry, Kind, Side};

/// Which entry of directory `there` of `other` is entry `e` of directory `here` of `best`. `None` where
/// the view hides it.
///
/// # Errors
/// `Unsupported` where more than one could be it.
pub(super) fn find(
    (best, here, e): (&Side, usize, usize),
    (other, there): (&Side, usize),
) -> Result<Option<usize>> {
    let (mine, theirs) = (&best.dirs[here], &other.dirs[there]);
    let want = &mine.entries[e];
    let may = |c: &Entry| same_kind(want, c) && same_bytes(best, want, other, c);
    let candidates: Vec<usize> =
        (0..theirs.entries.len()).filter(|&i| may(&theirs.entries[i])).collect();
    let named = |f: &dyn Fn(&Entry) -> bool| -> Vec<usize> {
        candidates.iter().copied().filter(|&i| f(&theirs.entries[i])).collect()
    };
    if let [one] = named(&|c| c.name == want.name)[..] {
        return Ok(Some(one));
    }
    if let [one] = named(&|c| alike(&c.name, &want.name))[..] {
        return Ok(Some(one));
    }
    // What is called as another file here is that one.
    let others = |c: &Entry| {
        mine.entries.iter().enumerate().any(|(i, m)| {
            i != e && (m.name == c.name || (same_kind(m, c) && alike(&m.name, &c.name)))
        })
    };
    let left = named(&|c| !others(c) && alike(&c.name, &want.name) || !others(c));
    match left[..] {
        [] => Ok(None),
        [one] if want.kind == Kind::File && want.len() > 0 => Ok(Some(one)),
        _ => closest(want, &theirs.entries, &left).map_or_else(
            || {
                let what = "its name in another view (Joliet or plain ISO 9660) can't be told";
                Err(Error::unsupported(what).path(format_args!(
                    "/{}/{}",
                    mine.path,
                    want.name.escape_ascii()
                )))
            },
            |one| Ok(one.or(None)),
        ),
    }
}

fn same_kind(a: &Entry, b: &Entry) -> bool {
    match (a.kind, b.kind) {
        (Kind::Dir(_), Kind::Dir(_)) | (Kind::File, Kind::File) => true,
        // A link is an empty file where there is no Rock Ridge.
        (Kind::Other, Kind::File | Kind::Other) => a.len() == b.len(),
        _ => false,
    }
}

fn same_bytes(best: &Side, a: &Entry, other: &Side, b: &Entry) -> bool {
    let at = |s: &Side, e: &Entry| -> Vec<u64> {
        e.blocks().iter().map(|b| s.base + u64::from(*b) * SECTOR).collect()
    };
    match a.kind {
        Kind::File if a.len() > 0 => a.len() == b.len() && at(best, a) == at(other, b),
        Kind::File => b.len() == 0,
        _ => true,
    }
}

/// Of `left` the one whose name begins most alike, if there is exactly one. A name that has nothing in
/// common is another file's: then `Some(None)`.
fn closest(want: &Entry, all: &[Entry], left: &[usize]) -> Option<Option<usize>> {
    let common = |i: usize| {
        let (mut a, mut b) = (want.name.iter(), all[i].name.iter());
        let fold = |c: &u8| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { b'_' };
        let mut n = 0;
        while let (Some(x), Some(y)) = (a.next(), b.next()) {
            if fold(x) != fold(y) {
                break;
            }
            n += 1;
        }
        n
    };
    let best = left.iter().map(|&i| common(i)).max()?;
    let mut at_best = left.iter().copied().filter(|&i| common(i) == best);
    match (at_best.next(), at_best.next()) {
        // Makers of short names keep at least the first letters.
        (Some(_), _) if best < 3.min(want.name.len()) => Some(None),
        (Some(one), None) => Some(Some(one)),
        _ => None,
    }
}
