//! What independent tools see of an ISO, as values that compare: its tree, by xorriso, bsdtar, 7z and
//! isoinfo; its boot structures, by xorriso, sgdisk, checkisomd5 and fsck.fat. Nothing of ours is
//! asked.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// Path below the root, with `/` between its parts -> what is there.
pub type Tree = BTreeMap<String, Entry>;

/// What a tool knows of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Permission bits, by Rock Ridge; `None` where the tool or the view has none.
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Dir,
    /// `sha256` in hex; `None` where only names were asked for.
    File {
        size: u64,
        sha256: Option<String>,
    },
    /// `None`: a link, and the tool can't say where to.
    Link(Option<String>),
}

/// How much is compared. Bytes cost the image's size several times, on disk too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names, kinds, sizes, modes, link targets.
    Names,
    /// The digest of each file too.
    Bytes,
}

/// A file's entry, to put into a tree that is expected.
pub fn file(bytes: &[u8], mode: u32) -> Entry {
    let sha256 = Some(hex(&Sha256::digest(bytes)));
    Entry { kind: Kind::File { size: bytes.len() as u64, sha256 }, mode: Some(mode) }
}

/// Every tool's tree is `expected`, as far as the tool and the view can know. Panics with tool, path and
/// both values.
pub fn assert_same_everywhere(image: &Path, expected: &Tree, depth: Depth) {
    let views = views(image);
    agree("xorriso", image, &xorriso_tree(image, depth), expected, true);
    // Known: bsdtar takes Rock Ridge before Joliet; links are lost with Joliet alone.
    agree("bsdtar", image, &bsdtar_tree(image, depth), expected, views.rock_ridge);
    if depth == Depth::Bytes {
        agree("7z", image, &seven_zip_tree(image), expected, false);
    }
    if views.rock_ridge {
        agree("isoinfo -R", image, &isoinfo_tree(image, "-R", depth), expected, true);
    }
    if views.joliet {
        agree("isoinfo -J", image, &isoinfo_tree(image, "-J", depth), expected, false);
    }
}

fn agree(tool: &str, image: &Path, seen: &Tree, expected: &Tree, links: bool) {
    let place = |path: &str| format!("{tool}, {}: {path}", image.display());
    let counts = |e: &Entry| links || !matches!(e.kind, Kind::Link(_));
    for (path, want) in expected.iter().filter(|(_, e)| counts(e)) {
        let got = seen.get(path).unwrap_or_else(|| panic!("{} is not there", place(path)));
        match (&got.kind, &want.kind) {
            (Kind::Link(None), Kind::Link(_)) => {}
            (Kind::File { size, sha256 }, Kind::File { size: s, sha256: d }) => {
                assert_eq!(size, s, "{}: size", place(path));
                if sha256.is_some() && d.is_some() {
                    assert_eq!(sha256, d, "{}: content", place(path));
                }
            }
            (got, want) => assert_eq!(got, want, "{}", place(path)),
        }
        // A link's mode means nothing, and Linux has none to give it.
        let link = matches!(want.kind, Kind::Link(_));
        if got.mode.is_some() && want.mode.is_some() && !link {
            assert_eq!(got.mode, want.mode, "{}: mode, in decimal", place(path));
        }
    }
    for path in seen.keys() {
        let known = expected.get(path).is_some_and(counts);
        // Known: 7z makes a file of a link.
        let link = !links && expected.contains_key(path) && tool == "7z";
        assert!(known || link, "{} should not be there", place(path));
    }
}

/// Which trees an image has, by isoinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    pub rock_ridge: bool,
    pub joliet: bool,
}

pub fn views(image: &Path) -> Views {
    let text = run("isoinfo", &["-d", "-i", text(image)]).out;
    Views {
        rock_ridge: text.contains("Rock Ridge signatures version"),
        joliet: text.contains("Joliet with UCS level"),
    }
}

pub fn xorriso_tree(image: &Path, depth: Depth) -> Tree {
    let rock_ridge = views(image).rock_ridge;
    let listed =
        run("xorriso", &["-indev", text(image), "-find", "/", "-exec", "lsdl", "--"]).good();
    let mut tree: Tree = listed.lines().filter_map(|l| lsdl(l, rock_ridge)).collect();
    if depth == Depth::Bytes {
        let extracted = extracted(|to| {
            let from = ["-osirrox", "on:auto_chmod_on", "-indev", text(image)];
            run("xorriso", &[&from[..], &["-extract", "/", to]].concat()).good();
        });
        for (path, e) in extracted {
            if let (Kind::File { .. }, Some(known)) = (&e.kind, tree.get_mut(&path)) {
                assert!(matches!(&known.kind, Kind::File { .. }), "{path}");
                known.kind = e.kind;
            }
        }
    }
    tree
}

