//! Text and JSON of an [`ImagePlan`].

use super::super::render::{coverage, human, line, notes};
use super::super::{Origin, Planned};
use super::{ImagePlan, Menu, Sum};
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::{ArgOp, Coverage, Delivered, Disks, Note};
use crate::media::identity::Identity;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The plan as text.
pub fn text(plan: &ImagePlan) -> String {
    let mut s = String::new();
    let _ = writeln!(s, "{} -> repacked image for BIOS and UEFI", plan.title);
    let _ = writeln!(s, "  from     {} ({})", plan.source.name, human(plan.source.size));
    let _ = writeln!(s, "  recipe   {}", plan.recipe);
    let _ = writeln!(s, "  disks    {}", plan.disks);
    if let Some(d) = &plan.delivery {
        let _ = writeln!(s, "  answers  by {}: {}", d.way, d.reason);
    }
    let grown = plan.content.len() - plan.source.size;
    let _ = writeln!(s, "  size     {} (+{})", human(plan.content.len()), human(grown));
    let _ = match plan.md5 {
        Sum::None => Ok(()),
        Sum::Implanted => writeln!(s, "  MD5      implanted anew while it is written"),
        Sum::Dropped => writeln!(s, "  MD5      taken out, and the check of the medium with it"),
    };
    arguments(&mut s, &plan.menus);
    let _ = writeln!(s, "\nFiles that are changed or added ({})", plan.files.len());
    // By name, so that a FAT image's files stand under it.
    let by_name: BTreeMap<String, &Planned> =
        plan.files.iter().map(|(at, f)| (at.to_string(), f)).collect();
    for (at, f) in by_name {
        line(&mut s, at.trim_start_matches("iso:/"), f);
    }
    coverage(&mut s, &plan.coverage);
    notes(&mut s, &plan.notes);
    s
}

/// The first entry of each menu, once for all that say the same; and the edits.
fn arguments(s: &mut String, menus: &[Menu]) {
    let all = || menus.iter().flat_map(|m| m.entries.iter().map(move |e| (m, e)));
    let mut told: Vec<&str> = Vec::new();
    for (m, e) in all().filter(|(_, e)| e.default) {
        if told.is_empty() {
            s.push_str("\nFirst of each menu\n");
        }
        if !told.contains(&e.cmdline.as_str()) {
            let _ = writeln!(s, "   \"{}\" of {}\n     {}", e.title, m.locus, e.cmdline);
            told.push(&e.cmdline);
        }
    }
    // The edits are the same in all but a few entries: they are told once.
    let Some((_, first)) = all().max_by_key(|(_, e)| (e.edits.len(), e.default)) else { return };
    s.push_str("\nKernel arguments\n");
    for e in &first.edits {
        let (mark, word) = match &e.op {
            ArgOp::Set(w) | ArgOp::Append(w) | ArgOp::AppendForTarget(w) => ('+', w),
            ArgOp::Remove(k) => ('-', k),
        };
        let _ = writeln!(s, " {mark} {word}\n     {}", e.reason);
    }
}

#[derive(Serialize)]
struct Json<'a> {
    name: &'a str,
    title: &'a str,
    recipe: &'a str,
    media: &'a Identity,
    source: &'a super::Source,
    size: u64,
    unattended: bool,
    disks: &'a Disks,
    md5: Sum,
    delivery: Option<&'a Delivered>,
    menus: &'a [Menu],
    files: Vec<JsonFile<'a>>,
    touched: Vec<JsonTouched>,
    coverage: &'a [Coverage],
    notes: &'a [Note],
}

#[derive(Serialize)]
struct JsonFile<'a> {
    path: String,
    size: u64,
    /// Of a file that is new; an edited one keeps the vendor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    origin: &'a Origin,
    reasons: &'a [String],
}

#[derive(Serialize)]
struct JsonTouched {
    from: u64,
    to: u64,
    what: String,
}

/// The plan for machines.
///
/// # Errors
/// `Io` where it can't be spelled as JSON.
pub fn json(plan: &ImagePlan) -> Result<serde_json::Value> {
    let files = plan.files.iter().map(|(at, f)| JsonFile {
        path: at.to_string(),
        size: f.content.len(),
        mode: (!matches!(f.origin, Origin::Edited { .. })).then(|| format!("{:04o}", f.mode)),
        origin: &f.origin,
        reasons: &f.reasons,
    });
    let touched = plan.touched.iter().map(|t| JsonTouched {
        from: t.range.start,
        to: t.range.end,
        what: format!("{:?}", t.what),
    });
    let j = Json {
        name: &plan.name,
        title: &plan.title,
        recipe: &plan.recipe,
        media: &plan.identity,
        source: &plan.source,
        size: plan.content.len(),
        unattended: plan.disks.at_risk(),
        disks: &plan.disks,
        md5: plan.md5,
        delivery: plan.delivery.as_ref(),
        menus: &plan.menus,
        files: files.collect(),
        touched: touched.collect(),
        coverage: &plan.coverage,
        notes: &plan.notes,
    };
    serde_json::to_value(&j)
        .map_err(|e| Error::new(ErrorKind::Io, "can't spell the plan as JSON").because(e))
}
