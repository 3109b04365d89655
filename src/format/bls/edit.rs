//! The edit of an entry's options. It changes only its own words, and has an inverse that gives the old
//! bytes back.

use super::{Doc, Pair, pairs};
use crate::error::{Error, ErrorKind, Result};
use crate::format::spans::{self, Edit, Spot};
use crate::model::cmdline::Cmdline;
use std::collections::HashSet;

impl Doc {
    /// Lets `f` change the command line of the entry `id`: the words of all `options` lines in their
    /// order. Words that it leaves alone keep their line and spacing. An entry without options gets a
    /// line behind `linux`; a line whose last word goes, goes too. Says whether the bytes changed.
    ///
    /// # Errors
    /// `NotFound` where the entry is another, `Unsupported` where it starts no kernel, a line is not
    /// UTF-8, or a quote is not ended on its line, and what `f` says.
    pub fn edit_cmdline(
        &mut self,
        id: &str,
        mut f: impl FnMut(&mut Cmdline) -> Result<()>,
    ) -> Result<bool> {
        self.must_be(id)?;
        let Some(linux) = self.all("linux").last().cloned() else {
            return Err(Error::unsupported(format!("entry {id} starts no Linux kernel")));
        };
        let (spots, old) = self.options()?;
        let mut line = Cmdline::parse(&old.join(" "))?;
        // An open quote would swallow what is added behind it.
        if old.iter().any(|w| w.matches('"').count() % 2 != 0) {
            return Err(Error::unsupported("the quotes of an options line are not ended on it"));
        }
        f(&mut line)?;
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        let new: Vec<&str> = line.words().map(|w| w.raw).collect();
        if old == new {
            return Ok(false);
        }
        let edits = match spots.is_empty() {
            true => vec![self.new_line(&linux, &new.join(" "))],
            false => spans::word_edits(&spots, &old, &new, |w| Ok(w.to_owned()))?,
        };
        let edited = self.with(&edits);
        if edited.options()?.1 != new {
            return Err(Error::unsupported(
                "systemd-boot would take the quotes off an options line that begins and ends with one",
            ));
        }
        *self = edited;
        Ok(true)
    }

    /// Adds `file` to the initrds of the entry `id`, behind them or before them, on a line of its own. Says whether the bytes
    /// changed: `false` where it is among them.
    ///
    /// # Errors
    /// `NotFound` where the entry is another, `Unsupported` where it loads no initrd by a line.
    pub fn add_initrd(&mut self, id: &str, file: &str, before: bool) -> Result<bool> {
        self.must_be(id)?;
        if self.all("initrd").any(|p| self.text(&p.value).split_whitespace().any(|f| f == file)) {
            return Ok(false);
        }
        let all: Vec<Pair> = self.all("initrd").cloned().collect();
        let Some(by) = (if before { all.first() } else { all.last() }) else {
            return Err(Error::unsupported(format!("entry {id} loads no initrd by a line")));
        };
        let text = self.lines[by.line].text.clone();
        let head = String::from_utf8_lossy(&self.bytes[text.start..by.value.start]);
        let line = format!("{}{file}", head.trim_end_matches('"'));
        let eol = spans::eol(&self.bytes);
        *self = self.with(&[match before {
            true => (text.start..text.start, line + eol),
            false => (text.end..text.end, eol.to_owned() + &line),
        }]);
        Ok(true)
    }

    /// Whether the menu goes on by itself, as the loader's settings say: it does without a word, and not
    /// with `menu-force`. `None` in an entry (loader.conf(5), "timeout").
    pub fn goes_on(&self) -> Option<bool> {
        self.is_loader_conf().then(|| self.get("timeout").is_none_or(|t| t != "menu-force"))
    }

    /// Makes the menu go on after so many seconds; only the loader's settings can. Says whether the bytes
    /// changed.
    pub fn set_timeout(&mut self, seconds: u32) -> bool {
        if !self.is_loader_conf() {
            return false;
        }
        let new = seconds.to_string();
        let values: Vec<_> = self.all("timeout").map(|p| p.value.clone()).collect();
        let edits: Vec<Edit> = match values.is_empty() {
            true => vec![(0..0, format!("timeout {new}{}", spans::eol(&self.bytes)))],
            false => values.into_iter().map(|v| (v, new.clone())).collect(),
        };
        let before = self.bytes.clone();
        *self = self.with(&edits);
        self.bytes != before
    }

    fn must_be(&self, id: &str) -> Result<()> {
        if id == self.name && !self.is_loader_conf() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("no entry {}", id.escape_debug())))
    }

    /// The words of all options, each with its place.
    fn options(&self) -> Result<(Vec<Spot>, Vec<String>)> {
        let (mut spots, mut words) = (Vec::new(), Vec::new());
        for p in self.all("options") {
            let text = std::str::from_utf8(&self.bytes[p.value.clone()])
                .map_err(|_| Error::unsupported("an options line is not UTF-8"))?;
            let mut leads = true;
            for w in Cmdline::parse(text)?.words() {
                let span = p.value.start + w.span.start..p.value.start + w.span.end;
                spots.push(Spot { span, leads });
                words.push(w.raw.to_owned());
                leads = false;
            }
        }
        Ok((spots, words))
    }

    /// An `options` line behind the kernel's, in its indent and with its column of values.
    fn new_line(&self, linux: &Pair, value: &str) -> Edit {
        let text = self.lines[linux.line].text.clone();
        let (key, rest) = spans::first_word(&self.bytes, text.clone());
        let indent = String::from_utf8_lossy(&self.bytes[text.start..key.start]).into_owned();
        let gap = String::from_utf8_lossy(&self.bytes[key.end..rest.start]).into_owned();
        let longer = "options".len() - "linux".len();
        let gap = match gap.len() > longer && !gap.contains('\t') {
            true => &gap[longer..],
            false => gap.get(..1).unwrap_or(" "),
        };
        let eol = spans::eol(&self.bytes);
        (text.end..text.end, format!("{eol}{indent}options{gap}{value}"))
    }

    /// The document after the edits; a line that they leave without a word goes with the line end
    /// before it.
    fn with(&self, edits: &[Edit]) -> Doc {
        let of = |bytes: Vec<u8>| {
            let lines = spans::lines(&bytes, true);
            Doc { pairs: pairs(&bytes, &lines), name: self.name.clone(), bytes, lines }
        };
        let edited = of(spans::splice(&self.bytes, edits));
        if edited.lines.len() != self.lines.len() {
            return edited;
        }
        let said: HashSet<usize> = edited.all("options").map(|p| p.line).collect();
        let mut at = 0;
        let mut emptied: Vec<Edit> = Vec::new();
        for p in self.all("options") {
            if said.contains(&p.line) {
                continue;
            }
            let line = &edited.lines[p.line];
            let span = match p.line.checked_sub(1) {
                Some(before) => edited.lines[before].text.end.max(at)..line.text.end,
                None => 0..line.next,
            };
            at = span.end;
            emptied.push((span, String::new()));
        }
        if emptied.is_empty() { edited } else { of(spans::splice(&edited.bytes, &emptied)) }
    }
}