/// `-r--r--r-- 1 0 0 12 Feb 29 2024 '/path' -> 'target'`; letter `e` is the boot catalog.
fn lsdl(line: &str, rock_ridge: bool) -> Option<(String, Entry)> {
    let (facts, names) = line.split_once('\'').expect("a quoted name");
    let facts: Vec<&str> = facts.split_whitespace().collect();
    let names = names.strip_suffix('\'').expect("a quoted name");
    let (name, target) = names.split_once("' -> '").unwrap_or((names, ""));
    let path = name.trim_start_matches('/');
    let kind = match &facts[0][..1] {
        "d" => Kind::Dir,
        "l" => Kind::Link(Some(target.to_owned())),
        _ => Kind::File { size: facts[4].parse().expect("a size"), sha256: None },
    };
    let mode = rock_ridge.then(|| mode_of(&facts[0][1..10]));
    (!path.is_empty()).then(|| (path.to_owned(), Entry { kind, mode }))
}

/// `rwxr-xr-x` as a number; the letters of set-id and sticky are not told apart from `x`.
fn mode_of(text: &str) -> u32 {
    text.bytes().enumerate().filter(|(_, c)| *c != b'-').fold(0, |m, (i, _)| m | 1 << (8 - i))
}

pub fn bsdtar_tree(image: &Path, depth: Depth) -> Tree {
    let rock_ridge = views(image).rock_ridge;
    if depth == Depth::Bytes {
        let mut tree = extracted(|to| {
            run("bsdtar", &["-xpf", text(image), "-C", to]).good();
        });
        if !rock_ridge {
            tree.values_mut().for_each(|e| e.mode = None);
        }
        return tree;
    }
    // `-rw-r--r--  0 0 0 12 Feb 29 2024 path -> target`; `hrw-r--r-- 0 0 0 0 … path link to first`
    let listed = run("bsdtar", &["-tvf", text(image)]).good();
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let row = |line: &str| {
        let facts: Vec<&str> = line.split_whitespace().collect();
        let name = facts[8..].join(" ");
        let (name, first) = name.split_once(" link to ").unwrap_or((&name, ""));
        let (name, target) = name.split_once(" -> ").unwrap_or((name, ""));
        let kind = match &facts[0][..1] {
            "d" => Kind::Dir,
            "l" => Kind::Link(Some(target.to_owned())),
            _ => {
                let own = || facts[4].parse().expect("a size");
                let size = sizes.get(first).copied().unwrap_or_else(own);
                sizes.insert(name.to_owned(), size);
                Kind::File { size, sha256: None }
            }
        };
        let mode = rock_ridge.then(|| mode_of(&facts[0][1..10]));
        (name.trim_end_matches('/').to_owned(), Entry { kind, mode })
    };
    listed.lines().map(row).filter(|(name, _)| name != "." && !name.is_empty()).collect()
}

/// 7z knows neither modes nor links; it shows boot images in a folder `[BOOT]` of its own.
pub fn seven_zip_tree(image: &Path) -> Tree {
    let mut tree = extracted(|to| {
        run("7z", &["x", "-y", &format!("-o{to}"), text(image)]).good();
    });
    tree.retain(|path, _| path != "[BOOT]" && !path.starts_with("[BOOT]/"));
    tree.values_mut().for_each(|e| e.mode = None);
    tree
}

/// isoinfo's listing of one view (`-R` or `-J`), the bytes taken from the image where it says that they
/// lie. A file of several extents has a line for each.
pub fn isoinfo_tree(image: &Path, view: &str, depth: Depth) -> Tree {
    let listed = run("isoinfo", &[view, "-l", "-i", text(image)]).good();
    let source = std::fs::File::open(image).expect("image");
    let mut tree = Tree::new();
    let mut extents: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let mut folder = String::new();
    for line in listed.lines() {
        if let Some(dir) = line.strip_prefix("Directory listing of /") {
            folder = dir.trim_end().to_owned();
            continue;
        }
        // `-r--r--r--   1    0    0        12 Feb 29 2024 [     36 00]  name`
        let Some((facts, place)) = line.split_once('[') else { continue };
        let (lba, name) = place.trim_start().split_once(' ').expect("flags");
        // Known: of the flags of a file that goes on it shows `FFFF`, for 80, and no bracket.
        let name = name.split_once("]  ").map(|n| n.1).or_else(|| name.strip_prefix("FFFF "));
        let facts: Vec<&str> = facts.split_whitespace().collect();
        let name = name.expect("a name").trim_end_matches(' ');
        let (name, target) = name.split_once(" -> ").unwrap_or((name, ""));
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{folder}{name}");
        let size: u64 = facts[4].parse().expect("a size");
        let lba: u64 = lba.parse().expect("an LBA");
        let kind = match &facts[0][..1] {
            "d" => Kind::Dir,
            "l" => Kind::Link(Some(target.to_owned())),
            _ => {
                extents.entry(path.clone()).or_default().push((lba * 2048, size));
                Kind::File { size: 0, sha256: None }
            }
        };
        let mode = (view == "-R").then(|| mode_of(&facts[0][1..10]));
        tree.insert(path, Entry { kind, mode });
    }
    for (path, extents) in extents {
        let size = extents.iter().map(|e| e.1).sum();
        let sha256 = (depth == Depth::Bytes).then(|| digest_of(&source, &extents));
        tree.get_mut(&path).unwrap().kind = Kind::File { size, sha256 };
    }
    tree
}

