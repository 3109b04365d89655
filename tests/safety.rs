//! What becomes of disks, and that every place says the same: the plan, the manifest, the menu, the
//! hosts. No medium's own boot entry installs where nobody asked for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::tree::Node;
use isowright::family::Family;
use isowright::family::draft::{ArgOp, Disks, Draft, Facts, Hosted};
use isowright::format::cpio;
use isowright::media::Media;
use isowright::model::cmdline::Cmdline;
use isowright::model::hosts::Hosts;
use isowright::model::profile::{Delivery, Profile};
use isowright::plan::{self, NetbootPair, Plan, Target, render};
use isowright::publish::manifest::Manifest;
use isowright::recipe::{self, select};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const HOSTS: &str = "[[host]]\nname = \"db1\"\nmacs = [\"52:54:00:00:01:01\"]\nunattended = true\n\
                     [[host]]\nname = \"web1\"\nmacs = [\"52:54:00:00:02:01\"]\n";
const FULL: &str = "console = [\"tty0\", \"ttyS1,115200n8\"]\n[network.bond]\nports = [\"eth0\", \"eth1\"]\n\
    [install]\nhostname = \"rack7.example.org\"\nroot_password_hash = \"$6$saltsalt$abcDEF\"\n\
    ssh_keys = [\"ssh-ed25519 AAAA you\"]\ntimezone = \"Europe/Berlin\"\npackages = [\"chrony\"]\n";
const STATIC6: &str = "[network.address]\nmethod = \"static\"\naddress = \"2001:db8::10/64\"\n\
                       gateway = \"2001:db8::1\"\n";

fn profile(text: &str) -> Profile {
    Profile::from_toml(text, "test").unwrap()
}

/// The plan of a fixture.
fn planned(name: &str, profile: &Profile, target: Target) -> isowright::Result<Plan> {
    let (tree, volume_id) = support::fixture(name);
    let media = Media::of_tree(&format!("{name}.iso"), &volume_id, tree);
    let recipes = recipe::bundled().unwrap();
    let labels = recipe::label::labels(&recipes).unwrap();
    let (docs, identity) = (media.boot_docs(), media.identity(&labels));
    let has_kernel = media.has_kernel(&docs);
    let recipe = select::select(&recipes, &identity, &media.tree, has_kernel).unwrap().recipe;
    let on_medium = recipe.boot_files(&media.tree).is_some();
    let empty = cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap();
    let netboot = recipe.netboot.as_ref().filter(|_| !on_medium).map(|_| NetbootPair {
        kernel: ("linux".into(), Content::from(b"a stand-in\n".to_vec())),
        initrd: ("initrd.gz".into(), Content::from(empty)),
    });
    let target = Target { netboot, ..target };
    let (media, docs, identity) = (&media, &docs, &identity);
    plan::make(&plan::Inputs { media, docs, identity, recipe, profile, target: &target })
}

fn for_hosts() -> Target {
    Target { hosts: Some(Hosts::from_toml(HOSTS, "hosts.toml").unwrap().0), ..Target::default() }
}

fn with_own(name: &str) -> Target {
    let text = b"{ \"mine\": 1 }\n".to_vec();
    Target { answers: Some((name.into(), text)), ..Target::default() }
}

fn lenient(text: &str) -> Profile {
    let mut p = profile(text);
    p.answers.lenient = true;
    p
}

fn notes(plan: &Plan) -> String {
    plan.notes.iter().map(|n| format!("{}\n", n.text)).collect()
}

#[test]
fn what_is_said_to_be_wiped_is_what_is_wiped() {
    for name in support::fixtures() {
        let plan = planned(&name, &lenient("console = []\nunattended = true\n"), Target::default());
        let plan = plan.unwrap_or_else(|e| panic!("{name}: {e}"));
        let unheeded = notes(&plan).contains("unattended is not heeded");
        assert_eq!(plan.disks == Disks::Unheeded, unheeded, "{name}: {:?}", plan.disks);
        assert_ne!(plan.disks, Disks::LeftAlone, "{name}");
        let text = render::text(&plan, false);
        let line = text.lines().find(|l| l.starts_with("  disks")).unwrap();
        assert_eq!(line.contains("WIPED"), !unheeded, "{name}: {line}");
        assert_eq!(render::json(&plan).unwrap()["unattended"], !unheeded, "{name}");
        assert_eq!(Manifest::new(&plan, Vec::new()).unattended, !unheeded, "{name}");

        let plan = planned(&name, &lenient("console = []\n"), Target::default()).unwrap();
        let by_itself = name == "openshift-agent";
        let want = if by_itself { Disks::AsMedium } else { Disks::LeftAlone };
        assert_eq!(plan.disks, want, "{name}");
    }
}

