//! The access log: a line per request, and one where a machine came a stage further.

use crate::cli::term;
use crate::serve::machines::Meaning;
use crate::serve::{Served, date};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// Lines that wait for the terminal. Workers must not wait with them.
const MOST: usize = 4 << 20;

/// Lines on their way out.
#[derive(Default)]
pub struct Lines(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    text: String,
    lost: u64,
}

impl Lines {
    /// Adds a line that is safe to print.
    pub fn add(&self, line: &str) {
        let mut w = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if w.text.len() + line.len() > MOST {
            w.lost += 1;
        } else {
            w.text.push_str(line);
            w.text.push('\n');
        }
    }

    /// Prints what waits.
    pub fn print(&self) {
        let Waiting { text, lost } =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if !text.is_empty() {
            term::out(&text);
        }
        if lost > 0 {
            eprintln!("warning: {lost} lines of the log were lost: they are not read fast enough");
        }
    }
}

/// A request's line: time, address, method, target, status, bytes of body, stage, and the host whose file it is.
pub fn line(json: bool, s: &Served, m: &Meaning, now: i64) -> String {
    let stage = m.stage.filter(|_| matches!(s.status, 200 | 206)).map(|s| s.word());
    if json {
        let row = json!({
            "time": date::iso(now),
            "address": s.peer.ip().to_canonical().to_string(),
            "method": s.method,
            "target": s.target,
            "path": s.path,
            "status": s.status,
            "bytes": s.bytes,
            "complete": s.complete,
            "tree": m.tree,
            "stage": stage,
            "host": m.host,
        });
        return row.to_string();
    }
    let word =
        |t: &str| if t.is_empty() { "-".to_owned() } else { term::safe(t).replace(' ', "%20") };
    format!(
        "{} {} {} {} {} {}{} {}{}",
        date::iso(now),
        s.peer.ip().to_canonical(),
        word(&s.method),
        word(&s.target),
        s.status,
        s.bytes,
        if s.complete { "" } else { "(cut off)" },
        stage.unwrap_or("-"),
        m.host.as_ref().map_or(String::new(), |h| format!(" {}", word(h)))
    )
}

/// The line of a machine's way so far.
pub fn further(json: bool, way: &str, now: i64) -> String {
    match json {
        true => json!({"time": date::iso(now), "machine": way}).to_string(),
        false => format!("{} machine {}", date::iso(now), term::safe(way)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_was_asked_for() {
        let s = Served {
            peer: "[::ffff:192.0.2.7]:1".parse().expect("address"),
            method: "GET".into(),
            target: "/a\u{202e} b\u{1b}[2J".into(),
            path: None,
            status: 404,
            bytes: 9,
            complete: false,
        };
        let line = line(false, &s, &Meaning::default(), 0);
        assert_eq!(
            line,
            "1970-01-01T00:00:00Z 192.0.2.7 GET /a\\u{202e}%20b\\u{1b}[2J 404 9(cut off) -"
        );
    }

    #[test]
    fn lines_that_nobody_reads_are_counted_and_not_kept() {
        let lines = Lines::default();
        let long = "x".repeat(1 << 20);
        (0..6).for_each(|_| lines.add(&long));
        let w = lines.0.lock().expect("lock");
        assert_eq!((w.lost, w.text.len() / long.len()), (3, 3));
    }
}
