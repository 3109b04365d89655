//! Tokens to commands, each with the entry and the conditions it stands under. Blocks are kept on a
//! stack of our own, bounded, so that no depth of nesting can exhaust the program's.

use super::lexer::{Lexer, Token, Word, line_of};
use crate::error::{Error, ErrorKind, Result};
use crate::model::arch::Firmware;

/// Vendors nest 6 deep (Debian's desktop menus).
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Name and arguments; never empty.
    pub words: Vec<Word>,
    /// The entry it stands in.
    pub entry: Option<usize>,
    /// True inside a function.
    pub in_function: bool,
    pub when: When,
}

impl Command {
    pub fn name(&self) -> String {
        self.words[0].plain().unwrap_or_default()
    }
}

/// Under which conditions something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct When {
    /// `[ $grub_platform = efi ]` and its else.
    pub firmware: Option<Firmware>,
    /// True where any other condition stands above.
    pub unsure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entry,
    Submenu,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position as GRUB spells it: `1>2`.
    pub id: String,
    pub kind: Kind,
    pub parent: Option<usize>,
    /// Command words in front of the block.
    pub head: Vec<Word>,
    pub when: When,
    children: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Script {
    pub commands: Vec<Command>,
    pub entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Entry,
    Function,
    /// A block of another command, or a bare one.
    Block,
    /// `if`, waiting for `then`: what the condition says so far.
    If {
        test: When,
        then: bool,
        first: bool,
    },
    Loop {
        body: bool,
    },
}

struct Reader<'a> {
    b: &'a [u8],
    out: Script,
    frames: Vec<(Frame, usize)>,
    open_entries: Vec<usize>,
    words: Vec<Word>,
    top: usize,
}

impl Script {
    pub fn of(b: &[u8]) -> Result<Script> {
        let mut lexer = Lexer::new(b);
        let mut r = Reader {
            b,
            out: Script::default(),
            frames: Vec::new(),
            open_entries: Vec::new(),
            words: Vec::new(),
            top: 0,
        };
        while let Some((token, at)) = lexer.next()? {
            match token {
                Token::Word(w) => r.word(w, at)?,
                Token::End => r.end(),
                Token::Open => r.open(at)?,
                Token::Close => r.close(at)?,
            }
        }
        r.end();
        match r.frames.last() {
            Some((frame, at)) => {
                let want = match frame {
                    Frame::If { .. } => "if without fi",
                    Frame::Loop { .. } => "loop without done",
                    _ => "{ without }",
                };
                Err(r.wrong(*at, want))
            }
            None => Ok(r.out),
        }
    }
}

