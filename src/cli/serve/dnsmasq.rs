//! A configuration of dnsmasq that leads machines to the server: firmware to iPXE, iPXE to the boot script.
//! dnsmasq gives out addresses and the first stage; we only write its configuration.

use super::super::args::{Dhcp, Serve};
use super::super::index;
use super::IPXE;
use crate::error::{Error, Result};
use crate::plan::netboot::BOOT_IPXE;
use crate::recipe::job::base_url;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// The first stage for BIOS: iPXE over the card's own UNDI driver.
pub const BIOS: &str = "undionly.kpxe";
/// The first stage for UEFI on x86-64.
pub const EFI: &str = "ipxe.efi";
/// Client architectures (RFC 4578, 2.1, and IANA's list since) and the file for each. Number 9 is what some
/// firmware of x86-64 says of itself; 32-bit and Arm loaders are in no Debian package so far, and are named
/// only where they are there.
const LOADERS: &[(u8, &str, &str)] = &[
    (0, "BIOS", BIOS),
    (6, "UEFI, 32 bits", "ipxe32.efi"),
    (7, "UEFI", EFI),
    (9, "UEFI", EFI),
    (11, "UEFI, Arm", "ipxe-arm64.efi"),
];
/// UEFI HTTP Boot on x86-64.
const HTTP: u8 = 16;

/// The configuration.
pub fn config(a: &Serve, way: Dhcp) -> Result<String> {
    let base = url(a)?;
    let script = if a.sources.len() > 1 { index::NAME } else { BOOT_IPXE };
    let folder = a.ipxe.to_str().filter(|p| p.starts_with('/') && plain(p)).ok_or_else(|| {
        Error::usage("the folder of iPXE's files must be a plain, absolute path")
            .source_name(a.ipxe.display())
            .hint("--ipxe /usr/lib/ipxe")
    })?;
    let mut s = format!(
        "# Machines of both firmwares boot from {base}{script}. Written by isowright serve.\n"
    );
    s.push_str("# DHCP and TFTP only, no DNS.\nport=0\n");
    if let Some(i) = &a.interface {
        if i.is_empty() || i.len() > 15 || !plain(i) {
            return Err(Error::usage(format!("\"{i}\" is no name of a network interface"))
                .hint("`ip link` lists them"));
        }
        let _ = writeln!(s, "interface={i}\nbind-interfaces");
    }
    s.push_str(&addresses(a, way)?);
    let _ = writeln!(s, "enable-tftp\ntftp-root={folder}");
    s.push_str(
        "\n# iPXE says who it is, by its user class or by an option of its own: it gets the script, so that it\n\
         # does not fetch itself for ever.\n\
         dhcp-userclass=set:ipxe,iPXE\ndhcp-match=set:ipxe,175\n",
    );
    // iPXE for BIOS does not heed a proxy that names a file and no server.
    let server = server(a, &base).map_or(String::new(), |ip| format!(",,{ip}"));
    if way == Dhcp::Proxy && server.is_empty() {
        return Err(Error::usage("what is the server's IPv4 address?")
            .hint("name it with --listen ADDRESS:PORT, or in --base-url http://ADDRESS/"));
    }
    let _ = writeln!(s, "dhcp-boot=tag:ipxe,\"{base}{script}\"{server}");
    s.push_str("\n# Firmware gets iPXE, by its architecture.\n");
    for (arch, what, file) in LOADERS {
        if !matches!(*file, BIOS | EFI) && !a.ipxe.join(file).is_file() {
            let _ = writeln!(s, "# {arch} ({what}): no {file} in {folder}");
            continue;
        }
        let _ = match way {
            Dhcp::Proxy => writeln!(s, "pxe-service=tag:!ipxe,{arch},\"iPXE\",{file}"),
            Dhcp::Full => writeln!(
                s,
                "dhcp-match=set:arch{arch},option:client-arch,{arch}\ndhcp-boot=tag:!ipxe,tag:arch{arch},{file}"
            ),
        };
    }
    let _ = writeln!(
        s,
        "\n# UEFI HTTP Boot: the firmware takes an answer only from who calls himself HTTPClient.\n\
         dhcp-match=set:http,option:client-arch,{HTTP}\n\
         dhcp-option-force=tag:http,60,HTTPClient\n\
         dhcp-boot=tag:!ipxe,tag:http,\"{base}{IPXE}/{EFI}\""
    );
    Ok(s)
}

/// Who gives out addresses, and which.
fn addresses(a: &Serve, way: Dhcp) -> Result<String> {
    match way {
        Dhcp::Proxy => {
            let net = a.subnet.or(match a.listen.ip().to_canonical() {
                IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
                _ => None,
            });
            let net = net.ok_or_else(|| {
                Error::usage("which network?").hint("name an address of it: --subnet 192.0.2.0")
            })?;
            Ok(format!(
                "# The network's own DHCP server gives out addresses.\ndhcp-range={net},proxy\n"
            ))
        }
        Dhcp::Full => match a.range[..] {
            [first, last] if u32::from(first) <= u32::from(last) => {
                Ok(format!("dhcp-range={first},{last},1h\n{}", gateway(a)))
            }
            _ => Err(Error::usage("which addresses are to be given out?")
                .hint("name the first and the last: --range 192.0.2.100,192.0.2.199")),
        },
    }
}

/// dnsmasq would name itself as the router; who installs over the network's own needs that one.
fn gateway(a: &Serve) -> String {
    match a.listen.ip().to_canonical() {
        IpAddr::V4(ip) if ip != Ipv4Addr::UNSPECIFIED => {
            "# The router is dnsmasq's machine unless this names another:\n#dhcp-option=option:router,ADDRESS\n".into()
        }
        _ => String::new(),
    }
}

/// What stands in front of a path, as machines reach it.
pub fn url(a: &Serve) -> Result<String> {
    if let Some(u) = &a.wanted.said.base_url {
        let u = base_url(u)?;
        return match u.starts_with("http://") && !u.contains(['"', '#', '\\']) {
            true => Ok(u),
            false => Err(Error::usage(format!(
                "firmware and old iPXE fetch by plain http, not from {u}"
            ))
            .hint("--base-url http://ADDRESS/")),
        };
    }
    let ip = a.listen.ip().to_canonical();
    if ip.is_loopback() || ip.is_unspecified() || a.listen.port() == 0 {
        return Err(Error::usage(format!("machines can't be sent to {}", a.listen)).hint(
            "name the address and port that they reach: --listen 192.0.2.1:8080, or --base-url URL",
        ));
    }
    Ok(format!("http://{}/", a.listen))
}

/// The server's address, where it is told.
fn server(a: &Serve, base: &str) -> Option<Ipv4Addr> {
    let listen = match a.listen.ip().to_canonical() {
        IpAddr::V4(ip) if !ip.is_unspecified() && !ip.is_loopback() => Some(ip),
        _ => None,
    };
    let host = base.strip_prefix("http://")?.split(['/', ':']).next()?;
    host.parse().ok().or(listen)
}

/// True for what stands in a configuration as it is.
fn plain(s: &str) -> bool {
    s.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@:".contains(c))
}
