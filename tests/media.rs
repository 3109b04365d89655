//! The media reader against what xorriso, bsdtar and mtools say about the same images.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::content::tree::{Node, NodeKind, Special};
use isowright::content::{Content, copy};
use isowright::format::{fat, iso9660::View};
use isowright::media::{self, Media};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const IPXE: &str = "/usr/lib/ipxe/ipxe.iso";
const MEMTEST: [&str; 2] =
    ["/usr/lib/memtest86+/memtest86+x64.iso", "/usr/lib/memtest86+/memtest86+ia32.iso"];

/// Images that the scripts in tests/material make, all but the one of 4.5 GB.
const MADE: [&str; 12] = [
    "hard-rr.iso",
    "hard-rrj.iso",
    "hard-joliet.iso",
    "hard-plain.iso",
    "hard-g-reloc.iso",
    "hard-g-rrj.iso",
    "hard-g-joliet.iso",
    "hard-g-udf.iso",
    "hard-g-malformed.iso",
    "hard-hybrid.iso",
    "debian-installer.iso",
    "debian-live.iso",
];

fn images() -> Vec<PathBuf> {
    let real = [(IPXE, "ipxe"), (MEMTEST[0], "memtest86+"), (MEMTEST[1], "memtest86+")];
    let mut all: Vec<PathBuf> =
        real.iter().filter_map(|(path, package)| support::packaged(path, package)).collect();
    all.extend(MADE.iter().filter_map(|name| support::material(name)));
    all
}

fn open(path: &Path) -> Media {
    media::open(&path.display().to_string(), Content::open(path).unwrap()).unwrap()
}

fn stem(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").output().expect(program);
    String::from_utf8(out.stdout).expect("UTF-8")
}

fn iso_report(path: &Path, what: &[&str]) -> String {
    let path = path.display().to_string();
    run("xorriso", &[&["-abort_on", "NEVER", "-indev", &path], what].concat())
}

/// What an oracle says about an entry: type letter as in `ls -l`, mode, size or device, link target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    letter: char,
    mode: u32,
    size: String,
    target: String,
}

fn ours(node: &Node) -> Said {
    let (letter, size, target) = match &node.kind {
        NodeKind::File(c) => ('-', c.len().to_string(), String::new()),
        NodeKind::Dir => ('d', "0".into(), String::new()),
        NodeKind::Symlink(t) => ('l', "0".into(), String::from_utf8(t.clone()).unwrap()),
        NodeKind::Special(Special::Fifo) => ('p', "0".into(), String::new()),
        NodeKind::Special(Special::Socket) => ('s', "0".into(), String::new()),
        NodeKind::Special(Special::Char(a, b)) => ('c', format!("{a},{b}"), String::new()),
        NodeKind::Special(Special::Block(a, b)) => ('b', format!("{a},{b}"), String::new()),
    };
    Said { letter, mode: node.mode, size, target }
}

fn our_listing(m: &Media) -> BTreeMap<String, Said> {
    m.tree.iter().map(|(p, n)| (p.to_string(), ours(n))).collect()
}

/// `lsdl` lines: `drwxr-xr-x 1 0 0 0 Feb 29 2024 '/path' -> 'target'`.
fn xorriso_listing(path: &Path) -> BTreeMap<String, Said> {
    let text = iso_report(path, &["-find", "/", "-exec", "lsdl", "--"]);
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let (facts, names) = line.split_once('\'').expect("a quoted name");
        let facts: Vec<&str> = facts.split_whitespace().collect();
        let names = names.strip_suffix('\'').expect("a quoted name");
        let (name, target) = names.split_once("' -> '").unwrap_or((names, ""));
        let name = name.trim_start_matches('/').to_string();
        if name.is_empty() {
            continue;
        }
        let letter = facts[0].chars().next().unwrap();
        let said = Said {
            // xorriso marks the boot catalog, which is a file for us.
            letter: if letter == 'e' { '-' } else { letter },
            mode: mode_of(&facts[0][1..10]),
            size: facts[4].to_string(),
            target: target.to_string(),
        };
        all.insert(name, said);
    }
    all
}

/// `rwsr-xr-t` as a number.
fn mode_of(text: &str) -> u32 {
    let mut mode = 0;
    for (i, c) in text.chars().enumerate() {
        let bit = 1 << (8 - i);
        match c {
            '-' => {}
            's' | 'S' => mode |= if i == 2 { 0o4000 } else { 0o2000 },
            't' | 'T' => mode |= 0o1000,
            _ => {}
        }
        if !matches!(c, '-' | 'S' | 'T') {
            mode |= bit;
        }
    }
    mode
}

