//! Object stores: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage, and a folder, behind
//! one face that waits in the plain way. The one place with a cloud client, and with asynchronous code.
//!
//! Keys are given relative to the target's prefix and are sent percent-encoded: `+` as `%2B`, a space as
//! `%20`, other letters as their UTF-8 bytes.

mod access;
mod connect;
mod engine;
mod fault;
mod image;
mod target;
mod upload;

pub use access::{Access, Checksum};
pub use engine::Waiting;
pub use fault::Fault;
pub use image::Image;
pub use target::{Scheme, Target};
pub use upload::{Part, Upload};

use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use connect::Client;
use engine::Engine;
use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, PutMode, PutOptions,
    PutPayload, PutResult, UpdateVersion,
};
use std::ops::Range;

/// Objects that a listing may hold; an install tree has some 10,000.
const MAX_LISTED: usize = 1_000_000;

/// A bucket's part below a prefix.
pub struct Store {
    engine: Engine,
    client: Client,
    target: Target,
    secrets: Vec<String>,
}

/// An object, as a listing or a HEAD tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key below the prefix.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its entity tag without quotes; some servers' listings have none.
    pub etag: Option<String>,
    /// Seconds since 1970, by the store's clock: a HEAD tells no more (RFC 9110, 5.6.7).
    pub modified: i64,
}

/// What a state of an object is known by, for the next conditional write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Its entity tag without quotes.
    pub etag: Option<String>,
    raw: Option<String>,
    generation: Option<String>,
}

/// What is said of an object beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// `Cache-Control`.
    pub cache: &'static str,
    /// SHA-256, where it is known before the bytes go out.
    pub sha256: Option<String>,
}

/// Under which condition an object is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Whatever is there.
    Always,
    /// Nothing of that name is there.
    Absent,
    /// What is there is this.
    Still(Version),
}

