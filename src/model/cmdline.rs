//! The kernel command line, split as the kernel splits it, edited word by word.
//!
//! Source: `lib/cmdline.c` (`next_arg`) and `kernel/params.c` (`parse_args`, `parameq`) of Linux: a
//! double quote protects white space and may open at the word or at its value; keys are the same
//! whether written with `-` or `_`; `--` ends what the kernel reads, the rest is init's. `---` is the
//! Debian installer's: what stands behind it is copied to the installed system, and the kernel reads
//! it too.
//!
//! The text is kept as it came: words are spans of it, and an edit changes only its own span. Not
//! supported: byte 0xA0, which the kernel takes for a space also inside a UTF-8 character.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Longer than any boot loader hands over, short enough that nothing here takes long.
const MAX_LEN: usize = 1 << 20;

/// Who reads a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// The kernel, and with it the installer.
    Kernel,
    /// As `Kernel`, and the Debian installer copies it to the installed system.
    Target,
    /// Behind `--`: init alone.
    Init,
    /// `--` or `---` itself.
    Separator,
}

/// One word as the kernel takes it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// As it stands on the line, with its quotes.
    pub raw: &'a str,
    /// Up to the first `=`, without an opening quote.
    pub key: &'a str,
    /// Behind the first `=`, without the quotes around it; `None` where there is no `=`.
    pub value: Option<&'a str>,
    /// Who reads it.
    pub region: Region,
    /// Bytes of the line that it stands on.
    pub span: Range<usize>,
}

/// A kernel command line. See the module's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline {
    text: String,
}

/// True where the kernel takes both for the same parameter.
pub fn same_key(a: &str, b: &str) -> bool {
    let alike = |(x, y): (u8, u8)| x == y || (matches!(x, b'-' | b'_') && matches!(y, b'-' | b'_'));
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(alike)
}

/// `word` so that the kernel takes it for one word: with white space in it and no quotes yet, its
/// value (or, where the key holds the space, the whole word) is quoted.
///
/// # Errors
/// `Usage` for an empty word, a control byte, or quotes that leave more than one word.
pub fn spell(word: &str) -> Result<String> {
    check(word)?;
    let quoted = match (word.contains(is_space), word.contains('"'), word.split_once('=')) {
        (true, false, Some((key, value))) if !key.contains(is_space) && !key.is_empty() => {
            format!("{key}=\"{value}\"")
        }
        (true, false, _) => format!("\"{word}\""),
        _ => word.to_owned(),
    };
    let whole = split(&quoted).next().is_some_and(|r| r.end == quoted.len() && r.start == 0);
    if !whole || quoted.matches('"').count() % 2 != 0 {
        return Err(Error::usage(format!(
            "\"{}\" is not one kernel argument",
            word.escape_debug()
        ))
        .hint("put the value in double quotes where it holds spaces, and close them"));
    }
    Ok(quoted)
}

fn check(text: &str) -> Result<()> {
    if let Some(c) = text.chars().find(|&c| c != '\t' && (c < ' ' || c == '\x7f')) {
        return Err(Error::usage(format!(
            "a kernel command line can't hold the control character {:?}",
            c
        )));
    }
    if text.len() > MAX_LEN {
        return Err(Error::unsupported(format!(
            "a kernel command line of {} bytes; the limit is {MAX_LEN}",
            text.len()
        )));
    }
    Ok(())
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Spans of the words of `text`: `next_arg` without the taking apart.
fn split(text: &str) -> impl Iterator<Item = Range<usize>> {
    let b = text.as_bytes();
    let space = |i: usize| matches!(b[i], b' ' | b'\t');
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < b.len() && space(at) {
            at += 1;
        }
        let start = at;
        let mut in_quote = false;
        while at < b.len() && (in_quote || !space(at)) {
            in_quote ^= b[at] == b'"';
            at += 1;
        }
        (at > start).then_some(start..at)
    })
}

