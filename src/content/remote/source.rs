//! A remote image as a source of bytes.
//!
//! Over 400 lines: streams, small reads and what is kept share one state.

use super::body::{Body, Link, Trouble};
use super::cache::{Cache, CacheFolder};
use super::kept::{Kept, Spill};
use super::spans::{PIECE, Spans};
use super::whole::fetch_whole;
use super::{Opened, Patience, Pin, Ranges, Tally};
use crate::content::source::{FileSource, ReadAt, Stamp};
use crate::error::{Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// No image is longer, in bytes: a pebibyte.
const LONGEST: u64 = 1 << 50;
/// Streams that are open or announced; a copy has four at once.
const STREAMS: usize = 16;
/// Bytes that a stream reads over, rather than that another request is made.
const SKIP: u64 = 64 << 10;
/// Kept bytes for which a stream's request ends early; fewer are fetched again rather.
const WORTH: u64 = 256 << 10;
/// How long a stream waits for another one that keeps the same bytes and that nobody reads meanwhile.
const STUCK: Duration = Duration::from_secs(5);
/// So many times at most.
const ROUNDS: usize = 24;

/// How an image is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long faults are borne.
    pub patience: Patience,
    /// Where bytes are kept for the next run.
    pub cache: Option<CacheFolder>,
}

/// A stretch that is read in order, from one request.
struct Stream {
    next: u64,
    end: u64,
    keep: Keep,
    body: Option<Body>,
    /// Bytes that came and are to be kept, and where they begin.
    piece: (u64, Vec<u8>),
    id: u64,
}

/// What of a stream is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    /// Pieces that will be read again.
    ForLater,
    All,
}

/// A stream from the server whose bytes are kept: which it is, up to where they are, and where it ends.
struct Running {
    id: u64,
    at: u64,
    end: u64,
}

#[derive(Default)]
struct State {
    spans: Spans,
    streams: Vec<Stream>,
    running: Vec<Running>,
    next_id: u64,
}

/// An image on a server.
pub struct RemoteSource {
    name: String,
    link: Arc<Link>,
    state: Mutex<State>,
    arrived: Condvar,
    kept: Kept,
    /// All of it, from a server that can't send parts.
    whole: Option<FileSource>,
    notes: Vec<String>,
}

impl RemoteSource {
    /// Asks for the image's length and version, and pins them.
    ///
    /// # Errors
    /// `NotFound`, `Remote`; `Unsupported` where the server can only send the whole of a big image; `Io` of the
    /// cache.
    pub fn open(ranges: Box<dyn Ranges>, options: &Options) -> Result<RemoteSource> {
        let name = ranges.name().to_owned();
        Self::asked(ranges, options).map_err(|e| e.source_name(name))
    }

    fn asked(ranges: Box<dyn Ranges>, options: &Options) -> Result<RemoteSource> {
        let tally = Tally::default();
        let patience = Patience { attempts: options.patience.attempts.min(3), ..options.patience };
        let mut trouble = Trouble::default();
        let (pin, first, whole) = loop {
            tally.requests.fetch_add(1, Ordering::Relaxed);
            let met = match ranges.open() {
                Ok(Opened::Parts { pin, first }) => break (pin, first, None),
                Ok(Opened::Whole { pin, body }) => match fetch_whole(&pin, body, &tally, &patience)
                {
                    Ok(file) => break (pin, Vec::new(), Some(file)),
                    Err(e) => e,
                },
                Err(f) => f,
            };
            trouble.met(met, &patience)?;
            tally.resumed.fetch_add(1, Ordering::Relaxed);
        };
        if pin.len > LONGEST {
            let what = format!("{} bytes, the server says: no image has as many", pin.len);
            return Err(Error::unsupported(what).hint("it may be no web server"));
        }
        let name = ranges.name().to_owned();
        let whole = whole.map(|f| FileSource::from_file(f, &name)).transpose()?;
        let pin = Pin { len: whole.as_ref().map_or(pin.len, ReadAt::len), ..pin };
        let mut notes = Vec::new();
        if whole.is_some() {
            notes.push("The server can't send parts of a file: all of it was fetched.".to_owned());
        } else if pin.version().is_none() {
            notes.push(
                "The server names no version of the image (ETag, Last-Modified): only its length tells \
                 whether it changed while it was read."
                    .to_owned(),
            );
        }
        let kept = match (&options.cache, pin.version(), &whole) {
            (Some(c), Some(version), None) => {
                Kept::Folder(Cache::open(c, &name, version, pin.len)?)
            }
            _ => Kept::Here(Spill::default()),
        };
        tally.bytes.fetch_add(first.len() as u64, Ordering::Relaxed);
        let mut state = State::default();
        if !first.is_empty() {
            state.spans.insert(0, Bytes::from(first));
        }
        Ok(RemoteSource {
            name,
            link: Arc::new(Link { ranges, pin, patience: options.patience, tally }),
            state: Mutex::new(state),
            arrived: Condvar::new(),
            kept,
            whole,
            notes,
        })
    }

