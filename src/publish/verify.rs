//! A tree against its own word: bytes against the manifest, paths that boot files name against the
//! tree, console and bond in every entry.

mod report;
pub mod signed;
pub mod store;
pub mod web;

pub use report::{Finding, Report};

use super::manifest::{HostRow, Manifest};
use super::sign::MANIFEST_SIG;
use super::{MANIFEST, SUMS};
use crate::content::copy::{self, Watch};
use crate::content::path::TreePath;
use crate::content::{Content, source::FileSource};
use crate::error::{Error, ErrorKind, Result};
use crate::format::x509::Certificate;
use crate::format::{dracut, grub, ipxe};
use crate::model::boot::Payload;
use crate::model::cmdline::{Cmdline, same_key};
use crate::plan::hosts;
use crate::plan::netboot::GRUB_CFG;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Verifies the tree in `dir`; with `trusted` its manifest must be signed by one of these, or by whom they
/// vouch for.
///
/// # Errors
/// `NotFound` where there is no manifest, `Corrupt` where it is no manifest of ours, `Io`,
/// `Interrupted`. What is wrong with the tree is a finding, not an error.
pub fn verify(dir: &Path, trusted: &[Certificate], watch: Watch) -> Result<Report> {
    let at = dir.join(MANIFEST);
    if !at.exists() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no manifest.json: not a tree of ours, or an unfinished one",
        )
        .source_name(dir.display())
        .hint("`isowright build` into it again finishes it"));
    }
    let own = Content::open(&at)?.read_all(256 << 20)?;
    let manifest = Manifest::from_json(&own).map_err(|e| e.source_name(at.display()))?;
    let mut r = Report::default();
    bytes(dir, &manifest, &mut r, watch)?;
    sums(dir, &manifest, &mut r)?;
    let file = |p: &TreePath| open(dir, p)?.map(|c| c.read_all(signed::MAX_SIGNATURE)).transpose();
    signed::check(&own, &manifest, trusted, &file, &mut r)?;
    unlisted(dir, &manifest, &mut r);
    boot_files(dir, &manifest, &mut r)?;
    r.manifest = Some(Box::new(manifest));
    Ok(r)
}

/// A file of the tree; a link in its place is not one.
fn open(dir: &Path, path: &TreePath) -> Result<Option<Content>> {
    let at = dir.join(path.as_path());
    match at.symlink_metadata() {
        Ok(m) if m.is_file() => Ok(Some(Content::whole(Arc::new(FileSource::open(&at)?)))),
        _ => Ok(None),
    }
}

fn bytes(dir: &Path, manifest: &Manifest, r: &mut Report, watch: Watch) -> Result<()> {
    for row in &manifest.files {
        let Some(content) = open(dir, &row.path)? else {
            r.broken(&row.path, "missing");
            continue;
        };
        r.files += 1;
        r.bytes += content.len();
        if row.mode.is_some() {
            closed(dir, &row.path, r)?;
        }
        if content.len() != row.size {
            r.broken(&row.path, format!("{} bytes, not {}", content.len(), row.size));
        } else if copy::digest(&content, watch)? != row.sha256 {
            r.broken(&row.path, "its bytes are not those of the manifest");
        }
    }
    Ok(())
}

/// A file for its owner alone, which holds secrets.
fn closed(dir: &Path, path: &TreePath, r: &mut Report) -> Result<()> {
    let at = dir.join(path.as_path());
    let meta = at.symlink_metadata().map_err(|e| Error::io("can't look at it", e).path(path))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if mode & 0o007 != 0 {
        r.broken(path, format!("mode {mode:04o}: it holds secrets, and every user may read it"));
    } else if mode & 0o070 != 0 {
        r.note(path, format!("mode {mode:04o}: it holds secrets, and its group may read it"));
    }
    Ok(())
}

fn sums(dir: &Path, manifest: &Manifest, r: &mut Report) -> Result<()> {
    match open(dir, &SUMS.parse()?)? {
        None => r.broken(SUMS, "missing"),
        Some(c) if c.read_all(256 << 20)? != manifest.sums()? => {
            r.broken(SUMS, "does not agree with the manifest");
        }
        Some(_) => {}
    }
    Ok(())
}

/// Files that nobody speaks for. They do no harm to a boot.
fn unlisted(dir: &Path, manifest: &Manifest, r: &mut Report) {
    let mut known: BTreeSet<&[u8]> = manifest.files.iter().map(|f| f.path.as_bytes()).collect();
    known.extend([MANIFEST, SUMS, MANIFEST_SIG].map(str::as_bytes));
    let mut todo = vec![dir.to_owned()];
    let mut extra = 0usize;
    let mut first = None;
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(&d).into_iter().flatten().flatten() {
            let path = e.path();
            if e.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(path);
                continue;
            }
            let rel = path.strip_prefix(dir).unwrap_or(&path);
            let name = std::os::unix::ffi::OsStrExt::as_bytes(rel.as_os_str());
            if !known.contains(name) {
                extra += 1;
                first.get_or_insert_with(|| rel.display().to_string());
            }
        }
    }
    if let Some(f) = first {
        r.note(f, format!("not in the manifest ({extra} such files)"));
    }
}

