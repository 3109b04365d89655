//! Text and JSON of a Plan: what users see is what the golden files hold.

use super::{Origin, Plan, Planned};
use crate::content::path::TreePath;
use crate::family::draft::{ArgOp, Aspect, Cover, Coverage, Disks, Layer, Note};
use serde::Serialize;
use std::fmt::Write;

/// Folders whose files are summed up where there are more than [`LISTED`]: mark, and whose they are.
const SUMMED: [(&str, char, &str); 3] = [
    ("answers", '+', "of the hosts"),
    ("hosts", '+', "of the hosts"),
    ("repo", '=', "of the medium"),
];
/// Files of such a folder that are listed one by one before they are summed up.
const LISTED: usize = 12;

/// `13.1 MiB`; bytes below 1 KiB as they are.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut v = bytes as f64;
    let mut unit = 0;
    while v >= 1024.0 && unit + 1 < UNITS.len() {
        v /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{v:.1} {}", UNITS[unit]) }
}

/// The plan as text. With `all`, each hosted file on its own line.
pub fn text(plan: &Plan, all: bool) -> String {
    let mut s = String::new();
    let _ = writeln!(s, "{} -> netboot tree for BIOS and UEFI", plan.title);
    let _ = writeln!(s, "  from     {} ({})", plan.source.name, human(plan.source.size));
    let _ = writeln!(s, "  recipe   {}", plan.recipe);
    let entry = match &plan.chosen.locus {
        Some(l) => format!("\"{}\" of {l}", plan.chosen.title),
        None => "none of the medium's; assumed".into(),
    };
    let _ = writeln!(s, "  entry    {entry}");
    let _ = writeln!(s, "  disks    {}", disks(plan));
    if let Some(d) = &plan.delivery {
        let _ = writeln!(s, "  answers  by {}: {}", d.way, d.reason);
    }
    if plan.ram_mib > 0 {
        let _ = writeln!(s, "  RAM      {} MiB at least", plan.ram_mib);
    }
    hosts(&mut s, plan);
    arguments(&mut s, plan);
    files(&mut s, plan, all);
    coverage(&mut s, &plan.coverage);
    notes(&mut s, &plan.notes);
    s
}

/// What the operator should know.
pub(super) fn notes(s: &mut String, notes: &[Note]) {
    if notes.is_empty() {
        return;
    }
    s.push_str("\nNotes\n");
    for n in notes {
        let mark = if n.warning { '!' } else { '-' };
        let assumed = if n.assumed { " (assumed)" } else { "" };
        let _ = writeln!(s, " {mark} {}{assumed}", n.text);
    }
}

/// What becomes of disks: of a machine that boots it, or of how many hosts'.
pub fn disks(plan: &Plan) -> String {
    let of = plan.hosts.len();
    let count = |which: fn(&Disks) -> bool| plan.hosts.iter().filter(|h| which(&h.disks)).count();
    let own = count(|d| matches!(d, Disks::AsOwn { .. }));
    let wiped = count(Disks::at_risk) - own;
    let mut said = Vec::new();
    if wiped > 0 {
        said.push(format!("WIPED on {wiped} of {of} hosts without a question"));
    }
    if own > 0 {
        said.push(format!("as your own answers say on {own} of {of} hosts, which may WIPE them"));
    }
    if said.is_empty() {
        return plan.disks.to_string();
    }
    said.join("; ")
}

/// Each host on a line of its own, also where there are a thousand: what is wiped must be seen.
fn hosts(s: &mut String, plan: &Plan) {
    if plan.hosts.is_empty() {
        return;
    }
    let _ = writeln!(s, "\nHosts ({}; any other machine is left alone)", plan.hosts.len());
    let width = |f: &dyn Fn(&super::hosts::HostPlan) -> usize| {
        plan.hosts.iter().map(f).max().unwrap_or(0).min(40)
    };
    let (names, addresses) = (width(&|h| h.name.len()), width(&|h| h.address.len()));
    for h in &plan.hosts {
        let macs: Vec<String> = h.macs.iter().map(ToString::to_string).collect();
        let _ = writeln!(s, "   {:<names$}  {:<addresses$}  {}", h.name, h.address, h.disks);
        let _ = writeln!(s, "     {}", macs.join(" "));
    }
}

