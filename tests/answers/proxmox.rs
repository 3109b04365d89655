//! Proxmox: answer.toml against rules read from its installer's source, the little init over a stand-in for
//! the vendor's, the script of the first boot over interfaces files of both shapes. No tool of the
//! vendor's judges these.

use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

fn facts(version: &str) -> Facts {
    let paths = [".cd-info".parse().expect("path")].into();
    Facts { version: Some(version.into()), paths, ..Facts::default() }
}

/// The shape that the installer reads from 8.4 on; no key but these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Answer {
    global: Global,
    network: Network,
    disk_setup: DiskSetup,
    first_boot: Option<FirstBoot>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Global {
    keyboard: String,
    country: String,
    fqdn: String,
    mailto: String,
    timezone: String,
    root_password_hashed: String,
    #[serde(default)]
    root_ssh_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    source: String,
    cidr: Option<String>,
    dns: Option<std::net::IpAddr>,
    gateway: Option<std::net::IpAddr>,
    filter: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct DiskSetup {
    filesystem: String,
    #[serde(default)]
    disk_list: Vec<String>,
    filter: Option<BTreeMap<String, String>>,
    zfs: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstBoot {
    source: String,
    ordering: String,
}

impl Answer {
    fn check(&self, name: &str) {
        let Answer { global: g, network: n, disk_setup: d, first_boot } = self;
        assert!(g.fqdn.contains('.') && g.mailto == format!("root@{}", g.fqdn), "{name}: {g:?}");
        assert!(g.country.len() == 2 && g.timezone.contains('/'), "{name}: {g:?}");
        assert!(g.root_password_hashed.starts_with('$') && !g.keyboard.is_empty(), "{name}: {g:?}");
        assert!(g.root_ssh_keys.iter().all(|k| k.starts_with("ssh-")), "{name}: {g:?}");
        let fixed = [n.cidr.is_some(), n.dns.is_some(), n.gateway.is_some(), n.filter.is_some()];
        assert_eq!(fixed, [n.source == "from-answer"; 4], "{name}: all of them or none: {n:?}");
        assert!(["from-dhcp", "from-answer"].contains(&n.source.as_str()), "{name}: {n:?}");
        assert_ne!(d.disk_list.is_empty(), d.filter.is_none(), "{name}: one of the two: {d:?}");
        match d.filesystem.as_str() {
            "ext4" => assert!(d.zfs.is_none() && d.disk_list.len() < 2, "{name}: {d:?}"),
            "zfs" => assert_eq!(
                d.zfs.as_ref().and_then(|z| z.get("raid")).map(String::as_str),
                Some("raid1")
            ),
            other => panic!("{name}: {other}"),
        }
        if let Some(f) = first_boot {
            assert_eq!((f.source.as_str(), f.ordering.as_str()), ("from-iso", "before-network"));
        }
    }
}

/// The profiles that can be installed unattended: with a password, and no fixed address without a name
/// server, which is refused.
fn able() -> Vec<(String, Profile)> {
    let mut all = profiles();
    for (_, p) in &mut all {
        p.install.root_password_hash = Some("$6$saltsalt$abcDEF./123".into());
    }
    all.retain(|(name, p)| p.unattended && !name.contains("static6"));
    all
}

#[test]
fn the_installer_reads_every_answer_file() {
    for (name, profile) in able() {
        let d = draft(Family::Proxmox, &facts("8.4-1"), &profile);
        assert!(d.disks.at_risk(), "{name}: {:?}", d.unsaid);
        let text = made(&d, "answer.toml");
        let answer: Answer = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        answer.check(&name);
        assert_eq!(answer.first_boot.is_some(), profile.network.bond.is_some(), "{name}");
        assert_eq!(made(&d, "auto-installer-mode.toml"), "mode = \"iso\"\n");

        // Before 8.4 the same keys have underscores, and tables keep their hyphens.
        let d = draft(Family::Proxmox, &facts("8.3-1"), &profile);
        let old = made(&d, "answer.toml");
        assert_eq!(old.matches("root_password_hashed").count(), 1, "{old}");
        assert!(old.contains("[disk-setup]") && !old.contains("disk-list"), "{old}");
        assert_eq!(old.replace('_', "-"), text.replace('_', "-"), "{name}");
    }
}

#[test]
fn what_can_not_be_installed_unattended_asks() {
    let with = "[install]\nroot_password_hash = \"$6$saltsalt$abcDEF./123\"\n";
    for (version, install, why) in [
        ("8.2-1", with, "from 8.3 on"),
        ("8.4-1", "", "wants root_password_hash"),
        ("3.2-1", with, "from 8.3 on"),
    ] {
        let text = format!("console = []\nunattended = true\n{install}");
        let d = draft(
            Family::Proxmox,
            &facts(version),
            &Profile::from_toml(&text, "t").expect("profile"),
        );
        let u = d.unsaid.iter().find(|u| u.setting == "unattended").expect("unsaid");
        assert!(u.why.contains(why), "{version}: {}", u.why);
        assert!(d.args.iter().any(|a| a.op == ArgOp::Set("proxtui".into())));
        assert!(!d.in_initrd.iter().any(|m| m.path.to_string() == "answer.toml"));
    }
    // Backup Server 3.4 is of 8.4's time.
    let text = format!("console = []\nunattended = true\n{with}");
    let d =
        draft(Family::Proxmox, &facts("3.4-1"), &Profile::from_toml(&text, "t").expect("profile"));
    assert!(d.unsaid.is_empty() && made(&d, "answer.toml").contains("root-password-hashed"));
}

/// What the vendor's init does that matters to ours.
const VENDORS: &str = "echo 'vendor: starts'\n\
    . /.cd-info\n\
    echo \"vendor: $PRODUCTLONG\"\n\
    mount -t iso9660 -o loop,ro /proxmox.iso /mnt\n\
    if ! mount --bind /mnt /mnt/.installer-mp/cdrom; then echo 'vendor: bind failed'; fi\n\
    cat /.cd-info\n\
    mount -t devtmpfs devtmpfs /mnt/.installer-mp/dev\n\
    echo 'vendor: goes on'\n";
const CD_INFO: &str = "PRODUCTLONG='Proxmox VE'\n";

/// Runs the stand-in for the vendor's init over our lines; what was mounted and said, and the answers as they lie in the layer.
fn started(d: &Draft, disks: impl Fn(&Path)) -> (String, Option<String>) {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path();
    let here = root.to_str().expect("utf-8");
    let block = root.join("sys/block");
    std::fs::create_dir_all(&block).expect("mkdir");
    std::fs::create_dir_all(root.join("mnt/.workdir")).expect("mkdir");
    disks(&block);
    for m in d.in_initrd.iter().filter(|m| m.bytes().is_some()) {
        std::fs::write(root.join(m.path.to_string()), m.bytes().expect("ours")).expect("write");
    }
    let vendors = VENDORS.replace("/mnt", &format!("{here}/mnt"));
    let vendors = vendors.replace("/.cd-info", &format!("{here}/.cd-info"));
    let file = root.join("init");
    std::fs::write(&file, vendors).expect("write");
    std::fs::write(root.join("isowright-cd-info"), CD_INFO).expect("write");
    let ours = made(d, ".cd-info")
        .replace("/bin/mount", "echo mounts")
        .replace("/sys/block", block.to_str().expect("utf-8"))
        .replace("/mnt", &format!("{here}/mnt"))
        .replace("cp \"/$", &format!("cp \"{here}/$"))
        .replace(" /isowright-cd-info", &format!(" {here}/isowright-cd-info"))
        .replace(" /.cd-info", &format!(" {here}/.cd-info"));
    std::fs::write(root.join(".cd-info"), ours).expect("write");
    let shell: &[&str] =
        if Path::new("/bin/busybox").exists() { &["/bin/busybox", "sh"] } else { &["sh"] };
    let out = Command::new(shell[0]).args(&shell[1..]).arg(&file).output().expect("starts");
    assert!(out.status.success());
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).replace(here, "");
    let answer = std::fs::read_to_string(root.join("mnt/.workdir/isowright/answer.toml")).ok();
    (said, answer)
}

fn unattended(more: &str) -> Draft {
    let text = format!(
        "console = []\nunattended = true\n[install]\nroot_password_hash = \"$6$saltsalt$abcDEF./123\"\n{more}"
    );
    draft(Family::Proxmox, &facts("8.4-1"), &Profile::from_toml(&text, "test").expect("profile"))
}

#[test]
fn the_answers_are_laid_over_the_medium_as_soon_as_it_is_there() {
    let d = unattended("");
    assert!(d.args.iter().any(|e| e.op == ArgOp::Set("proxmox-start-auto-installer".into())));
    // Whatever the installer does not know it hands on to the installed system.
    assert!(!d.args.iter().any(|e| format!("{:?}", e.op).contains("isowright")));
    let three = |block: &Path| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "sdb", 480, "0\n", true);
        disk(block, "nvme0n1", 240, "0\n", true);
    };
    let (said, answer) = started(&d, three);
    let layer =
        "mounts -t overlay -o lowerdir=/mnt/.workdir/isowright:/mnt none /mnt/.installer-mp/cdrom";
    let want = format!(
        "vendor: starts\nvendor: Proxmox VE\nmounts -t iso9660 -o loop,ro /proxmox.iso /mnt\n\
         mounts --bind /mnt /mnt/.installer-mp/cdrom\n{layer}\n{CD_INFO}\
         mounts -t devtmpfs devtmpfs /mnt/.installer-mp/dev\nvendor: goes on\n"
    );
    assert_eq!(said, want);
    assert!(answer.expect("answer").contains("disk-list = [\"nvme0n1\"]"));

    let (_, answer) = started(&unattended("[install.disk]\nraid1 = true\n"), three);
    let answer = answer.expect("answer");
    assert!(answer.contains("disk-list = [\"nvme0n1\", \"sdb\"]"), "{answer}");
    toml::from_str::<Answer>(&answer).expect("reads").check("mirror");
}

