//! DIALECTS of installers: how a [`Profile`] is said to each. Pure: a family sees facts about the
//! medium and the profile, and puts words into a [`Draft`]; it touches no file and knows no sink.

mod agama;
mod alpine;
mod anaconda;
mod archiso;
mod casper;
mod console;
mod coreos;
mod debian_installer;
mod dracut_live;
pub mod draft;
mod flatcar;
mod generic;
mod gentoo;
mod harvester;
mod ignition;
mod linuxrc;
mod live;
mod live_boot;
mod nixos;
mod proxmox;
mod talos;
mod truenas;

use crate::error::Result;
use crate::format::kickstart::RootPassword;
use crate::model::network::{Address, Network};
use crate::model::profile::{AnswerKind, Delivery, Disk, Install, Profile};
use draft::{ArgOp, Aspect, Cover, Draft, Facts, Layer, Route};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// Live media with dracut's initrd: Fedora, EL.
    DracutLive,
    /// Ubuntu's live media, server and desktop: casper, subiquity.
    Casper,
    /// SUSE up to 15 and Tumbleweed: linuxrc and YaST.
    Linuxrc,
    /// SUSE from 16 on: a KIWI live system with Agama.
    Agama,
    /// Fedora CoreOS, RHCOS, OpenShift's agent media.
    Coreos,
    /// Flatcar Container Linux.
    Flatcar,
    /// Talos Linux.
    Talos,
    /// Alpine Linux.
    Alpine,
    /// Arch Linux, SystemRescue and others by archiso.
    Archiso,
    /// NixOS.
    Nixos,
    /// Gentoo.
    Gentoo,
    /// Proxmox VE and its kin.
    Proxmox,
    /// Harvester.
    Harvester,
    /// TrueNAS SCALE.
    Truenas,
    /// Any Linux whose installer we don't know: console only.
    Generic,
}

impl Family {
    /// All of them.
    pub const ALL: &[Family] = &[
        Family::Anaconda,
        Family::DebianInstaller,
        Family::LiveBoot,
        Family::DracutLive,
        Family::Casper,
        Family::Linuxrc,
        Family::Agama,
        Family::Coreos,
        Family::Flatcar,
        Family::Talos,
        Family::Alpine,
        Family::Archiso,
        Family::Nixos,
        Family::Gentoo,
        Family::Proxmox,
        Family::Harvester,
        Family::Truenas,
        Family::Generic,
    ];

    /// The language of its answer file; `None` where it takes none.
    pub fn answer_kind(self) -> Option<AnswerKind> {
        match self {
            Family::Anaconda => Some(AnswerKind::Kickstart),
            Family::DebianInstaller => Some(AnswerKind::Preseed),
            Family::Casper => Some(AnswerKind::Autoinstall),
            Family::Linuxrc => Some(AnswerKind::Autoyast),
            Family::Agama => Some(AnswerKind::Agama),
            Family::Coreos | Family::Flatcar => Some(AnswerKind::Ignition),
            Family::Talos => Some(AnswerKind::Talos),
            Family::Alpine => Some(AnswerKind::Alpine),
            Family::Proxmox => Some(AnswerKind::Proxmox),
            Family::Harvester => Some(AnswerKind::Harvester),
            Family::LiveBoot
            | Family::DracutLive
            | Family::Archiso
            | Family::Nixos
            | Family::Gentoo
            | Family::Truenas
            | Family::Generic => None,
        }
    }

    /// Says the profile in this installer's words.
    ///
    /// # Errors
    /// `Unsupported` where the profile wants what this installer can't do and no substitute stands in.
    pub fn say(self, facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
        let said = match self {
            Family::Anaconda => anaconda::say(facts, profile, draft),
            Family::DebianInstaller => debian_installer::say(facts, profile, draft),
            Family::LiveBoot => live_boot::say(facts, profile, draft),
            Family::DracutLive => dracut_live::say(facts, profile, draft),
            Family::Casper => casper::say(facts, profile, draft),
            Family::Linuxrc => linuxrc::say(facts, profile, draft),
            Family::Agama => agama::say(facts, profile, draft),
            Family::Coreos => coreos::say(facts, profile, draft),
            Family::Flatcar => flatcar::say(facts, profile, draft),
            Family::Talos => talos::say(facts, profile, draft),
            Family::Alpine => alpine::say(facts, profile, draft),
            Family::Archiso => archiso::say(facts, profile, draft),
            Family::Nixos => nixos::say(facts, profile, draft),
            Family::Gentoo => gentoo::say(facts, profile, draft),
            Family::Proxmox => proxmox::say(facts, profile, draft),
            Family::Harvester => harvester::say(facts, profile, draft),
            Family::Truenas => truenas::say(facts, profile, draft),
            Family::Generic => generic::say(facts, profile, draft),
        };
        if facts.route == Route::Medium {
            mediums_own_loader(profile, draft);
        }
        said
    }
}

