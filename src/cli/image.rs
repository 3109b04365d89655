//! `image`, `image apply` and `image undo`.

use super::args::{Apply, Image, ImageVerb, MakeImage, Undo};
use super::build::{Read, one_or_all};
use super::output::{Out, not_over, tell};
use super::term::{self, Bar};
use super::{Outcome, resolve};
use crate::content::Content;
use crate::content::copy::{self, Digest};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::family::draft::Route;
use crate::format::isomd5::{self, Implanted};
use crate::format::patch::Patch;
use crate::media::{self, Media};
use crate::plan::Inputs;
use crate::plan::image::{self, ImagePlan, Sum};
use crate::plan::render::human;
use crate::publish::Progress;
use crate::recipe::output::{self, ImageOutput};
use crate::recipe::source::FileOrUrl;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn run(a: &Image) -> Result<Outcome> {
    match &a.verb {
        Some(ImageVerb::Apply(p)) => apply(p),
        Some(ImageVerb::Undo(u)) => undo(u),
        None => make(&a.make),
    }
}

fn make(m: &MakeImage) -> Result<Outcome> {
    let usage = |what: &str, hint: &str| Error::usage(what).hint(hint);
    let source = m.source.as_ref();
    let source = source.ok_or_else(|| usage("no image", "isowright image some.iso -o new.iso"))?;
    let mut wish = resolve::said(source, &m.said, None)?;
    let typed = Order::typed(m)?;
    let named = typed.output.is_some() || typed.patch_only.is_some();
    let mut orders = if named { Vec::new() } else { orders(&wish)? };
    if orders.is_empty() {
        if !named && !m.dry_run {
            let hint = "name the image with -o FILE, or a patch with --patch-only FILE";
            return Err(usage("where to?", hint));
        }
        orders.push(typed);
    } else {
        // The file says where to; what was typed beside goes for each.
        for o in &mut orders {
            o.more.md5 = m.implant_md5.map_or(o.more.md5, Into::into);
            o.more.added.extend(typed.more.added.clone());
        }
    }
    let all = plans(&mut wish, orders)?;
    if m.dry_run && !m.json {
        all.iter().for_each(Ordered::show);
        return Ok(Outcome::Done);
    }
    for o in all.iter().filter(|_| !m.dry_run) {
        o.write(!m.json)?;
    }
    if m.json {
        let values: Vec<_> = all.iter().map(Ordered::json).collect::<Result<_>>()?;
        tell(all[0].order.output.as_deref(), &format!("{:#}\n", one_or_all(values)));
    }
    Ok(Outcome::Done)
}

/// An image that is asked for, on the command line or in a recipe file.
pub(super) struct Order {
    output: Option<PathBuf>,
    patch_only: Option<PathBuf>,
    digests: bool,
    more: image::Wish,
}

impl Order {
    fn typed(m: &MakeImage) -> Result<Self> {
        let files = m.add.iter().map(|a| resolve::added(a)).collect::<Result<_>>()?;
        Ok(Order {
            output: m.output.clone(),
            patch_only: m.patch_only.clone(),
            digests: m.digests,
            more: image::Wish {
                md5: m.implant_md5.map(Into::into).unwrap_or_default(),
                added: added(files)?,
            },
        })
    }

    /// For an image that is made while it is read: its MD5 would have to be known before its first byte.
    pub(super) fn unsummed() -> Self {
        let more = image::Wish { md5: output::Implant::No, ..image::Wish::default() };
        Order { output: None, patch_only: None, digests: false, more }
    }

    fn of_recipe(o: &ImageOutput) -> Result<Self> {
        let file = |(to, from): (&String, &PathBuf)| Ok((from.clone(), TreePath::new(to)?));
        let files = o.add.iter().map(file).collect::<Result<_>>()?;
        Ok(Order {
            output: o.path.clone(),
            patch_only: o.patch_only.clone(),
            digests: o.digests,
            more: image::Wish { md5: o.implant_md5, added: added(files)? },
        })
    }

