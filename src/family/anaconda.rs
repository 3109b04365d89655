//! Anaconda: EL7 to EL10, Fedora.
//!
//! The `inst.` words are EL7's already, so one spelling serves all. Stage 2 and packages come from
//! the hosted tree by `inst.repo`; the answers ride in the initrd, so that they can't be missing and
//! need no URL. That hides nothing: `initrd.img` is served to all who ask.
//!
//! Started from the medium, stage 2 is where the vendor's `inst.stage2=hd:LABEL=` says, packages are
//! found on any device with an ISO 9660 file system (pyanaconda, `find_optical_media`), and `inst.ks=hd:`
//! names a file on the medium, as mkksiso does it.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, FOLDER, Facts, KickstartLine, Layer, Made,
    Route, Sums,
};
use crate::content::path::TreePath;
use crate::error::Result;
use crate::format::answers::grub_defaults;
use crate::format::dracut;
use crate::format::kickstart::{Dialect, Kickstart};
use crate::model::console::Console;
use crate::model::network::Network;
use crate::model::profile::{Delivery, Install, Profile};

const OWN: &str = "your own ks.cfg is used as it is";

pub(super) fn say(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let Profile { console, text, unattended, extra_args, network, install, answers: _, initrd: _ } =
        profile;
    let Network { bond, address: _ } = network;

    super::take_out(facts, |key| matches!(key, "ks" | "inst.ks"), draft);
    source(facts, install, draft);
    console::say(console, Target::Answers, draft);
    if *text {
        draft.arg(ArgOp::Set("inst.text".into()), "the text installer works on a serial line");
    }
    let why = match bond {
        Some(b) => format!("{} from the first packet on", b.name),
        None => "network for stage 2".to_owned(),
    };
    // Vendors set none; the user's own medium may.
    draft.arg(ArgOp::Remove("ip".into()), "the profile's network takes its place");
    draft.arg(ArgOp::Remove("bond".into()), "the profile's network takes its place");
    for word in dracut::words(network, install.hostname.as_deref()) {
        if word.ends_with("=0") {
            draft.arg(ArgOp::Set(word), "the profile names its ports eth0, eth1");
        } else {
            draft.arg(ArgOp::Append(word), &*why);
        }
    }
    answer_file(facts, profile, draft)?;
    if *unattended && facts.own_answers.is_none() {
        draft.wipe(install.disk.words());
        super::mirror_unproven(&install.disk, "kickstart's", "", draft);
    }
    console::extra(extra_args, draft);
    draft.ram_mib = facts.ram_mib;
    cover(facts, console, network, draft);
    Ok(())
}

/// Where stage 2 and the packages come from.
fn source(facts: &Facts, install: &Install, draft: &mut Draft) {
    let packages = ["repodata", "BaseOS/repodata", "Minimal/repodata"]
        .iter()
        .any(|d| facts.has(&format!("{d}/repomd.xml")));
    match facts.route {
        Route::Network => hosted(facts, packages, install.mirror.is_some(), draft),
        Route::Medium => {
            draft.drop_media_check(Sums::Implanted, ArgOp::Remove("rd.live.check".into()));
        }
    }
    match &install.mirror {
        Some(m) => draft.arg(
            ArgOp::Set(format!("inst.repo={m}")),
            if packages {
                "packages come from the profile's mirror"
            } else {
                "this medium carries no packages"
            },
        ),
        None if !packages => draft.warn(
            "This medium carries no packages and the profile names no install.mirror: the installer \
             takes its vendor's own mirror, or asks.",
        ),
        None => {}
    }
    if facts.hosted.tree && !facts.has(".treeinfo") {
        draft.warn(
            "There is no .treeinfo on this medium: the installer may not find its repositories.",
        );
    }
}

/// Stage 2 from the hosted tree, and the packages too, where it has some and no mirror is wished for.
fn hosted(facts: &Facts, packages: bool, mirror: bool, draft: &mut Draft) {
    draft.hosted = facts.hosted.clone();
    for word in ["inst.stage2", "inst.repo", "root"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Remove("rd.live.check".into()), "there is no disc to check");
    if packages && !mirror {
        draft.arg(
            ArgOp::Set(format!("inst.repo={BASE}repo/")),
            "stage 2 and packages come from the hosted tree",
        );
    } else {
        let word = format!("inst.stage2={BASE}repo/");
        draft.arg(ArgOp::Set(word), "stage 2 comes from the hosted tree");
    }
}

