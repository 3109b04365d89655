//! Vendors' checksums: lists fetched, their signatures checked, images held against them.

use super::remote;
use super::resolve::{self, Shelf};
use super::term::Bar;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::openpgp::{self, Keys};
use crate::format::sums::{Algorithm, Doc, Sum};
use crate::media::Media;
use crate::plan::vouched::{Signer, Vouched};
use crate::publish::Progress;
use crate::recipe::source::FileOrUrl;
use crate::recipe::trust::Demand;
use std::time::{SystemTime, UNIX_EPOCH};

/// A list has a line for each image of a release.
const MAX_LIST: u64 = 16 << 20;
/// Endings of a signature that lies beside its list.
const BESIDE: [&str; 4] = [".gpg", ".asc", ".sign", ".sig"];
/// Sums that can't be forged, the one that is told first.
const STRONG: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha384];

/// Holds the image against what is demanded of it; `None` where nothing is.
///
/// # Errors
/// `Corrupt` for another image, and for a list that was altered; `Conflict` for a signer that is not trusted;
/// those of the files.
pub fn check(
    media: &Media,
    image: &FileOrUrl,
    demand: &Demand,
    shelf: &Shelf,
) -> Result<Option<Vouched>> {
    demand.check()?;
    let listed = match &demand.checksums {
        Some(list) => Some(listed(list, image, demand)?),
        None => None,
    };
    let given = demand.sha256.map(|d| Sum::new(Algorithm::Sha256, &d.to_string())).transpose()?;
    let (sum, list, signer) = match (listed, given) {
        (Some((l, ..)), Some(g)) if l.algorithm == g.algorithm && l != g => {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the list says that its SHA-256 is {}, you say {}", l.hex(), g.hex()),
            )
            .source_name(&media.name)
            .hint("one of them is of another image"));
        }
        (Some((sum, signer)), _) => (sum, demand.checksums.as_ref(), signer),
        (None, Some(given)) => (given, None, None),
        (None, None) => return Ok(None),
    };
    let compared = demand.whole || media.image.is_at_hand();
    if compared {
        compare(media, &sum, list, shelf)?;
    }
    Ok(Some(Vouched {
        algorithm: sum.algorithm.name().to_owned(),
        digest: sum.hex().to_owned(),
        list: list.map(ToString::to_string),
        signer,
        compared,
    }))
}

/// A wrong download is told before anything is written.
fn compare(media: &Media, want: &Sum, list: Option<&FileOrUrl>, shelf: &Shelf) -> Result<()> {
    if shelf.has_sum(&media.name, want) {
        return Ok(());
    }
    let bar = Bar::new(media.image.len());
    let root = "checksum".parse()?;
    let got = want.algorithm.sum(&media.image, &|n| bar.advance(&root, n))?;
    if got != *want {
        let name = match want.algorithm {
            Algorithm::Sha256 => "SHA-256",
            other => other.name(),
        };
        let by = list.map_or_else(|| "as demanded".to_owned(), |l| format!("as {l} says"));
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{name} is {}, not {} {by}", got.hex(), want.hex()),
        )
        .source_name(&media.name)
        .hint("download it again, or correct what it is compared with"));
    }
    shelf.summed(&media.name, got);
    Ok(())
}

/// What the list says of the image, and who signed it.
fn listed(list: &FileOrUrl, image: &FileOrUrl, demand: &Demand) -> Result<(Sum, Option<Signer>)> {
    let of_list = |e: Error| e.source_name(list);
    let mut bytes = read(list)?;
    let mut signer = None;
    let clear = openpgp::is_clear_signed(&bytes);
    if !demand.keys.is_empty() {
        let (keys, now) = (keys(demand)?, now());
        let by = match (&demand.signature, clear) {
            (None, true) => {
                let (text, by) = keys.verify_clear(&bytes, now).map_err(of_list)?;
                bytes = text.into_bytes();
                by
            }
            (Some(s), _) => keys.verify(&bytes, &read(s)?, now).map_err(of_list)?,
            (None, false) => {
                let signature = beside(list)?;
                keys.verify(&bytes, &signature, now).map_err(of_list)?
            }
        };
        signer = Some(Signer { fingerprint: by.fingerprint, user: by.user, subkey: by.subkey });
    }
    Ok((entry(&bytes, &image.name()).map_err(of_list)?, signer))
}

fn entry(list: &[u8], name: &str) -> Result<Sum> {
    let doc = Doc::parse(&TreePath::new("list")?, list)?;
    let entries: Vec<_> = doc.entries().collect();
    let ours = |a: Algorithm| {
        let alike = |e: &&crate::format::sums::Entry| {
            e.path.name() == name.as_bytes() && e.sum.algorithm == a
        };
        entries.iter().filter(alike).map(|e| e.sum.clone()).collect::<Vec<_>>()
    };
    for a in STRONG {
        match &ours(a)[..] {
            [] => {}
            [one, more @ ..] if more.iter().all(|m| m == one) => return Ok(one.clone()),
            _ => {
                let what = format!("\"{name}\" stands there with two different sums");
                return Err(Error::new(ErrorKind::Ambiguous, what)
                    .hint("say which it is with --sha256, or get the list again"));
            }
        }
    }
    let weak = entries.iter().any(|e| e.path.name() == name.as_bytes());
    let what = match weak {
        true => format!("\"{name}\" has only sums there that can be forged (MD5, SHA-1)"),
        false => format!("\"{name}\" is not in the list"),
    };
    let known: Vec<String> = entries.iter().take(4).map(|e| e.path.to_string()).collect();
    Err(Error::new(ErrorKind::NotFound, what).hint(match known.is_empty() {
        true => "there is no checksum in it at all: is it the list?".to_owned(),
        false => format!("it has {} …; a list goes by the vendor's own names", known.join(", ")),
    }))
}

fn keys(demand: &Demand) -> Result<Keys> {
    let mut all: Option<Keys> = None;
    for file in &demand.keys {
        let bytes = resolve::read_file(file, MAX_LIST)?;
        let keys = Keys::parse(&bytes).map_err(|e| e.source_name(file.display()))?;
        match &mut all {
            Some(all) => all.extend(keys),
            None => all = Some(keys),
        }
    }
    all.ok_or_else(|| Error::usage("no key"))
}

fn read(from: &FileOrUrl) -> Result<Vec<u8>> {
    match from {
        FileOrUrl::File(path) => resolve::read_file(path, MAX_LIST),
        FileOrUrl::Url(address) => remote::fetch(address),
    }
}

/// The signature that lies beside a list.
fn beside(list: &FileOrUrl) -> Result<Vec<u8>> {
    for ending in BESIDE {
        match read(&list.beside(&format!("{}{ending}", list.name()))?) {
            Ok(bytes) => return Ok(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let what = format!("is not signed, and no signature lies beside it ({})", BESIDE.join(", "));
    Err(Error::new(ErrorKind::NotFound, what)
        .source_name(list)
        .hint("--signature, or signature in [source], names it"))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
