//! Alpine's answers: the file for setup-alpine, and the overlay (apkovl) that brings it and the network
//! into the system in memory. Emitted, never read.
//!
//! alpine-conf: setup-alpine(8), setup-disk(8), and its tests for `-n`, `-z` and `-c`, which old and new
//! versions take. mkinitfs, initramfs-init: the overlay is a tar.gz that is unpacked over the new root
//! before its packages come, `etc/apk/world` among them; with one, no boot service is on by itself.
//! The bond is made by a script of ours: busybox' ifup leaves it to aports' main/bonding, ifupdown-ng
//! hands those scripts no ports (`IF_BOND_MEMBERS`, not `IF_BOND_SLAVES`), and its own part is a stub there.

use super::answers::{GrubDefaults, choose_disks, render};
use super::kickstart::RootPassword;
use crate::error::{Error, ErrorKind, Result};
use crate::model::console::{Console, Serial};
use crate::model::network::{Address, Bond, Network, Port};
use crate::model::profile::Disk;
use flate2::{Compression, GzBuilder};
use serde_json::json;
use std::io::Write;
use std::net::IpAddr;

/// The variables that setup-alpine takes from an answer file (setup-alpine(8), "Answer file").
pub const VARIABLES: [&str; 18] = [
    "KEYMAPOPTS",
    "HOSTNAMEOPTS",
    "DEVDOPTS",
    "INTERFACESOPTS",
    "WIFIOPTS",
    "DNSOPTS",
    "TIMEZONEOPTS",
    "PROXYOPTS",
    "APKREPOSOPTS",
    "USEROPTS",
    "USERSSHKEY",
    "SSHDOPTS",
    "ROOTSSHKEY",
    "NTPOPTS",
    "DISKOPTS",
    "LBUOPTS",
    "APKCACHEOPTS",
    "XENDOM0OPTS",
];

/// What the answers and the overlay say.
#[derive(Debug, Clone)]
pub struct Alpine<'a> {
    /// Wipe the chosen disks and install without a question.
    pub unattended: bool,
    /// Console keymap.
    pub keyboard: &'a str,
    /// As in /usr/share/zoneinfo.
    pub timezone: &'a str,
    /// Bond and address.
    pub network: &'a Network,
    /// Host name, with or without a domain.
    pub hostname: Option<&'a str>,
    /// Lines of /etc/apk/repositories; the first of Alpine's own mirrors where there is none.
    pub repositories: &'a [String],
    /// Packages beyond the minimum.
    pub packages: &'a [String],
    /// Root's password.
    pub root: RootPassword,
    /// Root's SSH public keys.
    pub ssh_keys: &'a [String],
    /// Where to install, if unattended.
    pub disk: &'a Disk,
    /// Consoles of the installed system.
    pub consoles: &'a [Console],
    /// The installed GRUB's terminal.
    pub grub: Option<GrubDefaults>,
    /// The operator's own answer file, in place of ours: disks are its affair then.
    pub own: Option<&'a [u8]>,
}

const BOND: &str = "etc/isowright/bond";

/// Boot services of a system in memory, by runlevel (aports, scripts/genapkovl-dhcp.sh).
const SERVICES: [(&str, &[&str]); 3] = [
    ("sysinit", &["devfs", "dmesg", "mdev", "hwdrivers", "modloop"]),
    ("boot", &["hwclock", "modules", "sysctl", "hostname", "bootmisc", "syslog"]),
    ("shutdown", &["mount-ro", "killprocs", "savecache"]),
];

