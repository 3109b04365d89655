//! An HTTP/1.1 server over folders and [`Tree`](crate::content::tree::Tree)s: GET, HEAD, ranges, conditions,
//! keep-alive, and a 404 that is a 404 (installers probe for files and take any 200 for a yes).
//!
//! A few workers share the connections, each with an epoll set: readiness, not a thread per client. Files go
//! out by `sendfile`, straight from an ISO's extents. One thread accepts and gives each client to the worker
//! with the fewest. Over [`Options::connections`] they wait in the kernel's queue, because a booting machine
//! takes "busy" for a failure; clients that rest are sent away then.

mod conn;
pub mod date;
mod folder;
mod helper;
mod listing;
pub mod machines;
mod out;
pub mod range;
pub mod request;
mod respond;
mod site;
mod tag;
mod worker;

pub use listing::escape;
pub use site::{File, Found, Page, PageMaker, Site};

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use helper::Helpers;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use worker::{Letter, Mailbox, Worker};

/// A head may be that long, and no longer: kernel command lines don't travel in it.
const HEAD_BYTES: usize = 16 << 10;
/// A head must be there that soon after its first byte.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A kept-alive connection may rest that long.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// A client that takes nothing for that long is gone. Long, since an emulated machine may pause.
const SEND_TIME: Duration = Duration::from_secs(60);

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Who asked.
    pub peer: SocketAddr,
    /// `GET`, `HEAD`, or what else it said.
    pub method: String,
    /// The target as sent; may hold anything a client likes: sanitise before printing.
    pub target: String,
    /// The path in the tree that it means, where it means one.
    pub path: Option<TreePath>,
    /// HTTP status.
    pub status: u16,
    /// Bytes of body that went out.
    pub bytes: u64,
    /// False where the client went away before the end.
    pub complete: bool,
}

/// Told of each request when it is done; called from the workers, which wait for it.
pub type Log = Arc<dyn Fn(&Served) + Send + Sync>;

/// Seconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How to serve.
#[derive(Clone)]
pub struct Options {
    /// Connections at the same time.
    pub connections: usize,
    /// For the `Date` of answers; without a clock they have none (RFC 9110, 6.6.1).
    pub clock: Option<Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Options { connections: 512, clock: None }
    }
}

/// A running server. Dropping it cuts every connection off.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    mails: Vec<Arc<Mailbox>>,
    wake: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Shared {
    site: Site,
    log: Log,
    options: Options,
    seats: Arc<Seats>,
    stop: AtomicU8,
}

const STOPPING: u8 = 1;
const STOPPED: u8 = 2;

impl Shared {
    /// Answers are finished, and nothing is begun.
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst) >= STOPPING
    }

    /// Nothing is finished.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst) >= STOPPED
    }

    fn clock(&self) -> Option<i64> {
        self.options.clock.as_ref().map(|c| c())
    }
}

/// Places for connections.
struct Seats {
    limit: usize,
    taken: Mutex<usize>,
    freed: Condvar,
    pressed: AtomicBool,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while somebody waits for a place.
    fn pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// A place, where one is free within a moment.
    fn take(self: &Arc<Self>, moment: Duration) -> Option<Seat> {
        let full = |taken: &mut usize| *taken >= self.limit;
        let waited = self.freed.wait_timeout_while(self.taken(), moment, full);
        let mut taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        let none = *taken >= self.limit;
        self.pressed.store(none, Ordering::Relaxed);
        if none {
            return None;
        }
        *taken += 1;
        Some(Seat(self.clone()))
    }
}

/// A connection's place, given back when dropped.
struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        *self.0.taken() -= 1;
        self.0.freed.notify_one();
    }
}

impl Server {
    /// Serves `site` on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// `Io` where the address can't be taken.
    pub fn start(site: Site, addr: SocketAddr, log: Log) -> Result<Server> {
        Self::start_with(site, addr, Options::default(), log)
    }

    /// As [`Server::start`], with limits and a clock.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(site: Site, addr: SocketAddr, options: Options, log: Log) -> Result<Server> {
        let listen = |e| Error::io(format!("can't listen on {addr}"), e);
        let listener = TcpListener::bind(addr).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let seats = Arc::new(Seats {
            limit: options.connections.max(1),
            taken: Mutex::new(0),
            freed: Condvar::new(),
            pressed: AtomicBool::new(false),
        });
        let shared = Arc::new(Shared { site, log, options, seats, stop: AtomicU8::new(0) });
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::io("can't make an event descriptor", e.into()))?;
        let mut server =
            Server { shared, addr, mails: Vec::new(), wake: Arc::new(wake), threads: Vec::new() };
        let helpers = Arc::new(Helpers::new(server.shared.clone()));
        for _ in 0..thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)) {
            let mail = Arc::new(Mailbox::new()?);
            server.mails.push(mail.clone());
            let worker = Worker::new(server.shared.clone(), mail, helpers.clone())?;
            server.threads.push(thread("http", move || worker.run())?);
        }
        let (shared, mails, wake) =
            (server.shared.clone(), server.mails.clone(), server.wake.clone());
        server
            .threads
            .push(thread("http accept", move || accept(&listener, &wake, &shared, &mails))?);
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections or requests, and lets answers that are on their way have `grace` to finish.
    pub fn stop(mut self, grace: Duration) {
        self.say(STOPPING);
        let until = Instant::now() + grace;
        while Instant::now() < until && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
        }
        self.end();
    }

    fn say(&self, stop: u8) {
        self.shared.stop.store(stop, Ordering::SeqCst);
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        for m in &self.mails {
            m.put(Letter::Look);
        }
    }

    fn end(&mut self) {
        self.say(STOPPED);
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let made = thread::Builder::new().name(name.into()).spawn(work);
    made.map_err(|e| Error::io("can't start a thread", e))
}

/// Gives each client to the worker with the fewest, until the server stops.
fn accept(listener: &TcpListener, wake: &OwnedFd, shared: &Shared, mails: &[Arc<Mailbox>]) {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut seat = None;
    while !shared.stopping() {
        let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let _ = poll(&mut ready, Some(&second));
        if !ready[0].revents().contains(PollFlags::IN) {
            continue;
        }
        while seat.is_none() && !shared.stopping() {
            seat = shared.seats.take(Duration::from_millis(200));
        }
        match listener.accept() {
            Ok((stream, peer)) => {
                let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
                let least = mails.iter().min_by_key(|m| m.load.load(Ordering::Relaxed));
                if let (Ok(()), Some(mail), Some(seat)) = (ready, least, seat.take()) {
                    mail.load.fetch_add(1, Ordering::SeqCst);
                    mail.put(Letter::New(stream, peer, seat));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            // Out of descriptors, or a client that left in the queue: neither ends the service.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests;