/// Key and value of one word, as `next_arg` leaves them.
fn take_apart(raw: &str) -> (&str, Option<&str>) {
    let quoted = raw.starts_with('"');
    let args = if quoted { &raw[1..] } else { raw };
    // The kernel's `equals == 0` means "none yet", so a leading '=' belongs to the key.
    let equals = args.bytes().enumerate().skip(1).find(|(_, c)| *c == b'=').map(|(i, _)| i);
    let bare = if quoted { args.strip_suffix('"').unwrap_or(args) } else { args };
    let Some(eq) = equals else { return (bare, None) };
    let value = match args[eq + 1..].strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner),
        None => bare.get(eq + 1..).unwrap_or(""),
    };
    (&args[..eq], Some(value))
}

impl Cmdline {
    /// Takes `text` as it is.
    ///
    /// # Errors
    /// `Usage` for control bytes other than a tab, `Unsupported` for more than 1 MiB.
    pub fn parse(text: &str) -> Result<Self> {
        check(text)?;
        Ok(Cmdline { text: text.to_owned() })
    }

    /// The line as it stands.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where there is no word on it.
    pub fn is_empty(&self) -> bool {
        self.text.trim_matches(is_space).is_empty()
    }

    /// All words in order, separators too.
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        let mut region = Region::Kernel;
        split(&self.text).map(move |span| {
            let raw = &self.text[span.clone()];
            let (key, value) = take_apart(raw);
            let mut here = region;
            if region != Region::Init && value.is_none() {
                match key {
                    "--" => (here, region) = (Region::Separator, Region::Init),
                    "---" if region == Region::Kernel => {
                        (here, region) = (Region::Separator, Region::Target)
                    }
                    _ => {}
                }
            }
            Word { raw, key, value, region: here, span }
        })
    }

    fn named<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Word<'a>> {
        self.words().filter(move |w| same_key(w.key, key))
    }

    /// Each value of `key` that the kernel sees, in order; a word without `=` counts as empty.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.named(key).filter(|w| w.region != Region::Init).map(|w| w.value.unwrap_or(""))
    }

    /// The last value of `key`: the one that holds for a parameter that is given once.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut last = None;
        for w in self.words() {
            if w.region != Region::Init && same_key(w.key, key) {
                last = Some(w.value.unwrap_or(""));
            }
        }
        last
    }

    /// True where `key` is there, with a value or without.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The device that will be `/dev/console`: the last `console=`.
    pub fn console(&self) -> Option<&str> {
        self.get("console")
    }

    /// Puts `word` in the place of the first word with its key and takes the others away; added as
    /// by [`Cmdline::append`] where there is none.
    ///
    /// # Errors
    /// As [`spell`].
    pub fn set(&mut self, word: &str) -> Result<()> {
        let word = spell(word)?;
        let key = take_apart(&word).0;
        let all: Vec<(Range<usize>, Region)> =
            self.named(key).map(|w| (w.span, w.region)).collect();
        let first = all.iter().find(|(_, r)| *r != Region::Init).map(|(s, _)| s.clone());
        for (span, _) in all.into_iter().rev() {
            if Some(&span) == first.as_ref() {
                self.text.replace_range(span, &word);
            } else {
                self.cut(span);
            }
        }
        if first.is_none() { self.append(&word) } else { Ok(()) }
    }

    /// Adds `word` behind the last one that stands before `--` and `---`, whatever is there already.
    ///
    /// # Errors
    /// As [`spell`].
    pub fn append(&mut self, word: &str) -> Result<()> {
        let word = spell(word)?;
        let last = self.words().take_while(|w| w.region == Region::Kernel).last();
        self.insert(last.map(|w| w.span.end), &word);
        Ok(())
    }

    /// Adds `word` behind `---`, so that the Debian installer copies it to the installed system; adds
    /// the `---` where there is none.
    ///
    /// # Errors
    /// As [`spell`].
    pub fn append_for_target(&mut self, word: &str) -> Result<()> {
        let word = spell(word)?;
        let is_sep = |w: &Word| w.region == Region::Separator && w.key == "---";
        if !self.words().any(|w| is_sep(&w)) {
            self.append("---")?;
        }
        let last = self.words().filter(|w| w.region == Region::Target || is_sep(w)).last();
        self.insert(last.map(|w| w.span.end), &word);
        Ok(())
    }

    /// Takes away every word with `key`, in all regions; says how many.
    pub fn remove(&mut self, key: &str) -> usize {
        self.remove_where(|w| same_key(w.key, key))
    }

    /// Takes away every word that `which` picks; says how many.
    pub fn remove_where(&mut self, which: impl Fn(&Word) -> bool) -> usize {
        let spans: Vec<Range<usize>> = self.words().filter(|w| which(w)).map(|w| w.span).collect();
        for s in spans.iter().rev() {
            self.cut(s.clone());
        }
        spans.len()
    }

    /// Puts `word` in the place of every word that reads exactly `old`; says how many.
    ///
    /// # Errors
    /// As [`spell`].
    pub fn replace(&mut self, old: &str, word: &str) -> Result<usize> {
        let word = spell(word)?;
        let spans: Vec<_> = self.words().filter(|w| w.raw == old).map(|w| w.span).collect();
        for s in spans.iter().rev() {
            self.text.replace_range(s.clone(), &word);
        }
        Ok(spans.len())
    }

    /// Inserts so that [`Cmdline::cut`] gives the old text back.
    fn insert(&mut self, behind: Option<usize>, word: &str) {
        match behind {
            Some(at) => self.text.insert_str(at, &format!(" {word}")),
            None if self.text.is_empty() => self.text.push_str(word),
            None if self.text.starts_with(is_space) => self.text.insert_str(0, &format!(" {word}")),
            None => self.text.insert_str(0, &format!("{word} ")),
        }
    }

    /// Takes a word away with the space before it, or, where it is the first, the space behind it.
    /// White space that the line began with (more than `insert`'s one) stays.
    fn cut(&mut self, span: Range<usize>) {
        let before = self.text[..span.start].trim_end_matches(is_space).len();
        let rest = &self.text[span.end..];
        let after = rest.len() - rest.trim_start_matches(is_space).len();
        let span = if before < span.start && (before > 0 || span.start == 1) {
            before..span.end
        } else if span.start == 0 && after < rest.len() {
            0..span.end + after
        } else {
            span
        };
        self.text.replace_range(span, "");
    }
}

