//! Answer files against their judges: ksvalidator for every version, debconf for preseeds, sh for
//! the scripts in both.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agama;
#[path = "../support/mod.rs"]
mod support;
mod suse;
mod ubuntu;

mod alpine;
mod clusters;
mod ignition;
mod live_media;
mod medium;
mod metallized;
mod proxmox;

use isowright::family::Family;
use isowright::family::draft::{ArgOp, Aspect, Disks, Draft, Facts, Hosted, KickstartLine, Layer};
use isowright::model::profile::{Delivery, Profile};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{material, packaged};

const BOND: &str = "[network.bond]\nports = [\"eth0\", \"eth1\"]\n";
const BY_MAC: &str =
    "[network.bond]\nports = [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]\nmtu = 9000\n";
const STATIC: &str = "[network.address]\nmethod = \"static\"\naddress = \"192.0.2.10/24\"\n\
                      gateway = \"192.0.2.1\"\ndns = [\"192.0.2.53\", \"2001:db8::53\"]\n";
const STATIC6: &str = "[network.address]\nmethod = \"static\"\naddress = \"2001:db8::10/64\"\n\
                       gateway = \"2001:db8::1\"\n";
const INSTALL: &str = "[install]\nhostname = \"node1.example.org\"\n\
    root_password_hash = \"$6$saltsalt$abcDEF./123\"\npackages = [\"vim-enhanced\"]\n\
    ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO9 admin@example.org\"]\n";

const MIRROR: &str = "[install.disk]\nraid1 = true\n";

/// Every mixture that changes the answers' shape.
fn profiles() -> Vec<(String, Profile)> {
    let mut all = Vec::new();
    for unattended in [false, true] {
        for (bond, b) in [("one port", ""), ("by name", BOND), ("by MAC", BY_MAC)] {
            for (address, a) in [("dhcp", ""), ("static", STATIC), ("static6", STATIC6)] {
                for (install, i) in [("bare", ""), ("full", INSTALL), ("mirror", MIRROR)] {
                    let text = format!(
                        "console = [\"tty0\", \"ttyS1,115200n8\"]\nunattended = {unattended}\n{b}{a}{i}"
                    );
                    let name = format!("{bond}, {address}, {install}, unattended {unattended}");
                    all.push((name, Profile::from_toml(&text, "test").expect("profile")));
                }
            }
        }
    }
    all
}

fn facts(distro: &str, version: &str) -> Facts {
    Facts {
        kickstart: if distro == "fedora" { KickstartLine::Fedora } else { KickstartLine::El },
        mirror: (distro == "debian").then(|| "http://deb.debian.org/debian".to_owned()),
        version: Some(version.into()),
        codename: Some("bookworm".into()),
        paths: [".treeinfo", "repodata/repomd.xml"]
            .iter()
            .map(|p| p.parse().expect("path"))
            .collect(),
        hosted: Hosted::whole_tree(),
        ..Facts::default()
    }
}

fn draft(family: Family, facts: &Facts, profile: &Profile) -> Draft {
    let mut draft = Draft::default();
    family.say(facts, profile, &mut draft).expect("says");
    draft
}

fn made<'d>(draft: &'d Draft, path: &str) -> &'d str {
    let m = draft.in_initrd.iter().find(|m| m.path.to_string() == path);
    let m = m.unwrap_or_else(|| panic!("{path} is not made"));
    std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8")
}

