//! SINKS. A Plan goes out file by file: payload first, then the records, `boot.ipxe` last, so that a
//! machine that asks in the middle of it gets either the old tree or a plain 404.

pub mod bucket;
pub mod chain;
pub mod dir;
pub mod manifest;
pub mod sign;
pub mod store;
pub mod verify;

use crate::content::Content;
use crate::content::copy::Digest;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::cms::Signer;
use crate::plan::{Plan, Planned, Role};
use manifest::{FileRow, Manifest};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a sink is told beside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct PutMeta {
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970, where the file is to carry a time.
    pub mtime: Option<i64>,
    /// Whether the SHA-256 is wanted; without it the kernel can copy alone.
    pub hash: bool,
}

/// What a sink says after a put.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// SHA-256, where it was wanted.
    pub digest: Option<Digest>,
}

/// Where files go; the second of the two open seams.
///
/// Invariants that each implementation keeps: nobody ever sees part of a file under its final name;
/// after `flush` all that was put is there for good; nothing is written outside the sink.
pub trait Sink: Sync {
    /// True where exactly these bytes are there already.
    ///
    /// # Errors
    /// `Io`; not for a file that is missing.
    fn has(&self, path: &TreePath, len: u64, digest: &dyn Fn() -> Result<Digest>) -> Result<bool>;

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// `Io` (a full disk), `Corrupt` (the source), `Interrupted`.
    fn put(
        &self,
        path: &TreePath,
        content: &Content,
        meta: PutMeta,
        progress: &dyn Progress,
    ) -> Result<Receipt>;

    /// Gives a file that was there already its mode and time.
    ///
    /// # Errors
    /// `Io`.
    fn settle(&self, path: &TreePath, meta: PutMeta) -> Result<()>;

    /// Takes away a file that an earlier run put. One that is not there is no error.
    ///
    /// # Errors
    /// `Io`.
    fn remove(&self, path: &TreePath) -> Result<()>;

    /// Makes all that was put visible and durable.
    ///
    /// # Errors
    /// `Io`.
    fn flush(&self) -> Result<()>;
}

/// Told what goes on; says whether to go on.
pub trait Progress: Sync {
    /// So many more bytes of `path` are done. `false` stops the run.
    fn advance(&self, path: &TreePath, bytes: u64) -> bool;
}

/// Nobody watches.
pub struct Unwatched;

impl Progress for Unwatched {
    fn advance(&self, _: &TreePath, _: u64) -> bool {
        true
    }
}

/// What a run did.
#[derive(Debug)]
pub struct Done {
    /// The manifest as written.
    pub manifest: Manifest,
    /// Files written.
    pub written: usize,
    /// Files that were there already.
    pub kept: usize,
    /// Files of an earlier run taken away.
    pub removed: usize,
}

/// The name of the manifest in a tree.
pub const MANIFEST: &str = "manifest.json";
/// The name of the checksum list in a tree.
pub const SUMS: &str = "SHA256SUMS";

/// Writes `plan` to `sink`. `earlier` is the manifest that stands there from a run before, if any:
/// what it lists and the plan does not is taken away.
///
/// # Errors
/// Those of the sink; what is there then is whole files, and a second run goes on from them.
pub fn run(
    plan: &Plan,
    sink: &dyn Sink,
    earlier: Option<&Manifest>,
    progress: &dyn Progress,
) -> Result<Done> {
    run_signed(plan, sink, earlier, None, progress)
}

