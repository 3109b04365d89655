//! Harvester: a root image that is fetched into memory, and the whole medium, fetched once more by the
//! installer.
//!
//! Source: harvester-installer (pkg/config), Harvester's documentation ("PXE Boot Installation",
//! "Harvester Configuration", 1.1 to 1.7) and its iPXE examples. The vendor's examples fetch the image
//! over one port: the installer builds a bond of its own (mgmt-bo) afterwards.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, Facts, Hosted, Layer, MEDIUM, Made,
};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::dracut;
use crate::format::harvester::{Config, Management, Wish};
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::{Delivery, Install, Profile};

const CONFIG: &str = "harvester.yaml";
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
    let network = &by_lease(network, draft);
    let Network { bond, address } = network;

    super::take_out(facts, |key| key.starts_with("harvester.install."), draft);
    if facts.from_network() {
        source(facts, draft)?;
        // One port: the installer builds the bond itself, and would find these ports taken.
        let one_port = Network { bond: None, address: address.clone() };
        draft.arg(ArgOp::Remove("ip".into()), "the profile's network takes its place");
        for word in dracut::words(&one_port, install.hostname.as_deref()) {
            draft.arg(ArgOp::Append(word), "network for the root image");
        }
    }
    console::say(console, Target::Answers, draft);
    if bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        draft.arg(ArgOp::Set("net.ifnames=0".into()), "the profile names its ports eth0, eth1");
        draft.warn(
            "The installed system names its ports anew (enp1s0): give the bond's ports by MAC address.",
        );
    } else {
        draft.arg(ArgOp::Set("net.ifnames=1".into()), "as in the vendor's examples");
    }
    for word in Management::new(network)?.kernel_words() {
        draft.arg(ArgOp::Append(word), "the management network");
    }
    if bond.is_some() && facts.from_network() {
        draft.warn(
            "The root image is fetched over one port, with a lease, before the installer builds the bond: set \
             LACP fallback on the switch.",
        );
    }
    match &facts.own_answers {
        Some(own_file) => own(facts, own_file, profile, draft)?,
        None => ours(facts, profile, network, draft)?,
    }
    if !unattended && facts.from_network() {
        draft.note(
            "Harvester's vendor describes network boot for automatic installation only; without it the \
             installer comes up on the console and asks, with the medium's URL given.",
        );
    }
    unsaid(facts, install, draft);
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// The network, without a fixed IPv6 address, which the installer doesn't take.
fn by_lease(network: &Network, draft: &mut Draft) -> Network {
    match &network.address {
        Address::Static { address, .. } if address.addr.is_ipv6() => {
            draft.cannot("network.address", "Harvester takes no fixed IPv6 address, only a lease");
            Network { bond: network.bond.clone(), address: Address::Dhcp }
        }
        _ => network.clone(),
    }
}

fn source(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let image = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no rootfs.squashfs on this medium")
    })?;
    draft.hosted = Hosted { medium: true, ..Hosted::only(vec![image.clone()]) };
    for word in ["root", "cdroot", "rd.live.dir", "rd.live.squashimg", "rd.live.ram"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(
        ArgOp::Set(format!("root=live:{BASE}repo/{image}")),
        "the root image comes over HTTP into memory",
    );
    for (word, why) in [
        ("rd.cos.disable", "no installed system is looked for"),
        ("rd.noverifyssl", "an installer's clock may be wrong"),
    ] {
        draft.arg(ArgOp::Set(word.into()), why);
    }
    draft.arg(
        ArgOp::Set(format!("harvester.install.iso_url={BASE}{MEDIUM}")),
        "the installer fetches the medium itself",
    );
    Ok(())
}

