//! Alpine Linux: a system in memory, built by the initramfs from the medium's packages and an overlay.
//!
//! mkinitfs, initramfs-init and mkinitfs-bootparam(7); aports, main/openrc/modloop.initd and
//! scripts/mkimg.{base,netboot}.sh. The ISO's initramfs has no network drivers, the netboot one has:
//! kernel and initramfs are brought, packages and kernel modules (modloop) come from the medium, whose kernel
//! must be the same. Started from the medium its own pair does, finds packages and modules there, and takes
//! an overlay from the root of any device (nlplug-findfs). The netboot initramfs knows the signature of its own modloop, not the medium's.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, Facts, Hosted, Layer, Made, Route,
};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::alpine::Alpine;
use crate::format::answers::grub_defaults;
use crate::format::kickstart::RootPassword;
use crate::model::console::Console;
use crate::model::network::{Address, Network};
use crate::model::profile::{Delivery, Install, Profile};
use std::net::IpAddr;

const ONE_PORT: &str = "the initramfs configures one port; the bond stands once the system is up";
const OVERLAY: &str = "alpine.apkovl.tar.gz";

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
    super::take_out(facts, |key| matches!(key, "apkovl" | "ds"), draft);
    if facts.from_network() {
        source(facts, draft)?;
        let why = "the initramfs has no authorities to hold a certificate against";
        super::wants_plain_http(facts, why, draft);
        let ip = ip_word(address, draft);
        draft.arg(ArgOp::Set(ip), "network for packages and modules");
    }
    answer(facts, profile, draft)?;
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    if bond.is_some() && facts.from_network() {
        draft.warn(format!(
            "Until then one port works alone: {ONE_PORT}. Set LACP fallback on the switch."
        ));
    }
    match &facts.own_answers {
        _ if !unattended => {}
        Some((file, _)) => draft.disks = Disks::AsOwn { file: file.clone() },
        None => {
            draft.wipe(install.disk.words());
            super::mirror_unproven(&install.disk, "setup-disk's", "", draft);
        }
    }
    draft.ram_mib = facts.ram_mib;
    cover(facts, profile, draft);
    Ok(())
}

/// Packages and kernel modules.
fn source(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let release = facts.brought.as_ref().and_then(|b| b.release.as_deref()).unwrap_or_default();
    let loops = || facts.hosted.files.iter().filter(|f| f.name().starts_with(b"modloop-"));
    let flavour = |f: &&TreePath| {
        f.to_string().rsplit_once('-').is_some_and(|(_, f)| release.ends_with(&format!("-{f}")))
    };
    let modloop = loops().find(flavour).or_else(|| loops().next());
    draft.hosted = Hosted::only(facts.hosted.files.clone());
    draft.arg(ArgOp::Set(format!("alpine_repo={BASE}repo/apks")), "packages come from the medium");
    if let Some(m) = modloop {
        draft.arg(
            ArgOp::Set(format!("modloop={BASE}repo/{m}")),
            "kernel modules come from the medium",
        );
        draft.arg(
            ArgOp::Set("modloop_verify=no".into()),
            "the netboot initramfs has the signature of its own modloop only",
        );
    } else {
        draft.warn("There is no boot/modloop-* on this medium: the system has the initramfs' modules only.");
    }
    if let Some(b) = facts.brought.as_ref().filter(|b| b.differs()) {
        let known = |r: &Option<String>| r.clone().unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the netboot kernel is {}, the medium's modules are for {}",
                known(&b.release),
                known(&b.medium)
            ),
        )
        .hint("take the netboot pair of the medium's own version"));
    }
    Ok(())
}

/// The initramfs' own reading of the kernel's `ip=`: IPv4, and two name servers.
fn ip_word(address: &Address, draft: &mut Draft) -> String {
    match address {
        Address::Dhcp => "ip=dhcp".into(),
        Address::Static { address, .. } if address.addr.is_ipv6() => {
            let why = "Alpine's initramfs takes no fixed IPv6 address, only a lease";
            draft.cannot("network.address", why);
            "ip=dhcp".into()
        }
        Address::Static { address, gateway, dns } => {
            let gateway = gateway.as_ref().map(IpAddr::to_string).unwrap_or_default();
            let dns: String =
                dns.iter().filter(|d| d.is_ipv4()).take(2).map(|d| format!(":{d}")).collect();
            format!("ip={}::{gateway}:{}:::none{dns}", address.addr, address.netmask())
        }
    }
}

/// The overlay with the answers in it.
fn answer(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Install {
        hostname,
        root_password_hash,
        ssh_keys,
        timezone,
        locale: _,
        keyboard,
        packages,
        mirror,
        disk,
    } = &profile.install;
    if profile.install.said().contains(&"locale") {
        draft.cannot("install.locale", "Alpine's C library has none but C.UTF-8");
    }
    let way = draft.deliver(facts, &WAYS)?;
    let repositories = repositories(facts, mirror.as_deref(), draft);
    let own = facts.own_answers.as_ref();
    if let Some((name, _)) = own {
        // setup-disk copies the overlay's own files: who may log in, and the network.
        let heeds = ["install.root_password_hash", "install.ssh_keys"];
        super::own_file(facts, name, profile, &heeds, draft);
    } else if !profile.unattended {
        draft.note("To install, run setup-alpine -f /etc/isowright/answers on the console: it asks for the disk.");
    }
    let overlay = Alpine {
        unattended: profile.unattended,
        keyboard,
        timezone,
        network: &profile.network,
        hostname: hostname.as_deref(),
        repositories: &repositories,
        packages,
        root: root(root_password_hash.as_deref(), profile.unattended, ssh_keys, facts, draft),
        ssh_keys,
        disk,
        consoles: &profile.console,
        grub: grub_defaults(&profile.console),
        own: own.map(|(_, bytes)| bytes.as_slice()),
    }
    .apkovl()?;
    deliver(way, overlay, draft)
}