/// As [`run`], with signatures where there is a `signer`.
///
/// # Errors
/// As [`run`], and those of [`sign::signatures`].
pub fn run_signed(
    plan: &Plan,
    sink: &dyn Sink,
    earlier: Option<&Manifest>,
    signer: Option<&Signer>,
    progress: &dyn Progress,
) -> Result<Done> {
    let (entry, payload): (Vec<_>, Vec<_>) =
        plan.files.iter().partition(|(_, f)| f.role == Role::EntryPoint);
    crate::content::wanted(plan.files.values().map(|f| &f.content));
    // Before a byte changes: an old boot.ipxe must not start a half-new tree.
    let changed = |path: &TreePath, f: &Planned| -> Result<bool> {
        Ok(!sink
            .has(path, f.content.len(), &|| crate::content::copy::digest(&f.content, &|_| true))?)
    };
    let mut stale_entry = Vec::new();
    for (path, f) in &entry {
        if changed(path, f)? {
            stale_entry.push(*path);
            sink.remove(path)?;
        }
    }

    let rows: Mutex<BTreeMap<TreePath, FileRow>> = Mutex::default();
    let written = AtomicUsize::new(0);
    let put = |path: &TreePath, f: &Planned| -> Result<()> {
        let known = earlier.and_then(|m| known(m, plan, path, f));
        let (row, fresh) = put_one(sink, path, f, known, progress).map_err(|e| e.path(path))?;
        written.fetch_add(usize::from(fresh), Ordering::Relaxed);
        if let Ok(mut rows) = rows.lock() {
            rows.insert(path.clone(), row);
        }
        Ok(())
    };
    let all = in_parallel(&payload, |(path, f)| put(path, f));
    // What is whole stays, also after a failure or Ctrl-C: the next run goes on from there.
    let flushed = sink.flush();
    all.and(flushed)?;
    for (path, f) in &entry {
        let digest = crate::content::copy::digest(&f.content, &|_| true)?;
        if let Ok(mut rows) = rows.lock() {
            rows.insert((*path).clone(), FileRow::new(path, f, digest));
        }
    }
    if let Some(s) = signer {
        let known = rows.lock().map(|r| r.clone()).unwrap_or_default();
        for (path, f) in &sign::signatures(plan, &known, s)? {
            put(path, f)?;
        }
    }
    let rows = rows.into_inner().map_err(|_| Error::usage("a writer thread panicked"))?;
    let removed = remove_stale(sink, earlier, &rows)?;
    let manifest = Manifest::new(plan, rows.into_values().collect());
    let json = manifest.to_json()?;
    let mut records = vec![(SUMS, manifest.sums()?)];
    match signer {
        Some(s) => {
            let own = crate::content::copy::digest(&json.clone().into(), &|_| true)?;
            records.push((sign::MANIFEST_SIG, s.sign(&own)?));
        }
        // One of another manifest.
        None => sink.remove(&sign::MANIFEST_SIG.parse()?)?,
    }
    records.push((MANIFEST, json.into_bytes()));
    for (name, content) in records {
        let path: TreePath = name.parse()?;
        let meta = PutMeta { mode: 0o644, mtime: plan.source_date_epoch, hash: false };
        sink.put(&path, &content.into(), meta, progress)?;
    }
    sink.flush()?;
    let kept_entry = entry.len() - stale_entry.len();
    for (path, f) in entry {
        if !stale_entry.contains(&path) {
            sink.settle(path, PutMeta { mode: f.mode, mtime: f.mtime, hash: false })?;
        } else {
            put_one(sink, path, f, None, progress).map_err(|e| e.path(path))?;
            sink.flush()?;
        }
    }
    let written = written.into_inner() + stale_entry.len();
    let kept = manifest.files.len() - written;
    debug_assert!(kept >= kept_entry);
    Ok(Done { manifest, written, kept, removed })
}

/// The digest of a file that an earlier run took from the same place of the same version of a remote image: those
/// bytes need not be fetched to be known.
fn known(earlier: &Manifest, plan: &Plan, path: &TreePath, f: &Planned) -> Option<Digest> {
    let (was, is) = (&earlier.source, &plan.source);
    let same = is.url.is_some()
        && is.version.is_some()
        && (&was.url, &was.version) == (&is.url, &is.version);
    let whole = matches!(f.origin, crate::plan::Origin::Medium { offset: Some(_), .. });
    if !same || was.size != is.size || !whole {
        return None;
    }
    let at = earlier.files.binary_search_by(|r| r.path.cmp(path)).ok()?;
    let row = &earlier.files[at];
    (row.origin == f.origin && row.size == f.content.len()).then_some(row.sha256)
}

fn put_one(
    sink: &dyn Sink,
    path: &TreePath,
    f: &Planned,
    from_earlier: Option<Digest>,
    progress: &dyn Progress,
) -> Result<(FileRow, bool)> {
    let known = std::cell::Cell::new(from_earlier);
    let there = sink.has(path, f.content.len(), &|| {
        if let Some(d) = known.get() {
            return Ok(d);
        }
        let d = crate::content::copy::digest(&f.content, &|_| progress.advance(path, 0))?;
        known.set(Some(d));
        Ok(d)
    })?;
    let meta = PutMeta { mode: f.mode, mtime: f.mtime, hash: true };
    if there && let Some(digest) = known.get() {
        sink.settle(path, meta)?;
        progress.advance(path, f.content.len());
        return Ok((FileRow::new(path, f, digest), false));
    }
    let receipt = sink.put(path, &f.content, meta, progress)?;
    let digest = match receipt.digest {
        Some(d) => d,
        None => crate::content::copy::digest(&f.content, &|_| true)?,
    };
    Ok((FileRow::new(path, f, digest), true))
}

fn remove_stale(
    sink: &dyn Sink,
    earlier: Option<&Manifest>,
    now: &BTreeMap<TreePath, FileRow>,
) -> Result<usize> {
    let mut n = 0;
    for row in earlier.iter().flat_map(|m| &m.files) {
        if !now.contains_key(&row.path) {
            sink.remove(&row.path)?;
            n += 1;
        }
    }
    Ok(n)
}

/// Calls `work` for each item, from as many threads as there are processors, four at most; the first
/// error stops the others.
///
/// # Errors
/// The first error met.
pub fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4));
    in_parallel_by(threads, items, work)
}

/// As [`in_parallel`], from so many threads: for work that waits.
///
/// # Errors
/// The first error met.
pub fn in_parallel_by<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    std::thread::scope(|s| {
        for _ in 0..threads.min(items.len()) {
            s.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(e) = work(item) {
                        next.store(items.len(), Ordering::Relaxed);
                        if let Ok(mut f) = failed.lock() {
                            f.get_or_insert(e);
                        }
                        return;
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(e)) => Err(e),
        _ => Ok(()),
    }
}