fn digest_of(source: &std::fs::File, extents: &[(u64, u64)]) -> String {
    let mut hash = Sha256::new();
    for &(at, len) in extents {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        source.read_exact_at(&mut bytes, at).expect("the extent lies in the image");
        hash.update(&bytes);
    }
    hex(&hash.finalize())
}

/// What a tool wrote into a folder.
fn extracted(tool: impl FnOnce(&str)) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out");
    std::fs::create_dir(&to).unwrap();
    tool(text(&to));
    // Without root, folders of mode 0555 can't be emptied.
    let mut tree = Tree::new();
    walk(&to, &to, &mut tree);
    run("chmod", &["-R", "u+rwX", text(&to)]);
    tree
}

fn walk(root: &Path, dir: &Path, tree: &mut Tree) {
    for e in std::fs::read_dir(dir).expect("folder").map(|e| e.expect("entry")) {
        let path = e.path();
        let meta = path.symlink_metadata().expect("metadata");
        let kind = if meta.is_dir() {
            walk(root, &path, tree);
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Link(Some(std::fs::read_link(&path).unwrap().to_str().unwrap().to_owned()))
        } else {
            Kind::File { size: meta.len(), sha256: Some(digest(&path)) }
        };
        let name = path.strip_prefix(root).unwrap().to_str().expect("UTF-8").to_owned();
        tree.insert(name, Entry { kind, mode: Some(meta.permissions().mode() & 0o777) });
    }
}

