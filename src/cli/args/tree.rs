//! Arguments of `plan` and `build`.

use crate::content::copy::Digest;
use crate::model::profile::Delivery;
use crate::recipe::source::FileOrUrl;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What is wished for: `plan`, `build` and `image` share it.
#[derive(Debug, Clone, Args)]
pub struct Said {
    /// Profile; the bundled "metal" where absent
    #[arg(short, long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Console, kernel spelling; last gets the installer; replaces the profile's
    #[arg(long, value_name = "ttyS1,115200n8")]
    pub console: Vec<String>,
    /// Install without a question and WIPE the disks
    #[arg(long)]
    pub unattended: bool,
    /// Your own answer file (kickstart, preseed …), in place of ours;
    /// one that ends in .jinja is a template over the profile
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// How answers reach the installer; its usual way where absent
    #[arg(long, value_name = "WAY")]
    pub delivery: Option<Way>,
    /// Warn of what the installer can't be told, instead of stopping
    #[arg(long)]
    pub lenient: bool,
    /// URL the tree will have, where known beforehand
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Recipe to use, instead of the one that matches
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
    /// Folder of recipes that override the bundled ones
    #[arg(long, value_name = "DIR")]
    pub recipes: Option<PathBuf>,
    /// What the ISO must be
    #[command(flatten)]
    pub trust: Trust,
}

/// What an ISO must be.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What the ISO must be")]
pub struct Trust {
    /// Refuse an ISO with another SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<Digest>,
    /// The vendor's list of checksums (SHA-256 or SHA-512) that has the ISO
    #[arg(long, value_name = "LIST", value_parser = super::file_or_url())]
    pub checksums: Option<FileOrUrl>,
    /// The list's OpenPGP signature; in the list or beside it where absent
    #[arg(long, value_name = "SIGNATURE", value_parser = super::file_or_url())]
    pub signature: Option<FileOrUrl>,
    /// The vendor's OpenPGP key, which must have signed the list; several
    /// times for several
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Read all of an ISO by URL and compare it, also where a part would do
    #[arg(long)]
    pub verify_whole: bool,
}

/// What `plan`, `build` and `publish` share.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The ISO (a path or a URL), or a recipe file (.toml) that names it
    #[arg(value_parser = super::file_or_url())]
    pub source: FileOrUrl,
    /// What is wanted
    #[command(flatten)]
    pub wanted: Wanted,
}

/// What is wanted of a tree.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// What all share
    #[command(flatten)]
    pub said: Said,
    /// Machines by MAC address (hosts.toml, or a table in CSV): each gets
    /// answers of its own, and any other machine is left alone
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// Host the whole medium below repo/
    #[arg(long, conflicts_with = "boot_only")]
    pub full_tree: bool,
    /// Kernel, initrd and boot files only
    #[arg(long)]
    pub boot_only: bool,
    /// Kernel that stands in for the medium's (Debian's netboot linux)
    #[arg(long, value_name = "FILE", requires = "netboot_initrd")]
    pub netboot_kernel: Option<PathBuf>,
    /// Initrd that stands in for the medium's (Debian's netboot initrd.gz)
    #[arg(long, value_name = "FILE", requires = "netboot_kernel")]
    pub netboot_initrd: Option<PathBuf>,
    /// Boot entry to start from, as inspect lists it
    #[arg(long, value_name = "ID")]
    pub entry: Option<String>,
}

/// Several recipe files in one run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Many recipe files")]
pub struct Matrix {
    /// Take a share of the jobs: I of N, counted from 1; /N takes I from
    /// JOB_COMPLETION_INDEX, as Kubernetes sets it
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Print the jobs as JSON for a CI's matrix; do nothing
    #[arg(long)]
    pub matrix: bool,
}

/// Who signs.
#[derive(Debug, Args)]
pub struct Signing {
    /// Write CMS signatures (FILE.sig) with this RSA key (PEM) for the boot
    /// files, the answers and the manifest
    #[arg(long, value_name = "KEY.PEM")]
    pub sign: Option<PathBuf>,
    /// The key's certificate (PEM) and those that lead to a root; in the key's
    /// own file where absent
    #[arg(long, value_name = "CERT.PEM", requires = "sign")]
    pub cert: Option<PathBuf>,
    /// Have boot.ipxe check kernel and initrd by their signatures; an iPXE
    /// without imgverify, which is most of them, then starts nothing
    #[arg(long, requires = "sign")]
    pub imgverify: bool,
}

/// How answers reach the installer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    /// A file in the initrd
    Initrd,
    /// A file beside boot.ipxe, by its URL
    Url,
    /// In the kernel arguments
    Cmdline,
    /// A file on the repacked medium
    Medium,
}

impl From<Way> for Delivery {
    fn from(w: Way) -> Self {
        match w {
            Way::Initrd => Delivery::Initrd,
            Way::Url => Delivery::Url,
            Way::Cmdline => Delivery::Cmdline,
            Way::Medium => Delivery::Medium,
        }
    }
}

/// `plan`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright plan some.iso
  isowright plan some.iso -p rack7.toml --unattended --all
  isowright plan some.iso --hosts hosts.toml
  isowright plan recipe.toml --json")]
pub struct PlanArgs {
    /// What to plan for
    #[command(flatten)]
    pub source: Source,
    /// List each hosted file
    #[arg(long)]
    pub all: bool,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `build`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright build some.iso -o /srv/http/some
  isowright build some.iso -p rack7.toml -o out --boot-only
  isowright build recipe.toml
  isowright build recipes/*.toml
  isowright build debian.iso -o out --netboot-kernel linux \\
      --netboot-initrd initrd.gz
  isowright build some.iso -o out --sign key.pem --cert cert.pem

A second run into the same folder writes only what is missing.")]
pub struct Build {
    /// What to build
    #[command(flatten)]
    pub source: Source,
    /// More recipe files: each is a job; one that fails does not stop the others
    #[arg(value_name = "RECIPE")]
    pub more: Vec<PathBuf>,
    /// Many jobs
    #[command(flatten)]
    pub matrix: Matrix,
    /// Folder of the tree; a recipe file may name it instead
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Who signs it
    #[command(flatten)]
    pub signing: Signing,
    /// Show the plan; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: the manifest
    #[arg(long)]
    pub json: bool,
}
