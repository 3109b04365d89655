//! What Fedora CoreOS and Flatcar share: a live system with a configuration of its own, which holds the
//! installed system's configuration and a script that installs it. Only an unattended profile starts
//! that script.

use super::draft::{ArgOp, BASE, Draft, Facts, Made};
use crate::content::path::TreePath;
use crate::error::{Error, Result};
use crate::format::answers::{choose_disks, render};
use crate::format::ignition::{Config, Dropin, Unit, User, Version};
use crate::model::profile::{Delivery, Disk, Install, Profile};
use serde_json::{Value, json};

/// Where script and configuration lie in the live system.
const FOLDER: &str = "etc/isowright";
/// Where the configuration lies beside `boot.ipxe`, by URL.
const BESIDE: &str = "answers/config.ign";

/// How one system of the two is spelled.
pub(super) struct Dialect {
    /// Of the specification.
    pub version: Version,
    /// Network files of the installed system: path without the leading `/`, mode, text.
    pub network: Vec<(String, u32, String)>,
    /// Network files of the live system.
    pub live_network: Vec<(String, u32, String)>,
    /// Kernel arguments that the installed system gets by its configuration.
    pub kernel_args: Vec<String>,
    /// The installer script's template and name.
    pub script: (&'static str, &'static str),
    /// What the script wants beside the disk.
    pub values: Value,
    /// Whether a mirror can be made.
    pub mirror: bool,
    /// Whether the script gives the installed system its consoles; its configuration does otherwise.
    pub consoles: bool,
}

impl Dialect {
    /// The disks that are taken: an image goes to one, where no mirror is made of it.
    pub(super) fn taken(&self, disk: &Disk) -> Disk {
        if disk.raid1 && self.mirror {
            return disk.clone();
        }
        Disk { devices: disk.devices.iter().take(1).cloned().collect(), raid1: false }
    }
}

/// The installed system's configuration, and what it can't be told.
fn target(profile: &Profile, d: &Dialect, draft: &mut Draft) -> Config {
    let Install {
        hostname,
        root_password_hash: _,
        ssh_keys: _,
        timezone,
        locale,
        keyboard,
        packages,
        // Each system's own affair.
        mirror: _,
        disk,
    } = &profile.install;
    let mut c = Config::new(d.version);
    c.kernel_arguments(d.kernel_args.clone());
    user(&mut c, &profile.install);
    for (path, mode, text) in &d.network {
        c.file(path, *mode, text);
    }
    if let Some(h) = hostname {
        c.file("etc/hostname", 0o644, &format!("{h}\n"));
    }
    let default = Install::default();
    if *timezone != default.timezone {
        c.link("etc/localtime", &format!("../usr/share/zoneinfo/{timezone}"));
    }
    if *keyboard != default.keyboard {
        c.file("etc/vconsole.conf", 0o644, &format!("KEYMAP={keyboard}\n"));
    }
    if *locale != default.locale {
        draft.cannot("install.locale", "the image has the locale C.UTF-8 only");
    }
    if !packages.is_empty() {
        draft.cannot("install.packages", "the system is an image, not packages");
    }
    match (&disk.devices[..], disk.raid1) {
        (_, false) => {}
        (_, true) if !d.mirror => {
            draft.cannot("install.disk.raid1", "the installer writes an image to one disk");
        }
        ([a, b], true) => c.mirror([&format!("/dev/{a}"), &format!("/dev/{b}")]),
        _ => c.mirror(OPEN),
    }
    c
}

/// Stand for the disks that the script finds, or is told.
const OPEN: [&str; 2] = ["@DISK1@", "@DISK2@"];

/// Delivers the live system's configuration: by `initrd` path, or by URL.
pub(super) fn deliver(
    facts: &Facts,
    text: String,
    initrd: &str,
    reason: &str,
    draft: &mut Draft,
) -> Result<()> {
    let ways = [
        (Delivery::Initrd, "it is read before the network is up, and can't be missing"),
        (Delivery::Url, "it can be changed without a new initrd"),
    ];
    if draft.deliver(facts, &ways)? == Delivery::Url {
        draft.beside.push(Made::text(TreePath::new(BESIDE)?, text, 0o600, reason));
        let arg = format!("ignition.config.url={BASE}{BESIDE}");
        draft.arg(ArgOp::Set(arg), "the configuration lies beside boot.ipxe");
    } else {
        draft.in_initrd.push(Made::text(TreePath::new(initrd)?, text, 0o600, reason));
    }
    Ok(())
}

