//! Debian live (live-boot): the whole system is one squashfs, fetched into memory.
//!
//! live-boot(7). It configures one port only and knows no bonding.

use super::console::{self, Target};
use super::draft::{ArgOp, Aspect, BASE, Cover, Draft, Facts, Hosted, Layer};
use crate::error::{Error, ErrorKind, Result};
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;
use std::net::IpAddr;

const ONE_PORT: &str = "live-boot configures one port and knows no bonding";
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
    let Network { bond, address } = network;
    let squashfs = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no live/*.squashfs on this medium")
    })?;
    draft.hosted = Hosted::only(vec![squashfs.clone()]);
    for word in ["findiso", "fromiso", "iso-scan/filename", "toram", "bootfrom", "live-media"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Set("boot=live".into()), "the initrd's live system");
    draft.arg(ArgOp::Set("components".into()), "live-config sets up the login on the console");
    draft.arg(
        ArgOp::Set(format!("fetch={BASE}repo/{squashfs}")),
        "the system comes over HTTP into memory",
    );
    draft.arg(ArgOp::Set(ip_word(address)?), "network for fetch");
    if let Some(h) = &install.hostname {
        draft.arg(ArgOp::Set(format!("hostname={h}")), "host name of the live system");
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    draft.note(
        "The tree's URL should have an IP address, not a name: not every live-boot resolves names.",
    );
    if bond.is_some() {
        draft.warn(format!("No bond: {ONE_PORT}. Set LACP fallback on the switch."));
    }
    super::installs_nothing(*unattended, install, &["hostname"], facts, draft);
    draft.ram_mib = facts.ram_mib;
    cover(console, network, draft);
    Ok(())
}

/// live-boot's own order, not the kernel's: device, address, mask, gateway, name server.
fn ip_word(address: &Address) -> Result<String> {
    Ok(match address {
        Address::Dhcp => "ip=dhcp".into(),
        Address::Static { address, .. } if address.addr.is_ipv6() => {
            return Err(Error::unsupported("live-boot takes no fixed IPv6 address")
                .hint("use method = \"dhcp\", or an IPv4 address"));
        }
        Address::Static { address, gateway, dns } => format!(
            "ip=:{}:{}:{}:{}",
            address.addr,
            address.netmask(),
            gateway.as_ref().map(IpAddr::to_string).unwrap_or_default(),
            dns.first().map(IpAddr::to_string).unwrap_or_default(),
        ),
    })
}

fn cover(consoles: &[Console], network: &Network, draft: &mut Draft) {
    let nothing = || Cover::NotNeeded { why: "a live system installs none".into() };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the live system's systemd starts a login on the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, Cover::Set { how });
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, nothing());
        draft.cover(Layer::InstalledSystem, Aspect::Console, nothing());
    }
    if network.bond.is_none() {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    }
    super::cover_bond_start(draft);
    let none = Cover::Impossible { why: ONE_PORT.into(), instead: FALLBACK.into() };
    draft.cover(Layer::Installer, Aspect::Bond, none);
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, nothing());
    draft.cover(Layer::InstalledSystem, Aspect::Bond, nothing());
}
