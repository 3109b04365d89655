//! SUSE from 16 on: a live system by KIWI that dracut fetches, with the installer Agama in it.
//!
//! <https://agama-project.github.io/docs/user/guides/network>: the squashfs is fetched alone, for the
//! whole medium would lie in memory beside it. Agama begins to install as soon as it has a profile
//! (`inst.auto`); `inst.install=0` holds it back, but an Agama that does not know the word would not
//! hear it, so without `unattended` no profile is named.
//!
//! Started from the medium, dracut keeps it mounted at `/run/initramfs/live` (dmsquash-live), and
//! `inst.auto` takes a `file:` URL (<https://agama-project.github.io/docs/user/reference/urls>).

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, FOLDER, Facts, Hosted, Layer, Made, Route, Sums,
};
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::format::agama::Agama;
use crate::format::answers::grub_defaults;
use crate::format::dracut;
use crate::model::network::Network;
use crate::model::profile::{Delivery, Disk, Install, Profile};

const OWN: &str = "your own profile is used as it is";
/// Packages on the media that carry them.
const REPO: &str = "install";

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

    let starts = ["inst.auto", "inst.auto_insecure", "inst.script", "inst.install", "agama.auto"];
    super::take_out(facts, |key| starts.contains(&key), draft);
    match facts.route {
        Route::Network => source(facts, install, draft)?,
        Route::Medium => from_medium(facts, install, draft),
    }
    console::say(console, Target::Answers, draft);
    installer_network(network, install.hostname.as_deref(), draft);
    answer_file(facts, profile, draft)?;
    if facts.own_answers.is_none() && *unattended {
        draft.wipe(which(&install.disk));
    }
    draft.note(
        "Agama is used from a browser, whose URL stands on the serial console, or by the command agama \
         there; live.password= in extra_args sets root's password for both.",
    );
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, profile, draft);
    Ok(())
}

