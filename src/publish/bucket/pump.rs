//! Bytes from extents to the store: read once into reused buffers, hashed there, sent from there, several
//! parts and files at a time and never more than [`MEMORY`] bytes of them.

use super::claim::Claim;
use super::item::Item;
use crate::content::copy::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::Progress;
use crate::publish::store::{Fault, Part, Store, Upload, Version, When};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Up to here an object goes in one request; a part of a longer one is as long, or a ten-thousandth of it.
pub(super) const PART: u64 = 8 << 20;
/// Buffers altogether.
const MEMORY: u64 = 48 << 20;
/// Parts that S3 takes for one object.
const MAX_PARTS: u64 = 10_000;
/// Tries for what was damaged on the way.
const TRIES: usize = 3;

/// Lends buffers.
struct Lender {
    state: Mutex<Lent>,
    back: Condvar,
}

struct Lent {
    left: u64,
    spare: Vec<Vec<u8>>,
}

impl Lender {
    fn lock(&self) -> MutexGuard<'_, Lent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `len` bytes; `None` where too much is lent out and `wait` is false.
    fn lend(&self, len: u64, wait: bool) -> Option<Vec<u8>> {
        let mut lent = self.lock();
        while lent.left < len {
            if !wait {
                return None;
            }
            lent = self.back.wait(lent).unwrap_or_else(PoisonError::into_inner);
        }
        lent.left -= len;
        let mut buffer = match len == PART {
            true => lent.spare.pop().unwrap_or_default(),
            false => Vec::new(),
        };
        drop(lent);
        buffer.resize(len as usize, 0);
        Some(buffer)
    }

    fn give_back(&self, len: u64, bytes: Option<Bytes>) {
        // Only one that nobody else holds comes back without a copy.
        let spare = bytes.filter(|b| b.is_unique() && b.len() as u64 == PART).map(Vec::from);
        let mut lent = self.lock();
        lent.left += len;
        lent.spare.extend(spare);
        drop(lent);
        self.back.notify_all();
    }
}

/// Sends items.
pub(super) struct Pump<'a> {
    store: &'a Store,
    claim: &'a Claim<'a>,
    progress: &'a dyn Progress,
    lender: Lender,
    /// Set where nothing may be written any more.
    pub(super) stop: AtomicBool,
}

/// A part on its way, and its bytes for another try.
struct Flying {
    part: Part,
    index: usize,
    bytes: Bytes,
    tries: usize,
}

impl<'a> Pump<'a> {
    pub(super) fn new(store: &'a Store, claim: &'a Claim<'a>, progress: &'a dyn Progress) -> Self {
        let state = Mutex::new(Lent { left: MEMORY, spare: Vec::new() });
        let lender = Lender { state, back: Condvar::new() };
        Pump { store, claim, progress, lender, stop: AtomicBool::new(false) }
    }

    fn go_on(&self, item: &Item) -> bool {
        self.progress.advance(&item.path, 0) && !self.stop.load(Ordering::Relaxed)
    }

    /// Sends an object, and says what its bytes were and what became of it.
    ///
    /// # Errors
    /// `Remote`, `Conflict`, `Interrupted`; `Corrupt` where the bytes are not those that the tree's manifest
    /// tells of, and nothing of them is seen in the store then.
    pub(super) fn send(&self, item: &Item, when: &When) -> Result<(Digest, Version)> {
        let len = item.content.len();
        item.content.in_order(false);
        if len > PART {
            return self.in_parts(item);
        }
        let mut buffer = self.lender.lend(len, true).unwrap_or_default();
        let sent = item.content.read_at(&mut buffer, 0).and_then(|()| {
            let bytes = Bytes::from(buffer);
            let sent = self.at_once(item, bytes.clone(), when);
            self.lender.give_back(0, Some(bytes));
            sent
        });
        self.lender.give_back(len, None);
        if sent.is_ok() {
            self.progress.advance(&item.path, len);
        }
        sent
    }

    fn at_once(&self, item: &Item, bytes: Bytes, when: &When) -> Result<(Digest, Version)> {
        let digest = Digest(Sha256::digest(&bytes).into());
        as_expected(item, digest)?;
        let mut head = item.head.clone();
        head.sha256 = Some(digest.to_string());
        let go_on = || self.go_on(item);
        for tried in 1.. {
            match self.store.put(&item.key, bytes.clone(), &head, when.clone(), &go_on) {
                Ok(v) => return Ok((digest, v)),
                Err(f) if f.was_damaged() && tried < TRIES => {}
                Err(f) => return Err(f.into()),
            }
        }
        Err(Error::usage("no try was made"))
    }

