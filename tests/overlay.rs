//! The operator's folders in the initrd, on real kernels with their own modules: what lands where, and
//! what is refused because it is for another kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::path::TreePath;
use isowright::content::tree::NodeKind;
use isowright::format::bzimage::KernelVersion;
use isowright::format::initrd::Inside;
use isowright::format::module::{Vermagic, is_module_name};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A kernel's release and the modules in its initrd.
fn kernel_and_modules(kernel: &Path, initrd: &Path) -> (String, Vec<(String, Vec<u8>)>) {
    let version = KernelVersion::read(&Content::open(kernel).unwrap()).unwrap().unwrap();
    let mut modules = Vec::new();
    Inside::with(&Content::open(initrd).unwrap(), &mut |_, header, body| {
        if header.is_file() && is_module_name(&header.name) {
            let mut bytes = Vec::new();
            body.copy(&mut bytes)?;
            modules.push((String::from_utf8(header.name.clone()).unwrap(), bytes));
        }
        Ok(())
    })
    .unwrap();
    (version.release().to_owned(), modules)
}

fn dracut() -> Option<(PathBuf, PathBuf)> {
    let dir = support::material("dracut")?;
    Some((dir.join("vmlinuz"), dir.join("initrd.img")))
}

#[test]
fn every_module_of_a_real_initrd_is_for_its_kernel() {
    for pair in [support::debian_netboot(), dracut()].into_iter().flatten() {
        let (release, modules) = kernel_and_modules(&pair.0, &pair.1);
        assert!(modules.len() > 30, "{}: {}", pair.1.display(), modules.len());
        for (name, bytes) in &modules {
            let v = Vermagic::read(&bytes.clone().into()).unwrap().expect(name);
            assert_eq!(v.release(), release, "{name}");
            assert!(name.contains(&format!("/{release}/")), "{name}");
        }
        let (_, one) = &modules[0];
        for cut in (0..one.len()).step_by(one.len() / 97 + 1) {
            let _ = Vermagic::read(&one[..cut].to_vec().into());
            let mut spoilt = one.clone();
            spoilt[cut] ^= 0xff;
            let _ = Vermagic::read(&spoilt.into());
        }
    }
}

/// A profile with these lines below `[initrd]`, in `dir`.
fn profile(dir: &Path, lines: &str) -> String {
    let file = dir.join("p.toml");
    let text = format!("console = [\"ttyS1,115200n8\"]\n[initrd]\n{lines}\n");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn isowright(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_isowright")).args(args).output().unwrap()
}

fn text(o: &Output) -> String {
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout.clone()).unwrap()
}

