//! Grafting, on images that others made: after each change all readers must see the same tree, and every
//! structure must say what the directories say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use isowright::content::Content;
use isowright::content::path::TreePath;
use isowright::content::tree::NodeKind;
use isowright::format::iso9660::graft::{Change, Changes, Options, graft};
use isowright::format::iso9660::{self, View, hybrid};
use isowright::media;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const NOW: i64 = 1_700_000_000;
const SECTOR: usize = 2048;

/// Path to bytes; `None` for a folder. Links and devices are left out.
type Model = BTreeMap<String, Option<Vec<u8>>>;

fn le32(b: &[u8], at: usize) -> usize {
    u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize
}

fn be32(b: &[u8], at: usize) -> usize {
    u32::from_be_bytes(b[at..at + 4].try_into().unwrap()) as usize
}

fn put(bytes: impl Into<Vec<u8>>) -> Change {
    Change::Put { content: bytes.into().into(), mode: None, mtime: None }
}

fn changes<'a>(list: impl IntoIterator<Item = (&'a str, Change)>) -> Changes {
    let files = list.into_iter().map(|(p, c)| (TreePath::new(p).unwrap(), c)).collect();
    Changes { files, areas: BTreeMap::new() }
}

fn grafted(image: &Content, c: &Changes) -> Content {
    graft(image, c, &Options { timestamp: NOW }).unwrap().content
}

fn model_of(image: &Content) -> Model {
    let iso = iso9660::open(image).unwrap().unwrap();
    let nodes = iso.tree.iter().filter_map(|(p, n)| {
        let path = String::from_utf8_lossy(p.as_bytes()).into_owned();
        match &n.kind {
            NodeKind::File(c) => Some((path, Some(c.read_all(1 << 30).unwrap()))),
            NodeKind::Dir => Some((path, None)),
            _ => None,
        }
    });
    nodes.collect()
}

/// What the changes make of the model.
fn applied(mut m: Model, c: &Changes) -> Model {
    for (path, change) in &c.files {
        let p = path.to_string();
        match change {
            Change::Put { content, .. } => {
                let mut up = path.parent().unwrap();
                while !up.is_root() {
                    m.insert(up.to_string(), None);
                    up = up.parent().unwrap();
                }
                m.insert(p, Some(content.read_all(1 << 30).unwrap()));
            }
            Change::Remove => {
                let below = format!("{p}/");
                m.retain(|k, _| *k != p && !k.starts_with(&below));
            }
        }
    }
    m
}

/// The nonempty files' bytes, whatever they are called.
fn bag(m: &Model) -> BTreeMap<Vec<u8>, usize> {
    let mut bag = BTreeMap::new();
    for bytes in m.values().flatten().filter(|b| !b.is_empty()) {
        *bag.entry(bytes.clone()).or_insert(0) += 1;
    }
    bag
}

/// As assert_eq, without megabytes on the screen.
fn assert_same(got: &Model, expected: &Model, who: &str) {
    let show = |m: &Model, k: &String| m.get(k).map(|v| v.as_ref().map(|b| b.len()));
    let all: BTreeSet<&String> = got.keys().chain(expected.keys()).collect();
    let other: Vec<String> = (all.into_iter().filter(|k| got.get(*k) != expected.get(*k)))
        .map(|k| format!("{k}: {:?}, not {:?}", show(got, k), show(expected, k)))
        .take(20)
        .collect();
    assert!(other.is_empty(), "{who}: {other:#?}");
}

fn with_bytes(image: &Content, at: u64, bytes: &[u8]) -> Content {
    image.splice(at..at + bytes.len() as u64, bytes.to_vec().into()).unwrap()
}

fn sector(image: &Content, lba: usize) -> Vec<u8> {
    let mut b = vec![0; SECTOR];
    image.read_at(&mut b, (lba * SECTOR) as u64).unwrap();
    b
}

/// Descriptors up to the terminator: block and bytes.
fn descriptors(image: &Content) -> Vec<(usize, Vec<u8>)> {
    let all = (16..80).map(|lba| (lba, sector(image, lba)));
    all.take_while(|(_, d)| d[0] != 255).collect()
}

/// The image with only one of its views left.
fn masked(image: &Content, view: View) -> Option<Content> {
    let all = descriptors(image);
    let (primary, d) = all.iter().find(|(_, d)| d[0] == 1)?;
    let joliet = all.iter().find(|(_, d)| d[0] == 2 && d[88..90] == *b"%/");
    match view {
        View::Joliet => {
            let root = joliet?.1[156..190].to_vec();
            Some(with_bytes(image, (primary * SECTOR + 156) as u64, &root))
        }
        _ => {
            let mut out = image.clone();
            let root = le32(d, 158);
            let first = sector(image, root);
            if let Some(at) = first[..256].windows(2).position(|w| w == b"SP") {
                out = with_bytes(&out, (root * SECTOR + at) as u64, b"XX");
            }
            if let Some((lba, _)) = joliet {
                out = with_bytes(&out, (lba * SECTOR) as u64, &[3]);
            }
            Some(out)
        }
    }
}

