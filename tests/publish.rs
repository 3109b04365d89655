//! `publish` and `verify` against object stores: s3s-fs in this process, with a proxy in front of it that counts
//! and does harm, a folder, and Google's dialect. moto is in `publish_moto.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/azure.rs"]
mod azure;
#[path = "support/bucket.rs"]
mod bucket;

use bucket::{Asked, Fate, Proxy, Server, objects, tree};
use isowright::publish::store::{Access, Head, Store, Target, When};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A tree that has lain there for a while: what has just changed may change again in the same instant.
fn settled_tree(version: u8) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path(), version);
    dir
}

const ID: &str = "AKIAISOWRIGHTTEST";
const SECRET: &str = "a-very-secret-key-of-forty-characters-xx";

struct Bench {
    server: Server,
    proxy: Proxy,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start(Some((ID, SECRET)));
        let proxy = Proxy::before(server.addr());
        Bench { server, proxy }
    }

    fn tool(&self, verb: &str) -> Command {
        let mut c = tool();
        c.arg(verb).args(["--endpoint", &self.proxy.url(), "--retries", "1"]);
        c.envs([("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
        c
    }

    fn publish(&self, dir: &Path, more: &[&str]) -> Output {
        let mut c = self.tool("publish");
        c.arg(dir).arg("s3://boot/el/9").args(["--patience", "1", "--plus", "once"]).args(more);
        c.output().unwrap()
    }

    /// Past the proxy.
    fn store(&self) -> Store {
        let access = Access {
            env: [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            endpoint: Some(format!("http://{}", self.server.addr())),
            retries: 1,
            ..Access::default()
        };
        Store::open(Target::parse("s3://boot/el/9").unwrap(), &access).unwrap()
    }

    fn there(&self) -> BTreeMap<String, Vec<u8>> {
        objects(&self.server.bucket().join("el/9"))
    }

    fn verify(&self, more: &[&str]) -> Output {
        self.tool("verify").arg("s3://boot/el/9").args(more).output().unwrap()
    }
}

fn tool() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.stdin(Stdio::null()).env_remove("SOURCE_DATE_EPOCH").env("HOME", "/nonexistent");
    for (k, _) in std::env::vars().filter(|(k, _)| k.starts_with("AWS_")) {
        c.env_remove(k);
    }
    c
}

fn text(o: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr))
}

#[track_caller]
fn ok(o: Output) -> String {
    assert!(o.status.success(), "{}", text(&o));
    text(&o)
}

/// An error of one line with all of `words`, a hint, and no secret.
#[track_caller]
fn fails(o: &Output, words: &[&str]) {
    let said = text(o);
    assert_eq!(o.status.code(), Some(2), "{said}");
    for w in words {
        assert!(said.contains(w), "\"{w}\" is not in: {said}");
    }
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().nth(1).is_some_and(|l| l.starts_with("hint: ")), "{said}");
    assert!(!said.contains(SECRET) && !said.contains("Signature="), "{said}");
}

#[track_caller]
fn is_published(there: &BTreeMap<String, Vec<u8>>, dir: &Path) {
    for (path, bytes) in objects(dir) {
        assert!(there.get(&path) == Some(&bytes), "{path}");
    }
}

fn writes(seen: &[Asked]) -> Vec<&Asked> {
    seen.iter().filter(|a| !matches!(a.method.as_str(), "GET" | "HEAD")).collect()
}

/// Where in the order a key was first put.
fn put_at(seen: &[Asked], key: &str) -> usize {
    seen.iter().rposition(|a| a.method != "GET" && a.key == format!("el/9/{key}")).expect(key)
}

