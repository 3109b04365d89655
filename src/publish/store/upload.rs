//! An object in several parts: nothing of it is seen before the end.

use super::{Fault, Head, Store, Version, Waiting};
use crate::error::{Error, Result};
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload};

/// An upload that has begun.
pub struct Upload {
    key: String,
    at: Key,
    kind: Kind,
}

enum Kind {
    /// With an id of the store's, so that it can be ended by another run.
    Cloud { id: String, parts: Vec<Option<PartId>> },
    /// Of a folder or of Azure: parts are counted as they are sent.
    InOrder(Box<dyn MultipartUpload>),
}

/// A part on its way.
pub struct Part {
    index: usize,
    waiting: Waiting<object_store::Result<Option<PartId>>>,
}

impl Upload {
    /// The store's id of it, where it has one.
    pub fn id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Cloud { id, .. } => Some(id),
            Kind::InOrder(_) => None,
        }
    }
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// A [`Fault`] of kind `Remote`.
    pub fn begin(&self, key: &str, head: &Head) -> Result<Upload, Fault> {
        let plain = |error| Fault { error, code: None };
        let at = self.key(key).map_err(plain)?;
        let options =
            PutMultipartOptions { attributes: self.attributes(head), ..Default::default() };
        let to = at.clone();
        let kind = match self.client.parts.clone() {
            Some(parts) => {
                let work = async move { parts.create_multipart_opts(&to, options).await };
                let id = self.engine.begin(work).end().map_err(plain)?;
                id.map(|id| Kind::Cloud { id, parts: Vec::new() })
            }
            None => {
                let store = self.client.objects.clone();
                let work = async move { store.put_multipart_opts(&to, options).await };
                self.engine.begin(work).end().map_err(plain)?.map(Kind::InOrder)
            }
        };
        let kind = kind.map_err(|e| self.fault("can't begin to write", key, e))?;
        Ok(Upload { key: key.to_owned(), at, kind })
    }

    /// Sends part `index`, counted from 0, in order where it is sent for the first time.
    pub fn part(&self, upload: &mut Upload, index: usize, bytes: Bytes) -> Part {
        let waiting = match (&mut upload.kind, self.client.parts.clone()) {
            (Kind::Cloud { id, parts: known }, Some(parts)) => {
                if known.len() <= index {
                    known.resize(index + 1, None);
                }
                let (at, id) = (upload.at.clone(), id.clone());
                let work = async move {
                    parts.put_part(&at, &id, index, PutPayload::from(bytes)).await.map(Some)
                };
                self.engine.begin(work)
            }
            (Kind::InOrder(u), _) => {
                let work = u.put_part(PutPayload::from(bytes));
                self.engine.begin(async move { work.await.map(|()| None) })
            }
            // A cloud upload is begun by a store that has parts.
            (Kind::Cloud { .. }, None) => self.engine.begin(async { Ok(None) }),
        };
        Part { index, waiting }
    }

    /// Waits for a part.
    ///
    /// # Errors
    /// A [`Fault`] of kind `Remote`, `Interrupted`.
    pub fn settle(
        &self,
        upload: &mut Upload,
        part: Part,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        let plain = |error| Fault { error, code: None };
        let got = part.waiting.end_while(go_on).map_err(plain)?;
        let id = got.map_err(|e| {
            self.fault(&format!("can't write part {}", part.index + 1), &upload.key, e)
        })?;
        if let (Kind::Cloud { parts, .. }, Some(slot)) = (&mut upload.kind, id) {
            parts[part.index] = Some(slot);
        }
        Ok(())
    }

    /// Makes the object of its parts.
    ///
    /// # Errors
    /// A [`Fault`] of kind `Remote`.
    pub fn complete(&self, upload: Upload) -> Result<Version, Fault> {
        let plain = |error| Fault { error, code: None };
        let done = match (upload.kind, self.client.parts.clone()) {
            (Kind::Cloud { id, parts }, Some(store)) => {
                let all: Option<Vec<PartId>> = parts.into_iter().collect();
                let all = all.ok_or_else(|| plain(Error::usage("a part is missing")))?;
                let at = upload.at;
                let work = async move { store.complete_multipart(&at, &id, all).await };
                self.engine.begin(work).end().map_err(plain)?
            }
            (Kind::InOrder(mut u), _) => {
                self.engine.begin(async move { u.complete().await }).end().map_err(plain)?
            }
            (Kind::Cloud { .. }, None) => {
                return Err(plain(Error::usage("no upload of this store")));
            }
        };
        done.map(Version::from)
            .map_err(|e| self.fault("can't put the parts together", &upload.key, e))
    }

    /// Takes the parts away.
    ///
    /// # Errors
    /// `Remote`.
    pub fn abort(&self, upload: Upload) -> Result<()> {
        match upload.kind {
            Kind::Cloud { id, .. } => self.abort_id(&upload.key, &id),
            Kind::InOrder(mut u) => self
                .engine
                .begin(async move { u.abort().await })
                .end()?
                .map_err(|e| self.fault("can't take away the parts", &upload.key, e).error),
        }
    }

    /// As [`Store::abort`], for an upload that another run has left. One that is gone is no error.
    ///
    /// # Errors
    /// `Remote`.
    pub fn abort_id(&self, key: &str, id: &str) -> Result<()> {
        let Some(parts) = self.client.parts.clone() else { return Ok(()) };
        let (at, id) = (self.key(key)?, id.to_owned());
        match self.engine.begin(async move { parts.abort_multipart(&at, &id).await }).end()? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.fault("can't take away the parts", key, e).error),
        }
    }
}
