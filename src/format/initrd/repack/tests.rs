//! What is made anew, read again.

use super::*;
use crate::content::tree::{NodeKind, Special};
use crate::format::cpio::Entry;
use crate::format::initrd::{Inside, What};

fn p(s: &str) -> TreePath {
    s.parse().expect("path")
}

fn bytes(c: Content) -> Vec<u8> {
    c.read_all(1 << 20).expect("small")
}

fn cpio_of(entries: &[Entry]) -> Vec<u8> {
    bytes(cpio::archive(entries).expect("archive"))
}

fn gzip(b: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new(Codec::Gzip, None, 1, Vec::new()).expect("gzip");
    e.write_all(b).expect("write");
    e.finish().expect("finish")
}

/// Names of one file, the bytes behind the last name as GNU cpio writes it.
fn hard_links(names: &[&str], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let size = if i + 1 == names.len() { content.len() as u32 } else { 0 };
        let (name, nlink) = (name.as_bytes().to_vec(), names.len() as u32);
        let h = Header { name, ino: 7, mode: 0o100_755, nlink, size, ..Header::default() };
        out.extend(h.to_bytes());
    }
    out.extend(content);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(cpio::trailer());
    out
}

fn run(initrd: &[u8], options: &Options) -> Result<(Vec<u8>, Report)> {
    repack(&initrd.to_vec().into(), options, &mut || Ok(Vec::new()), &|_| true)
}

fn dropping(patterns: &[&str]) -> Options {
    let drop = patterns.iter().map(|s| (*s).to_owned()).collect();
    Options { codec: Some(Codec::None), drop, ..Options::default() }
}

