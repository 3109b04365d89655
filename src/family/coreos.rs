//! Fedora CoreOS, RHCOS, SCOS, and media made of them with a configuration of their own (OpenShift's
//! agent and assisted media): kernel, initrd and one image that is fetched into memory.
//!
//! Source: fedora-coreos-config's dracut modules (35coreos-live, 35coreos-ignition, 35coreos-network)
//! and coreos-installer. The live system finds the installed one's image in itself, so that nothing
//! else is fetched.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, BASE, Cover, Disks, Draft, Facts, Hosted, Layer, Note};
use super::ignition::{self, Dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::format::dracut;
use crate::format::ignition::Version;
use crate::format::nm_keyfile;
use crate::model::console::Console;
use crate::model::network::Network;
use crate::model::profile::{Install, Profile};
use serde_json::json;

const OWN: &str = "your own configuration is used as it is";
const MEDIUMS: &str = "the medium's own configuration is used as it is";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile {
        console,
        text: _,
        unattended,
        extra_args,
        network,
        install,
        answers: _,
        initrd: _,
    } = profile;
    let Network { bond, address: _ } = network;

    if facts.from_network() {
        rootfs(facts, draft)?;
    }
    draft.arg(ArgOp::Set("ignition.firstboot".into()), "Ignition runs");
    draft.arg(ArgOp::Set("ignition.platform.id=metal".into()), "no cloud is asked for anything");
    console::say(console, Target::Answers, draft);
    let why = match bond {
        Some(b) => format!("{} from the first packet on", b.name),
        None if facts.from_network() => "network for the root image".to_owned(),
        None => "network for the live system".to_owned(),
    };
    for word in ["ip", "bond"] {
        draft.arg(ArgOp::Remove(word.into()), "the profile's network takes its place");
    }
    for word in dracut::words(network, install.hostname.as_deref()) {
        if word.ends_with("=0") {
            draft.arg(ArgOp::Set(word), "the profile names its ports eth0, eth1");
        } else {
            draft.arg(ArgOp::Append(word), &*why);
        }
    }
    if facts.embedded_answers {
        embedded(*unattended, install, facts, draft);
    } else {
        // coreos-installer's own words, and a configuration that could start it.
        let installs = |key: &str| {
            key.starts_with("coreos.inst")
                || matches!(key, "ignition.config.url" | "coreos.config.url")
        };
        super::take_out(facts, installs, draft);
        configuration(facts, profile, draft)?;
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// The root image comes over HTTP; initrd and image are of one medium, and the initrd checks that.
fn rootfs(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let image = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no images/pxeboot/rootfs.img on this medium")
    })?;
    draft.hosted = Hosted::only(vec![image.clone()]);
    draft.arg(ArgOp::Remove("coreos.liveiso".into()), "it looks for a disc that is not there");
    draft.arg(
        ArgOp::Set(format!("coreos.live.rootfs_url={BASE}repo/{image}")),
        "the root image comes over HTTP into memory",
    );
    Ok(())
}

/// The medium brings a configuration, as an initrd of its own: another would replace it.
fn embedded(unattended: bool, install: &Install, facts: &Facts, draft: &mut Draft) {
    draft.warn(
        "This medium brings a configuration of its own. OpenShift's agent and assisted media INSTALL BY \
         THEMSELVES when booted, and WIPE the disk that their configuration names: unattended = false \
         does not hold them back.",
    );
    let why = "the medium's own configuration would be replaced";
    for setting in install.said() {
        // The host name stands in the kernel arguments of a fixed address.
        draft.cannot(format!("install.{setting}"), why);
    }
    if facts.own_answers.is_some() {
        draft.cannot("answers", why);
    }
    draft.disks = Disks::AsMedium;
    if unattended {
        draft.note(
            "Whether it installs without a question is the medium's own configuration's affair.",
        );
    }
}

fn configuration(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, network, install, .. } = profile;
    let mut kernel_args = Vec::new();
    if network.bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        kernel_args = vec!["net.ifnames=0", "biosdevname=0"];
    }
    // The operator's own may fetch more of itself; ours never does.
    let firstboot = facts
        .own_answers
        .as_ref()
        .map(|_| dracut::words(network, install.hostname.as_deref()).join(" "));
    let consoles: Vec<String> = console.iter().map(Console::to_string).collect();
    let dialect = Dialect {
        version: version(facts, draft),
        network: nm_keyfile::keyfiles(network)
            .into_iter()
            .map(|(name, text)| (format!("{}/{name}", nm_keyfile::FOLDER), 0o600, text))
            .collect(),
        // It keeps what the kernel arguments gave the initrd.
        live_network: Vec::new(),
        kernel_args: Vec::new(),
        script: (include_str!("../../templates/coreos-install.sh.jinja"), "coreos-install.sh"),
        values: json!({
            "consoles": consoles,
            "kernel_args": kernel_args,
            "firstboot_args": firstboot,
        }),
        mirror: facts.own_answers.is_none(),
        consoles: true,
    };
    if install.mirror.is_some() {
        draft.cannot("install.mirror", "the image that is installed comes with the live system");
    }
    if dialect.taken(&install.disk).raid1 {
        draft.warn(
            "The mirror by Ignition is written from its documentation and was not installed here; the first \
             start of the installed system holds it in memory: 4 GiB at least.",
        );
    }
    let target = ignition::own_or_ours(facts, profile, &dialect, draft)?;
    let live = ignition::live(profile, &dialect, &target, draft)?;
    ignition::logins(facts, profile, draft);
    ignition::deliver(facts, live, "config.ign", "the live system's configuration", draft)
}

/// What this version's Ignition reads. Fedora CoreOS counts as Fedora does; RHCOS as OpenShift (4.x),
/// since 4.19 as RHEL (9.x).
fn version(facts: &Facts, draft: &mut Draft) -> Version {
    let number = |i: usize| {
        let part = facts.version.as_deref()?.split('.').nth(i)?;
        part.parse::<u32>().ok()
    };
    match (number(0), number(1)) {
        (Some(5..30 | 38..), _) | (Some(4), Some(14..)) => Version::V3_4,
        (Some(35..), _) => Version::V3_3,
        (Some(_), _) => Version::V3_2,
        (None, _) => {
            draft.notes.push(Note {
                warning: false,
                text: "The medium says no version; the configuration is written in the oldest version \
                       of its language that is still read, 3.2."
                    .into(),
                assumed: true,
            });
            Version::V3_2
        }
    }
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let set = |how: String| Cover::Set { how };
    let theirs =
        |why: &str, instead: &str| Cover::Impossible { why: why.into(), instead: instead.into() };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the live system starts a login on every console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        for layer in [Layer::InstalledBootLoader, Layer::InstalledSystem] {
            let row = if facts.embedded_answers {
                theirs(MEDIUMS, "say it to the tool that made the medium")
            } else {
                set("coreos-installer --console, in install.sh".into())
            };
            draft.cover(layer, Aspect::Console, row);
        }
    }
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    draft.cover(Layer::Installer, Aspect::Bond, set(dracut::bond_word(b)));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = if facts.embedded_answers {
        theirs(MEDIUMS, "say it to the tool that made the medium")
    } else if facts.own_answers.is_some() {
        theirs(OWN, "a keyfile for NetworkManager in it")
    } else {
        set(format!("NetworkManager's keyfile {}.nmconnection, by Ignition", b.name))
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
