//! A folder's contents for people and for machines.

use super::date;
use super::request::url_path;
use crate::content::path::TreePath;
use serde_json::json;
use std::fmt::Write;

/// Names in one listing; a folder may hold more, and says so.
pub const MOST: usize = 10_000;

/// What a listing shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Name, without folders.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Seconds since 1970, where known.
    pub modified: Option<i64>,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
}

impl Item {
    /// A folder of that name.
    pub fn folder(name: &[u8]) -> Self {
        Item { name: name.to_vec(), kind: Kind::Folder, modified: None }
    }
}

/// Text as HTML shows it, whatever a medium put into its names: also what would turn the line around.
pub fn escape(text: &str) -> String {
    let mut s = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => s.push_str("&amp;"),
            '<' => s.push_str("&lt;"),
            '>' => s.push_str("&gt;"),
            '"' => s.push_str("&quot;"),
            '\'' => s.push_str("&#39;"),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}') =>
            {
                s.extend(c.escape_unicode());
            }
            c => s.push(c),
        }
    }
    s
}

/// Bytes of a name as text; what is no UTF-8 is shown as such.
fn shown(name: &[u8]) -> String {
    TreePath::new(name)
        .map_or_else(|_| String::from_utf8_lossy(name).into_owned(), |p| p.to_string())
}

/// The page of the folder at `path`.
pub fn html(path: &TreePath, items: &[Item], more: bool) -> String {
    let title = escape(&format!("/{path}"));
    let mut s = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n<table>\n"
    );
    if !path.is_root() {
        s.push_str("<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    for i in items {
        let (slash, size) = match i.kind {
            Kind::Folder => ("/", String::new()),
            Kind::File(n) => ("", n.to_string()),
        };
        let when = i.modified.and_then(date::write).unwrap_or_default();
        // "./" in front: a name with a colon would be taken for a scheme (RFC 3986, 4.2).
        let _ = writeln!(
            s,
            "<tr><td><a href=\"./{}{slash}\">{}{slash}</a></td><td align=\"right\">{size}</td><td>{when}</td></tr>",
            url_path(&i.name),
            escape(&shown(&i.name)),
        );
    }
    s.push_str("</table>\n");
    if more {
        let _ = writeln!(s, "<p>… and more than these {} names.</p>", items.len());
    }
    s + "</body></html>\n"
}

/// The same for machines: `{"path": …, "complete": …, "entries": [{"name", "type", "size"?, "modified"?}]}`.
pub fn json(path: &TreePath, items: &[Item], more: bool) -> String {
    let row = |i: &Item| {
        let mut row = json!({"name": shown(&i.name), "type": "folder"});
        if let Kind::File(n) = i.kind {
            row["type"] = "file".into();
            row["size"] = n.into();
        }
        if let Some(t) = i.modified {
            row["modified"] = t.into();
        }
        row
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    format!("{:#}\n", json!({"path": format!("/{path}"), "complete": !more, "entries": rows}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        let item = |n: &str| Item { name: n.into(), kind: Kind::File(1), modified: None };
        let page =
            html(&"x".parse().expect("path"), &[item("<b>\"&'a b+.c"), item("a:b\u{202e}")], true);
        assert!(
            page.contains(
                "href=\"./%3Cb%3E%22%26%27a%20b%2B.c\">&lt;b&gt;&quot;&amp;&#39;a b+.c</a>"
            ),
            "{page}"
        );
        assert!(page.contains("href=\"./a%3Ab%E2%80%AE\">a:b\\u{202e}</a>"), "{page}");
        assert!(page.contains("more than these 2 names"), "{page}");
        let value: serde_json::Value =
            serde_json::from_str(&json(&TreePath::root(), &[item("a"), Item::folder(b"d")], false))
                .expect("JSON");
        assert_eq!(value["entries"][0], json!({"name": "a", "type": "file", "size": 1}));
        assert_eq!(value["entries"][1]["type"], "folder");
    }
}
