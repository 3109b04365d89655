//! The media reader against images that are cut short, mutated or made to hurt: an answer comes soon,
//! memory stays small, nothing panics, and what is not whole is said.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::content::source::ReadAt;
use isowright::content::tree::{NodeKind, Tree};
use isowright::content::{Content, Segment};
use isowright::format::fat;
use isowright::media::{self, Media};
use isowright::{Error, ErrorKind};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECTOR: u64 = 2048;
/// For one hostile image, in a build without optimisation on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Of each image; 2,400 in all. 2,000 of each were tried when this was written.
const MUTANTS: u32 = 300;

fn real_images() -> Vec<PathBuf> {
    let mut all = Vec::new();
    all.extend(support::packaged("/usr/lib/ipxe/ipxe.iso", "ipxe"));
    all.extend(support::packaged("/usr/lib/memtest86+/memtest86+x64.iso", "memtest86+"));
    let made = ["hard-rrj.iso", "hard-joliet.iso", "hard-g-reloc.iso", "hard-g-udf.iso"];
    all.extend(made.iter().filter_map(|n| support::material(n)));
    all.extend(
        ["hard-hybrid.iso", "debian-installer.iso"].iter().filter_map(|n| support::material(n)),
    );
    all
}

/// Into memory, so that thousands of variants cost no disk access.
fn load(path: &PathBuf) -> Content {
    Content::whole(Arc::new(bytes::Bytes::from(std::fs::read(path).unwrap())))
}

/// Extents of a file, to compare without reading: source offsets and lengths.
fn extents(c: &Content) -> Vec<(u64, u64)> {
    c.segments()
        .map(|s| match s {
            Segment::Extent { off, len, .. } => (*off, *len),
            other => (u64::MAX, other.len()),
        })
        .collect()
}

fn same_files(a: &Tree, b: &Tree) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b.iter())
            .all(|((p, n), (q, o))| p == q && n.content().map(extents) == o.content().map(extents))
}

