//! AutoYaST's profile, for YaST of version 15 and Tumbleweed. Emitted, never read.
//!
//! <https://doc.opensuse.org/documentation/leap/autoyast/html/book-autoyast/>, and the schema in
//! `src/autoyast-rnc` of the yast-* repositories. `<confirm>` is true as the file comes: YaST shows
//! what it would do and waits. Where it shall install without a question, a pre-script chooses the
//! disks and writes the profile that says so (`/tmp/profile/modified.xml`), so that without good
//! disks the question stays. Not supported: version 12, whose network is set up in a second stage.

use super::answers::{GrubDefaults, choose_disks, render, render_xml};
use super::kickstart::RootPassword;
use super::linuxrc::module_opts;
use crate::error::Result;
use crate::model::network::{Address, Network};
use crate::model::profile::Disk;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;

/// `networking.rnc` has `bonding_slave0` to `bonding_slave9`.
pub const MAX_PORTS: usize = 10;

/// A folder of the medium with a repository of its own (SLE 15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Product name in the repository.
    pub product: &'static str,
    /// Folder at the medium's root.
    pub folder: &'static str,
}

/// What without the base product does not install, and what servers want beside it.
pub const MODULES: [Module; 2] = [
    Module { product: "sle-module-basesystem", folder: "Module-Basesystem" },
    Module { product: "sle-module-server-applications", folder: "Module-Server-Applications" },
];

/// What a profile says.
#[derive(Debug, Clone)]
pub struct Autoyast<'a> {
    /// Choose disks, wipe them and install without a question.
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
    /// Root's password.
    pub root: RootPassword,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Packages beyond the pattern `base`.
    pub packages: Vec<String>,
    /// Product, on media with several.
    pub product: Option<&'a str>,
    /// Repositories of the medium beside the product's.
    pub modules: Vec<Module>,
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// Kernel arguments of the installed system.
    pub append: Vec<String>,
    /// The installed GRUB's serial port.
    pub grub: Option<GrubDefaults>,
}

#[derive(Serialize)]
struct Port {
    name: String,
    mac: Option<String>,
}

impl Autoyast<'_> {
    /// `autoinst.xml`.
    ///
    /// # Errors
    /// `Unsupported` for a value with characters that XML has not.
    pub fn to_text(&self) -> Result<String> {
        let (host, domain) = match self.hostname {
            Some(h) => h.split_once('.').map_or((Some(h), None), |(h, d)| (Some(h), Some(d))),
            None => (None, None),
        };
        let bond = self.network.bond.as_ref().map(|b| {
            let ports: Vec<Port> = b
                .named_ports()
                .into_iter()
                .map(|(name, mac)| Port { name, mac: mac.map(|m| m.to_string()) })
                .collect();
            json!({ "name": b.name, "options": module_opts(b), "ports": ports, "mtu": b.mtu })
        });
        let (address, nameservers) = match &self.network.address {
            Address::Dhcp => (None, vec![]),
            Address::Static { address, gateway, dns } => (
                Some(json!({
                    "ip": address.addr,
                    "prefix": address.prefix,
                    "gateway": gateway.as_ref().map(IpAddr::to_string),
                })),
                dns.iter().map(IpAddr::to_string).collect(),
            ),
        };
        render_xml(
            "autoyast",
            include_str!("../../templates/autoyast.jinja"),
            json!({
                "disk_script": self.disk_script()?.as_deref().map(str::trim_end),
                // YaST has the encoding by itself: en_US.
                "language": self.locale.split_once('.').map_or(self.locale, |(l, _)| l),
                "keyboard": self.keyboard,
                "timezone": self.timezone,
                "host": host,
                "domain": domain,
                "bond": bond,
                "address": address,
                "nameservers": nameservers,
                "root": match &self.root {
                    RootPassword::Hash(h) => h,
                    RootPassword::Locked => "lock",
                    RootPassword::Ask => "ask",
                },
                "ssh_keys": self.ssh_keys,
                "packages": self.packages,
                "product": self.product,
                "modules": self.modules,
                "append": self.append.join(" "),
                "serial": self.grub.as_ref().map(|g| &g.command),
            }),
        )
    }

    /// The pre-script that chooses the disks; only for unattended installs.
    ///
    /// # Errors
    /// Only where the template is wrong.
    pub fn disk_script(&self) -> Result<Option<String>> {
        if !self.unattended {
            return Ok(None);
        }
        let values = json!({ "choose": choose_disks(self.disk)?, "raid1": self.disk.raid1 });
        render("ay-disk.sh", include_str!("../../templates/ay-disk.sh.jinja"), values).map(Some)
    }
}