const SCRIPT: &str = "boot.ipxe";
const GRUB_CONFIGS: [&str; 2] = ["grub/grub.cfg", "EFI/BOOT/grub.cfg"];

fn boot_files(dir: &Path, manifest: &Manifest, r: &mut Report) -> Result<()> {
    let script = SCRIPT.parse()?;
    match open(dir, &script)? {
        None if manifest.files.iter().any(|f| f.path == script) => {}
        None => r.broken(&script, "missing"),
        Some(c) => script_file(dir, manifest, &c.read_all(4 << 20)?, r)?,
    }
    for name in GRUB_CONFIGS {
        let path: TreePath = name.parse()?;
        if let Some(c) = open(dir, &path)? {
            grub_file(dir, manifest, &path, &c.read_all(4 << 20)?, r)?;
        }
    }
    Ok(())
}

/// Where it tells machines apart it is read as each of them runs it.
fn script_file(dir: &Path, manifest: &Manifest, text: &[u8], r: &mut Report) -> Result<()> {
    let each = hosts::variants(&String::from_utf8_lossy(text));
    if each.is_empty() && manifest.hosts.is_empty() {
        return one_script(dir, manifest, text, r);
    }
    let mut rows: BTreeMap<&str, &HostRow> =
        manifest.hosts.iter().map(|h| (h.name.as_str(), h)).collect();
    for text in &each {
        one_script(dir, manifest, text.as_bytes(), r)?;
        // What is wrong with it was told just now.
        let Ok(script) = ipxe::Script::parse(text.as_bytes()) else { continue };
        let Some(row) = script.value("host").and_then(|h| rows.remove(h)) else { continue };
        for mac in &row.macs {
            let label = format!("{}{mac}", hosts::MAC_LABEL);
            if !script.labels.iter().any(|(l, _)| *l == label) {
                r.broken(SCRIPT, format!("{} is not found by its address {mac}", row.name));
            }
        }
        for k in script.kernels() {
            let c = Cmdline::parse(&k.args).unwrap_or_default();
            lacks(SCRIPT, &row.must_have, &c, r);
        }
    }
    for name in rows.keys() {
        r.broken(SCRIPT, format!("has no lines for host {name}"));
    }
    Ok(())
}

fn one_script(dir: &Path, manifest: &Manifest, text: &[u8], r: &mut Report) -> Result<()> {
    let script = match ipxe::Script::parse(text) {
        Ok(s) => s,
        Err(e) => {
            r.broken(SCRIPT, e.to_string());
            return Ok(());
        }
    };
    let kernels: Vec<_> = script.kernels().collect();
    if kernels.is_empty() {
        r.broken(SCRIPT, "starts no kernel");
    }
    let named: Vec<String> =
        kernels.iter().map(|k| k.uri.clone()).chain(script.initrds().map(|i| i.uri)).collect();
    for uri in &named {
        exists(dir, SCRIPT, uri, r)?;
    }
    let initrd_names: BTreeSet<String> = script.initrds().map(|i| i.name.clone()).collect();
    for k in &kernels {
        r.entries += 1;
        let c = match Cmdline::parse(&k.args) {
            Ok(c) => c,
            Err(e) => {
                r.broken(SCRIPT, e.to_string());
                continue;
            }
        };
        match c.get("initrd") {
            Some(name) if !initrd_names.contains(name) => {
                r.broken(
                    SCRIPT,
                    format!("initrd={name} is the name of no initrd that is fetched (UEFI panics)"),
                );
            }
            None if !initrd_names.is_empty() => r.broken(SCRIPT, "no initrd= (UEFI needs it)"),
            _ => {}
        }
        entry(dir, manifest, SCRIPT, &c, r)?;
    }
    Ok(())
}

