//! Where a job's result goes to: a tree's folder, or a bootable image.

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where to: a tree, or an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The tree's own folder: `boot.ipxe` lies right in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// The whole medium below `repo/`, also where less would do.
    #[serde(default)]
    pub full_tree: bool,
    /// Kernel, initrd and boot files only: the rest is hosted elsewhere.
    #[serde(default)]
    pub boot_only: bool,
    /// A bootable image in place of a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOutput>,
}

/// The vendor's image with console, answers and bond in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageOutput {
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Only what differs from the vendor's image, for `isowright image apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_only: Option<PathBuf>,
    /// The patch names the SHA-256 of both images, which are read whole for it.
    #[serde(default)]
    pub digests: bool,
    /// The MD5 of isomd5sum.
    #[serde(default)]
    pub implant_md5: Implant,
    /// Files for the medium: path there = file here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, PathBuf>,
}

/// When an MD5 is implanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Implant {
    /// Where the vendor had one.
    #[default]
    Auto,
    /// Always.
    Yes,
    /// Never; the vendor's is taken out, and the check with it.
    No,
}

impl Output {
    /// Every path that is relative to the job's file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let image = self.image.iter_mut().flat_map(|i| {
            i.path.iter_mut().chain(i.patch_only.iter_mut()).chain(i.add.values_mut())
        });
        self.dir.iter_mut().chain(image)
    }

    /// What is written.
    pub fn written(&self) -> impl Iterator<Item = &Path> {
        let image = self.image.iter().flat_map(|i| i.path.iter().chain(&i.patch_only));
        self.dir.iter().chain(image).map(PathBuf::as_path)
    }

    /// # Errors
    /// `Usage` for one that is neither a tree nor an image, or is both.
    pub(super) fn check(&self) -> Result<()> {
        let Some(image) = &self.image else {
            return match (&self.dir, self.full_tree && self.boot_only) {
                (None, _) => Err(Error::usage("an output names no place")
                    .hint("dir = \"…\" for a tree, [output.image] with path = \"…\" for an image")),
                (_, true) => Err(Error::usage("full_tree and boot_only exclude each other")),
                _ => Ok(()),
            };
        };
        if self.dir.is_some() || self.full_tree || self.boot_only {
            return Err(Error::usage("an output is a tree or an image, not both")
                .hint("write an [[output]] for each"));
        }
        if self.written().any(|p| p == Path::new("-")) {
            return Err(Error::usage("a recipe file writes files: \"-\" is none")
                .hint("isowright image … -o - writes to standard output"));
        }
        match (&image.path, &image.patch_only) {
            (None, None) => Err(Error::usage("[output.image] names no file")
                .hint("path = \"new.iso\", or patch_only = \"small.patch\"")),
            (_, None) if image.digests => {
                Err(Error::usage("digests are a patch's; there is no patch_only"))
            }
            _ => image.add.keys().try_for_each(|to| match TreePath::new(to)?.is_root() {
                true => Err(Error::usage("add: a file can't be the medium's root")),
                false => Ok(()),
            }),
        }
    }
}

/// `[[output]]` is several, `[output]` or `[output.image]` alone is one.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Output>, D::Error> {
    struct Outputs;
    impl<'de> Visitor<'de> for Outputs {
        type Value = Vec<Output>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("[[output]] tables, or one [output]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Ok(vec![Output::deserialize(MapAccessDeserializer::new(map))?])
        }
    }
    d.deserialize_any(Outputs)
}
