//! A client that asks as an old iPXE or an installer's wget does: HTTP/1.1, no cookies, no proxy, no
//! compression asked for, and redirects followed by hand so that each can be told.

use crate::content::copy::{Digest, Watch};
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, Request, Uri, Version, header};
use ureq::tls::{RootCerts, TlsConfig};

/// iPXE follows some; a chain longer than that is a loop.
const MAX_HOPS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// For a head, and between two reads of a body.
const SILENCE: Duration = Duration::from_secs(30);
/// A slower server would keep a machine for hours; it is also the bound on one that drips.
const MIN_RATE: u64 = 50_000;
/// The manifest says how long a file is, and may be anybody's.
const MAX_SECONDS: u64 = 24 * 3600;
const MAX_HEAD: usize = 32 << 10;

/// Why a machine trips over an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trip {
    pub what: String,
    pub hint: Option<&'static str>,
    /// True where the server said nothing at all.
    pub silent: bool,
}

impl Trip {
    pub fn new(what: impl Into<String>) -> Self {
        Trip { what: what.into(), hint: None, silent: false }
    }

    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    /// GET of the first byte alone.
    FirstByte,
}

pub(super) struct Asker {
    agent: ureq::Agent,
}

/// A head, and the body where it is wanted.
pub(super) struct Answer {
    pub status: u16,
    /// Where it sent us on to.
    pub hops: Vec<String>,
    /// False for HTTP/1.0, which keeps no connection.
    pub keeps: bool,
    headers: HeaderMap,
    body: ureq::Body,
}

impl Asker {
    pub fn new() -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            // What builds of 2019 say of themselves: a server may treat a browser better.
            .user_agent(concat!("iPXE/1.0.0+ (isowright/", env!("CARGO_PKG_VERSION"), ")"))
            .accept("*/*")
            .accept_encoding("")
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEAD)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Asker { agent: config.into() }
    }

    /// Asks, and follows redirects; one to https is a trip. `size` bounds the time of the body.
    pub fn ask(&self, method: Method, url: &str, size: u64) -> std::result::Result<Answer, Trip> {
        let mut at = url.to_owned();
        let mut hops = Vec::new();
        loop {
            let answer = self.once(method, &at, size).map_err(|e| Trip {
                what: format!("no answer: {e}"),
                hint: None,
                silent: true,
            })?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let keeps = answer.version() >= Version::HTTP_11;
            let to = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
            let (true, Some(to)) = (matches!(status, 301 | 302 | 303 | 307 | 308), to) else {
                return Ok(Answer { status, hops, keeps, headers, body: answer.into_body() });
            };
            let to = resolve(&at, to);
            if to.starts_with("https:") && at.starts_with("http:") {
                return Err(Trip::new(format!("is sent on to {to}")).hint(
                    "old iPXE builds know no https, and others not the certificate: serve boot files by plain http",
                ));
            }
            if hops.len() == MAX_HOPS {
                return Err(Trip::new(format!(
                    "is sent on more than {MAX_HOPS} times, last to {to}"
                )));
            }
            at.clone_from(&to);
            hops.push(to);
        }
    }

    fn once(
        &self,
        method: Method,
        url: &str,
        size: u64,
    ) -> std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = Request::builder().uri(url).method(match method {
            Method::Head => "HEAD",
            Method::Get | Method::FirstByte => "GET",
        });
        if method == Method::FirstByte {
            request = request.header(header::RANGE, "bytes=0-0");
        }
        let request = request.body(()).map_err(ureq::Error::Http)?;
        let for_body = SILENCE + Duration::from_secs((size / MIN_RATE).min(MAX_SECONDS));
        let request =
            self.agent.configure_request(request).timeout_recv_body(Some(for_body)).build();
        self.agent.run(request)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    pub fn chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"))
    }

    /// The whole body, if it is no longer than `limit`.
    pub fn bytes(self, limit: u64) -> std::result::Result<Vec<u8>, Trip> {
        let mut out = Vec::new();
        let cut = |e| Trip::new(format!("breaks off: {e}"));
        self.body.into_reader().take(limit.saturating_add(1)).read_to_end(&mut out).map_err(cut)?;
        match out.len() as u64 > limit {
            true => Err(Trip::new(format!("is longer than {limit} bytes"))),
            false => Ok(out),
        }
    }

    /// Length and SHA-256 of the body, read no further than `limit` and a byte.
    ///
    /// # Errors
    /// `Interrupted`; a body that breaks off is the inner error.
    pub fn digest(
        self,
        limit: u64,
        watch: Watch,
    ) -> Result<std::result::Result<(u64, Digest), Trip>> {
        let mut body = self.body.into_reader().take(limit.saturating_add(1));
        let mut hash = Sha256::new();
        let mut len = 0;
        let mut buf = vec![0; 64 << 10];
        loop {
            let n = match body.read(&mut buf) {
                Ok(0) => return Ok(Ok((len, Digest(hash.finalize().into())))),
                Ok(n) => n,
                Err(e) => return Ok(Err(Trip::new(format!("breaks off after {len} bytes: {e}")))),
            };
            hash.update(&buf[..n]);
            len += n as u64;
            if !watch(n as u64) {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
        }
    }
}

