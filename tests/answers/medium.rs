//! Answers on a repacked medium: where they lie, how they are named, and that their judges take those that
//! are not as over the network.

use super::{INSTALL, facts, judged, profiles, shell};
use isowright::family::Family;
use isowright::family::draft::{ArgOp, Draft, Facts, Route};
use isowright::model::profile::{Delivery, Profile};
use std::process::Command;

fn started(distro: &str, version: &str) -> Facts {
    Facts { route: Route::Medium, volume_id: "Some 7: x".into(), ..facts(distro, version) }
}

fn set(draft: &Draft, word: &str) -> bool {
    draft.args.iter().any(|a| a.op == ArgOp::Set(word.into()))
}

fn said(family: Family, facts: &Facts, profile: &Profile) -> Draft {
    let mut draft = Draft::default();
    family.say(facts, profile, &mut draft).expect("says");
    draft
}

fn text<'d>(made: &'d [isowright::family::draft::Made], path: &str) -> &'d str {
    let m = made.iter().find(|m| m.path.to_string() == path);
    let m = m.unwrap_or_else(|| panic!("{path} is not made"));
    std::str::from_utf8(m.bytes().expect("ours")).expect("utf-8")
}

#[test]
fn a_label_is_spelled_as_udev_does() {
    let label = |id: &str| Facts { volume_id: id.into(), ..Facts::default() }.label();
    let centos = "CentOS\\x207\\x20x86_64";
    assert_eq!(label("CentOS 7 x86_64").as_deref(), Some(centos));
    assert_eq!(label("a/b").as_deref(), Some("a\\x2fb"));
    assert_eq!((label(""), label("a:b")), (None, None));
}

#[test]
fn a_kickstart_lies_on_the_medium_where_it_has_a_label() {
    let metal = Profile::metal().expect("metal");
    let labelled = |id: &str| Facts { volume_id: id.into(), ..started("almalinux", "9.4") };
    let draft = said(Family::Anaconda, &labelled("EL-9"), &metal);
    assert!(set(&draft, "inst.ks=hd:LABEL=EL-9:/isowright/ks.cfg"), "{:?}", draft.args);
    assert!(draft.in_initrd.is_empty() && draft.on_medium.len() == 1);
    // GRUB can't hand on the backslash of an escaped blank.
    let draft = said(Family::Anaconda, &labelled("EL 9"), &metal);
    assert!(set(&draft, "inst.ks=file:/ks.cfg") && draft.on_medium.is_empty());
    let forced = Facts { delivery: Some(Delivery::Medium), ..labelled("EL 9") };
    let draft = said(Family::Anaconda, &forced, &metal);
    assert!(set(&draft, "inst.ks=hd:LABEL=EL\\x209:/isowright/ks.cfg"), "{:?}", draft.args);
    // A colon would end the label.
    let draft = said(Family::Anaconda, &started("almalinux", "9.4"), &metal);
    assert!(set(&draft, "inst.ks=file:/ks.cfg") && draft.on_medium.is_empty());
}

#[test]
fn by_url_wants_a_url() {
    let metal = Profile::metal().expect("metal");
    for family in [Family::Anaconda, Family::DebianInstaller, Family::Alpine, Family::Coreos] {
        let mut facts = started("almalinux", "9.4");
        facts.delivery = Some(Delivery::Url);
        let e = family.say(&facts, &metal, &mut Draft::default()).expect_err("no URL");
        assert!(e.hint_text().expect("hint").contains("--base-url"), "{family:?}: {e}");
        facts.base_url = Some("http://192.0.2.1/".into());
        let draft = said(family, &facts, &metal);
        assert!(!draft.beside.is_empty() && draft.on_medium.is_empty(), "{family:?}");
    }
    let facts = Facts { delivery: Some(Delivery::Medium), ..facts("almalinux", "9.4") };
    let e = Family::Anaconda.say(&facts, &metal, &mut Draft::default()).expect_err("no medium");
    assert!(e.to_string().contains("by \"medium\""), "{e}");
}

