//! From arguments as typed to the library's values: media opened, profiles read, recipes gathered.

use super::args::{Said, Signing, Trust, Wanted};
use super::remote;
use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::content::{Content, folder};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cms::{self, Signer};
use crate::format::sums::Sum;
use crate::format::x509::Certificate;
use crate::media::{self, Media};
use crate::model::hosts::Hosts;
use crate::model::profile::{AnswerKind, InitrdWish, Profile};
use crate::plan::overlay::Folder;
use crate::plan::{Extent, NetbootPair, Target};
use crate::recipe::job::{Job, JobProfile, base_url};
use crate::recipe::output::Output;
use crate::recipe::source::FileOrUrl;
use crate::recipe::trust::Demand;
use crate::recipe::{self, Recipe};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Opens an image.
pub fn open(image: &FileOrUrl) -> Result<Media> {
    media::open(&image.to_string(), content(image)?)
}

/// The bytes of a file or of what lies at an address.
pub fn content(from: &FileOrUrl) -> Result<Content> {
    match from {
        FileOrUrl::File(path) => Content::open(path),
        FileOrUrl::Url(address) => Ok(Content::whole(Arc::new(remote::open(address)?))),
    }
}

/// Where a path leads: into the ISO, or behind `!` into a FAT image in it. Returns what stands in
/// front of inner paths, the tree, and the path in it.
pub fn place<'a>(media: &'a Media, spec: &str) -> Result<(String, &'a Tree, TreePath)> {
    let spec = spec.strip_prefix("iso:").unwrap_or(spec);
    let Some((image, inner)) = in_image(media, spec) else {
        return Ok((String::new(), &media.tree, TreePath::new(spec)?));
    };
    let name = image.trim_start_matches('/');
    let fat =
        media.fat_images.iter().find(|f| f.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<&str> = media.fat_images.iter().map(|f| f.name.as_str()).collect();
            Error::new(ErrorKind::NotFound, format!("no FAT image \"{name}\""))
                .source_name(&media.name)
                .hint(match known.is_empty() {
                    true => "this medium has none".to_owned(),
                    false => format!("this medium has: {}", known.join(", ")),
                })
        })?;
    Ok((format!("{name}!/"), &fat.tree, TreePath::new(inner)?))
}

/// The two sides of the `!` that parts a FAT image from a path in it; `None` where there is none, or
/// where the medium has a file of just that name.
pub fn in_image<'s>(media: &Media, spec: &'s str) -> Option<(&'s str, &'s str)> {
    if TreePath::new(spec).is_ok_and(|p| media.tree.get(&p).is_some()) {
        return None;
    }
    spec.split_once("!/").or_else(|| Some((spec.strip_suffix('!')?, "")))
}

/// All that plan and build need beside the medium.
pub struct Wish {
    /// The ISO.
    pub image: FileOrUrl,
    /// What it must be, where something is demanded.
    pub demand: Option<Demand>,
    /// Profile.
    pub profile: Profile,
    /// What to build for.
    pub target: Target,
    /// Recipe by name, where demanded.
    pub recipe: Option<String>,
    /// The recipes.
    pub recipes: Vec<Recipe>,
    /// What a recipe file wants: trees, images.
    pub outputs: Vec<Output>,
    /// Media that other jobs of this run open too.
    pub shelf: Rc<Shelf>,
}

/// Media that several jobs of a run share: opened once, and hashed once. One that no job waits for any more is
/// let go.
#[derive(Default)]
pub struct Shelf(RefCell<BTreeMap<String, Shared>>);

#[derive(Default)]
struct Shared {
    jobs: usize,
    media: Option<Media>,
    sum: Option<Sum>,
}

impl Shelf {
    /// One more job will open that image.
    pub fn expect(&self, image: &str) {
        self.0.borrow_mut().entry(image.to_owned()).or_default().jobs += 1;
    }