/// Panics with the tool's own words, unless it ends well.
fn judged(command: &mut Command, name: &str) {
    let out = command.stdin(Stdio::null()).output().expect("the judge starts");
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn ksvalidator_takes_every_kickstart() {
    let Some(venv) = material("validators") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    // One Python start per dialect, not per file: each takes half a second.
    let script = dir.path().join("judge.py");
    std::fs::write(&script, JUDGE).expect("write");
    let dialects = [
        ("almalinux", "9.4", "RHEL9"),
        ("rhel", "7.9", "RHEL7"),
        ("oracle", "8.9", "RHEL8"),
        ("rocky", "10.0", "RHEL10"),
        ("fedora", "38", "F38"),
        ("fedora", "40", "F40"),
        ("fedora", "42", "F42"),
    ];
    for (distro, version, dialect) in dialects {
        let folder = dir.path().join(dialect);
        std::fs::create_dir(&folder).expect("mkdir");
        for (i, (name, profile)) in profiles().iter().enumerate() {
            let draft = draft(Family::Anaconda, &facts(distro, version), profile);
            let text = made(&draft, "ks.cfg").to_owned() + &format!("# {name}\n");
            std::fs::write(folder.join(format!("{i}.ks")), text).expect("write");
        }
        // What %pre writes, in its place.
        let profile =
            Profile::from_toml(&format!("console = []\nunattended = true\n{MIRROR}"), "test");
        let draft = draft(Family::Anaconda, &facts(distro, version), &profile.expect("profile"));
        let ks = made(&draft, "ks.cfg");
        for (uefi, gib) in [(false, 20), (false, 4000), (true, 4000)] {
            let disks = over_disks(&ks_scripts(ks)[0], "isowright-disk.ks", |block| {
                disk(block, "sda", gib, "0\n", true);
                disk(block, "sdb", gib, "0\n", true);
                if uefi {
                    std::fs::create_dir_all(block.join("../firmware/efi")).expect("mkdir");
                }
            })
            .expect("written");
            assert_eq!(disks.contains("--fstype=efi"), uefi);
            assert_eq!(disks.contains("biosboot"), !uefi && gib > 2048);
            let text = ks.replace("%include /tmp/isowright-disk.ks", &disks);
            std::fs::write(folder.join(format!("mirror-{uefi}-{gib}.ks")), text).expect("write");
        }
        judged(
            Command::new(venv.join("bin/python")).arg(&script).arg(dialect).arg(&folder),
            dialect,
        );
    }
}

/// What ksvalidator does, for many files; a deprecation is an error too, or we would not hear of it.
const JUDGE: &str = r#"
import glob, sys, warnings
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion
warnings.simplefilter("error")
files = sorted(glob.glob(sys.argv[2] + "/*.ks"))
assert files
for f in files:
    try:
        KickstartParser(makeVersion(sys.argv[1]), followIncludes=False, errorsAreFatal=True).readKickstart(f)
    except Exception as e:
        print(open(f).read(), f, e)
        sys.exit(1)
"#;

#[test]
fn the_real_ksvalidator_agrees() {
    let Some(venv) = material("validators") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("ks.cfg");
    let draft =
        draft(Family::Anaconda, &facts("almalinux", "9.4"), &Profile::metal().expect("metal"));
    std::fs::write(&file, made(&draft, "ks.cfg")).expect("write");
    let mut tool = Command::new(venv.join("bin/ksvalidator"));
    judged(tool.args(["-v", "RHEL9"]).arg(&file), "ksvalidator");
}

#[test]
fn debconf_takes_every_preseed() {
    let Some(tool) = packaged("/usr/bin/debconf-set-selections", "debconf") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let mut all = String::new();
    for (name, profile) in profiles() {
        let draft = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
        all += &format!("# {name}\n{}", made(&draft, "preseed.cfg"));
    }
    let file = dir.path().join("preseed.cfg");
    std::fs::write(&file, &all).expect("write");
    let out = Command::new(tool).arg("-c").arg(&file).output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.is_empty(), "{said}");
    for line in all.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        assert!(line.split(' ').count() >= 3, "owner, question and type are wanted: {line}");
    }
}

#[test]
fn by_url_only_what_the_network_needs_stays_in_the_initrd() {
    let by_url = Facts { delivery: Some(Delivery::Url), ..facts("debian", "12.5.0") };
    for (name, profile) in profiles() {
        let whole = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
        let parts = draft(Family::DebianInstaller, &by_url, &profile);
        let beside = parts.beside.iter().find(|m| m.path.to_string() == "answers/preseed.cfg");
        let beside = beside.expect("beside");
        assert_eq!(beside.mode, 0o600);
        let lines = |t: &str| {
            let real = t.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
            real.map(str::to_owned).collect::<Vec<_>>()
        };
        let beside = std::str::from_utf8(beside.bytes().expect("ours")).expect("utf-8");
        let both = [lines(made(&parts, "preseed.cfg")), lines(beside)].concat();
        assert_eq!(both, lines(made(&whole, "preseed.cfg")), "{name}");
        assert!(!beside.contains("netcfg/"), "{name}: the network is up by then");
        assert!(!made(&parts, "preseed.cfg").contains("passwd/"), "{name}");
        let url = ArgOp::Set("url=@BASE@answers/preseed.cfg".into());
        assert!(parts.args.iter().any(|a| a.op == url));

        let ks = draft(Family::Anaconda, &by_url, &profile);
        assert!(ks.in_initrd.is_empty() && ks.beside[0].path.to_string() == "answers/ks.cfg");
        let told: Vec<&str> = ks.notes.iter().map(|n| n.text.as_str()).collect();
        assert!(!told.iter().any(|t| t.contains("lies in initrd.img")), "{told:?}");
    }
}

