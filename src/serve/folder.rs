//! A folder of this machine as it is now. Nothing outside of it is served, whatever links say: the kernel is
//! the judge where it can be (`openat2`).

use super::listing::{Item, Kind, MOST};
use super::site::{File as Served, Found};
use super::tag;
use crate::content::path::TreePath;
use crate::content::source::ReadAt;
use crate::content::{Content, media_type};
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names that are looked through for one in another case.
const LOOKED_THROUGH: usize = 100_000;

/// A folder that is served.
pub struct Folder {
    /// Opened once, so that a folder renamed meanwhile stays the same one.
    root: File,
    /// For errors, and where the kernel has no `openat2`.
    path: PathBuf,
}

impl Folder {
    /// # Errors
    /// `NotFound`, `Io`, or `Usage` where it is no folder.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let root = File::open(path).map_err(|e| Error::io("can't open", e).source_name(name))?;
        let real = path
            .canonicalize()
            .map_err(|e| Error::io("can't resolve", e).source_name(path.display()))?;
        if !real.is_dir() {
            return Err(Error::usage("is not a folder").source_name(path.display()));
        }
        Ok(Folder { root, path: real })
    }

    /// What has `path`.
    ///
    /// # Errors
    /// `Io` where it is there and can't be opened.
    pub fn find(&self, path: &TreePath) -> Result<Found> {
        if path.is_root() {
            return Ok(Found::Folder);
        }
        let Some(file) = self.open_below(path)? else { return Ok(Found::Nothing) };
        let meta = file.metadata().map_err(|e| Error::io("can't stat", e).path(path))?;
        if meta.is_dir() {
            return Ok(Found::Folder);
        }
        if !meta.is_file() {
            return Ok(Found::Nothing);
        }
        let source = OpenFile { file, len: meta.len(), path: path.clone() };
        Ok(Found::File(Served {
            content: Content::whole(Arc::new(source)),
            tag: tag::of_file(&meta),
            modified: Some(meta.mtime()),
            media_type: media_type::of(path.name()),
        }))
    }

    /// Opens `path` so that no link and no race leads out of the folder. Not blocking, because opening a named
    /// pipe would wait for its other end for ever.
    fn open_below(&self, path: &TreePath) -> Result<Option<File>> {
        use rustix::io::Errno;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let at = if path.is_root() { Path::new(".") } else { path.as_path() };
        match rustix::fs::openat2(&self.root, at, flags, Mode::empty(), inside) {
            Ok(fd) => Ok(Some(fd.into())),
            // Outside, a loop, a file taken for a folder, nothing there: nothing that we serve.
            Err(
                Errno::XDEV
                | Errno::LOOP
                | Errno::NOTDIR
                | Errno::NOENT
                | Errno::NAMETOOLONG
                | Errno::NXIO,
            ) => Ok(None),
            // Linux before 5.6, and sandboxes that don't know the call.
            Err(Errno::NOSYS | Errno::PERM) => open_checked(&self.path, path),
            Err(e) => Err(Error::io("can't open", e.into()).path(path)),
        }
    }

    /// What is in the folder at `path`, in any order, and whether there is more.
    ///
    /// # Errors
    /// `Io`.
    pub fn list(&self, path: &TreePath) -> Result<(Vec<Item>, bool)> {
        let io = |e: rustix::io::Errno| Error::io("can't read the folder", e.into()).path(path);
        let Some(folder) = self.open_below(path)? else { return Ok((Vec::new(), false)) };
        let mut items = Vec::new();
        for entry in Dir::read_from(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_bytes();
            let Ok(inner) = path.join(name) else { continue };
            if items.len() == MOST {
                return Ok((items, true));
            }
            let Ok(mut stat) =
                rustix::fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                // As far as it is served at all.
                let Ok(Some(target)) = self.open_below(&inner) else { continue };
                stat = rustix::fs::fstat(&target).map_err(io)?;
            }
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Kind::Folder,
                FileType::RegularFile => Kind::File(stat.st_size as u64),
                _ => continue,
            };
            items.push(Item { name: name.to_vec(), kind, modified: Some(stat.st_mtime) });
        }
        Ok((items, false))
    }

    /// The one path that is `path` but for case; `None` where there is none, or several.
    ///
    /// # Errors
    /// `Io`.
    pub fn any_case(&self, path: &TreePath) -> Result<Option<TreePath>> {
        let mut at = TreePath::root();
        for part in path.parts() {
            let exact = at.join(part)?;
            if self.open_below(&exact)?.is_some() {
                at = exact;
                continue;
            }
            let Some(folder) = self.open_below(&at)? else { return Ok(None) };
            let Ok(names) = Dir::read_from(&folder) else { return Ok(None) };
            let names = names.take(LOOKED_THROUGH).flatten();
            let mut alike = names.filter(|e| e.file_name().to_bytes().eq_ignore_ascii_case(part));
            let (Some(one), None) = (alike.next(), alike.next()) else { return Ok(None) };
            let Ok(next) = at.join(one.file_name().to_bytes()) else { return Ok(None) };
            at = next;
        }
        Ok(Some(at))
    }
}

fn open_checked(folder: &Path, path: &TreePath) -> Result<Option<File>> {
    let Ok(real) = folder.join(path.as_path()).canonicalize() else { return Ok(None) };
    if !real.starts_with(folder) || !(real.is_file() || real.is_dir()) {
        return Ok(None);
    }
    match File::open(&real) {
        Ok(f) => Ok(Some(f)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::new(ErrorKind::Io, "can't open").because(e).path(path)),
    }
}

/// A file of the folder, open for one answer.
struct OpenFile {
    file: File,
    len: u64,
    path: TreePath,
}

impl ReadAt for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], off: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, off)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn name(&self) -> &str {
        self.path.as_str().unwrap_or("a file of the folder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leaves_the_folder_is_not_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("mkdir");
        std::fs::write(dir.path().join("secret"), "x").expect("write");
        std::fs::write(root.join("sub/file"), "inside").expect("write");
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(to, root.join(at)).expect("symlink");
        };
        link("../secret", "out");
        link("/etc/passwd", "abs");
        link("..", "up");
        link("sub/file", "in");
        link("loop", "loop");
        let folder = Folder::open(&root).expect("folder");
        let len = |p: &str| match folder.find(&p.parse().expect("path")).expect("no error") {
            Found::File(f) => Some(f.content.len()),
            _ => None,
        };
        assert_eq!(len("in"), Some(6));
        assert_eq!(len("sub/file"), Some(6));
        for gone in ["out", "abs", "up/secret", "loop", "sub", "nothing", "in/x"] {
            assert_eq!(len(gone), None, "{gone}");
        }
        let checked = |p: &str| {
            let real = root.canonicalize().expect("canonical");
            open_checked(&real, &p.parse().expect("path")).expect("no error").is_some()
        };
        assert!(checked("in") && checked("sub/file"));
        assert!(!checked("out") && !checked("abs") && !checked("up/secret"));
        let (items, _) = folder.list(&TreePath::root()).expect("listing");
        let mut names: Vec<_> = items.iter().map(|i| String::from_utf8_lossy(&i.name)).collect();
        names.sort();
        assert_eq!(names, ["in", "sub"]);
    }
}
