//! Agama's profile, JSON, for the installer of SUSE 16. Emitted, never read.
//!
//! <https://agama-project.github.io/docs/user/reference/profile>, and `rust/share/*.schema.json` of
//! github.com/agama-project/agama. Written in the words that 16.0 has: `localization`, not `l10n`.
//! Not said: patterns (the product's own are installed), LVM, encryption.

use super::answers::{GrubDefaults, render};
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Bond, Network};
use crate::model::profile::Disk;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// What a profile says.
#[derive(Debug, Clone)]
pub struct Agama<'a> {
    /// Name the disks and answer every question.
    pub unattended: bool,
    /// Agama's product id.
    pub product: Option<&'a str>,
    /// As in LANG.
    pub locale: &'a str,
    /// Console keymap.
    pub keyboard: &'a str,
    /// As in /usr/share/zoneinfo.
    pub timezone: &'a str,
    /// Bond and address.
    pub network: &'a Network,
    /// Host name.
    pub hostname: Option<&'a str>,
    /// Root's password, a crypt(3) hash.
    pub root_password_hash: Option<&'a str>,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Packages beyond the product's own.
    pub packages: Vec<String>,
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// Kernel arguments of the installed system.
    pub append: Vec<String>,
    /// The installed GRUB's terminal.
    pub grub: Option<GrubDefaults>,
}

impl Agama<'_> {
    /// `agama.json`.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn to_text(&self) -> Result<String> {
        let mut all = Map::new();
        let mut put = |key: &str, value: Value| {
            if value.as_object().is_none_or(|o| !o.is_empty()) {
                all.insert(key.to_owned(), value);
            }
        };
        if let Some(id) = self.product {
            put("product", json!({ "id": id }));
        }
        if let Some(h) = self.hostname {
            put("hostname", json!({ "static": h }));
        }
        put(
            "localization",
            json!({ "language": self.locale, "keyboard": self.keyboard, "timezone": self.timezone }),
        );
        put("root", self.root());
        put("network", self.network());
        if self.unattended {
            put("storage", storage(self.disk));
        }
        put("software", json!({ "packages": self.packages }));
        if !self.append.is_empty() {
            put("bootloader", json!({ "extraKernelParams": self.append.join(" ") }));
        }
        if let Some(b) = &self.network.bond {
            let files = link_files(b);
            if !files.is_empty() {
                put("files", Value::Array(files));
            }
        }
        let post = render(
            "agama-post.sh",
            include_str!("../../templates/agama-post.sh.jinja"),
            json!({ "serial": self.grub }),
        )?;
        put("scripts", json!({ "post": [{ "name": "isowright", "chroot": true, "body": post }] }));
        put("questions", json!({ "policy": if self.unattended { "auto" } else { "user" } }));
        let wrong = |e| Error::new(ErrorKind::Unsupported, "agama.json").because(e);
        Ok(serde_json::to_string_pretty(&all).map_err(wrong)? + "\n")
    }

    fn root(&self) -> Value {
        let mut root = Map::new();
        if let Some(h) = self.root_password_hash {
            root.insert("password".into(), h.into());
            root.insert("hashedPassword".into(), true.into());
        }
        // A list is newer than 16.0's first release.
        match self.ssh_keys {
            [] => {}
            [one] => {
                root.insert("sshPublicKey".into(), one.as_str().into());
            }
            several => {
                root.insert("sshPublicKey".into(), json!(several));
            }
        }
        Value::Object(root)
    }

    /// Nothing where one port gets its address from a lease: the installer's own network is copied.
    fn network(&self) -> Value {
        let Some(b) = &self.network.bond else { return json!({}) };
        let mut bond = json!({ "id": b.name, "interface": b.name });
        if let Some(m) = b.mtu {
            bond["mtu"] = m.into();
        }
        match &self.network.address {
            Address::Dhcp => bond["method4"] = "auto".into(),
            Address::Static { address, gateway, dns } => {
                let (is, other) = if address.addr.is_ipv4() { ("4", "6") } else { ("6", "4") };
                bond[format!("method{is}")] = "manual".into();
                bond[format!("method{other}")] = "disabled".into();
                bond["addresses"] = json!([address]);
                if let Some(g) = gateway {
                    bond[format!("gateway{is}")] = json!(g);
                }
                if !dns.is_empty() {
                    bond["nameservers"] =
                        json!(dns.iter().map(IpAddr::to_string).collect::<Vec<_>>());
                }
            }
        }
        let ports: Vec<String> = b.named_ports().into_iter().map(|(n, _)| n).collect();
        let options: Vec<String> = b
            .options()
            .into_iter()
            .filter(|(k, _)| *k != "mode")
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        bond["bond"] = json!({ "mode": b.mode, "options": options.join(" "), "ports": ports });
        json!({ "connections": [bond] })
    }
}

/// Names for ports that are given by address, as systemd.link(5) keeps them.
fn link_files(bond: &Bond) -> Vec<Value> {
    bond.named_ports()
        .into_iter()
        .filter_map(|(name, mac)| {
            // Only what sits on a bus: a bond has the same address.
            let text = format!("[Match]\nMACAddress={}\nPath=*\n\n[Link]\nName={name}\n", mac?);
            Some(json!({
                "destination": format!("/etc/systemd/network/10-isowright-{name}.link"),
                "content": text,
                "permissions": "0644",
            }))
        })
        .collect()
}

/// Everything on the disks goes; Agama adds the boot partitions that the firmware needs.
fn storage(disk: &Disk) -> Value {
    // More than what is a byte too small: the schema has no "or more".
    let size = format!("{} B", (Disk::MIN_GIB << 30) - 1);
    let search = |i: usize| match disk.devices.get(i) {
        Some(d) => json!({ "condition": { "name": format!("/dev/{d}") }, "ifNotFound": "error" }),
        None => json!({
            "condition": { "size": { "greater": size } },
            "sort": { "size": "asc" },
            "max": 1,
            "ifNotFound": "error",
        }),
    };
    let all_gone = || json!({ "search": "*", "delete": true });
    if !disk.raid1 {
        let partitions = json!([all_gone(), { "generate": "default" }]);
        return json!({ "drives": [{ "search": search(0), "partitions": partitions }] });
    }
    // Of the drives that a search has not taken, the next one gets the second.
    let drives: Vec<Value> = (0..disk.count())
        .map(|i| {
            let member = json!({
                "alias": format!("member{i}"),
                "id": "raid",
                "size": { "min": "6 GiB" },
            });
            let partitions = json!([all_gone(), member]);
            json!({ "alias": format!("disk{i}"), "search": search(i), "partitions": partitions })
        })
        .collect();
    json!({
        "drives": drives,
        "mdRaids": [{
            "name": "root",
            "level": "raid1",
            "devices": ["member0", "member1"],
            "filesystem": { "path": "/" },
        }],
        "boot": { "configure": true, "device": "disk0" },
    })
}
