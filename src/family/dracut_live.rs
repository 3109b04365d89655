//! Live media with dracut's initrd: Fedora, AlmaLinux, Rocky, CentOS. The system is one squashfs
//! (or EROFS) image, fetched into memory.
//!
//! dracut.cmdline(7), "Booting live images". dracut's livenet module fetches what `root=live:URL`
//! names, by 100 attempts of five seconds each, and hands it to dmsquash-live; a URL that ends in
//! `.iso` is attached as a disc. The network is dracut's, so a bond stands before the image comes.
//!
//! Up to Fedora 40 the image holds an ext4 image, LiveOS/rootfs.img, behind a device-mapper snapshot. From
//! 41 on it is the root file system itself, which only an overlayfs makes writable. The vendor's entries
//! don't say so. dmsquash-live-root finds it out, but tells it to nobody else before dracut 103
//! (dmsquash-need-overlay.conf), and without systemd in the initrd nothing is mounted then. With a rootfs.img
//! the argument would change what works (dracut-ng issue 137), so it is said from that version on only.

use super::console::{self, Target};
use super::draft::{ArgOp, BASE, Cover, Draft, Facts, Hosted, Route, Sums};
use super::live;
use crate::error::{Error, ErrorKind, Result};
use crate::format::dracut;
use crate::model::network::{Bond, Network};
use crate::model::profile::Profile;

/// Fedora's first version whose image is the root file system itself. EL's numbers are all below it.
const FLAT_FROM: u32 = 41;
/// Every dracut knows this spelling; from 108 on `rd.overlay` is the newer one.
const OVERLAYFS: &str = "rd.live.overlay.overlayfs=1";

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
    // Fedora's livesys hands it to Anaconda.
    super::take_out(facts, |key| matches!(key, "ks" | "inst.ks"), draft);
    match facts.route {
        Route::Network => image(facts, draft)?,
        Route::Medium => {
            draft.drop_media_check(Sums::Implanted, ArgOp::Remove("rd.live.check".into()));
        }
    }
    dracut_network(network, install.hostname.as_deref(), draft);
    if let Some(h) = &install.hostname {
        let word = format!("systemd.hostname={h}");
        draft.arg(ArgOp::Set(word), "host name of the live system (systemd from 246 on)");
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    super::installs_nothing(*unattended, install, &["hostname"], facts, draft);
    draft.ram_mib = facts.ram_mib;
    let bond = |b: &Bond| Cover::Set { how: dracut::bond_word(b) };
    live::cover(console, network, live::SYSTEMD_LOGIN, bond, draft);
    Ok(())
}

/// The image over the network.
fn image(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let image = facts.hosted.files.first().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "there is no LiveOS/squashfs.img on this medium")
    })?;
    draft.hosted = Hosted::only(vec![image.clone()]);
    draft.arg(ArgOp::Remove("rd.live.check".into()), "there is no disc to check");
    for word in ["iso-scan/filename", "rd.live.dir", "rd.live.squashimg"] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    draft.arg(ArgOp::Remove("rd.live.ram".into()), "the image is in memory already");
    let root = format!("root=live:{BASE}repo/{image}");
    draft.arg(ArgOp::Set(root), "the system comes over HTTP into memory");
    draft.arg(ArgOp::Set("rd.live.image".into()), "the root is a live image");
    if facts.major().is_some_and(|m| m >= FLAT_FROM) {
        let why = "the image is the root file system itself: only an overlayfs makes it writable";
        draft.arg(ArgOp::Set(OVERLAYFS.into()), why);
    }
    Ok(())
}

/// The network in dracut's words, for a live root that comes over it.
fn dracut_network(network: &Network, hostname: Option<&str>, draft: &mut Draft) {
    let why = match &network.bond {
        Some(b) => format!("{} from the first packet on", b.name),
        None => "network for the live system's image".to_owned(),
    };
    for word in ["ip", "bond"] {
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