impl fmt::Display for Cmdline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Cmdline {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::parse(s)
    }
}

impl serde::Serialize for Cmdline {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn c(s: &str) -> Cmdline {
        s.parse().expect(s)
    }

    #[test]
    fn words_are_the_kernels() {
        for (text, want) in [
            ("quiet  root=/dev/sda", vec![("quiet", None), ("root", Some("/dev/sda"))]),
            ("a=\"b c\" d", vec![("a", Some("b c")), ("d", None)]),
            ("\"a=b c\" d", vec![("a", Some("b c")), ("d", None)]),
            ("x=y\"z w\"", vec![("x", Some("y\"z w\""))]),
            ("=a=b", vec![("=a", Some("b"))]),
            ("a=", vec![("a", Some(""))]),
            ("\"open for ever", vec![("open for ever", None)]),
            ("\t a \t", vec![("a", None)]),
            ("\"\"", vec![("", None)]),
            ("a=\"", vec![("a", Some(""))]),
        ] {
            let l = c(text);
            let got: Vec<_> = l.words().map(|w| (w.key, w.value)).collect();
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn dash_and_underscore_name_the_same_parameter() {
        let l = c("rd.driver_x=1 a-b_c=2");
        assert_eq!(l.get("a_b-c"), Some("2"));
        assert_eq!(l.get("rd.driver-x"), Some("1"));
        assert_eq!(l.get("A-b_c"), None);
    }

    #[test]
    fn regions_end_at_their_separators() {
        let l = c("a --- b -- c");
        let r: Vec<_> = l.words().map(|w| w.region).collect();
        use Region::*;
        assert_eq!(r, [Kernel, Separator, Target, Separator, Init]);
        assert!(l.has("b") && !l.has("c"));
    }

    #[test]
    fn set_append_remove() {
        type Row = (&'static str, fn(&mut Cmdline), &'static str);
        let table: [Row; 12] = [
            ("a=1 b a=2", |l| l.set("a=3").expect("set"), "a=3 b"),
            ("b  --- quiet", |l| l.set("a=3").expect("set"), "b a=3  --- quiet"),
            ("b --- quiet", |l| l.set("quiet").expect("set"), "b --- quiet"),
            ("b -- a=1", |l| l.set("a=3").expect("set"), "b a=3 --"),
            ("--- quiet", |l| l.append("x").expect("append"), "x --- quiet"),
            ("a ", |l| l.append("x").expect("append"), "a x "),
            ("a ---", |l| l.append_for_target("x").expect("append"), "a --- x"),
            ("a", |l| l.append_for_target("x").expect("append"), "a --- x"),
            ("a -- i", |l| l.append_for_target("x").expect("append"), "a --- x -- i"),
            ("console=tty0 q console=ttyS0", |l| assert_eq!(l.remove("console"), 2), "q"),
            ("a", |l| l.set("b=c d").expect("set"), "a b=\"c d\""),
            ("a x a", |l| assert_eq!(l.replace("a", "b=1").expect("replace"), 2), "b=1 x b=1"),
        ];
        for (text, f, want) in table {
            let mut l = c(text);
            f(&mut l);
            assert_eq!(l.as_str(), want, "{text}");
        }
    }

    #[test]
    fn the_last_console_is_dev_console() {
        assert_eq!(c("console=ttyS0 console=ttyS1,115200n8").console(), Some("ttyS1,115200n8"));
    }

    #[test]
    fn what_is_not_one_word_is_refused() {
        for bad in ["", "a\nb", "a=\"b", "\"a\" b\"", "a\0"] {
            assert!(spell(bad).is_err(), "{bad:?}");
        }
        assert!(Cmdline::parse("a\x1bb").is_err());
        assert_eq!(spell("a b=c").expect("whole"), "\"a b=c\"");
    }

    /// `next_arg` with its pointers turned to indices and its NULs left in.
    fn next_arg(mut a: Vec<u8>) -> (String, Option<String>, Vec<u8>) {
        let (mut i, mut equals, mut in_quote, mut quoted) = (0, 0, false, false);
        if a.first() == Some(&b'"') {
            a.remove(0);
            (in_quote, quoted) = (true, true);
        }
        a.push(0);
        while a[i] != 0 {
            if matches!(a[i], b' ' | b'\t') && !in_quote {
                break;
            }
            if equals == 0 && a[i] == b'=' {
                equals = i;
            }
            if a[i] == b'"' {
                in_quote = !in_quote;
            }
            i += 1;
        }
        let mut val = None;
        if equals != 0 {
            a[equals] = 0;
            let mut v = equals + 1;
            if a[v] == b'"' {
                v += 1;
                if a[i - 1] == b'"' {
                    a[i - 1] = 0;
                }
            }
            val = Some(v);
        }
        if quoted && i > 0 && a[i - 1] == b'"' {
            a[i - 1] = 0;
        }
        let mut rest = i;
        if a[i] != 0 {
            a[i] = 0;
            rest += 1;
        }
        while matches!(a[rest], b' ' | b'\t') {
            rest += 1;
        }
        let s = |from: usize| {
            let end = from + a[from..].iter().position(|&b| b == 0).expect("NUL");
            String::from_utf8(a[from..end].to_vec()).expect("ASCII")
        };
        (s(0), val.map(s), a[rest..a.len() - 1].to_vec())
    }

    proptest! {
        #[test]
        fn agrees_with_the_kernels_loop(text in "[ab=\" \t_-]{0,24}") {
            let mut rest = text.trim_start_matches([' ', '\t']).as_bytes().to_vec();
            let mut want = Vec::new();
            while !rest.is_empty() {
                let (k, v, r) = next_arg(rest);
                want.push((k, v));
                rest = r;
            }
            let l = c(&text);
            let got: Vec<(String, Option<String>)> =
                l.words().map(|w| (w.key.to_owned(), w.value.map(str::to_owned))).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn what_is_added_and_taken_away_leaves_no_trace(text in "[ab=\" \t-]{0,24}") {
            // A quote left open swallows what is added behind it, in the kernel too.
            prop_assume!(text.matches('"').count() % 2 == 0);
            let mut l = c(&text);
            l.append("zzz=1").expect("append");
            prop_assert_eq!(l.get("zzz"), Some("1"));
            l.set("zzz=2 3").expect("set");
            prop_assert_eq!(l.get("zzz"), Some("2 3"));
            prop_assert_eq!(l.remove("zzz"), 1);
            prop_assert_eq!(l.as_str(), text);
        }
    }
}
