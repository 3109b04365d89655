//! Repacked images, by the command line tool, as others see them: the vendor's tree and boot structures with
//! what the plan tells, and nothing else; every entry with the words; and the way back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::iso_oracles::{self as oracles, Depth, Entry, Implanted, Kind, Tree};

const CONSOLE: &str = "console=ttyS1,115200n8";
const BOND: &str =
    "bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4";

/// A medium, and what is known of its family.
struct Medium {
    file: &'static str,
    /// Whether the family says the bond in the kernel's arguments.
    bond: bool,
    /// Whether it can install without a question; others need `--lenient`.
    installs: bool,
    /// Boot configurations that a loader starts with.
    roots: &'static [&'static str],
}

const MEDIA: [Medium; 9] = [
    Medium {
        file: "img-debian.iso",
        bond: false,
        installs: true,
        roots: &["isolinux/isolinux.cfg", "boot/grub/grub.cfg"],
    },
    Medium {
        file: "img-el.iso",
        bond: true,
        installs: true,
        roots: &[
            "isolinux/isolinux.cfg",
            "EFI/BOOT/grub.cfg",
            "images/efiboot.img!/EFI/BOOT/grub.cfg",
        ],
    },
    Medium {
        file: "img-grub.iso",
        bond: false,
        installs: true,
        roots: &["boot/grub/grub.cfg", "boot/grub/loopback.cfg"],
    },
    Medium { file: "img-rr.iso", bond: false, installs: false, roots: &["boot/grub/grub.cfg"] },
    Medium { file: "img-joliet.iso", bond: false, installs: false, roots: &["boot/grub/grub.cfg"] },
    Medium {
        file: "debian-installer.iso",
        bond: false,
        installs: true,
        roots: &["isolinux/isolinux.cfg", "boot/grub/grub.cfg"],
    },
    Medium {
        file: "el9.iso",
        bond: true,
        installs: true,
        roots: &[
            "isolinux/isolinux.cfg",
            "EFI/BOOT/grub.cfg",
            "images/efiboot.img!/EFI/BOOT/grub.cfg",
        ],
    },
    Medium {
        file: "debian-live.iso",
        bond: false,
        installs: false,
        roots: &["isolinux/isolinux.cfg", "boot/grub/grub.cfg"],
    },
    Medium { file: "dracut-live.iso", bond: true, installs: false, roots: &["EFI/BOOT/grub.cfg"] },
];

fn run(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.env_remove("SOURCE_DATE_EPOCH").args(args).stdin(Stdio::null()).output().unwrap()
}

fn ok(args: &[&str]) -> Vec<u8> {
    let o = run(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    o.stdout
}

fn text(p: &Path) -> &str {
    p.to_str().unwrap()
}

fn same(a: &Path, b: &Path) -> bool {
    Command::new("cmp").args(["-s", text(a), text(b)]).status().unwrap().success()
}

/// An image made of `from`; its plan.
fn image(from: &Path, to: &Path, more: &[&str]) -> Value {
    let args = [&["image", text(from), "-o", text(to), "--json"], more].concat();
    serde_json::from_slice(&ok(&args)).unwrap()
}

/// The words for a medium that installs, or is to do so as far as it can.
fn wishes(m: &Medium, unattended: bool) -> Vec<&'static str> {
    match (unattended, m.installs) {
        (false, _) => vec![],
        (true, true) => vec!["--unattended"],
        (true, false) => vec!["--unattended", "--lenient"],
    }
}

/// Every medium that is there, with a folder to work in.
fn each(f: impl Fn(&Medium, &Path, &Path)) {
    for m in &MEDIA {
        let Some(iso) = support::material(m.file) else { continue };
        let tmp = tempfile::tempdir().unwrap();
        f(m, &iso, tmp.path());
    }
}

/// Files on the medium itself that the plan tells of, and the modes of new ones.
fn planned(plan: &Value) -> BTreeMap<String, Option<u32>> {
    let files = plan["files"].as_array().unwrap().iter();
    let path = |f: &Value| f["path"].as_str().unwrap().strip_prefix("iso:/").unwrap().to_owned();
    let mode = |f: &Value| f["mode"].as_str().map(|m| u32::from_str_radix(m, 8).unwrap());
    files.map(|f| (path(f), mode(f))).filter(|(p, _)| !p.contains("!/")).collect()
}

