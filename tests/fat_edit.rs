//! The FAT editor against fsck.fat, mtools and 7z, on images that others made.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::ErrorKind;
use isowright::content::path::TreePath;
use isowright::content::tree::Tree;
use isowright::content::{Content, Segment};
use isowright::format::fat::{self, Change, Edited};
use isowright::media;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const TIME: i64 = 1_700_000_000;

type Changes = BTreeMap<TreePath, Change>;

fn p(s: &str) -> TreePath {
    s.parse().unwrap()
}

fn put(list: &[(&str, &[u8])]) -> Changes {
    list.iter().map(|(at, b)| (p(at), Change::Put(b.to_vec().into()))).collect()
}

fn remove(list: &[&str]) -> Changes {
    list.iter().map(|at| (p(at), Change::Remove)).collect()
}

fn bytes(c: &Content) -> Vec<u8> {
    c.read_all(1 << 30).unwrap()
}

fn tree(image: &Content) -> Tree {
    fat::open(image).unwrap().expect("a FAT")
}

/// Paths and bytes; folders have none.
fn listing(image: &Content) -> BTreeMap<String, Option<Vec<u8>>> {
    tree(image).iter().map(|(p, n)| (p.to_string(), n.content().map(bytes))).collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..len).map(|_| next()).collect()
}

struct Tools {
    dir: tempfile::TempDir,
}

