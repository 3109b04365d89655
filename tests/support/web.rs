//! A web server of the tests' own that serves one file as it is told to, wrongly too, and tells what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Counted from 0.
    pub number: usize,
    /// `/a.iso?x`.
    pub target: String,
    /// The bytes of `Range`.
    pub range: Option<Range<usize>>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Ask {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The connection is cut after so many bytes of the body.
    pub cut: Option<usize>,
    /// Pause before each byte.
    pub drip: Option<Duration>,
    /// Nothing is said at all for so long.
    pub silence: Option<Duration>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        let headers = vec![("Content-Length", "0".to_owned())];
        Answer { status, headers, body: Vec::new(), cut: None, drip: None, silence: None }
    }

    pub fn redirect(to: &str) -> Self {
        Self::status(302).with("Location", to)
    }

    /// With that header in place of what it had; without where `value` is empty.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    /// As a server that knows ranges sends `file`.
    pub fn right(ask: &Ask, file: &[u8]) -> Self {
        let len = file.len();
        let mut a = Self::status(200)
            .with("ETag", "\"one\"")
            .with("Last-Modified", "Tue, 03 Nov 2026 10:00:00 GMT");
        match &ask.range {
            Some(r) if r.start >= len => a.status = 416,
            Some(r) => {
                let r = r.start..r.end.min(len);
                a.status = 206;
                a = a.with("Content-Range", &format!("bytes {}-{}/{len}", r.start, r.end - 1));
                a.body = file[r].to_vec();
            }
            None => a.body = file.to_vec(),
        }
        let n = a.body.len().to_string();
        a.with("Content-Length", &n)
    }

    /// As a server that does not.
    pub fn whole(file: &[u8]) -> Self {
        let mut a = Self::status(200).with("Content-Length", &file.len().to_string());
        a.body = file.to_vec();
        a
    }
}

/// What was asked and sent.
#[derive(Debug, Default)]
pub struct Log {
    pub asks: Vec<Ask>,
    pub bytes: usize,
}

/// The server; it goes with the process.
pub struct Web {
    pub port: u16,
    pub log: Arc<Mutex<Log>>,
}

impl Web {
    pub fn new(answer: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let web = Web { port: listener.local_addr().unwrap().port(), log: Arc::default() };
        let (log, answer) = (web.log.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        web
    }

    /// One that serves `file` well.
    pub fn of(file: Vec<u8>) -> Web {
        Web::new(move |ask| Answer::right(ask, &file))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Requests and bytes since the last time.
    pub fn count(&self) -> (usize, usize) {
        // The last bytes may just be on their way.
        std::thread::sleep(Duration::from_millis(50));
        let mut log = self.log.lock().unwrap();
        let n = (log.asks.len(), log.bytes);
        log.asks.clear();
        log.bytes = 0;
        n
    }
}

fn serve(stream: TcpStream, log: &Mutex<Log>, answer: &dyn Fn(&Ask) -> Answer) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut ask) = read_ask(&mut reader) {
        {
            let mut log = log.lock().unwrap();
            ask.number = log.asks.len();
            log.asks.push(ask.clone());
        }
        if send(&stream, &answer(&ask), log).is_none() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read_ask(reader: &mut impl BufRead) -> Option<Ask> {
    let mut line = || {
        let mut l = String::new();
        reader.read_line(&mut l).ok().filter(|n| *n > 0)?;
        Some(l.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let l = line()?;
        if l.is_empty() {
            break;
        }
        let (name, value) = l.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut ask =
        Ask { number: 0, target: first.split(' ').nth(1)?.to_owned(), range: None, headers };
    ask.range = ask.header("range").and_then(|r| {
        let (a, b) = r.strip_prefix("bytes=")?.split_once('-')?;
        Some(a.parse().ok()?..b.parse::<usize>().ok()? + 1)
    });
    Some(ask)
}

/// `None` where the connection is not to be used again.
fn send(mut stream: &TcpStream, a: &Answer, log: &Mutex<Log>) -> Option<()> {
    if let Some(time) = a.silence {
        std::thread::sleep(time);
        return None;
    }
    let mut head = format!("HTTP/1.1 {} X\r\n", a.status);
    for (n, v) in &a.headers {
        head.push_str(&format!("{n}: {v}\r\n"));
    }
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    let end = a.cut.unwrap_or(usize::MAX).min(a.body.len());
    let piece = if a.drip.is_some() { 1 } else { 16 << 10 };
    for bytes in a.body[..end].chunks(piece) {
        a.drip.into_iter().for_each(std::thread::sleep);
        stream.write_all(bytes).ok()?;
        log.lock().unwrap().bytes += bytes.len();
    }
    a.cut.is_none().then_some(())
}

/// Runs the program without a proxy of this machine's.
pub fn run(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    for v in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        c.env_remove(v);
    }
    c.args(args).output().unwrap()
}

/// What it prints; the test fails where it does.
pub fn ok(args: &[&str]) -> String {
    let out = run(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
