//! `isowright serve` from outside: by raw sockets, by curl, against what `build` and `image` write, and held
//! wrong by clients in every way that came to mind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::source::ReadAt;
use isowright::content::tree::{Node, Tree};
use isowright::serve::{Options, Served, Server, Site};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOOL: &str = env!("CARGO_BIN_EXE_isowright");

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso")
}

/// The running command.
struct Running {
    child: Child,
    at: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(args: &[&str], cwd: &Path) -> Self {
        let mut child = Command::new(TOOL)
            .arg("serve")
            .args(args)
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(cwd)
            .env("TMPDIR", cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let at = first.strip_prefix("Serving on http://").and_then(|l| l.split('/').next());
        let at = at.unwrap_or_else(|| panic!("it said {first:?}")).parse().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = log.clone();
        std::thread::spawn(move || {
            for l in out.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(l);
            }
        });
        Running { child, at, log }
    }

    /// Waits for a line of the log with these words.
    fn logged(&self, words: &str) -> bool {
        for _ in 0..300 {
            if self.log.lock().unwrap().iter().any(|l| l.contains(words)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: status, fields by lower-case names, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn to(at: SocketAddr) -> Self {
        let s = TcpStream::connect(at).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client(BufReader::new(s))
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// `None`: the connection ended first.
    fn hear(&mut self, body: bool) -> Option<Answer> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut fields = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            fields.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let len = fields.get("content-length").map_or(0, |l| l.parse().unwrap());
        let mut v = vec![0; if body && status != 304 { len } else { 0 }];
        self.0.read_exact(&mut v).ok()?;
        Some(Answer { status, fields, body: v })
    }

    fn get(&mut self, target: &str, more: &str) -> Answer {
        self.say(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n"));
        self.hear(true).expect("an answer")
    }
}

fn get(at: SocketAddr, target: &str) -> Answer {
    Client::to(at).get(target, "")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(d) = left.pop() {
        for e in std::fs::read_dir(&d).unwrap().flatten() {
            match e.file_type().unwrap().is_dir() {
                true => left.push(e.path()),
                false => out.push(e.path().strip_prefix(dir).unwrap().to_owned()),
            }
        }
    }
    out.sort();
    out
}

fn tool(args: &[&str]) {
    let o = Command::new(TOOL).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
}

fn text(p: &Path) -> &str {
    p.to_str().unwrap()
}

fn lib(site: Site) -> (Server, Arc<Mutex<Vec<Served>>>) {
    let seen: Arc<Mutex<Vec<Served>>> = Arc::default();
    let log = seen.clone();
    let log = Arc::new(move |r: &Served| log.lock().unwrap().push(r.clone()));
    (
        Server::start_with(site, "127.0.0.1:0".parse().unwrap(), Options::default(), log).unwrap(),
        seen,
    )
}

#[test]
fn an_iso_is_served_as_it_would_be_built_and_nothing_is_written() {
    let (built, cwd) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let iso = material_or_demo();
    tool(&["build", text(&iso), "-o", text(built.path())]);
    let run = Running::start(&[text(&iso)], cwd.path());
    let mut c = Client::to(run.at);
    let mut n = 0;
    for f in files(built.path()) {
        if matches!(text(&f), "manifest.json" | "SHA256SUMS") {
            continue;
        }
        let a = c.get(&format!("/{}", text(&f)), "");
        assert_eq!(a.status, 200, "{f:?}");
        assert!(a.body == std::fs::read(built.path().join(&f)).unwrap(), "{f:?} differs");
        n += 1;
    }
    assert!(n > 3, "{n} files");
    assert!(get(run.at, "/repo/").status < 300 || !built.path().join("repo").exists());
    assert_eq!(get(run.at, "/images/updates.img").status, 404);
    assert!(run.logged("script \u{2192} ") || run.logged("machine 127.0.0.1: "));
    drop(run);
    assert_eq!(files(cwd.path()), Vec::<PathBuf>::new());
}

/// An installer with a repository and dotfiles where the material is there.
fn material_or_demo() -> PathBuf {
    support::material("el9.iso").unwrap_or_else(demo)
}

#[test]
fn an_iso_of_another_server_is_served_without_a_copy() {
    let (built, cwd) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let iso = demo();
    tool(&["build", text(&iso), "-o", text(built.path())]);
    let far = Running::start(&[text(iso.parent().unwrap())], cwd.path());
    let url = format!("http://{}/demo.iso", far.at);
    let run = Running::start(&[&url], cwd.path());
    let mut c = Client::to(run.at);
    for f in ["vmlinuz", "initrd.img", "boot.ipxe"] {
        let a = c.get(&format!("/{f}"), "");
        assert!(a.status == 200 && a.body == std::fs::read(built.path().join(f)).unwrap(), "{f}");
    }
    assert!(far.logged("GET /demo.iso 206 "), "{:?}", far.log.lock().unwrap());
    drop((run, far));
    assert_eq!(files(cwd.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_recipe_file_is_served_with_its_image() {
    let dir = tempfile::tempdir().unwrap();
    let job = dir.path().join("job.toml");
    let iso = demo();
    let outputs =
        "[[output]]\ndir = \"one\"\nboot_only = true\n[[output]]\nimage = { path = \"new.iso\" }\n";
    std::fs::write(&job, format!("[source]\npath = {:?}\n{outputs}", text(&iso))).unwrap();
    let run = Running::start(&[text(&job), text(&iso)], dir.path());
    let list = get(run.at, "/?json").body;
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let names: Vec<&str> =
        list["entries"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    let image = *names.iter().find(|n| n.ends_with(".iso")).unwrap_or_else(|| panic!("{names:?}"));
    let folders: Vec<&&str> =
        names.iter().filter(|n| !n.contains(".iso") && !n.contains("ipxe")).collect();
    assert_eq!(folders.len(), 2, "{names:?}");
    let menu = String::from_utf8(get(run.at, "/index.ipxe").body).unwrap();
    for f in &folders {
        assert!(menu.contains(&format!("chain {f}/boot.ipxe")), "{menu}");
        assert_eq!(get(run.at, &format!("/{f}/boot.ipxe")).status, 200);
        assert_eq!(get(run.at, &format!("/{f}")).field("location"), format!("/{f}/"));
    }
    let a = get(run.at, &format!("/{image}"));
    assert_eq!(a.field("content-type"), "application/vnd.efi-iso");
    // What `build` writes for the same file.
    tool(&["build", text(&job)]);
    let whole = std::fs::read(dir.path().join("new.iso")).unwrap();
    assert!(a.body == whole, "the image differs from the one that was written");
    let mut c = Client::to(run.at);
    let last = whole.len() - 1;
    for (range, from, to) in
        [("32768-36863", 32768, 36863), ("-1", last, last), ("0-2047", 0, 2047)]
    {
        let a = c.get(&format!("/{image}"), &format!("Range: bytes={range}\r\n"));
        assert_eq!(a.field("content-range"), format!("bytes {from}-{to}/{}", whole.len()));
        assert!(a.status == 206 && a.body == whole[from..=to], "{range}");
    }
}

#[test]
fn a_folder_is_served_with_every_name_and_nothing_outside() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("repo/Boot")).unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    for name in
        [".treeinfo", "gcc-c++.rpm", "a b", "caf\u{e9}", "repo/Boot/BCD", "100%", "a:b", "<b>"]
    {
        std::fs::write(root.join(name), name).unwrap();
    }
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    let run = Running::start(&[text(&root)], dir.path());
    for (target, want) in [
        ("/.treeinfo", ".treeinfo"),
        ("/gcc-c++.rpm", "gcc-c++.rpm"),
        ("/gcc-c%2B%2b.rpm", "gcc-c++.rpm"),
        ("/a%20b", "a b"),
        ("/caf%C3%A9", "caf\u{e9}"),
        ("/repo/boot/bcd", "repo/Boot/BCD"),
        ("/REPO/Boot/BCD?x=y", "repo/Boot/BCD"),
        ("/boot.ipxe/../repo/Boot/BCD", "repo/Boot/BCD"),
        ("//repo//./Boot/BCD", "repo/Boot/BCD"),
        ("http://elsewhere/100%25", "100%"),
        ("/%3Cb%3E", "<b>"),
    ] {
        let a = get(run.at, target);
        assert_eq!((a.status, String::from_utf8_lossy(&a.body).as_ref()), (200, want), "{target}");
    }
    for target in [
        "/out",
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/repo/../../secret",
        "/root/../../secret",
        "/a+b",
        "/.treeinfo/",
        "/.treeinfo/x",
        "/%00",
        "/a%20b%00",
        "/a%zz",
        "/none",
        "/\u{e9}",
    ] {
        let a = get(run.at, target);
        assert!(matches!(a.status, 400 | 404), "{target}: {a:?}");
        assert!(!String::from_utf8_lossy(&a.body).contains("secret"), "{target}");
    }
    let page = String::from_utf8(get(run.at, "/").body).unwrap();
    assert!(page.contains("./%3Cb%3E\">&lt;b&gt;</a>") && page.contains("./.treeinfo\""), "{page}");
    assert!(!page.contains("out") && !page.contains("<b>"), "{page}");
    let mut c = Client::to(run.at);
    let a = c.get("/repo/", "Accept: application/json\r\n");
    assert_eq!(a.field("content-type"), "application/json");
    let v: serde_json::Value = serde_json::from_slice(&a.body).unwrap();
    assert_eq!(v["entries"][0]["name"], "Boot");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        c.say(format!("{method} /.treeinfo HTTP/1.1\r\nHost: x\r\n\r\n"));
        let a = c.hear(true).unwrap();
        assert_eq!((a.status, a.field("allow")), (405, "GET, HEAD"), "{method}");
    }
    c.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /");
    assert_eq!(c.hear(true).unwrap().status, 405);
    assert!(c.hear(true).is_none(), "a body was taken for a request");
    assert_eq!(std::fs::read_to_string(root.join(".treeinfo")).unwrap(), ".treeinfo");
}

#[test]
fn conditions_and_tags_follow_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "0123456789").unwrap();
    let run = Running::start(&[text(dir.path())], dir.path());
    let mut c = Client::to(run.at);
    let first = c.get("/f", "");
    let (tag, date) = (first.field("etag").to_owned(), first.field("last-modified").to_owned());
    assert!(tag.starts_with('"') && !date.is_empty(), "{first:?}");
    assert_eq!(c.get("/f", "").field("etag"), tag);
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, want) in [
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: \"x\", W/{tag}\r\n"), 304),
        ("If-None-Match: \"x\"\r\n".into(), 200),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        (format!("If-Match: {tag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".into(), 412),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (format!("If-Range: {tag}\r\nRange: bytes=1-2\r\n"), 206),
        ("If-Range: \"x\"\r\nRange: bytes=1-2\r\n".into(), 200),
        (format!("If-Range: W/{tag}\r\nRange: bytes=1-2\r\n"), 200),
        (format!("If-Range: {date}\r\nRange: bytes=1-2\r\n"), 206),
        (format!("If-None-Match: {tag}\r\nRange: bytes=1-2\r\n"), 304),
        ("Range: bytes=10-\r\n".into(), 416),
    ] {
        let a = c.get("/f", &fields);
        assert_eq!(a.status, want, "{fields}");
        assert!(!matches!(a.status, 200 | 206 | 304) || a.field("etag") == tag, "{fields}");
    }
    // Written anew in place, as long as before.
    std::fs::write(&file, "9876543210").unwrap();
    let a = c.get("/f", &format!("If-Range: {tag}\r\nRange: bytes=1-2\r\n"));
    assert_eq!((a.status, &a.body[..]), (200, &b"9876543210"[..]));
    assert_ne!(a.field("etag"), tag);
    c.say("HEAD /f HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    let a = c.hear(false).unwrap();
    assert_eq!((a.status, a.field("content-length")), (200, "10"));
    c.say("GET /f HTTP/1.0\r\n\r\n");
    assert_eq!(c.hear(true).unwrap().field("connection"), "close");
    assert!(c.hear(true).is_none());
}

#[test]
fn who_serves_others_is_told_so_and_who_can_t_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let start = |listen: &str| {
        let mut c = Command::new(TOOL);
        c.args(["serve", text(dir.path()), "--listen", listen]).stdin(Stdio::null());
        c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut child = start("0.0.0.0:0");
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap().stderr;
    assert!(
        String::from_utf8_lossy(&said).starts_with("warning: whoever reaches 0.0.0.0:"),
        "{said:?}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let o = start(&taken.local_addr().unwrap().to_string()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&o.stderr).into_owned();
    assert_eq!(o.status.code(), Some(2));
    assert!(said.contains("can't listen on 127.0.0.1:") && said.contains("\nhint: "), "{said}");
}

#[test]
fn curl_gets_along_with_it() {
    let Some(curl) = support::packaged("/usr/bin/curl", "curl") else { return };
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..=250u8).cycle().take(3_000_000).collect();
    std::fs::write(dir.path().join("big"), &bytes).unwrap();
    let run = Running::start(&[text(dir.path())], dir.path());
    let url = format!("http://{}/big", run.at);
    let part = dir.path().join("part");
    std::fs::write(&part, &bytes[..1_234_567]).unwrap();
    let ok = |args: &[&str]| {
        let o = Command::new(&curl).args(["-sSf", "--max-time", "60"]).args(args).output().unwrap();
        assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
        o.stdout
    };
    ok(&["-C", "-", "-o", text(&part), &url]);
    assert!(std::fs::read(&part).unwrap() == bytes);
    assert!(ok(&["-r", "-5", &url]) == bytes[bytes.len() - 5..]);
    assert!(ok(&["-r", "0-0", &url]) == bytes[..1]);
    assert!(String::from_utf8_lossy(&ok(&["-I", &url])).contains("Accept-Ranges: bytes"));
    let twice = ok(&["-w", "%{num_connects} ", "-o", "/dev/null", "-o", "/dev/null", &url, &url]);
    assert_eq!(String::from_utf8_lossy(&twice), "1 0 ", "the connection is used again");
}

#[test]
fn many_at_once_slow_ones_and_loud_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "file").unwrap();
    let run = Running::start(&[text(dir.path()), "--connections", "100"], dir.path());
    // A head that comes a byte at a time is answered in the end with 408; meanwhile others are served.
    let mut slow = Client::to(run.at);
    let trickle = {
        let mut s = slow.0.get_ref().try_clone().unwrap();
        std::thread::spawn(move || {
            let endless = b"GET /f HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
            for b in endless.take(400) {
                if s.write_all(&[*b]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    // Pipelined, more than are answered in a turn, and cut in odd places.
    let mut c = Client::to(run.at);
    let all = "GET /f HTTP/1.1\r\nHost: x\r\n\r\nGET /g HTTP/1.1\r\nHost: x\r\n\r\n".repeat(60);
    for piece in all.as_bytes().chunks(37) {
        c.say(piece);
    }
    for i in 0..120 {
        let a = c.hear(true).unwrap_or_else(|| panic!("answer {i}"));
        assert_eq!(a.status, if i % 2 == 0 { 200 } else { 404 });
    }
    // Heads that are too long, and what is no head at all.
    for (said, want) in [
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(40_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100)), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("\u{16}\u{3}\u{1} hello\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\nHost: x\n\n".into(), 200),
    ] {
        let mut c = Client::to(run.at);
        // It may refuse before all is said.
        let _ = c.0.get_mut().write_all(said.as_bytes());
        let a = c.hear(true).unwrap_or_else(|| panic!("no answer to {:?}", &said[..20]));
        assert_eq!(a.status, want, "{:?}", &said[..20.min(said.len())]);
    }
    // Three times as many idle clients as there are places: they make room for one that asks.
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(run.at).unwrap()).collect();
    assert_eq!(get(run.at, "/f").body, b"file");
    drop(idle);
    assert_eq!(slow.hear(true).expect("an answer").status, 408);
    drop(slow);
    trickle.join().unwrap();
}

#[test]
fn it_stops_when_what_is_on_its_way_has_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let len = 200u64 << 20;
    std::fs::File::create(dir.path().join("big")).unwrap().set_len(len).unwrap();
    let mut run = Running::start(&[text(dir.path())], dir.path());
    let mut idle = Client::to(run.at);
    assert_eq!(idle.get("/none", "").status, 404);
    let mut c = Client::to(run.at);
    c.say("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        c.0.read_line(&mut head).unwrap();
    }
    run.interrupt();
    assert!(idle.hear(true).is_none(), "an idle client is told at once");
    let mut got = 0;
    let mut buf = vec![0; 1 << 20];
    loop {
        match c.0.read(&mut buf).unwrap() {
            0 => break,
            n => got += n as u64,
        }
    }
    assert_eq!(got, len);
    assert_eq!(run.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(run.at).is_err());
}

#[test]
fn machines_are_followed_on_the_status_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = Running::start(&[text(&demo()), "--status"], dir.path());
    let mut c = Client::to(run.at);
    for target in
        ["/boot.ipxe?mac=52:54:00:12:34:56", "/vmlinuz", "/initrd.img", "/.isowright/done"]
    {
        assert_eq!(c.get(target, "").status, 200, "{target}");
    }
    assert!(run.logged("machine 127.0.0.1 (52:54:00:12:34:56): script \u{2192} kernel \u{2192} initrd \u{2192} done"));
    let a = c.get("/.isowright/status?json", "");
    let v: serde_json::Value = serde_json::from_slice(&a.body).unwrap();
    assert_eq!(v["machines"][0]["stage"], "done");
    assert_eq!(v["machines"][0]["mac"], "52:54:00:12:34:56");
    let page = c.get("/.isowright/status", "");
    assert!(String::from_utf8_lossy(&page.body).contains("http-equiv=\"refresh\""));
    assert_eq!(page.field("cache-control"), "no-store");
    let without = Running::start(&[text(&demo())], dir.path());
    assert_eq!(get(without.at, "/.isowright/status").status, 404);
}

#[test]
fn answers_say_when_an_installation_is_through() {
    let dir = tempfile::tempdir().unwrap();
    let iso = demo();
    let tells = |args: &[&str]| {
        let args = [&[text(&iso), "--delivery", "url"], args].concat();
        let run = Running::start(&args, dir.path());
        let mut c = Client::to(run.at);
        for target in ["/boot.ipxe", "/vmlinuz"] {
            assert_eq!(c.get(target, "").status, 200, "{target}");
        }
        let ks = String::from_utf8(c.get("/answers/ks.cfg", "").body).unwrap();
        assert!(run.logged("script \u{2192} kernel \u{2192} answers"));
        ks.lines().find(|l| l.contains("/.isowright/done")).map(str::to_owned)
    };
    let line = "curl -fsS -m 20 -o /dev/null 'http://192.0.2.1:8080/.isowright/done' || :";
    assert_eq!(tells(&["--base-url", "http://192.0.2.1:8080/"]).as_deref(), Some(line));
    // Machines can't be told to reach a port of this machine alone.
    assert_eq!(tells(&[]), None);
    let Some(debian) = support::material("debian-installer.iso") else { return };
    let args = [text(&debian), "--base-url", "http://192.0.2.1:8080/"];
    let initrd = get(Running::start(&args, dir.path()).at, "/initrd.img").body;
    let line = b"wget -q -O /dev/null 'http://192.0.2.1:8080/.isowright/done' || :";
    // Behind the vendor's own.
    let ours = &initrd[initrd.len() - (64 << 10)..];
    assert!(ours.windows(line.len()).any(|w| w == line));
}

#[test]
fn dnsmasq_takes_the_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let Some(dnsmasq) = support::packaged("/usr/sbin/dnsmasq", "dnsmasq-base") else { return };
    let proxy = ["--dnsmasq", "proxy", "--subnet", "192.0.2.0"];
    let full = ["--dnsmasq", "full", "--range", "192.0.2.100,192.0.2.199", "--interface", "lo"];
    for (args, script) in [(&proxy[..], "boot.ipxe"), (&full[..], "boot.ipxe")] {
        let iso = demo();
        let o = Command::new(TOOL)
            .args(["serve", text(&iso), "--listen", "192.0.2.1:8080"])
            .args(args)
            .output()
            .unwrap();
        assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
        let conf = String::from_utf8(o.stdout).unwrap();
        assert!(
            conf.contains(&format!("dhcp-boot=tag:ipxe,\"http://192.0.2.1:8080/{script}\"")),
            "{conf}"
        );
        let file = dir.path().join("dnsmasq.conf");
        std::fs::write(&file, &conf).unwrap();
        let o = Command::new(&dnsmasq).arg("--test").arg("-C").arg(&file).output().unwrap();
        assert!(o.status.success(), "{}{conf}", String::from_utf8_lossy(&o.stderr));
    }
    for wrong in [
        &["--dnsmasq", "full"][..],
        &["--dnsmasq", "full", "--range", "192.0.2.9,192.0.2.1"],
        &["--dnsmasq", "proxy", "--interface", "a b"],
        &["--dnsmasq", "proxy", "--listen", "0.0.0.0:80"],
        &["--dnsmasq", "proxy", "--base-url", "https://192.0.2.1/"],
        &["--dnsmasq", "proxy", "--ipxe", "/a\nb"],
    ] {
        let listen =
            if wrong.contains(&"--listen") { &[][..] } else { &["--listen", "192.0.2.1:80"] };
        let o =
            Command::new(TOOL).args(["serve", "x.iso"]).args(wrong).args(listen).output().unwrap();
        assert_eq!(o.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&o.stderr).contains("\nhint: "), "{wrong:?}");
    }
}