    /// Which version is read.
    pub fn pin(&self) -> &Pin {
        &self.link.pin
    }

    /// What was asked for so far.
    pub fn tally(&self) -> &Tally {
        &self.link.tally
    }

    /// What the operator should know of the server.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that is at `range.start`, or a little before, and reaches to its end; nobody else has it
    /// meanwhile.
    fn take_stream(&self, range: &Range<u64>) -> Option<Stream> {
        let mut s = self.lock();
        let near = |s: &Stream| s.next <= range.start && range.start - s.next <= SKIP;
        let fits = |s: &Stream| near(s) && range.end <= s.end;
        let at = s.streams.iter().position(fits)?;
        Some(s.streams.remove(at))
    }

    fn put_back(&self, stream: Stream) {
        let mut s = self.lock();
        if s.streams.len() >= STREAMS {
            let left = s.streams.remove(0);
            s.running.retain(|r| r.id != left.id);
        }
        s.streams.push(stream);
    }

    fn by_stream(&self, stream: &mut Stream, buf: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let rest = &mut buf[done..];
            let n = match &mut stream.body {
                Some(body) => {
                    let n = body.read(rest)?;
                    let ended = body.is_done();
                    if stream.keep != Keep::Nothing {
                        stream.piece.1.extend_from_slice(&rest[..n]);
                        self.keep(stream, ended);
                        self.tell_others(stream, ended);
                    }
                    if ended {
                        stream.body = None;
                    }
                    n
                }
                None => match self.held(stream.next, rest) {
                    Some(n) => {
                        stream.piece.0 = stream.next + n as u64;
                        n
                    }
                    None if self.wait_for_other(stream.next) => 0,
                    None => {
                        let kept = self.kept.next_after(stream.next, WORTH).unwrap_or(u64::MAX);
                        let range = stream.next..stream.end.min(kept);
                        if stream.keep != Keep::Nothing {
                            let (id, at, end) = (stream.id, range.start, range.end);
                            self.lock().running.push(Running { id, at, end });
                        }
                        stream.body = Some(Body::new(self.link.clone(), range));
                        0
                    }
                },
            };
            stream.next += n as u64;
            done += n;
        }
        Ok(())
    }

    /// How far the kept bytes of a stream are.
    fn tell_others(&self, stream: &Stream, ended: bool) {
        let mut s = self.lock();
        let Some(at) = s.running.iter().position(|r| r.id == stream.id) else { return };
        match ended {
            true => drop(s.running.remove(at)),
            false if s.running[at].at == stream.piece.0 => return,
            false => s.running[at].at = stream.piece.0,
        }
        drop(s);
        self.arrived.notify_all();
    }

    /// Waits where another stream keeps the byte at `at` soon; true where it went on meanwhile. Whoever reads
    /// that one may have left it, so it is not waited for endlessly.
    fn wait_for_other(&self, at: u64) -> bool {
        let s = self.lock();
        let other = |s: &State| {
            let covers = |r: &&Running| r.at <= at && at < r.end;
            s.running.iter().find(covers).map(|r| (r.id, r.at))
        };
        let Some(before) = other(&s) else { return false };
        let mut s = s;
        for _ in 0..ROUNDS {
            let waited = self.arrived.wait_timeout_while(s, STUCK, |s| other(s) == Some(before));
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if !timeout.timed_out() {
                return true;
            }
            // One that is being read ends within a bounded time.
            if now.streams.iter().any(|left| left.id == before.0) {
                return false;
            }
            s = now;
        }
        false
    }

    /// Reads over what lies between where a stream is and `to`.
    fn skip(&self, stream: &mut Stream, to: u64) -> Result<()> {
        let mut over = vec![0; (to - stream.next) as usize];
        self.by_stream(stream, &mut over)
    }

    /// Keeps whole pieces, cut where they would be cut by another run too; with `all` the rest as well.
    fn keep(&self, stream: &mut Stream, all: bool) {
        let (at, bytes) = &mut stream.piece;
        loop {
            let whole = (PIECE - *at % PIECE) as usize;
            if bytes.is_empty() || (bytes.len() < whole && !all) {
                return;
            }
            let n = whole.min(bytes.len());
            let later = || self.lock().spans.is_for_later(&(*at..*at + n as u64));
            if stream.keep == Keep::All || later() {
                self.kept.put(*at, &bytes[..n]);
            }
            bytes.drain(..n);
            *at += n as u64;
        }
    }

    fn held(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        let held = self.lock().spans.read(at, buf);
        held.or_else(|| self.kept.read(at, buf))
    }

    fn by_spans(&self, buf: &mut [u8], off: u64) -> Result<()> {
        let end = off + buf.len() as u64;
        let mut done = 0;
        while done < buf.len() {
            let at = off + done as u64;
            let mut s = self.lock();
            if let Some(n) = s.spans.read(at, &mut buf[done..]) {
                done += n;
                continue;
            }
            if s.spans.is_coming(at) {
                drop(self.arrived.wait(s));
                continue;
            }
            let range = s.spans.next_fetch(at, end, self.link.pin.len);
            s.spans.coming.push(range.clone());
            drop(s);
            let got = self.fetch(range.clone());
            let mut s = self.lock();
            s.spans.coming.retain(|r| *r != range);
            if let Ok(bytes) = &got {
                s.spans.insert(range.start, bytes.clone());
            }
            drop(s);
            self.arrived.notify_all();
            got?;
        }
        Ok(())
    }

    /// The first bytes of `range`, which may be all, from where they are kept or else from the server.
    fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let kept_next = self.kept.next_after(range.start, 0).unwrap_or(u64::MAX);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        if let Some(n) = self.kept.read(range.start, &mut bytes) {
            bytes.truncate(n);
            return Ok(bytes.into());
        }
        let end = range.end.min(kept_next);
        bytes.truncate((end - range.start) as usize);
        Body::new(self.link.clone(), range.start..end).fill(&mut bytes)?;
        if self.kept.is_for_all() || self.lock().spans.is_for_later(&(range.start..end)) {
            self.kept.put(range.start, &bytes);
        }
        Ok(bytes.into())
    }
}

