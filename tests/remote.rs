//! ISOs by URL: what a server may do wrong, what is fetched, and that it is the same bytes as from a file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::path::TreePath;
use isowright::content::remote::http::{Http, Limits, Proxies};
use isowright::content::remote::{Address, CacheFolder, Options, Patience, RemoteSource};
use isowright::{Error, ErrorKind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use support::web::{Answer, Ask, Web, ok, run};

/// Bytes that differ everywhere, three MiB of them.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..3u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
});

/// Impatient, and asleep for no time.
fn options() -> Options {
    let patience = Patience {
        attempts: 4,
        window: Duration::from_millis(300),
        least: 1000,
        sleep: |_| {},
        ..Patience::default()
    };
    Options { patience, cache: None }
}

fn open_with(url: &str, options: &Options) -> Result<Arc<RemoteSource>, Error> {
    let short = Duration::from_millis(500);
    let limits = Limits { connect: short, head: short, read: short };
    let http = Http::new(Address::parse(url)?, limits, &Proxies::default());
    Ok(Arc::new(RemoteSource::open(Box::new(http), options)?))
}

fn open(url: &str) -> Result<Arc<RemoteSource>, Error> {
    open_with(url, &options())
}

fn read(source: &Arc<RemoteSource>, range: std::ops::Range<u64>) -> Result<Vec<u8>, Error> {
    Content::whole(source.clone()).slice(range)?.read_all(u64::MAX)
}

/// All of it as one stream.
fn stream(source: &Arc<RemoteSource>) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let content = Content::whole(source.clone());
    isowright::content::copy::to_writer(&content, &mut all, false, &|_| true)?;
    Ok(all)
}

/// A server that serves [`FILE`] well the first time, and then as told.
fn then(fault: impl Fn(&Ask, Answer) -> Answer + Send + Sync + 'static) -> Web {
    Web::new(move |ask| {
        let right = Answer::right(ask, &FILE);
        if ask.number == 0 { right } else { fault(ask, right) }
    })
}

