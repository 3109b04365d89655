//! The profile: what the operator wishes for, whatever the installer. TOML in, plain data out.

use super::console::{Console, Serial};
use super::network::Network;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the operator wishes for. Each family destructures this whole, so that a new setting does
/// not compile until every family says it or refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Consoles in the kernel's order: the last one becomes /dev/console and gets the installer.
    pub console: Vec<Console>,
    /// Keep the installer in text mode.
    #[serde(default = "yes")]
    pub text: bool,
    /// Install without a question, **wiping disks**. Without it the answers leave the disks to the
    /// operator.
    #[serde(default)]
    pub unattended: bool,
    /// Further kernel arguments for the installer, each one word as the kernel splits them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
    /// Bond and address.
    #[serde(default)]
    pub network: Network,
    /// What the installed system is to be.
    #[serde(default)]
    pub install: Install,
    /// How answers reach the installer, and the operator's own in place of ours.
    #[serde(default)]
    pub answers: Answers,
    /// What goes into the initrd beside the answers.
    #[serde(default)]
    pub initrd: InitrdWish,
}

/// The installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// Host name; from DHCP or the installer's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Root's password as a crypt(3) hash (`$6$…`); locked where absent. A plain one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_password_hash: Option<String>,
    /// Root's SSH public keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// As in /usr/share/zoneinfo.
    #[serde(default = "utc")]
    pub timezone: String,
    /// As in LANG.
    #[serde(default = "lang")]
    pub locale: String,
    /// Console keymap.
    #[serde(default = "us")]
    pub keyboard: String,
    /// Packages beyond the minimum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Where packages come from, when not from the tree itself: a mirror's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Which disks it is installed on.
    #[serde(default)]
    pub disk: Disk,
}

/// Which disks the system is installed on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The disks by name, as below /dev (`disk/by-path/pci-0000:00:17.0-ata-1`, `nvme0n1`); where none is
    /// named, the smallest built-in one of [`Disk::MIN_GIB`] or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Two disks mirror each other (RAID-1): the two named, or the two smallest.
    #[serde(default)]
    pub raid1: bool,
}

impl Disk {
    /// Below this a minimal system with its boot and swap partitions does not fit, in GiB.
    pub const MIN_GIB: u64 = 8;

    /// How many disks are taken.
    pub fn count(&self) -> usize {
        if self.raid1 { 2 } else { 1 }
    }

    /// For a plan: which disks are wiped.
    pub fn words(&self) -> String {
        let min = Self::MIN_GIB;
        match (&self.devices[..], self.raid1) {
            ([], false) => format!("the smallest built-in disk of {min} GiB or more"),
            ([], true) => format!("the two smallest built-in disks of {min} GiB or more"),
            (named, _) => {
                named.iter().map(|d| format!("/dev/{d}")).collect::<Vec<_>>().join(" and ")
            }
        }
    }

    fn check(&self) -> Result<()> {
        for d in &self.devices {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+@/".contains(&b);
            if d.is_empty()
                || d.starts_with(['/', '-'])
                || d.split('/').any(|part| matches!(part, "" | "." | ".."))
                || !d.bytes().all(plain)
            {
                return Err(Error::usage(format!(
                    "install.disk: \"{}\" is no name below /dev",
                    d.escape_debug()
                ))
                .hint("write it as disk/by-path/pci-0000:00:17.0-ata-1 or nvme0n1"));
            }
        }
        if !self.devices.is_empty() && self.devices.len() != self.count() {
            return Err(Error::usage(format!(
                "install.disk names {} disks where {} wanted",
                self.devices.len(),
                if self.raid1 { "two are" } else { "one is" }
            ))
            .hint("raid1 = true takes two"));
        }
        if self.raid1 && self.devices.len() == 2 && self.devices[0] == self.devices[1] {
            return Err(Error::usage("install.disk names one disk twice"));
        }
        Ok(())
    }
}

/// How an answer file reaches the installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A file in the initrd: can't be missing, needs no URL.
    Initrd,
    /// A file beside `boot.ipxe`, named by its URL in a kernel argument.
    Url,
    /// In a kernel argument itself.
    Cmdline,
    /// A file on the medium itself, where that is what is started from.
    Medium,
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Delivery::Initrd => "initrd",
            Delivery::Url => "url",
            Delivery::Cmdline => "cmdline",
            Delivery::Medium => "medium",
        })
    }
}

