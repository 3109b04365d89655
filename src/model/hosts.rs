//! The machines, one by one: `hosts.toml`, or a table of them in CSV. Each one is the profile with
//! its own name, addresses and disks laid over it.

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

/// A row of the CSV file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    hostname: String,
    macs: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    gateway: Option<String>,
    #[serde(default)]
    dns: String,
    #[serde(default)]
    disks: String,
    #[serde(default)]
    raid1: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    unattended: String,
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

    /// Adds the rows of a CSV file (RFC 4180, with a header).
    ///
    /// # Errors
    /// `Usage`, naming `name`, line and column.
    pub fn add_csv(&mut self, text: &str, name: &str) -> Result<()> {
        let hint = "`isowright recipe schema hosts` tells the columns, under \"csv\"";
        // The reader takes it for none, but counts its bytes.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = LineEnds::of(text);
        let at = |p: Option<&csv::Position>| {
            format!("{name}:{}", p.map_or(1, |p| lines.line(text, p.byte())))
        };
        let fault = |e: &csv::Error, place: String| {
            Error::usage(csv_fault(e)).source_name(place).hint(hint)
        };
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let headers = rows.headers().cloned().map_err(|e| fault(&e, at(e.position())))?;
        let mut record = csv::StringRecord::new();
        while rows.read_record(&mut record).map_err(|e| fault(&e, at(e.position())))? {
            let place = at(record.position());
            let row: Row =
                record.deserialize(Some(&headers)).map_err(|e| fault(&e, place.clone()))?;
            let host = row.host().map_err(|e| e.source_name(&place))?;
            self.hosts.push(Host { place, ..host });
        }
        Ok(())
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

impl Row {
    fn host(self) -> Result<Host> {
        let macs = list(&self.macs).map(str::parse).collect::<Result<_>>()?;
        let ip = |s: &str| {
            s.parse::<IpAddr>().map_err(|_| {
                Error::usage(format!("\"{}\" is no IP address", s.escape_debug()))
                    .hint("write it as 192.0.2.1, without a prefix")
            })
        };
        let some = |s: Option<String>| s.filter(|s| !s.is_empty());
        Ok(Host {
            name: self.hostname,
            macs,
            address: some(self.address).map(|a| a.parse()).transpose()?,
            role: some(self.role),
            own: Role {
                gateway: some(self.gateway).map(|g| ip(&g)).transpose()?,
                dns: list(&self.dns).map(ip).collect::<Result<_>>()?,
                disks: list(&self.disks).map(str::to_owned).collect(),
                raid1: truth("raid1", &self.raid1)?,
                unattended: truth("unattended", &self.unattended)?,
                ..Role::default()
            },
            place: String::new(),
        })
    }
}

/// Spreadsheets write `TRUE`, and nothing where nothing is said.
fn truth(column: &str, field: &str) -> Result<Option<bool>> {
    match field.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(Error::usage(format!("{column}: \"{}\" is no truth value", field.escape_debug()))
            .hint("true, false, in any case, or nothing: as the role and the profile say")),
    }
}

/// The values of one field.
fn list(field: &str) -> impl Iterator<Item = &str> {
    field.split(|c: char| c.is_whitespace() || c == ';').filter(|s| !s.is_empty())
}

/// Where the lines of a text end, whatever ends them. The reader's own count is one behind where that
/// is CR LF, and counts no empty lines.
struct LineEnds(Vec<usize>);

impl LineEnds {
    fn of(text: &str) -> Self {
        let b = text.as_bytes();
        let ends = |&i: &usize| b[i] == b'\n' || b[i] == b'\r' && b.get(i + 1) != Some(&b'\n');
        LineEnds((0..b.len()).filter(ends).collect())
    }

    /// The line, from 1, of the first thing at or behind `byte` that is no line's end.
    fn line(&self, text: &str, byte: u64) -> usize {
        let from = usize::try_from(byte).unwrap_or(usize::MAX).min(text.len());
        let passed = text.as_bytes()[from..].iter().take_while(|b| b"\r\n".contains(b)).count();
        self.0.partition_point(|end| *end < from + passed) + 1
    }
}