fn arguments(s: &mut String, plan: &Plan) {
    let base = crate::family::draft::BASE;
    let whose = plan.hosts.first().map_or_else(String::new, |h| format!(" of {}", h.name));
    let _ = match plan.chosen.cmdline.contains(base) {
        true => writeln!(s, "\nKernel arguments{whose} (@BASE@ stands for the tree's URL)"),
        false => writeln!(s, "\nKernel arguments{whose}"),
    };
    let _ = writeln!(s, "   {}", plan.chosen.cmdline);
    for e in &plan.chosen.edits {
        let (mark, word) = match &e.op {
            ArgOp::Set(w) | ArgOp::Append(w) | ArgOp::AppendForTarget(w) => ('+', w),
            ArgOp::Remove(k) => ('-', k),
        };
        let _ = writeln!(s, " {mark} {word}\n     {}", e.reason);
    }
}

fn files(s: &mut String, plan: &Plan, all: bool) {
    let _ = writeln!(s, "\nFiles ({}, {})", plan.files.len(), human(plan.bytes()));
    let is_in = |p: &TreePath, folder: &str| p.parts().next() == Some(folder.as_bytes());
    let below =
        |folder: &str| plan.files.iter().filter(|(p, _)| is_in(p, folder)).collect::<Vec<_>>();
    let summed: Vec<_> =
        SUMMED.iter().filter(|(folder, ..)| !all && below(folder).len() > LISTED).collect();
    let apart = |p: &TreePath| is_in(p, "repo") || summed.iter().any(|(f, ..)| is_in(p, f));
    for (path, f) in plan.files.iter().filter(|(p, _)| !apart(p)) {
        line(s, &path.to_string(), f);
    }
    for (folder, mark, what) in &summed {
        let inner = below(folder);
        let bytes: u64 = inner.iter().map(|(_, f)| f.content.len()).sum();
        let _ = writeln!(
            s,
            " {mark} {:<26} {:>10}  {} files {what}; --all lists them",
            format!("{folder}/"),
            human(bytes),
            inner.len()
        );
    }
    if !summed.iter().any(|(f, ..)| *f == "repo") {
        below("repo").iter().for_each(|(path, f)| line(s, &path.to_string(), f));
    }
}

/// A file with its origin and its reasons.
pub(super) fn line(s: &mut String, path: &str, f: &Planned) {
    let size = human(f.content.len());
    let (mark, size, from) = match &f.origin {
        Origin::Medium { path, offset: Some(o) } => ('=', size, format!("{path} @ {o:#x}")),
        Origin::Medium { path, offset: None } => ('=', size, path.clone()),
        Origin::Given { name } => ('=', size, format!("{name} (given)")),
        Origin::Extended { path, added, folders, .. } if added.is_empty() && folders.is_empty() => {
            ('~', size, path.clone())
        }
        Origin::Extended { path, added, bytes, folders } => {
            let ours = ours(added, folders);
            ('~', size, format!("{path} + {} for {ours}", human(*bytes)))
        }
        Origin::Repacked { path, dropped, added, folders } => {
            let ours = ours(added, folders);
            let also = if ours.is_empty() { ours } else { format!(", with {ours}") };
            ('~', size, format!("{path} made anew without {}{also}", few(dropped, " ")))
        }
        Origin::Edited { path } => ('~', size, path.clone()),
        Origin::Made => ('+', size, "made".into()),
    };
    let _ = writeln!(s, " {mark} {path:<26} {size:>10}  {from}");
    for r in &f.reasons {
        let _ = writeln!(s, "     {r}");
    }
}

