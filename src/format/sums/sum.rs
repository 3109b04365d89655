//! Sums, and what makes them.

use crate::content::Content;
use crate::content::copy::{self, Watch};
use crate::error::{Error, Result};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::io;

/// What a file is hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

pub(super) const ALGORITHMS: [(Algorithm, &str, usize); 6] = [
    (Algorithm::Md5, "MD5", 32),
    (Algorithm::Sha1, "SHA1", 40),
    (Algorithm::Sha224, "SHA224", 56),
    (Algorithm::Sha256, "SHA256", 64),
    (Algorithm::Sha384, "SHA384", 96),
    (Algorithm::Sha512, "SHA512", 128),
];

impl Algorithm {
    /// As BSD's lines and SUSE's spell it.
    pub fn name(self) -> &'static str {
        ALGORITHMS[self as usize].1
    }

    /// Hex digits of a sum.
    pub(super) fn digits(self) -> usize {
        ALGORITHMS[self as usize].2
    }

    pub(super) fn by_name(name: &[u8]) -> Option<Algorithm> {
        let alike = |(_, n, _): &&(Algorithm, &str, usize)| name.eq_ignore_ascii_case(n.as_bytes());
        ALGORITHMS.iter().find(alike).map(|(a, ..)| *a)
    }

    pub(super) fn by_digits(n: usize) -> Option<Algorithm> {
        ALGORITHMS.iter().find(|(.., digits)| *digits == n).map(|(a, ..)| *a)
    }

    /// The sum of `content`, in lower-case hex.
    ///
    /// # Errors
    /// `Interrupted`, and those of the source.
    pub fn sum(self, content: &Content, watch: Watch) -> Result<Sum> {
        let hex = match self {
            Algorithm::Md5 => hash::<Md5>(content, watch),
            Algorithm::Sha1 => hash::<Sha1>(content, watch),
            Algorithm::Sha224 => hash::<Sha224>(content, watch),
            Algorithm::Sha256 => hash::<Sha256>(content, watch),
            Algorithm::Sha384 => hash::<Sha384>(content, watch),
            Algorithm::Sha512 => hash::<Sha512>(content, watch),
        }?;
        Ok(Sum { algorithm: self, hex })
    }
}

fn hash<D: Digest>(content: &Content, watch: Watch) -> Result<String> {
    struct Into<D>(D);
    impl<D: Digest> io::Write for Into<D> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hasher = Into(D::new());
    copy::read_over(content, &mut hasher, false, watch)?;
    Ok(hasher.0.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// A sum, and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// What made it.
    pub algorithm: Algorithm,
    /// In lower case.
    pub(super) hex: String,
}

impl Sum {
    /// From hex digits.
    ///
    /// # Errors
    /// `Usage` where they are none, or not as many as the algorithm makes.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Sum> {
        let fits = hex.len() == algorithm.digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        match fits {
            true => Ok(Sum { algorithm, hex: hex.to_ascii_lowercase() }),
            false => Err(Error::usage(format!("\"{hex}\" is no {}", algorithm.name()))),
        }
    }

    /// Hex digits in lower case.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}
