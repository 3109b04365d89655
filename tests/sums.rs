//! Checksum files against coreutils: what we edit, `md5sum -c` and its like find right.
#![allow(clippy::unwrap_used, clippy::expect_used)]
mod support;

use isowright::content::path::TreePath;
use isowright::format::sums::{Algorithm, Doc};
use std::path::Path;
use std::process::Command;

const TOOLS: [(Algorithm, &str); 6] = [
    (Algorithm::Md5, "md5sum"),
    (Algorithm::Sha1, "sha1sum"),
    (Algorithm::Sha224, "sha224sum"),
    (Algorithm::Sha256, "sha256sum"),
    (Algorithm::Sha384, "sha384sum"),
    (Algorithm::Sha512, "sha512sum"),
];
const FILES: [&str; 4] = ["a", "boot/grub/grub.cfg", "with space (1)", "back\\slash"];

fn path(s: &str) -> TreePath {
    s.parse().unwrap()
}

fn holds(tool: &str, dir: &Path, doc: &Doc) -> bool {
    std::fs::write(dir.join("sums"), doc.to_bytes()).unwrap();
    let check = ["-c", "--strict", "sums"];
    Command::new(tool).args(check).current_dir(dir).output().unwrap().status.success()
}

#[test]
fn coreutils_find_what_we_write_right() {
    for (algorithm, tool) in TOOLS {
        for style in [&[][..], &["--tag"], &["-b"]] {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            std::fs::create_dir_all(dir.join("boot/grub")).unwrap();
            for f in FILES {
                std::fs::write(dir.join(f), f).unwrap();
            }
            let out = Command::new(tool).args(style).args(FILES).current_dir(dir).output().unwrap();
            assert!(out.status.success(), "{out:?}");
            let place = format!("{tool} {style:?}");
            let mut doc = Doc::parse(&path("sums"), &out.stdout).unwrap();
            let names: Vec<_> = doc.entries().map(|e| e.path).collect();
            assert_eq!(names, FILES.map(path), "{place}");
            for e in doc.entries() {
                let content = dir.join(e.path.as_path());
                let content = isowright::content::Content::open(&content).unwrap();
                assert_eq!(
                    algorithm.sum(&content, &|_| true).unwrap(),
                    e.sum,
                    "{place} {}",
                    e.path
                );
            }
            assert!(holds(tool, dir, &doc), "{place}");
            for f in FILES {
                std::fs::write(dir.join(f), "changed").unwrap();
                assert!(!holds(tool, dir, &doc), "{place} {f}");
                let sum = algorithm.sum(&b"changed".to_vec().into(), &|_| true).unwrap();
                assert!(doc.set(&path(f), &sum), "{place} {f}");
                assert!(holds(tool, dir, &doc), "{place} {f}");
            }
            std::fs::write(dir.join("new"), "new").unwrap();
            let sum = algorithm.sum(&b"new".to_vec().into(), &|_| true).unwrap();
            doc.add(&path("new"), &sum).unwrap();
            assert!(holds(tool, dir, &doc), "{place}");
            std::fs::remove_file(dir.join("a")).unwrap();
            assert!(doc.remove(&path("a")));
            assert!(holds(tool, dir, &doc), "{place}");
        }
    }
}

#[test]
fn a_real_mediums_list_names_its_files() {
    let Some(iso) = support::material("debian-installer.iso") else { return };
    let image = isowright::content::Content::open(&iso).unwrap();
    let media = isowright::media::open("debian", image).unwrap();
    let at = path("md5sum.txt");
    let bytes = media.tree.file(&at).unwrap().read_all(1 << 20).unwrap();
    let doc = Doc::parse(&at, &bytes).unwrap();
    assert_eq!(doc.entries().count(), bytes.split(|b| *b == b'\n').count() - 1);
    for e in doc.entries() {
        let sum = e.sum.algorithm.sum(media.tree.file(&e.path).unwrap(), &|_| true).unwrap();
        assert!(sum == e.sum, "{}", e.path);
    }
}
