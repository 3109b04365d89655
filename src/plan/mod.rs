//! Plan: what a build would write, file by file, with origins and reasons. A value, made without a
//! sink, a clock or an environment; the one room that sees media, recipe and family together.

pub mod boot_edit;
mod doubts;
pub mod hosted;
pub mod hosts;
pub mod image;
pub mod netboot;
pub mod overlay;
mod planned;
pub mod render;
mod target;
pub mod vouched;

pub(crate) use planned::add;
pub use planned::{Origin, Planned, Role};
pub use target::{Extent, NetbootPair, Target};

use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::family::draft::{ArgEdit, Coverage, Delivered, Disks, Draft, Facts, Note, Route};
use crate::format::bzimage::KernelVersion;
use crate::media::Media;
use crate::media::bootdocs::BootDocs;
use crate::media::identity::Identity;
use crate::model::boot::Locus;
use crate::model::profile::Profile;
use crate::recipe::Recipe;
use serde::Serialize;
use std::collections::BTreeMap;

pub use vouched::Source;

/// The boot entry that the tree starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Where it was found.
    pub locus: Option<Locus>,
    /// Its id there.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its kernel arguments before our edits.
    pub vendor_cmdline: String,
    /// Its kernel arguments after them; `@BASE@` stands for the tree's URL.
    pub cmdline: String,
    /// The edits that changed something, in order.
    pub edits: Vec<ArgEdit>,
}

/// What a build would write.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `almalinux-9.4-x86_64`.
    pub name: String,
    /// For a menu: `AlmaLinux 9.4 x86_64`.
    pub title: String,
    /// The recipe's name.
    pub recipe: String,
    /// What the medium is.
    pub identity: Identity,
    /// The medium's file name and size.
    pub source: Source,
    /// SOURCE_DATE_EPOCH.
    pub source_date_epoch: Option<i64>,
    /// The boot entry.
    pub chosen: Chosen,
    /// Every file.
    pub files: BTreeMap<TreePath, Planned>,
    /// Kernel arguments that every entry must hold.
    pub must_have: Vec<String>,
    /// Paths that arguments name and that this plan does not host.
    pub hosted_elsewhere: Vec<String>,
    /// MiB of RAM below which it is known to fail; 0: unknown.
    pub ram_mib: u64,
    /// What becomes of a machine's disks; of those of any host, the worst.
    pub disks: Disks,
    /// How answers reach the installer, where there are any.
    pub delivery: Option<Delivered>,
    /// The machines by MAC address; none where the tree serves whoever comes.
    pub hosts: Vec<hosts::HostPlan>,
    /// Console and bond, layer by layer.
    pub coverage: Vec<Coverage>,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// What a plan is made from.
pub struct Inputs<'a> {
    /// The medium.
    pub media: &'a Media,
    /// Its boot configurations.
    pub docs: &'a BootDocs,
    /// What it is.
    pub identity: &'a Identity,
    /// How its kind is handled.
    pub recipe: &'a Recipe,
    /// What the operator wishes for.
    pub profile: &'a Profile,
    /// What to build for.
    pub target: &'a Target,
}

/// Makes the plan.
///
/// # Errors
/// `NotFound` where the medium has no kernel that could be started or the netboot pair is missing,
/// `Unsupported` where the family can't say the profile, `Corrupt` from the medium.
pub fn make(inputs: &Inputs) -> Result<Plan> {
    let mut plan = match &inputs.target.hosts {
        Some(hosts) => hosts::make(inputs, hosts)?,
        None => for_all(inputs)?,
    };
    plan.notes.extend(doubts::of(inputs)?);
    plan.vouched(inputs)
}

