//! CoreOS and Flatcar: configurations against ignition-validate and the crate ignition-config, keyfiles
//! against NetworkManager's own nmcli, units against systemd-analyze, install scripts over stand-ins.

use super::*;

/// The systems, each with its family, what the medium says, and where the configuration goes.
fn systems() -> [(Family, Facts, &'static str); 4] {
    let image = "images/pxeboot/rootfs.img";
    let of = |version: &str| Facts {
        version: Some(version.into()),
        hosted: Hosted::only(vec![image.parse().expect("path")]),
        ..Facts::default()
    };
    [
        (Family::Coreos, of("40.20240416.3.1"), "config.ign"),
        (Family::Coreos, of("4.16"), "config.ign"),
        (Family::Coreos, of("4.12"), "config.ign"),
        (Family::Flatcar, Facts::default(), "usr/share/oem/config.ign"),
    ]
}

/// The live system's configuration, and the installed one's in it.
fn configs(draft: &Draft, path: &str) -> [serde_json::Value; 2] {
    let live: serde_json::Value = serde_json::from_str(made(draft, path)).expect("JSON");
    let target = serde_json::from_str(&file(&live, "/etc/isowright/target.ign")).expect("JSON");
    [live, target]
}

/// A file in a configuration, out of its `data:` URL.
fn file(config: &serde_json::Value, path: &str) -> String {
    let files = config["storage"]["files"].as_array().expect("files");
    let f = files.iter().find(|f| f["path"] == path).unwrap_or_else(|| panic!("no {path}"));
    let url = f["contents"]["source"].as_str().expect("source");
    let mut rest = url.strip_prefix("data:,").expect("data URL").bytes();
    let mut out = Vec::new();
    while let Some(b) = rest.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let hex = [rest.next().expect("hex"), rest.next().expect("hex")];
        out.push(u8::from_str_radix(std::str::from_utf8(&hex).expect("hex"), 16).expect("hex"));
    }
    String::from_utf8(out).expect("utf-8")
}

fn every_config() -> Vec<(String, serde_json::Value)> {
    let mut all = Vec::new();
    for (family, facts, path) in systems() {
        for (name, profile) in profiles() {
            let name = format!("{family:?} {:?}, {name}", facts.version);
            let [live, target] = configs(&draft(family, &facts, &profile), path);
            all.push((format!("{name}: live"), live));
            all.push((format!("{name}: installed"), target));
        }
    }
    all
}

#[test]
fn ignitions_types_take_every_configuration_without_a_warning() {
    let mut versions = std::collections::BTreeSet::new();
    for (name, config) in every_config() {
        versions.insert(config["ignition"]["version"].as_str().expect("version").to_owned());
        let (_, warnings) = ignition_config::Config::parse_str(&config.to_string())
            .unwrap_or_else(|e| panic!("{name}: {e}\n{config:#}"));
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["3.2.0", "3.3.0", "3.4.0"]);
}

#[test]
fn ignition_validate_takes_every_configuration() {
    let Some(tool) = packaged("/usr/bin/ignition-validate", "ignition") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("config.ign");
    for (name, mut config) in every_config() {
        // Debian 12's tool is older than 3.4, of which nothing is used that 3.3 has not.
        if config["ignition"]["version"] == "3.4.0" {
            config["ignition"]["version"] = "3.3.0".into();
        }
        // Stand for what the script puts in.
        let text = config.to_string().replace("@DISK1@", "/dev/a").replace("@DISK2@", "/dev/b");
        std::fs::write(&file, text).expect("write");
        let out = Command::new(&tool).arg(&file).output().expect("starts");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(out.status.success() && said.is_empty(), "{name}: {said}\n{config:#}");
    }
}

#[test]
fn networkmanager_reads_every_line_of_every_keyfile() {
    let Some(nm) = material("nmcli") else { return };
    let mut seen = std::collections::BTreeSet::new();
    let (family, facts, path) = systems()[0].clone();
    for (name, profile) in profiles() {
        let [_, target] = configs(&draft(family, &facts, &profile), path);
        let files = target["storage"]["files"].as_array().cloned().unwrap_or_default();
        for f in files
            .iter()
            .filter(|f| f["path"].as_str().is_some_and(|p| p.ends_with(".nmconnection")))
        {
            assert_eq!(f["mode"], 0o600, "{name}: NetworkManager refuses what others may read");
            let text = file(&target, f["path"].as_str().expect("path"));
            if !seen.insert(text.clone()) {
                continue;
            }
            let read = nmcli(&nm, &text);
            // It drops the words that it does not know, and says nothing.
            for line in text.lines().filter(|l| !l.is_empty()) {
                assert!(read.lines().any(|l| l == line), "{name}: {line} of\n{text}\n{read}");
            }
        }
    }
    assert!(seen.len() > 8, "{seen:?}");
}

