//! `isowright image`, `image apply` and `image undo` as a user meets them: patches, pipes, full disks, Ctrl-C,
//! and everything that is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn tool() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
    c
}

fn run(args: &[&str]) -> Output {
    tool().args(args).output().unwrap()
}

fn ok(args: &[&str]) -> Output {
    let o = run(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    o
}

/// One line with all of `words`, and a hint; nothing on stdout.
fn fails(args: &[&str], words: &[&str]) {
    let o = run(args);
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    assert_eq!(o.status.code(), Some(2), "{args:?}: {err}");
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("isowright: "), "{err}");
    for w in words {
        assert!(lines[0].contains(w), "{args:?}: \"{w}\" is not in: {}", lines[0]);
    }
    assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{args:?}: {err}");
    assert!(o.stdout.is_empty(), "{args:?}");
}

fn text(p: &Path) -> &str {
    p.to_str().unwrap()
}

fn left(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    entries.map(|n| n.to_string_lossy().into_owned()).collect()
}

/// A folder with a copy of the medium, that tests may spoil.
fn copied(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let iso = support::material(name)?;
    let tmp = tempfile::tempdir().unwrap();
    let copy = tmp.path().join("some.iso");
    std::fs::copy(iso, &copy).unwrap();
    Some((tmp, copy))
}

/// Changes the byte at `at`.
fn spoil(path: &Path, at: u64) {
    let f = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut b = [0];
    f.read_exact_at(&mut b, at).unwrap();
    f.write_all_at(&[b[0] ^ 1], at).unwrap();
}

#[test]
fn a_patch_makes_the_same_image() {
    for (name, digests) in [("img-debian.iso", false), ("img-el.iso", true), ("img-grub.iso", true)]
    {
        let Some((tmp, iso)) = copied(name) else { continue };
        let at = |n: &str| text(&tmp.path().join(n)).to_owned();
        let iso = text(&iso);
        ok(&["image", iso, "-o", &at("new.iso")]);
        let mut make = vec!["image", iso, "--patch-only"];
        let patch = at("x.patch");
        make.push(&patch);
        make.extend(digests.then_some("--digests"));
        ok(&make);
        let size = |n: &str| std::fs::metadata(at(n)).unwrap().len();
        assert!(size("x.patch") < size("new.iso") / 2, "{name}");
        ok(&["image", "apply", iso, &patch, "-o", &at("applied.iso")]);
        let read = |n: &str| std::fs::read(at(n)).unwrap();
        assert!(read("new.iso") == read("applied.iso"), "{name}");
        let piped = ok(&["image", "apply", iso, &patch, "-o", "-"]).stdout;
        assert!(read("new.iso") == piped, "{name}");
        let patched = ok(&["image", iso, "--patch-only", "-"]).stdout;
        assert!(digests || patched == read("x.patch"), "{name}");
    }
}

#[test]
fn a_patch_for_another_image_is_refused() {
    let Some((tmp, iso)) = copied("img-el.iso") else { return };
    let at = |n: &str| tmp.path().join(n);
    let (bare, sure) = (at("bare.patch"), at("sure.patch"));
    ok(&["image", text(&iso), "--patch-only", text(&bare)]);
    ok(&["image", text(&iso), "--patch-only", text(&sure), "--digests"]);
    let out = tmp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let new = out.join("new.iso");
    let refused = |base: &Path, patch: &Path, words: &[&str]| {
        fails(&["image", "apply", text(base), text(patch), "-o", text(&new)], words);
        assert!(left(&out).is_empty(), "{:?}", left(&out));
    };
    // A byte of what is replaced: in the primary volume descriptor, whose size changes.
    let copy = at("copy.iso");
    std::fs::copy(&iso, &copy).unwrap();
    spoil(&copy, 16 * 2048 + 80);
    refused(&copy, &bare, &["another image"]);
    refused(&copy, &sure, &["SHA-256"]);
    // A byte of what is taken over, far from everything: only the sum of all of it tells.
    let len = std::fs::metadata(&iso).unwrap().len();
    std::fs::copy(&iso, &copy).unwrap();
    spoil(&copy, len / 2);
    refused(&copy, &sure, &["SHA-256"]);
    ok(&["image", "apply", text(&copy), text(&bare), "-o", text(&new)]);
    std::fs::remove_file(&new).unwrap();
    // Cut short.
    let f = std::fs::OpenOptions::new().write(true).open(&copy).unwrap();
    for cut in [len - 1, len / 2, 2048, 0] {
        f.set_len(cut).unwrap();
        refused(&copy, &bare, &["another image"]);
        refused(&copy, &sure, &["SHA-256"]);
    }
    // Patches that are damaged, cut, or none.
    let broken = at("broken.patch");
    let whole = std::fs::read(&bare).unwrap();
    for n in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
        std::fs::write(&broken, &whole).unwrap();
        spoil(&broken, n as u64);
        refused(&iso, &broken, &["broken.patch"]);
        std::fs::write(&broken, &whole[..n]).unwrap();
        refused(&iso, &broken, &["broken.patch"]);
    }
    refused(&iso, &iso, &["some.iso"]);
}

