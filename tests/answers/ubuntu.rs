//! Ubuntu's answers against their judges: cloud-init's schema, one of ours for subiquity's part, netplan,
//! sh; and the scripts run over made-up machines.

use super::*;
use isowright::error::ErrorKind;
use isowright::family::draft::{Body, MEDIUM};

const RELEASES: [&str; 3] = ["20.04.6", "22.04.4", "24.04.1"];

/// A live-server medium, or one with these files.
fn medium(version: &str, files: &[&str]) -> Facts {
    Facts {
        version: Some(version.into()),
        paths: files.iter().map(|p| p.parse().expect("path")).collect(),
        ..Facts::default()
    }
}

fn server(version: &str) -> Facts {
    medium(version, &["casper/installer.squashfs"])
}

fn profile(text: &str) -> Profile {
    Profile::from_toml(&format!("console = [\"tty0\", \"ttyS1,115200n8\"]\n{text}"), "test")
        .expect("profile")
}

fn said(facts: &Facts, profile: &Profile) -> Draft {
    draft(Family::Casper, facts, profile)
}

fn user_data(draft: &Draft) -> &str {
    let m = draft.beside.iter().find(|m| m.path.to_string() == "answers/user-data");
    let m = m.expect("user-data is made");
    assert_eq!(m.mode, 0o600);
    std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8")
}

fn args(draft: &Draft) -> Vec<String> {
    draft.args.iter().map(|a| format!("{:?}", a.op)).collect()
}

fn unsaid(draft: &Draft) -> Vec<&str> {
    draft.unsaid.iter().map(|u| u.setting.as_str()).collect()
}

/// The lines below `head`, as far as they are indented by `by` or more, without that.
fn below(text: &str, head: &str, by: usize) -> Option<String> {
    let rest = text.split_once(head)?.1;
    let lines = rest.lines().take_while(|l| l.is_empty() || l.starts_with(&" ".repeat(by)));
    Some(lines.map(|l| l.get(by..).unwrap_or("").to_owned() + "\n").collect())
}

/// A script in write_files.
fn script(user_data: &str, name: &str) -> Option<String> {
    let head = format!("/run/isowright/{name}\n  permissions: \"0755\"\n  content: |\n");
    below(user_data, &head, 4)
}

/// What subiquity writes to /autoinstall.yaml, as far as the early script can tell.
fn autoinstall(user_data: &str) -> String {
    below(user_data, "autoinstall:\n", 2).expect("autoinstall")
}

/// Every shape of answers for every release, as files in `dir`; says how many.
fn written(dir: &Path) -> usize {
    let mut n = 0;
    for version in RELEASES {
        for (name, profile) in profiles() {
            let d = said(&server(version), &profile);
            let file = dir.join(format!("{version}-{n:03}"));
            std::fs::write(file, user_data(&d).to_owned() + &format!("# {name}\n")).expect("write");
            n += 1;
        }
    }
    n
}

#[test]
fn cloud_init_and_our_schema_take_every_user_data() {
    let (Some(venv), Some(cloud_init)) = (material("validators"), material("cloud-init")) else {
        return;
    };
    let dir = tempfile::tempdir().expect("tempdir");
    assert!(written(dir.path()) > 100);
    let judge = dir.path().join("judge.py");
    std::fs::write(&judge, JUDGE).expect("write");
    let schema =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers/autoinstall.schema.json");
    let mut python = Command::new(venv.join("bin/python"));
    python.env("PYTHONPATH", cloud_init.join("usr/lib/python3/dist-packages"));
    judged(python.arg(&judge).arg(&schema).arg(dir.path()), "user-data");
}

/// cloud-init judges the user-data of the installer's system and that of the installed one, with the
/// deprecations that a release does not know yet let pass.
const JUDGE: &str = r##"
import glob, json, sys
import jsonschema, yaml
from cloudinit.config.schema import SchemaValidationError, get_schema, validate_cloudconfig_schema

cloud_config = get_schema()
ours = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(ours)
ours = jsonschema.Draft202012Validator(ours)

seen = set()
def judged(config, old):
    key = json.dumps([old, {k: v for k, v in config.items() if k != "autoinstall"}])
    if key in seen:
        return
    seen.add(key)
    try:
        validate_cloudconfig_schema(config, schema=cloud_config, strict=True)
    except SchemaValidationError as e:
        if getattr(e, "schema_errors", e) or not old:
            raise

