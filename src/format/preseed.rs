//! Preseed, for the Debian installer, and the scripts that stand in where it has no question.
//! Emitted, never read.
//!
//! <https://www.debian.org/releases/stable/amd64/apb>. The installer has no bonding: a script builds
//! the bond by sysfs in `preseed/early_command`, and another writes `/etc/network/interfaces`.

use super::answers::{GrubDefaults, choose_disks, render};
use super::kickstart::RootPassword;
use super::{netplan, yaml};
use crate::error::Result;
use crate::model::console::Serial;
use crate::model::network::{Address, Bond, Network, Port};
use crate::model::profile::Disk;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// `http` or `https`.
    pub protocol: String,
    /// Host, with the port where it is not the usual one.
    pub host: String,
    /// Path with its leading `/` and without a trailing one.
    pub directory: String,
    /// True where it carries no signature that the installer knows.
    pub unsigned: bool,
}

impl Mirror {
    /// Takes a URL apart; `None` where it is no http(s) URL.
    pub fn from_url(url: &str, unsigned: bool) -> Option<Self> {
        let (protocol, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let known = matches!(protocol, "http" | "https") && !host.is_empty();
        known.then(|| Mirror {
            protocol: protocol.to_owned(),
            host: host.to_owned(),
            directory: format!("/{}", path.trim_end_matches('/')),
            unsigned,
        })
    }
}

/// What a preseed file and its scripts say.
#[derive(Debug, Clone)]
pub struct Preseed<'a> {
    /// Wipe the smallest disk and install without a question.
    pub unattended: bool,
    /// As in LANG.
    pub locale: &'a str,
    /// Console keymap.
    pub keyboard: &'a str,
    /// As in /usr/share/zoneinfo.
    pub timezone: &'a str,
    /// Bond and address.
    pub network: &'a Network,
    /// Host name, with or without a domain.
    pub hostname: Option<&'a str>,
    /// Host name where nobody knows one; the installer's own where absent.
    pub default_hostname: Option<&'a str>,
    /// Packages' origin; the installer's own, or asked for, where absent.
    pub mirror: Option<Mirror>,
    /// Release code name.
    pub suite: Option<&'a str>,
    /// Root's password.
    pub root: RootPassword,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Packages beyond the minimum.
    pub packages: Vec<String>,
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// The installed GRUB's terminal.
    pub grub: Option<GrubDefaults>,
    /// Port for a login, where the installed system has SysV init.
    pub login: Option<&'a Serial>,
    /// Further lines; they have the last word.
    pub more: &'a [String],
    /// The installed system's network is netplan's, not ifupdown's.
    pub netplan: bool,
    /// The installer itself has the bond: a script of ours builds it before its network comes up.
    pub bonded: bool,
    /// Fetched at the end of an installation: an address of whoever serves the tree.
    pub done: Option<&'a str>,
}

#[derive(Serialize)]
struct Static {
    address: String,
    /// IPv6 has it behind the address.
    netmask: Option<String>,
    gateway: String,
    dns: String,
}

