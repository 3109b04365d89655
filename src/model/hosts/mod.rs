//! The machines, one by one: `hosts.toml`, or a table of them in CSV. Each one is the profile with
//! its own name, addresses and disks laid over it.

mod table;

use super::network::{Address, Cidr, Mac, Port};
use super::profile::Profile;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use toml::Spanned;

/// More would make boot files of megabytes, which each machine fetches and looks through.
pub const MAX_HOSTS: usize = 2000;

/// `hosts.toml`. What is the same for all stands in the profile; what a host says goes over what its
/// role says, and that over the profile.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostsFile {
    /// The machines.
    #[serde(default)]
    #[schemars(with = "Vec<Host>")]
    pub host: Vec<Spanned<Host>>,
    /// What the hosts of a role share, by the role's name.
    #[serde(default)]
    pub role: BTreeMap<String, Role>,
    /// Further hosts in a CSV file, relative to this one. Its first row names the columns: hostname,
    /// macs, address, gateway, dns, disks, raid1, role, unattended; hostname and macs must be there.
    /// Several values in a field are parted by spaces, line breaks or semicolons.
    #[serde(default)]
    pub csv: Option<PathBuf>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its host name; also the name of its files in the tree.
    pub name: String,
    /// Its network ports. Any of them may boot; all of them become the bond's ports, in this order.
    pub macs: Vec<Mac>,
    /// Its address; from a lease where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Cidr>,
    /// The name of a `[role.NAME]` table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What goes over role and profile.
    #[serde(flatten)]
    #[schemars(flatten)]
    pub own: Role,
    /// File and line.
    #[serde(skip)]
    pub place: String,
}

/// What lies over the profile, for one host or for all of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Default gateway, of hosts that have an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name servers, of hosts that have an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
    /// The disks to install on, as in the profile's `install.disk.devices`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
    /// Two disks mirror each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raid1: Option<bool>,
    /// Install without a question, **wiping disks**; or ask, also where the profile says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unattended: Option<bool>,
    /// Packages beyond the profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Kernel arguments for the installer beyond the profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
    /// Root's SSH public keys beyond the profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
}

/// The machines and their roles, checked by [`Hosts::check`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// In the order of the files.
    pub hosts: Vec<Host>,
    /// By name.
    pub roles: BTreeMap<String, Role>,
}

