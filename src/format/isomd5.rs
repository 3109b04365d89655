//! The MD5 that `implantisomd5` writes into an image, so that `checkisomd5` and Anaconda's media check
//! know the medium again. It stands as text in the primary volume descriptor's application use area
//! and counts that area as spaces.
//!
//! Source: isomd5sum (libimplantisomd5.c, libcheckisomd5.c, utilities.c); ECMA-119 8.4.32.
//! As there, only the first descriptor is looked at, and logical blocks have 2048 bytes.

use super::fields::be32;
use crate::content::Content;
use crate::content::copy::Watch;
use crate::error::{Error, ErrorKind, Result};
use md5::{Digest as _, Md5};
use std::ops::Range;

const SECTOR: u64 = 2048;
const DESCRIPTOR: u64 = 16 * SECTOR;
/// Bytes of the area.
pub const AREA_LEN: usize = 512;
/// Where the area stands in an image: bytes 883 to 1394 of sector 16.
pub const AREA: Range<u64> = DESCRIPTOR + 883..DESCRIPTOR + 883 + AREA_LEN as u64;
/// The area without a sum, as mkisofs and xorriso leave it.
pub const BLANK: [u8; AREA_LEN] = [b' '; AREA_LEN];
/// The big-endian volume space size (ECMA-119 8.4.8).
const SIZE_AT: usize = 84;
/// At the end, which drives could not be trusted to read.
const SKIP: u64 = 15;
/// Fragments whose sums are told.
const FRAGMENTS: u64 = 20;
/// Digits of all fragment sums together.
const FRAGMENT_DIGITS: usize = 60;
/// isomd5sum reads in pieces of this many bytes, and a fragment ends where a piece does.
const PIECE: u64 = 16 * SECTOR;

/// What an implanted text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Implanted {
    /// 32 hex digits, as written.
    pub md5: String,
    /// Sectors of 2048 bytes at the end of the volume that are not counted.
    pub skip_sectors: u64,
    /// The vendor's word that this medium is an official one.
    pub supported: bool,
    /// The first digits of the running sum at each fragment's end, one fragment behind the other.
    pub fragment_sums: String,
    /// Fragments; 0 where there are no fragment sums.
    pub fragment_count: u64,
}

/// What the check of an image came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The sums agree.
    Passed,
    /// They don't; up to this byte offset is the part in which the first difference lies.
    FailedBy(u64),
}

impl Implanted {
    /// Reads the area's text; `None` where there is no sum in it, or one that isomd5sum would not take.
    pub fn parse(area: &[u8]) -> Option<Implanted> {
        let text: String = area.iter().take(AREA_LEN).map(|&b| char::from(b)).collect();
        let value = |key: &str| text.split(';').find_map(|part| part.strip_prefix(key));
        let number = |key: &str| value(key)?.trim().parse::<u64>().ok();
        let is_hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
        let md5 = value("ISO MD5SUM = ")?.get(..32).filter(|s| is_hex(s))?.to_owned();
        let sums = value("FRAGMENT SUMS = ").filter(|s| is_hex(s)).unwrap_or_default();
        let count = number("FRAGMENT COUNT = ").filter(|_| !sums.is_empty()).unwrap_or(0);
        Some(Implanted {
            md5,
            skip_sectors: number("SKIPSECTORS = ").unwrap_or(SKIP),
            supported: number("RHLISOSTATUS=").unwrap_or(0) != 0,
            fragment_sums: sums.to_owned(),
            fragment_count: count,
        })
    }

    /// The area's bytes, filled up with spaces.
    pub fn to_area(&self) -> [u8; AREA_LEN] {
        let text = format!(
            "ISO MD5SUM = {};SKIPSECTORS = {};RHLISOSTATUS={};FRAGMENT SUMS = {};FRAGMENT COUNT = {};\
             THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!",
            self.md5,
            self.skip_sectors,
            u8::from(self.supported),
            self.fragment_sums,
            self.fragment_count,
        );
        let mut area = BLANK;
        let n = text.len().min(AREA_LEN);
        area[..n].copy_from_slice(&text.as_bytes()[..n]);
        area
    }