/// A source that is no file, as a remote ISO is none; it fails from `broken` on.
struct Far {
    bytes: Vec<u8>,
    broken: usize,
}

impl ReadAt for Far {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> std::io::Result<()> {
        let at = off as usize;
        if at + buf.len() > self.broken {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        buf.copy_from_slice(&self.bytes[at..at + buf.len()]);
        Ok(())
    }
}

#[test]
fn what_is_no_file_is_served_beside_the_others() {
    let bytes: Vec<u8> = (0..=250u8).cycle().take(3_000_000).collect();
    let far = |broken| Content::whole(Arc::new(Far { bytes: bytes.clone(), broken }));
    let tree: Tree = [("far", usize::MAX), ("broken", 1_000_000)]
        .into_iter()
        .map(|(n, broken)| (n.parse().unwrap(), Node::file(far(broken))))
        .collect();
    let (server, seen) = lib(Site::tree(Arc::new(tree)));
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let (at, bytes) = (server.addr(), bytes.clone());
            std::thread::spawn(move || {
                let mut c = Client::to(at);
                assert!(c.get("/far", "").body == bytes);
                // The connection goes on.
                assert!(c.get("/far", "Range: bytes=1000-1999\r\n").body == bytes[1000..2000]);
                assert_eq!(c.get("/none", "").status, 404);
            })
        })
        .collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    let mut c = Client::to(server.addr());
    c.say("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(c.hear(true).is_none(), "what can't be read ends the connection");
    drop(server);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|r| r.complete).count(), 120);
    let broken: Vec<_> = seen.iter().filter(|r| !r.complete).collect();
    assert!(
        broken.len() == 1 && broken[0].target == "/broken" && broken[0].bytes < 1_000_001,
        "{broken:?}"
    );
}