fn own(
    facts: &Facts,
    (name, bytes): &(String, Vec<u8>),
    profile: &Profile,
    draft: &mut Draft,
) -> Result<()> {
    // The management network stands in the kernel arguments.
    super::own_file(facts, name, profile, &["network.bond", "network.address"], draft);
    let way = draft.deliver(facts, &[(Delivery::Url, "the installer fetches it by config_url")])?;
    let made = Made {
        path: TreePath::new(CONFIG)?,
        body: Body::Bytes(bytes.clone()),
        mode: 0o600,
        reason: format!("your own {name}"),
    };
    draft.place(way, made)?;
    draft
        .warn(format!("{name} holds the cluster's token: whoever can fetch the tree can read it."));
    let arg = format!("harvester.install.config_url={BASE}answers/{CONFIG}");
    draft.arg(ArgOp::Set(arg), "the configuration lies beside boot.ipxe");
    if profile.unattended {
        draft.arg(
            ArgOp::Set("harvester.install.automatic=true".into()),
            "it installs without a question",
        );
        draft.wipe(format!("the disk that {name} names"));
    } else {
        // It may say install.automatic.
        draft.disks = Disks::AsOwn { file: name.clone() };
    }
    Ok(())
}

/// Without the cluster's token and address it is a beginning of a configuration.
fn ours(facts: &Facts, profile: &Profile, network: &Network, draft: &mut Draft) -> Result<()> {
    let Profile { console, network: _, install, unattended, .. } = profile;
    let config = Config::new(&Wish {
        network,
        hostname: install.hostname.as_deref(),
        password_hash: install.root_password_hash.as_deref(),
        ssh_keys: &install.ssh_keys,
        disk: install.disk.devices.first().map(String::as_str),
        iso_url: facts
            .base_url
            .as_ref()
            .filter(|_| facts.from_network())
            .map(|base| format!("{base}{MEDIUM}")),
        tty: console.last().map(Console::to_string),
    })?;
    let why =
        "a beginning: token, vip and vip_mode are yours to add; the machine does not fetch it";
    let place = if facts.from_network() { Delivery::Url } else { Delivery::Medium };
    draft.place(place, Made::text(TreePath::new(CONFIG)?, config.to_text()?, 0o600, why))?;
    if install.root_password_hash.is_some() || !install.ssh_keys.is_empty() {
        draft.note("root has no login here: password and SSH keys are those of the user rancher.");
    }
    if *unattended {
        draft.cannot(
            "unattended",
            format!(
                "a configuration needs the cluster's token and address: add token, vip and vip_mode to \
                 {}/{CONFIG} and give it as your own answers",
                facts.answers()
            ),
        );
    }
    Ok(())
}

fn unsaid(facts: &Facts, install: &Install, draft: &mut Draft) {
    let Install {
        hostname: _,
        root_password_hash: _,
        ssh_keys: _,
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
    for (setting, said, why) in [
        ("timezone", *timezone != default.timezone, "its clock is UTC"),
        ("locale", *locale != default.locale, "it has no such setting"),
        ("keyboard", *keyboard != default.keyboard, "it has no such setting"),
        ("packages", !packages.is_empty(), "the system is an image"),
        ("mirror", mirror.is_some(), "all of it comes from the medium"),
        ("disk.raid1", disk.raid1, "it installs on one disk"),
    ] {
        if said {
            draft.cannot(format!("install.{setting}"), why);
        }
    }
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the installer comes up on the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        for layer in [Layer::InstalledBootLoader, Layer::InstalledSystem] {
            let row = if own {
                theirs("install.tty in it")
            } else {
                set(format!("install.tty in {}/{CONFIG}", facts.answers()))
            };
            draft.cover(layer, Aspect::Console, row);
        }
    }
    if network.bond.is_none() {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    }
    super::cover_bond_start(draft);
    let how = "management_interface.bond_options in the kernel arguments, once the image is there";
    draft.cover(Layer::Installer, Aspect::Bond, set(how.into()));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let how = "management_interface.bond_options in the kernel arguments";
    draft.cover(Layer::InstalledSystem, Aspect::Bond, set(how.into()));
}
