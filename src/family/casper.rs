//! Ubuntu's live media, server and desktop: casper in the initrd, subiquity as the installer.
//!
//! casper(7) is behind its script `scripts/casper`, which is what is followed here: it fetches the whole
//! medium over one port into the initrd's root, mounts it, and runs `scripts/casper-bottom` with the live
//! system on `/root`. There cloud-init reads the answers and hands them to subiquity.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, FOLDER, Facts, Hosted, Layer, MEDIUM, Made,
    Sums,
};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::answers::grub_defaults;
use crate::format::autoinstall::{Autoinstall, META_DATA};
use crate::format::kickstart::RootPassword;
use crate::model::network::{Address, Bond, Network, Port};
use crate::model::profile::{Delivery, Install, Profile};
use std::net::IpAddr;

const OWN: &str = "your own user-data is used as it is";
const BY_HAND: &str = "set it by hand after the installation";
/// Subiquity's, ubiquity's and cloud-init's words that name answers, or begin without a question.
const INSTALLS: [&str; 5] =
    ["autoinstall", "subiquity.autoinstallpath", "ds", "cloud-config-url", "automatic-ubiquity"];
const FALLBACK: &str = "LACP fallback on the switch: one port then works alone";
/// A flavour with Calamares, or a desktop of before 23.04.
const TAKES_NONE: &str = "the installer on this medium takes no answers from the network";

/// Sourced by the initrd's init before anything else (initramfs-tools(7), `conf/conf.d`): a script that the
/// list ORDER does not name would not be run.
const HOOK: &str = "# Has casper run our script, once the live system is mounted.\n\
    echo '/scripts/casper-bottom/90isowright \"$@\"' >>/scripts/casper-bottom/ORDER\n";

/// Run by casper with the live system on /root.
const SEED: &str = "#!/bin/sh\n\
    # Hands the answers to cloud-init on the live system.\n\
    seed=/root/var/lib/cloud/seed/nocloud\n\
    mkdir -p \"$seed\"\n\
    cp /isowright/user-data /isowright/meta-data /isowright/vendor-data \"$seed\"\n\
    chmod 0600 \"$seed\"/*\n";

/// Which installer the medium has, as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    /// Subiquity on every console.
    Server,
    /// Subiquity behind a graphical front.
    Desktop,
    /// Ubiquity, Calamares.
    Other,
}

fn installer(facts: &Facts) -> Installer {
    let layer = |p: &TreePath| {
        let path = p.to_string().to_ascii_lowercase();
        path.starts_with("casper/") && path.contains("installer") && path.ends_with(".squashfs")
    };
    if facts.paths.iter().any(layer) {
        Installer::Server
    } else if facts.has("casper/install-sources.yaml") {
        Installer::Desktop
    } else {
        Installer::Other
    }
}

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
    let installer = installer(facts);
    if facts.from_network() && too_old(facts) {
        return Err(Error::unsupported("casper fetches its medium over HTTP from Ubuntu 19.10 on")
            .hint("the server medium with the Debian installer (ubuntu-18.04-server) can be netbooted"));
    }
    super::take_out(facts, |key| INSTALLS.contains(&key), draft);
    if facts.from_network() {
        fetch(facts, network, draft);
    } else {
        // A script in the initrd up to 20.04 (its release notes name the word), then a service.
        for word in ["fsck.mode=skip", "systemd.mask=casper-md5check.service"] {
            draft.drop_media_check(Sums::Listed, ArgOp::Set(word.into()));
        }
    }
    console::say(console, Target::BehindDashes, draft);
    if network.bond.as_ref().is_some_and(Bond::wants_kernel_names) {
        let why = "the profile names its ports eth0, eth1";
        draft.arg(ArgOp::AppendForTarget("net.ifnames=0".into()), why);
    }
    match installer {
        Installer::Server | Installer::Desktop => answers(facts, profile, draft)?,
        Installer::Other => {
            if let Some(h) = &install.hostname {
                draft.arg(ArgOp::Set(format!("hostname={h}")), "host name of the live system");
            }
            let why = "there is nothing for it, and it would look for it on the network";
            draft.arg(ArgOp::Set("cloud-init=disabled".into()), why);
            super::cannot_install(*unattended, install, &["hostname"], TAKES_NONE, facts, draft);
        }
    }
    if installer != Installer::Server && !(installer == Installer::Desktop && *unattended) {
        draft.warn("The installer of this medium draws on a screen: on a serial console there is only a login.");
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, installer, profile, draft);
    Ok(())
}

