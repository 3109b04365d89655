//! `s3://bucket/prefix` and its kin, parsed once.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;

/// Whose protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A folder of this machine.
    File,
}

/// Where objects go: a bucket, and what their keys begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The protocol.
    pub scheme: Scheme,
    /// Bucket or container; empty for a folder.
    pub bucket: String,
    /// In front of each key, with neither a leading nor a trailing `/`; for a folder, its absolute path
    /// without the first `/`.
    pub prefix: String,
}

const SCHEMES: &[(&str, Scheme)] = &[
    ("s3://", Scheme::S3),
    ("s3a://", Scheme::S3),
    ("gs://", Scheme::Gcs),
    ("az://", Scheme::Azure),
    ("file://", Scheme::File),
];

impl Target {
    /// True where `text` begins as one of ours.
    pub fn looks_like_one(text: &str) -> bool {
        SCHEMES.iter().any(|(s, _)| text.starts_with(s))
    }

    /// Reads `s3://bucket/prefix`, `gs://…`, `az://container/prefix` or `file:///folder`. The prefix is
    /// taken as it stands, not percent-decoded, as the stores' own tools do.
    ///
    /// # Errors
    /// `Usage`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::usage(why).source_name(text).hint(
                "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER",
            )
        };
        let Some((scheme, rest)) =
            SCHEMES.iter().find_map(|(s, k)| Some((*k, text.strip_prefix(s)?)))
        else {
            return Err(bad("is no address of an object store"));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        match (scheme, bucket.is_empty()) {
            (Scheme::File, false) => return Err(bad("names a host; a folder has three slashes")),
            (Scheme::File, true) | (_, false) => {}
            (_, true) => return Err(bad("names no bucket")),
        }
        if bucket.contains(|c: char| c.is_control() || "@?#%\\".contains(c)) {
            return Err(bad("has no bucket's name"));
        }
        let prefix = prefix.trim_matches('/');
        let wrong = |p: &str| matches!(p, "" | "." | "..") || p.contains(char::is_control);
        if !prefix.is_empty() && prefix.split('/').any(wrong) {
            return Err(bad("has an empty part, a . or a .. in its prefix"));
        }
        if scheme == Scheme::File && prefix.is_empty() {
            return Err(bad("names no folder"));
        }
        Ok(Target { scheme, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::File).then(|| PathBuf::from(format!("/{}", self.prefix)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::S3 => "s3://",
            Scheme::Gcs => "gs://",
            Scheme::Azure => "az://",
            Scheme::File => "file://",
        };
        write!(f, "{scheme}{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_spelled_alike() {
        for (text, bucket, prefix) in [
            ("s3://boot/el9", "boot", "el9"),
            ("s3://boot", "boot", ""),
            ("gs://b/a/c d+é", "b", "a/c d+é"),
            ("az://c/x", "c", "x"),
            ("file:///srv/http/x", "", "srv/http/x"),
        ] {
            let t = Target::parse(text).expect(text);
            assert_eq!((t.bucket.as_str(), t.prefix.as_str()), (bucket, prefix));
            assert_eq!(t.to_string(), text);
        }
        assert_eq!(Target::parse("s3://b/x/").expect("slash").prefix, "x");
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "s3://",
            "s3:///x",
            "s3://b/a//c",
            "s3://b/../c",
            "http://b/c",
            "file://host/x",
            "file:///",
            "s3://key:secret@b/x",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
