//! `isowright verify http://…`: a tree on good servers has nothing to say, and each way a server can be wrong
//! is found on the file where it is, and named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::copy::digest;
use isowright::publish::manifest::{FileRow, Manifest};
use isowright::publish::verify::web::{Options, walk};
use isowright::publish::verify::{Finding, Report};
use isowright::serve::{Server, Site};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const PLUS: &str = "repo/BaseOS/Packages/libstdc++-11.4.1-3.el9.x86_64.rpm";
/// More than is compared without --whole.
const BIG: &str = "repo/images/install.img";

fn tool(args: &[&str]) -> (Option<i32>, String, String) {
    let o = Command::new(env!("CARGO_BIN_EXE_isowright")).args(args).output().unwrap();
    let text = |b| String::from_utf8(b).unwrap();
    (o.status.code(), text(o.stdout), text(o.stderr))
}

/// The demo medium's tree, with a package that has a + in its name and an image that is not small.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso");
    let out = dir.path().to_str().unwrap();
    let (code, _, err) = tool(&["build", demo.to_str().unwrap(), "-o", out]);
    assert_eq!(code, Some(0), "{err}");
    let at = dir.path().join("manifest.json");
    let mut m = Manifest::from_json(&std::fs::read(&at).unwrap()).unwrap();
    for (path, bytes) in [(PLUS, vec![7; 300]), (BIG, vec![9; 200_000])] {
        std::fs::write(dir.path().join(path), &bytes).unwrap();
        let sha256 = digest(&bytes.clone().into(), &|_| true).unwrap();
        let like = m.files.iter().find(|f| f.path.to_string() == BIG).unwrap().clone();
        m.files.retain(|f| f.path.to_string() != path);
        m.files.push(FileRow {
            path: path.parse().unwrap(),
            size: bytes.len() as u64,
            sha256,
            ..like
        });
    }
    m.files.sort_by(|a, b| a.path.cmp(&b.path));
    std::fs::write(&at, m.to_json().unwrap()).unwrap();
    std::fs::write(dir.path().join("SHA256SUMS"), m.sums().unwrap()).unwrap();
    dir
}

fn look(url: &str, whole: bool) -> Report {
    walk(url, Options { whole, ..Options::default() }, &|_| true).unwrap()
}

fn broken(w: &Report) -> Vec<(String, String)> {
    let broken = w.findings.iter().filter(|f| f.broken);
    broken.map(|f| (f.path.clone(), f.what.clone())).collect()
}

/// Nothing is wrong, and the notes are these.
fn nothing_to_say(w: &Report, notes: &[&str]) {
    let said: Vec<&Finding> = w.findings.iter().collect();
    let whats: Vec<&str> = said.iter().map(|f| f.what.as_str()).collect();
    assert_eq!(whats.len(), notes.len(), "{said:#?}");
    for (f, n) in said.iter().zip(notes) {
        assert!(!f.broken && f.what.contains(n), "{f:?}");
    }
}

#[test]
fn our_own_server_gives_no_reason_to_complain() {
    let tree = tree();
    let site = Site::folder(tree.path()).unwrap();
    let server = Server::start(site, "127.0.0.1:0".parse().unwrap(), Arc::new(|_| {})).unwrap();
    let url = format!("http://{}/boot.ipxe", server.addr());
    let rows = Manifest::from_json(&std::fs::read(tree.path().join("manifest.json")).unwrap())
        .unwrap()
        .files;
    for whole in [false, true] {
        let w = look(&url, whole);
        nothing_to_say(&w, &[]);
        // SHA256SUMS beside those of the manifest.
        assert_eq!(w.files, rows.len() + 1);
        let small = rows.iter().filter(|f| whole || f.size <= 64 << 10).map(|f| f.size);
        let sums = std::fs::metadata(tree.path().join("SHA256SUMS")).unwrap().len();
        assert_eq!(w.bytes, small.sum::<u64>() + sums);
        assert_eq!(w.entries, 1);
    }
    let (code, out, err) = tool(&["verify", &url.replace("boot.ipxe", "")]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("1 boot entries: holds\n"), "{out}");
}

