//! Request heads: RFC 9112 (message syntax), RFC 9110 (what the fields mean), RFC 3986 (targets). Bodies
//! are not read: nothing here takes one, and the connection ends after the answer.

use crate::content::path::TreePath;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, or what else it said.
    pub method: String,
    /// The target as sent, for the log.
    pub target: String,
    /// The path it names; `None` where it names nothing that a tree can hold.
    pub path: Option<TreePath>,
    /// Whether the path ends in a slash: a folder is meant.
    pub folder: bool,
    /// What the fields say that matter for a file.
    pub wants: Wants,
    /// Whether the connection goes on afterwards.
    pub keep_alive: bool,
}

/// The fields that decide what of a file is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// `Range`.
    pub range: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<String>,
    /// `Accept` names JSON, or the query says `json`.
    pub json: bool,
}

/// Parses a head that ends in an empty line. `Ok(None)`: not complete yet.
///
/// # Errors
/// What is wrong with it.
pub fn parse(head: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut r = httparse::Request::new(&mut headers);
    let used = match r.parse(head) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("malformed request"),
    };
    let newer = r.version == Some(1);
    let mut wants = Wants::default();
    let (mut hosts, mut body, mut close, mut keep) = (0, false, false, false);
    // Lists may come in several fields of a name, and mean the same as in one (RFC 9110, 5.3).
    let join = |slot: &mut Option<String>, v: &str| match slot {
        Some(s) => {
            s.push(',');
            s.push_str(v);
        }
        None => *slot = Some(v.to_owned()),
    };
    for h in r.headers.iter() {
        let is = |name: &str| h.name.eq_ignore_ascii_case(name);
        let Ok(v) = std::str::from_utf8(h.value) else { continue };
        match h.name.len() {
            4 if is("host") => hosts += 1,
            5 if is("range") => join(&mut wants.range, v),
            6 if is("accept") => wants.json |= v.contains("application/json"),
            8 if is("if-range") => join(&mut wants.if_range, v),
            8 if is("if-match") => join(&mut wants.if_match, v),
            10 if is("connection") => {
                for w in v.split(',').map(str::trim) {
                    close |= w.eq_ignore_ascii_case("close");
                    keep |= w.eq_ignore_ascii_case("keep-alive");
                }
            }
            13 if is("if-none-match") => join(&mut wants.if_none_match, v),
            14 if is("content-length") => body |= v.trim() != "0",
            17 if is("transfer-encoding") => body = true,
            17 if is("if-modified-since") => join(&mut wants.if_modified_since, v),
            19 if is("if-unmodified-since") => join(&mut wants.if_unmodified_since, v),
            _ => {}
        }
    }
    // RFC 9112, 3.2: none, or more than one, is 400.
    if newer && hosts != 1 {
        return Err(if hosts == 0 { "no Host header" } else { "more than one Host header" });
    }
    let target = r.path.unwrap_or("/").to_string();
    let (path, folder) = tree_path(&target);
    wants.json |= target.split_once('?').is_some_and(|(_, q)| q == "json");
    let request = Request {
        method: r.method.unwrap_or("").to_string(),
        path,
        folder,
        target,
        wants,
        // What follows a body can't be told from it.
        keep_alive: !body && if newer { !close } else { keep && !close },
    };
    Ok(Some((request, used)))
}

/// The path that a request target names, and whether it names a folder. Dot segments are resolved, because
/// iPXE builds without `${cwduri}` ask for `/tree/boot.ipxe/../vmlinuz`; they end at the root. A `+` is a
/// plus: only forms write a space so.
fn tree_path(target: &str) -> (Option<TreePath>, bool) {
    let mut path = target.split(['?', '#']).next().unwrap_or("");
    if !path.starts_with('/') {
        // The form for proxies (RFC 9112, 3.2.2), which a server has to take too.
        let Some((_, rest)) = path.split_once("://") else { return (None, false) };
        path = rest.find('/').map_or("/", |i| &rest[i..]);
    }
    let Some(bytes) = percent_decode(path) else { return (None, false) };
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut folder = true;
    for part in bytes.split(|&b| b == b'/') {
        folder = matches!(part, b"" | b"." | b"..");
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    (TreePath::new(parts.join(&b'/')).ok(), folder)
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
        let digit = |b: &u8| char::from(*b).to_digit(16);
        let byte = digit(rest.first()?)? * 16 + digit(rest.get(1)?)?;
        out.push(u8::try_from(byte).ok()?);
        rest = &rest[2..];
    }
    Some(out)
}

/// `path` as a URL spells it, from the root: what is not plain is escaped, a slash is not.
pub fn url_path(path: &[u8]) -> String {
    use std::fmt::Write;
    let mut s = String::with_capacity(path.len() + 1);
    for &b in path {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                s.push(char::from(b));
            }
            _ => {
                let _ = write!(s, "%{b:02X}");
            }
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(target: &str) -> Option<String> {
        tree_path(target).0.map(|p| p.to_string())
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
            ("http://host:1", Some("")),
            ("/x://y/z", Some("x:/y/z")),
            ("/gcc-c%2B%2b.rpm", Some("gcc-c++.rpm")),
            ("/caf%C3%A9", Some("caf\u{e9}")),
            ("/", Some("")),
            ("/dir/", Some("dir")),
            ("*", None),
            ("host:80", None),
            ("/a%0ab", None),
            ("/a%00", None),
            ("/a%zz", None),
            ("/a%+1", None),
            ("/a%2", None),
        ] {
            assert_eq!(path(target).as_deref(), want, "{target}");
        }
        for (target, folder) in [
            ("/", true),
            ("/a", false),
            ("/a/", true),
            ("/a/.", true),
            ("/a/..", true),
            ("/a?/", false),
        ] {
            assert_eq!(tree_path(target).1, folder, "{target}");
        }
    }

    #[test]
    fn heads() {
        let all = |s: &str| parse(s.as_bytes()).map(|r| r.map(|(r, n)| (r.keep_alive, n)));
        assert_eq!(all("GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None));
        assert_eq!(all("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"), Ok(Some((true, 27))));
        assert_eq!(all("GET / HTTP/1.0\r\n\r\n"), Ok(Some((false, 18))));
        assert_eq!(all("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Ok(Some((true, 42))));
        assert_eq!(
            all("GET / HTTP/1.1\r\nHost: x\r\nConnection: a, close\r\n\r\n"),
            Ok(Some((false, 49)))
        );
        assert_eq!(
            all("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"),
            Ok(Some((false, 46)))
        );
        assert!(all("GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(all("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n").is_err());
        assert!(all("\x16\x03\x01\r\n\r\n").is_err());
        let text = "GET /?json HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: 5-6\r\nIf-Range: \"x\"\r\n\r\n";
        let (r, _) = parse(text.as_bytes()).expect("parses").expect("whole");
        assert_eq!(r.wants.range.as_deref(), Some("bytes=0-1,5-6"));
        assert_eq!(r.wants.if_range.as_deref(), Some("\"x\""));
        assert!(r.wants.json);
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read(raw in prop::collection::vec(0x20u8..=0xff, 1..40)) {
            let Ok(p) = TreePath::new(&raw) else { return Ok(()) };
            prop_assume!(!p.is_root());
            let (back, _) = tree_path(&format!("/{}", url_path(p.as_bytes())));
            prop_assert_eq!(back, Some(p));
        }
    }
}