#[test]
fn small_reads_and_streams_beside_each_other_are_the_files_bytes() {
    let web = Web::of(FILE.clone());
    let source = open(&web.url("a.iso")).unwrap();
    std::thread::scope(|s| {
        for t in 0..4u64 {
            let source = &source;
            s.spawn(move || {
                for n in 0..60u64 {
                    let at = (n * 48_611 + t * 777_777) % (FILE.len() as u64 - 9000);
                    let got = read(source, at..at + 1 + n * 100).unwrap();
                    assert_eq!(got, FILE[at as usize..][..got.len()]);
                }
            });
        }
        s.spawn(|| assert!(stream(&source).unwrap() == *FILE));
        s.spawn(|| assert!(stream(&source).unwrap() == *FILE));
    });
    let e = read(&source, 0..FILE.len() as u64 + 1).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_connection_that_is_cut_anywhere_goes_on_at_that_byte() {
    for cut in [0, 1, 2047, 2048, 65_535, 300_000, 1 << 20] {
        let web = then(move |ask, right| match ask.number % 2 {
            1 => Answer { cut: Some(cut), ..right },
            _ => right,
        });
        let source = open(&web.url("a.iso")).unwrap();
        assert!(stream(&source).unwrap() == *FILE, "cut after {cut}");
        let asks = web.log.lock().unwrap().asks.clone();
        let starts: Vec<usize> = asks.iter().filter_map(|a| Some(a.range.clone()?.start)).collect();
        // The first bytes came with the pin.
        assert_eq!(starts[..3], [0, 65_536, 65_536 + cut.min(FILE.len() - 65_536)]);
        assert_eq!(web.count().1, FILE.len(), "no byte twice");
    }
}

#[test]
fn a_connection_that_is_cut_again_and_again_is_given_up_but_not_while_it_goes_on() {
    // 300 kB at a time: ten connections, and each brings enough.
    let web = then(|_, right| Answer { cut: Some(300_000), ..right });
    assert!(stream(&open(&web.url("a")).unwrap()).unwrap() == *FILE);
    let web = then(|_, right| Answer { cut: Some(100), ..right });
    let e = stream(&open(&web.url("a")).unwrap()).unwrap_err();
    assert!(e.to_string().contains("asked 4 times") && e.hint_text().is_some(), "{e}");
    assert_eq!(e.place().offset, Some(65_536 + 400));
    assert_eq!(web.count().0, 1 + 4);
}

#[test]
fn a_remote_that_changes_is_an_error_and_never_a_mix() {
    let longer = || [FILE.as_slice(), b"x"].concat();
    type Fault = Box<dyn Fn(&Ask, Answer) -> Answer + Send + Sync>;
    let faults: [(&str, Fault); 6] = [
        ("ETag", Box::new(|_, a| a.with("ETag", "\"two\""))),
        ("ETag is gone", Box::new(|_, a| a.with("ETag", ""))),
        (
            "Last-Modified",
            Box::new(|_, a| a.with("Last-Modified", "Wed, 04 Nov 2026 10:00:00 GMT")),
        ),
        ("bytes", Box::new(move |ask, _| Answer::right(ask, &longer()))),
        ("412", Box::new(|_, _| Answer::status(412))),
        ("ETag", Box::new(|_, _| Answer::whole(b"new").with("ETag", "\"two\""))),
    ];
    for (words, fault) in faults {
        let web = then(fault);
        let source = open(&web.url("a.iso")).unwrap();
        for e in [stream(&source).unwrap_err(), read(&source, 1 << 20..1 << 21).unwrap_err()] {
            assert_eq!(e.kind(), ErrorKind::Conflict, "{e}");
            assert!(e.to_string().contains("changed while it was read"), "{e}");
            assert!(e.to_string().contains(words) && e.to_string().contains("a.iso"), "{e}");
        }
        assert!(web.count().0 <= 3, "no second try");
    }
}

#[test]
fn a_changed_remote_is_told_by_its_time_or_length_where_there_is_no_strong_etag() {
    let weak = |a: Answer| a.with("ETag", "W/\"one\"");
    let web = Web::new(move |ask| {
        let a = weak(Answer::right(ask, &FILE));
        if ask.number == 0 { a } else { a.with("Last-Modified", "Wed, 04 Nov 2026 10:00:00 GMT") }
    });
    let source = open(&web.url("a")).unwrap();
    assert_eq!(source.pin().version(), Some("Tue, 03 Nov 2026 10:00:00 GMT"));
    assert!(stream(&source).unwrap_err().to_string().contains("Last-Modified"));
    let asked = web.log.lock().unwrap().asks[1].clone();
    assert_eq!(asked.header("if-range"), Some("Tue, 03 Nov 2026 10:00:00 GMT"));

    let web = Web::new(|ask| {
        let len = FILE.len() - usize::from(ask.number > 0);
        Answer::right(ask, &FILE[..len]).with("ETag", "W/\"x\"").with("Last-Modified", "")
    });
    let source = open(&web.url("a")).unwrap();
    assert_eq!(source.pin().version(), None);
    assert!(source.notes()[0].contains("only its length"));
    assert!(stream(&source).unwrap_err().to_string().contains("changed"));
}

#[test]
fn a_server_without_ranges_sends_a_small_file_whole_and_a_big_one_is_refused() {
    let web = Web::new(|_| Answer::whole(&FILE));
    let source = open(&web.url("a")).unwrap();
    assert!(stream(&source).unwrap() == *FILE);
    assert!(source.notes()[0].contains("can't send parts"));
    assert_eq!(web.count().0, 1);
    // A length that is not kept, and a second time that is well.
    let web = Web::new(|ask| match ask.number {
        0 => Answer { cut: Some(1000), ..Answer::whole(&FILE) },
        _ => Answer::whole(&FILE),
    });
    assert!(stream(&open(&web.url("a")).unwrap()).unwrap() == *FILE);
    let web = Web::new(|_| Answer::status(200).with("Content-Length", "5000000000"));
    let e = open(&web.url("a")).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.hint_text().unwrap().contains("download"), "{e}");
}