#[test]
fn payload_goes_first_and_a_second_run_writes_nothing() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let said = ok(bench.publish(dir.path(), &[]));
    assert!(said.contains("X 1: 10 objects at s3://boot/el/9 (10 put"), "{said}");
    is_published(&bench.there(), dir.path());
    let seen = bench.proxy.seen();
    let last = ["vmlinuz", "initrd.img", "repo/.treeinfo"].map(|k| put_at(&seen, k));
    let records = ["manifest.json", "SHA256SUMS"].map(|k| put_at(&seen, k));
    let entries = ["boot.ipxe", "grub/grub.cfg"].map(|k| put_at(&seen, k));
    assert!(
        last.iter().max() < records.iter().min() && records.iter().max() < entries.iter().min()
    );
    // The kernel's two parts are no object before both are there.
    let kernel: Vec<&Asked> = seen.iter().filter(|a| a.key.ends_with("vmlinuz")).collect();
    assert_eq!(kernel.iter().filter(|a| a.query.contains("partNumber")).count(), 2, "{kernel:?}");

    std::thread::sleep(Duration::from_secs(3)); // what changed two seconds ago is read again
    ok(bench.publish(dir.path(), &[]));
    bench.proxy.seen();
    let before = bench.there();
    let said = ok(bench.publish(dir.path(), &[]));
    assert!(said.contains("(0 put, 0 B; 10 there already, 0 deleted)"), "{said}");
    let seen = bench.proxy.seen();
    assert!(writes(&seen).is_empty(), "{seen:?}");
    assert!(seen.len() <= 3, "a listing and the ledger: {seen:?}");
    assert!(before == bench.there());
    assert!(!before.keys().any(|k| k.contains("claim")), "the claim is given back");
}

#[test]
fn types_and_caching_are_told_and_a_plus_lies_there_twice() {
    // Who asks without a signature is a machine that boots.
    let server = Server::start(None);
    let dir = settled_tree(1);
    let url = format!("http://{}", server.addr());
    let mut c = tool();
    c.args(["publish", "--endpoint", &url, "--plus", "twice"]).arg(dir.path()).arg("s3://boot/x");
    ok(c.env("AWS_SKIP_SIGNATURE", "true").output().unwrap());
    for (path, kind, cache) in [
        ("boot.ipxe", "text/plain; charset=utf-8", "no-cache"),
        ("vmlinuz", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("initrd.img", "application/octet-stream", "no-cache"),
        ("manifest.json", "application/json", "no-cache"),
        ("repo/libstdc%2B%2B-11.rpm", "application/x-rpm", "public, max-age=31536000, immutable"),
        ("repo/libstdc%20%20-11.rpm", "application/x-rpm", "public, max-age=31536000, immutable"),
        (
            "repo/na%C3%AFve%20file%2520.txt",
            "text/plain; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        ("repo/.treeinfo", "text/plain; charset=utf-8", "public, max-age=31536000, immutable"),
    ] {
        let got = ureq::get(format!("{url}/boot/x/{path}")).call().expect(path);
        let header = |n: &str| got.headers().get(n).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header("content-type").as_deref(), Some(kind), "{path}");
        assert_eq!(header("cache-control").as_deref(), Some(cache), "{path}");
    }
    let mut c = tool();
    c.args(["verify", "s3://boot/x", "--whole", "--endpoint", &url])
        .env("AWS_SKIP_SIGNATURE", "true");
    let said = ok(c.output().unwrap());
    assert!(!said.contains("note:") && said.contains("holds"), "{said}");
}

#[test]
fn another_version_is_never_half_there() {
    let bench = Bench::new();
    let (one, two) = (settled_tree(1), settled_tree(2));
    ok(bench.publish(one.path(), &[]));
    std::fs::write(bench.server.bucket().join("el/9/strangers.txt"), "mine").unwrap();
    bench.proxy.seen();
    let script = bench.server.bucket().join("el/9/boot.ipxe");
    let kernels = Arc::new(AtomicUsize::new(0));
    let count = kernels.clone();
    bench.proxy.rule(move |a| {
        if a.method == "PUT" && (a.key.ends_with("vmlinuz") || a.key.ends_with("initrd.img")) {
            assert!(!script.exists(), "an old boot.ipxe stands beside a new kernel");
            count.fetch_add(1, Ordering::Relaxed);
        }
        Fate::Pass
    });
    let dry = ok(bench.publish(two.path(), &["--dry-run", "--delete"]));
    assert!(
        dry.contains("withdraw boot.ipxe\n") && dry.contains("delete repo/only-in-1.rpm\n"),
        "{dry}"
    );
    assert!(writes(&bench.proxy.seen()).is_empty(), "a dry run writes nothing");
    let said = ok(bench.publish(two.path(), &[]));
    assert!(said.contains("1 objects of an earlier run are not in it"), "{said}");
    assert!(said.contains("purge a CDN"), "{said}");
    assert!(kernels.load(Ordering::Relaxed) >= 3);
    is_published(&bench.there(), two.path());
    assert!(bench.there().contains_key("repo/only-in-1.rpm"));
    let said = ok(bench.publish(two.path(), &["--delete"]));
    assert!(said.contains("1 deleted"), "{said}");
    let there = bench.there();
    assert!(!there.contains_key("repo/only-in-1.rpm"));
    assert_eq!(there.get("strangers.txt").map(Vec::as_slice), Some(&b"mine"[..]));
}

#[test]
fn without_a_ledger_the_manifest_says_what_is_ours() {
    let bench = Bench::new();
    let (one, two) = (settled_tree(1), settled_tree(2));
    ok(bench.publish(one.path(), &[]));
    std::fs::remove_file(bench.server.bucket().join("el/9/.isowright/objects.json")).unwrap();
    std::fs::write(bench.server.bucket().join("el/9/strangers.txt"), "mine").unwrap();
    ok(bench.publish(two.path(), &["--delete"]));
    let there = bench.there();
    assert!(!there.contains_key("repo/only-in-1.rpm") && there.contains_key("strangers.txt"));
    is_published(&there, two.path());
}

#[test]
fn a_strangers_prefix_is_left_alone() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let at = bench.server.bucket().join("el/9");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::write(at.join("vmlinuz"), "precious").unwrap();
    fails(&bench.publish(dir.path(), &[]), &["s3://boot/el/9", "did not put there"]);
    assert_eq!(bench.there().len(), 1);
}

