//! A matrix with an object store for its memory: several processes share the jobs, each object is put once, and
//! what a killed one has left is finished by the next.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/bucket.rs"]
#[allow(dead_code)]
mod bucket;

use bucket::{Asked, Fate, Proxy, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const JOBS: [&str; 5] = ["alma", "bravo", "charlie", "delta", "echo"];

/// A store, a proxy in front of it that counts, and recipe files of those names over the demo medium, each
/// with a console of its own so that no two trees are alike.
struct Cluster {
    server: Server,
    proxy: Proxy,
    dir: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let server = Server::start(None);
        let proxy = Proxy::before(server.addr());
        let dir = tempfile::tempdir().unwrap();
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo.iso");
        for (i, name) in JOBS.iter().enumerate() {
            let text = format!(
                "[profile]\nconsole = [\"ttyS{i},115200n8\"]\n\
                 [source]\npath = \"{}\"\n[[output]]\ndir = \"unused/{name}\"\n",
                demo.display()
            );
            std::fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
        }
        Cluster { server, proxy, dir }
    }

    /// A worker with all of the jobs, or a share of them.
    fn worker(&self, more: &[&str]) -> Command {
        let mut c = Command::new(env!("CARGO_BIN_EXE_isowright"));
        c.current_dir(self.dir.path())
            .env("HOME", "/nonexistent")
            .env("AWS_SKIP_SIGNATURE", "true");
        c.env_remove("AWS_PROFILE").env_remove("JOB_COMPLETION_INDEX").stdin(Stdio::null());
        c.arg("publish").args(JOBS.map(|j| format!("{j}.toml"))).arg("s3://boot/trees");
        c.args([
            "--endpoint",
            &self.proxy.url(),
            "--plus",
            "once",
            "--checksum",
            "none",
            "--patience",
            "2",
        ]);
        c.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    fn start(&self, more: &[&str]) -> Child {
        self.worker(more).spawn().unwrap()
    }

    /// How often each object but the records of publish itself was put to its end.
    fn puts(&self) -> BTreeMap<String, usize> {
        let mut puts = BTreeMap::new();
        let own =
            |a: &&Asked| a.method == "PUT" && a.query.is_empty() && !a.key.contains(".isowright/");
        for a in self.proxy.seen().iter().filter(own) {
            *puts.entry(a.key.clone()).or_insert(0) += 1;
        }
        puts
    }

    fn is_whole(&self, job: &str) {
        let o = Command::new(env!("CARGO_BIN_EXE_isowright"))
            .args([
                "verify",
                &format!("s3://boot/trees/{job}"),
                "--whole",
                "--endpoint",
                &self.proxy.url(),
            ])
            .env("AWS_SKIP_SIGNATURE", "true")
            .output()
            .unwrap();
        assert!(o.status.success(), "{job}: {}", String::from_utf8_lossy(&o.stdout));
        let script = self.server.bucket().join(format!("trees/{job}/boot.ipxe"));
        let i = JOBS.iter().position(|j| *j == job).unwrap();
        assert!(std::fs::read_to_string(script).unwrap().contains(&format!("console=ttyS{i},")));
    }
}

#[track_caller]
fn done(c: Child) -> String {
    let o = c.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert!(o.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn three_processes_with_the_same_jobs_put_each_object_once() {
    let cluster = Cluster::new();
    let workers: Vec<Child> = (0..3).map(|_| cluster.start(&[])).collect();
    let told: Vec<String> = workers.into_iter().map(done).collect();
    for t in &told {
        for j in JOBS {
            assert!(t.lines().any(|l| l.starts_with(j) && l.contains("  done  ")), "{t}");
        }
    }
    let puts = cluster.puts();
    let twice: Vec<_> = puts.iter().filter(|(_, n)| **n != 1).collect();
    assert_eq!(twice, [], "put more than once");
    let kernels: BTreeSet<_> =
        puts.keys().filter(|k| k.ends_with("/vmlinuz") && !k.contains("repo")).collect();
    assert_eq!(kernels.len(), JOBS.len());
    JOBS.iter().for_each(|j| cluster.is_whole(j));
    for j in JOBS {
        let url = format!("{}/boot/trees/{j}/", cluster.proxy.url());
        let options =
            isowright::publish::verify::web::Options { whole: true, ..Default::default() };
        let r = isowright::publish::verify::web::walk(&url, options, &|_| true).unwrap();
        assert_eq!(r.findings, [], "a machine would find it as it should be");
    }
    // Another one finds all of it there.
    cluster.proxy.seen();
    done(cluster.start(&[]));
    assert_eq!(cluster.puts(), BTreeMap::new());
}

#[test]
fn a_killed_workers_share_is_finished_by_the_next_run() {
    let cluster = Cluster::new();
    // The second worker's share is bravo and echo; in the latter it does not come to an end.
    let tried = Arc::new(AtomicUsize::new(0));
    let count = tried.clone();
    cluster.proxy.rule(move |a| match a.method == "PUT" && a.key == "trees/echo/initrd.img" {
        true => {
            count.fetch_add(1, Ordering::SeqCst);
            Fate::Say(503, "SlowDown")
        }
        false => Fate::Pass,
    });
    let mut second = cluster.start(&["--shard", "2/3"]);
    let others = [cluster.start(&["--shard", "1/3"]), cluster.start(&["--shard", "3/3"])];
    let told_of = |t: &str| JOBS.iter().filter(|j| t.lines().any(|l| l.starts_with(**j))).count();
    assert_eq!(others.map(|o| told_of(&done(o))), [2, 1]);
    let since = Instant::now();
    while tried.load(Ordering::SeqCst) == 0 {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "the second worker does not come so far"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(second.try_wait().unwrap().is_none(), "it has given up before it is killed");
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(!cluster.server.bucket().join("trees/echo/boot.ipxe").exists());
    cluster.proxy.rule(|_| Fate::Pass);
    cluster.puts();
    let told = done(cluster.start(&["--shard", "2/3"]));
    assert_eq!(told_of(&told), 2, "{told}");
    let puts = cluster.puts();
    assert!(puts.contains_key("trees/echo/boot.ipxe"));
    assert!(!puts.keys().any(|k| !k.starts_with("trees/echo/")), "{puts:?}");
    JOBS.iter().for_each(|j| cluster.is_whole(j));
}
