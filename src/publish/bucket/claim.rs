//! `.isowright/claim.json`: one publisher at a time below a prefix.
//!
//! It is made only where there is none, and renewed only while it is still ours, both by conditional writes.
//! Who finds one waits for a sign of life; one that stands still is taken over, by a conditional write again,
//! and its owner sees that at its next renewal. It names the uploads that are open, so that a successor can
//! take away what a killed run has left.

use super::ledger::HEAD;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::store::{Fault, Store, Version, When};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Its key below the prefix.
pub const CLAIM: &str = ".isowright/claim.json";
const MAX: u64 = 4 << 20;
/// Whose claim has not moved for so long, by the store's clock, is taken for dead at once.
const DEAD: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    format: u32,
    /// Which run it is.
    run: String,
    /// Who runs it, for people.
    who: String,
    /// Goes up with each renewal.
    beat: u64,
    /// Open uploads: key and id.
    uploads: Vec<(String, String)>,
}

/// The right to write below a prefix.
pub struct Claim<'a> {
    store: &'a Store,
    state: Mutex<State>,
    /// False where the store keeps no conditions.
    pub conditional: bool,
    /// Uploads that a dead run has left.
    pub left: Vec<(String, String)>,
}

struct State {
    text: Text,
    version: Version,
}

/// Who asks, and how long it waits.
#[derive(Debug, Clone)]
pub struct Asker {
    /// For people: a host and a process.
    pub who: String,
    /// How long a claim must stand still to be taken over; a third of it is the time between renewals.
    pub patience: Duration,
    /// Seconds since 1970.
    pub now: i64,
}

fn spell(text: &Text) -> Result<Vec<u8>> {
    serde_json::to_vec(text)
        .map_err(|e| Error::new(ErrorKind::Io, "can't spell the claim").because(e))
}

fn read(store: &Store) -> Result<Option<(Text, Version)>> {
    let Some((bytes, version)) = store.get(CLAIM, MAX)? else { return Ok(None) };
    let text = serde_json::from_slice(&bytes).map_err(|e| {
        Error::new(ErrorKind::Corrupt, "is no claim of ours")
            .source_name(store.target())
            .path(CLAIM)
            .hint("delete the object where nobody publishes there")
            .because(e)
    })?;
    Ok(Some((text, version)))
}

fn nonce() -> String {
    use std::hash::{BuildHasher, Hasher};
    let one = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", one(), one())
}

/// How the error begins where another run holds the claim, or has taken it over.
const ANOTHER: &str = "another isowright";

/// True where another run is at it: what this one was to do is done by that one.
pub fn is_taken(e: &Error) -> bool {
    e.kind() == ErrorKind::Conflict && e.to_string().contains(ANOTHER)
}

fn taken(store: &Store, who: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{ANOTHER} publishes there: {who}"))
        .source_name(store.target())
        .hint("wait until it is done; nothing was changed by this run")
}