/// Languages of answer files.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// Anaconda's.
    Kickstart,
    /// The Debian installer's.
    Preseed,
    /// Subiquity's, as cloud-init user-data.
    Autoinstall,
    /// YaST's.
    Autoyast,
    /// Agama's profile.
    Agama,
    /// Fedora CoreOS', RHCOS' and Flatcar's.
    Ignition,
    /// Talos' machine configuration.
    Talos,
    /// Alpine's setup-alpine answers.
    Alpine,
    /// Proxmox' answer.toml.
    Proxmox,
    /// Harvester's configuration.
    Harvester,
}

/// How answers reach the installer, and the operator's own answer files: paths relative to the profile,
/// each used where the installer reads its language. A file whose name ends in `.jinja` is a template
/// over the profile's values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Forces a way of delivery; the family's own choice where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// What the installer can't be told, and kernel modules for another kernel, become warnings in the
    /// plan, not errors.
    #[serde(default)]
    pub lenient: bool,
    /// The operator's own, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<AnswerKind, PathBuf>,
}

/// What goes into the initrd beside the answers: folders, relative to the profile. Files, folders and
/// links go in with their permission bits, owned by root; they land where the initrd's own links lead.
/// Kernel modules must be for the kernel that is started; with `answers.lenient` those that are not
/// become a warning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitrdWish {
    /// Goes in as it lies there: `lib/modules/6.1.0-50-amd64/extra/x.ko`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<PathBuf>,
    /// Goes in below lib/firmware, where the kernel looks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<PathBuf>,
}

fn yes() -> bool {
    true
}
fn utc() -> String {
    "Etc/UTC".into()
}
fn lang() -> String {
    "en_US.UTF-8".into()
}
fn us() -> String {
    "us".into()
}

impl Install {
    /// The settings that say something, by name: what a system that installs nothing can't heed.
    pub fn said(&self) -> Vec<&'static str> {
        let Install {
            hostname,
            root_password_hash,
            ssh_keys,
            timezone,
            locale,
            keyboard,
            packages,
            mirror,
            disk,
        } = self;
        [
            ("hostname", hostname.is_some()),
            ("root_password_hash", root_password_hash.is_some()),
            ("ssh_keys", !ssh_keys.is_empty()),
            ("timezone", *timezone != utc()),
            ("locale", *locale != lang()),
            ("keyboard", *keyboard != us()),
            ("packages", !packages.is_empty()),
            ("mirror", mirror.is_some()),
            ("disk", *disk != Disk::default()),
        ]
        .into_iter()
        .filter_map(|(name, said)| said.then_some(name))
        .collect()
    }
}

impl Default for Install {
    fn default() -> Self {
        Install {
            hostname: None,
            root_password_hash: None,
            ssh_keys: vec![],
            timezone: utc(),
            locale: lang(),
            keyboard: us(),
            packages: vec![],
            mirror: None,
            disk: Disk::default(),
        }
    }
}

/// The bundled default, as the user would write it.
pub const METAL: &str = include_str!("../../profiles/metal.toml");

