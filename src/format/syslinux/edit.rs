//! Edits. Each changes only its own span and has an inverse that gives the old bytes back.

use super::read::{MARK, Parts, Starts, keyword};
use super::*;

/// Behind our SERIAL line, so that we know it again.
const SERIAL_MARK: &str = "#isowright serial";

impl Doc {
    /// Lets `f` change the command line of the label `id` (`initrd=` is on it, where the vendor put
    /// it). A label without APPEND gets a line of its own behind KERNEL, beginning with what the
    /// global APPEND gave it; the line goes again when nothing more stands on it. Says whether the
    /// bytes changed.
    ///
    /// # Errors
    /// `NotFound` where there is no such label, `Unsupported` where it starts no kernel or the line
    /// is not UTF-8, and what `f` says.
    pub fn edit_cmdline(
        &mut self,
        id: &str,
        mut f: impl FnMut(&mut Cmdline) -> Result<()>,
    ) -> Result<bool> {
        let l = self.parts.labels.iter().find(|l| l.id == id).cloned().ok_or_else(|| {
            Error::new(crate::ErrorKind::NotFound, format!("no label \"{}\"", id.escape_debug()))
        })?;
        let linux = |(kind, file): &(String, String)| {
            matches!(read::what_starts(kind, file), Starts::Linux | Starts::LinuxC32)
        };
        let (Some(kernel_line), true) = (l.kernel_line, l.kernel.as_ref().is_some_and(linux))
        else {
            return Err(Error::unsupported(format!("label \"{id}\" starts no Linux kernel")));
        };
        let own = l.append.as_ref().map(|r| self.strict(r)).transpose()?;
        let global = l.inherited.as_ref().map(|r| self.strict(r)).transpose()?;
        let none = |t: &str| if t.trim() == "-" { String::new() } else { t.to_owned() };
        let inherited = none(global.as_deref().unwrap_or_default());
        let old = own.as_deref().map_or_else(|| inherited.clone(), none);
        let mut line = Cmdline::parse(&old)?;
        f(&mut line)?;
        if line.as_str() == old {
            return Ok(false);
        }
        let new = if line.is_empty() && global.is_some() { "-" } else { line.as_str() };
        match (&l.append, l.append_line) {
            (Some(span), Some(n)) => {
                let at_our_place = n == kernel_line + 1;
                if line.as_str() == inherited && at_our_place {
                    let lines = &self.parts.lines;
                    let from = lines[kernel_line].text.end;
                    let to = lines[n].text.end;
                    self.splice(from..to, "");
                } else {
                    self.splice(span.clone(), new);
                }
            }
            _ => self.add_append(kernel_line, new),
        }
        Ok(true)
    }

    fn strict(&self, r: &Range<usize>) -> Result<String> {
        String::from_utf8(self.bytes[r.clone()].to_vec())
            .map_err(|_| Error::unsupported("the APPEND line is not UTF-8"))
    }

    /// In the label's own indent and case.
    fn add_append(&mut self, kernel_line: usize, value: &str) {
        let text = self.parts.lines[kernel_line].text.clone();
        let line = &self.bytes[text.clone()];
        let indent = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let shout = line.get(indent).is_some_and(u8::is_ascii_uppercase);
        let indent = String::from_utf8_lossy(&line[..indent]).into_owned();
        let word = if shout { "APPEND" } else { "append" };
        let new = format!("{}{indent}{word} {value}", spans::eol(&self.bytes));
        self.splice(text.end..text.end, &new);
    }

    /// Adds `file` to the initrds that the label `id` loads, behind them or before them. Says whether the
    /// bytes changed: `false` where it is among them.
    ///
    /// # Errors
    /// As [`Doc::edit_cmdline`]; `Unsupported` also where the label loads no initrd.
    pub fn add_initrd(&mut self, id: &str, file: &str, before: bool) -> Result<bool> {
        let has = |list: &str| list.split(',').any(|f| f == file);
        let line =
            self.parts.labels.iter().find(|l| l.id == id).and_then(|l| l.initrd_value.clone());
        if let Some(span) = line {
            let there = self.strict(&span)?;
            if !has(&there) {
                match before {
                    true => self.splice(span.start..span.start, &format!("{file},")),
                    false => self.splice(span.end..span.end, &format!(",{file}")),
                }
            }
            return Ok(!has(&there));
        }
        self.edit_cmdline(id, |c| match c.get_all("initrd").last().map(str::to_owned) {
            Some(there) if has(&there) => Ok(()),
            Some(there) if before => c.set(&format!("initrd={file},{there}")),
            Some(there) => c.set(&format!("initrd={there},{file}")),
            None => Err(Error::unsupported(format!("label \"{id}\" loads no initrd"))),
        })
    }

    /// Whether the menu goes on by itself: `TIMEOUT 0` waits for ever; `None` where nothing is said
    /// (doc/syslinux.txt, TIMEOUT).
    pub fn goes_on(&self) -> Option<bool> {
        let last = self.parts.timeouts.last()?;
        Some(self.text(last).parse::<u64>().is_ok_and(|tenths| tenths > 0))
    }

