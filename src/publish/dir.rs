//! A folder as a sink. Files are written under a temporary name beside their place, synced, then
//! renamed. Every folder is opened from its parent's descriptor without following links, so neither
//! a hostile medium nor a link that lies in the output can lead outside.
//!
//! One `syncfs` per batch stands for an fsync per file: a batch is renamed only after it.

pub mod nodes;

use super::{Progress, PutMeta, Receipt, Sink};
use crate::content::copy::{self, Digest};
use crate::content::path::TreePath;
use crate::content::{Content, source::FileSource};
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{self as sys, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Files renamed together after one sync.
const BATCH: usize = 256;
/// Folders kept open.
const OPEN_DIRS: usize = 64;
/// Present while a run writes; a run that finds it cleans up after the one that died.
const MARKER: &str = ".isowright-unfinished";
const FULL: &str = "the disk is full: make room and run it again";
const PART: &str = ".isowright-part-";

/// A folder.
pub struct DirSink {
    path: PathBuf,
    root: Arc<OwnedFd>,
    dirs: Mutex<HashMap<TreePath, Arc<OwnedFd>>>,
    pending: Mutex<Vec<Pending>>,
    durable: bool,
    counter: AtomicU64,
    /// Held with a lock while we write a tree of ours.
    marker: Option<File>,
}

struct Pending {
    dir: Arc<OwnedFd>,
    part: String,
    name: Vec<u8>,
}

fn os(what: &str, e: Errno) -> Error {
    let err = Error::io(what.to_owned(), e.into());
    match e {
        Errno::NOSPC | Errno::DQUOT => err.hint(FULL),
        Errno::ROFS => err.hint("the file system is mounted read-only"),
        Errno::ACCESS | Errno::PERM => err.hint("you may not write there"),
        _ => err,
    }
}

fn with_hint(e: Error) -> Error {
    if e.to_string().contains("No space left") {
        return e.hint(FULL);
    }
    e
}

fn set(file: &File, meta: PutMeta) -> Result<()> {
    sys::fchmod(file, Mode::from_raw_mode(meta.mode & 0o7777))
        .map_err(|e| os("can't set the mode", e))?;
    if let Some(t) = meta.mtime {
        let t = sys::Timespec { tv_sec: t, tv_nsec: 0 };
        let times = sys::Timestamps { last_access: t, last_modification: t };
        sys::futimens(file, &times).map_err(|e| os("can't set the time", e))?;
    }
    Ok(())
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl DirSink {
    /// A folder for loose files (extract): made where it is missing, synced by nobody, and what lies
    /// there already stays unless a file of the same name is written.
    ///
    /// # Errors
    /// `Io`.
    pub fn loose(path: &Path) -> Result<Self> {
        Self::open(path, false)
    }

    /// A folder for a tree of ours. It must be missing, empty, or hold a tree of ours, whole or
    /// begun; what a dead run left under temporary names is taken away.
    ///
    /// # Errors
    /// `Conflict` where something else lies there or another run is at it; `Io`.
    pub fn tree(path: &Path) -> Result<Self> {
        let has = |name: &str| path.join(name).symlink_metadata().is_ok();
        let occupied = std::fs::read_dir(path).is_ok_and(|mut d| d.next().is_some());
        if occupied && !has(super::MANIFEST) && !has(MARKER) && !has_our_script(path) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the folder is not empty and holds no tree of ours",
            )
            .source_name(path.display())
            .hint("choose another one, or empty it"));
        }
        let died = has(MARKER);
        let mut sink = Self::open(path, true)?;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let marker = sys::openat(&*sink.root, MARKER, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| os("can't write", e).source_name(path.display()))?;
        sys::flock(&marker, sys::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::new(ErrorKind::Conflict, "another isowright is writing there")
                .source_name(path.display())
                .hint("wait for it, or choose another folder")
        })?;
        sink.marker = Some(marker.into());
        if died {
            remove_parts(path, 0);
        }
        Ok(sink)
    }

    fn open(path: &Path, durable: bool) -> Result<Self> {
        let name = path.display();
        std::fs::create_dir_all(path).map_err(|e| {
            let errno = Errno::from_io_error(&e);
            let e = errno.map_or_else(
                || Error::io("can't make the folder", e),
                |n| os("can't make the folder", n),
            );
            e.source_name(&name).hint("something that is no folder may have that name already")
        })?;
        let root =
            sys::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| os("can't open the folder", e).source_name(&name))?;
        Ok(DirSink {
            path: path.to_owned(),
            root: Arc::new(root),
            dirs: Mutex::default(),
            pending: Mutex::default(),
            durable,
            counter: AtomicU64::new(0),
            marker: None,
        })
    }

    /// Ends the run: everything is in place.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        if self.marker.take().is_some() {
            sys::unlinkat(&*self.root, MARKER, AtFlags::empty())
                .map_err(|e| os("can't remove the marker", e).source_name(self.path.display()))?;
        }
        Ok(())
    }

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// `Io`, `Conflict` where a file or link stands in the way.
    pub fn make_dir(&self, path: &TreePath) -> Result<()> {
        self.dir(path).map(drop)
    }

    /// Makes a symbolic link with the target's bytes as they are; nothing is ever written through it.
    ///
    /// # Errors
    /// `Io`, `Conflict` where a folder stands in the way.
    pub fn symlink(&self, path: &TreePath, target: &[u8]) -> Result<()> {
        let dir = self.parent_of(path)?;
        let part = self.part_name();
        sys::symlinkat(target, &*dir, part.as_str())
            .and_then(|()| sys::renameat(&*dir, part.as_str(), &*dir, path.name()))
            .map_err(|e| {
                let _ = sys::unlinkat(&*dir, part.as_str(), AtFlags::empty());
                os("can't make the link", e).path(path)
            })
    }

    /// Sets a folder's permission bits; for after its files are in it.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_dir_mode(&self, path: &TreePath, mode: u32) -> Result<()> {
        let dir = self.dir(path)?;
        sys::fchmod(&*dir, Mode::from_raw_mode(mode))
            .map_err(|e| os("can't set the mode", e).path(path))
    }

    fn parent_of(&self, path: &TreePath) -> Result<Arc<OwnedFd>> {
        match path.parent() {
            Some(p) => self.dir(&p),
            None => Err(Error::usage("the root is not a file")),
        }
    }

    /// The folder's descriptor where it is there and no link leads to it.
    fn existing(&self, path: &TreePath) -> Option<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |at: &OwnedFd, name: &[u8]| sys::openat(at, name, flags, Mode::empty()).ok();
        let mut at = open(&self.root, b".")?;
        for part in path.parts() {
            at = open(&at, part)?;
        }
        Some(at)
    }

    /// The folder's descriptor, made where missing, step by step from the root without links.
    fn dir(&self, path: &TreePath) -> Result<Arc<OwnedFd>> {
        if path.is_root() {
            return Ok(self.root.clone());
        }
        if let Some(fd) = lock(&self.dirs).get(path) {
            return Ok(fd.clone());
        }
        let above = self.parent_of(path)?;
        match sys::mkdirat(&*above, path.name(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(os("can't make the folder", e).path(path)),
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = sys::openat(&*above, path.name(), flags, Mode::empty()).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP => {
                Error::new(ErrorKind::Conflict, "a file or a link stands where a folder is needed")
                    .path(path)
            }
            e => os("can't open the folder", e).path(path),
        })?;
        let fd = Arc::new(fd);
        let mut dirs = lock(&self.dirs);
        if dirs.len() >= OPEN_DIRS {
            dirs.clear();
        }
        dirs.insert(path.clone(), fd.clone());
        Ok(fd)
    }

    fn part_name(&self) -> String {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        format!("{PART}{}-{n}", std::process::id())
    }

    fn write_part(
        &self,
        file: &File,
        path: &TreePath,
        content: &Content,
        meta: PutMeta,
        progress: &dyn Progress,
    ) -> Result<Receipt> {
        let watch = |n| progress.advance(path, n);
        let digest = if meta.hash {
            let mut out = file;
            let d = copy::to_writer(content, &mut out, true, &watch)?;
            out.flush().map_err(|e| Error::io("can't write", e))?;
            d
        } else {
            copy::to_file(content, file, &watch)?;
            None
        };
        set(file, meta)?;
        Ok(Receipt { digest })
    }
}

