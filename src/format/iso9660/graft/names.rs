//! Names for new records, and their order. Sources: ECMA-119 7.5, 7.6, 9.3; Joliet specification, 1995.

use crate::format::iso9660::record::plain_name;
use std::cmp::Ordering;

/// What names of a directory may look like. Learned from those that are there already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habit {
    /// Longer than 8.3.
    pub long: bool,
    /// Files without `;1`; `None` where there is none to learn from.
    pub no_version: Option<bool>,
    /// Joliet names over 64 units.
    pub joliet_long: bool,
}

/// Which characters and lengths a view's identifiers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// ISO 9660: capitals, digits, `_`.
    Iso,
    /// Joliet: UCS-2 big-endian.
    Joliet,
    /// ISO 9660:1999: up to 207 bytes of anything.
    Enhanced,
}

impl Habit {
    /// What the identifiers `ids` (true: of a directory) tell.
    pub fn of<'a>(ids: impl Iterator<Item = (&'a [u8], bool)>, alphabet: Alphabet) -> Self {
        let mut habit = Habit::default();
        let (mut files, mut versions) = (0, 0);
        for (id, dir) in ids {
            let version = match alphabet {
                Alphabet::Joliet => id.windows(2).any(|w| w == [0, b';']),
                _ => id.contains(&b';'),
            };
            files += u32::from(!dir);
            versions += u32::from(!dir && version);
            habit.joliet_long |= id.len() > 132;
            let stem = plain_name(id);
            let (name, ext) = split(stem);
            habit.long |= name.len() > 8 || ext.len() > 3;
        }
        habit.no_version = (files > 0).then_some(versions == 0);
        habit
    }
}

fn split(stem: &[u8]) -> (&[u8], &[u8]) {
    match stem.iter().rposition(|&b| b == b'.') {
        Some(i) => (&stem[..i], &stem[i + 1..]),
        None => (stem, b""),
    }
}

/// The identifier for `name` that no other in the directory has.
pub(super) fn fresh(
    name: &[u8],
    dir: bool,
    alphabet: Alphabet,
    habit: Habit,
    taken: &dyn Fn(&[u8]) -> bool,
) -> Option<Vec<u8>> {
    (0..100_000u32).map(|n| identifier(name, dir, alphabet, habit, n)).find(|id| !taken(id))
}

/// The `n`th try; 0 is the name itself.
fn identifier(name: &[u8], dir: bool, alphabet: Alphabet, habit: Habit, n: u32) -> Vec<u8> {
    let tail = if n == 0 { String::new() } else { n.to_string() };
    match alphabet {
        Alphabet::Iso => iso(name, dir, habit, &tail),
        Alphabet::Joliet => joliet(name, dir, habit, &tail),
        Alphabet::Enhanced => {
            let keep = name.len().min(207 - tail.len());
            [&name[..keep], tail.as_bytes()].concat()
        }
    }
}

fn iso(name: &[u8], dir: bool, habit: Habit, tail: &str) -> Vec<u8> {
    let clean = |b: &[u8]| -> Vec<u8> {
        b.iter()
            .map(|c| match c.to_ascii_uppercase() {
                c @ (b'A'..=b'Z' | b'0'..=b'9' | b'_') => c,
                _ => b'_',
            })
            .collect()
    };
    // A leading dot is part of the name: an extension alone is none.
    let (stem, ext) = match split(name) {
        (stem, ext) if !dir && !stem.is_empty() => (clean(stem), clean(ext)),
        _ => (clean(name), Vec::new()),
    };
    // ECMA-119 10.1 and 10.2: eight and three; 30 together, and 31 for a directory.
    let (max_stem, max_ext) = match (habit.long, dir) {
        (false, true) => (8, 0),
        (false, false) => (8, 3),
        (true, true) => (31, 0),
        (true, false) => (30 - ext.len().min(8), 8),
    };
    let keep = stem.len().min(max_stem - tail.len());
    let mut id = [&stem[..keep], tail.as_bytes()].concat();
    if !dir {
        id.push(b'.');
        id.extend_from_slice(&ext[..ext.len().min(max_ext)]);
        if habit.no_version != Some(true) {
            id.extend_from_slice(b";1");
        }
    }
    id
}

