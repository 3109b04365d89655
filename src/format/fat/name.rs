//! Names: 8.3 and long, both ways.

use crate::error::{Error, Result};
use crate::format::fields::le16;

/// A long name while its entries come in, last part first.
#[derive(Default)]
pub(super) struct LongName {
    units: Vec<u16>,
    /// Number of the entry that must come next, counting down to 1; 0 when complete.
    next: u8,
    sum: u8,
    broken: bool,
}

impl LongName {
    pub(super) fn take(&mut self, e: &[u8]) {
        let number = e[0] & 0x1f;
        if e[0] & 0x40 != 0 {
            *self = LongName { next: number, sum: e[13], ..LongName::default() };
        }
        if self.next == 0 || number != self.next || self.sum != e[13] {
            self.broken = true;
            return;
        }
        self.next -= 1;
        let part: Vec<u16> = unit_places().map(|at| le16(e, at)).collect();
        self.units.splice(0..0, part);
    }

    /// The name, if it is whole and belongs to the short entry `e`.
    pub(super) fn finish(self, e: &[u8]) -> Option<String> {
        if self.broken || self.next != 0 || self.units.is_empty() || checksum(e) != self.sum {
            return None;
        }
        let end = self.units.iter().position(|&u| u == 0).unwrap_or(self.units.len());
        Some(String::from_utf16_lossy(&self.units[..end]))
    }
}

/// The 8.3 name in the case that Windows' flags ask for.
pub(super) fn short_name(e: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| -> String {
        let end = bytes.iter().rposition(|&b| b != b' ').map_or(0, |i| i + 1);
        let text: String = bytes[..end].iter().map(|&b| code_page_437(b)).collect();
        if lower { text.to_lowercase() } else { text }
    };
    let mut base = e[..8].to_vec();
    // 0x05 stands for 0xe5, which would mean "deleted".
    if base[0] == 0x05 {
        base[0] = 0xe5;
    }
    let (base, ext) = (part(&base, e[12] & 8 != 0), part(&e[8..11], e[12] & 16 != 0));
    if ext.is_empty() { base } else { format!("{base}.{ext}") }
}

fn code_page_437(b: u8) -> char {
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»\
        ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
        αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match b {
        0x80.. => HIGH.chars().nth(usize::from(b - 0x80)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::from(b),
    }
}

/// The sum of a short name by which its long entries know it.
fn checksum(e: &[u8]) -> u8 {
    e[..11].iter().fold(0u8, |s, &c| s.rotate_right(1).wrapping_add(c))
}

/// A name in the form in which names are compared: FAT heeds no case.
pub(super) fn fold(name: &str) -> String {
    let upper = |c: char| {
        let mut up = c.to_uppercase();
        match (up.next(), up.next()) {
            (Some(one), None) => one,
            _ => c,
        }
    };
    name.chars().map(upper).collect()
}

/// The entries of a new name: the long ones, last part first, then the short one with nothing in it but
/// the name. `taken` says which short names the folder has.
///
/// # Errors
/// `Usage` for a name that FAT can't hold.
pub(super) fn entries(name: &str, taken: &dyn Fn(&[u8; 11]) -> bool) -> Result<Vec<[u8; 32]>> {
    let units = checked(name)?;
    let alias = alias(name, taken);
    let mut short = [0u8; 32];
    short[..11].copy_from_slice(&alias);
    if short_name(&short) == name {
        return Ok(vec![short]);
    }
    let sum = checksum(&alias);
    let parts = units.chunks(13).enumerate();
    let mut all: Vec<[u8; 32]> =
        parts.map(|(i, part)| long_entry(i as u8 + 1, part, sum)).collect();
    if let Some(last) = all.last_mut() {
        last[0] |= 0x40;
    }
    all.reverse();
    all.push(short);
    Ok(all)
}

fn checked(name: &str) -> Result<Vec<u16>> {
    let bad = |why: &str| Err(Error::usage(format!("\"{name}\" can't be a name on FAT: {why}")));
    if let Some(c) = name.chars().find(|c| c.is_control() || "\"*/:<>?\\|".contains(*c)) {
        return bad(&format!("it holds {c:?}"));
    }
    if name.ends_with(['.', ' ']) {
        return bad("it ends in a dot or a blank");
    }
    let units: Vec<u16> = name.encode_utf16().collect();
    if units.is_empty() || units.len() > 255 {
        return bad("it has more than 255 characters, or none");
    }
    Ok(units)
}

/// "Long Directory Entries": 13 units; a name that ends in it gets a 0, then 0xffff.
fn long_entry(number: u8, part: &[u16], sum: u8) -> [u8; 32] {
    let mut e = [0u8; 32];
    (e[0], e[11], e[13]) = (number, 0x0f, sum);
    let rest = std::iter::once(0).chain(std::iter::repeat(0xffff));
    for (at, unit) in unit_places().zip(part.iter().copied().chain(rest)) {
        e[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
    e
}

/// Where a long entry has its 13 units.
fn unit_places() -> impl Iterator<Item = usize> {
    (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2))
}

/// The short name: the name itself in capitals where that says all but the case, as Linux does it,
/// else its first letters and a number ("The Basis-Name Generation Algorithm").
fn alias(name: &str, taken: &dyn Fn(&[u8; 11]) -> bool) -> [u8; 11] {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'()-@^_`{}~".contains(c);
    let of = |s: &str| -> Vec<u8> {
        let kept = s.chars().filter(|c| !matches!(c, ' ' | '.'));
        kept.map(|c| if plain(c) { c.to_ascii_uppercase() as u8 } else { b'_' }).collect()
    };
    let trimmed = name.trim_start_matches(['.', ' ']);
    let (base, ext) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
    let whole = |s: &str| s.chars().all(plain);
    let fits = trimmed == name && whole(base) && whole(ext) && base.len() <= 8 && ext.len() <= 3;
    let (base, mut ext) = (of(base), of(ext));
    ext.truncate(3);
    let put = |base: &[u8], tail: &str| {
        let mut a = [b' '; 11];
        let keep = base.len().min(8 - tail.len());
        a[..keep].copy_from_slice(&base[..keep]);
        a[keep..keep + tail.len()].copy_from_slice(tail.as_bytes());
        a[8..8 + ext.len()].copy_from_slice(&ext);
        a
    };
    let exact = put(&base, "");
    if fits && !base.is_empty() && !taken(&exact) {
        return exact;
    }
    // A folder has at most 65,536 entries, so one of these is free.
    let numbered = (1..=999_999).map(|n| put(&base, &format!("~{n}")));
    numbered.into_iter().find(|a| !taken(a)).unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_page_is_whole() {
        assert_eq!(code_page_437(0xff), '\u{a0}');
        assert_eq!(code_page_437(0xe1), 'ß');
        assert_eq!(code_page_437(0x80), 'Ç');
    }
}
