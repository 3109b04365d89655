//! Flatcar Container Linux: kernel and one initrd that holds the whole system.
//!
//! Source: Flatcar's bootengine (53ignition, 50flatcar-network), flatcar-install, and its
//! documentation, "Booting Flatcar with iPXE". Its initrd configures ports by lease only.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, Cover, Draft, Facts, Hosted, Layer};
use super::ignition::{self, Dialect};
use crate::error::Result;
use crate::format::ignition::Version;
use crate::format::networkd;
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::{Delivery, Profile};
use serde_json::json;

const OWN: &str = "your own configuration is used as it is";
/// Where the initrd looks for a configuration (ignition-setup.sh).
const IN_INITRD: &str = "usr/share/oem/config.ign";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile {
        console,
        text: _,
        unattended: _,
        extra_args,
        network,
        install,
        answers: _,
        initrd: _,
    } = profile;
    let Network { bond, address } = network;

    let configures = |key: &str| key.ends_with("config.url") || key == "cloud-config-url";
    super::take_out(facts, configures, draft);
    draft.hosted = Hosted::default();
    console::say(console, Target::Answers, draft);
    draft.arg(ArgOp::Set("flatcar.first_boot=1".into()), "Ignition runs");
    draft.arg(
        ArgOp::Remove("flatcar.autologin".into()),
        "who may log in without a password is the configuration's affair",
    );
    if bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        draft.arg(ArgOp::Set("net.ifnames=0".into()), "the profile names its ports eth0, eth1");
    }
    configuration(facts, profile, draft)?;
    if facts.delivery == Some(Delivery::Url) && (bond.is_some() || *address != Address::Dhcp) {
        draft.warn(
            "By URL the configuration is fetched before there is a bond or a fixed address: one port must \
             get a lease.",
        );
    }
    if install.mirror.is_none() {
        draft.note(
            "flatcar-install fetches the image from stable.release.flatcar-linux.net or its like: the machine \
             must reach it, or set install.mirror.",
        );
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

fn configuration(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, network, install, .. } = profile;
    let mut kernel_args: Vec<String> = console.iter().map(|c| format!("console={c}")).collect();
    if network.bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        kernel_args.push("net.ifnames=0".into());
    }
    let units: Vec<(String, u32, String)> = networkd::files(network)
        .into_iter()
        .map(|(name, text)| (format!("{}/{name}", networkd::FOLDER), 0o644, text))
        .collect();
    let dialect = Dialect {
        version: Version::V3_3,
        network: units.clone(),
        live_network: units,
        kernel_args,
        script: (include_str!("../../templates/flatcar-install.sh.jinja"), "flatcar-install.sh"),
        values: json!({ "mirror": install.mirror }),
        mirror: false,
        consoles: false,
    };
    let target = ignition::own_or_ours(facts, profile, &dialect, draft)?;
    let live = ignition::live(profile, &dialect, &target, draft)?;
    ignition::logins(facts, profile, draft);
    ignition::deliver(facts, live, IN_INITRD, "the live system's configuration", draft)
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the live system starts a login on every console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        let why = "the terminal of Flatcar's GRUB is set in its image".into();
        let instead = "the kernel speaks from its first line on".into();
        draft.cover(
            Layer::InstalledBootLoader,
            Aspect::Console,
            Cover::Impossible { why, instead },
        );
        let system = if own {
            theirs("kernelArguments in it")
        } else {
            set(format!("{} in Ignition's kernelArguments", console::words(consoles)))
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
    let how = format!("10-{}.netdev for networkd, by Ignition", b.name);
    draft.cover(Layer::Installer, Aspect::Bond, set(how.clone()));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = if own { theirs("a .netdev file for networkd in it") } else { set(how) };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
