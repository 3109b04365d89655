use super::*;
use crate::content::Content;
use crate::content::tree::{Node, Tree};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

fn server(site: Site) -> (Server, Arc<Mutex<Vec<Served>>>) {
    let seen: Arc<Mutex<Vec<Served>>> = Arc::default();
    let log = seen.clone();
    let s = Server::start(
        site,
        "127.0.0.1:0".parse().expect("address"),
        Arc::new(move |r| log.lock().expect("lock").push(r.clone())),
    )
    .expect("server");
    (s, seen)
}

fn tree() -> Site {
    let rope = Content::concat(["head".into(), Content::zeros(3), "tail".into()]);
    let t: Tree = [
        ("boot.ipxe".parse().expect("path"), Node::file("#!ipxe\n")),
        ("x/rope".parse().expect("path"), Node::file(rope)),
    ]
    .into_iter()
    .collect();
    Site::tree(Arc::new(t))
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn to(s: &Server) -> Self {
        Client(BufReader::new(TcpStream::connect(s.addr()).expect("connect")))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("send");
    }

    fn ask(&mut self, line: &str, more: &str) -> (u16, String, Vec<u8>) {
        self.say(&format!("{line} HTTP/1.1\r\nHost: x\r\n{more}\r\n"));
        self.hear(!line.starts_with("HEAD"))
    }

    fn hear(&mut self, body: bool) -> (u16, String, Vec<u8>) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).expect("head") > 0, "closed after {head:?}");
        }
        let status = head[9..12].parse().expect("status");
        let at = head.find("Content-Length: ").expect("length") + 16;
        let len: usize = head[at..].lines().next().expect("line").parse().expect("number");
        let mut v = vec![0; if body { len } else { 0 }];
        self.0.read_exact(&mut v).expect("body");
        (status, head, v)
    }
}

#[test]
fn one_connection_many_requests() {
    let (s, seen) = server(tree());
    let mut c = Client::to(&s);
    assert_eq!(c.ask("GET /boot.ipxe", "").2, b"#!ipxe\n");
    assert_eq!(c.ask("GET /boot.ipxe/../x/rope", "").2, b"head\0\0\0tail");
    let (status, head, body) = c.ask("GET /x/rope", "Range: bytes=3-8\r\n");
    assert_eq!((status, &body[..]), (206, &b"d\0\0\0ta"[..]));
    assert!(head.contains("Content-Range: bytes 3-8/11\r\n"), "{head}");
    let (status, head, _) = c.ask("HEAD /x/rope", "");
    assert!(status == 200 && head.contains("Content-Length: 11\r\n"), "{head}");
    assert_eq!(c.ask("GET /x/rope", "Range: bytes=11-\r\n").0, 416);
    assert_eq!(c.ask("GET /images/updates.img", "").0, 404);
    let (status, head, _) = c.ask("GET /x?a", "");
    assert!(status == 301 && head.contains("Location: /x/?a\r\n"), "{head}");
    assert!(c.ask("GET /", "").2.starts_with(b"<!DOCTYPE html>"));
    assert_eq!(c.ask("DELETE /boot.ipxe", "").0, 405);
    // Two heads in one packet, the second in two.
    c.say("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\nGET /boot.ip");
    c.say("xe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(c.hear(true).2, b"#!ipxe\n");
    assert_eq!(c.hear(true).2, b"#!ipxe\n");
    assert_eq!(c.0.read(&mut [0]).expect("closed"), 0);
    drop(s);
    let seen = seen.lock().expect("lock");
    assert_eq!(seen.len(), 11);
    assert_eq!((seen[2].status, seen[2].bytes, seen[2].complete), (206, 6, true));
    assert_eq!(seen[5].path.as_ref().expect("path").to_string(), "images/updates.img");
}

#[test]
fn a_folder_is_sent_from_the_kernel_and_stays_a_cage() {
    let dir = tempfile::tempdir().expect("tempdir");
    let big: Vec<u8> = (0..=250u8).cycle().take(3_000_000).collect();
    std::fs::write(dir.path().join("big"), &big).expect("write");
    let (s, _) = server(Site::folder(dir.path()).expect("folder"));
    let mut c = Client::to(&s);
    assert!(c.ask("GET /big", "").2 == big);
    assert!(c.ask("GET /big", "Range: bytes=1000000-1999999\r\n").2 == big[1_000_000..2_000_000]);
    assert_eq!(c.ask("GET /../../../../etc/hostname", "").0, 404);
}

#[test]
fn a_head_without_end_is_refused() {
    let (s, seen) = server(tree());
    let mut c = Client::to(&s);
    c.say(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD_BYTES)));
    assert_eq!(c.hear(true).0, 431);
    let mut c = Client::to(&s);
    c.say("\x16\x03\x01 tls?\r\n\r\n");
    assert_eq!(c.hear(true).0, 400);
    drop(s);
    assert_eq!(seen.lock().expect("lock").len(), 2);
}

#[test]
fn dropping_it_ends_clients_that_wait() {
    let (s, _) = server(tree());
    let mut idle = Client::to(&s);
    assert_eq!(idle.ask("GET /boot.ipxe", "").0, 200);
    let began = Instant::now();
    drop(s);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(idle.0.read(&mut [0]).unwrap_or(0), 0);
}
