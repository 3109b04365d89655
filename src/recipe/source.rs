//! Where an image or a list of checksums lies: a file of this machine, or an address.

use crate::content::remote::Address;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOrUrl {
    /// A file's path.
    File(PathBuf),
    /// `http://`, `https://`, `s3://`.
    Url(Address),
}

impl FileOrUrl {
    /// The path, where it is a file.
    pub fn file(&self) -> Option<&Path> {
        match self {
            FileOrUrl::File(p) => Some(p),
            FileOrUrl::Url(_) => None,
        }
    }

    /// Makes a relative path one from `folder`.
    pub fn relative_to(&mut self, folder: &Path) {
        if let FileOrUrl::File(p) = self {
            *p = folder.join(&*p);
        }
    }

    /// That name beside it: with `name` in place of its last part.
    pub fn beside(&self, name: &str) -> Result<FileOrUrl> {
        match self {
            FileOrUrl::File(p) => Ok(FileOrUrl::File(p.with_file_name(name))),
            FileOrUrl::Url(a) => Ok(FileOrUrl::Url(a.follow(name)?)),
        }
    }

    /// The last part of its name.
    pub fn name(&self) -> String {
        match self {
            FileOrUrl::File(p) => p.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            FileOrUrl::Url(a) => a.key().rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for FileOrUrl {
    /// Without user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileOrUrl::File(p) => p.display().fmt(f),
            FileOrUrl::Url(a) => a.fmt(f),
        }
    }
}

impl From<PathBuf> for FileOrUrl {
    fn from(path: PathBuf) -> Self {
        FileOrUrl::File(path)
    }
}

impl TryFrom<OsString> for FileOrUrl {
    type Error = Error;

    /// # Errors
    /// `Usage` for an address that can't be one.
    fn try_from(text: OsString) -> Result<Self> {
        match text.to_str().filter(|t| Address::is_one(t)) {
            Some(url) => Address::parse(url).map(FileOrUrl::Url),
            None => Ok(FileOrUrl::File(text.into())),
        }
    }
}

impl std::str::FromStr for FileOrUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        OsString::from(text).try_into()
    }
}

impl Serialize for FileOrUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileOrUrl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FileOrUrl {
    fn schema_name() -> Cow<'static, str> {
        "FileOrUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A path, or an address: http://, https://, s3://."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_path() {
        let read = |t: &str| t.parse::<FileOrUrl>();
        assert_eq!(read("a/b.iso").expect("path"), FileOrUrl::File("a/b.iso".into()));
        let url = read("https://u:p@h/d/b%20c.iso?s").expect("url");
        assert_eq!((url.name().as_str(), url.file()), ("b c.iso", None));
        assert_eq!(url.to_string(), "https://h/d/b%20c.iso?…");
        assert_eq!(url.beside("SUMS").expect("beside").to_string(), "https://h/d/SUMS");
        let file = read("d/a.iso").expect("path").beside("SUMS").expect("beside");
        assert_eq!(file, FileOrUrl::File("d/SUMS".into()));
        assert!(read("http://").is_err());
    }
}
