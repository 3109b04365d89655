//! Answers: a status line, a few headers, and a file's bytes by the shortest way.

use super::request::{Asked, Request, asked};
use super::site::Site;
use crate::content::{Content, Segment, copy};
use std::io::{self, Write};
use std::net::TcpStream;

/// What became of an answer.
pub struct Sent {
    /// HTTP status.
    pub status: u16,
    /// Bytes of body that went out.
    pub bytes: u64,
    /// False where the connection broke; nothing more can be said on it.
    pub complete: bool,
}

/// Answers one request.
pub fn answer(stream: &mut TcpStream, request: &Request, site: &Site) -> Sent {
    let head = request.method == "HEAD";
    let refuse = |stream: &mut TcpStream, status, why| {
        let sent = error(stream, status, why, request.keep_alive, !head);
        Sent { status, bytes: *sent.as_ref().unwrap_or(&0), complete: sent.is_ok() }
    };
    if !head && request.method != "GET" {
        return refuse(stream, 405, "only GET and HEAD");
    }
    let file = match request.path.as_ref().map(|p| site.find(p)) {
        Some(Ok(Some(f))) => f,
        Some(Err(_)) => return refuse(stream, 500, "can't be read"),
        _ => return refuse(stream, 404, "not here"),
    };
    let name = request.path.as_ref().map_or(&b""[..], |p| p.name());
    file_answer(stream, request, &file, name, head)
}

fn file_answer(
    stream: &mut TcpStream,
    request: &Request,
    file: &Content,
    name: &[u8],
    head: bool,
) -> Sent {
    let len = file.len();
    // Ranges are defined for GET only.
    let range = if head { None } else { request.range.as_deref() };
    let (status, body, extra) = match asked(range, len) {
        Asked::Whole => (200, Some(0..len), String::new()),
        Asked::Part(r) => {
            let said = format!("Content-Range: bytes {}-{}/{len}\r\n", r.start, r.end - 1);
            (206, Some(r), said)
        }
        Asked::Outside => (416, None, format!("Content-Range: bytes */{len}\r\n")),
    };
    let part = match body.map(|r| file.slice(r)).transpose() {
        Ok(p) => p.unwrap_or_default(),
        Err(_) => return Sent { status: 500, bytes: 0, complete: false },
    };
    let header = format!(
        "{}Content-Type: {}\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n{extra}\r\n",
        start(status, request.keep_alive),
        media_type(name),
        part.len(),
    );
    if stream.write_all(header.as_bytes()).is_err() {
        return Sent { status, bytes: 0, complete: false };
    }
    let mut bytes = 0;
    let complete = head || send(&part, stream, &mut bytes).is_ok();
    Sent { status, bytes, complete }
}

/// Answers with a status and one line of text; gives the bytes of body sent.
pub fn error(
    stream: &mut TcpStream,
    status: u16,
    why: &str,
    keep_alive: bool,
    body: bool,
) -> io::Result<u64> {
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let text = if body { format!("{why}\n") } else { String::new() };
    let header = format!(
        "{}Content-Type: text/plain; charset=utf-8\r\n{allow}Content-Length: {}\r\n\r\n{text}",
        start(status, keep_alive),
        why.len() + 1,
    );
    stream.write_all(header.as_bytes())?;
    Ok(text.len() as u64)
}

fn start(status: u16, keep_alive: bool) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        _ => "Internal Server Error",
    };
    // HTTP/1.0 clients that asked for it are told too; for others it is the default.
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!("HTTP/1.1 {status} {reason}\r\nConnection: {connection}\r\n")
}

/// Firmware goes by the type: UEFI HTTP Boot wants `application/efi`, or an ISO's own.
fn media_type(name: &[u8]) -> &'static str {
    let ext = name.rsplit(|&b| b == b'.').next().unwrap_or(b"").to_ascii_lowercase();
    match &ext[..] {
        b"efi" => "application/efi",
        b"iso" => "application/vnd.efi-iso",
        b"json" => "application/json",
        b"ipxe" | b"cfg" | b"txt" | b"toml" | b"yaml" | b"yml" | b"ks" => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

/// Sends every byte of `body`, counting as it goes. Extents of files stay in the kernel.
fn send(body: &Content, stream: &mut TcpStream, sent: &mut u64) -> io::Result<()> {
    for segment in body.segments() {
        if let Segment::Extent { src, off, len } = segment
            && let Some(file) = src.file()
        {
            let (mut at, end) = (*off, off + len);
            while at < end {
                let want = (end - at).min(1 << 24) as usize;
                match rustix::fs::sendfile(&*stream, file, Some(&mut at), want) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(n) => *sent += n as u64,
                    Err(rustix::io::Errno::INTR) => {}
                    // The file system can't: the rest goes through memory.
                    Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                        let rest = Segment::Extent { src: src.clone(), off: at, len: end - at };
                        through_memory(rest, stream, sent)?;
                        at = end;
                    }
                    Err(e) => return Err(e.into()),
                }
            }
        } else {
            through_memory(segment.clone(), stream, sent)?;
        }
    }
    Ok(())
}

fn through_memory(segment: Segment, stream: &mut TcpStream, sent: &mut u64) -> io::Result<()> {
    let mut counted = Counted { stream, sent };
    copy::to_writer(&Content::from_segments([segment]), &mut counted, false, &|_| true)
        .map(|_| ())
        .map_err(io::Error::other)
}

struct Counted<'a> {
    stream: &'a mut TcpStream,
    sent: &'a mut u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.stream.write(buf)?;
        *self.sent += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