/// `url=` came with casper 1.422.
fn too_old(facts: &Facts) -> bool {
    let year_month = facts.version.as_deref().and_then(|v| {
        let mut parts = v.split('.').map(|p| p.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    });
    year_month.is_some_and(|v| v < (19, 10))
}

/// How the live system gets there.
fn fetch(facts: &Facts, network: &Network, draft: &mut Draft) {
    draft.hosted = Hosted::medium();
    for word in ["iso-scan/filename", "live-media", "toram", "netboot", "nfsroot", "iso-url"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a medium that is not there");
    }
    draft.arg(
        ArgOp::Set(format!("url={BASE}{MEDIUM}")),
        "casper fetches the whole medium into memory; the name must end in .iso",
    );
    draft.arg(
        ArgOp::Set("cloud-config-url=/dev/null".into()),
        "else cloud-init takes url= for its own and fetches the medium a second time",
    );
    draft.arg(
        ArgOp::Set("rootfstype=ramfs".into()),
        "else the kernel lets the medium have no more than half of the memory",
    );
    draft.arg(ArgOp::Remove("root".into()), "the live system is the root");
    let ip = ip_word(network, draft);
    draft.arg(ArgOp::Set(ip), "network for url=");
    if let (Some(Port::Mac(mac)), Address::Static { .. }) = (first_port(network), &network.address)
    {
        let bootif = format!("BOOTIF=01-{}", mac.to_string().replace(':', "-"));
        draft.arg(ArgOp::Set(bootif), "the port that gets the address");
    }
    super::wants_plain_http(facts, "casper's wget has no TLS before 20.10", draft);
    if let Some(b) = &network.bond {
        draft.warn(format!(
            "Until the installer builds {} the medium comes over one port: casper knows no bonding, and its \
             initrd has no driver for it. Set {FALLBACK}.",
            b.name
        ));
    }
    if network.address == Address::Dhcp {
        draft.note(
            "casper and the installer each ask for a lease: where only iPXE gets one, fix the address \
             (network.address).",
        );
    }
}

fn first_port(network: &Network) -> Option<&Port> {
    network.bond.as_ref()?.ports.first()
}

/// As initramfs-tools hands it to ipconfig: address, server, gateway, mask, host name, device, protocol,
/// name servers (klibc's README.ipconfig). IPv4 only.
fn ip_word(network: &Network, draft: &mut Draft) -> String {
    let Address::Static { address, gateway, dns } = &network.address else {
        return "ip=dhcp".into();
    };
    if address.addr.is_ipv6() {
        let why = "casper takes no fixed IPv6 address: it asks for a lease, only the installed system has it";
        draft.cannot("network.address", why);
        return "ip=dhcp".into();
    }
    let device = match first_port(network) {
        Some(Port::Name(name)) => name.as_str(),
        _ => "",
    };
    if network.bond.is_none() {
        draft.note(
            "No port is named: where there are several, the initrd takes those that it finds.",
        );
    }
    let v4 =
        |a: &Option<IpAddr>| a.filter(IpAddr::is_ipv4).map_or_else(String::new, |g| g.to_string());
    let servers = dns.iter().filter(|d| d.is_ipv4()).take(2);
    let servers: String = servers.map(|d| format!(":{d}")).collect();
    let (mask, gateway) = (address.netmask(), v4(gateway));
    format!("ip={}::{gateway}:{mask}::{device}:none{servers}", address.addr)
}

fn answers(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { unattended, install, .. } = profile;
    let ways = [
        (Delivery::Medium, "cloud-init reads it there, and neither initrd nor network is needed"),
        (Delivery::Url, "cloud-init's own way, and it can be changed without a new initrd"),
        (Delivery::Initrd, "it can't be missing, and needs no second lease"),
    ];
    let way = draft.deliver(facts, &ways)?;
    let (user_data, reason) = match &facts.own_answers {
        Some((name, bytes)) => {
            super::own_file(facts, name, profile, &["console"], draft);
            draft.disks = Disks::AsOwn { file: name.clone() };
            (bytes.clone(), format!("your own {name}"))
        }
        None => {
            (autoinstall(facts, profile, draft)?.into_bytes(), "answers, from the profile".into())
        }
    };
    let seed = [
        ("user-data", user_data, reason.as_str()),
        ("meta-data", META_DATA.into(), "cloud-init takes no user-data without it"),
        ("vendor-data", Vec::new(), "cloud-init asks for it"),
    ];
    match way {
        Delivery::Medium => on_medium(seed, draft)?,
        Delivery::Url => by_url(facts, seed, draft)?,
        _ => by_initrd(seed, draft)?,
    }
    if *unattended {
        let why = "subiquity then installs without asking whether to go on";
        draft.arg(ArgOp::Set("autoinstall".into()), why);
        if facts.own_answers.is_none() {
            draft.wipe(install.disk.words());
        }
    } else if facts.own_answers.is_some() {
        draft.note(
            "Unless it names screens to show (interactive-sections), the installer asks once whether to go on.",
        );
    } else {
        draft.note(
            "The installer shows every screen, the profile's answers in it; disks, host name and a first user \
             are asked for.",
        );
    }
    Ok(())
}

/// casper mounts the medium as /cdrom; every cloud-init takes a folder by `ds=nocloud`.
fn on_medium(seed: [(&str, Vec<u8>, &str); 3], draft: &mut Draft) -> Result<()> {
    for (name, bytes, reason) in seed {
        draft.place(Delivery::Medium, file(&format!("nocloud/{name}"), bytes, 0o600, reason)?)?;
    }
    let word = format!("ds=nocloud;s=/cdrom/{FOLDER}/nocloud/");
    draft.arg(ArgOp::Set(word), "the answers lie on the medium; the last slash must be there");
    Ok(())
}

fn by_url(facts: &Facts, seed: [(&str, Vec<u8>, &str); 3], draft: &mut Draft) -> Result<()> {
    for (name, bytes, reason) in seed {
        draft.beside.push(file(&format!("answers/{name}"), bytes, 0o600, reason)?);
    }
    // cloud-init 24.1 warns of the old name; before, only that one took an http URL.
    let source = if year(facts) < 24 { "nocloud-net" } else { "nocloud" };
    let word = format!("ds={source};s={BASE}answers/");
    draft.arg(ArgOp::Set(word), "the answers lie beside boot.ipxe; the last slash must be there");
    Ok(())
}

fn by_initrd(seed: [(&str, Vec<u8>, &str); 3], draft: &mut Draft) -> Result<()> {
    for (name, bytes, reason) in seed {
        draft.in_initrd.push(file(&format!("isowright/{name}"), bytes, 0o600, reason)?);
    }
    let script = "hands the answers over, for the initrd is gone when they are read";
    draft.in_initrd.push(file("scripts/casper-bottom/90isowright", SEED.into(), 0o755, script)?);
    let hook = "has casper run the script";
    draft.in_initrd.push(file("conf/conf.d/isowright", HOOK.into(), 0o644, hook)?);
    draft.arg(ArgOp::Set("ds=nocloud".into()), "cloud-init reads what the initrd hands over");
    draft.note(
        "The way through the initrd is written from the sources of casper and initramfs-tools, and was not \
         booted here.",
    );
    Ok(())
}

fn file(path: &str, bytes: Vec<u8>, mode: u32, reason: &str) -> Result<Made> {
    let path = TreePath::new(path)?;
    Ok(Made { path, body: Body::Bytes(bytes), mode, reason: reason.to_owned() })
}

/// Year of the release; the newest that is known where the medium says none.
fn year(facts: &Facts) -> u32 {
    facts.major().unwrap_or(24)
}

fn autoinstall(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<String> {
    let Profile { console, unattended, network, install, .. } = profile;
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
    let root = super::root(root_password_hash.as_deref(), *unattended, ssh_keys, facts, draft);
    let root = match root {
        RootPassword::Hash(h) if year(facts) < 24 && !old_cloud_init_knows(&h) => {
            let why = "this release knows hashes that begin with $1$, $2a$, $2y$, $5$ or $6$";
            draft.cannot("install.root_password_hash", why);
            RootPassword::Locked
        }
        other => other,
    };
    let layout = keyboard.split('-').next().unwrap_or(keyboard);
    if layout != keyboard {
        draft.note(format!("Of the keymap {keyboard} the layout {layout} is taken."));
    }
    if *unattended {
        draft.note("No user is made but root.");
        super::mirror_unproven(disk, "subiquity's and curtin's", "", draft);
    }
    Autoinstall {
        unattended: *unattended,
        release: year(facts),
        locale,
        layout,
        timezone,
        network,
        hostname: hostname.as_deref(),
        root,
        ssh_keys,
        packages,
        mirror: mirror.as_deref(),
        disk,
        grub: grub_defaults(console),
        done: facts.done.as_deref(),
    }
    .user_data()
}

/// Others it would take for a plain password (cc_set_passwords, before its typed list).
fn old_cloud_init_knows(hash: &str) -> bool {
    ["$1$", "$2a$", "$2y$", "$5$", "$6$"].iter().any(|kind| hash.starts_with(kind))
}

fn cover(facts: &Facts, installer: Installer, profile: &Profile, draft: &mut Draft) {
    let (consoles, network) = (&profile.console[..], &profile.network);
    let own = facts.own_answers.is_some();
    let cannot =
        |why: &str, instead: &str| Cover::Impossible { why: why.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    let none = installer == Installer::Other;
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let here = match installer {
            Installer::Server => set("subiquity comes up on the last console= too".into()),
            _ => cannot("the installer draws on a screen", "a login on the last console="),
        };
        draft.cover(Layer::Installer, Aspect::Console, here);
        let grub = match grub_defaults(consoles) {
            _ if none => cannot(TAKES_NONE, BY_HAND),
            _ if own => cannot(OWN, "GRUB_TERMINAL in its late-commands"),
            Some(g) => set(format!("GRUB_TERMINAL=\"{}\" in late-commands", g.terminal)),
            None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        };
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
        let system = match installer {
            _ if none => cannot("not every installer copies what is behind ---", BY_HAND),
            // Subiquity does, whoever wrote the answers.
            _ => set(format!("{} behind ---", console::words(consoles))),
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
    let while_installing = match installer {
        _ if !facts.from_network() && none => cannot(TAKES_NONE, FALLBACK),
        _ if !facts.from_network() && own => cannot(OWN, "network: bonds: in it"),
        _ if !facts.from_network() => {
            set(format!("{} is up when subiquity installs; before, no network is needed", b.name))
        }
        _ if none || own => cannot("casper fetches the medium over one port", FALLBACK),
        _ => cannot(
            &format!(
                "casper fetches the medium over one port; {} is up when subiquity installs",
                b.name
            ),
            FALLBACK,
        ),
    };
    draft.cover(Layer::Installer, Aspect::Bond, while_installing);
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = match installer {
        _ if none => cannot(TAKES_NONE, BY_HAND),
        _ if own => cannot(OWN, "network: bonds: in it"),
        _ => set(format!("{} in netplan, by autoinstall's network", b.name)),
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