files = sorted(glob.glob(sys.argv[2] + "/2*"))
assert len(files) > 100
for f in files:
    text = open(f).read()
    try:
        assert text.startswith("#cloud-config\n")
        whole = yaml.safe_load(text)
        assert set(whole) <= {"autoinstall", "write_files"}, whole.keys()
        judged(whole, False)
        judged(whole["autoinstall"]["user-data"], "/24." not in f)
        ours.validate(whole["autoinstall"])
    except Exception as e:
        print(text, f, e)
        sys.exit(1)
for wrong in [{"users": 7}, {"chpasswd": {"list": 7}}]:
    try:
        judged(wrong, True)
    except SchemaValidationError:
        continue
    sys.exit("the judge takes anything")
"##;

/// cloud-init and subiquity read YAML 1.1, where 10:20 is a number and y a truth.
#[test]
fn what_looks_like_something_else_is_read_back_as_text() {
    let Some(venv) = material("validators") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let texts = [
        "10:20",
        "12:34:56:12:34:56",
        "1:2:3:4:5:6:7:8",
        "2001:db8::1",
        "::/0",
        "0x10",
        "1e3",
        "010",
        "1_000",
        "y",
        "off",
        "~",
        "null",
        "=",
        "<<",
        "2024-01-01",
        ".inf",
        "*",
        "&a",
        "!x",
        "@x",
        "%x",
        "- a",
        "a: b",
        "a #b",
        "a:",
        "[x",
        "'q",
        "\"q",
        "",
        " a",
        "a ",
        "x\ny",
        "x\n",
        "---",
        "$6$a$b/c.",
    ];
    let value = serde_json::json!({ "texts": texts.to_vec() });
    let yaml = isowright::format::yaml::to_text(&value).expect("yaml");
    std::fs::write(dir.path().join("yaml"), yaml).expect("write");
    std::fs::write(dir.path().join("json"), value.to_string()).expect("write");
    let same = "import json, yaml; assert yaml.safe_load(open('yaml')) == json.load(open('json'))";
    let mut python = Command::new(venv.join("bin/python"));
    judged(python.arg("-c").arg(same).current_dir(dir.path()), "yaml");
}

#[test]
fn netplan_takes_every_network() {
    let Some(netplan) = packaged("/usr/sbin/netplan", "netplan.io") else { return };
    let mut seen = std::collections::BTreeSet::new();
    for (name, profile) in profiles() {
        let d = said(&server("24.04.1"), &profile);
        let Some(network) = below(&autoinstall(user_data(&d)), "network:\n", 2) else { continue };
        if !seen.insert(network.clone()) {
            continue;
        }
        let root = tempfile::tempdir().expect("tempdir");
        let folder = root.path().join("etc/netplan");
        std::fs::create_dir_all(&folder).expect("mkdir");
        let indented: String = network.lines().map(|l| format!("  {l}\n")).collect();
        let file = folder.join("50-cloud-init.yaml");
        std::fs::write(&file, format!("network:\n{indented}")).expect("write");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("mode");
        let mut generate = Command::new(&netplan);
        judged(generate.args(["generate", "--root-dir"]).arg(root.path()), &name);
        let units = root.path().join("run/systemd/network");
        if let Some(bond) = &profile.network.bond {
            let device = units.join(format!("10-netplan-{}.netdev", bond.name));
            let text = std::fs::read_to_string(device).expect("netdev");
            for line in [
                "Mode=802.3ad",
                "LACPTransmitRate=slow",
                "MIIMonitorSec=100ms",
                "TransmitHashPolicy=layer3+4",
            ] {
                assert!(text.lines().any(|l| l == line), "{name}: {line}: {text}");
            }
            let ports = bond.named_ports();
            for (port, mac) in &ports {
                let text =
                    std::fs::read_to_string(units.join(format!("10-netplan-{port}.network")))
                        .expect("network");
                assert!(text.contains(&format!("Bond={}", bond.name)), "{name}: {text}");
                let link = units.join(format!("10-netplan-{port}.link"));
                assert_eq!(link.exists(), mac.is_some(), "{name}: {port}");
            }
        }
    }
    assert!(seen.len() >= 8, "{}", seen.len());
}

#[test]
fn every_script_of_ubuntus_is_shell() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut scripts = 0;
    for (name, profile) in profiles() {
        let d = said(&server("24.04.1"), &profile);
        for which in ["early.sh", "late.sh"] {
            if let Some(text) = script(user_data(&d), which) {
                shell(dir.path(), &text, &format!("{name}: {which}"));
                scripts += 1;
            }
        }
    }
    assert!(scripts > 60, "{scripts}");
    let by_initrd = Facts { delivery: Some(Delivery::Initrd), ..server("24.04.1") };
    let d = said(&by_initrd, &profile(""));
    for path in ["scripts/casper-bottom/90isowright", "conf/conf.d/isowright"] {
        shell(dir.path(), made(&d, path), path);
    }
}

