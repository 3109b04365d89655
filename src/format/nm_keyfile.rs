//! NetworkManager's keyfiles for a bond, its ports and its address.
//!
//! Source: nm-settings-keyfile(5), nm-settings(5). `master` and `slave-type` are the words that every
//! release takes; 1.46 names them `controller` and `port-type` too.

use crate::model::network::{Address, Bond, Network, Port};
use std::fmt::Write;
use std::net::IpAddr;

/// Where NetworkManager reads them; a file that others may read it refuses.
pub const FOLDER: &str = "etc/NetworkManager/system-connections";

/// File names, without folder, and texts. None where the network is one port with a lease: that is what
/// NetworkManager does by itself.
pub fn keyfiles(net: &Network) -> Vec<(String, String)> {
    match &net.bond {
        Some(bond) => {
            let mut files = vec![named(&bond.name, bond_file(bond, &net.address))];
            for (i, port) in bond.ports.iter().enumerate() {
                let id = format!("{}-port{i}", bond.name);
                files.push(named(&id, port_file(bond, port, &id)));
            }
            files
        }
        None if net.address == Address::Dhcp => Vec::new(),
        None => {
            let text = "[connection]\nid=ethernet\ntype=ethernet\n".to_owned() + &ip(&net.address);
            vec![named("ethernet", text)]
        }
    }
}

fn named(id: &str, text: String) -> (String, String) {
    (format!("{id}.nmconnection"), text)
}

fn bond_file(bond: &Bond, address: &Address) -> String {
    let mut s =
        format!("[connection]\nid={0}\ntype=bond\ninterface-name={0}\n\n[bond]\n", bond.name);
    for (key, value) in bond.options() {
        let _ = writeln!(s, "{key}={value}");
    }
    if let Some(mtu) = bond.mtu {
        let _ = write!(s, "\n[ethernet]\nmtu={mtu}\n");
    }
    s + &ip(address)
}

fn port_file(bond: &Bond, port: &Port, id: &str) -> String {
    let head = format!("[connection]\nid={id}\ntype=ethernet\n");
    let tail = format!("master={}\nslave-type=bond\n", bond.name);
    match port {
        Port::Name(name) => format!("{head}interface-name={name}\n{tail}"),
        Port::Mac(mac) => format!("{head}{tail}\n[ethernet]\nmac-address={mac}\n"),
    }
}

/// The family that a fixed address is not of keeps what it gets by itself.
fn ip(address: &Address) -> String {
    let section = |v4: bool| {
        let name = if v4 { "ipv4" } else { "ipv6" };
        let mut s = format!("\n[{name}]\n");
        match address {
            Address::Static { address, gateway, .. } if address.addr.is_ipv4() == v4 => {
                let gateway = gateway.map(|g| format!(",{g}")).unwrap_or_default();
                let _ = write!(s, "method=manual\naddress1={address}{gateway}\n");
            }
            _ => s.push_str("method=auto\n"),
        }
        if let Address::Static { dns, .. } = address {
            let ours = |a: &&IpAddr| a.is_ipv4() == v4;
            let list: String = dns.iter().filter(ours).map(|a| format!("{a};")).collect();
            if !list.is_empty() {
                let _ = writeln!(s, "dns={list}");
            }
        }
        s
    };
    section(true) + &section(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_with_a_lease_needs_no_file_and_a_fixed_address_one() {
        assert_eq!(keyfiles(&Network::default()), []);
        let net: Network = toml::from_str(
            "[address]\nmethod = \"static\"\naddress = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"\n\
             dns = [\"192.0.2.53\", \"2001:db8::53\"]",
        )
        .expect("network");
        let files = keyfiles(&net);
        assert_eq!(files.len(), 1);
        let want = "[ipv4]\nmethod=manual\naddress1=192.0.2.10/24,192.0.2.1\ndns=192.0.2.53;\n\n\
                    [ipv6]\nmethod=auto\ndns=2001:db8::53;\n";
        assert!(files[0].1.ends_with(want), "{}", files[0].1);
    }
}
