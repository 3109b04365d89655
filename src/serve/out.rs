//! An answer on its way out, a turn at a time, by a socket that does not block. Extents of files stay in the
//! kernel.

use super::respond::Answer;
use crate::content::{Content, Segment};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;

/// A body up to that long goes in one packet train with its head, by one call: a copy of it is cheaper than
/// the pipe that sendfile goes through.
const TOGETHER: u64 = 32 << 10;
/// Bytes per turn, so that others get theirs; what nginx sends.
const TURN: u64 = 2 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What is left of an answer.
pub struct Outgoing {
    /// The head, and a short body with it.
    front: Vec<u8>,
    head: usize,
    at: usize,
    /// The rest, in order.
    rest: Content,
    segment: usize,
    within: u64,
    body: u64,
}

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// All is out.
    Done,
    /// The socket takes no more for now.
    Full,
    /// There is more, but others wait.
    Turn,
    /// The client is gone, or the file is shorter than it was.
    Gone,
}

impl Outgoing {
    /// `None` where a short body can't be read.
    pub fn of(answer: Answer) -> Option<Self> {
        let Answer { head: mut front, body: mut rest, .. } = answer;
        let head = front.len();
        if rest.len() <= TOGETHER && !blocks(&rest) {
            front.resize(head + rest.len() as usize, 0);
            rest.read_at(&mut front[head..], 0).ok()?;
            rest = Content::empty();
        }
        Some(Outgoing { front, head, at: 0, rest, segment: 0, within: 0, body: 0 })
    }

    /// True where sending it could hold a thread up: bytes that are read through a source of no file, by a
    /// network or by a decoder.
    pub fn blocks(&self) -> bool {
        blocks(&self.rest)
    }

    /// Bytes of body that went out.
    pub fn sent(&self) -> u64 {
        self.body + self.at.saturating_sub(self.head) as u64
    }

    /// The parts, for a thread that may block: what is in memory, then the rest.
    pub fn parts(&self) -> (&[u8], &Content) {
        (&self.front, &self.rest)
    }

    /// Counts what such a thread has sent.
    pub fn count(&mut self, bytes: u64) {
        self.at = self.head;
        self.body = bytes;
    }

    /// Sends a turn's worth.
    pub fn pump(&mut self, to: &TcpStream) -> Step {
        while self.at < self.front.len() {
            let more = if self.rest.is_empty() { SendFlags::empty() } else { SendFlags::MORE };
            match send(to, &self.front[self.at..], SendFlags::NOSIGNAL | more) {
                Ok(n) => self.at += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Step::Full,
                Err(_) => return Step::Gone,
            }
        }
        let mut turn = TURN;
        while let Some(segment) = self.rest.segments().nth(self.segment) {
            let left = segment.len() - self.within;
            if left == 0 {
                (self.segment, self.within) = (self.segment + 1, 0);
                continue;
            }
            if turn == 0 {
                return Step::Turn;
            }
            let want = left.min(turn);
            let last = self.body + left == self.rest.len();
            match piece(to, segment, self.within, want, last) {
                Ok(0) => return Step::Gone,
                Ok(n) => {
                    let n = n as u64;
                    (self.within, self.body, turn) = (self.within + n, self.body + n, turn - n);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Step::Full,
                Err(_) => return Step::Gone,
            }
        }
        Step::Done
    }
}

fn blocks(c: &Content) -> bool {
    c.segments().any(|s| matches!(s, Segment::Extent { src, .. } if src.file().is_none()))
}

/// Sends up to `want` bytes of `segment` from byte `at` on. 0: there are none.
fn piece(
    to: &TcpStream,
    segment: &Segment,
    at: u64,
    want: u64,
    last: bool,
) -> rustix::io::Result<usize> {
    let more = if last { SendFlags::empty() } else { SendFlags::MORE };
    let flags = SendFlags::NOSIGNAL | more;
    match segment {
        Segment::Bytes(b) => send(to, &b[at as usize..(at + want) as usize], flags),
        Segment::Zero(_) => {
            let n = (ZEROS.len() as u64).min(want) as usize;
            send(to, &ZEROS[..n], flags)
        }
        Segment::Extent { src, off, .. } => {
            let Some(file) = src.file() else { return Ok(0) };
            let mut from = off + at;
            match sendfile(to, file, Some(&mut from), want as usize) {
                // The file system can't: through memory.
                Err(Errno::INVAL | Errno::NOSYS) => through_memory(to, file, off + at, want, flags),
                other => other,
            }
        }
    }
}

fn through_memory(
    to: &TcpStream,
    file: &File,
    at: u64,
    want: u64,
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut buf = vec![0; want.min(64 << 10) as usize];
    let n = file.read_at(&mut buf, at).map_err(|_| Errno::IO)?;
    if n == 0 { Ok(0) } else { send(to, &buf[..n], flags) }
}
