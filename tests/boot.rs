//! `isowright boot`, judged by trees written by hand: what must pass passes under both firmwares, and
//! each way a tree can be wrong is told from the others. Emulated machines, so this takes minutes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::{Options, Outcome, Verdict, Why};
use isowright::model::arch::Firmware;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// A tree with this boot script beside Debian's netboot kernel and initrd.
fn tree(script: &str) -> Option<tempfile::TempDir> {
    support::emulator()?;
    let (kernel, initrd) = support::debian_netboot()?;
    let dir = tempfile::tempdir().unwrap();
    // Copied, not linked: a link out of the folder is not served.
    std::fs::copy(kernel, dir.path().join("linux")).unwrap();
    std::fs::copy(initrd, dir.path().join("initrd.gz")).unwrap();
    std::fs::write(dir.path().join("boot.ipxe"), script).unwrap();
    Some(dir)
}

fn options(dir: &Path) -> Options {
    let mut o = Options::new(dir);
    o.timeout = Duration::from_secs(240);
    o.firmware = vec![Firmware::Bios];
    o
}

fn why(v: &[Verdict]) -> &Why {
    match &v[0].outcome {
        Outcome::Failed { why, .. } => why,
        passed => panic!("{passed:?}"),
    }
}

#[test]
fn a_good_tree_reaches_user_space_under_both_firmwares() {
    let script = "#!ipxe\nimgfree\n\
        kernel linux initrd=initrd.gz console=tty0 console=ttyS1,115200n8\n\
        initrd initrd.gz\nboot\n";
    let Some(dir) = tree(script) else { return };
    let mut o = options(dir.path());
    o.firmware = vec![Firmware::Bios, Firmware::Uefi];
    o.nics = 2;
    let verdicts = support::boot(&o);
    assert_eq!(verdicts.len(), 2);
    for v in &verdicts {
        assert!(v.passed(), "{}: {:?}", v.firmware, v.outcome);
        assert!(v.com2.contains("Linux version 6.1"), "the kernel's banner on COM2");
        assert!(v.requests.iter().any(|r| r.target.ends_with("/initrd.gz") && r.complete));
    }
}

#[test]
fn a_kernel_that_speaks_on_the_other_port_fails() {
    let script = "#!ipxe\nkernel linux initrd=initrd.gz console=ttyS0,115200n8\n\
        initrd initrd.gz\nboot\n";
    let Some(dir) = tree(script) else { return };
    let v = support::boot(&options(dir.path()));
    assert!(matches!(why(&v), Why::WrongPort { .. }), "{:?}", v[0].outcome);
}

#[test]
fn a_kernel_that_speaks_on_no_port_fails() {
    let script = "#!ipxe\nkernel linux initrd=initrd.gz console=tty0\ninitrd initrd.gz\nboot\n";
    let Some(dir) = tree(script) else { return };
    let mut o = options(dir.path());
    o.silence = Duration::from_secs(30);
    let v = support::boot(&o);
    assert!(matches!(why(&v), Why::Silent { .. }), "{:?}", v[0].outcome);
}

#[test]
fn a_missing_initrd_is_named() {
    let script = "#!ipxe\nkernel linux initrd=initrd.gz console=ttyS1,115200n8\n\
        initrd initrd.gz\nboot\n";
    let Some(dir) = tree(script) else { return };
    std::fs::remove_file(dir.path().join("initrd.gz")).unwrap();
    symlink("/usr/lib/debian-installer", dir.path().join("initrd.gz")).unwrap();
    let v = support::boot(&options(dir.path()));
    assert_eq!(*why(&v), Why::Missing { path: "initrd.gz".into() });
}

#[test]
fn a_kernel_without_initrd_panics_and_its_message_is_told() {
    let Some(dir) = tree("#!ipxe\nkernel linux console=ttyS1,115200n8\nboot\n") else { return };
    let v = support::boot(&options(dir.path()));
    assert!(
        matches!(why(&v), Why::Panic { line } if line.contains("Unable to mount root fs")),
        "{:?}",
        v[0].outcome
    );
}

#[test]
fn a_script_that_ipxe_refuses_fails_with_its_words() {
    let Some(dir) = tree("#!ipxe\nkernal linux\nboot\n") else { return };
    let v = support::boot(&options(dir.path()));
    assert!(matches!(why(&v), Why::Ipxe { .. }), "{:?}", v[0].outcome);
}