impl Sink for DirSink {
    fn has(&self, path: &TreePath, len: u64, digest: &dyn Fn() -> Result<Digest>) -> Result<bool> {
        let at = self.path.join(path.as_path());
        let there = at.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() == len);
        if !there {
            return Ok(false);
        }
        let on_disk = Content::whole(Arc::new(FileSource::open(&at)?));
        Ok(copy::digest(&on_disk, &|_| true)? == digest()?)
    }

    fn put(
        &self,
        path: &TreePath,
        content: &Content,
        meta: PutMeta,
        progress: &dyn Progress,
    ) -> Result<Receipt> {
        let dir = self.parent_of(path)?;
        let part = self.part_name();
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = sys::openat(&*dir, part.as_str(), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| os("can't write", e).path(path))?
            .into();
        let receipt = self.write_part(&file, path, content, meta, progress).map_err(|e| {
            let _ = sys::unlinkat(&*dir, part.as_str(), AtFlags::empty());
            with_hint(e.path(path))
        })?;
        let pending = Pending { dir, part, name: path.name().to_vec() };
        if !self.durable {
            return pending.rename().map(|()| receipt);
        }
        let full = {
            let mut all = lock(&self.pending);
            all.push(pending);
            all.len() >= BATCH
        };
        if full {
            self.flush()?;
        }
        Ok(receipt)
    }

    fn settle(&self, path: &TreePath, meta: PutMeta) -> Result<()> {
        let Some(dir) = path.parent().and_then(|p| self.existing(&p)) else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match sys::openat(&dir, path.name(), flags, Mode::empty()) {
            Ok(file) => set(&file.into(), meta).map_err(|e| e.path(path)),
            Err(e) => Err(os("can't open", e).path(path)),
        }
    }

    /// What lies behind a link is not ours: it stays.
    fn remove(&self, path: &TreePath) -> Result<()> {
        let mut path = path.clone();
        let mut flags = AtFlags::empty();
        while let Some(parent) = path.parent() {
            let Some(dir) = self.existing(&parent) else { return Ok(()) };
            match sys::unlinkat(&dir, path.name(), flags) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) if flags.is_empty() => return Err(os("can't remove", e).path(&path)),
                // A folder with something in it ends the way up.
                Err(_) => return Ok(()),
            }
            if parent.is_root() {
                return Ok(());
            }
            lock(&self.dirs).remove(&parent);
            (path, flags) = (parent, AtFlags::REMOVEDIR);
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let batch = std::mem::take(&mut *lock(&self.pending));
        if batch.is_empty() {
            return Ok(());
        }
        sys::syncfs(self.root.as_fd())
            .map_err(|e| os("can't sync", e).source_name(self.path.display()))?;
        let mut left = batch.into_iter();
        while let Some(p) = left.next() {
            if let Err(e) = p.rename() {
                left.for_each(|p| p.discard());
                return Err(e);
            }
        }
        Ok(())
    }
}