    /// A job that was to open it is over.
    pub fn over(&self, image: &str) {
        let mut all = self.0.borrow_mut();
        if let Some(s) = all.get_mut(image) {
            s.jobs = s.jobs.saturating_sub(1);
            if s.jobs == 0 {
                all.remove(image);
            }
        }
    }

    /// True where the image was found to have that sum.
    pub fn has_sum(&self, image: &str, sum: &Sum) -> bool {
        self.0.borrow().get(image).is_some_and(|s| s.sum.as_ref() == Some(sum))
    }

    /// The image was hashed.
    pub fn summed(&self, image: &str, sum: Sum) {
        if let Some(s) = self.0.borrow_mut().get_mut(image) {
            s.sum = Some(sum);
        }
    }

    fn open(&self, image: &FileOrUrl) -> Result<Media> {
        let name = image.to_string();
        if let Some(m) = self.0.borrow().get(&name).and_then(|s| s.media.clone()) {
            return Ok(m);
        }
        let media = open(image)?;
        if let Some(s) = self.0.borrow_mut().get_mut(&name) {
            s.media = Some(media.clone());
        }
        Ok(media)
    }
}

impl Wish {
    /// Opens the image, or takes it where another job of this run has opened it.
    pub fn open(&self) -> Result<Media> {
        self.shelf.open(&self.image)
    }
}

/// Reads a file that the user named: small, and told by name where it fails.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    Content::open(path)?.read_all(limit).map_err(|e| e.source_name(path.display()))
}

/// As [`read_file`], as text.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path, 4 << 20)?)
        .map_err(|_| Error::usage("is not UTF-8 text").source_name(path.display()))
}

/// The recipes, with the user's folder over the bundled ones.
pub fn recipes(folder: Option<&Path>) -> Result<Vec<Recipe>> {
    match folder {
        Some(dir) => recipe::load_folder(dir)
            .map_err(|e| e.hint("--recipes wants a folder of recipe files (.toml)")),
        None => recipe::bundled(),
    }
}

/// Who signs, where somebody is to.
pub fn signer(a: &Signing) -> Result<Option<Signer>> {
    let Some(key) = &a.sign else { return Ok(None) };
    let cert = a.cert.as_ref().unwrap_or(key);
    let signer = Signer::from_pem(&read_text(key)?, &read_text(cert)?);
    signer.map(Some).map_err(|e| e.source_name(key.display()))
}

/// Whom signatures are trusted from.
pub fn trusted(files: &[PathBuf]) -> Result<Vec<Certificate>> {
    let mut all = Vec::new();
    for f in files {
        let found = cms::certificates_of(&read_text(f)?).map_err(|e| e.source_name(f.display()))?;
        if found.is_empty() {
            return Err(Error::usage("there is no certificate in it").source_name(f.display()));
        }
        all.extend(found);
    }
    Ok(all)
}

/// Puts arguments over the recipe file, and the recipe file over the defaults.
pub fn wish(source: &FileOrUrl, a: &Wanted) -> Result<Wish> {
    let mut wish = said(source, &a.said, a.hosts.as_deref())?;
    if a.full_tree {
        wish.target.extent = Extent::FullTree;
    }
    if a.boot_only {
        wish.target.extent = Extent::BootOnly;
    }
    if let (Some(k), Some(i)) = (&a.netboot_kernel, &a.netboot_initrd) {
        wish.target.netboot = Some(pair(k, i)?);
    }
    wish.target.entry = a.entry.clone().or(wish.target.entry);
    Ok(wish)
}