#[test]
fn a_pipe_gets_what_a_file_gets_and_a_terminal_nothing() {
    for name in ["img-debian.iso", "img-el.iso"] {
        let Some((tmp, iso)) = copied(name) else { continue };
        let new = tmp.path().join("new.iso");
        ok(&["image", text(&iso), "-o", text(&new)]);
        let o = ok(&["image", text(&iso), "-o", "-"]);
        assert!(o.stdout == std::fs::read(&new).unwrap(), "{name}");
        assert!(String::from_utf8_lossy(&o.stderr).contains("boot configurations"), "{name}");
        let line = format!("{} image {} -o -", env!("CARGO_BIN_EXE_isowright"), text(&iso));
        let o = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&o.stdout).into_owned();
        assert_eq!(o.status.code(), Some(2), "{said}");
        assert!(said.contains("this is a terminal") && said.len() < 500, "{name}: {said}");
    }
}

#[test]
fn a_full_disk_leaves_no_image() {
    for name in ["img-debian.iso", "img-el.iso"] {
        let Some((tmp, iso)) = copied(name) else { continue };
        let (new, patch) = (tmp.path().join("new.iso"), tmp.path().join("x.patch"));
        ok(&["image", text(&iso), "-o", text(&new)]);
        ok(&["image", text(&iso), "--patch-only", text(&patch)]);
        let out = tmp.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let to = out.join("new.iso");
        let (iso, new, patch, to) = (text(&iso), text(&new), text(&patch), text(&to));
        for args in [
            format!("image {iso} -o {to}"),
            format!("image {iso} --patch-only {to}"),
            format!("image apply {iso} {patch} -o {to}"),
            format!("image undo {new} -o {to}"),
        ] {
            // A small file system needs root; a limit on a file's size stands in.
            let limit = if args.contains("patch-only") { 4 } else { 4000 };
            let exe = env!("CARGO_BIN_EXE_isowright");
            let script = format!("trap '' XFSZ; ulimit -f {limit}; exec {exe} {args}");
            let o = Command::new("bash").args(["-c", &script]).output().unwrap();
            let err = String::from_utf8_lossy(&o.stderr).into_owned();
            assert_eq!(o.status.code(), Some(2), "{args}: {err}");
            assert!(left(&out).is_empty(), "{args}: {:?}", left(&out));
        }
    }
}

