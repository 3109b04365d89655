//! Integers and dates at fixed places of a binary record, as ECMA-119 7.2-7.3 and FAT write them.
//!
//! The integer functions index: the caller has made sure that the record is long enough.

/// Little-endian 16 bits at byte `at`.
#[inline]
pub fn le16(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

/// Little-endian 32 bits at byte `at`.
#[inline]
pub fn le32(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Big-endian 32 bits at byte `at`.
#[inline]
pub fn be32(b: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Little-endian 64 bits at byte `at`.
pub fn le64(b: &[u8], at: usize) -> u64 {
    u64::from(le32(b, at)) | u64::from(le32(b, at + 4)) << 32
}

/// Seconds since 1970 of a date in the Gregorian calendar, taken as UTC; `None` where it is no date
/// (vendors leave dates blank).
pub fn unix_time(year: i64, month: i64, day: i64, h: i64, min: i64, s: i64) -> Option<i64> {
    let fits = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&h)
        && (0..60).contains(&min)
        && (0..=60).contains(&s);
    if !fits {
        return None;
    }
    // The year is counted from March, so that the leap day comes last.
    let y = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year;
    Some((days - 719_468) * 86_400 + h * 3600 + min * 60 + s)
}

/// ECMA-119 9.1.5: seven bytes, years from 1900, zone in quarters of an hour east of Greenwich.
pub fn short_date(b: &[u8]) -> Option<i64> {
    let &[y, mo, d, h, mi, s, zone] = b.get(..7)? else { return None };
    let [y, mo, d, h, mi, s] = [y, mo, d, h, mi, s].map(i64::from);
    unix_time(1900 + y, mo, d, h, mi, s).map(|t| t - zone_seconds(zone))
}

/// The seven bytes that [`short_date`] reads, in UTC. Years that the byte can't say are clamped to
/// 1900 and 2155.
pub fn short_date_bytes(t: i64) -> [u8; 7] {
    // 1900-01-01 and 2155-12-31T23:59:59.
    let t = t.clamp(-2_208_988_800, 5_869_583_999);
    let (days, second) = (t.div_euclid(86_400) + 719_468, t.rem_euclid(86_400));
    // Years are counted from March in eras of 400, as in `unix_time`.
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry - 1900;
    [year, month, day, second / 3600, second / 60 % 60, second % 60, 0].map(|n| n as u8)
}

/// Puts `v` at byte `at` in both byte orders, ECMA-119 7.3.3.
pub fn put_both32(b: &mut [u8], at: usize, v: u32) {
    b[at..at + 4].copy_from_slice(&v.to_le_bytes());
    b[at + 4..at + 8].copy_from_slice(&v.to_be_bytes());
}

/// ECMA-119 8.4.26.1: sixteen digits and the zone; hundredths of a second are dropped.
pub fn long_date(b: &[u8]) -> Option<i64> {
    let b = b.get(..17)?;
    let num = |from: usize, to: usize| -> Option<i64> {
        b[from..to]
            .iter()
            .try_fold(0i64, |n, &c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
    };
    let t = unix_time(num(0, 4)?, num(4, 6)?, num(6, 8)?, num(8, 10)?, num(10, 12)?, num(12, 14)?);
    t.map(|t| t - zone_seconds(b[16]))
}

fn zone_seconds(quarters: u8) -> i64 {
    match quarters.cast_signed() {
        q @ -48..=52 => i64::from(q) * 900,
        // Out of the standard's range: some writers leave rubbish here.
        _ => 0,
    }
}

/// A fixed-width text field: trailing blanks and NULs dropped, what is not UTF-8 as `\xNN`.
pub fn text(b: &[u8]) -> String {
    let end = b.iter().rposition(|c| !matches!(c, b' ' | 0)).map_or(0, |i| i + 1);
    let mut s = String::new();
    for chunk in b[..end].utf8_chunks() {
        s.push_str(chunk.valid());
        for byte in chunk.invalid() {
            s.push_str(&format!("\\x{byte:02x}"));
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970_and_heed_the_zone() {
        assert_eq!(unix_time(1970, 1, 1, 0, 0, 0), Some(0));
        assert_eq!(unix_time(2024, 2, 29, 12, 0, 0), Some(1_709_208_000));
        assert_eq!(long_date(b"2024022912000000\x04"), Some(1_709_208_000 - 3600));
        assert_eq!(short_date(&[124, 2, 29, 12, 0, 0, 0xf8]), Some(1_709_208_000 + 7200));
        assert_eq!(long_date(b"0000000000000000\0"), None);
        assert_eq!(long_date(b"                 "), None);
        assert_eq!(short_date(&[0; 7]), None);
    }

    #[test]
    fn a_date_that_is_written_is_read_back() {
        for t in (-2_208_988_800..5_869_583_999).step_by(1_234_567).chain([5_869_583_999]) {
            assert_eq!(short_date(&short_date_bytes(t)), Some(t));
        }
        assert_eq!(short_date(&short_date_bytes(i64::MAX)), Some(5_869_583_999));
    }

    #[test]
    fn text_drops_the_padding_only() {
        assert_eq!(text(b" A B\xff \0 "), " A B\\xff");
    }
}