/// A range as a client may spell it, and what it means for a file of `len` bytes.
#[derive(Debug, Clone)]
enum Spec {
    From(u64),
    To(u64, u64),
    Last(u64),
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Spec::From(a) => format!("{a}-"),
            Spec::To(a, n) => format!("{a}-{}", a + n),
            Spec::Last(n) => format!("-{n}"),
        }
    }

    fn of<'a>(&self, model: &'a [u8]) -> Option<&'a [u8]> {
        let len = model.len() as u64;
        let (a, b) = match *self {
            Spec::From(a) => (a, len),
            Spec::To(a, n) => (a, (a + n + 1).min(len)),
            Spec::Last(n) => (len - n.min(len), len),
        };
        (a < b).then(|| &model[a as usize..b as usize])
    }
}

fn spec(len: u64) -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0..len + 10).prop_map(Spec::From),
        (0..len + 10, 0..len / 4).prop_map(|(a, n)| Spec::To(a, n)),
        (0..len / 4).prop_map(Spec::Last),
    ]
}

#[test]
fn ranges_agree_with_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..=250u8).cycle().take(90_000).collect();
    let file = dir.path().join("src");
    std::fs::write(&file, &bytes).unwrap();
    let whole = Content::open(&file).unwrap();
    // A rope of all that there is: memory, extents, zeros.
    let rope = Content::concat([
        "head".into(),
        whole.slice(1000..61_000).unwrap(),
        Content::zeros(70_000),
        bytes[..5000].to_vec().into(),
        whole.slice(0..10).unwrap(),
    ]);
    let model = rope.read_all(1 << 20).unwrap();
    let tree: Tree = [("f".parse().unwrap(), Node::file(rope))].into_iter().collect();
    let (server, _) = lib(Site::tree(Arc::new(tree)));
    let client = std::cell::RefCell::new(Client::to(server.addr()));
    let len = model.len() as u64;
    let specs = prop::collection::vec(spec(len), 1..6);
    proptest!(ProptestConfig::with_cases(300), |(specs in specs)| {
        let said: Vec<String> = specs.iter().map(Spec::text).collect();
        let a = client.borrow_mut().get("/f", &format!("Range: bytes={}\r\n", said.join(", ")));
        let there: Vec<&[u8]> = specs.iter().filter_map(|s| s.of(&model)).collect();
        let sum: usize = there.iter().map(|p| p.len()).sum();
        match &there[..] {
            [] => prop_assert_eq!(a.status, 416),
            [one] => prop_assert!(a.status == 206 && &a.body[..] == *one),
            _ if sum > model.len() => prop_assert!(a.status == 200 && a.body == model),
            several => {
                prop_assert_eq!(a.status, 206);
                let kind = a.field("content-type");
                let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
                prop_assert_eq!(parts(&a.body, boundary), several.iter().map(|p| p.to_vec()).collect::<Vec<_>>());
            }
        }
    });
}

/// The bodies of a multipart, by the lengths that their heads give.
fn parts(mut body: &[u8], boundary: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let start = format!("\r\n--{boundary}");
        body = body.strip_prefix(start.as_bytes()).expect("a boundary");
        if body == b"--\r\n" {
            return out;
        }
        let end = body.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&body[..end]).unwrap();
        let range = head.lines().find_map(|l| l.strip_prefix("Content-Range: bytes ")).unwrap();
        let (a, b) = range.split('/').next().unwrap().split_once('-').unwrap();
        let len = b.parse::<usize>().unwrap() - a.parse::<usize>().unwrap() + 1;
        out.push(body[end + 4..end + 4 + len].to_vec());
        body = &body[end + 4 + len..];
    }
}
