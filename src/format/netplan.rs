//! Netplan, emitted only: the network of a system that Ubuntu installs.
//!
//! <https://netplan.readthedocs.io/en/stable/netplan-yaml/>, in the words that netplan of Ubuntu 20.04
//! knows already: a default route is `0.0.0.0/0`, not `default`.

use crate::model::network::{Address, Bond, Network};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Stands for the name of the port where the profile names none and its address is fixed: who delivers the
/// answers puts the port in that the machine uses.
pub const PORT: &str = "isowright-port";

/// What stands below `network:`. `None` where nothing is to be said: one port, by a lease.
pub fn network(network: &Network) -> Option<Value> {
    match (&network.bond, &network.address) {
        (Some(bond), address) => Some(bonded(bond, address)),
        (None, Address::Dhcp) => None,
        (None, address) => {
            Some(json!({ "version": 2, "ethernets": { PORT: Value::Object(words(address)) } }))
        }
    }
}

fn bonded(bond: &Bond, address: &Address) -> Value {
    let ports = bond.named_ports();
    let ethernets: Map<String, Value> = ports
        .iter()
        .map(|(name, mac)| {
            let by_mac =
                mac.map(|m| json!({ "match": { "macaddress": m.to_string() }, "set-name": name }));
            (name.clone(), by_mac.unwrap_or_else(|| json!({})))
        })
        .collect();
    let names: Vec<&String> = ports.iter().map(|(name, _)| name).collect();
    let mut device = Map::new();
    device.insert("interfaces".into(), json!(names));
    device.insert("parameters".into(), parameters(bond));
    device.extend(bond.mtu.map(|m| ("mtu".to_owned(), json!(m))));
    device.extend(words(address));
    json!({ "version": 2, "ethernets": ethernets, "bonds": { bond.name.as_str(): device } })
}

/// The driver's options under netplan's names.
fn parameters(bond: &Bond) -> Value {
    let named = bond.options().into_iter().map(|(key, value)| match key {
        "lacp_rate" => ("lacp-rate".to_owned(), json!(value)),
        "miimon" => ("mii-monitor-interval".to_owned(), json!(bond.miimon)),
        "xmit_hash_policy" => ("transmit-hash-policy".to_owned(), json!(value)),
        other => (other.to_owned(), json!(value)),
    });
    Value::Object(named.collect())
}

fn words(address: &Address) -> Map<String, Value> {
    let mut out = Map::new();
    match address {
        Address::Dhcp => {
            out.insert("dhcp4".into(), json!(true));
            // By default a machine id is sent, which no server has seen before; iPXE came with its MAC.
            out.insert("dhcp-identifier".into(), json!("mac"));
        }
        Address::Static { address, gateway, dns } => {
            out.insert("addresses".into(), json!([address.to_string()]));
            if let Some(via) = gateway {
                let to = if via.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
                out.insert("routes".into(), json!([{ "to": to, "via": via }]));
            }
            if !dns.is_empty() {
                let servers: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
                out.insert("nameservers".into(), json!({ "addresses": servers }));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Value> {
        let text = format!("console = []\n{text}");
        let profile = crate::model::profile::Profile::from_toml(&text, "test").expect("profile");
        network(&profile.network)
    }

    #[test]
    fn the_missions_bond_in_netplans_words() {
        let value = of("[network.bond]\nports = [\"eth0\", \"eth1\"]\n").expect("said");
        let bond = &value["bonds"]["bond0"];
        assert_eq!(
            bond["parameters"],
            json!({
                "mode": "802.3ad", "lacp-rate": "slow", "mii-monitor-interval": 100,
                "transmit-hash-policy": "layer3+4",
            })
        );
        assert_eq!(bond["interfaces"], json!(["eth0", "eth1"]));
        assert_eq!(bond["dhcp4"], json!(true));
        assert_eq!(value["ethernets"]["eth1"], json!({}));
    }

    #[test]
    fn a_port_by_address_gets_a_name() {
        let value =
            of("[network.bond]\nports = [\"52:54:00:00:00:01\"]\nmtu = 9000\n").expect("said");
        assert_eq!(
            value["ethernets"],
            json!({ "nic0": { "match": { "macaddress": "52:54:00:00:00:01" }, "set-name": "nic0" } })
        );
        assert_eq!(value["bonds"]["bond0"]["mtu"], json!(9000));
    }

    #[test]
    fn one_port_is_named_later_and_a_lease_needs_no_word() {
        assert_eq!(of(""), None);
        let value = of("[network.address]\nmethod = \"static\"\naddress = \"2001:db8::10/64\"\n\
                        gateway = \"2001:db8::1\"\n")
        .expect("said");
        assert_eq!(
            value["ethernets"][PORT],
            json!({
                "addresses": ["2001:db8::10/64"],
                "routes": [{ "to": "::/0", "via": "2001:db8::1" }],
            })
        );
    }
}
