//! Detached CMS signatures (RFC 5652) as iPXE's `imgverify` takes them: DER, SHA-256 and RSA with PKCS #1 v1.5,
//! without signed attributes, so that what is signed is the file's digest alone. It is what
//! `openssl cms -sign -binary -noattr -outform DER` writes.
//!
//! Sources: RFC 5652, 5; iPXE's `cms.c`, which skips signed attributes and wants a certificate that may
//! sign code. Not made: signatures by other keys than RSA, time stamps, more than one signer.

use super::x509::{self, Certificate, Hash, RSA, first, is_context, parts};
use crate::content::copy::Digest;
use crate::error::{Error, Result};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Encode, Tag, TagNumber};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::pkcs8::der::pem;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Signer, authorities, root.
const MAX_CERTIFICATES: usize = 32;
/// Less is broken by whoever wants to (NIST SP 800-57).
const MIN_BITS: usize = 2048;
/// What a signature is checked with holds no more.
const MAX_BITS: usize = 8192;

const MAKE: &str = "make both with openssl req -x509 -newkey rsa:3072 -nodes -keyout key.pem -out cert.pem -days 3650 \
     -subj '/CN=netboot' -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=codeSigning";

/// A key, and the certificate that says whose it is.
pub struct Signer {
    key: RsaPrivateKey,
    own: Certificate,
    /// Those that lead from it to a root.
    others: Vec<Certificate>,
}

// The key must not come into a log.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.own.subject).finish()
    }
}

impl Signer {
    /// Takes the PEM texts of a key (PKCS #8 or PKCS #1, not encrypted) and of its certificate with those that
    /// lead to a root, in any order. Both may be the same text.
    ///
    /// # Errors
    /// `Usage` for a key that is missing, encrypted or too short, and for certificates of which none is the
    /// key's or that may not sign code; `Unsupported` for a key other than RSA.
    pub fn from_pem(key: &str, certificates: &str) -> Result<Signer> {
        let key = private_key(key)?;
        let bits = key.size() * 8;
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(Error::usage(format!("a key of {bits} bits signs nothing here")).hint(MAKE));
        }
        let mut others = certificates_of(certificates)?;
        let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        let at = others.iter().position(|c| c.has_key(&n, &e)).ok_or_else(|| {
            let names: Vec<&str> = others.iter().map(|c| c.subject.as_str()).collect();
            let what = match names[..] {
                [] => "there is no certificate for the key".to_owned(),
                _ => format!("no certificate is the key's: {}", names.join(", ")),
            };
            Error::usage(what).hint(MAKE)
        })?;
        let own = others.remove(at);
        if !own.may_sign_code() {
            return Err(Error::usage(format!(
                "the certificate of {} may not sign code, so that iPXE refuses what it signs",
                own.subject
            ))
            .hint(MAKE));
        }
        Ok(Signer { key, own, others })
    }

    /// Whose certificate it is.
    pub fn certificate(&self) -> &Certificate {
        &self.own
    }

    /// The signature of a file with that digest. The same bytes each time.
    ///
    /// # Errors
    /// `Usage` for a key whose numbers don't fit each other.
    pub fn sign(&self, digest: &Digest) -> Result<Vec<u8>> {
        let wrong =
            |e: Box<dyn std::error::Error + Send + Sync>| Error::usage("can't sign").because(e);
        let scheme =
            Pkcs1v15Sign { hash_len: Some(digest.0.len()), prefix: Hash::Sha256.prefix().into() };
        let value = self.key.sign(scheme, &digest.0).map_err(|e| wrong(e.into()))?;
        self.signed_data(&value).map_err(|e| wrong(e.into()))
    }

    fn signed_data(&self, value: &[u8]) -> der::Result<Vec<u8>> {
        let algorithm =
            |kind: ObjectIdentifier, with: &[u8]| tlv(Tag::Sequence, &[&kind.to_der()?, with]);
        let (sha256, version) = (algorithm(SHA256, &[])?, 1u8.to_der()?);
        let null = tlv(Tag::Null, &[])?;
        let mut certificates: Vec<&[u8]> =
            std::iter::once(&self.own).chain(&self.others).map(|c| &c.der[..]).collect();
        // DER sorts what is in a SET OF (X.690, 11.6).
        certificates.sort_unstable();
        let serial = tlv(Tag::Integer, &[&self.own.serial])?;
        let signer = tlv(
            Tag::Sequence,
            &[
                &version,
                &tlv(Tag::Sequence, &[&self.own.issuer_der, &serial])?,
                &sha256,
                &algorithm(RSA, &null)?,
                &tlv(Tag::OctetString, &[value])?,
            ],
        )?;
        let content = tlv(
            Tag::Sequence,
            &[
                &version,
                &tlv(Tag::Set, &[&sha256])?,
                &tlv(Tag::Sequence, &[&DATA.to_der()?])?,
                &tlv(CONTEXT_0, &certificates)?,
                &tlv(Tag::Set, &[&signer])?,
            ],
        )?;
        tlv(Tag::Sequence, &[&SIGNED_DATA.to_der()?, &tlv(CONTEXT_0, &[&content])?])
    }
}

const CONTEXT_0: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

fn tlv(tag: Tag, contents: &[&[u8]]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, &contents.concat())?.to_der()
}

