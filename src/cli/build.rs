//! `plan` and `build`.

use super::Outcome;
use super::args::{Build, PlanArgs};
use super::resolve::{self, Wish, extent};
use super::term::{self, Bar};
use super::trust;
use super::{image, matrix};
use crate::error::{Error, Result};
use crate::format::cms::Signer;
use crate::media::Media;
use crate::media::bootdocs::BootDocs;
use crate::media::identity::Identity;
use crate::plan::{self, Extent, Plan, render};
use crate::publish::{self, MANIFEST, dir::DirSink, manifest::Manifest};
use crate::recipe::{Recipe, label, select};
use std::path::{Path, PathBuf};

pub fn plan(a: &PlanArgs) -> Result<Outcome> {
    let mut wish = resolve::wish(&a.source.source, &a.source.wanted)?;
    let orders = image::orders(&wish)?;
    let trees = plans(&mut wish, None)?;
    show(&trees, &image::plans(&mut wish, orders)?, a.all, a.json)
}

/// A plan and the folder that a recipe file or the command line names for it.
pub(super) type Bound = (Plan, Option<PathBuf>);

fn show(plans: &[Bound], images: &[image::Ordered], all: bool, json: bool) -> Result<Outcome> {
    if json {
        let trees = plans.iter().map(|(p, _)| render::json(p));
        let images = images.iter().map(image::Ordered::json);
        let values: Vec<_> = trees.chain(images).collect::<Result<_>>()?;
        term::out(&format!("{:#}\n", one_or_all(values)));
        return Ok(Outcome::Done);
    }
    for (plan, out) in plans {
        term::lines(&render::text(plan, all));
        if let Some(o) = out {
            term::out(&format!("\nTo {}\n", o.display()));
        }
    }
    images.iter().for_each(image::Ordered::show);
    Ok(Outcome::Done)
}

/// One output is an object, several are an array.
pub(super) fn one_or_all(mut values: Vec<serde_json::Value>) -> serde_json::Value {
    if values.len() == 1 { values.remove(0) } else { values.into() }
}

/// A plan per tree; the medium is opened and checked once. `to` on the command line stands in for the
/// recipe file's outputs.
pub(super) fn plans(wish: &mut Wish, to: Option<&Path>) -> Result<Vec<Bound>> {
    let forced = wish.target.extent;
    let outputs: Vec<(Option<PathBuf>, Extent)> = match to {
        Some(o) => vec![(Some(o.to_owned()), forced)],
        None if wish.outputs.is_empty() => vec![(None, forced)],
        None => {
            let own = |e| if forced == Extent::AsNeeded { e } else { forced };
            let trees = wish.outputs.iter().filter_map(|o| Some((o.dir.clone()?, extent(o))));
            trees.map(|(o, e)| (Some(o), own(e))).collect()
        }
    };
    if outputs.is_empty() {
        return Ok(Vec::new());
    }
    let Read { media, docs, identity, recipe } = Read::of(wish.open()?, wish)?;
    let mut target = wish.target.clone();
    if let (None, Some(n)) = (&target.netboot, &recipe.netboot)
        && let Some((k, i)) = n.packaged(&identity).filter(|(k, i)| k.exists() && i.exists())
    {
        target.netboot = Some(resolve::pair(&k, &i)?);
    }
    let mut all = Vec::new();
    for (out, extent) in outputs {
        target.extent = extent;
        let plan = plan::make(&plan::Inputs {
            media: &media,
            docs: &docs,
            identity: &identity,
            recipe: &recipe,
            profile: &wish.profile,
            target: &target,
        });
        all.push((plan.map_err(|e| e.source_name(&media.name))?, out));
    }
    Ok(all)
}

/// A medium, and what is known of it.
pub struct Read {
    /// The medium.
    pub media: Media,
    /// Its boot configurations.
    pub docs: BootDocs,
    /// What it is.
    pub identity: Identity,
    /// How its kind is handled.
    pub recipe: Recipe,
}

impl Read {
    /// Checks the medium against the digest that is wished for, and finds its recipe.
    ///
    /// # Errors
    /// `Corrupt` for another digest; those of the recipes' selection.
    pub fn of(media: Media, wish: &mut Wish) -> Result<Self> {
        // Once: the trees and images of one job are of one medium.
        if let Some(demand) = wish.demand.take() {
            wish.target.vouched = trust::check(&media, &wish.image, &demand, &wish.shelf)?;
        }
        let labels = label::labels(&wish.recipes)?;
        let (docs, identity) = (media.boot_docs(), media.identity(&labels));
        let recipe = match &wish.recipe {
            Some(name) => select::by_name(&wish.recipes, name)?,
            None => {
                let has_kernel = media.has_kernel(&docs);
                let chosen = select::select(&wish.recipes, &identity, &media.tree, has_kernel);
                chosen.map_err(|e| e.source_name(&media.name))?.recipe
            }
        };
        let recipe = recipe.clone();
        Ok(Read { media, docs, identity, recipe })
    }
}