#[test]
fn a_way_that_an_installer_has_not_is_refused() {
    let facts = Facts { delivery: Some(Delivery::Cmdline), ..facts("debian", "12") };
    for family in [Family::Anaconda, Family::DebianInstaller] {
        let e = family.say(&facts, &Profile::metal().expect("metal"), &mut Draft::default());
        let e = e.expect_err("refused");
        assert!(e.hint_text().expect("hint").contains("initrd, url"), "{e}");
    }
}

#[test]
fn a_recipe_without_a_mirror_leaves_it_to_the_installer() {
    let metal = Profile::metal().expect("metal");
    let di = draft(Family::DebianInstaller, &facts("mine", "1"), &metal);
    assert!(!made(&di, "preseed.cfg").contains("d-i mirror/country"));
    assert!(di.notes.iter().any(|n| n.warning && n.text.contains("names a mirror")));
}

#[test]
fn whose_hash_can_be_fetched_is_told() {
    let text = format!("console = []\n{INSTALL}");
    let profile = Profile::from_toml(&text, "test").expect("profile");
    let metal = Profile::metal().expect("metal");
    for family in [Family::Anaconda, Family::DebianInstaller] {
        for (profile, told) in [(&profile, true), (&metal, false)] {
            let d = draft(family, &facts("debian", "12"), profile);
            let there = d.notes.iter().any(|n| n.warning && n.text.contains("lies in initrd.img"));
            assert_eq!(there, told, "{family:?}");
        }
    }
}

#[test]
fn every_script_is_shell() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut scripts = 0;
    for (name, profile) in profiles() {
        let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &profile);
        for (i, section) in ks_scripts(made(&ks, "ks.cfg")).into_iter().enumerate() {
            shell(dir.path(), &section, &format!("{name}: section {i}"));
            scripts += 1;
        }
        let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
        for m in di.in_initrd.iter().filter(|m| m.path.to_string() != "preseed.cfg") {
            let text = std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8");
            shell(dir.path(), text, &format!("{name}: {}", m.path));
            scripts += 1;
        }
    }
    assert!(scripts > 100);
}

/// The bodies of a kickstart's %pre and %post.
fn ks_scripts(ks: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Option<String> = None;
    for line in ks.lines() {
        if line.starts_with("%pre") || line.starts_with("%post") {
            inside = Some(String::new());
        } else if line == "%end" {
            found.extend(inside.take());
        } else if let Some(body) = &mut inside {
            body.push_str(line);
            body.push('\n');
        }
    }
    found
}

fn shell(dir: &Path, text: &str, name: &str) {
    assert!(!text.contains("{{") && !text.contains("{%"), "{name}: {text}");
    let file = dir.join("script");
    std::fs::write(&file, text).expect("write");
    judged(Command::new("sh").arg("-n").arg(&file), name);
    // Debian's installer has busybox's shell, not dash.
    if Path::new("/bin/busybox").exists() {
        judged(Command::new("/bin/busybox").args(["sh", "-n"]).arg(&file), name);
    }
}