/// `reference` as seen from the document at `base` (RFC 3986, 5.2; iPXE's resolve_uri does the same).
/// Both are as they travel: nothing is escaped here.
pub(super) fn resolve(base: &str, reference: &str) -> String {
    let has_scheme = |s: &str| {
        s.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
    };
    if has_scheme(reference) {
        return reference.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    if let Some(r) = reference.strip_prefix("//") {
        return format!("{scheme}://{r}");
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if reference.starts_with('/') {
        return format!("{scheme}://{host}{reference}");
    }
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    parts.pop();
    let (relative, query) =
        reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    let mut relative = relative.split('/').peekable();
    while let Some(p) = relative.next() {
        let last = relative.peek().is_none();
        match p {
            "." if last => parts.push(""),
            "." => {}
            ".." => {
                parts.pop();
                if last {
                    parts.push("");
                }
            }
            p => parts.push(p),
        }
    }
    format!("{scheme}://{host}/{}{query}", parts.join("/"))
}

/// A path as it travels (RFC 3986, 3.3): `+` goes as it is, which is what iPXE and wget send.
pub(super) fn escaped(path: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(path.len());
    for &b in path {
        if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b) {
            out.push(b as char);
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

/// An http(s) URL that has a host.
pub(super) fn checked(url: &str) -> Result<()> {
    let wrong = |why: String| Error::usage(why).hint("write it as http://192.0.2.1/path/boot.ipxe");
    let uri: Uri = url.parse().map_err(|e| wrong(format!("no URL: {e}")))?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().map_or("", |a| a.as_str());
    if !known || authority.is_empty() {
        return Err(wrong("no http(s) URL with a host".into()));
    }
    if authority.contains('@') {
        return Err(wrong("a machine has no user name or password to send".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{checked, escaped, resolve};

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        let base = "http://h:8/a/b/boot.ipxe?x#y";
        for (reference, whole) in [
            ("vmlinuz", "http://h:8/a/b/vmlinuz"),
            ("./c/d", "http://h:8/a/b/c/d"),
            ("../e", "http://h:8/a/e"),
            ("../../../e", "http://h:8/e"),
            ("..", "http://h:8/a/"),
            ("/f?q=/../", "http://h:8/f?q=/../"),
            ("//i/j", "http://i/j"),
            ("http://i/../j", "http://i/../j"),
            ("a?u=http://x/", "http://h:8/a/b/a?u=http://x/"),
        ] {
            assert_eq!(resolve(base, reference), whole, "{reference}");
        }
        assert_eq!(resolve("http://h", "x"), "http://h/x");
    }

    #[test]
    fn a_plus_travels_as_it_is_and_the_rest_is_escaped() {
        assert_eq!(escaped(b"a/libstdc++ 1%.rpm"), "a/libstdc++%201%25.rpm");
        assert_eq!(escaped("zażółć?#".as_bytes()), "za%C5%BC%C3%B3%C5%82%C4%87%3F%23");
    }

    #[test]
    fn only_plain_urls_are_walked() {
        assert!(checked("http://h/x").is_ok() && checked("https://[::1]:8/x").is_ok());
        for bad in ["ftp://h/", "http://", "http:///x", "h/x", "http://u:p@h/"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
