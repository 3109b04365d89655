//! One connection: a head is read, its answer sent, and the next head read, as far as the socket goes
//! without blocking.

use super::out::{Outgoing, Step};
use super::request::{self, Request};
use super::respond::{self, Answer, Context};
use super::{HEAD_BYTES, HEAD_TIME, IDLE_TIME, SEND_TIME, Seat, Served, Shared};
use crate::content::path::TreePath;
use rustix::event::epoll::EventFlags;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Answers of pipelined requests before others get a turn.
const ANSWERS: usize = 16;
/// How long, and how much, is read from a client that was refused before it had said all: closing at once
/// would take the answer back from it (RFC 9112, 9.6).
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 256 << 10;

/// A client.
pub struct Conn {
    pub stream: TcpStream,
    peer: SocketAddr,
    buf: Vec<u8>,
    /// Bytes of `buf` in which no head ends.
    seen: usize,
    state: State,
    /// It is over by then.
    deadline: Instant,
    /// What epoll was told.
    pub interest: EventFlags,
    _seat: Seat,
}

enum State {
    Reading,
    Sending(Box<Sending>),
    Draining(usize),
}

struct Sending {
    out: Outgoing,
    served: Served,
    keep: bool,
    drain: bool,
    /// Bytes at the last look.
    before: u64,
}

/// What a connection wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// To be told of this.
    Wait(EventFlags),
    /// A thread of its own for the answer.
    Help,
    /// Nothing.
    Close,
}

impl Conn {
    pub fn new(stream: TcpStream, peer: SocketAddr, seat: Seat, now: Instant) -> Self {
        Conn {
            stream,
            peer,
            buf: Vec::new(),
            seen: 0,
            state: State::Reading,
            deadline: now + IDLE_TIME,
            interest: EventFlags::empty(),
            _seat: seat,
        }
    }