pub fn run(a: &Build) -> Result<Outcome> {
    let signer = resolve::signer(&a.signing)?;
    if let Some(jobs) = matrix::jobs(&a.source, &a.more, &a.matrix)? {
        return matrix::build(a, &jobs, signer.as_ref());
    }
    let wish = resolve::wish(&a.source.source, &a.source.wanted)?;
    let mut told = Vec::new();
    for b in one(a, wish, signer.as_ref())? {
        match (&b, a.json) {
            (Built::Tree(plan, done, out), false) => term::out(&report(plan, done, out)),
            (Built::Image(_), false) => {}
            (b, true) => told.push(b.json()?),
        }
    }
    if a.json && !a.dry_run {
        term::out(&format!("{:#}\n", one_or_all(told)));
    }
    Ok(Outcome::Done)
}

/// What a job has made.
pub(super) enum Built {
    /// A tree.
    Tree(Box<Plan>, Box<publish::Done>, PathBuf),
    /// An image, as JSON.
    Image(serde_json::Value),
}

impl Built {
    /// For machines.
    pub(super) fn json(&self) -> Result<serde_json::Value> {
        match self {
            Built::Tree(_, done, _) => done.manifest.to_value(),
            Built::Image(v) => Ok(v.clone()),
        }
    }
}

/// One job: all of it is planned before anything is written. With --dry-run it is shown, and nothing is made.
pub(super) fn one(a: &Build, mut wish: Wish, signer: Option<&Signer>) -> Result<Vec<Built>> {
    wish.target.imgverify = a.signing.imgverify;
    let orders = match a.output {
        Some(_) => Vec::new(),
        None => image::orders(&wish)?,
    };
    let plans = plans(&mut wish, a.output.as_deref())?;
    let images = image::plans(&mut wish, orders)?;
    if a.dry_run {
        show(&plans, &images, false, a.json)?;
        return Ok(Vec::new());
    }
    let mut built = Vec::new();
    for (plan, out) in plans {
        let out =
            out.ok_or_else(|| Error::usage("where to?").hint("name the folder with -o DIR"))?;
        let done = write(&plan, &out, signer)?;
        built.push(Built::Tree(Box::new(plan), Box::new(done), out));
    }
    for i in &images {
        i.write(!a.json)?;
        built.push(Built::Image(i.json()?));
    }
    Ok(built)
}

fn write(plan: &Plan, out: &Path, signer: Option<&Signer>) -> Result<publish::Done> {
    let earlier = earlier(out)?;
    let sink = DirSink::tree(out)?;
    let bar = Bar::new(plan.bytes());
    let done = publish::run_signed(plan, &sink, earlier.as_ref(), signer, &bar)
        .map_err(|e| e.source_name(out.display()))?;
    term::stopped()?;
    sink.finish()?;
    bar.end();
    Ok(done)
}

fn earlier(out: &Path) -> Result<Option<Manifest>> {
    let path = out.join(MANIFEST);
    if !path.exists() {
        return Ok(None);
    }
    match Manifest::from_json(&resolve::read_file(&path, 256 << 20)?) {
        Ok(m) => Ok(Some(m)),
        // Without it nothing stale can be told, and nothing is taken away; the new one mends it.
        Err(e) => {
            eprintln!(
                "note: {}: {}; it is written anew",
                path.display(),
                term::safe(&e.to_string())
            );
            Ok(None)
        }
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
    s.push_str(&warnings(plan));
    s.push_str(&format!(
        "Host the folder on any web server; machines of both firmwares boot its boot.ipxe:\n  \
         chain http://SERVER/PATH/boot.ipxe\n\
         Check it:  isowright verify {dir}\n\
         Prove it:  isowright boot {dir}\n"
    ));
    s
}

/// What the operator must know before a machine boots it.
pub(super) fn warnings(plan: &Plan) -> String {
    let mut s = String::new();
    for n in plan.notes.iter().filter(|n| n.warning) {
        s.push_str(&format!("warning: {}\n", term::safe(&n.text)));
    }
    if plan.disks.at_risk() {
        let others = match plan.hosts.is_empty() {
            true => "",
            false => "; any other machine is left alone",
        };
        s.push_str(&format!("disks when it is booted: {}{others}\n", render::disks(plan)));
    }
    s
}