#[test]
fn whoever_serves_the_tree_is_told_when_ubuntu_is_installed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let done = "http://192.0.2.1:8080/.isowright/done";
    let facts = Facts { done: Some(done.into()), ..server("24.04.1") };
    let mute = Profile::from_toml("console = [\"tty0\"]", "test").expect("profile");
    for (p, grub) in [(profile(""), true), (mute, false)] {
        let d = said(&facts, &p);
        assert!(user_data(&d).contains("late-commands:\n"));
        let late = script(user_data(&d), "late.sh").expect("late.sh");
        shell(dir.path(), &late, "late.sh");
        assert!(late.contains(&format!("curl -fsS -m 20 -o /dev/null '{done}'")), "{late}");
        assert_eq!(late.contains("update-grub"), grub, "{late}");
        let without = said(&Facts { done: None, ..facts.clone() }, &p);
        assert_eq!(script(user_data(&without), "late.sh").is_some(), grub);
    }
}

#[test]
fn nothing_is_wiped_without_a_question_unless_unattended() {
    for (name, profile) in profiles() {
        let d = said(&server("24.04.1"), &profile);
        let answers = autoinstall(user_data(&d));
        let lines: Vec<&str> = answers.lines().collect();
        let yes = profile.unattended;
        assert_eq!(lines.contains(&"storage:"), yes, "{name}");
        assert_eq!(lines.contains(&"shutdown: reboot"), yes, "{name}");
        assert_eq!(lines.contains(&"interactive-sections:"), !yes, "{name}");
        assert_eq!(args(&d).contains(&"Set(\"autoinstall\")".to_owned()), yes, "{name}");
        assert_eq!(d.notes.iter().any(|n| n.text.starts_with("WIPED")), yes, "{name}");
    }
}

#[test]
fn the_medium_is_fetched_whole_and_fetched_once() {
    let d = said(&server("24.04.1"), &Profile::metal().expect("metal"));
    assert!(MEDIUM.ends_with(".iso") && d.hosted == Hosted::medium());
    let args = args(&d);
    for want in [
        "Set(\"url=@BASE@medium.iso\")",
        "Set(\"cloud-config-url=/dev/null\")",
        "Set(\"rootfstype=ramfs\")",
        "Set(\"ip=dhcp\")",
        "Set(\"ds=nocloud;s=@BASE@answers/\")",
        "AppendForTarget(\"console=ttyS1,115200n8\")",
        "AppendForTarget(\"net.ifnames=0\")",
    ] {
        assert!(args.iter().any(|a| a == want), "{want} is not in {args:?}");
    }
    let names: Vec<String> = d.beside.iter().map(|m| m.path.to_string()).collect();
    assert_eq!(names, ["answers/user-data", "answers/meta-data", "answers/vendor-data"]);
    assert!(d.notes.iter().any(|n| n.warning && n.text.contains("LACP fallback")));

    let old = super::ubuntu::args(&said(&server("22.04.4"), &Profile::metal().expect("metal")));
    assert!(old.contains(&"Set(\"ds=nocloud-net;s=@BASE@answers/\")".to_owned()), "{old:?}");
}

#[test]
fn a_fixed_address_reaches_the_initrd_and_names_its_port() {
    let by_name = said(&server("24.04.1"), &profile(&format!("{BOND}{STATIC}")));
    let ip = "Set(\"ip=192.0.2.10::192.0.2.1:255.255.255.0::eth0:none:192.0.2.53\")";
    assert!(args(&by_name).contains(&ip.to_owned()), "{:?}", args(&by_name));
    let by_mac = args(&said(&server("24.04.1"), &profile(&format!("{BY_MAC}{STATIC}"))));
    assert!(by_mac.contains(&"Set(\"BOOTIF=01-52-54-00-00-00-01\")".to_owned()), "{by_mac:?}");
    let six = said(&server("24.04.1"), &profile(&format!("{BOND}{STATIC6}")));
    assert_eq!(unsaid(&six), ["network.address"]);
    assert!(user_data(&six).contains("- 2001:db8::10/64\n"), "the installed system has it");
}

