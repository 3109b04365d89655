//! RECIPES: what is known about one line of a distribution, as data. Compiled in, and replaceable by
//! a folder of the user's own.

pub mod job;
pub mod label;
pub mod lint;
pub mod output;
pub mod select;
pub mod source;
pub mod trust;

use crate::content::path::TreePath;
use crate::content::tree::Tree;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::family::draft::{Facts, Hosted, KickstartLine, Route};
use crate::media::identity::Identity;
use crate::media::labels::LabelShape;
use crate::model::cmdline::Cmdline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How to netboot one line of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Short name: lower case, digits and hyphens.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Installer family.
    pub family: Family,
    /// How far the recipe is proven.
    pub proven: Proven,
    /// What exactly was done, and what not: one sentence, in lower case, without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_by: Option<String>,
    /// Any one of these says that a medium is this recipe's.
    #[serde(rename = "match", default)]
    pub matches: Vec<Match>,
    /// Shapes of the vendor's labels: what `recipe match` goes by, what breaks a tie between several
    /// recipes that fit a medium, and the weakest evidence of what a medium is. No label may be of
    /// two recipes' shapes.
    #[serde(rename = "label", default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelShape>,
    /// Where kernel and initrd lie, for media whose own menus don't say; beside `netboot`, where a medium
    /// has such a pair.
    #[serde(default)]
    pub boot: BootFiles,
    /// Set where the medium's own kernel and initrd can't netboot and others must be brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netboot: Option<Netboot>,
    /// What of the medium must be hosted.
    #[serde(default)]
    pub hosted: HostedWish,
    /// What must be done to the vendor's initrd.
    #[serde(default)]
    pub initrd: InitrdOf,
    /// What the answers depend on beside the family.
    #[serde(default)]
    pub answers: AnswersOf,
    /// What the machine needs.
    #[serde(default)]
    pub ram: Ram,
    /// What the operator should know.
    #[serde(rename = "note", default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<RecipeNote>,
    /// The file as written, comments and all.
    #[serde(skip)]
    #[schemars(skip)]
    pub text: String,
}

/// How far a recipe is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Proven {
    /// Booted in a test.
    Boot,
    /// Its answers pass the installer's own validator.
    Validator,
    /// Written from the vendor's documentation and sources.
    Documentation,
}

/// What a medium must have. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Paths or globs that must be there, ASCII case ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Paths or globs that must not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_files: Vec<String>,
    /// The distribution as the medium names it, any of these, ASCII case ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distro: Vec<String>,
}

/// Kernel and initrd on the medium: globs, the first that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootFiles {
    /// Kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel: Vec<String>,
    /// Initrd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrd: Vec<String>,
}

/// A kernel and initrd that must be brought, for the medium's own can't netboot. In the strings,
/// `{major}`, `{series}` (`3.20`), `{version}`, `{arch}` (Debian's spelling), `{machine}` (the kernel's) and
/// `{codename}` are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Netboot {
    /// Why the medium's own won't do; one sentence.
    pub why: String,
    /// The package that brings them on this machine, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The kernel in that package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The initrd in that package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// Folder where the vendor offers them.
    pub url: String,
}

/// What of the medium must be hosted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostedWish {
    /// All of it.
    #[serde(default)]
    pub tree: bool,
    /// The medium itself, as one file.
    #[serde(default)]
    pub medium: bool,
    /// These: globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// What must be done to the vendor's initrd before files are added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitrdOf {
    /// What must go: paths or globs. Where one of them is there the initrd is unpacked and made anew,
    /// which takes seconds; else it stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// What the answers for one line of a distribution depend on beside its family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersOf {
    /// Which kickstart the installer reads.
    #[serde(default)]
    pub kickstart: KickstartLine,
    /// The vendor's mirror, a URL, for a profile that names none; the installer's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Host name where neither lease nor profile has one; the installer's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What the installer calls the product, where one medium has or could have several; `{version}` is
    /// the medium's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Lines that the preseed of this line needs beside the family's. `{repo}` stands for the URL of the
    /// hosted tree; a line that has it is left out where packages come from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preseed: Vec<String>,
    /// Major version from which on the installed system's network is netplan's, where the family's is
    /// ifupdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netplan_from: Option<u32>,
    /// The medium brings answers of its own, which ours must not replace.
    #[serde(default)]
    pub embedded: bool,
}

