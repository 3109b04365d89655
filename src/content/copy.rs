//! Content to a file or a writer: by extent in the kernel (`copy_file_range`, which reflinks where
//! the filesystem can), else through one reused buffer; hashed on the way where a digest is wanted.

use super::{Content, Segment};
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// SHA-256 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || Error::usage(format!("\"{s}\" is not a SHA-256: 64 hex digits are wanted"));
        if s.len() != 64 || !s.is_ascii() {
            return Err(bad());
        }
        let mut d = [0; 32];
        for (i, b) in d.iter_mut().enumerate() {
            *b = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Digest(d))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Told how many bytes went by; says whether to go on. `&|_| true` where nobody watches.
pub type Watch<'a> = &'a (dyn Fn(u64) -> bool + Sync);

/// Bytes through user space at a time.
const CHUNK: u64 = 1 << 20;
/// Bytes per `copy_file_range`, so that Ctrl-C and the progress bar get a turn.
const KERNEL_CHUNK: u64 = 64 << 20;
/// What filesystems with reflinks share is of such blocks.
const BLOCK: u64 = 4096;
/// From so many bytes on, several threads write a file.
const SPREAD: u64 = 256 << 20;

fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

/// Writes `content` to `out` at its current position through one buffer. With `hash`, its SHA-256.
///
/// # Errors
/// `Io` of either side, `Interrupted` where `watch` says stop.
pub fn to_writer(
    content: &Content,
    out: &mut dyn Write,
    hash: bool,
    watch: Watch,
) -> Result<Option<Digest>> {
    content.in_order(false);
    write_all(content, out, hash, watch)
}

fn write_all(
    content: &Content,
    out: &mut dyn Write,
    hash: bool,
    watch: Watch,
) -> Result<Option<Digest>> {
    let mut hasher = hash.then(Sha256::new);
    let mut buf = vec![0u8; CHUNK.min(content.len()) as usize];
    let mut off = 0;
    while off < content.len() {
        let n = CHUNK.min(content.len() - off) as usize;
        content.read_at(&mut buf[..n], off)?;
        if let Some(h) = &mut hasher {
            h.update(&buf[..n]);
        }
        out.write_all(&buf[..n]).map_err(|e| Error::io("can't write", e))?;
        off += n as u64;
        if !watch(n as u64) {
            return Err(stopped());
        }
    }
    Ok(hasher.map(|h| Digest(h.finalize().into())))
}

/// [`to_writer`] for bytes that will be read again: a source that is far away keeps them.
///
/// # Errors
/// As [`to_writer`].
pub fn read_over(
    content: &Content,
    out: &mut dyn Write,
    hash: bool,
    watch: Watch,
) -> Result<Option<Digest>> {
    content.in_order(true);
    write_all(content, out, hash, watch)
}

/// SHA-256 of `content`, written nowhere.
///
/// # Errors
/// As [`to_writer`].
pub fn digest(content: &Content, watch: Watch) -> Result<Digest> {
    let d = read_over(content, &mut io::sink(), true, watch)?;
    d.ok_or_else(|| Error::new(ErrorKind::Io, "no digest"))
}

/// Writes `content` to a fresh `out` with no bytes in user space where the kernel can: extents by
/// `copy_file_range`, zeros as holes. What is big is written by several threads: what a copy waits for is
/// mostly the allocation of pages, which each processor does for itself.
///
/// # Errors
/// As [`to_writer`]. A full disk is told as such.
pub fn to_file(content: &Content, out: &File, watch: Watch) -> Result<()> {
    let mut at = 0u64;
    let mut pieces = Vec::new();
    for seg in content.segments() {
        let mut from = 0;
        while from < seg.len() {
            // Cut where blocks end, so that they can be shared.
            let to = seg.len().min(from + KERNEL_CHUNK - (at + from) % KERNEL_CHUNK);
            pieces.push((seg, from..to, at + from));
            from = to;
        }
        at += seg.len();
    }
    let put = |(seg, range, at): &(&Segment, Range<u64>, u64)| {
        piece(&seg.slice(range.clone()), out, *at, watch)
    };
    match content.len() < SPREAD {
        true => pieces.iter().try_for_each(put)?,
        false => spread(&pieces, &put)?,
    }
    if matches!(content.segments().last(), Some(Segment::Zero(_))) {
        out.set_len(at).map_err(|e| Error::io("can't write", e))?;
    }
    Ok(())
}