/// The boot catalog, where the plan tells that it is another: a boot image has moved.
fn catalog(new: &Path, plan: &Value) -> Option<String> {
    let touched = plan["touched"].as_array().unwrap();
    touched.iter().find(|t| t["what"] == "BootCatalog")?;
    let report = oracles::boot_report(new);
    let path = oracles::reported(&report, "El Torito cat path").first().copied();
    Some(path?.trim_start_matches('/').to_owned())
}

/// The vendor's tree with the changes that the plan tells; their content as `isowright cat` gives it.
fn expected(vendors: &Tree, new: &Path, plan: &Value) -> Tree {
    let mut tree = vendors.clone();
    let modes = vendors.values().any(|e| e.mode.is_some());
    for (path, mode) in planned(plan).into_iter().chain(catalog(new, plan).map(|p| (p, None))) {
        let mode = vendors.get(&path).map_or(mode.filter(|_| modes), |e| e.mode);
        let now = oracles::file(&ok(&["cat", text(new), &path]), 0);
        tree.insert(path.clone(), Entry { mode, ..now });
        for (at, _) in path.match_indices('/') {
            let mode = modes.then_some(0o755);
            tree.entry(path[..at].to_owned()).or_insert(Entry { kind: Kind::Dir, mode });
        }
    }
    tree
}

/// The vendor's boot structures, but for places and sizes that a longer image has otherwise.
fn places_apart(report: &[String]) -> Vec<String> {
    let from = |key: &str| match key {
        "El Torito boot img" => 6,
        "MBR partition" => 3,
        "GPT start and size" => 1,
        "GPT lba range" | "ISO image size/512" => 0,
        _ => usize::MAX,
    };
    let line = |l: &String| {
        let (key, value) = l.split_once(": ").unwrap();
        let words = value.split(' ').take(from(key.trim_end())).collect::<Vec<_>>();
        format!("{key}: {}", words.join(" "))
    };
    report.iter().map(line).collect()
}

#[test]
fn others_see_the_vendors_tree_with_what_the_plan_tells() {
    each(|m, iso, tmp| {
        let vendors = oracles::xorriso_tree(iso, Depth::Bytes);
        for unattended in [false, true] {
            let new = tmp.join("new.iso");
            let plan = image(iso, &new, &wishes(m, unattended));
            let tree = expected(&vendors, &new, &plan);
            let depth = if unattended { Depth::Names } else { Depth::Bytes };
            oracles::assert_same_everywhere(&new, &tree, depth);
            let at = format!("{} {unattended}", m.file);
            assert_eq!(oracles::faults(&new), Vec::<String>::new(), "{at}");
            let (before, after) = (oracles::boot_report(iso), oracles::boot_report(&new));
            assert_eq!(places_apart(&before), places_apart(&after), "{at}");
            assert!(oracles::fats(iso, &before).len() <= oracles::fats(&new, &after).len(), "{at}");
            if let Some(now) = oracles::gpt_complaints(&new) {
                let before = oracles::gpt_complaints(iso).unwrap_or_default();
                let mut more = now.difference(&before);
                // sgdisk takes the alignment of ends from that of starts, which a longer image has by chance.
                let by_chance = |c: &&String| c.contains("doesn't end on a");
                assert_eq!(more.find(|c| !by_chance(c)), None, "{at}");
            }
            assert_eq!(oracles::implanted_md5(&new), oracles::implanted_md5(iso), "{at}");
            listed_sums_hold(&new, &tree, &at);
        }
    });
}