fn nmcli(nm: &Path, keyfile: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(nm.join("usr/bin/nmcli"))
        .args(["--offline", "connection", "modify", "connection.autoconnect", "yes"])
        .env("LD_LIBRARY_PATH", nm.join("usr/lib/x86_64-linux-gnu"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("stdin").write_all(keyfile.as_bytes()).expect("write");
    let out = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}\n{keyfile}");
    String::from_utf8(out.stdout).expect("utf-8")
}

/// Sections and keys of systemd.netdev(5) and systemd.network(5) that ours may have.
const NETWORKD: [(&str, &[&str]); 5] = [
    ("[NetDev]", &["Name", "Kind", "MTUBytes"]),
    ("[Bond]", &["Mode", "LACPTransmitRate", "MIIMonitorSec", "TransmitHashPolicy"]),
    ("[Match]", &["Name", "PermanentMACAddress", "Type"]),
    ("[Network]", &["Bond", "DHCP", "Address", "Gateway", "DNS"]),
    ("[Link]", &["MTUBytes"]),
];

#[test]
fn networkd_knows_every_key_and_live_and_installed_system_have_the_same_files() {
    let (family, facts, path) = systems()[3].clone();
    for (name, profile) in profiles() {
        let [live, target] = configs(&draft(family, &facts, &profile), path);
        let paths = |c: &serde_json::Value| -> Vec<String> {
            let files = c["storage"]["files"].as_array().cloned().unwrap_or_default();
            let all = files.iter().filter_map(|f| f["path"].as_str().map(str::to_owned));
            all.filter(|p| p.starts_with("/etc/systemd/network/")).collect()
        };
        assert_eq!(paths(&live), paths(&target), "{name}");
        let bond = profile.network.bond.is_some();
        assert_eq!(paths(&target).iter().any(|p| p.ends_with(".netdev")), bond, "{name}");
        for p in paths(&target) {
            let text = file(&target, &p);
            let mut keys: &[&str] = &[];
            for line in text.lines().filter(|l| !l.is_empty()) {
                match line.split_once('=') {
                    None => {
                        let section = NETWORKD.iter().find(|(s, _)| *s == line);
                        keys = section.unwrap_or_else(|| panic!("{name}: {p}: {line}")).1;
                    }
                    Some((key, value)) => {
                        assert!(keys.contains(&key) && !value.is_empty(), "{name}: {p}: {line}");
                    }
                }
            }
        }
    }
}

#[test]
fn only_an_unattended_profile_starts_the_installer_and_its_unit_is_sound() {
    let dir = tempfile::tempdir().expect("tempdir");
    let unit = dir.path().join("isowright-install.service");
    for (family, facts, path) in systems() {
        for (name, profile) in profiles() {
            let d = draft(family, &facts, &profile);
            let [live, target] = configs(&d, path);
            assert!(target["systemd"].is_null(), "{name}: nothing installs from the disk");
            let units = live["systemd"]["units"].as_array().cloned().unwrap_or_default();
            let install = units.iter().find(|u| u["name"] == "isowright-install.service");
            assert_eq!(install.is_some(), profile.unattended, "{family:?}, {name}");
            for a in &d.args {
                let word = format!("{:?}", a.op);
                assert!(!word.contains("coreos.inst"), "{name}: {word}");
            }
            let Some(install) = install else { continue };
            assert_eq!(install["enabled"], true);
            std::fs::write(&unit, install["contents"].as_str().expect("text")).expect("write");
        }
    }
    let Some(tool) = packaged("/usr/bin/systemd-analyze", "systemd") else { return };
    // It ends well whatever it has to say.
    let out = Command::new(tool).arg("verify").arg(&unit).output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && !said.contains("isowright-install"), "{said}");
}