/// The early script over a made-up machine: what it leaves of the answers, and null where it fails.
fn early(install: &str, machine: impl Fn(&Path)) -> Option<String> {
    let d = said(&server("24.04.1"), &profile(&format!("unattended = true\n{install}")));
    let (text, answers) = (user_data(&d), autoinstall(user_data(&d)));
    let script = script(text, "early.sh").expect("early.sh");
    let script = script.replace("=/autoinstall.yaml", "=/tmp/autoinstall.yaml")
        + "echo 'ran: whole' >>\"$answers\"\n";
    let after =
        over_disks(&script.replace("/dev/console", "/dev/null"), "autoinstall.yaml", |block| {
            std::fs::write(block.join("../../autoinstall.yaml"), &answers).expect("write");
            machine(block);
        });
    let after = after.expect("there");
    assert!(after.ends_with("ran: whole\n") || after == answers, "all or nothing: {after}");
    after.ends_with("ran: whole\n").then_some(after)
}

#[test]
fn the_early_script_puts_in_the_disk_or_stops_the_installer() {
    let two = |block: &Path| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "nvme0n1", 480, "0\n", true);
        disk(block, "sdb", 16, "1\n", true);
        disk(block, "sdc", 4, "0\n", true);
    };
    let answers = early("", two).expect("a disk");
    assert!(answers.contains("      path: /dev/nvme0n1\n"), "{answers}");
    assert!(!answers.contains("isowright-"), "{answers}");
    assert_eq!(early("", |block| disk(block, "sdb", 16, "1\n", true)), None);

    let named = "[install.disk]\ndevices = [\"disk/by-path/pci-1\"]\n";
    let by_path = |block: &Path| {
        two(block);
        let folder = block.join("../../dev/disk/by-path");
        std::fs::create_dir_all(&folder).expect("mkdir");
        std::os::unix::fs::symlink("../../sda", folder.join("pci-1")).expect("link");
    };
    assert!(early(named, by_path).expect("named").contains("      path: /dev/sda\n"));
    assert_eq!(early(named, two), None, "a missing disk is never replaced");
}

#[test]
fn a_mirror_boots_under_the_firmware_that_is_there() {
    for uefi in [false, true] {
        let answers = early(MIRROR, |block| {
            disk(block, "sda", 480, "0\n", true);
            disk(block, "sdb", 480, "0\n", true);
            disk(block, "sdc", 4000, "0\n", true);
            if uefi {
                std::fs::create_dir_all(block.join("../firmware/efi")).expect("mkdir");
            }
        })
        .expect("two disks");
        assert!(answers.contains("path: /dev/sda\n") && answers.contains("path: /dev/sdb\n"));
        assert!(!answers.contains("sdc") && !answers.contains("isowright-"), "{answers}");
        // An item's keys, in the order that they are written.
        let boots = |id: &str| {
            let item = answers.split_once(&format!("- id: {id}\n")).expect("item").1;
            let item = item.split("- id: ").next().expect("item");
            item.contains("grub_device: true")
        };
        for (id, wanted) in [("disk0", !uefi), ("disk1", !uefi), ("esp0", uefi), ("esp1", uefi)] {
            assert_eq!(boots(id), wanted, "{id}, UEFI {uefi}: {answers}");
        }
    }
    assert_eq!(early(MIRROR, |block| disk(block, "sda", 480, "0\n", true)), None);
}

#[test]
fn the_initrds_script_hands_the_answers_to_cloud_init() {
    let by_initrd = Facts { delivery: Some(Delivery::Initrd), ..server("24.04.1") };
    let d = said(&by_initrd, &Profile::metal().expect("metal"));
    assert!(d.beside.is_empty());
    assert!(args(&d).contains(&"Set(\"ds=nocloud\")".to_owned()));
    assert!(d.notes.iter().any(|n| n.text.contains("was not booted here")));

    // An initrd's root with casper's list in it, and a live system on /root.
    let dir = tempfile::tempdir().expect("tempdir");
    let at = |path: &str| dir.path().join(path);
    for m in &d.in_initrd {
        let Body::Bytes(bytes) = &m.body else { panic!("ours") };
        let file = at(&m.path.to_string());
        std::fs::create_dir_all(file.parent().expect("folder")).expect("mkdir");
        std::fs::write(&file, bytes).expect("write");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(m.mode))
            .expect("mode");
    }
    std::fs::create_dir(at("root")).expect("mkdir");
    std::fs::write(at("scripts/casper-bottom/ORDER"), "/bin/true \"$@\"\n").expect("write");
    let root = dir.path().to_str().expect("utf-8");
    let seed =
        made(&d, "scripts/casper-bottom/90isowright").replace("=/root/", &format!("={root}/root/"));
    let seed = seed.replace("/isowright/", &format!("{root}/isowright/"));
    std::fs::write(at("scripts/casper-bottom/90isowright"), seed).expect("write");
    let order = at("scripts/casper-bottom/ORDER");
    judged(Command::new("sh").arg("-ec").arg(hook(&d, root)), "conf.d");
    let listed = std::fs::read_to_string(&order).expect("ORDER");
    assert!(listed.ends_with("/scripts/casper-bottom/90isowright \"$@\"\n"), "{listed}");
    std::fs::write(&order, listed.replace("/scripts/", &format!("{root}/scripts/")))
        .expect("write");
    judged(Command::new("sh").arg("-e").arg(&order), "casper-bottom");
    for name in ["user-data", "meta-data", "vendor-data"] {
        let file = at("root/var/lib/cloud/seed/nocloud").join(name);
        let there = std::fs::read(&file).expect(name);
        let body = made(&d, &format!("isowright/{name}"));
        assert_eq!(there, body.as_bytes());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&file).expect("metadata").permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// The line that init sources, with the initrd's root at `root`.
