//! Media as they come, put into an emulated machine's CD drive and written to its USB stick, under both
//! firmwares. They must start each way, and an operator on the second serial port must see nothing of
//! it: that is what a repacked one is held against.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::{Options, Outcome, Start, Verdict, Why};
use isowright::model::arch::Firmware;
use std::path::Path;
use std::time::Duration;

/// Said by the initrd of tests/material/image-isos.sh: on the first port always, on the second where
/// the kernel's arguments put the console there.
const PROOF: &str = "isowright-proof: ";

/// Boots it the four ways, as many at a time as there are processors.
fn four_ways(iso: &Path, expect: &str) -> Vec<Verdict> {
    let both = |start| {
        let mut o = Options::new(iso);
        o.start = start;
        o.memory_mib = Some(512);
        // Eleven seconds of a processor; more by the clock where others want it too.
        o.timeout = Duration::from_secs(600);
        o.expect = Some(regex::Regex::new(expect).unwrap());
        o
    };
    let (cd, stick) = (both(Start::Cd), both(Start::Usb));
    std::thread::scope(|s| {
        let cd = s.spawn(|| support::boot(&cd));
        let stick = support::boot(&stick);
        cd.join().unwrap().into_iter().chain(stick).collect()
    })
}

fn boots_unseen(name: &str, args: &str) {
    let (Some(iso), Some(())) = (support::material(name), support::emulator()) else { return };
    let verdicts = four_ways(&iso, PROOF);
    assert_eq!(verdicts.len(), 4);
    for v in &verdicts {
        let way = format!("{name}, {} {}", v.firmware, v.start);
        let firmware = if v.firmware == Firmware::Uefi { "uefi" } else { "bios" };
        for (what, is) in [("firmware", firmware), ("file", "the vendor's initrd")] {
            assert!(v.com1.contains(&format!("{PROOF}{what} {is}")), "{way}: {what}");
        }
        let cmdline = v.com1.split(&format!("{PROOF}cmdline ")).nth(1).expect("a command line");
        assert!(cmdline.lines().next().unwrap().contains(args), "{way}: {cmdline}");
        // The firmware and GRUB may speak on every port; what they started does not.
        assert!(!v.com2.contains("isowright-proof"), "{way}");
        let Outcome::Failed { why: Why::Ended { status }, .. } = &v.outcome else {
            panic!("{way}: {:?}", v.outcome)
        };
        assert!(status.contains("switched off"), "{way}: {status}");
    }
}

#[test]
fn debians_layout_starts_four_ways_and_says_nothing_on_the_second_port() {
    boots_unseen("img-debian.iso", "vga=788");
}

#[test]
fn els_layout_starts_four_ways_and_says_nothing_on_the_second_port() {
    boots_unseen("img-el.iso", "inst.stage2=hd:LABEL=AlmaLinux-9-4-x86_64-dvd rd.live.check");
}

#[test]
fn grubs_layout_starts_four_ways_and_says_nothing_on_the_second_port() {
    boots_unseen("img-grub.iso", "BOOT_IMAGE=/casper/vmlinuz");
}

#[test]
fn an_image_that_nothing_can_start_from_is_no_proof() {
    let Some(()) = support::emulator() else { return };
    let iso = tempfile::NamedTempFile::new().unwrap();
    iso.as_file().set_len(1 << 20).unwrap();
    let mut o = Options::new(iso.path());
    o.start = Start::Cd;
    o.firmware = vec![Firmware::Bios];
    o.timeout = Duration::from_secs(5);
    let v = support::boot(&o).remove(0);
    assert!(!v.passed(), "{:?}", v.outcome);
}