/// Runs an install script over stand-ins of the tools that it calls; what the installer was called with,
/// or what the script said.
fn installed(
    script: &str,
    old: bool,
    args: &[&str],
    disks: impl Fn(&Path),
) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path();
    let block = root.join("sys/block");
    std::fs::create_dir_all(&block).expect("mkdir");
    std::fs::create_dir_all(root.join("dev/disk/by-path")).expect("mkdir");
    std::fs::create_dir_all(root.join("bin")).expect("mkdir");
    disks(&block);
    let mut made = Vec::new();
    for entry in std::fs::read_dir(&block).expect("folder") {
        made.push(entry.expect("entry").file_name().into_string().expect("utf-8"));
    }
    for name in made {
        std::fs::write(root.join("dev").join(&name), "").expect("write");
        let link = root.join(format!("dev/disk/by-path/pci-{name}"));
        std::os::unix::fs::symlink(format!("../../{name}"), link).expect("link");
    }
    let here = root.to_str().expect("utf-8");
    let help = if old { ":" } else { "echo '  --console SPEC'" };
    let installer = format!(
        "#!/bin/sh\ncase \"$*\" in *--help*) {help}; exit ;; esac\necho \"$*\" >{here}/called\n\
         for f; do case $f in *.ign) cp \"$f\" {here}/config ;; esac; done\n"
    );
    for (tool, text) in [
        ("coreos-installer", installer.as_str()),
        ("flatcar-install", installer.as_str()),
        ("udevadm", "#!/bin/sh\n"),
        ("systemctl", "#!/bin/sh\n"),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let file = root.join("bin").join(tool);
        std::fs::write(&file, text).expect("write");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("chmod");
    }
    let script = script
        .replace("/sys/block", block.to_str().expect("utf-8"))
        .replace("/dev/", &format!("{here}/dev/"))
        .replace("/run/", &format!("{here}/"));
    std::fs::write(root.join("install.sh"), script).expect("write");
    std::fs::write(root.join("target.ign"), "@DISK1@ @DISK2@").expect("write");
    let path = format!("{here}/bin:{}", std::env::var("PATH").expect("PATH"));
    let out = Command::new("bash")
        .arg(root.join("install.sh"))
        .args(args)
        .env("PATH", path)
        .output()
        .expect("starts");
    let clean = |s: String| s.replace(here, "");
    match std::fs::read_to_string(root.join("called")) {
        Ok(called) if out.status.success() => {
            let config = std::fs::read_to_string(root.join("config")).expect("config");
            Ok(clean(format!("{}|{config}", called.trim())))
        }
        _ => Err(clean(String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())),
    }
}

fn script(family: Family, facts: &Facts, path: &str, profile: &str) -> String {
    let profile =
        Profile::from_toml(&format!("console = [\"tty0\", \"ttyS1,115200n8\"]\n{profile}"), "test")
            .expect("profile");
    let [live, _] = configs(&draft(family, facts, &profile), path);
    file(&live, "/etc/isowright/install.sh")
}

#[test]
fn the_live_system_is_installed_on_the_smallest_disk_with_the_consoles() {
    let (family, facts, path) = systems()[0].clone();
    let two = |block: &Path| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "nvme0n1", 240, "0\n", true);
        disk(block, "sdb", 16, "1\n", true);
    };
    let s = script(family, &facts, path, &format!("unattended = true\n{BOND}"));
    assert_eq!(
        installed(&s, false, &[], two).expect("installs"),
        "install /dev/nvme0n1 --ignition-file target.ign --console tty0 --console ttyS1,115200n8 \
         --append-karg net.ifnames=0 --append-karg biosdevname=0|@DISK1@ @DISK2@"
    );
    let old = installed(&s, true, &[], two).expect("installs");
    assert!(
        old.contains(
            " --delete-karg console=ttyS0,115200n8 --append-karg console=tty0 --append-karg \
             console=ttyS1,115200n8 "
        ),
        "{old}"
    );
    let none = installed(&s, false, &[], |_| {}).expect_err("no disk");
    assert!(none.contains("no built-in disk of 8 GiB or more; nothing was wiped"), "{none}");

    let s =
        script(family, &facts, path, "unattended = true\n[install.disk]\ndevices = [\"sda\"]\n");
    assert!(installed(&s, false, &[], two).expect("installs").starts_with("install /dev/sda "));
    let gone = installed(&s, false, &[], |b| disk(b, "sdb", 64, "0\n", true)).expect_err("gone");
    assert!(gone.contains("sda is no disk of this machine; nothing was wiped"), "{gone}");
}