/// What `image` shares with the others. `machines` stands in for the recipe file's.
pub fn said(source: &FileOrUrl, a: &Said, machines: Option<&Path>) -> Result<Wish> {
    let job = source.file().filter(|p| p.extension().is_some_and(|e| e == "toml"));
    let mut wish = match job {
        Some(file) => from_job(file, a, machines)?,
        None => from_image(source, a, machines)?,
    };
    if !a.console.is_empty() {
        wish.profile.console = a.console.iter().map(|c| c.parse()).collect::<Result<_>>()?;
    }
    wish.profile.unattended |= a.unattended;
    wish.profile.check()?;
    if let Some(u) = &a.base_url {
        wish.target.base_url = Some(base_url(u)?);
    }
    if let Some(f) = &a.answers {
        wish.target.answers = Some(own(f)?);
    }
    wish.profile.answers.lenient |= a.lenient;
    if let Some(way) = a.delivery {
        wish.profile.answers.delivery = Some(way.into());
    }
    wish.recipe = a.recipe.clone().or(wish.recipe);
    let demand = demand(&a.trust, wish.demand.take().unwrap_or_default());
    demand.check()?;
    wish.demand = Some(demand);
    wish.target.source_date_epoch = source_date_epoch()?;
    Ok(wish)
}

/// What was typed, over what the recipe file says.
fn demand(a: &Trust, said: Demand) -> Demand {
    Demand {
        sha256: a.sha256.or(said.sha256),
        checksums: a.checksums.clone().or(said.checksums),
        signature: a.signature.clone().or(said.signature),
        keys: if a.key.is_empty() { said.keys } else { a.key.clone() },
        whole: a.verify_whole || said.whole,
    }
}

fn from_image(source: &FileOrUrl, a: &Said, machines: Option<&Path>) -> Result<Wish> {
    let profile = profile(a.profile.as_deref())?;
    Ok(Wish {
        image: source.clone(),
        demand: None,
        target: Target {
            own_answers: own_of(&profile, a.profile.as_deref())?,
            folders: folders(&profile, a.profile.as_deref())?,
            hosts: machines.map(hosts).transpose()?,
            ..Target::default()
        },
        profile,
        recipe: None,
        recipes: recipes(a.recipes.as_deref())?,
        outputs: Vec::new(),
        shelf: Rc::default(),
    })
}

fn from_job(source: &Path, a: &Said, machines: Option<&Path>) -> Result<Wish> {
    let job = Job::from_toml(&read_text(source)?, source)?;
    let (profile, beside) = match (&a.profile, &job.profile) {
        (Some(p), _) | (None, Some(JobProfile::File(p))) => (profile(Some(p))?, p.clone()),
        // The job has made an inline profile's own paths relative to itself already.
        (None, Some(JobProfile::Inline(p))) => ((**p).clone(), PathBuf::new()),
        (None, None) => (Profile::metal()?, PathBuf::new()),
    };
    let netboot = job.netboot.as_ref().map(|n| pair(&n.kernel, &n.initrd)).transpose()?;
    Ok(Wish {
        image: job.source.image()?.clone(),
        demand: Some(job.source.demand()),
        target: Target {
            base_url: job.base_url.as_deref().map(base_url).transpose()?,
            netboot,
            own_answers: own_of(&profile, Some(&beside))?,
            folders: folders(&profile, Some(&beside))?,
            answers: job.answers.as_deref().map(own).transpose()?,
            hosts: machines.or(job.hosts.as_deref()).map(hosts).transpose()?,
            ..Target::default()
        },
        profile,
        recipe: job.recipe,
        recipes: recipes(a.recipes.as_deref())?,
        outputs: job.output,
        shelf: Rc::default(),
    })
}

/// How much of the medium a tree holds.
pub fn extent(o: &Output) -> Extent {
    match (o.full_tree, o.boot_only) {
        (true, _) => Extent::FullTree,
        (false, true) => Extent::BootOnly,
        (false, false) => Extent::AsNeeded,
    }
}

fn profile(path: Option<&Path>) -> Result<Profile> {
    match path {
        None => Profile::metal(),
        Some(p) if p == Path::new("metal") && !p.exists() => Profile::metal(),
        Some(p) => Profile::from_toml(&read_text(p)?, &p.display().to_string()),
    }
}