#[test]
fn without_a_fit_disk_there_are_no_answers_and_the_vendors_init_goes_on() {
    let (said, _) = started(&unattended(""), |block| disk(block, "sda", 64, "1\n", true));
    assert!(said.contains("no built-in disk of 8 GiB or more; nothing was wiped"), "{said}");
    assert!(!said.contains("overlay") && said.contains("vendor: goes on\n"), "{said}");
    assert!(!said.contains("bind failed"), "{said}");
}

#[test]
fn disks_by_name_are_left_to_the_installer() {
    for (disk, want) in [
        ("devices = [\"sda\"]", "disk-list = [\"sda\"]"),
        ("devices = [\"disk/by-path/pci-0\"]", "ID_PATH = \"pci-0\""),
        ("raid1 = true\ndevices = [\"sda\", \"sdb\"]", "disk-list = [\"sda\", \"sdb\"]"),
    ] {
        let d = unattended(&format!("[install.disk]\n{disk}\n"));
        assert!(made(&d, "answer.toml").contains(want), "{}", made(&d, "answer.toml"));
        assert!(!made(&d, ".cd-info").contains("/sys/block"));
    }
}

#[test]
fn your_own_answers_are_laid_over_as_they_are() {
    let mut f = facts("9.0-1");
    f.own_answers = Some(("answer.toml".into(), b"# mine @DISKS@\n".to_vec()));
    let p = Profile::from_toml("console = []\nunattended = true\n", "t").expect("profile");
    let d = draft(Family::Proxmox, &f, &p);
    assert_eq!(made(&d, "answer.toml"), "# mine @DISKS@\n");
    assert!(!made(&d, ".cd-info").contains("sed"));
}