#[test]
fn no_host_is_said_to_be_wiped_by_what_installs_nothing() {
    let plan = planned("gentoo-2026", &lenient("console = []\n"), for_hosts()).unwrap();
    assert_eq!(plan.disks, Disks::Unheeded);
    assert!(plan.hosts.iter().all(|h| !h.unattended));
    let text = render::text(&plan, false);
    assert!(!text.contains("WIPED"), "{text}");
}

#[test]
fn a_medium_that_installs_by_itself_is_for_unattended_hosts_alone() {
    let name = "openshift-agent";
    let e = planned(name, &lenient("console = []\n"), for_hosts()).unwrap_err();
    assert!(e.to_string().contains("host web1 is not unattended"), "{e}");
    let all = lenient("console = []\nunattended = true\n");
    let plan = planned(name, &all, for_hosts()).unwrap();
    assert!(plan.hosts.iter().all(|h| h.disks == Disks::AsMedium));
    assert!(notes(&plan).contains("is offered no installer"), "{}", notes(&plan));
    for (path, f) in &plan.files {
        let path = path.to_string();
        if path.ends_with("boot.ipxe") || path.ends_with("grub.cfg") {
            let text = String::from_utf8(f.content.read_all(1 << 20).unwrap()).unwrap();
            assert!(!text.contains("Start the installer"), "{path}: {text}");
        }
    }
}

#[test]
fn ones_own_answers_may_wipe_and_every_place_says_so() {
    for name in [
        "almalinux-9-dvd",
        "debian-12-netinst",
        "ubuntu-24.04-live-server",
        "opensuse-leap-15.6-dvd",
        "harvester-1.3",
        "arch-202402",
        "systemrescue-11",
    ] {
        for unattended in [false, true] {
            let p = lenient(&format!("console = []\nunattended = {unattended}\n"));
            let plan = planned(name, &p, with_own("mine.cfg")).unwrap();
            if unattended && name == "harvester-1.3" {
                assert!(matches!(plan.disks, Disks::Wiped { .. }), "{name}");
                continue;
            }
            assert_eq!(plan.disks, Disks::AsOwn { file: "mine.cfg".into() }, "{name}");
            let text = render::text(&plan, false);
            assert!(text.contains("disks    as your own mine.cfg says, which may WIPE"), "{text}");
            assert!(Manifest::new(&plan, Vec::new()).unattended, "{name}");
        }
    }
    // These are held back from the installer, or are the installed system's.
    for name in ["talos-1.7", "opensuse-leap-16-agama", "fedora-coreos-40", "flatcar"] {
        let plan = |p: &str| planned(name, &lenient(p), with_own("mine.json")).unwrap();
        assert_eq!(plan("console = []\n").disks, Disks::LeftAlone, "{name}");
        assert!(plan("console = []\nunattended = true\n").disks.at_risk(), "{name}");
    }
    let target = Target { answers: with_own("mine.ks").answers, ..for_hosts() };
    let plan = planned("almalinux-9-dvd", &profile("console = []\n"), target).unwrap();
    let text = render::text(&plan, false);
    assert!(text.contains("disks    as your own answers say on 2 of 2 hosts"), "{text}");
}

#[test]
fn what_the_own_file_must_say_itself_is_listed_once() {
    for (name, theirs, heeded) in [
        (
            "almalinux-9-dvd",
            "console, network.bond, install.hostname, install.root_password_hash, \
          install.ssh_keys, install.timezone, install.packages",
            "",
        ),
        (
            "debian-12-netinst",
            "network.bond, install.hostname, install.root_password_hash",
            "console",
        ),
        (
            "fedora-coreos-40",
            "network.bond, install.hostname, install.root_password_hash",
            "console",
        ),
        ("harvester-1.3", "console, install.hostname, install.root_password_hash", "network.bond"),
    ] {
        let plan = planned(name, &lenient(FULL), with_own("mine.cfg")).unwrap();
        let said = notes(&plan);
        assert_eq!(said.matches("mine.cfg is used as it is").count(), 1, "{said}");
        let line = said.lines().find(|l| l.starts_with("mine.cfg is used as it is")).unwrap();
        assert!(line.contains(&format!("it says so too: {theirs}")), "{name}: {line}");
        assert!(heeded.is_empty() || !line.contains(heeded), "{name}: {line}");
        let plan = planned(name, &lenient(FULL), with_own("mine.cfg.jinja")).unwrap();
        assert!(!notes(&plan).contains("is used as it is"), "{name}");
    }
}