#[test]
fn answers_that_contradict_the_request_are_told() {
    type Fault = Box<dyn Fn(&Ask, Answer) -> Answer + Send + Sync>;
    let faults: [(&str, Fault); 6] = [
        ("Content-Range", Box::new(|_, a| a.with("Content-Range", ""))),
        ("Content-Range", Box::new(|_, a| a.with("Content-Range", "bytes 5-4/3"))),
        ("were asked for", Box::new(|_, a| a.with("Content-Range", "bytes 0-9/3145728"))),
        ("disagree", Box::new(|_, a| a.with("Content-Length", "7"))),
        ("packed", Box::new(|_, a| a.with("Content-Encoding", "gzip"))),
        (
            "whole file",
            Box::new(|ask, _| Answer::right(&Ask { range: None, ..ask.clone() }, &FILE)),
        ),
    ];
    for (words, fault) in faults {
        let web = then(fault);
        let e = stream(&open(&web.url("a.iso")).unwrap()).unwrap_err();
        assert!(e.to_string().contains(words), "{words}: {e}");
        assert_eq!(e.kind(), ErrorKind::Remote);
    }
    // More than was asked for is not taken.
    let web = then(|ask, a| {
        let r = ask.range.clone().unwrap();
        Answer { body: FILE[r.start..].to_vec(), ..a.with("Content-Length", "") }
    });
    let source = open(&web.url("a")).unwrap();
    assert_eq!(read(&source, 100_000..100_100).unwrap(), FILE[100_000..100_100]);
    assert!(stream(&source).unwrap() == *FILE);
}

#[test]
fn what_may_pass_is_asked_again_and_what_will_not_is_not() {
    static SLEPT: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
    let mut o = options();
    o.patience.sleep = |d| SLEPT.lock().unwrap().push(d);
    o.patience.longest_wait = Duration::from_secs(5);
    for status in [408, 429, 500, 502, 503, 504] {
        let web = then(move |ask, right| match ask.number {
            1 => Answer::status(status).with("Retry-After", "3"),
            2 => Answer::status(status).with("Retry-After", "86400"),
            _ => right,
        });
        SLEPT.lock().unwrap().clear();
        assert!(stream(&open_with(&web.url("a"), &o).unwrap()).unwrap() == *FILE, "{status}");
        let slept: Duration = SLEPT.lock().unwrap().iter().sum();
        assert_eq!(slept, Duration::from_secs(3 + 5), "the server's wish, within bounds");
    }
    for (status, kind) in [
        (400, ErrorKind::Remote),
        (401, ErrorKind::Remote),
        (403, ErrorKind::Remote),
        (404, ErrorKind::NotFound),
        (410, ErrorKind::NotFound),
        (501, ErrorKind::Remote),
    ] {
        let web = Web::new(move |_| Answer::status(status));
        let e = open(&web.url("a")).err().unwrap();
        assert_eq!((e.kind(), web.count().0), (kind, 1), "{e}");
        assert!(e.to_string().contains(&status.to_string()), "{e}");
    }
    // The first pause is half a second, and each is twice the one before.
    let web = then(|_, _| Answer::status(503));
    SLEPT.lock().unwrap().clear();
    stream(&open_with(&web.url("a"), &o).unwrap()).unwrap_err();
    assert_eq!(SLEPT.lock().unwrap().iter().sum::<Duration>(), Duration::from_millis(3500));
}

#[test]
fn silence_and_a_drip_of_bytes_end() {
    let web = then(|ask, right| match ask.number {
        1 => Answer { silence: Some(Duration::from_secs(2)), ..right },
        2 => Answer { drip: Some(Duration::from_millis(20)), ..right },
        _ => right,
    });
    let source = open(&web.url("a")).unwrap();
    assert!(stream(&source).unwrap() == *FILE);
    assert_eq!(source.tally().resumed.load(Ordering::Relaxed), 2);
    let web = then(|_, right| Answer { drip: Some(Duration::from_millis(20)), ..right });
    let e = stream(&open(&web.url("a")).unwrap()).unwrap_err();
    assert!(e.to_string().contains("sent only"), "{e}");
}

#[test]
fn a_first_answer_or_a_list_that_drips_or_lies_ends_too() {
    let web = Web::new(|ask| match ask.target.as_str() {
        "/long" => {
            Answer::right(ask, &FILE).with("Content-Range", "bytes 0-65535/18446744073709551615")
        }
        _ => Answer { drip: Some(Duration::from_millis(20)), ..Answer::right(ask, &FILE) },
    });
    let e = open(&web.url("drip")).err().unwrap();
    assert!(e.to_string().contains("sent only"), "{e}");
    let e = open(&web.url("long")).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
    let short = Duration::from_millis(300);
    let limits = Limits { connect: short, head: short, read: short };
    let http = Http::new(Address::parse(&web.url("list")).unwrap(), limits, &Proxies::default());
    let e = isowright::content::remote::http::text(&http, &options().patience).unwrap_err();
    assert!(e.to_string().contains("sent only"), "{e}");
}