fn answer_file(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<()> {
    let label = facts.label();
    let mut ways = vec![
        (Delivery::Initrd, "it can't be missing, and needs no URL"),
        (Delivery::Url, "it can be changed without a new initrd"),
    ];
    if let Some(l) = &label {
        // GRUB can't hand on the backslash of an escaped blank.
        let at = if l.contains('\\') { ways.len() } else { 0 };
        let why = "it is found as stage 2 is, and the initrd stays as it is";
        ways.insert(at, (Delivery::Medium, why));
    }
    let way = draft.deliver(facts, &ways)?;
    let (text, reason) = match &facts.own_answers {
        Some((name, bytes)) => {
            super::own_file(facts, name, profile, &["install.mirror"], draft);
            draft.disks = Disks::AsOwn { file: name.clone() };
            (bytes.clone(), format!("your own {name}"))
        }
        None => {
            (kickstart(facts, profile, draft)?.into_bytes(), "answers, from the profile".into())
        }
    };
    let (word, why) = match (way, label) {
        (Delivery::Url, _) => {
            (format!("inst.ks={BASE}answers/ks.cfg"), "the answers lie beside boot.ipxe")
        }
        (Delivery::Medium, Some(l)) => {
            (format!("inst.ks=hd:LABEL={l}:/{FOLDER}/ks.cfg"), "the answers lie on the medium")
        }
        _ => ("inst.ks=file:/ks.cfg".to_owned(), "the answers lie in the initrd"),
    };
    draft.arg(ArgOp::Set(word), why);
    let path = TreePath::new("ks.cfg")?;
    draft.place(way, Made { path, body: Body::Bytes(text), mode: 0o600, reason })
}

fn kickstart(facts: &Facts, profile: &Profile, draft: &mut Draft) -> Result<String> {
    let Profile { console, text, unattended, network, install, .. } = profile;
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
    let major = facts.major();
    if major.is_none() {
        draft.notes.push(super::draft::Note {
            warning: false,
            text: "The medium says no version; the answers are written for version 9.".into(),
            assumed: true,
        });
    }
    let major = major.unwrap_or(9);
    let mut append: Vec<String> = console.iter().map(|c| format!("console={c}")).collect();
    if network.bond.as_ref().is_some_and(|b| b.wants_kernel_names()) {
        append.push("net.ifnames=0".into());
    }
    Kickstart {
        dialect: if facts.kickstart == KickstartLine::Fedora {
            Dialect::Fedora(major)
        } else {
            Dialect::El(major)
        },
        text: *text,
        unattended: *unattended,
        locale,
        keyboard,
        timezone,
        network,
        hostname: hostname.as_deref(),
        root,
        ssh_keys,
        packages,
        append,
        disk,
        grub: grub_defaults(console),
        done: facts.done.as_deref(),
    }
    .to_text()
}

fn cover(facts: &Facts, consoles: &[Console], network: &Network, draft: &mut Draft) {
    let own = facts.own_answers.is_some();
    let theirs = |instead: &str| Cover::Impossible { why: OWN.into(), instead: instead.into() };
    console::cover_start(consoles, draft);
    if !consoles.is_empty() {
        let set = |how: String| Cover::Set { how };
        draft.cover(
            Layer::Installer,
            Aspect::Console,
            set("Anaconda follows the last console=".into()),
        );
        let grub = match grub_defaults(consoles) {
            _ if own => theirs("GRUB_TERMINAL and GRUB_SERIAL_COMMAND in its %post"),
            Some(g) => set(format!("GRUB_TERMINAL=\"{}\" in %post", g.terminal)),
            None => Cover::NotNeeded { why: "no serial port that GRUB drives".into() },
        };
        draft.cover(Layer::InstalledBootLoader, Aspect::Console, grub);
        draft.cover(
            Layer::InstalledSystem,
            Aspect::Console,
            if own {
                theirs("bootloader --append in it")
            } else {
                set(format!("bootloader --append=\"{}\"", console::words(consoles)))
            },
        );
    }
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
        theirs("network --bondslaves in it")
    } else {
        Cover::Set { how: format!("network --device={} in ks.cfg", b.name) }
    };
    draft.cover(Layer::InstalledSystem, Aspect::Bond, system);
}