/// The installed system's configuration as text: the operator's own, or ours.
pub(super) fn own_or_ours(
    facts: &Facts,
    profile: &Profile,
    d: &Dialect,
    draft: &mut Draft,
) -> Result<String> {
    let Some((name, bytes)) = &facts.own_answers else {
        return target(profile, d, draft).to_line();
    };
    draft.note(format!("{name} is the installed system's configuration."));
    // The script that installs says them.
    let heeds = ["console", "install.disk", "install.mirror"];
    super::own_file(facts, name, profile, &heeds[usize::from(!d.consoles)..], draft);
    String::from_utf8(bytes.clone())
        .map_err(|_| Error::usage("an Ignition configuration is UTF-8 text").source_name(name))
}

/// The live system's configuration; `target` is the installed system's.
pub(super) fn live(
    profile: &Profile,
    d: &Dialect,
    target: &str,
    draft: &mut Draft,
) -> Result<String> {
    let mut c = Config::new(d.version);
    user(&mut c, &profile.install);
    for (path, mode, text) in &d.live_network {
        c.file(path, *mode, text);
    }
    c.file(&format!("{FOLDER}/target.ign"), 0o600, target);
    c.file(&format!("{FOLDER}/install.sh"), 0o755, &script(profile, d)?);
    let disk = d.taken(&profile.install.disk);
    if profile.unattended {
        draft.wipe(disk.words());
        super::mirror_unproven(&disk, "Butane's", "", draft);
        c.unit(Unit {
            name: "isowright-install.service".into(),
            enabled: Some(true),
            contents: Some(UNIT.into()),
            dropins: vec![],
        });
    } else {
        draft.note(format!(
            "The live system waits for you as the user core: sudo /{FOLDER}/install.sh /dev/DISK{} installs, \
             with the profile's consoles and bond.",
            if disk.raid1 { " /dev/DISK" } else { "" }
        ));
        autologin(&mut c, profile, draft);
    }
    c.to_text()
}

/// The image knows one user, core; root has no login.
fn user(c: &mut Config, install: &Install) {
    let Install { root_password_hash, ssh_keys, .. } = install;
    if root_password_hash.is_none() && ssh_keys.is_empty() {
        return;
    }
    c.user(User {
        name: "core".into(),
        password_hash: root_password_hash.clone(),
        ssh_authorized_keys: ssh_keys.clone(),
    });
}

/// The vendors' media log core in on every console, but not over the network or with a configuration.
/// Where the profile gives nobody a way in, ours does so on the serial port.
fn autologin(c: &mut Config, profile: &Profile, draft: &mut Draft) {
    let Install { root_password_hash, ssh_keys, .. } = &profile.install;
    let Some(serial) = profile.serial() else { return };
    if root_password_hash.is_some() || !ssh_keys.is_empty() {
        return;
    }
    draft.note(format!(
        "The live system logs core in on {} without a password, as the vendor's media do: the profile has \
         neither root_password_hash nor ssh_keys.",
        serial.tty()
    ));
    c.unit(Unit {
        name: format!("serial-getty@{}.service", serial.tty()),
        dropins: vec![Dropin {
            name: "isowright-autologin.conf".into(),
            contents: format!(
                "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin core --keep-baud {} %I $TERM\n",
                serial.baud
            ),
        }],
        ..Unit::default()
    });
}

fn script(profile: &Profile, d: &Dialect) -> Result<String> {
    let disk = d.taken(&profile.install.disk);
    let mut values = json!({
        "unattended": profile.unattended,
        "choose": choose_disks(&disk)?,
        "raid1": disk.raid1,
        "open": disk.raid1 && disk.devices.is_empty(),
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut values, &d.values) {
        all.extend(more.clone());
    }
    let (template, name) = d.script;
    render(name, template, values)
}

/// Who may log in.
pub(super) fn logins(facts: &Facts, profile: &Profile, draft: &mut Draft) {
    let Install { root_password_hash, ssh_keys, .. } = &profile.install;
    if root_password_hash.is_some() {
        let served = if facts.from_network() { ", which is served" } else { "" };
        draft.warn(format!(
            "root_password_hash lies in the configuration{served}: {} can read it and guess at the password.",
            facts.readers()
        ));
    }
    if facts.own_answers.is_some() {
        return;
    }
    if root_password_hash.is_some() || !ssh_keys.is_empty() {
        draft.note("root has no login here: password and SSH keys are those of the user core, who may sudo.");
    } else if profile.unattended {
        draft.warn(
            "Nobody will be able to log in: the profile has neither root_password_hash nor ssh_keys.",
        );
    }
}

const UNIT: &str = "\
[Unit]
Description=Installs to disk, and wipes it
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/bin/bash /etc/isowright/install.sh
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
";