#[test]
fn attended_the_script_wants_a_disk_named() {
    for (family, facts, path) in systems() {
        let s = script(family, &facts, path, "");
        let e = installed(&s, false, &[], |b| disk(b, "sda", 64, "0\n", true)).expect_err("asks");
        assert!(e.contains("usage: install.sh /dev/DISK, which is WIPED"), "{e}");
        let called = installed(&s, false, &["/dev/sdz"], |_| {}).expect("installs");
        assert!(called.contains(" /dev/sdz "), "{called}");
    }
}

#[test]
fn a_mirror_is_named_by_path_and_a_flatcar_has_none() {
    let (family, facts, path) = systems()[0].clone();
    let s = script(family, &facts, path, &format!("unattended = true\n{MIRROR}"));
    let called = installed(&s, false, &[], |block| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "sdb", 480, "0\n", true);
        disk(block, "sdc", 240, "0\n", true);
    });
    let called = called.expect("installs");
    assert!(
        called.starts_with("install /dev/sdc --ignition-file /isowright-target.ign "),
        "{called}"
    );
    assert!(called.ends_with("|/dev/disk/by-path/pci-sdc /dev/disk/by-path/pci-sdb"), "{called}");

    let text =
        "console = []\n[install.disk]\nraid1 = true\ndevices = [\"disk/by-path/a\", \"sdb\"]\n";
    let profile = Profile::from_toml(text, "test").expect("profile");
    let [_, target] = configs(&draft(family, &facts, &profile), path);
    assert_eq!(target["storage"]["disks"][0]["device"], "/dev/disk/by-path/a");
    assert_eq!(target["storage"]["raid"][1]["name"], "md-root");
    let (family, facts, path) = systems()[3].clone();
    let d = draft(family, &facts, &profile);
    assert!(d.unsaid.iter().any(|u| u.setting == "install.disk.raid1"), "{:?}", d.unsaid);
    let [_, target] = configs(&d, path);
    assert!(target["storage"]["raid"].is_null());
}

#[test]
fn your_own_configuration_is_the_installed_systems_and_ours_installs_it() {
    for (family, mut facts, path) in systems() {
        facts.own_answers = Some(("worker.ign".into(), b"{ \"mine\": 1 }".to_vec()));
        let text = format!("console = []\nunattended = true\n{BOND}");
        let d = draft(family, &facts, &Profile::from_toml(&text, "test").expect("profile"));
        let live: serde_json::Value = serde_json::from_str(made(&d, path)).expect("JSON");
        assert_eq!(file(&live, "/etc/isowright/target.ign"), "{ \"mine\": 1 }");
        let s = file(&live, "/etc/isowright/install.sh");
        let first = "--firstboot-args 'net.ifnames=0 biosdevname=0 bond=bond0:eth0,eth1:";
        assert_eq!(s.contains(first), family == Family::Coreos, "{s}");
    }
}

#[test]
fn a_medium_with_a_configuration_keeps_it_and_is_told_of() {
    let (family, mut facts, _) = systems()[1].clone();
    facts.embedded_answers = true;
    let text = format!("console = []\n{INSTALL}");
    let d = draft(family, &facts, &Profile::from_toml(&text, "test").expect("profile"));
    assert!(d.in_initrd.is_empty() && d.beside.is_empty() && d.delivery.is_none());
    assert_eq!(d.disks, Disks::AsMedium, "it installs by itself");
    let unsaid: Vec<&str> = d.unsaid.iter().map(|u| u.setting.as_str()).collect();
    assert_eq!(
        unsaid,
        ["install.hostname", "install.root_password_hash", "install.ssh_keys", "install.packages"]
    );
    assert!(d.notes.iter().any(|n| n.warning && n.text.contains("INSTALL BY")));
}

#[test]
fn by_url_the_configuration_lies_beside_the_tree() {
    for (family, mut facts, _) in systems() {
        facts.delivery = Some(Delivery::Url);
        let d = draft(family, &facts, &Profile::metal().expect("metal"));
        assert!(d.in_initrd.is_empty());
        let m = d.beside.iter().find(|m| m.path.to_string() == "answers/config.ign");
        assert_eq!(m.expect("beside").mode, 0o600);
        let want = ArgOp::Set("ignition.config.url=@BASE@answers/config.ign".into());
        assert!(d.args.iter().any(|a| a.op == want));
    }
}