#[test]
fn a_tree_of_many_hosts_is_walked_as_each_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (demo, hosts) = (root.join("fixtures/demo.iso"), root.join("profiles/hosts.toml"));
    let (demo, hosts) = (demo.to_str().unwrap(), hosts.to_str().unwrap());
    let out = dir.path().to_str().unwrap();
    let (code, _, err) = tool(&["build", demo, "--hosts", hosts, "-o", out]);
    assert_eq!(code, Some(0), "{err}");
    let host = faulty(dir.path(), Arc::new(|_| None));
    let w = look(&format!("{host}/boot.ipxe"), true);
    nothing_to_say(&w, &[]);
    assert!(w.entries >= 3, "{}", w.entries);
    std::fs::remove_dir_all(dir.path().join("answers")).unwrap();
    let w = look(&format!("{host}/boot.ipxe"), true);
    assert!(!broken(&w).is_empty());
    assert!(
        broken(&w).iter().all(|(p, what)| p.starts_with("answers/") && what == "404"),
        "{w:#?}"
    );
}

struct Nginx(Child, #[allow(dead_code)] tempfile::TempDir);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nginx(root: &Path, more: &str) -> Option<(Nginx, String)> {
    let program = support::packaged("/usr/sbin/nginx", "nginx-light")?;
    let dir = tempfile::tempdir().unwrap();
    let port = support::free_port();
    let (at, root) = (dir.path().display(), root.display());
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; types {{ application/efi efi EFI; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ root {root}; {more} }} }} }}\n"
    );
    let file = dir.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let child = Command::new(program).arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap();
    let running = Nginx(child, dir);
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((running, format!("http://127.0.0.1:{port}")));
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("nginx does not listen");
}

#[test]
fn nginx_serves_a_tree_well_until_it_is_told_not_to() {
    let tree = tree();
    let Some((_running, host)) = nginx(tree.path(), "") else { return };
    nothing_to_say(&look(&format!("{host}/boot.ipxe"), true), &[]);
    drop(_running);
    let dotfiles = "location ~ /\\. { deny all; }";
    let (_running, host) = nginx(tree.path(), dotfiles).unwrap();
    let w = look(&format!("{host}/boot.ipxe"), false);
    let dot = |p: &str| (format!("repo/{p}"), "403: a dotfile".to_owned());
    assert_eq!(broken(&w), [dot(".discinfo"), dot(".treeinfo")]);
    drop(_running);
    let (_running, host) = nginx(tree.path(), "try_files $uri /boot.ipxe;").unwrap();
    let w = look(&format!("{host}/boot.ipxe"), false);
    let paths: Vec<String> = broken(&w).into_iter().map(|(p, _)| p).collect();
    let probed = ["repo/images/updates.img", "repo/images/product.img", "no-such-file.isowright"];
    assert_eq!(paths, probed);
}

/// A request's method, target and Range.
struct Asked {
    method: String,
    target: String,
    range: bool,
}

/// What a server does: `None` is the right thing.
type Fault = Arc<dyn Fn(&Asked) -> Option<String> + Send + Sync>;

/// A server that serves a folder rightly but for its fault: an answer's head and body as they travel, `{ROOT}`
/// its own address. It lives as long as the test.
fn faulty(root: &Path, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let (root, own) = (root.to_owned(), host.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, fault, own) = (root.clone(), fault.clone(), own.clone());
            std::thread::spawn(move || connection(stream, &root, &fault, &own));
        }
    });
    host
}

fn connection(mut stream: TcpStream, root: &Path, fault: &Fault, own: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split_whitespace();
    let asked = Asked {
        method: words.next().unwrap().to_owned(),
        target: words.next().unwrap().trim_start_matches('/').to_owned(),
        range: head.to_ascii_lowercase().contains("\r\nrange: bytes=0-0\r\n"),
    };
    for unwanted in ["cookie:", "accept-encoding:", "authorization:"] {
        assert!(!head.to_ascii_lowercase().contains(unwanted), "{head}");
    }
    let answer = match fault(&asked) {
        Some(a) => a.replace("{ROOT}", own).into_bytes(),
        None => right(root, &asked),
    };
    let _ = stream.write_all(&answer);
}

