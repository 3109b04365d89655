//! Text on its way to a terminal, and the progress bar.

use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Set by Ctrl-C; everything long asks it.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// An error after Ctrl-C.
///
/// # Errors
/// `Interrupted`.
pub fn stopped() -> Result<()> {
    match STOP.load(Ordering::Relaxed) {
        true => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
        false => Ok(()),
    }
}

/// Control and bidirectional characters, which could rewrite what stands on the screen, become
/// escapes; newlines too.
pub fn safe(s: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
    };
    if !s.contains(bad) {
        return s.to_owned();
    }
    s.chars().map(|c| if bad(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Prints to stdout. A reader that went away is no error: the process ends as it would by SIGPIPE,
/// but quietly and with 0.
pub fn out(text: &str) {
    out_bytes(text.as_bytes());
}

/// [`out`] for lines that hold names from media.
pub fn lines(text: &str) {
    let safe: Vec<String> = text.lines().map(safe).collect();
    out(&(safe.join("\n") + "\n"));
}

/// [`out`] for bytes that need not be text.
pub fn out_bytes(text: &[u8]) {
    let mut o = io::stdout().lock();
    if let Err(e) = o.write_all(text).and_then(|()| o.flush()) {
        if e.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("isowright: can't write to standard output: {e}");
        std::process::exit(2);
    }
}

/// A bar on a terminal, once a second has gone by; and Ctrl-C's way into every copy.
pub struct Bar {
    bar: ProgressBar,
    done: AtomicU64,
    since: Instant,
    shown: AtomicBool,
}

impl Bar {
    /// For `total` bytes.
    pub fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style =
            "{bar:30} {bytes:>10} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
        if let Ok(s) = ProgressStyle::with_template(style) {
            bar.set_style(s);
        }
        Bar { bar, done: AtomicU64::new(0), since: Instant::now(), shown: AtomicBool::new(false) }
    }

    /// For bytes whose number is not known beforehand.
    pub fn open_end() -> Self {
        let b = Self::new(0);
        if let Ok(s) = ProgressStyle::with_template("{bytes:>10}  {bytes_per_sec}  {wide_msg}") {
            b.bar.set_style(s);
        }
        b
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn advance(&self, path: &TreePath, bytes: u64) -> bool {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.since.elapsed() > Duration::from_secs(1) && io::stderr().is_terminal() {
            if !self.shown.swap(true, Ordering::Relaxed) {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_position(done);
            self.bar.set_message(safe(&path.to_string()));
        }
        !STOP.load(Ordering::Relaxed)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn what_could_rewrite_the_screen_is_escaped() {
        assert_eq!(safe("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(safe("x\u{202e}gpj.exe"), "x\\u{202e}gpj.exe");
        assert_eq!(safe("zażółć"), "zażółć");
    }
}
