//! What live systems share: nothing is installed, and what stands in for a bond where the initrd has none.

use super::console;
use super::draft::{Aspect, Cover, Draft, Facts, Layer, Route};
use crate::model::console::Console;
use crate::model::network::{Bond, Network};

pub(super) const FALLBACK: &str = "LACP fallback on the switch: one port then works alone";

/// Why a system that needs no network to start heeds none of the profile's.
pub(super) fn no_network(facts: &Facts) -> &'static str {
    match facts.route {
        Route::Network => {
            "the system is in the initrd, and its network comes up later, by DHCP on every port"
        }
        Route::Medium => "the live system brings its network up itself, by DHCP on every port",
    }
}

/// A BIOS loads initrds below 2 GiB (Documentation/arch/x86/boot.rst, `initrd_addr_max`); some of it is
/// the initrd's own part.
const BIOS_MAX: u64 = (2 << 30) - (128 << 20);

/// For a system that lies in the initrd: told where a BIOS can't load that much.
pub(super) fn system_in_initrd(facts: &Facts, draft: &mut Draft) {
    if facts.ram_payload > BIOS_MAX {
        draft.warn("The initrd is too big for a BIOS, which loads it below 2 GiB: UEFI only.");
    }
}

/// The rows of a live system. `login`: how its console gets one. `bond`: the installer's row, where a
/// bond is wished for.
pub(super) fn cover(
    consoles: &[Console],
    network: &Network,
    login: &str,
    bond: impl FnOnce(&Bond) -> Cover,
    draft: &mut Draft,
) {
    let nothing = || Cover::NotNeeded { why: "a live system installs none".into() };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        draft.cover(Layer::Installer, Aspect::Console, Cover::Set { how: login.to_owned() });
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, nothing());
        draft.cover(Layer::InstalledSystem, Aspect::Console, nothing());
    }
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    draft.cover(Layer::Installer, Aspect::Bond, bond(b));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, nothing());
    draft.cover(Layer::InstalledSystem, Aspect::Bond, nothing());
}

/// Where only one port comes up: a warning, and the row for [`cover`].
pub(super) fn one_port(network: &Network, why: &str, draft: &mut Draft) -> Cover {
    if network.bond.is_some() {
        draft.warn(format!("No bond: {why}. Set LACP fallback on the switch."));
    }
    Cover::Impossible { why: why.to_owned(), instead: FALLBACK.into() }
}

/// How systemd gives a console its login.
pub(super) const SYSTEMD_LOGIN: &str =
    "the live system's systemd starts a login on the last console=";
