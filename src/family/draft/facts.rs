//! What a family may know: facts of the medium, and what recipe and operator say of it.

use crate::content::path::TreePath;
use crate::model::arch::Arch;
use crate::model::cmdline::Cmdline;
use crate::model::profile::Delivery;
use serde::{Deserialize, Serialize};

/// Lines of Anaconda that count their versions, and so their kickstart commands, each by itself.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum KickstartLine {
    /// Enterprise Linux.
    #[default]
    El,
    /// Fedora.
    Fedora,
}

/// What the installer is started from, and so where the rest of it comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Route {
    /// The network: no medium is there, and what the installer reads comes from the tree.
    #[default]
    Network,
    /// The medium itself, repacked, as disc or stick: the installer finds the rest in the vendor's way.
    Medium,
}

/// Folder of ours on a repacked medium.
pub const FOLDER: &str = "isowright";

/// What a family may know about the medium.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What the installer is started from.
    pub route: Route,
    /// Which kickstart the installer reads, as the recipe says.
    pub kickstart: KickstartLine,
    /// The vendor's own mirror, a URL, as the recipe says.
    pub mirror: Option<String>,
    /// What the installer calls the product, as the recipe says.
    pub product: Option<String>,
    /// Host name where nobody knows one, as the recipe says.
    pub default_hostname: Option<String>,
    /// Further lines of a preseed, as the recipe says; `{repo}` stands for the hosted tree's URL.
    pub preseed: Vec<String>,
    /// True where the installed system's network is netplan's, as the recipe says.
    pub netplan: bool,
    /// True where the medium brings answers of its own, which ours must not replace, as the recipe says.
    pub embedded_answers: bool,
    /// As the medium says it: `9.4`, `12.5.0`.
    pub version: Option<String>,
    /// Release code name in lower case, where the medium says one: `bookworm`.
    pub codename: Option<String>,
    /// Architecture.
    pub arch: Option<Arch>,
    /// Volume id of the primary descriptor.
    pub volume_id: String,
    /// Every path on the medium, for `has`.
    pub paths: std::collections::BTreeSet<TreePath>,
    /// The URL that the tree will have, with its trailing slash, where it was fixed beforehand.
    pub base_url: Option<String>,
    /// An address to be fetched when an installation is through, where whoever serves the tree has one.
    pub done: Option<String>,
    /// The operator's own answer file for this family, if given: name and text.
    pub own_answers: Option<(String, Vec<u8>)>,
    /// True where it is a template, so that the profile's values can stand in it.
    pub own_is_template: bool,
    /// How answers must reach the installer, where the operator says so.
    pub delivery: Option<Delivery>,
    /// True where the tree serves many machines, each with answers of its own: by URL they need no
    /// initrd each.
    pub many_hosts: bool,
    /// Bytes of all that must be held in RAM by the route (stage 2, squashfs), as the recipe names it.
    pub ram_payload: u64,
    /// RAM in MiB below which the route is known to fail, by the recipe's figures; 0: unknown.
    pub ram_mib: u64,
    /// What the recipe says must be hosted; the family may find that less will do.
    pub hosted: super::Hosted,
    /// Kernel arguments of the medium's own boot entry, as they stand there.
    pub entry: Cmdline,
    /// Where the operator brings a kernel: its release, and that of the medium's own, `6.6.31-0-lts` each;
    /// empty where it can't be read.
    pub brought: Option<Brought>,
}

/// Releases of the kernel that the operator brings and of the medium's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// The operator's.
    pub release: Option<String>,
    /// The medium's.
    pub medium: Option<String>,
}

impl Brought {
    /// True where both are known and differ: the medium's modules are of no use then.
    pub fn differs(&self) -> bool {
        matches!((&self.release, &self.medium), (Some(a), Some(b)) if a != b)
    }
}

impl Facts {
    /// True where what the installer needs must come over the network.
    pub fn from_network(&self) -> bool {
        self.route == Route::Network
    }

    /// Folder of the answers, below the tree's URL or on the medium.
    pub fn answers(&self) -> &'static str {
        match (self.route, self.delivery) {
            (Route::Network, _) | (_, Some(Delivery::Url)) => "answers",
            (Route::Medium, _) => FOLDER,
        }
    }

    /// Who can read a secret that lies in the tree, or on the medium.
    pub fn readers(&self) -> &'static str {
        match self.route {
            Route::Network => "whoever can fetch the tree",
            Route::Medium => "whoever gets hold of the medium or its image",
        }
    }

    /// The medium's label as `LABEL=` of dracut wants it (`CentOS\x207\x20x86_64`): the bytes that udev
    /// does not take into `/dev/disk/by-label` are escaped (libblkid, `blkid_encode_string`). None where a
    /// label can't be told from what follows it.
    pub fn label(&self) -> Option<String> {
        if self.volume_id.is_empty() || self.volume_id.contains(':') {
            return None;
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"#+-.=@_".contains(&b);
        let escaped = |b: u8| match plain(b) {
            true => char::from(b).to_string(),
            false => format!("\\x{b:02x}"),
        };
        Some(self.volume_id.bytes().map(escaped).collect())
    }

    /// Major version: `9` of `9.4`.
    pub fn major(&self) -> Option<u32> {
        let v = self.version.as_deref()?;
        v[..v.find(|c: char| !c.is_ascii_digit()).unwrap_or(v.len())].parse().ok()
    }

    /// True where the medium has this path (in any ASCII case).
    pub fn has(&self, path: &str) -> bool {
        TreePath::new(path).is_ok_and(|p| {
            self.paths.contains(&p)
                || self.paths.iter().any(|q| q.as_bytes().eq_ignore_ascii_case(p.as_bytes()))
        })
    }
}
