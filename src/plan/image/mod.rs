//! The repacked image: the vendor's own, with console, answers and bond in every boot configuration on
//! it, for both firmwares and also inside its FAT images.
//!
//! The vendor's bytes stay where they are, initrds too: our files go into one of their own
//! ([`OVERLAY`]), which the boot entries load beside the vendor's. What was changed in place can be taken
//! back, for the way back lies on the medium ([`UNDO`]).

mod files;
mod menus;
mod reach;
mod render;

pub use menus::{Entry, Menu};
pub use render::{json, text};

use super::overlay;
use super::{Inputs, Planned, Source};
use crate::content::Content;
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::family::draft::{Coverage, Delivered, Disks, FOLDER, Note, Sums};
use crate::format::bzimage::KernelVersion;
use crate::format::iso9660::graft::{self, Changes, Touched};
use crate::format::isomd5;
use crate::format::patch::Undo;
use crate::media::Media;
use crate::media::identity::Identity;
use crate::model::boot::Locus;
use crate::recipe::output::Implant;
use serde::Serialize;
use std::collections::BTreeMap;

/// The initrd with our files, in the root of the file system that the vendor's lies on. ISOLINUX reads the
/// names of plain ISO 9660, which are short.
pub const OVERLAY: &str = "overlay.img";
/// The way back to the vendor's image, below [`FOLDER`].
pub const UNDO: &str = "undo.bin";

/// What the image is to be beside the profile.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The implanted MD5.
    pub md5: Implant,
    /// The operator's files for the medium, by their paths there.
    pub added: BTreeMap<TreePath, (String, Content)>,
}

/// What becomes of the implanted MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sum {
    /// There is none, and none was asked for.
    None,
    /// It is made anew while the image is written.
    Implanted,
    /// It is taken out.
    Dropped,
}

/// What an image would be.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// `almalinux-9.4-x86_64`.
    pub name: String,
    /// `AlmaLinux 9.4 x86_64`.
    pub title: String,
    /// The recipe's name.
    pub recipe: String,
    /// What the medium is.
    pub identity: Identity,
    /// The vendor's image: file name and size.
    pub source: Source,
    /// The boot configurations, edited.
    pub menus: Vec<Menu>,
    /// Files that are changed or added, and where.
    pub files: BTreeMap<Locus, Planned>,
    /// What is other than in the vendor's image.
    pub touched: Vec<Touched>,
    /// The implanted MD5.
    pub md5: Sum,
    /// What becomes of a machine's disks.
    pub disks: Disks,
    /// How answers reach the installer, where there are any.
    pub delivery: Option<Delivered>,
    /// Console and bond, layer by layer.
    pub coverage: Vec<Coverage>,
    /// What the operator should know.
    pub notes: Vec<Note>,
    /// The image; without its MD5 where that is implanted while it is written.
    pub content: Content,
}

/// Where the way back lies.
///
/// # Errors
/// Never.
fn undo_path() -> Result<TreePath> {
    format!("{FOLDER}/{UNDO}").parse()
}

/// The vendor's image, where `media` is one of ours.
///
/// # Errors
/// `Corrupt` where the way back is damaged, `Conflict` where the image was changed afterwards.
pub fn vendors(media: &Media) -> Result<Option<Content>> {
    let path = undo_path()?;
    let Ok(file) = media.tree.file(&path) else { return Ok(None) };
    let at = |e: Error| {
        let mend = "start from the vendor's own image: the way back in this one is lost";
        e.path(&path).source_name(&media.name).hint(mend)
    };
    let undo = Undo::read(file, &|_| true).map_err(at)?;
    undo.apply(&media.image).map(Some).map_err(at)
}

