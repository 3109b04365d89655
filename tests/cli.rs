//! The command as a user meets it: verbs on `fixtures/demo.iso`, and every way to hold it wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
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

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso").to_string_lossy().into_owned()
}

fn ok(args: &[&str]) -> String {
    let o = run(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
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

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(&d).unwrap().flatten() {
            if e.file_type().unwrap().is_dir() {
                todo.push(e.path());
            } else {
                out.insert(
                    e.path().strip_prefix(dir).unwrap().to_owned(),
                    std::fs::read(e.path()).unwrap(),
                );
            }
        }
    }
    out
}

fn build(out: &Path, more: &[&str]) {
    let mut args = vec!["build", "DEMO", "-o", out.to_str().unwrap()];
    let demo = demo();
    args[1] = &demo;
    args.extend(more);
    ok(&args);
}

#[test]
fn inspect_says_what_it_is_and_how_we_know() {
    let text = ok(&["inspect", &demo()]);
    for word in [
        "AlmaLinux",
        "9.4",
        "x86_64",
        ".treeinfo",
        "El Torito",
        "isolinux/isolinux.cfg",
        "efiboot.img!",
    ] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let v: serde_json::Value = serde_json::from_str(&ok(&["inspect", &demo(), "--json"])).unwrap();
    assert_eq!(v["identity"]["version"]["value"], "9.4");
    assert_eq!(v["recipe"]["name"], "almalinux");
    assert!(v["entries"].as_array().unwrap().len() >= 2);
    assert!(
        v["boot_files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["what"] == "kernel" && f["offset"].is_u64())
    );
}

#[test]
fn ls_cat_and_extract_agree() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("x");
    ok(&["extract", &demo(), "-o", out.to_str().unwrap()]);
    let listed: Vec<String> = ok(&["ls", "-R", &demo()])
        .lines()
        .filter(|l| !l.ends_with('/'))
        .map(str::to_owned)
        .collect();
    let got = files(&out);
    assert_eq!(listed.len(), got.len());
    for l in &listed {
        let bytes = run(&["cat", &demo(), l]).stdout;
        assert_eq!(Some(&bytes), got.get(Path::new(l)), "{l}");
    }
    let inner = run(&["cat", &demo(), "iso:/images/efiboot.img!/EFI/BOOT/grub.cfg"]);
    assert_eq!(Some(&inner.stdout), got.get(Path::new("EFI/BOOT/grub.cfg")));

    let some = tmp.path().join("some");
    ok(&[
        "extract",
        &demo(),
        "isolinux/*.cfg",
        ".treeinfo",
        "images/efiboot.img!/**/*.cfg",
        "-o",
        some.to_str().unwrap(),
    ]);
    let names: Vec<String> = files(&some).keys().map(|p| p.display().to_string()).collect();
    assert_eq!(
        names,
        [".treeinfo", "images/efiboot.img!/EFI/BOOT/grub.cfg", "isolinux/isolinux.cfg"]
    );
}

#[test]
fn a_build_verifies_and_two_are_byte_equal() {
    let tmp = tempfile::tempdir().unwrap();
    let (a, b) = (tmp.path().join("a"), tmp.path().join("b"));
    build(&a, &[]);
    build(&b, &[]);
    let (fa, fb) = (files(&a), files(&b));
    assert_eq!(fa.keys().collect::<Vec<_>>(), fb.keys().collect::<Vec<_>>());
    assert!(fa == fb);
    assert!(fa.contains_key(Path::new("repo/.treeinfo")), "dotfiles are hosted too");
    ok(&["verify", a.to_str().unwrap()]);
    let sums = Command::new("sha256sum")
        .args(["-c", "--quiet", "SHA256SUMS"])
        .current_dir(&a)
        .status()
        .unwrap();
    assert!(sums.success());
    let ipxe = String::from_utf8(fa[Path::new("boot.ipxe")].clone()).unwrap();
    assert!(ipxe.starts_with("#!ipxe\n"));
    assert!(ipxe.contains(
        "bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4"
    ));
    let last = ipxe.rfind("console=").map(|i| &ipxe[i..]).unwrap();
    assert!(last.starts_with("console=ttyS1,115200n8"));
}

