//! TrueNAS SCALE: a Debian live system (live-boot) with an installer that wants the medium as `/cdrom`.
//!
//! truenas/scale-build, conf/cd-files/sbin/mount-cd: it looks for the medium on discs and disks, never on
//! a loop device. truenas/truenas-installer, install.py: it mounts `/cdrom/TrueNAS-SCALE.update`.
//! live-boot(7): `fetch=` of an `.iso` takes the whole medium into memory and mounts it by loop as
//! /run/live/medium. A few lines in the initrd make that `/cdrom`: live-boot's scripts/live has
//! run_scripts read `/scripts/live-bottom/ORDER` last, which Debian's packages leave empty.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, BASE, Cover, Draft, Facts, Hosted, Layer, MEDIUM, Made};
use super::{live, live_boot};
use crate::error::Result;
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;

const ASKS: &str = "the installer asks on its console, or takes JSON-RPC once it runs";

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
    let Network { bond: _, address } = network;
    if facts.from_network() {
        fetch(facts, address, draft)?;
    } else {
        live_boot::own_address(address, draft);
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    if let Some(port) = console.iter().rev().find_map(|c| c.serial()) {
        draft.note(format!(
            "The installer writes the first serial port of the kernel's log into the new system, which is not always {}: set it there by `midclt call system.advanced.update`.",
            port.tty()
        ));
    }
    let row = live::one_port(network, live_boot::no_bond(facts), draft);
    super::cannot_install(*unattended, install, &[], ASKS, facts, draft);
    draft.ram_mib = facts.ram_mib;
    cover(console, network, row, draft);
    Ok(())
}

/// The medium over HTTP, and where the installer wants it.
fn fetch(facts: &Facts, address: &Address, draft: &mut Draft) -> Result<()> {
    draft.hosted = Hosted::medium();
    for word in live_boot::DISC {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Set("boot=live".into()), "the initrd's live system");
    draft.arg(
        ArgOp::Set(format!("fetch={BASE}{MEDIUM}")),
        "the whole medium comes over HTTP into memory",
    );
    let ip = live_boot::ip_word(address, draft);
    draft.arg(ArgOp::Set(ip), "network for fetch");
    super::wants_plain_http(facts, live_boot::NO_TLS, draft);
    draft.in_initrd.push(Made::text(
        "scripts/live-bottom/ORDER".parse()?,
        include_str!("../../templates/truenas-cdrom.sh"),
        0o644,
        "the installer finds the medium as /cdrom",
    ));
    Ok(())
}

fn cover(consoles: &[Console], network: &Network, bond: Cover, draft: &mut Draft) {
    let by_hand = |why: &str, instead: &str| Cover::Impossible {
        why: why.to_owned(),
        instead: instead.to_owned(),
    };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the installer's menu comes up on the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, Cover::Set { how });
        for layer in [Layer::InstalledBootLoader, Layer::InstalledSystem] {
            let why = "the installer takes the first serial port of the kernel's log";
            draft.cover(
                layer,
                Aspect::Console,
                by_hand(why, "serialport in the new system's advanced settings"),
            );
        }
    }
    if network.bond.is_none() {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    }
    super::cover_bond_start(draft);
    draft.cover(Layer::Installer, Aspect::Bond, bond);
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let row = by_hand("the installer knows none", "the new system's console menu or web interface");
    draft.cover(Layer::InstalledSystem, Aspect::Bond, row);
}
