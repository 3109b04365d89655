//! The compressions that the kernel unpacks an initrd with, told by their first bytes
//! (lib/decompress.c), and written so that it does: xz with CRC32, for it knows no CRC64; LZ4 in its
//! legacy frame, the only one it reads; gzip without a time.
//!
//! A decoder reads one member and not a byte more, so that the next one is found. LZO is told and not
//! read: the crates that do are GPL.

use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use liblzma::stream::{Check, LzmaOptions, MtStreamBuilder, Stream};
use serde::Serialize;
use std::io::{self, BufRead, Read, Write};
use std::ops::RangeInclusive;

/// What a member is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Nothing: a plain cpio archive.
    None,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The format of LZMA Utils, `lzma -z`.
    Lzma,
    /// xz.
    Xz,
    /// lzop.
    Lzo,
    /// The legacy frame, `lz4 -l`: no end mark.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// LZ4's legacy frame: magic, then blocks, each behind its length; one unpacks to 8 MiB at most.
const LZ4_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
const LZ4_BLOCK: usize = 8 << 20;
/// The kernel takes windows of 128 MiB; half of it is more than any level below --ultra makes.
const ZSTD_WINDOW_LOG: u32 = 26;
/// `xz -9` takes 65 MiB to unpack.
const LZMA_MEMORY: u64 = 68 << 20;

impl Codec {
    /// By the first two bytes, as the kernel tells them apart.
    pub fn of(head: &[u8]) -> Option<Codec> {
        Some(match head.get(..2)? {
            [0x1f, 0x8b] => Codec::Gzip,
            b"BZ" => Codec::Bzip2,
            [0x5d, 0x00] => Codec::Lzma,
            [0xfd, b'7'] => Codec::Xz,
            [0x89, b'L'] => Codec::Lzo,
            [0x02, 0x21] => Codec::Lz4,
            [0x28, 0xb5] => Codec::Zstd,
            b"07" => Codec::None,
            _ => return None,
        })
    }

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Bzip2 => "bzip2",
            Codec::Lzma => "lzma",
            Codec::Xz => "xz",
            Codec::Lzo => "lzo",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// How long a byte takes to unpack, with gzip's as the measure: what a bomb is weighed by.
    pub fn weight(self) -> u64 {
        match self {
            Codec::Bzip2 => 8,
            Codec::Xz | Codec::Lzma => 2,
            _ => 1,
        }
    }

    /// The levels that can be asked for, and the one that is taken where none is; none where there is
    /// no choice.
    pub fn levels(self) -> Option<(RangeInclusive<u32>, u32)> {
        match self {
            Codec::None | Codec::Lzo | Codec::Lz4 => None,
            Codec::Gzip | Codec::Bzip2 => Some((1..=9, if self == Codec::Gzip { 6 } else { 9 })),
            Codec::Lzma | Codec::Xz => Some((0..=9, 6)),
            Codec::Zstd => Some((1..=19, 10)),
        }
    }
}

/// A cursor over a Content that can look ahead; what a member leaves is the next one's.
pub struct Input {
    content: Content,
    /// Where `buf` starts.
    base: u64,
    buf: Vec<u8>,
    used: usize,
}

/// Read at a time.
const CHUNK: u64 = 256 << 10;

impl Input {
    /// From the content's start.
    pub fn new(content: &Content) -> Self {
        Input { content: content.clone(), base: 0, buf: Vec::new(), used: 0 }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.base + self.used as u64
    }

    /// The next bytes without taking them, up to `N`; fewer at the end.
    ///
    /// # Errors
    /// `Io` where the source fails.
    pub fn peek<const N: usize>(&self) -> Result<([u8; N], usize)> {
        let at = self.position();
        let n = (self.content.len() - at).min(N as u64) as usize;
        let mut head = [0; N];
        match self.buf.get(self.used..self.used + n) {
            Some(b) => head[..n].copy_from_slice(b),
            None => self.content.read_at(&mut head[..n], at)?,
        }
        Ok((head, n))
    }