#[test]
fn a_second_run_writes_only_what_is_missing() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    build(&out, &[]);
    let first = files(&out);
    std::fs::remove_file(out.join("vmlinuz")).unwrap();
    std::fs::write(out.join("initrd.img"), "torn").unwrap();
    std::fs::write(out.join("repo/.isowright-part-1-1"), "left by a run that was killed").unwrap();
    std::fs::write(out.join(".isowright-unfinished"), "").unwrap();
    let o = ok(&["build", &demo(), "-o", out.to_str().unwrap()]);
    assert!(o.contains("(2 written,"), "{o}");
    assert!(files(&out) == first);
    // Another profile takes away what the first one had and it has not.
    ok(&["build", &demo(), "-o", out.to_str().unwrap(), "--boot-only"]);
    assert!(!out.join("repo").exists());
    ok(&["verify", out.to_str().unwrap()]);
}

#[test]
fn verify_finds_what_was_broken() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    let dir = out.to_str().unwrap();
    build(&out, &[]);
    let edit = |name: &str, from: &str, to: &str| {
        let p = out.join(name);
        let text = std::fs::read_to_string(&p).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        std::fs::write(&p, text.replace(from, to)).unwrap();
    };
    let broken = |word: &str| {
        let o = run(&["verify", dir]);
        assert_eq!(o.status.code(), Some(1));
        let text = String::from_utf8_lossy(&o.stdout).into_owned();
        assert!(text.contains(word), "{word} is not in:\n{text}");
        build(&out, &[]);
    };
    edit("boot.ipxe", " console=ttyS1,115200n8", "");
    broken("lacks console=ttyS1,115200n8");
    edit("boot.ipxe", "lacp_rate=slow,miimon", "lacp_rate=slow:miimon");
    broken("lacks bond=");
    edit("boot.ipxe", "initrd initrd.img", "initrd other.img");
    broken("other.img");
    edit("grub/grub.cfg", "/vmlinuz", "/vmlinux");
    broken("vmlinux");
    std::fs::remove_file(out.join("repo/.treeinfo")).unwrap();
    broken("repo/.treeinfo: missing");
    let p = out.join("vmlinuz");
    let mut bytes = std::fs::read(&p).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&p, bytes).unwrap();
    broken("its bytes are not those of the manifest");
    std::fs::remove_file(out.join("SHA256SUMS")).unwrap();
    broken("SHA256SUMS: missing");
    ok(&["verify", dir]);
}