impl<'a> Claim<'a> {
    /// Takes the claim.
    ///
    /// # Errors
    /// `Conflict` where another run holds it and lives, `Remote`, `Interrupted`.
    pub fn take(store: &'a Store, asker: &Asker, go_on: &dyn Fn() -> bool) -> Result<Claim<'a>> {
        let mut text =
            Text { format: 1, run: nonce(), who: asker.who.clone(), beat: 0, uploads: Vec::new() };
        loop {
            match write(store, &text, When::Absent, go_on) {
                Ok(version) => return Claim::made(store, text, version, go_on),
                Err(f) if f.is_unknown() => {
                    if let Some((other, _)) = read(store)? {
                        wait_for_death(store, &other, asker, go_on)?;
                        text.uploads = other.uploads;
                    }
                    let version = write(store, &text, When::Always, go_on)?;
                    let left = std::mem::take(&mut text.uploads);
                    let state = Mutex::new(State { text, version });
                    return Ok(Claim { store, state, conditional: false, left });
                }
                Err(f) if !f.is_conflict() => {
                    // The answer may have been lost and not the write.
                    match read(store) {
                        Ok(Some((t, v))) if t.run == text.run => {
                            return Claim::made(store, text, v, go_on);
                        }
                        _ => return Err(f.into()),
                    }
                }
                Err(_) => {}
            }
            // It may have gone meanwhile.
            let Some((other, _)) = read(store)? else { continue };
            let version = wait_for_death(store, &other, asker, go_on)?;
            let Some(version) = version else { continue };
            text.uploads = other.uploads.clone();
            match write(store, &text, When::Still(version), go_on) {
                Ok(version) => {
                    let left = std::mem::take(&mut text.uploads);
                    let state = Mutex::new(State { text, version });
                    return Ok(Claim { store, state, conditional: true, left });
                }
                // A folder's: nobody can be kept out between two steps.
                Err(f) if f.is_unknown() => store.delete(CLAIM)?,
                Err(f) if f.is_conflict() => return Err(taken(store, "one that was faster")),
                Err(f) => return Err(f.into()),
            }
        }
    }

    /// A store that takes a second one where the first must have been alone keeps no conditions.
    fn made(
        store: &'a Store,
        text: Text,
        version: Version,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Claim<'a>> {
        let (conditional, version) = match write(store, &text, When::Absent, go_on) {
            Ok(second) => (false, second),
            Err(f) if f.is_conflict() => (true, version),
            Err(f) => return Err(f.into()),
        };
        let state = Mutex::new(State { text, version });
        Ok(Claim { store, state, conditional, left: Vec::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews it, and learns whether it is still ours.
    ///
    /// # Errors
    /// `Conflict` where another run has taken over, `Remote`.
    pub fn beat(&self) -> Result<()> {
        self.renew(&mut self.lock())
    }

    fn renew(&self, state: &mut State) -> Result<()> {
        state.text.beat += 1;
        let when = match self.conditional {
            true => When::Still(state.version.clone()),
            false => When::Always,
        };
        let lost = || {
            Error::new(
                ErrorKind::Conflict,
                "another isowright took over while this one stood still",
            )
            .source_name(self.store.target())
            .hint("what is up is kept; the other one goes on from there")
        };
        let is_lost =
            |run: &str| Ok::<_, Error>(read(self.store)?.is_none_or(|(t, _)| t.run != run));
        if !self.conditional && is_lost(&state.text.run)? {
            return Err(lost());
        }
        match write(self.store, &state.text, when, &|| true) {
            Ok(v) => state.version = v,
            // A folder knows no condition on what is there: looking before must do.
            Err(f) if f.is_unknown() => {
                if is_lost(&state.text.run)? {
                    return Err(lost());
                }
                state.version = write(self.store, &state.text, When::Always, &|| true)?;
            }
            // The answer to an earlier try may have been lost: then what is there is our own.
            Err(f) => match read(self.store)? {
                Some((t, v)) if t.run == state.text.run => {
                    state.version = v;
                    if !f.is_conflict() && t.beat != state.text.beat {
                        return Err(f.into());
                    }
                }
                _ => return Err(lost()),
            },
        }
        Ok(())
    }

    /// Notes an upload before its first part is sent.
    ///
    /// # Errors
    /// As [`Claim::beat`].
    pub fn opened(&self, key: &str, id: &str) -> Result<()> {
        let mut state = self.lock();
        state.text.uploads.push((key.to_owned(), id.to_owned()));
        self.renew(&mut state)
    }

    /// An upload is over; told at the next renewal.
    pub fn closed(&self, id: &str) {
        self.lock().text.uploads.retain(|(_, i)| i != id);
    }

    /// Gives it back.
    ///
    /// # Errors
    /// As [`Claim::beat`].
    pub fn release(self) -> Result<()> {
        self.beat()?;
        self.store.delete(CLAIM)
    }
}

fn write(
    store: &Store,
    text: &Text,
    when: When,
    go_on: &dyn Fn() -> bool,
) -> Result<Version, Fault> {
    let bytes = spell(text).map_err(|error| Fault { error, code: None })?;
    store.put(CLAIM, bytes.into(), &HEAD, when, go_on)
}

/// Waits until the claim has stood still long enough; its state then, or `None` where it has gone.
///
/// # Errors
/// `Conflict` where it moves.
fn wait_for_death(
    store: &Store,
    first: &Text,
    asker: &Asker,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Version>> {
    let since = Instant::now();
    loop {
        let Some((now, version)) = read(store)? else { return Ok(None) };
        if (&now.run, now.beat) != (&first.run, first.beat) {
            return Err(taken(store, &now.who));
        }
        let Some((at, _)) = store.head(CLAIM)? else { return Ok(None) };
        let still = asker.now.saturating_sub(at.modified);
        if since.elapsed() >= asker.patience || still >= DEAD.as_secs() as i64 {
            return Ok(Some(version));
        }
        let step = (asker.patience / 8).clamp(Duration::from_millis(50), Duration::from_secs(1));
        std::thread::sleep(step);
        if !go_on() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
    }
}
