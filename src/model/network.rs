//! The network as wished for, in neutral terms: one bond or one port, and an address on it.

use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Mac {
    /// True for what a port may have for its own: not a group's address, nor none (IEEE 802, 8.2).
    pub fn is_a_ports(&self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!("\"{s}\" is no MAC address")).hint("write it as 52:54:00:12:34:56")
        };
        let mut out = [0; 6];
        let mut parts = s.split([':', '-']);
        for b in &mut out {
            let p = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *b = u8::from_str_radix(p, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Mac(out))
    }
}

/// A network port: by interface name, or by MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    /// `eth0`, `eno1`.
    Name(String),
    /// The port with this address, whatever the kernel calls it.
    Mac(Mac),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Name(n) => f.write_str(n),
            Port::Mac(m) => m.fmt(f),
        }
    }
}

impl FromStr for Port {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        if s.contains(':') {
            return s.parse().map(Port::Mac);
        }
        check_interface_name(s)?;
        Ok(Port::Name(s.to_owned()))
    }
}

/// The kernel takes at most 15 bytes (IFNAMSIZ); what would need quoting somewhere is refused too.
fn check_interface_name(s: &str) -> Result<()> {
    // `.` and `..` are folders in sysfs, and a leading `-` is an option to every tool.
    let ok = (1..=15).contains(&s.len())
        && !matches!(s, "." | "..")
        && !s.starts_with('-')
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if ok { Ok(()) } else { Err(Error::usage(format!("\"{s}\" is no interface name"))) }
}

macro_rules! as_string {
    ($t:ty, $name:literal, $desc:literal) => {
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $t {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $desc })
            }
        }
    };
}

as_string!(Mac, "Mac", "An Ethernet address: 52:54:00:12:34:56");
as_string!(Port, "Port", "An interface name (eth0) or a MAC address (52:54:00:12:34:56)");
as_string!(Cidr, "Cidr", "An address with its prefix length: 192.0.2.10/24");

/// Bonding modes of the Linux driver that make sense for a server's uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BondMode {
    /// LACP, IEEE 802.3ad.
    #[serde(rename = "802.3ad")]
    Lacp,
    /// One port at a time.
    #[serde(rename = "active-backup")]
    ActiveBackup,
    /// Round robin.
    #[serde(rename = "balance-rr")]
    BalanceRr,
    /// By transmit hash, without LACP.
    #[serde(rename = "balance-xor")]
    BalanceXor,
}

/// How often LACP partners speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LacpRate {
    /// Every 30 s.
    Slow,
    /// Every second.
    Fast,
}

/// What decides the port a frame leaves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HashPolicy {
    /// MAC addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// MAC and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer34,
}

macro_rules! kernel_word {
    ($t:ty, $($v:path => $w:literal),+) => {
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($v => $w),+ })
            }
        }
    };
}
kernel_word!(BondMode, BondMode::Lacp => "802.3ad", BondMode::ActiveBackup => "active-backup",
    BondMode::BalanceRr => "balance-rr", BondMode::BalanceXor => "balance-xor");
kernel_word!(LacpRate, LacpRate::Slow => "slow", LacpRate::Fast => "fast");
kernel_word!(HashPolicy, HashPolicy::Layer2 => "layer2", HashPolicy::Layer23 => "layer2+3",
    HashPolicy::Layer34 => "layer3+4");

fn bond0() -> String {
    "bond0".into()
}
fn hundred() -> u32 {
    100
}
fn lacp() -> BondMode {
    BondMode::Lacp
}
fn slow() -> LacpRate {
    LacpRate::Slow
}
fn layer34() -> HashPolicy {
    HashPolicy::Layer34
}

/// A bond of ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// Interface name of the bond.
    #[serde(default = "bond0")]
    pub name: String,
    /// Its ports, in order: names, or MAC addresses.
    pub ports: Vec<Port>,
    /// Bonding mode.
    #[serde(default = "lacp")]
    pub mode: BondMode,
    /// LACP rate; only for mode 802.3ad.
    #[serde(default = "slow")]
    pub lacp_rate: LacpRate,
    /// Milliseconds between looks at the link.
    #[serde(default = "hundred")]
    pub miimon: u32,
    /// Transmit hash policy.
    #[serde(default = "layer34")]
    pub xmit_hash_policy: HashPolicy,
    /// Bytes; the driver's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
}

