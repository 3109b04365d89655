//! What the tests share: where the test material lies, and how a missing piece is told.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod iso_oracles;
pub mod web;

use std::io::Write;
use std::path::PathBuf;

/// A file or folder that `make material` made (`tests/material/*.sh`), below
/// `$ISOWRIGHT_MATERIAL` or `target/material`. In CI a missing one fails the test; elsewhere the test
/// says why it is skipped.
pub fn material(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ISOWRIGHT_MATERIAL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/material"),
        PathBuf::from,
    );
    present(root.join(name), "run `make material`")
}

/// A file that a Debian package brings.
pub fn packaged(path: &str, package: &str) -> Option<PathBuf> {
    present(PathBuf::from(path), &format!("install the Debian package {package}"))
}

fn present(path: PathBuf, mend: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not there: {mend}", path.display()));
    None
}

/// Says that a test is skipped and why; in CI (`CI=true`) that is a failure. `make test` counts the
/// lines.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped in CI: {why}");
    // Not eprintln!, which the test runner keeps to itself where the test passes.
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// The vendors' real boot configurations, where that folder lies beside the checkout.
pub fn vendor_configs() -> Option<PathBuf> {
    let dir = std::env::var_os("ISOWRIGHT_VENDOR_CONFIGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor-configs"),
        PathBuf::from,
    );
    dir.is_dir().then_some(dir)
}

/// The headers of real vendor media with what they are, where that file lies beside the checkout.
pub fn media_labels() -> Option<PathBuf> {
    let file = std::env::var_os("ISOWRIGHT_MEDIA_LABELS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/media-labels.tsv"),
        PathBuf::from,
    );
    file.is_file().then_some(file)
}

/// Lets as many emulated machines run at a time as there are processors, over all test binaries: a
/// booting machine keeps one busy. Held until dropped.
pub fn slot() -> std::fs::File {
    let slots = std::thread::available_parallelism().map_or(1, usize::from);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let slot = |n| std::fs::File::create(dir.join(format!("machine-{n}.lock"))).unwrap();
    loop {
        if let Some(free) = (0..slots).map(slot).find(|f| f.try_lock().is_ok()) {
            return free;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let l = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    l.local_addr().unwrap().port()
}

/// Debian's own netboot kernel and initrd.
pub fn debian_netboot() -> Option<(PathBuf, PathBuf)> {
    let dir = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
    let package = "debian-installer-12-netboot-amd64";
    Some((
        packaged(&format!("{dir}/linux"), package)?,
        packaged(&format!("{dir}/initrd.gz"), package)?,
    ))
}

/// Whether a machine can be emulated with both firmwares.
pub fn emulator() -> Option<()> {
    packaged("/usr/bin/qemu-system-x86_64", "qemu-system-x86")?;
    packaged("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu")?;
    packaged("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf")?;
    Some(())
}

/// Boots a tree, its firmwares beside each other, and tells what was seen; the console is printed where
/// the test fails.
pub fn boot(options: &isowright::boot::Options) -> Vec<isowright::boot::Verdict> {
    let prove = |firmware| {
        let mut one = options.clone();
        one.firmware = vec![firmware];
        let _slot = slot();
        let stop = std::sync::atomic::AtomicBool::new(false);
        isowright::boot::prove(&one, &stop, &mut |_| {}).unwrap().remove(0)
    };
    let verdicts: Vec<_> = std::thread::scope(|s| {
        let prove = &prove;
        let machines: Vec<_> =
            options.firmware.iter().map(|&f| s.spawn(move || prove(f))).collect();
        machines.into_iter().map(|m| m.join().unwrap()).collect()
    });
    for v in &verdicts {
        let asked: Vec<_> = v.requests.iter().map(|r| (&r.target, r.status, r.bytes)).collect();
        println!("== {}: {:?}\nrequests: {asked:?}", v.firmware, v.outcome);
        println!("-- COM1\n{}\n-- COM2\n{}", v.com1, v.com2);
    }
    verdicts
}

/// A fixture's medium: `fixtures/NAME/tree` as a Tree, and its volume id.
pub fn fixture(name: &str) -> (isowright::content::tree::Tree, String) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let id = std::fs::read_to_string(dir.join("volume_id")).expect("volume_id");
    (folder(&dir.join("tree")), id.trim_end().to_owned())
}

/// Names of all fixtures, as `fixtures/INDEX` lists them.
pub fn fixtures() -> Vec<String> {
    let index = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/INDEX");
    let text = std::fs::read_to_string(index).expect("INDEX");
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
}

/// A folder as a Tree: files, folders and symbolic links.
pub fn folder(root: &std::path::Path) -> isowright::content::tree::Tree {
    let mut tree = isowright::content::tree::Tree::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).expect("folder") {
            let entry = entry.expect("entry");
            tree.insert(tree_path(root, &entry.path()), node(&entry.path()));
            if entry.file_type().expect("type").is_dir() {
                left.push(entry.path());
            }
        }
    }
    tree
}

fn tree_path(root: &std::path::Path, path: &std::path::Path) -> isowright::content::path::TreePath {
    use std::os::unix::ffi::OsStrExt;
    let below = path.strip_prefix(root).expect("below the root");
    isowright::content::path::TreePath::new(below.as_os_str().as_bytes()).expect("path")
}

fn node(path: &std::path::Path) -> isowright::content::tree::Node {
    use isowright::content::tree::{Node, NodeKind};
    use std::os::unix::ffi::OsStrExt;
    let meta = path.symlink_metadata().expect("metadata");
    if meta.is_dir() {
        Node::dir()
    } else if meta.is_symlink() {
        let target = std::fs::read_link(path).expect("link");
        let kind = NodeKind::Symlink(target.as_os_str().as_bytes().to_vec());
        Node { kind, mode: 0o777, mtime: None }
    } else {
        Node::file(isowright::content::Content::open(path).expect("file"))
    }
}
