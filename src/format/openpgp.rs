//! OpenPGP signatures over lists of checksums (RFC 9580, RFC 4880): detached, in clear text, or several at once.
//! Reading only. The arithmetic is the crate pgp's; what makes a key fit to sign is decided here:
//!
//! - one of the keys that were given made it, with its primary key or with a subkey that it bound for signing and
//!   that bound itself back (RFC 9580, section 10.1.5);
//! - that key and subkey are neither revoked nor expired now, and are not younger than the signature;
//! - the hash is not MD5, SHA-1 or RIPEMD-160, nor is that of a subkey's binding.
//!
//! Not supported: revocations by another key than its own, trust in keys by other keys.

use crate::error::{Error, ErrorKind, Result};
use pgp::composed::{
    CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};

/// A file of keys; Debian's whole keyring has 10 MB.
const MAX_KEYS: usize = 16 << 20;
/// Keys in a file.
const MAX_COUNT: usize = 10_000;
/// Signatures in a file.
const MAX_SIGNATURES: usize = 100;
/// A clock may be wrong by so many seconds.
const SKEW: i64 = 24 * 3600;

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, upper-case hex.
    pub fingerprint: String,
    /// Its first user id; empty where it has none.
    pub user: String,
    /// Fingerprint of the subkey, where one signed.
    pub subkey: Option<String>,
    /// What was signed with: `SHA256`.
    pub hash: String,
    /// When, in seconds since 1970.
    pub created: i64,
}

/// The keys that signatures are taken from.
#[derive(Debug, Clone)]
pub struct Keys(Vec<SignedPublicKey>);

impl Keys {
    /// Reads one or more keys, armoured or not.
    ///
    /// # Errors
    /// `Corrupt` for what is no public key, `Usage` for a secret one, `Unsupported` above 16 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Keys> {
        if bytes.len() > MAX_KEYS {
            return Err(Error::unsupported("more than 16 MiB of keys"));
        }
        let mut keys = Vec::new();
        if bytes.first().is_some_and(|b| b & 0x80 != 0) {
            keys.extend(SignedPublicKey::from_bytes_many(bytes).map_err(no_key)?.take(MAX_COUNT));
        } else {
            let text = String::from_utf8_lossy(bytes);
            if text.contains("-----BEGIN PGP PRIVATE KEY") {
                return Err(
                    Error::usage("a secret key").hint("gpg --armor --export writes the public one")
                );
            }
            const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
            for (at, _) in text.match_indices(BEGIN).take(MAX_COUNT) {
                let (found, _) = SignedPublicKey::from_string_many(&text[at..]).map_err(no_key)?;
                keys.extend(found.take(MAX_COUNT));
            }
        }
        let keys: Vec<SignedPublicKey> =
            keys.into_iter().collect::<pgp::errors::Result<_>>().map_err(no_key)?;
        match keys.is_empty() {
            true => Err(Error::corrupt("no OpenPGP public key in it", 0)
                .hint("gpg --armor --export writes one; or take the vendor's file as it is")),
            false => Ok(Keys(keys)),
        }
    }

    /// Adds the keys of another file.
    pub fn extend(&mut self, other: Keys) {
        self.0.extend(other.0);
    }

    /// Fingerprints of the primary keys.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(|k| format!("{:X}", k.primary_key.fingerprint())).collect()
    }

    /// Who signed `data`; `signature` is armoured or not, and may hold several. `now`: seconds since 1970.
    ///
    /// # Errors
    /// `Corrupt` where the data are not what was signed, or there is no signature; `Conflict` where no key of
    /// these made it, or that key is not fit to sign.
    pub fn verify(&self, data: &[u8], signature: &[u8], now: i64) -> Result<Signer> {
        let bad = |e| no_signature().because(e);
        let all: Vec<Signature> = match signature.first().is_some_and(|b| b & 0x80 != 0) {
            true => collected(DetachedSignature::from_bytes_many(signature).map_err(bad)?),
            false => {
                let text = String::from_utf8_lossy(signature);
                let from = text.find("-----BEGIN PGP SIGNATURE-----").ok_or_else(no_signature)?;
                let found = DetachedSignature::from_string_many(&text[from..]);
                collected(found.map_err(bad)?.0)
            }
        }
        .map_err(bad)?;
        self.any(&all, data, &[SignatureType::Binary, SignatureType::Text], now)
    }

    /// The signed text of a message in clear text, and who signed it. What stands around it is not signed, and is
    /// left out.
    ///
    /// # Errors
    /// As [`Keys::verify`].
    pub fn verify_clear(&self, message: &[u8], now: i64) -> Result<(String, Signer)> {
        let text = String::from_utf8_lossy(message);
        let from = text.find(CLEAR).ok_or_else(no_signature)?;
        const END: &str = "-----END PGP SIGNATURE-----";
        let end = text[from..].find(END).ok_or_else(no_signature)? + from + END.len();
        let (m, _) = CleartextSignedMessage::from_string(&format!("{}\n", &text[from..end]))
            .map_err(|e| no_signature().because(e))?;
        let signed = m.signed_text();
        let kinds = [SignatureType::Text, SignatureType::Binary];
        let signer = self.any(m.signatures(), signed.as_bytes(), &kinds, now)?;
        Ok((signed.replace("\r\n", "\n"), signer))
    }

    /// The first that holds; else why the most promising one does not.
    fn any(
        &self,
        signatures: &[Signature],
        data: &[u8],
        kinds: &[SignatureType],
        now: i64,
    ) -> Result<Signer> {
        let mut why: Option<Error> = None;
        for s in signatures.iter().take(MAX_SIGNATURES) {
            if !s.typ().is_some_and(|t| kinds.contains(&t)) {
                continue;
            }
            for key in &self.0 {
                match made_by(s, key, data, now) {
                    Some(Ok(signer)) => return Ok(signer),
                    Some(Err(e)) => drop(why.get_or_insert(e)),
                    None => {}
                }
            }
        }
        Err(why.unwrap_or_else(|| {
            let of: Vec<String> = signatures.iter().take(4).map(issuer).collect();
            let what = match of.is_empty() {
                true => "there is no signature in it".to_owned(),
                false => format!("signed by {}, which is none of the keys given", of.join(", ")),
            };
            Error::new(ErrorKind::Conflict, what)
                .hint(format!("the keys given are {}", self.fingerprints().join(", ")))
        }))
    }
}