impl Tools {
    fn new() -> Option<Self> {
        support::packaged("/usr/sbin/fsck.fat", "dosfstools")?;
        support::packaged("/usr/sbin/mkfs.vfat", "dosfstools")?;
        support::packaged("/usr/bin/mtype", "mtools")?;
        support::packaged("/usr/bin/7z", "7zip")?;
        Some(Tools { dir: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, image: &Content) -> PathBuf {
        let path = self.path("image");
        std::fs::write(&path, bytes(image)).unwrap();
        path
    }

    fn run(&self, program: &str, args: &[&str]) -> (bool, Vec<u8>) {
        let out = Command::new(program)
            .args(args)
            .env("MTOOLS_SKIP_CHECK", "1")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let told = [&out.stdout[..], &out.stderr].concat();
        (out.status.success(), if out.status.success() { out.stdout } else { told })
    }

    fn fsck(&self, image: &Content, place: &str) {
        let path = self.write(image);
        let (clean, told) = self.run("fsck.fat", &["-n", "-v", path.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&told);
        let complains = [
            "differ",
            "wrong",
            "Dirty",
            "dirty",
            "Orphan",
            "orphan",
            "bad",
            "Free cluster summary",
        ];
        let complaint = told.lines().find(|l| complains.iter().any(|c| l.contains(c)));
        assert!(clean && complaint.is_none(), "{place}: {complaint:?}\n{told}");
    }

    /// Each file as 7z and mtools read it, where they take such images: `before` is one as its maker
    /// left it.
    fn same_by_others(&self, before: &Content, image: &Content, mtools: bool, place: &str) {
        let seven = self.run("7z", &["l", self.write(before).to_str().unwrap()]).0;
        let path = self.write(image);
        let path = path.to_str().unwrap();
        if seven {
            self.same_by_seven(image, path, place);
        }
        let t = tree(image);
        for (p, content) in t.files().filter(|(p, _)| mtools && p.as_bytes().is_ascii()) {
            let (ok, theirs) = self.run("mtype", &["-i", path, &format!("::/{p}")]);
            assert!(ok && theirs == bytes(content), "{place}: mtools reads {p} otherwise");
        }
        let (ok, listing) = self.run("mdir", &["-/", "-b", "-i", path]);
        let lines = listing.iter().filter(|b| **b == b'\n').count();
        assert!(!mtools || (ok && lines == t.len()), "{place}: mtools sees {lines}");
    }

    fn same_by_seven(&self, image: &Content, path: &str, place: &str) {
        let out = self.path("out");
        let _ = std::fs::remove_dir_all(&out);
        let to = format!("-o{}", out.display());
        let (ok, told) = self.run("7z", &["x", "-y", &to, path]);
        assert!(ok, "{place}: {}", String::from_utf8_lossy(&told));
        let mut files = 0;
        for (p, content) in tree(image).files() {
            files += 1;
            // Names that mtools put there as short ones of another code page.
            if !p.as_bytes().is_ascii() && p.as_bytes() != "grün.txt".as_bytes() {
                continue;
            }
            let theirs = std::fs::read(out.join(p.as_path()))
                .unwrap_or_else(|e| panic!("{place}: {p}: {e}"));
            assert!(theirs == bytes(content), "{place}: 7z reads {p} otherwise");
        }
        assert_eq!(count_files(&out), files, "{place}: 7z sees other files");
    }

    fn made(&self, program: &str, args: &[&str]) -> Content {
        let path = self.path("made");
        let _ = std::fs::remove_file(&path);
        let mut args = args.to_vec();
        let p = path.to_str().unwrap().to_owned();
        args.iter_mut().filter(|a| **a == "IMAGE").for_each(|a| *a = &p);
        let (ok, told) = self.run(program, &args);
        assert!(ok, "{program} {args:?}: {}", String::from_utf8_lossy(&told));
        std::fs::read(&path).unwrap().into()
    }
}

fn count_files(dir: &Path) -> usize {
    let each = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    each.map(|e| if e.path().is_dir() { count_files(&e.path()) } else { 1 }).sum()
}

/// `mkfs.vfat` options and KiB, and whether mtools takes what comes out.
const MKFS: &[(&[&str], &str, bool)] = &[
    (&["-F", "12"], "1440", true),
    (&["-F", "12", "-s", "1", "-r", "16"], "1024", true),
    (&["-F", "12", "-S", "2048", "-r", "256"], "2880", true),
    // A root folder of half a sector too much, which mtools rounds down: fsck.fat then finds its own
    // files broken.
    (&["-F", "12", "-S", "2048"], "2880", false),
    (&["-F", "12", "-f", "1", "-r", "224"], "2880", true),
    (&["-F", "16"], "16384", true),
    (&["-F", "16", "-s", "1"], "4096", true),
    (&["-F", "16", "-S", "1024", "-s", "1", "-a"], "8192", true),
    (&["-F", "32"], "40000", true),
    (&["-F", "32", "-s", "1"], "4096", false),
    (&["-F", "32", "-s", "8", "-R", "64"], "8192", false),
    (&["-F", "32", "-S", "2048", "-s", "1"], "8192", false),
];

fn made_images(tools: &Tools) -> Vec<(String, Content, bool)> {
    let mut all = Vec::new();
    for (options, kib, mtools) in MKFS {
        let args = [&["-C", "-n", "VENDOR", "-i", "1234abcd"], *options, &["IMAGE", *kib]].concat();
        all.push((format!("mkfs.vfat {options:?} {kib}"), tools.made("mkfs.vfat", &args), *mtools));
    }
    for args in [
        &["-C", "-f", "1440", "-i", "IMAGE", "::"][..],
        &["-C", "-f", "2880", "-v", "EFI", "-i", "IMAGE", "::"],
        &["-C", "-T", "5760", "-h", "1", "-s", "1", "-N", "0", "-i", "IMAGE", "::"],
        &["-C", "-T", "131072", "-h", "64", "-s", "32", "-F", "-c", "1", "-i", "IMAGE", "::"],
    ] {
        all.push((format!("mformat {args:?}"), tools.made("mformat", args), true));
    }
    all
}

/// Images with files in them, from the material and from installed packages.
fn vendor_images() -> Vec<(String, Content, bool)> {
    let mut all = Vec::new();
    for name in ["hard-fat12.img", "hard-fat16.img", "hard-fat32.img", "hard-fat32-small.img"] {
        if let Some(path) = support::material(name) {
            let image: Content = std::fs::read(path).unwrap().into();
            all.push((name.to_owned(), image, !name.contains("small")));
        }
    }
    let isos = [
        support::material("debian-installer.iso"),
        support::material("debian-live.iso"),
        support::material("el9.iso"),
        support::material("hard-hybrid.iso"),
        support::packaged("/usr/lib/ipxe/ipxe.iso", "ipxe"),
        support::packaged("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+"),
    ];
    for iso in isos.into_iter().flatten() {
        let m = media::open("iso", Content::open(&iso).unwrap()).unwrap();
        for f in &m.fat_images {
            let name = format!("{}: {}", iso.display(), f.name);
            all.push((name, f.content.clone(), true));
        }
    }
    assert!(all.len() > 3);
    all
}

fn edit(image: &Content, changes: &Changes, place: &str) -> Edited {
    fat::edit(image, changes, TIME).unwrap_or_else(|e| panic!("{place}: {e}"))
}

const SOME: &[(&str, &[u8])] = &[
    ("EFI/BOOT/grub.cfg", b"serial --unit=1\n"),
    ("EFI/debian/a much longer name than 8.3, with blanks.conf", b"x"),
    ("loader/entries/One.conf", b"title One\n"),
    ("UPPER.TXT", b""),
    ("grün.txt", b"green"),
    ("a.b.c.d", b"dots"),
];

#[test]
fn edited_images_are_clean_and_read_alike_by_all() {
    let Some(tools) = Tools::new() else { return };
    for (name, image, mtools) in made_images(&tools).into_iter().chain(vendor_images()) {
        let before = listing(&image);
        let none = edit(&image, &Changes::new(), &name);
        assert!(!none.grown && bytes(&none.image) == bytes(&image), "{name}");
        let big = noise(70_001);
        let changes: Changes =
            put(SOME).into_iter().chain(put(&[("EFI/big file.bin", &big)])).collect();
        let new = edit(&image, &changes, &name);
        tools.fsck(&new.image, &name);
        tools.same_by_others(&image, &new.image, mtools, &name);
        let twice = edit(&new.image, &changes, &name);
        assert!(bytes(&twice.image) == bytes(&new.image), "{name}: twice is not once");
        let again = edit(&image, &changes, &name);
        assert!(bytes(&again.image) == bytes(&new.image), "{name}: not the same each time");
        let after = listing(&new.image);
        for (path, content) in &before {
            let changed = changes.keys().any(|c| c.to_string().eq_ignore_ascii_case(path));
            assert!(changed || after[path] == *content, "{name}: {path} has changed");
        }
        let back: Changes = undo(&before, &new.image);
        let old = edit(&new.image, &back, &name);
        assert_eq!(listing(&old.image), before, "{name}: undone");
        tools.fsck(&old.image, &name);
    }
}

/// What leads back to `before`: its contents, and nothing that it did not have.
fn undo(before: &BTreeMap<String, Option<Vec<u8>>>, now: &Content) -> Changes {
    let mut back = Changes::new();
    for path in listing(now).keys().filter(|path| !before.contains_key(*path)) {
        back.insert(p(path), Change::Remove);
    }
    for (path, content) in before {
        if let Some(content) = content {
            back.insert(p(path), Change::Put(content.clone().into()));
        }
    }
    back
}

#[test]
fn a_full_image_grows_and_keeps_what_names_it() {
    let Some(tools) = Tools::new() else { return };
    for (name, image, mtools) in made_images(&tools) {
        let small = edit(&image, &put(SOME), &name);
        let was = bytes(&small.image);
        let big = noise(was.len() + 12_345);
        let new = edit(&small.image, &put(&[("EFI/BOOT/initrd.img", &big)]), &name);
        assert!(new.grown, "{name}");
        tools.fsck(&new.image, &name);
        let b = bytes(&new.image);
        tools.same_by_others(&image, &new.image, mtools, &name);
        assert_eq!(fat::size(&new.image), Some(b.len() as u64), "{name}");
        assert_eq!(b.len() % 2048, 0, "{name}");
        // OEM name, sector, cluster; serial number and label of the same or the next width.
        assert_eq!(b[3..14], was[3..14], "{name}");
        let id =
            |b: &[u8]| if b[22..24] == [0, 0] { b[67..82].to_vec() } else { b[39..54].to_vec() };
        assert_eq!(id(&b), id(&was), "{name}");
        let shared = new.image.segments().filter(|s| matches!(s, Segment::Bytes(_))).count();
        assert!(shared > 1, "{name}");
        let back = edit(&new.image, &remove(&["EFI/BOOT/initrd.img"]), &name);
        assert_eq!(listing(&back.image), listing(&small.image), "{name}");
        tools.fsck(&back.image, &name);
    }
}

#[test]
fn widths_follow_each_other() {
    let Some(tools) = Tools::new() else { return };
    let image =
        tools.made("mkfs.vfat", &["-C", "-F", "12", "-s", "1", "-n", "STEPS", "IMAGE", "1024"]);
    let mut now = edit(&image, &put(SOME), "steps").image;
    let width = |c: &Content| match &bytes(c)[..90] {
        b if b[22..24] == [0, 0] => String::from_utf8_lossy(&b[82..87]).into_owned(),
        b => String::from_utf8_lossy(&b[54..59]).into_owned(),
    };
    for (i, (len, wide)) in [
        (1 << 20, "FAT12"),
        (2 << 20, "FAT16"),
        (28 << 20, "FAT16"),
        (4 << 20, "FAT32"),
        (1 << 20, "FAT32"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("dir {i}/file.bin");
        now = edit(&now, &put(&[(&file, &noise(len))]), wide).image;
        assert_eq!(width(&now), wide, "step {i}");
        tools.fsck(&now, wide);
        tools.same_by_others(&image, &now, true, wide);
    }
}

#[test]
fn folders_grow_and_so_does_the_fixed_root() {
    let Some(tools) = Tools::new() else { return };
    for (name, image, _) in made_images(&tools).into_iter().filter(|(_, i, _)| i.len() < 5 << 20) {
        let sub = (0..60).map(|i| format!("sub/number {i} of many.txt"));
        // Three slots each: more than 512, the most that a fixed root is made with.
        let many: Changes = sub
            .chain((0..180).map(|i| format!("root {i} of many.txt")))
            .map(|at| (p(&at), Change::Put(at.into_bytes().into())))
            .collect();
        let new = edit(&image, &many, &name);
        assert_eq!(listing(&new.image).len(), 241, "{name}");
        tools.fsck(&new.image, &name);
        let gone: Changes = many.keys().map(|at| (at.clone(), Change::Remove)).collect();
        let back = edit(&new.image, &gone, &name);
        assert_eq!(listing(&back.image).into_keys().collect::<Vec<_>>(), ["sub"], "{name}");
        tools.fsck(&back.image, &name);
    }
}

#[test]
fn a_small_edit_changes_few_sectors() {
    let Some(path) = support::material("hard-fat32.img") else { return };
    let image = Content::open(&path).unwrap();
    let new = edit(&image, &put(&[("hello.txt", b"other")]), "small").image;
    let own: u64 =
        new.segments().filter(|s| !matches!(s, Segment::Extent { .. })).map(Segment::len).sum();
    assert_eq!(new.len(), image.len());
    assert!(own < 8192, "{own} bytes");
}

#[test]
fn names_heed_no_case_and_conflicts_are_told() {
    let Some(tools) = Tools::new() else { return };
    let image = tools.made("mkfs.vfat", &["-C", "IMAGE", "2048"]);
    let image = edit(&image, &put(&[("EFI/Boot/A long name.txt", b"1")]), "names").image;
    let new = edit(&image, &put(&[("efi/BOOT/A LONG NAME.TXT", b"22")]), "names").image;
    assert_eq!(listing(&new)["EFI/Boot/A long name.txt"], Some(b"22".to_vec()));
    let by_short = edit(&image, &put(&[("EFI/BOOT/ALONGN~1.TXT", b"333")]), "names").image;
    assert_eq!(listing(&by_short)["EFI/Boot/A long name.txt"], Some(b"333".to_vec()));
    let kind = |c: &Changes| fat::edit(&image, c, TIME).unwrap_err().kind();
    assert_eq!(kind(&put(&[("a", b""), ("A", b"")])), ErrorKind::Conflict);
    assert_eq!(kind(&put(&[("EFI", b"")])), ErrorKind::Conflict);
    assert_eq!(kind(&put(&[("efi/boot/a long name.txt/x", b"")])), ErrorKind::Conflict);
    assert_eq!(
        kind(&put(&[("EFI/BOOT/ALONGN~1.TXT", b""), ("EFI/BOOT/a long name.txt", b"")])),
        ErrorKind::Conflict
    );
    let both = put(&[("efi/x", b"")]).into_iter().chain(remove(&["EFI"])).collect();
    assert_eq!(kind(&both), ErrorKind::Conflict);
    for bad in ["a:b", "a?", "dot.", "blank ", &"x".repeat(256)] {
        assert_eq!(kind(&put(&[(bad, b"")])), ErrorKind::Usage, "{bad}");
    }
    let nothing = edit(&image, &remove(&["none", "none/x", "EFI/Boot/A long name.txt/y"]), "none");
    assert!(bytes(&nothing.image) == bytes(&image));
}

/// xorshift64*: the mutants are the same on each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }
}

#[test]
fn cut_and_mutated_images_are_refused_or_edited_rightly() {
    let Some(tools) = Tools::new() else { return };
    let changes: Changes = put(SOME).into_iter().chain(remove(&["many"])).collect();
    for (name, image, _) in made_images(&tools).into_iter().filter(|(_, i, _)| i.len() < 5 << 20) {
        let image = edit(&image, &put(&[("many/a", b"1"), ("many/b", &noise(9000))]), &name).image;
        let image: Content = bytes(&image).into();
        for n in 0..image.len() / 512 {
            let cut = image.slice(0..n * 512).unwrap();
            assert!(fat::edit(&cut, &changes, TIME).is_err(), "{name} cut at sector {n}");
        }
        let mut dice = Dice(0xed17);
        let (mut refused, mut edited) = (0, 0);
        // Parameter block, tables, folders.
        let near = 64 << 10;
        for i in 0..400 {
            let mut b = bytes(&image);
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(if i % 2 == 0 { 512 } else { near }) as usize;
                b[at] = if dice.roll(2) == 0 {
                    dice.roll(256) as u8
                } else {
                    b[at] ^ 1 << dice.roll(8)
                };
            }
            let started = std::time::Instant::now();
            match fat::edit(&b.into(), &changes, TIME) {
                Err(_) => refused += 1,
                Ok(e) => {
                    edited += 1;
                    let t = tree(&e.image);
                    let c = t.file_any_case(&p("EFI/BOOT/grub.cfg")).expect("put").1;
                    assert_eq!(bytes(c), SOME[0].1, "{name} mutant {i}");
                }
            }
            assert!(started.elapsed().as_secs() < 20, "{name} mutant {i}");
        }
        eprintln!("{name}: {refused} refused, {edited} edited");
        assert!(edited > 0 && refused > 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, usize),
    Remove(usize),
}

/// Few names, so that they meet: files in folders, and folders over them.
const NAMES: [&str; 12] = [
    "a",
    "b.txt",
    "Long Name.txt",
    "d/x",
    "d/y y y",
    "d/e/z",
    "d/e/f/deep.cfg",
    "D2/LOUD.TXT",
    "D2/quiet.txt",
    "ü/ö",
    "d/e",
    "D2",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..10usize, 0..40_000usize).prop_map(|(n, len)| Step::Put(n, len)),
        1 => (0..NAMES.len()).prop_map(Step::Remove),
    ]
}

fn small(which: usize) -> Content {
    static MADE: std::sync::OnceLock<Vec<Content>> = std::sync::OnceLock::new();
    let all = MADE.get_or_init(|| {
        let tools = Tools::new().unwrap();
        let make = |o: &[&str]| tools.made("mkfs.vfat", &[&["-C"], o, &["IMAGE", "256"]].concat());
        vec![
            make(&["-F", "12", "-s", "1", "-r", "16"]),
            make(&["-F", "12", "-s", "4"]),
            make(&["-F", "32", "-s", "1"]),
        ]
    });
    all[which].clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(5000), ..ProptestConfig::default() })]
    #[test]
    fn series_of_edits_are_what_a_map_makes_of_them(
        which in 0..3usize,
        series in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..8),
    ) {
        let Some(tools) = Tools::new() else { return Ok(()) };
        let mut image = small(which);
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (i, steps) in series.iter().enumerate() {
            let mut changes = Changes::new();
            for s in steps {
                match s {
                    Step::Put(n, len) => changes.insert(p(NAMES[*n]), Change::Put(noise(*len).into())),
                    Step::Remove(n) => changes.insert(p(NAMES[*n]), Change::Remove),
                };
            }
            let edited = match fat::edit(&image, &changes, TIME + i as i64) {
                Ok(e) => e,
                Err(e) => {
                    prop_assert_eq!(e.kind(), ErrorKind::Conflict);
                    continue;
                }
            };
            let twice = fat::edit(&edited.image, &changes, TIME).unwrap();
            prop_assert!(bytes(&twice.image) == bytes(&edited.image));
            for path in changes.iter().filter(|(_, c)| matches!(c, Change::Remove)).map(|(p, _)| p.to_string()) {
                model.retain(|at, _| *at != path && !at.starts_with(&format!("{path}/")));
            }
            for (path, c) in &changes {
                if let Change::Put(c) = c {
                    model.insert(path.to_string(), bytes(c));
                }
            }
            image = edited.image;
            let files: BTreeMap<String, Vec<u8>> =
                listing(&image).into_iter().filter_map(|(p, c)| Some((p, c?))).collect();
            prop_assert_eq!(&files, &model);
        }
        tools.fsck(&image, "series");
    }
}
