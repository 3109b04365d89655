//! Alpine's overlay: tar lists it, sh reads what is in it, setup-alpine's manual names its variables.

use super::*;
use isowright::family::draft::Brought;
use isowright::format::alpine::VARIABLES;
use std::collections::BTreeMap;
use std::io::Read;

const OVERLAY: &str = "answers/alpine.apkovl.tar.gz";

fn alpine_facts() -> Facts {
    let hosted = ["apks/x86_64/APKINDEX.tar.gz", "boot/modloop-lts"];
    Facts {
        mirror: Some("http://dl-cdn.alpinelinux.org/alpine".into()),
        hosted: Hosted::only(hosted.iter().map(|p| p.parse().expect("path")).collect()),
        ..facts("alpine", "3.20.3")
    }
}

/// The mixtures that Alpine can have: no fixed IPv6 address.
fn alpine_profiles() -> Vec<(String, Profile)> {
    let mut all = profiles();
    all.retain(|(name, _)| !name.contains("static6"));
    assert!(all.len() > 30);
    all
}

fn overlay(draft: &Draft) -> &[u8] {
    let made = draft.beside.iter().find(|m| m.path.to_string() == OVERLAY).expect("overlay");
    assert_eq!(made.mode, 0o600);
    made.bytes().expect("ours")
}

/// Path to mode and content (a link's target), as the reader of tar files has them.
fn entries(overlay: &[u8]) -> BTreeMap<String, (u32, String)> {
    let mut all = BTreeMap::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(overlay)).entries().expect("tar") {
        let mut entry = entry.expect("entry");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        if let Some(link) = entry.link_name().expect("link") {
            text = link.display().to_string();
        }
        let path = entry.path().expect("path").display().to_string();
        assert_eq!(
            (entry.header().uid().expect("uid"), entry.header().mtime().expect("time")),
            (0, 0)
        );
        let old = all.insert(path, (entry.header().mode().expect("mode"), text));
        assert!(old.is_none(), "twice");
    }
    all
}

#[test]
fn tar_lists_every_overlay_and_folders_come_first() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("overlay.tar.gz");
    for (name, profile) in alpine_profiles() {
        let bytes = overlay(&draft(Family::Alpine, &alpine_facts(), &profile)).to_vec();
        let again = draft(Family::Alpine, &alpine_facts(), &profile);
        assert_eq!(bytes, overlay(&again), "{name}: not the same twice");
        std::fs::write(&file, &bytes).expect("write");
        let out = Command::new("tar").arg("-tzf").arg(&file).output().expect("tar starts");
        assert!(out.status.success() && out.stderr.is_empty(), "{name}: {out:?}");
        let listed = String::from_utf8(out.stdout).expect("utf-8");
        let mut seen = vec![String::new()];
        for path in listed.lines() {
            let parent = path.trim_end_matches('/').rsplit_once('/').map_or("", |(p, _)| p);
            assert!(seen.contains(&parent.to_owned()), "{name}: {path} before its folder");
            seen.push(path.trim_end_matches('/').to_owned());
        }
        let wanted = ["etc/isowright/answers", "etc/apk/world", "etc/runlevels/sysinit/modloop"];
        for path in wanted {
            assert!(seen.iter().any(|s| s == path), "{name}: {path}");
        }
    }
}

#[test]
fn setup_alpine_knows_every_variable_of_the_answers() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("answers");
    for (name, profile) in alpine_profiles() {
        let all = entries(overlay(&draft(Family::Alpine, &alpine_facts(), &profile)));
        let (mode, answers) = &all["etc/isowright/answers"];
        assert_eq!(*mode, 0o600);
        shell(dir.path(), answers, &name);
        std::fs::write(&file, answers).expect("write");
        let program = "ip() { echo default via 192.0.2.1 dev eth7 proto; }\n\
                       hostname() { echo localhost; }\n\
                       set >before; . ./answers; set >after";
        let mut sh = Command::new("dash");
        judged(sh.args(["-euc", program]).current_dir(dir.path()), &name);
        let read = |f: &str| std::fs::read_to_string(dir.path().join(f)).expect("read");
        let before = read("before");
        let after = read("after");
        let mut set = BTreeMap::new();
        for line in after.lines().filter(|l| !before.lines().any(|b| b == *l)) {
            if let Some((variable, value)) = line.split_once("='") {
                set.insert(variable.to_owned(), value.to_owned());
            }
        }
        for variable in set.keys() {
            let known = VARIABLES.contains(&variable.as_str());
            assert!(known || variable == "port" || variable == "_", "{name}: {variable}");
        }
        assert!(set.len() > 8, "{name}: {set:?}");
        if profile.network.bond.is_none() {
            assert!(after.contains("iface eth7 inet"), "{name}: {after}");
        }
        assert_eq!(set.contains_key("DISKOPTS"), profile.unattended, "{name}");
        let mirror = "http://dl-cdn.alpinelinux.org/alpine/v3.20/";
        assert!(set["APKREPOSOPTS"].starts_with(mirror), "{name}: {set:?}");
    }
}