/// Where the medium has `md5sum.txt` or sums in `.treeinfo`, they agree with what is on the medium.
fn listed_sums_hold(new: &Path, tree: &Tree, at: &str) {
    let has = |name: &str| tree.contains_key(name);
    if !has("md5sum.txt") && !has(".treeinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let o = Command::new("xorriso")
        .args(["-osirrox", "on:auto_chmod_on", "-indev", text(new), "-extract", "/"])
        .arg(dir.path().join("x"))
        .output()
        .unwrap();
    assert!(o.status.success(), "{at}");
    // productmd's lines, as sha256sum takes them.
    let lines = "! grep -q '^.checksums.' .treeinfo || { \
                 sed -n 's/^\\(.*\\) = sha256:\\(.*\\)/\\2  \\1/p' .treeinfo > .sums && [ -s .sums ] && \
                 sha256sum -c --quiet .sums; }";
    let checks = [("md5sum.txt", "md5sum -c --quiet md5sum.txt"), (".treeinfo", lines)];
    for (_, check) in checks.iter().filter(|(name, _)| has(name)) {
        let o = Command::new("sh").args(["-c", check]).current_dir(dir.path().join("x")).output();
        let o = o.unwrap();
        assert!(o.status.success(), "{at}: {}", String::from_utf8_lossy(&o.stdout));
    }
    Command::new("chmod").args(["-R", "u+rwX"]).arg(dir.path()).status().unwrap();
}

/// What `inspect` finds in an image: per entry that starts a kernel with an initrd, where it stands and the
/// arguments.
fn entries(new: &Path) -> Vec<(String, String)> {
    let v: Value = serde_json::from_slice(&ok(&["inspect", text(new), "--json"])).unwrap();
    let linux =
        v["entries"].as_array().unwrap().iter().filter(|e| {
            e["kind"] == "linux" && e["initrds"].as_array().is_some_and(|i| !i.is_empty())
        });
    let said = |e: &Value, key: &str| e[key].as_str().unwrap().to_owned();
    linux.map(|e| (said(e, "locus") + " " + &said(e, "title"), said(e, "cmdline"))).collect()
}

#[test]
fn every_entry_has_the_words() {
    each(|m, iso, tmp| {
        let before = entries(iso);
        for unattended in [false, true] {
            let new = tmp.join("new.iso");
            image(iso, &new, &wishes(m, unattended));
            let now = entries(&new);
            let names =
                |all: &[(String, String)]| all.iter().map(|e| e.0.clone()).collect::<Vec<_>>();
            assert_eq!(names(&before), names(&now), "{}", m.file);
            for (at, cmdline) in &now {
                let words: Vec<&str> = cmdline.split(' ').collect();
                let last = words.iter().rfind(|w| w.starts_with("console="));
                assert_eq!(last, Some(&CONSOLE), "{}, {at}: {cmdline}", m.file);
                let once = words.iter().filter(|w| **w == CONSOLE).count();
                assert_eq!(once, 1, "{}, {at}: {cmdline}", m.file);
                assert_eq!(words.contains(&BOND), m.bond, "{}, {at}: {cmdline}", m.file);
            }
            for root in m.roots {
                let cfg = String::from_utf8(ok(&["cat", text(&new), root])).unwrap();
                let line = match root.ends_with("isolinux.cfg") {
                    true => "serial 1 115200",
                    false => "serial --unit=1 --speed=115200",
                };
                let there = cfg.lines().any(|l| l.trim().to_ascii_lowercase().starts_with(line));
                assert!(there, "{}, {root}: no {line}\n{cfg}", m.file);
            }
        }
    });
}

#[test]
fn undo_gives_the_vendors_bytes_and_twice_is_once() {
    each(|m, iso, tmp| {
        let at = |name: &str| tmp.join(name);
        for unattended in [false, true] {
            let wishes = wishes(m, unattended);
            image(iso, &at("new.iso"), &wishes);
            ok(&["image", "undo", text(&at("new.iso")), "-o", text(&at("undone.iso"))]);
            assert!(same(iso, &at("undone.iso")), "{}: undone", m.file);
            image(iso, &at("again.iso"), &wishes);
            assert!(same(&at("new.iso"), &at("again.iso")), "{}: a second run", m.file);
            image(&at("new.iso"), &at("again.iso"), &wishes);
            assert!(same(&at("new.iso"), &at("again.iso")), "{}: twice", m.file);
            let other =
                [&wishes[..], &["--console", "ttyS0,9600n8", "--implant-md5", "yes"]].concat();
            image(&at("new.iso"), &at("over.iso"), &other);
            image(iso, &at("other.iso"), &other);
            assert!(same(&at("over.iso"), &at("other.iso")), "{}: another over it", m.file);
            assert!(!same(&at("new.iso"), &at("other.iso")), "{}: another", m.file);
            assert_eq!(oracles::implanted_md5(&at("over.iso")), Implanted::Holds, "{}", m.file);
        }
    });
}

/// The check is dropped where the sum is, and only there.
#[test]
fn the_check_goes_with_the_sum() {
    for (name, had) in [("img-el.iso", true), ("el9.iso", false)] {
        let Some(iso) = support::material(name) else { continue };
        let tmp = tempfile::tempdir().unwrap();
        let new = tmp.path().join("new.iso");
        for (when, holds) in [("auto", had), ("yes", true), ("no", false)] {
            image(&iso, &new, &["--implant-md5", when]);
            let want = if holds { Implanted::Holds } else { Implanted::Absent };
            assert_eq!(oracles::implanted_md5(&new), want, "{name} {when}");
            let checks = |all: &[(String, String)]| {
                all.iter().filter(|e| e.1.split(' ').any(|w| w == "rd.live.check")).count()
            };
            let (before, now) = (checks(&entries(&iso)), checks(&entries(&new)));
            assert!(before > 0, "{name}");
            assert_eq!(now, if holds { before } else { 0 }, "{name} {when}");
            ok(&["image", "undo", text(&new), "-o", text(&tmp.path().join("undone.iso"))]);
            assert!(same(&iso, &tmp.path().join("undone.iso")), "{name} {when}");
        }
    }
}

#[test]
fn a_file_of_two_extents_stays_whole() {
    let Some(iso) = support::material("img-big.iso") else { return };
    let tmp = tempfile::tempdir().unwrap();
    let new = tmp.path().join("new.iso");
    let plan = image(&iso, &new, &[]);
    let tree = expected(&oracles::xorriso_tree(&iso, Depth::Names), &new, &plan);
    oracles::assert_same_everywhere(&new, &tree, Depth::Names);
    assert_eq!(oracles::faults(&new), Vec::<String>::new());
    assert!(entries(&new).iter().all(|e| e.1.ends_with(CONSOLE)));
    let mut undo = Command::new(env!("CARGO_BIN_EXE_isowright"))
        .args(["image", "undo", text(&new), "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let cmp = Command::new("cmp").arg("-").arg(&iso).stdin(undo.stdout.take().unwrap()).status();
    assert!(cmp.unwrap().success());
    assert!(undo.wait().unwrap().success());
}

/// Files of a FAT image in an ISO, by mtools.
fn fat_tree(image: &Path, at: u64, len: u64) -> BTreeMap<PathBuf, Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let tmp = tempfile::tempdir().unwrap();
    let mut bytes = vec![0; len as usize];
    std::fs::File::open(image).unwrap().read_exact_at(&mut bytes, at).unwrap();
    let part = tmp.path().join("fat.img");
    std::fs::write(&part, bytes).unwrap();
    let out = tmp.path().join("x");
    std::fs::create_dir(&out).unwrap();
    let said = Command::new("mcopy")
        .env("MTOOLS_SKIP_CHECK", "1")
        .args(["-s", "-Q", "-n", "-i", text(&part), "::/"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (mut files, mut left) = (BTreeMap::new(), vec![out.clone()]);
    while let Some(dir) = left.pop() {
        for e in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match e.is_dir() {
                true => left.push(e),
                false => {
                    let name = e.strip_prefix(&out).unwrap().to_owned();
                    files.insert(name, std::fs::read(&e).unwrap());
                }
            }
        }
    }
    files
}

#[test]
fn fat_images_keep_all_but_the_menus() {
    for (name, inside) in [
        ("img-debian.iso", "boot/grub/efi.img!/"),
        ("img-el.iso", "images/efiboot.img!/"),
        ("el9.iso", "images/efiboot.img!/"),
        ("img-grub.iso", "partition 2!/"),
    ] {
        let Some(iso) = support::material(name) else { continue };
        let tmp = tempfile::tempdir().unwrap();
        let new = tmp.path().join("new.iso");
        let plan = image(&iso, &new, &[]);
        let told: BTreeSet<PathBuf> = plan["files"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|f| f["path"].as_str().unwrap().strip_prefix("iso:/")?.strip_prefix(inside))
            .map(PathBuf::from)
            .collect();
        let fats = |i: &Path| oracles::fats(i, &oracles::boot_report(i));
        let (&(at, len), &(to, long)) = (fats(&iso).first().unwrap(), fats(&new).first().unwrap());
        let (before, after) = (fat_tree(&iso, at, len), fat_tree(&new, to, long));
        let lower = |p: &PathBuf| text(p).to_ascii_lowercase();
        let told: BTreeSet<String> = told.iter().map(lower).collect();
        let keys = |t: &BTreeMap<PathBuf, Vec<u8>>| t.keys().map(lower).collect::<BTreeSet<_>>();
        let added: BTreeSet<_> = keys(&after).difference(&keys(&before)).cloned().collect();
        assert!(added.is_subset(&told), "{name}: {added:?}");
        for (path, bytes) in &before {
            let now =
                after.get(path).unwrap_or_else(|| panic!("{name}: {} is gone", path.display()));
            let other = now != bytes;
            assert_eq!(other, told.contains(&lower(path)), "{name}: {}", path.display());
        }
    }
}
