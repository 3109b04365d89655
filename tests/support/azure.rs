//! A small stand-in for Azure Blob Storage: blobs, blocks, conditions, listings. It knows what publish asks for,
//! and checks no signature.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A blob.
#[derive(Debug, Clone, Default)]
pub struct Blob {
    pub bytes: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    etag: u64,
}

#[derive(Default)]
pub struct State {
    pub blobs: BTreeMap<String, Blob>,
    blocks: BTreeMap<(String, String), Vec<u8>>,
    writes: u64,
}

/// A running one, with a container `boot`.
pub struct Azure {
    pub addr: SocketAddr,
    pub state: Arc<Mutex<State>>,
}

const DATE: &str = "Mon, 30 Nov 2026 12:00:00 GMT";

impl Azure {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        // It lives as long as the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || drop(serve(client, &shared)));
            }
        });
        Azure { addr, state }
    }
}

fn serve(mut client: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let len = headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    client.read_exact(&mut body)?;
    let (path, query) = first[1].split_once('?').unwrap_or((first[1], ""));
    let key = decoded(path.trim_start_matches("/boot").trim_start_matches('/'));
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|p| p.split_once('='))
        .map(|(k, v)| (k.to_owned(), decoded(v)))
        .collect();
    let (status, fields, out) =
        answer(&mut state.lock().unwrap(), first[0], &key, &query, &headers, body);
    let length = out.len();
    write!(
        client,
        "HTTP/1.1 {status} X\r\nConnection: close\r\nLast-Modified: {DATE}\r\n{fields}Content-Length: {length}\r\n\r\n"
    )?;
    if first[0] != "HEAD" {
        client.write_all(&out)?;
    }
    Ok(())
}

fn decoded(s: &str) -> String {
    let b = s.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < b.len() {
        match (b[i], b.get(i + 1..i + 3)) {
            (b'%', Some(h)) => {
                out.push(u8::from_str_radix(std::str::from_utf8(h).unwrap(), 16).unwrap());
                i += 3;
            }
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

type Answer = (u16, String, Vec<u8>);

fn answer(
    s: &mut State,
    method: &str,
    key: &str,
    query: &BTreeMap<String, String>,
    headers: &BTreeMap<String, String>,
    body: Vec<u8>,
) -> Answer {
    let comp = query.get("comp").map(String::as_str);
    let tag = |b: &Blob| format!("\"0x{:X}\"", b.etag);
    match (method, comp) {
        ("GET", Some("list")) => {
            let prefix = query.get("prefix").cloned().unwrap_or_default();
            let blobs = s.blobs.iter().filter(|(k, _)| k.starts_with(&prefix)).map(|(k, b)| {
                let (n, t) = (b.bytes.len(), tag(b));
                let t = t.trim_matches('"');
                format!("<Blob><Name>{k}</Name><Properties><Last-Modified>{DATE}</Last-Modified><Etag>{t}</Etag><Content-Length>{n}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>")
            });
            let blobs: String = blobs.collect();
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
            );
            (200, "Content-Type: application/xml\r\n".into(), xml.into_bytes())
        }
        ("POST", Some("batch")) => {
            let text = String::from_utf8_lossy(&body).into_owned();
            let mut out = String::new();
            let asked = text.lines().filter_map(|l| l.strip_prefix("DELETE "));
            for (n, line) in asked.enumerate() {
                let path = line.split(' ').next().unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default();
                let path =
                    path.trim_start_matches('/').trim_start_matches("boot").trim_start_matches('/');
                let code = if s.blobs.remove(&decoded(path)).is_some() { 202 } else { 404 };
                out += &format!(
                    "--b\r\nContent-Type: application/http\r\nContent-ID: {n}\r\n\r\nHTTP/1.1 {code} X\r\nx-ms-version: 1\r\n\r\n"
                );
            }
            out += "--b--\r\n";
            (202, "Content-Type: multipart/mixed; boundary=b\r\n".into(), out.into_bytes())
        }
        ("PUT", Some("block")) => {
            s.blocks.insert((key.to_owned(), query["blockid"].clone()), body);
            (201, String::new(), Vec::new())
        }
        ("PUT", _) => {
            let there = s.blobs.get(key);
            let wrong = match (headers.get("if-none-match"), headers.get("if-match"), there) {
                (Some(_), _, Some(_)) => Some((409, "BlobAlreadyExists")),
                (_, Some(want), b) if b.is_none_or(|b| tag(b) != *want) => {
                    Some((412, "ConditionNotMet"))
                }
                _ => None,
            };
            if let Some((status, code)) = wrong {
                return (
                    status,
                    String::new(),
                    format!("<Error><Code>{code}</Code></Error>").into(),
                );
            }
            let bytes = match comp {
                Some("blocklist") => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let ids = text.split("<Uncommitted>").skip(1);
                    let ids = ids.filter_map(|p| p.split("</Uncommitted>").next());
                    ids.flat_map(|id| s.blocks[&(key.to_owned(), id.to_owned())].clone()).collect()
                }
                _ => body,
            };
            s.writes += 1;
            let blob = Blob { bytes, headers: headers.clone(), etag: s.writes };
            let fields = format!("ETag: {}\r\n", tag(&blob));
            s.blobs.insert(key.to_owned(), blob);
            (201, fields, Vec::new())
        }
        ("GET" | "HEAD", _) => match s.blobs.get(key) {
            None => (404, String::new(), b"<Error><Code>BlobNotFound</Code></Error>".to_vec()),
            Some(b) => {
                let range = headers.get("range").or(headers.get("x-ms-range"));
                let fields = format!("ETag: {}\r\nx-ms-blob-type: BlockBlob\r\n", tag(b));
                let Some((from, to)) =
                    range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-'))
                else {
                    return (200, fields, b.bytes.clone());
                };
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                let to = to.min(b.bytes.len() - 1);
                let all = b.bytes.len();
                let fields = format!("{fields}Content-Range: bytes {from}-{to}/{all}\r\n");
                (206, fields, b.bytes[from..=to].to_vec())
            }
        },
        _ => (400, String::new(), b"<Error><Code>InvalidUri</Code></Error>".to_vec()),
    }
}
