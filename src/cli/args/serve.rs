//! Arguments of `serve`.

use super::tree::Wanted;
use crate::recipe::source::FileOrUrl;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `serve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  isowright serve some.iso
  isowright serve /srv/http/some --listen 192.0.2.1:8080 --status
  isowright serve recipe.toml other.iso -p rack7.toml --listen 192.0.2.1:80
  isowright serve some.iso --image --json | jq .path
  isowright serve some.iso --listen 192.0.2.1:8080 --dnsmasq proxy \\
      --subnet 192.0.2.0 > /etc/dnsmasq.d/netboot.conf

One source lies at /, several at /NAME/ each, with a menu over them in
/index.ipxe. Nothing is written to disk, and nothing is hashed beforehand.
Ctrl-C lets answers that are on their way finish, for 10 seconds; a second one
does not. A GET of /.isowright/done from a machine marks it as done.")]
pub struct Serve {
    /// Folders of trees, recipe files (.toml), ISOs (by URL too)
    #[arg(required = true, value_name = "SOURCE", value_parser = super::file_or_url())]
    pub sources: Vec<FileOrUrl>,
    /// Address and port; port 0 takes a free one. Others than this machine
    /// itself are served only where this names an address that they reach
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// What is wanted of trees made of ISOs and recipe files
    #[command(flatten)]
    pub wanted: Wanted,
    /// Each ISO repacked too, as /NAME.iso
    #[arg(long)]
    pub image: bool,
    /// A page of the machines and how far they came, at /.isowright/status
    #[arg(long)]
    pub status: bool,
    /// No line per request
    #[arg(short, long)]
    pub quiet: bool,
    /// Connections at the same time; more wait
    #[arg(long, value_name = "N", default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub connections: u32,
    /// The log for machines: an object per line
    #[arg(long)]
    pub json: bool,
    /// Print a configuration of dnsmasq that leads machines here; serve nothing
    #[arg(long, value_name = "WAY")]
    pub dnsmasq: Option<Dhcp>,
    /// Network of the machines, for --dnsmasq proxy
    #[arg(long, value_name = "ADDR", requires = "dnsmasq")]
    pub subnet: Option<std::net::Ipv4Addr>,
    /// First and last address to give out, for --dnsmasq full
    #[arg(long, value_name = "FIRST,LAST", requires = "dnsmasq", value_delimiter = ',')]
    pub range: Vec<std::net::Ipv4Addr>,
    /// Network interface that dnsmasq is to keep to
    #[arg(long, value_name = "NAME", requires = "dnsmasq")]
    pub interface: Option<String>,
    /// Folder with iPXE's undionly.kpxe and ipxe.efi, for TFTP and UEFI HTTP Boot
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/ipxe")]
    pub ipxe: PathBuf,
}

/// Who gives out addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dhcp {
    /// The network's DHCP server, which stays as it is
    Proxy,
    /// dnsmasq
    Full,
}