fn file_of(root: &Path, target: &str) -> Option<PathBuf> {
    let target = target.replace("%2B", "+");
    // As browsers do before they ask, and good servers after.
    let mut parts: Vec<&str> = Vec::new();
    for p in target.split('/') {
        match p {
            ".." => drop(parts.pop()),
            p => parts.push(p),
        }
    }
    let path = root.join(parts.join("/"));
    path.is_file().then_some(path)
}

fn right(root: &Path, asked: &Asked) -> Vec<u8> {
    let Some(path) = file_of(root, &asked.target) else { return plain("404 Not Found", "no") };
    let bytes = std::fs::read(path).unwrap();
    let mut out = match asked.range {
        true => format!(
            "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/{}\r\nContent-Length: 1",
            bytes.len()
        ),
        false => format!("HTTP/1.1 200 OK\r\nContent-Length: {}", bytes.len()),
    };
    out += "\r\nContent-Type: application/efi\r\nConnection: close\r\n\r\n";
    let mut out = out.into_bytes();
    if asked.method == "GET" {
        out.extend_from_slice(if asked.range { &bytes[..1] } else { &bytes });
    }
    out
}

fn plain(status: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn answer(status: &str, more: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\n{more}Connection: close\r\n\r\n{body}"))
}

/// What is found on a server with that fault.
fn found(
    root: &Path,
    whole: bool,
    fault: impl Fn(&Asked) -> Option<String> + Send + Sync + 'static,
) -> Vec<(String, String, bool)> {
    let host = faulty(root, Arc::new(fault));
    let w = look(&format!("{host}/boot.ipxe"), whole);
    for f in w.findings.iter().filter(|f| f.broken) {
        assert!(!f.what.is_empty() && !f.path.is_empty());
    }
    let own = |t: &str| t.replace(&host, "{ROOT}");
    w.findings.iter().map(|f| (own(&f.path), own(&f.what), f.broken)).collect()
}

/// Just one thing is found: on that file, with those words.
#[track_caller]
fn only(found: &[(String, String, bool)], path: &str, what: &str, broken: bool) {
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, path, "{found:?}");
    assert!(found[0].1.contains(what), "{:?} lacks {what:?}", found[0]);
    assert_eq!(found[0].2, broken, "{found:?}");
}

