//! Text and JSON of a Plan: what users see is what the golden files hold.

use super::{Origin, Plan, Planned};
use crate::content::path::TreePath;
use crate::family::draft::{ArgOp, Aspect, Cover, Layer};
use serde::Serialize;
use std::fmt::Write;

/// Files of one folder below `repo/` that are listed one by one before they are summed up.
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
    s.push_str(match plan.unattended {
        true => "  disks    WIPED: the install runs without a question (unattended)\n",
        false => "  disks    left alone until the operator says so (not unattended)\n",
    });
    if let Some(d) = &plan.delivery {
        let _ = writeln!(s, "  answers  by {}: {}", d.way, d.reason);
    }
    if plan.ram_mib > 0 {
        let _ = writeln!(s, "  RAM      {} MiB at least", plan.ram_mib);
    }
    arguments(&mut s, plan);
    files(&mut s, plan, all);
    coverage(&mut s, plan);
    if !plan.notes.is_empty() {
        s.push_str("\nNotes\n");
        for n in &plan.notes {
            let mark = if n.warning { '!' } else { '-' };
            let assumed = if n.assumed { " (assumed)" } else { "" };
            let _ = writeln!(s, " {mark} {}{assumed}", n.text);
        }
    }
    s
}

fn arguments(s: &mut String, plan: &Plan) {
    let base = crate::family::draft::BASE;
    s.push_str(match plan.chosen.cmdline.contains(base) {
        true => "\nKernel arguments (@BASE@ stands for the tree's URL)\n",
        false => "\nKernel arguments\n",
    });
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
    let (repo, rest): (Vec<_>, Vec<_>) =
        plan.files.iter().partition(|(p, _)| p.parts().next() == Some(b"repo"));
    for (path, f) in rest {
        line(s, path, f);
    }
    if all || repo.len() <= LISTED {
        repo.iter().for_each(|(path, f)| line(s, path, f));
    } else {
        let bytes: u64 = repo.iter().map(|(_, f)| f.content.len()).sum();
        let _ = writeln!(
            s,
            " = repo/                      {:>10}  {} files of the medium; --all lists them",
            human(bytes),
            repo.len()
        );
    }
}

fn line(s: &mut String, path: &TreePath, f: &Planned) {
    let size = human(f.content.len());
    let (mark, size, from) = match &f.origin {
        Origin::Medium { path, offset: Some(o) } => ('=', size, format!("{path} @ {o:#x}")),
        Origin::Medium { path, offset: None } => ('=', size, path.clone()),
        Origin::Given { name } => ('=', size, format!("{name} (given)")),
        Origin::Extended { path, added, bytes, folders } => {
            let ours = ours(added, folders);
            ('~', size, format!("{path} + {} for {ours}", human(*bytes)))
        }
        Origin::Repacked { path, dropped, added, folders } => {
            let ours = ours(added, folders);
            let also = if ours.is_empty() { ours } else { format!(", with {ours}") };
            ('~', size, format!("{path} made anew without {}{also}", few(dropped)))
        }
        Origin::Made => ('+', size, "made".into()),
    };
    let _ = writeln!(s, " {mark} {:<26} {size:>10}  {from}", path.to_string());
    for r in &f.reasons {
        let _ = writeln!(s, "     {r}");
    }
}

/// The first of them.
fn few(paths: &[String]) -> String {
    const SHOWN: usize = 4;
    let more = paths.len().saturating_sub(SHOWN);
    let list = paths[..paths.len() - more].join(" ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

/// What was added to an initrd; the operator's folders by their settings.
fn ours(added: &[String], folders: &[super::overlay::Laid]) -> String {
    let settings = folders.iter().map(|f| f.setting.as_str());
    added.iter().map(String::as_str).chain(settings).collect::<Vec<_>>().join(" ")
}

fn coverage(s: &mut String, plan: &Plan) {
    s.push_str("\nCoverage, from power-on to the installed system\n");
    for layer in Layer::ALL {
        for aspect in [Aspect::Console, Aspect::Bond] {
            let row = plan.coverage.iter().find(|c| c.layer == layer && c.aspect == aspect);
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
    ram_mib: u64,
    delivery: Option<&'a crate::family::draft::Delivered>,
    entry: &'a super::Chosen,
    must_have: &'a [String],
    hosted_elsewhere: &'a [String],
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
        unattended: plan.unattended,
        ram_mib: plan.ram_mib,
        delivery: plan.delivery.as_ref(),
        entry: &plan.chosen,
        must_have: &plan.must_have,
        hosted_elsewhere: &plan.hosted_elsewhere,
        files: files.collect(),
        coverage: &plan.coverage,
        notes: &plan.notes,
    };
    serde_json::to_value(&j).map_err(|e| {
        crate::Error::new(crate::ErrorKind::Io, "can't spell the plan as JSON").because(e)
    })
}