#[test]
fn every_entry_is_as_xorriso_says() {
    for path in images() {
        let m = open(&path);
        let mut ours = our_listing(&m);
        let mut theirs = xorriso_listing(&path);
        if stem(&path) == "hard-g-malformed.iso" {
            assert!(theirs.is_empty(), "known: xorriso refuses genisoimage's malformed link");
            continue;
        }
        if stem(&path).starts_with("hard-g-") {
            // Known: libisofs shows the folder that relocation left empty.
            assert_eq!(
                theirs.remove("rr_moved").is_some(),
                stem(&path) == "hard-g-reloc.iso",
                "{path:?}"
            );
            // Known: libisofs takes PN's low half alone; genisoimage writes major and minor apart.
            for dev in ["chardev", "blockdev"].iter().filter(|_| m.view == View::RockRidge) {
                let (Some(a), Some(b)) = (ours.get_mut(*dev), theirs.get(*dev)) else { continue };
                assert!(b.size.starts_with("0,"));
                assert!(matches!(&a.size[..], "5,1" | "7,3"), "{a:?}");
                a.size = b.size.clone();
            }
        }
        if m.view != View::RockRidge {
            // Without Rock Ridge nobody knows a mode: xorriso shows 0555, we 0444 for files.
            theirs.values_mut().zip(ours.values()).for_each(|(t, o)| t.mode = o.mode);
        }
        assert!(!ours.is_empty());
        for (name, said) in &theirs {
            assert_eq!(ours.get(name), Some(said), "{}: {name}", path.display());
        }
        for name in ours.keys() {
            assert!(theirs.contains_key(name), "{}: only we show {name}", path.display());
        }
    }
}

struct Mtree {
    kind: String,
    mode: u32,
    size: Option<u64>,
    link: Option<Vec<u8>>,
    sha256: Option<String>,
    time: i64,
}

/// mtree's escapes: a backslash and three octal digits.
fn unescape(s: &str) -> Vec<u8> {
    let b = s.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < b.len() {
        let octal = b.get(i + 1..i + 4).filter(|_| b[i] == b'\\');
        match octal.and_then(|o| u8::from_str_radix(std::str::from_utf8(o).unwrap(), 8).ok()) {
            Some(c) => {
                out.push(c);
                i += 4;
            }
            None => {
                out.push(b[i]);
                i += 1;
            }
        }
    }
    out
}

fn bsdtar_listing(path: &Path) -> BTreeMap<String, Mtree> {
    let options = "--options=!all,type,mode,size,link,sha256,time";
    let from = format!("@{}", path.display());
    let text = run("bsdtar", &["-cf", "-", "--format=mtree", options, &from]);
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|l| l.starts_with("./")) {
        let mut words = line.split(' ');
        let name = String::from_utf8(unescape(&words.next().unwrap()[2..])).unwrap();
        let facts: BTreeMap<&str, &str> = words.filter_map(|w| w.split_once('=')).collect();
        let entry = Mtree {
            kind: facts["type"].into(),
            mode: u32::from_str_radix(facts["mode"], 8).unwrap(),
            size: facts.get("size").map(|s| s.parse().unwrap()),
            link: facts.get("link").map(|l| unescape(l)),
            sha256: facts.get("sha256digest").map(|s| s.to_string()),
            time: facts["time"].trim_end_matches(".0").parse().unwrap(),
        };
        all.insert(name, entry);
    }
    all
}