impl Preseed<'_> {
    /// What must be known before the network is up, and what brings it up: it can only lie in the
    /// initrd.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn network_text(&self) -> Result<String> {
        let (host, domain) = match self.hostname {
            Some(h) => h.split_once('.').map_or((Some(h), ""), |(h, d)| (Some(h), d)),
            None => (None, ""),
        };
        let bond = self.network.bond.as_ref().filter(|_| self.bonded);
        let address = match &self.network.address {
            Address::Dhcp => None,
            Address::Static { address, gateway, dns } => Some(Static {
                address: match address.addr {
                    IpAddr::V4(a) => a.to_string(),
                    IpAddr::V6(_) => address.to_string(),
                },
                netmask: address.addr.is_ipv4().then(|| address.netmask()),
                gateway: gateway.map_or_else(|| "none".to_owned(), |g| g.to_string()),
                dns: joined(dns),
            }),
        };
        let values = json!({
            "locale": self.locale,
            "keyboard": self.keyboard,
            "interface": bond.map_or("auto", |b| b.name.as_str()),
            "static": address,
            "hostname": host,
            "domain": domain,
            "default_hostname": self.default_hostname,
            "unattended": self.unattended,
            "bond": bond.is_some(),
            "more": self.more_lines(true),
        });
        render("preseed-network", include_str!("../../templates/preseed-network.jinja"), values)
    }

    /// All the rest, which may come over the network too.
    ///
    /// # Errors
    /// As [`Preseed::network_text`].
    pub fn rest_text(&self) -> Result<String> {
        let values = json!({
            "unattended": self.unattended,
            "mirror": self.mirror,
            "suite": self.suite,
            "root": match &self.root {
                RootPassword::Hash(h) => h,
                RootPassword::Locked => "lock",
                RootPassword::Ask => "ask",
            },
            "timezone": self.timezone,
            "packages": self.packages.join(" "),
            "more": self.more_lines(false),
        });
        render("preseed", include_str!("../../templates/preseed.jinja"), values)
    }

    /// The further lines for the network, or those for all the rest.
    fn more_lines(&self, network: bool) -> Vec<&str> {
        let of_network =
            |l: &&str| l.split_whitespace().nth(1).is_some_and(|q| q.starts_with("netcfg/"));
        self.more.iter().map(String::as_str).filter(|l| of_network(l) == network).collect()
    }

    /// The script of `partman/early_command`; only for unattended installs.
    ///
    /// # Errors
    /// As [`Preseed::network_text`].
    pub fn disk_script(&self) -> Result<Option<String>> {
        if !self.unattended {
            return Ok(None);
        }
        let values = json!({ "choose": choose_disks(self.disk)?, "raid1": self.disk.raid1 });
        let template = include_str!("../../templates/di-disk.sh.jinja");
        render("di-disk.sh", template, values).map(Some)
    }

    /// The script of `preseed/late_command`.
    ///
    /// # Errors
    /// As [`Preseed::network_text`].
    pub fn late_script(&self) -> Result<String> {
        let netplan =
            match (self.netplan && self.network.bond.is_some(), netplan::network(self.network)) {
                (true, Some(n)) => Some(yaml::to_text(&json!({ "network": n }))?),
                _ => None,
            };
        let bond = self.network.bond.as_ref().filter(|_| netplan.is_none()).map(|b| {
            let named: Vec<&str> = b
                .ports
                .iter()
                .filter_map(|p| match p {
                    Port::Name(n) => Some(n.as_str()),
                    Port::Mac(_) => None,
                })
                .collect();
            // Where the installer had the bond, it found their names.
            let macs = b.ports.iter().filter(|p| !self.bonded && matches!(p, Port::Mac(_)));
            let macs: Vec<String> = macs.map(Port::to_string).collect();
            let (method, lines) = stanza(b, &self.network.address);
            json!({
                "name": b.name,
                "ports": named.join(" "),
                "macs": macs.join(" "),
                "method": method,
                "lines": lines,
            })
        });
        render(
            "di-late.sh",
            include_str!("../../templates/di-late.sh.jinja"),
            json!({
                "serial": self.grub,
                "getty": self.login.map(|s| json!({ "tty": s.tty(), "unit": s.unit, "baud": s.baud })),
                "bond": bond,
                "netplan": netplan,
                "ssh_keys": self.ssh_keys,
                "done": self.done,
            }),
        )
    }
}

/// ifupdown's method and options for the bond, without its ports.
fn stanza(bond: &Bond, address: &Address) -> (&'static str, Vec<String>) {
    let mut lines: Vec<String> =
        bond.options().iter().map(|(k, v)| format!("bond-{} {v}", k.replace('_', "-"))).collect();
    lines.extend(bond.mtu.map(|m| format!("mtu {m}")));
    let method = match address {
        Address::Dhcp => "inet dhcp",
        Address::Static { address, gateway, dns } => {
            lines.push(format!("address {address}"));
            lines.extend(gateway.map(|g| format!("gateway {g}")));
            if !dns.is_empty() {
                lines.push(format!("dns-nameservers {}", joined(dns)));
            }
            if address.addr.is_ipv4() { "inet static" } else { "inet6 static" }
        }
    };
    (method, lines)
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

/// The script of `preseed/early_command`: builds the bond.
///
/// # Errors
/// Only where the template is wrong.
pub fn bond_script(bond: &Bond) -> Result<String> {
    let ports: Vec<String> = bond.ports.iter().map(Port::to_string).collect();
    render(
        "di-bond.sh",
        include_str!("../../templates/di-bond.sh.jinja"),
        json!({
            "name": bond.name,
            "ports": ports.join(" "),
            "options": bond.options(),
            "mtu": bond.mtu,
        }),
    )
}

/// Sourced by the installer at its start: keeps it from taking the lease's file name for a preseed
/// file.
pub const STARTUP: &str = include_str!("../../templates/di-startup.sh");

/// Where [`STARTUP`] goes in the initrd: after the initrd's preseed file was read (S30) and before
/// early_command (S33). Not executable, so that it is sourced as its neighbours are.
pub const STARTUP_PATH: &str = "lib/debian-installer-startup.d/S31isowright";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_taken_apart() {
        let m = Mirror::from_url("http://deb.example.org:8080/debian/", false).expect("url");
        assert_eq!(
            (&*m.protocol, &*m.host, &*m.directory),
            ("http", "deb.example.org:8080", "/debian")
        );
        assert_eq!(Mirror::from_url("https://h", false).expect("url").directory, "/");
        assert_eq!(Mirror::from_url("ftp://h/debian", false), None);
    }
}