/// Does `put` for each of `pieces`, in order, by as many threads as there are processors, and up to four. After a
/// failure none is begun.
fn spread<P: Sync>(pieces: &[P], put: &(impl Fn(&P) -> Result<()> + Sync)) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(p) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            put(p).inspect_err(|_| next.store(pieces.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    thread::scope(|s| {
        let others: Vec<_> = (1..threads).map(|_| s.spawn(work)).collect();
        let mut done = work();
        for other in others {
            let broken = || Err(Error::new(ErrorKind::Io, "a thread of the copy broke down"));
            done = done.and(other.join().unwrap_or_else(|_| broken()));
        }
        done
    })
}

fn piece(seg: &Segment, out: &File, at: u64, watch: Watch) -> Result<()> {
    match seg {
        Segment::Extent { src, off, len } => match src.file() {
            Some(file) => extent(seg, file, *off, *len, out, at, watch),
            None => through_memory(seg, 0, out, at, watch),
        },
        Segment::Bytes(_) => through_memory(seg, 0, out, at, watch),
        Segment::Zero(_) => match watch(seg.len()) {
            true => Ok(()),
            false => Err(stopped()),
        },
    }
}

fn extent(
    seg: &Segment,
    src: &File,
    off: u64,
    len: u64,
    out: &File,
    at: u64,
    watch: Watch,
) -> Result<()> {
    let mut done = 0u64;
    while done < len {
        let (mut from, mut to) = (off + done, at + done);
        // Whole blocks can be shared, and an ISO's sectors are smaller: up to the next block alone.
        let into = from % BLOCK;
        let most = if into != 0 && into == to % BLOCK { BLOCK - into } else { KERNEL_CHUNK };
        let want = (len - done).min(most) as usize;
        match rustix::fs::copy_file_range(src, Some(&mut from), out, Some(&mut to), want) {
            Ok(0) => {
                return Err(Error::corrupt(
                    "the image ended early while it was copied",
                    off + done,
                ));
            }
            Ok(n) => {
                done += n as u64;
                if !watch(n as u64) {
                    return Err(stopped());
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            // Not on these filesystems, or not on this kernel: read and write instead. A real fault
            // (a full disk, a bad sector) comes again there and is told with its offset.
            Err(_) => return through_memory(seg, done, out, at, watch),
        }
    }
    Ok(())
}

fn through_memory(seg: &Segment, from: u64, out: &File, at: u64, watch: Watch) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut done = from;
    seg.slice(from..seg.len()).in_order(false);
    let mut buf = vec![0u8; CHUNK.min(seg.len() - from) as usize];
    while done < seg.len() {
        let n = CHUNK.min(seg.len() - done) as usize;
        seg.read_at(&mut buf[..n], done)?;
        out.write_all_at(&buf[..n], at + done).map_err(|e| Error::io("can't write", e))?;
        done += n as u64;
        if !watch(n as u64) {
            return Err(stopped());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rope_of_all_kinds_arrives_whole_both_ways() {
        let dir = tempfile::tempdir().expect("tempdir");
        let src = dir.path().join("src");
        std::fs::write(&src, (0..=255u8).cycle().take(300_000).collect::<Vec<_>>()).expect("write");
        let whole = Content::open(&src).expect("open");
        let rope = Content::concat([
            "head".into(),
            whole.slice(1000..299_999).expect("in"),
            Content::zeros(5000),
            "mid".into(),
            Content::zeros(70),
        ]);
        let mut v = Vec::new();
        let d = to_writer(&rope, &mut v, true, &|_| true).expect("writer").expect("digest");
        let out = dir.path().join("out");
        to_file(&rope, &File::create(&out).expect("create"), &|_| true).expect("file");
        assert_eq!(std::fs::read(&out).expect("read"), v);
        assert_eq!(v.len() as u64, rope.len());
        assert_eq!(digest(&rope, &|_| true).expect("digest"), d);
        assert_eq!(d.to_string().parse::<Digest>().expect("parse"), d);
    }

    #[test]
    fn what_is_big_arrives_whole_and_stops_at_a_failure() {
        let dir = tempfile::tempdir().expect("tempdir");
        let src = dir.path().join("src");
        let file = File::create(&src).expect("create");
        file.set_len(SPREAD + KERNEL_CHUNK).expect("sparse");
        std::os::unix::fs::FileExt::write_all_at(&file, b"here", SPREAD - 2).expect("write");
        let rope = Content::concat([
            "head".into(),
            Content::open(&src).expect("open"),
            Content::zeros(KERNEL_CHUNK + 1),
        ]);
        let out = dir.path().join("out");
        let seen = std::sync::atomic::AtomicU64::new(0);
        let watch = |n| {
            seen.fetch_add(n, Ordering::Relaxed);
            true
        };
        to_file(&rope, &File::create(&out).expect("create"), &watch).expect("file");
        assert_eq!(seen.into_inner(), rope.len());
        let got = Content::open(&out).expect("open");
        assert_eq!(got.len(), rope.len());
        assert_eq!(digest(&got, &|_| true).expect("digest"), digest(&rope, &|_| true).expect("d"));
        let e = to_file(&rope, &File::create(&out).expect("create"), &|_| false).expect_err("no");
        assert_eq!(e.kind(), ErrorKind::Interrupted);
        // The source lost its end after it was opened.
        file.set_len(SPREAD).expect("cut");
        let e = to_file(&rope, &File::create(&out).expect("create"), &|_| true).expect_err("short");
        assert_eq!(e.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn watch_can_stop_it() {
        let c = Content::zeros(10 << 20);
        let e = digest(&c, &|_| false).expect_err("stopped");
        assert_eq!(e.kind(), ErrorKind::Interrupted);
    }
}
