//! The frame of our own files: a magic line, the header's length as a decimal line, a header in JSON,
//! literal bytes, and the SHA-256 of all that as 32 bytes.

use crate::content::Content;
use crate::content::copy::{self, Watch};
use crate::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A header is a few KiB; a hostile one must not cost memory.
const MAX_HEADER: u64 = 16 << 20;
/// Length of the SHA-256 at the end.
const SEAL: u64 = 32;

/// Frames `header` and `literals`.
pub(super) fn write(
    magic: &str,
    header: &impl Serialize,
    literals: &Content,
    watch: Watch,
) -> Result<Content> {
    let header = serde_json::to_vec(header)
        .map_err(|e| Error::new(ErrorKind::Unsupported, "can't write the header").because(e))?;
    let head = [magic.as_bytes(), format!("{}\n", header.len()).as_bytes(), &header].concat();
    let body = Content::concat([head.into(), literals.clone()]);
    let seal = copy::digest(&body, watch)?;
    Ok(Content::concat([body, seal.0.to_vec().into()]))
}

/// What [`write`] framed.
///
/// # Errors
/// `Unsupported` where it is another file, `Corrupt` where it is damaged.
pub(super) fn read<H: DeserializeOwned>(
    magic: &str,
    file: &Content,
    watch: Watch,
) -> Result<(H, Content)> {
    let from = magic.len() as u64;
    let found = file.slice(0..file.len().min(from))?.read_all(from)?;
    if found != magic.as_bytes() {
        return Err(Error::unsupported(format!("no {} in it", magic.trim_end())).at(0));
    }
    let cut = || Error::corrupt("the file is cut short", file.len());
    let line = file.slice(from..file.len().min(from + 12))?.read_all(12)?;
    let end = line.iter().position(|&b| b == b'\n').ok_or_else(cut)?;
    let len = std::str::from_utf8(&line[..end]).ok().and_then(|t| t.parse::<u64>().ok());
    let len = len.filter(|l| *l <= MAX_HEADER);
    let len = len.ok_or_else(|| Error::corrupt("no length of a header", from))?;
    let start = from + end as u64 + 1;
    let body = file.len().checked_sub(SEAL).filter(|b| *b >= start + len).ok_or_else(cut)?;
    let seal = file.slice(body..file.len())?.read_all(SEAL)?;
    if copy::digest(&file.slice(0..body)?, watch)?.0[..] != seal[..] {
        return Err(Error::corrupt("the file is damaged: its digest is another", body));
    }
    let header = serde_json::from_slice(&file.slice(start..start + len)?.read_all(MAX_HEADER)?)
        .map_err(|e| Error::corrupt("the header can't be read", start).because(e))?;
    Ok((header, file.slice(start + len..body)?))
}
