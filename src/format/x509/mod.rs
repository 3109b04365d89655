//! X.509 certificates (RFC 5280), as far as a chain of signatures needs them: names, key, signature.
//! Whether one has expired is not asked, for firmware and shim don't ask either, and iPXE asks by itself.

mod rsa;

pub(in crate::format) use rsa::Hash;

use crate::content::copy::Digest;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use rsa::PublicKey;
use sha2::{Digest as _, Sha256};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// `rsaEncryption`.
pub(in crate::format) const RSA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// Of one SEQUENCE or SET.
const MAX_PARTS: usize = 256;

/// Microsoft's authorities for programs of others, of which machines have one or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum UefiCa {
    /// Microsoft Corporation UEFI CA 2011.
    #[serde(rename = "2011")]
    Of2011,
    /// Microsoft UEFI CA 2023.
    #[serde(rename = "2023")]
    Of2023,
}

/// Their SHA-256, and which they are.
const UEFI_CAS: [([u8; 32], UefiCa); 2] = [
    (
        [
            0x48, 0xe9, 0x9b, 0x99, 0x1f, 0x57, 0xfc, 0x52, 0xf7, 0x61, 0x49, 0x59, 0x9b, 0xff,
            0x0a, 0x58, 0xc4, 0x71, 0x54, 0x22, 0x9b, 0x9f, 0x8d, 0x60, 0x3a, 0xc4, 0x0d, 0x35,
            0x00, 0x24, 0x85, 0x07,
        ],
        UefiCa::Of2011,
    ),
    (
        [
            0xf6, 0x12, 0x4e, 0x34, 0x12, 0x5b, 0xee, 0x3f, 0xe6, 0xd7, 0x9a, 0x57, 0x4e, 0xaa,
            0x7b, 0x91, 0xc0, 0xe7, 0xbd, 0x9d, 0x92, 0x9c, 0x1a, 0x32, 0x11, 0x78, 0xef, 0xd6,
            0x11, 0xda, 0xd9, 0x01,
        ],
        UefiCa::Of2023,
    ),
];

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: the common name, else the organization.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// As it came.
    pub(in crate::format) der: Vec<u8>,
    subject_der: Vec<u8>,
    pub(in crate::format) issuer_der: Vec<u8>,
    /// The contents of the INTEGER.
    pub(in crate::format) serial: Vec<u8>,
    /// `None` for one that is not RSA.
    key: Option<PublicKey>,
    /// What the issuer signed.
    signed: Vec<u8>,
    /// `None` for a hash that is not known.
    hash: Option<Hash>,
    signature: Vec<u8>,
}

impl Certificate {
    /// Takes DER; what stands behind it is left alone. `None` where it is no certificate.
    pub fn parse(bytes: &[u8]) -> Option<Certificate> {
        let whole = first(bytes)?;
        let [signed, algorithm, signature] = parts(whole.value())?[..] else { return None };
        let fields = parts(signed.value())?;
        // The version may be left out.
        let fields = &fields[usize::from(is_context(&fields, 0))..];
        let [serial, _, issuer, _, subject, key, ..] = fields else { return None };
        Some(Certificate {
            subject: name(subject)?,
            issuer: name(issuer)?,
            der: whole.to_der().ok()?,
            subject_der: subject.to_der().ok()?,
            issuer_der: issuer.to_der().ok()?,
            serial: serial.value().to_vec(),
            key: public_key(key),
            signed: signed.to_der().ok()?,
            hash: hash(&algorithm),
            signature: bits(&signature)?.to_vec(),
        })
    }

    /// True for the certificate that `issuer` (a DER name) gave that number.
    pub(in crate::format) fn is(&self, issuer: &[u8], serial: &[u8]) -> bool {
        self.issuer_der == issuer && self.serial == serial
    }

    /// Whether this one's holder signed `message`; `None` where that can't be checked here.
    pub(in crate::format) fn verify(
        &self,
        hash: Option<Hash>,
        message: &[u8],
        s: &[u8],
    ) -> Option<bool> {
        Some(self.key.as_ref()?.verify(hash?, message, s))
    }

    /// Whether `by` vouches for this one, or is it; `None` where the names agree and the signature
    /// can't be checked here (not RSA, or with SHA-1).
    pub fn issued_by(&self, by: &Certificate) -> Option<bool> {
        if self.der == by.der {
            return Some(true);
        }
        if self.issuer_der != by.subject_der {
            return Some(false);
        }
        by.verify(self.hash, &self.signed, &self.signature)
    }

    /// Whether this one's holder signed what has that digest; `None` where that can't be checked here.
    pub(in crate::format) fn verify_digest(
        &self,
        hash: Hash,
        digest: &[u8],
        s: &[u8],
    ) -> Option<bool> {
        Some(self.key.as_ref()?.verify_digest(hash, digest, s))
    }

    /// True where its key is this RSA key: big-endian numbers.
    pub(in crate::format) fn has_key(&self, modulus: &[u8], exponent: &[u8]) -> bool {
        self.key.is_some() && self.key == PublicKey::new(modulus, exponent)
    }

    /// SHA-256 of its bytes, as openssl's -fingerprint tells it but without colons.
    pub fn fingerprint(&self) -> Digest {
        Digest(Sha256::digest(&self.der).into())
    }

