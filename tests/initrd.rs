//! `isowright initrd` against those who know initrds: GNU cpio on each segment, lsinitramfs, lsinitrd,
//! and the compressors' own command lines. And every way to hold it wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn tool() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.arg("initrd").stdin(Stdio::null());
    c
}

fn run(args: &[&str]) -> Output {
    tool().args(args).output().unwrap()
}

fn ok(args: &[&str]) -> String {
    let o = run(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(args)).unwrap()
}

/// One line `isowright: …` with all of `words`, and a hint; exit 2; nothing on stdout.
fn fails(args: &[&str], words: &[&str]) {
    let o = run(args);
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    assert_eq!(o.status.code(), Some(2), "{args:?}: {err}");
    let mut lines = err.lines();
    let first = lines.next().unwrap_or("");
    assert!(first.starts_with("isowright: "), "{err}");
    for w in words {
        assert!(first.contains(w), "{args:?}: \"{w}\" is not in: {first}");
    }
    assert!(lines.next().is_some_and(|l| l.starts_with("hint: ")), "{args:?}: no hint: {err}");
    assert_eq!(lines.next(), None, "{args:?}: {err}");
    assert!(o.stdout.is_empty());
}

/// What `command` makes of `input`.
fn pipe(command: &str, input: &[u8], dir: &Path) -> Vec<u8> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let out = std::thread::scope(|s| {
        s.spawn(move || {
            // A reader that has enough may go away.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    assert!(out.status.success(), "{command}");
    out.stdout
}

fn is_root() -> bool {
    Path::new("/proc/self").metadata().unwrap().uid() == 0
}

/// Codec, how its own tool packs, and how it unpacks.
const CODECS: [(&str, &str, &str); 7] = [
    ("none", "cat", "cat"),
    ("gzip", "gzip -9n", "gzip -dc"),
    ("bzip2", "bzip2 -9", "bzip2 -dc"),
    ("lzma", "lzma", "lzma -dc"),
    ("xz", "xz --check=crc32", "xz -dc"),
    ("lz4", "lz4 -l -c -q", "lz4 -dc -q"),
    ("zstd", "zstd -q -19", "zstd -dcq"),
];

fn unpack(codec: &str) -> &'static str {
    CODECS.iter().find(|(c, ..)| *c == codec).unwrap().2
}

/// A tree with all that an initrd can hold, as cpio packs it.
fn hard_tree() -> (tempfile::TempDir, Vec<u8>) {
    let tmp = tempfile::tempdir().unwrap();
    let script = r#"
        umask 022
        mkdir -p usr/bin usr/lib dev etc/deep/er tmp run
        ln -s usr/bin bin; ln -s usr/lib lib; ln -s nowhere dangling
        printf 'text\n' > etc/text; chmod 0600 etc/text; : > etc/empty
        seq 1 100000 > usr/lib/long; head -c 300000 /dev/zero > usr/lib/zeros
        printf 'busy' > usr/bin/busybox; chmod 4755 usr/bin/busybox
        ln usr/bin/busybox usr/bin/sh; ln usr/bin/busybox usr/bin/ls
        : > run/empty1; ln run/empty1 run/empty2
        chmod 1777 tmp; chmod 0500 etc/deep
        printf 'latin' > "$(printf 'etc/caf\351')"
        mkfifo run/pipe
        touch -d @1234567890 etc/text
    "#;
    let devices = "mknod -m 600 dev/console c 5 1; mknod -m 660 dev/sda b 8 0; chown 7:8 etc/text";
    let all = if is_root() { format!("{script}\n{devices}") } else { script.to_owned() };
    pipe(&format!("set -e\n{all}"), b"", tmp.path());
    let cpio = pipe("find . | LC_ALL=C sort | cpio --quiet -o -H newc", b"", tmp.path());
    (tmp, cpio)
}

/// What a folder holds: path -> type, mode, owner, size or device, time, content, link group.
fn folder(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut inodes: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        let mut here: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        here.sort();
        for path in here {
            let m = path.symlink_metadata().unwrap();
            let rel = path.strip_prefix(root).unwrap().to_owned();
            let t = m.file_type();
            let mut s = format!("{:o} {}:{}", m.mode(), m.uid(), m.gid());
            if t.is_dir() {
                left.push(path.clone());
            } else if t.is_symlink() {
                s += &format!(" -> {:?}", std::fs::read_link(&path).unwrap());
            } else if t.is_file() {
                s += &format!(" {} {:?}", m.mtime(), std::fs::read(&path).unwrap());
            } else if t.is_char_device() || t.is_block_device() {
                s += &format!(" {:x}", m.rdev());
            }
            all.insert(rel.clone(), s);
            if m.nlink() > 1 && !t.is_dir() {
                inodes.entry(m.ino()).or_insert(rel);
            }
        }
    }
    // Each name of a hard link tells the file's first name, whatever the order they were met in.
    let mut groups: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for path in all.keys() {
        let m = root.join(path).symlink_metadata().unwrap();
        if inodes.contains_key(&m.ino()) {
            groups.entry(m.ino()).or_default().push(path.clone());
        }
    }
    for names in groups.into_values() {
        for n in &names {
            all.get_mut(n).unwrap().push_str(&format!(" = {:?}", names[0]));
        }
    }
    all
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The bytes that cpio reads of each segment, in order.
fn segments(file: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(file).unwrap();
    let v = json(&["inspect", file, "--json"]);
    let mut all = Vec::new();
    for s in v["segments"].as_array().unwrap() {
        let (at, len) = (s["offset"].as_u64().unwrap() as usize, s["len"].as_u64().unwrap());
        let piece = &bytes[at..at + len as usize];
        if s["what"] == "padding" {
            assert!(piece.iter().all(|b| *b == 0));
            continue;
        }
        let codec = s["codec"].as_str().unwrap();
        let plain = pipe(unpack(codec), piece, Path::new("/"));
        assert_eq!(plain.len() as u64, s["unpacked"].as_u64().unwrap(), "{file}: {codec}");
        all.push((codec.to_owned(), plain));
    }
    all
}

/// Names without `./`, so that archivers can be compared.
fn bare(name: &str) -> Option<String> {
    let n = name.trim_start_matches("./").trim_end_matches('/');
    (!n.is_empty() && n != ".").then(|| n.to_owned())
}

/// Text as we show it: a byte that is no UTF-8 as its number.
fn shown(bytes: &[u8]) -> String {
    let mut s = String::new();
    for chunk in bytes.utf8_chunks() {
        s.push_str(chunk.valid());
        s.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
    }
    s
}

fn our_names(file: &str) -> BTreeSet<String> {
    ok(&["ls", file]).lines().filter_map(bare).collect()
}

fn cpio_agrees(file: &str) {
    let mut theirs = BTreeSet::new();
    let mut count = 0;
    for (_, plain) in segments(file) {
        let list = pipe("cpio --quiet -t 2>/dev/null", &plain, Path::new("/"));
        let list = shown(&list);
        count += list.lines().count();
        theirs.extend(list.lines().filter_map(bare));
    }
    assert_eq!(our_names(file), theirs, "{file}");
    let v = json(&["inspect", file, "--json"]);
    let ours: u64 = v["segments"].as_array().unwrap().iter().map(entries).sum();
    assert_eq!(ours, count as u64, "{file}");
}

fn entries(segment: &serde_json::Value) -> u64 {
    segment["entries"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

fn text(command: &str, args: &[&str]) -> String {
    let o = Command::new(command).args(args).output().unwrap();
    String::from_utf8_lossy(&o.stdout).into_owned()
}

#[test]
fn debians_installer_initrd_is_read_as_cpio_and_lsinitramfs_read_it() {
    let (Some((_, initrd)), Some(_)) = (
        support::debian_netboot(),
        support::packaged("/usr/bin/lsinitramfs", "initramfs-tools-core"),
    ) else {
        return;
    };
    let file = initrd.to_str().unwrap();
    cpio_agrees(file);
    let theirs: BTreeSet<String> = text("lsinitramfs", &[file]).lines().filter_map(bare).collect();
    assert_eq!(our_names(file), theirs);
    assert!(theirs.len() > 2000);
}

#[test]
fn an_initrd_with_microcode_in_front_is_read_as_lsinitramfs_reads_it() {
    let (Some(initrd), Some(_)) = (
        support::material("initramfs-tools.img"),
        support::packaged("/usr/bin/lsinitramfs", "initramfs-tools-core"),
    ) else {
        return;
    };
    let file = initrd.to_str().unwrap();
    cpio_agrees(file);
    let theirs: BTreeSet<String> = text("lsinitramfs", &[file]).lines().filter_map(bare).collect();
    assert_eq!(our_names(file), theirs);
    let v = json(&["inspect", file, "--json"]);
    let what: Vec<&str> =
        v["segments"].as_array().unwrap().iter().map(|s| s["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["cpio", "padding", "compressed"]);
    assert_eq!(v["segments"][2]["codec"], "zstd");
    // Repacked: the front as it was, the rest as it was read.
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("new").to_str().unwrap().to_owned();
    ok(&["repack", file, "--codec", "xz", "--level", "0", "-o", &out]);
    let early = v["segments"][2]["offset"].as_u64().unwrap() as usize;
    assert_eq!(
        std::fs::read(&out).unwrap()[..early],
        std::fs::read(&initrd).unwrap()[..early],
        "microcode"
    );
    cpio_agrees(&out);
    assert_eq!(our_names(&out), our_names(file));
}

#[test]
fn dracuts_initrd_is_read_as_lsinitrd_reads_it() {
    let (Some(initrd), Some(_)) = (
        support::material("dracut/initrd.img"),
        support::packaged("/usr/bin/lsinitrd", "dracut-core"),
    ) else {
        return;
    };
    let file = initrd.to_str().unwrap();
    cpio_agrees(file);
    // The list stands between the second and the third line of equals signs, as ls -l tells it.
    let all = text("lsinitrd", &[file]);
    let list = all.split("========\n").nth(2).expect("a list");
    let name = |l: &str| {
        // Mode, links, owner, group, size, three of the date; a device's size is two words.
        let mut rest = l;
        for _ in 0..if l.starts_with(['b', 'c']) && l.contains(", ") { 9 } else { 8 } {
            rest = rest.trim_start();
            rest = &rest[rest.find(' ')?..];
        }
        bare(&rest.trim_start().split(" -> ").next()?.replace("\\n", "\n"))
    };
    let theirs: BTreeSet<String> = list.lines().filter_map(name).collect();
    assert_eq!(our_names(file), theirs);
    assert!(theirs.len() > 1000);
}

#[test]
fn every_codec_is_read_and_written_as_its_own_tool_does() {
    let (tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let want = folder(tree.path());
    let names = {
        let plain = write(tmp.path(), "plain", &cpio);
        cpio_agrees(&plain);
        our_names(&plain)
    };
    for (codec, pack, unpack) in CODECS {
        let packed = pipe(pack, &cpio, tmp.path());
        let file = write(tmp.path(), codec, &packed);
        let v = json(&["inspect", &file, "--json"]);
        assert_eq!(v["segments"][0]["codec"], codec);
        // cpio pads its archive to 512 bytes.
        assert_eq!(our_names(&file), names, "{codec}");
        assert_eq!(ok(&["cat", &file, "bin/ls"]), "busy", "{codec}: through a link, a hard link");
        // The tool's own hand gives back what went in, type by type and bit by bit.
        let new = tmp.path().join(format!("{codec}.new")).to_str().unwrap().to_owned();
        ok(&["repack", &file, "--codec", codec, "-o", &new]);
        let out = tmp.path().join(format!("{codec}.out"));
        std::fs::create_dir(&out).unwrap();
        let plain = pipe(unpack, &std::fs::read(&new).unwrap(), tmp.path());
        pipe("cpio --quiet -idm", &plain, &out);
        assert_eq!(folder(&out), want, "{codec}");
    }
}

#[test]
fn what_is_extracted_is_what_went_in() {
    let (tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let file = write(tmp.path(), "initrd", &pipe("gzip", &cpio, tmp.path()));
    let out = tmp.path().join("out");
    let o = run(&["extract", &file, "-o", out.to_str().unwrap()]);
    assert!(o.status.success());
    let mut want = folder(tree.path());
    // Never so strict that the owner can't delete it.
    let strict = want.get_mut(Path::new("etc/deep")).unwrap();
    *strict = strict.replace("40500", "40700");
    assert_eq!(folder(&out), want);

    let some = tmp.path().join("some");
    ok(&["extract", &file, "etc", "usr/bin/*", "-o", some.to_str().unwrap()]);
    let got = folder(&some);
    assert!(got.contains_key(Path::new("usr/bin/sh")));
    assert!(got.contains_key(Path::new("etc/deep/er")));
    assert!(!got.contains_key(Path::new("usr/lib")));
    let listed = ok(&["extract", &file, "--dry-run", "etc/text"]);
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["5", "etc/text"]);
}

#[test]
fn without_root_devices_are_noted_and_left_out() {
    if !is_root() {
        return support::skip("only root can become nobody");
    }
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    pipe("chmod 777 .", b"", tmp.path());
    let file = write(tmp.path(), "initrd", &cpio);
    // The binary lies where nobody may look; a copy does not.
    let binary = tmp.path().join("isowright");
    std::fs::copy(env!("CARGO_BIN_EXE_isowright"), &binary).unwrap();
    let o = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["initrd", "extract", &file, "-o"])
        .arg(tmp.path().join("out"))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    assert!(o.status.success(), "{err}");
    assert_eq!(err, "note: 2 devices were left out: only root can make them\n");
    let got = folder(&tmp.path().join("out"));
    assert!(!got.contains_key(Path::new("dev/console")));
    assert!(got.contains_key(Path::new("run/pipe")));
}

/// newc by hand: name, mode, links, body.
fn record(name: &[u8], mode: u32, body: &[u8]) -> Vec<u8> {
    let mut v = b"070701".to_vec();
    let len = name.len() as u32 + 1;
    for f in [1, mode, 0, 0, 1, 0, body.len() as u32, 0, 0, 0, 0, len, 0] {
        v.extend(format!("{f:08X}").as_bytes());
    }
    v.extend(name);
    v.push(0);
    v.resize(v.len().next_multiple_of(4), 0);
    v.extend(body);
    v.resize(v.len().next_multiple_of(4), 0);
    v
}

#[test]
fn nothing_is_written_outside_the_folder() {
    let tmp = tempfile::tempdir().unwrap();
    let (victim, out) = (tmp.path().join("victim"), tmp.path().join("out"));
    std::fs::create_dir(&victim).unwrap();
    let to = victim.to_str().unwrap();
    let all = [
        record(b"../victim/a", 0o100_644, b"x"),
        record(format!("{to}/b").as_bytes(), 0o100_644, b"x"),
        record(b"abs", 0o120_777, to.as_bytes()),
        record(b"abs/c", 0o100_644, b"x"),
        record(b"rel", 0o120_777, b"../victim"),
        record(b"rel/d", 0o100_644, b"x"),
        record(b"rel", 0o120_777, b"../victim"),
        record(b"TRAILER!!!", 0, b""),
    ]
    .concat();
    let file = write(tmp.path(), "evil", &all);
    let o = run(&["extract", &file, "-o", out.to_str().unwrap()]);
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    assert!(!folder(&out).is_empty());
}

#[test]
fn only_an_initrd_is_appended_to() {
    let tmp = tempfile::tempdir().unwrap();
    let cfg = write(tmp.path(), "preseed.cfg", b"d-i passwd/make-user boolean false\n");
    let zipped = write(tmp.path(), "text.gz", &pipe("gzip -9n", b"text\n", tmp.path()));
    let empty = write(tmp.path(), "empty", b"");
    let new = tmp.path().join("new").to_str().unwrap().to_owned();
    for (no_initrd, name) in [(&cfg, "preseed.cfg"), (&zipped, "text.gz"), (&empty, "empty")] {
        fails(&["append", no_initrd, "--add", &cfg, "-o", &new], &[name, "offset 0x0"]);
        fails(&["append", no_initrd, "--add", &cfg, "--dry-run"], &[name]);
        assert!(!Path::new(&new).exists());
    }
}

#[test]
fn a_files_bytes_are_told_once_however_many_names_it_has() {
    let tmp = tempfile::tempdir().unwrap();
    let script = "mkdir t && cd t && head -c 2097152 /dev/zero > a && for n in b c d; do ln a $n; done \
                  && head -c 1048576 /dev/zero > e && find . | LC_ALL=C sort | cpio --quiet -o -H newc";
    let file = write(tmp.path(), "initrd", &pipe(script, b"", tmp.path()));
    let out = tmp.path().join("out").to_str().unwrap().to_owned();
    let told = ok(&["extract", &file, "-o", &out]);
    assert!(told.starts_with("5 files, 3.0 MiB in "), "{told}");
    let one = tmp.path().join("one").to_str().unwrap().to_owned();
    let told = ok(&["extract", &file, "c", "-o", &one]);
    assert!(told.starts_with("1 files, 2.0 MiB in "), "{told}");
}

#[test]
fn appended_files_follow_the_vendors_links_and_leave_its_bytes() {
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let file = write(tmp.path(), "initrd", &pipe("xz --check=crc32", &cpio, tmp.path()));
    let ours = tmp.path().join("ours");
    pipe(
        "mkdir -p ours/lib/sub ours/tmp && printf hook > ours/lib/sub/hook && chmod 755 ours/lib/sub/hook \
         && printf t > ours/tmp/t && ln -s sub/hook ours/lib/again",
        b"",
        tmp.path(),
    );
    let cfg = write(tmp.path(), "preseed.cfg", b"d-i\n");
    let new = tmp.path().join("new").to_str().unwrap().to_owned();
    let folder_arg = ours.to_str().unwrap();
    let added = format!("{cfg}:bin/../usr/x.cfg");
    fails(&["append", &file, "--add", &added, "-o", &new], &["bad path"]);
    let told = ok(&[
        "append",
        &file,
        "--add",
        &cfg,
        "--add",
        &format!("{cfg}:bin/x"),
        "--folder",
        folder_arg,
        "-o",
        &new,
    ]);
    assert!(told.contains("usr/bin/x"), "{told}");
    let (was, now) = (std::fs::read(&file).unwrap(), std::fs::read(&new).unwrap());
    assert_eq!(now[..was.len()], was, "the vendor's bytes stay");
    cpio_agrees(&new);
    assert_eq!(ok(&["cat", &new, "usr/lib/sub/hook"]), "hook");
    assert_eq!(ok(&["cat", &new, "lib/again"]), "hook");
    let long = ok(&["ls", "-l", &new]);
    assert!(
        long.lines().any(|l| l.starts_with("l0777") && l.ends_with("lib -> usr/lib")),
        "{long}"
    );
    assert!(long.lines().any(|l| l.starts_with("d1777") && l.ends_with(" tmp/")), "{long}");
    assert!(long.lines().any(|l| l.starts_with("-0755") && l.ends_with("usr/lib/sub/hook")));
    // Same input, same bytes; and what is there can be tried first.
    let again = tmp.path().join("again").to_str().unwrap().to_owned();
    ok(&[
        "append",
        &file,
        "--add",
        &cfg,
        "--add",
        &format!("{cfg}:bin/x"),
        "--folder",
        folder_arg,
        "-o",
        &again,
    ]);
    assert_eq!(std::fs::read(&again).unwrap(), now);
    let dry = ok(&["append", &file, "--add", &cfg, "--dry-run"]);
    assert!(dry.contains("preseed.cfg"), "{dry}");
}

#[test]
fn what_would_change_somethings_type_or_another_name_is_refused() {
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let file = write(tmp.path(), "initrd", &cpio);
    let cfg = write(tmp.path(), "a.cfg", b"x");
    let out = tmp.path().join("new").to_str().unwrap().to_owned();
    for (to, words) in [
        ("lib", &["another type", "lib"][..]),
        ("etc/deep", &["another type", "etc/deep"]),
        ("etc/text/x", &["another type", "etc/text"]),
        ("bin/sh", &["other names", "usr/bin/sh"]),
    ] {
        fails(&["append", &file, "--add", &format!("{cfg}:{to}"), "-o", &out], words);
    }
    let lz4 = write(tmp.path(), "lz4", &pipe("lz4 -l -c -q", &cpio, tmp.path()));
    fails(&["append", &lz4, "--add", &format!("{cfg}:etc/text"), "-o", &out], &["LZ4", "etc/text"]);
    assert!(!Path::new(&out).exists());
    ok(&["append", &lz4, "--add", &format!("{cfg}:etc/new"), "-o", &out]);
    assert!(std::fs::read(&out).unwrap().starts_with(b"070701"), "in front of the LZ4");
    assert_eq!(ok(&["cat", &out, "etc/new"]), "x");
    assert_eq!(our_names(&out).len(), our_names(&lz4).len() + 1);
}

#[test]
fn repack_drops_replaces_and_is_the_same_each_time() {
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let gz = pipe("gzip -1", &cpio, tmp.path());
    let file = write(tmp.path(), "initrd", &gz);
    let text = write(tmp.path(), "text", b"replaced\n");
    let (one, two) = (tmp.path().join("one"), tmp.path().join("two"));
    for (out, threads) in [(&one, "1"), (&two, "3")] {
        let v = json(&[
            "repack",
            &file,
            "--codec",
            "zstd",
            "--level",
            "3",
            "--threads",
            threads,
            "--drop",
            "usr/lib/z*",
            "--drop",
            "bin/busybox",
            "--replace",
            &format!("etc/text={text}"),
            "--json",
            "-o",
            out.to_str().unwrap(),
        ]);
        assert_eq!(v["codec"], "zstd");
        assert_eq!(v["dropped"], serde_json::json!(["usr/bin/busybox", "usr/lib/zeros"]));
        assert_eq!(v["size"], out.metadata().unwrap().len());
    }
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let new = one.to_str().unwrap();
    assert_eq!(ok(&["cat", new, "etc/text"]), "replaced\n");
    assert_eq!(ok(&["cat", new, "bin/sh"]), "busy", "the bytes stood with the dropped name");
    assert!(!our_names(new).contains("usr/lib/zeros"));
    cpio_agrees(new);
    // To a pipe, and where nothing is written.
    let o = run(&["repack", &file, "--codec", "none", "-o", "-"]);
    assert!(o.status.success() && o.stdout.starts_with(b"070701"));
    assert!(String::from_utf8_lossy(&o.stderr).contains("none:"));
    let dry = ok(&["repack", &file, "--codec", "none", "--dry-run"]);
    assert!(dry.contains("entries"), "{dry}");
}

#[test]
fn crc_archives_are_read_and_a_wrong_sum_is_told() {
    let (tree, _) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let cpio = pipe("find . | LC_ALL=C sort | cpio --quiet -o -H crc", b"", tree.path());
    let file = write(tmp.path(), "crc", &cpio);
    cpio_agrees(&file);
    let at = cpio.windows(5).position(|w| w == b"text\n").unwrap();
    let mut bad = cpio.clone();
    bad[at] ^= 1;
    let file = write(tmp.path(), "bad", &bad);
    fails(&["ls", &file], &["etc/text", "checksum"]);
}

#[test]
fn names_are_bytes() {
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let file = write(tmp.path(), "initrd", &cpio);
    assert!(ok(&["ls", &file, "etc"]).contains("etc/caf\\xe9"));
    let path = std::ffi::OsStr::from_bytes(b"etc/caf*");
    let out = tmp.path().join("out");
    let o = tool().args(["extract", &file]).arg(path).arg("-o").arg(&out).output().unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    assert!(out.join(std::ffi::OsStr::from_bytes(b"etc/caf\xe9")).exists());
    // One that no line can hold is passed over and told, and stays where it is repacked.
    let odd = [record(b"a\nb", 0o100_644, b"x"), record(b"TRAILER!!!", 0, b"")].concat();
    let file = write(tmp.path(), "odd", &odd);
    let o = run(&["ls", &file]);
    assert!(o.stdout.is_empty());
    assert!(String::from_utf8_lossy(&o.stderr).contains("1 names with control bytes"));
    let new = tmp.path().join("new");
    ok(&["repack", &file, "--codec", "none", "-o", new.to_str().unwrap()]);
    assert!(std::fs::read(&new).unwrap().windows(4).any(|w| w == b"a\nb\0"));
}

#[test]
fn slips_are_told_on_one_line_with_a_hint() {
    let tmp = tempfile::tempdir().unwrap();
    let good = write(
        tmp.path(),
        "good",
        &[record(b"f", 0o100_644, b"x"), record(b"TRAILER!!!", 0, b"")].concat(),
    );
    let out = tmp.path().join("out").to_str().unwrap().to_owned();
    let text = write(tmp.path(), "text", b"this is no initrd");
    let empty = write(tmp.path(), "empty", b"");
    let absent = tmp.path().join("absent").to_str().unwrap().to_owned();
    let dir = tmp.path().to_str().unwrap();
    for verb in ["inspect", "ls"] {
        fails(&[verb, &text], &["text", "nothing that the kernel unpacks starts with"]);
        fails(&[verb, &empty], &["empty"]);
        fails(&[verb, &absent], &["absent"]);
        fails(&[verb, dir], &["is a directory"]);
    }
    fails(&["ls", &good, "nope"], &["nope"]);
    fails(&["cat", &good, "nope"], &["good", "nope"]);
    fails(&["extract", &good, "nope", "-o", &out], &["\"nope\" matches nothing"]);
    fails(&["extract", &text, "-o", &out], &["text"]);
    fails(&["append", &good, "--add", &absent, "-o", &out], &["absent"]);
    fails(&["append", &good, "--add", dir, "-o", &out], &["is a folder"]);
    fails(&["append", &good, "--add", &format!("{good}:"), "-o", &out], &["does not say where"]);
    fails(&["append", &good, "--folder", &good, "-o", &out], &["is no folder"]);
    fails(&["append", &good, "--add", &good, "-o", dir], &["is a folder"]);
    fails(&["append", &good, "--add", &text, "-o", "/nowhere/x"], &["/nowhere"]);
    fails(&["repack", &good, "--drop", "nope", "-o", &out], &["\"nope\" matches nothing"]);
    fails(&["repack", &good, "--drop", "[", "-o", &out], &["bad pattern"]);
    fails(&["repack", &good, "--replace", "f", "-o", &out], &["does not say what by"]);
    fails(&["repack", &good, "--replace", &format!("g={good}"), "-o", &out], &["no such file"]);
    fails(&["repack", &good, "--codec", "zstd", "--level", "20", "-o", &out], &["no level 20"]);
    fails(&["repack", &good, "--codec", "lz4", "--level", "3", "-o", &out], &["no levels"]);
    fails(&["repack", &text, "-o", &out], &["text"]);
    assert!(!Path::new(&out).exists() || std::fs::read_dir(&out).unwrap().count() == 0);
    let left = std::fs::read_dir(tmp.path()).unwrap().flatten();
    let parts = left.filter(|e| e.file_name().to_string_lossy().starts_with(".isowright"));
    assert_eq!(parts.count(), 0);
    for verb in ["inspect", "ls", "cat", "extract", "append", "repack"] {
        let help = ok(&[verb, "--help"]);
        assert!(help.contains("Example"), "{verb}");
        assert!(help.lines().all(|l| l.chars().count() <= 80), "{verb}: {help}");
    }
}

#[test]
fn lzo_and_the_old_cpio_are_told_apart_from_rubbish() {
    let Some(_) = support::packaged("/usr/bin/lzop", "lzop") else { return };
    let (tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let file = write(tmp.path(), "lzo", &pipe("lzop -c", &cpio, tmp.path()));
    fails(&["ls", &file], &["LZO is not read"]);
    let old = pipe("find . | cpio --quiet -o -H odc", b"", tree.path());
    let file = write(tmp.path(), "odc", &old);
    fails(&["ls", &file], &["070707"]);
    let xz = write(tmp.path(), "xz", &pipe("xz --check=crc64", &cpio, tmp.path()));
    assert!(ok(&["inspect", &xz]).contains("CRC64, which the kernel does not know"));
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let Some((_, initrd)) = support::debian_netboot() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("new");
    let mut child = tool()
        .args(["repack", "--codec", "xz", "--level", "9"])
        .arg(&initrd)
        .arg("-o")
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || {
        std::fs::read_dir(tmp.path())
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with(".isowright-part-"))
    };
    for _ in 0..600 {
        if begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(begun(), "it writes under another name");
    assert!(!out.exists());
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
}

/// A number that looks random and is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// Whatever the bytes: an error or a told result.
#[test]
fn cut_and_mutated_initrds_do_no_harm() {
    use isowright::content::Content;
    use isowright::format::initrd::{Inside, Options, append, repack};
    let (_tree, cpio) = hard_tree();
    let tmp = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let options = Options { threads: 1, drop: vec!["etc".into()], ..Options::default() };
    for (codec, pack, _) in CODECS {
        let packed = pipe(pack, &cpio, tmp.path());
        let two = [&packed[..], &[0; 64], &packed[..]].concat();
        for (whole, rounds) in [(&packed, 60), (&two, 20)] {
            for _ in 0..rounds {
                let mut b = whole.clone();
                b.truncate(dice.roll(whole.len()) + 1);
                if dice.roll(2) == 0 {
                    b = whole.clone();
                    for _ in 0..=dice.roll(8) {
                        let at = dice.roll(b.len());
                        b[at] ^= 1 << dice.roll(8);
                    }
                }
                let c: Content = b.into();
                let looked = Inside::of(&c);
                let made = repack(&c, &options, &mut || Ok(Vec::new()), &|_| true);
                assert!(looked.is_ok() || made.is_err(), "{codec}: what can't be read is repacked");
                let _ = append(&[c], &[]);
            }
        }
        // The trailer's last byte is needed, except of the padding behind it.
        let cut: Content = packed[..packed.len() / 2].to_vec().into();
        assert!(Inside::of(&cut).is_err(), "{codec}");
    }
}

/// Peak memory and time of an initrd that is made to cost much: the bounds hold for each codec.
#[test]
fn a_bomb_of_any_codec_stays_within_memory_and_seconds() {
    let tmp = tempfile::tempdir().unwrap();
    for (pack, mib, most) in [
        ("gzip -1", 2100u64, 2048),
        ("xz -0 --check=crc32", 1100, 1024),
        ("lzma -0", 1100, 1024),
        ("bzip2 -1", 300, 256),
        ("zstd -q -1", 2100, 2048),
        ("zstd -q -1 --long=26", 2100, 2048),
        ("lz4 -l -c -q", 2100, 2048),
    ] {
        let zeros = format!("head -c {} /dev/zero", mib << 20);
        let file = write(tmp.path(), "bomb", &pipe(&format!("{zeros} | {pack}"), b"", tmp.path()));
        let o = Command::new("/usr/bin/time")
            .args(["-q", "-f", "%M %U", env!("CARGO_BIN_EXE_isowright"), "initrd", "ls", &file])
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&o.stderr).into_owned();
        assert!(err.contains(&format!("unpacks to over {most} MiB")), "{pack}: {err}");
        let mut last = err.lines().last().unwrap().split_whitespace();
        let peak: u64 = last.next().unwrap().parse().unwrap();
        let seconds: f64 = last.next().unwrap().parse().unwrap();
        // 64 MiB of window in the worst case, and the program itself.
        assert!(peak < 90 << 10, "{pack}: {peak} KiB");
        assert!(seconds < 30.0, "{pack}: {seconds} s");
    }
    let long = pipe("head -c 200000000 /dev/urandom | zstd -q -1 --long=27", b"", tmp.path());
    let file = write(tmp.path(), "window", &long);
    fails(&["ls", &file], &["too much memory"]);
}

#[test]
fn a_folder_may_hold_more_files_than_a_process_may_open() {
    let (tmp, cpio) = hard_tree();
    let file = write(tmp.path(), "initrd", &cpio);
    pipe("mkdir many && for n in $(seq 100); do echo $n > many/$n; done", b"", tmp.path());
    let new = tmp.path().join("new").to_str().unwrap().to_owned();
    let (bin, many) = (env!("CARGO_BIN_EXE_isowright"), tmp.path().join("many"));
    let script =
        format!("ulimit -n 40; {bin} initrd append {file} --folder {} -o {new}", many.display());
    pipe(&script, b"", tmp.path());
    assert_eq!(ok(&["cat", &new, "77"]), "77\n");
}
