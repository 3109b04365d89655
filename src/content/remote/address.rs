//! Where an image lies on the network: `http://`, `https://` and `s3://` addresses (RFC 3986).
//!
//! A password and what stands behind `?` are for the server alone: whatever is printed or written comes from
//! [`Address::shown`].

use crate::error::{Error, Result};
use std::fmt;

/// How it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scheme {
    Http,
    Https,
    S3,
}

impl Scheme {
    fn of(text: &str) -> Option<(Scheme, &str)> {
        let (name, rest) = text.split_once("://")?;
        let known = [("http", Scheme::Http), ("https", Scheme::Https), ("s3", Scheme::S3)];
        let scheme = known.into_iter().find(|(n, _)| name.eq_ignore_ascii_case(n))?.1;
        Some((scheme, rest))
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::S3 => "s3",
        }
    }
}

/// An address, with the secrets that were written into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    /// `host:port`.
    authority: String,
    /// From the first `/` on, up to the query.
    path: String,
    /// Without the `?`.
    query: Option<String>,
    /// `user:password`, decoded.
    user: Option<Vec<u8>>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Address {
    /// True for what is meant as an address and not as a path.
    pub fn is_one(text: &str) -> bool {
        Scheme::of(text).is_some()
    }

    /// Reads an address. Spaces and letters beyond ASCII are encoded.
    ///
    /// # Errors
    /// `Usage` without a host, or for a scheme that is not ours.
    pub fn parse(text: &str) -> Result<Address> {
        let bad = |why: &str| {
            Error::usage(format!("the address {why}"))
                .hint("write it as https://host/path/some.iso")
        };
        let (scheme, rest) =
            Scheme::of(text).ok_or_else(|| bad("is none of http://, https://, s3://"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (before, query) = match rest.split_once('?') {
            Some((b, q)) => (b, Some(encoded(q))),
            None => (rest, None),
        };
        let (authority, path) = before.split_at(before.find('/').unwrap_or(before.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(decoded(user)), host),
            None => (None, authority),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if host.is_empty() || host.starts_with(':') || !host.bytes().all(plain) {
            return Err(bad("has no host that can be asked"));
        }
        let path = if path.is_empty() { "/".to_owned() } else { encoded(path) };
        Ok(Address { scheme, authority: host.to_owned(), path, query, user })
    }

    /// How it is fetched.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `host:port`; of `s3://` the bucket.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path from its first `/` on, as it goes to the server.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path without the first `/`, decoded: the key of an `s3://` address.
    pub fn key(&self) -> String {
        String::from_utf8_lossy(&decoded(self.path.trim_start_matches('/'))).into_owned()
    }

    /// What the server is asked for: all but user and password.
    pub fn url(&self) -> String {
        let query = self.query.as_ref().map_or_else(String::new, |q| format!("?{q}"));
        format!("{}://{}{}{query}", self.scheme.name(), self.authority, self.path)
    }

    /// The address as it may be seen by anybody: no user, no password, and no query, which often is a
    /// signature.
    pub fn shown(&self) -> String {
        let query = if self.query.is_some() { "?…" } else { "" };
        format!("{}://{}{}{query}", self.scheme.name(), self.authority, self.path)
    }

    /// The value of an `Authorization` header (RFC 7617), where a user stands in the address.
    pub fn authorization(&self) -> Option<String> {
        Some(format!("Basic {}", base64(self.user.as_deref()?)))
    }

    /// Where a `Location` leads from here (RFC 3986, section 5.2). User and password go along only to the
    /// same host, port and scheme.
    ///
    /// # Errors
    /// `Remote` where it leads from https to http, or nowhere.
    pub fn follow(&self, location: &str) -> Result<Address> {
        let here = |rest: &str| format!("{}://{}{rest}", self.scheme.name(), self.authority);
        let absolute = match location {
            l if l.contains("://") && !l.starts_with('/') => l.to_owned(),
            l if l.starts_with("//") => format!("{}:{l}", self.scheme.name()),
            l if l.starts_with('/') => here(l),
            l => here(&format!("{}/{l}", self.path.rsplit_once('/').map_or("", |(dir, _)| dir))),
        };
        let remote = |what: &str| Error::new(crate::ErrorKind::Remote, what);
        let mut to = Address::parse(&absolute)
            .map_err(|_| remote("is redirected to what is no http(s) address"))?;
        match (self.scheme, to.scheme) {
            (Scheme::Https, Scheme::Http) => {
                return Err(remote("is redirected from https to http, which anybody could alter")
                    .hint("give the http address itself, if that is meant"));
            }
            (_, Scheme::S3) => return Err(remote("is redirected to what is no http(s) address")),
            _ => {}
        }
        let same = to.scheme == self.scheme && to.authority == self.authority;
        to.user = self.user.clone().filter(|_| same);
        Ok(to)
    }
}

/// Bytes that may not stand in a URL become `%XX`; what is encoded already stays.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut s, b| {
        match b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b) {
            true => s.push(char::from(b)),
            false => s.push_str(&format!("%{b:02X}")),
        }
        s
    })
}

fn decoded(text: &str) -> Vec<u8> {
    let b = text.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut at = 0;
    while at < b.len() {
        let hex = text.get(at + 1..at + 3).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        match (b[at], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            match i <= three.len() {
                true => out.push(char::from(DIGITS[(n >> (18 - 6 * i) & 63) as usize])),
                false => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_for_the_server_alone() {
        let a = Address::parse("HTTPS://me:se%40cret@h:8443/a b/ü.iso?sig=geheim#part").expect("a");
        assert_eq!(a.url(), "https://h:8443/a%20b/%C3%BC.iso?sig=geheim");
        assert_eq!(a.shown(), "https://h:8443/a%20b/%C3%BC.iso?…");
        assert_eq!(format!("{a:?} {a}"), format!("{0} {0}", a.shown()));
        // printf 'me:se@cret' | base64
        assert_eq!(a.authorization().as_deref(), Some("Basic bWU6c2VAY3JldA=="));
        assert_eq!(Address::parse("s3://bucket/a/b%20c.iso").expect("s3").key(), "a/b c.iso");
    }

    #[test]
    fn base64_is_as_in_the_rfc() {
        // RFC 4648, section 10.
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn redirects_lead_on_but_not_down() {
        let a = Address::parse("https://u:p@h/dir/a.iso?q").expect("address");
        for (location, url, keeps) in [
            ("b.iso", "https://h/dir/b.iso", true),
            ("/x/b.iso?y=1", "https://h/x/b.iso?y=1", true),
            ("//other/b", "https://other/b", false),
            ("https://h/c", "https://h/c", true),
            ("https://h:444/c", "https://h:444/c", false),
        ] {
            let to = a.follow(location).expect(location);
            assert_eq!((to.url().as_str(), to.authorization().is_some()), (url, keeps));
        }
        for bad in ["http://h/a.iso", "ftp://h/a", "s3://b/k", "https:///x"] {
            assert_eq!(a.follow(bad).expect_err(bad).kind(), crate::ErrorKind::Remote);
        }
    }

    #[test]
    fn what_has_no_host_is_told() {
        for bad in ["http://", "http:///x", "http://:80/x", "ftp://h/x", "http://h h/x", "a.iso"] {
            assert_eq!(Address::parse(bad).expect_err(bad).kind(), crate::ErrorKind::Usage);
        }
        assert!(Address::is_one("S3://b/k") && !Address::is_one("dir/a.iso"));
    }
}