/// The script of the first boot over an interfaces file, on a machine with these ports, each with its
/// address; the file after it, and what was renamed.
fn first_boot(bond: &str, interfaces: &str, ports: &[(&str, &str)]) -> String {
    let d = unattended(bond);
    let dir = tempfile::tempdir().expect("tempdir");
    let here = dir.path().to_str().expect("utf-8");
    std::fs::write(dir.path().join("interfaces"), interfaces).expect("write");
    for (port, mac) in ports {
        let sys = dir.path().join("net").join(port);
        std::fs::create_dir_all(&sys).expect("mkdir");
        std::fs::write(sys.join("address"), format!("{mac}\n")).expect("write");
    }
    let script = made(&d, "proxmox-first-boot")
        .replace("/etc/network/", &format!("{here}/"))
        .replace("/etc/systemd/network/", &format!("{here}/"))
        .replace("/sys/class/net", &format!("{here}/net"))
        .replace("update-initramfs", "true")
        .replace("ip link set dev", &format!("echo >>{here}/renamed"));
    shell(dir.path(), &script, "proxmox-first-boot");
    let out = Command::new("sh").arg(dir.path().join("script")).output().expect("starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.success(), !said.contains("there is no port"), "{said}");
    let text = std::fs::read_to_string(dir.path().join("interfaces")).expect("interfaces");
    let renamed = std::fs::read_to_string(dir.path().join("renamed")).unwrap_or_default();
    text + &renamed
}

#[test]
fn the_bond_takes_the_place_of_the_port_that_was_installed_over() {
    let pve = "auto lo\niface lo inet loopback\n\niface eth0 inet manual\n\nauto vmbr0\n\
               iface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\
               \tbridge-ports eth0\n\tbridge-stp off\n\tbridge-fd 0\n\niface eth2 inet manual\n";
    let out = first_boot(BOND, pve, &[("eth0", "a"), ("eth1", "b")]);
    for want in [
        "\tbridge-ports bond0\n",
        "\taddress 192.0.2.10/24\n",
        "\nauto bond0\niface bond0 inet manual\n\tbond-slaves eth0 eth1\n\tbond-mode 802.3ad\n\
         \tbond-lacp-rate slow\n\tbond-miimon 100\n\tbond-xmit-hash-policy layer3+4\n",
        "\niface eth1 inet manual\n",
    ] {
        assert!(out.contains(want), "{want}: {out}");
    }
    assert_eq!(out.matches("iface eth0 ").count(), 1, "{out}");

    let out = first_boot(BOND, pve, &[("eno1", "a"), ("eno2", "b")]);
    assert_eq!(out, pve, "without its ports there is no bond");

    let pbs = "auto lo\niface lo inet loopback\n\nauto eno1\niface eno1 inet static\n\
               \taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n";
    let one = &[("eno1", "52:54:00:00:00:01"), ("eno2", "52:54:00:00:00:03")];
    assert_eq!(first_boot(BY_MAC, pbs, one), pbs, "no port is renamed where one is missing");
    let both = &[("eno1", "52:54:00:00:00:01"), ("eno2", "52:54:00:00:00:02")];
    let out = first_boot(BY_MAC, pbs, both);
    for want in [
        "auto bond0\niface bond0 inet static\n\taddress 192.0.2.10/24\n",
        "\niface bond0\n\tbond-slaves nic0 nic1\n",
        "\tmtu 9000\n",
        "\niface nic1 inet manual\n",
        "eno1 down\neno1 name nic0\neno2 down\neno2 name nic1\n",
    ] {
        assert!(out.contains(want), "{want}: {out}");
    }
    assert!(!out.contains("iface eno1"), "{out}");
}