#[test]
fn the_bytes_decide_and_not_a_files_time() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    std::thread::sleep(Duration::from_secs(3));
    ok(bench.publish(dir.path(), &[]));
    bench.proxy.seen();
    // Another file with the same bytes.
    let kernel = dir.path().join("vmlinuz");
    let bytes = std::fs::read(&kernel).unwrap();
    let time = std::fs::metadata(&kernel).unwrap().modified().unwrap();
    std::fs::remove_file(&kernel).unwrap();
    std::fs::write(&kernel, &bytes).unwrap();
    assert!(ok(bench.publish(dir.path(), &[])).contains("(0 put"));
    assert!(writes(&bench.proxy.seen()).is_empty());
    // Other bytes under the old time and length: the manifest tells that the tree is broken.
    let mut other = bytes.clone();
    other[5] ^= 1;
    std::fs::write(&kernel, &other).unwrap();
    std::fs::File::options().write(true).open(&kernel).unwrap().set_modified(time).unwrap();
    fails(&bench.publish(dir.path(), &[]), &["vmlinuz", "as the tree's manifest says"]);
    assert!(bench.there().get("vmlinuz") == Some(&bytes), "the old one is still there whole");
    assert_eq!(bench.server.open_parts(), 0, "its parts are taken away");
    std::fs::write(&kernel, &bytes).unwrap();
    ok(bench.publish(dir.path(), &[]));
    is_published(&bench.there(), dir.path());
}

