//! An object store in this process (s3s-fs), and a proxy in front of it that counts and does harm.

use isowright::content::Content;
use isowright::content::copy::digest;
use isowright::media::identity::Identity;
use isowright::plan::{Origin, Source};
use isowright::publish::manifest::{FileRow, Manifest};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running store with one bucket, `boot`, whose objects are the files of a folder.
pub struct Server {
    dir: tempfile::TempDir,
    addr: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts one. With `keys` it wants signed requests; without, whoever asks may do all.
    pub fn start(keys: Option<(&str, &str)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("boot")).unwrap();
        let fs = s3s_fs::FileSystem::new(dir.path()).unwrap();
        let mut service = s3s::service::S3ServiceBuilder::new(fs);
        if let Some((id, secret)) = keys {
            service.set_auth(s3s::auth::SimpleAuth::from_single(id, secret));
        }
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || {
            use hyper_util::rt::{TokioExecutor, TokioIo};
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((socket, _)) = listener.accept().await {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let http =
                            hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        drop(http.serve_connection(TokioIo::new(socket), service).await);
                    });
                }
            });
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        });
        Server { dir, addr, stop: Some(stop), thread: Some(thread) }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the objects of the bucket lie.
    pub fn bucket(&self) -> PathBuf {
        self.dir.path().join("boot")
    }

    /// Files of uploads that nobody has ended.
    pub fn open_parts(&self) -> usize {
        let names = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        names.filter(|e| e.file_name().to_string_lossy().contains(".part-")).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|s| s.send(()));
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// A request, as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the bucket.
    pub key: String,
    pub query: String,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    Pass,
    /// Both connections break after so many bytes of the body.
    Cut(u64),
    /// It is held until the client gives up.
    Stall,
    /// An answer of ours, and the store never sees it.
    Say(u16, &'static str),
    /// The byte at this place of the body arrives as another one.
    Flip(u64),
}

type Rule = Box<dyn FnMut(&Asked) -> Fate + Send>;

/// A proxy.
pub struct Proxy {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    rule: Arc<Mutex<Rule>>,
}