/// Where the live system and the packages come from.
fn source(facts: &Facts, install: &Install, draft: &mut Draft) -> Result<()> {
    let squashfs = TreePath::new("LiveOS/squashfs.img")?;
    if !facts.has("LiveOS/squashfs.img") {
        let what = "there is no LiveOS/squashfs.img on this medium";
        return Err(Error::new(ErrorKind::NotFound, what));
    }
    for word in ["iso-scan/filename", "mediacheck", "rd.live.check", "install"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(
        ArgOp::Set(format!("root=live:{BASE}repo/{squashfs}")),
        "the installer's system comes over HTTP into memory",
    );
    let packages = on_medium(facts) && install.mirror.is_none();
    draft.hosted = match packages {
        true => Hosted::whole_tree(),
        false => Hosted::only(vec![squashfs]),
    };
    if packages {
        let word = format!("inst.install_url={BASE}repo/{REPO}/");
        draft.arg(ArgOp::Set(word), "packages come from the hosted tree");
    }
    mirror(facts, install, draft);
    Ok(())
}

/// Whether the medium itself has packages. The vendor's entry finds it.
fn on_medium(facts: &Facts) -> bool {
    facts.has(&format!("{REPO}/repodata/repomd.xml"))
}

/// The vendor's entry finds live system and packages; checks of both must not see our edits.
fn from_medium(facts: &Facts, install: &Install, draft: &mut Draft) {
    for (sums, word) in [(Sums::Tagged, "mediacheck"), (Sums::Implanted, "rd.live.check")] {
        draft.drop_media_check(sums, ArgOp::Remove(word.into()));
    }
    mirror(facts, install, draft);
}

/// The profile's mirror, and a warning where there are no packages at all.
fn mirror(facts: &Facts, install: &Install, draft: &mut Draft) {
    match &install.mirror {
        Some(m) => draft.arg(
            ArgOp::Set(format!("inst.install_url={m}")),
            "packages come from the profile's mirror",
        ),
        None if on_medium(facts) => {}
        None => draft.warn(
            "This medium carries no packages and the profile names no install.mirror: they come from the \
             vendor's own repositories, over the internet; SLES wants a registration for that.",
        ),
    }
}

const LIVE: &str = "/run/initramfs/live";

fn installer_network(network: &Network, hostname: Option<&str>, draft: &mut Draft) {
    let why = match &network.bond {
        Some(b) => format!("{} from the first packet on", b.name),
        None => "network for the installer's system".to_owned(),
    };
    for word in ["ip", "bond", "ifcfg"] {
        draft.arg(ArgOp::Remove(word.into()), "the profile's network takes its place");
    }
    for word in dracut::words(network, hostname) {
        if word.ends_with("=0") {
            draft.arg(ArgOp::Set(word), "the profile names its ports eth0, eth1");
        } else {
            draft.arg(ArgOp::Append(word), &*why);
        }
    }
}

fn answer_file(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let ways = [
        (Delivery::Medium, "the live system has the medium mounted"),
        (Delivery::Url, "Agama reads it from the live system, where the initrd is gone"),
    ];
    let way = draft.deliver(facts, &ways)?;
    let (name, text, reason) = match &facts.own_answers {
        // The name's end tells the language: .json, .jsonnet, .xml.
        Some((name, bytes)) => {
            super::own_file(facts, name, profile, &["install.mirror"], draft);
            // Without `unattended` nothing names it to Agama.
            if profile.unattended {
                draft.disks = Disks::AsOwn { file: name.clone() };
            }
            let end = name.rsplit_once('.').map_or("json", |(_, end)| end);
            (format!("agama.{end}"), bytes.clone(), format!("your own {name}"))
        }
        None => {
            let text = agama(facts, profile, draft)?;
            ("agama.json".to_owned(), text.into_bytes(), "answers, from the profile".to_owned())
        }
    };
    let path = TreePath::new(&name)?;
    draft.place(way, Made { path, body: Body::Bytes(text), mode: 0o600, reason })?;
    let (url, why, place) = match way {
        Delivery::Medium => {
            let url = format!("file://{LIVE}/{FOLDER}/{name}");
            let place = format!("{FOLDER}/{name} lies on the medium");
            (url.clone(), "the answers lie on the medium, and Agama begins at once", (place, url))
        }
        _ => {
            let why = "the answers lie beside boot.ipxe, and Agama begins at once";
            let place = format!("answers/{name} lies there");
            (format!("{BASE}answers/{name}"), why, (place, "URL".to_owned()))
        }
    };
    if profile.unattended {
        draft.arg(ArgOp::Set(format!("inst.auto={url}")), why);
    } else {
        let (lies, url) = place;
        draft.note(format!(
            "Agama has no mode that takes answers and asks: {lies} and nothing names it. Load it in the \
             installer with `agama config load {url}`; no disk is named in it."
        ));
    }
    Ok(())
}

fn agama(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<String> {
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
    if facts.product.is_none() {
        draft.warn(
            "Which product it is is not known: the profile names none, and Agama wants one where the \
             medium has several.",
        );
    }
    if *unattended {
        heed_limits(install, draft);
    }
    if let Some(hash) = root_password_hash {
        super::root(Some(hash), *unattended, ssh_keys, facts, draft);
    }
    let mut append: Vec<String> = console.iter().map(|c| format!("console={c}")).collect();
    if network.bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        append.push("net.ifnames=0".into());
    }
    let mut wanted = vec!["openssh-server".to_owned()];
    wanted.extend(packages.iter().filter(|p| !wanted.contains(p)).cloned().collect::<Vec<_>>());
    Agama {
        unattended: *unattended,
        product: facts.product.as_deref(),
        locale,
        keyboard,
        timezone,
        network,
        hostname: hostname.as_deref(),
        root_password_hash: root_password_hash.as_deref(),
        ssh_keys,
        packages: wanted,
        disk,
        append,
        grub: grub_defaults(console),
    }
    .to_text()
}

/// What an unattended installation wants and Agama can't be told.
fn heed_limits(install: &Install, draft: &mut Draft) {
    if install.disk.devices.is_empty() {
        draft.cannot(
            "install.disk",
            "Agama finds the smallest drive, but can't tell a built-in one from a stick or a board's \
             virtual media; name it in install.disk.devices",
        );
    }
    let lacks = "It has no swap, and only its first disk gets boot partitions.";
    super::mirror_unproven(&install.disk, "Agama's", lacks, draft);
    if install.root_password_hash.is_none() && install.ssh_keys.is_empty() {
        draft.cannot(
            "install.root_password_hash",
            "Agama installs no system that nobody can log in to; ssh_keys will do too",
        );
    }
}

/// Which disks are wiped.
fn which(disk: &Disk) -> String {
    let min = Disk::MIN_GIB;
    match (&disk.devices[..], disk.raid1) {
        ([], false) => format!("the smallest drive of {min} GiB or more, a stick too"),
        ([], true) => format!("the two smallest drives of {min} GiB or more, sticks too"),
        _ => disk.words(),
    }
}

fn cover(facts: &Facts, profile: &Profile, draft: &mut Draft) {
    let Profile { console: consoles, unattended, network, .. } = profile;
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    let set = |how: String| {
        if own || *unattended {
            return Cover::Set { how };
        }
        let why = "Agama has no mode that takes answers and asks".into();
        Cover::Impossible {
            why,
            instead: format!("{how}, once {}/agama.json is loaded", facts.answers()),
        }
    };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let how = "the live system's systemd starts a login on the last console=".to_owned();
        draft.cover(Layer::Installer, Aspect::Console, Cover::Set { how });
        let grub = match grub_defaults(consoles) {
            _ if own => theirs("GRUB_TERMINAL in a script in it"),
            Some(g) => set(format!("GRUB_TERMINAL=\"{}\" in scripts.post", g.terminal)),
            None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        };
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
        let system = if own {
            theirs("bootloader.extraKernelParams in it")
        } else {
            set(format!("bootloader.extraKernelParams \"{}\"", console::words(consoles)))
        };
        draft.cover(Layer::InstalledSystem, Aspect::Console, system);
    }
    cover_bond(own, network, set, draft);
}

fn cover_bond(own: bool, network: &Network, set: impl Fn(String) -> Cover, draft: &mut Draft) {
    let Some(b) = &network.bond else {
        for layer in Layer::ALL {
            draft.cover(layer, Aspect::Bond, super::no_bond());
        }
        return;
    };
    super::cover_bond_start(draft);
    draft.cover(Layer::Installer, Aspect::Bond, Cover::Set { how: dracut::bond_word(b) });
    draft.cover(Layer::InstalledBootLoader, Aspect::Bond, super::disk_boot());
    let system = if own {
        Cover::Impossible { why: OWN.into(), instead: "network.connections in it".into() }
    } else {
        set(format!("connection {} in agama.json", b.name))
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