#[test]
fn each_fault_is_named_on_the_file_that_has_it() {
    let tree = tree();
    let root = tree.path();
    assert_eq!(found(root, true, |_| None), [], "without a fault nothing is found");

    let gone = |name: &'static str| {
        move |a: &Asked| (a.target == name).then(|| answer("404 Not Found", "", "no")).flatten()
    };
    only(&found(root, false, gone("initrd.img")), "initrd.img", "404", true);
    only(&found(root, false, gone("repo/.treeinfo")), "repo/.treeinfo", "404: a dotfile", true);

    let f = found(root, false, |a| {
        let to = "Location: https://{ROOT}/vmlinuz\r\n";
        (a.target == "vmlinuz").then(|| answer("302 Found", to, "")).flatten()
    });
    only(&f, "vmlinuz", "is sent on to https://", true);

    let f = found(root, false, |a| {
        let to = "Location: /repo/isolinux/vmlinuz\r\n";
        (a.target == "vmlinuz").then(|| answer("302 Found", to, "")).flatten()
    });
    only(&f, "vmlinuz", "is sent on to {ROOT}/repo/isolinux/vmlinuz", false);

    let f = found(root, false, |a| {
        let to = "Location: /vmlinuz\r\n";
        (a.target == "vmlinuz").then(|| answer("301 Moved", to, "")).flatten()
    });
    only(&f, "vmlinuz", "more than 5 times", true);

    let f = found(root, false, |a| {
        let more = "Content-Length: 5\r\n";
        (a.target == BIG && !a.range)
            .then(|| answer("200 OK", more, if a.method == "GET" { "hello" } else { "" }))
            .flatten()
    });
    assert!(
        f.iter().any(|(p, w, b)| p == BIG && w == "Content-Length is 5, not 200000" && *b),
        "{f:?}"
    );

    let f = found(root, false, |a| {
        let page = "<html>sign in</html>";
        let more = format!("Content-Type: text/html\r\nContent-Length: {}\r\n", page.len());
        (a.method == "GET" && a.target == "no-such-file.isowright")
            .then(|| answer("200 OK", &more, page))
            .flatten()
    });
    only(&f, "no-such-file.isowright", "the answer is 200, not 404", true);

    let f = found(root, false, |a| {
        (a.target == "repo/images/updates.img").then(|| answer("403 Forbidden", "", "")).flatten()
    });
    only(&f, "repo/images/updates.img", "the answer is 403, not 404", true);

    let f = found(root, false, |a| {
        (a.method == "HEAD")
            .then(|| answer("405 Method Not Allowed", "Allow: GET\r\nContent-Length: 0\r\n", ""))
            .flatten()
    });
    assert!(
        f.iter().any(|(p, w, b)| p == BIG && w.contains("HEAD is answered with 405") && *b),
        "{f:?}"
    );

    let f = found(root, false, |a| {
        let a = Asked { range: false, method: a.method.clone(), target: a.target.clone() };
        (a.target == BIG && a.method == "GET")
            .then(|| {
                let body = "\t".repeat(200_000);
                answer("200 OK", "Content-Length: 200000\r\n", &body)
            })
            .flatten()
    });
    only(&f, BIG, "the server knows no Range", false);

    let chunks = |a: &Asked| {
        let bytes = "Transfer-Encoding: chunked\r\n";
        (a.target == "vmlinuz").then(|| answer("200 OK", bytes, "1\r\nx\r\n0\r\n\r\n")).flatten()
    };
    let f = found(root, false, chunks);
    assert!(
        f.iter().any(|(p, w, b)| p == "vmlinuz" && w.contains("it comes in chunks") && *b),
        "{f:?}"
    );

    let f = found(root, false, |a| {
        let more = "Content-Encoding: gzip\r\nContent-Length: 3\r\n";
        (a.target == "vmlinuz").then(|| answer("200 OK", more, "xyz")).flatten()
    });
    assert!(f.iter().any(|(p, w, b)| p == "vmlinuz" && w.contains("comes as gzip") && *b), "{f:?}");

    let f = found(root, true, |a| {
        let half = "\t".repeat(100_000);
        (a.target == BIG && a.method == "GET" && !a.range)
            .then(|| answer("200 OK", "Content-Length: 200000\r\n", &half))
            .flatten()
    });
    only(&f, BIG, "breaks off", true);

    let f = found(root, false, |a| {
        a.target.contains("/../").then(|| answer("400 Bad", "", "")).flatten()
    });
    only(&f, "boot.ipxe", "boot.ipxe/../vmlinuz is not taken back", true);
}

#[test]
fn an_old_protocol_is_told_once() {
    let tree = tree();
    let root = tree.path().to_owned();
    let f = found(tree.path(), false, move |a| {
        let right = String::from_utf8(right(&root, a)).ok()?;
        right.starts_with("HTTP/1.1 200").then(|| right.replacen("HTTP/1.1", "HTTP/1.0", 1))
    });
    assert_eq!(f.len(), 1, "{f:?}");
    assert!(f[0].1.starts_with("comes by HTTP/1.0") && !f[0].2, "{f:?}");
}

#[test]
fn names_with_a_plus_and_case_are_told_from_names_that_are_not_there() {
    let tree = tree();
    // As S3 takes it: a raw + is a space.
    let f = found(tree.path(), false, |a| {
        a.target.contains('+').then(|| answer("404 Not Found", "", "NoSuchKey")).flatten()
    });
    only(&f, PLUS, "404 with its + as it is, 200 with %2B", true);
    let f = found(tree.path(), false, |a| {
        a.target.contains("%2B").then(|| answer("404 Not Found", "", "no")).flatten()
    });
    only(&f, PLUS, "asked for with %2B for its + it is 404", true);

    let efi = "EFI/BOOT/BOOTX64.EFI";
    let lower = tree.path().join(efi.to_ascii_lowercase());
    std::fs::create_dir_all(lower.parent().unwrap()).unwrap();
    std::fs::rename(tree.path().join(efi), lower).unwrap();
    only(
        &found(tree.path(), false, |_| None),
        efi,
        "404: it is there as efi/boot/bootx64.efi only",
        true,
    );
}

