//! `initrd append` and `initrd repack`.

use super::args::{Append, Repack};
use super::{folder, of};
use crate::cli::Outcome;
use crate::cli::output::{Out, tell};
use crate::cli::resolve;
use crate::cli::term::{self, Bar};
use crate::content::Content;
use crate::content::copy;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::initrd::{self, Options, Report};
use crate::plan::render::human;
use crate::publish::Progress;
use serde_json::json;
use std::io;
use std::path::Path;

pub fn append(a: &Append) -> Result<Outcome> {
    let vendor = Content::open(&a.file)?;
    initrd::begins_as_one(&vendor).map_err(of(&a.file))?;
    let mut ours = Vec::new();
    for add in &a.add {
        let (from, to) = resolve::added(add)?;
        ours.push(folder::entry(&from, to)?);
    }
    for dir in &a.folder {
        ours.extend(folder::entries(dir)?);
    }
    let hint = "`isowright initrd ls -l` tells what lies there";
    let done = initrd::append(std::slice::from_ref(&vendor), &ours)
        .map_err(of(&a.file))
        .map_err(|e| if e.kind() == ErrorKind::Conflict { e.hint(hint) } else { e })?;
    let list: Vec<String> = done.landed.iter().map(|p| term::safe(&p.to_string())).collect();
    let bytes = done.content.len() - vendor.len();
    let what = format!("+ {} at {:#x}: {}\n", human(bytes), done.offset, list.join(" "));
    if a.dry_run {
        term::out(&what);
        return Ok(Outcome::Done);
    }
    let path = a.output.as_deref();
    let mut out = Out::open(path)?;
    let bar = Bar::new(done.content.len());
    let name = TreePath::root();
    let watch = |n| bar.advance(&name, n);
    match &mut out {
        Out::File(f) => copy::to_file(&done.content, f.as_file(), &watch)?,
        other => drop(copy::to_writer(&done.content, other, false, &watch)?),
    }
    out.done(path)?;
    bar.end();
    tell(path, &what);
    Ok(Outcome::Done)
}

pub fn repack(a: &Repack) -> Result<Outcome> {
    let vendor = Content::open(&a.file)?;
    let replace = a.replace.iter().map(|r| replaced(r)).collect::<Result<Vec<_>>>()?;
    let threads = a.threads.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
    });
    let options = Options {
        codec: a.codec.map(Into::into),
        level: a.level,
        threads,
        drop: a.drop.clone(),
        replace,
        link_identical: a.link_identical,
    };
    let path = a.output.as_deref().filter(|_| !a.dry_run);
    let bar = Bar::open_end();
    let name = TreePath::root();
    // What went to standard output can't be taken back: the whole is made first.
    let piped = path == Some(Path::new("-"));
    if piped {
        Out::open(path)?;
    }
    let mut fresh = || match piped {
        true => Out::open(Some(&std::env::temp_dir().join("initrd"))),
        false => Out::open(path),
    };
    let watch = |n| bar.advance(&name, n);
    let (out, report) =
        initrd::repack(&vendor, &options, &mut fresh, &watch).map_err(of(&a.file))?;
    let written = match out {
        Out::File(f) if piped => {
            let made = Content::open(f.path())?;
            copy::to_writer(&made, &mut io::stdout(), false, &watch)?;
            made.len()
        }
        out => out.done(path)?,
    };
    bar.end();
    report_of(a, &report, vendor.len(), written)
}

fn report_of(a: &Repack, r: &Report, was: u64, now: u64) -> Result<Outcome> {
    let path = a.output.as_deref();
    if a.json {
        let mut v = json!({ "size": now, "was": was });
        if let (Ok(serde_json::Value::Object(more)), Some(v)) =
            (serde_json::to_value(r), v.as_object_mut())
        {
            v.extend(more);
        }
        tell(path, &format!("{v:#}\n"));
        return Ok(Outcome::Done);
    }
    let mut s = format!(
        "{} -> {}, {}: {} of {} entries, {} unpacked\n",
        human(was),
        human(now),
        r.codec.name(),
        r.written,
        r.read,
        human(r.unpacked)
    );
    for p in &r.dropped {
        s.push_str(&format!("- {}\n", term::safe(&p.to_string())));
    }
    if r.early > 0 {
        s.push_str(&format!("the first {} stay as they are\n", human(r.early)));
    }
    if r.overwritten > 0 {
        s.push_str(&format!("{} entries left out: later ones overwrite them\n", r.overwritten));
    }
    if r.linked > 0 {
        s.push_str(&format!("{} files became hard links\n", r.linked));
    }
    tell(path, &s);
    Ok(Outcome::Done)
}

fn inside(path: &str) -> Result<TreePath> {
    TreePath::new(path).map_err(|e| e.hint("give the path in the initrd, from its root"))
}

/// `PATH=FILE`.
fn replaced(r: &str) -> Result<(TreePath, Content)> {
    let (path, file) =
        r.split_once('=').filter(|(p, f)| !p.is_empty() && !f.is_empty()).ok_or_else(|| {
            Error::usage(format!("\"{r}\" does not say what by"))
                .hint("--replace PATH=FILE: a path in the initrd, and a file of this machine")
        })?;
    Ok((inside(path)?, Content::open(Path::new(file))?))
}