fn joliet(name: &[u8], dir: bool, habit: Habit, tail: &str) -> Vec<u8> {
    let max = if habit.joliet_long { 103 } else { 64 };
    let version = if dir || habit.no_version == Some(true) { "" } else { ";1" };
    let text: String = String::from_utf8_lossy(name).chars().map(joliet_char).collect();
    let room = max - version.len() - tail.len();
    let units = |s: &str| s.encode_utf16().count();
    // What is cut keeps its extension, so that a reader still knows what it is.
    let (stem, ext) = match text.rsplit_once('.') {
        Some((s, e)) if !s.is_empty() && units(e) < 16 => (s, format!(".{e}")),
        _ => (&text[..], String::new()),
    };
    let mut kept = String::new();
    for c in stem.chars() {
        if units(&kept) + c.len_utf16() + units(&ext) > room {
            break;
        }
        kept.push(c);
    }
    format!("{kept}{tail}{ext}{version}").encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Joliet forbids control characters and six others.
fn joliet_char(c: char) -> char {
    match c {
        '*' | '/' | ':' | ';' | '?' | '\\' => '_',
        c if c.is_control() => '_',
        c => c,
    }
}

/// Whether a name in one view may be what `other` was made of: capitals and replaced characters count as
/// the same.
pub(super) fn alike(name: &[u8], other: &[u8]) -> bool {
    fold(name) == fold(other)
}

fn fold(name: &[u8]) -> String {
    let chars = String::from_utf8_lossy(name).to_uppercase();
    chars.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect()
}

/// ECMA-119 9.3: by name, then extension, both padded with blanks; higher versions first.
pub(super) fn order(a: &[u8], b: &[u8], alphabet: Alphabet) -> Ordering {
    let key = |id: &[u8]| -> (Vec<u16>, Vec<u16>, Vec<u16>) {
        let units: Vec<u16> = match alphabet {
            Alphabet::Joliet => {
                id.chunks(2).map(|c| c.iter().fold(0, |n, b| n << 8 | u16::from(*b))).collect()
            }
            _ => id.iter().map(|b| u16::from(*b)).collect(),
        };
        let cut = |u: &[u16], at: u8| -> (Vec<u16>, Vec<u16>) {
            match u.iter().rposition(|c| *c == u16::from(at)) {
                Some(i) => (u[..i].to_vec(), u[i + 1..].to_vec()),
                None => (u.to_vec(), Vec::new()),
            }
        };
        let (stem, version) = cut(&units, b';');
        let (name, ext) = cut(&stem, b'.');
        (name, ext, version)
    };
    let padded = |a: &[u16], b: &[u16]| {
        let at = |u: &[u16], i: usize| *u.get(i).unwrap_or(&0x20);
        let n = a.len().max(b.len());
        (0..n).map(|i| at(a, i)).cmp((0..n).map(|i| at(b, i)))
    };
    let ((an, ae, av), (bn, be, bv)) = (key(a), key(b));
    padded(&an, &bn)
        .then_with(|| padded(&ae, &be))
        .then_with(|| bv.len().cmp(&av.len()).then_with(|| bv.cmp(&av)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso_of(name: &str, dir: bool, long: bool, taken: &[&str]) -> String {
        let habit = Habit { long, ..Habit::default() };
        let taken = |id: &[u8]| taken.iter().any(|t| t.as_bytes() == id);
        let id = fresh(name.as_bytes(), dir, Alphabet::Iso, habit, &taken).expect("a name");
        String::from_utf8(id).expect("ASCII")
    }

    #[test]
    fn names_are_cut_to_the_level_and_kept_apart() {
        assert_eq!(iso_of("grub.cfg", false, false, &[]), "GRUB.CFG;1");
        assert_eq!(iso_of("vmlinuz", false, false, &[]), "VMLINUZ.;1");
        assert_eq!(iso_of("a long name.conf", false, false, &[]), "A_LONG_N.CON;1");
        assert_eq!(iso_of("abcdefghij.txt", false, false, &["ABCDEFGH.TXT;1"]), "ABCDEFG1.TXT;1");
        assert_eq!(iso_of(".treeinfo", false, true, &[]), "_TREEINFO.;1");
        assert_eq!(iso_of("x86_64.d", true, false, &[]), "X86_64_D");
        assert_eq!(iso_of(&"n".repeat(40), false, true, &[]).len(), 33);
    }

    #[test]
    fn joliet_names_are_cut_before_the_extension() {
        let id = joliet("ü".repeat(80).as_bytes(), false, Habit::default(), "");
        assert_eq!(id.len(), 128);
        let id = joliet(format!("{}.txt", "a:".repeat(60)).as_bytes(), true, Habit::default(), "7");
        assert_eq!(super::super::super::joliet::name(&id).map(|n| n.len()), Some(64));
        assert!(id.ends_with(&[0, b'7', 0, b'.', 0, b't', 0, b'x', 0, b't']));
    }

    #[test]
    fn order_pads_with_blanks() {
        let less = |a: &str, b: &str| order(a.as_bytes(), b.as_bytes(), Alphabet::Iso).is_lt();
        assert!(less("A.TXT;1", "AB.TXT;1"));
        assert!(less("AB.;1", "AB.A;1"));
        assert!(less("A.A;2", "A.A;1"));
        assert!(less("A", "A1"));
    }
}