/// The machines: `hosts.toml` with the table that it names, or a table alone.
pub fn hosts(path: &Path) -> Result<Hosts> {
    let name = path.display().to_string();
    let mut hosts = Hosts::default();
    let mut table = Some(path.to_owned());
    if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("csv")) {
        let beside = path.parent().unwrap_or(Path::new(""));
        let (said, csv) = Hosts::from_toml(&read_text(path)?, &name)?;
        (hosts, table) = (said, csv.map(|f| beside.join(f)));
    }
    if let Some(t) = table {
        hosts.add_csv(&read_text(&t)?, &t.display().to_string())?;
    }
    hosts.check().map_err(|e| e.source_name(&name))?;
    Ok(hosts)
}

/// The profile's own answer files, which are relative to the profile.
fn own_of(
    profile: &Profile,
    beside: Option<&Path>,
) -> Result<BTreeMap<AnswerKind, (String, Vec<u8>)>> {
    let dir = beside.and_then(Path::parent).unwrap_or(Path::new(""));
    profile.answers.own.iter().map(|(kind, f)| Ok((*kind, own(&dir.join(f))?))).collect()
}

/// The profile's folders for the initrd, which are relative to the profile.
fn folders(profile: &Profile, beside: Option<&Path>) -> Result<Vec<Folder>> {
    let InitrdWish { overlay, firmware } = &profile.initrd;
    let dir = beside.and_then(Path::parent).unwrap_or(Path::new(""));
    let read = |f: &PathBuf| {
        let path = dir.join(f);
        let tree = folder::read(&path).map_err(|e| {
            e.hint("[initrd] takes folders of files, folders and links, relative to the profile")
        })?;
        Ok::<_, Error>((path.display().to_string(), tree))
    };
    let mut out = Vec::new();
    if let Some((name, tree)) = overlay.as_ref().map(read).transpose()? {
        out.push(Folder::overlay(name, tree));
    }
    if let Some((name, tree)) = firmware.as_ref().map(read).transpose()? {
        out.push(Folder::firmware(name, tree)?);
    }
    Ok(out)
}

/// `SRC` or `SRC:DEST`: a file of this machine, and where it goes to in the initrd or on the medium.
pub fn added(add: &str) -> Result<(PathBuf, TreePath)> {
    let whole = Path::new(add);
    let (from, to) = match add.rsplit_once(':') {
        Some((from, to)) if !whole.exists() => (
            PathBuf::from(from),
            TreePath::new(to).map_err(|e| e.hint("--add SRC:DEST, DEST a path from the root"))?,
        ),
        _ => {
            use std::os::unix::ffi::OsStrExt;
            let name = whole.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            (whole.to_owned(), TreePath::new(name)?)
        }
    };
    if to.is_root() {
        return Err(Error::usage(format!("\"{add}\" does not say where to"))
            .hint("--add SRC:DEST, DEST a path in it"));
    }
    if from.is_dir() {
        return Err(Error::usage("is a folder")
            .source_name(from.display())
            .hint("files are added one by one; an initrd takes a whole one by --folder DIR"));
    }
    // A link that is named by itself stands for its file.
    let from = from.canonicalize().map_err(|e| {
        Error::io("can't read", e)
            .source_name(from.display())
            .hint("check the path that is to be added")
    })?;
    Ok((from, to))
}

fn own(path: &Path) -> Result<(String, Vec<u8>)> {
    Ok((name_of(path), read_file(path, 1 << 20)?))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn pair(kernel: &Path, initrd: &Path) -> Result<NetbootPair> {
    let one = |p: &Path| Ok::<_, Error>((name_of(p), Content::open(p)?));
    Ok(NetbootPair { kernel: one(kernel)?, initrd: one(initrd)? })
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn source_date_epoch() -> Result<Option<i64>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(None),
        Ok(s) => s.parse().map(Some).map_err(|_| {
            Error::usage(format!("SOURCE_DATE_EPOCH \"{s}\" is no number of seconds"))
        }),
    }
}
