//! Text from a serial port: terminal control taken out, the last part kept and searched.

use regex::Regex;

/// Bytes of text that stay searchable. A full-screen installer repaints some 4 KiB at a time.
const KEEP: usize = 128 << 10;

/// Takes a terminal's control sequences out of a stream of bytes, so that what is left can be printed
/// and searched: printable text, tabs and newlines. Keeps its state between calls, since a sequence
/// may be cut anywhere.
#[derive(Debug, Default)]
pub struct Cleaner {
    state: State,
    /// The start of a UTF-8 character.
    half: Vec<u8>,
    /// Where the last thing that was let through was a newline, a cursor jump adds none.
    at_start: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In `ESC [ … final`.
    Csi,
    /// In `ESC ] … BEL` or `… ESC \`, and their kin.
    Text2,
    /// After an ESC in those.
    Text2Escape,
    /// One more byte, of `ESC ( B`.
    One,
}

impl Cleaner {
    /// What of `bytes` is text. A jump of the cursor to another place becomes a newline: a full-screen
    /// program has no other line ends.
    pub fn clean(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        for &b in bytes {
            self.byte(b, &mut out);
        }
        out
    }

    fn byte(&mut self, b: u8, out: &mut String) {
        self.state = match (self.state, b) {
            (State::Text2, 0x07) | (State::Text2Escape, _) => State::Text,
            (State::Text2, 0x1b) => State::Text2Escape,
            (State::Text2, _) => State::Text2,
            (_, 0x1b) => State::Escape,
            (State::Escape, b'[') => State::Csi,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text2,
            (State::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ') => State::One,
            (State::Escape | State::One, _) => State::Text,
            (State::Csi, b'H' | b'f' | b'd' | b'E' | b'F' | b'J') => {
                self.newline(out);
                State::Text
            }
            (State::Csi, 0x40..=0x7e) => State::Text,
            (State::Csi, 0x20..=0x3f) => State::Csi,
            // A control byte ends a broken sequence, so that garbage can't swallow what follows.
            (State::Csi | State::Text, _) => {
                self.text(b, out);
                State::Text
            }
        };
    }

    fn newline(&mut self, out: &mut String) {
        if !self.at_start {
            out.push('\n');
            self.at_start = true;
        }
    }

    fn text(&mut self, b: u8, out: &mut String) {
        if b < 0x80 {
            if !self.half.is_empty() {
                self.half.clear();
                self.put('\u{fffd}', out);
            }
            match b {
                b'\n' => {
                    out.push('\n');
                    self.at_start = true;
                }
                b'\t' | 0x20..=0x7e => self.put(b as char, out),
                _ => {}
            }
            return;
        }
        self.half.push(b);
        match std::str::from_utf8(&self.half) {
            Ok(s) => {
                let c = s.chars().next().unwrap_or('\u{fffd}');
                self.half.clear();
                self.put(c, out);
            }
            Err(e) if e.error_len().is_some() || self.half.len() >= 4 => {
                self.half.clear();
                self.put('\u{fffd}', out);
            }
            Err(_) => {}
        }
    }

    fn put(&mut self, c: char, out: &mut String) {
        // Bidirectional controls can make a line read as another one.
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if !c.is_control() && !turns || c == '\t' {
            out.push(c);
            self.at_start = false;
        }
    }
}

/// The last of what came on a port, as clean text.
#[derive(Debug, Default)]
pub struct Transcript {
    cleaner: Cleaner,
    text: String,
}

impl Transcript {
    /// Takes what came; gives the clean text of it.
    pub fn take(&mut self, bytes: &[u8]) -> String {
        let new = self.cleaner.clean(bytes);
        self.text.push_str(&new);
        if self.text.len() > 2 * KEEP {
            let mut cut = self.text.len() - KEEP;
            while !self.text.is_char_boundary(cut) {
                cut += 1;
            }
            self.text.drain(..cut);
        }
        new
    }

    /// Whether anything that can be read came.
    pub fn is_silent(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The text that is kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line in which `pattern` matches first.
    pub fn line_of(&self, pattern: &Regex) -> Option<&str> {
        let found = pattern.find(&self.text)?;
        let from = self.text[..found.start()].rfind('\n').map_or(0, |i| i + 1);
        let to = self.text[found.end()..].find('\n').map_or(self.text.len(), |i| found.end() + i);
        Some(self.text[from..to].trim())
    }

    /// The last `n` lines that are not blank.
    pub fn tail(&self, n: usize) -> Vec<String> {
        let mut v: Vec<String> = self
            .text
            .lines()
            .rev()
            .map(str::trim_end)
            .filter(|l| !l.trim().is_empty())
            .take(n)
            .map(str::to_string)
            .collect();
        v.reverse();
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_go_and_text_stays_however_it_is_cut() {
        let raw =
            b"\x1b[0;37;44m\x1b[2;5HChoose \x1b(Ba\x1b]0;title\x07 language\r\n\x1bM\x1b[?25l\
            \xe2\x94\x82ok\xff\x80\x08\x00\x9b2Jx\xe2\x80\xae!\x1bP junk \x1b\\\x1b[3\nnext\n";
        let whole = Cleaner::default().clean(raw);
        let mut c = Cleaner::default();
        let parts: String = raw.iter().map(|b| c.clean(&[*b])).collect();
        assert_eq!(whole, parts);
        assert_eq!(whole, "\nChoose a language\n\u{2502}ok\u{fffd}\u{fffd}\u{fffd}2Jx!\nnext\n");
    }

    #[test]
    fn a_transcript_keeps_the_end_and_finds_the_line() {
        let mut t = Transcript::default();
        assert!(t.is_silent());
        for i in 0..40_000 {
            t.take(format!("[{i}] a line \u{e9}\r\n").as_bytes());
        }
        assert!(t.text().len() <= 2 * KEEP);
        let re = Regex::new(r"39999\W").expect("regex");
        assert_eq!(t.line_of(&re), Some("[39999] a line \u{e9}"));
        assert_eq!(t.tail(2).len(), 2);
        assert!(!t.is_silent());
    }
}
