//! The command line exactly as typed; `resolve` turns it into the library's values.

mod image;
mod publish;
mod serve;
mod tree;

pub use image::{Apply, Image, ImageVerb, Implant, MakeImage, Undo};
pub use publish::{Plus, Publish, StoreArgs};
pub use serve::{Dhcp, Serve};
pub use tree::{Build, Matrix, PlanArgs, Said, Signing, Source, Trust, Wanted};

use crate::recipe::source::FileOrUrl;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Turn vendor installer ISOs into network-bootable trees, and prove them by booting them.
#[derive(Debug, Parser)]
#[command(name = "isowright", version, max_term_width = 80, propagate_version = true)]
#[command(after_help = "Examples:
  isowright inspect some.iso
  isowright inspect https://mirror.example/some.iso
  isowright plan some.iso
  isowright build some.iso -o /srv/http/some
  isowright verify /srv/http/some
  isowright boot /srv/http/some --firmware bios,uefi
  isowright image some.iso -p rack7.toml -o new.iso
  isowright publish some.iso s3://boot/some

Exit status: 0 done, 1 a difference or a failed proof, 2 an error,
130 interrupted.")]
pub struct Cli {
    /// Say what is done and where errors come from
    #[arg(long, global = true)]
    pub debug: bool,
    /// How images are fetched
    #[command(flatten)]
    pub fetch: Fetch,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// How images are fetched that are given by their URL.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Folder that keeps what is fetched of an ISO by URL, for the next run
    #[arg(long, value_name = "DIR", global = true)]
    pub cache: Option<PathBuf>,
    /// GiB that the folder may hold; the longest unused goes first
    #[arg(long, value_name = "N", global = true, default_value_t = 16, requires = "cache")]
    pub cache_limit: u64,
}

/// A path, or an address.
pub(super) fn file_or_url() -> impl clap::builder::TypedValueParser<Value = FileOrUrl> {
    use clap::builder::TypedValueParser;
    clap::builder::OsStringValueParser::new().try_map(FileOrUrl::try_from)
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// What an ISO is, how it boots, and how we know
    Inspect(Inspect),
    /// List files of an ISO, or of a FAT image in it
    Ls(Ls),
    /// Print one file of an ISO
    Cat(Cat),
    /// Copy files out of an ISO
    Extract(Extract),
    /// Show what build would write; writes nothing
    Plan(PlanArgs),
    /// Write the network-bootable tree
    Build(Build),
    /// Write the tree to an object store, straight from the ISO
    Publish(Publish),
    /// Write the medium again, with console, answers and bond in its menus
    Image(Image),
    /// List, show and check recipes
    #[command(subcommand)]
    Recipe(RecipeVerb),
    /// Check a tree against its manifest and its boot files
    Verify(Verify),
    /// Boot a tree or an ISO in QEMU and watch its second serial port
    Boot(Boot),
    /// Write index.ipxe, a menu over the trees in a folder
    Index(Index),
    /// Serve trees over HTTP, from folders, recipe files and ISOs
    Serve(Serve),
    /// Look into an initrd, add files to it, make it anew
    #[command(subcommand)]
    Initrd(super::initrd::args::InitrdVerb),
    /// Print shell completions
    Completions(Completions),
    /// Write the man pages to a folder
    Man(Man),
}

/// `inspect`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright inspect some.iso --json | jq '.entries[].cmdline'")]
pub struct Inspect {
    /// The ISO: a path, or a URL
    #[arg(value_parser = file_or_url())]
    pub image: FileOrUrl,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `ls`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright ls some.iso
  isowright ls -lR some.iso boot
  isowright ls some.iso 'iso:/images/efiboot.img!/EFI/BOOT'")]
pub struct Ls {
    /// The ISO: a path, or a URL
    #[arg(value_parser = file_or_url())]
    pub image: FileOrUrl,
    /// A folder or file in it; the root where absent
    pub path: Option<String>,
    /// Everything below it too
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Type, mode, size, link target
    #[arg(short, long)]
    pub long: bool,
    /// For machines: an array
    #[arg(long)]
    pub json: bool,
}

/// `cat`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  isowright cat some.iso 'iso:/images/efiboot.img!/EFI/BOOT/grub.cfg'")]
pub struct Cat {
    /// The ISO: a path, or a URL
    #[arg(value_parser = file_or_url())]
    pub image: FileOrUrl,
    /// A file in it
    pub path: String,
}

/// `extract`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright extract some.iso -o out
  isowright extract some.iso 'images/pxeboot/*' .treeinfo -o out
  isowright extract some.iso 'images/efiboot.img!/**/*.cfg' -o out")]
pub struct Extract {
    /// The ISO: a path, or a URL
    #[arg(value_parser = file_or_url())]
    pub image: FileOrUrl,
    /// Files, folders or globs in it; all where absent
    pub paths: Vec<String>,
    /// Folder to write to; made where missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// List what would be written; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: what was written
    #[arg(long)]
    pub json: bool,
}

/// `recipe …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  isowright recipe show debian > my/debian.toml
  isowright build some.iso --recipes my -o out
  isowright recipe lint my/debian.toml")]
pub enum RecipeVerb {
    /// The recipes that are known
    List {
        /// Folder of recipes that override the bundled ones
        #[arg(long, value_name = "DIR")]
        recipes: Option<PathBuf>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Print one, as a start for your own
    Show {
        /// Its name
        name: String,
        /// Folder of recipes that override the bundled ones
        #[arg(long, value_name = "DIR")]
        recipes: Option<PathBuf>,
    },
    /// Name the recipe by the label alone; exit 1 where it is unknown
    Match(MatchArgs),
    /// Check a recipe, job, profile or hosts file; exit 1 where something is wrong
    Lint {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema, for editors
    Schema {
        /// Of which kind of file
        #[arg(value_enum, default_value_t = SchemaKind::Recipe)]
        kind: SchemaKind,
    },
}

/// `recipe match`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright recipe match --volume-id Rocky-9-4-x86_64-dvd
  isowright recipe match --volume-id CDROM --publisher 'ACME' || echo unknown
  isowright recipe match --tsv headers.tsv | jq -r '.recipe // \"unknown\"'

A label is the weakest evidence: edited freely, and shared between variants.
Confidence is high where another field names the vendor too, medium where only
the volume id speaks, low where media of the recipes in \"or\" have the same label.

FILE's first line names its columns: volume_id, and as far as there are any
system_id, publisher_id, data_preparer_id, application_id, in any order; others
are passed over. Cells may be quoted. Each line after it becomes a line of JSON,
unknown ones too. Exit 0, or 1 where a line was too long to read: it is told of
by its number, and the rest is read all the same.")]
pub struct MatchArgs {
    /// Volume identifier
    #[arg(long, value_name = "TEXT", required_unless_present = "tsv")]
    pub volume_id: Option<String>,
    /// System identifier
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub system_id: String,
    /// Publisher identifier
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub publisher: String,
    /// Data preparer identifier
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub preparer: String,
    /// Application identifier
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub application: String,
    /// Many at once, from a file with a tab between columns; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["volume_id", "system_id",
        "publisher", "preparer", "application"])]
    pub tsv: Option<PathBuf>,
    /// Folder of recipes that override the bundled ones
    #[arg(long, value_name = "DIR")]
    pub recipes: Option<PathBuf>,
    /// For machines; --tsv always is
    #[arg(long)]
    pub json: bool,
}