/// For whatever machine comes.
fn for_all(inputs: &Inputs) -> Result<Plan> {
    let Inputs { media, identity, recipe, profile, target, .. } = inputs;
    let mut draft = words(inputs)?;
    let mut start = boot_edit::choose(inputs)?;
    draft.notes.extend(start.notes.iter().cloned());
    let version = KernelVersion::read(&start.kernel.content)?;
    let name = netboot::origin_name(&start.kernel.origin);
    let kernel = overlay::Kernel { name, version: version.as_ref() };
    overlay::check(&target.folders, &kernel, profile.answers.lenient, &mut draft)?;
    if let Some(v) = &version {
        start.kernel.reason += &format!("; it is Linux {}", v.release());
    }
    let chosen = boot_edit::edit(&start, &draft)?;

    let (name, title) = names(recipe, identity);
    let mut files = BTreeMap::new();
    let hosted_elsewhere = hosted::plan(&mut files, media, &mut draft, target, &chosen)?;
    netboot::plan(&mut files, inputs, &start, &chosen, &draft, &title)?;
    Ok(Plan {
        name,
        title,
        recipe: recipe.name.clone(),
        identity: (*identity).clone(),
        source: Source::of(media, target.vouched.as_ref()),
        source_date_epoch: target.source_date_epoch,
        must_have: must_have(profile, &chosen),
        chosen,
        files,
        hosted_elsewhere,
        ram_mib: draft.ram_mib,
        disks: draft.disks,
        delivery: draft.delivery,
        hosts: Vec::new(),
        coverage: draft.coverage,
        notes: draft.notes,
    }
    .settled())
}

/// What the family says of the profile for this medium, and what recipe and medium tell besides: for
/// [`Route::Medium`] all that goes into its boot configurations.
///
/// # Errors
/// `Unsupported` where the family can't say the profile, `Usage` where the answers can't come as wished.
pub fn words(inputs: &Inputs) -> Result<Draft> {
    let mut facts = facts(inputs);
    let mut draft = said(inputs, &mut facts, inputs.profile)?;
    draft.notes.extend(notes_of_the_medium(inputs));
    Ok(draft)
}

fn facts(inputs: &Inputs) -> Facts {
    let Inputs { media, identity, recipe, profile, target, .. } = inputs;
    let of_recipe = recipe.facts(identity, &media.tree, media.image.len());
    let ram_mib = match target.route {
        Route::Network => of_recipe.ram_mib,
        // Nothing is fetched into memory.
        Route::Medium => recipe.ram_mib(0, 0),
    };
    Facts {
        route: target.route,
        ram_mib,
        base_url: target.base_url.clone(),
        done: target.done.clone(),
        delivery: profile.answers.delivery,
        many_hosts: target.hosts.is_some(),
        entry: boot_edit::entry_cmdline(inputs),
        brought: boot_edit::brought(inputs),
        ..of_recipe
    }
}

/// What the family says of a profile. The operator's own answer file is filled in for it, if there is
/// one.
fn said(inputs: &Inputs, facts: &mut Facts, profile: &Profile) -> Result<Draft> {
    let Inputs { recipe, target, .. } = inputs;
    let by_language = || target.own_answers.get(&recipe.family.answer_kind()?);
    let own = target.answers.as_ref().or_else(by_language);
    facts.own_is_template = own.is_some_and(|(name, _)| name.ends_with(TEMPLATE));
    facts.own_answers =
        own.map(|(name, bytes)| own_answers(name, bytes, profile, facts)).transpose()?;
    let mut draft = Draft::default();
    recipe.family.say(facts, profile, &mut draft)?;
    if profile.unattended && draft.disks == Disks::LeftAlone {
        draft.disks = Disks::Unheeded;
    }
    if let (Some(way), None) = (profile.answers.delivery, &draft.delivery) {
        draft.cannot(
            "answers.delivery",
            format!("no answers go to the installer here, so that none can go by {way}"),
        );
    }
    heed_unsaid(&mut draft, profile.answers.lenient)?;
    Ok(draft)
}

/// What recipe and medium tell the operator.
fn notes_of_the_medium(inputs: &Inputs) -> Vec<Note> {
    let note = |warning, text| Note { warning, text, assumed: false };
    let recipe = inputs.recipe.notes_for(inputs.identity, inputs.target.route);
    let recipe = recipe.into_iter().map(|n| note(n.warning, n.text.clone()));
    let media = inputs.media.notes().iter().map(|n| note(false, format!("the medium: {n}")));
    recipe.chain(media).collect()
}

/// How the name of a template ends.
const TEMPLATE: &str = ".jinja";

/// The operator's own answer file; a template over the profile's values where its name says so.
fn own_answers(
    name: &str,
    bytes: &[u8],
    profile: &Profile,
    facts: &Facts,
) -> Result<(String, Vec<u8>)> {
    let Some(plain) = name.strip_suffix(TEMPLATE) else {
        return Ok((name.to_owned(), bytes.to_vec()));
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::usage("a template must be UTF-8 text").source_name(name))?;
    let values = serde_json::json!({
        "profile": profile,
        "medium": { "version": facts.version, "codename": facts.codename, "arch": facts.arch },
        "base_url": facts.base_url,
    });
    Ok((plain.to_owned(), crate::format::answers::render_own(name, text, values)?.into_bytes()))
}

