//! Many recipe files in one run: each is built, one that fails stops no other, and shares of several processes
//! make up the whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso").to_str().unwrap().to_owned()
}

fn tool(dir: &Path) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
    c.current_dir(dir).env_remove("JOB_COMPLETION_INDEX");
    c
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    told(tool(dir).args(args).output().unwrap())
}

fn told(o: Output) -> (Option<i32>, String, String) {
    let text = |b| String::from_utf8(b).unwrap();
    (o.status.code(), text(o.stdout), text(o.stderr))
}

/// Job files of those names over the demo medium, each with a tree of its own.
fn jobs(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for n in names {
        job(dir.path(), n, &demo(), &format!("out/{n}"));
    }
    dir
}

fn job(dir: &Path, name: &str, iso: &str, out: &str) {
    let text = format!("[source]\npath = \"{iso}\"\n[[output]]\ndir = \"{out}\"\n");
    std::fs::write(dir.join(format!("{name}.toml")), text).unwrap();
}

fn is_built(dir: &Path, name: &str) -> bool {
    dir.join("out").join(name).join("boot.ipxe").exists()
}

#[test]
fn one_that_fails_stops_no_other_and_the_next_run_goes_on() {
    let dir = jobs(&["a", "b", "d"]);
    let d = dir.path();
    job(d, "c", "nothing.iso", "out/c");
    let all = ["build", "d.toml", "c.toml", "b.toml", "a.toml"];
    let (code, out, err) = run(d, &all);
    assert_eq!(code, Some(2), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    for (line, start) in lines.iter().zip(["a  done ", "b  done ", "c  FAILED", "d  done "]) {
        assert!(line.starts_with(start), "{out}");
    }
    assert!(
        lines[0].contains("25 files, 75.9 KiB in out/a (25 written, 0 there already)"),
        "{out}"
    );
    assert!(lines[2].contains("nothing.iso"), "{out}");
    assert!(
        err.contains("isowright: c: ")
            && err.contains("isowright: 1 of 4 jobs failed\nhint: run it again"),
        "{err}"
    );
    for n in ["a", "b", "d"] {
        assert_eq!(run(d, &["verify", &format!("out/{n}")]).0, Some(0));
    }
    std::fs::copy(demo(), d.join("nothing.iso")).unwrap();
    let (code, out, err) = run(d, &[&all[..], &["--json"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let v: serde_json::Value = serde_json::from_str(&out).unwrap();
    let names: Vec<_> = v.as_array().unwrap().iter().map(|r| r["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert!(v.as_array().unwrap().iter().all(|r| r["ok"] == true && r["made"]["format"] == 1));
    let (_, out, _) = run(d, &all);
    assert_eq!(out.matches("0 written, 25 there already").count(), 4, "{out}");
}

#[test]
fn the_matrix_is_a_line_of_json_that_names_each_job() {
    let dir = jobs(&["b", "a"]);
    let d = dir.path();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/debian.toml");
    std::fs::copy(recipe, d.join("debian.toml")).unwrap();
    let (code, out, err) = run(d, &["build", "b.toml", "debian.toml", "a.toml", "--matrix"]);
    assert_eq!(code, Some(0));
    assert!(err.contains("debian.toml: says how a distribution is handled"), "{err}");
    assert_eq!(out.lines().count(), 1);
    let v: serde_json::Value = serde_json::from_str(&out).unwrap();
    let include = v["include"].as_array().unwrap();
    let fields =
        |k: &str| include.iter().map(|j| j[k].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (fields("name"), fields("recipe")),
        (vec!["a".into(), "b".into()], vec!["a.toml".into(), "b.toml".into()])
    );
    assert_eq!(fields("source"), [demo(), demo()]);
    assert!(!d.join("out").exists());
    // What GitHub hands back builds just that one.
    assert_eq!(run(d, &["build", &fields("recipe")[1]]).0, Some(0));
    assert!(is_built(d, "b") && !is_built(d, "a"));
}

#[test]
fn shares_are_disjoint_and_make_up_the_whole() {
    let names = ["a", "b", "c", "d", "e"];
    let dir = jobs(&names);
    let d = dir.path();
    let files: Vec<String> = names.iter().map(|n| format!("{n}.toml")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let share = |s: &str, index: Option<&str>| {
        let mut c = tool(d);
        if let Some(i) = index {
            c.env("JOB_COMPLETION_INDEX", i);
        }
        let o = c.arg("build").args(&files).args(["--shard", s, "--matrix"]).output().unwrap();
        let (code, out, err) = told(o);
        assert_eq!(code, Some(0), "{err}");
        let v: serde_json::Value = serde_json::from_str(&out).unwrap();
        let include = v["include"].as_array().unwrap().clone();
        include.iter().map(|j| j["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(share("1/2", None), ["a", "c", "e"]);
    assert_eq!(share("2/2", None), ["b", "d"]);
    assert_eq!(share("/2", Some("0")), share("1/2", None));
    assert_eq!(share("/2", Some("1")), share("2/2", None));
    assert_eq!(share("7/9", None), [""; 0]);
    let workers: Vec<_> = (1..=3)
        .map(|i| {
            let shard = format!("{i}/3");
            tool(d).arg("build").args(&files).args(["--shard", &shard]).spawn().unwrap()
        })
        .collect();
    for mut w in workers {
        assert!(w.wait().unwrap().success());
    }
    assert!(names.iter().all(|n| is_built(d, n)));
}

#[test]
fn what_can_not_be_a_matrix_is_told_before_anything_is_written() {
    let dir = jobs(&["a", "b"]);
    let d = dir.path();
    std::fs::create_dir(d.join("sub")).unwrap();
    std::fs::copy(d.join("a.toml"), d.join("sub/a.toml")).unwrap();
    job(d, "same", &demo(), "out/a");
    std::fs::write(d.join("slip.toml"), "[source]\npth = \"x\"\n").unwrap();
    let iso = demo();
    for (args, words) in [
        (&["a.toml", "sub/a.toml"][..], "two recipe files are named a"),
        (&["a.toml", "same.toml"], "a and same both write"),
        (&["a.toml", &iso], "is no recipe file"),
        (&["a.toml", "b.toml", "-o", "x"], "-o names one folder"),
        (&["a.toml", "--shard", "3/2"], "--shard \"3/2\" is no share"),
        (&["a.toml", "--shard", "/2"], "JOB_COMPLETION_INDEX is not set"),
        (&["a.toml", "slip.toml"], "unknown field"),
    ] {
        let (code, out, err) = run(d, &[&["build"], args].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(words) && err.contains("\nhint: "), "{args:?}: {err}");
    }
    assert!(!d.join("out").exists());
}

#[test]
fn a_medium_that_jobs_share_is_opened_once() {
    let Some(strace) = support::packaged("/usr/bin/strace", "strace") else { return };
    let dir = jobs(&[]);
    let d = dir.path();
    let sum = told(Command::new("sha256sum").arg(demo()).output().unwrap()).1;
    let sum = sum.split_whitespace().next().unwrap().to_owned();
    for n in ["a", "b", "c"] {
        let text = format!(
            "[source]\npath = \"m.iso\"\nsha256 = \"{sum}\"\n[[output]]\ndir = \"out/{n}\"\n"
        );
        std::fs::write(d.join(format!("{n}.toml")), text).unwrap();
    }
    std::fs::copy(demo(), d.join("m.iso")).unwrap();
    let o = Command::new(strace)
        .args(["-f", "-e", "trace=openat,open", "-o", "trace", env!("CARGO_BIN_EXE_isowright")])
        .args(["build", "a.toml", "b.toml", "c.toml"])
        .current_dir(d)
        .output()
        .unwrap();
    assert!(o.status.success(), "{o:?}");
    let trace = std::fs::read_to_string(d.join("trace")).unwrap();
    assert_eq!(trace.lines().filter(|l| l.contains("m.iso\"")).count(), 1);
}

/// The commands of the examples, as a shell runs them in their place: with a folder for the bucket, they publish
/// every recipe file.
#[test]
fn the_examples_publish_every_recipe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/examples");
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_isowright")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut seen = 0;
    for file in std::fs::read_dir(root).unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        if support::packaged("/usr/lib/python3/dist-packages/yaml/__init__.py", "netplan.io")
            .is_some()
        {
            let load = "import sys, yaml; assert yaml.safe_load(open(sys.argv[1]))";
            let o = Command::new("/usr/bin/python3").args(["-c", load]).arg(file.path()).output();
            assert!(o.as_ref().is_ok_and(|o| o.status.success()), "{o:?}");
        }
        let names = ["a", "b", "c", "d"];
        let dir = jobs(&[]);
        let d = dir.path();
        std::fs::create_dir(d.join("recipes")).unwrap();
        names.iter().for_each(|n| job(&d.join("recipes"), n, &demo(), n));
        let run = |line: &str, env: &[(&str, String)]| {
            let line = line
                .replace("s3://", &format!("file://{}/", d.display()))
                .replace(" /recipes/", " recipes/");
            let mut c = Command::new("sh");
            c.args(["-ec", &line])
                .current_dir(d)
                .env("PATH", &path)
                .env("GITHUB_OUTPUT", d.join("output"));
            c.envs(env.iter().map(|(k, v)| (*k, v)));
            let (code, out, err) = told(c.output().unwrap());
            assert_eq!(code, Some(0), "{line}: {out}{err}");
        };
        let strip =
            |l: &str| l.trim().trim_start_matches("- ").trim_start_matches("run: ").to_owned();
        let command = |l: &String| l.starts_with("isowright ") || l.starts_with("echo ");
        for line in text.lines().map(strip).filter(command) {
            seen += 1;
            if line.contains("matrix.") {
                for n in names {
                    let line = line.replace("${{ matrix.recipe }}", &format!("recipes/{n}.toml"));
                    run(&line.replace("${{ matrix.name }}", n), &[]);
                }
                continue;
            }
            for i in 0..3 {
                let env = [
                    ("JOB_COMPLETION_INDEX", i.to_string()),
                    ("CI_NODE_INDEX", (i + 1).to_string()),
                    ("CI_NODE_TOTAL", "3".into()),
                ];
                run(&line, &env);
            }
        }
        for n in names {
            assert!(d.join(format!("boot/trees/{n}/boot.ipxe")).exists(), "{:?}: {n}", file.path());
        }
    }
    assert_eq!(seen, 5, "a command of an example is not known for one");
}