    /// Refuses to write over the medium, or two things into one file.
    fn check(&self, medium: &FileOrUrl) -> Result<()> {
        for to in self.output.iter().chain(&self.patch_only) {
            medium.file().map_or(Ok(()), |m| not_over(m, to))?;
        }
        if self.output.is_some() && self.output == self.patch_only {
            return Err(Error::usage("image and patch would be one file")
                .hint("name two files, or leave one out"));
        }
        Ok(())
    }
}

/// The images that a recipe file asks for.
pub(super) fn orders(wish: &resolve::Wish) -> Result<Vec<Order>> {
    wish.outputs.iter().filter_map(|o| o.image.as_ref()).map(Order::of_recipe).collect()
}

/// An image that is planned, and not written yet.
pub(super) struct Ordered {
    order: Order,
    plan: ImagePlan,
    base: Content,
}

/// Plans each of `orders`; the medium is opened once.
pub(super) fn plans(wish: &mut resolve::Wish, orders: Vec<Order>) -> Result<Vec<Ordered>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    orders.iter().try_for_each(|o| o.check(&wish.image))?;
    let given = read(wish)?;
    let planned = |order: Order| {
        let plan = plan(&given, wish, &order.more)?;
        Ok(Ordered { order, plan, base: given.image.clone() })
    };
    orders.into_iter().map(planned).collect()
}

/// Each image of `orders` as it would be written, and its plan's name.
pub(super) fn contents(
    wish: &mut resolve::Wish,
    orders: Vec<Order>,
) -> Result<Vec<(String, Content)>> {
    let all = plans(wish, orders)?;
    all.iter().map(|o| Ok((o.plan.name.clone(), finished(&o.plan)?))).collect()
}

impl Ordered {
    /// The plan for machines.
    pub fn json(&self) -> Result<serde_json::Value> {
        image::json(&self.plan)
    }

    /// Prints the plan.
    pub fn show(&self) {
        term::lines(&image::text(&self.plan));
        for to in self.order.output.iter().chain(&self.order.patch_only) {
            term::out(&format!("\nTo {}\n", to.display()));
        }
    }

    /// Writes what was ordered, and says so where `told`.
    pub fn write(&self, told: bool) -> Result<()> {
        let Order { output, patch_only, digests, .. } = &self.order;
        if let Some(p) = patch_only {
            let text = write_patch(&self.base, &self.plan, p, *digests)?;
            if told {
                tell(Some(p), &text);
            }
        }
        if let Some(o) = output {
            write(&self.plan, o)?;
            if told {
                tell(Some(o), &report(&self.plan, o));
            }
        }
        Ok(())
    }
}

/// The medium as the vendor made it, also where it is one of ours, and the image that was given.
struct Given {
    read: Read,
    image: Content,
}

/// Opens the medium; one of ours is taken back to the vendor's first, so that a second time is as the first.
fn read(wish: &mut resolve::Wish) -> Result<Given> {
    wish.target.route = Route::Medium;
    let media = wish.open()?;
    let image = media.image.clone();
    let media = of_vendor(media)?;
    Ok(Given { read: Read::of(media, wish)?, image })
}

fn of_vendor(media: Media) -> Result<Media> {
    match image::vendors(&media)? {
        Some(vendor) => media::open(&media.name, vendor),
        None => Ok(media),
    }
}

fn plan(given: &Given, wish: &resolve::Wish, more: &image::Wish) -> Result<ImagePlan> {
    let Read { media, docs, identity, recipe } = &given.read;
    let plan = image::make(
        &Inputs { media, docs, identity, recipe, profile: &wish.profile, target: &wish.target },
        more,
    );
    plan.map_err(|e| e.source_name(&media.name))
}

