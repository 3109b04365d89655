//! The judge: what the ports, the web server and QEMU's end say, against what was expected. It knows
//! no process and no clock but the one it is told, so every verdict is a table test.

use super::console::Transcript;
use regex::Regex;
use std::fmt;
use std::time::Duration;

/// What iPXE stumbled over was the end, where nothing was booted or fetched that long after it.
const AFTERMATH: Duration = Duration::from_secs(20);
/// Firmware, iPXE and the kernel's EFI stub may write on the second port too, until shortly after the
/// last download and not much; what comes later or is more is what was booted.
const HANDOVER: Duration = Duration::from_secs(20);
const CHATTER: usize = 8 << 10;
/// How many of the last lines a failure shows.
const TAIL: usize = 12;

/// What is waited for, and how long.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Must match on the second serial port.
    pub pattern: Regex,
    /// Must have matched by then.
    pub timeout: Duration,
    /// The second port may stay silent that long after iPXE's last download.
    pub silence: Duration,
    /// No panic may follow within that time of the match.
    pub settle: Duration,
    /// Whether the machine starts from the web server.
    pub by_network: bool,
}

/// Why a boot failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It ran, but what was expected never came.
    Timeout {
        /// Seconds waited.
        seconds: u64,
    },
    /// Not a letter came on the second serial port of what was booted.
    Silent {
        /// Seconds waited.
        seconds: u64,
    },
    /// The kernel speaks on the first serial port.
    WrongPort {
        /// Its first line there.
        line: String,
    },
    /// The firmware or its iPXE never asked for the boot script.
    NotFetched,
    /// A file that the boot script asks for is not in the tree.
    Missing {
        /// Its path as asked for.
        path: String,
    },
    /// iPXE stopped with this.
    Ipxe {
        /// Its message.
        line: String,
    },
    /// The kernel stopped with this.
    Panic {
        /// Its message.
        line: String,
    },
    /// The machine was switched off or reset before what was expected came.
    Ended {
        /// QEMU's exit status and what it said.
        status: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Timeout { seconds } => {
                write!(f, "what was expected did not come within {seconds} s")
            }
            Why::Silent { seconds } => write!(
                f,
                "nothing came on the second serial port for {seconds} s: \
                 is console=ttyS1,115200n8 the last console= of the kernel's arguments?"
            ),
            Why::WrongPort { line } => {
                write!(f, "the kernel speaks on the first serial port, not the second: \"{line}\"")
            }
            Why::NotFetched => f.write_str("the boot script was never asked for"),
            Why::Missing { path } => write!(f, "404 for {path}: it is not in the tree"),
            Why::Ipxe { line } => write!(f, "iPXE stopped: \"{line}\""),
            Why::Panic { line } => write!(f, "the kernel stopped: \"{line}\""),
            Why::Ended { status } => write!(f, "the machine ended early: {status}"),
        }
    }
}

/// What the judge says in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was expected came.
    Passed {
        /// Seconds until it came.
        seconds: u64,
        /// The line.
        line: String,
    },
    /// It failed.
    Failed {
        /// Why.
        why: Why,
        /// The last lines of the second serial port, or of the first where that stayed silent.
        last: Vec<String>,
    },
}

/// Hears everything, decides once.
pub struct Judge {
    expect: Expectation,
    com1: Transcript,
    com2: Transcript,
    panic: Regex,
    banner: Regex,
    ipxe_error: Regex,
    matched: Option<(Duration, String)>,
    /// The end of the last download.
    fetched: Option<Duration>,
    /// Bytes on the second port since then.
    since: usize,
    /// Whether what was booted speaks on the second port.
    speaks: bool,
    /// The file that iPXE asked for in vain.
    missing: Option<String>,
    /// When iPXE stumbled; cleared by a download, for a script may have a second way.
    stumbled: Option<Duration>,
}

impl Judge {
    /// # Errors
    /// Never: the patterns are constant.
    pub fn new(expect: Expectation) -> Result<Self, regex::Error> {
        Ok(Judge {
            expect,
            com1: Transcript::default(),
            com2: Transcript::default(),
            panic: Regex::new(r"Kernel panic - not syncing|Attempted to kill init")?,
            banner: Regex::new(r"Linux version \d")?,
            // Every message of iPXE about a failure ends in the address of its explanation; a boot
            // script of ours that gives up (too little RAM) says so under our name.
            ipxe_error: Regex::new(r"https?://ipxe\.org/[0-9a-f]{6,8}|isowright: ")?,
            matched: None,
            fetched: None,
            since: 0,
            speaks: false,
            missing: None,
            stumbled: None,
        })
    }