#[test]
fn no_disk_is_touched_unless_unattended() {
    const WIPES: [&str; 8] = [
        "zerombr",
        "clearpart",
        "autopart",
        "ignoredisk",
        "partman",
        "grub-installer/bootdev",
        "reboot",
        "disk.sh",
    ];
    for (name, profile) in profiles() {
        let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &profile);
        let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
        let all: String = ks
            .in_initrd
            .iter()
            .chain(&di.in_initrd)
            .map(|m| String::from_utf8(m.bytes().expect("ours").to_vec()).expect("utf-8"))
            .collect();
        for word in WIPES {
            let there = all.lines().any(|l| !l.trim_start().starts_with('#') && l.contains(word));
            let wanted = profile.unattended && (word != "autopart" || !profile.install.disk.raid1);
            assert_eq!(there, wanted, "{name}: {word}");
        }
    }
}

/// Runs `script` over a /sys that `disks` fills; what it wrote, if anything.
fn over_disks(script: &str, result: &str, disks: impl Fn(&Path)) -> Option<String> {
    let dir = tempfile::tempdir().expect("tempdir");
    let block = dir.path().join("sys/block");
    std::fs::create_dir_all(&block).expect("mkdir");
    disks(&block);
    let here = script
        .replace("/tmp/", &format!("{}/", dir.path().display()))
        .replace("/sys/block", block.to_str().expect("utf-8"))
        .replace("/sys/firmware", dir.path().join("sys/firmware").to_str().expect("utf-8"))
        .replace("/dev/$name", &format!("{}/dev/$name", dir.path().display()))
        .replace("logger -t", ": -t");
    let file = dir.path().join("script");
    std::fs::write(&file, here).expect("write");
    // Where no disk is chosen the script may fail: what counts is what it wrote.
    Command::new("sh").arg(&file).output().expect("sh starts");
    std::fs::read_to_string(dir.path().join(result)).ok()
}

/// A disk as sysfs shows it.
fn disk(block: &Path, name: &str, gib: u64, removable: &str, device: bool) {
    let d = block.join(name);
    std::fs::create_dir_all(&d).expect("mkdir");
    std::fs::write(d.join("size"), format!("{}\n", gib * (1 << 21))).expect("write");
    std::fs::write(d.join("removable"), removable).expect("write");
    std::fs::write(d.join("ro"), "0\n").expect("write");
    if device {
        std::fs::write(d.join("device"), "").expect("write");
    }
}

/// Anaconda's and Debian's script for the disks, with the file that it writes.
fn disk_scripts(install: &str) -> [(String, &'static str); 2] {
    let text = format!("console = []\nunattended = true\n[install.disk]\n{install}");
    let profile = Profile::from_toml(&text, "test").expect("profile");
    let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &profile);
    let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
    [
        (ks_scripts(made(&ks, "ks.cfg")).remove(0), "isowright-disk.ks"),
        (
            made(&di, "isowright/disk.sh").replace("debconf-set-selections", "true"),
            "isowright-disk.cfg",
        ),
    ]
}

#[test]
fn a_mirror_takes_the_two_smallest_disks_or_none() {
    for (script, result) in disk_scripts("raid1 = true\n") {
        let two = over_disks(&script, result, |block| {
            disk(block, "sda", 4000, "0\n", true);
            disk(block, "nvme0n1", 480, "0\n", true);
            disk(block, "nvme1n1", 480, "0\n", true);
            disk(block, "nvme0c0n1", 9, "0\n", true);
            std::fs::write(block.join("nvme0c0n1/hidden"), "1\n").expect("write");
        })
        .expect("written");
        assert!(two.contains("nvme0n1") && two.contains("nvme1n1"), "{two}");
        assert!(!two.contains("sda") && !two.contains("nvme0c0n1"), "{two}");
        let raid = two.contains("raid /boot --device=boot --level=1")
            || two.contains("d-i partman-auto/method string raid\n");
        assert!(raid, "{two}");
        let one = over_disks(&script, result, |block| disk(block, "sda", 40, "0\n", true));
        assert_eq!(one, None, "half a mirror is none");
    }
}

