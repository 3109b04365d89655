//! ISO in, tree out, proven by booting it: what `isowright build` writes from ISOs that hold Debian's
//! own kernels, under both firmwares, judged by the second serial port. Minutes, for the machine is
//! emulated.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::{Options, Outcome, Verdict, Why};
use isowright::model::arch::Firmware;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn build(iso: &Path, out: &Path, more: &[&str]) {
    let o = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .arg("build")
        .arg(iso)
        .arg("-o")
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    let v = Command::new(env!("CARGO_BIN_EXE_isowright")).arg("verify").arg(out).output().unwrap();
    assert!(v.status.success(), "{}", String::from_utf8_lossy(&v.stdout));
}

fn options(dir: &Path, expect: &str) -> Options {
    let mut o = Options::new(dir);
    o.nics = 2;
    o.expect = Some(regex::Regex::new(expect).unwrap());
    o.timeout = Duration::from_secs(420);
    o
}

fn all_pass(verdicts: &[Verdict]) {
    for v in verdicts {
        assert!(v.passed(), "{}: {:?}", v.firmware, v.outcome);
    }
}

/// The metal profile's bond, as the driver itself tells it.
const DRIVER: [&str; 6] = [
    "Bonding Mode: IEEE 802.3ad Dynamic link aggregation",
    "Transmit Hash Policy: layer3+4 (1)",
    "MII Polling Interval (ms): 100",
    "LACP rate: slow",
    "Slave Interface: eth0",
    "Slave Interface: eth1",
];

#[test]
fn dracut_brings_up_the_bond_from_our_arguments_and_fetches_stage_2_over_it() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    build(&iso, &out, &[]);
    // The hook shows the bond, then our ks.cfg from the initrd; then stage 2 is asked for.
    let verdicts =
        support::boot(&options(&out, r"dracut: fetching http://\S+repo/images/install.img"));
    assert_eq!(verdicts.len(), 2);
    all_pass(&verdicts);
    for v in &verdicts {
        for fact in DRIVER {
            assert!(v.com2.contains(fact), "{}: {fact}", v.firmware);
        }
        assert!(
            v.com2.contains("ks: network --device=bond0"),
            "{}: our ks.cfg is in /",
            v.firmware
        );
    }
}

#[test]
fn a_machine_with_too_little_ram_is_told_so_before_the_kernel_is_fetched() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    build(&iso, &out, &["--boot-only"]);
    let mut o = options(&out, "Linux version");
    o.firmware = vec![Firmware::Bios];
    o.memory_mib = Some(1024);
    let v = support::boot(&o).remove(0);
    assert!(v.com1.contains("less than 3072 MiB of RAM"), "{}", v.com1);
    assert!(!v.requests.iter().any(|r| r.target.ends_with("vmlinuz")));
    assert!(matches!(&v.outcome, Outcome::Failed { why: Why::Ipxe { .. }, .. }), "{:?}", v.outcome);
}

#[test]
fn the_debian_installer_takes_our_preseed_and_bond_under_both_firmwares() {
    let (Some(iso), Some(())) = (support::material("debian-installer.iso"), support::emulator())
    else {
        return;
    };
    if support::debian_netboot().is_none() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let profile = tmp.path().join("profile.toml");
    // The mirror that the preseed names is the server that the harness runs: a request to it is an
    // effect of the preseed, and it goes over the bond.
    let port = support::free_port();
    let text = format!(
        "console = [\"tty0\", \"ttyS1,115200n8\"]\n\
         [network.bond]\nports = [\"eth0\", \"eth1\"]\n\
         [install]\nhostname = \"proof\"\nmirror = \"http://10.0.2.2:{port}/debian\"\n"
    );
    std::fs::write(&profile, text).unwrap();
    let out = tmp.path().join("debian");
    build(&iso, &out, &["-p", profile.to_str().unwrap()]);

    let bond = "isowright: bond0 has eth0 eth1; mode=802.3ad 4 lacp_rate=slow 0 miimon=100 xmit_hash_policy=layer3\\+4 1";
    let mut uefi = options(&out, bond);
    uefi.firmware = vec![Firmware::Uefi];
    uefi.memory_mib = Some(1536);
    all_pass(&support::boot(&uefi));

    // Language, keyboard, network, host name and mirror without a question, then the mirror's 404s.
    let mut bios = options(&out, "Bad archive mirror");
    bios.firmware = vec![Firmware::Bios];
    bios.memory_mib = Some(1024);
    bios.port = port;
    let verdicts = support::boot(&bios);
    all_pass(&verdicts);
    let v = &verdicts[0];
    assert!(regex::Regex::new(bond).unwrap().is_match(&v.com2));
    assert!(v.requests.iter().any(|r| r.target.starts_with("/debian/dists/")), "{:?}", v.requests);
    let scripts = v.requests.iter().filter(|r| r.target.ends_with("/boot.ipxe")).count();
    assert_eq!(scripts, 1, "the installer must not take the lease's file for its preseed");
}