#[test]
fn redirects_are_followed_once_and_within_bounds() {
    let web = Web::new(|ask| match ask.target.as_str() {
        "/a.iso" => Answer::redirect("/mirror/b.iso?signed=1"),
        "/mirror/b.iso?signed=1" => Answer::right(ask, &FILE),
        "/loop" => Answer::redirect("/loop"),
        "/down" => Answer::redirect("ftp://127.0.0.1/a.iso"),
        _ => Answer::status(302),
    });
    let source = open(&web.url("a.iso")).unwrap();
    assert!(stream(&source).unwrap() == *FILE);
    let log = web.log.lock().unwrap().asks.clone();
    assert_eq!(log.iter().filter(|a| a.target == "/a.iso").count(), 1, "then the mirror is asked");
    for (path, words) in [("loop", "circles"), ("down", "no http(s)"), ("x", "nowhere")] {
        let e = open(&web.url(path)).err().unwrap();
        assert!(e.to_string().contains(words), "{e}");
    }
    assert!(web.count().0 < 30);
}

#[test]
fn a_redirect_that_expired_is_followed_anew() {
    let web = Web::new(|ask| match (ask.target.as_str(), ask.number) {
        ("/a.iso", n) => Answer::redirect(&format!("/signed?{n}")),
        ("/signed?0", n) if n > 1 => Answer::status(403),
        _ => Answer::right(ask, &FILE),
    });
    assert!(stream(&open(&web.url("a.iso")).unwrap()).unwrap() == *FILE);
}

#[test]
fn passwords_go_to_their_host_alone_and_are_never_told() {
    let other = Web::of(FILE.clone());
    let there = other.url("x.iso?sig=geheim");
    let web = Web::new(move |ask| match ask.header("authorization") {
        Some("Basic bWU6Z2VoZWlt") if ask.target == "/a.iso?t=geheim" => Answer::right(ask, &FILE),
        Some(_) if ask.target == "/away" => Answer::redirect(&there),
        _ => Answer::status(401),
    });
    let url = |path: &str| web.url(path).replace("http://", "http://me:geheim@");
    let source = open(&url("a.iso?t=geheim")).unwrap();
    assert!(stream(&source).unwrap() == *FILE);
    open(&url("away")).unwrap();
    assert!(other.log.lock().unwrap().asks.iter().all(|a| a.header("authorization").is_none()));
    let e = open(&url("b.iso?t=geheim")).err().unwrap();
    assert!(e.to_string().contains("b.iso?…") && !format!("{e} {e:?}").contains("geheim"), "{e:?}");
    let agent = other.log.lock().unwrap().asks[0].header("user-agent").unwrap().to_owned();
    assert_eq!(agent, format!("isowright/{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_cache_serves_the_next_run_and_mends_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let cache = |limit| Some(CacheFolder { path: dir.path().to_owned(), limit });
    let o = Options { cache: cache(1 << 30), ..options() };
    let web = Web::new(|ask| match ask.target.as_str() {
        "/new" => Answer::right(ask, &FILE).with("ETag", "\"new\""),
        "/none" => Answer::right(ask, &FILE).with("ETag", "").with("Last-Modified", ""),
        _ => Answer::right(ask, &FILE),
    });
    let run = |name: &str| {
        let source = open_with(&web.url(name), &o).unwrap();
        assert_eq!(read(&source, 200_000..200_100).unwrap(), FILE[200_000..200_100]);
        assert!(stream(&source).unwrap() == *FILE);
        web.count()
    };
    run("a");
    assert_eq!(run("a"), (1, 65_536), "nothing but the pin");
    let pieces = || {
        let images = std::fs::read_dir(dir.path()).unwrap().flatten();
        let files = images.flat_map(|i| std::fs::read_dir(i.path()).unwrap().flatten());
        files.map(|f| f.path()).filter(|p| !p.ends_with("about")).collect::<Vec<_>>()
    };
    let damaged = pieces().into_iter().max_by_key(|p| p.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let (requests, bytes) = run("a");
    assert!(requests >= 2 && (1 << 20..2 << 20).contains(&bytes), "{requests} {bytes}");
    assert_eq!(run("a"), (1, 65_536), "mended");
    assert!(run("new").1 > 3 << 20, "another version is another image");
    // Without a version there is nothing to hold it against.
    run("none");
    assert!(run("none").1 > 3 << 20);
    // Several at once, over the limit.
    let o = Options { cache: cache(2 << 20), ..options() };
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| assert!(stream(&open_with(&web.url("a"), &o).unwrap()).unwrap() == *FILE));
        }
    });
    let held: u64 = pieces().iter().map(|p| p.metadata().unwrap().len()).sum();
    assert!(held <= 6 << 20, "{held}");
}