#[test]
fn a_disk_by_name_is_taken_whatever_its_size_and_a_missing_one_never_replaced() {
    for (script, result) in disk_scripts("devices = [\"disk/by-path/pci-1\"]\n") {
        let named = |there: bool| {
            move |block: &Path| {
                disk(block, "sda", 20, "0\n", true);
                disk(block, "sdb", 4000, "0\n", true);
                let by_path = block.join("../../dev/disk/by-path");
                std::fs::create_dir_all(&by_path).expect("mkdir");
                if there {
                    std::os::unix::fs::symlink("../../sdb", by_path.join("pci-1")).expect("link");
                }
            }
        };
        let chosen = over_disks(&script, result, named(true)).expect("written");
        assert!(chosen.contains("sdb") && !chosen.contains("sda"), "{chosen}");
        assert_eq!(over_disks(&script, result, named(false)), None);
    }
}

/// Every question whose answer lets the Debian installer write to a disk.
const LETS_WIPE: [&str; 15] = [
    "partman-auto/disk",
    "partman-auto/method",
    "partman-auto/choose_recipe",
    "partman-lvm/device_remove_lvm",
    "partman-md/device_remove_md",
    "partman-lvm/confirm",
    "partman-lvm/confirm_nooverwrite",
    "partman-partitioning/confirm_write_new_label",
    "partman/choose_partition",
    "partman/confirm",
    "partman/confirm_nooverwrite",
    "partman-efi/non_efi_system",
    "grub-installer/only_debian",
    "grub-installer/with_other_os",
    "grub-installer/bootdev",
];

/// A preseed that answers partman beforehand makes it take the only disk there is, also one that
/// disk.sh refused.
#[test]
fn partman_is_answered_only_where_a_disk_was_chosen() {
    let profile = Profile::from_toml("console = []\nunattended = true\n", "test").expect("profile");
    let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
    let preseed: Vec<&str> =
        made(&di, "preseed.cfg").lines().filter(|l| !l.starts_with('#')).collect();
    assert!(preseed.contains(&"d-i partman/early_command string sh /isowright/disk.sh"));
    let preseed = preseed.join("\n").replace("partman/early_command", "");
    for word in ["partman", "grub-installer", "confirm_nooverwrite"] {
        assert!(!preseed.contains(word), "{word}: {preseed}");
    }

    let script = made(&di, "isowright/disk.sh").replace("debconf-set-selections", "true");
    let result = "isowright-disk.cfg";
    let none = over_disks(&script, result, |block| {
        disk(block, "sda", 4, "0\n", true);
        disk(block, "sdb", 64, "1\n", true);
        disk(block, "../usb1/sdc", 64, "0\n", true);
        std::os::unix::fs::symlink("../usb1/sdc", block.join("sdc")).expect("link");
    });
    assert_eq!(none, None, "a disk that is refused gets no answers");
    let text = over_disks(&script, result, |block| disk(block, "vda", 20, "0\n", true));
    let text = text.expect("a good disk gets answers");
    for word in LETS_WIPE {
        assert!(text.contains(&format!("d-i {word} ")), "{word}: {text}");
    }
    assert_eq!(text.lines().count(), LETS_WIPE.len(), "{text}");

    let Some(tool) = packaged("/usr/bin/debconf-set-selections", "debconf") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join(result);
    std::fs::write(&file, &text).expect("write");
    judged(Command::new(tool).arg("-c").arg(&file), result);
}

#[test]
fn the_smallest_built_in_disk_is_chosen() {
    let profile = Profile::from_toml("console = []\nunattended = true\n", "test").expect("profile");
    let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &profile);
    let ks = ks_scripts(made(&ks, "ks.cfg")).remove(0);
    let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &profile);
    let di = made(&di, "isowright/disk.sh").replace("debconf-set-selections", "true");
    for (script, result) in [(ks, "isowright-disk.ks"), (di, "isowright-disk.cfg")] {
        let chosen = over_disks(&script, result, |block| {
            disk(block, "sda", 4000, "0\n", true);
            disk(block, "nvme0n1", 240, "0\n", true);
            disk(block, "nvme1n1", 480, "0\n", true);
            disk(block, "sdb", 16, "1\n", true);
            disk(block, "sdc", 4, "0\n", true);
            disk(block, "loop0", 20, "0\n", true);
            disk(block, "dm-0", 20, "0\n", false);
            // A stick that denies being removable.
            disk(block, "../usb1/sdd", 20, "0\n", true);
            std::os::unix::fs::symlink("../usb1/sdd", block.join("sdd")).expect("link");
        })
        .expect("written");
        assert!(chosen.contains("nvme0n1"), "{chosen}");
        for other in ["sda", "sdb", "sdc", "sdd", "nvme1n1", "loop0"] {
            assert!(!chosen.contains(other), "{chosen}");
        }
    }
}