/// Publishes while `rule` does harm, which must be told in `words`; then again without, to the end.
#[track_caller]
fn harmed(rule: impl FnMut(&Asked) -> Fate + Send + 'static, words: &[&str]) -> Vec<Asked> {
    let bench = Bench::new();
    let dir = settled_tree(1);
    bench.proxy.rule(rule);
    fails(&bench.publish(dir.path(), &[]), words);
    let there = bench.there();
    for entry in ["boot.ipxe", "grub/grub.cfg", "manifest.json"] {
        assert!(!there.contains_key(entry), "{entry} is there before its payload");
    }
    let whole = objects(dir.path());
    // s3s-fs compares sums when the object lies there already; S3 does not let it be seen.
    let refused = |k: &str| words.contains(&"BadDigest") && words.contains(&k);
    for (key, bytes) in there.iter().filter(|(k, _)| !k.starts_with(".isowright") && !refused(k)) {
        assert!(whole.get(key) == Some(bytes), "half of {key} is seen");
    }
    bench.proxy.rule(|_| Fate::Pass);
    bench.proxy.seen();
    ok(bench.publish(dir.path(), &[]));
    is_published(&bench.there(), dir.path());
    assert_eq!(bench.server.open_parts(), 0, "parts of an upload are left");
    bench.proxy.seen()
}

fn part(a: &Asked, n: usize) -> bool {
    a.key.ends_with("vmlinuz") && a.query.contains(&format!("partNumber={n}"))
}

#[test]
fn a_connection_that_breaks_in_a_part_loses_nothing() {
    let seen = harmed(
        |a| if part(a, 1) { Fate::Cut(1 << 20) } else { Fate::Pass },
        &["vmlinuz", "part 1"],
    );
    // What was up before is not sent again.
    let again: Vec<_> =
        seen.iter().filter(|a| a.method == "PUT" && a.key.contains("repo/")).collect();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn one_break_is_mended_in_the_same_run() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let mut left = 1;
    bench.proxy.rule(move |a| match part(a, 2) && left > 0 {
        true => {
            left -= 1;
            Fate::Cut(1000)
        }
        false => Fate::Pass,
    });
    ok(bench.publish(dir.path(), &[]));
    is_published(&bench.there(), dir.path());
}

const SLOW: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const EXPIRED: &str = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><AWSAccessKeyId>AKIAISOWRIGHTTEST</AWSAccessKeyId></Error>";

#[test]
fn a_busy_store_is_told_as_such() {
    let busy = |a: &Asked| match a.method == "PUT" && a.key.ends_with("initrd.img") {
        true => Fate::Say(503, SLOW),
        false => Fate::Pass,
    };
    harmed(busy, &["initrd.img", "SlowDown", "Please reduce", "run it again later"]);
}

#[test]
fn expired_credentials_are_told_as_such() {
    let mut puts = 0;
    let expired = move |a: &Asked| {
        puts += usize::from(a.method == "PUT");
        if puts > 4 { Fate::Say(403, EXPIRED) } else { Fate::Pass }
    };
    harmed(expired, &["ExpiredToken", "renew them"]);
}

#[test]
fn a_byte_that_flips_on_the_way_is_refused_by_the_store() {
    let flip = |a: &Asked| match a.method == "PUT" && a.key.ends_with("initrd.img") {
        true => Fate::Flip(99_000),
        false => Fate::Pass,
    };
    harmed(flip, &["initrd.img", "BadDigest"]);
    // Once is mended.
    let bench = Bench::new();
    let dir = settled_tree(1);
    let mut left = 1;
    bench.proxy.rule(move |a| {
        match a.method == "PUT" && a.key.ends_with("initrd.img") && left > 0 {
            true => {
                left -= 1;
                Fate::Flip(5)
            }
            false => Fate::Pass,
        }
    });
    ok(bench.publish(dir.path(), &[]));
    is_published(&bench.there(), dir.path());
}

#[test]
fn two_publishers_do_not_get_in_each_others_way() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let publish = || bench.publish(dir.path(), &[]);
    let both = std::thread::scope(|s| {
        let all = [s.spawn(publish), s.spawn(publish)];
        all.map(|t| t.join().unwrap())
    });
    assert!(both.iter().any(|o| o.status.success()), "{}{}", text(&both[0]), text(&both[1]));
    for o in both.iter().filter(|o| !o.status.success()) {
        fails(o, &["another isowright"]);
    }
    is_published(&bench.there(), dir.path());
    ok(bench.verify(&["--whole"]));
}