#[test]
fn ctrl_c_midway_leaves_nothing() {
    let Some(iso) = support::material("img-big.iso") else { return };
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    for more in [&[][..], &["--implant-md5", "yes"]] {
        let mut c = tool()
            .args(["image", text(&iso), "-o", text(&new)])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = || {
            let mut files = std::fs::read_dir(tmp.path()).unwrap().flatten();
            files.any(|f| f.metadata().is_ok_and(|m| m.len() > 64 << 20))
        };
        while !begun() && c.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let id = c.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let status = c.wait().unwrap();
        if status.success() {
            // Where the file system shares extents it is faster than a signal.
            assert_eq!(left(tmp.path()), ["new.iso"]);
            std::fs::remove_file(&new).unwrap();
            continue;
        }
        assert_eq!(status.code(), Some(130));
        assert!(left(tmp.path()).is_empty(), "{:?}", left(tmp.path()));
    }
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let Some((tmp, iso)) = copied("img-rr.iso") else { return };
    let at = |n: &str| text(&tmp.path().join(n)).to_owned();
    let before = std::fs::read(&iso).unwrap();
    let (new, patch, link) = (at("new.iso"), at("x.patch"), at("link.iso"));
    ok(&["image", text(&iso), "-o", &new]);
    ok(&["image", text(&iso), "--patch-only", &patch]);
    std::os::unix::fs::symlink(&iso, &link).unwrap();
    let iso = text(&iso);
    for args in [
        &["image", iso, "-o", iso][..],
        &["image", iso, "-o", &link],
        &["image", &link, "-o", iso],
        &["image", iso, "--patch-only", iso],
        &["image", "apply", iso, &patch, "-o", iso],
        &["image", "apply", iso, &patch, "-o", &patch],
        &["image", "undo", &new, "-o", &new],
    ] {
        fails(args, &["over itself"]);
    }
    fails(&["image", iso, "-o", &at("y"), "--patch-only", &at("y")], &["one file"]);
    assert!(std::fs::read(iso).unwrap() == before);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

/// The medium with a file more, by xorriso.
fn with_file(iso: &Path, to: &Path, file: &Path, place: &str) {
    let o = Command::new("xorriso")
        .args(["-indev", text(iso), "-outdev", text(to), "-boot_image", "any", "replay"])
        .args(["-map", text(file), place])
        .output()
        .unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
}

#[test]
fn what_can_not_be_done_is_refused_with_a_hint() {
    let Some((tmp, iso)) = copied("img-rr.iso") else { return };
    let at = |n: &str| tmp.path().join(n);
    let new = at("new.iso");
    let refused = |source: &Path, more: &[&str], words: &[&str]| {
        fails(&[&["image", text(source), "-o", text(&new)], more].concat(), words);
        fails(&[&["image", text(source), "--dry-run"], more].concat(), words);
        assert!(!new.exists());
    };
    fails(&["image", text(&iso)], &["where to"]);
    fails(&["image"], &["no image"]);
    fails(&["image", "undo", text(&iso), "-o", text(&new)], &["no way back"]);
    refused(&iso, &["--unattended"], &["unattended"]);
    refused(&iso, &["--add", text(&at("nothing"))], &["nothing"]);

    std::fs::write(at("sig"), "a detached signature\n").unwrap();
    with_file(&iso, &at("signed.iso"), &at("sig"), "/boot/grub/grub.cfg.sig");
    refused(&at("signed.iso"), &[], &["signed.iso", "grub.cfg", "signed"]);

    let tree = at("tree");
    let o = Command::new("xorriso")
        .args(["-osirrox", "on:auto_chmod_on", "-indev", text(&iso), "-extract", "/", text(&tree)])
        .output()
        .unwrap();
    assert!(o.status.success());
    let o = Command::new("genisoimage")
        .args(["-quiet", "-udf", "-r", "-J", "-V", "RESCUE_1", "-o", text(&at("udf.iso"))])
        .args(["-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4"])
        .arg(&tree)
        .output()
        .unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    refused(&at("udf.iso"), &[], &["udf.iso", "UDF"]);

    let hosts = "[[host]]\nname = \"a\"\nmacs = [\"52:54:00:00:01:01\", \"52:54:00:00:01:02\"]\n";
    std::fs::write(at("hosts.toml"), hosts).unwrap();
    let source = format!("[source]\npath = \"{}\"\n[[output]]\ndir = \"tree\"\n", text(&iso));
    let job = format!("hosts = \"hosts.toml\"\n{source}");
    std::fs::write(at("job.toml"), job).unwrap();
    refused(&at("job.toml"), &[], &["one machine"]);
}

#[test]
fn media_without_an_installer_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    let real = [
        ("/usr/lib/ipxe/ipxe.iso", "ipxe", "no boot entry"),
        ("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+", "no recipe"),
    ];
    for (path, package, word) in real {
        let Some(iso) = support::packaged(path, package) else { continue };
        fails(&["image", text(&iso), "-o", text(&new)], &[path, word]);
        assert!(!new.exists());
    }
}

