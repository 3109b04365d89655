//! SUSE up to 15: AutoYaST's profile against xmllint and a schema of ours (the vendor's comes in no
//! package), linuxrc's lines against its sources' grammar.

use super::*;

const RNG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers/autoyast.rng");

pub(super) fn paths(
    list: &[&str],
) -> std::collections::BTreeSet<isowright::content::path::TreePath> {
    list.iter().map(|p| p.parse().expect("path")).collect()
}

/// Leap's DVD, and SLE's Full medium with its modules.
fn media() -> [Facts; 2] {
    let dvd = Facts {
        version: Some("15.6".into()),
        paths: paths(&["boot/x86_64/root", "repodata/repomd.xml"]),
        hosted: Hosted::whole_tree(),
        ..Facts::default()
    };
    let full = Facts {
        product: Some("SLES".into()),
        paths: paths(&["boot/x86_64/root", "Module-Basesystem/repodata/repomd.xml"]),
        ..dvd.clone()
    };
    [dvd, full]
}

pub(super) fn profile(rest: &str) -> Profile {
    Profile::from_toml(&format!("console = [\"tty0\", \"ttyS1,115200n8\"]\n{rest}"), "test")
        .expect("profile")
}

pub(super) fn args(draft: &Draft) -> Vec<String> {
    let word = |op: &ArgOp| match op {
        ArgOp::Set(w) | ArgOp::Append(w) => Some(w.clone()),
        _ => None,
    };
    draft.args.iter().filter_map(|a| word(&a.op)).collect()
}

pub(super) fn beside<'d>(draft: &'d Draft, path: &str) -> &'d str {
    let m = draft.beside.iter().find(|m| m.path.to_string() == path).expect(path);
    assert_eq!(m.mode, 0o600);
    std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8")
}

/// Writes each text into a folder of its own, and has xmllint look at them all at once.
fn xmllint(texts: &[(String, String)]) {
    let Some(tool) = packaged("/usr/bin/xmllint", "libxml2-utils") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let mut command = Command::new(tool);
    command.args(["--noout", "--nonet", "--relaxng", RNG]);
    for (i, (name, text)) in texts.iter().enumerate() {
        let file = dir.path().join(format!("{i}.xml"));
        std::fs::write(&file, text.replace("</profile>", &format!("</profile>\n<!-- {name} -->")))
            .expect("write");
        command.arg(file);
    }
    judged(&mut command, "xmllint");
}

#[test]
fn xmllint_takes_every_profile() {
    let mut all = Vec::new();
    for facts in media() {
        for (name, profile) in profiles() {
            let draft = draft(Family::Linuxrc, &facts, &profile);
            all.push((name, made(&draft, "autoinst.xml").to_owned()));
        }
        let bare =
            draft(Family::Linuxrc, &facts, &Profile::from_toml("console = []\n", "t").expect("p"));
        all.push(("no console".into(), made(&bare, "autoinst.xml").to_owned()));
    }
    assert!(all.len() > 70);
    xmllint(&all);
}

/// The schema is ours: it must not take what YaST would not.
#[test]
fn our_schema_refuses_slips() {
    let Some(tool) = packaged("/usr/bin/xmllint", "libxml2-utils") else { return };
    let good = draft(Family::Linuxrc, &media()[0], &profile(&format!("{BOND}{INSTALL}")));
    let good = made(&good, "autoinst.xml");
    for (from, to) in [
        ("<bonding_master>yes", "<bonding_master>true"),
        ("config:type=\"list\"", "config:type=\"map\""),
        ("mode=802.3ad ", "mode=802.3ad,"),
        ("<user_password>$6$", "<user_password>plain$"),
        ("<software>", "<softwares>"),
        ("<confirm config:type=\"boolean\">", "<confirm>"),
    ] {
        assert!(good.contains(from), "{from}");
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("x.xml");
        std::fs::write(&file, good.replace(from, to)).expect("write");
        let mut command = Command::new(&tool);
        command.args(["--noout", "--nonet", "--relaxng", RNG]).arg(&file);
        let out = command.output().expect("starts");
        assert!(!out.status.success(), "{from} -> {to} passes");
    }
}

