//! Edits. Each changes only its own span and has an inverse that gives the old bytes back.

use super::lexer::Word;
use super::menu::{is_linux, kernel_word, spelled};
use super::read::{Command, Script};
use super::*;
use crate::error::ErrorKind;
use crate::format::spans;
use crate::model::cmdline::Cmdline;
use std::ops::Range;

/// Around what [`Doc::set_serial`] adds, so that it is known again.
const BEGIN: &str = "# isowright serial console: begin";
const END: &str = "# isowright serial console: end";

/// More pairs of words than this are not compared one by one.
const MAX_PAIRS: usize = 1 << 18;

type Edit = (Range<usize>, String);

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
        let entry = match id {
            DIRECT => None,
            _ => Some(self.script.entries.iter().position(|e| e.id == id).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("no entry {}", id.escape_debug()))
            })?),
        };
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
        let eol = if self.bytes.windows(2).any(|w| w == b"\r\n") { "\r\n" } else { "\n" };
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
    let new: Vec<&str> = line.words().map(|w| w.raw).collect();
    let end = |i: usize| if i == 0 { c.words[k].span.end } else { args[i - 1].span.end };
    let mut edits = Vec::new();
    for (olds, news) in differences(&old, &new) {
        let both = olds.len().min(news.len());
        for n in 0..both {
            edits.push((args[olds.start + n].span.clone(), carried(new[news.start + n])?));
        }
        for i in olds.start + both..olds.end {
            edits.push((end(i)..end(i + 1), String::new()));
        }
        let mut added = String::new();
        for w in &new[news.start + both..news.end] {
            added = format!("{added} {}", carried(w)?);
        }
        if !added.is_empty() {
            edits.push((end(olds.end)..end(olds.end), added));
        }
    }
    Ok(edits)
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

/// Where two lists of words differ: pairs of ranges, by the longest common subsequence.
fn differences(old: &[String], new: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == *b).count();
    let (o, n) = (&old[head..], &new[head..]);
    let tail = o.iter().rev().zip(n.iter().rev()).take_while(|(a, b)| a == *b).count();
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