impl Bond {
    /// The driver's options, `key=value`, in the order that every dialect lists them. `lacp_rate`
    /// stands only beside mode 802.3ad: the driver refuses it elsewhere.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let mut v = vec![("mode", self.mode.to_string())];
        if self.mode == BondMode::Lacp {
            v.push(("lacp_rate", self.lacp_rate.to_string()));
        }
        v.push(("miimon", self.miimon.to_string()));
        if matches!(self.mode, BondMode::Lacp | BondMode::BalanceXor) {
            v.push(("xmit_hash_policy", self.xmit_hash_policy.to_string()));
        }
        v
    }

    /// Name of each port as the installer will know it, and the MAC that it must be given by:
    /// a port by name keeps its name; ports by MAC become `nic0`, `nic1`, …, for `eth0` is the
    /// kernel's own and a rename to it can collide (dracut.cmdline(7), `ifname=`).
    pub fn named_ports(&self) -> Vec<(String, Option<Mac>)> {
        self.ports
            .iter()
            .enumerate()
            .map(|(i, p)| match p {
                Port::Name(n) => (n.clone(), None),
                Port::Mac(m) => (format!("nic{i}"), Some(*m)),
            })
            .collect()
    }

    /// True where a port bears one of the kernel's own names (`eth0`), which hold only with
    /// `net.ifnames=0`.
    pub fn wants_kernel_names(&self) -> bool {
        self.ports.iter().any(|p| {
            matches!(p, Port::Name(n) if n.strip_prefix("eth").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())))
        })
    }

    /// # Errors
    /// `Usage` for no ports, a port twice, a bad name, an address that no port has, a `miimon` of 0,
    /// an MTU too small for IPv4.
    pub fn check(&self) -> Result<()> {
        check_interface_name(&self.name)?;
        if self.ports.is_empty() {
            return Err(Error::usage("bond: no ports"));
        }
        for (i, p) in self.ports.iter().enumerate() {
            if self.ports[..i].contains(p) {
                return Err(Error::usage(format!("bond: port {p} stands there twice")));
            }
            if matches!(p, Port::Name(n) if *n == self.name) {
                return Err(Error::usage(format!("bond: {p} is the bond itself")));
            }
            if let Port::Mac(m) = p
                && !m.is_a_ports()
            {
                return Err(Error::usage(format!("bond: no port has the address {m}"))
                    .hint("a port's own address is not all zeros, and its first byte is even"));
            }
        }
        if self.miimon == 0 {
            return Err(Error::usage("bond: miimon 0 means that a dead port is never noticed"));
        }
        if let Some(mtu) = self.mtu.filter(|m| *m < MIN_MTU_V4) {
            return Err(Error::usage(format!("bond: mtu {mtu} is below {MIN_MTU_V4}"))
                .hint("an Ethernet's is 1500, with jumbo frames 9000"));
        }
        Ok(())
    }
}

/// What every IPv4 host must take (RFC 791); below, DHCP's own packets may not fit.
const MIN_MTU_V4: u16 = 576;
/// What every IPv6 link must carry (RFC 8200, section 5); the kernel switches IPv6 off below.
const MIN_MTU_V6: u16 = 1280;

/// An address with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
}

impl Cidr {
    /// True where `other` is of the same network.
    pub fn holds(&self, other: IpAddr) -> bool {
        let net = |a: IpAddr| match a {
            IpAddr::V4(a) => u128::from(a.to_bits()) >> (32 - self.prefix.min(32)),
            IpAddr::V6(a) => a.to_bits().checked_shr(128 - u32::from(self.prefix)).unwrap_or(0),
        };
        self.addr.is_ipv4() == other.is_ipv4() && net(self.addr) == net(other)
    }

    /// What `other` is instead of a machine's address in this IPv4 network (RFC 1122, section 3.2.1.3).
    /// Networks of one or two addresses have none to spare (RFC 3021), and IPv6 has no broadcast.
    fn no_machines(&self, other: IpAddr) -> Option<&'static str> {
        let IpAddr::V4(a) = other else { return None };
        if self.prefix >= 31 || !self.holds(other) {
            return None;
        }
        let ones = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        match a.to_bits() & ones {
            0 => Some("the network itself"),
            host if host == ones => Some("its broadcast address"),
            _ => None,
        }
    }

    /// `255.255.255.0`; for IPv6 the prefix length as a number.
    pub fn netmask(&self) -> String {
        match self.addr {
            IpAddr::V4(_) => {
                let bits = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                std::net::Ipv4Addr::from(bits).to_string()
            }
            IpAddr::V6(_) => self.prefix.to_string(),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!("\"{s}\" is no address with a prefix"))
                .hint("write it as 192.0.2.10/24")
        };
        let (a, p) = s.split_once('/').ok_or_else(bad)?;
        let addr: IpAddr = a.parse().map_err(|_| bad())?;
        let prefix: u8 = p.parse().map_err(|_| bad())?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        if prefix == 0 || prefix > max {
            return Err(bad());
        }
        Ok(Cidr { addr, prefix })
    }
}

