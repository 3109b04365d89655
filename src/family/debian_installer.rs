//! The Debian installer: Debian, Devuan. Netboot kernel and initrd are not on the media: the recipe
//! asks for them.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, FOLDER, Facts, Layer, Made, Route,
};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::answers::grub_defaults;
use crate::format::kickstart::RootPassword;
use crate::format::preseed::{Mirror, Preseed, STARTUP, STARTUP_PATH, bond_script};
use crate::model::cmdline::Cmdline;
use crate::model::console::Console;
use crate::model::network::Network;
use crate::model::profile::{Delivery, Install, Profile};

/// In a recipe's line: the URL of the hosted tree.
const REPO: &str = "{repo}";
const OWN: &str = "your own preseed.cfg is used as it is";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile {
        console,
        text: _,
        unattended,
        extra_args,
        network,
        install: _,
        answers: _,
        initrd: _,
    } = profile;
    let Network { bond, address: _ } = network;

    let why = match facts.route {
        Route::Network => "it names answers on a disc that is not there",
        Route::Medium => "it names the vendor's answers, and ours take their place",
    };
    for word in ["file", "preseed/file"] {
        draft.arg(ArgOp::Remove(word.into()), why);
    }
    super::take_out(facts, |key| installs(key, &facts.entry), draft);
    console::say(console, Target::BehindDashes, draft);
    if console.len() > 1 {
        draft.note("With a preseed file the installer shows itself on the last console only.");
    }
    if bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        draft.arg(
            ArgOp::AppendForTarget("net.ifnames=0".into()),
            "the profile names its ports eth0, eth1",
        );
    }
    if *unattended {
        draft.arg(ArgOp::Set("priority=critical".into()), "only what can't be answered is asked");
    }
    made(
        draft,
        STARTUP_PATH,
        STARTUP.into(),
        0o644,
        "keeps the installer from taking the lease's boot.ipxe for its preseed file",
    )?;
    if let Some(b) = bond.as_ref().filter(|_| bonds(facts)) {
        let reason = "builds the bond, for which the installer has no question";
        made(draft, "isowright/bond.sh", bond_script(b)?, 0o755, reason)?;
    }
    match &facts.own_answers {
        Some((name, bytes)) => {
            let network = match delivery(facts, draft)? {
                Delivery::Url => {
                    Some(HEAD.to_owned() + &network_only(facts, profile).network_text()?)
                }
                _ => None,
            };
            deliver(network.as_deref(), bytes.clone(), &format!("your own {name}"), draft)?;
            // The installer copies what stands behind ---.
            super::own_file(facts, name, profile, &["console"], draft);
            draft.disks = Disks::AsOwn { file: name.clone() };
            if let Some(b) = bond.as_ref().filter(|_| network.is_none() && bonds(facts)) {
                draft.note(format!(
                    "For the bond it may say: d-i preseed/early_command string sh /isowright/bond.sh, \
                     and d-i netcfg/choose_interface select {}.",
                    b.name
                ));
            }
        }
        None => answers_of_ours(facts, profile, draft)?,
    }
    if draft.hosted.is_nothing() && facts.from_network() {
        draft.note("Packages come from the mirror: nothing of the medium is hosted.");
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// Whether the installer itself can have the bond: the initrd of a disc loads network drivers, the bonding
/// driver among them, from the disc's packages (nic-modules-*-di), after early_command. That of network
/// boot has them.
fn bonds(facts: &Facts) -> bool {
    facts.from_network()
}

/// Whether a word of the medium's own entry hides questions, fetches answers or says how disks are
/// partitioned: any question may stand on the command line, also behind its owner and a colon
/// (preseed's env2debconf). `priority=low` and `medium` only ask more.
fn installs(key: &str, entry: &Cmdline) -> bool {
    let question = key.rsplit(':').next().unwrap_or(key);
    let asks_more = || matches!(entry.get(key), Some("low" | "medium"));
    match question {
        "url" | "auto" | "classes" | "preseed-md5" => true,
        "priority" | "debconf/priority" => !asks_more(),
        _ => ["partman", "preseed/", "auto-install/", "mdadm/"]
            .iter()
            .any(|p| question.starts_with(p)),
    }
}

fn made(draft: &mut Draft, path: &str, text: String, mode: u32, reason: &str) -> Result<()> {
    draft.in_initrd.push(Made::text(TreePath::new(path)?, text, mode, reason));
    Ok(())
}

/// How the answers get there. By URL they are read only once the network is up: what brings it up, and
/// the questions before it, stay in the initrd.
fn delivery(facts: &Facts, draft: &mut Draft) -> Result<Delivery> {
    let ways = [
        (Delivery::Initrd, "it is read before the network is up, and can't be missing"),
        (
            Delivery::Url,
            "it can be changed without a new initrd; what the network needs stays there",
        ),
        (Delivery::Medium, "it is read once the medium is found"),
    ];
    // What the network needs is each host's own, and so in an initrd of its own: so may the rest be.
    let ways = match facts.delivery {
        None if facts.many_hosts => &ways[..1],
        _ => &ways[..],
    };
    draft.deliver(facts, ways)
}

const HEAD: &str = "# preseed.cfg, made by isowright.\n\
                    # https://www.debian.org/releases/stable/amd64/apb describes the questions.\n";

/// Puts the answers where they are delivered: one file in the initrd, or there what `network` says and
/// `rest` beside the tree.
fn deliver(network: Option<&str>, rest: Vec<u8>, reason: &str, draft: &mut Draft) -> Result<()> {
    let network = network.map(str::as_bytes).unwrap_or_default();
    let file = |path: &str, bytes: Vec<u8>, reason: &str| -> Result<Made> {
        let path = TreePath::new(path)?;
        Ok(Made { path, body: Body::Bytes(bytes), mode: 0o600, reason: reason.to_owned() })
    };
    match draft.delivery.as_ref().map(|d| d.way) {
        None | Some(Delivery::Initrd | Delivery::Cmdline) => {
            draft.in_initrd.push(file("preseed.cfg", [network, &rest].concat(), reason)?);
            return Ok(());
        }
        Some(Delivery::Medium) => {
            let word = format!("preseed/file=/cdrom/{FOLDER}/preseed.cfg");
            draft.arg(ArgOp::Set(word), "the answers lie on the medium");
            draft.arg(ArgOp::Set("auto=true".into()), "no question comes before they are read");
            let all = [network, &rest].concat();
            return draft.place(Delivery::Medium, file("preseed.cfg", all, reason)?);
        }
        Some(Delivery::Url) => {}
    }
    if !network.is_empty() {
        let reason = "what must be known before the network is up";
        draft.in_initrd.push(file("preseed.cfg", network.to_vec(), reason)?);
    }
    draft.beside.push(file("answers/preseed.cfg", rest, reason)?);
    let arg = format!("url={BASE}answers/preseed.cfg");
    draft.arg(ArgOp::Set(arg), "the answers lie beside boot.ipxe");
    Ok(())
}

/// For the operator's own answers by URL: the network that they come over.
fn network_only<'a>(facts: &'a Facts, profile: &'a Profile) -> Preseed<'a> {
    let Profile { console: _, unattended, network, install, .. } = profile;
    Preseed {
        unattended: *unattended,
        locale: &install.locale,
        keyboard: &install.keyboard,
        timezone: &install.timezone,
        network,
        hostname: install.hostname.as_deref(),
        default_hostname: facts.default_hostname.as_deref(),
        mirror: None,
        suite: None,
        root: RootPassword::Ask,
        ssh_keys: &[],
        packages: Vec::new(),
        disk: &install.disk,
        grub: None,
        login: None,
        more: &facts.preseed,
        netplan: facts.netplan,
        bonded: bonds(facts),
        done: None,
    }
}

fn answers_of_ours(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
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
    let way = delivery(facts, draft)?;
    let root = super::root(root_password_hash.as_deref(), *unattended, ssh_keys, facts, draft);
    let mut wanted = vec!["openssh-server".to_owned()];
    if network.bond.is_some() && !facts.netplan {
        wanted.push("ifenslave".to_owned());
    }
    wanted.extend(packages.iter().cloned());
    let mirror = packages_from(facts, mirror.as_deref(), &wanted, draft)?;
    let mut more = more_lines(facts, mirror.as_ref());
    if !facts.from_network() && mirror.is_none() {
        more.push("d-i apt-setup/use_mirror boolean false".into());
    }
    let preseed = Preseed {
        unattended: *unattended,
        locale,
        keyboard,
        timezone,
        network,
        hostname: hostname.as_deref(),
        default_hostname: facts.default_hostname.as_deref(),
        mirror,
        suite: facts.codename.as_deref().filter(|c| c.bytes().all(|b| b.is_ascii_alphanumeric())),
        root,
        ssh_keys,
        packages: wanted,
        disk,
        grub: grub_defaults(console),
        login: profile.serial(),
        more: &more,
        netplan: facts.netplan,
        bonded: bonds(facts),
        done: facts.done.as_deref(),
    };
    if *unattended {
        super::mirror_unproven(disk, "partman's", "", draft);
    }
    let (network, rest) = (preseed.network_text()?, preseed.rest_text()?);
    let (network, rest) = match way {
        Delivery::Url => (HEAD.to_owned() + &network, HEAD.to_owned() + &rest),
        _ => (HEAD.to_owned() + &network, format!("\n{rest}")),
    };
    let reason = "answers, from the profile";
    deliver(Some(&network), rest.into_bytes(), reason, draft)?;
    if let Some(script) = preseed.disk_script()? {
        made(draft, "isowright/disk.sh", script, 0o755, "chooses the disk")?;
        draft.wipe(disk.words());
    }
    let reason = "console, bond and keys of the installed system";
    made(draft, "isowright/late.sh", preseed.late_script()?, 0o755, reason)
}

/// The recipe's further lines, those about the hosted tree only where packages come from it.
fn more_lines(facts: &Facts, mirror: Option<&Mirror>) -> Vec<String> {
    let hosted = mirror.is_some_and(|m| m.unsigned);
    let repo = facts.base_url.as_deref().filter(|_| hosted).map(|base| format!("{base}repo/"));
    let line = |l: &String| match &repo {
        Some(url) => Some(l.replace(REPO, url)),
        None => (!l.contains(REPO)).then(|| l.clone()),
    };
    facts.preseed.iter().filter_map(line).collect()
}

/// The mirror of the profile; else the hosted tree, where it has the installer's own packages and
/// its URL is known; else the recipe's; else the installer's own.
fn packages_from(
    facts: &Facts,
    wished: Option<&str>,
    wanted: &[String],
    draft: &mut Draft,
) -> Result<Option<Mirror>> {
    if let Some(url) = wished {
        return Mirror::from_url(url, false)
            .map(Some)
            .ok_or_else(|| Error::usage(format!("mirror \"{url}\" is no http(s) URL")));
    }
    if !facts.from_network() && wanted.iter().all(|name| on_medium(facts, name)) {
        draft.note("All packages come from the medium; the installed system gets no mirror.");
        return Ok(None);
    }
    let in_tree = facts.codename.as_ref().is_some_and(|c| {
        let folder = format!("dists/{c}/main/debian-installer/");
        facts.paths.iter().any(|p| p.as_bytes().starts_with(folder.as_bytes()))
    });
    if let Some(base) = facts.base_url.as_deref().filter(|_| in_tree && facts.from_network())
        && let Some(m) = Mirror::from_url(&format!("{base}repo"), true)
    {
        draft.hosted = facts.hosted.clone();
        draft.warn(
            "Packages come from the hosted tree, whose index is not signed: keep it on a network that \
             you trust.",
        );
        return Ok(Some(m));
    }
    if in_tree && facts.from_network() {
        draft.note("The medium can be its own mirror: fix the tree's URL (--base-url) for that.");
    }
    let vendors = facts.mirror.as_deref().and_then(|url| Mirror::from_url(url, false));
    match &vendors {
        Some(m) => draft.note(format!(
            "Packages come from {}: the machine must reach it, or set install.mirror.",
            m.host
        )),
        None => draft.warn(
            "Neither the profile nor the recipe names a mirror: the installer takes its own, or asks.",
        ),
    }
    Ok(vendors)
}

/// Whether the medium's pool has a package.
fn on_medium(facts: &Facts, package: &str) -> bool {
    let file = format!("{package}_");
    let deb = |p: &TreePath| p.name().starts_with(file.as_bytes()) && p.name().ends_with(b".deb");
    facts.paths.iter().any(deb)
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| Cover::Set { how };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the installer follows the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, set(how));
        let grub = match grub_defaults(consoles) {
            _ if own => theirs("GRUB_TERMINAL in its late_command"),
            Some(g) => set(format!("GRUB_TERMINAL=\"{}\" in late_command", g.terminal)),
            None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        };
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
        // The installer copies it, whoever wrote the answers.
        let how = format!("{} behind ---", console::words(consoles));
        draft.cover(Layer::InstalledSystem, Aspect::Console, set(how));
    }
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    let place = if facts.netplan { "/etc/netplan" } else { "/etc/network/interfaces" };
    let (installer, system) = if own {
        (
            theirs("sh /isowright/bond.sh in its early_command"),
            theirs(&format!("{place} in its late_command")),
        )
    } else {
        (
            set(format!("isowright/bond.sh builds {} in early_command", b.name)),
            set(format!("{} in {place}, by late_command", b.name)),
        )
    };
    let installer = if bonds(facts) { installer } else { no_bond_from_disc() };
    draft.cover(Layer::Installer, Aspect::Bond, installer);
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}

fn no_bond_from_disc() -> Cover {
    Cover::Impossible {
        why: "a disc's initrd gets its network drivers, and the bonding driver, only from the disc's \
              packages: too late for a bond"
            .into(),
        instead: super::live::FALLBACK.into(),
    }
}