// ---- the program

fn fails(args: &[&str]) -> String {
    let out = run(args);
    assert_eq!(out.status.code(), Some(2), "{args:?}");
    String::from_utf8(out.stderr).unwrap()
}

fn serve(iso: &Path) -> Web {
    let content = Content::open(iso).unwrap();
    Web::new(move |ask| answer(ask, &content))
}

fn answer(ask: &Ask, content: &Content) -> Answer {
    let len = content.len() as usize;
    let r = ask.range.clone().unwrap_or(0..len);
    let r = r.start..r.end.min(len);
    let mut a = Answer::status(206)
        .with("ETag", "\"one\"")
        .with("Content-Range", &format!("bytes {}-{}/{len}", r.start, r.end - 1))
        .with("Content-Length", &(r.end - r.start).to_string());
    a.body = content.slice(r.start as u64..r.end as u64).unwrap().read_all(u64::MAX).unwrap();
    a
}

/// A medium of 7,500 files in 1,500 folders, as a pool of packages has them.
fn many_files(dir: &Path) -> std::path::PathBuf {
    let root = dir.join("files");
    for d in 0..1500usize {
        let folder =
            root.join(format!("pool/main/{}/package{d}", char::from(b'a' + (d % 26) as u8)));
        std::fs::create_dir_all(&folder).unwrap();
        for f in 0..5 {
            let bytes = vec![(d + f) as u8; 200 + d];
            std::fs::write(folder.join(format!("package-{f}_1.2.{d}-1_amd64.deb")), bytes).unwrap();
        }
    }
    let iso = dir.join("many.iso");
    let made = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-R", "-J", "-V", "MANY", "-o"])
        .args([&iso, &root])
        .output()
        .expect("xorriso");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    iso
}

#[test]
fn a_medium_of_7500_files_is_inspected_by_few_requests_and_extracted_as_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let iso = many_files(dir.path());
    let (file, web) = (iso.to_str().unwrap(), serve(&iso));
    let url = web.url("many.iso");
    let inspected = ok(&["inspect", &url]);
    let (requests, _) = web.count();
    assert!(requests <= 40, "{requests} requests");
    let rest = |s: &str| s.split_once('\n').unwrap().1.to_owned();
    assert_eq!(rest(&inspected), rest(&ok(&["inspect", file])));
    assert_eq!(ok(&["ls", "-lR", &url]), ok(&["ls", "-lR", file]));
    let (_, listed) = web.count();
    // A tenth of the folders, here and there, and then all.
    for glob in ["pool/main/*/package*7/*", "**"] {
        let out = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (a, b) = (out("a"), out("b"));
        ok(&["extract", &url, glob, "-o", &a]);
        let (requests, bytes) = web.count();
        let whole = dir.path().join("files");
        let is = match glob {
            "**" => whole.to_str().unwrap(),
            _ => {
                ok(&["extract", file, glob, "-o", &b]);
                &b
            }
        };
        let same = Command::new("diff").args(["-r", &a, is]).status().unwrap();
        assert!(same.success());
        let medium = isowright::media::open("x", Content::open(&iso).unwrap()).unwrap();
        // In sectors, for nothing smaller lies on the medium.
        let needed: u64 = medium
            .tree
            .files()
            .filter(|(p, _)| Path::new(&a).join(p.as_path()).exists())
            .map(|(_, c)| c.len().next_multiple_of(2048))
            .sum();
        let most = (needed as f64 * 1.05) as usize + (1 << 20) + listed;
        assert!(bytes <= most, "{glob}: {bytes} bytes for {needed}");
        // Neighbours come together: a tenth here and there is some 150 stretches.
        assert!(requests <= 220, "{glob}: {requests} requests");
        std::fs::remove_dir_all(a).unwrap();
    }
}

