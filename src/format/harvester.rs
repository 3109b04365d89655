//! Harvester's configuration, scheme version 1, without the cluster's token, which no profile has.
//!
//! Source: Harvester's documentation, "Harvester Configuration", 1.1 to 1.7. Not written: token,
//! server_url, vip, addons, system_settings, labels, webhooks.

use super::yaml;
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Bond, Network, Port};
use serde::Serialize;
use std::collections::BTreeMap;

/// A configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    scheme_version: u32,
    os: Os,
    install: Install,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Os {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh_authorized_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns_nameservers: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Install {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iso_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<String>,
    management_interface: Management,
}

/// The management network.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Management {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<Interface>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    bond_options: BTreeMap<&'static str, String>,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet_mask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
}

#[derive(Debug, Clone, Serialize)]
enum Interface {
    #[serde(rename = "name")]
    Name(String),
    #[serde(rename = "hwAddr")]
    HwAddr(String),
}

/// What a configuration is made from.
pub struct Wish<'a> {
    /// Bond and address.
    pub network: &'a Network,
    /// Host name.
    pub hostname: Option<&'a str>,
    /// Hash of the password of the user `rancher`.
    pub password_hash: Option<&'a str>,
    /// Keys of the user `rancher`.
    pub ssh_keys: &'a [String],
    /// The disk, below /dev.
    pub disk: Option<&'a str>,
    /// The medium's URL.
    pub iso_url: Option<String>,
    /// Console of the installed system, as the kernel spells it.
    pub tty: Option<String>,
}

impl Config {
    /// # Errors
    /// `Unsupported` for a fixed IPv6 address.
    pub fn new(wish: &Wish) -> Result<Self> {
        let Wish { network, hostname, password_hash, ssh_keys, disk, iso_url, tty } = wish;
        let dns = match &network.address {
            Address::Static { dns, .. } => dns.iter().map(ToString::to_string).collect(),
            Address::Dhcp => Vec::new(),
        };
        Ok(Config {
            scheme_version: 1,
            os: Os {
                hostname: hostname.map(str::to_owned),
                ssh_authorized_keys: ssh_keys.to_vec(),
                password: password_hash.map(str::to_owned),
                dns_nameservers: dns,
            },
            install: Install {
                mode: "create",
                device: disk.map(|d| format!("/dev/{d}")),
                iso_url: iso_url.clone(),
                tty: tty.clone(),
                management_interface: Management::new(network)?,
            },
        })
    }

    /// As YAML.
    ///
    /// # Errors
    /// Never, for all of it can be said in YAML.
    pub fn to_text(&self) -> Result<String> {
        let value = serde_json::to_value(self).map_err(|e| {
            Error::new(ErrorKind::Unsupported, "Harvester's configuration").because(e)
        })?;
        yaml::to_text(&value)
    }
}

impl Management {
    /// # Errors
    /// `Unsupported` for a fixed IPv6 address.
    pub fn new(network: &Network) -> Result<Self> {
        let mut m = Management { method: "dhcp", ..Management::default() };
        if let Some(Bond { ports, mtu, .. }) = &network.bond {
            m.mtu = *mtu;
            m.interfaces = ports
                .iter()
                .map(|p| match p {
                    Port::Name(n) => Interface::Name(n.clone()),
                    Port::Mac(a) => Interface::HwAddr(a.to_string()),
                })
                .collect();
            m.bond_options = network.bond.iter().flat_map(Bond::options).collect();
        }
        if let Address::Static { address, gateway, dns: _ } = &network.address {
            if address.addr.is_ipv6() {
                return Err(Error::unsupported(
                    "Harvester's management network takes no fixed IPv6 address",
                )
                .hint("use method = \"dhcp\", or an IPv4 address"));
            }
            m.method = "static";
            m.ip = Some(address.addr.to_string());
            m.subnet_mask = Some(address.netmask());
            m.gateway = gateway.map(|g| g.to_string());
        }
        Ok(m)
    }

    /// As the installer reads it from the kernel's command line.
    pub fn kernel_words(&self) -> Vec<String> {
        const PREFIX: &str = "harvester.install.management_interface";
        let mut words = vec![format!("{PREFIX}.method={}", self.method)];
        for i in &self.interfaces {
            words.push(match i {
                Interface::Name(n) => format!("{PREFIX}.interfaces=name:{n}"),
                Interface::HwAddr(a) => format!("{PREFIX}.interfaces=hwAddr:{a}"),
            });
        }
        for (key, value) in &self.bond_options {
            words.push(format!("{PREFIX}.bond_options.{key}={value}"));
        }
        for (key, value) in
            [("ip", &self.ip), ("subnet_mask", &self.subnet_mask), ("gateway", &self.gateway)]
        {
            words.extend(value.as_ref().map(|v| format!("{PREFIX}.{key}={v}")));
        }
        words.extend(self.mtu.map(|m| format!("{PREFIX}.mtu={m}")));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_the_file_says() {
        let net: Network =
            toml::from_str("[bond]\nports = [\"eno1\", \"52:54:00:00:00:01\"]").expect("network");
        let words = Management::new(&net).expect("says").kernel_words().join(" ");
        for w in [
            ".method=dhcp",
            ".interfaces=name:eno1",
            ".interfaces=hwAddr:52:54:00:00:00:01",
            ".bond_options.mode=802.3ad",
            ".bond_options.lacp_rate=slow",
            ".bond_options.miimon=100",
            ".bond_options.xmit_hash_policy=layer3+4",
        ] {
            assert!(words.contains(w), "{w}: {words}");
        }
    }
}