    /// Does what can be done. `scratch` is the worker's, for reading.
    pub fn go_on(&mut self, shared: &Shared, now: Instant, scratch: &mut [u8]) -> Next {
        let mut answers = 0;
        loop {
            let next = match self.state {
                State::Reading => self.read(shared, now, scratch),
                State::Sending(_) => {
                    answers += 1;
                    self.send(shared, now, answers)
                }
                State::Draining(_) => self.drain(scratch),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// True where it waits for a request and has not begun one.
    pub fn idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.buf.is_empty()
    }

    /// True where it has been idle for a second: it may be asked to make room.
    pub fn rests(&self, now: Instant) -> bool {
        self.idle() && self.deadline + Duration::from_secs(1) < now + IDLE_TIME
    }

    /// Whether its time is over.
    pub fn late(&self, now: Instant) -> bool {
        now >= self.deadline
    }

    /// What becomes of it when its time is over.
    pub fn give_up(&mut self, shared: &Shared, now: Instant) -> Next {
        match &mut self.state {
            State::Reading if !self.buf.is_empty() => {
                self.refuse(408, "request head too slow", shared, now);
                match self.send(shared, now, 1) {
                    None => Next::Wait(EventFlags::IN),
                    Some(next) => next,
                }
            }
            _ => Next::Close,
        }
    }

    /// Tells of an answer that was cut off.
    pub fn cut_off(&mut self, shared: &Shared) {
        if let State::Sending(mut s) = std::mem::replace(&mut self.state, State::Draining(0)) {
            (s.served.bytes, s.served.complete) = (s.out.sent(), false);
            (shared.log)(&s.served);
        }
    }

    fn read(&mut self, shared: &Shared, now: Instant, scratch: &mut [u8]) -> Option<Next> {
        if head_ends(&self.buf, self.seen) {
            match request::parse(&self.buf) {
                Ok(Some((request, used))) => {
                    self.buf.drain(..used);
                    self.seen = 0;
                    return self.answer(request, shared, now);
                }
                Ok(None) => {}
                Err(why) => {
                    self.refuse(400, why, shared, now);
                    return None;
                }
            }
        }
        self.seen = self.buf.len();
        if self.buf.len() >= HEAD_BYTES {
            self.refuse(431, "request head too long", shared, now);
            return None;
        }
        match (&self.stream).read(scratch) {
            Ok(0) => Some(Next::Close),
            Ok(n) => {
                if self.buf.is_empty() {
                    self.deadline = now + HEAD_TIME;
                }
                self.buf.extend_from_slice(&scratch[..n]);
                None
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if self.buf.is_empty() && shared.stopping() {
                    return Some(Next::Close);
                }
                if self.buf.is_empty() && self.buf.capacity() > 4096 {
                    self.buf = Vec::new();
                }
                Some(Next::Wait(EventFlags::IN))
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => None,
            Err(_) => Some(Next::Close),
        }
    }

    fn answer(&mut self, request: Request, shared: &Shared, now: Instant) -> Option<Next> {
        let keep = request.keep_alive && !shared.stopping();
        let cx = Context { site: &shared.site, now: shared.clock(), keep_alive: keep };
        let answer = respond::answer(&request, cx);
        let Request { method, target, path, .. } = request;
        self.begin(answer, method, target, path, keep, now);
        match &self.state {
            State::Sending(s) if s.out.blocks() => Some(Next::Help),
            State::Sending(_) => None,
            _ => Some(Next::Close),
        }
    }

    fn refuse(&mut self, status: u16, why: &str, shared: &Shared, now: Instant) {
        let cx = Context { site: &shared.site, now: shared.clock(), keep_alive: false };
        let answer = respond::refusal(status, why, cx);
        self.begin(answer, String::new(), String::new(), None, false, now);
        self.buf = Vec::new();
    }

    fn begin(
        &mut self,
        answer: Answer,
        method: String,
        target: String,
        path: Option<TreePath>,
        keep: bool,
        now: Instant,
    ) {
        let served = Served {
            peer: self.peer,
            method,
            target,
            path,
            status: answer.status,
            bytes: 0,
            complete: false,
        };
        self.deadline = now + SEND_TIME;
        self.state = match Outgoing::of(answer) {
            Some(out) => {
                State::Sending(Box::new(Sending { out, served, keep, drain: !keep, before: 0 }))
            }
            None => State::Draining(DRAIN_BYTES),
        };
    }

    fn send(&mut self, shared: &Shared, now: Instant, answers: usize) -> Option<Next> {
        let State::Sending(s) = &mut self.state else { return None };
        let step = s.out.pump(&self.stream);
        if s.out.sent() > s.before {
            s.before = s.out.sent();
            self.deadline = now + SEND_TIME;
        }
        match step {
            Step::Full | Step::Turn => Some(Next::Wait(EventFlags::OUT)),
            Step::Gone => {
                self.cut_off(shared);
                Some(Next::Close)
            }
            Step::Done => self.sent(shared, now, answers),
        }
    }

    /// An answer is out as a whole.
    fn sent(&mut self, shared: &Shared, now: Instant, answers: usize) -> Option<Next> {
        let State::Sending(mut s) = std::mem::replace(&mut self.state, State::Reading) else {
            return None;
        };
        (s.served.bytes, s.served.complete) = (s.out.sent(), true);
        (shared.log)(&s.served);
        if !s.keep {
            if !s.drain || self.stream.shutdown(Shutdown::Write).is_err() {
                return Some(Next::Close);
            }
            self.state = State::Draining(0);
            self.deadline = now + DRAIN_TIME;
            return None;
        }
        self.deadline = now + if self.buf.is_empty() { IDLE_TIME } else { HEAD_TIME };
        // The socket takes bytes, so this comes back at once, after the others.
        (answers >= ANSWERS && !self.buf.is_empty()).then_some(Next::Wait(EventFlags::OUT))
    }

    fn drain(&mut self, scratch: &mut [u8]) -> Option<Next> {
        let State::Draining(so_far) = &mut self.state else { return None };
        match (&self.stream).read(scratch) {
            Ok(n) if n > 0 && *so_far < DRAIN_BYTES => {
                *so_far += n;
                None
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Some(Next::Wait(EventFlags::IN)),
            Err(e) if e.kind() == ErrorKind::Interrupted => None,
            _ => Some(Next::Close),
        }
    }

    /// The answer that a helper is to send.
    pub fn outgoing(&self) -> Option<&Outgoing> {
        match &self.state {
            State::Sending(s) => Some(&s.out),
            _ => None,
        }
    }

    /// A helper has sent so many bytes of body; goes on where that was all.
    pub fn helped(&mut self, bytes: u64, complete: bool, shared: &Shared, now: Instant) -> Next {
        if let State::Sending(s) = &mut self.state {
            s.out.count(bytes);
        }
        if !complete {
            self.cut_off(shared);
            return Next::Close;
        }
        self.sent(shared, now, ANSWERS).unwrap_or(Next::Wait(EventFlags::OUT))
    }
}

/// Whether an empty line ends in `buf`, of which `seen` bytes were looked at before.
fn head_ends(buf: &[u8], seen: usize) -> bool {
    let new = &buf[seen.saturating_sub(3)..];
    new.windows(2).any(|w| w == b"\n\n") || new.windows(4).any(|w| w == b"\r\n\r\n")
        // Line ends may be mixed.
        || new.windows(3).any(|w| w == b"\n\r\n")
}
