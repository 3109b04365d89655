//! Dates as HTTP writes them (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`. The two older spellings
//! are not read; a date that can't be read is ignored, as the clause on each field says.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: i64 = 86_400;
/// The last second of the year 9999: the form has room for four digits.
const LAST: i64 = 253_402_300_799;

/// Seconds since 1970 as HTTP writes them; `None` before that, and after the year 9999.
pub fn write(time: i64) -> Option<String> {
    if !(0..=LAST).contains(&time) {
        return None;
    }
    let (days, rest) = (time / DAY, time % DAY);
    let (year, month, day) = civil(days);
    Some(format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize],
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    ))
}

/// Reads what [`write()`] writes; the name of the day is not held against the date.
pub fn read(text: &str) -> Option<i64> {
    let mut words = text.trim().split_once(", ")?.1.split(' ');
    let number = |s: &str, most: i64| -> Option<i64> {
        let plain = !s.is_empty() && s.len() <= 4 && s.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| s.parse().ok()).flatten().filter(|n| *n <= most)
    };
    let day = number(words.next()?, 31)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let year = number(words.next()?, 9999)?;
    let mut clock = words.next()?.split(':');
    let mut part = |most| number(clock.next()?, most);
    let (h, m, s) = (part(23)?, part(59)?, part(60)?);
    let zone = words.next()?;
    if zone != "GMT" || words.next().is_some() || clock.next().is_some() || day == 0 || year < 1970
    {
        return None;
    }
    let time = days_to(year, month, day) * DAY + h * 3600 + m * 60 + s;
    (time <= LAST).then_some(time)
}

/// The same as `1994-11-06T08:49:37Z`, for logs.
pub fn iso(time: i64) -> String {
    let time = time.clamp(0, LAST);
    let (days, rest) = (time / DAY, time % DAY);
    let (year, month, day) = civil(days);
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_len(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of January of `year`.
fn days_before(year: i64) -> i64 {
    let leaps = |y: i64| y / 4 - y / 100 + y / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

fn days_to(year: i64, month: i64, day: i64) -> i64 {
    days_before(year) + (1..month).map(|m| month_len(year, m)).sum::<i64>() + day - 1
}

fn civil(days: i64) -> (i64, i64, i64) {
    // Never later than the year looked for, and at most one too early.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let (mut left, mut month) = (days - days_before(year), 1);
    while left >= month_len(year, month) {
        left -= month_len(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_standard() {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read(text), Some(784_111_777));
        assert_eq!(write(784_111_777).as_deref(), Some(text));
        assert_eq!(iso(784_111_777), "1994-11-06T08:49:37Z");
        assert_eq!(write(951_782_400).as_deref(), Some("Tue, 29 Feb 2000 00:00:00 GMT"));
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "x, 1 Foo 1994 1:1:1 GMT",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!((write(-1), write(LAST + 1)), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(t in 0..LAST) {
            prop_assert_eq!(read(&write(t).expect("in range")), Some(t));
        }
    }
}
