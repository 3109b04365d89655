//! What a store said no with, as one line of ours. Its own words can hold request headers, signatures and
//! keys: only its code and its message are taken over.

use super::Store;
use crate::error::{Error, ErrorKind};
use object_store::Error as Theirs;

/// A failure, with the store's own word for it where it gave one.
#[derive(Debug)]
pub struct Fault {
    /// As it is told.
    pub error: Error,
    /// `SlowDown`, `BadDigest`, `ExpiredToken` …
    pub code: Option<String>,
}

impl From<Fault> for Error {
    fn from(f: Fault) -> Error {
        f.error
    }
}

impl Fault {
    /// True where the bytes did not come over whole: the same request is worth a second try.
    pub fn was_damaged(&self) -> bool {
        const DAMAGED: &[&str] = &[
            "BadDigest",
            "InvalidDigest",
            "IncompleteBody",
            "XAmzContentSHA256Mismatch",
            "XAmzContentChecksumMismatch",
            "RequestTimeout",
            "Md5Mismatch",
            "Crc64Mismatch",
        ];
        self.code.as_deref().is_some_and(|c| DAMAGED.contains(&c))
    }

    /// True where a condition did not hold.
    pub fn is_conflict(&self) -> bool {
        self.error.kind() == ErrorKind::Conflict
    }

    /// True where the store does not know the operation.
    pub fn is_unknown(&self) -> bool {
        self.error.kind() == ErrorKind::Unsupported
    }
}

/// The text between `<tag>` and `</tag>`.
fn tag<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let from = text.find(&format!("<{tag}>"))? + tag.len() + 2;
    let len = text[from..].find(&format!("</{tag}>"))?;
    Some(&text[from..from + len])
}

/// What is put right where a code is known.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
            "the session's credentials are over: renew them and run it again; what is up is kept"
        }
        "AccessDenied" | "Forbidden" | "AuthorizationPermissionMismatch" => {
            "the key must be allowed to list, read, write and delete below the prefix"
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "AuthenticationFailed" => {
            "the store does not know this key, or not with this secret: check AWS_ACCESS_KEY_ID or AWS_PROFILE"
        }
        "RequestTimeTooSkewed" => "this machine's clock is wrong",
        "NoSuchBucket" | "ContainerNotFound" => "make the bucket first; publish does not",
        "SlowDown" | "ServiceUnavailable" | "Throttling" | "ServerBusy" => {
            "the store is busy: run it again later; what is up is kept"
        }
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" => {
            "the bytes were damaged on the way, several times: look at what stands between here and the store"
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "the bucket is in another region: name it with --region"
        }
        "NotImplemented" | "InvalidArgument" | "InvalidRequest" => {
            "an older server may not know the checksum that is sent: --checksum sha256, or none"
        }
        _ => return None,
    })
}

const LOST: &str =
    "the store was not reached, or the connection broke: run it again; what is up is kept";

/// The status that stands in the client's words.
fn status(text: &str) -> Option<u16> {
    let at = text.find("status code: ")? + "status code: ".len();
    text.get(at..at + 3)?.parse().ok()
}

/// Without queries, where signatures stand, and without what we know to be secret.
fn scrubbed(text: &str, secrets: &[String]) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(' ') {
        match word.find('?').filter(|_| word.contains("://")) {
            Some(q) => {
                out.push_str(&word[..q]);
                out.push_str(if word.ends_with(' ') { "?… " } else { "?…" });
            }
            None => out.push_str(word),
        }
    }
    for s in secrets {
        out = out.replace(s.as_str(), "…");
    }
    out.chars().filter(|c| !c.is_control()).take(400).collect()
}

/// The innermost reason, for one that no server gave.
fn deepest(e: &dyn std::error::Error) -> String {
    let mut at = e;
    while let Some(s) = at.source() {
        at = s;
    }
    at.to_string()
}

impl Store {
    /// One line of it, that names the object.
    pub(super) fn fault(&self, doing: &str, key: &str, e: Theirs) -> Fault {
        let said = e.to_string();
        let code = tag(&said, "Code").map(str::to_owned);
        let kind = match &e {
            Theirs::NotFound { .. } => ErrorKind::NotFound,
            Theirs::AlreadyExists { .. }
            | Theirs::Precondition { .. }
            | Theirs::NotModified { .. } => ErrorKind::Conflict,
            Theirs::NotImplemented { .. } | Theirs::NotSupported { .. } => ErrorKind::Unsupported,
            _ if code.as_deref() == Some("NotImplemented") || status(&said) == Some(501) => {
                ErrorKind::Unsupported
            }
            _ => ErrorKind::Remote,
        };
        let message = tag(&said, "Message").unwrap_or_default();
        let reason = match (&code, status(&said)) {
            (Some(c), _) if message.is_empty() => c.clone(),
            (Some(c), _) => format!("{c}: {message}"),
            (None, Some(s)) => format!("the server answers {s}"),
            (None, None) => deepest(&e),
        };
        let reason = scrubbed(&reason, &self.secrets);
        let mut error = Error::new(kind, format!("{doing}: {reason}")).source_name(&self.target);
        if !key.is_empty() {
            error = error.path(key);
        }
        let by_status = match status(&said) {
            Some(401 | 403) => Some("AccessDenied"),
            Some(429 | 503) => Some("SlowDown"),
            _ => None,
        };
        let known = code.as_deref().and_then(hint).or(by_status.and_then(hint));
        let lost = code.is_none() && status(&said).is_none() && kind == ErrorKind::Remote;
        if let Some(h) = known.or(lost.then_some(LOST)) {
            error = error.hint(h);
        }
        Fault { error, code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_signatures_nor_secrets_are_told() {
        let text = "PUT https://a.blob.core.windows.net/c/x?sig=abc&se=1 failed with wJalrXUtn now";
        let got = scrubbed(text, &["wJalrXUtn".into()]);
        assert_eq!(got, "PUT https://a.blob.core.windows.net/c/x?… failed with … now");
    }

    #[test]
    fn a_stores_own_words_are_found() {
        let said = "x - Server returned non-2xx status code: 403 Forbidden: <Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
        assert_eq!(tag(said, "Code"), Some("ExpiredToken"));
        assert_eq!(status(said), Some(403));
        assert!(hint("ExpiredToken").is_some_and(|h| h.contains("renew")));
    }
}