impl Hosts {
    /// Reads `hosts.toml`. The second value is the CSV file that it names.
    ///
    /// # Errors
    /// `Usage`, naming `name`, line and field.
    pub fn from_toml(text: &str, name: &str) -> Result<(Self, Option<PathBuf>)> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let file: HostsFile = toml::from_str(text).map_err(|e| {
            Error::usage(e.message().replace('\n', " "))
                .source_name(format!("{name}:{}", e.span().map_or(1, |s| line(s.start))))
                .hint("`isowright recipe schema hosts` lists the fields")
        })?;
        let placed = |h: Spanned<Host>| Host {
            place: format!("{name}:{}", line(h.span().start)),
            ..h.into_inner()
        };
        let hosts = file.host.into_iter().map(placed).collect();
        Ok((Hosts { hosts, roles: file.role }, file.csv))
    }

    /// # Errors
    /// `Usage` for a bad name or MAC address, for one that two hosts have, for an unknown role, and
    /// for no host at all, with file and line.
    pub fn check(&self) -> Result<()> {
        if self.hosts.is_empty() {
            return Err(Error::usage("no hosts").hint("a host begins with [[host]]"));
        }
        if self.hosts.len() > MAX_HOSTS {
            return Err(Error::unsupported(format!("{} hosts in one tree", self.hosts.len()))
                .hint(format!("{MAX_HOSTS} at most; build several trees")));
        }
        let mut seen = HashMap::new();
        for host in &self.hosts {
            self.check_host(host, &mut seen).map_err(|e| e.source_name(&host.place))?;
        }
        Ok(())
    }

    fn check_host<'a>(
        &'a self,
        host: &'a Host,
        seen: &mut HashMap<(&'static str, String), &'a Host>,
    ) -> Result<()> {
        check_name(&host.name)?;
        if host.macs.is_empty() {
            return Err(Error::usage(format!("{} has no MAC address", host.name))
                .hint("macs = [\"52:54:00:12:34:56\", …]: a machine is known by its ports"));
        }
        if let Some(m) = host.macs.iter().find(|m| !m.is_a_ports()) {
            return Err(Error::usage(format!("no port has the address {m}"))
                .hint("a port's own address is not all zeros, and its first byte is even"));
        }
        let names = [("name", host.name.to_ascii_lowercase())];
        let macs = host.macs.iter().map(|m| ("MAC address", m.to_string()));
        let address = host.address.iter().map(|a| ("address", a.addr.to_string()));
        for (what, value) in names.into_iter().chain(macs).chain(address) {
            let Some(other) = seen.insert((what, value.clone()), host) else { continue };
            let whose = match std::ptr::eq(other, host) {
                true => "stands there twice".to_owned(),
                false => format!("is {}'s already ({})", other.name, other.place),
            };
            return Err(Error::usage(format!("{}: {what} {value} {whose}", host.name))
                .hint("each machine has its own"));
        }
        self.role_of(host).map(drop)
    }

    fn role_of(&self, host: &Host) -> Result<Role> {
        let Some(name) = &host.role else { return Ok(Role::default()) };
        self.roles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.roles.keys().map(String::as_str).collect();
            Error::usage(format!("{}: there is no role \"{name}\"", host.name)).hint(
                match known.is_empty() {
                    true => format!("say what it means: [role.{name}] in hosts.toml"),
                    false => format!("these are said: {}", known.join(", ")),
                },
            )
        })
    }

    /// The profile of one host.
    ///
    /// # Errors
    /// `Usage` for what no installer could do, with file and line.
    pub fn profile(&self, host: &Host, base: &Profile) -> Result<Profile> {
        let profile = self.laid_over(host, base).and_then(|p| p.check().map(|()| p));
        profile.map_err(|e| e.source_name(&host.place))
    }

    fn laid_over(&self, host: &Host, base: &Profile) -> Result<Profile> {
        let role = self.role_of(host)?;
        let mut p = base.clone();
        p.install.hostname = Some(host.name.clone());
        p.network.address = address(host, &role, &base.network.address)?;
        if let Some(bond) = &mut p.network.bond {
            bond.ports = host.macs.iter().map(|m| Port::Mac(*m)).collect();
        }
        for over in [&role, &host.own] {
            let Role {
                gateway: _,
                dns: _,
                disks,
                raid1,
                unattended,
                packages,
                extra_args,
                ssh_keys,
            } = over;
            if !disks.is_empty() {
                p.install.disk.devices.clone_from(disks);
            }
            p.install.disk.raid1 = raid1.unwrap_or(p.install.disk.raid1);
            p.unattended = unattended.unwrap_or(p.unattended);
            p.install.packages.extend_from_slice(packages);
            p.extra_args.extend_from_slice(extra_args);
            p.install.ssh_keys.extend_from_slice(ssh_keys);
        }
        Ok(p)
    }

    /// The profile of a machine that nobody listed: it never installs without a question, and has no
    /// name or address that is another's.
    pub fn unlisted(base: &Profile) -> Profile {
        let mut p = base.clone();
        p.unattended = false;
        p.install.hostname = None;
        p.network.address = Address::Dhcp;
        p
    }
}

fn address(host: &Host, role: &Role, base: &Address) -> Result<Address> {
    let (gateway, dns) = match base {
        Address::Dhcp => (&None, &[][..]),
        Address::Static { gateway, dns, .. } => (gateway, &dns[..]),
    };
    let Some(address) = host.address else {
        return match base {
            Address::Static { address, .. } => {
                let message = format!(
                    "{} has no address, and the profile's {address} can't be every host's",
                    host.name
                );
                Err(Error::usage(message).hint("give it one, or method = \"dhcp\" in the profile"))
            }
            Address::Dhcp if host.own.gateway.is_some() || !host.own.dns.is_empty() => {
                Err(Error::usage(format!("{} has a gateway or dns and no address", host.name))
                    .hint("a lease brings its own: give the host an address, or leave them out"))
            }
            Address::Dhcp => Ok(Address::Dhcp),
        };
    };
    let lists = [&host.own.dns[..], &role.dns[..], dns];
    Ok(Address::Static {
        address,
        gateway: host.own.gateway.or(role.gateway).or(*gateway),
        dns: lists.into_iter().find(|l| !l.is_empty()).unwrap_or_default().to_vec(),
    })
}

