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
            assert!(r.len() % 2 == 0);
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
        assert_eq!((&all[1][33..34], le32(&all[1], 2)), (&[1][..], parent), "..");
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

fn path_table(image: &Content, base: usize, d: &[u8], big: bool) -> BTreeMap<usize, (usize, Vec<u8>)> {
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
    run("bsdtar", &["-xf", name, "-C", tar.to_str().unwrap(), "--no-same-permissions"]);
    assert_same(&folder_model(&tar), expected, "bsdtar");
    let log = run("xorriso", &[
        "-abort_on", "SORRY", "-return_with", "SORRY", "0", "-read_fs", "any", "-osirrox", "on", "-indev",
        name, "-extract", "/", xo.to_str().unwrap(), "-chmod_r", "u+rwX", xo.to_str().unwrap(),
    ]);
    assert!(!log.contains("WARNING"), "{log}");
    assert!(bag(&folder_model(&xo)) == bag(expected), "xorriso");
    if view == View::RockRidge {
        assert_same(&folder_model(&xo), expected, "xorriso");
        let list: BTreeSet<String> = run("isoinfo", &["-R", "-f", "-i", name])
            .lines()
            .filter_map(|l| l.strip_prefix('/').map(str::to_owned))
            .collect();
        assert!(expected.keys().all(|k| list.contains(k)), "isoinfo -R");
    }
    if masked(image, View::Joliet).is_some() {
        let list = run("isoinfo", &["-J", "-f", "-i", name]).lines().count();
        assert!(list >= expected.len(), "isoinfo -J shows {list} of {}", expected.len());
    }
    run("7z", &["x", "-y", &format!("-o{}", zip.to_str().unwrap()), name]);
    let got = bag(&folder_model(&zip));
    let missing = bag(expected).into_iter().filter(|(b, n)| got.get(b) < Some(n)).count();
    assert_eq!(missing, 0, "7z");
    if hybrid::read(image).unwrap().gpt.is_some() {
        let text = run("sgdisk", &["-v", name]);
        let before = text.contains("overlap");
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
    let again = grafted(&out, c);
    assert!(same(&again, &out), "a second graft changes nothing");
    out
}

fn boot_paths(image: &Content) -> BTreeSet<String> {
    let m = media::open("test", image.clone()).unwrap();
    m.boot.iter().flat_map(|c| &c.entries).filter_map(|e| e.path.as_ref().map(|p| p.to_string())).collect()
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