impl Alpine<'_> {
    /// The answer file.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn answers(&self) -> Result<String> {
        // "de-nodeadkeys": the layout comes first, then the variant whole.
        let layout = self.keyboard.split('-').next().unwrap_or(self.keyboard);
        let repositories = match self.repositories {
            [] => "-1".to_owned(),
            lines => lines.join(" "),
        };
        render(
            "alpine-answers",
            include_str!("../../templates/alpine-answers.jinja"),
            json!({
                "keymap": format!("{layout} {}", self.keyboard),
                "hostname": self.host(),
                "bond": self.network.bond.is_some(),
                "interfaces": self.interfaces()?,
                "dns": self.dns(),
                "timezone": self.timezone,
                "repositories": repositories,
                "unattended": self.unattended,
            }),
        )
    }

    /// setup-hostname's own rule: no dots, no capitals.
    fn host(&self) -> Option<String> {
        Some(self.hostname?.split('.').next()?.to_ascii_lowercase())
    }

    fn dns(&self) -> String {
        let domain = self.hostname.and_then(|h| h.split_once('.')).map(|(_, d)| d);
        match &self.network.address {
            Address::Static { dns, .. } if !dns.is_empty() => {
                let servers: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
                let domain = domain.map(|d| format!("-d {d} ")).unwrap_or_default();
                format!("{domain}{}", servers.join(" "))
            }
            _ => "none".into(),
        }
    }

    /// `/etc/network/interfaces`; without a bond the port is the shell variable of the answer file.
    fn interfaces(&self) -> Result<String> {
        let mut lines = Vec::new();
        let (family, method) = match &self.network.address {
            Address::Dhcp => ("inet", "dhcp"),
            Address::Static { address, gateway, dns: _ } => {
                lines.push(format!("address {}", address.addr));
                lines.push(format!("netmask {}", address.netmask()));
                lines.extend(gateway.map(|g| format!("gateway {g}")));
                (if address.addr.is_ipv4() { "inet" } else { "inet6" }, "static")
            }
        };
        if self.network.bond.is_some() {
            lines.insert(0, format!("pre-up /{BOND}"));
        }
        render(
            "alpine-interfaces",
            include_str!("../../templates/alpine-interfaces.jinja"),
            json!({
                "device": self.network.bond.as_ref().map_or("${port:-eth0}", |b| b.name.as_str()),
                "family": family,
                "method": method,
                "lines": lines,
            }),
        )
    }

    /// What brings the bond up.
    fn bond(b: &Bond) -> Result<String> {
        let ports: Vec<String> = b.ports.iter().map(Port::to_string).collect();
        render(
            "alpine-bond",
            include_str!("../../templates/alpine-bond.sh.jinja"),
            json!({
                "name": b.name,
                "options": b.options(),
                "mtu": b.mtu,
                "ports": ports.join(" "),
                "macs": b.ports.iter().any(|p| matches!(p, Port::Mac(_))),
            }),
        )
    }

    /// The script that sets root's password in the system in memory and, if unattended, installs;
    /// `None` where there is nothing to do.
    fn start(&self) -> Result<Option<String>> {
        let password = match &self.root {
            RootPassword::Hash(h) => Some(h),
            RootPassword::Locked | RootPassword::Ask => None,
        };
        if password.is_none() && !self.unattended {
            return Ok(None);
        }
        let serial: Vec<&Serial> = self.consoles.iter().filter_map(Console::serial).collect();
        let consoles: Vec<String> = self.consoles.iter().map(|c| format!("console={c}")).collect();
        let text = render(
            "alpine-start",
            include_str!("../../templates/alpine-start.sh.jinja"),
            json!({
                "password": password,
                "locked": self.root == RootPassword::Locked,
                "unattended": self.unattended,
                "own": self.own.is_some(),
                "choose": choose_disks(self.disk)?,
                "packages": self.packages.join(" "),
                "getty": serial.iter().map(|s| json!({ "tty": s.tty(), "baud": s.baud })).collect::<Vec<_>>(),
                "kernelopts": consoles.join(" "),
            }),
        )?;
        Ok(Some(text))
    }

    /// The overlay, byte for byte the same for the same answers.
    ///
    /// # Errors
    /// Only where a template of ours is wrong.
    pub fn apkovl(&self) -> Result<Vec<u8>> {
        let mut tar = Overlay::new();
        if let Some(h) = self.host() {
            tar.file("etc/hostname", 0o644, format!("{h}\n").as_bytes())?;
        }
        let answers = self.answers()?;
        tar.file("etc/isowright/answers", 0o600, self.own.unwrap_or(answers.as_bytes()))?;
        if let Some(b) = &self.network.bond {
            tar.file(BOND, 0o755, Self::bond(b)?.as_bytes())?;
            tar.file("etc/network/interfaces", 0o644, self.interfaces()?.as_bytes())?;
            tar.service("boot", "networking")?;
        }
        if let Address::Static { dns, .. } = &self.network.address {
            let lines: String = dns.iter().map(|d| format!("nameserver {d}\n")).collect();
            tar.file("etc/resolv.conf", 0o644, lines.as_bytes())?;
        }
        tar.file("etc/apk/world", 0o644, b"alpine-base\nopenssh\n")?;
        for (runlevel, services) in SERVICES {
            for s in services {
                tar.service(runlevel, s)?;
            }
        }
        tar.service("default", "sshd")?;
        if let Some(script) = self.start()? {
            tar.file("etc/local.d/isowright.start", 0o755, script.as_bytes())?;
            tar.service("default", "local")?;
        }
        if let Some(g) = &self.grub {
            let template = include_str!("../../templates/alpine-grub.sh.jinja");
            let script = render("alpine-grub", template, g)?;
            tar.file("etc/grub.d/01_isowright", 0o755, script.as_bytes())?;
        }
        if !self.ssh_keys.is_empty() {
            let keys = self.ssh_keys.join("\n") + "\n";
            tar.file("root/.ssh/authorized_keys", 0o600, keys.as_bytes())?;
            // What is outside of /etc goes to the disk only where it is said.
            tar.file("etc/apk/protected_paths.d/lbu.list", 0o644, b"+root/.ssh\n")?;
        }
        tar.finish()
    }
}

/// A tar.gz whose folders stand before what is in them; all of it root's, and of 1970.
struct Overlay {
    tar: tar::Builder<Vec<u8>>,
    folders: std::collections::BTreeSet<String>,
}

impl Overlay {
    fn new() -> Self {
        Overlay { tar: tar::Builder::new(Vec::new()), folders: Default::default() }
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.parents(path)?;
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).map_err(wrong)
    }

    /// A link, as rc-update makes it.
    fn service(&mut self, runlevel: &str, name: &str) -> Result<()> {
        let path = format!("etc/runlevels/{runlevel}/{name}");
        self.parents(&path)?;
        let mut header = header(tar::EntryType::Symlink, 0o777);
        self.tar.append_link(&mut header, path, format!("/etc/init.d/{name}")).map_err(wrong)
    }

    fn parents(&mut self, path: &str) -> Result<()> {
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if self.folders.insert(folder.to_owned()) {
                // sshd wants root's own folder closed to others.
                let mode = if folder.starts_with("root") { 0o700 } else { 0o755 };
                let mut header = header(tar::EntryType::Directory, mode);
                self.tar
                    .append_data(&mut header, format!("{folder}/"), std::io::empty())
                    .map_err(wrong)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        let bytes = self.tar.into_inner().map_err(wrong)?;
        let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        gz.write_all(&bytes).map_err(wrong)?;
        gz.finish().map_err(wrong)
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut h = tar::Header::new_ustar();
    h.set_entry_type(kind);
    h.set_mode(mode);
    h.set_uid(0);
    h.set_gid(0);
    h.set_mtime(0);
    h.set_size(0);
    h
}

fn wrong(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Unsupported, "the overlay can't be written").because(e)
}