#[test]
fn debconf_takes_every_preseed_of_a_medium() {
    let Some(tool) = super::packaged("/usr/bin/debconf-set-selections", "debconf") else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let by_file = Facts { delivery: Some(Delivery::Medium), ..started("debian", "12.5.0") };
    for (name, profile) in profiles() {
        let draft = said(Family::DebianInstaller, &started("debian", "12.5.0"), &profile);
        let preseed = text(&draft.in_initrd, "preseed.cfg");
        assert!(preseed.contains("choose_interface select auto"), "{name}");
        assert!(!preseed.contains("bond.sh"), "{name}: it has no driver yet");
        let on_medium = said(Family::DebianInstaller, &by_file, &profile);
        assert_eq!(text(&on_medium.on_medium, "isowright/preseed.cfg"), preseed, "{name}");
        assert!(set(&on_medium, "preseed/file=/cdrom/isowright/preseed.cfg"));
        let file = dir.path().join("preseed.cfg");
        std::fs::write(&file, preseed).expect("write");
        judged(Command::new(&tool).arg("--checkonly").arg(&file), &name);
        shell(dir.path(), text(&draft.in_initrd, "isowright/late.sh"), &name);
    }
}

#[test]
fn a_complete_debian_medium_needs_no_mirror() {
    let profile = Profile::from_toml("console = []\n", "test").expect("profile");
    let mut facts = started("debian", "12.5.0");
    let preseed = |facts: &Facts| {
        let draft = said(Family::DebianInstaller, facts, &profile);
        text(&draft.in_initrd, "preseed.cfg").to_owned()
    };
    assert!(preseed(&facts).contains("deb.debian.org"));
    let pool = "pool/main/o/openssh/openssh-server_9.2p1-2_amd64.deb";
    facts.paths.insert(pool.parse().expect("path"));
    assert!(preseed(&facts).contains("apt-setup/use_mirror boolean false"));
    assert!(!preseed(&facts).contains("deb.debian.org"));
}

#[test]
fn a_hash_on_a_medium_is_told_as_such() {
    let text = format!("console = []\nunattended = true\n{INSTALL}");
    let profile = Profile::from_toml(&text, "test").expect("profile");
    for family in [Family::Anaconda, Family::DebianInstaller, Family::Coreos] {
        let draft = said(
            family,
            &started("debian", "12.5.0"),
            &Profile {
                install: isowright::model::profile::Install {
                    packages: vec![],
                    ..profile.install.clone()
                },
                ..profile.clone()
            },
        );
        let told = |n: &isowright::family::draft::Note| n.text.contains("gets hold of the medium");
        assert!(draft.notes.iter().any(told), "{family:?}: {:?}", draft.notes);
    }
}

#[test]
fn proxmox_takes_answers_from_its_root_where_the_disks_are_named() {
    let text = "console = []\nunattended = true\n[install]\nhostname = \"pve.example.org\"\n\
                root_password_hash = \"$6$saltsalt$abcDEF./123\"\n";
    let mut facts = Facts { route: Route::Medium, ..Facts::default() };
    facts.paths.insert(".cd-info".parse().expect("path"));
    let open = Profile::from_toml(text, "test").expect("profile");
    let draft = said(Family::Proxmox, &facts, &open);
    assert!(draft.on_medium.is_empty() && !draft.in_initrd.is_empty());
    assert!(!draft.in_initrd.iter().any(|m| m.path.to_string() == "proxmox.iso"));
    let named = format!("{text}[install.disk]\ndevices = [\"sda\"]\n");
    let named = Profile::from_toml(&named, "test").expect("profile");
    let draft = said(Family::Proxmox, &facts, &named);
    let paths: Vec<String> = draft.on_medium.iter().map(|m| m.path.to_string()).collect();
    assert_eq!(paths, ["auto-installer-mode.toml", "answer.toml"]);
    assert!(draft.in_initrd.is_empty());
}
