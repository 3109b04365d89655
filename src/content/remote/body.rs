//! One range, read to its end whatever happens on the way: a dropped connection is taken up again at the byte
//! where it was cut, so many times and with growing pauses.

use super::{Failure, Patience, Pin, Ranges, Tally};
use crate::error::{Error, ErrorKind, Result};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// So many bytes without a fault, and the next fault counts as the first.
const PROGRESS: u64 = 256 << 10;

/// A pinned image, and how it is asked for.
pub(super) struct Link {
    pub ranges: Box<dyn Ranges>,
    pub pin: Pin,
    pub patience: Patience,
    pub tally: Tally,
}

/// Counts what went wrong since bytes last came well.
#[derive(Default)]
pub(super) struct Trouble {
    count: u32,
}

impl Trouble {
    /// Waits, or gives up with the error.
    pub fn met(&mut self, failure: Failure, patience: &Patience) -> Result<()> {
        let (error, after) = match failure {
            Failure::Final(e) => return Err(e),
            Failure::Again { error, after } => (error, after),
        };
        self.count += 1;
        if self.count >= patience.attempts {
            let what = format!("asked {} times: {error}", self.count);
            let e = Error::new(error.kind(), what);
            return Err(match error.hint_text() {
                Some(h) => e.hint(h),
                None => e.hint("the server or the network fails; try again later"),
            });
        }
        let doubled = patience.first_wait.saturating_mul(1 << (self.count - 1).min(16));
        patience.pause(after.unwrap_or(doubled).min(patience.longest_wait))
    }
}

impl Patience {
    /// Sleeps in small steps, for Ctrl-C.
    fn pause(&self, all: Duration) -> Result<()> {
        let mut left = all;
        while !left.is_zero() {
            self.go_on()?;
            let step = left.min(Duration::from_millis(250));
            (self.sleep)(step);
            left -= step;
        }
        self.go_on()
    }

    pub(super) fn go_on(&self) -> Result<()> {
        match (self.stop)() {
            true => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            false => Ok(()),
        }
    }
}

/// The rest of a range.
pub(super) struct Body {
    link: Arc<Link>,
    left: Range<u64>,
    open: Option<Box<dyn Read + Send>>,
    trouble: Trouble,
    /// Bytes since the last fault.
    well: u64,
    pace: Pace,
}

/// Time spent waiting for bytes, and bytes that came in it.
#[derive(Default)]
pub(super) struct Pace(Duration, u64);

impl Pace {
    /// Adds a read.
    ///
    /// # Errors
    /// May go better with another connection: the server is too slow.
    pub fn add(
        &mut self,
        time: Duration,
        bytes: usize,
        patience: &Patience,
    ) -> std::result::Result<(), Failure> {
        self.0 += time;
        self.1 += bytes as u64;
        if self.0 < patience.window {
            return Ok(());
        }
        let Pace(time, bytes) = std::mem::take(self);
        if bytes >= patience.least {
            return Ok(());
        }
        let what = format!("the server sent only {bytes} bytes in {:.1} s", time.as_secs_f32());
        Err(Failure::from_again(Error::new(ErrorKind::Remote, what)))
    }
}

impl Body {
    pub fn new(link: Arc<Link>, range: Range<u64>) -> Body {
        let trouble = Trouble::default();
        Body { link, left: range, open: None, trouble, well: 0, pace: Pace::default() }
    }

    /// True where all was read.
    pub fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Some bytes, at least one as long as there are any.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let want = (self.left.end - self.left.start).min(buf.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        loop {
            self.link.patience.go_on()?;
            match self.attempt(&mut buf[..want]) {
                Ok(n) => {
                    self.left.start += n as u64;
                    self.well += n as u64;
                    self.link.tally.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    if self.left.is_empty() {
                        self.open = None;
                    }
                    return Ok(n);
                }
                Err(failure) => {
                    self.open = None;
                    if self.well >= PROGRESS {
                        self.trouble = Trouble::default();
                    }
                    (self.well, self.pace) = (0, Pace::default());
                    let met = self.trouble.met(failure, &self.link.patience);
                    met.map_err(|e| e.at(self.left.start))?;
                    self.link.tally.resumed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Fills `buf`.
    pub fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buf.len() {
            done += match self.read(&mut buf[done..])? {
                0 => return Err(Error::new(ErrorKind::Remote, "a range that ends early")),
                n => n,
            };
        }
        Ok(())
    }

    fn attempt(&mut self, buf: &mut [u8]) -> std::result::Result<usize, Failure> {
        let link = &self.link;
        if self.open.is_none() {
            link.tally.requests.fetch_add(1, Ordering::Relaxed);
            self.open = Some(link.ranges.get(self.left.clone(), &link.pin)?);
        }
        let Some(open) = &mut self.open else { return Ok(0) };
        let since = Instant::now();
        let n = loop {
            match open.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::again("the connection broke", e)),
                Ok(0) => {
                    let left = self.left.end - self.left.start;
                    let what = format!("the server ended {left} bytes early");
                    return Err(Failure::from_again(Error::new(ErrorKind::Remote, what)));
                }
                Ok(n) => break n,
            }
        };
        self.pace.add(since.elapsed(), n, &link.patience)?;
        Ok(n)
    }
}