    /// True where it may vouch for others (RFC 5280, 4.2.1.9).
    pub(in crate::format) fn is_authority(&self) -> bool {
        let holds =
            |v: AnyRef<'_>| Some(parts(first(v.value())?.value())?.first()?.tag() == Tag::Boolean);
        self.extension(BASIC_CONSTRAINTS, holds) == Some(true)
    }

    /// True where it may sign code, which iPXE demands of whoever signs what it starts: `digitalSignature`
    /// among the uses of its key (RFC 5280, 4.2.1.3), and `codeSigning` among the extended ones (4.2.1.12).
    pub fn may_sign_code(&self) -> bool {
        // The first bit, in a BIT STRING's contents behind the number of bits that are not used.
        let signs = |v: AnyRef<'_>| Some(first(v.value())?.value().get(1)? & 0x80 != 0);
        let code = |v: AnyRef<'_>| {
            let uses = parts(first(v.value())?.value())?;
            Some(uses.iter().any(|u| u.decode_as::<ObjectIdentifier>() == Ok(CODE_SIGNING)))
        };
        self.extension(KEY_USAGE, signs) == Some(true)
            && self.extension(EXTENDED_KEY_USAGE, code) == Some(true)
    }

    /// What `read` makes of an extension's OCTET STRING; `None` too where there is no such extension.
    fn extension<T>(
        &self,
        kind: ObjectIdentifier,
        read: impl Fn(AnyRef<'_>) -> Option<T>,
    ) -> Option<T> {
        let fields = parts(first(&self.signed)?.value())?;
        let wrapped = fields.iter().find(|f| is_context(std::slice::from_ref(f), 3))?;
        for extension in parts(first(wrapped.value())?.value())? {
            let fields = parts(extension.value())?;
            if fields.first()?.decode_as::<ObjectIdentifier>() == Ok(kind) {
                return read(*fields.last()?);
            }
        }
        None
    }

    /// Which of Microsoft's authorities this is, by its bytes.
    pub fn uefi_ca(&self) -> Option<UefiCa> {
        let sum: [u8; 32] = Sha256::digest(&self.der).into();
        UEFI_CAS.iter().find(|(known, _)| *known == sum).map(|(_, ca)| *ca)
    }
}

/// The first value in `bytes`.
pub(in crate::format) fn first(bytes: &[u8]) -> Option<AnyRef<'_>> {
    AnyRef::decode(&mut SliceReader::new(bytes).ok()?).ok()
}

/// The values in a SEQUENCE's or SET's contents.
pub(in crate::format) fn parts(contents: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut found = Vec::new();
    if contents.is_empty() {
        return Some(found);
    }
    let mut reader = SliceReader::new(contents).ok()?;
    while !reader.is_finished() && found.len() < MAX_PARTS {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

/// True where the first of `values` has the context-specific tag `number`.
pub(in crate::format) fn is_context(values: &[AnyRef<'_>], number: u8) -> bool {
    values.first().is_some_and(|v| match v.tag() {
        Tag::ContextSpecific { number: n, .. } => n == TagNumber(u32::from(number)),
        _ => false,
    })
}

/// The object identifier that an `AlgorithmIdentifier` begins with.
pub(in crate::format) fn algorithm(identifier: &AnyRef<'_>) -> Option<ObjectIdentifier> {
    parts(identifier.value())?.first()?.decode_as().ok()
}

/// The hash that a hash or RSA algorithm names.
pub(in crate::format) fn hash(identifier: &AnyRef<'_>) -> Option<Hash> {
    Some(match algorithm(identifier)?.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" | "1.2.840.113549.1.1.11" => Hash::Sha256,
        "2.16.840.1.101.3.4.2.2" | "1.2.840.113549.1.1.12" => Hash::Sha384,
        "2.16.840.1.101.3.4.2.3" | "1.2.840.113549.1.1.13" => Hash::Sha512,
        _ => return None,
    })
}

fn bits<'a>(value: &AnyRef<'a>) -> Option<&'a [u8]> {
    value.decode_as::<BitStringRef<'a>>().ok()?.as_bytes()
}

fn public_key(info: &AnyRef<'_>) -> Option<PublicKey> {
    let [identifier, key] = parts(info.value())?[..] else { return None };
    if algorithm(&identifier)? != RSA {
        return None;
    }
    let [modulus, exponent] = parts(first(bits(&key)?)?.value())?[..] else { return None };
    PublicKey::new(modulus.value(), exponent.value())
}

/// The common name of a `Name`, else its organization, else nothing.
fn name(name: &AnyRef<'_>) -> Option<String> {
    let mut best = (0, String::new());
    for set in parts(name.value())? {
        for pair in parts(set.value())? {
            let [kind, value] = parts(pair.value())?[..] else { return None };
            let rank = match kind.decode_as::<ObjectIdentifier>().ok()? {
                COMMON_NAME => 2,
                ORGANIZATION => 1,
                _ => 0,
            };
            if rank > best.0 {
                best = (rank, string(&value));
            }
        }
    }
    Some(best.1)
}

/// A string of any of ASN.1's kinds, without control characters.
fn string(value: &AnyRef<'_>) -> String {
    let text: String = match value.tag() {
        Tag::BmpString => {
            let units = value.value().chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(value.value()).into_owned(),
    };
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