fn write(file: PathBuf, bytes: &[u8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

#[test]
fn modules_go_with_their_kernel_and_with_no_other() {
    let (Some(debian), Some(dracut), Some(iso)) =
        (support::debian_netboot(), dracut(), support::material("el9.iso"))
    else {
        return;
    };
    // el9.iso starts dracut's kernel.
    let (ours, own) = kernel_and_modules(&dracut.0, &dracut.1);
    let (theirs, foreign) = kernel_and_modules(&debian.0, &debian.1);
    assert_ne!(ours, theirs, "the two kernels must differ for this test");
    let tmp = tempfile::tempdir().unwrap();
    let (dir, iso) = (tmp.path(), iso.to_str().unwrap());
    let profile = profile(dir, "overlay = \"drivers\"");
    let put = |at: &str, bytes: &[u8]| {
        let _ = fs::remove_dir_all(dir.join("drivers"));
        write(dir.join("drivers").join(at), bytes);
        isowright(&["plan", iso, "-p", &profile])
    };
    let fits = text(&put(&format!("lib/modules/{ours}/extra/a.ko"), &own[0].1));
    assert!(fits.contains("initrd.overlay = \"drivers\": 1 file, "), "{fits}");
    assert!(fits.contains(&format!("it is Linux {ours}\n")), "{fits}");
    for (at, bytes) in [
        (format!("lib/modules/{ours}/extra/a.ko"), &foreign[0].1),
        (format!("usr/lib/modules/{theirs}/extra/a.ko"), &foreign[0].1),
        (format!("lib/modules/{theirs}/modules.dep"), &Vec::new()),
    ] {
        let o = put(&at, bytes);
        let e = String::from_utf8(o.stderr).unwrap();
        assert_eq!(o.status.code(), Some(2), "{at}: {e}");
        let first = e.lines().next().unwrap();
        for word in [&format!("Linux {theirs}"), "iso:/images/pxeboot/vmlinuz is Linux", &ours] {
            assert!(first.contains(word), "{at}: {first}");
        }
        assert!(e.lines().nth(1).is_some_and(|l| l.starts_with("hint: ")), "{e}");
    }
    let warned = text(&isowright(&["plan", iso, "-p", &profile, "--lenient"]));
    assert!(warned.contains(&format!("this folder is for Linux {theirs}, and iso:")), "{warned}");

    // The other way round: Debian's kernel, and a module of dracut's.
    let (Some(iso), (k, i)) = (support::material("debian-installer.iso"), &debian) else { return };
    put("lib/a.ko", &own[0].1);
    let pair = ["--netboot-kernel", k.to_str().unwrap(), "--netboot-initrd", i.to_str().unwrap()];
    let mut args = vec!["plan", iso.to_str().unwrap(), "-p", &profile];
    args.extend(pair);
    let e = String::from_utf8(isowright(&args).stderr).unwrap();
    let want = format!("lib/a.ko: this module is for Linux {ours}, and linux is Linux {theirs}");
    assert!(e.contains(&want), "{e}");
}

#[test]
fn folders_land_where_the_initrds_links_lead_and_change_nothing_of_its() {
    let (Some(iso), Some(dracut)) = (support::material("el9.iso"), dracut()) else { return };
    let vendor = Inside::of(&Content::open(&dracut.1).unwrap()).unwrap().tree;
    let p = |s: &str| -> TreePath { s.parse().unwrap() };
    let link = |t: &isowright::content::tree::Tree, s: &str| {
        t.get(&p(s)).is_some_and(|n| matches!(n.kind, NodeKind::Symlink(_)))
    };
    assert!(link(&vendor, "lib"), "dracut links lib to usr/lib");
    let tmp = tempfile::tempdir().unwrap();
    let (dir, iso) = (tmp.path(), iso.to_str().unwrap());
    write(dir.join("over/lib/new.d/a"), b"ours");
    fs::set_permissions(dir.join("over/lib/new.d/a"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("a", dir.join("over/lib/new.d/link")).unwrap();
    fs::set_permissions(dir.join("over/lib"), fs::Permissions::from_mode(0o700)).unwrap();
    write(dir.join("fw/vendor/x.bin"), &[7; 5000]);
    let profile = profile(dir, "overlay = \"over\"\nfirmware = \"fw\"");
    let tree = |n: &str| dir.join(n).to_str().unwrap().to_owned();
    let (one, two) = (tree("one"), tree("two"));
    for out in [&one, &two] {
        text(&isowright(&["build", iso, "-p", &profile, "-o", out]));
    }
    text(&isowright(&["verify", &one]));
    let built = fs::read(dir.join("one/initrd.img")).unwrap();
    assert!(built == fs::read(dir.join("two/initrd.img")).unwrap(), "not reproducible");
    let inside = Inside::of(&built.into()).unwrap();
    let t = &inside.tree;
    assert!(link(t, "lib"), "ours has replaced the link");
    assert_eq!(t.get(&p("usr/lib")).unwrap().mode, vendor.get(&p("usr/lib")).unwrap().mode);
    assert_eq!(t.get(&p("usr/lib/new.d/a")).unwrap().mode, 0o750);
    assert!(link(t, "usr/lib/new.d/link"));
    assert!(t.get(&p("usr/lib/firmware/vendor/x.bin")).is_some());
    assert!(t.get(&p("ks.cfg")).is_some());
    let ours = inside.segments.len() - 1;
    let owned = |e: &&isowright::format::initrd::Entry| e.at.segment == ours;
    let of_ours: Vec<_> = inside.entries.iter().filter(owned).collect();
    assert!(of_ours.iter().all(|e| (e.header.uid, e.header.gid, e.header.mtime) == (0, 0, 0)));

    let plan = text(&isowright(&["plan", iso, "-p", &profile, "--json"]));
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let files = plan["files"].as_array().unwrap();
    let initrd = files.iter().find(|f| f["path"] == "initrd.img").unwrap();
    let folders = &initrd["origin"]["folders"];
    assert_eq!(folders[0]["paths"], serde_json::json!(["/lib/new.d/a", "/lib/new.d/link"]));
    assert_eq!(folders[1]["paths"], serde_json::json!(["/lib/firmware/vendor/x.bin"]));
    assert_eq!((&folders[1]["folder"], &folders[1]["bytes"]), (&"fw".into(), &5000.into()));

    // What would change a node's type, or lie on an answer file, is refused by name.
    for (at, words) in [
        ("over/ks.cfg", "ks.cfg: two things"),
        (
            "over/usr",
            "usr: would become another type: the initrd has a folder there, and usr is a file",
        ),
        (
            "over/init/x",
            "init: would become another type: the initrd has a file there, and init is a folder",
        ),
    ] {
        let _ = fs::remove_dir_all(dir.join("over"));
        write(dir.join(at), b"x");
        let e = String::from_utf8(isowright(&["plan", iso, "-p", &profile]).stderr).unwrap();
        assert!(e.contains(words), "{at}: {e}");
    }
}