/// The certificates in a PEM text, in order.
///
/// # Errors
/// `Usage` where a block is damaged or is no certificate.
pub fn certificates_of(text: &str) -> Result<Vec<Certificate>> {
    let blocks = blocks(text)?.into_iter().filter(|(label, _)| label.ends_with("CERTIFICATE"));
    let parse = |(_, der): (String, Vec<u8>)| {
        Certificate::parse(&der).ok_or_else(|| Error::usage("a CERTIFICATE block holds none"))
    };
    blocks.take(MAX_CERTIFICATES).map(parse).collect()
}

fn private_key(text: &str) -> Result<RsaPrivateKey> {
    let encrypted = || {
        Error::usage("the key is encrypted, and nobody is there to type its password")
            .hint("openssl pkey -in key.pem -out plain.pem writes it without; keep that where only this user reads")
    };
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
    {
        return Err(encrypted());
    }
    let blocks = blocks(text)?;
    let Some((label, der)) = blocks.iter().find(|(label, _)| label.ends_with("PRIVATE KEY")) else {
        return Err(Error::usage("there is no private key in it").hint(MAKE));
    };
    let not_rsa =
        || Error::unsupported("the key is not RSA, and old iPXE builds know no other").hint(MAKE);
    match label.as_str() {
        "PRIVATE KEY" => RsaPrivateKey::from_pkcs8_der(der).map_err(|_| not_rsa()),
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(der)
            .map_err(|_| Error::usage("the RSA key is damaged").hint(MAKE)),
        _ => Err(not_rsa()),
    }
}

/// Labels and bytes of the blocks in a text (RFC 7468); what stands between them is left alone.
fn blocks(text: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        let block = &rest[at..];
        let damaged = || Error::usage("a PEM block is damaged");
        let end = block.find("-----END ").ok_or_else(damaged)?;
        let line = block[end..].find('\n').map_or(block.len(), |n| end + n + 1);
        let (label, der) = pem::decode_vec(&block.as_bytes()[..line]).map_err(|_| damaged())?;
        found.push((label.to_owned(), der));
        rest = &block[line..];
    }
    Ok(found)
}

/// A signature, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose key made it.
    pub signer: Certificate,
    others: Vec<Certificate>,
    value: Vec<u8>,
}

impl Signature {
    /// Takes DER. `None` where it is no signature of the kind that is made here.
    pub fn parse(bytes: &[u8]) -> Option<Signature> {
        let [kind, content] = parts(first(bytes)?.value())?[..] else { return None };
        if kind.decode_as::<ObjectIdentifier>().ok()? != SIGNED_DATA {
            return None;
        }
        let fields = parts(first(content.value())?.value())?;
        let [_, _, _, certificates, signers] = fields[..] else { return None };
        if !is_context(&[certificates], 0) {
            return None;
        }
        let mut others: Vec<Certificate> = parts(certificates.value())?
            .iter()
            .take(MAX_CERTIFICATES)
            .map(|c| Certificate::parse(&c.to_der().ok()?))
            .collect::<Option<_>>()?;
        let [signer] = parts(signers.value())?[..] else { return None };
        let [_, id, hashed, algorithm, value] = parts(signer.value())?[..] else { return None };
        if x509::hash(&hashed) != Some(Hash::Sha256) || x509::algorithm(&algorithm) != Some(RSA) {
            return None;
        }
        let [issuer, serial] = parts(id.value())?[..] else { return None };
        let issuer = issuer.to_der().ok()?;
        let at = others.iter().position(|c| c.is(&issuer, serial.value()))?;
        Some(Signature { signer: others.remove(at), others, value: value.value().to_vec() })
    }

    /// True where the signer signed a file with that digest.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.signer.verify_digest(Hash::Sha256, &digest.0, &self.value) == Some(true)
    }

    /// True where the signer is one of `trusted`, or one of these vouches for it, also by those between.
    pub fn is_trusted(&self, trusted: &[Certificate]) -> bool {
        if trusted.contains(&self.signer) {
            return true;
        }
        // Whoever has any other certificate of an authority, of a web server say, signs nothing here.
        if !self.signer.may_sign_code() {
            return false;
        }
        let vouches = |c: &&Certificate, at: &Certificate| {
            *c != at && c.is_authority() && at.issued_by(c) == Some(true)
        };
        let mut at = &self.signer;
        for _ in 0..=self.others.len() {
            if trusted.contains(at) || trusted.iter().any(|c| vouches(&c, at)) {
                return true;
            }
            let Some(next) = self.others.iter().find(|c| vouches(c, at)) else { return false };
            at = next;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Signature, Signer, certificates_of};

    #[test]
    fn what_is_no_key_and_no_signature_is_told() {
        for (text, words) in [
            ("", "no private key"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", "encrypted"),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "encrypted"),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "not RSA"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not RSA"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "damaged"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "damaged"),
            ("-----BEGIN PRIVATE KEY-----\n~\n-----END PRIVATE KEY-----\n", "damaged"),
        ] {
            let e = Signer::from_pem(text, "").expect_err(words);
            assert!(e.to_string().contains(words), "{text:?}: {e}");
        }
        assert!(
            certificates_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
                .is_err()
        );
        for bad in [&b""[..], b"\x30", b"\x30\x80", &[0x30; 64]] {
            assert_eq!(Signature::parse(bad), None);
        }
    }
}
