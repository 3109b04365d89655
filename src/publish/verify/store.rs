//! A published tree against its manifest: what the store lists, and with `whole` every byte.

use super::{Report, signed};
use crate::content::copy::Digest;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::x509::Certificate;
use crate::publish::bucket::ledger::{LEDGER, Ledger};
use crate::publish::bucket::{claim::CLAIM, is};
use crate::publish::manifest::{FileRow, Manifest};
use crate::publish::store::{Listed, Store};
use crate::publish::{MANIFEST, Progress, SUMS, in_parallel};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Bytes that are read at a time.
const CHUNK: u64 = 4 << 20;
const MAX_RECORD: u64 = 256 << 20;

/// Verifies what is below the store's prefix. Without `whole` an object is known by its length and by the
/// state that publish saw the store give it. With `trusted` the manifest must be signed by one of these.
///
/// # Errors
/// `NotFound` where there is no manifest, `Corrupt` where it is no manifest of ours, `Remote`, `Interrupted`.
/// What is wrong with the objects is a finding.
pub fn verify(
    store: &Store,
    whole: bool,
    trusted: &[Certificate],
    progress: &dyn Progress,
) -> Result<Report> {
    let root = TreePath::root();
    let listing = store.list(&|| progress.advance(&root, 0))?;
    let there: BTreeMap<&str, &Listed> = listing.iter().map(|l| (l.key.as_str(), l)).collect();
    let none = || {
        Error::new(
            ErrorKind::NotFound,
            "there is no manifest.json: nothing was published, or not to its end",
        )
        .source_name(store.target())
        .hint("`isowright publish` to it again finishes it")
    };
    let (text, _) = store.get(MANIFEST, MAX_RECORD)?.ok_or_else(none)?;
    let manifest =
        Manifest::from_json(&text).map_err(|e| e.source_name(store.target()).path(MANIFEST))?;
    let ledger = Ledger::read(store)?;
    let found = Mutex::new(Report::default());
    let look = Look { store, there: &there, ledger: &ledger, whole, progress };
    in_parallel(&manifest.files, |row| look.at(row, &found))?;
    let mut r = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    match store.get(SUMS, MAX_RECORD)? {
        None => r.broken(SUMS, "missing"),
        Some((b, _)) if b[..] != manifest.sums()?[..] => {
            r.broken(SUMS, "does not agree with the manifest");
        }
        Some(_) => {}
    }
    let signature = |path: &TreePath| {
        let got = store.get(&path.to_string(), signed::MAX_SIGNATURE)?;
        Ok(got.map(|(b, _)| b.to_vec()))
    };
    signed::check(&text, &manifest, trusted, &signature, &mut r)?;
    unlisted(&manifest, &ledger, &there, &mut r);
    if there.contains_key(CLAIM) {
        r.note(CLAIM, "somebody publishes there now, or was killed doing so");
    }
    r.manifest = Some(Box::new(manifest));
    r.findings.sort_by(|a, b| (!a.broken, &a.path).cmp(&(!b.broken, &b.path)));
    Ok(r)
}

struct Look<'a> {
    store: &'a Store,
    there: &'a BTreeMap<&'a str, &'a Listed>,
    ledger: &'a Ledger,
    whole: bool,
    progress: &'a dyn Progress,
}

impl Look<'_> {
    fn at(&self, row: &FileRow, found: &Mutex<Report>) -> Result<()> {
        let report = || found.lock().unwrap_or_else(PoisonError::into_inner);
        let key = row.path.to_string();
        let Some(l) = self.there.get(key.as_str()) else {
            report().broken(&key, "missing");
            return Ok(());
        };
        if l.size != row.size {
            report().broken(&key, format!("{} bytes, not {}", l.size, row.size));
            return Ok(());
        }
        if self.whole {
            let digest = self.digest(row, l)?;
            let mut r = report();
            r.files += 1;
            r.bytes += row.size;
            if digest != row.sha256 {
                r.broken(&key, "its bytes are not those of the manifest");
            }
            return Ok(());
        }
        let what = match self.ledger.objects.get(&key) {
            None => Some("was not put there by publish: --whole tells whether its bytes are right"),
            Some(o) if o.sha256 != row.sha256 => Some("is another version's than the manifest"),
            Some(o) if !is(self.store, o, l)? => Some("was replaced since it was published"),
            Some(_) => None,
        };
        let mut r = report();
        r.files += 1;
        match what {
            Some(what) => r.broken(&key, what),
            None => drop(r.unread.insert(key)),
        }
        self.progress.advance(&row.path, 0);
        Ok(())
    }

    fn digest(&self, row: &FileRow, l: &Listed) -> Result<Digest> {
        let mut hash = Sha256::new();
        for at in (0..row.size).step_by(CHUNK as usize) {
            let range = at..row.size.min(at + CHUNK);
            let n = range.end - range.start;
            hash.update(self.store.get_range(&l.key, range, l.etag.as_deref())?);
            if !self.progress.advance(&row.path, n) {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
        }
        Ok(Digest(hash.finalize().into()))
    }
}

/// Objects that the manifest does not speak for. They do no harm to a boot.
fn unlisted(manifest: &Manifest, ledger: &Ledger, there: &BTreeMap<&str, &Listed>, r: &mut Report) {
    let known: BTreeSet<String> = manifest
        .files
        .iter()
        .map(|f| f.path.to_string())
        .chain([MANIFEST, SUMS, LEDGER, CLAIM].map(str::to_owned))
        .collect();
    // A second one for a + is ours, and so is a signature.
    let beside = |k: &str| {
        let signed = k.strip_suffix(".sig").is_some_and(|s| known.contains(s));
        let twin = ledger.objects.contains_key(k) && k.contains(' ') && {
            known.iter().any(|f| f.contains('+') && f.replace('+', " ") == *k)
        };
        signed || twin
    };
    let extra: Vec<&str> =
        there.keys().copied().filter(|k| !known.contains(*k) && !beside(k)).collect();
    if let Some(first) = extra.first() {
        let ours = extra.iter().filter(|k| ledger.objects.contains_key(**k)).count();
        r.note(
            first,
            format!(
                "not in the manifest ({} such objects, {ours} of them put by publish)",
                extra.len()
            ),
        );
    }
}
