//! Reading: newc (070701) and crc (070702), one header and body after the other, from a stream.

use super::{HEADER, Header, TRAILER};
use crate::error::{Error, ErrorKind, Result};
use std::io::{self, BufRead, Read, Write};

/// The kernel takes names of PATH_MAX with the NUL; so do we.
const MAX_NAME: u32 = 4096;

fn cut(e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::Corrupt, "the cpio archive ends before its trailer")
        }
        _ => Error::new(ErrorKind::Corrupt, "the initrd can't be unpacked").because(e),
    }
}

/// The next header with its name, or none at the trailer.
///
/// # Errors
/// `Corrupt` where there is none, with the field that is wrong.
pub fn header(r: &mut dyn BufRead) -> Result<Option<Header>> {
    let mut head = [0u8; HEADER as usize];
    r.read_exact(&mut head).map_err(cut)?;
    let crc = match &head[..6] {
        b"070701" => false,
        b"070702" => true,
        b"070707" => {
            return Err(Error::unsupported("the cpio archive is of the old format (070707)")
                .hint("the kernel takes newc only: cpio -H newc"));
        }
        other => {
            let what = format!("no cpio header: \"{}\" instead of 070701", other.escape_ascii());
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
    };
    let mut f = [0u32; 13];
    for (value, text) in f.iter_mut().zip(head[6..].chunks_exact(8)) {
        let hex = text.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(text));
        let number = hex.and_then(|t| u32::from_str_radix(t.ok()?, 16).ok());
        *value = number.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "a cpio header field is no hex number")
        })?;
    }
    let [ino, mode, uid, gid, nlink, mtime, size, major, minor, rmajor, rminor, len, check] = f;
    if len == 0 || len > MAX_NAME {
        let what = format!("a cpio name of {len} bytes; 1 to {MAX_NAME} are allowed");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    let padded = (HEADER + u64::from(len)).next_multiple_of(4) - HEADER;
    let mut name = vec![0; padded as usize];
    r.read_exact(&mut name).map_err(cut)?;
    name.truncate(len as usize);
    if name.pop() != Some(0) {
        return Err(Error::new(ErrorKind::Corrupt, "a cpio name does not end with NUL"));
    }
    if name == TRAILER {
        return Ok(None);
    }
    Ok(Some(Header {
        name,
        ino,
        mode,
        uid,
        gid,
        nlink,
        mtime,
        size,
        device: (major, minor),
        node: (rmajor, rminor),
        check: crc.then_some(check),
    }))
}

/// An entry's body. What is not read is skipped by [`Body::end`].
pub struct Body<'a> {
    r: &'a mut dyn BufRead,
    left: u64,
    pad: u64,
    /// The checksum that the bytes must have, and theirs so far.
    check: Option<(u32, u32)>,
}

impl<'a> Body<'a> {
    /// The body behind `header` in `r`.
    pub fn new(header: &Header, r: &'a mut dyn BufRead) -> Self {
        let left = u64::from(header.size);
        // As in the kernel, files only: GNU cpio sums up nothing else.
        let check = header.check.filter(|_| header.is_file() && left > 0).map(|want| (want, 0));
        Body { r, left, pad: left.next_multiple_of(4) - left, check }
    }

    /// Takes the body's next bytes, as many as are at hand; none at its end.
    ///
    /// # Errors
    /// `Corrupt` where the archive ends in it.
    pub fn piece(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        let b = self.r.fill_buf().map_err(cut)?;
        if b.is_empty() {
            return Err(cut(io::ErrorKind::UnexpectedEof.into()));
        }
        let n = self.left.min(b.len() as u64) as usize;
        if let Some((_, sum)) = &mut self.check {
            *sum = b[..n].iter().fold(*sum, |s, &b| s.wrapping_add(u32::from(b)));
        }
        take(&b[..n])?;
        self.r.consume(n);
        self.left -= n as u64;
        Ok(true)
    }

    /// Copies the body to `out`.
    ///
    /// # Errors
    /// As [`Body::piece`], `Io` of `out`.
    pub fn copy(&mut self, out: &mut dyn Write) -> Result<()> {
        let write = &mut |b: &[u8]| out.write_all(b).map_err(|e| Error::io("can't write", e));
        while self.piece(write)? {}
        Ok(())
    }

    /// Skips what was not read, and the padding.
    ///
    /// # Errors
    /// `Corrupt` where the checksum is wrong or the archive ends.
    pub fn end(mut self) -> Result<()> {
        while self.piece(&mut |_| Ok(()))? {}
        let mut pad = [0; 3];
        self.r.read_exact(&mut pad[..self.pad as usize]).map_err(cut)?;
        match self.check {
            Some((want, got)) if want != got => Err(Error::new(
                ErrorKind::Corrupt,
                format!("the file's checksum is {got:08x}, not {want:08x} as its header says"),
            )),
            _ => Ok(()),
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        let room = out.len();
        if self.left == 0 || room == 0 {
            return Ok(0);
        }
        let before = self.left;
        self.left = before.min(room as u64);
        let cap = self.left;
        let done = self.piece(&mut |b| {
            n = b.len();
            out[..n].copy_from_slice(b);
            Ok(())
        });
        self.left += before - cap;
        done.map_err(io::Error::other)?;
        Ok(n)
    }
}
