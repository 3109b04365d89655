//! Answers: a status line, a few fields, and the rope of bytes to send.

use super::date;
use super::listing;
use super::range::{Asked, asked};
use super::request::{Request, Wants, url_path};
use super::site::{File, Found, Site};
use crate::content::Content;
use crate::content::path::TreePath;
use std::fmt::Write;
use std::ops::Range;

/// What is to be sent.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Status line and fields, to the empty line.
    pub head: Vec<u8>,
    /// What follows.
    pub body: Content,
}

/// What is the same for all answers of a moment.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is served.
    pub site: &'a Site,
    /// Seconds since 1970, where a clock was given.
    pub now: Option<i64>,
    /// Whether the connection may go on.
    pub keep_alive: bool,
}

/// Answers one request.
pub fn answer(request: &Request, cx: Context<'_>) -> Answer {
    let mut a = match request.method.as_str() {
        "GET" | "HEAD" => resource(request, cx),
        _ => refusal(405, "only GET and HEAD", cx),
    };
    if request.method == "HEAD" {
        // The fields are those of a GET (RFC 9110, 9.3.2).
        a.body = Content::empty();
    }
    a
}

fn resource(request: &Request, cx: Context<'_>) -> Answer {
    let Some(path) = &request.path else { return refusal(404, "not here", cx) };
    match cx.site.find(path) {
        Ok(Found::File(f)) if !request.folder => file(request, &f, cx),
        Ok(Found::Folder) if request.folder => folder(request, path, cx),
        Ok(Found::Folder) => {
            let query =
                request.target.split_once('?').map_or(String::new(), |(_, q)| format!("?{q}"));
            let to = format!("/{}/{query}", url_path(path.as_bytes()));
            text(301, "it is a folder: with a slash", &format!("Location: {to}\r\n"), cx)
        }
        Ok(Found::Page(at)) => match cx.site.page(&at, request.wants.json) {
            Some(p) => {
                let more = format!("Content-Type: {}\r\nCache-Control: no-store\r\n", p.media_type);
                whole(200, &more, p.body.into(), cx)
            }
            None => refusal(404, "not here", cx),
        },
        Ok(_) => refusal(404, "not here", cx),
        Err(_) => refusal(500, "can't be read", cx),
    }
}

fn folder(request: &Request, path: &TreePath, cx: Context<'_>) -> Answer {
    let Ok((items, more)) = cx.site.list(path) else { return refusal(500, "can't be read", cx) };
    let (kind, body) = match request.wants.json {
        true => ("application/json", listing::json(path, &items, more)),
        false => ("text/html; charset=utf-8", listing::html(path, &items, more)),
    };
    whole(200, &format!("Content-Type: {kind}\r\nVary: Accept\r\n"), body.into(), cx)
}

/// What the conditions of a request leave to be done; RFC 9110, 13.2.2, in its order.
#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// Send it.
    Go,
    /// The client has it: 304.
    Same,
    /// It is not what the client means: 412.
    Failed,
}

fn condition(w: &Wants, tag: &str, modified: Option<i64>) -> Condition {
    if let Some(m) = &w.if_match {
        if !lists(m, tag, false) {
            return Condition::Failed;
        }
    } else if let (Some(then), Some(t)) =
        (w.if_unmodified_since.as_deref().and_then(date::read), modified)
        && t > then
    {
        return Condition::Failed;
    }
    if let Some(m) = &w.if_none_match {
        if lists(m, tag, true) {
            return Condition::Same;
        }
    } else if let (Some(then), Some(t)) =
        (w.if_modified_since.as_deref().and_then(date::read), modified)
        && t <= then
    {
        return Condition::Same;
    }
    Condition::Go
}

/// Whether a list of tags holds ours, which is strong. Compared weakly, `W/` in front does not matter.
fn lists(list: &str, tag: &str, weakly: bool) -> bool {
    let strip = |t: &'_ str| -> String {
        match weakly {
            true => t.strip_prefix("W/").unwrap_or(t).to_owned(),
            false => t.to_owned(),
        }
    };
    // Ours hold no comma, so that one in a foreign tag does no harm.
    list.trim() == "*" || list.split(',').any(|t| strip(t.trim()) == tag)
}

/// Whether a range may be sent: RFC 9110, 13.1.5. A date must be exactly ours.
fn range_holds(w: &Wants, tag: &str, modified: Option<i64>) -> bool {
    match w.if_range.as_deref().map(str::trim) {
        None => true,
        Some(t) if t.starts_with('"') => t == tag,
        Some(t) => modified.is_some() && date::read(t) == modified,
    }
}

fn file(request: &Request, f: &File, cx: Context<'_>) -> Answer {
    let w = &request.wants;
    let mut about = format!("ETag: {}\r\n", f.tag);
    if let Some(t) = f.modified.and_then(date::write) {
        let _ = write!(about, "Last-Modified: {t}\r\n");
    }
    match condition(w, &f.tag, f.modified) {
        Condition::Go => {}
        Condition::Same => return head_only(304, &about, cx),
        Condition::Failed => return refusal(412, "it is not what was meant", cx),
    }
    let len = f.content.len();
    // Ranges are defined for GET only (14.2).
    let range = (request.method == "GET" && range_holds(w, &f.tag, f.modified))
        .then_some(w.range.as_deref());
    let typed = format!("{about}Accept-Ranges: bytes\r\nContent-Type: {}\r\n", f.media_type);
    match asked(range.flatten(), len) {
        Asked::Whole => whole(200, &typed, f.content.clone(), cx),
        Asked::Part(r) => match f.content.slice(r.clone()) {
            Ok(part) => {
                whole(206, &format!("{typed}Content-Range: {}\r\n", said(&r, len)), part, cx)
            }
            Err(_) => refusal(500, "can't be read", cx),
        },
        Asked::Parts(parts) => several(f, &about, &parts, cx),
        Asked::Outside => {
            let more = format!("Content-Range: bytes */{len}\r\n");
            text(416, "it has no such bytes", &more, cx)
        }
    }
}