/// What the installer can't be told is an error, or with `lenient` a warning: never silence.
fn heed_unsaid(draft: &mut Draft, lenient: bool) -> Result<()> {
    let unsaid = std::mem::take(&mut draft.unsaid);
    if lenient {
        for u in unsaid {
            draft.warn(format!("{} is not heeded: {}.", u.setting, u.why));
        }
        return Ok(());
    }
    if unsaid.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = unsaid.iter().map(|u| format!("{} ({})", u.setting, u.why)).collect();
    Err(Error::unsupported(format!("this system can't be told: {}", list.join("; ")))
        .hint("take it out of the profile, or go on without it: --lenient"))
}

/// Consoles and bond words that the final command line holds: `verify` looks for them in every entry.
fn must_have(profile: &Profile, chosen: &Chosen) -> Vec<String> {
    let words: Vec<&str> = chosen.cmdline.split_whitespace().collect();
    let consoles = profile.console.iter().map(|c| format!("console={c}"));
    let bond = words.iter().filter(|w| w.starts_with("bond=")).map(|w| (*w).to_owned());
    consoles.chain(bond).filter(|w| words.contains(&w.as_str())).collect()
}

/// Folder-safe name and a title from what is known.
fn names(recipe: &Recipe, id: &Identity) -> (String, String) {
    let version = id.version.as_ref().map(|v| v.value.as_str());
    let arch = id.arch.as_ref().map(|a| a.value.to_string());
    let parts = |first: &str| {
        let all = [Some(first), version, arch.as_deref()];
        all.into_iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let name = parts(&recipe.name).join("-").chars().map(safe).collect();
    let distro = id.distro.as_ref().map_or(recipe.title.as_str(), |d| d.value.as_str());
    (name, printable(&parts(distro).join(" ")))
}

/// Text from a medium for a line of ours, in a plan, a boot script or a menu: what could act on a
/// terminal, or on iPXE, goes. An apostrophe stays: iPXE knows no quotes (split_command of exec.c), and
/// GRUB is given it quoted. A double quote becomes one, for it ends a title in lines of ours.
pub fn printable(s: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || "$\\`{}".contains(c)
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let plain = |c: char| match c {
        '"' => '\'',
        c if c.is_whitespace() => ' ',
        c => c,
    };
    let clean: String = s.chars().map(plain).filter(|c| !bad(*c)).collect();
    let acts = |w: &&str| matches!(*w, "&&" | "||") || w.starts_with('#');
    clean.split_whitespace().filter(|w| !acts(w)).collect::<Vec<_>>().join(" ")
}

fn file_name(path: &str) -> String {
    // Of an address without its query.
    path.rsplit('/').next().unwrap_or(path).trim_end_matches("?…").to_owned()
}

impl Plan {
    /// Files for their owner alone, which a web server of another user can't read.
    fn tell_of_secrets(&mut self) {
        const NAMED: usize = 3;
        let closed: Vec<String> = self
            .files
            .iter()
            .filter(|(_, f)| f.mode & 0o077 == 0)
            .map(|(p, _)| p.to_string())
            .collect();
        if closed.is_empty() {
            return;
        }
        let more = match closed.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let text = format!(
            "For their owner alone, with mode 0600: {}{more}. The web server must run as that user, or be let in.",
            closed[..closed.len().min(NAMED)].join(", ")
        );
        self.notes.push(Note { warning: false, text, assumed: false });
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|f| f.content.len()).sum()
    }

    /// Times and order, last of all.
    fn settled(mut self) -> Plan {
        self.tell_of_secrets();
        if let Some(t) = self.source_date_epoch {
            for f in self.files.values_mut() {
                f.mtime = Some(f.mtime.map_or(t, |m| m.min(t)));
            }
        }
        self.coverage.sort_by_key(|c| (c.layer, c.aspect));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_title_from_a_medium_is_only_words() {
        assert_eq!(
            printable("AlmaLinux && shell || x #y ${net0/mac}\n9"),
            "AlmaLinux shell x net0/mac 9"
        );
        assert_eq!(printable("Install \u{202e}Debian\\"), "Install Debian");
        assert_eq!(printable("dracut's \"live\" root"), "dracut's 'live' root");
        assert_eq!(printable("Test this media & install"), "Test this media & install");
    }
}
