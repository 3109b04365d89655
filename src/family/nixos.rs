//! NixOS: the system is the Nix store's squashfs on the medium.
//!
//! nixpkgs, nixos/modules/installer/cd-dvd/iso-image.nix and system/boot/stage-1-init.sh. The medium's
//! initrd can't fetch: it mounts `/dev/root`, a link to what `root=` names, as `/iso` and the store from
//! it. The link may point to a file (`findiso=` works so), so the whole medium goes into the initrd and
//! `root=` names it there. Only the scripted stage 1 reads `root=`; systemd's finds the disc by a label that
//! is built in, and such media have no `root=` in their menus.

use super::console::{self, Target};
use super::draft::{ArgOp, Body, Draft, Facts, Hosted, MEDIUM, Made};
use super::live;
use crate::error::{Error, Result};
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;

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
    draft.hosted = Hosted::default();
    match facts.brought {
        _ if !facts.from_network() => {}
        Some(_) => published_pair(extra_args, draft)?,
        None => whole_medium(facts, draft)?,
    }
    if let Some(h) = &install.hostname {
        let word = format!("systemd.hostname={h}");
        draft.arg(ArgOp::Set(word), "host name of the live system");
    }
    if *address != Address::Dhcp {
        draft.cannot("network.address", live::no_network(facts));
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    let row = live::one_port(network, live::no_network(facts), draft);
    super::installs_nothing(*unattended, install, &["hostname"], facts, draft);
    draft.ram_mib = facts.ram_mib;
    live::cover(console, network, live::SYSTEMD_LOGIN, |_| row, draft);
    Ok(())
}

fn whole_medium(facts: &Facts, draft: &mut Draft) -> Result<()> {
    if !facts.entry.is_empty() && !facts.entry.has("root") {
        return Err(Error::unsupported("this medium's initrd finds its disc by a label that is built in")
            .hint("give the published netboot kernel and initrd (--netboot-kernel, --netboot-initrd), and init= of their netboot.ipxe in extra_args"));
    }
    for word in ["findiso", "copytoram"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Set(format!("root=/{MEDIUM}")), "the initrd mounts the medium from there");
    draft.in_initrd.push(Made {
        path: MEDIUM.parse()?,
        body: Body::Medium,
        mode: 0o644,
        reason: "the initrd can't fetch: it finds the medium in itself".into(),
    });
    live::system_in_initrd(facts, draft);
    Ok(())
}

/// nixos/modules/installer/netboot/netboot.nix: the store is in the published initrd, and `init=` is
/// another than the medium's.
fn published_pair(extra_args: &[String], draft: &mut Draft) -> Result<()> {
    if !extra_args.iter().any(|a| a.starts_with("init=")) {
        return Err(Error::usage("a netboot pair has an init= of its own")
            .hint("copy init=/nix/store/… from its netboot.ipxe to extra_args"));
    }
    for word in ["init", "root", "findiso", "copytoram"] {
        draft.arg(ArgOp::Remove(word.into()), "it is the medium's, and the pair is another system");
    }
    Ok(())
}