#[test]
fn bytes_and_content_types_are_compared() {
    let tree = tree();
    let at = tree.path().join(BIG);
    let mut bytes = std::fs::read(&at).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&at, bytes).unwrap();
    assert_eq!(found(tree.path(), false, |_| None), [], "its size is right");
    only(&found(tree.path(), true, |_| None), BIG, "its bytes are not those of the manifest", true);
    let script = std::fs::read_to_string(tree.path().join("boot.ipxe")).unwrap();
    std::fs::write(tree.path().join("boot.ipxe"), script.replace("ttyS1", "ttyS0")).unwrap();
    only(&found(tree.path(), false, |_| None), "boot.ipxe", "its bytes are not", true);

    let tree = self::tree();
    let root = tree.path().to_owned();
    let f = found(tree.path(), false, move |a| {
        let efi = a.target.ends_with(".efi") || a.target.ends_with(".EFI");
        (efi && !a.range).then(|| {
            let right = String::from_utf8_lossy(&right(&root, a)).into_owned();
            right.replace("Content-Type: application/efi", "Content-Type: text/plain")
        })
    });
    // Four files, told once.
    assert_eq!(f.len(), 1, "{f:?}");
    assert!(
        f[0].1.contains("content type is text/plain") && f[0].1.ends_with("(4 such files)"),
        "{f:?}"
    );
    assert!(!f[0].2);
}

#[test]
fn without_a_manifest_the_boot_scripts_are_followed() {
    let tree = tree();
    std::fs::remove_file(tree.path().join("manifest.json")).unwrap();
    let only_scripts = |f: &[(String, String, bool)]| {
        assert!(f[0].1.contains("only what boot scripts name was looked at") && !f[0].2, "{f:?}");
        f[1..].to_vec()
    };
    assert_eq!(only_scripts(&found(tree.path(), false, |_| None)), []);
    std::fs::remove_file(tree.path().join("initrd.img")).unwrap();
    only(&only_scripts(&found(tree.path(), false, |_| None)), "initrd.img", "404", true);

    // A menu above two trees.
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join("one")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
    write("index.ipxe", "#!ipxe\nchain one/boot.ipxe ||\nchain two/boot.ipxe\n");
    write(
        "one/boot.ipxe",
        "#!ipxe\nkernel k/../linux initrd=i inst.repo=http://192.0.2.9/x\ninitrd /one/i\nboot\n",
    );
    write("one/linux", "kernel");
    let host = faulty(site.path(), Arc::new(|_| None));
    let w = look(&format!("{host}/index.ipxe"), false);
    let said: Vec<_> = w.findings.iter().map(|f| (f.path.as_str(), f.what.as_str())).collect();
    let has = |path: &str, what: &str| said.iter().any(|(p, w)| *p == path && w.contains(what));
    assert!(
        has("two/boot.ipxe", "index.ipxe chains to it, and it is answered with 404"),
        "{said:?}"
    );
    assert!(has("one/i", "404"), "{said:?}");
    assert!(!has("one/linux", ""), "{said:?}");
    assert!(has("index.ipxe", "inst.repo=http://192.0.2.9/x names another place"), "{said:?}");
    assert!(!w.holds());
}