/// A raw directory: its records, `.` and `..` first.
fn records(image: &Content, base: usize, lba: usize, len: usize) -> Vec<Vec<u8>> {
    assert_eq!(len % SECTOR, 0, "a directory has whole sectors");
    let mut out = Vec::new();
    for n in 0..len / SECTOR {
        let b = sector(image, base + lba + n);
        let mut off = 0;
        while off < SECTOR && b[off] != 0 {
            let r = b[off..off + usize::from(b[off])].to_vec();
            assert_eq!((le32(&r, 2), le32(&r, 10)), (be32(&r, 6), be32(&r, 14)), "byte orders");
            assert!(r.len().is_multiple_of(2));
            off += r.len();
            out.push(r);
        }
        assert!(b[off..].iter().all(|&x| x == 0), "the rest of a sector is zero");
    }
    out
}

/// Directories of a tree as the records name them: block to parent's block and identifier. Checks `.`
/// and `..`.
fn walk(image: &Content, base: usize, root: &[u8]) -> BTreeMap<usize, (usize, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let (lba, len) = (le32(root, 2), le32(root, 10));
    let mut left = vec![(lba, len, lba, vec![0])];
    while let Some((lba, len, parent, id)) = left.pop() {
        let all = records(image, base, lba, len);
        assert_eq!((&all[0][33..34], le32(&all[0], 2), le32(&all[0], 10)), (&[0][..], lba, len));
        assert_eq!(&all[1][33..34], &[1], "..");
        dotdot(&all[1], lba, parent);
        let mut names = BTreeSet::new();
        for r in &all[2..] {
            let name = r[33..33 + usize::from(r[32])].to_vec();
            if r[25] & 2 != 0 {
                left.push((le32(r, 2), le32(r, 10), lba, name.clone()));
            } else {
                let end = (base + le32(r, 2)) as u64 * SECTOR as u64 + le32(r, 10) as u64;
                assert!(le32(r, 10) == 0 || end <= image.len(), "an extent past the end");
            }
            assert!(r[25] & 0x80 != 0 || names.insert(name), "two records of one name");
        }
        assert!(found.insert(lba, (parent, id)).is_none(), "a directory twice");
    }
    found
}

/// libisofs lets the `..` of Joliet's folders name the folder itself.
fn dotdot(r: &[u8], lba: usize, parent: usize) {
    assert!(
        le32(r, 2) == parent || le32(r, 2) == lba,
        ".. of {lba} is {}, not {parent}",
        le32(r, 2)
    );
}

fn path_table(
    image: &Content,
    base: usize,
    d: &[u8],
    big: bool,
) -> BTreeMap<usize, (usize, Vec<u8>)> {
    let len = le32(d, 132);
    assert_eq!(len, be32(d, 136));
    let lba = if big { be32(d, 148) } else { le32(d, 140) };
    let mut b = vec![0; len];
    image.read_at(&mut b, ((base + lba) * SECTOR) as u64).unwrap();
    let (mut lines, mut off) = (Vec::new(), 0);
    while off < len {
        let n = usize::from(b[off]);
        let lba = if big { be32(&b, off + 2) } else { le32(&b, off + 2) };
        let (x, y) = (usize::from(b[off + 6]), usize::from(b[off + 7]));
        let parent = if big { x << 8 | y } else { y << 8 | x };
        lines.push((lba, parent, b[off + 8..off + 8 + n].to_vec()));
        off += (8 + n).next_multiple_of(2);
    }
    assert!(lines.windows(2).all(|w| w[0].1 <= w[1].1), "parents are in order");
    let block = |n: usize| lines[n - 1].0;
    lines.iter().map(|(lba, parent, id)| (*lba, (block(*parent), id.clone()))).collect()
}

/// Every structure says what the directories say.
fn check(image: &Content) {
    let bases = hybrid::read(image).unwrap().spans().into_iter().map(|s| s.start as usize / SECTOR);
    let bases: BTreeSet<usize> = bases.filter(|&b| b > 0 && b < 512).chain([0]).collect();
    for base in bases {
        if base > 0 && sector(image, base + 16)[1..6] != *b"CD001" {
            continue;
        }
        for lba in base + 16.. {
            let d = sector(image, lba);
            match d[0] {
                255 => break,
                1 | 2 => {}
                _ => continue,
            }
            let found = walk(image, base, &d[156..190]);
            assert_eq!(found, path_table(image, base, &d, false), "path table L at {lba}");
            assert_eq!(found, path_table(image, base, &d, true), "path table M at {lba}");
            let size = le32(&d, 80);
            assert_eq!(size, be32(&d, 84));
            assert!(((base + size) * SECTOR) as u64 <= image.len().next_multiple_of(2048));
        }
    }
}

