//! Proxmox VE, Backup Server, Mail Gateway: the whole medium rides in the initrd as /proxmox.iso, where
//! the installer's init looks for it.
//!
//! Source: the init of the media's initrd, and pve-installer (unconfigured.sh, fetch-answer, answer.rs).
//! Automatic installation looks for its mode and answers on the medium itself, or asks an HTTP server by
//! POST, which static hosting does not answer. So that the medium is not changed, a few lines of ours lay
//! them over it once it is mounted: they stand in the file by which the init knows its product.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, Body, Cover, Draft, Facts, Hosted, Layer, Made};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::proxmox_answer::{self, MODE, Wish};
use crate::model::console::Console;
use crate::model::network::{Bond, Network};
use crate::model::profile::{Delivery, Disk, Install, Profile};

const OWN: &str = "your own answer.toml is used as it is";
const ONE_PORT: &str = "the installer configures one port and knows no bonding";
const FALLBACK: &str = "LACP fallback on the switch: one port then works alone";

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

    draft.hosted = Hosted::default();
    if facts.from_network() {
        draft.in_initrd.push(Made {
            path: TreePath::new("proxmox.iso")?,
            body: Body::Medium,
            mode: 0o644,
            reason: "the installer's init mounts it in place of a disc".into(),
        });
    }
    console::say(console, Target::Answers, draft);
    if bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        draft.arg(ArgOp::Set("net.ifnames=0".into()), "the profile names its ports eth0, eth1");
    }
    let answered = *unattended && automatic(facts, install, draft);
    if answered {
        answers(facts, profile, draft)?;
    } else {
        draft.arg(ArgOp::Set("proxtui".into()), "the terminal installer works on a serial line");
        draft.arg(ArgOp::Remove("proxmox-start-auto-installer".into()), "it asks");
        if !unattended && (!install.said().is_empty() || facts.own_answers.is_some()) {
            draft.note(
                "The terminal installer takes no answers: what the profile says of the installed system is \
                 for unattended = true only.",
            );
        }
    }
    if bond.is_some() {
        draft.warn(format!(
            "No bond while installing: {ONE_PORT}. Set LACP fallback on the switch."
        ));
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, answered, console, network, draft);
    Ok(())
}

/// Whether an installation without a question can be told.
fn automatic(facts: &Facts, install: &Install, draft: &mut Draft) -> bool {
    if release(facts) < (8, 3) {
        draft.cannot(
            "unattended",
            "automatic installation with a hashed password and a first-boot script is known from 8.3 on",
        );
        return false;
    }
    if facts.own_answers.is_none() && install.root_password_hash.is_none() {
        draft.cannot("unattended", "the installer wants root_password_hash");
        return false;
    }
    true
}

/// Proxmox VE's release of the same time: Backup Server counts five less.
fn release(facts: &Facts) -> (u32, u32) {
    let Some(version) = &facts.version else { return (9, 0) };
    let mut numbers = version.split(['.', '-']).map(|n| n.parse().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (if major < 6 { major + 5 } else { major }, minor)
}

fn answers(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { network, install, .. } = profile;
    // The operator's own names its disks itself.
    let open = facts.own_answers.is_none() && install.disk.devices.is_empty();
    let mut ways = vec![(Delivery::Initrd, "over HTTP the installer asks by POST")];
    if !open {
        let why = "as proxmox-auto-install-assistant does it";
        ways.insert(0, (Delivery::Medium, why));
    } else if !facts.from_network() {
        ways[0].1 = "the disk is chosen by a script, which writes it into the answers";
    }
    let way = draft.deliver(facts, &ways)?;
    draft.arg(ArgOp::Set("proxmox-start-auto-installer".into()), "it installs without a question");
    draft.arg(ArgOp::Remove("proxtui".into()), "it would ask");
    let mut files = vec!["auto-installer-mode.toml", "answer.toml"];
    made(draft, files[0], MODE.into(), 0o644, "says where the answers are")?;
    match &facts.own_answers {
        Some((name, bytes)) => {
            draft.in_initrd.push(Made {
                path: TreePath::new("answer.toml")?,
                body: Body::Bytes(bytes.clone()),
                mode: 0o600,
                reason: format!("your own {name}"),
            });
            super::own_file(facts, name, profile, &[], draft);
            draft.wipe(format!("the disks that {name} names"));
        }
        None => {
            super::warn_of_hash(facts, draft);
            let text = answer_file(facts, install, network, draft)?;
            made(draft, "answer.toml", text, 0o600, "answers, from the profile")?;
            draft.wipe(install.disk.words());
            super::mirror_unproven(&install.disk, "the installer's", "", draft);
            if network.bond.as_ref().is_some_and(Bond::wants_kernel_names) {
                draft.warn(
                    "Give the bond's ports by MAC address: eth0 is there only if the installer hands net.ifnames=0 \
                     on to the installed system. Where it is missing, the network stays as it was installed.",
                );
            }
            if let Some(b) = &network.bond {
                files.push("proxmox-first-boot");
                let reason = "builds the bond at the first boot";
                let script = proxmox_answer::first_boot(b)?;
                made(draft, "proxmox-first-boot", script, 0o755, reason)?;
            }
        }
    }
    if way == Delivery::Medium {
        // In the medium's root, where they would be laid over it else.
        draft.on_medium.append(&mut draft.in_initrd);
        return Ok(());
    }
    lay_over(facts, open.then_some(&install.disk), &files, draft)
}

/// The lines that lay `files` over the medium, in place of the file that the vendor's init reads in, and
/// that file beside them.
fn lay_over(facts: &Facts, disk: Option<&Disk>, files: &[&str], draft: &mut Draft) -> Result<()> {
    const VENDORS: &str = "isowright-cd-info";
    let identity = [".cd-info", ".disk/info"].into_iter().find(|p| facts.has(p));
    let identity = identity.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "there is no .cd-info on this medium, by which its init knows it",
        )
    })?;
    draft.in_initrd.push(Made {
        path: TreePath::new(VENDORS)?,
        body: Body::File(TreePath::new(identity)?),
        mode: 0o644,
        reason: "what the init must know of its medium".into(),
    });
    let text = proxmox_answer::cd_info(VENDORS, disk, files)?;
    made(draft, ".cd-info", text, 0o644, "read in by the init: lays the answers over the medium")
}

