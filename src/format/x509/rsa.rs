//! Checks an RSA signature (RFC 8017, 8.2.2: PKCS #1 v1.5). Only the public side: nothing here is secret,
//! so the arithmetic need not take the same time for each number.

use num_bigint::BigUint;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// 8192 bits, twice what signers use.
const MAX_KEY: usize = 1024;
/// 65537 has three bytes.
const MAX_EXPONENT: usize = 8;

/// What the signed bytes were hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(in crate::format) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha384 => Sha384::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// What stands before the hash in a `DigestInfo` (RFC 8017, 9.2, note 1).
    pub(in crate::format) fn prefix(self) -> [u8; 19] {
        let (sequence, algorithm, len) = match self {
            Hash::Sha256 => (0x31, 1, 0x20),
            Hash::Sha384 => (0x41, 2, 0x30),
            Hash::Sha512 => (0x51, 3, 0x40),
        };
        [
            0x30, sequence, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            algorithm, 0x05, 0x00, 0x04, len,
        ]
    }
}

/// A public key: big-endian numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) struct PublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl PublicKey {
    /// `None` for a key outside the bounds.
    pub(in crate::format) fn new(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
        let bare = |n: &[u8]| {
            let zeros = n.iter().take_while(|b| **b == 0).count();
            n[zeros..].to_vec()
        };
        let (modulus, exponent) = (bare(modulus), bare(exponent));
        let fits =
            (64..=MAX_KEY).contains(&modulus.len()) && (1..=MAX_EXPONENT).contains(&exponent.len());
        fits.then_some(PublicKey { modulus, exponent })
    }

    /// Whether `signature` was made over `message` with this key's other half.
    pub(in crate::format) fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        self.verify_digest(hash, &hash.of(message), signature)
    }

    /// As `verify`, for a message that was hashed already.
    pub(in crate::format) fn verify_digest(
        &self,
        hash: Hash,
        digest: &[u8],
        signature: &[u8],
    ) -> bool {
        let n = BigUint::from_bytes_be(&self.modulus);
        let s = BigUint::from_bytes_be(signature);
        if signature.len() > MAX_KEY || s >= n {
            return false;
        }
        let digest = [&hash.prefix()[..], digest].concat();
        let Some(padding) = self.modulus.len().checked_sub(digest.len() + 3) else { return false };
        let padded = [&[0, 1][..], &vec![0xff; padding], &[0], &digest].concat();
        s.modpow(&BigUint::from_bytes_be(&self.exponent), &n) == BigUint::from_bytes_be(&padded)
    }
}
