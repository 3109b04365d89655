//! Autoinstall, for Ubuntu's subiquity, as the cloud-init user-data of the installer's own system.
//! Emitted, never read.
//!
//! <https://canonical-subiquity.readthedocs-hosted.com/en/latest/reference/autoinstall-reference.html>.
//! Subiquity writes the answers to `/autoinstall.yaml`, runs `early-commands`, and reads that file again:
//! so a script puts in the disks, the firmware's boot device and the port, which nobody knows beforehand.

use super::answers::{GrubDefaults, choose_disks, render};
use super::kickstart::RootPassword;
use super::{netplan, yaml};
use crate::error::Result;
use crate::model::network::{Address, Network};
use crate::model::profile::Disk;
use serde_json::{Map, Value, json};

/// What the early script puts the disks' names in for. No disk has such a name: an answer file that the
/// script never saw fits no disk.
const DISKS: [&str; 2] = ["/dev/isowright-disk0", "/dev/isowright-disk1"];
/// Becomes `true` where the firmware is a BIOS.
const BIOS: &str = "isowright-bios";
/// Becomes `true` where the firmware is UEFI.
const UEFI: &str = "isowright-uefi";

/// Where cloud-init writes the scripts on the installer's own system.
const EARLY: &str = "/run/isowright/early.sh";
const LATE: &str = "/run/isowright/late.sh";

const HEAD: &str = "#cloud-config\n\
    # user-data, made by isowright, for the installer's own system. The installer reads autoinstall.\n\
    # https://canonical-subiquity.readthedocs-hosted.com describes its words.\n";

/// What cloud-init wants beside user-data.
pub const META_DATA: &str = "instance-id: isowright\n";

/// What an answer file says.
#[derive(Debug, Clone)]
pub struct Autoinstall<'a> {
    /// Wipe the disk and install without a question.
    pub unattended: bool,
    /// Year of the release: 24 of 24.04. Before 22 the network is nested, before 24 passwords carry no type.
    pub release: u32,
    /// As in LANG.
    pub locale: &'a str,
    /// Keyboard layout, as X has it.
    pub layout: &'a str,
    /// As in /usr/share/zoneinfo.
    pub timezone: &'a str,
    /// Bond and address.
    pub network: &'a Network,
    /// Host name, with or without a domain.
    pub hostname: Option<&'a str>,
    /// Root's password.
    pub root: RootPassword,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Packages beyond the minimum.
    pub packages: &'a [String],
    /// Where packages come from; the installer's own where absent.
    pub mirror: Option<&'a str>,
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// The installed GRUB's terminal.
    pub grub: Option<GrubDefaults>,
    /// Fetched at the end of an installation: an address of whoever serves the tree.
    pub done: Option<&'a str>,
}

