//! An image in a bucket, as something that is read by ranges.

use super::{Access, Fault, Store, Target};
use crate::content::remote::{Failure, Opened, Pin, Ranges, changed};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use object_store::{GetOptions, GetRange};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

/// Fetched with the first request: the descriptors, and mostly the path tables and the root.
const FIRST: u64 = 64 << 10;
/// Of a long range, held at a time.
const CHUNK: u64 = 4 << 20;

/// An object that is an image.
pub struct Image {
    store: Arc<Store>,
    key: String,
    name: String,
}

impl Image {
    /// The object `key` of an S3 bucket; nothing is asked yet. `name` is what to call it.
    ///
    /// # Errors
    /// `Usage` where it names no object; those of [`Store::open`].
    pub fn open(bucket: &str, key: &str, name: &str, access: &Access) -> Result<Self> {
        if key.is_empty() {
            return Err(Error::usage("names a bucket and no image in it")
                .source_name(name)
                .hint("s3://BUCKET/KEY"));
        }
        let target =
            Target { scheme: super::Scheme::S3, bucket: bucket.to_owned(), prefix: String::new() };
        let store = Arc::new(Store::open(target, access)?);
        Ok(Image { store, key: key.to_owned(), name: name.to_owned() })
    }
}

/// What the store said no with does not get better; what was lost on the way may.
fn failure(f: Fault) -> Failure {
    match (f.error.kind(), &f.code) {
        (ErrorKind::Conflict, _) => Failure::Final(changed("the store has another version")),
        (ErrorKind::Remote, None) => Failure::from_again(f.error),
        _ => Failure::Final(f.error),
    }
}

impl Ranges for Image {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Opened, Failure> {
        let options =
            GetOptions { range: Some(GetRange::Bounded(0..FIRST)), ..GetOptions::default() };
        let got = self.store.get_opts(&self.key, options, FIRST).map_err(failure)?;
        let (first, version, len) = got.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such object")
                .hint("check bucket and key, and whether the key may list the bucket")
        })?;
        let pin = Pin { len, etag: version.raw, modified: None };
        Ok(Opened::Parts { pin, first: first.to_vec() })
    }

    fn get(&self, range: Range<u64>, pin: &Pin) -> Result<Box<dyn Read + Send>, Failure> {
        let mut body = Chunks {
            store: self.store.clone(),
            key: self.key.clone(),
            etag: pin.etag.clone(),
            left: range,
            chunk: Bytes::new(),
        };
        body.fill().map_err(failure)?;
        Ok(Box::new(body))
    }
}

/// A range, a chunk at a time.
struct Chunks {
    store: Arc<Store>,
    key: String,
    etag: Option<String>,
    left: Range<u64>,
    chunk: Bytes,
}

impl Chunks {
    fn fill(&mut self) -> Result<(), Fault> {
        let end = self.left.end.min(self.left.start.saturating_add(CHUNK));
        let range = self.left.start..end;
        self.chunk = self.store.get_range(&self.key, range, self.etag.as_deref())?;
        self.left.start = end;
        Ok(())
    }
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !self.left.is_empty() {
            self.fill().map_err(|f| io::Error::other(f.error))?;
        }
        let n = buf.len().min(self.chunk.len());
        buf[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}