impl ReadAt for RemoteSource {
    fn len(&self) -> u64 {
        self.link.pin.len
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        if let Some(file) = &self.whole {
            return file.read_at(buf, off);
        }
        let end = off.checked_add(buf.len() as u64).filter(|e| *e <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if let Some(mut stream) = self.take_stream(&(off..end)) {
            let read = self.skip(&mut stream, off).and_then(|()| self.by_stream(&mut stream, buf));
            if read.is_ok() && stream.next < stream.end {
                self.put_back(stream);
            } else {
                self.lock().running.retain(|r| r.id != stream.id);
                self.arrived.notify_all();
            }
            return read.map_err(io::Error::other);
        }
        self.by_spans(buf, off).map_err(io::Error::other)
    }

    fn file(&self) -> Option<&File> {
        self.whole.as_ref().and_then(ReadAt::file)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn remote(&self) -> Option<&RemoteSource> {
        Some(self)
    }

    /// A strong ETag is another one where a byte is another one. The temporary file of what came whole tells
    /// nothing.
    fn stamp(&self) -> Option<Stamp> {
        let pin = self.pin();
        let text = format!("{} {} {}", self.name, pin.strong()?, pin.len);
        Some(Stamp { text, changed: 0 })
    }

    fn in_order(&self, off: u64, len: u64, again: bool) {
        let range = off..off.saturating_add(len).min(self.len());
        if self.whole.is_some() || range.is_empty() {
            return;
        }
        let mut s = self.lock();
        if len < PIECE {
            return s.spans.want(range);
        }
        let keep = match again || self.kept.is_for_all() {
            true => Keep::All,
            false if s.spans.is_for_later(&range) => Keep::ForLater,
            false => Keep::Nothing,
        };
        s.next_id += 1;
        let id = s.next_id;
        drop(s);
        let piece = (range.start, Vec::new());
        self.put_back(Stream { next: range.start, end: range.end, keep, body: None, piece, id });
    }

    fn wanted(&self, ranges: &[Range<u64>]) {
        self.lock().spans.want_all(ranges);
    }
}
