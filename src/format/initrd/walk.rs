//! The segments of an initrd in the kernel's order: any sequence of zeros, plain cpio archives that
//! start at multiples of 4, and compressed members, each of which unpacks to archives and zeros
//! (init/initramfs.c, Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Nothing is held but a decoder's window. What a hostile initrd may cost is bounded beforehand.

use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::format::compress::{self, Codec, Input};
use crate::format::cpio::{self, Body, HEADER, Header};
use serde::Serialize;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc;

/// Entries looked at; a Debian installer's initrd has some 3,000.
const MAX_ENTRIES: u32 = 100_000;
/// Unpacked bytes looked at, names and padding too, a slow codec's more: a bomb of zeros is no initrd.
const MAX_UNPACKED: u64 = 2 << 30;
/// Bytes of names and link targets held: 100,000 of the longest would be 400 MiB.
const MAX_TEXT: u64 = 16 << 20;
/// What a compressed member counts at least, for setting up its decoder takes as long.
const MEMBER: u64 = 64 << 10;
/// The longest link target that the kernel takes.
pub(super) const MAX_TARGET: u32 = 4096;

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Zeros.
    Padding,
    /// A plain cpio archive.
    Cpio,
    /// A compressed member.
    Compressed,
}

/// Entries by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Regular files, each name of a hard link too.
    pub files: u32,
    /// Folders.
    pub folders: u32,
    /// Symbolic links.
    pub symlinks: u32,
    /// Devices, pipes and sockets.
    pub special: u32,
}

/// A stretch of an initrd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// What it is.
    pub what: What,
    /// Where it starts, in bytes from the initrd's start.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
    /// What it is compressed with.
    pub codec: Codec,
    /// Bytes when unpacked.
    pub unpacked: u64,
    /// cpio archives in it.
    pub archives: u32,
    /// Their entries, trailers left out.
    pub entries: Counts,
}

/// Where an entry was met, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Segment.
    pub segment: usize,
    /// Archive, over all segments: hard links hold within one.
    pub archive: usize,
    /// Entry, over all archives.
    pub entry: usize,
}

/// Sees each entry; what it leaves of the body is skipped.
pub type Visit<'a> = &'a mut dyn FnMut(At, &Header, &mut Body) -> Result<()>;

/// Meets every entry in order. With `ahead`, members are unpacked by a thread of their own.
///
/// # Errors
/// `Corrupt` for what the kernel would not take, `Unsupported` beyond the bounds or for LZO; what
/// `visit` says.
pub fn walk(initrd: &Content, ahead: bool, visit: Visit) -> Result<Vec<Segment>> {
    walk_from(initrd, 0, ahead, visit)
}

/// [`walk`] from a segment's start on: entries, archives and segments count from there.
///
/// # Errors
/// As [`walk`].
pub(super) fn walk_from(
    initrd: &Content,
    start: u64,
    ahead: bool,
    visit: Visit,
) -> Result<Vec<Segment>> {
    let mut input = Input::new(initrd);
    initrd.in_order(true);
    input.skip(start);
    let mut walk = Walk {
        left: Left { bytes: MAX_UNPACKED, text: MAX_TEXT, entries: MAX_ENTRIES },
        ahead,
        weight: 1,
        unpacked: 0,
        segments: Vec::new(),
        archives: 0,
        entries: 0,
        visit,
    };
    loop {
        let (head, n) = input.peek::<4>()?;
        if n == 0 {
            return Ok(walk.segments);
        }
        walk.segment(&mut input, &head[..n])?;
    }
}

struct Walk<'v> {
    left: Left,
    ahead: bool,
    /// The codec's, see [`Codec::weight`].
    weight: u64,
    /// Bytes that came out of the segment so far.
    unpacked: u64,
    segments: Vec<Segment>,
    archives: usize,
    entries: usize,
    visit: Visit<'v>,
}

