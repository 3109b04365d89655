//! `boot`: proof in QEMU. The second serial port goes to stdout as it comes.

use super::args::{Boot, Drive};
use super::{Outcome, resolve, term};
use crate::boot::{self, Event, Options, Outcome as Proof, Start, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::Mac;
use crate::publish::MANIFEST;
use crate::publish::manifest::Manifest;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

pub fn run(a: &Boot) -> Result<Outcome> {
    let starts = starts(a)?;
    let mut o = Options::new(&a.source);
    o.firmware = a.firmware.iter().map(|f| f.parse()).collect::<Result<_>>()?;
    o.expect = a.expect.as_deref().map(regex::Regex::new).transpose().map_err(|e| {
        let why = e.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Error::usage(format!("--expect is no regular expression: {why}"))
            .hint("a backslash in front takes ( [ . and the like as they are")
    })?;
    o.nics = a.nics;
    if let Some(name) = &a.host {
        o.macs = macs_of(&a.source, name)?;
        o.nics = u8::try_from(o.macs.len()).unwrap_or(u8::MAX).min(MAX_NICS);
    }
    o.memory_mib = a.memory;
    o.accel.clone_from(&a.accel);
    o.port = a.port;
    o.disks.clone_from(&a.disk);
    o.timeout = Duration::from_secs(a.timeout);
    let mut verdicts = Vec::new();
    for start in starts {
        o.start = start;
        verdicts.extend(boot::prove(&o, &term::STOP, &mut |e| tell(a.json, &e))?);
    }
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

/// From where, each in turn: a file is an ISO, a folder a tree.
fn starts(a: &Boot) -> Result<Vec<Start>> {
    let there = std::fs::metadata(&a.source)
        .map_err(|e| Error::io("can't open it", e).source_name(a.source.display()))
        .map_err(|e| e.hint("name the folder of a tree, or an ISO"))?;
    if !there.is_dir() {
        let wrong = [("--host", a.host.is_some()), ("--from-disk", a.from_disk)];
        if let Some((option, _)) = wrong.iter().find(|w| w.1) {
            return Err(Error::usage(format!("{option} is for trees, and this is a file"))
                .source_name(a.source.display())
                .hint("an ISO is started from a CD drive or a disk: --as cd,disk"));
        }
        let of = |d: &Drive| match d {
            Drive::Cd => Start::Cd,
            Drive::Disk => Start::Usb,
        };
        return Ok(if a.drive.is_empty() {
            vec![Start::Cd]
        } else {
            a.drive.iter().map(of).collect()
        });
    }
    if !a.drive.is_empty() {
        return Err(Error::usage("--as is for an ISO, and this is a folder")
            .source_name(a.source.display())
            .hint("a tree is booted from the network, or with --from-disk what it installed"));
    }
    Ok(vec![if a.from_disk { Start::Disk } else { Start::Network }])
}

/// QEMU's `pc` has no slots for more beside what else it has.
const MAX_NICS: u8 = 8;

/// The addresses of one of the tree's hosts.
fn macs_of(dir: &Path, name: &str) -> Result<Vec<Mac>> {
    let at = dir.join(MANIFEST);
    let manifest = Manifest::from_json(&resolve::read_file(&at, 256 << 20)?)
        .map_err(|e| e.source_name(at.display()))?;
    let host = manifest.hosts.iter().find(|h| h.name == name).ok_or_else(|| {
        let known: Vec<&str> = manifest.hosts.iter().take(5).map(|h| h.name.as_str()).collect();
        Error::new(ErrorKind::NotFound, format!("the tree has no host \"{name}\"")).hint(
            match known.is_empty() {
                true => "it was built without --hosts: it serves whoever comes".to_owned(),
                false => format!("it has: {} …", known.join(", ")),
            },
        )
    })?;
    Ok(host.macs.clone())
}

/// With `--json` stdout is the verdicts' alone.
fn tell(json: bool, e: &Event) {
    let text = match e {
        Event::Started { firmware, memory_mib, from } => {
            eprintln!("isowright: {firmware}, {memory_mib} MiB, {}", term::safe(from));
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
    // A tree's machine always starts from where it was told; an ISO's may have two drives.
    let way = match v.start {
        Start::Cd | Start::Usb => {
            format!("{:<5} {:<5}", v.firmware.to_string(), v.start.to_string())
        }
        _ => format!("{:<5}", v.firmware.to_string()),
    };
    match &v.outcome {
        Proof::Passed { seconds, line } => {
            format!("{way} passed after {seconds} s: {}\n", term::safe(line))
        }
        Proof::Failed { why, last } => {
            let mut s = format!("{way} FAILED: {why}\n");
            for l in last {
                s.push_str(&format!("      | {}\n", term::safe(l)));
            }
            s
        }
    }
}

fn row(v: &Verdict) -> serde_json::Value {
    let (firmware, start) = (v.firmware, v.start.to_string());
    match &v.outcome {
        Proof::Passed { seconds, line } => {
            json!({"firmware": firmware, "start": start, "passed": true, "seconds": seconds, "line": line})
        }
        Proof::Failed { why, last } => {
            json!({"firmware": firmware, "start": start, "passed": false, "why": why.to_string(), "last": last})
        }
    }
}
