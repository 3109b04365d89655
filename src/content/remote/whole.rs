//! An image from a server that can't send parts of it.

use super::body::Pace;
use super::{Failure, Patience, Pin, Tally};
use crate::error::{Error, ErrorKind};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Bytes up to which it is fetched whole.
const WHOLE: u64 = 256 << 20;

/// All of a small image, in a file that has no name.
pub(super) fn fetch_whole(
    pin: &Pin,
    body: Box<dyn Read + Send>,
    tally: &Tally,
    patience: &Patience,
) -> Result<File, Failure> {
    if pin.len > WHOLE {
        return Err(too_big().into());
    }
    let failed = |e| Error::io("can't write to the temporary folder", e);
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut body = body.take(WHOLE + 1);
    let mut buf = vec![0; 64 << 10];
    let (mut all, mut pace) = (0, Pace::default());
    loop {
        patience.go_on()?;
        let since = Instant::now();
        let n = match body.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::again("the connection broke", e)),
        };
        pace.add(since.elapsed(), n, patience)?;
        file.write_all(&buf[..n]).map_err(failed)?;
        tally.bytes.fetch_add(n as u64, Ordering::Relaxed);
        all += n as u64;
    }
    if all > WHOLE {
        return Err(too_big().into());
    }
    if pin.len != 0 && all != pin.len {
        let what = format!("{all} bytes came of {}", pin.len);
        return Err(Failure::from_again(Error::new(ErrorKind::Remote, what)));
    }
    Ok(file)
}

fn too_big() -> Error {
    Error::unsupported("the server can't send parts of a file (it does not answer to Range)")
        .hint("download the image first, and give the file")
}