fn csv_fault(e: &csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::Deserialize { err, .. } => match err.field() {
            Some(n) => format!("field {}: {}", n + 1, err.kind()),
            None => err.kind().to_string(),
        },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header names {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "[[host]]\nname = \"a\"\nmacs = [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]\n\
                       address = \"192.0.2.11/24\"\nrole = \"db\"\n\
                       [[host]]\nname = \"b.example.org\"\nmacs = [\"52:54:00:00:00:03\"]\ndisks = [\"sda\"]\n\
                       [role.db]\ngateway = \"192.0.2.1\"\nraid1 = true\nunattended = true\npackages = [\"postgresql\"]\n";

    fn read(text: &str) -> Result<Hosts> {
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
    fn a_table_says_the_same() {
        let mut table = Hosts::default();
        let rows = "hostname,macs,address,gateway,dns,disks,raid1,role\n\
                    a,52:54:00:00:00:01;52:54:00:00:00:02,192.0.2.11/24,,,,,db\n\
                    b.example.org,52:54:00:00:00:03,,,,sda,,\n";
        table.add_csv(rows, "hosts.csv").expect("rows");
        let hosts = read(TWO).expect("hosts");
        for (x, y) in table.hosts.iter().zip(&hosts.hosts) {
            assert_eq!(x, &Host { place: x.place.clone(), ..y.clone() });
        }
        assert_eq!(table.hosts[1].place, "hosts.csv:3");
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

    #[test]
    fn slips_in_a_table_are_told_with_their_line() {
        for (rows, words) in [
            ("hostname,macs,colour\na,52:54:00:00:00:01,red\n", "hosts.csv:2: "),
            ("hostname,macs\na,52:54:00:00:00:01\nb,52:54\n", "hosts.csv:3: \"52:54\" is no MAC"),
            ("hostname\na\n", "macs"),
            ("hostname,macs\na,b,c\n", "hosts.csv:2: 3 fields where the header names 2"),
            (
                "hostname,macs,raid1\na,52:54:00:00:00:01,perhaps\n",
                "hosts.csv:2: raid1: \"perhaps\"",
            ),
            ("hostname,macs,unattended\na,52:54:00:00:00:01,Yes\n", "unattended: \"Yes\""),
            ("hostname,macs,gateway\na,52:54:00:00:00:01,192.0.2.1/24\n", "no IP address"),
        ] {
            // Whatever ends the lines, with a byte order mark or without.
            for ends in ["\n", "\r\n", "\r"] {
                let rows = rows.replace('\n', ends);
                for rows in [rows.clone(), format!("\u{feff}{rows}")] {
                    let e = Hosts::default().add_csv(&rows, "hosts.csv").expect_err(words);
                    assert!(e.to_string().contains(words), "{words}: {e}");
                    assert!(e.hint_text().is_some());
                }
            }
        }
        let gaps =
            "hostname,macs\r\n\r\na,\"52:54:00:00:00:01\r\n52:54:00:00:00:02\"\r\n\r\nb,x\r\n";
        let mut hosts = Hosts::default();
        let e = hosts.add_csv(gaps, "h.csv").expect_err("x");
        assert!(e.to_string().starts_with("h.csv:6: \"x\""), "{e}");
    }

    #[test]
    fn spreadsheets_write_truth_their_way() {
        let mut hosts = Hosts::default();
        let rows = "hostname,macs,raid1,unattended\r\na,52:54:00:00:00:01,TRUE,False\r\n\
                    b,52:54:00:00:00:02,,true\r\n";
        hosts.add_csv(rows, "h.csv").expect("rows");
        let own: Vec<_> = hosts.hosts.iter().map(|h| (h.own.raid1, h.own.unattended)).collect();
        assert_eq!(own, [(Some(true), Some(false)), (None, Some(true))]);
        assert_eq!(hosts.hosts[1].place, "h.csv:3");
    }
}
