//! The kernel's own word on our initrds: a file that was appended is read back on the second serial
//! port, and one that was made anew still starts the Debian installer. Emulated, so each takes a
//! minute.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::Options;
use isowright::model::arch::Firmware;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn initrd(args: &[&str]) {
    let o = Command::new(env!("CARGO_BIN_EXE_isowright")).arg("initrd").args(args).output();
    let o = o.unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
}

/// Boots Debian's netboot kernel with the initrd of that name in `dir` until a line matches.
fn boots(dir: &Path, kernel: &Path, name: &str, args: &str, expect: &str) {
    std::fs::copy(kernel, dir.join("linux")).unwrap();
    let script = format!(
        "#!ipxe\nimgfree\nkernel linux initrd={name} {args} console=tty0 \
         console=ttyS1,115200n8\ninitrd {name}\nboot\n"
    );
    std::fs::write(dir.join("boot.ipxe"), script).unwrap();
    let mut o = Options::new(dir);
    o.firmware = vec![Firmware::Bios];
    o.expect = Some(regex::Regex::new(expect).unwrap());
    o.timeout = Duration::from_secs(300);
    let v = support::boot(&o).remove(0);
    assert!(v.passed(), "{:?}", v.outcome);
}

#[test]
fn the_kernel_reads_back_what_was_appended() {
    let (Some((kernel, vendor)), Some(())) = (support::debian_netboot(), support::emulator())
    else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let overlay = tmp.path().join("overlay");
    // In a folder of the vendor's, and in one that only we have.
    std::fs::create_dir_all(overlay.join("lib/only/ours")).unwrap();
    std::fs::write(overlay.join("lib/only/ours/words"), "appended and read back\n").unwrap();
    let script = tmp.path().join("show");
    std::fs::write(&script, "#!/bin/sh\ncat /lib/only/ours/words\nls -l /sbin/init\nsleep 600\n")
        .unwrap();
    Command::new("chmod").arg("755").arg(&script).status().unwrap();
    let tree = tmp.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    initrd(&[
        "append",
        vendor.to_str().unwrap(),
        "--folder",
        overlay.to_str().unwrap(),
        "--add",
        &format!("{}:sbin/show", script.display()),
        "-o",
        tree.join("initrd.gz").to_str().unwrap(),
    ]);
    boots(&tree, &kernel, "initrd.gz", "rdinit=/sbin/show", "appended and read back");
}

#[test]
fn the_installer_starts_from_an_initrd_that_was_made_anew() {
    let (Some((kernel, vendor)), Some(())) = (support::debian_netboot(), support::emulator())
    else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    initrd(&[
        "repack",
        vendor.to_str().unwrap(),
        "--codec",
        "zstd",
        "--level",
        "3",
        "--drop",
        "lib/debian-installer-startup.d/S37brltty",
        "-o",
        tmp.path().join("initrd.zst").to_str().unwrap(),
    ]);
    let expect = "Starting system log daemon|Select a language|Choose language";
    boots(tmp.path(), &kernel, "initrd.zst", "", expect);
}