/// Each path with its bytes, as the kernel would have it.
fn files(initrd: &[u8]) -> Vec<(String, String)> {
    let c: Content = initrd.to_vec().into();
    let mut bodies = Vec::new();
    walk(&c, false, &mut |_, h, body| {
        let mut b = Vec::new();
        if !h.is_dir() {
            body.copy(&mut b)?;
        }
        bodies.push(String::from_utf8_lossy(&b).into_owned());
        Ok(())
    })
    .expect("walk");
    let inside = Inside::of(&c).expect("inside");
    let of = |e: &crate::format::initrd::Entry| bodies[inside.bytes_of(e.at.entry)].clone();
    let nodes = inside.nodes().filter(|(_, e)| !e.header.is_dir());
    nodes.map(|(p, e)| (p.to_string(), of(e))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn microcode_stays_in_front_and_the_rest_becomes_one_member() {
    let mut all = cpio_of(&[Entry::file(p("kernel/x86/microcode/AuthenticAMD.bin"), 0o644, "amd")]);
    all.resize(1024, 0);
    all.extend(gzip(&cpio_of(&[
        Entry::file(p("etc/a"), 0o600, "old"),
        Entry::symlink(p("lib"), "usr/lib"),
        Entry { path: p("dev/c"), mode: 0o620, kind: NodeKind::Special(Special::Char(5, 1)) },
    ])));
    all.resize(all.len().next_multiple_of(4), 0);
    all.extend(cpio_of(&[Entry::file(p("etc/a"), 0o644, "new")]));
    for (codec, threads) in [(Codec::Zstd, 1), (Codec::Zstd, 2), (Codec::Xz, 2), (Codec::Lz4, 1)] {
        let o = Options { codec: Some(codec), threads, ..Options::default() };
        let (out, report) = run(&all, &o).expect("repack");
        assert_eq!(out[..1024], all[..1024]);
        assert_eq!((report.early, report.overwritten), (1024, 1), "{codec:?}");
        let i = Inside::of(&out.clone().into()).expect("inside");
        let what: Vec<What> = i.segments.iter().map(|s| s.what).collect();
        assert_eq!(what, [What::Cpio, What::Padding, What::Compressed]);
        assert_eq!(i.segments[2].archives, 1);
        assert_eq!(files(&out), files(&all));
        assert!(!files(&out).is_empty());
        let mode = |s: &str| i.tree.get(&p(s)).map(|n| n.mode);
        assert_eq!((mode("etc/a"), mode("dev/c")), (Some(0o644), Some(0o620)));
        let one = Options { threads: 1, ..o };
        assert_eq!(run(&all, &one).expect("again").0, out, "same bytes whatever the threads");
    }
    // The vendor's codec where none is asked for.
    assert_eq!(run(&all, &Options::default()).expect("repack").1.codec, Codec::Gzip);
}

#[test]
fn what_must_go_goes_by_path_by_glob_and_by_folder() {
    let all = cpio_of(&[
        Entry::symlink(p("lib"), "usr/lib"),
        Entry::file(p("usr/lib/a.so"), 0o644, "a"),
        Entry::file(p("usr/lib/b.so"), 0o644, "b"),
        Entry::file(p("usr/lib/[c]"), 0o644, "c"),
        Entry::file(p("usr/share/d"), 0o644, "d"),
    ]);
    let left = |patterns: &[&str]| -> Vec<String> {
        let (out, _) = run(&all, &dropping(patterns)).expect("repack");
        files(&out).into_iter().map(|(p, _)| p).collect()
    };
    assert_eq!(left(&["usr/lib/*.so", "usr/share"]), ["lib", "usr/lib/[c]"]);
    assert_eq!(left(&["/lib/a.so", "usr/lib/[c]"]), ["lib", "usr/lib/b.so", "usr/share/d"]);
    assert_eq!(left(&["usr"]), ["lib"]);
    for bad in ["usr/lib/*.ko", "nothing"] {
        let e = run(&all, &dropping(&["lib", bad])).expect_err("matches nothing");
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(e.to_string().contains(bad), "{e}");
    }
    let early = cpio_of(&[
        Entry::file(p("kernel/x86/microcode/AuthenticAMD.bin"), 0o644, "amd"),
        Entry::file(p("kernel/x86/microcode/GenuineIntel.bin"), 0o644, "intel"),
    ]);
    let all = [early, all.clone()].concat();
    let (out, _) = run(&all, &dropping(&["kernel/**/AuthenticAMD.bin"])).expect("repack");
    assert_eq!(files(&out)[0].0, "kernel/x86/microcode/GenuineIntel.bin");
    assert_eq!(Inside::of(&out.into()).expect("inside").segments.len(), 2);
    let (out, report) = run(&all, &dropping(&["kernel"])).expect("repack");
    assert_eq!(Inside::of(&out.into()).expect("inside").segments.len(), 1);
    assert_eq!(report.dropped.len(), 5, "folders are counted: {:?}", report.dropped);
}

#[test]
fn a_hard_links_bytes_outlive_the_name_they_stood_with() {
    let all = hard_links(&["a", "b", "c"], b"bytes");
    for (drop, want) in [
        (&["c"][..], &[("a", "bytes"), ("b", "bytes")][..]),
        (&["a"], &[("b", "bytes"), ("c", "bytes")]),
        (&["b", "c"], &[("a", "bytes")]),
        (&["a", "b", "c"], &[]),
    ] {
        let (out, _) = run(&all, &dropping(drop)).expect("repack");
        assert_eq!(files(&out), pairs(want), "{drop:?}");
    }
    let new = Options {
        replace: vec![(p("c"), "new".into())],
        codec: Some(Codec::None),
        ..Options::default()
    };
    let (out, _) = run(&all, &new).expect("repack");
    assert_eq!(files(&out), pairs(&[("a", "bytes"), ("b", "bytes"), ("c", "new")]));
    let absent = Options { replace: vec![(p("d"), "new".into())], ..new };
    assert_eq!(run(&all, &absent).expect_err("no d").kind(), ErrorKind::NotFound);
}

/// Two archives may use the same inode numbers for different files: their tables end at the trailer.
#[test]
fn inode_numbers_of_different_archives_do_not_meet() {
    let all = [hard_links(&["a", "b"], b"first"), hard_links(&["c", "d"], b"second")].concat();
    let o = Options { codec: Some(Codec::Gzip), ..Options::default() };
    let (out, _) = run(&all, &o).expect("repack");
    let want = [("a", "first"), ("b", "first"), ("c", "second"), ("d", "second")];
    assert_eq!(files(&out), pairs(&want));
}

#[test]
fn identical_files_become_links_only_where_asked() {
    let all = cpio_of(&[
        Entry::file(p("a"), 0o644, "same"),
        Entry::file(p("b"), 0o644, "same"),
        Entry::file(p("c"), 0o600, "same"),
        Entry::file(p("d"), 0o644, ""),
        Entry::file(p("e"), 0o644, ""),
    ]);
    let plain = Options { codec: Some(Codec::None), ..Options::default() };
    assert_eq!(run(&all, &plain).expect("repack").0, all);
    let linking = Options { link_identical: true, ..plain };
    let (out, report) = run(&all, &linking).expect("repack");
    assert_eq!(report.linked, 1, "another mode and no bytes stay apart");
    assert_eq!(files(&out), files(&all));
    let i = Inside::of(&out.into()).expect("inside");
    assert_eq!(i.hard_links().into_values().collect::<Vec<_>>(), [vec![0, 1]]);
}

#[test]
fn a_stop_is_heard() {
    let all = cpio_of(&[Entry::file(p("a"), 0o644, "a")]);
    let done = repack(&all.into(), &Options::default(), &mut || Ok(Vec::new()), &|_| false);
    assert_eq!(done.expect_err("stopped").kind(), ErrorKind::Interrupted);
}

/// Microcode with nothing behind it, and what the kernel would not take of what stays as it is.
#[test]
fn what_comes_first_is_held_against_the_kernels_rules_too() {
    let early = cpio_of(&[Entry::file(p("kernel/x86/microcode/GenuineIntel.bin"), 0o644, "code")]);
    let plain = Options { codec: Some(Codec::None), ..Options::default() };
    assert_eq!(run(&early, &plain).expect("nothing to do").0, early);
    let main = cpio_of(&[Entry::file(p("a"), 0o644, "a")]);
    for gap in 1..4 {
        let odd = [&early[..], &vec![0; gap], &main].concat();
        let e = run(&odd, &plain).expect_err("not at a multiple of 4");
        assert_eq!(e.place().offset, Some((early.len() + gap) as u64), "{e}");
        // Behind a compressed member that starts anywhere, plain archives are counted from the start.
        let member = gzip(&main);
        let behind = (early.len() + gap + member.len()).next_multiple_of(4);
        let mut good = [&early[..], &vec![0; gap], &member].concat();
        good.resize(behind, 0);
        good.extend(cpio_of(&[Entry::file(p("b"), 0o644, "b")]));
        let (out, _) = run(&good, &plain).expect("aligned");
        assert_eq!(files(&out), files(&good));
    }
}
