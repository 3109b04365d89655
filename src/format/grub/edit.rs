//! Edits. Each changes only its own span and has an inverse that gives the old bytes back.

use super::lexer::Word;
use super::menu::{is_initrd, is_linux, kernel_word, spelled};
use super::read::{Command, Script};
use super::*;
use crate::error::ErrorKind;
use crate::format::spans::{self, Edit, Spot};
use crate::model::cmdline::Cmdline;

/// Around what [`Doc::set_serial`] adds, so that it is known again.
const BEGIN: &str = "# isowright serial console: begin";
const END: &str = "# isowright serial console: end";

impl Doc {
    /// Lets `f` change the command line of each `linux` command of the entry `id`. Words that it
    /// leaves alone keep their quotes and spacing; variables stand on it as they are written. Says
    /// whether the bytes changed.
    ///
    /// # Errors
    /// `NotFound` where there is no such entry, `Unsupported` where it has no `linux` command or a
    /// new word can't pass through GRUB, and what `f` says.
    pub fn edit_cmdline(
        &mut self,
        id: &str,
        mut f: impl FnMut(&mut Cmdline) -> Result<()>,
    ) -> Result<bool> {
        let entry = self.index(id)?;
        let mut edits = Vec::new();
        let mut lines = 0;
        for c in &self.script.commands {
            if c.entry != entry || c.in_function || !is_linux(&c.name()) {
                continue;
            }
            if let Some(k) = kernel_word(c) {
                lines += 1;
                edits.extend(edit_line(c, k, &mut f)?);
            }
        }
        if lines == 0 {
            return Err(Error::unsupported(format!("entry {id} has no linux command")));
        }
        let changed = !edits.is_empty();
        self.apply(&edits)?;
        Ok(changed)
    }

    /// Adds `file` to the initrds that the entry `id` loads, behind them or before them, on the device
    /// that the last of them is on. Says whether the bytes changed: `false` where it is among them.
    ///
    /// # Errors
    /// `NotFound` where there is no such entry, `Unsupported` where it loads no initrd.
    pub fn add_initrd(&mut self, id: &str, file: &str, before: bool) -> Result<bool> {
        let entry = self.index(id)?;
        let mut edits = Vec::new();
        let mut lines = 0;
        for c in &self.script.commands {
            if c.entry != entry || c.in_function || !is_initrd(&c.name()) {
                continue;
            }
            let (Some(first), Some(last)) = (c.words.get(1), c.words.last()) else { continue };
            lines += 1;
            if c.words.iter().any(|w| w.raw().ends_with(file)) {
                continue;
            }
            let raw = last.raw();
            let device = match raw.find(')') {
                Some(n) if raw.starts_with('(') => &raw[..=n],
                _ => "",
            };
            let (file, at) = (quote(file), if before { first.span.start } else { last.span.end });
            edits.push(match before {
                true => (at..at, format!("{device}{file} ")),
                false => (at..at, format!(" {device}{file}")),
            });
        }
        if lines == 0 {
            return Err(Error::unsupported(format!("entry {id} loads no initrd")));
        }
        let changed = !edits.is_empty();
        self.apply(&edits)?;
        Ok(changed)
    }

    /// Whether the menu goes on by itself: GRUB waits for ever without `timeout`, and where it is below 0;
    /// `None` where nothing is said (manual, "timeout").
    pub fn goes_on(&self) -> Option<bool> {
        let last = self.timeouts().last()?;
        // A variable's value is the script's own affair.
        Some(last.plain().is_none_or(|v| !v.starts_with("timeout=-")))
    }

    /// Makes the menu go on after so many seconds. Says whether the bytes changed.
    ///
    /// # Errors
    /// None that a document which parsed can cause.
    pub fn set_timeout(&mut self, seconds: u32) -> Result<bool> {
        let new = format!("timeout={seconds}");
        let spans: Vec<_> = self.timeouts().map(|w| w.span.clone()).collect();
        let edits: Vec<Edit> = match spans.is_empty() {
            true => vec![(0..0, format!("set {new}{}", spans::eol(&self.bytes)))],
            false => spans.into_iter().map(|s| (s, new.clone())).collect(),
        };
        let before = self.bytes.clone();
        self.apply(&edits)?;
        Ok(self.bytes != before)
    }

    /// The words `timeout=N` that set it outside any entry.
    fn timeouts(&self) -> impl Iterator<Item = &Word> {
        let outside = self.script.commands.iter().filter(|c| c.entry.is_none() && !c.in_function);
        outside.filter_map(|c| {
            let w = c.words.get(usize::from(c.words[0].is("set")))?;
            let alone = c.words[0].is("set") || c.words.len() == 1;
            (alone && w.raw().starts_with("timeout=")).then_some(w)
        })
    }