impl Walk<'_> {
    fn segment(&mut self, input: &mut Input, head: &[u8]) -> Result<()> {
        let offset = input.position();
        self.left.entry(0)?;
        (self.unpacked, self.weight) = (0, 1);
        let codec = match head {
            [0, ..] => Codec::None,
            _ => Codec::of(head).ok_or_else(|| {
                let what = format!("nothing that the kernel unpacks starts with {head:02x?}");
                Error::corrupt(what, offset)
            })?,
        };
        let what = match (head, codec) {
            ([0, ..], _) => What::Padding,
            (_, Codec::None) => What::Cpio,
            _ => What::Compressed,
        };
        let entries = Counts::default();
        self.segments.push(Segment {
            what,
            offset,
            len: 0,
            codec,
            unpacked: 0,
            archives: 0,
            entries,
        });
        match what {
            What::Padding => self.zeros(input)?,
            What::Cpio if !offset.is_multiple_of(4) => {
                return Err(Error::corrupt(
                    "a plain cpio archive does not start at a multiple of 4",
                    offset,
                ));
            }
            What::Cpio => {
                let done = self.archive(input);
                done.map_err(|e| e.at(offset + self.unpacked))?;
            }
            What::Compressed => {
                self.weight = codec.weight();
                self.charge(MEMBER)?;
                self.unpacked = 0;
                self.compressed(codec, input, self.ahead).map_err(|e| e.at(offset))?;
            }
        }
        let end = input.position();
        if let Some(s) = self.segments.last_mut() {
            (s.len, s.unpacked) = (end - offset, self.unpacked);
        }
        Ok(())
    }

    fn charge(&mut self, n: u64) -> Result<()> {
        self.unpacked += n;
        let left = self.left.bytes.checked_sub(n.saturating_mul(self.weight));
        self.left.bytes = left.ok_or_else(|| {
            let most = (MAX_UNPACKED / self.weight) >> 20;
            Error::unsupported(format!("the initrd unpacks to over {most} MiB"))
                .hint("no installer's is so big; it may be made to take time and memory")
        })?;
        Ok(())
    }

    fn zeros(&mut self, r: &mut dyn BufRead) -> Result<()> {
        loop {
            let buf = r.fill_buf().map_err(bad)?;
            let n = leading_zeros(buf);
            let all = n == buf.len() && n > 0;
            r.consume(n);
            self.charge(n as u64)?;
            if !all {
                return Ok(());
            }
        }
    }

    fn compressed(&mut self, codec: Codec, input: &mut Input, ahead: bool) -> Result<()> {
        if !ahead || codec == Codec::Lzo {
            let z = compress::decoder(codec, input)?;
            return self.member(&mut BufReader::with_capacity(PIECE, z));
        }
        std::thread::scope(|s| {
            let (full_in, full) = mpsc::sync_channel(IN_FLIGHT);
            let (free, free_out) = mpsc::channel();
            s.spawn(move || unpack_ahead(codec, input, &full_in, &free_out));
            self.member(&mut Ahead { full, free, now: Vec::new(), used: 0 })
        })
    }

    /// Archives and zeros up to the stream's end.
    fn member(&mut self, z: &mut dyn BufRead) -> Result<()> {
        loop {
            self.zeros(z)?;
            if z.fill_buf().map_err(bad)?.is_empty() {
                return Ok(());
            }
            if !self.unpacked.is_multiple_of(4) {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    "an archive in a compressed member does not start at a multiple of 4",
                ));
            }
            self.archive(z)?;
        }
    }

    /// One archive up to its trailer.
    fn archive(&mut self, r: &mut dyn BufRead) -> Result<()> {
        let archive = self.archives;
        self.archives += 1;
        self.left.entry(0)?;
        if let Some(s) = self.segments.last_mut() {
            s.archives += 1;
        }
        while let Some(h) = cpio::header(r)? {
            let head = (HEADER + h.name.len() as u64 + 1).next_multiple_of(4);
            self.charge(head + u64::from(h.size).next_multiple_of(4))?;
            let target = if h.is_symlink() { h.size.min(MAX_TARGET) } else { 0 };
            self.left.entry(h.name.len() as u64 + u64::from(target))?;
            let at = At { segment: self.segments.len() - 1, archive, entry: self.entries };
            self.entries += 1;
            if let Some(s) = self.segments.last_mut() {
                s.entries.count(&h);
            }
            let mut body = Body::new(&h, r);
            let seen = (self.visit)(at, &h, &mut body).and_then(|()| body.end());
            seen.map_err(|e| e.path(h.name.escape_ascii()))?;
        }
        self.charge((HEADER + cpio::TRAILER.len() as u64 + 1).next_multiple_of(4))
    }
}

impl Counts {
    fn count(&mut self, h: &Header) {
        if h.is_dir() {
            self.folders += 1;
        } else if h.is_symlink() {
            self.symlinks += 1;
        } else if h.special().is_some() {
            self.special += 1;
        } else {
            self.files += 1;
        }
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.files + self.folders + self.symlinks + self.special
    }
}

/// How much may still be looked at.
struct Left {
    bytes: u64,
    text: u64,
    entries: u32,
}

impl Left {
    /// An entry whose name and link target are so long.
    fn entry(&mut self, text: u64) -> Result<()> {
        let entries = self.entries.checked_sub(1);
        self.entries =
            entries.ok_or_else(|| Error::unsupported("the initrd has over 100,000 entries"))?;
        let left = self.text.checked_sub(text);
        self.text =
            left.ok_or_else(|| Error::unsupported("the initrd's names take over 16 MiB"))?;
        Ok(())
    }
}

/// Compared a block at a time, for a bomb has gigabytes of them.
fn leading_zeros(buf: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let blocks = buf.chunks(ZEROS.len()).take_while(|b| **b == ZEROS[..b.len()]);
    let whole = blocks.map(<[u8]>::len).sum::<usize>();
    whole + buf[whole..].iter().take_while(|&&b| b == 0).count()
}

fn bad(e: io::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the initrd can't be unpacked").because(e)
}

/// Unpacked at a time, and pieces on their way from the thread that unpacks.
const PIECE: usize = 128 << 10;
const IN_FLIGHT: usize = 8;

type Piece = io::Result<Vec<u8>>;

/// Unpacks a member into pieces until it ends or nobody wants more.
fn unpack_ahead(
    codec: Codec,
    input: &mut Input,
    full: &mpsc::SyncSender<Piece>,
    free: &mpsc::Receiver<Vec<u8>>,
) {
    let mut z = match compress::decoder(codec, input) {
        Ok(z) => z,
        Err(e) => {
            let _ = full.send(Err(io::Error::other(e)));
            return;
        }
    };
    loop {
        let mut piece = free.try_recv().unwrap_or_default();
        piece.clear();
        let read = z.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        // What came before the fault is told first, as without a thread.
        let last = piece.len() < PIECE;
        if !piece.is_empty() && full.send(Ok(piece)).is_err() {
            return;
        }
        if let Err(e) = read {
            let _ = full.send(Err(e));
            return;
        }
        if last {
            return;
        }
    }
}

/// The other end of [`unpack_ahead`].
struct Ahead {
    full: mpsc::Receiver<Piece>,
    free: mpsc::Sender<Vec<u8>>,
    now: Vec<u8>,
    used: usize,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.now.len() {
            let used = std::mem::take(&mut self.now);
            let _ = self.free.send(used);
            self.used = 0;
            if let Ok(piece) = self.full.recv() {
                self.now = piece?;
            }
        }
        Ok(&self.now[self.used..])
    }

    fn consume(&mut self, n: usize) {
        self.used += n;
    }
}