/// Memory that the route needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ram {
    /// MiB, whatever the medium; 0: unknown.
    #[serde(default)]
    pub base_mib: u64,
    /// What is held in memory on top: globs, every one that is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<String>,
    /// How many times the payload counts, in percent.
    #[serde(default)]
    pub payload_percent: u64,
    /// How many times the whole medium counts, in percent: for systems that fetch it into memory.
    #[serde(default)]
    pub medium_percent: u64,
}

/// What the operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeNote {
    /// Major versions that it is true for; all, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub major: Vec<u32>,
    /// True for what is likely to fail.
    #[serde(default)]
    pub warning: bool,
    /// True for what holds only where the installer comes from the network, not for its own medium repacked.
    #[serde(default)]
    pub netboot: bool,
    /// One sentence.
    pub text: String,
}

/// The bundled recipes' file names and texts: every `recipes/*.toml`, as `build.rs` finds them.
pub const BUNDLED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// The bundled recipes, by name.
///
/// # Errors
/// Never, as a test shows.
pub fn bundled() -> Result<Vec<Recipe>> {
    // Checked by the tests: to do it here would take half of the time to be ready.
    BUNDLED.iter().map(|(file, text)| Recipe::unchecked(text, file)).collect()
}

/// The bundled recipes with those of `dir` (`*.toml`) on top: one of the same name replaces ours.
/// Job files in the folder are passed over.
///
/// # Errors
/// `Io`, `Usage` for a recipe that does not parse.
pub fn load_folder(dir: &Path) -> Result<Vec<Recipe>> {
    let io = |e| Error::io("can't read the recipes", e).source_name(dir.display());
    let mut recipes = bundled()?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .and_then(|d| d.map(|e| e.map(|e| e.path())).collect())
        .map_err(io)?;
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "toml")) {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::io("can't read", e).source_name(file.display()))?;
        if kind_of(&text) == Kind::Job {
            continue;
        }
        let new = Recipe::from_toml(&text, &file.display().to_string())?;
        recipes.retain(|r| r.name != new.name);
        recipes.push(new);
    }
    recipes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(recipes)
}

/// Which of the two kinds of file a TOML text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`Recipe`]: what is known about a distribution.
    Recipe,
    /// A [`job::Job`]: what is to be built.
    Job,
}

