//! `recipes/metallized-el`: its %pre is run against machines that are folders, with a metadata service on
//! loopback; what it writes is put in where the kickstart includes it, and ksvalidator judges the whole.

use super::*;
use isowright::serve::{Server, Site};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/metallized-el");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo.iso");
const GIB: u64 = 1 << 21;

/// A machine as a folder: its ports (name, address, cable), its disks (name, size in GiB), its firmware.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(ports: &[(&str, &str, bool)], disks: &[(&str, u64)], efi: bool) -> Self {
        let m = Machine { folder: tempfile::tempdir().unwrap() };
        for (name, mac, cable) in ports {
            let dir = format!("sys/class/net/{name}");
            m.write(&format!("{dir}/device/vendor"), "");
            m.write(&format!("{dir}/address"), mac);
            m.write(&format!("{dir}/carrier"), if *cable { "1\n" } else { "0\n" });
        }
        m.write("sys/class/net/lo/address", "00:00:00:00:00:00");
        for (name, gib) in disks {
            m.disk(name, *gib, "0");
        }
        // A stick, a loop device and a card reader's small disk must not be taken.
        m.disk("sdy", 9, "1");
        m.disk("sdz", 1, "0");
        m.write("sys/block/loop0/size", "999999999");
        if efi {
            m.write("sys/firmware/efi/fw_platform_size", "64");
        }
        m.write("etc/resolv.conf", "search example.org\nnameserver 192.0.2.53\n");
        m
    }

    fn write(&self, path: &str, text: &str) {
        let at = self.folder.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn disk(&self, name: &str, gib: u64, removable: &str) {
        for (file, text) in [
            ("size", (gib * GIB).to_string()),
            ("removable", removable.to_owned()),
            ("ro", "0".to_owned()),
            ("device/model", String::new()),
        ] {
            self.write(&format!("sys/block/{name}/{file}"), &text);
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("tmp/metallized").join(name)).unwrap_or_default()
    }

    /// Runs a script of the kickstart in it.
    fn run(&self, script: &str) -> std::process::Output {
        let file = self.folder.path().join("script");
        fs::write(&file, script).unwrap();
        let mut sh = Command::new("sh");
        sh.arg(file).env("METALLIZED_ROOT", self.folder.path()).stdin(Stdio::null());
        sh.output().unwrap()
    }
}

/// The kickstart as a build writes it, by the job's own files.
fn kickstart(more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for name in ["job.toml", "profile.toml", "ks.cfg.jinja"] {
        fs::copy(Path::new(FOLDER).join(name), dir.path().join(name)).unwrap();
    }
    fs::copy(DEMO, dir.path().join("el.iso")).unwrap();
    let tool = |args: &[&str]| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
        judged(c.current_dir(dir.path()).args(args), "isowright");
    };
    tool(&["recipe", "lint", "job.toml"]);
    tool(&["recipe", "lint", "profile.toml"]);
    tool(&[&["plan", "job.toml"][..], more].concat());
    tool(&[&["build", "job.toml", "--delivery", "url"][..], more].concat());
    tool(&["verify", "tree"]);
    let script = fs::read_to_string(dir.path().join("tree/boot.ipxe")).unwrap();
    assert!(script.contains(" metadata=http://"), "{script}");
    fs::read_to_string(dir.path().join("tree/answers/ks.cfg")).unwrap()
}

/// The service's answer for a machine with these ports.
fn answer(interfaces: &[(&str, &str)]) -> serde_json::Value {
    let interfaces: Vec<_> =
        interfaces.iter().map(|(mac, bond)| json!({"mac": mac, "bond": bond})).collect();
    json!({
        "hostname": "node1.example.org",
        "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO9 me@example.org", "no key \"; reboot"],
        "network": { "interfaces": interfaces, "addresses": [
            {"address": "10.1.2.3", "cidr": 31, "netmask": "255.255.255.254", "gateway": "10.1.2.2", "public": false, "management": true},
            {"address": "192.0.2.11", "cidr": 31, "netmask": "255.255.255.254", "gateway": "192.0.2.10", "public": true, "management": true},
            {"address": "2001:db8::11", "cidr": 127, "gateway": "2001:db8::10", "public": true, "management": true},
            {"address": "not an address", "cidr": 31, "gateway": "192.0.2.10"},
        ]},
    })
}

/// Serves the answer, and tells the machine its URL by its kernel's arguments.
fn service(machine: &Machine, answer: &str) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("metadata"), answer).unwrap();
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(Site::folder(dir.path()).unwrap(), at, Arc::new(|_| {})).unwrap();
    let url = format!("http://{}/metadata", server.addr());
    machine.write("proc/cmdline", &format!("quiet metadata={url} console=ttyS1,115200n8\n"));
    (server, dir)
}

fn two_ports(disks: &[(&str, u64)], efi: bool) -> Machine {
    let ports = [("eno1", "52:54:00:00:00:01", true), ("eno2", "52:54:00:00:00:02", true)];
    Machine::new(&ports, disks, efi)
}

