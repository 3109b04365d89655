//! From power-on to the kernel with nothing but `isowright serve` and the dnsmasq that it wrote a configuration
//! for: QEMU on a tap device in a network namespace of its own, without the DHCP that QEMU brings. BIOS goes
//! through a proxy beside another DHCP server, UEFI is given its address by dnsmasq and iPXE by TFTP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Command;

/// What goes on in the namespace. Ends when the kernel has spoken on the second serial port, or after a while.
const SCRIPT: &str = r#"
set -eu
fw=$1 way=$2 d=$3 tool=$4 source=$5
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
ip link set lo up
ip link add br0 type bridge
ip addr add 192.0.2.1/24 dev br0
ip link set br0 up
ip tuntap add tap0 mode tap
ip link set tap0 master br0 up
url=http://192.0.2.1:8080
dhcp=(--dnsmasq full --range 192.0.2.50,192.0.2.60 --interface br0)
if [ "$way" = proxy ]; then
  # The network's own DHCP server, on another machine.
  dhcp=(--dnsmasq proxy --subnet 192.0.2.0)
  unshare -n sleep 300 & other=$!
  ip link add veth0 type veth peer name veth1
  ip link set veth0 master br0 up
  until ip link set veth1 netns "$other" 2>/dev/null && ! ip link show veth1 >/dev/null 2>&1; do sleep 0.1; done
  nsenter -t "$other" -n bash -c 'ip addr add 192.0.2.2/24 dev veth1 && ip link set veth1 up'
  nsenter -t "$other" -n dnsmasq -k -u root -C /dev/null -p 0 --no-ping --dhcp-range=192.0.2.50,192.0.2.60 \
    --dhcp-leasefile="$d/other.leases" --log-facility="$d/other.log" &
fi
"$tool" serve "$source" --listen 192.0.2.1:8080 "${dhcp[@]}" > "$d/dnsmasq.conf"
dnsmasq -k -u root -C "$d/dnsmasq.conf" --no-ping --dhcp-leasefile="$d/leases" --log-dhcp --log-facility="$d/dhcp.log" &
"$tool" serve "$source" --listen 192.0.2.1:8080 > "$d/serve.log" 2> "$d/serve.err" &
machine=(-machine pc,graphics=off -accel tcg,thread=multi -cpu max,la57=off -smp 2 -m 1024
  -display none -monitor none -no-reboot -device virtio-rng-pci -boot n
  -serial "file:$d/com1" -serial "file:$d/com2"
  -netdev tap,id=n0,ifname=tap0,script=no,downscript=no)
card=virtio-net-pci,netdev=n0,mac=52:54:00:69:77:01
if [ "$fw" = uefi ]; then
  cp /usr/share/OVMF/OVMF_VARS_4M.fd "$d/vars.fd"
  machine+=(-drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd
    -drive "if=pflash,format=raw,file=$d/vars.fd")
  # Without the card's own iPXE: the firmware's PXE.
  card+=,romfile=
fi
qemu-system-x86_64 "${machine[@]}" -device "$card" & qemu=$!
# Meanwhile: what firmware without iPXE is given.
until curl -sf "$url/boot.ipxe" -o /dev/null; do sleep 0.1; done
curl -sf --max-time 20 tftp://192.0.2.1/undionly.kpxe | cmp - /usr/lib/ipxe/undionly.kpxe
curl -sf "$url/.isowright/ipxe/ipxe.efi" | cmp - /usr/lib/ipxe/ipxe.efi
for _ in $(seq 1500); do
  ! grep -aqs 'Linux version' "$d/com2" || exit 0
  kill -0 "$qemu"
  sleep 0.2
done
echo "nothing of a kernel on the second serial port"
exit 1
"#;

fn there() -> Option<()> {
    support::emulator()?;
    for (path, package) in [
        ("/usr/sbin/dnsmasq", "dnsmasq-base"),
        ("/usr/bin/curl", "curl"),
        ("/usr/lib/ipxe/undionly.kpxe", "ipxe"),
        ("/usr/bin/nsenter", "util-linux"),
        ("/dev/net/tun", "none: the kernel's tun module"),
    ] {
        support::packaged(path, package)?;
    }
    let ip = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"].iter().any(|p| Path::new(p).exists());
    let may = Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|s| s.success());
    if !ip || !may {
        support::skip("a network namespace needs root, and Debian's package iproute2");
        return None;
    }
    Some(())
}

#[test]
fn machines_of_both_firmwares_boot_by_dnsmasq_ipxe_and_serve() {
    let (Some(()), Some(iso), Some(_)) =
        (there(), support::material("debian-installer.iso"), support::debian_netboot())
    else {
        return;
    };
    let boot = |firmware: &'static str, way: &'static str| {
        let dir = tempfile::tempdir().unwrap();
        let _slot = support::slot();
        let o = Command::new("unshare")
            .args(["-n", "bash", "-c", SCRIPT, "boot", firmware, way])
            .arg(dir.path())
            .arg(env!("CARGO_BIN_EXE_isowright"))
            .arg(&iso)
            .output()
            .unwrap();
        let said = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(dir.path().join(name)).unwrap_or_default())
                .into_owned()
        };
        let all: Vec<String> =
            ["dnsmasq.conf", "dhcp.log", "serve.log", "serve.err", "com1", "com2"]
                .iter()
                .map(|n| format!("-- {n}\n{}", said(n)))
                .collect();
        let told = format!(
            "{}{}{}",
            all.join("\n"),
            String::from_utf8_lossy(&o.stdout),
            String::from_utf8_lossy(&o.stderr)
        );
        assert!(o.status.success(), "{firmware}, {way}:\n{told}");
        assert!(
            said("serve.log").contains(": script \u{2192} kernel \u{2192} initrd"),
            "{firmware}:\n{told}"
        );
        let by_tftp = said("dhcp.log").contains("sent /usr/lib/ipxe/ipxe.efi to");
        assert_eq!(by_tftp, firmware == "uefi", "{told}");
    };
    std::thread::scope(|s| {
        let bios = s.spawn(|| boot("bios", "proxy"));
        boot("uefi", "full");
        bios.join().unwrap();
    });
}
