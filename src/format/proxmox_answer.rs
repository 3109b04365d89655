//! Proxmox' answer.toml, and what goes with it: the mode file, the script of the first boot and the
//! shell that lays them over the medium.
//!
//! Source: pve-installer, `answer.rs` and `fetch-answer`, 8.2 to 9.x, and Proxmox' wiki, "Automated
//! Installation". Not written: btrfs, LVM sizes, webhooks, subscription.

use super::answers::{choose_disks, render};
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Bond, Network, Port};
use crate::model::profile::Disk;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Stands for the disks that are found in the initrd.
const DISKS: &str = "@DISKS@";

/// Says that the answers lie on the medium.
pub const MODE: &str = "mode = \"iso\"\n";

/// An answer file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    global: Global,
    network: NetworkOf,
    disk_setup: DiskSetup,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_boot: Option<FirstBoot>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Global {
    keyboard: &'static str,
    country: String,
    fqdn: String,
    mailto: String,
    timezone: String,
    root_password_hashed: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    root_ssh_keys: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct NetworkOf {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    filter: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiskSetup {
    filesystem: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disk_list: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    filter: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zfs: Option<Zfs>,
}

#[derive(Debug, Clone, Serialize)]
struct Zfs {
    raid: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct FirstBoot {
    source: &'static str,
    ordering: &'static str,
}

/// What an answer file is made from.
pub struct Wish<'a> {
    /// Bond and address.
    pub network: &'a Network,
    /// Host name with its domain.
    pub fqdn: String,
    /// As in crypt(3).
    pub password_hash: &'a str,
    /// Root's keys.
    pub ssh_keys: &'a [String],
    /// As in /usr/share/zoneinfo.
    pub timezone: &'a str,
    /// As in LANG: its territory is the country.
    pub locale: &'a str,
    /// Proxmox' name of the keymap.
    pub keyboard: &'static str,
    /// The disks.
    pub disk: &'a Disk,
    /// Spells keys as they were before 8.4, with `_`.
    pub old_keys: bool,
}

impl Wish<'_> {
    /// # Errors
    /// `Unsupported` for a fixed address without gateway or name server, and for disks that have a name
    /// which the installer does not see.
    pub fn to_text(&self) -> Result<String> {
        let answer = Answer {
            global: Global {
                keyboard: self.keyboard,
                country: country(self.locale),
                mailto: format!("root@{}", self.fqdn),
                fqdn: self.fqdn.clone(),
                timezone: self.timezone.to_owned(),
                root_password_hashed: self.password_hash.to_owned(),
                root_ssh_keys: self.ssh_keys.to_vec(),
            },
            network: network(self.network)?,
            disk_setup: disks(self.disk)?,
            first_boot: self
                .network
                .bond
                .as_ref()
                .map(|_| FirstBoot { source: "from-iso", ordering: "before-network" }),
        };
        let wrong = |e| Error::new(ErrorKind::Unsupported, "answer.toml").because(e);
        let text = toml::to_string(&answer).map_err(wrong)?;
        Ok(if self.old_keys { old_keys(&text) } else { text })
    }
}

/// Keys only; section names had their hyphens from the start.
fn old_keys(text: &str) -> String {
    let line = |l: &str| match l.split_once(" = ") {
        Some((key, value)) => format!("{} = {value}\n", key.replace('-', "_")),
        None => format!("{l}\n"),
    };
    text.lines().map(line).collect()
}

/// `us` of `en_US.UTF-8`.
fn country(locale: &str) -> String {
    let territory = locale.split(['.', '@']).next().and_then(|l| l.split_once('_'));
    territory.map_or_else(|| "us".to_owned(), |(_, t)| t.to_ascii_lowercase())
}

/// The installer's name of a console keymap; `None` for one that it has not.
pub fn keyboard(keymap: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 27] = [
        ("us", "en-us"),
        ("uk", "en-gb"),
        ("gb", "en-gb"),
        ("de", "de"),
        ("de_CH", "de-ch"),
        ("dk", "dk"),
        ("es", "es"),
        ("fi", "fi"),
        ("fr", "fr"),
        ("be", "fr-be"),
        ("cf", "fr-ca"),
        ("fr_CH", "fr-ch"),
        ("hu", "hu"),
        ("is", "is"),
        ("it", "it"),
        ("jp", "jp"),
        ("jp106", "jp"),
        ("lt", "lt"),
        ("mk", "mk"),
        ("nl", "nl"),
        ("no", "no"),
        ("pl", "pl"),
        ("pt", "pt"),
        ("br-abnt2", "pt-br"),
        ("se", "se"),
        ("si", "si"),
        ("tr", "tr"),
    ];
    NAMES.iter().find(|(k, _)| *k == keymap).map(|(_, name)| *name)
}