impl Autoinstall<'_> {
    /// `user-data`.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn user_data(&self) -> Result<String> {
        let scripts: Vec<(&str, String)> =
            [(EARLY, self.early_script()?), (LATE, self.late_script()?)]
                .into_iter()
                .filter_map(|(path, text)| Some((path, text?)))
                .collect();
        let mut document = json!({ "autoinstall": self.answers(&scripts) });
        if !scripts.is_empty() {
            document["write_files"] = scripts
                .iter()
                .map(|(path, text)| json!({ "path": path, "permissions": "0755", "content": text }))
                .collect();
        }
        Ok(HEAD.to_owned() + &yaml::to_text(&document)?)
    }

    fn answers(&self, scripts: &[(&str, String)]) -> Value {
        let run = |path: &str| {
            let there = scripts.iter().any(|(p, _)| *p == path);
            there.then(|| json!([format!("sh {path}")]))
        };
        let mut out = Map::new();
        let mut say =
            |key: &str, value: Option<Value>| out.extend(value.map(|v| (key.to_owned(), v)));
        say("version", Some(json!(1)));
        // Every screen comes up, with these answers in it.
        say("interactive-sections", (!self.unattended).then(|| json!(["*"])));
        say("early-commands", run(EARLY));
        say("locale", Some(json!(self.locale)));
        say("keyboard", Some(json!({ "layout": self.layout })));
        say("network", self.network());
        say("apt", self.mirror.map(apt));
        say("storage", self.unattended.then(|| storage(self.disk)));
        say("ssh", Some(json!({ "install-server": true })));
        say("packages", (!self.packages.is_empty()).then(|| json!(self.packages)));
        say("user-data", Some(self.first_boot()));
        say("late-commands", run(LATE));
        say("shutdown", self.unattended.then(|| json!("reboot")));
        Value::Object(out)
    }

    /// The installer of 20.04 wants one more `network:`, which later ones before 22.04 take too.
    fn network(&self) -> Option<Value> {
        let network = netplan::network(self.network)?;
        Some(if self.release < 22 { json!({ "network": network }) } else { network })
    }

    /// What cloud-init does at the installed system's first boot. The time zone stands here, for the
    /// installer's own list lacks names such as Etc/UTC.
    fn first_boot(&self) -> Value {
        let mut out = Map::new();
        let mut say = |key: &str, value: Value| out.insert(key.to_owned(), value);
        if let Some(h) = self.hostname {
            say("hostname", json!(h.split('.').next()));
            if h.contains('.') {
                say("fqdn", json!(h));
            }
            say("preserve_hostname", json!(false));
            say("manage_etc_hosts", json!("localhost"));
        }
        say("timezone", json!(self.timezone));
        if self.unattended {
            // Nobody but root; where none is named, cloud-init makes a user of its own.
            let locked = !matches!(self.root, RootPassword::Hash(_));
            say("users", json!([{ "name": "root", "lock_passwd": locked }]));
        }
        say("disable_root", json!(false));
        if !self.ssh_keys.is_empty() {
            say("ssh_authorized_keys", json!(self.ssh_keys));
        }
        if let RootPassword::Hash(hash) = &self.root {
            let passwords = match self.release {
                ..24 => json!({ "expire": false, "list": [format!("root:{hash}")] }),
                _ => {
                    let root = json!({ "name": "root", "password": hash, "type": "hash" });
                    json!({ "expire": false, "users": [root] })
                }
            };
            say("chpasswd", passwords);
        }
        Value::Object(out)
    }

    fn early_script(&self) -> Result<Option<String>> {
        let address = match (&self.network.bond, &self.network.address) {
            (None, Address::Static { address, .. }) => Some(address.addr.to_string()),
            _ => None,
        };
        if address.is_none() && !self.unattended {
            return Ok(None);
        }
        let choose = self.unattended.then(|| choose_disks(self.disk)).transpose()?;
        let values = json!({
            "address": address,
            "choose": choose,
            "raid1": self.disk.raid1,
            "tokens": { "port": netplan::PORT, "disks": DISKS, "bios": BIOS, "uefi": UEFI },
        });
        let template = include_str!("../../templates/autoinstall-early.sh.jinja");
        render("autoinstall-early.sh", template, values).map(Some)
    }

    fn late_script(&self) -> Result<Option<String>> {
        if self.grub.is_none() && self.done.is_none() {
            return Ok(None);
        }
        let values = json!({ "serial": self.grub, "done": self.done });
        let template = include_str!("../../templates/autoinstall-late.sh.jinja");
        render("autoinstall-late.sh", template, values).map(Some)
    }
}

fn apt(mirror: &str) -> Value {
    json!({ "geoip": false, "primary": [{ "arches": ["default"], "uri": mirror }] })
}

/// One disk as subiquity lays it out itself; two as a mirror that either disk and either firmware boots.
fn storage(disk: &Disk) -> Value {
    if !disk.raid1 {
        return json!({ "layout": { "name": "direct", "match": { "path": DISKS[0] } } });
    }
    let each = |make: &dyn Fn(usize, &str) -> Value| [0, 1].map(|n| make(n, DISKS[n]));
    let part = |kind: &str, n: usize, size: Value| {
        json!({
            "id": format!("{kind}{n}"), "type": "partition", "device": format!("disk{n}"), "size": size,
            "wipe": "superblock", "preserve": false,
        })
    };
    let with = |mut value: Value, key: &str, more: &str| {
        value[key] = json!(more);
        value
    };
    let config: Vec<Value> = [
        each(&|n, path| {
            json!({
                "id": format!("disk{n}"), "type": "disk", "path": path, "ptable": "gpt",
                "wipe": "superblock-recursive", "preserve": false, "grub_device": BIOS,
            })
        }),
        each(&|n, _| with(part("bios", n, json!("1M")), "flag", "bios_grub")),
        each(&|n, _| with(with(part("esp", n, json!("1G")), "flag", "boot"), "grub_device", UEFI)),
        each(&|n, _| part("half", n, json!(-1))),
        [
            json!({
                "id": "md0", "type": "raid", "name": "md0", "raidlevel": "raid1",
                "devices": ["half0", "half1"], "preserve": false,
            }),
            json!({ "id": "root", "type": "format", "fstype": "ext4", "volume": "md0" }),
        ],
        each(&|n, _| {
            json!({
                "id": format!("efi{n}"), "type": "format", "fstype": "fat32", "volume": format!("esp{n}"),
            })
        }),
        [
            json!({ "id": "mount-root", "type": "mount", "device": "root", "path": "/" }),
            json!({ "id": "mount-efi", "type": "mount", "device": "efi0", "path": "/boot/efi" }),
        ],
    ]
    .concat();
    json!({ "config": config })
}
