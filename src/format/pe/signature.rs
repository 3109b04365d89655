//! One signature: PKCS #7 `SignedData` (RFC 2315) around Microsoft's `SpcIndirectDataContent`.

use crate::format::x509::{Certificate, Hash, UefiCa, algorithm, first, hash, is_context, parts};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Encode, Tag, Tagged};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// Signer, authority, root: three are usual.
const MAX_CERTIFICATES: usize = 32;

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The image is the one that the signer signed.
    Intact,
    /// The image is another one.
    Altered,
    /// The signature is not by the key of the certificate that it names.
    Forged,
    /// Made with a hash or key that is not checked here: SHA-1, or other than RSA.
    Unchecked,
}

/// A signature of a PE image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose key made it.
    pub signer: Certificate,
    /// The other certificates that came along, in order.
    pub others: Vec<Certificate>,
    /// What it is worth.
    pub state: State,
    image_digest: Vec<u8>,
}

impl Signature {
    /// Takes DER, as [`Pe::signatures`](super::Pe::signatures) finds it; padding behind it is left
    /// alone. `Intact` says here only that the signature itself holds.
    pub(super) fn parse(bytes: &[u8]) -> Option<Signature> {
        let [kind, content] = parts(first(bytes)?.value())?[..] else { return None };
        if kind.decode_as::<ObjectIdentifier>().ok()? != SIGNED_DATA {
            return None;
        }
        let signed_data = parts(first(content.value())?.value())?;
        let [_, _, encapsulated, rest @ ..] = &signed_data[..] else { return None };
        let indirect = indirect_data(encapsulated)?;
        let (image_hash, image_digest) = image_digest(&indirect)?;
        let certificates = match is_context(rest, 0) {
            true => parts(rest[0].value())?,
            false => Vec::new(),
        };
        let is_certificate = |c: &&AnyRef<'_>| c.tag() == Tag::Sequence;
        let mut certificates: Vec<Certificate> = certificates
            .iter()
            .filter(is_certificate)
            .take(MAX_CERTIFICATES)
            .map(|c| Certificate::parse(&c.to_der().ok()?))
            .collect::<Option<_>>()?;
        // Authenticode wants exactly one.
        let signer = parts(signed_data.last()?.value())?.first().copied()?;
        let signer = SignerInfo::parse(&signer)?;
        let at = certificates.iter().position(|c| c.is(&signer.issuer, signer.serial))?;
        let own = certificates.remove(at);
        let state = match image_hash {
            Some(Hash::Sha256) => signer.holds(&own, indirect.value()),
            _ => State::Unchecked,
        };
        Some(Signature { signer: own, others: certificates, state, image_digest })
    }

    /// What the image's digest was when it was signed.
    pub fn image_digest(&self) -> &[u8] {
        &self.image_digest
    }

    /// Whether the certificates lead from the signer to `authority`; `None` where they may, but it can't be
    /// checked here.
    pub fn leads_to(&self, authority: &Certificate) -> Option<bool> {
        let mut at = &self.signer;
        let mut all_checked = true;
        for _ in 0..=self.others.len() {
            match at.issued_by(authority) {
                Some(true) => return all_checked.then_some(true),
                None => return None,
                Some(false) => {}
            }
            let next = self.others.iter().find(|c| at.issued_by(c) != Some(false) && *c != at);
            let Some(next) = next else { break };
            all_checked &= at.issued_by(next) == Some(true);
            at = next;
        }
        Some(false)
    }

    /// Microsoft's authority, where the signature leads to one.
    pub fn uefi_ca(&self) -> Option<UefiCa> {
        let all = std::iter::once(&self.signer).chain(&self.others);
        all.filter_map(|c| Some((c, c.uefi_ca()?)))
            .find(|(c, _)| self.leads_to(c) == Some(true))
            .map(|(_, ca)| ca)
    }
}

fn indirect_data<'a>(encapsulated: &AnyRef<'a>) -> Option<AnyRef<'a>> {
    let [kind, content] = parts(encapsulated.value())?[..] else { return None };
    (kind.decode_as::<ObjectIdentifier>().ok()? == INDIRECT_DATA)
        .then(|| first(content.value()))
        .flatten()
}

/// `DigestInfo`: what the image was hashed with, where it is known, and the hash.
fn image_digest(indirect: &AnyRef<'_>) -> Option<(Option<Hash>, Vec<u8>)> {
    let [_, digest_info] = parts(indirect.value())?[..] else { return None };
    let [algorithm, digest] = parts(digest_info.value())?[..] else { return None };
    Some((hash(&algorithm), digest.value().to_vec()))
}

struct SignerInfo<'a> {
    issuer: Vec<u8>,
    serial: &'a [u8],
    hash: Option<Hash>,
    /// The attributes' contents, and the digest among them. Authenticode always has them.
    attributes: AnyRef<'a>,
    message_digest: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn parse(info: &AnyRef<'a>) -> Option<SignerInfo<'a>> {
        let fields = parts(info.value())?;
        let [_, id, hash_with, attributes, signed_with, signature, ..] = fields[..] else {
            return None;
        };
        if !is_context(&[attributes], 0) {
            return None;
        }
        let [issuer, serial] = parts(id.value())?[..] else { return None };
        let message_digest = parts(attributes.value())?.iter().find_map(|a| {
            let [kind, values] = parts(a.value())?[..] else { return None };
            let wanted = kind.decode_as::<ObjectIdentifier>().ok()? == MESSAGE_DIGEST;
            wanted.then(|| first(values.value())).flatten().map(|v| v.value())
        })?;
        // `rsaEncryption` leaves the hash to the other field.
        let hash = hash(&signed_with).or_else(|| {
            let rsa = algorithm(&signed_with)?.to_string() == "1.2.840.113549.1.1.1";
            hash(&hash_with).filter(|_| rsa)
        });
        Some(SignerInfo {
            issuer: issuer.to_der().ok()?,
            serial: serial.value(),
            hash,
            attributes,
            message_digest,
            signature: signature.value(),
        })
    }

    /// Whether `signer` signed `contents`: the attributes hold its hash, and the key signed these. They
    /// are signed as a SET (RFC 2315, 9.3).
    fn holds(&self, signer: &Certificate, contents: &[u8]) -> State {
        let Some(hash) = self.hash else { return State::Unchecked };
        let set = AnyRef::new(Tag::Set, self.attributes.value()).and_then(|a| a.to_der());
        let Ok(set) = set else { return State::Forged };
        if hash.of(contents) != self.message_digest {
            return State::Forged;
        }
        match signer.verify(Some(hash), &set, self.signature) {
            Some(true) => State::Intact,
            Some(false) => State::Forged,
            None => State::Unchecked,
        }
    }
}