#[test]
fn every_slip_is_one_line_with_a_hint() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |n: &str| tmp.path().join(n).to_string_lossy().into_owned();
    let demo = demo();
    fails(&["inspect", &at("none.iso")], &["none.iso", "No such file"]);
    std::fs::write(at("text.iso"), "this is no image").unwrap();
    fails(&["inspect", &at("text.iso")], &["text.iso"]);
    std::fs::write(at("empty.iso"), "").unwrap();
    fails(&["inspect", &at("empty.iso")], &["empty.iso"]);
    let whole = std::fs::read(&demo).unwrap();
    std::fs::write(at("cut.iso"), &whole[..whole.len() / 2 / 2048 * 2048]).unwrap();
    fails(&["extract", &at("cut.iso"), "-o", &at("x")], &["cut.iso", "offset"]);
    fails(&["inspect", tmp.path().to_str().unwrap()], &["is a directory"]);
    fails(&["cat", &demo, "no/such"], &["no/such"]);
    fails(&["extract", &demo, "nothing*", "-o", &at("y")], &["matches nothing"]);
    fails(&["build", &demo], &["where to"]);
    fails(&["build", &demo, "-o", &at("z"), "--console", "console=ttyS1,115200n8"], &["leave out"]);
    fails(&["build", &demo, "-o", &at("z"), "--base-url", "ftp://x"], &["base URL"]);
    fails(&["build", &demo, "-o", &at("z"), "--entry", "nope"], &["nope"]);
    fails(&["build", &demo, "-o", &at("z"), "--recipe", "almalinx"], &["almalinx"]);
    std::fs::write(at("p.toml"), "console = [\"ttyS1,115200n8\"]\nunatended = true\n").unwrap();
    fails(&["plan", &demo, "-p", &at("p.toml")], &["p.toml:2", "unatended"]);
    std::fs::write(at("job.toml"), "[source]\npth = \"x.iso\"\n").unwrap();
    fails(&["build", &at("job.toml")], &["job.toml", "pth"]);
    std::fs::create_dir(at("full")).unwrap();
    std::fs::write(at("full/thesis.txt"), "").unwrap();
    fails(&["build", &demo, "-o", &at("full")], &["not empty"]);
    fails(&["verify", &at("full")], &["manifest"]);
    fails(&["boot", &at("full")], &["boot"]);
    fails(&["boot", &at("full"), "--as", "cd"], &["--as", "ISO"]);
    fails(&["boot", &demo, "--host", "node1"], &["--host", "tree"]);
    fails(&["boot", &at("none.iso"), "--as", "disk"], &["none.iso"]);
    fails(&["inspect", "http://127.0.0.1:9/x.iso"], &["no answer"]);
    assert!(!tmp.path().join("z").exists(), "nothing was written");
}

#[test]
fn a_full_disk_leaves_no_file_under_its_final_name() {
    // A file system of 1 MiB needs root; where we are not, a limit on file size stands in.
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec {} build {} -o {}",
        env!("CARGO_BIN_EXE_isowright"),
        demo(),
        out.display()
    );
    let o = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(o.status.code(), Some(2), "{}", String::from_utf8_lossy(&o.stderr));
    let left = files(&out);
    assert!(!left.contains_key(Path::new("boot.ipxe")));
    assert!(
        left.keys().all(|p| !p.to_string_lossy().contains("isowright-part")),
        "{:?}",
        left.keys()
    );
    build(&out, &[]);
    ok(&["verify", out.to_str().unwrap()]);
}

#[test]
fn a_job_file_builds_the_same_tree() {
    let tmp = tempfile::tempdir().unwrap();
    let job = tmp.path().join("job.toml");
    let sum = Command::new("sha256sum").arg(demo()).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    let text = |sum: &str| {
        format!(
            "profile = \"metal.toml\"\n[source]\npath = \"{}\"\nsha256 = \"{sum}\"\n[[output]]\ndir = \"out\"\n",
            demo()
        )
    };
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/metal.toml"),
        tmp.path().join("metal.toml"),
    )
    .unwrap();
    std::fs::write(&job, text(&sum)).unwrap();
    let job = job.to_str().unwrap();
    assert!(ok(&["recipe", "lint", job]).contains("nothing to complain"));
    ok(&["build", job]);
    let direct = tmp.path().join("direct");
    build(&direct, &["--sha256", &sum]);
    assert!(files(&tmp.path().join("out")) == files(&direct));
    std::fs::write(job, text(&sum.replace(&sum[..8], "00000000"))).unwrap();
    fails(&["build", job], &["SHA-256"]);
}

#[test]
fn dry_runs_write_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    let dir = out.to_str().unwrap();
    ok(&["build", &demo(), "-o", dir, "--dry-run"]);
    ok(&["extract", &demo(), "-o", dir, "--dry-run"]);
    ok(&["plan", &demo()]);
    assert!(!out.exists());
}

#[test]
fn source_date_epoch_is_in_the_manifest_and_on_the_files() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    let s = tool()
        .args(["build", &demo(), "-o", out.to_str().unwrap()])
        .env("SOURCE_DATE_EPOCH", "1600000000")
        .status()
        .unwrap();
    assert!(s.success());
    let m: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(m["source_date_epoch"], 1_600_000_000);
    let t = std::fs::metadata(out.join("boot.ipxe")).unwrap().modified().unwrap();
    assert_eq!(t.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_600_000_000);
}

