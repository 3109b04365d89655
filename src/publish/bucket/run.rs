//! One run: look, claim, send, check, tell.

use super::claim::{Asker, Claim};
use super::item::{Item, Job};
use super::ledger::{self, LEDGER, Ledger, Row};
use super::pump::Pump;
use super::survey::{self, Fate, Survey, Why};
use super::todo::{Report, Todo};
use crate::content::copy::Digest;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Role;
use crate::publish::store::{Store, Version, When};
use crate::publish::{MANIFEST, Progress, in_parallel_by};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Files on their way at a time. Most of an install tree's are small, and what they wait for is the way.
const SENDERS: usize = 12;
/// Deletions at a time.
const DELETERS: usize = 8;

/// How to publish.
#[derive(Debug, Clone)]
pub struct Options {
    /// Take away what an earlier run put and this one does not.
    pub delete: bool,
    /// Say what would be done; write nothing.
    pub dry_run: bool,
    /// Who publishes.
    pub asker: Asker,
}

/// Publishes a job, or says what that would do.
///
/// # Errors
/// `Conflict` where another run holds the prefix or took it over, or where its objects are a stranger's;
/// `Corrupt` where the source changed or is not what its manifest says; `Remote`, `Interrupted`. In each case
/// the entry points are the old ones or absent, what is up is remembered, and the next run goes on from there.
pub fn publish(
    store: &Store,
    job: &Job,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut digests = BTreeMap::new();
    let (todo, survey, stale) = todo(store, job, options, &mut digests, progress)?;
    let report = todo.report(if options.delete { 0 } else { stale });
    if survey.is_a_strangers() {
        return Err(Error::new(
            ErrorKind::Conflict,
            "holds objects that publish did not put there",
        )
        .source_name(store.target())
        .hint("choose another prefix, or take them away first"));
    }
    if todo.is_empty() || options.dry_run {
        return Ok(report);
    }
    let root = TreePath::root();
    let claim = Claim::take(store, &options.asker, &|| progress.advance(&root, 0))?;
    let done = claimed(store, &claim, job, options, &mut digests, progress);
    let conditional = claim.conditional;
    // One that another run has taken over is left to it.
    let released = claim.release();
    let mut report = done?;
    released?;
    if !conditional {
        report.notes.push(
            "this store keeps no conditional writes: two publishers at once are not kept apart"
                .into(),
        );
    }
    Ok(report)
}

/// Looks, and says what is to be done; and how many objects are stale.
fn todo(
    store: &Store,
    job: &Job,
    options: &Options,
    digests: &mut BTreeMap<String, Digest>,
    progress: &dyn Progress,
) -> Result<(Todo, Survey, usize)> {
    let survey = Survey::of(store, job, digests, progress)?;
    let mut stale = survey.stale.clone();
    if options.delete {
        stale.extend(survey::stale_by_manifest(store, &survey, job)?);
    }
    let mut todo = Todo::of(job, &survey, if options.delete { &stale } else { &[] });
    for (item, fate) in job.items.iter().zip(&survey.fates) {
        if let Fate::Keep(d) = fate {
            digests.insert(item.key.clone(), *d);
        }
    }
    // Entry points are small.
    for item in job.items.iter().filter(|i| i.role == Role::EntryPoint) {
        if !digests.contains_key(&item.key) {
            let d = crate::content::copy::digest(&item.content, &|_| true)?;
            digests.insert(item.key.clone(), d);
        }
    }
    let known: BTreeMap<&str, Digest> = digests.iter().map(|(k, d)| (k.as_str(), *d)).collect();
    if job.items.iter().all(|i| known.contains_key(i.key.as_str())) {
        let records = job.records(&known)?;
        let fates = survey.fates_of(store, &records, progress)?;
        for (item, fate) in records.into_iter().zip(fates) {
            match fate {
                Fate::Keep(_) => todo.kept += 1,
                Fate::Put(why) => todo.records.push((item, why)),
            }
        }
    } else if options.dry_run {
        // Their bytes are not known before those of the others are.
        for item in job.records_to_be()? {
            let there = survey.there.contains_key(&item.key);
            todo.records.push((item, if there { Why::Changed } else { Why::New }));
        }
    }
    let n = stale.len();
    Ok((todo, survey, n))
}