/// Kinds of files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// How a distribution is handled
    Recipe,
    /// One build: source, profile, outputs
    Job,
    /// What the operator wishes for
    Profile,
    /// The machines of one tree
    Hosts,
}

/// `verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright verify /srv/http/some || echo broken
  isowright verify http://192.0.2.1/some/boot.ipxe
  isowright verify http://192.0.2.1/some/ --whole --json
  isowright verify s3://boot/some
  isowright verify /srv/http/some --cert cert.pem

By URL the tree is walked as an old iPXE and an installer would: each file that
a machine would trip over is named. Files are known from manifest.json beside
the script, else by what boot scripts name. In an object store the objects are
held against the manifest and against what publish saw the store make of them.")]
pub struct Verify {
    /// The tree: a folder, the URL of its boot.ipxe, or s3://BUCKET/PREFIX and
    /// such
    pub dir: PathBuf,
    /// By URL and in a store: fetch every file whole and compare its bytes
    #[arg(long)]
    pub whole: bool,
    /// The manifest must be signed by this certificate, or by whom it vouches
    /// for (PEM; several in one file)
    #[arg(long, visible_alias = "ca", value_name = "CERT.PEM")]
    pub cert: Vec<PathBuf>,
    /// Print the chain from the vendor's checksum to each file, and its gaps
    #[arg(long)]
    pub chain: bool,
    /// The server
    #[command(flatten)]
    pub store: StoreArgs,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `boot`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright boot /srv/http/some
  isowright boot out --firmware uefi --expect 'login:' --timeout 600
  isowright boot new.iso --as cd,disk

QEMU is needed: Debian's packages qemu-system-x86, ipxe-qemu and ovmf.")]
pub struct Boot {
    /// The tree, or an ISO
    pub source: PathBuf,
    /// An ISO's drive: cd, disk (a USB stick), or both; cd where absent
    #[arg(long = "as", value_name = "DRIVE", value_delimiter = ',')]
    pub drive: Vec<Drive>,
    /// bios, uefi, or both
    #[arg(long, value_delimiter = ',', default_value = "bios,uefi")]
    pub firmware: Vec<String>,
    /// Must appear on the second serial port
    #[arg(long, value_name = "REGEX")]
    pub expect: Option<String>,
    /// Network ports of the machine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub nics: u8,
    /// Be this one of the tree's hosts: a machine with its MAC addresses
    #[arg(long, value_name = "NAME", conflicts_with_all = ["nics", "drive"])]
    pub host: Option<String>,
    /// MiB of memory; what the tree needs where absent
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u32>,
    /// Seconds per firmware
    #[arg(long, default_value_t = 300)]
    pub timeout: u64,
    /// QEMU's accelerator: kvm is ten times faster where it may be used
    #[arg(long, default_value = "tcg,thread=multi")]
    pub accel: String,
    /// A raw disk image that the installation may WRITE to; several times for several disks
    #[arg(long, value_name = "FILE")]
    pub disk: Vec<PathBuf>,
    /// Start from the first --disk, not from the network: what was installed
    #[arg(long, requires = "disk", conflicts_with = "drive")]
    pub from_disk: bool,
    /// TCP port of the web server, for a tree with a fixed base URL
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// For machines: a verdict per firmware on stdout, the console on stderr
    #[arg(long)]
    pub json: bool,
}

/// What an ISO is put into.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Drive {
    /// A CD drive
    Cd,
    /// A USB stick that it was written to
    Disk,
}

/// `index`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright index /srv/http")]
pub struct Index {
    /// The folder that holds the trees
    pub dir: PathBuf,
    /// Print it; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `completions`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright completions bash > /etc/bash_completion.d/isowright")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `man`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  isowright man /usr/local/share/man/man1")]
pub struct Man {
    /// Folder to write to; made where missing
    pub dir: PathBuf,
}