fn made(draft: &mut Draft, path: &str, text: String, mode: u32, reason: &str) -> Result<()> {
    draft.in_initrd.push(Made::text(TreePath::new(path)?, text, mode, reason));
    Ok(())
}

fn answer_file(
    facts: &Facts,
    install: &Install,
    network: &Network,
    draft: &mut Draft,
) -> Result<String> {
    let Install {
        hostname,
        root_password_hash,
        ssh_keys,
        timezone,
        locale,
        keyboard,
        packages,
        mirror,
        disk,
    } = install;
    if !packages.is_empty() {
        draft.cannot("install.packages", "the installer takes no further packages");
    }
    if mirror.is_some() {
        draft.cannot("install.mirror", "the packages come from the medium");
    }
    if *locale != Install::default().locale {
        draft.note("Of locale the installer takes the territory only, as its country.");
    }
    let keymap = proxmox_answer::keyboard(keyboard);
    if keymap.is_none() {
        draft.cannot("install.keyboard", format!("the installer has no keymap {keyboard}"));
    }
    let name = hostname.clone().or_else(|| facts.default_hostname.clone());
    let name = name.unwrap_or_else(|| "proxmox".into());
    let fqdn = if name.contains('.') { name } else { format!("{name}.localdomain") };
    if hostname.as_ref() != Some(&fqdn) {
        draft.note(format!("The installer wants a host name with a domain: it gets {fqdn}."));
    }
    Wish {
        network,
        fqdn,
        password_hash: root_password_hash.as_deref().unwrap_or_default(),
        ssh_keys,
        timezone,
        locale,
        keyboard: keymap.unwrap_or("en-us"),
        disk,
        old_keys: release(facts) < (8, 4),
    }
    .to_text()
}

fn cover(
    facts: &Facts,
    answered: bool,
    consoles: &[Console],
    network: &Network,
    draft: &mut Draft,
) {
    let impossible =
        |why: &str, instead: &str| Cover::Impossible { why: why.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the installer follows the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        for layer in [Layer::InstalledBootLoader, Layer::InstalledSystem] {
            let how = "the installer copies a console=ttyS of its own command line".to_owned();
            let row = match consoles.iter().any(|c| c.serial().is_some()) {
                true => set(how),
                false => Cover::NotNeeded { why: "no serial console is wished for".into() },
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
    draft.cover(Layer::Installer, Aspect::Bond, impossible(ONE_PORT, FALLBACK));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let by_hand = "set it in /etc/network/interfaces after the installation";
    let system = match (answered, facts.own_answers.is_some()) {
        (true, true) => impossible(OWN, "[first-boot] in it"),
        (true, false) => set(format!("proxmox-first-boot puts {} in place of the port", b.name)),
        (false, _) => impossible("the terminal installer takes no answers", by_hand),
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