#[test]
fn a_cut_image_is_an_error_or_whole_and_told() {
    for path in real_images() {
        let image = load(&path);
        let whole = media::open("whole", image.clone()).unwrap();
        let says = u64::from(whole.volume.blocks) * SECTOR;
        let sectors = image.len() / SECTOR;
        let cuts = (0..sectors).filter(|n| *n < 512 || n % 1000 == 0 || *n > sectors - 64);
        let (mut refused, mut opened) = (0, 0);
        for n in cuts {
            let place = format!("{} cut at sector {n}", path.display());
            match media::open("cut", image.slice(0..n * SECTOR).unwrap()) {
                Ok(m) => {
                    opened += 1;
                    assert!(same_files(&m.tree, &whole.tree), "{place}: other files");
                    let told = m.notes().iter().any(|note| note.contains("cut short"));
                    assert!(told || n * SECTOR >= says, "{place}: {:?}", m.notes());
                }
                Err(e) => {
                    refused += 1;
                    assert!(e.place().offset.is_some(), "{place}: {e}");
                    assert!(e.hint_text().is_some(), "{place}: {e}");
                }
            }
        }
        eprintln!("{}: {refused} refused, {opened} whole", path.display());
        assert!(refused > 16);
    }
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

/// One to eight bytes of one of `sectors` changed, now and then a whole field.
fn mutant(image: &Content, sectors: &[u64], dice: &mut Dice) -> Content {
    let at = sectors[dice.roll(sectors.len() as u64) as usize] * SECTOR;
    let len = SECTOR.min(image.len() - at);
    let mut sector = image.slice(at..at + len).unwrap().read_all(SECTOR).unwrap();
    for _ in 0..=dice.roll(8) {
        let i = dice.roll(len) as usize;
        match dice.roll(4) {
            0 => sector[i] ^= 1 << dice.roll(8),
            1 => sector[i] = 0xff,
            2 => sector[i] = 0,
            _ => sector[i..(i + 4).min(len as usize)].fill(dice.roll(256) as u8),
        }
    }
    image.splice(at..at + len, Content::from(sector)).unwrap()
}

/// Sectors with descriptors, directories, continuation areas and the boot catalog.
fn metadata(m: &Media) -> Vec<u64> {
    let mut all: Vec<u64> = (16..20).collect();
    for (path, node) in m.tree.iter() {
        let r = m.record(path).unwrap();
        all.push(r.at / SECTOR);
        if node.is_dir() {
            all.extend([r.data_at / SECTOR, r.data_at / SECTOR + 1]);
        }
    }
    all.extend(m.boot.iter().map(|b| u64::from(b.lba)));
    all.sort();
    all.dedup();
    all
}

#[test]
fn mutants_are_answered_and_never_give_other_bytes_without_a_word() {
    for path in real_images() {
        let image = load(&path);
        let whole = media::open("whole", image.clone()).unwrap();
        let quiet = whole.notes().len();
        let sectors = metadata(&whole);
        let mut dice = Dice(0x1507);
        let started = Instant::now();
        let (mut refused, mut noted) = (0, 0);
        for i in 0..MUTANTS {
            let m = match media::open("mutant", mutant(&image, &sectors, &mut dice)) {
                Ok(m) => m,
                Err(e) => {
                    refused += 1;
                    assert!(e.to_string().len() < 9000);
                    continue;
                }
            };
            if m.notes().len() > quiet {
                noted += 1;
                continue;
            }
            for (p, c) in m.tree.files().filter(|(_, c)| !c.is_empty()) {
                let Some(before) = whole.tree.get(p).and_then(|n| n.content()) else { continue };
                let (now, then) = (m.record(p).unwrap().data_at, whole.record(p).unwrap().data_at);
                let place = format!("{} mutant {i}: {p}", path.display());
                assert_eq!((now, c.len()), (then, before.len()), "{place}");
            }
        }
        let name = path.display();
        eprintln!("{name}: {refused} refused, {noted} noted in {:?}", started.elapsed());
    }
}

#[test]
fn mutants_of_fat_images_are_answered() {
    for name in ["hard-fat12.img", "hard-fat16.img", "hard-fat32-small.img"] {
        let Some(path) = support::material(name) else { continue };
        let image = load(&path);
        let sectors: Vec<u64> = (0..image.len() / SECTOR).take(100).collect();
        let mut dice = Dice(0xfa7);
        for _ in 0..MUTANTS {
            let started = Instant::now();
            let _ = fat::open(&mutant(&image, &sectors, &mut dice));
            assert!(started.elapsed() < SOON);
        }
    }
}

#[test]
fn mutants_of_partition_tables_are_answered() {
    let Some(path) = support::material("hard-hybrid.iso") else { return };
    let image = load(&path);
    let sectors: Vec<u64> = (0..16).collect();
    let mut dice = Dice(0x6b7);
    for _ in 0..MUTANTS {
        let _ = media::open("mutant", mutant(&image, &sectors, &mut dice));
    }
}

// Images made by hand.

fn both(n: u32) -> Vec<u8> {
    [n.to_le_bytes(), n.to_be_bytes()].concat()
}

/// A directory record. `susp` goes behind the name.
fn record(id: &[u8], lba: u32, len: u32, flags: u8, susp: &[u8]) -> Vec<u8> {
    let mut r = vec![0, 0];
    r.extend(both(lba));
    r.extend(both(len));
    r.extend([124, 2, 29, 12, 0, 0, 0, flags, 0, 0, 1, 0, 0, 1, id.len() as u8]);
    r.extend(id);
    if r.len() % 2 == 1 {
        r.push(0);
    }
    r.extend(susp);
    r[0] = u8::try_from(r.len()).unwrap();
    r
}

const DIR: u8 = 2;
const SP: &[u8] = b"SP\x07\x01\xbe\xef\0";

fn nm(name: &[u8]) -> Vec<u8> {
    [b"NM", &[name.len() as u8 + 5, 1, 0][..], name].concat()
}

/// Sector-aligned directory: `.`, `..` and the records.
fn directory(lba: u32, len: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = record(&[0], lba, len, DIR, SP);
    out.extend(record(&[1], lba, len, DIR, b""));
    for r in records {
        if out.len() % 2048 + r.len() > 2048 {
            out.resize(out.len().next_multiple_of(2048), 0);
        }
        out.extend(r);
    }
    out.resize(out.len().next_multiple_of(2048), 0);
    out
}

fn primary(root_lba: u32, root_len: u32) -> Vec<u8> {
    let mut d = vec![0u8; 2048];
    d[..7].copy_from_slice(b"\x01CD001\x01");
    d[40..44].copy_from_slice(b"HURT");
    d[128..132].copy_from_slice(&[0, 8, 8, 0]);
    d[156..190].copy_from_slice(&record(&[0], root_lba, root_len, DIR, b""));
    d
}

fn terminator() -> Vec<u8> {
    let mut d = vec![0u8; 2048];
    d[..7].copy_from_slice(b"\xffCD001\x01");
    d
}

/// The descriptors, the root directory at block 20, then `rest` from block 21 on.
fn image(root_len: u32, root: &[Vec<u8>], rest: Vec<u8>) -> Content {
    let mut b = vec![0u8; 16 * 2048];
    b.extend(primary(20, root_len));
    b.extend(terminator());
    b.resize(20 * 2048, 0);
    b.extend(directory(20, root_len, root));
    b.extend(rest);
    Content::whole(Arc::new(bytes::Bytes::from(b)))
}

fn refused(image: Content) -> Error {
    media::open("hurt.iso", image).expect_err("refused")
}

#[test]
fn a_folder_inside_itself_is_shown_empty() {
    let root = [record(b"A", 20, 2048, DIR, b""), record(b"B", 21, 2048, DIR, b"")];
    let b =
        directory(21, 2048, &[record(b"C", 20, 2048, DIR, b""), record(b"D", 21, 2048, DIR, b"")]);
    let m = media::open("hurt", image(2048, &root, b)).unwrap();
    assert_eq!(
        m.tree.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(),
        ["A", "B", "B/C", "B/D"]
    );
    assert_eq!(m.notes().iter().filter(|n| n.contains("read already")).count(), 3);
}

#[test]
fn a_file_past_the_end_is_an_error_with_path_and_offset_but_an_empty_one_may_be_anywhere() {
    let empty = record(b"EMPTY", u32::MAX, 0, 0, b"");
    let m = media::open("hurt", image(2048, std::slice::from_ref(&empty), vec![])).unwrap();
    assert_eq!((m.tree.len(), m.notes().len()), (1, 0));
    let e = refused(image(2048, &[empty, record(b"FAR", 5000, 10, 0, b"")], vec![]));
    assert_eq!(e.kind(), ErrorKind::Corrupt);
    assert_eq!(e.place().path.as_deref(), Some("/FAR"));
    assert_eq!(e.place().offset, Some(5000 * 2048));
    assert!(e.hint_text().unwrap().contains("cut short"));
}

#[test]
fn descriptors_without_end_are_an_error() {
    let mut b = vec![0u8; 16 * 2048];
    b.extend(primary(20, 2048));
    b.resize(40 * 2048, 0);
    let e = refused(b.clone().into());
    assert!(e.to_string().contains("terminator"), "{e}");
    assert_eq!(e.place().offset, Some(17 * 2048));
    b.truncate(16 * 2048);
    for _ in 0..1000 {
        b.extend(primary(20, 2048));
    }
    let e = refused(b.into());
    assert!(e.to_string().contains("more than 64"), "{e}");
}

#[test]
fn a_root_over_the_descriptors_is_an_error() {
    let mut b = vec![0u8; 16 * 2048];
    b.extend(primary(16, 2048));
    b.extend(terminator());
    let e = refused(b.into());
    assert_eq!(e.kind(), ErrorKind::Corrupt);
    assert!(e.place().offset.is_some(), "{e}");
}

#[test]
fn a_directory_of_4_gib_is_refused() {
    let e = refused(image(u32::MAX, &[], vec![]));
    assert_eq!((e.kind(), e.place().path.as_deref()), (ErrorKind::Unsupported, Some("/")));
    let root = [record(b"HUGE", 21, u32::MAX, DIR, b"")];
    let huge = Content::concat([image(2048, &root, vec![]), Content::zeros(u64::from(u32::MAX))]);
    let e = refused(huge);
    assert_eq!((e.kind(), e.place().path.as_deref()), (ErrorKind::Unsupported, Some("/HUGE")));
    assert!(e.place().offset.is_some());
}

#[test]
fn names_that_would_leave_the_tree_or_drive_a_terminal_are_left_out_and_told() {
    let bad: [&[u8]; 7] =
        [b"..", b".", b"../../etc/passwd", b"a/b", b"a\nb", b"\x1b[2Jx", b"nul\0l"];
    let mut root: Vec<Vec<u8>> = bad.iter().map(|n| record(b"X.;1", 0, 0, 0, &nm(n))).collect();
    root.push(record(b"GOOD.;1", 0, 0, 0, &nm(b"good")));
    let m = media::open("hurt", image(2048, &root, vec![])).unwrap();
    assert_eq!(m.tree.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(m.notes().iter().filter(|n| n.contains("left out")).count(), bad.len());
    let all = m.notes().concat();
    assert!(all.contains("\\x1b[2Jx") && all.contains("offset 0x"), "{all}");
    assert!(!all.contains('\x1b') && !all.contains('\n'));
}

#[test]
fn what_stands_below_a_link_of_the_same_name_is_left_out() {
    let sl = b"SL\x0b\x01\0\0\x04/etc";
    let link = record(b"A1", 0, 0, 0, &[nm(b"a"), sl.to_vec()].concat());
    let folder = record(b"A2", 21, 2048, DIR, &nm(b"a"));
    let inside = directory(21, 2048, &[record(b"P", 0, 0, 0, &nm(b"passwd"))]);
    let m = media::open("hurt", image(2048, &[link, folder], inside)).unwrap();
    assert_eq!(m.tree.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>(), ["a"]);
    let node = m.tree.get(&"a".parse().unwrap()).unwrap();
    assert!(matches!(node.kind, NodeKind::Symlink(_)));
    assert!(m.notes().iter().any(|n| n.contains("a/passwd") && n.contains("left out")));
}

#[test]
fn udf_without_a_usable_iso_side_is_unsupported() {
    let volume = |b: &mut Vec<u8>| {
        for id in [b"BEA01", b"NSR03", b"TEA01"] {
            let at = b.len();
            b.resize(at + 2048, 0);
            b[at + 1..at + 6].copy_from_slice(id);
        }
    };
    let mut only = vec![0u8; 16 * 2048];
    volume(&mut only);
    only.resize(64 * 2048, 0);
    let mut stub = vec![0u8; 16 * 2048];
    stub.extend(primary(30, 2048));
    stub.extend(terminator());
    volume(&mut stub);
    stub.resize(30 * 2048, 0);
    stub.extend(directory(30, 2048, &[record(b"README.TXT;1", 31, 5, 0, b"")]));
    stub.extend(b"This disc contains a \"UDF\" file system");
    stub.resize(64 * 2048, 0);
    for b in [only, stub] {
        let e = refused(b.into());
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("UDF is not supported yet"), "{e}");
    }
}

// Memory and time: each case runs in a process of its own, which says how much it took at most.

/// Makes sectors as they are asked for, so that the image itself takes no memory.
struct Made {
    sectors: u64,
    make: fn(u64) -> Vec<u8>,
}

impl ReadAt for Made {
    fn len(&self) -> u64 {
        self.sectors * SECTOR
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        let (mut done, mut at) = (0, off);
        while done < buf.len() {
            let sector = (self.make)(at / SECTOR);
            let from = (at % SECTOR) as usize;
            let n = (buf.len() - done).min(2048 - from);
            buf[done..done + n].copy_from_slice(&sector[from..from + n]);
            (done, at) = (done + n, at + n as u64);
        }
        Ok(())
    }
}

fn head(lba: u64, root_len: u32) -> Vec<u8> {
    match lba {
        16 => primary(20, root_len),
        17 => terminator(),
        _ => vec![0; 2048],
    }
}

/// Fills a sector of a directory with `record(number)`; `.` and `..` first where it is the first.
fn fill(lba: u64, first: u64, len: u32, make: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    let mut out = if lba == first { directory(lba as u32, len, &[]) } else { vec![0; 2048] };
    let mut at = out.iter().rposition(|b| *b != 0).map_or(0, |i| (i + 3) / 2 * 2);
    if lba == first {
        at = record(&[0], 0, 0, 0, SP).len() + record(&[1], 0, 0, 0, b"").len();
    }
    for i in 0.. {
        let r = make(lba * 1000 + i);
        if at + r.len() > 2048 {
            return out;
        }
        out[at..at + r.len()].copy_from_slice(&r);
        at += r.len();
    }
    out
}

fn id(n: u64) -> Vec<u8> {
    format!("{n:X}").into_bytes()
}

/// A directory of 60 MiB full of the shortest records.
fn many_files(lba: u64) -> Vec<u8> {
    const LEN: u32 = 60 << 20;
    match lba {
        0..20 => head(lba, LEN),
        _ => fill(lba, 20, LEN, |n| record(&id(n), 0, 0, 0, b"")),
    }
}

/// As many as are just allowed, so that the tree is built.
fn nearly_too_many(lba: u64) -> Vec<u8> {
    const LEN: u32 = 2390 * 2048;
    match lba {
        0..20 => head(lba, LEN),
        _ => fill(lba, 20, LEN, |n| record(&id(n), 30 + n as u32 % 5, 100, 0, b"")),
    }
}

/// Every record is a folder that lies over all that follow.
fn overlapping_folders(lba: u64) -> Vec<u8> {
    const LEN: u32 = 32 << 20;
    match lba {
        0..20 => head(lba, LEN),
        _ => fill(lba, 20, LEN, |n| record(&id(n), 21 + (n % 15_000) as u32, LEN, DIR, b"")),
    }
}

/// Folders of one sector, each with one folder in it, 100,000 deep.
fn deep(lba: u64) -> Vec<u8> {
    match lba {
        0..20 => head(lba, 2048),
        _ => directory(lba as u32, 2048, &[record(b"D", lba as u32 + 1, 2048, DIR, b"")]),
    }
}

/// Each record's continuation area names the next one, for ever.
fn endless_continuation(lba: u64) -> Vec<u8> {
    const LEN: u32 = 20 << 20;
    let ce = |to: u32| [b"CE\x1c\x01".to_vec(), both(to), both(0), both(2048)].concat();
    match lba {
        0..20 => head(lba, LEN),
        20..=12_000 => {
            fill(lba, 20, LEN, |n| record(&id(n), 0, 0, 0, &[nm(&id(n)), ce(12_001)].concat()))
        }
        _ => {
            let mut s = vec![0u8; 2048];
            s[..28].copy_from_slice(&ce(12_001 + (lba as u32 + 1) % 7));
            s
        }
    }
}

/// Names that must be told as left out, 200 bytes each.
fn bad_names(lba: u64) -> Vec<u8> {
    const LEN: u32 = 60 << 20;
    match lba {
        0..20 => head(lba, LEN),
        _ => fill(lba, 20, LEN, |_| record(b"X", 0, 0, 0, &nm(&[0x1b; 200]))),
    }
}

/// One file of extents without end.
fn endless_extents(lba: u64) -> Vec<u8> {
    const LEN: u32 = 60 << 20;
    match lba {
        0..20 => head(lba, LEN),
        _ => fill(lba, 20, LEN, |n| record(b"X", (n % 20) as u32 * 2, 1, 0x80, b"")),
    }
}

/// Long paths and long targets: three folders of 250 bytes, then links of 1,000 bytes.
fn long_links(lba: u64) -> Vec<u8> {
    const LEN: u32 = 30 << 20;
    let folder = |to: u32, len: u32| record(b"D", to, len, DIR, &nm(&[b'd'; 200]));
    match lba {
        0..20 => head(lba, 2048),
        20..30 => directory(
            lba as u32,
            2048,
            &[folder(lba as u32 + 1, if lba == 29 { LEN } else { 2048 })],
        ),
        _ => fill(lba, 30, LEN, |n| {
            let sl = [b"SL\x87\x01\0\0\x80", &[b't'; 128][..]].concat();
            record(&id(n), 0, 0, 0, &[nm(&id(n)), sl].concat())
        }),
    }
}

type Case = (&'static str, u64, fn(u64) -> Vec<u8>);
const CASES: [Case; 8] = [
    ("many_files", 60_000, many_files),
    ("nearly_too_many", 60_000, nearly_too_many),
    ("overlapping_folders", 60_000, overlapping_folders),
    ("deep", 100_030, deep),
    ("endless_continuation", 12_100, endless_continuation),
    ("bad_names", 60_000, bad_names),
    ("endless_extents", 60_000, endless_extents),
    ("long_links", 60_000, long_links),
];

/// The other half of the next test: opens one case where the environment names it.
#[test]
fn child() {
    let Ok(case) = std::env::var("ISOWRIGHT_HOSTILE_CASE") else { return };
    let (_, sectors, make) = CASES.into_iter().find(|c| c.0 == case).unwrap();
    let image = Content::whole(Arc::new(Made { sectors, make }));
    let started = Instant::now();
    let said = match media::open("hurt", image) {
        Ok(m) => format!("{} entries, {} notes", m.tree.len(), m.notes().len()),
        Err(e) => e.to_string(),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    println!("\nPEAK {} {:?} {said}", peak.trim(), started.elapsed());
}

#[test]
fn hostile_images_stay_under_64_mib() {
    let me = std::env::current_exe().unwrap();
    for (case, ..) in CASES {
        let started = Instant::now();
        let out = std::process::Command::new(&me)
            .args(["--exact", "child", "--nocapture"])
            .env("ISOWRIGHT_HOSTILE_CASE", case)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("PEAK "))
            .unwrap_or_else(|| panic!("{case}: {text} {}", String::from_utf8_lossy(&out.stderr)));
        eprintln!("{case}: {}", &line[..line.len().min(300)]);
        let kib: u64 = line.split(' ').next().unwrap().parse().unwrap();
        assert!(kib < 64 * 1024, "{case}: {kib} KiB");
        assert!(started.elapsed() < SOON, "{case}: {:?}", started.elapsed());
    }
}