fn digest(path: &Path) -> String {
    let mut file = std::fs::File::open(path).expect("file");
    let (mut hash, mut buf) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buf).expect("readable") {
            0 => return hex(&hash.finalize()),
            n => hash.update(&buf[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `-report_el_torito plain`, then `-report_system_area plain`: a line each, with single spaces.
pub fn boot_report(image: &Path) -> Vec<String> {
    let what = ["-report_el_torito", "plain", "-report_system_area", "plain"];
    let report = run("xorriso", &[&["-indev", text(image)][..], &what].concat()).good();
    let tidy = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
    report.lines().map(tidy).filter(|l| l.contains(": ")).collect()
}

/// The values of the report's lines with that key, in order.
pub fn reported<'a>(report: &'a [String], key: &str) -> Vec<&'a str> {
    let lines = report.iter().filter_map(|l| l.split_once(": "));
    lines.filter(|l| l.0.trim_end() == key).map(|l| l.1).collect()
}

/// What is wrong with the boot structures: xorriso's words on GPT checksums and backup, blocks that can't
/// be read, each FAT that fsck.fat finds fault with. Empty for a sound image.
pub fn faults(image: &Path) -> Vec<String> {
    let report = boot_report(image);
    let bad = ["GPT CRC should be", "GPT array CRC wrong", "GPT backup problems"];
    let mut all: Vec<String> =
        report.iter().filter(|l| bad.iter().any(|b| l.starts_with(b))).cloned().collect();
    if has_gpt(image) && reported(&report, "GPT disk GUID").is_empty() {
        all.push("GPT: there, and not one that xorriso takes".into());
    }
    all.extend(unreadable(image));
    all.extend(fat_faults(image, &report));
    all
}

/// By the signature at LBA 1, UEFI 2.10, 5.3.2: xorriso is silent about a GPT whose checksum is wrong.
fn has_gpt(image: &Path) -> bool {
    let mut signature = [0; 8];
    let source = std::fs::File::open(image).expect("image");
    source.read_exact_at(&mut signature, 512).is_ok() && &signature == b"EFI PART"
}

/// Regions that `-check_media` finds fault with. What lies behind the volume it leaves untested.
fn unreadable(image: &Path) -> Vec<String> {
    let checked = run("xorriso", &["-indev", text(image), "-check_media", "--"]).good();
    let regions: Vec<&str> = checked.lines().filter(|l| l.starts_with("Media region")).collect();
    let read = regions.iter().any(|l| l.contains(", + "));
    assert!(read, "xorriso read nothing: {checked}");
    regions.iter().filter(|l| l.contains(", - ")).map(|l| (*l).to_owned()).collect()
}

/// Where FAT images lie: `(first byte, bytes)` of the UEFI boot images and of the EFI partitions.
pub fn fats(image: &Path, report: &[String]) -> BTreeSet<(u64, u64)> {
    let n = |s: &str| s.parse::<u64>().unwrap();
    let mut found = BTreeSet::new();
    for line in reported(report, "El Torito boot img") {
        let w: Vec<&str> = line.split(' ').collect();
        if w.get(1) == Some(&"UEFI") {
            found.insert((n(w[7]) * 2048, n(w[6]) * 512));
        }
    }
    for line in reported(report, "MBR partition") {
        let w: Vec<&str> = line.split(' ').collect();
        if w.get(2) == Some(&"0xef") {
            found.insert((n(w[3]) * 512, n(w[4]) * 512));
        }
    }
    for line in reported(report, "GPT start and size") {
        let w: Vec<&str> = line.split(' ').collect();
        found.insert((n(w[1]) * 512, n(w[2]) * 512));
    }
    let source = std::fs::File::open(image).expect("image");
    let mut start = [0; 90];
    // A partition may hold something else: the ISO itself, or the gap behind it.
    found.retain(|&(at, _)| source.read_exact_at(&mut start, at).is_ok() && start_of_fat(&start));
    found
}

fn start_of_fat(boot: &[u8; 90]) -> bool {
    &boot[54..57] == b"FAT" || &boot[82..85] == b"FAT"
}

fn fat_faults(image: &Path, report: &[String]) -> Vec<String> {
    let source = std::fs::File::open(image).expect("image");
    let check = |&(at, len): &(u64, u64)| {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("fat.img");
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        if source.read_exact_at(&mut bytes, at).is_err() {
            return Some(format!("FAT at {at}: {len} bytes are more than the image has"));
        }
        std::fs::write(&part, bytes).unwrap();
        let said = run("fsck.fat", &["-n", "-v", text(&part)]);
        (said.code != 0).then(|| format!("FAT at {at}: {}", said.out.replace('\n', "; ")))
    };
    fats(image, report).iter().filter_map(check).collect()
}

/// What `sgdisk -v` complains of, numbers left out; `None` where there is no GPT. Images that isohybrid's
/// way of making a GPT went over have complaints before anybody touches them: compare with those.
pub fn gpt_complaints(image: &Path) -> Option<BTreeSet<String>> {
    if !has_gpt(image) {
        return None;
    }
    let said = run("sgdisk", &["-v", text(image)]).out;
    let marks = ["Problem", "Warning", "Error", "Caution", "Identified"];
    let complaints = said.lines().filter(|l| marks.iter().any(|m| l.starts_with(m)));
    let bare = |l: &str| l.chars().filter(|c| !c.is_ascii_digit()).collect();
    Some(complaints.filter(|l| !l.starts_with("Identified")).map(bare).collect())
}

/// checkisomd5's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implanted {
    Holds,
    Broken,
    Absent,
}

/// By its words: the status is 1 for a wrong checksum and for none.
pub fn implanted_md5(image: &Path) -> Implanted {
    let said = run("checkisomd5", &[text(image)]);
    let words = format!("{}{}", said.out, said.err);
    let result = words.split("the result is: ").nth(1).and_then(|w| w.split('.').next());
    match result {
        Some("PASS") => Implanted::Holds,
        Some("FAIL") => Implanted::Broken,
        Some("NA") => Implanted::Absent,
        _ => panic!("checkisomd5 {}: {words}", image.display()),
    }
}

struct Said {
    code: i32,
    out: String,
    err: String,
    line: String,
}

impl Said {
    fn good(self) -> String {
        assert!(self.code == 0, "{}: status {}\n{}\n{}", self.line, self.code, self.out, self.err);
        self.out
    }
}

fn run(program: &str, args: &[&str]) -> Said {
    let o = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let line = format!("{program} {}", args.join(" "));
    Said { code: o.status.code().unwrap_or(-1), out: text(&o.stdout), err: text(&o.stderr), line }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
