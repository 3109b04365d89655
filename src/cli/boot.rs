//! `boot`: proof in QEMU. The second serial port goes to stdout as it comes.

use super::args::Boot;
use super::{Outcome, term};
use crate::boot::{self, Event, Options, Outcome as Proof, Start, Verdict};
use crate::error::{Error, Result};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

pub fn run(a: &Boot) -> Result<Outcome> {
    let mut o = Options::new(&a.dir);
    o.firmware = a.firmware.iter().map(|f| f.parse()).collect::<Result<_>>()?;
    o.expect = a.expect.as_deref().map(regex::Regex::new).transpose().map_err(|e| {
        let why = e.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Error::usage(format!("--expect is no regular expression: {why}"))
            .hint("a backslash in front takes ( [ . and the like as they are")
    })?;
    o.nics = a.nics;
    o.memory_mib = a.memory;
    o.accel.clone_from(&a.accel);
    o.port = a.port;
    o.disks.clone_from(&a.disk);
    if a.from_disk {
        o.start = Start::Disk;
    }
    o.timeout = Duration::from_secs(a.timeout);
    let verdicts = boot::prove(&o, &term::STOP, &mut |e| tell(a.json, &e))?;
    if a.json {
        let rows: Vec<_> = verdicts.iter().map(row).collect();
        term::out(&format!("{:#}\n", serde_json::Value::from(rows)));
    } else {
        for v in &verdicts {
            term::out(&line(v));
        }
    }
    Ok(if verdicts.iter().all(Verdict::passed) { Outcome::Done } else { Outcome::Different })
}

/// With `--json` stdout is the verdicts' alone.
fn tell(json: bool, e: &Event) {
    let text = match e {
        Event::Started { firmware, memory_mib, url } => {
            eprintln!("isowright: {firmware}, {memory_mib} MiB, {url}");
            return;
        }
        Event::Com2(text) => text,
        _ => return,
    };
    if json {
        // Nothing to be done about a closed stderr.
        drop(std::io::stderr().write_all(text.as_bytes()));
    } else {
        term::out(text);
    }
}

fn line(v: &Verdict) -> String {
    match &v.outcome {
        Proof::Passed { seconds, line } => {
            format!(
                "{:<5} passed after {seconds} s: {}\n",
                v.firmware.to_string(),
                term::safe(line)
            )
        }
        Proof::Failed { why, last } => {
            let mut s = format!("{:<5} FAILED: {why}\n", v.firmware.to_string());
            for l in last {
                s.push_str(&format!("      | {}\n", term::safe(l)));
            }
            s
        }
    }
}

fn row(v: &Verdict) -> serde_json::Value {
    match &v.outcome {
        Proof::Passed { seconds, line } => {
            json!({"firmware": v.firmware, "passed": true, "seconds": seconds, "line": line})
        }
        Proof::Failed { why, last } => {
            json!({"firmware": v.firmware, "passed": false, "why": why.to_string(), "last": last})
        }
    }
}