#[test]
fn a_tree_by_url_is_the_tree_from_the_file_and_no_byte_comes_twice() {
    for name in ["el9.iso", "debian-live.iso", "img-grub.iso"] {
        let Some(iso) = support::material(name) else { return };
        let dir = tempfile::tempdir().unwrap();
        let out = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (a, b, cache) = (out("a"), out("b"), out("cache"));
        let web = serve(&iso);
        let url = web.url(name);
        let planned = ok(&["plan", &url]);
        assert!(planned.contains(&format!("from     {name}")), "{planned}");
        ok(&["build", &url, "-o", &a]);
        ok(&["build", iso.to_str().unwrap(), "-o", &b]);
        let differs = Command::new("diff").args(["-rq", &a, &b]).output().unwrap();
        let differs = String::from_utf8(differs.stdout).unwrap();
        // The manifest says where it came from.
        assert!(
            differs.lines().all(|l| l.contains("manifest.json") || l.contains("SHA256SUMS")),
            "{differs}"
        );
        // A second run into the same folder fetches nothing of what is there as it was.
        let first = web.count().1;
        ok(&["build", &url, "-o", &a]);
        let again = web.count().1;
        assert!(again <= first, "{name}: {again} of {first}");
        if name == "debian-live.iso" {
            assert!(again < 8 << 20, "{name}: {again} of {first}");
        }
        std::fs::remove_dir_all(&a).unwrap();
        ok(&["build", "--cache", &cache, &url, "-o", &a]);
        let needed = needed(&iso, &a);
        let (_, bytes) = web.count();
        let most = (needed as f64 * 1.05) as usize + (1 << 20);
        assert!(bytes <= most, "{name}: {bytes} fetched, {needed} needed");
        std::fs::remove_dir_all(&a).unwrap();
        ok(&["build", "--cache", &cache, &url, "-o", &a]);
        assert_eq!(web.count(), (1, 65_536), "{name}: the second run asks for the pin alone");
        let broken = Command::new("diff").args(["-rq", &a, &b]).output().unwrap();
        assert_eq!(String::from_utf8(broken.stdout).unwrap(), differs);
    }
}

