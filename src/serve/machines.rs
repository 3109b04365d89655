//! Who fetched what: a row per address, and how far each machine came. What a web server can know, and no
//! more: a machine that has fetched its kernel may still fail to start it, and one is done when it says so.

use super::listing::escape;
use super::{Served, date};
use crate::model::network::Mac;
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Machines that are remembered; the one that was not seen for longest makes room.
pub const MOST: usize = 1024;

/// What a file is to a machine that boots, in the order of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A loader or its script.
    Script,
    /// The kernel.
    Kernel,
    /// An initrd.
    Initrd,
    /// Anything else of the medium: the installer's second stage, packages, images.
    System,
    /// An answer file: kickstart, preseed and their kin.
    Answers,
    /// The machine has said that it is done.
    Done,
}

impl Stage {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Script => "script",
            Stage::Kernel => "kernel",
            Stage::Initrd => "initrd",
            Stage::System => "system",
            Stage::Answers => "answers",
            Stage::Done => "done",
        }
    }
}

/// What a request means for the machine that made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// The tree, as the first part of its URL; empty where there is one only.
    pub tree: String,
    /// What the file is.
    pub stage: Option<Stage>,
    /// The host whose own file it is.
    pub host: Option<String>,
}

#[derive(Debug, Clone)]
struct Machine {
    host: Option<String>,
    mac: Option<Mac>,
    tree: String,
    /// In the order in which they came first, this boot.
    stages: Vec<Stage>,
    requests: u64,
    bytes: u64,
    last: i64,
    path: String,
    missing: u64,
}

/// The machines that were seen.
#[derive(Default)]
pub struct Machines(Mutex<HashMap<IpAddr, Machine>>);

impl Machines {
    /// Takes a request in. Gives the machine's way so far where it came a stage further: text that is safe on a
    /// terminal, whatever the client sent.
    pub fn saw(&self, served: &Served, meaning: &Meaning, now: i64) -> Option<String> {
        let ip = served.peer.ip().to_canonical();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&ip) {
            let oldest = all.iter().min_by_key(|(_, m)| m.last).map(|(ip, _)| *ip);
            oldest.and_then(|ip| all.remove(&ip));
        }
        let m = all.entry(ip).or_insert_with(|| Machine {
            host: None,
            mac: None,
            tree: String::new(),
            stages: Vec::new(),
            requests: 0,
            bytes: 0,
            last: now,
            path: String::new(),
            missing: 0,
        });
        m.requests += 1;
        m.bytes = m.bytes.saturating_add(served.bytes);
        m.last = now;
        m.path = served.path.as_ref().map(ToString::to_string).unwrap_or_default();
        m.missing += u64::from(served.status == 404);
        if let Some(mac) = mac_of(&served.target) {
            m.mac = Some(mac);
        }
        let fetched =
            served.method == "GET" && matches!(served.status, 200 | 206) && served.complete;
        let stage = meaning.stage.filter(|_| fetched)?;
        if let Some(h) = &meaning.host {
            m.host = Some(h.clone());
        }
        m.tree.clone_from(&meaning.tree);
        // A machine that asks for its script after it had a kernel boots anew.
        if stage == Stage::Script && m.stages.contains(&Stage::Kernel) {
            m.stages.clear();
        }
        if m.stages.contains(&stage) {
            return None;
        }
        m.stages.push(stage);
        Some(format!("{}: {}", label(ip, m), way(m)))
    }

    /// The table for machines.
    pub fn json(&self, now: i64) -> String {
        let rows: Vec<_> = self
            .sorted()
            .into_iter()
            .map(|(ip, m)| {
                json!({
                    "address": ip.to_string(),
                    "mac": m.mac.map(|a| a.to_string()),
                    "host": m.host,
                    "tree": m.tree,
                    "stage": m.stages.last().map(|s| s.word()),
                    "stages": m.stages.iter().map(|s| s.word()).collect::<Vec<_>>(),
                    "requests": m.requests,
                    "not_found": m.missing,
                    "bytes": m.bytes,
                    "last_seen": date::iso(m.last),
                    "seconds_ago": (now - m.last).max(0),
                    "last_path": m.path,
                })
            })
            .collect();
        format!("{:#}\n", json!({"time": date::iso(now), "machines": rows}))
    }

    /// The table for people; it asks for itself again every two seconds.
    pub fn html(&self, now: i64) -> String {
        let mut s = String::from(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
             <title>isowright: machines</title></head>\n<body><h1>Machines</h1>\n<table border=\"1\">\n\
             <tr><th>address</th><th>host</th><th>tree</th><th>stages</th><th>bytes</th><th>requests</th>\
             <th>404</th><th>last seen</th><th>last path</th></tr>\n",
        );
        for (ip, m) in self.sorted() {
            let host = m.host.clone().or(m.mac.map(|a| a.to_string())).unwrap_or_default();
            let _ = writeln!(
                s,
                "<tr><td>{ip}</td><td>{}</td><td>{}</td><td>{}</td><td align=\"right\">{}</td>\
                 <td align=\"right\">{}</td><td align=\"right\">{}</td><td>{} s ago</td><td>{}</td></tr>",
                escape(&host),
                escape(&m.tree),
                escape(&way(&m)),
                m.bytes,
                m.requests,
                m.missing,
                (now - m.last).max(0),
                escape(&m.path),
            );
        }
        s + "</table></body></html>\n"
    }

    /// Last seen first.
    fn sorted(&self) -> Vec<(IpAddr, Machine)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> = all.iter().map(|(ip, m)| (*ip, m.clone())).collect();
        drop(all);
        rows.sort_by_key(|(ip, m)| (std::cmp::Reverse(m.last), *ip));
        rows
    }
}