const CLEAR: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

/// True for a message in clear text.
pub fn is_clear_signed(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == b'\n').any(|l| l.starts_with(CLEAR.as_bytes()))
}

fn collected(
    found: Box<dyn Iterator<Item = pgp::errors::Result<DetachedSignature>> + '_>,
) -> pgp::errors::Result<Vec<Signature>> {
    found.take(MAX_SIGNATURES).map(|s| s.map(|s| s.signature)).collect()
}

fn no_key(e: pgp::errors::Error) -> Error {
    Error::corrupt("no OpenPGP public key that can be read", 0).because(e)
}

fn no_signature() -> Error {
    Error::corrupt("no OpenPGP signature that can be read", 0)
}

fn issuer(s: &Signature) -> String {
    let print = s.issuer_fingerprint().first().map(|f| format!("{f:X}"));
    let id = || s.issuer_key_id().first().map(|i| i.to_string().to_uppercase());
    print.or_else(id).unwrap_or_else(|| "a key that it does not name".into())
}

/// True where the signature names this key, or names none.
fn names(s: &Signature, key: &impl KeyDetails) -> bool {
    let (prints, ids) = (s.issuer_fingerprint(), s.issuer_key_id());
    let (print, id) = (key.fingerprint(), key.legacy_key_id());
    (prints.is_empty() && ids.is_empty())
        || prints.contains(&&print)
        || (prints.is_empty() && ids.contains(&&id))
}

/// `None` where it is not of this key.
fn made_by(s: &Signature, key: &SignedPublicKey, data: &[u8], now: i64) -> Option<Result<Signer>> {
    let primary = &key.primary_key;
    let signed = if names(s, primary) {
        Some((s.verify(primary, data).map_err(|e| e.to_string()), None))
    } else {
        let sub = key.public_subkeys.iter().find(|k| names(s, &k.key))?;
        Some((s.verify(&sub.key, data).map_err(|e| e.to_string()), Some(sub)))
    };
    let (result, sub) = signed?;
    let fingerprint = format!("{:X}", primary.fingerprint());
    let refuse = |what: &str| {
        Some(Err(Error::new(ErrorKind::Conflict, format!("the key {fingerprint} {what}")).hint(
            "get the vendor's current key and list; never take a key from where the ISO lies",
        )))
    };
    // Before all else: whatever a weak hash says is no reason.
    if let Some(hash) = s.hash_alg().filter(|h| is_weak(*h)) {
        return refuse(&format!("signed with {hash}, which can be forged"));
    }
    if let Err(e) = result {
        // A signature that names no key may be any one's.
        if s.issuer_fingerprint().is_empty() && s.issuer_key_id().is_empty() {
            return None;
        }
        return Some(Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the signature of {fingerprint} is not over these bytes: one of them was altered"
            ),
        )
        .because(e)));
    }
    let created = s.created().map(|t| i64::from(t.as_secs()));
    let fit = unfit_primary(key, sub.is_none(), now)
        .or_else(|| sub.and_then(|k| unfit_subkey(key, k, now)))
        .or_else(|| unfit_signature(s, created, key, sub, now));
    if let Some(what) = fit {
        return refuse(&what);
    }
    Some(Ok(Signer {
        fingerprint,
        user: key
            .details
            .users
            .first()
            .map_or_else(String::new, |u| String::from_utf8_lossy(u.id.id()).into_owned()),
        subkey: sub.map(|k| format!("{:X}", k.key.fingerprint())),
        hash: s.hash_alg().map_or_else(String::new, |h| h.to_string()),
        created: created.unwrap_or_default(),
    }))
}

