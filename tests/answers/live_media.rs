//! Live media that install nothing: what differs between two of a kind, and what must be refused.

use super::*;
use isowright::family::draft::{Body, Brought};
use isowright::model::cmdline::Cmdline;

fn medium(entry: &str, hosted: &[&str]) -> Facts {
    Facts {
        entry: Cmdline::parse(entry).expect("cmdline"),
        hosted: Hosted::only(hosted.iter().map(|p| p.parse().expect("path")).collect()),
        ..Facts::default()
    }
}

fn plain(more: &str) -> Profile {
    Profile::from_toml(&format!("console = []\n{more}"), "test").expect("profile")
}

fn args(d: &Draft) -> Vec<String> {
    d.args.iter().map(|a| format!("{:?}", a.op)).collect()
}

#[test]
fn gentoo_gets_its_image_where_the_initrd_of_its_age_looks() {
    let dracut = "nodhcp root=live:CDLABEL=Gentoo-amd64-1 rd.live.squashimg=image.squashfs cdroot";
    let genkernel = "dokeymap looptype=squashfs loop=/image.squashfs cdroot";
    for (entry, path, arg) in [
        (dracut, "image.img", "Set(\"root=live:/image.img\")"),
        (genkernel, "image.squashfs", "Set(\"loop=/image.squashfs\")"),
    ] {
        let d = draft(Family::Gentoo, &medium(entry, &["image.squashfs"]), &plain(""));
        let [made] = &d.in_initrd[..] else { panic!("{:?}", d.in_initrd) };
        assert_eq!(made.path.to_string(), path);
        assert!(matches!(&made.body, Body::File(f) if f.to_string() == "image.squashfs"));
        assert!(args(&d).contains(&arg.to_owned()), "{:?}", args(&d));
        assert_eq!(d.hosted, Hosted::default());
    }
}

#[test]
fn nixos_takes_the_medium_from_its_initrd_or_a_published_pair_or_nothing() {
    let scripted = medium("init=/nix/store/x/init root=LABEL=nixos-24.05", &[]);
    let d = draft(Family::Nixos, &scripted, &plain(""));
    assert!(matches!(d.in_initrd[0].body, Body::Medium));
    assert!(args(&d).contains(&"Set(\"root=/medium.iso\")".to_owned()), "{:?}", args(&d));

    let say = |facts: &Facts, more: &str| {
        let mut d = Draft::default();
        Family::Nixos.say(facts, &plain(more), &mut d).map(|()| d)
    };
    let systemd = medium("init=/nix/store/x/init", &[]);
    let e = say(&systemd, "").expect_err("finds its disc only");
    assert!(e.hint_text().expect("hint").contains("--netboot-kernel"), "{e}");

    let none = Brought { release: None, medium: None };
    let pair = Facts { brought: Some(none), ..systemd };
    say(&pair, "").expect_err("the pair's init is not known");
    let d = say(&pair, "extra_args = [\"init=/nix/store/y/init\"]\n").expect("says");
    assert!(d.in_initrd.is_empty());
}

#[test]
fn archiso_runs_the_operators_own_script() {
    let own = Some(("mine.sh".to_owned(), b"#!/bin/sh\n".to_vec()));
    for (image, path, arg) in [
        ("arch/x86_64/airootfs.sfs", "answers/script", "Set(\"script=@BASE@answers/script\")"),
        ("sysresccd/x86_64/airootfs.sfs", "answers/autorun", "Set(\"ar_source=@BASE@answers/\")"),
    ] {
        let facts = Facts { own_answers: own.clone(), ..medium("", &[image]) };
        let d = draft(Family::Archiso, &facts, &plain(""));
        let [made] = &d.beside[..] else { panic!("{:?}", d.beside) };
        assert_eq!(
            (made.path.to_string(), made.bytes()),
            (path.to_owned(), Some(&b"#!/bin/sh\n"[..]))
        );
        assert!(args(&d).contains(&arg.to_owned()), "{:?}", args(&d));
    }
    let mut facts = medium("", &["arch/x86_64/airootfs.sfs"]);
    facts.base_url = Some("http://192.0.2.1/a&b/".into());
    Family::Archiso.say(&facts, &plain(""), &mut Draft::default()).expect_err("for a shell");
}

#[test]
fn what_vouches_for_an_archiso_image_is_asked_for() {
    let image = "arch/x86_64/airootfs.sfs";
    for (beside, arg) in [
        ("arch/x86_64/airootfs.sfs.cms.sig", Some("Set(\"cms_verify=y\")")),
        ("arch/x86_64/airootfs.sha512", Some("Set(\"checksum=y\")")),
        ("arch/x86_64/airootfs.sig", None),
    ] {
        let d = draft(Family::Archiso, &medium("", &[image, beside]), &plain(""));
        let there = args(&d).into_iter().find(|a| a.contains("verify") || a.contains("checksum"));
        assert_eq!(there.as_deref(), arg);
    }
}

#[test]
fn truenas_finds_its_medium_as_cdrom() {
    let d = draft(Family::Truenas, &medium("boot=live", &[]), &plain(""));
    let order = made(&d, "scripts/live-bottom/ORDER");
    let dir = tempfile::tempdir().expect("tempdir");
    shell(dir.path(), order, "ORDER");
    // Read as run_scripts does, with mount in another's place.
    let file = dir.path().join("ORDER");
    std::fs::write(&file, order).expect("write");
    let program = "mount() { echo \"$*\" >done; }\nrootmnt=$PWD/root\n. ./ORDER\n";
    judged(Command::new("dash").args(["-euc", program]).current_dir(dir.path()), "ORDER");
    let done = std::fs::read_to_string(dir.path().join("done")).expect("mounted");
    let root = dir.path().canonicalize().expect("path").join("root/cdrom");
    assert_eq!(done, format!("-o bind /run/live/medium {}\n", root.display()));
    assert!(root.is_dir());
}