/// What a run has in common with the thread that renews its claim.
struct Shared<'a> {
    store: &'a Store,
    claim: &'a Claim<'a>,
    ledger: Mutex<(Ledger, bool)>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn note(&self, item: &Item, digest: Digest, version: &Version, modified: Option<i64>) {
        let row = Row {
            size: item.content.len(),
            sha256: digest,
            etag: version.etag.clone(),
            modified,
            stamp: item.stamp.clone(),
            media_type: item.head.media_type.into(),
            cache: item.head.cache.into(),
        };
        let mut l = lock(&self.ledger);
        l.0.objects.insert(item.key.clone(), row);
        l.1 = true;
    }

    fn forget(&self, key: &str) {
        let mut l = lock(&self.ledger);
        l.0.objects.remove(key);
        l.1 = true;
    }

    /// Writes the ledger where it has changed.
    fn save(&self) -> Result<()> {
        let text = {
            let mut l = lock(&self.ledger);
            if !std::mem::take(&mut l.1) {
                return Ok(());
            }
            l.0.to_json()?
        };
        let always = || true;
        self.store.put(LEDGER, text.into(), &ledger::HEAD, When::Always, &always).map(drop).map_err(
            |f| {
                lock(&self.ledger).1 = true;
                f.into()
            },
        )
    }
}

fn claimed(
    store: &Store,
    claim: &Claim,
    job: &Job,
    options: &Options,
    digests: &mut BTreeMap<String, Digest>,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut notes = Vec::new();
    for (key, id) in &claim.left {
        if let Err(e) = store.abort_id(key, id) {
            notes.push(format!("parts that a killed run left could not be taken away: {e}"));
        }
    }
    // Another run may have ended since we looked.
    let (todo, survey, stale) = todo(store, job, options, digests, progress)?;
    let first = !survey.there.contains_key(LEDGER);
    let ledger = Mutex::new((survey.ledger.clone(), first));
    let shared = Shared { store, claim, ledger };
    // From here on the prefix is known as ours, whatever happens.
    shared.save()?;
    let pump = Pump::new(store, claim, progress);
    let over = (Mutex::new(false), Condvar::new());
    std::thread::scope(|s| {
        let beats = s.spawn(|| keep_alive(&shared, &pump, &over, options.asker.patience / 3));
        let run = Run { shared: &shared, pump: &pump, job, survey: &survey, digests, progress };
        let done = run.all(todo, if options.delete { 0 } else { stale });
        *lock(&over.0) = true;
        over.1.notify_all();
        let lost =
            beats.join().unwrap_or_else(|_| Err(Error::usage("the claim's keeper panicked")));
        match (lost, done) {
            // What stopped the others is the reason.
            (Err(e), _) => Err(e),
            (Ok(()), Err(e)) => {
                // What is up is to be known to the next run; the error that counts is the first one.
                let _ = shared.save();
                Err(e)
            }
            (Ok(()), Ok(mut report)) => {
                report.notes.append(&mut notes);
                Ok(report)
            }
        }
    })
}

/// Renews the claim and saves the ledger until the run is over. A claim that is lost stops the run.
fn keep_alive(
    shared: &Shared,
    pump: &Pump,
    over: &(Mutex<bool>, Condvar),
    every: std::time::Duration,
) -> Result<()> {
    let mut ended = lock(&over.0);
    loop {
        let (guard, timeout) =
            over.1.wait_timeout(ended, every).unwrap_or_else(PoisonError::into_inner);
        ended = guard;
        if *ended {
            return Ok(());
        }
        if !timeout.timed_out() {
            continue;
        }
        drop(ended);
        match shared.claim.beat() {
            Err(e) if e.kind() == ErrorKind::Conflict => {
                pump.stop.store(true, Ordering::Relaxed);
                return Err(e);
            }
            // A renewal that failed otherwise is tried again in time; so is the ledger.
            Err(_) => {}
            Ok(()) => drop(shared.save()),
        }
        ended = lock(&over.0);
    }
}