#[test]
fn answers_by_url_need_a_url() {
    let Some(iso) = support::material("img-el.iso") else { return };
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    let args = ["image", text(&iso), "-o", text(&new), "--delivery", "url"];
    fails(&args, &["by URL"]);
    assert!(!new.exists());
    ok(&[&args[..], &["--base-url", "http://192.0.2.1/el"]].concat());
    let cfg = ok(&["cat", text(&new), "isolinux/isolinux.cfg"]).stdout;
    let cfg = String::from_utf8(cfg).unwrap();
    assert!(cfg.contains("http://192.0.2.1/el") && !cfg.contains("{base"), "{cfg}");
}

/// An EFI program of these sections, as a linker lays it out.
fn efi_program(sections: &[(&str, &str)]) -> Vec<u8> {
    let mut b = vec![0; 64];
    b[..2].copy_from_slice(b"MZ");
    b[0x3c] = 64;
    b.extend(b"PE\0\0\x64\x86");
    b.extend((sections.len() as u16).to_le_bytes());
    b.resize(64 + 24, 0);
    for (n, (name, text)) in sections.iter().enumerate() {
        let mut s = [0; 40];
        s[..name.len()].copy_from_slice(name.as_bytes());
        s[8..12].copy_from_slice(&(text.len() as u32).to_le_bytes());
        s[16..20].copy_from_slice(&512u32.to_le_bytes());
        s[20..24].copy_from_slice(&(512 * (n as u32 + 1)).to_le_bytes());
        b.extend(s);
    }
    b.resize(512, 0);
    for (_, text) in sections {
        let end = b.len() + 512;
        b.extend(text.as_bytes());
        b.resize(end, 0);
    }
    b
}

/// A path and what is there.
type File<'a> = (&'a str, &'a [u8]);

/// An ISO of these files with a FAT image for UEFI of those.
fn medium(dir: &Path, label: &str, files: &[File], in_fat: &[File]) -> PathBuf {
    let tree = dir.join("tree");
    for (path, bytes) in files {
        let at = tree.join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
    }
    let tool = |name: &str, args: &[&str]| {
        let o = Command::new(name).env("MTOOLS_SKIP_CHECK", "1").args(args).output().unwrap();
        assert!(o.status.success(), "{name}: {}", String::from_utf8_lossy(&o.stderr));
    };
    let mut boot: &[&str] = &[];
    if !in_fat.is_empty() {
        let fat = tree.join("efiboot.img");
        tool("mkfs.vfat", &["-C", text(&fat), "2048"]);
        for (path, bytes) in in_fat {
            let file = dir.join("file");
            std::fs::write(&file, bytes).unwrap();
            let mut folder = String::from("::");
            for part in path.split('/').rev().skip(1).collect::<Vec<_>>().iter().rev() {
                folder += &format!("/{part}");
                let _ = Command::new("mmd").args(["-D", "s", "-i", text(&fat), &folder]).output();
            }
            tool("mcopy", &["-i", text(&fat), text(&file), &format!("::/{path}")]);
        }
        boot = &["-e", "efiboot.img", "-no-emul-boot"];
    }
    let iso = dir.join("some.iso");
    let plain = ["-as", "mkisofs", "-quiet", "-r", "-J", "-V", label, "-o", text(&iso)];
    tool("xorriso", &[&plain[..], boot, &[text(&tree)]].concat());
    std::fs::remove_dir_all(&tree).unwrap();
    iso
}

const MENU: &[u8] =
    b"set timeout=3\nmenuentry Acme {\n\tlinux /boot/vmlinuz quiet\n\tinitrd /boot/initramfs.xz\n}\n";

