//! Arch Linux, SystemRescue and others by archiso: the whole system is one image, fetched into memory.
//!
//! mkinitcpio-archiso, docs/README.bootparams and hooks/archiso_pxe_{common,http}. Both `ip=` and
//! `archiso_http_srv=` must be there, the latter ends in a slash and goes through a shell's `eval echo`,
//! and switches are on only as `=y`. Once the image is there all ports are flushed and set down again: what the
//! system does with them is its own affair. SystemRescue's own words are in its manual, "Boot options" and "Run your own scripts
//! with autorun".

use super::console::{self, Target};
use super::draft::{ArgOp, BASE, Body, Disks, Draft, FOLDER, Facts, Hosted, Made};
use super::live;
use crate::content::path::TreePath;
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Network};
use crate::model::profile::{Delivery, Profile};
use std::net::IpAddr;

const ONE_PORT: &str =
    "the initrd configures one port, and the live system asks for a lease on each";
const BY_HAND: &str = "its installer is started by hand, or by a script of your own (--answers)";

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
    // Those of SystemRescue's autorun, of Arch, and of the cloud-init in it.
    let starts = ["script", "ar_source", "ds", "cloud-config-url"];
    super::take_out(facts, |key| starts.contains(&key), draft);
    if facts.from_network() {
        image(facts, draft)?;
        let why = "the initrd has no authorities to hold a certificate against";
        super::wants_plain_http(facts, why, draft);
        let ip = ip_word(address, draft);
        draft.arg(ArgOp::Set(ip), "network for the image; without it nothing is fetched");
        if *address != Address::Dhcp {
            draft.warn(
                "The fixed address holds until the image is there; the live system asks for a lease.",
            );
        }
    } else if *address != Address::Dhcp {
        draft.cannot("network.address", live::no_network(facts));
    }
    if let Some(h) = &install.hostname {
        let word = format!("systemd.hostname={h}");
        draft.arg(ArgOp::Set(word), "host name of the live system");
    }
    console::say(console, Target::Answers, draft);
    console::extra(extra_args, draft);
    let why = if facts.from_network() { ONE_PORT } else { live::no_network(facts) };
    let row = live::one_port(network, why, draft);
    match &facts.own_answers {
        Some(own) => own_script(facts, own, profile, draft)?,
        None => super::cannot_install(*unattended, install, &["hostname"], BY_HAND, facts, draft),
    }
    draft.ram_mib = facts.ram_mib;
    live::cover(console, network, live::SYSTEMD_LOGIN, |_| row, draft);
    Ok(())
}

/// The image, and what vouches for it.
fn image(facts: &Facts, draft: &mut Draft) -> Result<()> {
    let Some(folder) = facts.hosted.files.first().and_then(base_folder) else {
        return Err(Error::new(ErrorKind::NotFound, "there is no airootfs image on this medium"));
    };
    if let Some(url) = facts.base_url.as_deref().filter(|u| u.contains(SHELL)) {
        return Err(Error::usage(format!("base URL \"{url}\": the initrd gives it to a shell"))
            .hint("take one without characters that act there: & ; ( ) $ * ? and the like"));
    }
    draft.hosted = Hosted::only(facts.hosted.files.clone());
    for word in [
        "archisodevice",
        "archisolabel",
        "archisosearchuuid",
        "archisosearchfilename",
        "img_dev",
        "img_loop",
    ] {
        draft.arg(ArgOp::Remove(word.into()), "it looks for a disc that is not there");
    }
    for word in ["archiso_nfs_srv", "archiso_nbd_srv", "copytoram"] {
        draft.arg(ArgOp::Remove(word.into()), "the image comes over HTTP into memory");
    }
    draft.arg(ArgOp::Set(format!("archisobasedir={folder}")), "the image's folder");
    draft.arg(
        ArgOp::Set(format!("archiso_http_srv={BASE}repo/")),
        "the image comes over HTTP into memory",
    );
    let ends = |end: &[u8]| facts.hosted.files.iter().any(|f| f.as_bytes().ends_with(end));
    if ends(b".cms.sig") {
        draft.arg(ArgOp::Set("cms_verify=y".into()), "the vendor's signature is held against it");
    } else if ends(b".sha512") {
        draft.arg(ArgOp::Set("checksum=y".into()), "the vendor's digest is held against it");
    }
    Ok(())
}

const SHELL: [char; 17] =
    ['&', ';', '(', ')', '<', '>', '|', '$', '`', '\\', '"', '\'', '*', '?', '[', '#', '~'];

/// `arch` of `arch/x86_64/airootfs.sfs`.
fn base_folder(image: &TreePath) -> Option<String> {
    let first = image.parts().next()?;
    (image.parts().count() > 1).then(|| String::from_utf8_lossy(first).into_owned())
}

/// klibc's ipconfig: client, server, gateway, mask, host, port, protocol, name servers.
fn ip_word(address: &Address, draft: &mut Draft) -> String {
    match address {
        Address::Dhcp => "ip=dhcp".into(),
        Address::Static { address, .. } if address.addr.is_ipv6() => {
            draft.cannot("network.address", "archiso takes no fixed IPv6 address, only a lease");
            "ip=dhcp".into()
        }
        Address::Static { address, gateway, dns } => {
            let gateway = gateway.as_ref().map(IpAddr::to_string).unwrap_or_default();
            let dns: Vec<String> =
                dns.iter().filter(|d| d.is_ipv4()).take(2).map(|d| format!(":{d}")).collect();
            format!("ip={}::{gateway}:{}:::none{}", address.addr, address.netmask(), dns.concat())
        }
    }
}

/// The operator's own script: `script=` on Arch, a file `autorun` on SystemRescue.
fn own_script(
    facts: &Facts,
    (name, script): &(String, Vec<u8>),
    profile: &Profile,
    draft: &mut Draft,
) -> Result<()> {
    let ways = [
        (Delivery::Medium, "the live system runs it from there"),
        (Delivery::Url, "the live system fetches it and runs it"),
    ];
    let way = draft.deliver(facts, &ways)?;
    let rescue = facts.hosted.files.iter().any(|f| f.as_bytes().starts_with(b"sysresccd/"));
    let once = "the login on tty1 runs your script once the network is up";
    let (path, words) = match (rescue, way) {
        // Taken by itself; it is there with copytoram too.
        (true, Delivery::Medium) => ("autorun/autorun".to_owned(), vec![]),
        (true, _) => {
            let word = format!("ar_source={BASE}answers/");
            ("answers/autorun".into(), vec![(word, "autorun takes your script from there")])
        }
        (false, Delivery::Medium) => (
            format!("{FOLDER}/script"),
            vec![
                (format!("script=/run/archiso/bootmnt/{FOLDER}/script"), once),
                ("copytoram=n".into(), "else the medium with your script is let go of"),
            ],
        ),
        (false, _) => {
            ("answers/script".into(), vec![(format!("script={BASE}answers/script"), once)])
        }
    };
    draft.note(format!("{name} runs as root in the live system."));
    super::own_file(facts, name, profile, &["console"], draft);
    draft.disks = Disks::AsOwn { file: name.to_owned() };
    let made = Made {
        path: TreePath::new(path)?,
        body: Body::Bytes(script.clone()),
        mode: 0o600,
        reason: format!("your own {name}"),
    };
    match way {
        Delivery::Medium => draft.on_medium.push(made),
        _ => draft.beside.push(made),
    }
    for (word, why) in words {
        draft.arg(ArgOp::Set(word), why);
    }
    Ok(())
}