const SATA: [(&str, u64); 3] = [("sda", 4000), ("sdb", 480), ("sdc", 480)];
const BOTH: [(&str, &str); 2] = [("52:54:00:00:00:01", "bond0"), ("52:54:00:00:00:02", "bond0")];
const OPTS: &str = "--bondopts=mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4";

/// Runs %pre, and has the kickstart with what it wrote judged for each version.
fn installed(machine: &Machine, ks: &str) -> String {
    let pre = &ks_scripts(ks)[0];
    let out = machine.run(pre);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let mut whole = ks.to_owned();
    for name in ["network.ks", "keys.ks", "disks.ks"] {
        whole = whole.replace(&format!("%include /tmp/metallized/{name}\n"), &machine.read(name));
    }
    assert!(!whole.contains("%include"));
    if let Some(venv) = material("validators") {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("judge.py"), JUDGE).unwrap();
        fs::write(dir.path().join("ks.ks"), &whole).unwrap();
        for version in ["RHEL8", "RHEL9", "RHEL10"] {
            let mut python = Command::new(venv.join("bin/python"));
            judged(python.arg(dir.path().join("judge.py")).arg(version).arg(dir.path()), version);
        }
    }
    said
}

#[test]
fn two_ports_and_sata_disks() {
    let ks = kickstart(&["--unattended"]);
    let m = two_ports(&SATA, true);
    let (_server, _dir) = service(&m, &answer(&BOTH).to_string());
    let said = installed(&m, &ks);
    assert!(said.contains("an address is left out"), "{said}");
    let want = format!(
        "network --device=bond0 --bondslaves=eno1,eno2 {OPTS} --bootproto=static --ip=192.0.2.11 \
         --netmask=255.255.255.254 --gateway=192.0.2.10 --ipv6=2001:db8::11/127 \
         --ipv6gateway=2001:db8::10 --nameserver=192.0.2.53 --hostname=node1.example.org --onboot=yes \
         --activate\n"
    );
    assert_eq!(m.read("network.ks"), want);
    let key = "sshkey --username=root \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO9 me@example.org\"\n";
    assert_eq!(m.read("keys.ks"), key, "what is no key is left out");
    assert_eq!(m.read("more"), "10.1.2.3/31 10.1.2.2\n");
    let disks = m.read("disks.ks");
    assert!(disks.starts_with("ignoredisk --only-use=sdb,sdc\nzerombr\n"), "{disks}");
    for words in [
        "--disklabel=gpt --drives=sdb,sdc",
        "--append=\"console=tty0 console=ttyS1,115200n8\"",
        "raid /boot/efi --device=efi --level=1",
        "raid pv.1 --device=system --level=1 raid.31 raid.32",
    ] {
        assert!(disks.contains(words), "{words} is not in:\n{disks}");
    }
}

#[test]
fn four_ports_are_found_by_their_addresses_whatever_the_boards_order() {
    let ks = kickstart(&["--unattended"]);
    let port = |name, n, cable| {
        (
            name,
            ["52:54:00:00:00:04", "52:54:00:00:00:03", "52:54:00:00:00:02", "52:54:00:00:00:01"][n],
            cable,
        )
    };
    let ports = [
        port("eno1", 0, true),
        port("eno2", 1, false),
        port("ens1f0", 2, true),
        port("ens1f1", 3, true),
    ];
    let m = Machine::new(&ports, &SATA, false);
    let bonds = [
        ("52:54:00:00:00:01", "bond0"),
        ("52:54:00:00:00:02", "bond1"),
        ("52:54:00:00:00:03", "bond0"),
        ("52:54:00:00:00:04", "bond1"),
    ];
    let (_server, _dir) = service(&m, &answer(&bonds).to_string());
    installed(&m, &ks);
    let network = m.read("network.ks");
    let lines: Vec<&str> = network.lines().collect();
    assert!(lines[0].starts_with("network --device=bond0 --bondslaves=ens1f1,eno2 "), "{network}");
    assert_eq!(
        lines[1],
        format!(
            "network --device=bond1 --bondslaves=ens1f0,eno1 {OPTS} --noipv4 --noipv6 --onboot=yes"
        )
    );
    // A port that is in a bond already shows the bond's address.
    m.write("sys/class/net/eno2/address", "52:54:00:00:00:01");
    m.write("sys/class/net/eno2/bonding_slave/perm_hwaddr", "52:54:00:00:00:03");
    m.run(&ks_scripts(&ks)[0]);
    assert_eq!(m.read("network.ks"), network);
    // On a BIOS either disk starts.
    assert!(m.read("disks.ks").contains("--disklabel=msdos"), "{}", m.read("disks.ks"));
    assert!(!m.read("disks.ks").contains("efi"));
}

