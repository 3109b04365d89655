//! Media as they come and repacked, put into an emulated machine's CD drive and written to its USB stick,
//! under both firmwares. Both must start each way. Of the vendor's an operator on the second serial port
//! sees nothing; of the repacked one, all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::boot::{Options, Outcome, Start, Verdict, Why};
use isowright::model::arch::Firmware;
use std::path::Path;
use std::time::Duration;

/// Said by the initrd of tests/material/image-isos.sh: on the first port always, on the second where
/// the kernel's arguments put the console there.
const PROOF: &str = "isowright-proof: ";

fn boots(iso: &Path, expect: &str, start: Start, firmware: &[Firmware]) -> Vec<Verdict> {
    let mut o = Options::new(iso);
    o.start = start;
    o.firmware = firmware.to_vec();
    o.memory_mib = Some(512);
    // Eleven seconds of a processor; more by the clock where others want it too.
    o.timeout = Duration::from_secs(600);
    o.expect = Some(regex::Regex::new(expect).unwrap());
    support::boot(&o)
}

/// Boots it the four ways, as many at a time as there are processors.
fn four_ways(iso: &Path, expect: &str) -> Vec<Verdict> {
    let both = |start| boots(iso, expect, start, &[Firmware::Bios, Firmware::Uefi]);
    std::thread::scope(|s| {
        let cd = s.spawn(|| both(Start::Cd));
        let stick = both(Start::Usb);
        cd.join().unwrap().into_iter().chain(stick).collect()
    })
}

/// Repacked it is seen all four ways; with `overlay` a file of the operator's stands in the initrd.
fn repacked_is_seen(name: &str, vendors_words: &str, overlay: bool) {
    let (Some(iso), Some(())) = (support::material(name), support::emulator()) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    let expected = format!(r"(?s)isowright-proof: cmdline .*{PROOF}file [^\n]*\n");
    repack(&iso, &new, overlay.then_some(tmp.path()));
    let verdicts = four_ways(&new, &expected);
    assert_eq!(verdicts.len(), 4);
    for v in &verdicts {
        let way = format!("{name}, {} {}", v.firmware, v.start);
        assert!(v.passed(), "{way}: {:?}", v.outcome);
        let file = if overlay { "the operator's file" } else { "the vendor's initrd" };
        seen(&v.com2, v.firmware, file, &way);
        let args = words(&v.com2);
        assert!(vendors_words.split(' ').all(|w| args.contains(w)), "{way}: {args}");
        let consoles: Vec<_> = args.split(' ').filter(|w| w.starts_with("console=")).collect();
        assert_eq!(consoles, ["console=tty0", "console=ttyS1,115200n8"], "{way}");
    }
}

/// By the command line tool, with the bundled profile.
fn repack(iso: &Path, new: &Path, overlay: Option<&Path>) {
    let mut c = std::process::Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.env_remove("SOURCE_DATE_EPOCH").arg("image").arg(iso).arg("-o").arg(new);
    if let Some(dir) = overlay {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let metal = std::fs::read_to_string(root.join("profiles/metal.toml")).unwrap();
        std::fs::create_dir(dir.join("over")).unwrap();
        std::fs::write(dir.join("over/isowright-proof"), "the operator's file\n").unwrap();
        let profile = dir.join("rack.toml");
        std::fs::write(&profile, metal + "\n[initrd]\noverlay = \"over\"\n").unwrap();
        c.arg("-p").arg(profile);
    }
    let o = c.output().unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
}

/// What the initrd says of the machine and of itself.
fn seen(port: &str, firmware: Firmware, file: &str, way: &str) {
    let firmware = if firmware == Firmware::Uefi { "uefi" } else { "bios" };
    for (what, is) in [("firmware", firmware), ("file", file)] {
        assert!(port.contains(&format!("{PROOF}{what} {is}")), "{way}: {what}");
    }
}

/// The kernel's arguments, as the initrd read them.
fn words(port: &str) -> &str {
    let line = port.split(&format!("{PROOF}cmdline ")).nth(1).expect("a command line");
    line.lines().next().unwrap().trim_end()
}

fn boots_unseen(name: &str, args: &str) {
    let (Some(iso), Some(())) = (support::material(name), support::emulator()) else { return };
    let mut verdicts = boots(&iso, PROOF, Start::Cd, &[Firmware::Bios]);
    verdicts.extend(boots(&iso, PROOF, Start::Usb, &[Firmware::Uefi]));
    assert_eq!(verdicts.len(), 2);
    for v in &verdicts {
        let way = format!("{name}, {} {}", v.firmware, v.start);
        seen(&v.com1, v.firmware, "the vendor's initrd", &way);
        assert!(words(&v.com1).contains(args), "{way}: {}", v.com1);
        // The firmware and GRUB may speak on every port; what they started does not.
        assert!(!v.com2.contains("isowright-proof"), "{way}");
        let Outcome::Failed { why: Why::Ended { status }, .. } = &v.outcome else {
            panic!("{way}: {:?}", v.outcome)
        };
        assert!(status.contains("switched off"), "{way}: {status}");
    }
}

#[test]
fn debians_layout_as_it_comes_says_nothing_on_the_second_port() {
    boots_unseen("img-debian.iso", "vga=788");
}

#[test]
fn els_layout_as_it_comes_says_nothing_on_the_second_port() {
    boots_unseen("img-el.iso", "inst.stage2=hd:LABEL=AlmaLinux-9-4-x86_64-dvd rd.live.check");
}

#[test]
fn grubs_layout_as_it_comes_says_nothing_on_the_second_port() {
    boots_unseen("img-grub.iso", "BOOT_IMAGE=/casper/vmlinuz");
}

#[test]
fn debians_layout_repacked_is_seen_four_ways_and_reads_the_operators_file() {
    repacked_is_seen("img-debian.iso", "---", true);
}

#[test]
fn els_layout_repacked_is_seen_four_ways() {
    let words = "inst.stage2=hd:LABEL=AlmaLinux-9-4-x86_64-dvd rd.live.check inst.text \
                 bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4";
    repacked_is_seen("img-el.iso", words, false);
}

#[test]
fn grubs_layout_repacked_is_seen_four_ways() {
    // GRUB gives the kernel `;` as it stands between quotes, or behind a backslash.
    repacked_is_seen("img-grub.iso", "ds=nocloud;s=/cdrom/isowright/nocloud/", false);
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
