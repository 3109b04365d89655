//! DIALECTS of installers: how a [`Profile`] is said to each. Pure: a family sees facts about the
//! medium and the profile, and puts words into a [`Draft`]; it touches no file and knows no sink.

mod anaconda;
mod console;
mod debian_installer;
pub mod draft;
mod generic;
mod live_boot;

use crate::error::Result;
use crate::format::kickstart::RootPassword;
use crate::model::profile::{AnswerKind, Disk, Install, Profile};
use draft::{Aspect, Cover, Draft, Facts, Layer};
use serde::{Deserialize, Serialize};

/// Installer families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Red Hat's installer: EL, Fedora.
    Anaconda,
    /// Debian's text installer.
    DebianInstaller,
    /// Debian live (live-boot).
    LiveBoot,
    /// Any Linux whose installer we don't know: console only.
    Generic,
}

impl Family {
    /// The language of its answer file; `None` where it takes none.
    pub fn answer_kind(self) -> Option<AnswerKind> {
        match self {
            Family::Anaconda => Some(AnswerKind::Kickstart),
            Family::DebianInstaller => Some(AnswerKind::Preseed),
            Family::LiveBoot | Family::Generic => None,
        }
    }

    /// Says the profile in this installer's words.
    ///
    /// # Errors
    /// `Unsupported` where the profile wants what this installer can't do and no substitute stands in.
    pub fn say(self, facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
        match self {
            Family::Anaconda => anaconda::say(facts, profile, draft),
            Family::DebianInstaller => debian_installer::say(facts, profile, draft),
            Family::LiveBoot => live_boot::say(facts, profile, draft),
            Family::Generic => generic::say(facts, profile, draft),
        }
    }
}

/// What becomes of root, for the families whose answers ride in the initrd. The initrd is served to all
/// who ask, and its file modes hold only in the installer: a hash in it is told of.
fn root(hash: Option<&str>, unattended: bool, keys: &[String], draft: &mut Draft) -> RootPassword {
    if hash.is_some() {
        draft.warn(
            "root_password_hash lies in initrd.img: whoever can fetch the tree can read it and guess \
             at the password.",
        );
    }
    match hash {
        Some(h) => RootPassword::Hash(h.to_owned()),
        None if !unattended && keys.is_empty() => RootPassword::Ask,
        None => {
            if keys.is_empty() {
                draft.warn(
                    "Nobody will be able to log in: the profile has neither root_password_hash nor ssh_keys.",
                );
            }
            RootPassword::Locked
        }
    }
}

/// For a plan: what an unattended installation does to disks.
fn wiped(disk: &Disk) -> String {
    format!("WIPED without a question: {}.", disk.words())
}

/// For a live system: all that the profile says of an installation can't be told. `heeds` names the
/// settings of `install` that it takes all the same.
fn installs_nothing(
    unattended: bool,
    install: &Install,
    heeds: &[&str],
    facts: &Facts,
    draft: &mut Draft,
) {
    cannot_install(unattended, install, heeds, "a live system installs nothing", facts, draft);
}

/// As [`installs_nothing`], for another reason.
fn cannot_install(
    unattended: bool,
    install: &Install,
    heeds: &[&str],
    why: &str,
    facts: &Facts,
    draft: &mut Draft,
) {
    if unattended {
        draft.cannot("unattended", why);
    }
    for setting in install.said().into_iter().filter(|s| !heeds.contains(s)) {
        draft.cannot(format!("install.{setting}"), why);
    }
    if facts.own_answers.is_some() {
        draft.cannot("answers", why);
    }
}

/// For every layer, where the profile has no bond.
fn no_bond() -> Cover {
    Cover::NotNeeded { why: "no bond is wished for".into() }
}

/// For the boot loader on the disk.
fn disk_boot() -> Cover {
    Cover::NotNeeded { why: "it reads the disk, not the network".into() }
}

/// The rows of a bond that are the same for every family: before user space there is none to build.
fn cover_bond_start(draft: &mut Draft) {
    let why = "iPXE and UEFI use one port; iPXE answers the switch's LACP".into();
    draft.cover(Layer::BootLoader, Aspect::Bond, Cover::NotNeeded { why });
    let why = "the kernel leaves it to the initrd".into();
    draft.cover(Layer::Kernel, Aspect::Bond, Cover::NotNeeded { why });
}