#[test]
fn what_the_overlay_runs_is_shell_and_wipes_only_unattended() {
    let dir = tempfile::tempdir().expect("tempdir");
    for (name, profile) in alpine_profiles() {
        let all = entries(overlay(&draft(Family::Alpine, &alpine_facts(), &profile)));
        let mut scripts = 0;
        for (path, (mode, text)) in all.iter().filter(|(_, (_, t))| t.starts_with("#!")) {
            assert_eq!(*mode, 0o755, "{name}: {path}");
            shell(dir.path(), text, &format!("{name}: {path}"));
            scripts += 1;
        }
        let start = all.get("etc/local.d/isowright.start");
        let starts = profile.unattended || profile.install.root_password_hash.is_some();
        assert_eq!(start.is_some(), starts, "{name}");
        assert_eq!(all.contains_key("etc/runlevels/default/local"), starts, "{name}");
        let bond = profile.network.bond.is_some();
        assert_eq!(scripts, 1 + usize::from(starts) + usize::from(bond), "{name}: GRUB's and ours");
        for word in ["setup-disk", "ERASE_DISKS", "reboot"] {
            let there = all.values().any(|(_, text)| text.contains(word));
            assert_eq!(there, profile.unattended, "{name}: {word}");
        }
        let keys = all.get("root/.ssh/authorized_keys");
        assert_eq!(keys.is_some(), !profile.install.ssh_keys.is_empty(), "{name}");
        assert!(keys.is_none_or(|(mode, _)| *mode == 0o600));
        let hash = "root:$6$saltsalt$abcDEF./123'";
        let there = start.is_some_and(|(_, text)| text.contains(hash));
        assert_eq!(there, profile.install.root_password_hash.is_some(), "{name}");
    }
}

#[test]
fn the_bond_stands_in_the_live_system_and_in_the_answers() {
    let text = format!("console = []\nunattended = true\n{BOND}{STATIC}");
    let profile = Profile::from_toml(&text, "test").expect("profile");
    let d = draft(Family::Alpine, &alpine_facts(), &profile);
    let all = entries(overlay(&d));
    let interfaces = &all["etc/network/interfaces"].1;
    for line in [
        "iface bond0 inet static",
        "\taddress 192.0.2.10",
        "\tnetmask 255.255.255.0",
        "\tgateway 192.0.2.1",
        "\tpre-up /etc/isowright/bond",
    ] {
        assert!(interfaces.lines().any(|l| l == line), "{line}: {interfaces}");
    }
    assert!(all["etc/isowright/answers"].1.contains(interfaces.trim_end()));
    assert_eq!(all["etc/runlevels/boot/networking"].1, "/etc/init.d/networking");
    let args: Vec<String> = d.args.iter().map(|a| format!("{:?}", a.op)).collect();
    let ip = "Set(\"ip=192.0.2.10::192.0.2.1:255.255.255.0:::none:192.0.2.53\")";
    assert!(args.iter().any(|a| a == ip), "{args:?}");
}