    /// Goes on by `n` bytes, not past the end.
    pub fn skip(&mut self, n: u64) {
        let to = self.position().saturating_add(n).min(self.content.len());
        if to <= self.base + self.buf.len() as u64 {
            self.used = (to - self.base) as usize;
        } else {
            (self.base, self.used) = (to, 0);
            self.buf.clear();
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buf.len() {
            self.base += self.used as u64;
            self.used = 0;
            let n = (self.content.len() - self.base).min(CHUNK) as usize;
            self.buf.resize(n, 0);
            if let Err(e) = self.content.read_at(&mut self.buf, self.base) {
                self.buf.clear();
                return Err(io::Error::other(e));
            }
        }
        Ok(&self.buf[self.used..])
    }

    fn consume(&mut self, n: usize) {
        self.used += n;
    }
}

/// One member of `codec` at the input's position, unpacked.
///
/// # Errors
/// `Unsupported` for LZO; reading from it fails where the bytes are not what they should be or want
/// more memory than is given.
pub fn decoder<'a>(codec: Codec, input: &'a mut Input) -> Result<Box<dyn Read + Send + 'a>> {
    let start = input.position();
    let bad = move |e| {
        let e2 = Error::new(ErrorKind::Corrupt, format!("{} can't be unpacked", codec.name()));
        e2.because(e).at(start)
    };
    let lzma = |s: std::result::Result<Stream, liblzma::stream::Error>| {
        s.map_err(|e| bad(io::Error::from(e)))
    };
    Ok(match codec {
        Codec::None => Box::new(input),
        Codec::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Codec::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
        Codec::Lzma => {
            let s = lzma(Stream::new_lzma_decoder(LZMA_MEMORY))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, s))
        }
        Codec::Xz => {
            let s = lzma(Stream::new_stream_decoder(LZMA_MEMORY, 0))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, s))
        }
        Codec::Lz4 => Box::new(Lz4Decoder::new(input)),
        Codec::Zstd => {
            let mut d = zstd::stream::read::Decoder::with_buffer(input).map_err(bad)?;
            d.window_log_max(ZSTD_WINDOW_LOG).map_err(bad)?;
            Box::new(d.single_frame())
        }
        Codec::Lzo => {
            return Err(Error::unsupported("LZO is not read")
                .at(start)
                .hint("unpack it with lzop and compress it again: lzop -dc | zstd"));
        }
    })
}

/// LZ4's legacy frame. It ends with the input, or as in kernels since 5.13 at a block of no length;
/// what is there then is not taken.
struct Lz4Decoder<'a> {
    input: &'a mut Input,
    packed: Vec<u8>,
    block: Vec<u8>,
    used: usize,
}

impl<'a> Lz4Decoder<'a> {
    fn new(input: &'a mut Input) -> Self {
        Lz4Decoder { input, packed: Vec::new(), block: Vec::new(), used: 0 }
    }

    /// Unpacks the next block; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        loop {
            let (head, n) = self.input.peek::<4>().map_err(io::Error::other)?;
            if n < 4 || head == [0; 4] {
                return Ok(false);
            }
            self.input.skip(4);
            if head == LZ4_MAGIC {
                continue;
            }
            let len = u32::from_le_bytes(head) as usize;
            if len > lz4_flex::block::get_maximum_output_size(LZ4_BLOCK) {
                return Err(bad("an LZ4 block is longer than any can be"));
            }
            self.packed.resize(len, 0);
            self.input.read_exact(&mut self.packed)?;
            self.block.resize(LZ4_BLOCK, 0);
            let n = lz4_flex::block::decompress_into(&self.packed, &mut self.block)
                .map_err(|e| bad(&e.to_string()))?;
            self.block.truncate(n);
            self.used = 0;
            if n > 0 {
                return Ok(true);
            }
        }
    }
}

impl Read for Lz4Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len() && !self.next()? {
            (self.used, self.block) = (0, Vec::new());
            return Ok(0);
        }
        let n = (&self.block[self.used..]).read(out)?;
        self.used += n;
        Ok(n)
    }
}

/// Compresses what is written to it into one member.
pub enum Encoder<W: Write> {
    /// As it is.
    None(W),
    /// gzip.
    Gzip(flate2::write::GzEncoder<W>),
    /// bzip2.
    Bzip2(bzip2::write::BzEncoder<W>),
    /// xz or lzma.
    Lzma(liblzma::write::XzEncoder<W>),
    /// LZ4's legacy frame.
    Lz4(Lz4Encoder<W>),
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// One member of `codec` into `out`. zstd and xz use so many threads; how many makes no difference
    /// to the bytes.
    ///
    /// # Errors
    /// `Usage` for a level that there is not, `Unsupported` for LZO, `Io`.
    pub fn new(codec: Codec, level: Option<u32>, threads: u32, out: W) -> Result<Self> {
        let level = level_of(codec, level)?;
        let fail = |e: io::Error| Error::io(format!("can't compress with {}", codec.name()), e);
        let stream = |s: std::result::Result<Stream, liblzma::stream::Error>| {
            s.map_err(|e| fail(io::Error::from(e)))
        };
        Ok(match codec {
            Codec::None => Encoder::None(out),
            Codec::Gzip => {
                Encoder::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::new(level)))
            }
            Codec::Bzip2 => {
                Encoder::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::new(level)))
            }
            Codec::Xz => {
                let threads = threads.max(1);
                let s = MtStreamBuilder::new()
                    .threads(threads)
                    .preset(level)
                    .check(Check::Crc32)
                    .encoder();
                Encoder::Lzma(liblzma::write::XzEncoder::new_stream(out, stream(s)?))
            }
            Codec::Lzma => {
                let o = LzmaOptions::new_preset(level).map_err(|e| fail(e.into()))?;
                let s = stream(Stream::new_lzma_encoder(&o))?;
                Encoder::Lzma(liblzma::write::XzEncoder::new_stream(out, s))
            }
            Codec::Lz4 => Encoder::Lz4(Lz4Encoder { out, block: Vec::new(), begun: false }),
            Codec::Zstd => {
                let mut e = zstd::stream::write::Encoder::new(out, level as i32).map_err(fail)?;
                e.include_checksum(true).map_err(fail)?;
                // With a worker, even one, the bytes are the same whatever their number.
                e.multithread(threads.max(1)).map_err(fail)?;
                Encoder::Zstd(e)
            }
            Codec::Lzo => return Err(Error::unsupported("LZO is not written")),
        })
    }

    /// Ends the member.
    ///
    /// # Errors
    /// As writing.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::None(w) => Ok(w),
            Encoder::Gzip(e) => e.finish(),
            Encoder::Bzip2(e) => e.finish(),
            Encoder::Lzma(e) => e.finish(),
            Encoder::Lz4(e) => e.finish(),
            Encoder::Zstd(e) => e.finish(),
        }
    }
}