fn is_weak(h: HashAlgorithm) -> bool {
    use HashAlgorithm as H;
    !matches!(h, H::Sha224 | H::Sha256 | H::Sha384 | H::Sha512 | H::Sha3_256 | H::Sha3_512)
}

/// What a key says of itself: the newest of its own signatures that holds.
fn newest<'a>(all: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    all.max_by_key(|s| s.created().map(|t| t.as_secs()))
}

/// RFC 9580, section 5.2.3.13: seconds after the key's making; 0 is never.
fn is_expired(said: &Signature, created: pgp::types::Timestamp, now: i64) -> bool {
    let after = said.key_expiration_time().map_or(0, |d| i64::from(d.as_secs()));
    after != 0 && now >= i64::from(created.as_secs()) + after
}

/// Why the primary key can't vouch, or can't sign by itself where it `signs`.
fn unfit_primary(key: &SignedPublicKey, signs: bool, now: i64) -> Option<String> {
    let (primary, d) = (&key.primary_key, &key.details);
    if d.revocation_signatures.iter().any(|r| r.verify_key(primary).is_ok()) {
        return Some("was revoked".into());
    }
    let direct = d.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok());
    let of_users = d.users.iter().filter_map(|u| {
        let own = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &u.id).is_ok();
        let said = newest(u.signatures.iter().filter(own))?;
        said.is_certification().then_some(said)
    });
    let Some(said) = newest(direct.chain(of_users)) else {
        return Some("says nothing of itself that holds, or all its names were revoked".into());
    };
    if is_expired(said, primary.created_at(), now) {
        return Some("is expired".into());
    }
    let flags = said.key_flags();
    let may = flags == KeyFlags::default() || flags.sign();
    (signs && !may).then(|| "is not one for signing".into())
}

fn unfit_subkey(key: &SignedPublicKey, sub: &SignedPublicSubKey, now: i64) -> Option<String> {
    let primary = &key.primary_key;
    let own = |kind: SignatureType| {
        sub.signatures
            .iter()
            .filter(move |s| s.typ() == Some(kind))
            .filter(|s| s.verify_subkey_binding(primary, &sub.key).is_ok())
    };
    let of = format!("signed with its subkey {:X}, which", sub.key.fingerprint());
    if own(SignatureType::SubkeyRevocation).next().is_some() {
        return Some(format!("{of} was revoked"));
    }
    let Some(bound) = newest(own(SignatureType::SubkeyBinding)) else {
        return Some(format!("{of} it never bound"));
    };
    if bound.hash_alg().is_none_or(is_weak) {
        return Some(format!("{of} is bound by a hash that can be forged"));
    }
    if is_expired(bound, sub.key.created_at(), now) {
        return Some(format!("{of} is expired"));
    }
    let back = bound.embedded_signature();
    let back = back.is_some_and(|b| b.verify_primary_key_binding(&sub.key, primary).is_ok());
    if !bound.key_flags().sign() || !back {
        return Some(format!("{of} is not one for signing"));
    }
    None
}

fn unfit_signature(
    s: &Signature,
    created: Option<i64>,
    key: &SignedPublicKey,
    sub: Option<&SignedPublicSubKey>,
    now: i64,
) -> Option<String> {
    let Some(created) = created else {
        return Some("signed without a date".into());
    };
    let made = sub.map_or_else(|| key.primary_key.created_at(), |k| k.key.created_at());
    if created < i64::from(made.as_secs()) {
        return Some("signed before it was made".into());
    }
    if created > now + SKEW {
        return Some("signed in the future, by this machine's clock".into());
    }
    let lasts = s.signature_expiration_time().map_or(0, |d| i64::from(d.as_secs()));
    if lasts != 0 && now >= created + lasts {
        return Some("signed for a time that is over".into());
    }
    // RFC 9580, section 5.2.3.7: a critical part that is not understood makes the signature void.
    let strange = |p: &pgp::packet::Subpacket| {
        use SubpacketData as D;
        p.is_critical && matches!(p.data, D::Experimental(..) | D::Other(..) | D::Notation(_))
    };
    let parts = s.config().map(|c| &c.hashed_subpackets);
    parts
        .is_some_and(|p| p.iter().any(strange))
        .then(|| "signed on a condition that is not understood".into())
}