#[test]
fn a_claim_that_moves_is_heeded_and_a_dead_ones_leavings_go() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let store = bench.store();
    let head = Head { media_type: "application/json", cache: "no-store", sha256: None };
    let mut upload = store.begin("vmlinuz", &head).unwrap();
    let sent = store.part(&mut upload, 0, vec![7; 5 << 20].into());
    store.settle(&mut upload, sent, &|| true).unwrap();
    assert_eq!(bench.server.open_parts(), 1);
    let id = upload.id().unwrap().to_owned();
    let claim = |beat: u64| {
        format!(
            r#"{{"format":1,"run":"r","who":"rack, process 7","beat":{beat},"uploads":[["vmlinuz","{id}"]]}}"#
        )
    };
    let put = |text: String| {
        store.put(".isowright/claim.json", text.into(), &head, When::Always, &|| true).unwrap()
    };
    put(claim(0));
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            for beat in 1.. {
                std::thread::sleep(Duration::from_millis(200));
                if over.load(Ordering::Relaxed) {
                    return;
                }
                put(claim(beat));
            }
        });
        let o = bench.publish(dir.path(), &[]);
        over.store(true, Ordering::Relaxed);
        fails(&o, &["another isowright publishes there: rack, process 7"]);
    });
    assert_eq!(bench.there().len(), 1, "the claim alone");
    // Nobody moves it any more.
    let since = Instant::now();
    ok(bench.publish(dir.path(), &[]));
    assert!(since.elapsed() >= Duration::from_secs(1), "it was given time");
    is_published(&bench.there(), dir.path());
    assert_eq!(bench.server.open_parts(), 0, "a dead run's parts are left");
}

#[test]
fn who_is_taken_over_stops() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let store = bench.store();
    let head = Head { media_type: "application/json", cache: "no-store", sha256: None };
    // The second part never ends in time; meanwhile somebody else writes a claim.
    let mut taken = false;
    bench.proxy.rule(move |a| {
        if part(a, 2) && !taken {
            taken = true;
            let other = r#"{"format":1,"run":"other","who":"other","beat":1,"uploads":[]}"#;
            let key = ".isowright/claim.json";
            store.put(key, other.into(), &head, When::Always, &|| true).unwrap();
            std::thread::sleep(Duration::from_millis(1500));
        }
        Fate::Pass
    });
    let o = bench.publish(dir.path(), &[]);
    fails(&o, &["another isowright took over"]);
    let there = bench.there();
    assert!(!there.contains_key("boot.ipxe") && !there.contains_key("manifest.json"));
    assert!(String::from_utf8_lossy(&there[".isowright/claim.json"]).contains("other"));
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    // The kernel waits, so that the ledger is saved while it is on its way.
    bench.proxy.rule(|a| if part(a, 2) { Fate::Stall } else { Fate::Pass });
    let mut c = bench.tool("publish");
    c.arg(dir.path()).args(["s3://boot/el/9", "--patience", "1", "--plus", "once"]);
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ledger = bench.server.bucket().join("el/9/.isowright/objects.json");
    let since = Instant::now();
    while !std::fs::read_to_string(&ledger).is_ok_and(|t| t.contains("initrd.img")) {
        assert!(since.elapsed() < Duration::from_secs(60), "no ledger is saved");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.there().contains_key("boot.ipxe") && bench.server.open_parts() > 0);
    let o = bench.verify(&[]);
    fails(&o, &["there is no manifest.json"]);
    bench.proxy.rule(|_| Fate::Pass);
    bench.proxy.seen();
    ok(bench.publish(dir.path(), &[]));
    is_published(&bench.there(), dir.path());
    let seen = bench.proxy.seen();
    assert!(!seen.iter().any(|a| a.method == "PUT" && a.key.ends_with("initrd.img")), "sent again");
    assert_eq!(bench.server.open_parts(), 0, "the dead run's parts are left");
}

