//! A worker: a thread with an epoll set of its own, and the connections that it was given. It never blocks
//! but in `epoll_wait` (and where a file is not in the page cache, in the kernel's read of it); what could is
//! given to a helper.

use super::conn::{Conn, Next};
use super::helper::Helpers;
use super::{Seat, Shared};
use crate::error::{Error, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// The token of the mailbox.
const MAIL: u64 = u64::MAX;
const EVENTS: usize = 256;

/// How others reach a worker.
pub struct Mailbox {
    wake: OwnedFd,
    letters: Mutex<Vec<Letter>>,
    /// Connections, here or with a helper.
    pub load: AtomicUsize,
}

pub enum Letter {
    /// A client has come.
    New(TcpStream, SocketAddr, Seat),
    /// A helper is done: so many bytes of body, and whether that was all.
    Back(Box<Conn>, u64, bool),
    /// Look what has changed.
    Look,
}

impl Mailbox {
    pub fn new() -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::io("can't make an event descriptor", e.into()))?;
        Ok(Mailbox { wake, letters: Mutex::default(), load: AtomicUsize::new(0) })
    }

    pub fn put(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        // Full means that it is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Letter> {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub struct Worker {
    shared: Arc<Shared>,
    mail: Arc<Mailbox>,
    helpers: Arc<Helpers>,
    epoll: OwnedFd,
    conns: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, mail: Arc<Mailbox>, helpers: Arc<Helpers>) -> Result<Self> {
        let fail = |e: rustix::io::Errno| Error::io("can't make an epoll set", e.into());
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail)?;
        epoll::add(&epoll, &mail.wake, EventData::new_u64(MAIL), EventFlags::IN).map_err(fail)?;
        let (conns, free) = (Vec::new(), Vec::new());
        Ok(Worker { shared, mail, helpers, epoll, conns, free, scratch: vec![0; 16 << 10] })
    }

    /// Runs until the server stops and nothing is left to send.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        let mut swept = Instant::now();
        let tick = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        loop {
            events.clear();
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&tick));
            let now = Instant::now();
            for event in &events {
                match event.data.u64() {
                    MAIL => self.open_mail(now),
                    at => self.ready(at as usize, now),
                }
            }
            if now >= swept + SWEEP || self.shared.stopping() {
                swept = now;
                self.sweep(now);
            }
            if self.shared.stopped()
                || self.shared.stopping() && self.mail.load.load(Ordering::SeqCst) == 0
            {
                self.end();
                return;
            }
        }
    }

    fn open_mail(&mut self, now: Instant) {
        for letter in self.mail.take() {
            match letter {
                Letter::Look => {}
                Letter::New(stream, peer, seat) => {
                    let conn = Box::new(Conn::new(stream, peer, seat, now));
                    let at = self.put(conn);
                    // What it has to say may be there already.
                    self.ready(at, now);
                }
                Letter::Back(mut conn, bytes, complete) => {
                    let next = conn.helped(bytes, complete, &self.shared, now);
                    conn.interest = EventFlags::empty();
                    let at = self.put(conn);
                    self.then(at, next);
                }
            }
        }
    }

    fn put(&mut self, conn: Box<Conn>) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.conns[at] = Some(conn);
                at
            }
            None => {
                self.conns.push(Some(conn));
                self.conns.len() - 1
            }
        }
    }

    fn ready(&mut self, at: usize, now: Instant) {
        let Some(Some(conn)) = self.conns.get_mut(at) else { return };
        let next = conn.go_on(&self.shared, now, &mut self.scratch);
        self.then(at, next);
    }

    fn then(&mut self, at: usize, next: Next) {
        let Some(Some(conn)) = self.conns.get_mut(at) else { return };
        match next {
            Next::Wait(flags) if flags == conn.interest => {}
            Next::Wait(flags) => {
                let token = EventData::new_u64(at as u64);
                let told = match conn.interest.is_empty() {
                    true => epoll::add(&self.epoll, &conn.stream, token, flags),
                    false => epoll::modify(&self.epoll, &conn.stream, token, flags),
                };
                conn.interest = flags;
                if told.is_err() {
                    self.close(at);
                }
            }
            Next::Help => {
                let Some(conn) = self.conns[at].take() else { return };
                self.free.push(at);
                if !conn.interest.is_empty() {
                    let _ = epoll::delete(&self.epoll, &conn.stream);
                }
                if let Some(mut conn) = self.helpers.send(conn, &self.mail) {
                    conn.cut_off(&self.shared);
                    self.mail.load.fetch_sub(1, Ordering::SeqCst);
                }
            }
            Next::Close => self.close(at),
        }
    }

    fn close(&mut self, at: usize) {
        // Closing takes it out of the epoll set too: nobody else holds the socket.
        if self.conns[at].take().is_some() {
            self.free.push(at);
            self.mail.load.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let (pressed, stopping) = (self.shared.seats.pressed(), self.shared.stopping());
        for at in 0..self.conns.len() {
            let Some(conn) = &mut self.conns[at] else { continue };
            if stopping && conn.idle() || pressed && conn.rests(now) {
                self.close(at);
            } else if conn.late(now) {
                let next = conn.give_up(&self.shared, now);
                if next == Next::Close {
                    conn.cut_off(&self.shared);
                }
                self.then(at, next);
            }
        }
    }

    fn end(&mut self) {
        for at in 0..self.conns.len() {
            if let Some(conn) = &mut self.conns[at] {
                conn.cut_off(&self.shared);
                self.close(at);
            }
        }
    }
}
