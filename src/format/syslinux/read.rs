//! Lines to labels, requests and settings. Total: every byte string gives something.

use super::{Choice, Request, RequestKind};
use crate::format::spans::{self, Line};
use std::collections::HashMap;
use std::ops::Range;

/// Stands before a line that an edit of ours put out of force. SYSLINUX skips lines it does not know.
pub(super) const MARK: &str = "#isowright# ";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Label {
    pub name: String,
    pub id: String,
    pub title: Option<String>,
    /// Keyword in lower case, and file.
    pub kernel: Option<(String, String)>,
    /// What stands behind the file on the same line; it goes before APPEND's.
    pub kernel_args: String,
    /// Index of its line.
    pub kernel_line: Option<usize>,
    /// Value of the label's own APPEND.
    pub append: Option<Range<usize>>,
    pub append_line: Option<usize>,
    /// Value of the global APPEND where there is one.
    pub inherited: Option<Range<usize>>,
    pub initrd: Vec<String>,
    /// Value of the last INITRD line.
    pub initrd_value: Option<Range<usize>>,
    /// Why there is nothing to start.
    pub why: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    pub lines: Vec<Line>,
    pub labels: Vec<Label>,
    pub requests: Vec<Request>,
    pub choice: Choice,
    pub serial: Option<String>,
    /// Lines of UI and DEFAULT that name a program, and of SERIAL.
    pub ui_lines: Vec<usize>,
    pub serial_lines: Vec<usize>,
    /// Values of TIMEOUT, in tenths of a second.
    pub timeouts: Vec<Range<usize>>,
}

/// What a kernel line starts.
pub(super) enum Starts {
    Linux,
    /// `linux.c32`, whose first argument is the kernel.
    LinuxC32,
    /// `mboot.c32`.
    Mboot,
    Other,
}

/// KERNEL goes by the name's extension; LINUX says it (doc/syslinux.txt, KERNEL).
pub(super) fn what_starts(kind: &str, file: &str) -> Starts {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    match kind {
        _ if name == "memdisk" => Starts::Other,
        "linux" => Starts::Linux,
        "kernel" | "com32" if name == "linux.c32" => Starts::LinuxC32,
        "kernel" | "com32" if name == "mboot.c32" => Starts::Mboot,
        "kernel" => {
            let ext = name.rsplit_once('.').map_or("", |(_, e)| e);
            match ext {
                "0" | "bin" | "bs" | "bss" | "c32" | "cbt" | "com" | "img" | "efi" => Starts::Other,
                _ => Starts::Linux,
            }
        }
        _ => Starts::Other,
    }
}

/// Splits off the first word: the word in lower case, and the span of the rest without the white
/// space around it at the front.
pub(super) fn keyword(bytes: &[u8], text: Range<usize>) -> (String, Range<usize>) {
    let (word, rest) = spans::first_word(bytes, text);
    (String::from_utf8_lossy(&bytes[word]).to_ascii_lowercase(), rest)
}

struct Reader<'a> {
    bytes: &'a [u8],
    parts: Parts,
    /// The label that lines belong to; none before the first and after MENU BEGIN or MENU END.
    open: bool,
    append: Option<Range<usize>>,
    seen: HashMap<String, usize>,
}

impl Parts {
    pub(super) fn of(bytes: &[u8]) -> Parts {
        let mut r = Reader {
            bytes,
            parts: Parts { lines: spans::lines(bytes, false), ..Parts::default() },
            open: false,
            append: None,
            seen: HashMap::new(),
        };
        let mut in_text = false;
        for n in 0..r.parts.lines.len() {
            let (word, rest) = keyword(bytes, r.parts.lines[n].text.clone());
            if in_text {
                in_text = word != "endtext";
            } else if word == "text" {
                in_text = keyword(bytes, rest).0 == "help";
            } else {
                r.line(n, &word, rest);
            }
        }
        // A global APPEND holds for the labels that have none, wherever it stands.
        if let Some(a) = &r.append {
            for l in &mut r.parts.labels {
                l.inherited = Some(a.clone());
            }
        }
        r.parts
    }
}