#[test]
fn verify_names_each_object_that_is_wrong() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    ok(bench.publish(dir.path(), &[]));
    assert!(ok(bench.verify(&[])).contains("8 files"));
    let at = bench.server.bucket().join("el/9");
    std::fs::remove_file(at.join("repo/.treeinfo")).unwrap();
    std::fs::write(at.join("initrd.img"), "short").unwrap();
    // s3s-fs lists no entity tags: it goes by the time.
    std::fs::write(at.join("grub/grub.cfg"), "# 9\n").unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(9);
    let grub = std::fs::File::options().write(true).open(at.join("grub/grub.cfg")).unwrap();
    grub.set_modified(later).unwrap();
    std::fs::write(at.join("extra"), "x").unwrap();
    let o = bench.verify(&[]);
    let said = text(&o);
    assert_eq!(o.status.code(), Some(1), "{said}");
    for line in [
        "BROKEN: repo/.treeinfo: missing",
        "BROKEN: initrd.img: 5 bytes, not 100000",
        "BROKEN: grub/grub.cfg: was replaced since",
        "note: extra: not in the manifest (1 such objects, 0 of them put by publish)",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    let o = bench.verify(&["--whole", "--json"]);
    let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!((o.status.code(), v["ok"].as_bool()), (Some(1), Some(false)));
    let whats = v["findings"].to_string();
    assert!(whats.contains("its bytes are not those of the manifest"), "{whats}");
    // Publishing again mends it.
    ok(bench.publish(dir.path(), &[]));
    ok(bench.verify(&["--whole"]));
}

#[test]
fn keys_come_from_a_profile_and_are_never_shown() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let write = |secret: &str| {
        let text = format!("[rack]\naws_access_key_id = {ID}\naws_secret_access_key = {secret}\n");
        std::fs::write(home.path().join(".aws/credentials"), text).unwrap();
        let config = format!("[profile rack]\nendpoint_url = {}\n", bench.proxy.url());
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
    };
    let publish = || {
        let mut c = tool();
        c.args(["publish", "--debug", "--retries", "0", "--plus", "once"])
            .arg(dir.path())
            .arg("s3://boot/p");
        c.env("HOME", home.path()).env("AWS_PROFILE", "rack").output().unwrap()
    };
    let wrong = "another-secret-of-forty-characters-xxxxx";
    write(wrong);
    let o = publish();
    let said = text(&o);
    assert_eq!(o.status.code(), Some(2), "{said}");
    assert!(said.contains("SignatureDoesNotMatch") && !said.contains(wrong), "{said}");
    write(SECRET);
    ok(publish());
    is_published(&objects(&bench.server.bucket().join("p")), dir.path());
    let o = tool()
        .args(["publish", "--endpoint", &bench.proxy.url()])
        .arg(dir.path())
        .arg("s3://boot/p")
        .output()
        .unwrap();
    fails(&o, &["no credentials"]);
}

#[test]
fn what_is_signed_whole_goes_too() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    ok(bench.publish(dir.path(), &["--checksum", "sha256"]));
    is_published(&bench.there(), dir.path());
}

#[test]
fn a_folder_is_a_store_too() {
    let out = tempfile::tempdir().unwrap();
    let (one, two) = (settled_tree(1), settled_tree(2));
    let to = format!("file://{}/a+b c", out.path().display());
    let publish = |dir: &Path, more: &[&str]| {
        ok(tool().arg("publish").arg(dir).arg(&to).args(more).output().unwrap())
    };
    publish(one.path(), &[]);
    let there = || objects(&out.path().join("a+b c"));
    is_published(&there(), one.path());
    assert!(publish(one.path(), &[]).contains("(0 put"));
    publish(two.path(), &["--delete"]);
    is_published(&there(), two.path());
    assert!(!there().contains_key("repo/only-in-1.rpm"));
    ok(tool().args(["verify", &to, "--whole"]).output().unwrap());
}