/// Letters, digits, hyphens and dots, each label within RFC 1123: it is a name of files too.
fn check_name(name: &str) -> Result<()> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Error::usage(format!("\"{}\" is no host name", name.escape_debug()))
        .hint("letters, digits and inner hyphens, with dots between: node1.example.org"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const TWO: &str = "[[host]]\nname = \"a\"\nmacs = [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]\n\
                       address = \"192.0.2.11/24\"\nrole = \"db\"\n\
                       [[host]]\nname = \"b.example.org\"\nmacs = [\"52:54:00:00:00:03\"]\ndisks = [\"sda\"]\n\
                       [role.db]\ngateway = \"192.0.2.1\"\nraid1 = true\nunattended = true\npackages = [\"postgresql\"]\n";

    pub(super) fn read(text: &str) -> Result<Hosts> {
        let (hosts, _) = Hosts::from_toml(text, "hosts.toml")?;
        hosts.check().map(|()| hosts)
    }

    #[test]
    fn a_host_lies_over_its_role_and_that_over_the_profile() {
        let hosts = read(TWO).expect("hosts");
        let base = Profile::metal().expect("metal");
        let a = hosts.profile(&hosts.hosts[0], &base).expect("profile");
        assert_eq!(a.install.hostname.as_deref(), Some("a"));
        assert!(a.unattended && a.install.disk.raid1 && a.install.packages == ["postgresql"]);
        let ports: Vec<String> =
            a.network.bond.expect("bond").ports.iter().map(Port::to_string).collect();
        assert_eq!(ports, ["52:54:00:00:00:01", "52:54:00:00:00:02"]);
        let Address::Static { address, gateway, .. } = a.network.address else { panic!("static") };
        assert_eq!(
            (address.to_string(), gateway),
            ("192.0.2.11/24".into(), "192.0.2.1".parse().ok())
        );
        let b = hosts.profile(&hosts.hosts[1], &base).expect("profile");
        assert!(!b.unattended && b.install.disk.devices == ["sda"] && !b.install.disk.raid1);
        assert_eq!(b.network.address, Address::Dhcp);
    }

    #[test]
    fn a_machine_that_nobody_listed_is_asked() {
        let mut base = Profile::metal().expect("metal");
        base.unattended = true;
        base.install.hostname = Some("x".into());
        let p = Hosts::unlisted(&base);
        assert!(!p.unattended && p.install.hostname.is_none());
    }

    #[test]
    fn slips_are_told_with_their_line() {
        let base = Profile::metal().expect("metal");
        for (from, to, words) in [
            ("disks = [", "diskz = [", "hosts.toml:"),
            (
                "00:00:03",
                "00:00:02",
                "hosts.toml:6: b.example.org: MAC address 52:54:00:00:00:02 is a's already (hosts.toml:1)",
            ),
            ("\"b.example.org\"", "\"A\"", "hosts.toml:6: A: name a is a's"),
            ("disks = [\"sda\"]", "address = \"192.0.2.11/28\"", "address 192.0.2.11 is a's"),
            ("00:00:02", "00:00:01", "twice"),
            ("52:54:00:00:00:03", "53:54:00:00:00:03", "hosts.toml:6: no port has"),
            ("b.example.org", "../b", "is no host name"),
            ("b.example.org", "b..org", "is no host name"),
            ("[role.db]", "[role.bd]", "hosts.toml:1: a: there is no role \"db\""),
            ("[\"52:54:00:00:00:03\"]", "[]", "has no MAC"),
            ("disks = [\"sda\"]", "disks = [\"/dev/sda\"]", "hosts.toml:6: install.disk"),
            ("disks = [\"sda\"]", "gateway = \"192.0.2.1\"", "gateway or dns and no address"),
        ] {
            let text = TWO.replacen(from, to, 1);
            assert_ne!(text, TWO);
            let e = read(&text)
                .and_then(|hs| hs.hosts.iter().try_for_each(|h| hs.profile(h, &base).map(drop)))
                .expect_err(words);
            assert!(e.to_string().contains(words), "{words}: {e}");
        }
        assert!(read("").is_err());
    }
}