impl Reader<'_> {
    fn value(&self, rest: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.bytes[rest.clone()]).trim_end().to_owned()
    }

    fn label(&mut self) -> Option<&mut Label> {
        if self.open { self.parts.labels.last_mut() } else { None }
    }

    fn request(&mut self, n: usize, path: String, kind: RequestKind) {
        let after = self.parts.labels.len();
        self.parts.requests.push(Request { path, kind, after, line: n + 1 });
    }

    fn line(&mut self, n: usize, word: &str, rest: Range<usize>) {
        let value = self.value(&rest);
        match word {
            "label" => {
                self.open = true;
                let count = self.seen.entry(value.clone()).or_insert(0);
                *count += 1;
                let id = if *count == 1 { value.clone() } else { format!("{value}#{count}") };
                self.parts.labels.push(Label { name: value, id, ..Label::default() });
            }
            "include" => self.request(n, value, RequestKind::Include),
            "default" => {
                let program = value.split_whitespace().next().unwrap_or_default();
                if program.to_ascii_lowercase().ends_with(".c32") {
                    self.parts.ui_lines.push(n);
                }
                self.parts.choice.default = Some(value);
            }
            "ui" => self.parts.ui_lines.push(n),
            "ontimeout" => self.parts.choice.on_timeout = Some(value),
            "serial" => {
                self.parts.serial_lines.push(n);
                self.parts.serial = Some(value);
            }
            "timeout" => self.parts.timeouts.push(rest.start..rest.start + value.len()),
            "menu" => self.menu(n, rest),
            "append" => match self.label() {
                Some(l) => (l.append, l.append_line) = (Some(rest), Some(n)),
                None => self.append = Some(rest),
            },
            "initrd" => {
                if let Some(l) = self.label() {
                    l.initrd_value = Some(rest.start..rest.start + value.len());
                    l.initrd.push(value);
                }
            }
            "config" => {
                if let Some(l) = self.label() {
                    let file = value.split_whitespace().next().unwrap_or_default().to_owned();
                    l.kernel = Some((word.to_owned(), format!("CONFIG {file}")));
                    self.request(n, file, RequestKind::Config);
                } else {
                    self.request(n, value, RequestKind::Config);
                }
            }
            "kernel" | "linux" | "boot" | "bss" | "pxe" | "fdimage" | "comboot" | "com32"
            | "localboot" => self.kernel(n, word, value),
            _ => {}
        }
    }

    fn kernel(&mut self, n: usize, word: &str, value: String) {
        if let Some(l) = self.label() {
            let (file, args) = match value.split_once([' ', '\t']) {
                _ if word == "localboot" => (format!("LOCALBOOT {value}"), ""),
                Some((file, args)) => (file.to_owned(), args.trim_start()),
                None => (value.clone(), ""),
            };
            l.kernel = Some((word.to_owned(), file));
            l.kernel_args = args.to_owned();
            l.kernel_line = Some(n);
        }
    }

    fn menu(&mut self, n: usize, rest: Range<usize>) {
        let (word, rest) = keyword(self.bytes, rest);
        let value = self.value(&rest);
        match word.as_str() {
            "begin" | "end" => self.open = false,
            "include" => {
                let file = value.split_whitespace().next().unwrap_or_default().to_owned();
                self.request(n, file, RequestKind::Include);
            }
            "label" => {
                if let Some(l) = self.label() {
                    // The caret marks the hotkey and is not shown.
                    l.title = Some(value.replacen('^', "", 1));
                }
            }
            "default" if self.open => {
                self.parts.choice.menu_default = self.parts.labels.last().map(|l| l.name.clone());
            }
            "exit" | "quit" | "goto" | "disable" | "disabled" => {
                if let Some(l) = self.label() {
                    l.why = Some("only moves in the menu");
                }
            }
            _ => {}
        }
    }
}
