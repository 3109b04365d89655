//! The network in dracut's grammar: what a family writes and what `verify` reads back.
//!
//! Source: dracut.cmdline(7), "Network", and dracut's parse-bond.sh, which counts the fields and
//! gives up above four. Not supported: `vlan=`, `team=`, `bridge=`, `rd.route=`.

use crate::error::{Error, Result};
use crate::model::network::{Address, Bond, BondMode, HashPolicy, LacpRate, Network, Port};
use std::net::IpAddr;

const GRAMMAR: &str = "bond=NAME:PORT,PORT:OPTION=VALUE,OPTION=VALUE[:MTU]";

/// The words for a network: ports by MAC get their names, then bond, address, name servers. `hostname`
/// stands in a fixed address's word.
pub fn words(net: &Network, hostname: Option<&str>) -> Vec<String> {
    let mut out = Vec::new();
    let device = net.bond.as_ref().map_or("", |b| b.name.as_str());
    if let Some(b) = &net.bond {
        if b.wants_kernel_names() {
            out.extend(["net.ifnames=0".into(), "biosdevname=0".into()]);
        }
        for (name, mac) in b.named_ports() {
            out.extend(mac.map(|m| format!("ifname={name}:{m}")));
        }
        out.push(bond_word(b));
    }
    out.push(ip_word(&net.address, device, hostname.unwrap_or_default()));
    out.extend(nameservers(&net.address));
    out.push("rd.neednet=1".into());
    if net.bond.is_some() {
        // The switch may take its time with LACP; dracut's own patience is ten seconds.
        out.push("rd.net.timeout.carrier=30".into());
    }
    out
}

/// `bond=bond0:eth0,eth1:mode=802.3ad,…[:mtu]`.
pub fn bond_word(b: &Bond) -> String {
    let ports: Vec<String> = b.named_ports().into_iter().map(|(n, _)| n).collect();
    let options: Vec<String> = b.options().iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mtu = b.mtu.map(|m| format!(":{m}")).unwrap_or_default();
    format!("bond={}:{}:{}{mtu}", b.name, ports.join(","), options.join(","))
}

/// An IPv6 address stands in brackets, for its colons are field ends otherwise.
fn bracketed(a: &IpAddr) -> String {
    match a {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => format!("[{a}]"),
    }
}

fn ip_word(address: &Address, interface: &str, hostname: &str) -> String {
    match address {
        Address::Dhcp if interface.is_empty() => "ip=dhcp".into(),
        Address::Dhcp => format!("ip={interface}:dhcp"),
        Address::Static { address, gateway, .. } => {
            let ip = bracketed(&address.addr);
            let gateway = gateway.as_ref().map(bracketed).unwrap_or_default();
            format!("ip={ip}::{gateway}:{}:{hostname}:{interface}:none", address.netmask())
        }
    }
}

fn nameservers(address: &Address) -> Vec<String> {
    match address {
        Address::Dhcp => Vec::new(),
        Address::Static { dns, .. } => {
            dns.iter().map(|d| format!("nameserver={}", bracketed(d))).collect()
        }
    }
}

/// Reads `bond=…` back (the `bond=` may be left out). Options that [`Bond`] has no place for are
/// refused, as are the forms with colons between ports or options that are found in the wild: dracut
/// takes the second port for the options, and stops above four fields.
///
/// # Errors
/// `Usage`, saying what is wrong and how it should read.
pub fn parse_bond(word: &str) -> Result<Bond> {
    let body = word.strip_prefix("bond=").unwrap_or(word);
    let bad = |why: String| {
        Error::usage(format!("bond=\"{}\": {why}", body.escape_debug()))
            .hint(format!("write it as {GRAMMAR}"))
    };
    let fields: Vec<&str> = body.split(':').collect();
    let late_options = fields.iter().skip(3).any(|f| f.contains('='));
    let [name, ports, options, rest @ ..] = &fields[..] else {
        let given = fields.len();
        return Err(bad(format!("{given} of the three fields name, ports and options")));
    };
    if ports.contains('=') {
        return Err(bad(format!("options \"{ports}\" stand where the ports belong")));
    }
    if !options.contains('=') && !options.is_empty() {
        let why = "a colon between two ports ends the list: part them by a comma";
        return Err(bad(format!("\"{options}\" stands where the options belong; {why}")));
    }
    if late_options {
        let why = "a colon between two options ends the list: part them by a comma";
        return Err(bad(format!("\"{}\" stands where the MTU belongs; {why}", rest.join(":"))));
    }
    if rest.len() > 1 {
        return Err(bad(format!("{} fields; dracut takes four at most", fields.len())));
    }
    let mtu = match rest.first() {
        Some(m) => Some(m.parse().map_err(|_| bad(format!("\"{m}\" is no MTU")))?),
        None => None,
    };
    let mut bond = Bond {
        name: (*name).to_owned(),
        ports: Vec::new(),
        // What the driver does where nothing is said.
        mode: BondMode::BalanceRr,
        lacp_rate: LacpRate::Slow,
        miimon: 0,
        xmit_hash_policy: HashPolicy::Layer2,
        mtu,
    };
    for p in ports.split(',').filter(|p| !p.is_empty()) {
        bond.ports.push(p.parse::<Port>().map_err(|e| bad(e.to_string()))?);
    }
    for o in options.split(',').filter(|o| !o.is_empty()) {
        let (k, v) =
            o.split_once('=').ok_or_else(|| bad(format!("option \"{o}\" has no value")))?;
        option(&mut bond, k, v).map_err(bad)?;
    }
    bond.check().map_err(|e| bad(e.to_string()))?;
    Ok(bond)
}