fn bare(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

impl From<PutResult> for Version {
    fn from(r: PutResult) -> Self {
        Version { etag: r.e_tag.as_deref().map(bare), raw: r.e_tag, generation: r.version }
    }
}

impl From<&ObjectMeta> for Version {
    fn from(m: &ObjectMeta) -> Self {
        let (raw, generation) = (m.e_tag.clone(), m.version.clone());
        Version { etag: raw.as_deref().map(bare), raw, generation }
    }
}

impl Store {
    /// Opens the store; nothing is asked of it yet.
    ///
    /// # Errors
    /// `Usage` for credentials that are missing or wrong in form; `NotFound`, `Unsupported` for a profile.
    pub fn open(target: Target, access: &Access) -> Result<Self> {
        let client = connect::connect(&target, access)?;
        Ok(Store { engine: Engine::start()?, client, secrets: access.secrets(), target })
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// True where attributes (types, caching) are kept.
    pub fn keeps_heads(&self) -> bool {
        self.target.scheme != Scheme::File
    }

    fn key(&self, key: &str) -> Result<Key> {
        let prefix = match self.target.scheme {
            Scheme::File => "",
            _ => self.target.prefix.as_str(),
        };
        let whole = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") };
        Key::parse(&whole).map_err(|e| {
            Error::usage("can't be the key of an object").path(key).because(e.to_string())
        })
    }

    fn relative(&self, key: &Key) -> Option<String> {
        if self.target.scheme == Scheme::File || self.target.prefix.is_empty() {
            return Some(key.as_ref().to_owned());
        }
        let below = key.as_ref().strip_prefix(&self.target.prefix)?.strip_prefix('/')?;
        Some(below.to_owned())
    }

    fn listed(&self, m: &ObjectMeta) -> Option<Listed> {
        Some(Listed {
            key: self.relative(&m.location)?,
            size: m.size,
            etag: m.e_tag.as_deref().map(bare),
            modified: m.last_modified.timestamp(),
        })
    }

    /// All that is below the prefix, by key.
    ///
    /// # Errors
    /// `Remote`, `Unsupported` above a million objects, `Interrupted`.
    pub fn list(&self, go_on: &dyn Fn() -> bool) -> Result<Vec<Listed>> {
        let store = self.client.objects.clone();
        let prefix = match self.target.scheme {
            Scheme::File => None,
            _ if self.target.prefix.is_empty() => None,
            _ => Some(self.key("")?),
        };
        let work = async move {
            let mut all = Vec::new();
            let mut stream = store.list(prefix.as_ref());
            while let Some(m) = stream.try_next().await? {
                all.push(m);
                if all.len() > MAX_LISTED {
                    break;
                }
            }
            Ok(all)
        };
        let all: Vec<ObjectMeta> = self
            .engine
            .begin(work)
            .end_while(go_on)?
            .map_err(|e| self.fault("can't list", "", e).error)?;
        if all.len() > MAX_LISTED {
            return Err(Error::unsupported("a prefix with more than a million objects")
                .source_name(&self.target));
        }
        let mut out: Vec<Listed> = all.iter().filter_map(|m| self.listed(m)).collect();
        out.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(out)
    }

    /// Bytes, their state, and the length of the whole object.
    fn get_opts(
        &self,
        key: &str,
        options: GetOptions,
        limit: u64,
    ) -> Result<Option<(Bytes, Version, u64)>, Fault> {
        let plain = |error| Fault { error, code: None };
        let (store, at) = (self.client.objects.clone(), self.key(key).map_err(plain)?);
        let work = async move {
            let got = store.get_opts(&at, options).await?;
            let (version, len) = (Version::from(&got.meta), got.meta.size);
            if got.range.end - got.range.start > limit {
                return Ok(None);
            }
            Ok(Some((got.bytes().await?, version, len)))
        };
        match self.engine.begin(work).end().map_err(plain)? {
            Ok(Some(got)) => Ok(Some(got)),
            Ok(None) => Err(plain(
                Error::unsupported(format!("is longer than {limit} bytes"))
                    .source_name(&self.target)
                    .path(key),
            )),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fault("can't read", key, e)),
        }
    }

    /// A small object whole, with the state that it was read in; `None` where there is none.
    ///
    /// # Errors
    /// `Remote`; `Unsupported` above `limit` bytes.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<(Bytes, Version)>> {
        let got = self.get_opts(key, GetOptions::default(), limit)?;
        Ok(got.map(|(bytes, version, _)| (bytes, version)))
    }

    /// Bytes `range` of an object; with `etag`, of that state of it and no other.
    ///
    /// # Errors
    /// A [`Fault`] of kind `NotFound`; `Conflict` where it has changed; `Remote`, also for fewer bytes than
    /// asked for.
    pub fn get_range(
        &self,
        key: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Bytes, Fault> {
        let want = range.end.saturating_sub(range.start);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: etag.map(|e| format!("\"{}\"", bare(e))),
            ..GetOptions::default()
        };
        let fail = |kind, what: String| {
            let error = Error::new(kind, what).source_name(&self.target).path(key);
            Err(Fault { error, code: None })
        };
        let Some((bytes, version, _)) = self.get_opts(key, options, want)? else {
            return fail(ErrorKind::NotFound, "there is no such object".into());
        };
        // Not every server heeds the condition.
        let is = version.etag.as_deref();
        if etag.is_some_and(|e| is.is_some_and(|is| is != bare(e))) {
            return fail(ErrorKind::Conflict, "has changed meanwhile".into());
        }
        if bytes.len() as u64 != want {
            let what = format!("{} bytes came, not the {want} that were asked for", bytes.len());
            return fail(ErrorKind::Remote, what);
        }
        Ok(bytes)
    }

    /// What is known of an object; `None` where there is none.
    ///
    /// # Errors
    /// `Remote`.
    pub fn head(&self, key: &str) -> Result<Option<(Listed, Version)>> {
        let (store, at) = (self.client.objects.clone(), self.key(key)?);
        let options = GetOptions { head: true, ..GetOptions::default() };
        let work = async move { store.get_opts(&at, options).await.map(|r| r.meta) };
        match self.engine.begin(work).end()? {
            Ok(m) => Ok(self.listed(&m).map(|l| (l, Version::from(&m)))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fault("can't ask for", key, e).error),
        }
    }

    fn attributes(&self, head: &Head) -> Attributes {
        let mut a = Attributes::new();
        if self.keeps_heads() {
            a.insert(Attribute::ContentType, head.media_type.into());
            a.insert(Attribute::CacheControl, head.cache.into());
            if let Some(sha) = &head.sha256 {
                a.insert(Attribute::Metadata("sha256".into()), sha.clone().into());
            }
        }
        a
    }

    /// Writes an object in one request, whole or not at all.
    ///
    /// # Errors
    /// A [`Fault`] of kind `Conflict` where the condition does not hold, `Unsupported` where the store knows
    /// no conditions, `Remote`, `Interrupted`.
    pub fn put(
        &self,
        key: &str,
        bytes: Bytes,
        head: &Head,
        when: When,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Version, Fault> {
        let plain = |error| Fault { error, code: None };
        let (store, at) = (self.client.objects.clone(), self.key(key).map_err(plain)?);
        let mode = match when {
            When::Always => PutMode::Overwrite,
            When::Absent => PutMode::Create,
            When::Still(v) => {
                PutMode::Update(UpdateVersion { e_tag: v.raw, version: v.generation })
            }
        };
        let options =
            PutOptions { mode, attributes: self.attributes(head), ..PutOptions::default() };
        let work = async move { store.put_opts(&at, PutPayload::from(bytes), options).await };
        match self.engine.begin(work).end_while(go_on).map_err(plain)? {
            Ok(r) => Ok(r.into()),
            Err(e) => Err(self.fault("can't write", key, e)),
        }
    }

    /// Takes an object away. One that is not there is no error.
    ///
    /// # Errors
    /// `Remote`.
    pub fn delete(&self, key: &str) -> Result<()> {
        let (store, at) = (self.client.objects.clone(), self.key(key)?);
        let work = async move { object_store::ObjectStoreExt::delete(&*store, &at).await };
        match self.engine.begin(work).end()? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.fault("can't delete", key, e).error),
        }
    }
}