#[test]
fn the_bond_of_the_mission_is_spelled_out_everywhere() {
    let metal = Profile::metal().expect("metal");
    let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &metal);
    let words = "mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4";
    assert!(made(&ks, "ks.cfg").contains(&format!(
        "network --device=bond0 --bondslaves=eth0,eth1 --bondopts={words} --bootproto=dhcp --onboot=yes --activate\n"
    )));
    let args: Vec<String> = ks.args.iter().map(|a| format!("{:?}", a.op)).collect();
    for want in [
        &*format!("Append(\"bond=bond0:eth0,eth1:{words}\")"),
        "Append(\"ip=bond0:dhcp\")",
        "Set(\"net.ifnames=0\")",
        "Append(\"console=tty0\")",
        "Append(\"console=ttyS1,115200n8\")",
        "Set(\"inst.ks=file:/ks.cfg\")",
        "Set(\"inst.repo=@BASE@repo/\")",
        "Set(\"inst.text\")",
        "Remove(\"rd.live.check\")",
        "Remove(\"inst.stage2\")",
    ] {
        assert!(args.iter().any(|a| a == want), "{want} is not in {args:?}");
    }
    let di = draft(Family::DebianInstaller, &facts("debian", "12.5.0"), &metal);
    let late = made(&di, "isowright/late.sh");
    for line in [
        "bond-mode 802.3ad",
        "bond-lacp-rate slow",
        "bond-miimon 100",
        "bond-xmit-hash-policy layer3+4",
    ] {
        assert!(late.contains(line), "{line}");
    }
    assert!(made(&di, "preseed.cfg").contains("d-i netcfg/choose_interface select bond0\n"));
}

#[test]
fn ports_by_address_are_pinned_in_the_installer_and_after() {
    let text = format!("console = []\n{BY_MAC}");
    let profile = Profile::from_toml(&text, "test").expect("profile");
    let ks = draft(Family::Anaconda, &facts("almalinux", "9.4"), &profile);
    let args: Vec<String> = ks.args.iter().map(|a| format!("{:?}", a.op)).collect();
    assert!(args.contains(&"Append(\"ifname=nic0:52:54:00:00:00:01\")".to_owned()), "{args:?}");
    assert!(made(&ks, "ks.cfg").contains("10-isowright-nic1.link"));
    assert!(!args.iter().any(|a| a.contains("net.ifnames")));
}

#[test]
fn every_family_answers_for_every_layer() {
    let metal = Profile::metal().expect("metal");
    let mut f = facts("debian", "12");
    f.hosted = Hosted::only(vec!["live/filesystem.squashfs".parse().expect("path")]);
    f.paths.insert("LiveOS/squashfs.img".parse().expect("path"));
    for &family in Family::ALL {
        for own in [None, Some(("own.cfg".to_owned(), b"# mine\n".to_vec()))] {
            for profile in [&metal, &Profile::from_toml("console = []\n", "t").expect("profile")] {
                f.own_answers = own.clone();
                let d = draft(family, &f, profile);
                for layer in Layer::ALL {
                    for aspect in [Aspect::Console, Aspect::Bond] {
                        let rows =
                            d.coverage.iter().filter(|c| c.layer == layer && c.aspect == aspect);
                        assert_eq!(rows.count(), 1, "{family:?} {layer:?} {aspect:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_users_own_answers_go_in_as_they_are() {
    let metal = Profile::metal().expect("metal");
    for (family, path) in [(Family::Anaconda, "ks.cfg"), (Family::DebianInstaller, "preseed.cfg")] {
        let mut f = facts("debian", "12");
        f.own_answers = Some(("mine".into(), b"# mine \xff".to_vec()));
        let d = draft(family, &f, &metal);
        let m = d.in_initrd.iter().find(|m| m.path.to_string() == path).expect("made");
        assert_eq!((m.bytes().expect("ours"), m.mode), (&b"# mine \xff"[..], 0o600));
    }
}
