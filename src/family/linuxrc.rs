//! SUSE up to 15 and Tumbleweed: linuxrc in the initrd brings up the network and fetches the
//! installation system, YaST in it installs as AutoYaST's profile says.
//!
//! linuxrc's words: github.com/openSUSE/linuxrc, `file.c`; letters' case, `-`, `_` and `.` in them
//! don't matter. What is long or has spaces goes into a file in the initrd and not into a kernel
//! argument: linuxrc reads no more than 1023 bytes of those, and a quoted word would have to outlive
//! iPXE, GRUB and the kernel.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, Facts, Hosted, Layer, Made, Sums,
};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::answers::grub_defaults;
use crate::format::autoyast::{Autoyast, MAX_PORTS, MODULES, Module};
use crate::format::linuxrc;
use crate::model::console::Console;
use crate::model::network::{Bond, Network};
use crate::model::profile::{Delivery, Install, Profile};

const OWN: &str = "your own autoinst.xml is used as it is";
/// Words that name answers, or a file that could say any other word.
const INSTALLS: [&str; 4] = ["autoyast", "autoyast2", "autoupgrade", "info"];
const UNPROVEN: &str = "(from linuxrc's source; not booted here)";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, text, unattended, extra_args, network, install, answers: _, initrd: _ } =
        profile;
    let Network { bond, address: _ } = network;

    super::take_out(facts, |key| INSTALLS.contains(&&*plain(key)), draft);
    if facts.from_network() {
        source(facts, install, draft);
        draft.arg(ArgOp::Remove("showopts".into()), "it is for a menu that is not there");
    } else {
        from_medium(facts, install, draft);
    }
    console::say(console, Target::Answers, draft);
    if *text {
        draft.arg(ArgOp::Set("textmode=1".into()), "YaST without graphics works on a serial line");
    }
    let why = "neither waits for the internet nor changes what was tried out";
    draft.arg(ArgOp::Set("self_update=0".into()), why);
    installer_network(network, draft)?;
    if let Some(b) = bond {
        heed_limits(b, draft);
    }
    answer_file(facts, profile, draft)?;
    if facts.own_answers.is_none() {
        if *unattended {
            draft.wipe(install.disk.words());
            let lacks = "It has no swap, and under UEFI only its first disk starts: copy that disk's boot \
                         partition to the other's.";
            super::mirror_unproven(&install.disk, "AutoYaST's", lacks, draft);
        } else {
            draft.note(
                "YaST shows what it would do to which disk, and waits to be told: \
                 <confirm> is true in the profile.",
            );
        }
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// linuxrc finds the disc or stick that it was started from by itself.
fn from_medium(facts: &Facts, install: &Install, draft: &mut Draft) {
    draft.drop_media_check(Sums::Tagged, ArgOp::Remove("mediacheck".into()));
    match &install.mirror {
        Some(m) => mirror(facts, m, draft),
        None if !has_system(facts) => draft.warn(NOTHING),
        None if !has_packages(facts) => draft.warn(NO_PACKAGES),
        None => {}
    }
}

/// Whether the installation system is there: `boot/ARCH/root`.
fn has_system(facts: &Facts) -> bool {
    facts.paths.iter().any(|p| {
        let mut parts = p.parts();
        parts.next().is_some_and(|f| f.eq_ignore_ascii_case(b"boot"))
            && parts.nth(1).is_some_and(|f| f.eq_ignore_ascii_case(b"root"))
    })
}

const NOTHING: &str = "This medium carries neither installation system nor packages, and the profile names no \
     install.mirror: the initrd takes the vendor's own mirror, over the internet.";

const NO_PACKAGES: &str = "This medium carries no packages: they come by registration, which is yours to say (regurl=, or \
     suse_register in an AutoYaST file of your own).";

/// The profile's mirror, in place of any that the medium's own entry names.
fn mirror(facts: &Facts, url: &str, draft: &mut Draft) {
    super::take_out(facts, |key| plain(key) == "install", draft);
    let slash = if url.ends_with('/') { "" } else { "/" };
    let why = "installation system and packages come from the profile's mirror";
    draft.arg(ArgOp::Set(format!("install={url}{slash}")), why);
    draft.warn(
        "The mirror must be of the very build that kernel and initrd are of: linuxrc refuses another's \
         installation system (its digests are in the initrd).",
    );
}

/// As linuxrc compares words.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !"-_.".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
}

/// Where the installation system and the packages come from over the network.
fn source(facts: &Facts, install: &Install, draft: &mut Draft) {
    draft.arg(ArgOp::Remove("instsys".into()), "it lies in the install source");
    match &install.mirror {
        Some(m) => {
            draft.hosted = Hosted::default();
            mirror(facts, m, draft);
        }
        None if has_system(facts) => {
            draft.hosted = facts.hosted.clone();
            super::take_out(facts, |key| plain(key) == "install", draft);
            draft.arg(
                ArgOp::Set(format!("install={BASE}repo/")),
                "installation system and packages come from the hosted tree",
            );
            draft.note(
                "linuxrc checks what it fetches against the vendor's digests: a tree that was changed \
                 needs insecure=1 in extra_args.",
            );
            if !has_packages(facts) {
                draft.warn(NO_PACKAGES);
            }
        }
        None => {
            draft.hosted = Hosted::default();
            draft.warn(NOTHING);
        }
    }
}

