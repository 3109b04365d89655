//! Kickstart, for Anaconda of EL7 to EL10 and Fedora 38 on. Emitted, never read.
//!
//! <https://pykickstart.readthedocs.io/en/latest/kickstart-docs.html>; every shape that is emitted
//! here passes `ksvalidator` of every version in the tests. The source of packages is not in it: the
//! boot argument `inst.repo` says it, so that the file does not depend on where the tree is hosted.

use super::answers::{GrubDefaults, choose_disks, render};
use crate::error::Result;
use crate::model::network::{Address, Network};
use crate::model::profile::Disk;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;

/// Which installer reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Red Hat Enterprise Linux and its kin, by major version.
    El(u32),
    /// Fedora, by version.
    Fedora(u32),
}

/// Root's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPassword {
    /// A crypt(3) hash.
    Hash(String),
    /// No login by password.
    Locked,
    /// The installer asks.
    Ask,
}

/// What a kickstart says.
#[derive(Debug, Clone)]
pub struct Kickstart<'a> {
    /// Who reads it.
    pub dialect: Dialect,
    /// Text mode.
    pub text: bool,
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
    /// Host name.
    pub hostname: Option<&'a str>,
    /// Root's password.
    pub root: RootPassword,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Packages beyond the minimum.
    pub packages: &'a [String],
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// Kernel arguments of the installed system.
    pub append: Vec<String>,
    /// The installed GRUB's terminal.
    pub grub: Option<GrubDefaults>,
    /// Fetched at the end of an installation: an address of whoever serves the tree.
    pub done: Option<&'a str>,
}

#[derive(Serialize)]
struct Pinned {
    name: String,
    mac: String,
}

impl Kickstart<'_> {
    /// The file's text.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn to_text(&self) -> Result<String> {
        let append = self.append.join(" ");
        let el7 = self.dialect == Dialect::El(7);
        let pre = render(
            "ks-disk.sh",
            include_str!("../../templates/ks-disk.sh.jinja"),
            json!({
                "append": append,
                "choose": choose_disks(self.disk)?,
                "raid1": self.disk.raid1,
            }),
        )?;
        let pinned: Vec<Pinned> = self
            .network
            .bond
            .iter()
            .flat_map(|b| b.named_ports())
            .filter_map(|(name, mac)| Some(Pinned { name, mac: mac?.to_string() }))
            .collect();
        let post = render(
            "ks-post.sh",
            include_str!("../../templates/ks-post.sh.jinja"),
            json!({
                "serial": self.grub,
                "pinned": pinned,
                "ssh_keys": if el7 { self.ssh_keys } else { &[] },
                "done": self.done,
            }),
        )?;
        render(
            "kickstart",
            include_str!("../../templates/kickstart.jinja"),
            json!({
                "text": self.text,
                "unattended": self.unattended,
                "locale": self.locale,
                "keyboard": self.keyboard,
                "timezone": self.timezone,
                "utc_by_old_name": el7,
                "sshkey_command": !el7,
                "network": network_line(self.network, self.hostname),
                "root": match &self.root {
                    RootPassword::Hash(h) => h,
                    RootPassword::Locked => "lock",
                    RootPassword::Ask => "ask",
                },
                "ssh_keys": self.ssh_keys,
                "packages": self.packages,
                "packages_base": match self.dialect {
                    // The one group that every medium has, Fedora's too.
                    Dialect::El(7) | Dialect::Fedora(_) => "@core",
                    Dialect::El(_) => "@^minimal-environment",
                },
                "append": append,
                "pre": pre.trim_end(),
                "post": post.trim(),
            }),
        )
    }
}

fn network_line(network: &Network, hostname: Option<&str>) -> String {
    let mut line = "network".to_owned();
    match &network.bond {
        Some(b) => {
            let ports: Vec<String> = b.named_ports().into_iter().map(|(n, _)| n).collect();
            let opts: Vec<String> = b.options().iter().map(|(k, v)| format!("{k}={v}")).collect();
            line += &format!(
                " --device={} --bondslaves={} --bondopts={}",
                b.name,
                ports.join(","),
                opts.join(",")
            );
            if let Some(mtu) = b.mtu {
                line += &format!(" --mtu={mtu}");
            }
        }
        // The first port with a cable in it.
        None => line += " --device=link",
    }
    match &network.address {
        Address::Dhcp => line += " --bootproto=dhcp",
        Address::Static { address, gateway, dns } => {
            match address.addr {
                IpAddr::V4(a) => {
                    line +=
                        &format!(" --bootproto=static --ip={a} --netmask={}", address.netmask());
                    if let Some(g) = gateway {
                        line += &format!(" --gateway={g}");
                    }
                }
                IpAddr::V6(_) => {
                    line += &format!(" --noipv4 --ipv6={address}");
                    if let Some(g) = gateway {
                        line += &format!(" --ipv6gateway={g}");
                    }
                }
            }
            if !dns.is_empty() {
                let dns: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
                line += &format!(" --nameserver={}", dns.join(","));
            }
        }
    }
    line += " --onboot=yes --activate";
    if let Some(h) = hostname {
        line += &format!(" --hostname={h}");
    }
    line
}
