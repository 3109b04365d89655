//! `publish` and `verify` against moto's S3 server: another hand's reading of the same protocol.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/bucket.rs"]
#[allow(dead_code)]
mod bucket;
mod support;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Moto(Child);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ok(o: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert!(o.status.success(), "{said}");
    said
}

#[test]
fn moto_gets_the_same_tree() {
    let Some(server) = support::material("moto/bin/moto_server") else { return };
    let port = support::free_port();
    let _moto = Moto(
        Command::new(server)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let url = format!("http://127.0.0.1:{port}");
    let since = Instant::now();
    while ureq::put(format!("{url}/boot")).send_empty().is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "moto does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    let proxy = bucket::Proxy::before(format!("127.0.0.1:{port}").parse().unwrap());
    let run = |verb: &str, args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_isowright"))
            .args([verb, "--endpoint", &proxy.url()])
            .args(args)
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .env_remove("AWS_PROFILE")
            .output()
            .unwrap()
    };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    bucket::tree(one.path(), 1);
    bucket::tree(two.path(), 2);
    let (one, two) = (one.path().to_str().unwrap(), two.path().to_str().unwrap());
    let to = "s3://boot/a b+c/9";

    let said = ok(&run("publish", &[one, to, "--plus", "twice"]));
    assert!(said.contains("11 objects") && said.contains("(11 put"), "{said}");
    assert!(!said.contains("conditional"), "moto keeps conditions: {said}");
    proxy.seen();
    assert!(ok(&run("publish", &[one, to, "--plus", "twice"])).contains("(0 put"));
    let seen = proxy.seen();
    assert!(seen.iter().all(|a| a.method == "GET"), "{seen:?}");
    ok(&run("verify", &[to, "--whole"]));

    let said = ok(&run("publish", &[two, to, "--delete", "--plus", "twice"]));
    assert!(said.contains("1 deleted"), "{said}");
    let said = ok(&run("verify", &[to, "--whole"]));
    assert!(said.contains("8 files") && !said.contains("note:"), "{said}");
    // Somebody replaces an object by one of the same length.
    let key = format!("{url}/boot/a%20b%2Bc/9/repo/.treeinfo");
    let stranger = ureq::put(&key).header("Authorization", "AWS test:x").send("[GENERAL]\n");
    assert!(stranger.is_ok(), "{stranger:?}");
    let o = run("verify", &[to]);
    assert_eq!(o.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&o.stdout).contains("repo/.treeinfo: was replaced since"));
    ok(&run("publish", &[two, to, "--plus", "twice"]));
    ok(&run("verify", &[to, "--whole"]));
}