/// The boot loader's rows where the medium is started, whatever is on it.
fn mediums_own_loader(profile: &Profile, draft: &mut Draft) {
    if let Some(s) = profile.serial() {
        let how = format!("the terminals of the medium's own GRUB and isolinux, on {}", s.tty());
        draft.cover(Layer::BootLoader, Aspect::Console, Cover::Set { how });
    }
    if profile.network.bond.is_some() {
        let why = "it reads the medium, not the network".into();
        draft.cover(Layer::BootLoader, Aspect::Bond, Cover::NotNeeded { why });
    }
}

/// What becomes of root. The tree is served to all who ask, and file modes in the initrd hold only in the
/// installer: a hash is told of.
fn root(
    hash: Option<&str>,
    unattended: bool,
    keys: &[String],
    facts: &Facts,
    draft: &mut Draft,
) -> RootPassword {
    if hash.is_some() {
        warn_of_hash(facts, draft);
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

/// Where the hash lies, and who can read it there.
fn warn_of_hash(facts: &Facts, draft: &mut Draft) {
    let place = match (facts.route, draft.delivery.as_ref().map(|d| d.way)) {
        (_, Some(Delivery::Url)) => "the answers beside boot.ipxe",
        (Route::Network, Some(Delivery::Cmdline)) => "boot.ipxe",
        (Route::Network, _) => "initrd.img",
        (Route::Medium, Some(Delivery::Medium)) => "a file on the medium",
        (Route::Medium, _) => "an initrd on the medium",
    };
    let readers = match place {
        "the answers beside boot.ipxe" => "whoever can fetch the tree",
        _ => facts.readers(),
    };
    draft.warn(format!(
        "root_password_hash lies in {place}: {readers} can read it and guess at the password."
    ));
}

/// The settings of the profile that are said, as it names them, beside those of the boot itself.
fn said(profile: &Profile) -> Vec<String> {
    let Profile { console, network, install, .. } = profile;
    let Network { bond, address } = network;
    let first = [
        ("console", !console.is_empty()),
        ("network.bond", bond.is_some()),
        ("network.address", *address != Address::Dhcp),
    ];
    let first = first.into_iter().filter(|(_, said)| *said).map(|(name, _)| name.to_owned());
    first.chain(install.said().into_iter().map(|s| format!("install.{s}"))).collect()
}

/// What is said of a mirror of two disks, for no installer was run with one here: `whose` documentation it
/// is written from, and what it lacks.
fn mirror_unproven(disk: &Disk, whose: &str, lacks: &str, draft: &mut Draft) {
    if disk.raid1 {
        let text = "documentation and was not installed here.";
        let lacks = if lacks.is_empty() { String::new() } else { format!(" {lacks}") };
        draft.warn(format!("The mirror is written from {whose} {text}{lacks}"));
    }
}

/// For the operator's own answer file: what the profile says and only the file could. `heeds` names the
/// settings that the installed system gets all the same.
fn own_file(facts: &Facts, name: &str, profile: &Profile, heeds: &[&str], draft: &mut Draft) {
    if facts.own_is_template {
        draft.note(format!(
            "{name} is your own template: it says what its text makes of the profile."
        ));
        return;
    }
    let theirs: Vec<String> =
        said(profile).into_iter().filter(|s| !heeds.contains(&s.as_str())).collect();
    if theirs.is_empty() {
        draft.note(format!("{name} is used as it is."));
    } else {
        draft.note(format!(
            "{name} is used as it is. What the profile says of these reaches the installed system only if \
             it says so too: {}.",
            theirs.join(", ")
        ));
    }
}

/// The tree's URL is https, and what fetches from it can't be relied upon for that.
fn wants_plain_http(facts: &Facts, why: &str, draft: &mut Draft) {
    if facts.base_url.as_deref().is_some_and(|u| u.starts_with("https:")) {
        draft.warn(format!("The tree's URL is https: {why}. Serve it by plain http."));
    }
}

/// Takes out what the medium's own boot entry says to start an installation by itself: the words that
/// `which` picks. What the profile wants is said anew behind it.
fn take_out(facts: &Facts, which: impl Fn(&str) -> bool, draft: &mut Draft) {
    let keys: BTreeSet<&str> = facts.entry.words().map(|w| w.key).filter(|k| which(k)).collect();
    for key in keys {
        draft.arg(ArgOp::Remove(key.to_owned()), STARTS);
    }
}

/// Why a word of [`take_out`] goes.
const STARTS: &str = "the medium's own: it could install by itself, or stand above our answers";

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