#[test]
fn a_debian_live_system_reaches_a_login_on_the_second_port() {
    let (Some(iso), Some(())) = (support::material("debian-live.iso"), support::emulator()) else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("live");
    build(&iso, &out, &[]);
    let mut o = options(&out, r"ttyS1\s+\S+ login:");
    o.nics = 1;
    let verdicts = support::boot(&o);
    assert_eq!(verdicts.len(), 2);
    all_pass(&verdicts);
}

#[test]
fn dracut_fetches_a_live_root_over_the_bond_and_starts_it() {
    let (Some(iso), Some(())) = (support::material("dracut-live.iso"), support::emulator()) else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("live");
    build(&iso, &out, &[]);
    let verdicts = support::boot(&options(&out, "live: init is running"));
    assert_eq!(verdicts.len(), 2);
    all_pass(&verdicts);
    for v in &verdicts {
        for fact in DRIVER {
            assert!(v.com2.contains(fact), "{}: {fact}", v.firmware);
        }
        let fetched = v.requests.iter().any(|r| r.target.ends_with("LiveOS/squashfs.img"));
        assert!(fetched, "{:?}", v.requests);
    }
}

#[test]
fn a_live_image_that_is_the_root_itself_comes_up_on_an_overlay() {
    let (Some(iso), Some(())) = (support::material("dracut-live-plain.iso"), support::emulator())
    else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("live");
    build(&iso, &out, &[]);
    let mut o = options(&out, "live: init is running");
    // What is new here is dracut's part, which no firmware changes.
    o.firmware = vec![Firmware::Bios];
    let verdicts = support::boot(&o);
    all_pass(&verdicts);
    assert!(verdicts[0].com2.contains("live: root is LiveOS_rootfs / overlay"));
}

#[test]
fn a_console_on_the_wrong_port_and_a_missing_initrd_fail_the_command() {
    let (Some(iso), Some(())) = (support::material("el9.iso"), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("el9");
    build(&iso, &out, &["--boot-only", "--console", "ttyS0,115200n8"]);
    let boot = |args: &[&str]| {
        let _slot = support::slot();
        let dir = out.to_str().unwrap();
        let base = ["boot", dir, "--firmware", "bios", "--memory", "3200", "--timeout", "240"];
        let all: Vec<&str> = base.iter().chain(args).copied().collect();
        Command::new(env!("CARGO_BIN_EXE_isowright")).args(all).output().unwrap()
    };
    let o = boot(&[]);
    let text = String::from_utf8_lossy(&o.stdout).into_owned();
    assert_eq!(o.status.code(), Some(1), "{text}");
    assert!(text.contains("bios  FAILED"), "{text}");

    build(&iso, &out, &["--boot-only"]);
    std::fs::remove_file(out.join("initrd.img")).unwrap();
    let o = boot(&["--json"]);
    assert_eq!(o.status.code(), Some(1));
    let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(v[0]["passed"], false);
    assert!(v[0]["why"].as_str().unwrap().contains("initrd.img"), "{v}");
}
