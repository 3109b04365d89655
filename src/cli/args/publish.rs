//! Arguments of `publish`, and of what else speaks to an object store.

use super::{Matrix, Signing, Source};
use crate::publish::store::Checksum;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How a store is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Object store")]
pub struct StoreArgs {
    /// URL of the server, where it is not the cloud's own
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
    /// Name the bucket in the host's name, not in the path
    #[arg(long)]
    pub virtual_host: bool,
    /// What the store checks of each upload before it keeps it
    #[arg(long, value_name = "WAY", default_value = "crc64")]
    pub checksum: CheckWay,
    /// How often a request is tried again where the server is busy or gone
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: u8,
}

/// What a store checks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CheckWay {
    /// CRC-64/NVME, over bytes that are not signed
    Crc64,
    /// SHA-256, and the request is signed over it
    Sha256,
    /// Nothing: for servers that know neither
    None,
}

impl From<CheckWay> for Checksum {
    fn from(w: CheckWay) -> Self {
        match w {
            CheckWay::Crc64 => Checksum::Crc64,
            CheckWay::Sha256 => Checksum::Sha256,
            CheckWay::None => Checksum::None,
        }
    }
}

/// How a `+` in a name is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plus {
    /// Twice, the second time with spaces: S3 takes a + in a URL for one
    Twice,
    /// As it is
    Once,
}

/// `publish`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright publish some.iso s3://boot/some -p rack7.toml
  isowright publish recipe.toml gs://boot/some
  isowright publish recipes/*.toml s3://boot --shard 2/5
  isowright publish /srv/http/some s3://boot/some --endpoint http://minio:9000
  isowright publish some.iso s3://boot/some --delete --dry-run
  isowright verify s3://boot/some

Credentials come from where the store's own tools have them: AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY, AWS_PROFILE with ~/.aws, or the instance's role;
GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT_NAME and
AZURE_STORAGE_ACCOUNT_KEY. AWS_SKIP_SIGNATURE=true asks as nobody.

The tree finds itself by the store's own URL, with plain HTTP where the cloud
has it; --base-url names another one (a CDN, a proxy).

A second run writes only what has changed; one that was interrupted is gone on
with by the next.")]
#[command(override_usage = "isowright publish [OPTIONS] <SOURCE> [RECIPE]... <TO>")]
pub struct Publish {
    /// What to publish; a folder is a tree that build made
    #[command(flatten)]
    pub source: Source,
    /// s3://BUCKET/PREFIX, gs://…, az://CONTAINER/… or file:///FOLDER; in front
    /// of it more recipe files: each goes below it under its file's name
    #[arg(value_name = "TO", required = true, num_args = 1..)]
    pub more_and_to: Vec<String>,
    /// Many jobs
    #[command(flatten)]
    pub matrix: Matrix,
    /// Who signs it; a tree that build made is published with its signatures
    #[command(flatten)]
    pub signing: Signing,
    /// The server
    #[command(flatten)]
    pub store: StoreArgs,
    /// Take away what an earlier run put there and this one does not
    #[arg(long)]
    pub delete: bool,
    /// How files with a + in their name lie there; twice on Amazon's own S3
    #[arg(long, value_name = "HOW")]
    pub plus: Option<Plus>,
    /// Seconds that another publisher's claim must stand still to be taken
    /// over
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,
    /// List the operations; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: the operations
    #[arg(long)]
    pub json: bool,
}

impl Publish {
    /// Where to.
    pub fn to(&self) -> &str {
        self.more_and_to.last().map_or("", String::as_str)
    }

    /// Recipe files beside the source.
    pub fn more(&self) -> Vec<PathBuf> {
        let n = self.more_and_to.len().saturating_sub(1);
        self.more_and_to[..n].iter().map(PathBuf::from).collect()
    }
}
