//! A folder of this machine as a [`Tree`]: names, kinds and sizes now, bytes when they are read. It may
//! hold more files than a process may have open.

use super::Content;
use super::path::TreePath;
use super::source::PathSource;
use super::tree::{Node, NodeKind, Special, Tree};
use crate::error::{Error, Result};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// All of linux-firmware is some 4,000 files.
const MAX_NODES: usize = 100_000;
/// All of linux-firmware is below 2 GiB.
const MAX_BYTES: u64 = 4 << 30;

/// All that lies in `dir`: files, folders and links as they are, with their permission bits. Owners and
/// times are not kept.
///
/// # Errors
/// `NotFound` or `Usage` where it is no folder; `Unsupported` for a device or a socket, and above 100,000
/// names or 4 GiB; `Io` for what can't be read.
pub fn read(dir: &Path) -> Result<Tree> {
    let at = |p: &TreePath, e: Error| {
        let e = if p.is_root() { e } else { e.path(p) };
        e.source_name(dir.display())
    };
    let top =
        std::fs::metadata(dir).map_err(|e| at(&TreePath::root(), Error::io("can't open", e)))?;
    if !top.is_dir() {
        return Err(at(&TreePath::root(), Error::usage("is no folder")));
    }
    let mut nodes = Vec::new();
    let mut bytes = 0;
    let mut left = vec![TreePath::root()];
    while let Some(folder) = left.pop() {
        let entries = std::fs::read_dir(dir.join(folder.as_path()))
            .map_err(|e| at(&folder, Error::io("can't read the folder", e)))?;
        for e in entries {
            let e = e.map_err(|e| at(&folder, Error::io("can't read the folder", e)))?;
            let path = folder.join(e.file_name().as_bytes()).map_err(|e| at(&folder, e))?;
            let node = node(&e.path()).map_err(|e| at(&path, e))?;
            bytes += node.size();
            if nodes.len() >= MAX_NODES || bytes > MAX_BYTES {
                let what = "a folder of more than 100,000 names or 4 GiB";
                return Err(at(&TreePath::root(), Error::unsupported(what)));
            }
            if node.is_dir() {
                left.push(path.clone());
            }
            nodes.push((path, node));
        }
    }
    Ok(nodes.into_iter().collect())
}

/// What lies at `path`, itself and not where a link leads.
///
/// # Errors
/// `Io`, `NotFound`; `Unsupported` for a device or a socket.
pub fn node(path: &Path) -> Result<Node> {
    let meta = path.symlink_metadata().map_err(|e| Error::io("can't stat", e))?;
    let kind = match meta.file_type() {
        t if t.is_dir() => NodeKind::Dir,
        t if t.is_file() => NodeKind::File(Content::whole(Arc::new(PathSource::open(path)?))),
        t if t.is_symlink() => {
            let target = path.read_link().map_err(|e| Error::io("can't read the link", e))?;
            NodeKind::Symlink(target.as_os_str().as_bytes().to_vec())
        }
        t if t.is_fifo() => NodeKind::Special(Special::Fifo),
        t => {
            let what = if t.is_socket() { "a socket" } else { "a device node" };
            return Err(Error::unsupported(format!("{what} can't be taken along"))
                .hint("the kernel makes devices in /dev by itself"));
        }
    };
    let mode = if meta.is_symlink() { 0o777 } else { meta.mode() & 0o7777 };
    Ok(Node { kind, mode, mtime: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_is_taken_as_it_lies_there() {
        let dir = tempfile::tempdir().expect("tempdir");
        let d = dir.path();
        fs::create_dir_all(d.join("lib/modules")).expect("mkdir");
        fs::write(d.join("lib/a"), "abc").expect("write");
        fs::set_permissions(d.join("lib/a"), fs::Permissions::from_mode(0o4750)).expect("chmod");
        symlink("../nowhere", d.join("lib/link")).expect("link");
        let pipe = std::process::Command::new("mkfifo").arg(d.join("lib/pipe")).status();
        assert!(pipe.expect("mkfifo").success());
        let t = read(d).expect("folder");
        let show = |(p, n): (&TreePath, &Node)| format!("{p} {:o} {}", n.mode, n.size());
        let got: Vec<String> = t.iter().filter(|(_, n)| !n.is_dir()).map(show).collect();
        assert_eq!(got[..2], ["lib/a 4750 3", "lib/link 777 10"]);
        let pipe = t.get(&"lib/pipe".parse().expect("path")).expect("pipe");
        assert!(matches!(pipe.kind, NodeKind::Special(Special::Fifo)));
        assert_eq!(t.len(), 5);
        let a = t.file(&"lib/a".parse().expect("path")).expect("file").clone();
        assert_eq!(a.read_all(10).expect("read"), b"abc");
        fs::write(d.join("lib/a"), "abcd").expect("write");
        let e = a.read_all(10).expect_err("changed");
        assert!(e.to_string().contains("has changed"), "{e}");
    }

    #[test]
    fn what_is_no_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().expect("tempdir");
        let d = dir.path();
        fs::create_dir(d.join("run")).expect("mkdir");
        let _socket = std::os::unix::net::UnixListener::bind(d.join("run/s")).expect("bind");
        let e = read(d).expect_err("socket").to_string();
        assert!(e.ends_with(":run/s: a socket can't be taken along"), "{e}");
        fs::remove_file(d.join("run/s")).expect("rm");
        fs::write(d.join("f"), "").expect("write");
        assert!(read(&d.join("f")).expect_err("file").to_string().ends_with("is no folder"));
        assert_eq!(read(&d.join("none")).expect_err("none").kind(), crate::ErrorKind::NotFound);
    }
}