#[test]
fn index_offers_the_trees_and_waits_safely() {
    let tmp = tempfile::tempdir().unwrap();
    build(&tmp.path().join("a tree"), &[]);
    build(&tmp.path().join("wipes"), &["--unattended"]);
    ok(&["index", tmp.path().to_str().unwrap()]);
    let text = std::fs::read_to_string(tmp.path().join("index.ipxe")).unwrap();
    assert!(text.contains("chain a%20tree/boot.ipxe"), "{text}");
    assert!(text.contains("choose --default next"), "{text}");
    assert!(text.contains("WIPES THE DISKS"), "{text}");
}

#[test]
fn help_fits_80_columns_and_shows_examples() {
    let verbs = [
        "inspect",
        "ls",
        "cat",
        "extract",
        "plan",
        "build",
        "verify",
        "boot",
        "index",
        "completions",
        "man",
        "recipe",
    ];
    let mut pages = vec![ok(&["--help"])];
    pages.extend(verbs.iter().map(|v| ok(&[v, "--help"])));
    for p in &pages {
        assert!(p.contains("Example"), "{p}");
        for l in p.lines() {
            assert!(l.chars().count() <= 80, "{l}");
        }
    }
}

#[test]
fn completions_and_man_pages_come_out() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(&["completions", shell]).contains("isowright"));
    }
    let tmp = tempfile::tempdir().unwrap();
    ok(&["man", tmp.path().to_str().unwrap()]);
    assert!(tmp.path().join("isowright.1").exists());
    assert!(tmp.path().join("isowright-build.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut c = tool()
        .args(["ls", "-R", &demo()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(c.stdout.take());
    let o = c.wait_with_output().unwrap();
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    assert!(o.stderr.is_empty());
}

#[test]
fn recipes_are_listed_shown_linted_and_have_a_schema() {
    let list = ok(&["recipe", "list"]);
    for name in [
        "almalinux",
        "rocky",
        "rhel",
        "centos-stream",
        "oracle",
        "fedora",
        "debian",
        "devuan",
        "debian-live",
        "generic",
    ] {
        assert!(list.lines().any(|l| l.split_whitespace().next() == Some(name)), "{name}");
        let tmp = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(tmp.path(), ok(&["recipe", "show", name])).unwrap();
        ok(&["recipe", "lint", tmp.path().to_str().unwrap()]);
    }
    assert!(list.lines().all(|l| l.chars().count() <= 100), "{list}");
    let at = |words: &str| list.find(words).unwrap_or_else(|| panic!("{words}: {list}"));
    let groups = [at("Proven by boot"), at("Proven by validator"), at("By documentation only")];
    assert!(groups.is_sorted());
    assert!((groups[0]..groups[1]).contains(&at("\n    debian  ")), "{list}");
    assert!((groups[1]..groups[2]).contains(&at("\n    rocky  ")), "{list}");
    assert!(at("\n    generic  ") > groups[2]);
    let rows: serde_json::Value = serde_json::from_str(&ok(&["recipe", "list", "--json"])).unwrap();
    let rocky = rows.as_array().unwrap().iter().find(|r| r["name"] == "rocky").unwrap();
    assert_eq!(rocky["proven"], "validator");
    assert!(rocky["proven_by"].as_str().unwrap().contains("Anaconda itself was not run"));
    for kind in ["recipe", "job", "profile"] {
        let v: serde_json::Value = serde_json::from_str(&ok(&["recipe", "schema", kind])).unwrap();
        assert!(v["properties"].is_object(), "{kind}");
    }
    let tmp = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(tmp.path(), ok(&["recipe", "show", "rocky"]).replace("family", "famly"))
        .unwrap();
    let o = run(&["recipe", "lint", tmp.path().to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&o.stdout).contains("famly"));
}

#[test]
fn ctrl_c_leaves_no_half_file() {
    // A pipe as source would block; a big file of zeros behind the demo's descriptors gives time.
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    let big = tmp.path().join("big");
    std::fs::create_dir(&big).unwrap();
    let f = std::fs::File::create(big.join("big.bin")).unwrap();
    f.set_len(3 << 30).unwrap();
    let iso = tmp.path().join("big.iso");
    let made = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-r", "-o"])
        .arg(&iso)
        .arg(&big)
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|s| s.success()) {
        return support::skip("xorriso is not there: install the Debian package xorriso");
    }
    drop(std::fs::remove_dir_all(&big));
    let mut c = tool()
        .args(["extract", iso.to_str().unwrap(), "-o", out.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(150));
    let killed = Command::new("kill").args(["-INT", &c.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = c.wait().unwrap();
    let left: Vec<_> = std::fs::read_dir(&out)
        .map(|d| d.flatten().map(|e| e.file_name()).collect())
        .unwrap_or_default();
    if status.success() {
        assert_eq!(left, ["big.bin"], "it was faster than the signal");
    } else {
        // None: the signal came before the handler stood, on a slow machine.
        assert!(matches!(status.code(), Some(130) | None), "{status}");
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_a_linked_folder_of_the_tree_holds_is_never_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let (out, victim) = (tmp.path().join("t"), tmp.path().join("victim"));
    build(&out, &[]);
    std::fs::rename(out.join("repo"), &victim).unwrap();
    std::os::unix::fs::symlink("../victim", out.join("repo")).unwrap();
    let before = files(&victim);
    assert!(!before.is_empty());
    build(&out, &["--boot-only"]);
    assert!(files(&victim) == before);
}

#[test]
fn a_lost_or_broken_manifest_is_mended_by_the_next_build() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    build(&out, &[]);
    let first = files(&out);
    std::fs::write(out.join("manifest.json"), "").unwrap();
    build(&out, &[]);
    assert!(files(&out) == first);
    std::fs::remove_file(out.join("manifest.json")).unwrap();
    build(&out, &[]);
    assert!(files(&out) == first);
}

#[test]
fn a_named_entry_must_start_linux_and_be_the_only_one_of_its_name() {
    fails(&["plan", &demo(), "--entry", "local"], &["starts no Linux kernel"]);
    let text = ok(&["plan", &demo(), "--entry", "rescue"]);
    assert!(text.contains("inst.rescue") && text.contains("isolinux/vmlinuz"), "{text}");
}

#[test]
fn a_job_of_two_outputs_is_planned_and_told_as_two() {
    let tmp = tempfile::tempdir().unwrap();
    let job = tmp.path().join("job.toml");
    let text = format!(
        "[source]\npath = \"{}\"\n[[output]]\ndir = \"a\"\n[[output]]\ndir = \"b\"\nboot_only = true\n",
        demo()
    );
    std::fs::write(&job, text).unwrap();
    let job = job.to_str().unwrap();
    let plan: serde_json::Value = serde_json::from_str(&ok(&["plan", job, "--json"])).unwrap();
    let count = |i: usize| plan[i]["files"].as_array().unwrap().len();
    assert!(count(0) > count(1));
    assert!(ok(&["plan", job]).contains(&format!("To {}", tmp.path().join("b").display())));
    let built: serde_json::Value = serde_json::from_str(&ok(&["build", job, "--json"])).unwrap();
    assert_eq!(built.as_array().unwrap().len(), 2);
    assert!(tmp.path().join("a/repo").exists() && !tmp.path().join("b/repo").exists());
}

#[test]
fn a_rerun_mends_times_too() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("t");
    for epoch in ["1700000000", "1600000000"] {
        let s = tool()
            .args(["build", &demo(), "-o", out.to_str().unwrap()])
            .env("SOURCE_DATE_EPOCH", epoch)
            .output()
            .unwrap();
        assert!(s.status.success());
        for name in ["vmlinuz", "boot.ipxe", "manifest.json", "SHA256SUMS"] {
            let t = std::fs::metadata(out.join(name)).unwrap().modified().unwrap();
            let t = t.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(t.to_string(), epoch, "{name}");
        }
    }
}