/// Tells the kinds apart: a job names a source, a recipe never does.
pub fn kind_of(text: &str) -> Kind {
    let job = toml::from_str::<toml::Table>(text).map_or_else(
        |_| text.lines().any(|l| l.trim_start().starts_with("[source]")),
        |t| t.contains_key("source") || t.contains_key("output"),
    );
    if job { Kind::Job } else { Kind::Recipe }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// `Usage` with file and line of the first thing that [`lint::lint`] calls an error.
    pub fn from_toml(text: &str, name: &str) -> Result<Self> {
        let first =
            lint::lint_recipe(text).into_iter().find(|f| f.severity == lint::Severity::Error);
        if let Some(f) = first {
            return Err(Error::usage(f.message)
                .source_name(format!("{name}:{}", f.line))
                .hint("`isowright recipe schema` lists the fields"));
        }
        Self::unchecked(text, name)
    }

    /// Reads one without holding its values against each other.
    fn unchecked(text: &str, name: &str) -> Result<Self> {
        let mut recipe: Recipe = toml::from_str(text)
            .map_err(|e| Error::usage(e.message().to_owned()).source_name(name))?;
        recipe.text = text.to_owned();
        Ok(recipe)
    }

    /// Kernel and initrd on the medium by the recipe's own paths: an assumption, for where neither
    /// the menus nor the medium's `.treeinfo` name them.
    pub fn boot_files(&self, tree: &Tree) -> Option<(TreePath, TreePath)> {
        let first = |globs: &[String]| globs.iter().find_map(|g| matching(tree, g).next());
        Some((first(&self.boot.kernel)?, first(&self.boot.initrd)?))
    }

    /// What of this medium must be hosted.
    pub fn hosted(&self, tree: &Tree) -> Hosted {
        Hosted {
            tree: self.hosted.tree,
            files: self.hosted.files.iter().flat_map(|g| matching(tree, g)).collect(),
            medium: self.hosted.medium,
        }
    }

    /// Bytes of what the route holds in memory.
    pub fn ram_payload(&self, tree: &Tree) -> u64 {
        let paths = self.ram.payload.iter().flat_map(|g| matching(tree, g));
        paths.filter_map(|p| tree.file(&p).ok().map(|c| c.len())).sum()
    }

    /// RAM in MiB below which the route is known to fail, for so many bytes of payload and of the medium;
    /// 0: unknown.
    pub fn ram_mib(&self, payload: u64, medium: u64) -> u64 {
        let Ram { base_mib, payload: _, payload_percent, medium_percent } = self.ram;
        let mib = |bytes: u64, percent: u64| bytes.saturating_mul(percent) / 100 / (1 << 20);
        base_mib
            .saturating_add(mib(payload, payload_percent))
            .saturating_add(mib(medium, medium_percent))
    }

    /// What a family may know about this medium, which is of `medium` bytes.
    pub fn facts(&self, id: &Identity, tree: &Tree, medium: u64) -> Facts {
        let payload = self.ram_payload(tree);
        let value =
            |f: &Option<crate::media::identity::Fact<String>>| f.as_ref().map(|f| f.value.clone());
        Facts {
            route: Route::default(),
            kickstart: self.answers.kickstart,
            mirror: self.answers.mirror.clone(),
            default_hostname: self.answers.hostname.clone(),
            product: self.answers.product.as_deref().and_then(|p| fill(p, id)),
            preseed: self.answers.preseed.clone(),
            netplan: self.answers.netplan_from.is_some_and(|from| id.major() >= Some(from)),
            embedded_answers: self.answers.embedded,
            version: value(&id.version),
            codename: value(&id.codename),
            arch: id.arch.as_ref().map(|a| a.value),
            volume_id: id.volume_id.clone(),
            paths: tree.iter().map(|(p, _)| p.clone()).collect(),
            base_url: None,
            done: None,
            own_answers: None,
            own_is_template: false,
            delivery: None,
            many_hosts: false,
            ram_payload: payload,
            ram_mib: self.ram_mib(payload, medium),
            hosted: self.hosted(tree),
            entry: Cmdline::default(),
            brought: None,
        }
    }

    /// The notes that are true for this medium and what is started.
    pub fn notes_for(&self, id: &Identity, route: Route) -> impl Iterator<Item = &RecipeNote> {
        let major = id.major();
        self.notes
            .iter()
            .filter(move |n| !n.netboot || route == Route::Network)
            .filter(move |n| n.major.is_empty() || major.is_some_and(|m| n.major.contains(&m)))
    }
}

impl Netboot {
    /// Where the package has kernel and initrd, if it is known for this medium. Whether they are
    /// there is for the caller to see.
    pub fn packaged(&self, id: &Identity) -> Option<(PathBuf, PathBuf)> {
        let at = |s: &Option<String>| s.as_deref().and_then(|s| fill(s, id)).map(PathBuf::from);
        Some((at(&self.kernel)?, at(&self.initrd)?))
    }

    /// What to tell the operator who has not brought them.
    pub fn ask(&self, id: &Identity) -> String {
        let package = match self.package.as_deref().and_then(|p| fill(p, id)) {
            Some(p) => format!("install the package {p}, or "),
            None => String::new(),
        };
        let url = fill(&self.url, id).unwrap_or_else(|| self.url.clone());
        format!(
            "{package}give both files yourself (--netboot-kernel, --netboot-initrd); the vendor's are in {url}"
        )
    }
}

/// Replaces the words in braces; `None` where the medium does not say one of them.
fn fill(pattern: &str, id: &Identity) -> Option<String> {
    let mut s = pattern.to_owned();
    let version = id.version.as_ref().map(|v| v.value.clone());
    for (word, value) in [
        ("{major}", id.major().map(|m| m.to_string())),
        ("{series}", version.as_deref().and_then(series)),
        ("{version}", version.clone()),
        ("{machine}", id.arch.as_ref().map(|a| a.value.kernel().to_owned())),
        ("{arch}", id.arch.as_ref().map(|a| a.value.debian().to_owned())),
        ("{codename}", id.codename.as_ref().map(|c| c.value.clone())),
    ] {
        if s.contains(word) {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._".contains(&b);
            let value = value.filter(|v| v.bytes().all(plain) && !v.contains(".."))?;
            s = s.replace(word, &value);
        }
    }
    Some(s)
}