/// Bytes of the medium that the tree at `built` is made of, each once.
fn needed(iso: &Path, built: &str) -> usize {
    let media = isowright::media::open("x", Content::open(iso).unwrap()).unwrap();
    let text = std::fs::read_to_string(format!("{built}/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for f in manifest["files"].as_array().unwrap() {
        let Some(path) = f["origin"]["path"].as_str() else { continue };
        let bare = path.strip_prefix("iso:/").unwrap_or("");
        let content = match path {
            "iso:" => media.image.clone(),
            _ => media.file(bare).unwrap_or_default(),
        };
        let at = content.origin().map_or(0, |(_, o)| o);
        ranges.push((at, at + content.len()));
    }
    ranges.sort_unstable();
    let (mut sum, mut end) = (0, 0);
    for (from, to) in ranges {
        sum += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    sum as usize
}

#[test]
fn what_starts_a_machine_is_held_against_the_mediums_own_sums() {
    let Some(iso) = support::material("img-el.iso") else { return };
    let whole = Content::open(&iso).unwrap();
    let told = ok(&["plan", &serve(&iso).url("img-el.iso")]);
    assert!(
        told.contains("the medium's own sums: images/pxeboot/initrd.img (.treeinfo, SHA256), "),
        "{told}"
    );
    let medium = isowright::media::open("x", whole.clone()).unwrap();
    let kernel = medium.file("images/pxeboot/vmlinuz").unwrap();
    let at = kernel.origin().unwrap().1 + kernel.len() - 5;
    let damaged = whole.splice(at..at + 1, "x".into()).unwrap();
    let web = Web::new(move |ask| answer(ask, &damaged));
    let e = fails(&["plan", &web.url("img-el.iso")]);
    assert!(
        e.contains("images/pxeboot/vmlinuz: its SHA256 is") && e.contains("as .treeinfo says"),
        "{e}"
    );
}

#[test]
fn a_url_goes_wherever_a_path_goes() {
    let Some(iso) = support::material("img-rr.iso") else { return };
    let dir = tempfile::tempdir().unwrap();
    let web = serve(&iso);
    let (file, url) = (iso.to_str().unwrap(), web.url("d/img-rr.iso?token=geheim"));
    let medium = isowright::media::open("x", Content::open(&iso).unwrap()).unwrap();
    let (some, _) = medium.tree.files().find(|(_, c)| c.len() > 100).unwrap();
    let some = TreePath::to_string(some);
    assert_eq!(run(&["cat", &url, &some]).stdout, run(&["cat", file, &some]).stdout);
    let out = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (a, b) = (out("a.iso"), out("b.iso"));
    ok(&["image", &url, "-o", &a]);
    ok(&["image", file, "-o", &b]);
    assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(), "a repacked image by URL");
    let patch = out("p");
    ok(&["image", &url, "--patch-only", &patch]);
    ok(&["image", "apply", &url, &patch, "-o", &out("c.iso")]);
    assert!(std::fs::read(out("c.iso")).unwrap() == std::fs::read(&b).unwrap(), "a patch by URL");
    let job = dir.path().join("job.toml");
    for key in ["url", "path"] {
        let text = format!("[source]\n{key} = \"{url}\"\n[[output]]\ndir = \"{key}\"\n");
        std::fs::write(&job, text).unwrap();
        assert!(ok(&["recipe", "lint", job.to_str().unwrap()]).contains("nothing to complain"));
        ok(&["build", job.to_str().unwrap()]);
        let manifest = std::fs::read_to_string(dir.path().join(key).join("manifest.json")).unwrap();
        assert!(manifest.contains("img-rr.iso") && !manifest.contains("geheim"));
    }
}

#[test]
fn what_goes_wrong_is_told_with_the_address() {
    let web = Web::new(|ask| match ask.target.as_str() {
        "/page" => Answer::right(ask, b"<!doctype html><p>not here"),
        "/empty" => Answer::status(416),
        _ => Answer::status(404),
    });
    let e = fails(&["inspect", &web.url("x.iso")]);
    assert!(e.contains(&web.url("x.iso")) && e.contains("404") && e.contains("hint: "), "{e}");
    assert!(fails(&["inspect", &web.url("page")]).contains("web page"));
    assert!(fails(&["ls", &web.url("empty")]).contains("is empty"));
    assert!(fails(&["ls", "http://"]).contains("has no host"));
    let refused = format!("http://127.0.0.1:{}/a.iso", support::free_port());
    assert!(fails(&["inspect", &refused]).contains("no answer"));
}

/// The program against OpenSSL's own server, which knows no ranges.
#[test]
fn https_goes_by_the_systems_certificates() {
    let Some(iso) = support::material("img-rr.iso") else { return };
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&iso, dir.path().join("a.iso")).unwrap();
    let openssl = |args: &str| {
        let made =
            Command::new("openssl").current_dir(dir.path()).args(args.split(' ')).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("{new} -subj /CN=ours -keyout ca.key -out ca.pem"));
    openssl(&format!(
        "{new} -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext \
         basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem"
    ));
    let port = support::free_port();
    let mut server = Command::new("openssl")
        .current_dir(dir.path())
        .args(["s_server", "-quiet", "-WWW", "-key", "key.pem", "-cert", "cert.pem", "-accept"])
        .arg(port.to_string())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let up = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(("localhost", port)).is_ok()
    });
    let run = |certificates: &Path| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
        for v in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "SSL_CERT_DIR"] {
            c.env_remove(v);
        }
        c.env("SSL_CERT_FILE", certificates);
        c.args(["ls", &format!("https://localhost:{port}/a.iso")]).output().unwrap()
    };
    let (known, unknown) = (run(&dir.path().join("ca.pem")), run(Path::new("/dev/null")));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(up, "openssl's server came up");
    assert_eq!(
        String::from_utf8_lossy(&known.stdout),
        ok(&["ls", iso.to_str().unwrap()]),
        "{}",
        String::from_utf8_lossy(&known.stderr)
    );
    let e = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(2) && e.contains("certificate"), "{e}");
}