    fn in_parts(&self, item: &Item) -> Result<(Digest, Version)> {
        let mut upload = self.store.begin(&item.key, &item.head)?;
        let id = upload.id().map(str::to_owned);
        let sent = match &id {
            Some(id) => self.claim.opened(&item.key, id),
            None => Ok(()),
        };
        let sent = sent
            .and_then(|()| self.parts(&mut upload, item))
            .and_then(|d| as_expected(item, d).map(|()| d));
        let done = match sent {
            Ok(digest) => self.store.complete(upload).map(|v| (digest, v)).map_err(Error::from),
            Err(e) => {
                // Where this fails too, the claim still names it to whoever comes next.
                let gone = self.store.abort(upload);
                return Err(e).inspect_err(|_| {
                    if let (Ok(()), Some(id)) = (gone, &id) {
                        self.claim.closed(id);
                    }
                });
            }
        };
        if let (Ok(_), Some(id)) = (&done, &id) {
            self.claim.closed(id);
        }
        done
    }

    fn parts(&self, upload: &mut Upload, item: &Item) -> Result<Digest> {
        let len = item.content.len();
        let size = PART.max(len.div_ceil(MAX_PARTS).next_multiple_of(1 << 20));
        if size > MEMORY {
            return Err(Error::unsupported("is too long for a store").path(&item.path));
        }
        let mut hash = Sha256::new();
        let mut flying = VecDeque::new();
        let mut sent = Ok(());
        for (index, at) in (0..len).step_by(size as usize).enumerate() {
            let n = size.min(len - at);
            // Who holds buffers does not wait for more, or all might wait.
            let mut buffer = loop {
                if let Some(b) = self.lender.lend(n, flying.is_empty()) {
                    break b;
                }
                match flying.pop_front() {
                    Some(oldest) => sent = sent.and(self.land(upload, item, oldest)),
                    None => continue,
                }
            };
            sent = sent.and_then(|()| item.content.read_at(&mut buffer, at));
            if sent.is_err() {
                self.lender.give_back(n, None);
                break;
            }
            hash.update(&buffer);
            let bytes = Bytes::from(buffer);
            let part = self.store.part(upload, index, bytes.clone());
            flying.push_back(Flying { part, index, bytes, tries: 1 });
        }
        for f in flying {
            match &sent {
                Ok(()) => sent = self.land(upload, item, f),
                // Broken off before the upload is, or it might arrive behind that.
                Err(_) => {
                    let n = f.bytes.len() as u64;
                    drop(f.part);
                    self.lender.give_back(n, None);
                }
            }
        }
        sent.map(|()| Digest(hash.finalize().into()))
    }

    /// Waits for a part, and gives its buffer back whatever became of it.
    fn land(&self, upload: &mut Upload, item: &Item, f: Flying) -> Result<()> {
        let n = f.bytes.len() as u64;
        let Flying { mut part, index, bytes, mut tries } = f;
        let landed = loop {
            match self.store.settle(upload, part, &|| self.go_on(item)) {
                Err(fault) if again(&fault, upload) && tries < TRIES => {
                    tries += 1;
                    part = self.store.part(upload, index, bytes.clone());
                }
                other => break other.map_err(Error::from),
            }
        };
        self.lender.give_back(n, Some(bytes));
        landed?;
        match self.progress.advance(&item.path, n) && self.go_on(item) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
        }
    }
}

/// A folder's parts and Azure's have no numbers to be sent again by.
fn again(fault: &Fault, upload: &Upload) -> bool {
    fault.was_damaged() && upload.id().is_some()
}

fn as_expected(item: &Item, digest: Digest) -> Result<()> {
    match item.expect {
        Some(want) if want != digest => Err(Error::new(
            ErrorKind::Corrupt,
            format!("SHA-256 is {digest}, not {want} as the tree's manifest says"),
        )
        .path(&item.path)
        .hint("`isowright verify` tells what is wrong with the tree")),
        _ => Ok(()),
    }
}