/// Google's XML dialect is S3's with other names for conditions, which s3s-fs does not know: so it is also a
/// store that keeps none.
#[test]
fn googles_dialect_and_a_store_without_conditions() {
    let server = Server::start(None);
    let proxy = Proxy::before(server.addr());
    let dir = settled_tree(1);
    let run = || {
        let mut c = tool();
        c.args(["publish", "--endpoint", &proxy.url(), "--retries", "1"]).arg(dir.path());
        c.arg("gs://boot/g").env("GOOGLE_BEARER_TOKEN", "nobody");
        ok(c.output().unwrap())
    };
    let said = run();
    assert!(said.contains("keeps no conditional writes"), "{said}");
    is_published(&objects(&server.bucket().join("g")), dir.path());
    proxy.seen();
    assert!(run().contains("(0 put"));
    assert!(writes(&proxy.seen()).is_empty());
}

#[test]
fn a_range_of_a_changed_object_is_refused() {
    let bench = Bench::new();
    let store = bench.store();
    let head = Head { media_type: "text/plain", cache: "no-cache", sha256: None };
    let first = store.put("a+b", "0123456789".into(), &head, When::Absent, &|| true).unwrap();
    let etag = first.etag.clone().unwrap();
    assert_eq!(&store.get_range("a+b", 2..5, None).unwrap()[..], b"234");
    let again = store.put("a+b", "x".into(), &head, When::Absent, &|| true);
    assert!(again.is_err_and(|f| f.is_conflict()));
    let second = store.put("a+b", "9876543210".into(), &head, When::Still(first.clone()), &|| true);
    assert!(second.is_ok());
    let stale = store.put("a+b", "x".into(), &head, When::Still(first), &|| true);
    assert!(stale.is_err_and(|f| f.is_conflict()));
    let range = store.get_range("a+b", 2..5, Some(&etag));
    assert!(range.is_err_and(|f| f.is_conflict()));
    assert!(store.get("none", 10).unwrap().is_none());
    assert!(store.get("a+b", 3).is_err(), "longer than it may be");
    store.delete("a+b").unwrap();
    store.delete("a+b").unwrap();
    assert!(store.head("a+b").unwrap().is_none());
}

