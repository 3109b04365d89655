//! `--cache DIR`: pieces of remote images, for the next run and for others beside this one.
//!
//! ```text
//! DIR/0123456789abcdef…/      of one image in one version
//!     about                   its address and version, for people; its time is that of the last use
//!     000000100000-4000       16 KiB from byte 0x100000 on, and the SHA-256 of that
//!     .part-…                 a piece that is being written
//! ```
//!
//! A piece gets its name when it is whole, and is held against its sum whenever it is read: one that was damaged
//! is fetched again. Over the limit the images that were not used for longest go first, then the oldest pieces.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The sum at a piece's end.
const SUM: usize = 32;
/// A piece's longest length in bytes.
const PIECE: u64 = super::spans::PIECE;
/// Pieces held in memory after they were checked.
const CHECKED: usize = 8;
/// What nobody has written to for so long was left behind.
const STALE: Duration = Duration::from_secs(3600);

/// A folder of pieces, and the bytes that it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder {
    /// The folder.
    pub path: PathBuf,
    /// Bytes, over all images in it.
    pub limit: u64,
}

/// The pieces of one image.
pub(super) struct Cache {
    all: CacheFolder,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Offset -> length.
    pieces: BTreeMap<u64, u64>,
    /// Bytes in the whole folder, as far as this process knows.
    total: u64,
    /// Pieces that were checked, the latest last.
    checked: Vec<(u64, Arc<[u8]>)>,
    /// The disk is full, or may not be written to.
    closed: bool,
}