fn hook(draft: &Draft, root: &str) -> String {
    made(draft, "conf/conf.d/isowright").replace(">>/scripts", &format!(">>{root}/scripts"))
}

#[test]
fn what_older_and_other_installers_cannot_is_said() {
    let metal = Profile::metal().expect("metal");
    let e = Family::Casper.say(&server("18.04.6"), &metal, &mut Draft::default());
    assert_eq!(e.expect_err("no url=").kind(), ErrorKind::Unsupported);

    let unattended = profile("unattended = true\n");
    let old_desktop = said(&medium("22.04.4", &["casper/filesystem.squashfs"]), &unattended);
    assert_eq!(unsaid(&old_desktop), ["unattended"]);
    assert!(
        old_desktop.beside.is_empty()
            && !args(&old_desktop).iter().any(|a| a.contains("autoinstall"))
    );
    let desktop = said(&medium("24.04.1", &["casper/install-sources.yaml"]), &unattended);
    assert!(unsaid(&desktop).is_empty() && user_data(&desktop).contains("storage:"));

    let yescrypt = profile("[install]\nroot_password_hash = \"$y$j9T$salt$hash\"\n");
    let d = said(&server("22.04.4"), &yescrypt);
    assert_eq!(unsaid(&d), ["install.root_password_hash"]);
    assert!(!user_data(&d).contains("$y$"));
    let d = said(&server("24.04.1"), &yescrypt);
    assert!(unsaid(&d).is_empty() && user_data(&d).contains("type: hash"));
}

#[test]
fn the_debian_installer_of_18_04_gets_netplan_and_its_squashfs() {
    let recipes = isowright::recipe::bundled().expect("recipes");
    let legacy = recipes.iter().find(|r| r.name == "ubuntu-legacy").expect("recipe");
    let udebs = "dists/bionic/main/debian-installer/binary-amd64/Packages.gz";
    let facts = Facts {
        codename: Some("bionic".into()),
        mirror: legacy.answers.mirror.clone(),
        preseed: legacy.answers.preseed.clone(),
        netplan: true,
        hosted: Hosted::whole_tree(),
        ..medium("18.04.6", &["install/filesystem.squashfs", udebs])
    };
    let metal = Profile::metal().expect("metal");
    let far = draft(Family::DebianInstaller, &facts, &metal);
    assert!(made(&far, "preseed.cfg").contains("hostname string archive.ubuntu.com\n"));
    assert!(!made(&far, "preseed.cfg").contains("net-image"));
    let late = made(&far, "isowright/late.sh");
    assert!(late.contains("lacp-rate: slow") && !late.contains("etc/network/interfaces"), "{late}");
    assert!(!made(&far, "preseed.cfg").contains("ifenslave"));

    let near = Facts { base_url: Some("http://h/u/".into()), ..facts.clone() };
    let near = draft(Family::DebianInstaller, &near, &metal);
    let line = "d-i live-installer/net-image string http://h/u/repo/install/filesystem.squashfs\n";
    assert!(made(&near, "preseed.cfg").contains(line));

    let Some(tool) = packaged("/usr/bin/debconf-set-selections", "debconf") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("preseed.cfg");
    let mut all = String::new();
    for (name, profile) in profiles() {
        let d = draft(Family::DebianInstaller, &facts, &profile);
        all += &format!("# {name}\n{}", made(&d, "preseed.cfg"));
        shell(dir.path(), made(&d, "isowright/late.sh"), &name);
    }
    std::fs::write(&file, all).expect("write");
    let out = Command::new(&tool).arg("-c").arg(&file).output().expect("starts");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && told.is_empty(), "{told}");
}