#[test]
fn a_unified_kernel_image_for_uefi_is_refused_wherever_it_lies() {
    let release = "ID=acme\nNAME=Acme\nVERSION_ID=1\nPRETTY_NAME=\"Acme 1\"\n";
    let sections = [(".osrel", release), (".cmdline", "quiet"), (".linux", "MZ")];
    let unified = efi_program(&sections);
    let loader = efi_program(&[(".text", "systemd-boot")]);
    let for_bios: [File; 3] = [
        ("boot/vmlinuz", b"a stand-in"),
        ("boot/initramfs.xz", b"a stand-in"),
        ("boot/grub/grub.cfg", MENU),
    ];
    let in_fat: [(&[File], &str); 2] = [
        (&[("EFI/BOOT/BOOTX64.EFI", &loader), ("EFI/Linux/acme.efi", &unified)], "EFI/Linux"),
        (&[("EFI/BOOT/BOOTX64.EFI", &unified)], "EFI/BOOT"),
    ];
    for (inside, place) in in_fat {
        let tmp = tempfile::tempdir().unwrap();
        let iso = medium(tmp.path(), "ACME", &for_bios, inside);
        let new = tmp.path().join("new.iso");
        fails(
            &["image", text(&iso), "-o", text(&new)],
            &["some.iso", "efiboot.img!", place, "unified kernel image"],
        );
        // The same on the medium itself.
        let beside = [&for_bios[..], inside].concat();
        let iso = medium(tmp.path(), "ACME", &beside, &[]);
        fails(&["image", text(&iso), "-o", text(&new)], &["some.iso", place, "unified"]);
    }
    let tmp = tempfile::tempdir().unwrap();
    let iso = medium(tmp.path(), "ACME", &for_bios, &[("EFI/BOOT/BOOTX64.EFI", &loader)]);
    ok(&["image", text(&iso), "-o", text(&tmp.path().join("new.iso"))]);
}

/// A fixture's files as an ISO. Its initrds are stand-ins: an empty archive is put where one is.
fn fixture(name: &str, dir: &Path) -> PathBuf {
    let empty = isowright::format::cpio::archive(&[]).and_then(|c| c.read_all(1000)).unwrap();
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let label = std::fs::read_to_string(at.join("volume_id")).unwrap();
    let (iso, tree) = (dir.join(format!("{name}.iso")), dir.join("tree"));
    let tool = |name: &str, args: &[&str]| {
        let o = Command::new(name).args(args).output().unwrap();
        assert!(o.status.success(), "{name}: {}", String::from_utf8_lossy(&o.stderr));
    };
    tool("cp", &["-r", text(&at.join("tree")), text(&tree)]);
    let mut todo = vec![tree.clone()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(d).unwrap().map(|e| e.unwrap()) {
            let kind = e.file_type().unwrap();
            let name = e.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                todo.push(e.path());
            } else if kind.is_file() && name.contains("initr") {
                std::fs::write(e.path(), &empty).unwrap();
            }
        }
    }
    let plain = ["-as", "mkisofs", "-quiet", "-r", "-J", "-joliet-long"];
    let rest = ["-V", label.trim_end(), "-o", text(&iso), text(&tree)];
    tool("xorriso", &[&plain[..], &rest].concat());
    std::fs::remove_dir_all(tree).unwrap();
    iso
}

#[test]
fn unattended_menus_go_on_and_tell_where_they_start_the_disk() {
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    // Debian's waits for ever in both loaders.
    let iso = fixture("debian-12-netinst", tmp.path());
    let cfg = |path: &str| {
        String::from_utf8(ok(&["cat", text(&new), path]).stdout).unwrap().to_ascii_lowercase()
    };
    let lines = |path: &str, word: &str| {
        let found = |l: &&str| l.trim().starts_with(word);
        cfg(path).lines().filter(found).map(|l| l.trim().to_owned()).collect::<Vec<_>>()
    };
    ok(&["image", text(&iso), "-o", text(&new)]);
    assert_eq!(lines("isolinux/isolinux.cfg", "timeout"), ["timeout 0"]);
    assert_eq!(lines("boot/grub/grub.cfg", "set timeout"), Vec::<String>::new());
    ok(&["image", text(&iso), "-o", text(&new), "--unattended"]);
    assert_eq!(lines("isolinux/isolinux.cfg", "timeout"), ["timeout 50"]);
    assert_eq!(lines("boot/grub/grub.cfg", "set timeout"), ["set timeout=5"]);
    // SUSE's starts from the disk in BIOS, and the installer in UEFI.
    let iso = fixture("opensuse-leap-15.6-dvd", tmp.path());
    let said = |more: &[&str]| {
        let args = [&["image", text(&iso), "--dry-run", "--json"], more].concat();
        let plan: serde_json::Value = serde_json::from_slice(&ok(&args).stdout).unwrap();
        let notes = plan["notes"].as_array().unwrap().clone();
        let of_menu = |n: &&serde_json::Value| {
            n["text"].as_str().unwrap().contains("which is not the installer")
        };
        notes.iter().filter(of_menu).cloned().collect::<Vec<_>>()
    };
    for (more, warning) in [(&["--unattended"][..], true), (&[], false)] {
        let notes = said(more);
        assert_eq!(notes.len(), 1, "{notes:?}");
        let note = notes[0]["text"].as_str().unwrap();
        assert!(note.contains("isolinux.cfg") && note.contains("harddisk"), "{note}");
        assert_eq!(notes[0]["warning"], warning);
    }
}

