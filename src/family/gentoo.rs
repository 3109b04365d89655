//! Gentoo's install and LiveGUI media: the system is `image.squashfs` at the root.
//!
//! catalyst, targets/support/bootloader-setup.sh. Up to 2024 the initrd is genkernel's, whose linuxrc
//! takes the squashfs from its own root where `loop=` names a file that is there. Since then it is
//! dracut's without the network modules, which takes `root=live:/NAME.img` from the initrd, by that
//! ending (parse-dmsquash-live.sh). So the squashfs goes into the initrd either way.

use super::console::{self, Target};
use super::draft::{ArgOp, Body, Draft, Facts, Hosted, Made};
use super::live;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Network};
use crate::model::profile::Profile;

const LOGIN: &str = "the live system starts a login on every console= of the command line";

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
    if facts.from_network() {
        image_in_initrd(facts, draft)?;
    }
    draft.arg(ArgOp::Remove("dokeymap".into()), "it waits for a key");
    if *address == Address::Dhcp {
        draft.arg(ArgOp::Remove("nodhcp".into()), "the live system asks for its address");
        draft.arg(ArgOp::Set("dodhcp".into()), "the live system asks for its address");
    } else {
        draft.cannot("network.address", live::no_network(facts));
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    let row = live::one_port(network, live::no_network(facts), draft);
    super::installs_nothing(*unattended, install, &[], facts, draft);
    draft.ram_mib = facts.ram_mib;
    live::cover(console, network, LOGIN, |_| row, draft);
    Ok(())
}

/// The initrd can't fetch: the system goes into it.
fn image_in_initrd(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let image = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no image.squashfs on this medium")
    })?;
    draft.hosted = Hosted::default();
    if facts.entry.get("root").is_some_and(|r| r.starts_with("live:")) {
        dracut(image, draft)?;
    } else {
        genkernel(image, draft)?;
    }
    live::system_in_initrd(facts, draft);
    Ok(())
}

fn dracut(image: &TreePath, draft: &mut Draft) -> Result<()> {
    for word in ["rd.live.dir", "rd.live.squashimg", "iso-scan/filename", "rd.live.overlay"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(
        ArgOp::Remove("rd.live.overlay.cowfs".into()),
        "it looks for a disc that is not there",
    );
    draft.arg(ArgOp::Remove("rd.live.ram".into()), "the image is in memory already");
    // dracut takes a file of its own root only where the name ends so.
    draft.arg(ArgOp::Set("root=live:/image.img".into()), "the initrd mounts the system from there");
    in_initrd(image, "image.img", draft)
}

fn genkernel(image: &TreePath, draft: &mut Draft) -> Result<()> {
    draft.arg(ArgOp::Remove("docache".into()), "the image is in memory already");
    for word in ["looptype=squashfs", "loop=/image.squashfs", "cdroot"] {
        draft.arg(ArgOp::Set(word.into()), "the initrd mounts the system from there");
    }
    in_initrd(image, "image.squashfs", draft)
}

fn in_initrd(image: &TreePath, name: &str, draft: &mut Draft) -> Result<()> {
    draft.in_initrd.push(Made {
        path: name.parse()?,
        body: Body::File(image.clone()),
        mode: 0o644,
        reason: "the initrd can't fetch: it finds the system in itself".into(),
    });
    Ok(())
}
