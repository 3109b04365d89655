//! Threads for answers that may block: bytes of a remote ISO, or of whatever is read by other ways than from
//! a file of this machine. Each sends one answer at a time and gives the connection back.

use super::conn::Conn;
use super::worker::{Letter, Mailbox};
use super::{SEND_TIME, Shared};
use crate::content::Content;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Threads at a time. More answers wait for one.
const THREADS: usize = 32;
const CHUNK: u64 = 256 << 10;
/// How often a thread that waits for its client looks whether the server stops.
const LOOK: Duration = Duration::from_millis(500);

type Job = (Box<Conn>, Arc<Mailbox>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: usize,
}

pub struct Helpers {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
}

impl Helpers {
    pub fn new(shared: Arc<Shared>) -> Self {
        Helpers { shared, queue: Mutex::default() }
    }

    /// Has the answer of `conn` sent, and the connection put into `mail` again. Given back where no thread can
    /// be had.
    pub fn send(self: &Arc<Self>, conn: Box<Conn>, mail: &Arc<Mailbox>) -> Option<Box<Conn>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push_back((conn, mail.clone()));
        if queue.running >= THREADS {
            return None;
        }
        let me = self.clone();
        let started = thread::Builder::new().name("http help".into()).spawn(move || me.work());
        match started {
            Ok(_) => queue.running += 1,
            // Another one will take it, if there is one.
            Err(_) if queue.running > 0 => {}
            Err(_) => return queue.waiting.pop_back().map(|(conn, _)| conn),
        }
        None
    }

    fn work(&self) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((conn, mail)) = queue.waiting.pop_front() else {
                queue.running -= 1;
                return;
            };
            drop(queue);
            let mut sent = 0;
            let complete = self.one(&conn, &mut sent);
            mail.put(Letter::Back(conn, sent, complete));
        }
    }

    fn one(&self, conn: &Conn, sent: &mut u64) -> bool {
        let Some(out) = conn.outgoing() else { return false };
        let (front, rest) = out.parts();
        let stream = &conn.stream;
        if stream.set_nonblocking(false).is_err() || stream.set_write_timeout(Some(LOOK)).is_err() {
            return false;
        }
        let done = self.put(stream, front, &mut 0) && self.body(stream, rest, sent);
        done && stream.set_nonblocking(true).is_ok()
    }

    fn body(&self, stream: &TcpStream, body: &Content, sent: &mut u64) -> bool {
        // The next machine will want the same.
        body.in_order(true);
        let mut buf = vec![0; CHUNK.min(body.len()) as usize];
        let mut at = 0;
        while at < body.len() {
            let n = CHUNK.min(body.len() - at) as usize;
            // A source that fails in the middle ends the connection: the client sees that bytes are missing.
            if body.read_at(&mut buf[..n], at).is_err() || !self.put(stream, &buf[..n], sent) {
                return false;
            }
            at += n as u64;
        }
        true
    }

    fn put(&self, mut stream: &TcpStream, mut bytes: &[u8], sent: &mut u64) -> bool {
        let mut since = Instant::now();
        while !bytes.is_empty() {
            if self.shared.stopped() {
                return false;
            }
            match stream.write(bytes) {
                Ok(0) => return false,
                Ok(n) => {
                    bytes = &bytes[n..];
                    *sent += n as u64;
                    since = Instant::now();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if since.elapsed() > SEND_TIME {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}