/// Names and numbers of the driver (Documentation/networking/bonding.rst).
fn option(b: &mut Bond, key: &str, value: &str) -> Result<(), String> {
    match (key, value) {
        ("mode", "802.3ad" | "4") => b.mode = BondMode::Lacp,
        ("mode", "active-backup" | "1") => b.mode = BondMode::ActiveBackup,
        ("mode", "balance-rr" | "0") => b.mode = BondMode::BalanceRr,
        ("mode", "balance-xor" | "2") => b.mode = BondMode::BalanceXor,
        ("lacp_rate", "slow" | "0") => b.lacp_rate = LacpRate::Slow,
        ("lacp_rate", "fast" | "1") => b.lacp_rate = LacpRate::Fast,
        ("xmit_hash_policy", "layer2" | "0") => b.xmit_hash_policy = HashPolicy::Layer2,
        ("xmit_hash_policy", "layer3+4" | "1") => b.xmit_hash_policy = HashPolicy::Layer34,
        ("xmit_hash_policy", "layer2+3" | "2") => b.xmit_hash_policy = HashPolicy::Layer23,
        ("miimon", ms) => b.miimon = ms.parse().map_err(|_| format!("miimon \"{ms}\""))?,
        _ => return Err(format!("option \"{key}={value}\" is not known here")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(toml: &str) -> Network {
        toml::from_str(toml).expect(toml)
    }

    #[test]
    fn a_bond_with_a_lease() {
        let n = net("[bond]\nports = [\"eth0\", \"eth1\"]");
        let want = "net.ifnames=0 biosdevname=0 bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4 ip=bond0:dhcp rd.neednet=1 rd.net.timeout.carrier=30";
        assert_eq!(words(&n, None).join(" "), want);
    }

    #[test]
    fn ports_by_mac_and_a_fixed_address() {
        let n = net(
            "[bond]\nports = [\"52:54:00:00:00:01\", \"eno2\"]\nmtu = 9000\n[address]\nmethod = \"static\"\naddress = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"\ndns = [\"2001:db8::53\"]",
        );
        let w = words(&n, None);
        assert_eq!(w[0], "ifname=nic0:52:54:00:00:00:01");
        assert!(w[1].starts_with("bond=bond0:nic0,eno2:mode=802.3ad,"), "{}", w[1]);
        assert!(w[1].ends_with(",xmit_hash_policy=layer3+4:9000"), "{}", w[1]);
        assert_eq!(w[2], "ip=192.0.2.10::192.0.2.1:255.255.255.0::bond0:none");
        assert_eq!(
            w[3..],
            ["nameserver=[2001:db8::53]", "rd.neednet=1", "rd.net.timeout.carrier=30"]
        );
        let six = net(
            "[bond]\nports = [\"eno1\"]\n[address]\nmethod = \"static\"\naddress = \"2001:db8::2/64\"",
        );
        assert_eq!(words(&six, Some("h"))[1], "ip=[2001:db8::2]:::64:h:bond0:none");
        assert_eq!(words(&Network::default(), None), ["ip=dhcp", "rd.neednet=1"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for toml in
            ["ports = [\"eth0\", \"eth1\"]", "ports = [\"a\"]\nmode = \"balance-xor\"\nmtu = 1500"]
        {
            let b: Bond = toml::from_str(toml).expect(toml);
            assert_eq!(parse_bond(&bond_word(&b)).expect(toml), b);
        }
    }

    #[test]
    fn the_wild_forms_are_told_what_is_wrong() {
        for (word, why) in [
            ("bond0:enp1s0f0:enp1s0f1:mode=802.3ad,lacp_rate=slow:miimon=100", "between two ports"),
            (
                "bond0:a,b:mode=802.3ad,lacp_rate=slow:miimon=100,xmit_hash_policy=layer3+4",
                "between two options",
            ),
            ("bond0:mode=802.3ad:a,b", "where the ports belong"),
            ("bond0:a,b", "three fields"),
            ("bond0:a,b:mode=802.3ad,miimon=100:1500:x", "four at most"),
            ("bond0:a,b:mode=lacp,miimon=100", "mode=lacp"),
            ("bond0:a,b:mode=802.3ad,miimon=100:big", "no MTU"),
            ("bond0:a,b:mode=802.3ad", "miimon 0"),
        ] {
            let e = parse_bond(&format!("bond={word}")).expect_err(word);
            assert!(e.to_string().contains(why), "{word}: {e}");
            assert!(e.hint_text().is_some_and(|h| h.contains(GRAMMAR)));
        }
    }
}