fn said(r: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", r.start, r.end - 1)
}

/// `multipart/byteranges`: RFC 9110, 14.6. The tag is as good a boundary as any: 128 bits that the file was
/// not written to hold.
fn several(f: &File, about: &str, parts: &[Range<u64>], cx: Context<'_>) -> Answer {
    let boundary = f.tag.trim_matches('"');
    let mut rope = Vec::with_capacity(parts.len() * 2 + 1);
    for r in parts {
        let Ok(bytes) = f.content.slice(r.clone()) else {
            return refusal(500, "can't be read", cx);
        };
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
            f.media_type,
            said(r, f.content.len())
        );
        rope.push(head.into());
        rope.push(bytes);
    }
    rope.push(format!("\r\n--{boundary}--\r\n").into());
    let more = format!(
        "{about}Accept-Ranges: bytes\r\nContent-Type: multipart/byteranges; boundary={boundary}\r\n"
    );
    whole(206, &more, Content::concat(rope), cx)
}

fn whole(status: u16, more: &str, body: Content, cx: Context<'_>) -> Answer {
    let head = format!("{}{more}Content-Length: {}\r\n\r\n", start(status, cx), body.len());
    Answer { status, head: head.into_bytes(), body }
}

fn head_only(status: u16, more: &str, cx: Context<'_>) -> Answer {
    let head = format!("{}{more}\r\n", start(status, cx));
    Answer { status, head: head.into_bytes(), body: Content::empty() }
}

/// A status and one line of text.
pub fn refusal(status: u16, why: &str, cx: Context<'_>) -> Answer {
    text(status, why, if status == 405 { "Allow: GET, HEAD\r\n" } else { "" }, cx)
}

fn text(status: u16, why: &str, more: &str, cx: Context<'_>) -> Answer {
    let more = format!("{more}Content-Type: text/plain; charset=utf-8\r\n");
    whole(status, &more, format!("{why}\n").into(), cx)
}

fn start(status: u16, cx: Context<'_>) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        _ => "Internal Server Error",
    };
    // HTTP/1.0 clients that asked for it are told too; for others it is the default.
    let connection = if cx.keep_alive { "keep-alive" } else { "close" };
    let mut s = format!("HTTP/1.1 {status} {reason}\r\nConnection: {connection}\r\n");
    if let Some(d) = cx.now.and_then(date::write) {
        let _ = write!(s, "Date: {d}\r\n");
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_the_standard() {
        let (tag, at) = ("\"aa\"", 784_111_777);
        let (then, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        let w = |f: &dyn Fn(&mut Wants)| {
            let mut w = Wants::default();
            f(&mut w);
            condition(&w, tag, Some(at))
        };
        let s = |t: &str| Some(t.to_owned());
        use Condition::*;
        for (got, want, what) in [
            (w(&|_| ()), Go, "none"),
            (w(&|w| w.if_match = s("\"aa\"")), Go, "match"),
            (w(&|w| w.if_match = s("*")), Go, "match any"),
            (w(&|w| w.if_match = s("\"bb\", \"aa\"")), Go, "match second"),
            (w(&|w| w.if_match = s("\"bb\"")), Failed, "no match"),
            (w(&|w| w.if_match = s("W/\"aa\"")), Failed, "a weak tag never matches strongly"),
            (w(&|w| w.if_none_match = s("\"aa\"")), Same, "none match"),
            (w(&|w| w.if_none_match = s("W/\"aa\"")), Same, "weakly the same"),
            (w(&|w| w.if_none_match = s("*")), Same, "none match any"),
            (w(&|w| w.if_none_match = s("\"bb\"")), Go, "another"),
            (w(&|w| w.if_modified_since = s(then)), Same, "not since"),
            (w(&|w| w.if_modified_since = s(before)), Go, "since"),
            (w(&|w| w.if_modified_since = s("yesterday")), Go, "no date"),
            (w(&|w| w.if_unmodified_since = s(then)), Go, "unmodified"),
            (w(&|w| w.if_unmodified_since = s(before)), Failed, "modified"),
            (
                w(&|w| (w.if_none_match, w.if_modified_since) = (s("\"bb\""), s(then))),
                Go,
                "the tag goes before the date",
            ),
            (
                w(&|w| (w.if_match, w.if_unmodified_since) = (s("\"aa\""), s(before))),
                Go,
                "here too",
            ),
            (w(&|w| (w.if_match, w.if_none_match) = (s("\"aa\""), s("\"aa\""))), Same, "both"),
        ] {
            assert_eq!(got, want, "{what}");
        }
        let holds = |v: &str| {
            let w = Wants { if_range: s(v), ..Wants::default() };
            range_holds(&w, tag, Some(at))
        };
        assert!(holds("\"aa\"") && holds(then));
        assert!(!holds("W/\"aa\"") && !holds("\"bb\"") && !holds(before) && !holds("x"));
    }
}
