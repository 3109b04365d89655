//! What the lossless documents (SYSLINUX, GRUB, BLS) share: a bound on a text, its lines and words as
//! spans, and edits of spans.

use crate::error::{Error, Result};
use std::ops::Range;

/// Real boot configurations are below 64 KiB; a bound keeps a hostile one from costing time.
pub(crate) const MAX_LEN: usize = 4 << 20;

/// More pairs of words than this are not compared one by one.
const MAX_PAIRS: usize = 1 << 18;

/// A span and what is put in its place.
pub(crate) type Edit = (Range<usize>, String);

/// # Errors
/// `Unsupported` above [`MAX_LEN`], `Corrupt` where there is a NUL: that is no text.
pub(crate) fn check_text(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_LEN {
        return Err(Error::unsupported(format!(
            "a configuration of {} bytes; the limit is {MAX_LEN}",
            bytes.len()
        )));
    }
    match bytes.iter().position(|&b| b == 0) {
        Some(at) => Err(Error::corrupt("a NUL byte: this is no text", at as u64)),
        None => Ok(()),
    }
}

/// A line's spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Without the line end.
    pub text: Range<usize>,
    /// Start of the next line.
    pub next: usize,
}

/// The lines of `bytes`, ended by LF or CR LF, and with `lone_cr` by CR as well.
pub(crate) fn lines(bytes: &[u8], lone_cr: bool) -> Vec<Line> {
    let mut v = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let ends = |&b: &u8| b == b'\n' || (lone_cr && b == b'\r');
        let end = bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n);
        let next = match &bytes[end..] {
            [] => end,
            [b'\r', b'\n', ..] => end + 2,
            _ => end + 1,
        };
        let cr = !lone_cr && bytes[at..end].ends_with(b"\r");
        v.push(Line { text: at..end - usize::from(cr), next });
        at = next;
    }
    v
}

/// How the first line ends; LF where there is none.
pub(crate) fn eol(bytes: &[u8]) -> &'static str {
    match bytes.iter().position(|&b| b == b'\n') {
        Some(n) if n > 0 && bytes[n - 1] == b'\r' => "\r\n",
        _ => "\n",
    }
}

/// The first word of `text`, and what stands behind the white space behind it.
pub(crate) fn first_word(bytes: &[u8], text: Range<usize>) -> (Range<usize>, Range<usize>) {
    let blank = |i: &usize| matches!(bytes[*i], b' ' | b'\t');
    let start = text.clone().find(|i| !blank(i)).unwrap_or(text.end);
    let end = (start..text.end).find(blank).unwrap_or(text.end);
    let rest = (end..text.end).find(|i| !blank(i)).unwrap_or(text.end);
    (start..end, rest..text.end)
}

/// `bytes` with each span replaced. The spans are in order and don't overlap.
pub(crate) fn splice(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + grown);
    let mut at = 0;
    for (span, new) in edits {
        out.extend_from_slice(&bytes[at..span.start]);
        out.extend_from_slice(new.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// A word in a text.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub span: Range<usize>,
    /// First of its line, where nothing stands before it that white space parts it from.
    pub leads: bool,
}

/// The edits that make the words `old`, which stand at `spots`, to `new`: changed words in their
/// place, new ones behind the one before them, and a word that goes takes its white space along.
/// There is at least one word.
///
/// # Errors
/// What `carry` says, which spells a new word for the text.
pub(crate) fn word_edits(
    spots: &[Spot],
    old: &[&str],
    new: &[&str],
    carry: impl Fn(&str) -> Result<String>,
) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for (olds, news) in differences(old, new) {
        let both = olds.len().min(news.len());
        for n in 0..both {
            edits.push((spots[olds.start + n].span.clone(), carry(new[news.start + n])?));
        }
        removals(spots, olds.start + both..olds.end, &mut edits);
        let added: Vec<String> =
            new[news.start + both..news.end].iter().map(|w| carry(w)).collect::<Result<_>>()?;
        if added.is_empty() {
            continue;
        }
        edits.push(match olds.end.checked_sub(1) {
            Some(before) => {
                let at = spots[before].span.end;
                (at..at, format!(" {}", added.join(" ")))
            }
            None => {
                let at = spots[0].span.start;
                (at..at, format!("{} ", added.join(" ")))
            }
        });
    }
    Ok(edits)
}