impl Pending {
    fn rename(&self) -> Result<()> {
        sys::renameat(&*self.dir, self.part.as_str(), &*self.dir, &*self.name).map_err(|e| {
            self.discard();
            os("can't put the file in its place", e).path(self.name.escape_ascii())
        })
    }

    fn discard(&self) {
        let _ = sys::unlinkat(&*self.dir, self.part.as_str(), AtFlags::empty());
    }
}

/// What was written and not yet renamed goes: the run failed or was interrupted.
impl Drop for DirSink {
    fn drop(&mut self) {
        lock(&self.pending).drain(..).for_each(|p| p.discard());
    }
}

/// A tree whose manifest was lost is still ours.
fn has_our_script(dir: &Path) -> bool {
    let head = Content::open(&dir.join("boot.ipxe"))
        .and_then(|c| c.slice(0..c.len().min(512))?.read_all(512));
    head.is_ok_and(|h| String::from_utf8_lossy(&h).contains("written by isowright"))
}

/// Best effort, depth bounded, links not followed.
fn remove_parts(dir: &Path, depth: usize) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for e in entries.flatten() {
        let Ok(kind) = e.file_type() else { continue };
        if kind.is_dir() && depth < 64 {
            remove_parts(&e.path(), depth + 1);
        } else if e.file_name().to_string_lossy().starts_with(PART) {
            drop(std::fs::remove_file(e.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unwatched;
    use super::*;

    const META: PutMeta = PutMeta { mode: 0o640, mtime: Some(1_000_000_000), hash: true };

    fn p(s: &str) -> TreePath {
        s.parse().expect("path")
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut v: Vec<String> = std::fs::read_dir(dir)
            .expect("read_dir")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        v.sort();
        v
    }

    #[test]
    fn a_file_appears_whole_after_the_flush_only() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let out = tmp.path().join("out");
        let s = DirSink::tree(&out).expect("sink");
        s.put(&p("a/b"), &"hello".into(), META, &Unwatched).expect("put");
        assert!(!out.join("a/b").exists());
        s.flush().expect("flush");
        assert_eq!(std::fs::read(out.join("a/b")).expect("read"), b"hello");
        s.finish().expect("finish");
        assert_eq!(names(&out), ["a"]);
    }

    #[test]
    fn a_dead_runs_leavings_go_and_a_strangers_files_stop_us() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let s = DirSink::tree(tmp.path()).expect("sink");
        s.put(&p("x"), &"1".into(), META, &Unwatched).expect("put");
        std::mem::forget(s); // as SIGKILL does: nothing is cleaned up
        let left = names(tmp.path());
        assert!(left.iter().any(|n| n.starts_with(PART)), "{left:?}");
        let err = DirSink::tree(tmp.path()).err().expect("locked by the one that lives on");
        assert_eq!(err.kind(), ErrorKind::Conflict);

        let other = tempfile::tempdir().expect("tempdir");
        std::fs::write(other.path().join(MARKER), "").expect("marker");
        std::fs::write(other.path().join(format!("{PART}1-1")), "").expect("part");
        DirSink::tree(other.path()).expect("sink").finish().expect("finish");
        assert!(names(other.path()).is_empty());

        std::fs::write(other.path().join("thesis.txt"), "").expect("write");
        let e = DirSink::tree(other.path()).err().expect("refused");
        assert_eq!(e.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_link_in_the_output_is_never_followed() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let outside = tempfile::tempdir().expect("tempdir");
        std::os::unix::fs::symlink(outside.path(), tmp.path().join("repo")).expect("symlink");
        let s = DirSink::loose(tmp.path()).expect("sink");
        let e = s.put(&p("repo/evil"), &"x".into(), META, &Unwatched).expect_err("refused");
        assert_eq!(e.kind(), ErrorKind::Conflict);
        assert!(names(outside.path()).is_empty());
    }

    #[test]
    fn what_lies_behind_a_link_is_not_removed() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let outside = tempfile::tempdir().expect("tempdir");
        std::fs::write(outside.path().join("precious"), "").expect("write");
        std::os::unix::fs::symlink(outside.path(), tmp.path().join("repo")).expect("symlink");
        let s = DirSink::loose(tmp.path()).expect("sink");
        s.put(&p("a/b/c"), &"x".into(), META, &Unwatched).expect("put");
        s.remove(&p("repo/precious")).expect("left alone");
        s.remove(&p("a/b/c")).expect("removed");
        s.remove(&p("a/b/c")).expect("gone already");
        assert_eq!(names(outside.path()), ["precious"]);
        assert_eq!(names(tmp.path()), ["repo"], "empty folders go too");
    }

    #[test]
    fn an_interrupted_put_leaves_nothing() {
        struct Stop;
        impl Progress for Stop {
            fn advance(&self, _: &TreePath, _: u64) -> bool {
                false
            }
        }
        let tmp = tempfile::tempdir().expect("tempdir");
        let s = DirSink::loose(tmp.path()).expect("sink");
        let e = s.put(&p("f"), &"data".into(), META, &Stop).expect_err("stopped");
        assert_eq!(e.kind(), ErrorKind::Interrupted);
        assert!(names(tmp.path()).is_empty());
    }
}