#[test]
fn every_byte_is_as_bsdtar_says() {
    for path in images() {
        let m = open(&path);
        let theirs = bsdtar_listing(&path);
        let place = |n: &str| format!("{}: {n}", path.display());
        assert_eq!(theirs.len(), m.tree.len(), "{}", path.display());
        for (p, node) in m.tree.iter() {
            let name = p.to_string();
            // Known: bsdtar cuts a Joliet name at 103 characters; xorriso writes 104.
            let cut = (m.view == View::Joliet).then(|| name.get(..103)).flatten();
            let t = theirs.get(&name).or_else(|| theirs.get(cut?));
            let t = t.unwrap_or_else(|| panic!("{}", place(&name)));
            let kind = match &node.kind {
                NodeKind::File(_) => "file",
                NodeKind::Dir => "dir",
                NodeKind::Symlink(_) => "link",
                NodeKind::Special(Special::Fifo) => "fifo",
                NodeKind::Special(Special::Char(..)) => "char",
                NodeKind::Special(Special::Block(..)) => "block",
                NodeKind::Special(Special::Socket) => "socket",
            };
            assert_eq!(t.kind, kind, "{}", place(&name));
            assert_eq!(node.mtime, Some(t.time), "{}", place(&name));
            if m.view == View::RockRidge {
                assert_eq!(node.mode, t.mode, "{}", place(&name));
            }
            if let NodeKind::Symlink(target) = &node.kind {
                let theirs = t.link.as_ref().unwrap();
                // Known: bsdtar loses the `/` where a target goes on in the next SL entry.
                let bare: Vec<u8> = target.iter().copied().filter(|c| *c != b'/').collect();
                let known = name == "links/long602" && *theirs == bare;
                assert!(theirs == target || known, "{}", place(&name));
            }
            let Some(content) = node.content() else { continue };
            // Known: bsdtar gives the second name of a hard-linked file no bytes.
            if t.size == Some(0) && !content.is_empty() {
                let starts = |p| m.record(p).unwrap().data_at;
                let names = m.tree.files().filter(|(q, _)| starts(q) == starts(p)).count();
                assert!(names > 1, "{}", place(&name));
                continue;
            }
            assert_eq!(t.size, Some(content.len()), "{}", place(&name));
            let digest = copy::digest(content, &|_| true).unwrap().to_string();
            assert_eq!(t.sha256.as_ref(), Some(&digest), "{}", place(&name));
        }
    }
}

#[test]
fn bytes_are_what_xorriso_extracts() {
    for path in images() {
        if matches!(stem(&path), "hard-g-malformed.iso" | "debian-live.iso") {
            continue;
        }
        let m = open(&path);
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        let to_text = to.display().to_string();
        iso_report(&path, &["-osirrox", "on:auto_chmod_on", "-extract", "/", &to_text]);
        for (p, content) in m.tree.files() {
            let theirs = Content::open(&to.join(p.as_path())).unwrap();
            assert_eq!(
                copy::digest(content, &|_| true).unwrap(),
                copy::digest(&theirs, &|_| true).unwrap(),
                "{}: {p}",
                path.display()
            );
        }
        // The extraction keeps modes such as 0: make it removable.
        run("chmod", &["-R", "u+rwX", &to_text]);
    }
}