fn grub_file(
    dir: &Path,
    manifest: &Manifest,
    path: &TreePath,
    text: &[u8],
    r: &mut Report,
) -> Result<()> {
    let text = String::from_utf8_lossy(text);
    let doc = match grub::Doc::parse(at_root(&text).as_bytes()) {
        Ok(d) => d,
        Err(e) => {
            r.broken(path, e.to_string());
            return Ok(());
        }
    };
    let entries = doc.entries(&TreePath::root());
    let elsewhere = format!("/{GRUB_CFG}");
    let reads = |l: &str| l.starts_with("source ") && l.ends_with(&elsewhere);
    if entries.is_empty() && !text.lines().any(reads) {
        r.broken(path, "starts nothing");
    }
    for e in entries {
        r.entries += 1;
        let host = e.id.strip_prefix(hosts::GRUB_ID);
        let host = manifest.hosts.iter().find(|h| host == Some(&h.name));
        match e.payload {
            Payload::Linux { kernel, initrds, cmdline } => {
                for p in std::iter::once(&kernel).chain(&initrds) {
                    if open(dir, p)?.is_none() {
                        r.broken(path, format!("names {p}, which is not there"));
                    }
                }
                if let Some(h) = host {
                    lacks(path, &h.must_have, &cmdline, r);
                }
                entry(dir, manifest, &path.to_string(), &cmdline, r)?;
            }
            // It gives the machine back.
            Payload::Opaque { why } if why == "exit" => {}
            other => r.broken(path, format!("entry \"{}\" is not understood: {other:?}", e.title)),
        }
    }
    Ok(())
}

/// The script with paths from the tree's own root: behind `$tree`, or behind `(http,HOST)/PREFIX` where
/// the URL was fixed; the prefix is what stands before `/vmlinuz`.
fn at_root(text: &str) -> String {
    let fixed = text.lines().find_map(|l| {
        let word = l.trim_start().strip_prefix("linux ")?.split_whitespace().next()?;
        word.strip_suffix("/vmlinuz").filter(|b| b.starts_with("(http,"))
    });
    match fixed {
        Some(base) => text.replace(&format!("{base}/"), "/"),
        None => text.replace("$tree/", "/"),
    }
}

/// Words that must be there.
fn lacks(file: impl ToString, must_have: &[String], c: &Cmdline, r: &mut Report) {
    let words: BTreeSet<&str> = c.words().map(|w| w.raw).collect();
    for must in must_have.iter().filter(|m| !words.contains(m.as_str())) {
        r.broken(file.to_string(), format!("an entry lacks {must}"));
    }
}

/// Console and bond, and the files below the tree that arguments name.
fn entry(dir: &Path, manifest: &Manifest, file: &str, c: &Cmdline, r: &mut Report) -> Result<()> {
    lacks(file, &manifest.must_have, c, r);
    let words: Vec<&str> = c.words().map(|w| w.raw).collect();
    let consoles = |w: &&str| w.starts_with("console=");
    let last_wanted = manifest.must_have.iter().map(String::as_str).rfind(consoles);
    let last_there = words.iter().copied().rfind(consoles);
    if last_wanted.is_some() && last_wanted != last_there {
        r.broken(
            file,
            format!(
                "the last console is {}, not {}",
                last_there.unwrap_or("none"),
                last_wanted.unwrap_or("none")
            ),
        );
    }
    for w in words.iter().filter(|w| w.starts_with("bond=")) {
        if let Err(e) = dracut::parse_bond(w) {
            r.broken(file, e.to_string());
        }
    }
    for w in c.words() {
        let url = |folder: &'static str| {
            let (before, rest) = w.raw.split_once(folder)?;
            let ours = before.contains('$') || before.contains("://");
            ours.then_some((folder, rest.trim_end_matches('"')))
        };
        let Some((folder, rest)) = url("repo/").or_else(|| url("answers/")) else { continue };
        let below = format!("{folder}{rest}");
        if manifest.hosted_elsewhere.contains(&below) {
            r.note(file, format!("{} wants {below}, which is hosted elsewhere", w.key));
        } else if !dir.join(below.trim_end_matches('/')).exists() {
            r.broken(file, format!("{} wants {below}, which is not there", w.key));
        }
        if same_key(w.key, "inst.repo")
            && folder == "repo/"
            && rest.is_empty()
            && !manifest.hosted_elsewhere.contains(&below)
            && !dir.join("repo/.treeinfo").exists()
        {
            r.note(file, "repo/ has no .treeinfo: a sync tool may have left out the dotfiles");
        }
    }
    Ok(())
}

/// A URI as `boot.ipxe` has it: relative, or behind `${base}`.
fn exists(dir: &Path, file: &str, uri: &str, r: &mut Report) -> Result<()> {
    let relative = uri.strip_prefix("${base}").unwrap_or(uri);
    if relative.contains("://") || relative.contains("${") {
        r.note(file, format!("{uri} is not in this tree and was not looked at"));
        return Ok(());
    }
    match TreePath::new(relative) {
        Ok(p) if open(dir, &p)?.is_some() => {}
        Ok(_) => r.broken(file, format!("names {uri}, which is not there")),
        Err(e) => r.broken(file, e.to_string()),
    }
    Ok(())
}