/// The first two numbers of a version: `3.20` of `3.20.1`.
fn series(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

/// A glob over a medium's paths: ASCII case ignored, `*` stays within a folder.
pub(crate) fn glob(pattern: &str) -> Result<globset::GlobMatcher, globset::Error> {
    globset::GlobBuilder::new(pattern)
        .case_insensitive(true)
        .literal_separator(true)
        .build()
        .map(|g| g.compile_matcher())
}

/// The files of `tree` that `pattern` means, in order. A bad pattern means none; lint tells it.
pub(crate) fn matching<'a>(
    tree: &'a Tree,
    pattern: &str,
) -> impl Iterator<Item = TreePath> + use<'a> {
    let glob = glob(pattern).ok();
    tree.iter()
        .filter(|(_, n)| !n.is_dir())
        .filter(move |(p, _)| glob.as_ref().is_some_and(|g| g.is_match(p.as_path())))
        .map(|(p, _)| p.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_in_the_folder_is_bundled_under_its_own_name() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut there: Vec<String> = std::fs::read_dir(dir)
            .expect("recipes/")
            .map(|e| e.expect("entry").file_name().into_string().expect("utf-8"))
            // Folders hold what recipes or jobs name.
            .filter(|f| f.ends_with(".toml"))
            .collect();
        there.sort();
        let mut listed: Vec<&str> = BUNDLED.iter().map(|(f, _)| *f).collect();
        listed.sort_unstable();
        assert_eq!(there, listed);
        for (r, (file, _)) in bundled().expect("they parse").iter().zip(BUNDLED) {
            assert_eq!(format!("{}.toml", r.name), *file);
        }
        for (file, text) in BUNDLED {
            Recipe::from_toml(text, file).expect(file);
        }
    }

    /// A copy under another name is written for as the original is.
    #[test]
    fn the_answers_depend_on_the_recipes_data_not_on_its_name() {
        let mine = |name: &str| {
            let text = BUNDLED.iter().find(|(f, _)| *f == format!("{name}.toml")).expect(name).1;
            // Once, for the host name's line ends in the same words.
            let text =
                text.replacen(&format!("name = \"{name}\""), &format!("name = \"my-{name}\""), 1);
            let recipe = Recipe::from_toml(&text, name).expect("recipe");
            assert_eq!(recipe.name, format!("my-{name}"));
            recipe.facts(&Identity::default(), &Tree::new(), 0)
        };
        assert_eq!(mine("fedora").kickstart, KickstartLine::Fedora);
        assert_eq!(mine("rocky").kickstart, KickstartLine::El);
        assert_eq!(mine("devuan").mirror.as_deref(), Some("http://deb.devuan.org/merged"));
        assert_eq!(mine("devuan").default_hostname.as_deref(), Some("devuan"));
        assert_eq!(mine("debian").mirror.as_deref(), Some("http://deb.debian.org/debian"));
    }

    #[test]
    fn the_medium_counts_where_it_is_held_in_memory() {
        let text = "name = \"x\"\ntitle = \"x\"\nfamily = \"generic\"\nproven = \"documentation\"\n\
                    [ram]\nbase_mib = 2048\nmedium_percent = 150\n";
        let recipe = Recipe::from_toml(text, "x").expect("recipe");
        assert_eq!(recipe.ram_mib(1 << 30, 2 << 30), 2048 + 3072);
        let facts = recipe.facts(&Identity::default(), &Tree::new(), 2 << 30);
        assert_eq!(facts.ram_mib, 2048 + 3072);
    }

    #[test]
    fn a_users_recipe_replaces_ours_and_a_job_beside_it_does_no_harm() {
        let dir = tempfile::tempdir().expect("tempdir");
        let ours = BUNDLED.iter().find(|(f, _)| *f == "rocky.toml").expect("rocky").1;
        std::fs::write(dir.path().join("r.toml"), ours.replace("Rocky Linux 8", "Mine, 8"))
            .expect("write");
        std::fs::write(dir.path().join("job.toml"), "[source]\npath = \"a.iso\"\n").expect("write");
        let all = load_folder(dir.path()).expect("loads");
        assert_eq!(all.len(), BUNDLED.len());
        assert!(all.iter().any(|r| r.name == "rocky" && r.title.starts_with("Mine")));
    }
}
