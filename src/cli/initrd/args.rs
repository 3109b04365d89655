//! The `initrd` verbs as typed.

use crate::format::compress::Codec;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `initrd …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  isowright initrd inspect initrd.img
  isowright initrd append initrd.gz --add preseed.cfg -o new.gz
  isowright initrd repack initrd.img --codec zstd -o new.img")]
pub enum InitrdVerb {
    /// Its segments as the kernel sees them
    Inspect(Inspect),
    /// List what is in it
    Ls(Ls),
    /// Print one file of it
    Cat(Cat),
    /// Write what is in it to a folder
    Extract(Extract),
    /// Add files behind it; its own bytes stay as they are
    Append(Append),
    /// Make it anew: drop, replace, compress otherwise
    Repack(Repack),
}

impl InitrdVerb {
    /// True for a verb that tidies up after Ctrl-C.
    pub fn asks_to_stop(&self) -> bool {
        !matches!(self, InitrdVerb::Inspect(_) | InitrdVerb::Ls(_))
    }
}

/// `initrd inspect`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  isowright initrd inspect initrd.img --json | jq '.segments[].codec'")]
pub struct Inspect {
    /// The initrd
    pub file: PathBuf,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `initrd ls`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright initrd ls initrd.img
  isowright initrd ls -l initrd.img usr/lib/modules")]
pub struct Ls {
    /// The initrd
    pub file: PathBuf,
    /// A folder or file in it; all where absent
    pub path: Option<String>,
    /// Type, mode, owner, size, link target
    #[arg(short, long)]
    pub long: bool,
    /// For machines: an array
    #[arg(long)]
    pub json: bool,
}

/// `initrd cat`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  isowright initrd cat initrd.img etc/hostname")]
pub struct Cat {
    /// The initrd
    pub file: PathBuf,
    /// A file in it; links are followed
    pub path: String,
}

/// `initrd extract`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright initrd extract initrd.img -o out
  isowright initrd extract initrd.img etc 'usr/lib/**/*.conf' -o out

Devices are made and owners set by root only.")]
pub struct Extract {
    /// The initrd
    pub file: PathBuf,
    /// Files, folders or globs in it; all where absent
    pub paths: Vec<String>,
    /// Folder to write to; made where missing
    #[arg(short, long, value_name = "DIR", required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// List what would be written; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `initrd append`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright initrd append initrd.gz --add preseed.cfg -o new.gz
  isowright initrd append initrd.img --add 90-net.sh:lib/hooks/net.sh \\
      --folder overlay -o new.img

Folders that are links in the initrd are followed. A file that would change
what something is (a file over a folder) is refused.")]
pub struct Append {
    /// The initrd
    pub file: PathBuf,
    /// A file to add, and where to; at the top where absent
    #[arg(long, value_name = "SRC[:DEST]", required_unless_present = "folder")]
    pub add: Vec<String>,
    /// A folder whose content is added
    #[arg(long, value_name = "DIR")]
    pub folder: Vec<PathBuf>,
    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// List what would be added; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `initrd repack`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright initrd repack initrd.gz --codec zstd --level 19 -o new.zst
  isowright initrd repack initrd.img --drop 'usr/lib/firmware/**' \\
      --replace etc/hostname=name -o new.img

Microcode stays as it is in front. Same initrd and options, same bytes.")]
pub struct Repack {
    /// The initrd
    pub file: PathBuf,
    /// Compression; the initrd's own where absent
    #[arg(long, value_enum)]
    pub codec: Option<Compression>,
    /// Its level
    #[arg(long, value_name = "N")]
    pub level: Option<u32>,
    /// What must go: paths, folders or globs
    #[arg(long, value_name = "GLOB")]
    pub drop: Vec<String>,
    /// A file that gets other bytes
    #[arg(long, value_name = "PATH=FILE")]
    pub replace: Vec<String>,
    /// Make identical files hard links of each other
    #[arg(long)]
    pub link_identical: bool,
    /// Threads for zstd and xz; one per processor where absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "dry_run")]
    pub output: Option<PathBuf>,
    /// Tell what would come out; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: what was done
    #[arg(long)]
    pub json: bool,
}

/// What can be written.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[allow(missing_docs)]
pub enum Compression {
    None,
    Gzip,
    Bzip2,
    Lzma,
    Xz,
    Lz4,
    Zstd,
}

impl From<Compression> for Codec {
    fn from(c: Compression) -> Self {
        match c {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip,
            Compression::Bzip2 => Codec::Bzip2,
            Compression::Lzma => Codec::Lzma,
            Compression::Xz => Codec::Xz,
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd => Codec::Zstd,
        }
    }
}
