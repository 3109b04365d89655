//! Edits of a text by spans: what makes the lossless documents lossless.

use std::ops::Range;

/// `bytes` with each span replaced. The spans are in order and don't overlap.
pub(crate) fn splice(bytes: &[u8], edits: &[(Range<usize>, String)]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    #[test]
    fn each_span_is_replaced_in_the_old_text() {
        let edits = [(0..1, "xy".into()), (2..2, "-".into()), (3..4, String::new())];
        assert_eq!(super::splice(b"abcd", &edits), b"xyb-c");
    }
}