/// Makes the plan.
///
/// # Errors
/// `Unsupported` where the family can't say the profile, a boot configuration can't be edited or is
/// signed, or the image can't be changed; `NotFound` where no entry starts a Linux installer; `Corrupt`
/// from the medium.
pub fn make(inputs: &Inputs, wish: &Wish) -> Result<ImagePlan> {
    let Inputs { media, identity, recipe, profile, target, .. } = inputs;
    if target.hosts.is_some() {
        return Err(Error::usage("an image is for one machine, or for machines that are alike")
            .hint("many machines: a tree (isowright build --hosts), or an image for each"));
    }
    let had_md5 = isomd5::find(&media.image)?.is_some();
    let md5 = match (wish.md5, had_md5) {
        (Implant::Yes, _) | (Implant::Auto, true) => Sum::Implanted,
        (Implant::No, true) => Sum::Dropped,
        (Implant::No | Implant::Auto, false) => Sum::None,
    };
    let mut draft = super::words(inputs)?;
    let signed = files::signed_lists(media)?;
    let stale = |sums| match sums {
        Sums::Implanted => md5 != Sum::Implanted,
        Sums::Tagged => true,
        Sums::Listed => !signed.is_empty(),
    };
    let checks: Vec<_> = draft.media_checks.drain(..).filter(|c| stale(c.sums)).collect();
    draft.args.extend(checks.into_iter().map(|c| c.edit));

    let mut menus = menus::all(inputs, &draft)?;
    reach::unified(inputs, &menus)?;
    reach::defaults(inputs, &menus, profile.unattended, &mut draft);
    let kernel = menus::default_kernel(&menus, media)?;
    let version = KernelVersion::read(&kernel.1)?;
    let facts = overlay::Kernel { name: kernel.0.to_string(), version: version.as_ref() };
    overlay::check(&target.folders, &facts, profile.answers.lenient, &mut draft)?;

    let mut files = files::initrds(inputs, &mut menus, &draft)?;
    files.extend(menus::edited(&menus));
    files::on_the_medium(&mut files, media, &draft, wish)?;
    let time = target.source_date_epoch.or(media.volume.modified).or(media.volume.created);
    let time = time.unwrap_or(0);
    let changes = files::changes(&mut files, media, &signed, time, &mut draft)?;
    let (content, (touched, record)) = grafted(media, &changes, time, md5)?;
    let way_back = super::netboot::made(Vec::new(), "the way back to the vendor's image");
    let at = Locus { image: None, path: undo_path()? };
    files.insert(at, Planned { content: record, ..way_back });
    menus::prove(media, &content, &menus)?;

    let (name, title) = super::names(recipe, identity);
    draft.coverage.sort_by_key(|c| (c.layer, c.aspect));
    draft.notes.extend(super::doubts::of(inputs)?);
    draft.notes.extend(super::vouched::notes(inputs, std::iter::once(&content)));
    Ok(ImagePlan {
        name,
        title,
        recipe: recipe.name.clone(),
        identity: (*identity).clone(),
        source: Source::of(media, inputs.target.vouched.as_ref()),
        menus,
        files,
        touched,
        md5,
        disks: draft.disks,
        delivery: draft.delivery,
        coverage: draft.coverage,
        notes: draft.notes,
        content,
    })
}

/// The image with the changes and the way back, and what was done; where an MD5 was implanted, its place is
/// blank.
fn grafted(
    media: &Media,
    changes: &Changes,
    time: i64,
    md5: Sum,
) -> Result<(Content, (Vec<Touched>, Content))> {
    let path = undo_path()?;
    let options = graft::Options { timestamp: time };
    let named = |e: Error| e.source_name(&media.name);
    Undo::recorded(&media.image, |record| {
        let mut all = changes.clone();
        let put =
            graft::Change::Put { content: record.clone(), mode: Some(0o644), mtime: Some(time) };
        all.files.insert(path.clone(), put);
        let new = graft::graft(&media.image, &all, &options).map_err(named)?;
        let content = match md5 {
            Sum::None => new.content,
            Sum::Implanted | Sum::Dropped => {
                new.content.splice(isomd5::AREA, isomd5::BLANK.to_vec().into())?
            }
        };
        Ok((content, (new.touched, record.clone())))
    })
}

/// The finished area of an implanted MD5, to be put at [`isomd5::AREA`]; the sums are of all the rest.
///
/// # Errors
/// Those of the source.
pub fn implant(content: &Content, made: &isomd5::Implanted) -> Result<Content> {
    content.splice(isomd5::AREA, made.to_area().to_vec().into())
}
