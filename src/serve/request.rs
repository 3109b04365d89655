//! Request heads: RFC 9112 (message syntax), RFC 9110 section 14 (ranges), RFC 3986 (targets).
//! Not supported, on purpose: request bodies, several ranges in one request, conditional requests
//! other than being careful with `If-Range`.

use crate::content::path::TreePath;
use std::ops::Range;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, or what else it said.
    pub method: String,
    /// The target as sent, for the log.
    pub target: String,
    /// The path it names; `None` where it names nothing that a tree can hold.
    pub path: Option<TreePath>,
    /// The `Range` header, where it is to be honoured.
    pub range: Option<String>,
    /// Whether the connection goes on afterwards.
    pub keep_alive: bool,
}

/// Parses a head that ends in an empty line. `Ok(None)`: not complete yet.
pub fn parse(head: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut r = httparse::Request::new(&mut headers);
    let used = match r.parse(head) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("malformed request"),
    };
    let newer = r.version == Some(1);
    let get = |name: &str| {
        r.headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name))
            .and_then(|h| std::str::from_utf8(h.value).ok())
    };
    if newer && get("host").is_none() {
        return Err("no Host header");
    }
    let says = |word: &str| {
        get("connection").is_some_and(|v| v.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
    };
    // A body is never read, so what follows one can't be told from it.
    let body = get("transfer-encoding").is_some()
        || get("content-length").is_some_and(|v| v.trim() != "0");
    let target = r.path.unwrap_or("/").to_string();
    let request = Request {
        method: r.method.unwrap_or("").to_string(),
        path: tree_path(&target),
        target,
        // We give no validators, so nothing that If-Range names can be what we have.
        range: if get("if-range").is_some() { None } else { get("range").map(str::to_string) },
        keep_alive: !body && if newer { !says("close") } else { says("keep-alive") },
    };
    Ok(Some((request, used)))
}

/// The path that a request target names. Dot segments are resolved, because iPXE builds without
/// `${cwduri}` ask for `/tree/boot.ipxe/../vmlinuz`; they end at the root.
fn tree_path(target: &str) -> Option<TreePath> {
    let no_query = target.split(['?', '#']).next().unwrap_or("");
    let path = match no_query.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => no_query,
    };
    let bytes = percent_decode(path)?;
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in bytes.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    if bytes.ends_with(b"/") {
        return None; // a folder, and folders are not listed
    }
    TreePath::new(parts.join(&b'/')).ok()
}

fn percent_decode(s: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(s.len());
    let mut rest = s.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b != b'%' {
            out.push(b);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    Some(out)
}

/// What a `Range` header asks of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: no range, or one that may be ignored.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it doesn't have.
    Outside,
}

/// Reads a `Range` header for a file of `len` bytes.
pub fn asked(range: Option<&str>, len: u64) -> Asked {
    let Some(spec) = range.and_then(|r| r.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((from, to)) = spec.trim().split_once('-') else { return Asked::Whole };
    let number = |s: &str| -> Option<u64> {
        s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse().ok()).flatten()
    };
    match (from, to) {
        ("", n) => match number(n) {
            None => Asked::Whole,
            Some(0) => Asked::Outside,
            Some(_) if len == 0 => Asked::Outside,
            Some(n) => Asked::Part(len.saturating_sub(n)..len),
        },
        (from, to) => {
            let end = if to.is_empty() { Some(u64::MAX) } else { number(to) };
            match (number(from), end) {
                (Some(a), Some(b)) if a <= b && a < len => {
                    Asked::Part(a..b.saturating_add(1).min(len))
                }
                (Some(a), Some(b)) if a <= b => Asked::Outside,
                _ => Asked::Whole,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Option<String> {
        tree_path(target).map(|p| p.to_string())
    }

    #[test]
    fn targets_become_paths_and_never_leave_the_root() {
        for (target, want) in [
            ("/boot.ipxe", Some("boot.ipxe")),
            ("/x/boot.ipxe/../repo/.treeinfo", Some("x/repo/.treeinfo")),
            ("/../../etc/passwd", Some("etc/passwd")),
            ("/%2e%2e/%2e%2e/etc/passwd", Some("etc/passwd")),
            ("/a%2f..%2f..%2fb", Some("b")),
            ("//a///b?x=/../y#z", Some("a/b")),
            ("http://host:1/a%20b/c+d", Some("a b/c+d")),
            ("/caf%C3%A9", Some("caf\u{e9}")),
            ("/", None),
            ("/dir/", None),
            ("/a%0ab", None),
            ("/a%00", None),
            ("/a%zz", None),
            ("/a%+1", None),
            ("/a%2", None),
        ] {
            assert_eq!(path(target).as_deref(), want, "{target}");
        }
    }

    #[test]
    fn ranges() {
        for (range, want) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=5-", Asked::Part(5..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=8-99999999999999999999", Asked::Whole),
            ("bytes=8-18446744073709551615", Asked::Part(8..10)),
            ("bytes=10-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ] {
            assert_eq!(asked(Some(range), 10), want, "{range}");
        }
        assert_eq!(asked(Some("bytes=-1"), 0), Asked::Outside);
        assert_eq!(asked(None, 0), Asked::Whole);
    }

    #[test]
    fn heads() {
        let one = |s: &str| parse(s.as_bytes());
        let (r, n) = one("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b").expect("ok").expect("whole");
        assert_eq!((r.method.as_str(), r.target.as_str(), n), ("GET", "/a", 28));
        assert!(r.keep_alive && r.range.is_none());
        assert_eq!(one("GET /a HTTP/1.1\r\nHost").expect("so far"), None);
        assert!(one("GET /a HTTP/1.1\r\n\r\n").is_err(), "no Host");
        assert!(one("nonsense\r\n\r\n").is_err());
        let (r, _) = one("GET /a HTTP/1.0\r\n\r\n").expect("ok").expect("whole");
        assert!(!r.keep_alive);
        let body = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        assert!(!one(body).expect("ok").expect("whole").0.keep_alive);
        let maybe = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nIf-Range: \"e\"\r\n\r\n";
        assert_eq!(one(maybe).expect("ok").expect("whole").0.range, None);
    }
}