    /// Digits of one fragment's sum.
    fn digits(&self) -> usize {
        let count = usize::try_from(self.fragment_count).unwrap_or(usize::MAX);
        FRAGMENT_DIGITS.checked_div(count).unwrap_or(0)
    }
}

/// What is implanted in `image`; `None` where nothing is, or where it is no ISO 9660.
///
/// # Errors
/// Those of the source.
pub fn find(image: &Content) -> Result<Option<Implanted>> {
    if volume_len(image)?.is_none() {
        return Ok(None);
    }
    let mut area = BLANK;
    image.read_at(&mut area, AREA.start)?;
    Ok(Implanted::parse(&area))
}

/// Bytes of the volume, by its first descriptor; `None` where that is no primary one.
fn volume_len(image: &Content) -> Result<Option<u64>> {
    if image.len() < DESCRIPTOR + SECTOR {
        return Ok(None);
    }
    let mut d = [0; SIZE_AT + 4];
    image.read_at(&mut d, DESCRIPTOR)?;
    let primary = d[0] == 1 && &d[1..6] == b"CD001";
    Ok(primary.then(|| u64::from(be32(&d, SIZE_AT)) * SECTOR))
}

/// The running sum over bytes in order, with the area as spaces whatever stands there.
#[derive(Clone)]
struct Running {
    md5: Md5,
    at: u64,
    total: u64,
    /// Bytes of a fragment.
    fragment: u64,
    /// Number of the fragment in which the last piece began.
    current: u64,
}

impl Running {
    fn new(total: u64, fragments: u64) -> Running {
        // `max`: a fragment of no bytes would have no number.
        let fragment = (total / (fragments.saturating_add(1))).max(1);
        Running { md5: Md5::new(), at: 0, total, fragment, current: 0 }
    }

    /// Takes `bytes`; `ended` is told each fragment that a piece has gone over: its number, from 1, its
    /// end, and the sum up to there. It says whether to go on.
    fn take(
        &mut self,
        mut bytes: &[u8],
        ended: &mut dyn FnMut(u64, u64, [u8; 16]) -> bool,
    ) -> bool {
        while !bytes.is_empty() && self.at < self.total {
            let piece_at = self.at - self.at % PIECE;
            let piece_end = (piece_at + PIECE).min(self.total);
            let n = (bytes.len() as u64).min(piece_end - self.at);
            let (now, rest) = bytes.split_at(n as usize);
            self.hash(now);
            bytes = rest;
            let number = piece_at / self.fragment;
            if self.at == piece_end && number != self.current {
                self.current = number;
                if !ended(number, self.at, self.md5.clone().finalize().into()) {
                    return false;
                }
            }
        }
        true
    }

    fn hash(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len() as u64;
        let within = |at: u64| (at.clamp(self.at, end) - self.at) as usize;
        let (from, to) = (within(AREA.start), within(AREA.end));
        self.md5.update(&bytes[..from]);
        self.md5.update(&BLANK[..to - from]);
        self.md5.update(&bytes[to..]);
        self.at = end;
    }
}

/// The first hex digit of each byte, without a leading zero: `printf("%x")` cut to one character.
fn short(sum: &[u8; 16], digits: usize) -> String {
    let digit = |b: &u8| char::from_digit(u32::from(if *b < 16 { *b } else { b >> 4 }), 16);
    sum.iter().take(digits).filter_map(digit).collect()
}