impl Cache {
    /// Opens the place of an image; `version` is what its server calls this version of it.
    ///
    /// # Errors
    /// `Io` where the folder can't be made or written to.
    pub fn open(all: &CacheFolder, address: &str, version: &str, len: u64) -> Result<Cache> {
        let key = Sha256::digest(format!("{address}\n{version}\n{len}\n"));
        let key: String = key.iter().take(16).map(|b| format!("{b:02x}")).collect();
        let dir = all.path.join(key);
        let failed = |e| {
            Error::io("can't use the cache", e)
                .source_name(all.path.display())
                .hint("--cache wants a folder that may be written to")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        let cache = Cache { all: all.clone(), dir, state: Mutex::default() };
        let about = format!("{address}\n{version}\n{len} bytes\n");
        cache.write("about", &[about.as_bytes()]).map_err(failed)?;
        let now = modified(&cache.dir.join("about")).map_err(failed)?;
        {
            let mut s = cache.lock();
            s.pieces = pieces(&cache.dir).map_err(failed)?.map(|p| (p.at, p.len)).collect();
            s.total = tidied(&all.path, now).map_err(failed)?;
        }
        cache.keep_to_limit();
        Ok(cache)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a file whole or not at all; others may write the same one beside us.
    fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        // Over all images: one may be open twice.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = self.dir.join(format!(".part-{}-{n}", std::process::id()));
        let write = || {
            let mut f = File::create_new(&part)?;
            parts.iter().try_for_each(|p| f.write_all(p))?;
            fs::rename(&part, self.dir.join(name))
        };
        write().inspect_err(|_| drop(fs::remove_file(&part)))
    }

    pub fn next_after(&self, at: u64, least: u64) -> Option<u64> {
        let s = self.lock();
        s.pieces.range(at + 1..).find(|(_, len)| **len >= least).map(|(start, _)| *start)
    }

    pub fn read(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        let (start, len) = {
            let s = self.lock();
            let (start, len) = s.pieces.range(..=at).next_back()?;
            (*start, *len)
        };
        if at >= start + len {
            return None;
        }
        let Some(bytes) = self.piece(start, len) else {
            // Damaged, or taken away by somebody: as if it had never been there.
            let _ = fs::remove_file(self.dir.join(name_of(start, len)));
            self.lock().pieces.remove(&start);
            return None;
        };
        let from = &bytes[(at - start) as usize..];
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Some(n)
    }

    fn piece(&self, start: u64, len: u64) -> Option<Arc<[u8]>> {
        if let Some((_, b)) = self.lock().checked.iter().find(|(at, _)| *at == start) {
            return Some(b.clone());
        }
        let mut bytes = fs::read(self.dir.join(name_of(start, len))).ok()?;
        let sum = bytes.split_off(bytes.len().checked_sub(SUM)?);
        if bytes.len() as u64 != len || Sha256::digest(&bytes)[..] != sum {
            return None;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let mut s = self.lock();
        if s.checked.len() >= CHECKED {
            s.checked.remove(0);
        }
        s.checked.push((start, bytes.clone()));
        Some(bytes)
    }

    pub fn put(&self, at: u64, bytes: &[u8]) {
        let len = bytes.len() as u64;
        {
            let s = self.lock();
            if s.closed || len == 0 || s.pieces.get(&at).is_some_and(|l| *l >= len) {
                return;
            }
        }
        let written = self.write(&name_of(at, len), &[bytes, &Sha256::digest(bytes)]);
        let mut s = self.lock();
        if written.is_err() {
            s.closed = true;
            return;
        }
        s.total += len + SUM as u64;
        if let Some(old) = s.pieces.insert(at, len) {
            let _ = fs::remove_file(self.dir.join(name_of(at, old)));
        }
        let full = s.total > self.all.limit;
        drop(s);
        if full {
            self.keep_to_limit();
        }
    }

    /// Takes away what is too much, and a tenth more, so that it is not to be done again soon.
    fn keep_to_limit(&self) {
        if self.lock().total <= self.all.limit {
            return;
        }
        let aim = self.all.limit / 10 * 9;
        let mut total = images(&self.all.path).map_or(0, |i| i.iter().map(|i| i.bytes).sum());
        for image in images(&self.all.path).unwrap_or_default() {
            if total <= aim {
                break;
            }
            if image.dir == self.dir {
                total -= self.shorten(total - aim);
            } else if fs::remove_dir_all(&image.dir).is_ok() {
                total -= image.bytes;
            }
        }
        self.lock().total = total;
    }

    /// Removes this image's oldest pieces, of so many bytes at least; how many they were.
    fn shorten(&self, too_much: u64) -> u64 {
        let Ok(all) = pieces(&self.dir) else { return 0 };
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|p| p.written);
        let mut gone = 0;
        for p in all {
            if gone >= too_much {
                break;
            }
            if fs::remove_file(self.dir.join(name_of(p.at, p.len))).is_ok() {
                gone += p.len + SUM as u64;
                self.lock().pieces.remove(&p.at);
            }
        }
        gone
    }
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    path.metadata()?.modified()
}

fn name_of(at: u64, len: u64) -> String {
    format!("{at:012x}-{len:x}")
}

struct Piece {
    at: u64,
    len: u64,
    written: Option<SystemTime>,
}

/// The pieces in an image's folder.
fn pieces(dir: &Path) -> io::Result<impl Iterator<Item = Piece>> {
    let piece = |e: fs::DirEntry| {
        let name = e.file_name();
        let (at, len) = name.to_str()?.split_once('-')?;
        let at = u64::from_str_radix(at, 16).ok()?;
        let len = u64::from_str_radix(len, 16).ok().filter(|l| *l <= PIECE)?;
        let meta = e.metadata().ok()?;
        let whole = meta.is_file() && meta.len() == len + SUM as u64;
        whole.then(|| Piece { at, len, written: meta.modified().ok() })
    };
    Ok(fs::read_dir(dir)?.flatten().filter_map(piece))
}

struct Image {
    dir: PathBuf,
    used: Option<SystemTime>,
    bytes: u64,
}

/// The images in the folder, the longest unused first. What is not ours is not touched.
fn images(folder: &Path) -> io::Result<Vec<Image>> {
    let mut all = Vec::new();
    for e in fs::read_dir(folder)?.flatten() {
        let ours = e
            .file_name()
            .to_str()
            .is_some_and(|n| n.len() == 32 && n.bytes().all(|b| b.is_ascii_hexdigit()));
        let dir = e.path();
        let about = dir.join("about");
        if ours && about.is_file() {
            let bytes = pieces(&dir).map_or(0, |p| p.map(|p| p.len + SUM as u64).sum());
            all.push(Image { dir, used: modified(&about).ok(), bytes });
        }
    }
    all.sort_by_key(|i| i.used);
    Ok(all)
}

/// Bytes of all images, after what a killed process left half written was taken away.
fn tidied(folder: &Path, now: SystemTime) -> io::Result<u64> {
    let mut total = 0;
    for image in images(folder)? {
        total += image.bytes;
        for e in fs::read_dir(&image.dir)?.flatten() {
            let part = e.file_name().to_str().is_some_and(|n| n.starts_with(".part-"));
            let age = modified(&e.path()).ok().and_then(|t| now.duration_since(t).ok());
            if part && age.is_some_and(|a| a > STALE) {
                let _ = fs::remove_file(e.path());
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(limit: u64) -> (tempfile::TempDir, CacheFolder) {
        let dir = tempfile::tempdir().expect("tempdir");
        let all = CacheFolder { path: dir.path().join("c"), limit };
        (dir, all)
    }

    fn get(c: &Cache, at: u64, n: usize) -> Option<Vec<u8>> {
        let mut buf = vec![0; n];
        let n = c.read(at, &mut buf)?;
        buf.truncate(n);
        Some(buf)
    }

    #[test]
    fn pieces_come_back_in_the_next_run_and_beside_it() {
        let (_dir, all) = folder(1 << 20);
        let open = || Cache::open(&all, "http://h/a", "\"1\"", 9000).expect("cache");
        let one = open();
        one.put(100, b"hello");
        let other = open();
        other.put(100, b"hello");
        assert_eq!(get(&other, 102, 9).expect("piece"), b"llo");
        assert_eq!(get(&open(), 100, 2).expect("piece"), b"he");
        assert_eq!((get(&one, 99, 1), get(&one, 105, 1)), (None, None));
        assert_eq!(open().next_after(0, 5), Some(100));
        // Another version is another image.
        let new = Cache::open(&all, "http://h/a", "\"2\"", 9000).expect("cache");
        assert_eq!(get(&new, 100, 5), None);
    }

    #[test]
    fn a_damaged_or_shortened_piece_is_as_none() {
        let (_dir, all) = folder(1 << 20);
        let open = || Cache::open(&all, "http://h/a", "v", 9000).expect("cache");
        for cut in [false, true] {
            let c = open();
            c.put(0, b"hello");
            let file = c.dir.join(name_of(0, 5));
            let mut bytes = fs::read(&file).expect("piece");
            bytes[1] ^= 1;
            bytes.truncate(if cut { 20 } else { 37 });
            fs::write(&file, bytes).expect("write");
            assert_eq!(get(&c, 0, 5), None);
            assert!(!file.exists());
            c.put(0, b"hello");
            assert_eq!(get(&open(), 0, 5).expect("again"), b"hello");
        }
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_limit_holds() {
        let (_dir, all) = folder(10_000);
        let open = |name: &str| Cache::open(&all, name, "v", 9000).expect("cache");
        let age = |c: &Cache, name: &str, secs| {
            let f = File::options().write(true).open(c.dir.join(name)).expect("file");
            let then = f.metadata().and_then(|m| m.modified()).expect("time");
            f.set_modified(then - Duration::from_secs(secs)).expect("set");
        };
        let (old, new) = (open("old"), open("new"));
        for (c, secs) in [(&old, 200), (&new, 100)] {
            c.put(0, &[1; 4000]);
            age(c, "about", secs);
        }
        let now = open("now");
        now.put(0, &[2; 1500]);
        now.put(9000, &[2; 1500]);
        assert!(!old.dir.exists() && new.dir.exists());
        assert_eq!(get(&old, 0, 1), None);
        // More than the limit of one image: its own oldest pieces go.
        age(&now, &name_of(0, 1500), 50);
        for n in 1..9 {
            now.put(n * 10_000, &[3; 1500]);
        }
        assert!(!now.dir.join(name_of(0, 1500)).exists());
        let bytes: u64 = images(&all.path).expect("images").iter().map(|i| i.bytes).sum();
        assert!(bytes <= all.limit, "{bytes}");
    }

    #[test]
    fn what_a_killed_process_left_is_taken_away_and_nothing_of_others() {
        let (_dir, all) = folder(1);
        let c = Cache::open(&all, "a", "v", 9).expect("cache");
        let leftover = c.dir.join(".part-1-1");
        let theirs = all.path.join("theirs");
        for f in [&leftover, &theirs] {
            fs::write(f, "x").expect("write");
        }
        let f = File::options().write(true).open(&leftover).expect("file");
        let now = f.metadata().and_then(|m| m.modified()).expect("time");
        Cache::open(&all, "a", "v", 9).expect("cache");
        assert!(leftover.exists(), "somebody may be at it");
        f.set_modified(now - 2 * STALE).expect("set");
        Cache::open(&all, "a", "v", 9).expect("cache");
        assert!(!leftover.exists() && theirs.exists());
    }
}
