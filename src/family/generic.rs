//! A Linux whose installer is not known: kernel, initrd and console, and what can be guessed.

use super::console::{self, Target};
use super::draft::{Aspect, Cover, Draft, Facts, Hosted, Layer, Note};
use crate::error::Result;
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;

const UNKNOWN: &str = "this installer is not known";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, text, unattended, extra_args, network, install, answers: _, initrd: _ } =
        profile;
    let Network { bond, address } = network;

    draft.hosted = Hosted::default();
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    if facts.from_network() {
        draft.warn(
            "Only kernel and initrd are served: a system that looks for the rest of its medium won't \
             find it.",
        );
    }
    if bond.is_some() {
        draft.notes.push(Note {
            warning: true,
            text: "No bond is set: whether this initrd takes bond= and ip= in extra_args, as dracut's do, is not known."
                .into(),
            assumed: true,
        });
    }
    if *address != Address::Dhcp {
        draft.cannot("network.address", "whether this initrd takes a fixed address is not known");
    }
    if *text {
        draft.note("Whether this installer has a text mode, and how to ask for it, is not known.");
    }
    let why = "how this installer takes answers is not known";
    super::cannot_install(*unattended, install, &[], why, facts, draft);
    draft.ram_mib = facts.ram_mib;
    cover(console, network, draft);
    Ok(())
}

fn cover(consoles: &[Console], network: &Network, draft: &mut Draft) {
    let unknown =
        |instead: &str| Cover::Impossible { why: UNKNOWN.into(), instead: instead.into() };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        draft.cover(
            Layer::Installer,
            Aspect::Console,
            unknown("most follow the kernel's last console="),
        );
        for layer in [Layer::InstalledBootLoader, Layer::InstalledSystem] {
            draft.cover(layer, Aspect::Console, unknown("set it by hand after the installation"));
        }
    }
    if network.bond.is_none() {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    }
    super::cover_bond_start(draft);
    draft.cover(
        Layer::Installer,
        Aspect::Bond,
        unknown("LACP fallback on the switch: one port then works alone"),
    );
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let by_hand = unknown("set it by hand after the installation");
    draft.cover(Layer::InstalledSystem, Aspect::Bond, by_hand);
}
