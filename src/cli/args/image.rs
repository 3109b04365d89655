//! Arguments of `image`.

use super::tree::Said;
use crate::recipe::output;
use crate::recipe::source::FileOrUrl;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `image`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  isowright image some.iso -p rack7.toml -o new.iso
  isowright image some.iso --dry-run
  isowright image some.iso -o - | ssh host 'cat > /srv/new.iso'
  isowright image some.iso --patch-only small.patch
  isowright image apply some.iso small.patch -o new.iso
  isowright image undo new.iso -o some.iso

The vendor's bytes stay where they are; what changed is appended, or
overwritten where it fits. A second time starts from the vendor's image again,
which lies in the new one.")]
pub struct Image {
    /// What else is done with images
    #[command(subcommand)]
    pub verb: Option<ImageVerb>,
    /// What to make
    #[command(flatten)]
    pub make: MakeImage,
}

/// `image SOURCE`
#[derive(Debug, Args)]
pub struct MakeImage {
    /// The ISO (a path or a URL), or a recipe file (.toml) that names it
    #[arg(value_parser = super::file_or_url())]
    pub source: Option<FileOrUrl>,
    /// What to say
    #[command(flatten)]
    pub said: Said,
    /// The image to write; - writes to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write what differs from the vendor's image, for \"image apply\"
    #[arg(long, value_name = "FILE")]
    pub patch_only: Option<PathBuf>,
    /// Have the patch name the SHA-256 of both images; reads them whole
    #[arg(long, requires = "patch_only")]
    pub digests: bool,
    /// The MD5 of isomd5sum; a recipe file's word where not said, else auto
    #[arg(long, value_name = "WHEN")]
    pub implant_md5: Option<Implant>,
    /// A file for the medium: SRC, or SRC:DEST
    #[arg(long, value_name = "SRC[:DEST]")]
    pub add: Vec<String>,
    /// Show the plan; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: the plan
    #[arg(long)]
    pub json: bool,
}

/// When an MD5 is implanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Implant {
    /// Where the vendor had one
    Auto,
    /// Always
    Yes,
    /// Never; the vendor's is taken out, and the check with it
    No,
}

impl From<Implant> for output::Implant {
    fn from(i: Implant) -> Self {
        match i {
            Implant::Auto => Self::Auto,
            Implant::Yes => Self::Yes,
            Implant::No => Self::No,
        }
    }
}

/// `image …`
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Make the new image from the vendor's and a patch
    Apply(Apply),
    /// Make the vendor's image from the new one
    Undo(Undo),
}

/// `image apply`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright image apply some.iso small.patch -o new.iso")]
pub struct Apply {
    /// The image that the patch was made from: a path, or a URL
    #[arg(value_parser = super::file_or_url())]
    pub base: FileOrUrl,
    /// The patch
    pub patch: PathBuf,
    /// The image to write; - writes to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// `image undo`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright image undo new.iso -o some.iso")]
pub struct Undo {
    /// An image that \"isowright image\" made
    #[arg(value_parser = super::file_or_url())]
    pub image: FileOrUrl,
    /// The image to write; - writes to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}