/// How the machine gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "method", deny_unknown_fields)]
pub enum Address {
    /// From a lease.
    #[default]
    Dhcp,
    /// Fixed.
    Static {
        /// Address and prefix length.
        address: Cidr,
        /// Default gateway.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<IpAddr>,
        /// Name servers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dns: Vec<IpAddr>,
    },
}

/// The network: a bond or the port that booted, and an address on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The bond; absent, the installer uses one port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// The address on it.
    #[serde(default)]
    pub address: Address,
}

impl Network {
    /// The gateway, where it lies outside the address's network, with that address. Some hosters have it
    /// so, mostly for a single address (/32); elsewhere it is a slip. An IPv6 router's link-local address
    /// is on every link.
    pub fn far_gateway(&self) -> Option<(IpAddr, Cidr)> {
        let Address::Static { address, gateway: Some(gateway), .. } = self.address else {
            return None;
        };
        let on_link = matches!(gateway, IpAddr::V6(g) if g.is_unicast_link_local());
        (!on_link && !address.holds(gateway)).then_some((gateway, address))
    }

    /// # Errors
    /// `Usage` for a bad bond, an address that no machine has, or one that does not go with its gateway
    /// or the bond's MTU.
    pub fn check(&self) -> Result<()> {
        if let Some(b) = &self.bond {
            b.check()?;
        }
        let Address::Static { address, gateway, dns: _ } = &self.address else { return Ok(()) };
        if let Some(g) = gateway.filter(|g| g.is_ipv4() != address.addr.is_ipv4()) {
            return Err(Error::usage(format!("gateway {g} is no way out for {address}"))
                .hint("give both as IPv4 or both as IPv6; dns may be either"));
        }
        for (whose, a) in [("address", Some(address.addr)), ("gateway", *gateway)] {
            if let Some((a, what)) = a.and_then(|a| Some((a, address.no_machines(a)?))) {
                return Err(Error::usage(format!("{whose} {a}: in {address} that is {what}"))
                    .hint("give one that a machine may have"));
            }
        }
        if *gateway == Some(address.addr) {
            return Err(Error::usage(format!("{address} is its own gateway"))
                .hint("the gateway is another machine's address, or none"));
        }
        if let Some(mtu) = self.bond.as_ref().and_then(|b| b.mtu)
            && address.addr.is_ipv6()
            && mtu < MIN_MTU_V6
        {
            return Err(Error::usage(format!(
                "bond: mtu {mtu} is below {MIN_MTU_V6}, which IPv6 needs"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bond(ports: &[&str]) -> Bond {
        Bond {
            name: bond0(),
            ports: ports.iter().map(|p| p.parse().expect("port")).collect(),
            mode: BondMode::Lacp,
            lacp_rate: LacpRate::Slow,
            miimon: 100,
            xmit_hash_policy: HashPolicy::Layer34,
            mtu: None,
        }
    }

    #[test]
    fn ports_by_mac_get_names_that_the_kernel_does_not_use() {
        let b = bond(&["52:54:00:00:00:01", "eno2"]);
        assert_eq!(
            b.named_ports(),
            [("nic0".into(), Some(Mac([0x52, 0x54, 0, 0, 0, 1]))), ("eno2".into(), None)]
        );
        assert!(!b.wants_kernel_names());
        assert!(bond(&["eth0"]).wants_kernel_names());
    }

    #[test]
    fn lacp_rate_stands_only_beside_lacp() {
        let mut b = bond(&["eth0", "eth1"]);
        assert_eq!(b.options()[1], ("lacp_rate", "slow".into()));
        b.mode = BondMode::ActiveBackup;
        assert_eq!(b.options().len(), 2);
    }

    fn fixed(address: &str, gateway: &str) -> Network {
        let address = address.parse().expect("cidr");
        let gateway = Some(gateway.parse().expect("gateway"));
        Network { bond: None, address: Address::Static { address, gateway, dns: vec![] } }
    }

    #[test]
    fn an_address_is_a_machines() {
        for (address, gateway, words) in [
            ("192.0.2.0/24", "192.0.2.1", "address 192.0.2.0: in 192.0.2.0/24 that is the network"),
            ("192.0.2.255/24", "192.0.2.1", "broadcast"),
            ("192.0.2.63/26", "192.0.2.1", "broadcast"),
            ("192.0.2.128/25", "192.0.2.129", "the network itself"),
            ("192.0.2.4/30", "192.0.2.5", "the network itself"),
            ("127.255.255.255/1", "1.0.0.1", "broadcast"),
            (
                "192.0.2.10/24",
                "192.0.2.0",
                "gateway 192.0.2.0: in 192.0.2.10/24 that is the network",
            ),
            ("192.0.2.10/24", "192.0.2.255", "broadcast"),
            ("192.0.2.10/24", "192.0.2.10", "its own gateway"),
            ("2001:db8::1/64", "2001:db8::1", "its own gateway"),
        ] {
            let e = fixed(address, gateway).check().expect_err(words);
            assert!(e.to_string().contains(words) && e.hint_text().is_some(), "{words}: {e}");
        }
        for (address, gateway) in [
            ("192.0.2.0/31", "192.0.2.1"),
            ("192.0.2.1/31", "192.0.2.0"),
            ("192.0.2.0/32", "198.51.100.0"),
            ("192.0.2.255/23", "192.0.2.1"),
            ("192.0.3.0/23", "192.0.2.1"),
            ("2001:db8::/64", "2001:db8::1"),
        ] {
            fixed(address, gateway).check().expect(address);
        }
    }

    #[test]
    fn a_gateway_outside_its_network_is_seen() {
        for (address, gateway, far) in [
            ("192.0.2.10/24", "192.0.2.1", false),
            ("192.0.2.10/28", "192.0.2.17", true),
            ("192.0.2.10/32", "198.51.100.1", true),
            ("192.0.2.10/1", "64.0.0.1", true),
            ("2001:db8::10/64", "2001:db8::1", false),
            ("2001:db8::10/64", "2001:db8:0:1::1", true),
            ("2001:db8::10/128", "fe80::1", false),
            ("2001:db8::10/128", "2001:db8::1", true),
            ("2001:db8::10/1", "8001:db8::1", true),
        ] {
            assert_eq!(fixed(address, gateway).far_gateway().is_some(), far, "{address} {gateway}");
        }
        assert_eq!(Network::default().far_gateway(), None);
    }

    #[test]
    fn a_gateway_is_of_its_addresss_family_and_an_mtu_big_enough() {
        let net = |address: &str, gateway: &str, mtu: Option<u16>| Network {
            bond: Some(Bond { mtu, ..bond(&["eth0"]) }),
            address: Address::Static {
                address: address.parse().expect("cidr"),
                gateway: Some(gateway.parse().expect("gateway")),
                dns: vec!["2001:db8::53".parse().expect("dns")],
            },
        };
        assert!(net("192.0.2.10/24", "192.0.2.1", Some(576)).check().is_ok());
        assert!(net("192.0.2.10/24", "192.0.2.1", Some(575)).check().is_err());
        assert!(net("192.0.2.10/24", "2001:db8::1", None).check().is_err());
        assert!(net("2001:db8::10/64", "192.0.2.1", None).check().is_err());
        assert!(net("2001:db8::10/64", "fe80::1", Some(1280)).check().is_ok());
        assert!(net("2001:db8::10/64", "fe80::1", Some(1279)).check().is_err());
    }

    #[test]
    fn slips_are_refused() {
        for name in [".", "..", "-eth0"] {
            assert!(name.parse::<Port>().is_err(), "{name}");
            assert!(Bond { name: name.into(), ..bond(&["eth0"]) }.check().is_err(), "{name}");
        }
        assert!(bond(&["01:00:5e:00:00:01"]).check().is_err());
        assert!(bond(&["00:00:00:00:00:00"]).check().is_err());
        assert!(bond(&["02:00:00:00:00:01"]).check().is_ok());
        assert!(bond(&[]).check().is_err());
        assert!(bond(&["eth0", "eth0"]).check().is_err());
        assert!(bond(&["bond0"]).check().is_err());
        assert!("a name that is long".parse::<Port>().is_err());
        assert!("52:54:00:00:00".parse::<Mac>().is_err());
        assert!("10.0.0.1/33".parse::<Cidr>().is_err());
        assert_eq!("10.0.0.1/20".parse::<Cidr>().expect("cidr").netmask(), "255.255.240.0");
    }
}