#[test]
fn boot_catalogs_and_partitions_are_as_xorriso_reports() {
    let mut catalogs = 0;
    for path in images() {
        let m = open(&path);
        let report =
            iso_report(&path, &["-report_el_torito", "plain", "-report_system_area", "plain"]);
        let place = path.display();
        let mut images = 0;
        let (mut gpt, mut mbr) = (Vec::new(), Vec::new());
        for line in report.lines() {
            let Some((key, rest)) = line.split_once(" : ") else { continue };
            let w: Vec<&str> = rest.split_whitespace().collect();
            let entry =
                |n: &str| &m.boot.as_ref().unwrap().entries[n.parse::<usize>().unwrap() - 1];
            match key.trim() {
                "El Torito catalog" => {
                    let c = m.boot.as_ref().unwrap();
                    assert_eq!(w[0], c.lba.to_string(), "{place}");
                    assert!(c.checksum_ok);
                    catalogs += 1;
                }
                "El Torito cat path" => {
                    let c = m.boot.as_ref().unwrap();
                    assert_eq!(format!("/{}", c.path.as_ref().unwrap()), rest.trim(), "{place}");
                }
                "El Torito boot img" => {
                    images += 1;
                    let e = entry(w[0]);
                    let platform = format!("{:?}", e.platform).to_uppercase();
                    assert_eq!(platform, w[1], "{place}");
                    assert_eq!(e.bootable, w[2] == "y", "{place}");
                    let emulation = format!("{:?}", e.emulation).to_lowercase();
                    let theirs = w[3].replace("fd1.4", "floppy(1440)");
                    assert_eq!(emulation, theirs, "{place}");
                    assert_eq!(format!("{:#06x}", e.load_segment), w[4], "{place}");
                    assert_eq!(format!("{:#04x}", e.system_type), w[5], "{place}");
                    assert_eq!(e.sectors.to_string(), w[6], "{place}");
                    assert_eq!(e.lba.to_string(), w[7], "{place}");
                }
                "El Torito img path" => {
                    let (n, p) = rest.trim().split_once(' ').unwrap();
                    let ours = format!("/{}", entry(n).path.as_ref().unwrap());
                    assert_eq!(ours, p.trim(), "{place}");
                }
                "El Torito img opts" => {
                    let e = entry(w[0]);
                    let info = w.contains(&"boot-info-table");
                    assert_eq!(e.boot_info.is_some_and(|i| i.ok), info, "{place}");
                    let hybrid = w.contains(&"isohybrid-suitable");
                    assert_eq!(e.isohybrid, hybrid, "{place}");
                }
                "El Torito img blks" => {
                    let e = entry(w[0]);
                    assert_eq!(e.size.div_ceil(2048).to_string(), w[1], "{place}");
                }
                "MBR partition" => mbr.push(rest.split_whitespace().collect::<Vec<_>>().join(" ")),
                "GPT start and size" => gpt.push(w.join(" ")),
                _ => {}
            }
        }
        assert_eq!(m.boot.as_ref().map_or(0, |b| b.entries.len()), images, "{place}");
        let ours: Vec<String> = m
            .partitions
            .mbr
            .iter()
            .flat_map(|t| &t.partitions)
            .map(|p| {
                let status = if p.active { 0x80 } else { 0 };
                format!("{} {status:#04x} {:#04x} {} {}", p.number, p.kind, p.first, p.sectors)
            })
            .collect();
        assert_eq!(ours, mbr, "{place}");
        let ours: Vec<String> = m
            .partitions
            .gpt
            .iter()
            .flat_map(|t| &t.partitions)
            .map(|p| format!("{} {} {}", p.number, p.first, p.last - p.first + 1))
            .collect();
        assert_eq!(ours, gpt, "{place}");
    }
    assert!(catalogs >= 1);
}

#[test]
fn a_file_of_several_extents_is_one_file() {
    let Some(path) = support::material("hard-big.iso") else { return };
    let m = open(&path);
    let c = m.file("big.img").unwrap();
    assert_eq!(c.len(), 4_500_000_000);
    assert_eq!(c.segments().count(), 1, "the extents follow each other");
    let at = |off: u64, len: u64| c.slice(off..off + len).unwrap().read_all(100).unwrap();
    assert_eq!(at(0, 6), b"begin\n");
    assert_eq!(at(4_294_965_245, 7), b"border\n");
    assert_eq!(at(4_499_999_996, 4), b"end\n");
    assert_eq!(m.file("iso:/zzz.txt").unwrap().read_all(100).unwrap(), b"after\n");
}

#[test]
fn a_long_link_goes_over_continuation_areas_and_a_malformed_one_is_noted() {
    let part = |c: &str| c.repeat(200);
    let want = [part("a"), part("b"), part("c")].join("/");
    for name in ["hard-rr.iso", "hard-rrj.iso", "hard-hybrid.iso"] {
        let Some(path) = support::material(name) else { continue };
        let m = open(&path);
        let node = m.tree.get(&"links/long602".parse().unwrap()).unwrap();
        assert!(matches!(&node.kind, NodeKind::Symlink(t) if t == want.as_bytes()), "{name}");
        assert!(m.notes().is_empty(), "{name}: {:?}", m.notes());
    }
    let Some(path) = support::material("hard-g-malformed.iso") else { return };
    let m = open(&path);
    let node = m.tree.get(&"links/long602".parse().unwrap()).unwrap();
    assert!(matches!(node.kind, NodeKind::Symlink(_)));
    assert!(m.notes().iter().any(|n| n.contains("long602")), "{:?}", m.notes());
}

#[test]
fn views_are_chosen_and_told() {
    let view = |name: &str| support::material(name).map(|p| open(&p).view);
    assert!(view("hard-rrj.iso").is_none_or(|v| v == View::RockRidge));
    assert!(view("hard-joliet.iso").is_none_or(|v| v == View::Joliet));
    assert!(view("hard-plain.iso").is_none_or(|v| v == View::Plain));
    let Some(path) = support::material("hard-g-udf.iso") else { return };
    let m = open(&path);
    assert_eq!(m.views[0], View::Udf);
    assert!(m.view_reason().contains("UDF"));
    assert!(m.notes().iter().any(|n| n.contains("UDF") && n.contains("not supported yet")));
}

