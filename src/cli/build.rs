//! `plan` and `build`.

use super::Outcome;
use super::args::{Build, PlanArgs};
use super::resolve::{self, Wish};
use super::term::{self, Bar};
use crate::error::{Error, ErrorKind, Result};
use crate::media::Media;
use crate::plan::{self, Plan, render};
use crate::publish::{self, MANIFEST, dir::DirSink, manifest::Manifest};
use crate::recipe::select;
use std::path::Path;
use std::sync::atomic::Ordering;

pub fn plan(a: &PlanArgs) -> Result<Outcome> {
    let wish = resolve::wish(&a.source)?;
    show(&make(&wish)?.1, a.all, a.json)
}

fn show(plan: &Plan, all: bool, json: bool) -> Result<Outcome> {
    match json {
        true => term::out(&format!("{:#}\n", render::json(plan)?)),
        false => {
            let text = render::text(plan, all);
            let safe: Vec<String> = text.lines().map(term::safe).collect();
            term::out(&(safe.join("\n") + "\n"));
        }
    }
    Ok(Outcome::Done)
}

fn make(wish: &Wish) -> Result<(Media, Plan)> {
    let media = resolve::open(&wish.image)?;
    if let Some(want) = wish.sha256 {
        check_digest(&media, want)?;
    }
    let (docs, identity) = (media.boot_docs(), media.identity());
    let has_kernel = !docs.kernels(&media.tree).is_empty();
    let recipe = match &wish.recipe {
        Some(name) => select::by_name(&wish.recipes, name)?,
        None => {
            let chosen = select::select(&wish.recipes, &identity, &media.tree, has_kernel);
            chosen.map_err(|e| e.source_name(&media.name))?.recipe
        }
    };
    let mut target = wish.target.clone();
    if let (None, Some(n)) = (&target.netboot, &recipe.netboot)
        && let Some((k, i)) = n.packaged(&identity).filter(|(k, i)| k.exists() && i.exists())
    {
        target.netboot = Some(resolve::pair(&k, &i)?);
    }
    let plan = plan::make(&plan::Inputs {
        media: &media,
        docs: &docs,
        identity: &identity,
        recipe,
        profile: &wish.profile,
        target: &target,
    })
    .map_err(|e| e.source_name(&media.name))?;
    Ok((media, plan))
}

/// A wrong download is told before anything is written.
fn check_digest(media: &Media, want: crate::content::copy::Digest) -> Result<()> {
    let bar = Bar::new(media.image.len());
    let root = "sha256".parse()?;
    let got = crate::content::copy::digest(&media.image, &|n| {
        crate::publish::Progress::advance(&bar, &root, n)
    })?;
    if got != want {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("SHA-256 is {got}, not {want} as demanded"),
        )
        .source_name(&media.name)
        .hint("download it again, or correct sha256 in the recipe file"));
    }
    Ok(())
}

pub fn run(a: &Build) -> Result<Outcome> {
    let mut wish = resolve::wish(&a.source)?;
    let forced = wish.target.extent;
    let outputs = match &a.output {
        Some(o) => vec![(o.clone(), forced)],
        None => std::mem::take(&mut wish.outputs),
    };
    if a.dry_run {
        return show(&make(&wish)?.1, false, a.json);
    }
    if outputs.is_empty() {
        return Err(Error::usage("where to?").hint("name the folder with -o DIR"));
    }
    for (out, extent) in outputs {
        if forced == plan::Extent::AsNeeded {
            wish.target.extent = extent;
        }
        write(&make(&wish)?.1, &out, a.json)?;
    }
    Ok(Outcome::Done)
}

fn write(plan: &Plan, out: &Path, json: bool) -> Result<()> {
    let earlier = earlier(out)?;
    let sink = DirSink::tree(out)?;
    let bar = Bar::new(plan.bytes());
    let done = publish::run(plan, &sink, earlier.as_ref(), &bar)
        .map_err(|e| e.source_name(out.display()))?;
    if term::STOP.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
    }
    sink.finish()?;
    bar.end();
    match json {
        true => term::out(&done.manifest.to_json()?),
        false => term::out(&report(plan, &done, out)),
    }
    Ok(())
}

fn earlier(out: &Path) -> Result<Option<Manifest>> {
    let path = out.join(MANIFEST);
    match path.exists() {
        true => Manifest::from_json(&resolve::read_file(&path, 256 << 20)?)
            .map(Some)
            .map_err(|e| e.source_name(path.display()).hint("remove it to start again")),
        false => Ok(None),
    }
}

fn report(plan: &Plan, done: &publish::Done, out: &Path) -> String {
    let dir = out.display();
    let mut s = format!(
        "{}: {} files, {} in {dir} ({} written, {} there already, {} removed)\n",
        plan.title,
        done.manifest.files.len(),
        render::human(plan.bytes()),
        done.written,
        done.kept,
        done.removed
    );
    for n in plan.notes.iter().filter(|n| n.warning) {
        s.push_str(&format!("warning: {}\n", term::safe(&n.text)));
    }
    if plan.unattended {
        s.push_str("unattended: a machine that boots it is WIPED without a question\n");
    }
    s.push_str(&format!(
        "Host the folder on any web server; machines of both firmwares boot its boot.ipxe:\n  \
         chain http://SERVER/PATH/boot.ipxe\n\
         Check it:  isowright verify {dir}\n\
         Prove it:  isowright boot {dir}\n"
    ));
    s
}