/// The installer knows one port and no bond: with a fixed address it is the bond's first.
fn network(net: &Network) -> Result<NetworkOf> {
    let mut out = NetworkOf {
        source: "from-dhcp",
        cidr: None,
        dns: None,
        gateway: None,
        filter: BTreeMap::new(),
    };
    let Address::Static { address, gateway, dns } = &net.address else { return Ok(out) };
    let missing = |what: &str| {
        Error::unsupported(format!("Proxmox' installer wants a {what} with a fixed address"))
    };
    out.source = "from-answer";
    out.cidr = Some(address.to_string());
    out.gateway = Some(gateway.ok_or_else(|| missing("gateway"))?.to_string());
    let same = dns.iter().find(|d| d.is_ipv4() == address.addr.is_ipv4());
    let server = same.or(dns.first()).ok_or_else(|| missing("name server"))?;
    out.dns = Some(server.to_string());
    let (key, value) = match net.bond.as_ref().and_then(|b| b.ports.first()) {
        Some(Port::Name(n)) => ("INTERFACE", n.clone()),
        Some(Port::Mac(m)) => ("ID_NET_NAME_MAC", format!("*{}", m.to_string().replace(':', ""))),
        None => ("INTERFACE", "*".to_owned()),
    };
    out.filter.insert(key, value);
    Ok(out)
}

/// One disk gets ext4 on LVM, two a ZFS mirror: the installer makes no other.
fn disks(disk: &Disk) -> Result<DiskSetup> {
    let mut out = DiskSetup {
        filesystem: if disk.raid1 { "zfs" } else { "ext4" },
        disk_list: Vec::new(),
        filter: BTreeMap::new(),
        zfs: disk.raid1.then_some(Zfs { raid: "raid1" }),
    };
    match &disk.devices[..] {
        [] => out.disk_list.push(DISKS.to_owned()),
        [one] if one.starts_with("disk/by-path/") => {
            out.filter.insert("ID_PATH", one["disk/by-path/".len()..].to_owned());
        }
        several => {
            if let Some(d) = several.iter().find(|d| d.contains('/')) {
                return Err(Error::unsupported(format!(
                    "Proxmox' installer can't be told the disk {d}"
                ))
                .hint("name it as sda or nvme0n1, or one disk as disk/by-path/…"));
            }
            out.disk_list = several.to_vec();
        }
    }
    Ok(out)
}

/// Stands in the initrd for the medium's `.cd-info`, which the vendor's init reads in: lays `files` over
/// the medium once that is mounted. `vendors` is where the vendor's own lies, `disk` is given where the
/// answers leave the choice of disks open.
///
/// # Errors
/// Only where the template is wrong.
pub fn cd_info(vendors: &str, disk: Option<&Disk>, files: &[&str]) -> Result<String> {
    render(
        "proxmox-cd-info.sh",
        include_str!("../../templates/proxmox-cd-info.sh.jinja"),
        json!({
            "vendors": vendors,
            "files": files.join(" "),
            "choose": disk.map(choose_disks).transpose()?,
            "placeholder": DISKS,
        }),
    )
}

/// The script of the first boot: the bond takes the place of the port that was installed over.
///
/// # Errors
/// Only where the template is wrong.
pub fn first_boot(bond: &Bond) -> Result<String> {
    let options: Vec<String> =
        bond.options().iter().map(|(k, v)| format!("bond-{} {v}", k.replace('_', "-"))).collect();
    let named = bond.named_ports();
    let pins: Vec<_> = named
        .iter()
        .filter_map(|(name, mac)| Some(json!({ "name": name, "mac": (*mac)?.to_string() })))
        .collect();
    let checks: Vec<_> = named
        .iter()
        .map(|(name, mac)| match mac {
            None => json!({ "name": name, "missing": format!("[ ! -e /sys/class/net/{name} ]") }),
            Some(m) => json!({
                "name": m.to_string(),
                "missing": format!("! grep -qx {m} /sys/class/net/*/address"),
            }),
        })
        .collect();
    let ports: Vec<&str> = named.iter().map(|(n, _)| n.as_str()).collect();
    render(
        "proxmox-first-boot.sh",
        include_str!("../../templates/proxmox-first-boot.sh.jinja"),
        json!({
            "name": bond.name,
            "ports": ports,
            "checks": checks,
            "pins": pins,
            "options": options,
            "mtu": bond.mtu,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_territory_is_the_country() {
        assert_eq!(country("de_AT.UTF-8"), "at");
        assert_eq!(country("C.UTF-8"), "us");
    }

    #[test]
    fn old_releases_get_old_keys_and_values_stay() {
        let text = "[disk-setup]\ndisk-list = [\"a-b\"]\nfilter.ID_X = \"c-d\"\n";
        let want = "[disk-setup]\ndisk_list = [\"a-b\"]\nfilter.ID_X = \"c-d\"\n";
        assert_eq!(old_keys(text), want);
    }
}
