//! Ranges of bytes: RFC 9110, section 14. Several in one request are answered in one; a request for more
//! than there is, or in more pieces than anybody needs, gets the whole, which the standard leaves to the
//! server (14.2) and advises against who would make it work for nothing (17.15).

use std::ops::Range;

/// Pieces that are answered in one response.
pub const PIECES: usize = 16;

/// What a `Range` header asks of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: no range, or one that may be ignored.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// These bytes, each as a part of its own, in the order asked for.
    Parts(Vec<Range<u64>>),
    /// Bytes that it doesn't have.
    Outside,
}

/// Reads a `Range` header for a file of `len` bytes.
pub fn asked(range: Option<&str>, len: u64) -> Asked {
    let Some((unit, set)) = range.and_then(|r| r.split_once('=')) else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut parts = Vec::new();
    let mut any = false;
    for spec in set.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        match piece(spec, len) {
            // One that can't be read makes the whole header one that can't (14.2).
            None => return Asked::Whole,
            Some(None) => any = true,
            Some(Some(_)) if parts.len() == PIECES => return Asked::Whole,
            Some(Some(r)) => parts.push(r),
        }
    }
    match parts.len() {
        0 if any => Asked::Outside,
        0 => Asked::Whole,
        1 => Asked::Part(parts.remove(0)),
        _ if parts.iter().map(|r| r.end - r.start).sum::<u64>() > len => Asked::Whole,
        _ => Asked::Parts(parts),
    }
}

/// `None`: not a range. `Some(None)`: one that the file does not have.
fn piece(spec: &str, len: u64) -> Option<Option<Range<u64>>> {
    let (from, to) = spec.split_once('-')?;
    let (from, to) = (from.trim_end(), to.trim_start());
    if from.is_empty() {
        let n = number(to)?;
        return Some((n > 0 && len > 0).then(|| len.saturating_sub(n)..len));
    }
    let from = number(from)?;
    let end = if to.is_empty() { u64::MAX } else { number(to)? };
    if end < from {
        return None;
    }
    Some((from < len).then(|| from..end.saturating_add(1).min(len)))
}

/// Digits alone; what is beyond all files counts as such.
fn number(s: &str) -> Option<u64> {
    let plain = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| s.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        let part = |r| Asked::Part(r);
        for (header, want) in [
            (None, Asked::Whole),
            (Some("bytes=0-0"), part(0..1)),
            (Some("Bytes = 0-0"), part(0..1)),
            (Some("bytes=5-"), part(5..10)),
            (Some("bytes=-3"), part(7..10)),
            (Some("bytes=-99"), part(0..10)),
            (Some("bytes=3-99"), part(3..10)),
            (Some("bytes=3-99999999999999999999"), part(3..10)),
            (Some("bytes=99999999999999999999-"), Asked::Outside),
            (Some("bytes=10-"), Asked::Outside),
            (Some("bytes=-0"), Asked::Outside),
            (Some("bytes=4-2"), Asked::Whole),
            (Some("bytes=-"), Asked::Whole),
            (Some("bytes=+1-2"), Asked::Whole),
            (Some("bytes=1--2"), Asked::Whole),
            (Some("bytes="), Asked::Whole),
            (Some("lines=1-2"), Asked::Whole),
            (Some("bytes=0-1,4-5"), Asked::Parts(vec![0..2, 4..6])),
            (Some("bytes=0-1, ,-1"), Asked::Parts(vec![0..2, 9..10])),
            (Some("bytes=0-1,50-"), part(0..2)),
            (Some("bytes=40-,50-"), Asked::Outside),
            (Some("bytes=0-1,x"), Asked::Whole),
            (Some("bytes=0-8,1-9"), Asked::Whole),
        ] {
            assert_eq!(asked(header, 10), want, "{header:?}");
        }
        assert_eq!(asked(Some("bytes=0-0"), 0), Asked::Outside);
        assert_eq!(asked(Some("bytes=-5"), 0), Asked::Outside);
        let many = |n: usize| format!("bytes={}", vec!["0-0"; n].join(","));
        assert!(matches!(asked(Some(&many(PIECES)), 99), Asked::Parts(_)));
        assert_eq!(asked(Some(&many(PIECES + 1)), 99), Asked::Whole);
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_inside(text in "bytes=[0-9, -]{0,40}", len in 0u64..200) {
            match asked(Some(&text), len) {
                Asked::Part(r) => prop_assert!(r.start < r.end && r.end <= len),
                Asked::Parts(v) => for r in v {
                    prop_assert!(r.start < r.end && r.end <= len);
                },
                Asked::Whole | Asked::Outside => {}
            }
        }
    }
}