#[test]
fn a_file_inside_a_fat_image_has_an_address() {
    let Some(path) = support::material("hard-hybrid.iso") else { return };
    let m = open(&path);
    let cfg = m.file("iso:/partition 2!/EFI/BOOT/grub.cfg").unwrap();
    assert_eq!(cfg.read_all(100).unwrap(), b"set timeout=5\n");
    assert_eq!(m.file("partition 2!/efi/boot/GRUB.CFG").unwrap().len(), 14);
    let e = m.file("partition 2!/EFI/none").unwrap_err();
    assert_eq!(e.kind(), isowright::ErrorKind::NotFound);
    assert!(m.file("hello.txt!/x").unwrap_err().to_string().contains("no FAT image"));
}

/// Names as mtools shows them: it loses what its code page has not, and the case of umlauts.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.len_utf8() < 4).collect::<String>().to_lowercase()
}

#[test]
fn fat_images_are_as_mtools_says() {
    for name in ["hard-fat12.img", "hard-fat16.img", "hard-fat32.img"] {
        let Some(path) = support::material(name) else { continue };
        let tree = fat::open(&Content::open(&path).unwrap()).unwrap().expect("a FAT");
        let path = path.display().to_string();
        let listing = run("mdir", &["-/", "-b", "-i", &path]);
        let mut theirs: Vec<String> =
            listing.lines().map(|l| plain(l[3..].trim_end_matches('/'))).collect();
        let mut ours: Vec<String> = tree.iter().map(|(p, _)| plain(&p.to_string())).collect();
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "{name}");
        for (p, content) in tree.files().filter(|(p, _)| p.as_bytes().is_ascii()) {
            let out = Command::new("mtype").args(["-i", &path, &format!("::/{p}")]).output();
            let theirs = out.unwrap().stdout;
            assert!(theirs == content.read_all(1 << 20).unwrap(), "{name}: {p}");
        }
        let pieces = tree.file(&"in pieces.bin".parse().unwrap()).unwrap();
        // On the big one mtools takes fresh clusters.
        let scattered = pieces.segments().count() > 1 || name == "hard-fat32.img";
        assert!(scattered, "{name}: the test wants a scattered file");
        // mcopy can't write the name with the emoji.
        for p in ["EFI/日本語のファイル名.dat", "EFI/grüße.txt"] {
            assert_eq!(
                tree.file(&p.parse().unwrap()).map(Content::len).ok(),
                Some(2),
                "{name}: {p}"
            );
        }
    }
}

/// mkfs.vfat makes FAT32 of few clusters, which mtools and the crate fatfs refuse. A file is put in by
/// hand for want of a tool.
#[test]
fn small_fat32_is_read() {
    let Some(path) = support::material("hard-fat32-small.img") else { return };
    let mut b = std::fs::read(path).unwrap();
    let u16_at = |b: &[u8], at: usize| usize::from(u16::from_le_bytes([b[at], b[at + 1]]));
    let (reserved, tables, len) = (u16_at(&b, 14) * 512, usize::from(b[16]), u16_at(&b, 36) * 512);
    let (per_cluster, root) = (usize::from(b[13]) * 512, reserved + tables * len);
    let mut entry = *b"HELLO   TXT\x20\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0\x05\0\0\0";
    entry[12] = 0x18;
    // Behind the volume label.
    b[root + 32..root + 64].copy_from_slice(&entry);
    b[reserved + 12..reserved + 16].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
    b[root + per_cluster..root + per_cluster + 5].copy_from_slice(b"hello");
    let tree = fat::open(&b.into()).unwrap().expect("a FAT");
    let c = tree.file(&"hello.txt".parse().unwrap()).unwrap();
    assert_eq!(c.read_all(10).unwrap(), b"hello");
}

#[test]
fn an_appended_partition_that_is_cut_off_is_told() {
    let Some(path) = support::material("hard-hybrid.iso") else { return };
    let whole = Content::open(&path).unwrap();
    let m = media::open("cut", whole.slice(0..2_000_000).unwrap()).unwrap();
    assert!(m.notes().iter().any(|n| n.contains("cut short")), "{:?}", m.notes());
    assert!(m.notes().iter().any(|n| n.contains("partition 2 reaches")), "{:?}", m.notes());
}