#[test]
fn what_xml_would_take_for_markup_comes_through() {
    let Some(tool) = packaged("/usr/bin/xmllint", "libxml2-utils") else { return };
    let key = "ssh-ed25519 AAAAC3Nz <a&b> ]]> c";
    let draft = draft(
        Family::Linuxrc,
        &media()[0],
        &profile(&format!("[install]\nssh_keys = [\"{key}\"]\n")),
    );
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("x.xml");
    std::fs::write(&file, made(&draft, "autoinst.xml")).expect("write");
    let path = "string(//*[local-name()='authorized_key'])";
    let out = Command::new(tool).args(["--xpath", path]).arg(&file).output().expect("starts");
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim_end(), key);
}

/// The pre-script, as YaST gets it from the XML.
fn pre_script(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<source>\n")?;
    let (script, _) = rest.split_once("        </source>")?;
    Some(script.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

/// Runs the profile's pre-script over a machine; the profile that it wrote, if any.
fn modified(install: &str, disks: impl Fn(&Path)) -> Option<String> {
    let unattended = profile(&format!("unattended = true\n[install.disk]\n{install}"));
    let draft = draft(Family::Linuxrc, &media()[0], &unattended);
    let xml = made(&draft, "autoinst.xml").to_owned();
    assert!(
        xml.contains("true</confirm>") && !xml.contains("<partitioning"),
        "it asks as it comes"
    );
    over_disks(&pre_script(&xml).expect("script"), "profile/modified.xml", |block| {
        let folder = block.join("../../profile");
        std::fs::create_dir_all(&folder).expect("mkdir");
        std::fs::write(folder.join("autoinst.xml"), &xml).expect("write");
        disks(block);
    })
}

#[test]
fn the_question_goes_away_only_with_a_good_disk() {
    let text = modified("", |block| {
        disk(block, "sda", 4000, "0\n", true);
        disk(block, "nvme0n1", 240, "0\n", true);
        disk(block, "sdb", 16, "1\n", true);
    })
    .expect("a good disk");
    assert!(text.contains("<confirm config:type=\"boolean\">false</confirm>"), "{text}");
    assert!(text.contains("<device>/dev/nvme0n1</device>\n"), "{text}");
    assert!(!text.contains("<device>/dev/sd"), "{text}");
    let none = modified("", |block| {
        disk(block, "sda", 4, "0\n", true);
        disk(block, "sdb", 64, "1\n", true);
    });
    assert_eq!(none, None);
    let named = modified("devices = [\"disk/by-path/pci-1\"]\n", |block| {
        disk(block, "sda", 20, "0\n", true);
        disk(block, "sdb", 4000, "0\n", true);
        let by_path = block.join("../../dev/disk/by-path");
        std::fs::create_dir_all(&by_path).expect("mkdir");
        std::os::unix::fs::symlink("../../sdb", by_path.join("pci-1")).expect("link");
    })
    .expect("named");
    assert!(named.contains("<device>/dev/sdb</device>\n"), "{named}");
    xmllint(&[("smallest".into(), text.clone()), ("named".into(), named)]);

    // YaST runs the scripts of the new profile too: it must come to rest.
    let again = over_disks(&pre_script(&text).expect("script"), "profile/modified.xml", |block| {
        let folder = block.join("../../profile");
        std::fs::create_dir_all(&folder).expect("mkdir");
        std::fs::write(folder.join("autoinst.xml"), &text).expect("write");
        disk(block, "sda", 40, "0\n", true);
    });
    assert_eq!(again, None);
}

#[test]
fn a_mirror_has_a_boot_partition_of_the_firmwares_kind_on_each_disk() {
    let mut all = Vec::new();
    for (uefi, id) in [(false, "263"), (true, "259")] {
        let text = modified("raid1 = true\n", |block| {
            disk(block, "sda", 400, "0\n", true);
            disk(block, "sdb", 400, "0\n", true);
            disk(block, "sdc", 4000, "0\n", true);
            if uefi {
                std::fs::create_dir_all(block.join("../firmware/efi")).expect("mkdir");
            }
        })
        .expect("two disks");
        assert_eq!(text.matches(&format!(">{id}</partition_id>")).count(), 2, "{text}");
        // Two that are mounted at one place are none.
        assert_eq!(text.matches("<mount>/boot/efi</mount>\n").count(), usize::from(uefi));
        assert_eq!(text.matches("<raid_name>/dev/md/0</raid_name>\n").count(), 2);
        assert!(!text.contains("/dev/sdc"));
        all.push((format!("UEFI {uefi}"), text));
    }
    xmllint(&all);
    let half = modified("raid1 = true\n", |block| disk(block, "sda", 400, "0\n", true));
    assert_eq!(half, None);
}

#[test]
fn scripts_are_shell_and_there_only_when_unattended() {
    let dir = tempfile::tempdir().expect("tempdir");
    for (name, profile) in profiles() {
        let xml = draft(Family::Linuxrc, &media()[0], &profile);
        let script = pre_script(made(&xml, "autoinst.xml"));
        assert_eq!(script.is_some(), profile.unattended, "{name}");
        if let Some(script) = script {
            shell(dir.path(), &script, &name);
        }
    }
}

/// As `file.c` of linuxrc reads a file: `key: value` lines, cut at 1023 bytes.
fn linuxrc_file(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        assert!(line.len() < 1023, "{line}");
        let at = line.find([':', '=', ' ', '\t']).expect("key and value");
        let value = line[at..].trim_start_matches([':', '=', ' ', '\t']).trim_end();
        found.push((line[..at].to_owned(), value.to_owned()));
    }
    found
}

/// What `ifcfg_parse` of `net.c` makes of a value: device, boot protocol, positional fields, the rest.
fn ifcfg(value: &str) -> (String, String, Vec<String>, Vec<(String, String)>) {
    let mut fields: Vec<&str> = value.split(',').collect();
    let mut device = "";
    if let Some((d, rest)) = fields[0].split_once('=') {
        device = d;
        fields[0] = rest;
    }
    let dhcp = ["dhcp", "dhcp4", "dhcp6"].contains(&fields[0]);
    let mut positional = Vec::new();
    if !dhcp {
        let named = fields.iter().take_while(|f| !f.contains('=')).take(4);
        positional.extend(named.map(|f| (*f).to_owned()));
    }
    let flags = fields.iter().filter_map(|f| f.split_once('='));
    let flags = flags.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    (device.into(), if dhcp { fields[0] } else { "static" }.into(), positional, flags)
}

#[test]
fn linuxrc_reads_the_network_that_was_meant() {
    let opts = "mode=802.3ad lacp_rate=slow miimon=100 xmit_hash_policy=layer3+4";
    let no_gateway = STATIC.replace("gateway = \"192.0.2.1\"\n", "");
    for (network, device, way, positional, ports) in [
        (BOND.to_owned(), "bond0", "dhcp", vec![], vec!["eth0", "eth1"]),
        (
            format!("{BOND}{STATIC}"),
            "bond0",
            "static",
            vec!["192.0.2.10/24", "192.0.2.1", "192.0.2.53 2001:db8::53"],
            vec!["eth0", "eth1"],
        ),
        (
            format!("{BOND}{no_gateway}"),
            "bond0",
            "static",
            vec!["192.0.2.10/24", "", "192.0.2.53 2001:db8::53"],
            vec!["eth0", "eth1"],
        ),
        (
            format!("{BY_MAC}{STATIC6}"),
            "bond0",
            "static",
            vec!["2001:db8::10/64", "2001:db8::1"],
            vec!["nic0", "nic1"],
        ),
        (
            STATIC.to_owned(),
            "",
            "static",
            vec!["192.0.2.10/24", "192.0.2.1", "192.0.2.53 2001:db8::53"],
            vec![],
        ),
    ] {
        let d = draft(Family::Linuxrc, &media()[0], &profile(&network));
        let file = linuxrc_file(made(&d, "etc/linuxrc.d/90_isowright"));
        assert_eq!(file[0].0, "ifcfg", "{file:?}");
        let (dev, proto, fields, flags) = ifcfg(&file[0].1);
        assert_eq!((&*dev, &*proto), (device, way), "{file:?}");
        assert_eq!(fields, positional, "{file:?}");
        let slaves: Vec<&str> = flags
            .iter()
            .filter(|(k, _)| k.starts_with("BONDING_SLAVE_"))
            .map(|(_, v)| v.as_str())
            .collect();
        assert_eq!(slaves, ports, "{file:?}");
        if !ports.is_empty() {
            assert!(flags.contains(&("BONDING_MASTER".into(), "yes".into())));
            assert!(flags.contains(&("BONDING_MODULE_OPTS".into(), opts.into())), "{flags:?}");
            assert_eq!(file[1], ("dhcptimeout".into(), "60".into()));
        }
        assert!(!args(&d).iter().any(|a| a.starts_with("netsetup")), "one way to say it");
    }
    let one_port = draft(Family::Linuxrc, &media()[0], &profile(""));
    assert!(args(&one_port).contains(&"netsetup=dhcp".to_owned()));
    assert!(one_port.in_initrd.iter().all(|m| !m.path.to_string().contains("linuxrc")));
}

#[test]
fn ports_by_address_are_named_in_the_initrd_and_after() {
    let d = draft(Family::Linuxrc, &media()[0], &profile(BY_MAC));
    let rules = made(&d, "etc/udev/rules.d/70-isowright-net.rules");
    assert!(rules.contains("ATTR{address}==\"52:54:00:00:00:01\", NAME=\"nic0\"\n"), "{rules}");
    let xml = made(&d, "autoinst.xml");
    assert!(xml.contains("<bonding_slave1>nic1</bonding_slave1>"), "{xml}");
    assert!(xml.contains("<value>52:54:00:00:00:02</value>"), "{xml}");
}

#[test]
fn what_linuxrc_takes_for_a_pattern_is_refused() {
    for name in ["bond-0", "bond0.5"] {
        let d = draft(
            Family::Linuxrc,
            &media()[0],
            &profile(&format!("[network.bond]\nname = \"{name}\"\nports = [\"eth0\"]\n")),
        );
        assert_eq!(d.unsaid.len(), 1, "{name}");
        assert_eq!(d.unsaid[0].setting, "network.bond.name");
    }
    let ports: Vec<String> = (0..11).map(|i| format!("\"eth{i}\"")).collect();
    let text = format!("[network.bond]\nports = [{}]\n", ports.join(", "));
    let d = draft(Family::Linuxrc, &media()[0], &profile(&text));
    assert_eq!(d.unsaid[0].setting, "network.bond.ports");
}

#[test]
fn the_install_source_ends_in_a_slash() {
    let of = |facts: &Facts, rest: &str| {
        let d = draft(Family::Linuxrc, facts, &profile(rest));
        let install: Vec<String> =
            args(&d).into_iter().filter(|a| a.starts_with("install=")).collect();
        (install, d.hosted.is_nothing())
    };
    let [dvd, _] = media();
    assert_eq!(of(&dvd, ""), (vec!["install=@BASE@repo/".to_owned()], false));
    let mirror = "[install]\nmirror = \"http://192.0.2.1/leap/repo/oss\"\n";
    let from_mirror = (vec!["install=http://192.0.2.1/leap/repo/oss/".to_owned()], true);
    assert_eq!(of(&dvd, mirror), from_mirror);
    let net = Facts { paths: paths(&["boot/x86_64/loader/linux"]), ..dvd };
    assert_eq!(of(&net, mirror), from_mirror);
    assert_eq!(of(&net, ""), (vec![], true), "the initrd names the vendor's own");
}

#[test]
fn ways_of_delivery_are_heeded_or_refused() {
    let [dvd, _] = media();
    let full = profile(INSTALL);
    let by_url = Facts { delivery: Some(Delivery::Url), ..dvd.clone() };
    let d = draft(Family::Linuxrc, &by_url, &full);
    beside(&d, "answers/autoinst.xml");
    assert!(args(&d).contains(&"autoyast=@BASE@answers/autoinst.xml".to_owned()));
    assert!(d.notes.iter().any(|n| n.warning && n.text.contains("beside boot.ipxe")));
    let d = draft(Family::Linuxrc, &dvd, &full);
    assert!(args(&d).contains(&"autoyast=file:///autoinst.xml".to_owned()));
    let cmdline = Facts { delivery: Some(Delivery::Cmdline), ..dvd };
    assert!(Family::Linuxrc.say(&cmdline, &full, &mut Draft::default()).is_err());
}
