//! A small HTTP/1.1 server over a folder or a [`Tree`](crate::content::tree::Tree): GET, HEAD, one
//! range, keep-alive, and a 404 that is a 404 (installers probe for files and take any 200 for a
//! yes). A thread per connection, at most [`CONNECTIONS`]; more wait in the kernel's queue, because a
//! booting machine takes "busy" for a failure. Files go out by `sendfile`.

pub mod request;
mod respond;
mod site;

pub use site::Site;

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections served at the same time.
pub const CONNECTIONS: usize = 256;
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
    pub path: Option<crate::content::path::TreePath>,
    /// HTTP status.
    pub status: u16,
    /// Bytes of body that went out.
    pub bytes: u64,
    /// False where the client went away before the end.
    pub complete: bool,
}

/// Told of each request when it is done; called from the connections' threads.
pub type Log = Arc<dyn Fn(&Served) + Send + Sync>;

/// A running server. Dropping it closes every connection and waits for their threads.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    site: Site,
    log: Log,
    stop: AtomicBool,
    open: Mutex<HashMap<u64, TcpStream>>,
    changed: Condvar,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Server {
    /// Serves `site` on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    /// `Io` where the address can't be taken.
    pub fn start(site: Site, addr: SocketAddr, log: Log) -> Result<Server> {
        let listen = |e| Error::io(format!("can't listen on {addr}"), e);
        let listener = TcpListener::bind(addr).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            site,
            log,
            stop: AtomicBool::new(false),
            open: Mutex::default(),
            changed: Condvar::new(),
        });
        let for_thread = shared.clone();
        let accepting = thread::Builder::new()
            .name("http".into())
            .spawn(move || accept(&listener, &for_thread))
            .map_err(|e| Error::io("can't start a thread", e))?;
        Ok(Server { shared, addr, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // accept() knows no flag; a last connection wakes it.
        let mut wake = self.addr;
        match wake.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => wake.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => wake.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let woken = TcpStream::connect_timeout(&wake, Duration::from_secs(1)).is_ok();
        if let Some(t) = self.accepting.take()
            && woken
        {
            let _ = t.join();
        }
        let mut open = self.shared.open();
        for stream in open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let until = Instant::now() + Duration::from_secs(2);
        while !open.is_empty() && Instant::now() < until {
            let wait = self.shared.changed.wait_timeout(open, Duration::from_millis(100));
            open = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut id = 0u64;
    loop {
        let mut open = shared.open();
        while open.len() >= CONNECTIONS && !shared.stopping() {
            open = shared.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        drop(open);
        let next = listener.accept();
        if shared.stopping() {
            return;
        }
        let Ok((stream, peer)) = next else {
            // Out of descriptors, or a client that left in the queue: neither ends the service.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let Ok(copy) = stream.try_clone() else { continue };
        id += 1;
        shared.open().insert(id, copy);
        let (gone, shared2) = (Gone { id, shared: shared.clone() }, shared.clone());
        let _ = thread::Builder::new().name("http client".into()).spawn(move || {
            let _gone = gone;
            connection(stream, peer, &shared2);
        });
    }
}

/// Takes a connection off the list however its thread ends, also where it never started.
struct Gone {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.shared.open().remove(&self.id);
        self.shared.changed.notify_all();
    }
}

/// Serves one client until it leaves, stalls, or breaks the rules.
fn connection(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(SEND_TIME));
    let mut buf: Vec<u8> = Vec::new();
    while !shared.stopping() {
        let (request, used) = match read_head(&mut stream, &mut buf) {
            Ok(Some(r)) => r,
            Ok(None) => return,
            Err((status, why)) => {
                let bytes = respond::error(&mut stream, status, why, false, true).unwrap_or(0);
                (shared.log)(&Served {
                    peer,
                    method: String::new(),
                    target: String::new(),
                    path: None,
                    status,
                    bytes,
                    complete: true,
                });
                return;
            }
        };
        buf.drain(..used);
        let sent = respond::answer(&mut stream, &request, &shared.site);
        let go_on = request.keep_alive && sent.complete;
        (shared.log)(&Served {
            peer,
            method: request.method,
            target: request.target,
            path: request.path,
            status: sent.status,
            bytes: sent.bytes,
            complete: sent.complete,
        });
        if !go_on {
            return;
        }
    }
}

type Refusal = (u16, &'static str);

/// Reads until a head is whole; what came after it stays in `buf`. `None`: the client is gone.
fn read_head(
    stream: &mut TcpStream,
    buf: &mut Vec<u8>,
) -> std::result::Result<Option<(request::Request, usize)>, Refusal> {
    let mut started = (!buf.is_empty()).then(Instant::now);
    loop {
        if !buf.is_empty()
            && let Some(found) = request::parse(buf).map_err(|why| (400, why))?
        {
            return Ok(Some(found));
        }
        if buf.len() >= HEAD_BYTES {
            return Err((431, "request head too long"));
        }
        let left = match started {
            None => IDLE_TIME,
            Some(t) => HEAD_TIME.saturating_sub(t.elapsed()),
        };
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err((408, "request head too slow"));
        }
        let mut chunk = [0; 2048];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(n) => {
                buf.extend_from_slice(&chunk[..n]);
                started.get_or_insert_with(Instant::now);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) if started.is_none() => return Ok(None),
            Err(_) => return Err((408, "request head too slow")),
        }
    }
}

#[cfg(test)]
mod tests;