/// A family's draft for a medium whose own entry says `entry`.
fn said(family: Family, entry: &str) -> Draft {
    let file = match family {
        Family::Archiso => "arch/x86_64/airootfs.sfs",
        Family::Agama | Family::DracutLive => "LiveOS/squashfs.img",
        _ => "images/pxeboot/rootfs.img",
    };
    let path: isowright::content::path::TreePath = file.parse().unwrap();
    let facts = Facts {
        entry: Cmdline::parse(entry).unwrap(),
        version: Some("24.04.1".into()),
        paths: ["casper/x.installer.squashfs", file, "boot/x86_64/root"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect(),
        hosted: Hosted::only(vec![path]),
        ..Facts::default()
    };
    let mut draft = Draft::default();
    family.say(&facts, &profile("console = []\n"), &mut draft).unwrap();
    draft
}

#[test]
fn the_mediums_own_words_that_install_go() {
    for (family, entry) in [
        (
            Family::Coreos,
            "coreos.inst.install_dev=/dev/sda coreos.inst=yes ignition.config.url=http://x/a",
        ),
        (
            Family::Casper,
            "autoinstall subiquity.autoinstallpath=/a ds=nocloud;s=/cdrom/ automatic-ubiquity",
        ),
        (
            Family::DebianInstaller,
            "auto=true priority=critical url=http://x/p preseed/url=http://x/p auto-install/enable=true \
             partman-auto/method=lvm partman/confirm=true d-i:partman-md/confirm=true",
        ),
        (Family::Anaconda, "ks=cdrom:/ks.cfg inst.ks=hd:LABEL=x:/ks.cfg"),
        (Family::DracutLive, "ks=cdrom:/ks.cfg"),
        (Family::Agama, "inst.auto=http://x/a inst.script=http://x/s"),
        (Family::Linuxrc, "autoyast=http://x/a AutoYaST2=http://x/a Install=cd:/ info=http://x/i"),
        (Family::Archiso, "script=http://x/s ar_source=http://x/"),
        (
            Family::Harvester,
            "harvester.install.automatic=true harvester.install.config_url=http://x/c",
        ),
        (Family::Flatcar, "ignition.config.url=http://x/a flatcar.config.url=http://x/a"),
        (Family::Talos, "talos.config=http://x/c talos.experimental.wipe=system"),
        (Family::Alpine, "apkovl=http://x/a.tar.gz"),
    ] {
        let draft = said(family, &format!("root=x {entry} mem=1G"));
        let mut line = Cmdline::parse(entry).unwrap();
        for a in &draft.args {
            if let ArgOp::Remove(key) = &a.op {
                assert!(!a.reason.is_empty());
                line.remove(key);
            }
        }
        assert!(line.is_empty(), "{family:?} leaves {}", line.as_str());
    }
    // What only asks more stays.
    let asks = said(Family::DebianInstaller, "priority=low");
    assert!(!asks.args.iter().any(|a| a.op == ArgOp::Remove("priority".into())));
}

#[test]
fn the_entry_that_is_written_has_none_of_them() {
    let (mut tree, volume_id) = support::fixture("almalinux-9-dvd");
    let path = "isolinux/isolinux.cfg".parse().unwrap();
    let config =
        "default a\nlabel a\n  kernel vmlinuz\n  append initrd=initrd.img ks=cdrom:/wipe.ks\n";
    tree.insert(path, Node::file(config.as_bytes().to_vec()));
    for file in ["isolinux/vmlinuz", "isolinux/initrd.img"] {
        tree.insert(file.parse().unwrap(), Node::file(b"x".to_vec()));
    }
    let media = Media::of_tree("a.iso", &volume_id, tree);
    let recipes = recipe::bundled().unwrap();
    let labels = recipe::label::labels(&recipes).unwrap();
    let (docs, identity) = (media.boot_docs(), media.identity(&labels));
    let recipe = select::select(&recipes, &identity, &media.tree, true).unwrap().recipe;
    let entry =
        docs.entries().into_iter().find(|e| e.locus.to_string().contains("isolinux")).unwrap();
    let target =
        Target { entry: Some(format!("{}#{}", entry.locus, entry.entry.id)), ..Target::default() };
    let profile = profile("console = []\n");
    let inputs = plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &identity,
        recipe,
        profile: &profile,
        target: &target,
    };
    let plan = plan::make(&inputs).unwrap();
    assert!(plan.chosen.vendor_cmdline.contains("ks=cdrom"), "{}", plan.chosen.vendor_cmdline);
    assert!(!plan.chosen.cmdline.contains("cdrom"), "{}", plan.chosen.cmdline);
}