#[test]
fn every_fixture_is_planned_or_refused_with_a_hint() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut planned, mut refused) = (0, 0);
    for name in support::fixtures() {
        let iso = fixture(&name, tmp.path());
        for more in [&[][..], &["--unattended", "--lenient"]] {
            let args = [&["image", text(&iso), "--dry-run", "--json"], more].concat();
            let o = run(&args);
            let err = String::from_utf8_lossy(&o.stderr).into_owned();
            if o.status.success() {
                let plan: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
                assert_eq!(plan["coverage"].as_array().unwrap().len(), 10, "{name}");
                planned += 1;
                continue;
            }
            println!("{name} {more:?}: {err}");
            fails(&args, &[]);
            assert!(!err.contains("fault of isowright's"), "{name}: {err}");
            refused += 1;
        }
        std::fs::remove_file(iso).unwrap();
    }
    assert!(planned > 2 * refused, "{planned} planned, {refused} refused");
}

#[test]
fn a_recipe_file_asks_for_images_beside_trees() {
    let Some((tmp, iso)) = copied("img-el.iso") else { return };
    let at = |n: &str| tmp.path().join(n);
    let read = |n: &str| std::fs::read(at(n)).unwrap();
    std::fs::write(at("notes.txt"), "ours").unwrap();
    let image = "[output.image]\npath = \"job.iso\"\npatch_only = \"job.patch\"\nadd = { \"docs/notes.txt\" = \"notes.txt\" }\n";
    let source = "[source]\npath = \"some.iso\"\n";
    std::fs::write(at("one.toml"), format!("{source}{image}")).unwrap();
    let two = format!("{source}[[output]]\ndir = \"tree\"\nboot_only = true\n[[output]]\n{image}");
    std::fs::write(at("two.toml"), two).unwrap();
    let one = at("one.toml");

    ok(&["recipe", "lint", text(&one)]);
    ok(&["plan", text(&one)]);
    ok(&["build", text(&one), "--dry-run"]);
    assert!(!at("job.iso").exists() && !at("job.patch").exists());
    ok(&["build", text(&one)]);
    let add = format!("{}:docs/notes.txt", text(&at("notes.txt")));
    ok(&["image", text(&iso), "--add", &add, "-o", text(&at("cli.iso"))]);
    assert!(read("job.iso") == read("cli.iso"), "the file and the command line say the same");
    ok(&["image", "apply", text(&iso), text(&at("job.patch")), "-o", text(&at("patched.iso"))]);
    assert!(read("patched.iso") == read("cli.iso"));

    for made in ["job.iso", "job.patch"] {
        std::fs::remove_file(at(made)).unwrap();
    }
    ok(&["image", text(&one)]);
    assert!(read("job.iso") == read("cli.iso"), "`image` takes the file's own places");
    // What is typed beside them goes for each.
    let more = format!("{}:docs/more.txt", text(&at("notes.txt")));
    ok(&["image", text(&one), "--add", &more, "--implant-md5", "no"]);
    ok(&[
        "image",
        text(&iso),
        "--add",
        &add,
        "--add",
        &more,
        "--implant-md5",
        "no",
        "-o",
        text(&at("both.iso")),
    ]);
    assert!(read("job.iso") == read("both.iso"));
    // A place on the command line stands in for them.
    ok(&["image", text(&one), "-o", text(&at("plain.iso"))]);
    assert!(read("plain.iso") != read("cli.iso"), "without the recipe file's added file");

    std::fs::remove_file(at("job.iso")).unwrap();
    let told = ok(&["build", text(&at("two.toml")), "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert!(told[0]["files"].is_array() && told[1]["menus"].is_array(), "{told:#}");
    assert!(at("tree/boot.ipxe").exists() && read("job.iso") == read("cli.iso"));

    let over = format!("{source}[output.image]\npath = \"some.iso\"\n");
    std::fs::write(at("over.toml"), over).unwrap();
    fails(&["build", text(&at("over.toml"))], &["some.iso"]);
}