impl Profile {
    /// Reads a profile and checks it.
    ///
    /// # Errors
    /// `Usage`, naming `name`, line and field.
    pub fn from_toml(text: &str, name: &str) -> Result<Self> {
        let p: Profile = toml::from_str(text).map_err(|e| {
            let line =
                e.span().map_or(0, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            Error::usage(e.message().replace('\n', " "))
                .source_name(format!("{name}:{line}"))
                .hint("`isowright recipe schema profile` lists the fields")
        })?;
        p.check().map_err(|e| e.source_name(name))?;
        Ok(p)
    }

    /// The bundled `metal` profile.
    ///
    /// # Errors
    /// Never, as a test shows.
    pub fn metal() -> Result<Self> {
        Self::from_toml(METAL, "metal")
    }

    /// The serial port among the consoles that the operator watches: the last one.
    pub fn serial(&self) -> Option<&Serial> {
        self.console.iter().rev().find_map(Console::serial)
    }

    /// # Errors
    /// `Usage` for what no installer could do.
    pub fn check(&self) -> Result<()> {
        self.network.check()?;
        self.install.disk.check()?;
        for (i, c) in self.console.iter().enumerate() {
            if self.console[..i].contains(c) {
                return Err(Error::usage(format!("console {c} stands there twice")));
            }
        }
        if let Some(h) = &self.install.root_password_hash
            && !(h.starts_with('$')
                && h.matches('$').count() >= 3
                && h.is_ascii()
                && !h.contains(|c: char| c.is_whitespace() || c == '"' || c == '\''))
        {
            return Err(Error::usage("root_password_hash is not a crypt(3) hash")
                .hint("make one with `openssl passwd -6`; a plain password is never taken"));
        }
        if let Some(h) = &self.install.hostname
            && (h.is_empty()
                || h.len() > 253
                || !h.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')))
        {
            return Err(Error::usage(format!("\"{h}\" is no host name")));
        }
        for (what, v) in [
            ("timezone", &self.install.timezone),
            ("locale", &self.install.locale),
            ("keyboard", &self.install.keyboard),
        ] {
            if v.is_empty()
                || !v.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./+@".contains(&b))
            {
                return Err(Error::usage(format!(
                    "{what} \"{v}\" has characters that no {what} has"
                )));
            }
        }
        for p in &self.install.packages {
            if p.is_empty()
                || !p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+@^:*".contains(&b))
            {
                return Err(Error::usage(format!("\"{p}\" is no package name")));
            }
        }
        for k in &self.install.ssh_keys {
            if k.contains(['\n', '\r', '"', '\'', '\\', '$', '`'])
                || k.split_whitespace().count() < 2
            {
                return Err(Error::usage(
                    "an SSH key is not one line of \"type base64 [comment]\"",
                ));
            }
        }
        if let Some(m) = &self.install.mirror
            && !((m.starts_with("http://") || m.starts_with("https://"))
                && m.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\`$".contains(&b)))
        {
            return Err(Error::usage(format!("mirror \"{m}\" is no http(s) URL")));
        }
        for a in &self.extra_args {
            if a.is_empty() || a.bytes().any(|b| b < 0x20 || b == 0x7f) {
                return Err(Error::usage(format!(
                    "extra_args: \"{}\" is no kernel argument",
                    a.escape_debug()
                )));
            }
            if let Some(hint) = said_elsewhere(a) {
                let message = format!("extra_args: \"{}\" is not said here", a.escape_debug());
                return Err(Error::usage(message).hint(hint));
            }
        }
        Ok(())
    }
}

/// Where to say what `extra_args` must not: each of these would come beside the word that a field of
/// its own gives, and who wins is the kernel's, dracut's or the boot loader's affair.
fn said_elsewhere(arg: &str) -> Option<&'static str> {
    let word = arg.trim().trim_start_matches('"');
    match word.split_once('=').map_or(word, |(key, _)| key).trim_end_matches('"') {
        "console" => Some("give consoles in `console`, the last one gets the installer"),
        "initrd" => Some("the medium or `netboot.initrd` in the job names the initrd"),
        "BOOT_IMAGE" => Some("leave it out: the boot loader adds it"),
        "--" | "---" => {
            Some("leave it out: what is meant for the installed system stands in `console`")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metal_says_what_the_mission_says() {
        let p = Profile::metal().expect("bundled profile");
        let c: Vec<String> = p.console.iter().map(|c| c.to_string()).collect();
        assert_eq!(c, ["tty0", "ttyS1,115200n8"]);
        let b = p.network.bond.expect("bond");
        let o: Vec<String> = b.options().iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(o.join(","), "mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4");
        assert!(p.text && !p.unattended);
    }

    #[test]
    fn a_typo_is_told_with_its_line() {
        let e = Profile::from_toml("console = [\"tty0\"]\nunatended = true\n", "p.toml")
            .expect_err("typo");
        assert!(e.to_string().starts_with("p.toml:2: unknown field `unatended`"), "{e}");
    }

    #[test]
    fn extra_args_say_nothing_that_has_its_own_field() {
        for (word, field) in [
            ("console=ttyS0", "`console`"),
            ("console", "`console`"),
            ("\\\"console=ttyS0\\\"", "`console`"),
            ("initrd=/x", "`netboot.initrd`"),
            ("BOOT_IMAGE=x", "boot loader"),
            ("--", "leave it out"),
            ("---", "leave it out"),
        ] {
            let text = format!("console = []\nextra_args = [\"{word}\"]\n");
            let e = Profile::from_toml(&text, "p").expect_err(word);
            assert!(e.hint_text().expect(word).contains(field), "{word}: {e}");
        }
        let fine =
            "console = []\nextra_args = [\"bonding.debug=1\", \"consoleblank=0\", \"a--b\"]\n";
        assert!(Profile::from_toml(fine, "p").is_ok());
    }

    #[test]
    fn the_network_is_checked_with_the_profile() {
        let text = "console = []\n[network.address]\nmethod = \"static\"\n\
                    address = \"192.0.2.10/24\"\ngateway = \"2001:db8::1\"\n";
        assert!(Profile::from_toml(text, "p").is_err());
    }

    #[test]
    fn a_plain_password_is_refused() {
        let e =
            Profile::from_toml("console = []\n[install]\nroot_password_hash = \"hunter2\"\n", "p")
                .expect_err("plain");
        assert!(!e.to_string().contains("hunter2"), "the secret is not echoed: {e}");
    }
}