fn has_packages(facts: &Facts) -> bool {
    facts.has("repodata/repomd.xml") || MODULES.iter().any(|m| module_is_there(facts, m))
}

fn module_is_there(facts: &Facts, module: &Module) -> bool {
    facts.has(&format!("{}/repodata/repomd.xml", module.folder))
}

fn installer_network(network: &Network, draft: &mut Draft) -> Result<()> {
    for word in ["netsetup", "netdevice", "hostip", "ifcfg"] {
        draft.arg(ArgOp::Remove(word.into()), "the profile's network takes its place");
    }
    match linuxrc::config(network) {
        Some(text) => {
            let reason = "the installer's network";
            let path = TreePath::new(linuxrc::CONFIG_PATH)?;
            draft.in_initrd.push(Made::text(path, text, 0o644, reason));
        }
        None => draft.arg(ArgOp::Set("netsetup=dhcp".into()), "network for the install source"),
    }
    let Some(b) = &network.bond else { return Ok(()) };
    if b.wants_kernel_names() {
        for word in ["net.ifnames=0", "biosdevname=0"] {
            draft.arg(ArgOp::Set(word.into()), "the profile names its ports eth0, eth1");
        }
    }
    if let Some(rules) = linuxrc::udev_rules(b) {
        let path = TreePath::new(linuxrc::RULES_PATH)?;
        let reason = "names the ports that are given by address";
        draft.in_initrd.push(Made::text(path, rules, 0o644, reason));
    }
    Ok(())
}

/// What linuxrc and AutoYaST can't be told of a bond.
fn heed_limits(b: &Bond, draft: &mut Draft) {
    if !linuxrc::is_device_name(&b.name) {
        let why = format!("linuxrc takes \"{}\" for a pattern; letters and digits only", b.name);
        draft.cannot("network.bond.name", why);
    }
    if b.ports.len() > MAX_PORTS {
        draft.cannot("network.bond.ports", format!("AutoYaST knows {MAX_PORTS} at most"));
    }
}

fn answer_file(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let ways = [
        (Delivery::Initrd, "it can't be missing, and needs no URL"),
        (Delivery::Url, "it can be changed without a new initrd"),
    ];
    let way = draft.deliver(facts, &ways)?;
    let (text, reason) = match &facts.own_answers {
        Some((name, bytes)) => {
            super::own_file(facts, name, profile, &["install.mirror"], draft);
            draft.disks = Disks::AsOwn { file: name.clone() };
            (bytes.clone(), format!("your own {name}"))
        }
        None => {
            (autoyast(facts, profile, draft)?.into_bytes(), "answers, from the profile".to_owned())
        }
    };
    if way == Delivery::Url {
        let arg = format!("autoyast={BASE}answers/autoinst.xml");
        draft.arg(ArgOp::Set(arg), "the answers lie beside boot.ipxe");
    } else {
        let arg = "autoyast=file:///autoinst.xml".to_owned();
        draft.arg(ArgOp::Set(arg), "the answers lie in the initrd");
    }
    let path = TreePath::new("autoinst.xml")?;
    draft.place(way, Made { path, body: Body::Bytes(text), mode: 0o600, reason })
}

fn autoyast(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<String> {
    let Profile { console, unattended, network, install, .. } = profile;
    let Install {
        hostname,
        root_password_hash,
        ssh_keys,
        timezone,
        locale,
        keyboard,
        packages,
        mirror: _,
        disk,
    } = install;
    let root = super::root(root_password_hash.as_deref(), *unattended, ssh_keys, facts, draft);
    let mut append: Vec<String> = console.iter().map(|c| format!("console={c}")).collect();
    if network.bond.as_ref().is_some_and(Bond::wants_kernel_names) {
        append.extend(["net.ifnames=0".into(), "biosdevname=0".into()]);
    }
    // wicked builds the bond; Tumbleweed has another by default.
    let mut wanted = vec!["openssh".to_owned(), "wicked".to_owned()];
    wanted.extend(packages.iter().filter(|p| !wanted.contains(p)).cloned().collect::<Vec<_>>());
    Autoyast {
        unattended: *unattended,
        locale,
        keyboard,
        timezone,
        network,
        hostname: hostname.as_deref(),
        root,
        ssh_keys,
        packages: wanted,
        product: facts.product.as_deref(),
        modules: MODULES.iter().filter(|m| module_is_there(facts, m)).cloned().collect(),
        disk,
        append,
        grub: grub_defaults(console),
    }
    .to_text()
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "linuxrc and YaST follow the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        let grub = match grub_defaults(consoles) {
            _ if own => theirs("bootloader/global/terminal and serial in it"),
            // Of several terminals older versions understand none.
            Some(g) => set(format!("<terminal>serial</terminal>, {}", g.command)),
            None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        };
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
        let system = if own {
            theirs("bootloader/global/append in it")
        } else {
            set(format!("<append>{}</append>", console::words(consoles)))
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
    let line = linuxrc::ifcfg(network).unwrap_or_default();
    draft.cover(Layer::Installer, Aspect::Bond, set(format!("ifcfg: {line} {UNPROVEN}")));
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = if own {
        theirs("networking/interfaces in it")
    } else {
        set(format!("interface {} with bonding_slave0… in autoinst.xml", b.name))
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
