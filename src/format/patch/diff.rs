//! What two ropes share.

use super::Op;
use crate::content::source::ReadAt;
use crate::content::{Content, Segment};
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes in memory are compared with the base in pieces of this size, a sector of a medium.
const SECTOR: u64 = 2048;

/// An extent of the base: offset in the source, offset in the base, length.
type Placed = (u64, u64, u64);

/// The steps from `base` to `new`, and the bytes that they put.
///
/// # Errors
/// Those of reading the base where bytes in memory stand in its place.
pub fn diff(base: &Content, new: &Content) -> Result<(Vec<Op>, Content)> {
    let mut d = Diff { base, sources: sources(base), ops: Vec::new(), literals: Vec::new() };
    let mut at = 0;
    for s in new.segments() {
        match s {
            Segment::Zero(n) => d.push(Op::Zero(*n)),
            Segment::Bytes(_) => d.bytes(s, at)?,
            Segment::Extent { src, off, len } => d.extent(src, *off, *len, at),
        }
        at += s.len();
    }
    Ok((d.ops, Content::concat(d.literals)))
}

/// The extents of each source in the base, by their offsets in it.
fn sources(base: &Content) -> HashMap<*const (), Vec<Placed>> {
    let mut map: HashMap<*const (), Vec<Placed>> = HashMap::new();
    let mut at = 0;
    for s in base.segments() {
        if let Segment::Extent { src, off, len } = s {
            map.entry(Arc::as_ptr(src).cast()).or_default().push((*off, at, *len));
        }
        at += s.len();
    }
    map.values_mut().for_each(|v| v.sort_unstable());
    map
}

struct Diff<'a> {
    base: &'a Content,
    sources: HashMap<*const (), Vec<Placed>>,
    ops: Vec<Op>,
    literals: Vec<Content>,
}

impl Diff<'_> {
    /// Joined to the last step where it goes on from there.
    fn push(&mut self, op: Op) {
        let joined = match (self.ops.last(), op) {
            (Some(&Op::Copy(from, n)), Op::Copy(next, m)) if from + n == next => {
                Some(Op::Copy(from, n + m))
            }
            (Some(&Op::Put(n)), Op::Put(m)) => Some(Op::Put(n + m)),
            (Some(&Op::Zero(n)), Op::Zero(m)) => Some(Op::Zero(n + m)),
            _ => None,
        };
        match (joined, self.ops.last_mut()) {
            (Some(j), Some(last)) => *last = j,
            _ => self.ops.push(op),
        }
    }

    fn put(&mut self, content: Content) {
        self.push(Op::Put(content.len()));
        self.literals.push(content);
    }

    /// Bytes in memory at `at`: the base's own where it has the same there.
    fn bytes(&mut self, s: &Segment, at: u64) -> Result<()> {
        let whole = Content::from_segments([s.clone()]);
        let mut done = 0;
        while done < whole.len() {
            let here = at + done;
            let n = (SECTOR - here % SECTOR).min(whole.len() - done);
            let piece = whole.slice(done..done + n)?;
            let same = here + n <= self.base.len()
                && self.base.slice(here..here + n)?.read_all(SECTOR)? == piece.read_all(SECTOR)?;
            match same {
                true => self.push(Op::Copy(here, n)),
                false => self.put(piece),
            }
            done += n;
        }
        Ok(())
    }

    /// An extent: what of it the base has, wherever, is copied from there.
    fn extent(&mut self, src: &Arc<dyn ReadAt>, off: u64, len: u64, at: u64) {
        let placed = self.sources.get(&Arc::as_ptr(src).cast()).cloned().unwrap_or_default();
        let mut done = 0;
        while done < len {
            let (here, left) = (off + done, len - done);
            let holds = |p: &&Placed| p.0 <= here && here < p.0 + p.2;
            let in_place = |p: &&Placed| p.1 + (here - p.0) == at + done;
            let found = placed.iter().filter(holds);
            let best = found.clone().find(in_place).or_else(|| found.clone().next());
            if let Some((from, in_base, n)) = best {
                let n = (from + n - here).min(left);
                self.push(Op::Copy(in_base + (here - from), n));
                done += n;
                continue;
            }
            let next = placed.iter().map(|p| p.0).filter(|o| *o > here).min();
            let n = next.map_or(left, |o| (o - here).min(left));
            let piece = Segment::Extent { src: src.clone(), off: here, len: n };
            self.put(Content::from_segments([piece]));
            done += n;
        }
    }
}