/// Takes words away, line by line: each with the white space before it, the first of a line with that
/// behind it.
fn removals(spots: &[Spot], gone: Range<usize>, edits: &mut Vec<Edit>) {
    let mut i = gone.start;
    while i < gone.end {
        let next_line = (i + 1..spots.len()).find(|&n| spots[n].leads).unwrap_or(spots.len());
        let to = gone.end.min(next_line);
        let last = spots[to - 1].span.end;
        let span = match spots[i].leads {
            true if to < next_line => spots[i].span.start..spots[to].span.start,
            true => spots[i].span.start..last,
            false => spots[i - 1].span.end..last,
        };
        edits.push((span, String::new()));
        i = to;
    }
}

/// Where two lists of words differ: pairs of ranges, by the longest common subsequence.
fn differences(old: &[&str], new: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (o, n) = (&old[head..], &new[head..]);
    let tail = o.iter().rev().zip(n.iter().rev()).take_while(|(a, b)| a == b).count();
    let (o, n) = (&o[..o.len() - tail], &n[..n.len() - tail]);
    if o.is_empty() && n.is_empty() {
        return Vec::new();
    }
    if o.len().saturating_mul(n.len()) > MAX_PAIRS {
        return vec![(head..head + o.len(), head..head + n.len())];
    }
    let width = n.len() + 1;
    let mut lcs = vec![0u32; (o.len() + 1) * width];
    for i in (0..o.len()).rev() {
        for j in (0..n.len()).rev() {
            lcs[i * width + j] = if o[i] == n[j] {
                lcs[(i + 1) * width + j + 1] + 1
            } else {
                lcs[(i + 1) * width + j].max(lcs[i * width + j + 1])
            };
        }
    }
    let mut out = Vec::new();
    let (mut i, mut j, mut from) = (0, 0, (0, 0));
    loop {
        let done = i == o.len() && j == n.len();
        let same = i < o.len() && j < n.len() && o[i] == n[j];
        if (done || same) && (i, j) != from {
            out.push((head + from.0..head + i, head + from.1..head + j));
        }
        if done {
            return out;
        }
        if same {
            (i, j) = (i + 1, j + 1);
            from = (i, j);
        } else if j == n.len()
            || (i < o.len() && lcs[(i + 1) * width + j] >= lcs[i * width + j + 1])
        {
            i += 1;
        } else {
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_replaced_in_the_old_text() {
        let edits = [(0..1, "xy".into()), (2..2, "-".into()), (3..4, String::new())];
        assert_eq!(splice(b"abcd", &edits), b"xyb-c");
    }

    #[test]
    fn lines_end_as_their_loader_ends_them() {
        let got = |t: &str, cr| {
            let l = lines(t.as_bytes(), cr);
            l.iter().map(|l| t[l.text.clone()].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(got("a\r\nb\n\nc", false), ["a", "b", "", "c"]);
        assert_eq!(got("a\rb\r\nc\r", false), ["a\rb", "c"]);
        assert_eq!(got("a\rb\r\nc\r", true), ["a", "b", "c"]);
        assert_eq!(got("\r\n\r", true), ["", ""]);
    }

    /// Words parted by spaces, lines by `/`.
    #[test]
    fn a_word_that_goes_takes_its_white_space_along() {
        let edit = |text: &str, new: &str| {
            let mut spots = Vec::new();
            let mut leads = true;
            let mut at = 0;
            for w in text.split_inclusive([' ', '/']) {
                let word = w.trim_end_matches([' ', '/']);
                if !word.is_empty() {
                    spots.push(Spot { span: at..at + word.len(), leads });
                    leads = false;
                }
                leads |= w.ends_with('/');
                at += w.len();
            }
            let old: Vec<&str> = spots.iter().map(|s| &text[s.span.clone()]).collect();
            let new: Vec<&str> = new.split(' ').filter(|w| !w.is_empty()).collect();
            let e = word_edits(&spots, &old, &new, |w| Ok(w.to_owned())).expect("edits");
            String::from_utf8(splice(text.as_bytes(), &e)).expect("text")
        };
        assert_eq!(edit("a  b c", "a c"), "a c");
        assert_eq!(edit("a  b c", "b c"), "b c");
        assert_eq!(edit("a b/c d", "a d"), "a/d");
        assert_eq!(edit("a b/c d", "a b"), "a b/");
        assert_eq!(edit("a b/c", "x a b c y"), "x a b/c y");
        assert_eq!(edit("a b/c", "a b n c"), "a b n/c");
        assert_eq!(edit("a  b", "a z"), "a  z");
        assert_eq!(edit("a b", ""), "");
    }
}
