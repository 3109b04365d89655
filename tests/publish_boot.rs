//! A tree goes from an ISO to an object store and boots from there, with no web server of ours in between.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/bucket.rs"]
#[allow(dead_code)]
mod bucket;
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// QEMU, ended with the test.
struct Machine(std::process::Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_published_tree_boots_from_the_store() {
    let (Some(()), Some(iso)) = (support::emulator(), support::material("debian-installer.iso"))
    else {
        return;
    };
    // Whoever asks may read: a machine signs nothing.
    let server = bucket::Server::start(None);
    let proxy = bucket::Proxy::before(server.addr());
    let port = server.addr().port();
    let base = format!("http://10.0.2.2:{port}/boot/debian");
    let o = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["publish", "--endpoint", &proxy.url(), "--base-url", &base, "--lenient"])
        .arg(iso)
        .arg("s3://boot/debian")
        .env("AWS_SKIP_SIGNATURE", "true")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&o.stderr);
    assert!(o.status.success(), "{said}");
    // From extents to requests: each byte of payload goes once.
    let parts = proxy.seen().iter().filter(|a| a.query.contains("partNumber")).count();
    assert!(parts >= 4, "kernel and initrd go in parts: {parts}");

    let _slot = support::slot();
    let dir = tempfile::tempdir().unwrap();
    let com2 = dir.path().join("com2");
    let _machine = Machine(
        Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-m", "1024", "-display", "none", "-no-reboot"])
            .args(["-netdev", &format!("user,id=n0,bootfile={base}/boot.ipxe")])
            .args(["-device", "virtio-net-pci,netdev=n0", "-boot", "n", "-monitor", "none"])
            .args(["-serial", "null", "-serial", &format!("file:{}", com2.display())])
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let user_space = regex::Regex::new(isowright::boot::USER_SPACE).unwrap();
    let since = Instant::now();
    loop {
        let seen = std::fs::read(&com2).unwrap_or_default();
        let seen = String::from_utf8_lossy(&seen);
        if seen.contains("Linux version") && user_space.is_match(&seen) {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(300), "not in user space: {seen}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