impl Reader<'_> {
    fn wrong(&self, at: usize, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("line {}: {what}", line_of(self.b, at)))
    }

    fn push(&mut self, frame: Frame, at: usize) -> Result<()> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.wrong(at, &format!("nested more than {MAX_DEPTH} deep")));
        }
        self.frames.push((frame, at));
        Ok(())
    }

    /// Reserved words count only where a command would start.
    fn word(&mut self, w: Word, at: usize) -> Result<()> {
        if !self.words.is_empty() || !w.bare {
            self.words.push(w);
            return Ok(());
        }
        let top = self.frames.last_mut().map(|(f, _)| f);
        if w.is("if") {
            let test = When::default();
            self.push(Frame::If { test, then: false, first: true }, at)
        } else if w.is("while") || w.is("until") {
            self.push(Frame::Loop { body: false }, at)
        } else if w.is("for") {
            self.push(Frame::Loop { body: false }, at)?;
            self.words.push(w);
            Ok(())
        } else if w.is("then") {
            match top {
                Some(Frame::If { then, .. }) if !*then => *then = true,
                _ => return Err(self.wrong(at, "then without if")),
            }
            Ok(())
        } else if w.is("else") || w.is("elif") {
            match top {
                Some(Frame::If { test, then, .. }) if *then => {
                    *then = w.is("else");
                    *test = if w.is("else") { test.otherwise() } else { UNSURE };
                }
                _ => return Err(self.wrong(at, "else without if")),
            }
            Ok(())
        } else if w.is("do") {
            match top {
                Some(Frame::Loop { body }) if !*body => *body = true,
                _ => return Err(self.wrong(at, "do without a loop")),
            }
            Ok(())
        } else if w.is("fi") || w.is("done") {
            match (top, w.is("fi")) {
                (Some(Frame::If { then: true, .. }), true)
                | (Some(Frame::Loop { body: true }), false) => {}
                (_, true) => return Err(self.wrong(at, "fi without if")),
                (_, false) => return Err(self.wrong(at, "done without a loop")),
            }
            self.frames.pop();
            Ok(())
        } else {
            if !w.is("!") {
                self.words.push(w);
            }
            Ok(())
        }
    }

    fn when(&self) -> When {
        let mut w = When::default();
        for (f, _) in &self.frames {
            match f {
                Frame::If { then: true, test, .. } => {
                    w.firmware = w.firmware.or(test.firmware);
                    w.unsure |= test.unsure;
                }
                Frame::If { .. } | Frame::Loop { .. } => w.unsure = true,
                _ => {}
            }
        }
        w
    }

    fn in_function(&self) -> bool {
        self.frames.iter().any(|(f, _)| *f == Frame::Function)
    }

    fn end(&mut self) {
        if self.words.is_empty() {
            return;
        }
        let words = std::mem::take(&mut self.words);
        if let Some((Frame::If { test, then: false, first }, _)) = self.frames.last_mut() {
            *test = if *first { condition(&words) } else { UNSURE };
            *first = false;
        }
        let command = Command {
            words,
            entry: self.open_entries.last().copied(),
            in_function: self.in_function(),
            when: self.when(),
        };
        self.out.commands.push(command);
    }

    fn open(&mut self, at: usize) -> Result<()> {
        let head = std::mem::take(&mut self.words);
        let first = |names: &[&str]| head.first().is_some_and(|w| names.iter().any(|n| w.is(n)));
        if first(&["function"]) {
            return self.push(Frame::Function, at);
        }
        if !first(&["menuentry", "submenu", "hiddenentry"]) || self.in_function() {
            self.words = head;
            self.end();
            return self.push(Frame::Block, at);
        }
        let kind = if first(&["submenu"]) { Kind::Submenu } else { Kind::Entry };
        let parent = self.open_entries.last().copied();
        let when = self.when();
        let (siblings, prefix) = match parent {
            Some(p) => {
                let prefix = format!("{}>", self.out.entries[p].id);
                (&mut self.out.entries[p].children, prefix)
            }
            None => (&mut self.top, String::new()),
        };
        let id = format!("{prefix}{siblings}");
        *siblings += 1;
        self.open_entries.push(self.out.entries.len());
        self.out.entries.push(Entry { id, kind, parent, head, when, children: 0 });
        self.push(Frame::Entry, at)
    }

    fn close(&mut self, at: usize) -> Result<()> {
        self.end();
        match self.frames.pop() {
            Some((Frame::Entry, _)) => {
                self.open_entries.pop();
            }
            Some((Frame::Function | Frame::Block, _)) => {}
            Some((frame, from)) => {
                self.frames.push((frame, from));
                return Err(self.wrong(from, "if or loop not ended before }"));
            }
            None => return Err(self.wrong(at, "} without {")),
        }
        Ok(())
    }
}

const UNSURE: When = When { firmware: None, unsure: true };

impl When {
    fn otherwise(self) -> When {
        match self.firmware {
            Some(Firmware::Uefi) => When { firmware: Some(Firmware::Bios), unsure: false },
            Some(Firmware::Bios) => When { firmware: Some(Firmware::Uefi), unsure: false },
            None => UNSURE,
        }
    }
}

/// `[ "$grub_platform" = "efi" ]` and its kin; all else is not known before it runs.
fn condition(words: &[Word]) -> When {
    let w: Vec<String> = words.iter().map(Word::raw).collect();
    let w: Vec<&str> = w.iter().map(String::as_str).collect();
    let (left, op, right) = match w[..] {
        ["[", l, op, r, "]"] | ["test", l, op, r] => (l, op, r),
        _ => return UNSURE,
    };
    let x = |s: &str| left.starts_with('x') && s.starts_with('x');
    let strip = |s: &str| if x(s) { s[1..].to_owned() } else { s.to_owned() };
    let (l, r) = (strip(left).replace(['{', '}'], ""), strip(right));
    let is = match (&l[..], &r[..]) {
        ("$grub_platform", "efi") => Firmware::Uefi,
        ("$grub_platform", "pc") => Firmware::Bios,
        _ => return UNSURE,
    };
    let is = When { firmware: Some(is), unsure: false };
    match op {
        "=" | "==" => is,
        "!=" => is.otherwise(),
        _ => UNSURE,
    }
}