    /// Makes the menu go on after so many seconds. Says whether the bytes changed.
    pub fn set_timeout(&mut self, seconds: u32) -> bool {
        let before = self.bytes.clone();
        let tenths = (u64::from(seconds) * 10).to_string();
        let spans = self.parts.timeouts.clone();
        if spans.is_empty() {
            let eol = spans::eol(&self.bytes);
            self.splice(0..0, &format!("TIMEOUT {tenths}{eol}"));
        } else {
            self.splice_all(spans.into_iter().map(|s| (s, tenths.clone())).collect());
        }
        self.bytes != before
    }

    /// Makes the loader speak on `port`: SERIAL becomes the first line, as the manual wants it, and
    /// the vendor's own SERIAL lines are put out of force. Says whether the bytes changed; `false`
    /// also where SYSLINUX can't drive the port.
    pub fn set_serial(&mut self, port: &Serial) -> bool {
        let Some(line) = serial_line(port) else { return false };
        let before = self.bytes.clone();
        self.remove_serial();
        let vendors = self.parts.serial_lines.clone();
        self.mark(&vendors);
        let eol = spans::eol(&self.bytes);
        self.splice(0..0, &format!("{line}{eol}{SERIAL_MARK}{eol}"));
        self.bytes != before
    }

    /// Undoes [`Doc::set_serial`].
    pub fn remove_serial(&mut self) -> bool {
        let is_mark = |l: &spans::Line| &self.bytes[l.text.clone()] == SERIAL_MARK.as_bytes();
        let Some(second) = self.parts.lines.get(1).filter(|l| is_mark(l)) else { return false };
        self.splice(0..second.next, "");
        self.unmark(|word| word == "serial");
        true
    }

    /// Changes a graphical menu (vesamenu.c32, gfxboot) to the text menu, menu.c32 in the same
    /// folder: graphics don't show on a serial line. The caller knows whether menu.c32 is there. Says
    /// whether the bytes changed.
    pub fn set_text_menu(&mut self) -> bool {
        let graphical: Vec<(usize, String)> =
            self.parts.ui_lines.iter().filter_map(|&n| Some((n, self.text_menu(n)?))).collect();
        let mut edits = Vec::new();
        for (n, new) in &graphical {
            let text = self.parts.lines[*n].text.clone();
            edits.push((text.start..text.start, MARK.to_owned()));
            edits.push((text.end..text.end, format!("{}{new}", spans::eol(&self.bytes))));
        }
        self.splice_all(edits);
        !graphical.is_empty()
    }

    /// Undoes [`Doc::set_text_menu`].
    pub fn unset_text_menu(&mut self) -> bool {
        let is_ui = |word: &str| matches!(word, "ui" | "default");
        let marked: Vec<usize> = self.marked(is_ui);
        let mut edits = Vec::new();
        for &n in &marked {
            let line = self.parts.lines[n].text.clone();
            edits.push((line.start..line.start + MARK.len(), String::new()));
            if let Some(next) = self.parts.lines.get(n + 1) {
                edits.push((line.end..next.text.end, String::new()));
            }
        }
        self.splice_all(edits);
        !marked.is_empty()
    }

    /// Line `n` with its graphical program replaced.
    fn text_menu(&self, n: usize) -> Option<String> {
        let text = self.parts.lines[n].text.clone();
        let (word, rest) = keyword(&self.bytes, text.clone());
        let head = std::str::from_utf8(&self.bytes[text.start..rest.start]).ok()?;
        let program = std::str::from_utf8(&self.bytes[rest]).ok()?.split_whitespace().next()?;
        let (folder, name) = program.rsplit_once('/').map_or(("", program), |(f, n)| (f, n));
        let name = name.to_ascii_lowercase();
        let graphical = matches!(&name[..], "vesamenu.c32" | "gfxboot.c32" | "gfxmenu.c32")
            || (word == "ui" && name == "gfxboot");
        let slash = if program.contains('/') { "/" } else { "" };
        graphical.then(|| format!("{head}{folder}{slash}menu.c32"))
    }

    fn mark(&mut self, lines: &[usize]) {
        let start = |&n: &usize| self.parts.lines[n].text.start;
        let edits = lines.iter().map(start).map(|at| (at..at, MARK.to_owned())).collect();
        self.splice_all(edits);
    }

    fn marked(&self, which: impl Fn(&str) -> bool) -> Vec<usize> {
        let of = |l: &spans::Line| {
            let t = l.text.clone();
            self.bytes[t.clone()].starts_with(MARK.as_bytes())
                && which(&keyword(&self.bytes, t.start + MARK.len()..t.end).0)
        };
        (0..self.parts.lines.len()).filter(|&n| of(&self.parts.lines[n])).collect()
    }

    fn unmark(&mut self, which: impl Fn(&str) -> bool) {
        let start = |n: usize| self.parts.lines[n].text.start;
        let cut = |n| (start(n)..start(n) + MARK.len(), String::new());
        let edits = self.marked(which).into_iter().map(cut).collect();
        self.splice_all(edits);
    }

    fn splice(&mut self, span: Range<usize>, new: &str) {
        self.splice_all(vec![(span, new.to_owned())]);
    }

    /// In order, none overlapping; the lines are read again once.
    fn splice_all(&mut self, edits: Vec<(Range<usize>, String)>) {
        self.bytes = spans::splice(&self.bytes, &edits);
        self.parts = Parts::of(&self.bytes);
    }
}