/// The views of our own reader against `expected`.
fn check_views(image: &Content, expected: &Model) {
    check(image);
    assert_same(&model_of(image), expected, "our reader");
    for view in [View::Joliet, View::Plain] {
        if let Some(masked) = masked(image, view) {
            let iso = iso9660::open(&masked).unwrap().unwrap();
            assert_eq!(iso.view, view);
            assert!(bag(&model_of(&masked)) == bag(expected), "{view}");
        }
    }
}

/// Boot images: tables, catalog's sum, and what the MBR knows.
fn check_boot(image: &Content) {
    let m = media::open("test", image.clone()).unwrap();
    let Some(c) = &m.boot else { return };
    assert!(c.checksum_ok);
    for e in &c.entries {
        assert!(e.boot_info.is_none_or(|b| b.ok), "boot information table of {:?}", e.path);
    }
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn save(image: &Content, path: &Path) {
    let mut out = std::fs::File::create(path).unwrap();
    std::io::copy(&mut image.reader(), &mut out).unwrap();
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {text}");
    text
}

fn folder_model(root: &Path) -> Model {
    let mut m = Model::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let name = entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if kind.is_dir() {
                left.push(entry.path());
                m.insert(name, None);
            } else if kind.is_file() {
                m.insert(name, Some(std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    m
}

fn tools() -> Option<()> {
    for (tool, package) in [
        ("/usr/bin/xorriso", "xorriso"),
        ("/usr/bin/bsdtar", "libarchive-tools"),
        ("/usr/bin/7z", "7zip"),
        ("/usr/bin/isoinfo", "genisoimage"),
        ("/usr/sbin/sgdisk", "gdisk"),
    ] {
        support::packaged(tool, package)?;
    }
    Some(())
}

/// Whether folders are shown elsewhere than they stand: CL among the first sectors.
fn is_relocated(image: &Content) -> bool {
    let n = image.len().min(200 * SECTOR as u64);
    let head = image.slice(0..n).unwrap().read_all(n).unwrap();
    head.windows(4).any(|w| w == b"CL\x0c\x01")
}

/// What others see. `rr`: they see the long names.
fn check_oracles(image: &Content, expected: &Model) {
    let dir = temp();
    let iso = dir.path().join("a.iso");
    save(image, &iso);
    let name = iso.to_str().unwrap();
    let view = iso9660::open(image).unwrap().unwrap().view;
    let to = |n: &str| {
        let d = dir.path().join(n);
        std::fs::create_dir(&d).unwrap();
        d
    };
    let (tar, xo, zip) = (to("tar"), to("xorriso"), to("7z"));
    // libarchive finds relocated folders only where they stand as the image's maker had put them.
    if !is_relocated(image) {
        // Makers write device numbers in ways that bsdtar can't make.
        let no_devices = ["--exclude", "chardev", "--exclude", "blockdev"];
        let to_tar = ["-C", tar.to_str().unwrap(), "--no-same-permissions"];
        run("bsdtar", &[&["-xf", name][..], &no_devices, &to_tar].concat());
        let seen = folder_model(&tar);
        match view {
            // It cuts Joliet's longest names, the vendor's too.
            View::Joliet => assert!(bag(&seen) == bag(expected), "bsdtar"),
            _ => assert_same(&seen, expected, "bsdtar"),
        }
    }
    let log = run(
        "xorriso",
        &[
            "-abort_on",
            "SORRY",
            "-return_with",
            "SORRY",
            "0",
            "-read_fs",
            "any",
            "-osirrox",
            "on",
            "-indev",
            name,
            "-extract",
            "/",
            xo.to_str().unwrap(),
        ],
    );
    assert!(!log.contains("WARNING"), "{log}");
    assert!(bag(&folder_model(&xo)) == bag(expected), "xorriso");
    if view == View::RockRidge {
        let mut seen = folder_model(&xo);
        // It shows the folder in which relocated ones stand, empty.
        seen.remove("rr_moved");
        assert_same(&seen, expected, "xorriso");
        let list: BTreeSet<String> = run("isoinfo", &["-R", "-f", "-i", name])
            .lines()
            .filter_map(|l| l.strip_prefix('/').map(str::to_owned))
            .collect();
        // It does not follow relocated folders, the vendor's neither.
        assert!(is_relocated(image) || expected.keys().all(|k| list.contains(k)), "isoinfo -R");
    }
    if masked(image, View::Joliet).is_some() {
        let list = run("isoinfo", &["-J", "-f", "-i", name]).lines().count();
        assert!(list >= expected.len(), "isoinfo -J shows {list} of {}", expected.len());
    }
    // It refuses links that lead up, and then says that it failed.
    let to = format!("-o{}", zip.to_str().unwrap());
    let out =
        Command::new("7z").args(["x", "-y", &to, name]).stdin(Stdio::null()).output().unwrap();
    let log = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    let error = log.lines().find(|l| l.starts_with("ERROR") && !l.contains("Dangerous link path"));
    assert!(error.is_none() && !log.contains("Headers Error"), "{log}");
    let got = bag(&folder_model(&zip));
    let missing = bag(expected).into_iter().filter(|(b, n)| got.get(b) < Some(n)).count();
    assert_eq!(missing, 0, "7z");
    if hybrid::read(image).unwrap().gpt.is_some() {
        let out = Command::new("sgdisk").args(["-v", name]).output().unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        // isohybrid's tables overlap when the vendor makes them.
        let before = text.contains("overlap") && !text.contains("CRC") && !text.contains("backup");
        assert!(before || text.contains("No problems found"), "{text}");
    }
}

/// Grafts `c` onto `image` and looks at the result from all sides.
fn prove(image: &Content, c: &Changes) -> Content {
    let expected = applied(model_of(image), c);
    let out = grafted(image, c);
    let patched = boot_paths(image);
    // Boot images get their tables, so they are not what was put.
    let got = model_of(&out);
    let fixed: Model = (expected.into_iter())
        .map(|(k, v)| match patched.contains(&k) {
            true => (k.clone(), got.get(&k).cloned().flatten()),
            false => (k, v),
        })
        .collect();
    check_views(&out, &fixed);
    check_boot(&out);
    check_oracles(&out, &fixed);
    // What is no file is named by its place.
    let again = grafted(&out, &Changes { files: c.files.clone(), areas: BTreeMap::new() });
    assert!(same(&again, &out), "a second graft changes nothing");
    out
}

fn boot_paths(image: &Content) -> BTreeSet<String> {
    let m = media::open("test", image.clone()).unwrap();
    let images = m.boot.iter().flat_map(|c| &c.entries).filter_map(|e| e.path.as_ref());
    let catalog = m.boot.iter().filter_map(|c| c.path.as_ref());
    images.chain(catalog).map(|p| p.to_string()).collect()
}

fn same(a: &Content, b: &Content) -> bool {
    a.len() == b.len() && a.read_all(1 << 30).unwrap() == b.read_all(1 << 30).unwrap()
}

fn open(path: &Path) -> Content {
    Content::open(path).unwrap()
}

fn material(name: &str) -> Option<Content> {
    support::material(name).map(|p| open(&p))
}

/// New files of every kind, whatever is on the medium already.
fn additions() -> Changes {
    let mut c = changes([
        ("ks.cfg", put("text\n")),
        ("empty.new", put("")),
        ("isowright/bond.cfg", put("bond\n".repeat(1000))),
        ("deep/er/and/deeper/still/file.txt", put("deep\n")),
    ]);
    for n in 0..120 {
        let path = format!("isowright/many/file_{n:03}.txt");
        c.files.insert(TreePath::new(path).unwrap(), put(format!("number {n}\n")));
    }
    c
}

/// A name that needs a continuation area, and others that short names can't tell apart.
fn long_names() -> Changes {
    let long = "x".repeat(250);
    let mut c = changes([
        (&*format!("{long}.cfg"), put("long\n")),
        (&*format!("{long}.cf2"), put("longer\n")),
    ]);
    for n in 0..40 {
        let path = format!("new folder/a name that is cut to the same letters {n}.config");
        c.files.insert(TreePath::new(path).unwrap(), put(format!("{n} of many\n")));
    }
    c
}

fn merged(all: impl IntoIterator<Item = Changes>) -> Changes {
    let files = all.into_iter().flat_map(|c| c.files).collect();
    Changes { files, areas: BTreeMap::new() }
}

/// Changes to `names`: the first smaller, the second much bigger, the third as long but other, the last
/// removed.
fn edits(m: &Model, names: [&str; 4]) -> Changes {
    let bytes = |n: &str| m[n].clone().unwrap();
    let mut other = bytes(names[2]);
    other.iter_mut().for_each(|b| *b ^= 0x55);
    let bigger = [bytes(names[1]), vec![b'+'; 10_000]].concat();
    changes([
        (names[0], put(bytes(names[0])[..3].to_vec())),
        (names[1], put(bigger)),
        (names[2], put(other)),
        (names[3], Change::Remove),
    ])
}

/// What takes `c` back.
fn undo(before: &Model, c: &Changes) -> Changes {
    let mut files = BTreeMap::new();
    for path in c.files.keys() {
        match before.get(&path.to_string()) {
            Some(Some(bytes)) => files.insert(path.clone(), put(bytes.clone())),
            _ => {
                // The uppermost folder that was not there.
                let mut at = path.clone();
                while let Some(up) = at.parent().filter(|u| !u.is_root())
                    && !before.contains_key(&up.to_string())
                {
                    at = up;
                }
                files.insert(at, Change::Remove)
            }
        };
    }
    Changes { files, areas: BTreeMap::new() }
}

fn prove_and_undo(image: &Content, c: &Changes) {
    let before = model_of(image);
    let out = prove(image, c);
    let back = prove(&out, &undo(&before, c));
    let boot = boot_paths(image);
    let mut after = model_of(&back);
    for b in &boot {
        after.insert(b.clone(), before[b].clone());
    }
    assert_same(&after, &before, "undone");
}

#[test]
fn nothing_to_do_gives_the_same_bytes() {
    let Some(image) = material("hard-rrj.iso") else { return };
    let m = model_of(&image);
    let same_again = changes([("hello.txt", put(m["hello.txt"].clone().unwrap()))]);
    for c in [Changes::default(), same_again, changes([("no/such/file", Change::Remove)])] {
        let g = graft(&image, &c, &Options::default()).unwrap();
        assert!(g.touched.is_empty() && same(&g.content, &image));
    }
}

#[test]
fn hard_images_keep_their_tree() {
    if tools().is_none() {
        return;
    }
    let names = ["big.bin", "hello.txt", "UPPER.TXT", "many/file-number-7.txt"];
    for name in ["hard-rr.iso", "hard-rrj.iso", "hard-g-rrj.iso", "hard-g-reloc.iso"] {
        let Some(image) = material(name) else { return };
        let c = merged([additions(), long_names(), edits(&model_of(&image), names)]);
        println!("{name}");
        prove_and_undo(&image, &c);
    }
    for name in ["hard-joliet.iso", "hard-g-joliet.iso"] {
        let Some(image) = material(name) else { return };
        println!("{name}");
        prove_and_undo(&image, &merged([additions(), edits(&model_of(&image), names)]));
    }
}

#[test]
fn packaged_images_are_grafted() {
    if tools().is_none() {
        return;
    }
    for (path, package) in [
        ("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+"),
        ("/usr/lib/memtest86+/memtest86+ia32.iso", "memtest86+"),
        ("/usr/lib/ipxe/ipxe.iso", "ipxe"),
    ] {
        let Some(path) = support::packaged(path, package) else { return };
        println!("{}", path.display());
        let image = open(&path);
        prove_and_undo(&image, &additions());
        let longest =
            model_of(&image).into_iter().max_by_key(|(_, v)| v.as_ref().map_or(0, Vec::len));
        println!("{:?}", longest.map(|l| l.0));
    }
}

#[test]
fn installers_are_grafted() {
    if tools().is_none() {
        return;
    }
    for (name, names) in [
        (
            "debian-installer.iso",
            ["isolinux/menu.cfg", "boot/grub/grub.cfg", "isolinux/txt.cfg", "isolinux/f1.txt"],
        ),
        ("el9.iso", ["isolinux/isolinux.cfg", "EFI/BOOT/grub.cfg", ".discinfo", ".treeinfo"]),
    ] {
        let Some(image) = material(name) else { return };
        let m = model_of(&image);
        let names = names.map(|n| {
            if m.contains_key(n) { n } else { panic!("{name} has no {n}: {:?}", m.keys()) }
        });
        prove(&image, &merged([additions(), long_names(), edits(&m, names)]));
    }
}

/// The boot image for that firmware.
fn boot_entry(image: &Content, uefi: bool) -> isowright::format::iso9660::eltorito::BootImage {
    let c = media::open("test", image.clone()).unwrap().boot.unwrap();
    let is = |e: &&isowright::format::iso9660::eltorito::BootImage| {
        (e.platform == isowright::format::iso9660::eltorito::Platform::Uefi) == uefi
    };
    c.entries.iter().find(is).unwrap().clone()
}

#[test]
fn boot_images_that_grow_take_their_tables_along() {
    if tools().is_none() {
        return;
    }
    let Some(image) = material("debian-installer.iso") else { return };
    let (bios, efi) = (boot_entry(&image, false), boot_entry(&image, true));
    let grown = |e: &isowright::format::iso9660::eltorito::BootImage, by: usize| {
        put([e.content.read_all(1 << 24).unwrap(), vec![0; by]].concat())
    };
    let c = changes([
        (bios.path.as_ref().unwrap().as_str().unwrap(), grown(&bios, 5000)),
        (efi.path.as_ref().unwrap().as_str().unwrap(), grown(&efi, 1 << 20)),
    ]);
    let out = prove(&image, &c);
    let (b2, e2) = (boot_entry(&out, false), boot_entry(&out, true));
    assert!(b2.lba > bios.lba && b2.size == bios.size + 5000 && b2.boot_info.unwrap().ok);
    assert_eq!((b2.sectors, u64::from(e2.sectors) * 512), (bios.sectors, efi.size + (1 << 20)));
    let first = sector(&out, 0);
    assert_eq!(le32(&first, 432), b2.lba as usize * 4, "isohybrid's own pointer");
    let p = hybrid::read(&out).unwrap();
    assert!(p.notes.is_empty(), "{:?}", p.notes);
    let mbr = p.mbr.unwrap().partitions;
    assert_eq!(u64::from(mbr[0].sectors) * 512, out.len());
    assert_eq!(
        (u64::from(mbr[1].first) * 512, u64::from(mbr[1].sectors) * 512),
        (u64::from(e2.lba) * 2048, e2.size)
    );
    let gpt = p.gpt.unwrap();
    assert!(gpt.backup);
    let esp = gpt.partitions.iter().find(|p| p.number == 2).unwrap();
    assert_eq!(
        (esp.first * 512, (esp.last + 1 - esp.first) * 512),
        (u64::from(e2.lba) * 2048, e2.size)
    );
    assert_eq!(out.len() % (1 << 20), 0, "whole cylinders");
}

#[test]
fn an_appended_partition_grows_and_the_files_before_it_too() {
    if tools().is_none() {
        return;
    }
    let Some(image) = material("hard-hybrid.iso") else { return };
    let efi = boot_entry(&image, true);
    let at = u64::from(efi.lba) * 2048;
    let bytes = efi.content.read_all(1 << 24).unwrap();
    let mut small = bytes.clone();
    small[510] ^= 1;
    let mut c = additions();
    c.areas.insert(at, small.clone().into());
    let out = prove(&image, &c);
    let moved = boot_entry(&out, true);
    assert!(moved.lba > efi.lba, "it stands behind the new files");
    assert_eq!(moved.content.read_all(1 << 24).unwrap()[..small.len()], small);
    c.areas.clear();
    let grown = [bytes, vec![7; 1 << 20]].concat();
    c.areas.insert(u64::from(moved.lba) * 2048, grown.clone().into());
    let out = grafted(&out, &c);
    check(&out);
    let again = boot_entry(&out, true);
    assert_eq!(again.content.read_all(1 << 24).unwrap(), grown);
    let p = hybrid::read(&out).unwrap();
    assert!(p.notes.is_empty() && p.gpt.as_ref().unwrap().backup, "{:?}", p.notes);
    let mut spans: Vec<_> = p.gpt.unwrap().partitions.iter().map(|p| (p.first, p.last)).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|w| w[0].1 < w[1].0), "{spans:?}");
}

/// A small tree for images that are made here.
fn tree(root: &Path) {
    for (path, len) in [
        ("boot/grub/grub.cfg", 900),
        ("isolinux/isolinux.cfg", 400),
        ("images/one.img", 5000),
        ("images/two.img", 5001),
        ("readme.txt", 10),
        ("empty", 0),
        ("A Longer Name With Blanks.conf", 3000),
    ] {
        let p = root.join(path);
        std::fs::create_dir_all(p.parent().unwrap()).unwrap();
        std::fs::write(p, path.bytes().cycle().take(len).collect::<Vec<u8>>()).unwrap();
    }
    std::fs::hard_link(root.join("images/one.img"), root.join("images/linked.img")).unwrap();
    std::fs::write(
        root.join("images/twin.img"),
        std::fs::read(root.join("images/one.img")).unwrap(),
    )
    .unwrap();
}

/// An image of [`tree`] that xorriso makes.
fn made(options: &[&str], prepare: &dyn Fn(&Path)) -> Content {
    let dir = temp();
    let root = dir.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    tree(&root);
    prepare(&root);
    let iso = dir.path().join("a.iso");
    let (iso_name, root) = (iso.to_str().unwrap(), root.to_str().unwrap());
    let fixed = ["-as", "mkisofs", "-V", "GRAFT", "-o", iso_name];
    run("xorriso", &[&fixed[..], options, &[root]].concat());
    std::fs::read(&iso).unwrap().into()
}

const EDITED: [&str; 4] =
    ["images/two.img", "boot/grub/grub.cfg", "isolinux/isolinux.cfg", "readme.txt"];

#[test]
fn every_set_of_views_is_grafted() {
    if tools().is_none() {
        return;
    }
    for options in [
        &["-r"][..],
        &["-r", "-J"],
        &["-r", "-J", "-joliet-long", "-iso-level", "3"],
        &["-r", "-iso-level", "4"],
        &["--norock", "-J"],
        &["-r", "-J", "-partition_offset", "16"],
    ] {
        println!("{options:?}");
        let image = made(options, &|_| {});
        prove_and_undo(&image, &merged([additions(), edits(&model_of(&image), EDITED)]));
    }
}

#[test]
fn a_plain_image_takes_names_that_it_can_say() {
    if tools().is_none() {
        return;
    }
    let image = made(&["--norock"], &|_| {});
    let c = changes([
        ("KS.CFG", put("text")),
        ("NEW/DIR/FILE.TXT", put(vec![1; 9999])),
        ("README.TXT", put("r")),
    ]);
    prove(&image, &c);
    let e = graft(&image, &changes([("a name with blanks", put("x"))]), &Options::default())
        .unwrap_err();
    assert!(e.to_string().starts_with("/a name with blanks: the medium has no Rock Ridge"), "{e}");
    let lower = grafted(&image, &changes([("readme.txt", put("lower"))]));
    assert_eq!(model_of(&lower)["README.TXT"], Some(b"lower".to_vec()));
}

#[test]
fn names_of_one_inode_stay_together_and_others_apart() {
    if support::packaged("/usr/bin/xorriso", "xorriso").is_none() {
        return;
    }
    // Without inode numbers names that share an extent are taken for two files.
    for (options, linked) in [(&["-r", "-J", "--hardlinks"][..], true), (&["-r", "-J"], false)] {
        let image = made(options, &|_| {});
        let out = grafted(&image, &changes([("images/one.img", put("new"))]));
        let (before, m) = (model_of(&image), model_of(&out));
        assert_eq!(m["images/one.img"], Some(b"new".to_vec()));
        assert_eq!(m["images/twin.img"], before["images/twin.img"]);
        assert_eq!(m["images/linked.img"] == m["images/one.img"], linked, "{options:?}");
        check(&out);
        // Taken apart where both are told.
        let c = changes([("images/one.img", put("1")), ("images/linked.img", put("2"))]);
        check_views(&grafted(&image, &c), &applied(before, &c));
    }
}

#[test]
fn what_can_not_be_done_is_told() {
    let Some(udf) = material("hard-g-udf.iso") else { return };
    let refused = |image: &Content, c: Changes, says: &str| {
        let e = graft(image, &c, &Options::default()).unwrap_err();
        assert!(e.to_string().contains(says), "{e}");
    };
    refused(&udf, changes([("x", put("x"))]), "UDF");
    let Some(image) = material("el9.iso") else { return };
    refused(&image, changes([("isolinux", put("x"))]), "/isolinux: a folder stands");
    refused(&image, changes([(".discinfo/x", put("x"))]), "is no folder");
    refused(
        &image,
        changes([("isolinux/boot.cat", put("x"))]),
        "/isolinux/boot.cat: this file is the boot catalog",
    );
    refused(&image, changes([("isolinux/isolinux.bin", put("x"))]), "too short for the table");
    let mut c = Changes::default();
    c.areas.insert(1 << 20, "x".into());
    refused(&image, c, "neither a partition");
}

#[test]
fn files_of_several_extents_come_and_go() {
    let Some(image) = material("hard-big.iso") else { return };
    let whole = |image: &Content, path: &str| {
        let iso = iso9660::open(image).unwrap().unwrap();
        iso.tree.file(&TreePath::new(path).unwrap()).unwrap().clone()
    };
    let content = Content::concat(["begin".into(), Content::zeros(5_000_000_000), "end".into()]);
    let big = |content| Change::Put { content, mode: None, mtime: None };
    let out =
        grafted(&image, &changes([("new.img", big(content.clone())), ("zzz.txt", put("small"))]));
    check(&out);
    assert_eq!(whole(&out, "new.img").len(), 5_000_000_008);
    assert_eq!(whole(&out, "big.img").len(), 4_500_000_000);
    let mut end = [0; 3];
    whole(&out, "new.img").read_at(&mut end, 5_000_000_005).unwrap();
    assert_eq!(&end, b"end");
    let out = grafted(&out, &changes([("big.img", put("not so big"))]));
    check(&out);
    assert_eq!(whole(&out, "big.img").len(), 10);
    let out = grafted(&out, &changes([("big.img", big(content))]));
    check(&out);
    assert_eq!(whole(&out, "big.img").len(), 5_000_000_008);
}

/// GRUB's own images: `--grub2-mbr` and `--grub2-boot-info` tell where the boot image stands.
#[test]
fn grub_pointers_follow_the_boot_image() {
    if tools().is_none() {
        return;
    }
    let mbr = "/usr/lib/grub/i386-pc/boot_hybrid.img";
    if support::packaged(mbr, "grub-pc-bin").is_none() {
        return;
    }
    let image = |b: u8| (0..30_000u32).map(|i| (i % 251) as u8 ^ b).collect::<Vec<u8>>();
    let made = made(
        &[
            "-r",
            "-J",
            "-b",
            "eltorito.img",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
            "-boot-info-table",
            "--grub2-boot-info",
            "--grub2-mbr",
            mbr,
            "-c",
            "boot.cat",
            "--protective-msdos-label",
        ],
        &|root| std::fs::write(root.join("eltorito.img"), image(0)).unwrap(),
    );
    let told = |image: &Content| {
        let e = boot_entry(image, false);
        let bytes = e.content.read_all(1 << 20).unwrap();
        let first = sector(image, 0);
        assert_eq!(le32(&first, 0x1b0), e.lba as usize * 4 + 4, "the boot record");
        assert_eq!(le32(&bytes, 2548), e.lba as usize * 4 + 5, "the boot image");
        assert!(e.boot_info.unwrap().ok, "the table");
        e.lba
    };
    let before = told(&made);
    // In place, then grown.
    let out = prove(&made, &changes([("eltorito.img", put(image(7)))]));
    assert_eq!(told(&out), before);
    let out = prove(&out, &changes([("eltorito.img", put([image(7), image(8)].concat()))]));
    assert!(told(&out) > before);
}

/// Bases for random changes.
fn bases() -> &'static [Content] {
    static BASES: OnceLock<Vec<Content>> = OnceLock::new();
    BASES.get_or_init(|| {
        if support::packaged("/usr/bin/xorriso", "xorriso").is_none() {
            return Vec::new();
        }
        [
            &["-r"][..],
            &["-r", "-J"],
            &["--norock", "-J"],
            &["-r", "-J", "--hardlinks", "-partition_offset", "16"],
        ]
        .map(|options| made(options, &|_| {}))
        .to_vec()
    })
}

fn some_changes() -> impl Strategy<Value = Changes> {
    let file = prop_oneof![
        proptest::sample::select(vec![
            "readme.txt",
            "empty",
            "images/two.img",
            "images/twin.img",
            "boot/grub/grub.cfg",
            "isolinux/isolinux.cfg",
            "A Longer Name With Blanks.conf",
        ])
        .prop_map(str::to_owned),
        (0..3u8, 0..40u8).prop_map(|(d, f)| format!("new/{d}/a file of the number {f}.txt")),
        (0..60u8)
            .prop_map(|f| format!("boot/grub/module-{f}-{}.mod", "m".repeat(usize::from(f) / 2))),
    ];
    let bytes = (0..5000usize, any::<u8>()).prop_map(|(n, b)| put(vec![b; n]));
    let folder = proptest::sample::select(vec!["images", "new", "new/1", "boot", "boot/grub"]);
    let change = prop_oneof![
        6 => (file.clone(), bytes),
        2 => (file, Just(Change::Remove)),
        1 => (folder.prop_map(str::to_owned), Just(Change::Remove)),
    ];
    proptest::collection::vec(change, 0..60)
        .prop_map(|all| changes(all.iter().map(|(p, c)| (p.as_str(), c.clone()))))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_agree_with_a_map(
        base in 0..4usize,
        series in proptest::collection::vec(some_changes(), 1..4),
    ) {
        let Some(base) = bases().get(base) else { return Ok(()) };
        let (mut image, mut model) = (base.clone(), model_of(base));
        for c in &series {
            image = grafted(&image, c);
            model = applied(model, c);
            check_views(&image, &model);
            // What is removed and put back in one go is written anew each time.
            let removed = |p: &TreePath| {
                let gone = |(d, c): (&TreePath, &Change)| matches!(c, Change::Remove) && p.starts_with(d) && p != d;
                c.files.iter().any(gone)
            };
            if !c.files.iter().any(|(p, c)| matches!(c, Change::Put { .. }) && removed(p)) {
                prop_assert!(same(&grafted(&image, c), &image));
            }
        }
    }

    #[test]
    fn a_mutated_image_gives_an_error_or_the_right_tree(
        base in 0..4usize,
        places in proptest::collection::vec((0..60 * SECTOR, any::<u8>()), 1..8),
        cut in proptest::option::of(0..400usize),
        c in some_changes(),
    ) {
        let Some(base) = bases().get(base) else { return Ok(()) };
        let mut bytes = base.read_all(1 << 24).unwrap();
        places.iter().for_each(|(at, b)| bytes[*at] ^= b);
        if let Some(cut) = cut {
            bytes.truncate(cut * SECTOR);
        }
        let image = Content::from(bytes);
        let Ok(g) = graft(&image, &c, &Options { timestamp: NOW }) else { return Ok(()) };
        let expected = applied(model_of(&image), &c);
        assert_same(&model_of(&g.content), &expected, "our reader");
    }
}

#[test]
fn an_image_that_is_cut_anywhere_is_told_or_grafted() {
    if let Some(base) = bases().get(1) {
        let c = changes([
            ("new/folder/ks.cfg", put("text\n")),
            ("readme.txt", put("longer than it was")),
        ]);
        for n in 0..base.len() / 2048 {
            let cut = base.slice(0..n * 2048).unwrap();
            if let Ok(g) = graft(&cut, &c, &Options { timestamp: NOW }) {
                assert_same(&model_of(&g.content), &applied(model_of(&cut), &c), "cut");
            }
        }
    }
}