#[test]
fn an_image_in_a_bucket_becomes_a_tree_in_a_bucket() {
    let bench = Bench::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso");
    let at = bench.server.bucket().join("isos");
    std::fs::create_dir(&at).unwrap();
    std::fs::copy(&demo, at.join("demo+1 x.iso")).unwrap();
    let run = |args: &[&str]| {
        let mut c = tool();
        c.args(args).env("AWS_ENDPOINT_URL", bench.proxy.url());
        c.envs([("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
        c.output().unwrap()
    };
    let image = "s3://boot/isos/demo+1%20x.iso";
    let (there, here) =
        (ok(run(&["ls", "-lR", image])), ok(run(&["ls", "-lR", demo.to_str().unwrap()])));
    assert_eq!(there, here);
    let publish = ["publish", image, "s3://boot/tree", "--plus", "once"];
    ok(run(&publish));
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("tree");
    ok(run(&["build", demo.to_str().unwrap(), "-o", out.to_str().unwrap()]));
    let published = objects(&bench.server.bucket().join("tree"));
    for (path, bytes) in
        objects(&out).iter().filter(|(p, _)| !p.ends_with("SUMS") && *p != "manifest.json")
    {
        assert!(published.get(path) == Some(bytes), "{path}");
    }
    bench.proxy.seen();
    assert!(ok(run(&publish)).contains("(0 put"));
    assert!(writes(&bench.proxy.seen()).is_empty());
    fails(&run(&["inspect", "s3://boot/isos/none.iso"]), &["none.iso", "no such object"]);
}

#[test]
fn an_interrupted_run_tidies_up_and_is_gone_on_with() {
    let bench = Bench::new();
    let dir = settled_tree(1);
    bench.proxy.rule(|a| if part(a, 2) { Fate::Stall } else { Fate::Pass });
    let mut c = bench.tool("publish");
    c.arg(dir.path()).args(["s3://boot/el/9", "--patience", "60", "--plus", "once"]);
    let child = c.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while bench.server.open_parts() == 0 || !bench.there().contains_key("initrd.img") {
        assert!(since.elapsed() < Duration::from_secs(60), "nothing is sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let o = child.wait_with_output().unwrap();
    assert_eq!(o.status.code(), Some(130), "{}", text(&o));
    let there = bench.there();
    assert!(!there.contains_key("boot.ipxe") && !there.contains_key(".isowright/claim.json"));
    bench.proxy.rule(|_| Fate::Pass);
    bench.proxy.seen();
    // At once: nobody holds the prefix any more.
    let o = bench.publish(dir.path(), &["--json"]);
    assert!(o.status.success(), "{}", text(&o));
    let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    let puts = v["operations"].as_array().unwrap();
    assert!(
        puts.iter().any(|p| p["key"] == "vmlinuz" && p["op"] == "put" && p["why"] == "new"),
        "{v}"
    );
    assert!(!puts.iter().any(|p| p["key"] == "initrd.img"), "sent again: {v}");
    is_published(&bench.there(), dir.path());
    assert_eq!(bench.server.open_parts(), 0, "parts are left");
}

#[test]
fn a_signed_tree_is_signed_in_the_store_too() {
    let bench = Bench::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso");
    let keys = tempfile::tempdir().unwrap();
    let (key, cert) = (keys.path().join("key.pem"), keys.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=rack"])
        .args(["-addext", "extendedKeyUsage=codeSigning", "-addext", "keyUsage=digitalSignature"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let sign = ["--sign", key.to_str().unwrap(), "--cert", cert.to_str().unwrap()];
    ok(bench.publish(&demo, &sign));
    let there = bench.there();
    assert!(there.contains_key("boot.ipxe.sig") && there.contains_key("manifest.json.sig"));
    bench.proxy.seen();
    assert!(ok(bench.publish(&demo, &sign)).contains("(0 put"));
    let trust = ["--cert", cert.to_str().unwrap(), "--whole"];
    let said = ok(bench.verify(&trust));
    assert!(said.contains("signatures hold, by"), "{said}");
    // Unsigned again, and what signed it is stale.
    let said = ok(bench.publish(&demo, &["--delete"]));
    assert!(said.contains("deleted"), "{said}");
    assert!(!bench.there().keys().any(|k| k.ends_with(".sig")));
    assert_eq!(bench.verify(&trust).status.code(), Some(1));
}

#[test]
fn azures_dialect() {
    let azure = azure::Azure::start();
    let proxy = Proxy::before(azure.addr);
    let (one, two) = (settled_tree(1), settled_tree(2));
    let run = |verb: &str, args: &[&str]| {
        let mut c = tool();
        c.arg(verb).args(args).args([
            "az://boot/a/9",
            "--endpoint",
            &proxy.url(),
            "--retries",
            "1",
        ]);
        c.env("AZURE_STORAGE_ACCOUNT_NAME", "rack").env("AZURE_STORAGE_ACCOUNT_KEY", "a2V5a2V5");
        ok(c.output().unwrap())
    };
    let (one, two) = (one.path().to_str().unwrap(), two.path().to_str().unwrap());
    let said = run("publish", &[one]);
    assert!(said.contains("(10 put") && !said.contains("conditional"), "{said}");
    let kernel = azure.state.lock().unwrap().blobs["a/9/vmlinuz"].clone();
    assert!(kernel.bytes == std::fs::read(Path::new(one).join("vmlinuz")).unwrap());
    let cache = kernel.headers.get("x-ms-blob-cache-control").map(String::as_str);
    assert_eq!(cache, Some("public, max-age=31536000, immutable"));
    proxy.seen();
    assert!(run("publish", &[one]).contains("(0 put"));
    assert!(writes(&proxy.seen()).is_empty());
    assert!(run("publish", &[two, "--delete"]).contains("1 deleted"));
    assert!(run("verify", &["--whole"]).contains("8 files"));
    let state = azure.state.lock().unwrap();
    for (path, bytes) in objects(Path::new(two)) {
        let there = state.blobs.get(&format!("a/9/{path}"));
        assert!(there.is_some_and(|b| b.bytes == bytes), "{path}");
    }
    assert!(!state.blobs.contains_key("a/9/repo/only-in-1.rpm"));
    assert!(!state.blobs.contains_key("a/9/.isowright/claim.json"));
}