    /// Where the entry stands in the script; `None` for what it boots outside any.
    fn index(&self, id: &str) -> Result<Option<usize>> {
        if id == DIRECT {
            return Ok(None);
        }
        let at = self.script.entries.iter().position(|e| e.id == id);
        at.map(Some).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no entry {}", id.escape_debug()))
        })
    }

    /// Makes GRUB's own terminal the serial `port` and the screen, by a block at the top. Where the
    /// script later sets the terminal itself (Debian's `terminal_output gfxterm`), a second block at
    /// the end has the last word. Says whether the bytes changed; `false` also where GRUB can't drive
    /// the port.
    ///
    /// # Errors
    /// None that a document which parsed can cause.
    pub fn set_serial(&mut self, port: &Serial) -> Result<bool> {
        let Some(serial) = serial_command(port) else { return Ok(false) };
        let before = self.bytes.clone();
        self.remove_serial()?;
        let eol = spans::eol(&self.bytes);
        let terminal = ["terminal_input serial console", "terminal_output serial console"];
        let head = [BEGIN, &serial, terminal[0], terminal[1], END, ""].join(eol);
        let mut edits = vec![(0..0, head)];
        let later = |c: &Command| {
            c.entry.is_none() && matches!(&c.name()[..], "terminal_input" | "terminal_output")
        };
        if self.script.commands.iter().any(later) {
            let at = self.bytes.len();
            let block = [BEGIN, terminal[0], terminal[1], END].join(eol);
            let ends = self.bytes.ends_with(b"\n");
            edits.push((at..at, if ends { block + eol } else { eol.to_owned() + &block }));
        }
        self.apply(&edits)?;
        Ok(self.bytes != before)
    }

    /// Undoes [`Doc::set_serial`].
    ///
    /// # Errors
    /// `Corrupt` where someone has written into the block, so that the rest no longer parses.
    pub fn remove_serial(&mut self) -> Result<bool> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut from = 0;
        while let Some(start) = find(&self.bytes, BEGIN, from) {
            let Some(end) = find(&self.bytes, END, start) else { break };
            let mut span = start..end + END.len();
            let rest = &self.bytes[span.end..];
            if rest.starts_with(b"\r\n") {
                span.end += 2;
            } else if rest.starts_with(b"\n") {
                span.end += 1;
            } else if rest.is_empty() {
                let nl = usize::from(self.bytes[..start].ends_with(b"\n"));
                let cr = usize::from(self.bytes[..start].ends_with(b"\r\n"));
                span.start -= nl + cr;
            }
            from = span.end;
            edits.push((span, String::new()));
        }
        let changed = !edits.is_empty();
        self.apply(&edits)?;
        Ok(changed)
    }

    fn apply(&mut self, edits: &[Edit]) -> Result<()> {
        if edits.is_empty() {
            return Ok(());
        }
        let bytes = spans::splice(&self.bytes, edits);
        self.script = Script::of(&bytes)?;
        self.bytes = bytes;
        Ok(())
    }
}

/// Where a line reads `text`, from `from` on.
fn find(bytes: &[u8], text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(n) = bytes[at..].windows(text.len()).position(|w| w == text.as_bytes()) {
        let start = at + n;
        if start == 0 || bytes[start - 1] == b'\n' {
            return Some(start);
        }
        at = start + 1;
    }
    None
}

fn edit_line(
    c: &Command,
    k: usize,
    f: &mut impl FnMut(&mut Cmdline) -> Result<()>,
) -> Result<Vec<Edit>> {
    let args: Vec<&Word> = c.words[k + 1..].iter().filter(|w| !w.raw().is_empty()).collect();
    let old: Vec<String> = args.iter().map(|w| spelled(&w.raw())).collect();
    let mut line = Cmdline::parse(&old.join(" "))?;
    if !line.words().map(|w| w.raw).eq(old.iter().map(String::as_str)) {
        return Err(Error::unsupported("the linux command's quotes are not ended in one word"));
    }
    f(&mut line)?;
    // The kernel's name stands in front, so that the first argument has a word before it too.
    let all = std::iter::once(&c.words[k]).chain(args);
    let spots: Vec<Spot> = all.map(|w| Spot { span: w.span.clone(), leads: false }).collect();
    let old: Vec<&str> = std::iter::once("").chain(old.iter().map(String::as_str)).collect();
    let new: Vec<&str> = std::iter::once("").chain(line.words().map(|w| w.raw)).collect();
    spans::word_edits(&spots, &old, &new, carried)
}

/// A kernel word as a GRUB word. GRUB puts quotes of its own around what holds a space, and a
/// backslash before each quote and backslash (`grub-core/lib/cmdline.c`), so the kernel's quotes are
/// taken off here, and what would arrive changed is refused.
fn carried(raw: &str) -> Result<String> {
    let line = Cmdline::parse(raw)?;
    let text = line.words().next().map_or(String::new(), |w| match w.value {
        Some(v) => format!("{}={v}", w.key),
        None => w.key.to_owned(),
    });
    if text.contains(['"', '\'', '\\']) {
        return Err(Error::unsupported(format!(
            "GRUB can't hand on \"{}\": it puts a backslash before each quote and backslash",
            raw.escape_debug()
        )));
    }
    Ok(quote(&text))
}
