//! systemd-networkd's files for a bond, its ports and its address.
//!
//! Source: systemd.netdev(5), systemd.network(5).

use crate::model::network::{Address, Bond, Network, Port};
use std::fmt::Write;

/// Where networkd reads them.
pub const FOLDER: &str = "etc/systemd/network";

/// File names, without folder, and texts. None where the network is one port with a lease: that is what
/// images with networkd do by themselves.
pub fn files(net: &Network) -> Vec<(String, String)> {
    match &net.bond {
        Some(bond) => {
            let mut files = vec![(format!("10-{}.netdev", bond.name), netdev(bond))];
            for (i, port) in bond.ports.iter().enumerate() {
                let matched = match port {
                    Port::Name(name) => format!("Name={name}"),
                    // A port takes the bond's address; its own stays what it was made with.
                    Port::Mac(mac) => format!("PermanentMACAddress={mac}"),
                };
                let text = format!("[Match]\n{matched}\n\n[Network]\nBond={}\n", bond.name);
                files.push((format!("20-{}-port{i}.network", bond.name), text));
            }
            let matched = format!("Name={}", bond.name);
            files.push((format!("30-{}.network", bond.name), network(&matched, &net.address)));
            files
        }
        None if net.address == Address::Dhcp => Vec::new(),
        None => vec![("20-ethernet.network".into(), network("Type=ether", &net.address))],
    }
}

fn netdev(bond: &Bond) -> String {
    let mut s = format!("[NetDev]\nName={}\nKind=bond\n", bond.name);
    if let Some(mtu) = bond.mtu {
        let _ = writeln!(s, "MTUBytes={mtu}");
    }
    s.push_str("\n[Bond]\n");
    for (key, value) in bond.options() {
        let _ = match key {
            "mode" => writeln!(s, "Mode={value}"),
            "lacp_rate" => writeln!(s, "LACPTransmitRate={value}"),
            "miimon" => writeln!(s, "MIIMonitorSec={value}ms"),
            _ => writeln!(s, "TransmitHashPolicy={value}"),
        };
    }
    s
}

fn network(matched: &str, address: &Address) -> String {
    let mut s = format!("[Match]\n{matched}\n\n[Network]\n");
    match address {
        Address::Dhcp => s.push_str("DHCP=yes\n"),
        Address::Static { address, gateway, dns } => {
            let _ = writeln!(s, "Address={address}");
            if let Some(g) = gateway {
                let _ = writeln!(s, "Gateway={g}");
            }
            for d in dns {
                let _ = writeln!(s, "DNS={d}");
            }
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_a_bond_has_its_word() {
        let net: Network =
            toml::from_str("[bond]\nports = [\"eno1\", \"52:54:00:00:00:01\"]\nmtu = 9000")
                .expect("network");
        let all = files(&net);
        let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
        let want = [
            "10-bond0.netdev",
            "20-bond0-port0.network",
            "20-bond0-port1.network",
            "30-bond0.network",
        ];
        assert_eq!(names, want);
        assert_eq!(
            all[0].1,
            "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=9000\n\n[Bond]\nMode=802.3ad\n\
             LACPTransmitRate=slow\nMIIMonitorSec=100ms\nTransmitHashPolicy=layer3+4\n"
        );
        assert!(all[2].1.contains("PermanentMACAddress=52:54:00:00:00:01"));
    }
}
