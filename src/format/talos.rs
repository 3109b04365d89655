//! A patch for Talos' machine configuration: what `talosctl gen config --config-patch` and `talosctl
//! apply-config --config-patch` lay over a configuration that has the cluster's secrets. Ours has none.
//!
//! Source: the reference of `v1alpha1.Config` in Talos' documentation, 1.3 to 1.12, and of its kernel
//! arguments. Not written: the newer documents (`BondConfig`, `LinkConfig`), VLANs, KubeSpan.

use super::{dracut, yaml};
use crate::error::{Error, ErrorKind, Result};
use crate::model::network::{Address, Bond, Network, Port};
use serde::Serialize;

/// A patch.
#[derive(Debug, Clone, Serialize)]
pub struct Patch {
    machine: Machine,
}

#[derive(Debug, Clone, Serialize)]
struct Machine {
    install: Install,
    network: NetworkConfig,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Install {
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<String>,
    wipe: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_kernel_args: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct NetworkConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nameservers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_selector: Option<Physical>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bond: Option<BondOf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    dhcp: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

#[derive(Debug, Clone, Serialize)]
struct Physical {
    physical: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct BondOf {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    device_selectors: Vec<HardwareAddr>,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lacp_rate: Option<String>,
    miimon: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    xmit_hash_policy: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct HardwareAddr {
    hardware_addr: String,
}

#[derive(Debug, Clone, Serialize)]
struct Route {
    network: &'static str,
    gateway: String,
}

/// What a patch is made from.
pub struct Wish<'a> {
    /// Bond and address.
    pub network: &'a Network,
    /// Host name.
    pub hostname: Option<&'a str>,
    /// The disk, below /dev.
    pub disk: Option<&'a str>,
    /// Whether what is on the disk goes.
    pub wipe: bool,
    /// Kernel arguments of the installed system.
    pub kernel_args: Vec<String>,
}

impl Patch {
    /// # Errors
    /// `Unsupported` for a bond whose ports are given by name and by address in one.
    pub fn new(wish: &Wish) -> Result<Self> {
        let Wish { network, hostname, disk, wipe, kernel_args } = wish;
        let nameservers = match &network.address {
            Address::Static { dns, .. } => dns.iter().map(ToString::to_string).collect(),
            Address::Dhcp => Vec::new(),
        };
        Ok(Patch {
            machine: Machine {
                install: Install {
                    disk: disk.map(|d| format!("/dev/{d}")),
                    wipe: *wipe,
                    extra_kernel_args: kernel_args.clone(),
                },
                network: NetworkConfig {
                    hostname: hostname.map(str::to_owned),
                    nameservers,
                    interfaces: interface(network)?.into_iter().collect(),
                },
            },
        })
    }

    /// As YAML.
    ///
    /// # Errors
    /// Never, for all of it can be said in YAML.
    pub fn to_text(&self) -> Result<String> {
        let value = serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Unsupported, "Talos' patch").because(e))?;
        yaml::to_text(&value)
    }
}

/// None for one port with a lease: that is what Talos does by itself.
fn interface(network: &Network) -> Result<Option<Interface>> {
    let mut i = Interface::default();
    match &network.bond {
        Some(b) => {
            i.interface = Some(b.name.clone());
            i.mtu = b.mtu;
            i.bond = Some(bond(b)?);
        }
        None if network.address == Address::Dhcp => return Ok(None),
        None => i.device_selector = Some(Physical { physical: true }),
    }
    match &network.address {
        Address::Dhcp => i.dhcp = true,
        Address::Static { address, gateway, .. } => {
            i.addresses.push(address.to_string());
            i.routes.extend(gateway.map(|g| Route {
                network: if g.is_ipv4() { "0.0.0.0/0" } else { "::/0" },
                gateway: g.to_string(),
            }));
        }
    }
    Ok(Some(i))
}

fn bond(b: &Bond) -> Result<BondOf> {
    let mut out = BondOf { mode: b.mode.to_string(), miimon: b.miimon, ..BondOf::default() };
    for (key, value) in b.options() {
        match key {
            "lacp_rate" => out.lacp_rate = Some(value),
            "xmit_hash_policy" => out.xmit_hash_policy = Some(value),
            _ => {}
        }
    }
    for p in &b.ports {
        match p {
            Port::Name(n) => out.interfaces.push(n.clone()),
            Port::Mac(m) => {
                out.device_selectors.push(HardwareAddr { hardware_addr: m.to_string() });
            }
        }
    }
    if !out.interfaces.is_empty() && !out.device_selectors.is_empty() {
        return Err(Error::unsupported(
            "Talos takes a bond's ports all by name or all by MAC address",
        ));
    }
    Ok(out)
}

/// The network in Talos' kernel arguments: dracut's word for the bond, the kernel's own long form for a
/// fixed address (name servers in its last fields), `DEVICE:dhcp` for a lease. Ports by MAC are called
/// `enx…`.
pub fn network_words(network: &Network) -> Vec<String> {
    let mut words = Vec::new();
    let device = network.bond.as_ref().map_or("", |b| b.name.as_str());
    if let Some(b) = &network.bond {
        if b.wants_kernel_names() {
            words.push("net.ifnames=0".into());
        }
        let mut named = b.clone();
        for p in &mut named.ports {
            if let Port::Mac(m) = p {
                *p = Port::Name(format!("enx{}", m.to_string().replace(':', "")));
            }
        }
        words.push(dracut::bond_word(&named));
    }
    let bracketed = |a: &std::net::IpAddr| {
        if a.is_ipv6() { format!("[{a}]") } else { a.to_string() }
    };
    match &network.address {
        Address::Dhcp if device.is_empty() => {}
        Address::Dhcp => words.push(format!("ip={device}:dhcp")),
        Address::Static { address, gateway, dns } => {
            let gateway = gateway.as_ref().map(bracketed).unwrap_or_default();
            let mut word = format!(
                "ip={}::{gateway}:{}::{device}:none",
                bracketed(&address.addr),
                address.netmask()
            );
            for d in dns.iter().take(2) {
                word.push(':');
                word.push_str(&bracketed(d));
            }
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(toml: &str) -> Network {
        toml::from_str(toml).expect(toml)
    }

    #[test]
    fn kernel_arguments_name_ports_by_address_as_talos_does() {
        let n = net(
            "[bond]\nports = [\"52:54:00:00:00:01\"]\nmtu = 9000\n[address]\nmethod = \"static\"\n\
             address = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"\ndns = [\"192.0.2.53\"]",
        );
        let w = network_words(&n);
        assert!(w[0].starts_with("bond=bond0:enx525400000001:mode=802.3ad,"), "{}", w[0]);
        assert!(w[0].ends_with(":9000"), "{}", w[0]);
        assert_eq!(w[1], "ip=192.0.2.10::192.0.2.1:255.255.255.0::bond0:none:192.0.2.53");
        assert!(network_words(&Network::default()).is_empty());
    }

    #[test]
    fn ports_are_given_all_by_name_or_all_by_address() {
        let n = net("[bond]\nports = [\"eno1\", \"52:54:00:00:00:01\"]");
        let wish =
            Wish { network: &n, hostname: None, disk: None, wipe: false, kernel_args: vec![] };
        assert!(Patch::new(&wish).is_err());
    }
}
