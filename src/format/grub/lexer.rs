//! GRUB script to tokens.
//!
//! Source: GRUB manual, "Writing full configuration files directly": words, quoting, metacharacters.
//! Two things are read more tolerantly than GRUB does: `<`, `>`, `|` and `&` are letters (GRUB has no
//! redirection or pipes, but templates have `<x86_64>`), and a Go template `{{ … }}` is one word.

use crate::error::{Error, ErrorKind, Result};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// Newline or `;`.
    End,
    Open,
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub span: Range<usize>,
    pub parts: Vec<Part>,
    /// True where nothing of it is quoted, so that it may be a reserved word.
    pub bare: bool,
}

/// A piece of a word. The text is bytes, for titles are in any encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    /// `$x`, `${x}`: name and how it was written.
    Var(String, String),
}

impl Word {
    /// The word where no variable is in it.
    pub fn plain(&self) -> Option<String> {
        let text = |p: &Part| match p {
            Part::Text(t) => Some(String::from_utf8_lossy(t).into_owned()),
            Part::Var(..) => None,
        };
        self.parts.iter().map(text).collect()
    }

    /// The word with variables as they were written.
    pub fn raw(&self) -> String {
        let text = |p: &Part| match p {
            Part::Text(t) => String::from_utf8_lossy(t).into_owned(),
            Part::Var(_, written) => written.clone(),
        };
        self.parts.iter().map(text).collect()
    }

    /// True where it reads `text`, unquoted.
    pub fn is(&self, text: &str) -> bool {
        self.bare && matches!(&self.parts[..], [Part::Text(t)] if t == text.as_bytes())
    }
}

pub(super) struct Lexer<'a> {
    b: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(b: &'a [u8]) -> Self {
        Lexer { b, at: 0 }
    }

    /// The next token and where it starts.
    pub fn next(&mut self) -> Result<Option<(Token, usize)>> {
        self.skip_blanks();
        let start = self.at;
        let Some(&c) = self.b.get(start) else { return Ok(None) };
        let one = |l: &mut Self, t| {
            l.at += 1;
            Ok(Some((t, start)))
        };
        match c {
            b'\n' | b';' => one(self, Token::End),
            b'{' if self.b.get(start + 1) != Some(&b'{') => one(self, Token::Open),
            b'}' => one(self, Token::Close),
            _ => Ok(Some((Token::Word(self.word()?), start))),
        }
    }

    /// White space, line continuations, and a comment where a word would start.
    fn skip_blanks(&mut self) {
        while let Some(&c) = self.b.get(self.at) {
            match c {
                // GRUB drops carriage returns as it reads.
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.continues() > 0 => self.at += self.continues(),
                b'#' => {
                    let nl = self.b[self.at..].iter().position(|&b| b == b'\n');
                    self.at = nl.map_or(self.b.len(), |n| self.at + n);
                }
                _ => break,
            }
        }
    }

    /// Length of a backslash with a line end behind it; 0 for any other.
    fn continues(&self) -> usize {
        match self.b.get(self.at + 1..) {
            Some([b'\n', ..]) => 2,
            Some([b'\r', b'\n', ..]) => 3,
            _ => 0,
        }
    }

    fn word(&mut self) -> Result<Word> {
        let start = self.at;
        let mut w = Word { span: start..start, parts: Vec::new(), bare: true };
        while let Some(&c) = self.b.get(self.at) {
            match c {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'}' => break,
                b'{' if self.b.get(self.at + 1) == Some(&b'{') => self.template(&mut w),
                b'{' => break,
                b'\\' if self.continues() > 0 => break,
                b'\\' => {
                    // At the very end it would take in whatever an edit puts behind it.
                    let Some(&next) = self.b.get(self.at + 1) else {
                        return Err(self.unterminated("escape", self.at));
                    };
                    w.bare = false;
                    text(&mut w, next);
                    self.at += 2;
                }
                b'\'' => self.single(&mut w)?,
                b'"' => self.double(&mut w)?,
                b'$' => self.variable(&mut w),
                _ => {
                    text(&mut w, c);
                    self.at += 1;
                }
            }
        }
        w.span = start..self.at;
        Ok(w)
    }

    fn template(&mut self, w: &mut Word) {
        let line = self.b[self.at..].iter().position(|&b| b == b'\n');
        let line = line.map_or(self.b.len(), |n| self.at + n);
        let end = self.b[self.at..line].windows(2).position(|p| p == b"}}");
        let end = end.map_or(line, |n| self.at + n + 2);
        w.bare = false;
        self.b[self.at..end].iter().for_each(|&c| text(w, c));
        self.at = end;
    }

    fn single(&mut self, w: &mut Word) -> Result<()> {
        let open = self.at;
        let close = self.b[open + 1..].iter().position(|&b| b == b'\'');
        let close = close.map(|n| open + 1 + n).ok_or_else(|| self.unterminated("quote", open))?;
        w.bare = false;
        match self.b[open + 1..close] {
            [] => w.parts.push(Part::Text(Vec::new())),
            ref inner => inner.iter().for_each(|&c| text(w, c)),
        }
        self.at = close + 1;
        Ok(())
    }

    fn double(&mut self, w: &mut Word) -> Result<()> {
        let open = self.at;
        w.bare = false;
        w.parts.push(Part::Text(Vec::new()));
        self.at += 1;
        loop {
            match self.b.get(self.at) {
                None => return Err(self.unterminated("quote", open)),
                Some(b'"') => break,
                Some(b'$') => self.variable(w),
                // Inside double quotes a backslash holds only before these.
                Some(b'\\') if matches!(self.b.get(self.at + 1), Some(b'$' | b'"' | b'\\')) => {
                    text(w, self.b[self.at + 1]);
                    self.at += 2;
                }
                Some(b'\\') if self.continues() > 0 => self.at += self.continues(),
                Some(&c) => {
                    text(w, c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    fn variable(&mut self, w: &mut Word) {
        let start = self.at;
        let rest = &self.b[start + 1..];
        let name = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
        let (name, len) = if rest.first() == Some(&b'{') {
            let n = rest[1..].iter().take_while(|c| name(c)).count();
            if n == 0 || rest.get(1 + n) != Some(&b'}') { (1..1, 0) } else { (1..1 + n, n + 2) }
        } else {
            match rest.first() {
                Some(b'?' | b'#' | b'*' | b'@') => (0..1, 1),
                Some(c) if c.is_ascii_digit() => (0..1, 1),
                _ => {
                    let n = rest.iter().take_while(|c| name(c)).count();
                    (0..n, n)
                }
            }
        };
        self.at = start + 1 + len;
        if len == 0 {
            text(w, b'$');
            return;
        }
        let string = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        w.parts.push(Part::Var(string(&rest[name]), string(&self.b[start..self.at])));
    }

    fn unterminated(&self, what: &str, at: usize) -> Error {
        let line = line_of(self.b, at);
        Error::new(ErrorKind::Corrupt, format!("line {line}: unterminated {what}"))
    }
}

fn text(w: &mut Word, c: u8) {
    match w.parts.last_mut() {
        Some(Part::Text(t)) => t.push(c),
        _ => w.parts.push(Part::Text(vec![c])),
    }
}

/// Line of a byte, from 1.
pub(super) fn line_of(b: &[u8], at: usize) -> usize {
    b[..at.min(b.len())].iter().filter(|&&c| c == b'\n').count() + 1
}
