#!/usr/bin/env bash
# Installs what the tests need: Debian packages, by name, through apt. Does nothing where all are there.
set -euo pipefail
packages=(
  qemu-system-x86 ovmf ipxe ipxe-qemu            # proof by boot
  debian-installer-12-netboot-amd64 memtest86+   # real kernels, initrds, ISOs
  sbsigntool pesign xorriso genisoimage isomd5sum libarchive-tools p7zip-full cpio   # oracles
  libxml2-utils mtools dosfstools gdisk fdisk squashfs-tools squashfs-tools-ng
  isolinux syslinux-common grub-efi-amd64-bin grub-pc-bin grub-common
  mmdebstrap uidmap debian-archive-keyring debconf debconf-utils netplan.io openssl time zstd python3-venv busybox-static
  ignition                                       # judges of answer files
  gzip xz-utils bzip2 lz4 lzop initramfs-tools-core   # initrds: each codec, and those who list them
  dnsmasq-base iproute2 util-linux curl           # serve: a network of its own
  dracut-core dracut-network dracut-live isc-dhcp-client iputils-arping
  gnupg                                          # makes keys and signatures, good and bad
  nginx-light strace                             # a web server that is not ours; what is opened, and how often
)
missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
# apt's lists are needed later too: the material downloads a kernel package.
lists=(/var/lib/apt/lists/*Packages*)
[ ${#missing[@]} -gt 0 ] || [ ! -e "${lists[0]}" ] || exit 0
sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# Ubuntu has not all of them (debian-installer-12-netboot-amd64): what needs those is skipped, and
# says so.
known=()
for p in "${missing[@]}"; do
  if apt-cache show "$p" >/dev/null 2>&1; then known+=("$p"); else echo "not in this archive: $p"; fi
done
[ ${#known[@]} -gt 0 ] || exit 0
echo "installing: ${known[*]}"
$sudo apt-get install -y -qq --no-install-recommends "${known[@]}" >/dev/null