/// What the bond's script did to a /sys/class/net with two ports: the driver's files, and ip's words.
fn bonded(profile: &Profile, runs: usize) -> (BTreeMap<String, String>, String) {
    let dir = tempfile::tempdir().expect("tempdir");
    let net = dir.path().join("net");
    for (port, mac) in [("eth0", "52:54:00:00:00:01"), ("eth1", "52:54:00:00:00:02")] {
        std::fs::create_dir_all(net.join(port).join("device")).expect("mkdir");
        std::fs::write(net.join(port).join("address"), format!("{mac}\n")).expect("write");
    }
    let all = entries(overlay(&draft(Family::Alpine, &alpine_facts(), profile)));
    let script =
        all["etc/isowright/bond"].1.replace("/sys/class/net", net.to_str().expect("utf-8"));
    // The driver makes the folder, and gathers the ports.
    let driver = net.join("bond0/bonding");
    std::fs::create_dir_all(&driver).expect("mkdir");
    std::fs::write(driver.join("slaves"), "").expect("write");
    let script = script.replace("\" >\"$bond/slaves\"", "\" >>\"$bond/slaves\"");
    let head = "modprobe() { return 1; }\nip() { echo \"ip $*\" >>ip; }\n";
    for _ in 0..runs {
        let mut sh = Command::new("dash");
        let program = head.to_owned() + &script;
        judged(sh.args(["-uc", &program]).current_dir(dir.path()), "bond");
    }
    let mut files = BTreeMap::new();
    for folder in [&driver, &net.join("bond0")] {
        for entry in std::fs::read_dir(folder).expect("folder").map(|e| e.expect("entry")) {
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                files.insert(entry.file_name().into_string().expect("utf-8"), text);
            }
        }
    }
    (files, std::fs::read_to_string(dir.path().join("ip")).expect("ip was called"))
}

#[test]
fn the_bond_is_made_once_of_ports_by_name_or_address() {
    for bond in [BOND, BY_MAC] {
        let profile =
            Profile::from_toml(&format!("console = []\n{bond}"), "test").expect("profile");
        let (files, ip) = bonded(&profile, 2);
        for (file, text) in [
            ("mode", "802.3ad\n"),
            ("lacp_rate", "slow\n"),
            ("miimon", "100\n"),
            ("xmit_hash_policy", "layer3+4\n"),
            ("slaves", "+eth0\n+eth1\n"),
        ] {
            assert_eq!(files[file], text, "{bond}");
        }
        assert_eq!(files.get("mtu").map(String::as_str), (bond == BY_MAC).then_some("9000\n"));
        let port = |p: &str| format!("ip link set dev {p} down\nip addr flush dev {p}\n");
        assert_eq!(ip, port("eth0") + &port("eth1"), "{bond}");
    }
}

#[test]
fn busybox_ifup_reads_the_interfaces() {
    let Some(busybox) = packaged("/bin/busybox", "busybox") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("interfaces");
    for address in ["", STATIC] {
        let text = format!("console = []\n{BOND}{address}");
        let profile = Profile::from_toml(&text, "test").expect("profile");
        let all = entries(overlay(&draft(Family::Alpine, &alpine_facts(), &profile)));
        std::fs::write(&file, &all["etc/network/interfaces"].1).expect("write");
        let mut ifup = Command::new(&busybox);
        let out =
            ifup.args(["ifup", "-n", "-v", "-i"]).arg(&file).arg("bond0").output().expect("starts");
        let said = String::from_utf8([out.stdout, out.stderr].concat()).expect("utf-8");
        assert!(out.status.success(), "{said}");
        assert!(said.starts_with("/etc/isowright/bond\n"), "{said}");
        let wanted = if address.is_empty() {
            "udhcpc"
        } else {
            "ip route add default via 192.0.2.1 dev bond0"
        };
        assert!(said.contains(wanted), "{said}");
    }
}

/// Stand-ins of Alpine's tools; `fails` does.
fn tools(dir: &Path, fails: Option<&str>) {
    std::fs::create_dir(dir).expect("mkdir");
    for tool in ["setup-alpine", "chpasswd", "apk", "setup-disk", "reboot", "sleep"] {
        let text = match tool {
            _ if fails == Some(tool) => "#!/bin/sh\nexit 1\n",
            "setup-disk" => {
                "#!/bin/sh\necho \"$ERASE_DISKS, $*, $BOOTLOADER, ${KERNELOPTS-}\" >\"$RESULT\"\n"
            }
            _ => "#!/bin/sh\nexit 0\n",
        };
        let file = dir.join(tool);
        std::fs::write(&file, text).expect("write");
        judged(Command::new("chmod").arg("+x").arg(&file), "chmod");
    }
}