fn label(ip: IpAddr, m: &Machine) -> String {
    match (&m.host, &m.mac) {
        (Some(h), _) => format!("{ip} ({h})"),
        (None, Some(mac)) => format!("{ip} ({mac})"),
        (None, None) => ip.to_string(),
    }
}

fn way(m: &Machine) -> String {
    m.stages.iter().map(|s| s.word()).collect::<Vec<_>>().join(" \u{2192} ")
}

/// `mac=` in a query, as iPXE's `${mac}` or `${mac:hexhyp}` spell it.
fn mac_of(target: &str) -> Option<Mac> {
    let (_, query) = target.split_once('?')?;
    let said = query.split('&').find_map(|p| p.strip_prefix("mac="))?;
    said.get(..17).filter(|_| said.len() == 17)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(ip: &str, target: &str, status: u16) -> Served {
        Served {
            peer: format!("{ip}:1").parse().expect("address"),
            method: "GET".into(),
            target: target.into(),
            path: target.split('?').next().and_then(|t| t.parse().ok()),
            status,
            bytes: 10,
            complete: true,
        }
    }

    fn is(stage: Stage) -> Meaning {
        Meaning { tree: "a".into(), stage: Some(stage), host: None }
    }

    #[test]
    fn a_machine_is_followed_from_script_to_done_and_through_the_next_boot() {
        let m = Machines::default();
        let saw = |target: &str, status, stage| {
            m.saw(&served("192.0.2.7", target, status), &is(stage), 5)
        };
        assert_eq!(saw("/boot.ipxe", 200, Stage::Script).as_deref(), Some("192.0.2.7: script"));
        assert_eq!(saw("/boot.ipxe", 200, Stage::Script), None);
        assert_eq!(saw("/none", 404, Stage::System), None);
        assert!(saw("/vmlinuz?mac=52:54:00:00:00:01", 200, Stage::Kernel).is_some());
        saw("/initrd.img", 200, Stage::Initrd);
        let own = Meaning { host: Some("node1".into()), ..is(Stage::Answers) };
        assert_eq!(
            m.saw(&served("192.0.2.7", "/answers/node1/ks.cfg", 200), &own, 6).as_deref(),
            Some("192.0.2.7 (node1): script \u{2192} kernel \u{2192} initrd \u{2192} answers")
        );
        let v: serde_json::Value = serde_json::from_str(&m.json(9)).expect("JSON");
        let row = &v["machines"][0];
        assert_eq!(
            (row["stage"].as_str(), row["mac"].as_str()),
            (Some("answers"), Some("52:54:00:00:00:01"))
        );
        assert_eq!((row["bytes"].as_u64(), row["not_found"].as_u64()), (Some(60), Some(1)));
        assert_eq!(row["seconds_ago"].as_u64(), Some(3));
        assert!(m.html(9).contains("<td>node1</td>"));
        assert_eq!(
            saw("/boot.ipxe", 200, Stage::Script).as_deref(),
            Some("192.0.2.7 (node1): script")
        );
    }

    #[test]
    fn the_table_does_not_grow_for_ever() {
        let m = Machines::default();
        for i in 0..MOST as i64 + 50 {
            let ip = format!("10.0.{}.{}", i / 200, i % 200 + 1);
            m.saw(&served(&ip, "/<script>", 404), &Meaning::default(), i);
        }
        let rows = m.sorted();
        assert_eq!(rows.len(), MOST);
        assert_eq!(rows.last().map(|(_, m)| m.last), Some(50));
        assert!(!m.html(0).contains("<script>"));
    }
}