impl Proxy {
    pub fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let (log, rules) = (seen.clone(), rule.clone());
        // It lives as long as the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, rules) = (log.clone(), rules.clone());
                thread::spawn(move || drop(relay(client, to, &log, &rules)));
            }
        });
        Proxy { addr, seen, rule }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on.
    pub fn rule(&self, rule: impl FnMut(&Asked) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// What was asked since the last time.
    pub fn seen(&self) -> Vec<Asked> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// One request and its answer; the connection ends with it.
fn relay(
    mut client: TcpStream,
    to: SocketAddr,
    seen: &Mutex<Vec<Asked>>,
    rule: &Mutex<Rule>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let field = |name: &str| {
        let lines = text.lines().filter_map(|l| l.split_once(':'));
        lines.filter(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).next()
    };
    let len = field("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let key = path.trim_start_matches("/boot").trim_start_matches('/').to_owned();
    let conditional = method == "PUT" && (field("if-none-match").or(field("if-match"))).is_some();
    let asked = Asked { method, key, query: query.to_owned() };
    let fate = (rule.lock().unwrap())(&asked);
    seen.lock().unwrap().push(asked);

    if matches!(fate, Fate::Stall) {
        std::io::copy(&mut client, &mut std::io::sink())?;
        return Ok(());
    }
    if let Fate::Say(status, body) = fate {
        std::io::copy(&mut (&client).take(len), &mut std::io::sink())?;
        let length = body.len();
        write!(
            client,
            "HTTP/1.1 {status} Because\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        return Ok(());
    }
    // s3s-fs looks first and writes then, so that two may find nothing there; other stores do it in one step.
    static STEP: Mutex<()> = Mutex::new(());
    let _step = conditional.then(|| STEP.lock().unwrap_or_else(PoisonError::into_inner));
    let mut server = TcpStream::connect(to)?;
    let first = text.find("\r\n").unwrap_or(0);
    server.write_all(&head[..first])?;
    server.write_all(b"\r\nConnection: close")?;
    // A token of Google's says nothing to s3s, which would refuse it.
    let token = text.to_ascii_lowercase().find("\r\nauthorization: bearer ");
    match token.map(|at| (at, text[at + 2..].find("\r\n"))) {
        Some((at, Some(len))) => {
            server.write_all(&head[first..at])?;
            server.write_all(&head[at + 2 + len..])?;
        }
        _ => server.write_all(&head[first..])?,
    }
    let mut at = 0;
    let mut buffer = vec![0; 1 << 16];
    while at < len {
        let most = buffer.len().min((len - at) as usize);
        let n = client.read(&mut buffer[..most])?;
        if n == 0 {
            return Ok(());
        }
        match fate {
            Fate::Cut(after) if at + n as u64 > after => return Ok(()),
            Fate::Flip(i) if (at..at + n as u64).contains(&i) => buffer[(i - at) as usize] ^= 1,
            _ => {}
        }
        server.write_all(&buffer[..n])?;
        at += n as u64;
    }
    std::io::copy(&mut server, &mut client)?;
    Ok(())
}

/// All files below a folder, by path, but the store's own notes about them.
pub fn objects(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut out = std::collections::BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(d) = left.pop() {
        for e in std::fs::read_dir(&d).into_iter().flatten().flatten() {
            if e.file_type().unwrap().is_dir() {
                left.push(e.path());
            } else {
                let key = e.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                out.insert(key, std::fs::read(e.path()).unwrap());
            }
        }
    }
    out
}

/// A tree as build makes one, with a kernel of two parts and names that stores stumble over.
pub fn tree(dir: &Path, version: u8) {
    let vendor = |path: &str| Origin::Medium { path: path.into(), offset: None };
    let mut files = vec![
        (
            "vmlinuz",
            (0..(8 << 20) + 12_345).map(|i| (i % 251) as u8 ^ version).collect(),
            vendor("vmlinuz"),
        ),
        ("initrd.img", vec![version; 100_000], Origin::Made),
        ("boot.ipxe", format!("#!ipxe\n# {version}\nkernel vmlinuz\n").into_bytes(), Origin::Made),
        ("grub/grub.cfg", format!("# {version}\n").into_bytes(), Origin::Made),
        ("repo/.treeinfo", b"[general]\n".to_vec(), vendor("x")),
        ("repo/libstdc++-11.rpm", b"plus plus".to_vec(), vendor("x")),
        ("repo/na\u{ef}ve file%20.txt", b"odd".to_vec(), vendor("x")),
    ];
    if version > 1 {
        files.push(("repo/new-in-2.rpm", b"new".to_vec(), vendor("x")));
    } else {
        files.push(("repo/only-in-1.rpm", b"old".to_vec(), vendor("x")));
    }
    let mut rows = Vec::new();
    for (path, bytes, origin) in files {
        let at = dir.join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, &bytes).unwrap();
        let size = bytes.len() as u64;
        let sha256 = digest(&Content::from(bytes), &|_| true).unwrap();
        let path = path.parse().unwrap();
        rows.push(FileRow { path, size, sha256, mode: None, origin, reasons: Vec::new() });
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        format: 1,
        tool: "a test".into(),
        name: "x".into(),
        recipe: "x".into(),
        media: Identity::default(),
        source: Source { name: "x.iso".into(), ..Source::default() },
        source_date_epoch: None,
        title: format!("X {version}"),
        must_have: Vec::new(),
        hosted_elsewhere: Vec::new(),
        hosts: Vec::new(),
        ram_mib: 0,
        unattended: false,
        disks: Default::default(),
        coverage: Vec::new(),
        notes: Vec::new(),
        files: rows,
    };
    std::fs::write(dir.join("manifest.json"), manifest.to_json().unwrap()).unwrap();
    std::fs::write(dir.join("SHA256SUMS"), manifest.sums().unwrap()).unwrap();
}