/// The start script over disks; what setup-disk was told, if it was started at all.
fn installed_to(profile: &Profile, fails: Option<&str>, disks: impl Fn(&Path)) -> Option<String> {
    let all = entries(overlay(&draft(Family::Alpine, &alpine_facts(), profile)));
    let script = all["etc/local.d/isowright.start"].1.clone();
    assert!(script.contains("= tmpfs ] || exit 0\n"));
    let script = script
        .replace("rm -f /etc", ": /etc")
        .replace("/dev/console", "/dev/null")
        .replace("= tmpfs ]", "!= none ]")
        .replace("/etc/inittab", "/tmp/inittab");
    assert!(!script.contains("rm "));
    // `over_disks` puts its own folder in /tmp's place.
    let head = "PATH=/tmp/tools:$PATH\nexport RESULT=/tmp/chosen\n";
    over_disks(&(head.to_owned() + &script), "chosen", |block| {
        tools(&block.join("../../tools"), fails);
        disks(block);
    })
}

#[test]
fn setup_disk_gets_the_chosen_disks_or_is_not_started() {
    let profile = |install: &str| {
        let text =
            format!("console = [\"tty0\", \"ttyS1,115200n8\"]\nunattended = true\n{install}");
        Profile::from_toml(&text, "test").expect("profile")
    };
    let plain = profile("");
    let chosen = installed_to(&plain, None, |block| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "vda", 240, "0\n", true);
        disk(block, "sdb", 16, "1\n", true);
    });
    let words = "grub, console=tty0 console=ttyS1,115200n8\n";
    assert_eq!(chosen.as_deref(), Some(&*format!("/dev/vda, -m sys /dev/vda, {words}")));
    let small = |block: &Path| disk(block, "sda", 4, "0\n", true);
    assert_eq!(installed_to(&plain, None, small), None);
    let good = |block: &Path| disk(block, "sda", 40, "0\n", true);
    for tool in ["setup-alpine", "apk"] {
        assert_eq!(installed_to(&plain, Some(tool), good), None, "{tool}");
    }
    let two = installed_to(&profile(MIRROR), None, |block| {
        disk(block, "sda", 40, "0\n", true);
        disk(block, "sdb", 40, "0\n", true);
    });
    let two = two.expect("written");
    assert!(two.starts_with("/dev/sda /dev/sdb, -m sys /dev/sda /dev/sdb, "), "{two}");
}

#[test]
fn alpine_says_what_it_can_not_do() {
    let say = |facts: &Facts, text: &str| {
        let profile =
            Profile::from_toml(&format!("console = []\n{text}"), "test").expect("profile");
        let mut d = Draft::default();
        Family::Alpine.say(facts, &profile, &mut d).map(|()| d)
    };
    let d = say(&alpine_facts(), "[install]\nlocale = \"de_DE.UTF-8\"\n").expect("says");
    assert!(d.unsaid.iter().any(|u| u.setting == "install.locale"), "{:?}", d.unsaid);
    let d = say(&alpine_facts(), STATIC6).expect("says");
    assert!(d.unsaid.iter().any(|u| u.setting == "network.address"), "no fixed IPv6 address");
    let d = say(&alpine_facts(), &format!("unattended = true\n{INSTALL}")).expect("says");
    let told = d.notes.iter().filter(|n| n.warning).any(|n| n.text.contains("beside boot.ipxe"));
    assert!(told, "{:?}", d.notes);

    let release = |r: &str| Some(r.to_owned());
    let brought = Brought { release: release("6.6.31-0-lts"), medium: release("6.6.49-0-lts") };
    let other = Facts { brought: Some(brought), ..alpine_facts() };
    let e = say(&other, "").expect_err("modules of another kernel");
    assert!(
        e.to_string().contains("6.6.31-0-lts") && e.to_string().contains("6.6.49-0-lts"),
        "{e}"
    );
}

#[test]
fn own_alpine_answers_go_in_as_they_are() {
    let text = "console = []\nunattended = true\n";
    let profile = Profile::from_toml(text, "test").expect("profile");
    let own = Some(("mine".to_owned(), b"DISKOPTS=\"-m sys /dev/sda\"\n".to_vec()));
    let all = entries(overlay(&draft(
        Family::Alpine,
        &Facts { own_answers: own, ..alpine_facts() },
        &profile,
    )));
    assert_eq!(all["etc/isowright/answers"].1, "DISKOPTS=\"-m sys /dev/sda\"\n");
    let start = &all["etc/local.d/isowright.start"].1;
    assert!(start.contains("setup-alpine -e -f") && !start.contains("setup-disk"), "{start}");
}