/// The first of them.
pub(super) fn few(names: &[String], between: &str) -> String {
    const SHOWN: usize = 4;
    let more = names.len().saturating_sub(SHOWN);
    let list = names[..names.len() - more].join(between);
    if more == 0 { list } else { format!("{list} and {more} more") }
}

/// What was added to an initrd; the operator's folders by their settings.
fn ours(added: &[String], folders: &[super::overlay::Laid]) -> String {
    let settings = folders.iter().map(|f| f.setting.as_str());
    added.iter().map(String::as_str).chain(settings).collect::<Vec<_>>().join(" ")
}

/// The coverage table.
pub(super) fn coverage(s: &mut String, rows: &[Coverage]) {
    s.push_str("\nCoverage, from power-on to the installed system\n");
    for layer in Layer::ALL {
        for aspect in [Aspect::Console, Aspect::Bond] {
            let row = rows.iter().find(|c| c.layer == layer && c.aspect == aspect);
            let (state, why) = match row.map(|r| &r.cover) {
                Some(Cover::Set { how }) => ("set", how.clone()),
                Some(Cover::NotNeeded { why }) => ("not needed", why.clone()),
                Some(Cover::Impossible { why, instead }) => {
                    ("impossible", format!("{why}; instead: {instead}"))
                }
                None => ("unknown", "this family says nothing about it".into()),
            };
            let _ = writeln!(
                s,
                "   {:<21} {:<8} {state:<11} {why}",
                layer_name(layer),
                aspect_name(aspect)
            );
        }
    }
}

fn layer_name(l: Layer) -> &'static str {
    match l {
        Layer::BootLoader => "boot loader",
        Layer::Kernel => "kernel",
        Layer::Installer => "installer",
        Layer::InstalledBootLoader => "installed boot loader",
        Layer::InstalledSystem => "installed system",
    }
}

fn aspect_name(a: Aspect) -> &'static str {
    match a {
        Aspect::Console => "console",
        Aspect::Bond => "bond",
    }
}

#[derive(Serialize)]
struct Json<'a> {
    name: &'a str,
    title: &'a str,
    recipe: &'a str,
    media: &'a crate::media::identity::Identity,
    source: &'a super::Source,
    unattended: bool,
    disks: &'a Disks,
    ram_mib: u64,
    delivery: Option<&'a crate::family::draft::Delivered>,
    entry: &'a super::Chosen,
    must_have: &'a [String],
    hosted_elsewhere: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hosts: &'a [super::hosts::HostPlan],
    files: Vec<JsonFile<'a>>,
    coverage: &'a [crate::family::draft::Coverage],
    notes: &'a [crate::family::draft::Note],
}

#[derive(Serialize)]
struct JsonFile<'a> {
    path: &'a TreePath,
    size: u64,
    mode: String,
    origin: &'a Origin,
    reasons: &'a [String],
}

/// The plan for machines; every file is listed.
///
/// # Errors
/// `Io` where it can't be spelled as JSON.
pub fn json(plan: &Plan) -> crate::Result<serde_json::Value> {
    let files = plan.files.iter().map(|(path, f)| JsonFile {
        path,
        size: f.content.len(),
        mode: format!("{:04o}", f.mode),
        origin: &f.origin,
        reasons: &f.reasons,
    });
    let j = Json {
        name: &plan.name,
        title: &plan.title,
        recipe: &plan.recipe,
        media: &plan.identity,
        source: &plan.source,
        unattended: plan.disks.at_risk(),
        disks: &plan.disks,
        ram_mib: plan.ram_mib,
        delivery: plan.delivery.as_ref(),
        entry: &plan.chosen,
        must_have: &plan.must_have,
        hosted_elsewhere: &plan.hosted_elsewhere,
        hosts: &plan.hosts,
        files: files.collect(),
        coverage: &plan.coverage,
        notes: &plan.notes,
    };
    serde_json::to_value(&j).map_err(|e| {
        crate::Error::new(crate::ErrorKind::Io, "can't spell the plan as JSON").because(e)
    })
}
