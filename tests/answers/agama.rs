//! SUSE from 16 on: Agama's profile against a JSON schema of ours (the vendor's comes in no package).

use super::suse::{args, beside, paths, profile};
use super::*;

const AGAMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers/agama.schema.json");

fn agama_medium() -> Facts {
    Facts {
        version: Some("16.0".into()),
        product: Some("Leap_16.0".into()),
        paths: paths(&["LiveOS/squashfs.img"]),
        ..Facts::default()
    }
}

#[test]
fn jsonschema_takes_every_agama_profile() {
    let Some(venv) = material("validators") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let named = "[install.disk]\nraid1 = true\ndevices = [\"sda\", \"disk/by-path/pci-1\"]\n";
    let mut all = profiles();
    all.push(("named".into(), profile(&format!("unattended = true\n{BOND}{named}"))));
    let keys = "[install]\nssh_keys = [\"ssh-ed25519 AAAA a\", \"ssh-ed25519 BBBB b\"]\n";
    all.push(("two keys".into(), profile(keys)));
    for (i, (_, profile)) in all.iter().enumerate() {
        let d = draft(Family::Agama, &agama_medium(), profile);
        let text = beside(&d, "answers/agama.json");
        std::fs::write(dir.path().join(format!("{i}.json")), text).expect("write");
    }
    let script = dir.path().join("judge.py");
    std::fs::write(&script, JUDGE).expect("write");
    let mut python = Command::new(venv.join("bin/python"));
    judged(python.arg(&script).arg(AGAMA).arg(dir.path()), "jsonschema");
}

/// Every file must pass, and a slip in each must not.
const JUDGE: &str = r#"
import copy, glob, json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
judge = Draft202012Validator(schema)
files = glob.glob(sys.argv[2] + "/*.json")
assert len(files) > 50
for f in files:
    text = json.load(open(f))
    for e in judge.iter_errors(text):
        sys.exit(f"{json.dumps(text, indent=1)}\n{e.json_path}: {e.message}")
    slips = [("questions", {"policy": "none"}), ("localization", {}), ("disks", [])]
    if "network" in text:
        slip = copy.deepcopy(text["network"])
        slip["connections"][0]["bond"]["options"] = "lacp_rate=slow,miimon=100"
        slips.append(("network", slip))
    if "storage" in text:
        slip = copy.deepcopy(text["storage"])
        del slip["drives"][0]["search"]
        slips.append(("storage", slip))
    for key, value in slips:
        assert not judge.is_valid({**text, key: value}), (f, key)
"#;

#[test]
fn agama_is_not_told_what_it_would_take_wrongly() {
    let unsaid = |rest: &str| -> Vec<String> {
        let d = draft(Family::Agama, &agama_medium(), &profile(rest));
        d.unsaid.iter().map(|u| u.setting.clone()).collect()
    };
    assert_eq!(
        unsaid("unattended = true\n"),
        ["install.disk", "install.root_password_hash"],
        "it can't tell a stick from a disk, and wants somebody to log in"
    );
    let disk = "[install.disk]\ndevices = [\"nvme0n1\"]\n";
    assert_eq!(unsaid(&format!("unattended = true\n{INSTALL}{disk}")), [""; 0]);
    assert_eq!(unsaid(""), [""; 0], "without unattended it asks");
}

#[test]
fn agamas_packages_come_from_the_medium_the_mirror_or_the_vendor() {
    let of = |extra: &[&str], rest: &str| {
        let mut all = vec!["LiveOS/squashfs.img"];
        all.extend(extra);
        let facts = Facts { paths: paths(&all), ..agama_medium() };
        let d = draft(Family::Agama, &facts, &profile(rest));
        let url = args(&d).into_iter().find(|a| a.starts_with("inst.install_url="));
        assert!(args(&d).contains(&"root=live:@BASE@repo/LiveOS/squashfs.img".to_owned()));
        (url.unwrap_or_default(), d.hosted.tree)
    };
    let full = ["install/repodata/repomd.xml"];
    let mirror = "[install]\nmirror = \"http://192.0.2.1/16/\"\n";
    assert_eq!(of(&full, ""), ("inst.install_url=@BASE@repo/install/".into(), true));
    assert_eq!(of(&full, mirror), ("inst.install_url=http://192.0.2.1/16/".into(), false));
    assert_eq!(of(&[], ""), (String::new(), false));
}

#[test]
fn ones_own_profile_keeps_the_end_of_its_name() {
    let mut facts = agama_medium();
    facts.own_answers = Some(("mine.jsonnet".into(), b"{}".to_vec()));
    let d = draft(Family::Agama, &facts, &profile("unattended = true\n"));
    assert_eq!(beside(&d, "answers/agama.jsonnet"), "{}");
    assert!(args(&d).contains(&"inst.auto=@BASE@answers/agama.jsonnet".to_owned()));
    assert!(d.unsaid.is_empty());
}

#[test]
fn agama_begins_only_when_unattended() {
    let dir = tempfile::tempdir().expect("tempdir");
    for (name, profile) in profiles() {
        let d = draft(Family::Agama, &agama_medium(), &profile);
        let json: serde_json::Value =
            serde_json::from_str(beside(&d, "answers/agama.json")).expect("json");
        shell(dir.path(), json["scripts"]["post"][0]["body"].as_str().expect("script"), &name);
        assert_eq!(json.get("storage").is_some(), profile.unattended, "{name}");
        let begins = args(&d).iter().any(|a| a.starts_with("inst.auto="));
        assert_eq!(begins, profile.unattended, "{name}");
    }
}

#[test]
fn ports_by_address_are_named_by_dracut_and_after() {
    let d = draft(Family::Agama, &agama_medium(), &profile(BY_MAC));
    assert!(args(&d).contains(&"ifname=nic0:52:54:00:00:00:01".to_owned()));
    assert!(beside(&d, "answers/agama.json").contains("10-isowright-nic1.link"));
}

#[test]
fn agama_takes_answers_by_url_only() {
    let facts = Facts { delivery: Some(Delivery::Initrd), ..agama_medium() };
    assert!(Family::Agama.say(&facts, &profile(INSTALL), &mut Draft::default()).is_err());
    let d = draft(Family::Agama, &agama_medium(), &profile(INSTALL));
    assert!(d.notes.iter().any(|n| n.warning && n.text.contains("beside boot.ipxe")));
}
