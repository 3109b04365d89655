//! Talos Linux: kernel and one initrd, no more. Without a configuration it comes up in maintenance mode
//! and waits for one over its API.
//!
//! Source: Talos' `pkg/machinery` and its documentation, "Kernel" and "v1alpha1.Config", 1.3 to 1.12.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, BASE, Body, Cover, Draft, Facts, Hosted, Layer, Made};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::dracut;
use crate::format::talos::{Patch, Wish, network_words};
use crate::model::console::Console;
use crate::model::network::Network;
use crate::model::profile::{Delivery, Install, Profile};

const PATCH: &str = "talos-patch.yaml";
const CONFIG: &str = "answers/talos.yaml";
const OWN: &str = "your own configuration is used as it is";

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

    // talos.config, .config.inline and the like; talos.experimental.wipe wipes at every start.
    let acts = |key: &str| key.starts_with("talos.config") || key == "talos.experimental.wipe";
    super::take_out(facts, acts, draft);
    draft.hosted = Hosted::default();
    console::say(console, Target::Answers, draft);
    draft.arg(ArgOp::Set("talos.platform=metal".into()), "no cloud is asked for anything");
    for word in ["ip", "bond"] {
        draft.arg(ArgOp::Remove(word.into()), "the profile's network takes its place");
    }
    let why = match bond {
        Some(b) => format!("{} from the first packet on", b.name),
        None => "a fixed address".to_owned(),
    };
    for word in network_words(network) {
        if word.ends_with("=0") {
            draft.arg(ArgOp::Set(word), "the profile names its ports eth0, eth1");
        } else {
            draft.arg(ArgOp::Append(word), &*why);
        }
    }
    if !facts.from_network() && unified_kernel(facts) && (!console.is_empty() || bond.is_some()) {
        draft.cannot(
            "console, network.bond under UEFI",
            "this medium starts UEFI machines by a unified kernel image, which is signed with its arguments; \
             have Talos' Image Factory make one with these (extraKernelArgs)",
        );
    }
    match &facts.own_answers {
        Some(own_file) => own(facts, own_file, profile, draft)?,
        None => patch(facts, profile, draft)?,
    }
    unsaid(facts, *unattended, install, draft);
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// Whether there is a kernel with its arguments in one EFI program (UAPI group, "Unified Kernel Image").
fn unified_kernel(facts: &Facts) -> bool {
    let lower = |p: &TreePath| p.as_bytes().to_ascii_lowercase();
    facts.paths.iter().map(lower).any(|p| p.starts_with(b"efi/linux/") && p.ends_with(b".efi"))
}

/// Talos installs as soon as it has a configuration: it gets one only where that is wished for. It takes
/// none from the medium that it was started from, only from a volume of the label `metal-iso`.
fn own(
    facts: &Facts,
    (name, bytes): &(String, Vec<u8>),
    profile: &Profile,
    draft: &mut Draft,
) -> Result<()> {
    let unattended = profile.unattended;
    super::own_file(facts, name, profile, &[], draft);
    if unattended {
        draft.deliver(facts, &[(Delivery::Url, "it is too long for the command line")])?;
    }
    if unattended || facts.from_network() {
        draft.beside.push(Made {
            path: TreePath::new(CONFIG)?,
            body: Body::Bytes(bytes.to_vec()),
            mode: 0o600,
            reason: format!("your own {name}"),
        });
        draft.warn(format!(
            "{name} holds the cluster's secrets: whoever can fetch the tree can read them."
        ));
    }
    if unattended {
        let arg = format!("talos.config={BASE}{CONFIG}");
        draft.arg(ArgOp::Set(arg), "the configuration lies beside boot.ipxe");
        draft.wipe(format!("the disk that {name} names"));
    } else {
        draft.note(format!(
            "Talos installs as soon as it has a configuration, so that it does not get {name}: it waits \
             for talosctl apply-config --insecure."
        ));
    }
    Ok(())
}

/// A patch is no configuration: that needs the cluster's secrets, which talosctl makes.
fn patch(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, network, install, unattended, .. } = profile;
    let mut kernel_args: Vec<String> = console.iter().map(|c| format!("console={c}")).collect();
    if network.bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        kernel_args.push("net.ifnames=0".into());
    }
    let patch = Patch::new(&Wish {
        network,
        hostname: install.hostname.as_deref(),
        disk: install.disk.devices.first().map(String::as_str),
        wipe: *unattended,
        kernel_args,
    })?;
    let why = "console, bond and disk for talosctl --config-patch; the machine does not fetch it";
    let place = if facts.from_network() { Delivery::Url } else { Delivery::Medium };
    let made = Made::text(TreePath::new(PATCH)?, patch.to_text()?, 0o600, why);
    draft.place(place, made)?;
    let at = format!("{}/{PATCH}", facts.answers());
    draft.note(format!(
        "The machine waits in maintenance mode. Give it a configuration: talosctl gen config NAME \
         https://ENDPOINT:6443 --config-patch @{at}, then talosctl apply-config --insecure."
    ));
    if *unattended {
        draft.cannot(
            "unattended",
            format!(
                "a configuration needs the cluster's secrets, which talosctl makes: make one with \
                 --config-patch @{at} and give it as your own answers"
            ),
        );
    }
    Ok(())
}

fn unsaid(facts: &Facts, unattended: bool, install: &Install, draft: &mut Draft) {
    let Install {
        hostname: _,
        root_password_hash,
        ssh_keys,
        timezone,
        locale,
        keyboard,
        packages,
        mirror,
        disk,
    } = install;
    if facts.own_answers.is_some() {
        return;
    }
    let default = Install::default();
    let no_login = "Talos has no login, only its API";
    for (setting, said, why) in [
        ("root_password_hash", root_password_hash.is_some(), no_login),
        ("ssh_keys", !ssh_keys.is_empty(), no_login),
        ("timezone", *timezone != default.timezone, "its clock is UTC"),
        ("locale", *locale != default.locale, "it has no locales"),
        ("keyboard", *keyboard != default.keyboard, no_login),
        ("packages", !packages.is_empty(), "the system is an image; extensions go into the image"),
        ("mirror", mirror.is_some(), "machine.install.image names the image, in your own answers"),
        ("disk.raid1", disk.raid1, "it installs on one disk"),
    ] {
        if said {
            draft.cannot(format!("install.{setting}"), why);
        }
    }
    if unattended && disk.devices.is_empty() {
        draft.cannot("install.disk", "Talos can't be told to take the smallest disk: name one");
    }
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "Talos writes its log to every console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        let why = "Talos' boot loader has no console settings".into();
        let instead = "the kernel speaks from its first line on".into();
        draft.cover(
            Layer::InstalledBootLoader,
            Aspect::Console,
            Cover::Impossible { why, instead },
        );
        let system = if own {
            theirs("machine.install.extraKernelArgs in it")
        } else {
            set(format!("extraKernelArgs in {}/{PATCH}", facts.answers()))
        };
        draft.cover(Layer::InstalledSystem, Aspect::Console, system);
    }
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    let words = network_words(network);
    let word = words.into_iter().find(|w| w.starts_with("bond="));
    let how = word.unwrap_or_else(|| dracut::bond_word(b));
    draft.cover(Layer::Installer, Aspect::Bond, set(how));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = if own {
        theirs("machine.network.interfaces in it")
    } else {
        set(format!("machine.network.interfaces in {}/{PATCH}", facts.answers()))
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
