//! Ignition configurations, spec 3.x: the part that every version from 3.2 on has, and kernel arguments
//! from 3.3 on.
//!
//! Source: the configuration specifications 3.2.0, 3.3.0 and 3.4.0 of the Ignition project, and RFC
//! 2397 for `data:` URLs. Of disks only CoreOS' mirror is written, as butane's specification of
//! `boot_device.mirror` has it. Not written: LUKS, groups, remote resources.

use crate::error::{Error, ErrorKind, Result};
use serde::Serialize;
use std::fmt::Write;

/// Versions of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Version {
    /// OpenShift 4.7 on.
    #[serde(rename = "3.2.0")]
    V3_2,
    /// Ignition 2.11 on: kernel arguments.
    #[serde(rename = "3.3.0")]
    V3_3,
    /// Ignition 2.15 on.
    #[serde(rename = "3.4.0")]
    V3_4,
}

/// A configuration.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    ignition: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_arguments: Option<KernelArguments>,
    #[serde(skip_serializing_if = "Passwd::is_empty")]
    passwd: Passwd,
    #[serde(skip_serializing_if = "Storage::is_empty")]
    storage: Storage,
    #[serde(skip_serializing_if = "Systemd::is_empty")]
    systemd: Systemd,
}

#[derive(Debug, Clone, Serialize)]
struct Header {
    version: Version,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct KernelArguments {
    should_exist: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Passwd {
    users: Vec<User>,
}

/// A user; one of that name that the image has is changed.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Name.
    pub name: String,
    /// As in crypt(3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Public keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Storage {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disks: Vec<DiskTable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raid: Vec<Raid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filesystems: Vec<Filesystem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DiskTable {
    device: String,
    wipe_table: bool,
    partitions: Vec<Partition>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    label: String,
    /// What is left, where absent.
    #[serde(rename = "sizeMiB", skip_serializing_if = "Option::is_none")]
    size_mib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_guid: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
struct Raid {
    name: String,
    level: &'static str,
    devices: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Filesystem {
    device: String,
    format: &'static str,
    label: String,
    wipe_filesystem: bool,
}

#[derive(Debug, Clone, Serialize)]
struct File {
    path: String,
    /// Permission bits, in decimal as JSON has it.
    mode: u32,
    overwrite: bool,
    contents: Contents,
}

#[derive(Debug, Clone, Serialize)]
struct Contents {
    source: String,
}

#[derive(Debug, Clone, Serialize)]
struct Link {
    path: String,
    target: String,
    overwrite: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Systemd {
    units: Vec<Unit>,
}

/// A systemd unit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unit {
    /// Name with its suffix.
    pub name: String,
    /// Whether it starts; as the image has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Its text; none where only drop-ins are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// What is added to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropins: Vec<Dropin>,
}

/// An addition to a unit.
#[derive(Debug, Clone, Serialize)]
pub struct Dropin {
    /// File name, ending in `.conf`.
    pub name: String,
    /// Its text.
    pub contents: String,
}

impl Passwd {
    fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl Storage {
    fn is_empty(&self) -> bool {
        let Storage { disks, raid, filesystems, files, links } = self;
        disks.is_empty()
            && raid.is_empty()
            && filesystems.is_empty()
            && files.is_empty()
            && links.is_empty()
    }
}

impl Systemd {
    fn is_empty(&self) -> bool {
        self.units.is_empty()
    }
}

impl Config {
    /// One that changes nothing.
    pub fn new(version: Version) -> Self {
        Config {
            ignition: Header { version },
            kernel_arguments: None,
            passwd: Passwd::default(),
            storage: Storage::default(),
            systemd: Systemd::default(),
        }
    }

    /// Kernel arguments that the installed system must have; they cost a second start. Only from 3.3
    /// on.
    pub fn kernel_arguments(&mut self, words: Vec<String>) {
        if !words.is_empty() {
            self.kernel_arguments = Some(KernelArguments { should_exist: words });
        }
    }

    /// Changes or adds a user.
    pub fn user(&mut self, user: User) {
        self.passwd.users.push(user);
    }

    /// Writes a file, over one that is there; `path` without the leading `/`.
    pub fn file(&mut self, path: &str, mode: u32, text: &str) {
        self.storage.files.push(File {
            path: format!("/{path}"),
            mode,
            overwrite: true,
            contents: Contents { source: data_url(text) },
        });
    }

    /// Makes a symbolic link, over what is there; `path` without the leading `/`.
    pub fn link(&mut self, path: &str, target: &str) {
        let path = format!("/{path}");
        self.storage.links.push(Link { path, target: target.to_owned(), overwrite: true });
    }

    /// Mirrors CoreOS' boot and root filesystems over two disks, which are wiped; each disk can start the
    /// machine. The first start copies the system there, through memory.
    pub fn mirror(&mut self, devices: [&str; 2]) {
        const BIOS: &str = "21686148-6449-6E6F-744E-656564454649";
        const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
        let by_label = |label: &str| format!("/dev/disk/by-partlabel/{label}");
        for (i, device) in devices.iter().enumerate() {
            let n = i + 1;
            let part = |label: &str, size_mib, type_guid| Partition {
                label: format!("{label}-{n}"),
                size_mib,
                type_guid,
            };
            self.storage.disks.push(DiskTable {
                device: (*device).to_owned(),
                wipe_table: true,
                partitions: vec![
                    part("bios", Some(1), Some(BIOS)),
                    part("esp", Some(127), Some(ESP)),
                    part("boot", Some(384), None),
                    part("root", None, None),
                ],
            });
            self.storage.filesystems.push(Filesystem {
                device: by_label(&format!("esp-{n}")),
                format: "vfat",
                label: format!("esp-{n}"),
                wipe_filesystem: true,
            });
        }
        // GRUB reads /boot without knowing of arrays: the old superblock lies at the end.
        for (label, format, options) in
            [("boot", "ext4", vec!["--metadata=1.0"]), ("root", "xfs", vec![])]
        {
            self.storage.raid.push(Raid {
                name: format!("md-{label}"),
                level: "raid1",
                devices: (1..=2).map(|n| by_label(&format!("{label}-{n}"))).collect(),
                options,
            });
            self.storage.filesystems.push(Filesystem {
                device: format!("/dev/md/md-{label}"),
                format,
                label: label.to_owned(),
                wipe_filesystem: true,
            });
        }
    }

    /// Adds a unit.
    pub fn unit(&mut self, unit: Unit) {
        self.systemd.units.push(unit);
    }

    /// As JSON for people.
    ///
    /// # Errors
    /// Never, for all of it can be said in JSON.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map(|t| t + "\n").map_err(wrong)
    }

    /// As JSON in one line, for a place in another configuration.
    ///
    /// # Errors
    /// As [`Config::to_text`].
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(wrong)
    }
}

fn wrong(e: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unsupported, "the Ignition configuration").because(e)
}

/// `data:,…` (RFC 2397). What stands for itself there: RFC 2396's unreserved characters, and `/` and `:`,
/// so that scripts stay half legible.
fn data_url(text: &str) -> String {
    let mut s = String::from("data:,");
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.!~*'()/:".contains(&b) {
            s.push(char::from(b));
        } else {
            let _ = write!(s, "%{b:02X}");
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_ride_in_data_urls() {
        assert_eq!(data_url("a b\n#ü"), "data:,a%20b%0A%23%C3%BC");
    }

    #[test]
    fn what_is_not_said_does_not_stand_there() {
        let text = Config::new(Version::V3_2).to_text().expect("text");
        assert_eq!(text, "{\n  \"ignition\": {\n    \"version\": \"3.2.0\"\n  }\n}\n");
    }
}
