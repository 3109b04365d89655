//! A tree for many machines, booted: each one finds its own words by the address of any of its ports,
//! under both firmwares; one that is not listed is left alone. Emulated machines, so this takes
//! minutes. QEMU's ports are 52:54:00:69:77:01, :02, …
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::{Event, Options, Outcome, Why};
use isowright::model::arch::Firmware;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn build(iso: &Path, out: &Path, hosts: &str, more: &[&str]) {
    let file = out.with_extension("hosts.toml");
    std::fs::write(&file, hosts).unwrap();
    let tool = |args: &[&str]| {
        let o = Command::new(env!("CARGO_BIN_EXE_isowright")).args(args).output().unwrap();
        let said = [o.stdout, o.stderr].concat();
        assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    };
    let out = out.to_str().unwrap();
    let base = ["build", iso.to_str().unwrap(), "-o", out, "--hosts", file.to_str().unwrap()];
    tool(&[&base[..], more].concat());
    tool(&["verify", out]);
}

fn options(dir: &Path, expect: &str) -> Options {
    let mut o = Options::new(dir);
    o.nics = 2;
    o.expect = Some(regex::Regex::new(expect).unwrap());
    o.timeout = Duration::from_secs(420);
    o
}

/// The machine that QEMU emulates, known by its second port, among others.
const SECOND_PORT: &str = "[[host]]\nname = \"other\"\nmacs = [\"52:54:00:00:00:01\"]\n\
    [[host]]\nname = \"mine\"\nmacs = [\"52:54:00:00:00:02\", \"52:54:00:69:77:02\"]\n\
    extra_args = [\"isowright.proof=mine\"]\n";

#[test]
fn a_machine_gets_its_own_words_by_its_second_port() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    build(&iso, &out, SECOND_PORT, &["--boot-only"]);
    for v in support::boot(&options(&out, "Kernel command line: .*isowright.proof=mine")) {
        assert!(v.passed(), "{}: {:?}", v.firmware, v.outcome);
        assert!(v.com2.contains("answers/mine/ks.cfg"), "{}", v.firmware);
    }
}

#[test]
fn an_unlisted_machine_is_offered_a_menu_and_then_left_alone() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    let hosts = "[[host]]\nname = \"other\"\nmacs = [\"52:54:00:00:00:01\"]\nunattended = true\n";
    build(&iso, &out, hosts, &["--boot-only", "--unattended"]);
    // The judge is less patient than the menu.
    let script = out.join("boot.ipxe");
    let text = std::fs::read_to_string(&script).unwrap();
    std::fs::write(&script, text.replace("--timeout 60000", "--timeout 3000")).unwrap();
    for v in support::boot(&options(&out, "Linux version")) {
        let told = matches!(&v.outcome, Outcome::Failed { why: Why::Ipxe { line }, .. }
            if line.contains("no host of this tree has the MAC address 52:54:00:69:77:01"));
        assert!(told, "{}: {:?}", v.firmware, v.outcome);
        assert!(v.com1.contains("Leave it alone"), "{}: the menu", v.firmware);
        // SeaBIOS' ROM, and OVMF's boot manager.
        let gone = ["No more network devices", "BdsDxe: failed to load"];
        assert!(gone.iter().any(|g| v.com1.contains(g)), "{}: the next device", v.firmware);
        assert!(v.requests.iter().all(|r| r.target.ends_with("/boot.ipxe")), "{:?}", v.requests);
    }
}

#[test]
fn a_debian_machine_finds_its_preseed_in_an_initrd_of_its_own() {
    let (Some(iso), Some(())) = (support::material("debian-installer.iso"), support::emulator())
    else {
        return;
    };
    if support::debian_netboot().is_none() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("debian");
    let hosts = "[[host]]\nname = \"other\"\nmacs = [\"52:54:00:00:00:01\"]\n\
        [[host]]\nname = \"mine\"\nmacs = [\"52:54:00:69:77:01\", \"52:54:00:69:77:02\"]\n";
    build(&iso, &out, hosts, &[]);
    // bond.sh and the preseed file that starts it are in no other place.
    let mut o = options(&out, r"isowright: bond0 has \S+ \S+; mode=802.3ad 4");
    o.memory_mib = Some(1024);
    for v in support::boot(&o) {
        assert!(v.passed(), "{}: {:?}", v.firmware, v.outcome);
        let own = v.requests.iter().any(|r| r.target.ends_with("/hosts/mine.img") && r.complete);
        assert!(own, "{}: {:?}", v.firmware, v.requests);
    }
}

#[test]
fn a_machine_is_found_among_a_thousand() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    let mut hosts = String::new();
    for i in 0..1000u32 {
        let mac = |port: u32| match (i, port) {
            (999, 3) => "52:54:00:69:77:02".to_owned(),
            _ => format!("52:54:01:{:02x}:{:02x}:{port:02x}", i >> 8, i & 255),
        };
        let macs: Vec<String> = (0..4).map(|p| format!("\"{}\"", mac(p))).collect();
        writeln!(hosts, "[[host]]\nname = \"node{i}\"\nmacs = [{}]", macs.join(", ")).unwrap();
    }
    build(&iso, &out, &hosts, &["--boot-only"]);
    // The script's end is timed by a 404, which takes no time of its own.
    std::fs::remove_file(out.join("vmlinuz")).unwrap();
    let _slot = support::slot();
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let mut o = options(&out, "Linux version");
        o.firmware = vec![firmware];
        let (mut fetched, mut found) = (None, None);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let verdicts = isowright::boot::prove(&o, &stop, &mut |e| {
            let Event::Request(r) = e else { return };
            if r.target.ends_with("/boot.ipxe") {
                fetched = Some(Instant::now());
            } else if r.target.ends_with("/vmlinuz") {
                found.get_or_insert_with(Instant::now);
            }
        });
        let v = verdicts.unwrap().remove(0);
        let missing = matches!(&v.outcome, Outcome::Failed { why: Why::Missing { path }, .. }
            if path == "vmlinuz");
        assert!(missing, "{firmware}: {:?}\n{}", v.outcome, v.com1);
        assert!(v.com1.contains("for node999"), "{firmware}: {}", v.com1);
        let took = found.unwrap() - fetched.unwrap();
        println!("{firmware}: found among 1,000 hosts in {took:?}");
    }
}