#[test]
fn the_command_says_where_it_stopped_and_what_to_do() {
    let tree = tree();
    std::fs::remove_file(tree.path().join("repo/.treeinfo")).unwrap();
    let host = faulty(tree.path(), Arc::new(|_| None));
    let (code, out, err) = tool(&["verify", &format!("{host}/boot.ipxe")]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert!(
        out.starts_with("BROKEN: repo/.treeinfo: 404: a dotfile\nhint: copy the tree"),
        "{out}"
    );
    assert!(out.ends_with("DOES NOT HOLD\n"), "{out}");
    let (code, out, _) = tool(&["verify", &host, "--json"]);
    assert_eq!(code, Some(2), "a host is no script: {out}");
    let (code, out, _) = tool(&["verify", &format!("{host}/"), "--json"]);
    let v: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &v["ok"]), (Some(1), &serde_json::Value::Bool(false)));
    assert_eq!(v["findings"][0]["path"], "repo/.treeinfo");
    assert!(v["findings"][0]["hint"].as_str().unwrap().contains("dotfiles"));

    let (code, _, err) = tool(&["verify", &format!("{host}/nothing/boot.ipxe")]);
    assert_eq!(code, Some(2));
    assert!(err.contains("/nothing/boot.ipxe: is answered with 404, not 200"), "{err}");
    let (code, _, err) = tool(&["verify", "http://user:geheim@127.0.0.1/"]);
    assert_eq!(code, Some(2));
    assert!(!err.contains("geheim"), "{err}");
    let (code, _, err) = tool(&["verify", &format!("http://127.0.0.1:{}/", support::free_port())]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no answer"), "{err}");
}

/// A manifest may be anybody's: lengths that can't be, names that lead elsewhere.
#[test]
fn a_hostile_manifest_is_only_wrong() {
    let tree = tree();
    let at = tree.path().join("manifest.json");
    let text = std::fs::read_to_string(&at).unwrap();
    let huge = text.replace("\"size\":200000", &format!("\"size\":{}", u64::MAX));
    assert!(huge != text);
    std::fs::write(&at, huge).unwrap();
    let f = found(tree.path(), true, |_| None);
    let what = format!("Content-Length is 200000, not {}", u64::MAX);
    assert!(f.iter().any(|(p, w, b)| p == BIG && *w == what && *b), "{f:?}");
    std::fs::write(&at, text.replace("\"vmlinuz\"", "\"../../etc/passwd\"")).unwrap();
    let f = found(tree.path(), true, |_| None);
    assert!(
        f.iter().any(|(p, w, b)| p == "manifest.json" && w.contains("not a manifest") && *b),
        "{f:?}"
    );
}

/// What was not read is a gap in the chain, and told as one.
#[test]
fn the_chain_says_what_was_not_read() {
    let tree = tree();
    let host = faulty(tree.path(), Arc::new(|_| None));
    let told =
        |more: &[&str]| tool(&[&["verify", &format!("{host}/"), "--chain"], more].concat()).1;
    let out = told(&[]);
    assert!(
        out.contains("GAP     manifest -> files")
            && out.contains("1 were not read: --whole reads them"),
        "{out}"
    );
    assert_eq!(
        out.lines().filter(|l| l.starts_with("   GAP     ") && l.contains(BIG)).count(),
        1,
        "{out}"
    );
    assert!(
        told(&["--whole"]).contains("held    manifest -> files     all 26 files have"),
        "{out}"
    );
}

#[test]
fn https_is_walked_with_the_systems_certificates() {
    let Some(openssl) = support::packaged("/usr/bin/openssl", "openssl") else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let mut c = Command::new(&openssl);
        c.args(args.split_whitespace()).current_dir(dir.path());
        c.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        c.spawn().unwrap()
    };
    let new = "req -x509 -newkey rsa:2048 -nodes -days 30 -keyout key.pem -out cert.pem -subj /CN=localhost \
               -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    assert!(run(new).wait().unwrap().success());
    std::fs::write(dir.path().join("boot.ipxe"), "#!ipxe\nshell\n").unwrap();
    let port = support::free_port();
    let _running =
        Running(run(&format!("s_server -quiet -accept {port} -cert cert.pem -key key.pem -WWW")));
    let url = format!("https://localhost:{port}/boot.ipxe");
    let since = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(since.elapsed().as_secs() < 30, "s_server does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (code, _, err) = tool(&["verify", &url]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no answer") && err.to_lowercase().contains("certificate"), "{err}");
    let trusting = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["verify", &url])
        .env("SSL_CERT_FILE", dir.path().join("cert.pem"))
        .output()
        .unwrap();
    let both = [trusting.stdout, trusting.stderr].concat();
    let out = String::from_utf8(both).unwrap();
    assert!(out.contains("note: boot.ipxe: comes by https: old iPXE builds know none"), "{out}");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
