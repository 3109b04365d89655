//! The way back: what a changed image needs to be the vendor's again. It lies in the changed image
//! itself, so it can't be lost, and a second change starts from the vendor's image and not from the first
//! change.

use super::{Op, add_up, diff, frame, made};
use crate::content::Content;
use crate::content::copy::Watch;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

const MAGIC: &str = "isowright undo 1\n";
/// The record's length depends on the image's and the other way round; they meet at once or never.
const TRIES: usize = 4;
/// What is replaced in place is directories, menus and parts of small images.
const MAX_RECORD: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Bytes of the image that it lies in.
    image: u64,
    /// Bytes of the vendor's.
    vendor: u64,
    ops: Vec<Op>,
}

/// The way back from an image that was changed.
#[derive(Debug, Clone)]
pub struct Undo {
    header: Header,
    literals: Content,
}

impl Undo {
    /// The changed image with the way back to `vendor` in it: `change` makes the image around a record.
    ///
    /// # Errors
    /// What `change` says, and those of reading what it replaced.
    pub fn recorded<T>(
        vendor: &Content,
        change: impl Fn(&Content) -> Result<(Content, T)>,
    ) -> Result<(Content, T)> {
        let (mut record, mut last) = (Content::empty(), None);
        for _ in 0..TRIES {
            let (image, more) = change(&record)?;
            let (ops, literals) = diff(&image, vendor)?;
            let header = Header { image: image.len(), vendor: vendor.len(), ops };
            if last.as_ref() == Some(&header) {
                return Ok((image, more));
            }
            // As bytes of its own: as extents of the vendor's it would be found in the image next time.
            let framed = frame::write(MAGIC, &header, &literals, &|_| true)?;
            record = framed.read_all(MAX_RECORD)?.into();
            last = Some(header);
        }
        Err(Error::new(ErrorKind::Unsupported, "the record of the way back does not settle"))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// `Unsupported` where it is none, `Corrupt` where it is damaged or its steps don't add up.
    pub fn read(file: &Content, watch: Watch) -> Result<Undo> {
        let (header, literals) = frame::read::<Header>(MAGIC, file, watch)?;
        add_up(&header.ops, header.image, header.vendor, literals.len())?;
        Ok(Undo { header, literals })
    }

    /// The vendor's image again.
    ///
    /// # Errors
    /// `Conflict` where `image` was changed after the record was made.
    pub fn apply(&self, image: &Content) -> Result<Content> {
        if image.len() != self.header.image {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the image has {} bytes, and had {} when its way back was recorded",
                    image.len(),
                    self.header.image
                ),
            ));
        }
        made(&self.header.ops, image, &self.literals)
    }
}