#[test]
fn disks_that_are_all_nvme() {
    let ks = kickstart(&["--unattended"]);
    for (efi, words) in [
        (true, "part raid.12 --size=600 --ondisk=nvme1n1"),
        (false, "part biosboot --fstype=biosboot --size=1 --ondisk=nvme0n1"),
    ] {
        let m = two_ports(&[("nvme0n1", 3800), ("nvme1n1", 3800)], efi);
        // A path of a multipath disk has no node in /dev.
        m.disk("nvme0c0n1", 3000, "0");
        m.write("sys/block/nvme0c0n1/hidden", "1");
        let (_server, _dir) = service(&m, &answer(&BOTH).to_string());
        installed(&m, &ks);
        let disks = m.read("disks.ks");
        assert!(disks.starts_with("ignoredisk --only-use=nvme0n1,nvme1n1\n"), "{disks}");
        assert!(disks.contains(words), "{words} is not in:\n{disks}");
    }
}

#[test]
fn without_metadata_the_bond_takes_a_lease() {
    let ks = kickstart(&["--unattended"]);
    let three = [
        ("eno1", "52:54:00:00:00:01", true),
        ("eno2", "52:54:00:00:00:02", true),
        ("eno3", "52:54:00:00:00:03", false),
    ];
    let want = format!(
        "network --device=bond0 --bondslaves=eno1,eno2 {OPTS} --bootproto=dhcp --onboot=yes --activate\n"
    );
    // Nobody answers; nobody is named; what answers is an error page, or no object.
    for cmdline in ["metadata=http://127.0.0.1:1/metadata", "quiet"] {
        let m = Machine::new(&three, &SATA, true);
        m.write("proc/cmdline", cmdline);
        let said = installed(&m, &ks);
        assert!(said.contains("going on with a lease"), "{said}");
        assert_eq!(m.read("network.ks"), want, "{cmdline}");
        assert_eq!((m.read("keys.ks"), m.read("more")), (String::new(), String::new()));
    }
    for page in ["<html>not found</html>", "[]", "{}", "{\"network\": 1, \"ssh_keys\": null}"] {
        let m = Machine::new(&three, &SATA, true);
        let (_server, _dir) = service(&m, page);
        installed(&m, &ks);
        assert_eq!(m.read("network.ks"), want, "{page}");
    }
}

#[test]
fn a_machine_with_one_disk_is_not_touched() {
    let ks = kickstart(&["--unattended"]);
    let m = two_ports(&[("sda", 480)], true);
    m.write("proc/cmdline", "");
    let out = m.run(&ks_scripts(&ks)[0]);
    assert_eq!(out.status.code(), Some(1), "--erroronfail stops the installer");
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("1 built-in disks of 8 GiB or more, not two")
    );
    assert_eq!(m.read("disks.ks"), "");
}

#[test]
fn nothing_is_wiped_unless_it_was_asked_for() {
    let ks = kickstart(&[]);
    let m = two_ports(&SATA, true);
    m.write("proc/cmdline", "");
    installed(&m, &ks);
    assert_eq!(m.read("disks.ks"), "");
    assert!(!ks.contains("disks.ks\nreboot") && ks.contains("\nbootloader --append="), "{ks}");
}

#[test]
fn further_addresses_reach_the_installed_system() {
    let post = ks_scripts(&kickstart(&[])).pop().unwrap();
    let keyfile = "mnt/sysroot/etc/NetworkManager/system-connections/bond0.nmconnection";
    let ifcfg = "mnt/sysroot/etc/sysconfig/network-scripts/ifcfg-bond0";
    for (path, text, want) in [
        (
            keyfile,
            "[connection]\nid=bond0\n\n[ipv4]\naddress1=192.0.2.11/31,192.0.2.10\nmethod=manual\n\n[ipv6]\n",
            "[connection]\nid=bond0\n\n[ipv4]\naddress2=10.1.2.3/31\nroute1=10.0.0.0/8,10.1.2.2\naddress1=192.0.2.11/31,192.0.2.10\nmethod=manual\n\n[ipv6]\n",
        ),
        (ifcfg, "IPADDR=192.0.2.11\n", "IPADDR=192.0.2.11\nIPADDR1=10.1.2.3\nPREFIX1=31\n"),
    ] {
        let m = two_ports(&SATA, true);
        m.write("tmp/metallized/more", "10.1.2.3/31 10.1.2.2\n");
        m.write(path, text);
        let out = m.run(&post);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let at: PathBuf = m.folder.path().join(path);
        assert_eq!(fs::read_to_string(&at).unwrap(), want);
        let route = at.with_file_name("route-bond0");
        assert_eq!(route.exists(), path == ifcfg);
    }
}

#[test]
fn its_python_compiles_and_its_scripts_are_shell() {
    let dir = tempfile::tempdir().unwrap();
    let ks = kickstart(&["--unattended"]);
    let scripts = ks_scripts(&ks);
    assert_eq!(scripts.len(), 2);
    for (i, s) in scripts.iter().enumerate() {
        shell(dir.path(), s, &format!("section {i}"));
    }
    let python = scripts[0].split_once("<<'END'\n").unwrap().1.split_once("\nEND\n").unwrap().0;
    let file = dir.path().join("pre.py");
    fs::write(&file, python).unwrap();
    judged(Command::new("python3").args(["-m", "py_compile"]).arg(&file), "py_compile");
    // EL8's is Python 3.6.
    let old = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 6))";
    judged(Command::new("python3").args(["-c", old]).arg(&file), "python 3.6");
}