    /// Bytes on the first port; gives the clean text.
    pub fn com1(&mut self, now: Duration, bytes: &[u8]) -> String {
        let new = self.com1.take(bytes);
        if self.ipxe_error.is_match(&new) {
            self.stumbled.get_or_insert(now);
        }
        new
    }

    /// Bytes on the second port; gives the clean text.
    pub fn com2(&mut self, now: Duration, bytes: &[u8]) -> String {
        let new = self.com2.take(bytes);
        self.since += new.trim().len();
        let late = self.fetched.is_some_and(|t| now > t + HANDOVER) && self.stumbled.is_none();
        self.speaks |= late && !new.trim().is_empty()
            || self.since > CHATTER
            || self.com2.line_of(&self.banner).is_some();
        if self.matched.is_none()
            && let Some(line) = self.com2.line_of(&self.expect.pattern)
        {
            self.matched = Some((now, line.to_string()));
        }
        new
    }

    /// A request that the web server answered. `script`: it was for the boot script itself, which a
    /// firmware asks for again and again.
    pub fn request(&mut self, now: Duration, path: &str, status: u16, script: bool) {
        match status {
            200 | 206 => {
                self.fetched = Some(now);
                self.since = 0;
                if !script {
                    self.stumbled = None;
                }
            }
            // An installer may probe; what iPXE asks for, it needs.
            404 if !self.speaks => {
                self.missing.get_or_insert_with(|| path.to_string());
                self.stumbled.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// The verdict, where there is one already. `ended`: QEMU is gone, with this status.
    pub fn decide(&self, now: Duration, ended: Option<&str>) -> Option<Outcome> {
        if let Some(line) = self.com2.line_of(&self.panic) {
            return Some(self.failed(Why::Panic { line: line.to_string() }));
        }
        if let Some((at, line)) = &self.matched {
            if now < *at + self.expect.settle && ended.is_none() {
                return None;
            }
            // By now the line is whole.
            let line = self.com2.line_of(&self.expect.pattern).unwrap_or(line).to_string();
            return Some(Outcome::Passed { seconds: at.as_secs(), line });
        }
        self.lost(now, ended).map(|why| self.failed(why))
    }

    fn lost(&self, now: Duration, ended: Option<&str>) -> Option<Why> {
        let over = now >= self.expect.timeout;
        let stuck = self.stumbled.is_some_and(|t| now >= t + AFTERMATH);
        let waited = self.fetched.map(|t| now.saturating_sub(t));
        let on_com1 = self.com1.line_of(&self.banner);
        if !self.speaks {
            if (stuck || over || ended.is_some()) && self.stumbled.is_some() {
                if let Some(path) = &self.missing {
                    return Some(Why::Missing { path: path.clone() });
                }
                if let Some(line) = self.com1.line_of(&self.ipxe_error) {
                    return Some(Why::Ipxe { line: line.to_string() });
                }
            }
            let patient = waited.is_some_and(|w| w < HANDOVER) && !over && ended.is_none();
            if let (Some(line), false) = (on_com1, patient) {
                return Some(Why::WrongPort { line: line.to_string() });
            }
        }
        if let Some(status) = ended {
            return Some(Why::Ended { status: status.to_string() });
        }
        match waited {
            Some(w) if !self.speaks && (over || w >= self.expect.silence) => {
                Some(Why::Silent { seconds: w.as_secs() })
            }
            None if !self.speaks && over && self.expect.by_network => Some(Why::NotFetched),
            None if !self.speaks && over => Some(Why::Silent { seconds: now.as_secs() }),
            _ => over.then_some(Why::Timeout { seconds: now.as_secs() }),
        }
    }

    fn failed(&self, why: Why) -> Outcome {
        let heard = if self.speaks || self.com1.is_silent() { &self.com2 } else { &self.com1 };
        Outcome::Failed { why, last: heard.tail(TAIL) }
    }

    /// The kept text of both ports.
    pub fn transcripts(self) -> (String, String) {
        (self.com1.text().to_string(), self.com2.text().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn judge() -> Judge {
        Judge::new(Expectation {
            pattern: Regex::new("Run /init").expect("regex"),
            timeout: s(300),
            silence: s(90),
            settle: s(5),
            by_network: true,
        })
        .expect("judge")
    }

    fn why(o: Option<Outcome>) -> Why {
        match o.expect("a verdict") {
            Outcome::Failed { why, .. } => why,
            Outcome::Passed { line, .. } => panic!("passed with {line}"),
        }
    }

    #[test]
    fn a_match_passes_once_it_has_settled() {
        let mut j = judge();
        j.request(s(3), "boot.ipxe", 200, true);
        j.com2(s(20), b"Linux version 6.1\nRun /ini");
        assert_eq!(j.decide(s(20), None), None);
        j.com2(s(21), b"t as in");
        j.com2(s(22), b"it process\n");
        assert_eq!(j.decide(s(25), None), None);
        let passed = Outcome::Passed { seconds: 21, line: "Run /init as init process".into() };
        assert_eq!(j.decide(s(26), None), Some(passed.clone()));
        assert_eq!(j.decide(s(23), Some("status 0")), Some(passed), "it may switch itself off");
    }

    #[test]
    fn a_panic_is_a_failure_also_after_the_match() {
        let mut j = judge();
        j.com2(s(20), b"Run /init as init process\n");
        j.com2(s(22), b"[ 2.1] Kernel panic - not syncing: Attempted to kill init!\n");
        assert!(matches!(why(j.decide(s(22), None)), Why::Panic { line } if line.contains("kill")));
    }

    #[test]
    fn a_file_that_ipxe_misses_is_named() {
        let mut j = judge();
        j.request(s(3), "boot.ipxe", 200, true);
        j.request(s(4), "initrd.img", 404, false);
        j.com1(s(4), b"No such file or directory (http://ipxe.org/2d0c613b)\r\n");
        // A firmware goes on with its other ways to boot, aloud.
        j.com2(s(10), b"Start PXE over IPv4\r\n");
        j.request(s(20), "boot.ipxe", 200, true);
        assert_eq!(j.decide(s(23), None), None);
        assert_eq!(why(j.decide(s(24), None)), Why::Missing { path: "initrd.img".into() });
    }

    #[test]
    fn a_script_with_a_second_way_may_stumble() {
        let mut j = judge();
        j.request(s(4), "custom.ipxe", 404, false);
        j.request(s(5), "initrd.img", 200, false);
        assert_eq!(j.decide(s(90), None), None);
        j.com2(s(91), b"Linux version 6.1\n");
        assert_eq!(j.decide(s(299), None), None);
    }

    #[test]
    fn what_the_firmware_says_on_the_second_port_is_not_the_kernel() {
        let mut j = judge();
        j.com2(s(2), b"BdsDxe: starting Boot0002\r\n");
        j.request(s(5), "initrd.img", 200, false);
        j.com2(s(6), b"initrd.img... ok\r\nEFI stub: Loaded initrd\r\n");
        assert_eq!(why(j.decide(s(95), None)), Why::Silent { seconds: 90 });
        j.com2(s(96), b"[    0.0] something\r\n");
        assert_eq!(j.decide(s(97), None), None);
    }

    #[test]
    fn an_installer_may_probe() {
        let mut j = judge();
        j.com2(s(20), b"Linux version 6.1\n");
        j.request(s(30), "images/updates.img", 404, false);
        assert_eq!(j.decide(s(299), None), None);
        assert_eq!(why(j.decide(s(300), None)), Why::Timeout { seconds: 300 });
    }

    #[test]
    fn silence_is_told_from_a_wrong_port_and_from_ipxe() {
        let mut j = judge();
        j.request(s(5), "initrd.img", 200, false);
        assert_eq!(j.decide(s(94), None), None);
        assert_eq!(why(j.decide(s(95), None)), Why::Silent { seconds: 90 });
        j.com1(s(15), b"Linux version 6.1.0\r\n");
        assert_eq!(j.decide(s(20), None), None);
        assert!(matches!(why(j.decide(s(30), None)), Why::WrongPort { .. }));
        let mut j = judge();
        j.request(s(5), "boot.ipxe", 200, true);
        j.com1(s(6), b"Exec format error (http://ipxe.org/2e008081)\r\n");
        assert!(matches!(why(j.decide(s(30), None)), Why::Ipxe { .. }));
        let mut j = judge();
        j.request(s(5), "boot.ipxe", 200, true);
        j.com1(s(6), b"isowright: this machine has less than 3072 MiB of RAM\r\n");
        assert!(matches!(why(j.decide(s(26), None)), Why::Ipxe { line } if line.contains("3072")));
    }

    #[test]
    fn a_medium_that_says_nothing_is_silent_and_not_unfetched() {
        let mut j = judge();
        j.expect.by_network = false;
        j.com2(s(9), b"BdsDxe: starting Boot0001\r\n");
        assert_eq!(j.decide(s(299), None), None, "nobody knows when the kernel started");
        assert_eq!(why(j.decide(s(300), None)), Why::Silent { seconds: 300 });
    }

    #[test]
    fn an_early_end_and_a_firmware_that_never_asks() {
        let j = judge();
        assert_eq!(
            why(j.decide(s(1), Some("exit status: 1"))),
            Why::Ended { status: "exit status: 1".into() }
        );
        assert_eq!(why(j.decide(s(300), None)), Why::NotFetched);
    }
}
