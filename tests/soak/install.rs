//! The Debian installer from power-on to a disk that starts by itself: our preseed in the initrd and by
//! URL, under both firmwares, packages from the hosted tree. Half an hour a piece, for the machine is
//! emulated: `make soak` runs it.
//!
//! The medium is tests/material/debian-dvd.sh's. Kernel, initrd and every package are Debian's; the
//! part of the installer that Debian has as udebs only (partman to grub-installer) is a stand-in that asks
//! debconf for the same answers and runs the same hooks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

use isowright::boot::{Options, Start};
use isowright::model::arch::Firmware;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PROFILE: &str = r#"
console = ["tty0", "ttyS1,115200n8"]
unattended = true

[network.bond]
ports = ["eth0", "eth1"]

[install]
hostname = "rack7.example.org"
root_password_hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO9 admin@example.org"]
timezone = "Europe/Berlin"
"#;

/// A disk image of so many GiB, all hole.
fn disk(dir: &Path, name: &str, gib: u64) -> PathBuf {
    let path = dir.join(name);
    File::create(&path).unwrap().set_len(gib << 30).unwrap();
    path
}

fn installs(firmware: Firmware, delivery: &str) {
    let (Some(iso), Some(())) = (support::material("debian-dvd.iso"), support::emulator()) else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let profile = tmp.path().join("profile.toml");
    std::fs::write(&profile, PROFILE).unwrap();
    let port = support::free_port();
    let tree = tmp.path().join("tree");
    let built = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["build", iso.to_str().unwrap(), "-o", tree.to_str().unwrap()])
        .args(["-p", profile.to_str().unwrap(), "--delivery", delivery])
        .args(["--base-url", &format!("http://10.0.2.2:{port}/")])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(tree.join("answers/preseed.cfg").exists(), delivery == "url");

    let mut o = Options::new(&tree);
    o.firmware = vec![firmware];
    o.nics = 2;
    o.memory_mib = Some(2048);
    o.port = port;
    // The larger one must be left alone.
    o.disks = vec![disk(tmp.path(), "small", 9), disk(tmp.path(), "large", 20)];
    o.expect = Some(regex::Regex::new("stand-in: (installed|STOPPED.*)").unwrap());
    o.timeout = Duration::from_secs(5400);
    o.silence = Duration::from_secs(900);
    let v = support::boot(&o).remove(0);
    assert!(v.passed() && v.com2.contains("stand-in: installed"), "{:?}", v.outcome);
    let url = v.requests.iter().any(|r| r.target.ends_with("/answers/preseed.cfg"));
    assert_eq!(url, delivery == "url");
    let written = std::fs::metadata(&o.disks[1]).unwrap().blocks();
    assert_eq!(written, 0, "the larger disk is left alone");

    o.start = Start::Disk;
    o.expect = Some(regex::Regex::new(r"rack7 ttyS1").unwrap());
    o.timeout = Duration::from_secs(900);
    let v = support::boot(&o).remove(0);
    assert!(v.passed(), "{:?}", v.outcome);
    // Its menu, that is: OVMF repeats its greeting there on its own account.
    assert!(v.com2.contains("GNU GRUB"), "GRUB speaks on the second port too");
}

#[test]
fn bios_with_the_preseed_in_the_initrd() {
    installs(Firmware::Bios, "initrd");
}

#[test]
fn uefi_with_the_preseed_by_url() {
    installs(Firmware::Uefi, "url");
}

#[test]
fn bios_with_the_preseed_by_url() {
    installs(Firmware::Bios, "url");
}

#[test]
fn uefi_with_the_preseed_in_the_initrd() {
    installs(Firmware::Uefi, "initrd");
}
