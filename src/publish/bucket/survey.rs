//! What is there, what should be, and so what is to be done: computed before anything is written.

use super::claim::CLAIM;
use super::item::{Item, Job};
use super::ledger::{LEDGER, Ledger, Row};
use crate::content::copy::{self, Digest};
use crate::error::Result;
use crate::publish::manifest::Manifest;
use crate::publish::store::{Listed, Store};
use crate::publish::{MANIFEST, Progress, in_parallel};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Why an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing of that name is there.
    New,
    /// What is there has other bytes.
    Changed,
    /// What is there was not put by publish, or was replaced since.
    Foreign,
    /// Its bytes are right; its type or caching is not.
    Relabelled,
    /// It is taken away while what it names is replaced.
    Withdrawn,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Keep(Digest),
    /// It is written.
    Put(Why),
}

/// The state of a prefix, and the fates of a job's items.
pub(super) struct Survey {
    pub(super) there: BTreeMap<String, Listed>,
    pub(super) ledger: Ledger,
    /// As the job's items.
    pub(super) fates: Vec<Fate>,
    /// Objects of an earlier version: what `--delete` takes away.
    pub(super) stale: Vec<String>,
}

impl Survey {
    /// Looks. `digests` holds what is known of the items' bytes already, and gets what is found out.
    pub(super) fn of(
        store: &Store,
        job: &Job,
        digests: &mut BTreeMap<String, Digest>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let root = crate::content::path::TreePath::root();
        let go_on = || progress.advance(&root, 0);
        let (listing, ledger) = std::thread::scope(|s| {
            let ledger = s.spawn(|| Ledger::read(store));
            let listing = store.list(&go_on);
            let ledger = ledger.join().unwrap_or_else(|_| {
                Err(crate::error::Error::usage("the reader of the ledger panicked"))
            });
            (listing, ledger)
        });
        let there: BTreeMap<String, Listed> =
            listing?.into_iter().map(|l| (l.key.clone(), l)).collect();
        let ledger = ledger?;
        let fates = fates(store, &job.items, &there, &ledger, digests, progress)?;
        let stale = stale(job, &there, &ledger);
        Ok(Survey { there, ledger, fates, stale })
    }

    /// True where nothing says that the prefix is ours, and objects of strangers would be replaced.
    pub(super) fn is_a_strangers(&self) -> bool {
        let ours = [LEDGER, CLAIM, MANIFEST].iter().any(|k| self.there.contains_key(*k));
        !ours && self.fates.contains(&Fate::Put(Why::Foreign))
    }

    /// True where an object that is there gets other bytes: who started from an old entry point must not go
    /// on with half of a new tree.
    pub(super) fn replaces_payload(&self, job: &Job) -> bool {
        let replaced = |(i, f): (&Item, &Fate)| {
            i.role == crate::plan::Role::Payload
                && matches!(f, Fate::Put(why) if *why != Why::New && *why != Why::Relabelled)
        };
        job.items.iter().zip(&self.fates).any(replaced)
    }

    /// Fates of items that the job has beside the first ones.
    pub(super) fn fates_of(
        &self,
        store: &Store,
        items: &[Item],
        progress: &dyn Progress,
    ) -> Result<Vec<Fate>> {
        let mut digests = BTreeMap::new();
        fates(store, items, &self.there, &self.ledger, &mut digests, progress)
    }
}

fn fates(
    store: &Store,
    items: &[Item],
    there: &BTreeMap<String, Listed>,
    ledger: &Ledger,
    digests: &mut BTreeMap<String, Digest>,
    progress: &dyn Progress,
) -> Result<Vec<Fate>> {
    let found: Mutex<BTreeMap<usize, Fate>> = Mutex::default();
    let known = Mutex::new(std::mem::take(digests));
    let all: Vec<usize> = (0..items.len()).collect();
    let done = in_parallel(&all, |&n| {
        let item = &items[n];
        let before = lock(&known).get(&item.key).copied();
        let fate = fate(
            store,
            item,
            there.get(&item.key),
            ledger,
            before,
            &|d| {
                lock(&known).insert(item.key.clone(), d);
            },
            progress,
        )?;
        lock(&found).insert(n, fate);
        Ok(())
    });
    *digests = known.into_inner().unwrap_or_else(PoisonError::into_inner);
    done?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fate(
    store: &Store,
    item: &Item,
    there: Option<&Listed>,
    ledger: &Ledger,
    known: Option<Digest>,
    learn: &dyn Fn(Digest),
    progress: &dyn Progress,
) -> Result<Fate> {
    let Some(there) = there else { return Ok(Fate::Put(Why::New)) };
    let Some(row) = ledger.objects.get(&item.key) else { return Ok(Fate::Put(Why::Foreign)) };
    if !is(store, row, there)? {
        return Ok(Fate::Put(Why::Foreign));
    }
    if row.size != item.content.len() {
        return Ok(Fate::Put(Why::Changed));
    }
    let digest = match (known, &row.stamp) {
        (Some(d), _) => d,
        // The source is in the state in which it was read: nothing is read again.
        (None, Some(s)) if Some(s) == item.stamp.as_ref() => row.sha256,
        (None, _) => {
            let d = copy::digest(&item.content, &|_| progress.advance(&item.path, 0))?;
            learn(d);
            d
        }
    };
    // Sending it tells that the tree's manifest is wrong about it.
    if item.expect.is_some_and(|e| e != digest) {
        return Ok(Fate::Put(Why::Changed));
    }
    let as_told = row.media_type == item.head.media_type && row.cache == item.head.cache;
    Ok(match (digest == row.sha256, as_told || !store.keeps_heads()) {
        (false, _) => Fate::Put(Why::Changed),
        (true, false) => Fate::Put(Why::Relabelled),
        (true, true) => Fate::Keep(digest),
    })
}

/// True where the object is the one that the ledger tells of.
pub(in crate::publish) fn is(store: &Store, row: &Row, there: &Listed) -> Result<bool> {
    match row.is(there) {
        Some(answer) => Ok(answer),
        None => Ok(store.head(&there.key)?.is_some_and(|(l, _)| row.is(&l) == Some(true))),
    }
}

/// What the ledger, or the manifest for what the ledger does not know, tells of and the job does not.
fn stale(job: &Job, there: &BTreeMap<String, Listed>, ledger: &Ledger) -> Vec<String> {
    let wanted = job.keys();
    let ours = |k: &&String| !wanted.contains(*k) && there.contains_key(*k);
    ledger.objects.keys().filter(ours).cloned().collect()
}

/// As [`Survey::stale`], for a prefix whose ledger was lost: what its manifest lists. Only what has the length
/// that is told there.
pub(super) fn stale_by_manifest(store: &Store, survey: &Survey, job: &Job) -> Result<Vec<String>> {
    let Some((text, _)) = store.get(MANIFEST, 256 << 20)? else { return Ok(Vec::new()) };
    // One that is none of ours speaks for nothing.
    let Ok(manifest) = Manifest::from_json(&text) else { return Ok(Vec::new()) };
    let wanted = job.keys();
    let keys = manifest.files.iter().filter_map(|f| Some((f.path.as_str()?, f.size)));
    Ok(keys
        .filter(|(k, n)| {
            !wanted.contains(*k)
                && !survey.ledger.objects.contains_key(*k)
                && survey.there.get(*k).is_some_and(|l| l.size == *n)
        })
        .map(|(k, _)| k.to_owned())
        .collect())
}