/// The level that is taken for the one that is asked for.
///
/// # Errors
/// `Usage` for one that there is not.
pub fn level_of(codec: Codec, level: Option<u32>) -> Result<u32> {
    match (codec.levels(), level) {
        (None, None) => Ok(0),
        (None, Some(_)) => Err(Error::usage(format!("{} has no levels", codec.name()))
            .hint("leave the level out, or choose another codec")),
        (Some((_, usual)), None) => Ok(usual),
        (Some((range, _)), Some(l)) if range.contains(&l) => Ok(l),
        (Some((range, _)), Some(l)) => Err(Error::usage(format!(
            "{} has no level {l}",
            codec.name()
        ))
        .hint(format!("its levels are {} to {}", range.start(), range.end()))),
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(w) => w.write(b),
            Encoder::Gzip(e) => e.write(b),
            Encoder::Bzip2(e) => e.write(b),
            Encoder::Lzma(e) => e.write(b),
            Encoder::Lz4(e) => e.write(b),
            Encoder::Zstd(e) => e.write(b),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes LZ4's legacy frame.
pub struct Lz4Encoder<W: Write> {
    out: W,
    block: Vec<u8>,
    begun: bool,
}

impl<W: Write> Lz4Encoder<W> {
    fn put(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.out.write_all(&LZ4_MAGIC)?;
        }
        if !self.block.is_empty() {
            let packed = lz4_flex::block::compress(&self.block);
            self.out.write_all(&(packed.len() as u32).to_le_bytes())?;
            self.out.write_all(&packed)?;
            self.block.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.put()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Lz4Encoder<W> {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        let n = b.len().min(LZ4_BLOCK - self.block.len());
        self.block.extend_from_slice(&b[..n]);
        if self.block.len() == LZ4_BLOCK {
            self.put()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 7] =
        [Codec::None, Codec::Gzip, Codec::Bzip2, Codec::Lzma, Codec::Xz, Codec::Lz4, Codec::Zstd];

    fn pack(codec: Codec, bytes: &[u8], threads: u32) -> Vec<u8> {
        let mut e = Encoder::new(codec, None, threads, Vec::new()).expect("encoder");
        e.write_all(bytes).expect("write");
        e.finish().expect("finish")
    }

    #[test]
    fn each_codec_gives_back_what_it_took_and_not_a_byte_more_is_read() {
        // LZ4 has blocks of 8 MiB; the others are slow enough with less.
        let long: Vec<u8> = (0..2_500_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for codec in ALL.into_iter().filter(|c| *c != Codec::None) {
            let text = if codec == Codec::Lz4 { &long[..] } else { &long[..400_000] };
            let mut all = pack(codec, text, 2);
            assert_eq!(all, pack(codec, text, 1), "{codec:?}: threads make no difference");
            assert_eq!(Codec::of(&all), Some(codec));
            let end = all.len() as u64;
            all.extend([0; 9]);
            let mut input = Input::new(&all.into());
            let mut got = Vec::new();
            decoder(codec, &mut input).expect("decoder").read_to_end(&mut got).expect("unpack");
            assert!(got == text, "{codec:?}");
            assert_eq!(input.position(), end, "{codec:?}");
        }
    }

    #[test]
    fn what_a_codec_has_not_is_refused() {
        assert!(Encoder::new(Codec::Zstd, Some(20), 1, Vec::new()).is_err());
        assert!(Encoder::new(Codec::Lz4, Some(1), 1, Vec::new()).is_err());
        assert!(Encoder::new(Codec::Lzo, None, 1, Vec::new()).is_err());
        assert_eq!(Codec::of(b"x"), None);
        let e = decoder(Codec::Lzo, &mut Input::new(&"".into())).err().expect("LZO");
        assert_eq!(e.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn xz_is_written_with_the_check_that_the_kernel_knows() {
        // Stream flags, xz file format 2.1.1.2: 1 is CRC32.
        assert_eq!(pack(Codec::Xz, b"text", 1)[6..8], [0, 1]);
    }
}