const WAYS: [(Delivery, &str); 3] = [
    (Delivery::Medium, "every version takes the overlay that lies in the medium's root"),
    (Delivery::Url, "every version takes the overlay by URL"),
    (Delivery::Initrd, "it can't be missing; newer initramfs only take it from there"),
];

fn deliver(way: Delivery, overlay: Vec<u8>, draft: &mut Draft) -> Result<()> {
    let made = |path: &str| {
        Ok::<_, Error>(Made {
            path: TreePath::new(path)?,
            body: Body::Bytes(overlay),
            mode: 0o600,
            reason: "overlay: answers, network, boot services".into(),
        })
    };
    match way {
        Delivery::Url => {
            let arg = format!("apkovl={BASE}answers/{OVERLAY}");
            draft.beside.push(made(&format!("answers/{OVERLAY}"))?);
            draft.arg(ArgOp::Set(arg), "the overlay lies beside boot.ipxe");
        }
        Delivery::Medium => {
            draft.on_medium.push(made(OVERLAY)?);
            draft.note(
                "The initramfs takes the first *.apkovl.tar.gz that it finds in a file system's root: none may \
                 lie on the machine's disks.",
            );
        }
        Delivery::Initrd | Delivery::Cmdline => {
            draft.in_initrd.push(made(OVERLAY)?);
            draft.arg(ArgOp::Set(format!("apkovl=/{OVERLAY}")), "the overlay lies in the initrd");
        }
    }
    Ok(())
}

/// `main` and `community` of the medium's own series.
fn repositories(facts: &Facts, mirror: Option<&str>, draft: &mut Draft) -> Vec<String> {
    let mirror = mirror.or(facts.mirror.as_deref());
    // A shell reads the answers: digits only.
    let digits = |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let mut numbers = facts.version.as_deref().unwrap_or_default().split('.').take_while(digits);
    match (mirror, numbers.next(), numbers.next()) {
        (Some(m), Some(major), Some(minor)) => {
            let m = m.trim_end_matches('/');
            ["main", "community"].iter().map(|r| format!("{m}/v{major}.{minor}/{r}")).collect()
        }
        (None, ..) => Vec::new(),
        _ => {
            draft.warn(
                "The medium says no version: packages come from the first of Alpine's own mirrors.",
            );
            Vec::new()
        }
    }
}

/// What becomes of root, who has no password in a system in memory.
fn root(
    hash: Option<&str>,
    unattended: bool,
    keys: &[String],
    facts: &Facts,
    draft: &mut Draft,
) -> RootPassword {
    if hash.is_some() || unattended {
        return super::root(hash, unattended, keys, facts, draft);
    }
    draft.warn("Until a password is set, root logs in on the console without one.");
    RootPassword::Ask
}

fn cover(facts: &Facts, profile: &Profile, draft: &mut Draft) {
    let Profile { console: consoles, network, unattended, .. } = profile;
    let by_us = *unattended && facts.own_answers.is_none();
    let theirs = |instead: &str| Cover::Impossible {
        why: "the operator installs, or answers of your own".into(),
        instead: instead.into(),
    };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        installed_consoles(consoles, by_us, theirs, draft);
    }
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    let how = format!("{} in /etc/network/interfaces", b.name);
    let row = match facts.route {
        Route::Network => {
            let instead = super::live::FALLBACK.to_owned();
            Cover::Impossible { why: ONE_PORT.into(), instead }
        }
        Route::Medium => Cover::Set { how: format!("{how}, of the system in memory") },
    };
    draft.cover(Layer::Installer, Aspect::Bond, row);
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let row = match facts.own_answers {
        Some(_) => theirs("INTERFACESOPTS in them"),
        None => Cover::Set { how },
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, row);
}

fn installed_consoles(
    consoles: &[Console],
    by_us: bool,
    theirs: impl Fn(&str) -> Cover,
    draft: &mut Draft,
) {
    let how = "the initramfs starts a login on every console=".to_owned();
    draft.cover(Layer::Installer, Aspect::Console, Cover::Set { how });
    let grub = match grub_defaults(consoles) {
        None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        Some(g) if by_us => Cover::Set { how: format!("{} in /etc/grub.d", g.command) },
        Some(_) => {
            theirs("BOOTLOADER=grub before setup-alpine; /etc/grub.d/01_isowright does the rest")
        }
    };
    draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
    let words = console::words(consoles);
    let row = match by_us {
        true => Cover::Set { how: format!("KERNELOPTS=\"{words}\" for setup-disk") },
        false => theirs(&format!("export KERNELOPTS=\"{words}\" before setup-alpine")),
    };
    draft.cover(Layer::InstalledSystem, Aspect::Console, row);
}