/// A server that is not ours, with ranges and without.
#[test]
fn nginx_serves_an_iso_by_parts_and_whole() {
    let Some(nginx) = support::packaged("/usr/sbin/nginx", "nginx-light") else { return };
    let Some(iso) = support::material("img-rr.iso") else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    std::os::unix::fs::symlink(&iso, dir.path().join("a.iso")).unwrap();
    std::fs::create_dir(dir.path().join("whole")).unwrap();
    std::os::unix::fs::symlink(&iso, dir.path().join("whole/a.iso")).unwrap();
    let port = support::free_port();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|t| format!("{t}_temp_path {at}/{t};"))
        .concat();
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; master_process off; {user} pid {at}/pid; error_log {at}/error; events {{}} http {{ access_log {at}/log; \
         {temporary} server {{ listen 127.0.0.1:{port}; root {at}; location /whole {{ max_ranges 0; }} }} }}"
    );
    std::fs::write(dir.path().join("conf"), config).unwrap();
    let mut server = Command::new(nginx)
        .arg("-e")
        .arg(dir.path().join("early"))
        .arg("-c")
        .arg(dir.path().join("conf"))
        .spawn()
        .unwrap();
    let up = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let listed = |path: &str| {
        let url = format!("http://127.0.0.1:{port}/{path}");
        (run(&["ls", "-lR", &url]), open(&url).and_then(|s| stream(&s)))
    };
    let all = [listed("a.iso"), listed("whole/a.iso")];
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(up, "nginx came up");
    for (ls, bytes) in all {
        assert_eq!(String::from_utf8_lossy(&ls.stdout), ok(&["ls", "-lR", iso.to_str().unwrap()]));
        assert!(bytes.unwrap() == std::fs::read(&iso).unwrap());
    }
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let status = |path: &str| {
        let of = log.lines().filter(|l| l.contains(&format!("GET {path} ")));
        of.map(|l| l.split(' ').nth(8).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(status("/a.iso").iter().all(|s| s == "206"), "{log}");
    assert_eq!(status("/whole/a.iso"), ["200", "200"], "{log}");
}

#[test]
fn a_proxy_is_asked_but_for_hosts_that_go_without() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let web = Web::of(FILE.clone());
    let proxy = Web::new(|ask| {
        SEEN.fetch_add(1, Ordering::Relaxed);
        match (ask.target.as_str(), ask.header("host")) {
            ("far.invalid:80", _) => Answer::status(200).with("Content-Length", ""),
            ("/a", Some("far.invalid")) => Answer::right(ask, b"by the proxy"),
            _ => Answer::status(400),
        }
    });
    let proxies = Proxies::new(Some(&proxy.url("")), None, "127.0.0.1,.local").unwrap();
    let open = |url: &str| {
        let http = Http::new(Address::parse(url).unwrap(), Limits::default(), &proxies);
        Arc::new(RemoteSource::open(Box::new(http), &options()).unwrap())
    };
    assert_eq!(read(&open("http://far.invalid/a"), 0..12).unwrap(), b"by the proxy");
    assert!(stream(&open(&web.url("a"))).unwrap() == *FILE);
    assert_eq!(SEEN.load(Ordering::Relaxed), 2, "a tunnel, and the request in it");
}

/// Nothing is unpacked on either side: a machine's requests become ranges of another server's file.
#[test]
fn an_iso_by_url_is_served_on() {
    let Some(iso) = support::material("img-el.iso") else { return };
    let dir = tempfile::tempdir().unwrap();
    let far = serve(&iso);
    let port = support::free_port();
    let mut here = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["serve", &far.url("img-el.iso"), "--listen", &format!("127.0.0.1:{port}")])
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let up = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let out = dir.path().join("tree");
    ok(&["build", iso.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    let got = |name: &str| {
        let url = format!("http://127.0.0.1:{port}/{name}");
        let body = Command::new("curl").args(["-sf", "--noproxy", "*", &url]).output().unwrap();
        body.stdout
    };
    let all: Vec<_> = ["vmlinuz", "initrd.img", "vmlinuz"].map(|n| (n, got(n))).into();
    here.kill().unwrap();
    here.wait().unwrap();
    assert!(up, "serve came up");
    for (name, bytes) in all {
        assert!(bytes == std::fs::read(out.join(name)).unwrap(), "{name}: {} bytes", bytes.len());
    }
    let (_, bytes) = far.count();
    assert!(bytes as u64 <= iso.metadata().unwrap().len() + (1 << 20), "{bytes}");
}

#[test]
fn ctrl_c_ends_a_build_from_a_slow_server_and_leaves_nothing_half() {
    let Some(iso) = support::material("dracut-live.iso") else { return };
    let content = Content::open(&iso).unwrap();
    // Big answers drip: what is read in order.
    let web = Web::new(move |ask| {
        let a = answer(ask, &content);
        match a.body.len() > 1 << 20 {
            true => Answer { drip: Some(Duration::from_millis(20)), ..a },
            false => a,
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut build = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["extract", &web.url("a.iso"), "-o", out.to_str().unwrap()])
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let dripping = || {
        web.log
            .lock()
            .unwrap()
            .asks
            .iter()
            .any(|a| a.range.as_ref().is_some_and(|r| r.len() > 1 << 20))
    };
    let asked = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        dripping()
    });
    let interrupted =
        Command::new("kill").args(["-INT", &build.id().to_string()]).status().unwrap();
    let status = build.wait().unwrap();
    assert!(asked && interrupted.success());
    assert_eq!(status.code(), Some(130));
    let left = Command::new("find").arg(&out).args(["-name", "*part*"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}
