//! Anaconda: EL7 to EL10, Fedora.
//!
//! The `inst.` words are EL7's already, so one spelling serves all. Stage 2 and packages come from
//! the hosted tree by `inst.repo`; the answers ride in the initrd, so that they can't be missing and
//! need no URL. That hides nothing: `initrd.img` is served to all who ask.

use super::console::{self, Target};
use super::draft::{
    ArgOp, Aspect, BASE, Body, Cover, Disks, Draft, Facts, KickstartLine, Layer, Made,
};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
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
    draft.hosted = facts.hosted.clone();
    for word in ["inst.stage2", "inst.repo", "root"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Remove("rd.live.check".into()), "there is no disc to check");
    let tree = format!("{BASE}repo/");
    let packages = ["repodata", "BaseOS/repodata", "Minimal/repodata"]
        .iter()
        .any(|d| facts.has(&format!("{d}/repomd.xml")));
    if packages {
        draft.arg(
            ArgOp::Set(format!("inst.repo={tree}")),
            "stage 2 and packages come from the hosted tree",
        );
    } else {
        draft.arg(ArgOp::Set(format!("inst.stage2={tree}")), "stage 2 comes from the hosted tree");
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
    if packages && install.mirror.is_some() {
        draft.arg(ArgOp::Set(format!("inst.stage2={tree}")), "stage 2 comes from the hosted tree");
    }
    if facts.hosted.tree && !facts.has(".treeinfo") {
        draft.warn(
            "There is no .treeinfo on this medium: the installer may not find its repositories.",
        );
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
            (kickstart(facts, profile, draft)?.into_bytes(), "answers, from the profile".into())
        }
    };
    let made = |path| {
        Ok::<_, Error>(Made {
            path: TreePath::new(path)?,
            body: Body::Bytes(text),
            mode: 0o600,
            reason,
        })
    };
    if way == Delivery::Url {
        draft.beside.push(made("answers/ks.cfg")?);
        let arg = format!("inst.ks={BASE}answers/ks.cfg");
        draft.arg(ArgOp::Set(arg), "the answers lie beside boot.ipxe");
    } else {
        draft.in_initrd.push(made("ks.cfg")?);
        draft.arg(ArgOp::Set("inst.ks=file:/ks.cfg".into()), "the answers lie in the initrd");
    }
    Ok(())
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
    let root = super::root(root_password_hash.as_deref(), *unattended, ssh_keys, draft);
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
