//! The order of a boot menu that is made of single files.
//!
//! Source: UAPI.1, "Sorting", as `boot_entry_compare` of systemd-boot does it: it compares file names
//! with their suffix. Versions: UAPI.10.

use std::cmp::Ordering;

/// Where an entry stands in the menu: the smallest is on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// No more tries are left.
    bad: bool,
    sort_key: Option<String>,
    machine_id: Option<String>,
    version: String,
    /// In lower case, as FAT has it.
    id: String,
}

impl Rank {
    /// Of an entry in the file `name`.
    pub fn new(
        name: &str,
        sort_key: Option<String>,
        machine_id: Option<String>,
        version: Option<String>,
    ) -> Rank {
        Rank {
            bad: tries_left(name) == Some(0),
            sort_key,
            machine_id,
            version: version.unwrap_or_default(),
            id: name.to_ascii_lowercase(),
        }
    }
}

/// Of `NAME+LEFT-DONE.conf`, how often it may still be tried; `None` without a count.
fn tries_left(name: &str) -> Option<u64> {
    let (stem, _) = name.rsplit_once('.')?;
    let (_, count) = stem.rsplit_once('+')?;
    let (left, done) = count.split_once('-').unwrap_or((count, "0"));
    done.parse::<u64>().ok()?;
    left.parse().ok()
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let keyless = |r: &Rank| r.sort_key.is_none();
        let by_key = || match keyless(self) {
            true => Ordering::Equal,
            false => self
                .sort_key
                .cmp(&other.sort_key)
                .then_with(|| self.machine_id.cmp(&other.machine_id))
                .then_with(|| versions(&other.version, &self.version)),
        };
        self.bad
            .cmp(&other.bad)
            .then(keyless(self).cmp(&keyless(other)))
            .then_with(by_key)
            .then_with(|| versions(&other.id, &self.id))
            // Names that count as the same version still have an order.
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares two versions as systemd does (`strverscmp_improved`; UAPI.10 tells it in words).
pub(super) fn versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let known = |c: &u8| c.is_ascii_alphanumeric() || b"~-^.".contains(c);
    let skip = |s: &mut &[u8]| {
        let n = s.iter().position(known).unwrap_or(s.len());
        *s = &s[n..];
    };
    loop {
        skip(&mut a);
        skip(&mut b);
        let mut order = mark(&mut a, &mut b, b'~');
        if order == Ordering::Equal && (a.is_empty() || b.is_empty()) {
            return (!a.is_empty()).cmp(&!b.is_empty());
        }
        for c in *b"-^." {
            order = order.then_with(|| mark(&mut a, &mut b, c));
        }
        let order = order.then_with(|| segment(&mut a, &mut b));
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// A number with a number, where one of both has one, else letters with letters.
fn segment(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let digit = |s: &[u8]| s.first().is_some_and(u8::is_ascii_digit);
    if !digit(a) && !digit(b) {
        return take(a, u8::is_ascii_alphabetic).cmp(take(b, u8::is_ascii_alphabetic));
    }
    let (x, y) = (take(a, u8::is_ascii_digit), take(b, u8::is_ascii_digit));
    let bare = |s: &[u8]| s.iter().position(|&c| c != b'0').unwrap_or(s.len());
    let numbers = (&x[bare(x)..], &y[bare(y)..]);
    let by_number = numbers.0.len().cmp(&numbers.1.len()).then_with(|| numbers.0.cmp(numbers.1));
    // None is less than nought.
    (!x.is_empty()).cmp(&!y.is_empty()).then(by_number)
}

/// Where one of both begins with `c`, that is the lower one; where both do, it goes.
fn mark(a: &mut &[u8], b: &mut &[u8], c: u8) -> Ordering {
    let (in_a, in_b) = (a.first() == Some(&c), b.first() == Some(&c));
    if in_a && in_b {
        (*a, *b) = (&a[1..], &b[1..]);
    }
    in_b.cmp(&in_a)
}

fn take<'a>(s: &mut &'a [u8], which: impl Fn(&u8) -> bool) -> &'a [u8] {
    let n = s.iter().position(|c| !which(c)).unwrap_or(s.len());
    let (head, rest) = s.split_at(n);
    *s = rest;
    head
}