#[test]
fn nothing_is_dropped_in_silence() {
    let e =
        planned("generic-linux", &profile(&format!("console = []\n{STATIC6}")), Target::default());
    assert!(e.unwrap_err().to_string().contains("network.address"));
    for name in [
        "talos-1.7",
        "proxmox-ve-8",
        "harvester-1.3",
        "arch-202402",
        "nixos-24.05",
        "generic-linux",
    ] {
        let mut p = profile("console = []\n");
        p.answers.delivery = Some(Delivery::Cmdline);
        let e = planned(name, &p, Target::default()).unwrap_err();
        assert!(e.to_string().contains("answers.delivery"), "{name}: {e}");
        p.answers.lenient = true;
        let plan = planned(name, &p, Target::default()).unwrap();
        assert!(notes(&plan).contains("answers.delivery is not heeded"), "{name}");
    }
}

#[test]
fn lenient_softens_a_fixed_ipv6_address_everywhere() {
    for name in support::fixtures() {
        let text = format!("console = []\n{STATIC6}");
        if let Err(e) = planned(&name, &profile(&text), Target::default()) {
            assert!(e.to_string().contains("network.address"), "{name}: {e}");
        }
        planned(&name, &lenient(&text), Target::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn https_is_warned_of_where_the_initrd_can_not_be_relied_upon() {
    for name in ["arch-202402", "debian-live-12", "vyos-1.5", "truenas-24.10", "alpine-3.20"] {
        for (scheme, warned) in [("http", false), ("https", true)] {
            let base_url = Some(format!("{scheme}://192.0.2.1/t/"));
            let target = Target { base_url, ..Target::default() };
            let plan = planned(name, &lenient("console = []\n"), target).unwrap();
            assert_eq!(notes(&plan).contains("Serve it by plain http"), warned, "{name}");
        }
    }
}

fn run(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null()).args(args).output().unwrap()
}

#[test]
fn a_built_tree_keeps_its_secrets_and_says_what_it_does() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso");
    let (demo, out, own) =
        (demo.to_str().unwrap(), tmp.path().join("tree"), tmp.path().join("mine.ks"));
    std::fs::write(&own, "clearpart --all\n").unwrap();
    let dir = out.to_str().unwrap();
    let o = run(&["build", demo, "--answers", own.to_str().unwrap(), "-o", dir]);
    let said = String::from_utf8_lossy(&o.stdout).into_owned();
    assert!(said.contains("disks when it is booted: as your own mine.ks says"), "{said}");
    let o = run(&["index", tmp.path().to_str().unwrap(), "--dry-run"]);
    let menu = String::from_utf8_lossy(&o.stdout).into_owned();
    assert!(menu.contains(" - MAY WIPE THE DISKS"), "{menu}");

    // The answers lie in it.
    let initrd = out.join("initrd.img");
    let mode = |m: u32| std::fs::set_permissions(&initrd, PermissionsExt::from_mode(m)).unwrap();
    assert_eq!(initrd.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(run(&["verify", dir]).status.success());
    mode(0o640);
    let o = run(&["verify", dir]);
    assert!(
        o.status.success() && String::from_utf8_lossy(&o.stdout).contains("its group may read")
    );
    mode(0o644);
    let o = run(&["verify", dir]);
    let said = String::from_utf8_lossy(&o.stdout).into_owned();
    assert_eq!(o.status.code(), Some(1), "{said}");
    assert!(said.contains("mode 0644: it holds secrets"), "{said}");
}