/// Writes the image; it has its name when it is whole.
fn write(plan: &ImagePlan, to: &Path) -> Result<()> {
    let mut out = Out::open(Some(to))?;
    let bar = Bar::new(plan.content.len());
    let name = TreePath::root();
    let watch = |n| bar.advance(&name, n);
    let supported = false;
    match &mut out {
        Out::File(f) if plan.md5 == Sum::Implanted && !plan.content.is_at_hand() => {
            // From what was written: no byte is fetched twice.
            copy::to_file(&plan.content, f.as_file(), &watch)?;
            let written = Content::open(f.path())?;
            let made = isomd5::compute(&written, supported, &|_| !stopped())?;
            implant(f.as_file(), &made)?;
        }
        Out::File(f) if plan.md5 == Sum::Implanted => {
            // The sum is made beside the copy, and its place is filled last.
            let made = std::thread::scope(|s| {
                let sum = s.spawn(|| isomd5::compute(&plan.content, supported, &|_| !stopped()));
                copy::to_file(&plan.content, f.as_file(), &watch)?;
                sum.join().map_err(|_| Error::new(ErrorKind::Io, "the sum could not be made"))?
            })?;
            implant(f.as_file(), &made)?;
        }
        Out::File(f) => copy::to_file(&plan.content, f.as_file(), &watch)?,
        other => {
            copy::to_writer(&finished(plan)?, other, false, &watch)?;
        }
    }
    out.done(Some(to)).map_err(|e| e.source_name(to.display()))?;
    bar.end();
    Ok(())
}

fn stopped() -> bool {
    term::stopped().is_err()
}

fn implant(file: &std::fs::File, made: &Implanted) -> Result<()> {
    use std::os::unix::fs::FileExt;
    file.write_all_at(&made.to_area(), isomd5::AREA.start).map_err(|e| Error::io("can't write", e))
}

/// The image with its MD5, which has to be known before the first byte where it can't be put in last.
fn finished(plan: &ImagePlan) -> Result<Content> {
    if plan.md5 != Sum::Implanted {
        return Ok(plan.content.clone());
    }
    let bar = Bar::new(plan.content.len());
    let name: TreePath = "md5".parse()?;
    let made = isomd5::compute(&plan.content, false, &|n| bar.advance(&name, n))?;
    image::implant(&plan.content, &made)
}

/// Writes the patch; what is to be said of it.
fn write_patch(base: &Content, plan: &ImagePlan, to: &Path, digests: bool) -> Result<String> {
    let new = finished(plan)?;
    let mut patch = Patch::between(base, &new)?;
    if digests {
        patch.header.base.sha256 = Some(digest(base, "base")?);
        patch.header.result.sha256 = Some(digest(&new, "result")?);
    }
    let file = patch.to_content(&|_| !stopped())?;
    let mut out = Out::open(Some(to))?;
    match &mut out {
        Out::File(f) => copy::to_file(&file, f.as_file(), &|_| !stopped())?,
        other => drop(copy::to_writer(&file, other, false, &|_| !stopped())?),
    }
    out.done(Some(to)).map_err(|e| e.source_name(to.display()))?;
    Ok(format!(
        "{}: {} that make {} of {} from the vendor's image\n\
         Apply it:  isowright image apply {} {} -o new.iso\n",
        to.display(),
        human(file.len()),
        plan.title,
        human(new.len()),
        term::safe(&plan.source.name),
        to.display()
    ))
}

fn digest(content: &Content, what: &str) -> Result<Digest> {
    let bar = Bar::new(content.len());
    let name: TreePath = what.parse()?;
    copy::digest(content, &|n| bar.advance(&name, n))
}

