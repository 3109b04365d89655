//! What linuxrc reads from its initrd: `/etc/linuxrc.d/*`, and udev's rules there. Emitted, never read.
//!
//! From linuxrc's sources (github.com/openSUSE/linuxrc): `linuxrc.c` reads every file of that folder
//! before the kernel command line; `file.c` takes `key: value` lines of 1023 bytes at most, the
//! value to the end of the line; `net.c`, `ifcfg_parse`, splits the value of `ifcfg` at commas:
//! `DEVICE=dhcp` or `DEVICE=ADDRESS/BITS,GATEWAY,NAMESERVER NAMESERVER`, then `KEY=VALUE` words that
//! go into wicked's `ifcfg-DEVICE` (ifcfg-bonding(5)). The vendor's NET media bring their mirror in
//! such a file. Not used: what needs a URL, for that is known only when the machine boots.

use crate::model::network::{Address, Bond, Network};
use std::net::IpAddr;

/// Where [`config`] goes in the initrd. Read after the vendor's own (`10_repo`).
pub const CONFIG_PATH: &str = "etc/linuxrc.d/90_isowright";

/// Where [`udev_rules`] go in the initrd.
pub const RULES_PATH: &str = "etc/udev/rules.d/70-isowright-net.rules";

/// Longest line that `file.c` reads whole, in bytes.
pub const MAX_LINE: usize = 1023;

/// Seconds for the switch to take the ports into the bond, and for a lease on it.
const PATIENCE: u32 = 60;

/// The file's text; `None` where a kernel argument says it all: one port, by DHCP.
pub fn config(network: &Network) -> Option<String> {
    let ifcfg = ifcfg(network)?;
    let wait = match network.bond {
        Some(_) => format!("dhcptimeout: {PATIENCE}\n"),
        None => String::new(),
    };
    Some(format!("# Made by isowright.\nifcfg: {ifcfg}\n{wait}"))
}

/// The value of `ifcfg`.
pub fn ifcfg(network: &Network) -> Option<String> {
    let address = match &network.address {
        Address::Dhcp => "dhcp".to_owned(),
        Address::Static { address, gateway, dns } => {
            let dns: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
            let gateway = gateway.map_or_else(String::new, |g| g.to_string());
            format!("{address},{gateway},{}", dns.join(" ")).trim_end_matches(',').to_owned()
        }
    };
    match &network.bond {
        Some(b) => Some(format!("{}={address},{}", b.name, bond_words(b))),
        // Without a device it is the address of whichever port gets a way out.
        None => (network.address != Address::Dhcp).then_some(address),
    }
}

fn bond_words(b: &Bond) -> String {
    let mut words = vec!["BONDING_MASTER=yes".to_owned()];
    for (i, (port, _)) in b.named_ports().iter().enumerate() {
        words.push(format!("BONDING_SLAVE_{i}={port}"));
    }
    words.push(format!("BONDING_MODULE_OPTS={}", module_opts(b)));
    words.extend(b.mtu.map(|m| format!("MTU={m}")));
    words.join(",")
}

/// The driver's options, as wicked and YaST want them: `mode=802.3ad lacp_rate=slow …`.
pub fn module_opts(b: &Bond) -> String {
    b.options().iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
}

/// True where linuxrc takes `name` for a device: any other character than these makes it a pattern
/// for ports that exist, and a dot begins a VLAN's number.
pub fn is_device_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Names for ports that are given by address: udev in the initrd renames them before linuxrc looks.
pub fn udev_rules(b: &Bond) -> Option<String> {
    let rules: Vec<String> = b
        .named_ports()
        .into_iter()
        .filter_map(|(name, mac)| {
            Some(format!(
                "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{{address}}==\"{}\", NAME=\"{name}\"\n",
                mac?
            ))
        })
        .collect();
    (!rules.is_empty()).then(|| format!("# Made by isowright.\n{}", rules.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linuxrc_takes_for_a_pattern_is_known() {
        assert!(is_device_name("bond0") && is_device_name("uplink_1"));
        assert!(!is_device_name("bond-0") && !is_device_name("bond0.100"));
    }

    #[test]
    fn one_port_by_dhcp_needs_no_file() {
        assert_eq!(config(&Network::default()), None);
    }
}