struct Run<'a> {
    shared: &'a Shared<'a>,
    pump: &'a Pump<'a>,
    job: &'a Job<'a>,
    survey: &'a Survey,
    digests: &'a mut BTreeMap<String, Digest>,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn all(self, mut todo: Todo, stale: usize) -> Result<Report> {
        let Shared { store, claim, .. } = *self.shared;
        for (item, fate) in self.job.items.iter().zip(&self.survey.fates) {
            if matches!(fate, Fate::Keep(_)) {
                self.progress.advance(&item.path, item.content.len());
                self.refresh(item);
            }
        }
        for key in &todo.withdraw {
            store.delete(key)?;
            self.shared.forget(key);
        }
        let sent: Mutex<BTreeMap<String, (Digest, Version)>> = Mutex::default();
        // The longest first, so that none is left alone at the end.
        todo.payload.sort_by_key(|(i, _)| std::cmp::Reverse(i.content.len()));
        in_parallel_by(SENDERS, &todo.payload, |(item, _)| {
            let (digest, version) = self.pump.send(item, &When::Always)?;
            self.shared.note(item, digest, &version, None);
            lock(&sent).insert(item.key.clone(), (digest, version));
            Ok(())
        })?;
        let sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.digests.extend(sent.iter().map(|(k, (d, _))| (k.clone(), *d)));
        let lists_tags = self.check(&sent)?;
        claim.beat()?;
        if todo.records.is_empty() && !todo.payload.is_empty() {
            todo.records = self.records(&mut todo.kept)?;
        }
        let report = todo.report(stale);
        for (item, why) in todo.records.iter().chain(&todo.entries) {
            let when = self.condition(item, *why)?;
            let (digest, version) = self.pump.send(item, &when)?;
            let modified = match lists_tags {
                true => None,
                false => store.head(&item.key)?.map(|(l, _)| l.modified),
            };
            self.shared.note(item, digest, &version, modified);
        }
        in_parallel_by(DELETERS, &todo.delete, |key| {
            store.delete(key)?;
            self.shared.forget(key);
            Ok(())
        })?;
        self.shared.save()?;
        Ok(report)
    }

    /// The source of an object that is kept may be another file with the same bytes.
    fn refresh(&self, item: &Item) {
        let mut l = lock(&self.shared.ledger);
        let (ledger, changed) = &mut *l;
        if let Some(row) = ledger.objects.get_mut(&item.key)
            && row.stamp != item.stamp
        {
            row.stamp.clone_from(&item.stamp);
            *changed = true;
        }
    }

    /// The payload as the store has it now. True where its listings have entity tags.
    fn check(&self, sent: &BTreeMap<String, (Digest, Version)>) -> Result<bool> {
        if !self.job.stands_still() {
            sent.keys().for_each(|k| self.shared.forget(k));
            return Err(Error::new(ErrorKind::Corrupt, "the source changed while it was read")
                .hint("run it again when nobody writes to it"));
        }
        let store = self.shared.store;
        let root = TreePath::root();
        let listing = store.list(&|| self.progress.advance(&root, 0))?;
        let there: BTreeMap<&str, _> = listing.iter().map(|l| (l.key.as_str(), l)).collect();
        let payload = self.job.items.iter().filter(|i| i.role == Role::Payload);
        for item in payload {
            let found = there.get(item.key.as_str());
            let mut ledger = lock(&self.shared.ledger);
            let ours = match (found, ledger.0.objects.get_mut(&item.key)) {
                (Some(l), Some(row)) => {
                    if l.etag.is_none() && (row.modified.is_none() || sent.contains_key(&item.key))
                    {
                        row.modified = Some(l.modified);
                    }
                    row.is(l) != Some(false)
                }
                _ => false,
            };
            if !ours {
                return Err(Error::new(ErrorKind::Remote, "is not there as it was put")
                    .source_name(store.target())
                    .path(&item.key)
                    .hint("somebody else writes there, or the store lost it: run it again"));
            }
        }
        Ok(listing.iter().any(|l| l.etag.is_some()))
    }

    /// Manifest and sums, now that all digests are known.
    fn records(&self, kept: &mut usize) -> Result<Vec<(Item, Why)>> {
        let known: BTreeMap<&str, Digest> =
            self.digests.iter().map(|(k, d)| (k.as_str(), *d)).collect();
        let records = self.job.records(&known)?;
        let fates = self.survey.fates_of(self.shared.store, &records, self.progress)?;
        let mut out = Vec::new();
        for (item, fate) in records.into_iter().zip(fates) {
            match fate {
                Fate::Keep(_) => *kept += 1,
                Fate::Put(why) => out.push((item, why)),
            }
        }
        Ok(out)
    }

    /// The manifest replaces the one that we saw and no other.
    fn condition(&self, item: &Item, why: Why) -> Result<When> {
        let store = self.shared.store;
        if item.key != MANIFEST || !self.shared.claim.conditional || !store.keeps_heads() {
            return Ok(When::Always);
        }
        if why == Why::New {
            return Ok(When::Absent);
        }
        let seen = self.survey.there.get(&item.key).and_then(|l| l.etag.clone());
        match store.head(&item.key)? {
            Some((l, v)) if seen.is_none() || seen == l.etag => Ok(When::Still(v)),
            _ => Err(Error::new(ErrorKind::Conflict, "was replaced by somebody else meanwhile")
                .source_name(store.target())
                .path(&item.key)
                .hint("run it again when the other one is done")),
        }
    }
}