fn apply(a: &Apply) -> Result<Outcome> {
    a.base.file().map_or(Ok(()), |b| not_over(b, &a.output))?;
    not_over(&a.patch, &a.output)?;
    let base = resolve::content(&a.base)?;
    let file = Content::open(&a.patch)?;
    let of_patch = |e: Error| {
        e.source_name(a.patch.display())
            .hint("a patch is what `isowright image --patch-only` writes; copy it again, or make it again")
    };
    let patch = Patch::read(&file, &|_| !stopped()).map_err(of_patch)?;
    if let Some(want) = patch.header.base.sha256
        && digest(&base, "base")? != want
    {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("its SHA-256 is not {want}, which the patch is for"),
        )
        .source_name(&a.base)
        .hint("take the very image that the patch was made from"));
    }
    let new = patch.apply(&base).map_err(|e| e.source_name(&a.base))?;
    let mut out = Out::open(Some(&a.output))?;
    let bar = Bar::new(new.len());
    let name = TreePath::root();
    let watch = |n| bar.advance(&name, n);
    let want = patch.header.result.sha256;
    let got = match &mut out {
        Out::File(f) => {
            copy::to_file(&new, f.as_file(), &watch)?;
            want.map(|_| digest(&new, "result")).transpose()?
        }
        other => copy::to_writer(&new, other, want.is_some(), &watch)?,
    };
    if want != got {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "the result is not what the patch was made for",
        )
        .source_name(&a.base)
        .hint("the base is damaged, or another image"));
    }
    out.done(Some(&a.output)).map_err(|e| e.source_name(a.output.display()))?;
    bar.end();
    let checked = match want {
        Some(d) => format!("SHA-256 of base and result agree: {d}"),
        None => {
            "what the patch replaces agrees; made with --digests, the whole would be checked".into()
        }
    };
    let size = human(patch.header.result.size);
    tell(Some(&a.output), &format!("{}: {size}\n{checked}\n", a.output.display()));
    Ok(Outcome::Done)
}

fn undo(a: &Undo) -> Result<Outcome> {
    a.image.file().map_or(Ok(()), |i| not_over(i, &a.output))?;
    let media = resolve::open(&a.image)?;
    let vendor = image::vendors(&media)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "no way back lies in it: `isowright image` did not make it")
            .source_name(&media.name)
            .hint("it is the vendor's image already, or was made by other means")
    })?;
    let mut out = Out::open(Some(&a.output))?;
    let bar = Bar::new(vendor.len());
    let name = TreePath::root();
    let watch = |n| bar.advance(&name, n);
    match &mut out {
        Out::File(f) => copy::to_file(&vendor, f.as_file(), &watch)?,
        other => drop(copy::to_writer(&vendor, other, false, &watch)?),
    }
    out.done(Some(&a.output)).map_err(|e| e.source_name(a.output.display()))?;
    bar.end();
    let text =
        format!("{}: the vendor's image again, {}\n", a.output.display(), human(vendor.len()));
    tell(Some(&a.output), &text);
    Ok(Outcome::Done)
}

/// The operator's files for the medium.
fn added(files: Vec<(PathBuf, TreePath)>) -> Result<BTreeMap<TreePath, (String, Content)>> {
    files
        .into_iter()
        .map(|(from, to)| {
            let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((to, (name, Content::open(&from)?)))
        })
        .collect()
}

fn report(plan: &ImagePlan, to: &Path) -> String {
    let edited = plan.menus.iter().filter(|m| m.doc.to_bytes() != m.was).count();
    let mut s = format!(
        "{}: {}, {} (+{}): {edited} boot configurations, {} files changed or added\n",
        plan.title,
        to.display(),
        human(plan.content.len()),
        human(plan.content.len() - plan.source.size),
        plan.files.len()
    );
    for n in plan.notes.iter().filter(|n| n.warning) {
        s.push_str(&format!("warning: {}\n", term::safe(&n.text)));
    }
    if plan.disks.at_risk() {
        s.push_str(&format!("disks when it is booted: {}\n", plan.disks));
    }
    s + &format!(
        "Prove it:  isowright boot {}\nTake it back:  isowright image undo {} -o vendor.iso\n",
        to.display(),
        to.display()
    )
}
