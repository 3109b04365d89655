//! Images that lie elsewhere: [`RemoteSource`] reads them by ranges, [`Ranges`] is how a server is asked.
//!
//! Small reads go through a few coalesced requests, held in memory up to a bound. What is told beforehand to be
//! read in order ([`super::source::ReadAt::in_order`]) comes by one request for just that range. The image is pinned when it
//! is opened: length and version (ETag, Last-Modified) of every answer are compared, so that a remote image that
//! changes is an error and never a mix.

mod address;
mod body;
mod cache;
pub mod http;
mod kept;
mod source;
mod spans;
mod whole;

pub use address::{Address, Scheme};
pub use cache::CacheFolder;
pub use source::{Options, RemoteSource};

use crate::error::{Error, ErrorKind, Result};
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Which version of an image is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Length in bytes.
    pub len: u64,
    /// Its entity tag as the server wrote it, `W/` and quotes too (RFC 9110, section 8.8.3).
    pub etag: Option<String>,
    /// Its Last-Modified as the server wrote it.
    pub modified: Option<String>,
}

impl Pin {
    /// A strong entity tag: equal bytes, where it is equal. A weak one pins nothing.
    pub fn strong(&self) -> Option<&str> {
        self.etag.as_deref().filter(|t| t.starts_with('"'))
    }

    /// What tells this version from others; `None` where there is only the length.
    pub fn version(&self) -> Option<&str> {
        self.strong().or(self.modified.as_deref())
    }
}

/// Why there are no bytes.
#[derive(Debug)]
pub enum Failure {
    /// It may go better the next time.
    Again {
        /// What happened.
        error: Error,
        /// The server's wish: not before so long.
        after: Option<Duration>,
    },
    /// It will not.
    Final(Error),
}

impl Failure {
    /// May go better; `cause` is told.
    pub fn again(
        what: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Failure {
        Self::from_again(Error::new(ErrorKind::Remote, what).because(cause))
    }

    /// May go better.
    pub fn from_again(error: Error) -> Failure {
        Failure::Again { error, after: None }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Final(e)
    }
}

/// What a server says of an image when it is first asked.
pub enum Opened {
    /// It serves parts of it.
    Parts {
        /// Which version that is.
        pin: Pin,
        /// Its first bytes, where they came along.
        first: Vec<u8>,
    },
    /// It can only send the whole.
    Whole {
        /// What it says of it; the length is 0 where it does not tell.
        pin: Pin,
        /// All bytes, from the first.
        body: Box<dyn Read + Send>,
    },
}

/// How a server is asked for bytes. Blocking; many threads ask at once.
///
/// Invariants that each implementation keeps: the bytes of [`Ranges::get`] are of the pinned version, and there
/// are no more of them than were asked for; each call, and each read of what it returns, ends within a bounded
/// time; no name and no error holds a password or a signature.
pub trait Ranges: Send + Sync {
    /// What to call the image.
    fn name(&self) -> &str;

    /// Asks for the first bytes, and for what they are of.
    ///
    /// # Errors
    /// Those of the server and of the way to it.
    fn open(&self) -> Result<Opened, Failure>;

    /// The bytes of `range`, which is not empty and within the image.
    ///
    /// # Errors
    /// [`changed`] where the image is not that of `pin` any more; those of the server and of the way to it.
    fn get(&self, range: Range<u64>, pin: &Pin) -> Result<Box<dyn Read + Send>, Failure>;
}

/// The error for an image that is not the pinned one any more; `what` differs.
pub fn changed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Conflict, format!("changed while it was read: {what}"))
        .hint("start again: bytes of two versions are never mixed")
}

/// How long faults are borne.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Faults in a row, after which it is given up.
    pub attempts: u32,
    /// Pause after the first; doubled for each more.
    pub first_wait: Duration,
    /// The longest pause, whatever the server wishes.
    pub longest_wait: Duration,
    /// A server is too slow that sends fewer than `least` bytes in such a time of waiting.
    pub window: Duration,
    /// Bytes.
    pub least: u64,
    /// Sleeps.
    pub sleep: fn(Duration),
    /// Says whether to stop, for Ctrl-C.
    pub stop: fn() -> bool,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            window: Duration::from_secs(30),
            least: 32 << 10,
            sleep: std::thread::sleep,
            stop: || false,
        }
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests sent, redirects left out.
    pub requests: AtomicU64,
    /// Bytes of the image that came.
    pub bytes: AtomicU64,
    /// Times that a fault was borne.
    pub resumed: AtomicU64,
}
