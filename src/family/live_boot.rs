//! Debian live (live-boot): the whole system is one squashfs, fetched into memory.
//!
//! live-boot(7). It configures one port only and knows no bonding.

use super::console::{self, Target};
use super::draft::{ArgOp, BASE, Draft, Facts, Hosted, Route};
use super::live;
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;
use std::net::IpAddr;

/// Why there is no bond.
pub(super) fn no_bond(facts: &Facts) -> &'static str {
    match facts.route {
        Route::Network => "live-boot configures one port and knows no bonding",
        Route::Medium => {
            "live-boot configures none, and the live system asks for a lease on each port"
        }
    }
}

pub(super) const NO_TLS: &str = "the initrd's wget is busybox', whose TLS is not to be relied upon";

/// Words that make live-boot look for a disc.
pub(super) const DISC: [&str; 6] =
    ["findiso", "fromiso", "iso-scan/filename", "toram", "bootfrom", "live-media"];

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
    match facts.route {
        Route::Network => fetch(facts, address, draft)?,
        Route::Medium => own_address(address, draft),
    }
    if let Some(h) = &install.hostname {
        draft.arg(ArgOp::Set(format!("hostname={h}")), "host name of the live system");
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    if facts.from_network() {
        draft.note(
            "The tree's URL should have an IP address, not a name: not every live-boot resolves names.",
        );
    }
    let row = live::one_port(network, no_bond(facts), draft);
    super::installs_nothing(*unattended, install, &["hostname"], facts, draft);
    draft.ram_mib = facts.ram_mib;
    live::cover(console, network, live::SYSTEMD_LOGIN, |_| row, draft);
    Ok(())
}

/// The squashfs over HTTP.
fn fetch(facts: &Facts, address: &Address, draft: &mut Draft) -> Result<()> {
    let squashfs = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no live/*.squashfs on this medium")
    })?;
    draft.hosted = Hosted::only(vec![squashfs.clone()]);
    for word in DISC {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Set("boot=live".into()), "the initrd's live system");
    draft.arg(ArgOp::Set("components".into()), "live-config sets up the login on the console");
    draft.arg(
        ArgOp::Set(format!("fetch={BASE}repo/{squashfs}")),
        "the system comes over HTTP into memory",
    );
    let ip = ip_word(address, draft);
    draft.arg(ArgOp::Set(ip), "network for fetch");
    super::wants_plain_http(facts, NO_TLS, draft);
    Ok(())
}

/// Where the system is on the medium, live-boot brings up no network (9990-netbase.sh).
pub(super) fn own_address(address: &Address, draft: &mut Draft) {
    if *address != Address::Dhcp {
        draft.cannot(
            "network.address",
            "live-boot sets it up only on a port that is named: ip=PORT:ADDRESS:MASK:GATEWAY:DNS in extra_args",
        );
    }
}

/// live-boot's own order, not the kernel's: device, address, mask, gateway, name server.
pub(super) fn ip_word(address: &Address, draft: &mut Draft) -> String {
    match address {
        Address::Dhcp => "ip=dhcp".into(),
        Address::Static { address, .. } if address.addr.is_ipv6() => {
            draft.cannot("network.address", "live-boot takes no fixed IPv6 address, only a lease");
            "ip=dhcp".into()
        }
        Address::Static { address, gateway, dns } => format!(
            "ip=:{}:{}:{}:{}",
            address.addr,
            address.netmask(),
            gateway.as_ref().map(IpAddr::to_string).unwrap_or_default(),
            dns.first().map(IpAddr::to_string).unwrap_or_default(),
        ),
    }
}
