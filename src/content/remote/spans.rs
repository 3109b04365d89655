//! Small reads of an image that is far away: what was fetched is held in memory up to a bound, and how much is
//! fetched beyond what was asked for grows with how much was read just before.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// Held in memory, in bytes.
const HELD: u64 = 32 << 20;
/// A sector of ISO 9660: no less is fetched.
const SECTOR: u64 = 2048;
/// Fetched at least where nothing is known of what comes next.
const LEAST: u64 = 8 << 10;
/// Fetched at most beyond what was asked for.
const AHEAD: u64 = 256 << 10;
/// One fetch, in bytes.
pub(super) const PIECE: u64 = 1 << 20;
/// A hole up to this is filled where reading goes on behind it.
const HOLE: u64 = 32 << 10;
/// Stretches that are known to be wanted; no plan has a tenth of it.
const STRETCHES: usize = 1 << 20;

struct Span {
    bytes: Bytes,
    used: u64,
}

/// What is held, what is on its way, and what is known to be wanted.
#[derive(Default)]
pub(super) struct Spans {
    held: BTreeMap<u64, Span>,
    total: u64,
    clock: u64,
    pub coming: Vec<Range<u64>>,
    wanted: Stretches,
    /// What is wanted more than once.
    again: Stretches,
}

/// Start to end; disjoint, and no two touch.
#[derive(Default)]
struct Stretches(BTreeMap<u64, u64>);

impl Stretches {
    fn add(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start / SECTOR * SECTOR, up(range.end));
        if range.is_empty() || self.0.len() >= STRETCHES {
            return;
        }
        if let Some((s, e)) = self.0.range(..=start).next_back().map(|(s, e)| (*s, *e))
            && e >= start
        {
            (start, end) = (s, end.max(e));
        }
        while let Some((s, e)) = self.0.range(start..=end).next().map(|(s, e)| (*s, *e)) {
            self.0.remove(&s);
            end = end.max(e);
        }
        self.0.insert(start, end);
    }

    /// Where the stretch that `at` is in ends.
    fn end(&self, at: u64) -> Option<u64> {
        self.0.range(..=at).next_back().map(|(_, e)| *e).filter(|e| *e > at)
    }
}

fn up(n: u64) -> u64 {
    n.div_ceil(SECTOR).saturating_mul(SECTOR)
}

impl Spans {
    /// Copies what is held from `at` on; `None` where nothing is.
    pub fn read(&mut self, at: u64, buf: &mut [u8]) -> Option<usize> {
        let (start, span) = self.held.range_mut(..=at).next_back()?;
        let held = span.bytes.get((at - start) as usize..).filter(|b| !b.is_empty())?;
        self.clock += 1;
        span.used = self.clock;
        let n = held.len().min(buf.len());
        buf[..n].copy_from_slice(&held[..n]);
        Some(n)
    }

    /// True where somebody fetches the byte at `at`.
    pub fn is_coming(&self, at: u64) -> bool {
        self.coming.iter().any(|r| r.contains(&at))
    }

    /// Takes in what was fetched; the longest unused goes where it gets too much.
    pub fn insert(&mut self, at: u64, bytes: Bytes) {
        self.clock += 1;
        self.total += bytes.len() as u64;
        let span = Span { bytes, used: self.clock };
        if let Some(old) = self.held.insert(at, span) {
            self.total -= old.bytes.len() as u64;
        }
        while self.total > HELD {
            let oldest = self.held.iter().min_by_key(|(_, s)| s.used).map(|(at, _)| *at);
            match oldest.and_then(|at| self.held.remove(&at)) {
                Some(s) => self.total -= s.bytes.len() as u64,
                None => break,
            }
        }
    }

    /// Notes that `range` will be read.
    pub fn want(&mut self, range: Range<u64>) {
        self.wanted.add(range);
    }

    /// Notes that each of `ranges` will be read; what is in several of them will be read several times.
    pub fn want_all(&mut self, ranges: &[Range<u64>]) {
        let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
        sorted.sort_by_key(|r| (r.start, r.end));
        let mut end = 0;
        for r in sorted {
            self.wanted.add(r.clone());
            self.again.add(r.start..r.end.min(end));
            end = end.max(r.end);
        }
    }

    /// True where something of `range` will be read again.
    pub fn is_for_later(&self, range: &Range<u64>) -> bool {
        let last = self.again.0.range(..range.end).next_back();
        last.is_some_and(|(_, end)| *end > range.start)
    }