fn hex(sum: impl AsRef<[u8]>) -> String {
    sum.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the sum while the bytes pass by, as in a copy. The area itself may be written afterwards.
#[derive(Clone)]
pub struct Hasher {
    running: Running,
    sums: String,
}

impl Hasher {
    /// For a volume of `volume_len` bytes: the primary descriptor's volume space size, in bytes.
    ///
    /// # Errors
    /// `Unsupported` for a volume under 719 KB. Its fragments are shorter than the pieces that isomd5sum
    /// reads; where a piece goes over two of them, checkisomd5 refuses what implantisomd5 wrote.
    pub fn new(volume_len: u64) -> Result<Hasher> {
        let total = volume_len.saturating_sub(SKIP * SECTOR);
        if total / (FRAGMENTS + 1) < PIECE {
            let what = format!("a volume of {volume_len} bytes is too small for an implanted MD5");
            return Err(Error::unsupported(what));
        }
        Ok(Hasher { running: Running::new(total, FRAGMENTS), sums: String::new() })
    }

    /// The image's next bytes, from its first on, in order. Those behind the sum's end are let pass.
    pub fn update(&mut self, bytes: &[u8]) {
        let digits = FRAGMENT_DIGITS / FRAGMENTS as usize;
        let sums = &mut self.sums;
        self.running.take(bytes, &mut |_, _, sum| {
            sums.push_str(&short(&sum, digits));
            true
        });
    }

    /// What to implant. `supported` as in [`Implanted::supported`].
    ///
    /// # Errors
    /// `Corrupt` where fewer bytes came than the volume has.
    pub fn finish(self, supported: bool) -> Result<Implanted> {
        let Running { md5, at, total, .. } = self.running;
        if at < total {
            let what = format!("the image ends before its volume does, which has {total} bytes");
            return Err(Error::corrupt(what, at));
        }
        Ok(Implanted {
            md5: hex(md5.finalize()),
            skip_sectors: SKIP,
            supported,
            fragment_sums: self.sums,
            fragment_count: FRAGMENTS,
        })
    }
}

/// What to implant in `image`.
///
/// # Errors
/// As [`Hasher`]; `Unsupported` where it is no ISO 9660; `Interrupted`; those of the source.
pub fn compute(image: &Content, supported: bool, watch: Watch) -> Result<Implanted> {
    let len = volume_len(image)?;
    let len = len.ok_or_else(|| {
        Error::unsupported("the first volume descriptor is not the primary one").at(DESCRIPTOR)
    })?;
    let mut hasher = Hasher::new(len)?;
    each_chunk(image, hasher.running.total, watch, &mut |bytes| {
        hasher.update(bytes);
        true
    })?;
    hasher.finish(supported)
}

/// Holds `image` against what is implanted in it; `None` where nothing is. Stops at the first fragment
/// that differs.
///
/// # Errors
/// `Interrupted`; those of the source.
pub fn check(image: &Content, watch: Watch) -> Result<Option<Verdict>> {
    let (Some(len), Some(told)) = (volume_len(image)?, find(image)?) else { return Ok(None) };
    let total = len.saturating_sub(told.skip_sectors.saturating_mul(SECTOR));
    let mut running = Running::new(total, told.fragment_count);
    let digits = told.digits();
    let mut failed = None;
    each_chunk(image, total, watch, &mut |bytes| {
        running.take(bytes, &mut |number, end, sum| {
            let from = usize::try_from(number - 1).map_or(usize::MAX, |n| n.saturating_mul(digits));
            let want = short(&sum, digits);
            let same = told.fragment_count == 0
                || told.fragment_sums.get(from..from.saturating_add(want.len())) == Some(&want);
            if !same {
                failed = Some(end);
            }
            same
        })
    })?;
    if let Some(end) = failed {
        return Ok(Some(Verdict::FailedBy(end)));
    }
    let same = running.at == total && hex(running.md5.finalize()) == told.md5;
    Ok(Some(if same { Verdict::Passed } else { Verdict::FailedBy(total) }))
}

/// Reads the first `total` bytes, or as many as there are, until `f` says that it is enough.
fn each_chunk(
    image: &Content,
    total: u64,
    watch: Watch,
    f: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<()> {
    let end = total.min(image.len());
    let mut buf = vec![0; (16 * PIECE).min(end) as usize];
    let mut at = 0;
    image.in_order(false);
    while at < end {
        let n = (buf.len() as u64).min(end - at) as usize;
        image.read_at(&mut buf[..n], at)?;
        at += n as u64;
        if !f(&buf[..n]) {
            return Ok(());
        }
        if !watch(n as u64) {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// A volume of `sectors`, of which only the first descriptor is real, with bytes that differ.
    fn image(sectors: u32) -> Vec<u8> {
        let mut b: Vec<u8> =
            (0..sectors as usize * 2048).map(|i| (i / 7 + i / 1999) as u8).collect();
        let d = DESCRIPTOR as usize;
        b[d] = 1;
        b[d + 1..d + 6].copy_from_slice(b"CD001");
        b[d + SIZE_AT..d + SIZE_AT + 4].copy_from_slice(&sectors.to_be_bytes());
        b[AREA.start as usize..AREA.end as usize].fill(b' ');
        b
    }

    fn implant(b: &mut [u8], i: &Implanted) {
        b[AREA.start as usize..AREA.end as usize].copy_from_slice(&i.to_area());
    }

    fn verdict(b: &[u8]) -> Option<Verdict> {
        check(&b.to_vec().into(), &|_| true).expect("check")
    }

    #[test]
    fn what_is_implanted_is_found_and_passes() {
        let mut b = image(400);
        assert_eq!(verdict(&b), None);
        let i = compute(&b.clone().into(), true, &|_| true).expect("compute");
        implant(&mut b, &i);
        assert_eq!(find(&b.clone().into()).expect("find"), Some(i.clone()));
        assert_eq!(verdict(&b), Some(Verdict::Passed));
        // What stands in the area does not count.
        assert_eq!(compute(&b.clone().into(), true, &|_| true).expect("compute"), i);
        // An early byte is told by its fragment, a late one by the whole; the last 15 sectors are free.
        for (at, end) in [(0, 98_304), (300 * 2048, 622_592), (384 * 2048, 385 * 2048)] {
            b[at] ^= 1;
            assert_eq!(verdict(&b), Some(Verdict::FailedBy(end)), "{at}");
            b[at] ^= 1;
        }
        b[386 * 2048] ^= 1;
        assert_eq!(verdict(&b), Some(Verdict::Passed));
        assert_eq!(verdict(&b[..300 * 2048]), Some(Verdict::FailedBy(385 * 2048)));
        let stop = check(&b.into(), &|_| false).expect_err("stopped");
        assert_eq!(stop.kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn small_and_short_volumes_are_refused() {
        assert!(compute(&image(350).into(), false, &|_| true).is_err());
        assert!(compute(&Vec::new().into(), false, &|_| true).is_err());
        assert!(compute(&vec![0; 1 << 20].into(), false, &|_| true).is_err());
        let cut = image(400)[..300 * 2048].to_vec();
        let e = compute(&cut.into(), false, &|_| true).expect_err("cut");
        assert_eq!((e.kind(), e.place().offset), (ErrorKind::Corrupt, Some(300 * 2048)));
    }

    #[test]
    fn older_texts_are_read() {
        let md5 = "0123456789abcdef0123456789ABCDEF";
        let read = |s: String| Implanted::parse(s.as_bytes());
        let old = read(format!("ISO MD5SUM = {md5};SKIPSECTORS = 150;THIS IS")).expect("old");
        assert_eq!((old.skip_sectors, old.fragment_count, &old.md5[..]), (150, 0, md5));
        assert_eq!(read(format!("ISO MD5SUM = {};", &md5[1..])), None);
        assert_eq!(read("MKISOFS".into()), None);
        assert_eq!(read(format!("ISO MD5SUM = é{md5}")), None);
    }

    /// An image and what to implant in it, made once for all cases.
    static WHOLE: LazyLock<(Vec<u8>, Implanted)> = LazyLock::new(|| {
        let b = image(380);
        let whole = compute(&b.clone().into(), false, &|_| true).expect("compute");
        (b, whole)
    });

    proptest! {
        #[test]
        fn chunks_of_any_size_give_the_same(cuts in prop::collection::vec(1usize..70_000, 1..40)) {
            let (b, whole) = &*WHOLE;
            let mut h = Hasher::new(b.len() as u64).expect("hasher");
            let mut at = 0;
            for n in cuts.iter().cycle() {
                let end = (at + n).min(b.len());
                h.update(&b[at..end]);
                at = end;
                if at == b.len() {
                    break;
                }
            }
            prop_assert_eq!(&h.finish(false).expect("finish"), whole);
        }

        #[test]
        fn any_text_is_read_or_not(text in ".{0,600}", count in any::<u64>(), skip in any::<u64>()) {
            let _ = Implanted::parse(text.as_bytes());
            let mut b = image(20);
            let i = Implanted {
                md5: "0".repeat(32),
                skip_sectors: skip,
                supported: false,
                fragment_sums: "0".repeat(60),
                fragment_count: count,
            };
            implant(&mut b, &i);
            prop_assert!(matches!(verdict(&b), Some(Verdict::FailedBy(_))));
        }
    }
}