    /// What to fetch for a read of `at..until`, of whose first byte nothing is held or coming.
    pub fn next_fetch(&self, at: u64, until: u64, len: u64) -> Range<u64> {
        let floor = self.end_before(at);
        let mut start = (at / SECTOR * SECTOR).max(floor);
        let need = up(until.min(at + PIECE));
        let end = match self.wanted.end(at) {
            Some(e) => need.max(e.min(start + PIECE)),
            None => {
                let run = self.run_before(floor);
                if start - floor <= HOLE && run >= HOLE {
                    start = floor;
                }
                let run = if start == floor { run } else { 0 };
                need.max(start + run.clamp(LEAST, AHEAD))
            }
        };
        start..end.min(self.start_after(at)).min(len)
    }

    /// Where what lies before `at`, held or coming, ends.
    fn end_before(&self, at: u64) -> u64 {
        let held = self.held.range(..=at).next_back().map_or(0, |(s, b)| s + b.bytes.len() as u64);
        let coming = self.coming.iter().map(|r| r.end).filter(|e| *e <= at).max();
        held.max(coming.unwrap_or(0))
    }

    fn start_after(&self, at: u64) -> u64 {
        let held = self.held.range(at..).next().map(|(s, _)| *s);
        let coming = self.coming.iter().map(|r| r.start).filter(|s| *s > at).min();
        held.unwrap_or(u64::MAX).min(coming.unwrap_or(u64::MAX))
    }

    /// Bytes held without a gap just before `end`; counted no further than it matters.
    fn run_before(&self, end: u64) -> u64 {
        let mut start = end;
        while end - start < AHEAD
            && let Some((s, span)) = self.held.range(..start).next_back()
            && s + span.bytes.len() as u64 == start
        {
            start = *s;
        }
        end - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(s: &mut Spans, r: Range<u64>) {
        s.insert(r.start, Bytes::from(vec![1; (r.end - r.start) as usize]));
    }

    #[test]
    fn what_is_fetched_ahead_grows_with_what_was_read_before() {
        let mut s = Spans::default();
        let len = 100 << 20;
        let mut at = 1 << 20;
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let r = s.next_fetch(at, at + 1, len);
            sizes.push((r.end - r.start) >> 10);
            at = r.end;
            hold(&mut s, r);
        }
        assert_eq!(sizes, [8, 8, 16, 32, 64, 128, 256, 256]);
        // Elsewhere it starts anew, and what is asked for is fetched at once.
        assert_eq!(s.next_fetch(50 << 20, (50 << 20) + 1, len), (50 << 20)..(50 << 20) + LEAST);
        let r = s.next_fetch((60 << 20) + 5, (60 << 20) + 100_000, len);
        assert_eq!(r, (60 << 20)..(60 << 20) + up(100_000));
        // Never past the end, nor over what is held.
        assert_eq!(s.next_fetch(len - 5, len, len), len - 2048..len);
        assert_eq!(s.next_fetch((1 << 20) - 1, 1 << 20, len), (1 << 20) - 2048..1 << 20);
    }

    #[test]
    fn what_is_known_to_be_wanted_is_fetched_and_nothing_else() {
        let mut s = Spans::default();
        s.want(10_000..20_000);
        s.want(20_480..30_000);
        s.want(40 << 20..60 << 20);
        assert_eq!(s.wanted.0.len(), 2);
        assert_eq!(s.next_fetch(10_240, 10_250, 1 << 30), 10_240..up(30_000));
        assert_eq!(s.next_fetch(40 << 20, 40 << 20 | 9, 1 << 30), (40 << 20)..(41 << 20));
        assert_eq!(s.next_fetch(up(30_000), up(30_000) + 1, 1 << 30).end, up(30_000) + LEAST);
    }

    #[test]
    fn what_is_wanted_twice_is_for_later() {
        let mut s = Spans::default();
        s.want_all(&[0..4096, 100_000..200_000, 150_000..160_000, 100_000..110_000]);
        let later = |at| s.is_for_later(&(at..at + 1));
        assert!(later(100_000) && later(109_999) && later(150_000));
        assert!(s.is_for_later(&(0..100_001)) && !s.is_for_later(&(0..98_304)));
        assert!(!later(0) && !later(120_000) && !later(170_000));
    }

    #[test]
    fn memory_is_bounded_and_the_longest_unused_goes() {
        let mut s = Spans::default();
        let mut b = [0; 1];
        for n in 0..HELD / PIECE {
            hold(&mut s, n * PIECE..(n + 1) * PIECE);
        }
        assert_eq!(s.read(0, &mut b), Some(1));
        hold(&mut s, 1 << 40..(1 << 40) + PIECE);
        assert!(s.total <= HELD);
        assert_eq!(s.read(0, &mut b), Some(1));
        assert_eq!(s.read(PIECE, &mut b), None);
    }
}
