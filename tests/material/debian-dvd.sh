#!/usr/bin/env bash
# Makes $1/debian-dvd.iso: debian-installer.iso with a package pool as Debian's DVD-1 has one, for a whole
# installation from the tree itself. The packages and their index are Debian's; the Release file is ours
# and not signed.
# Debian's udebs are not to be had as packages, and the netboot initrd has those up to choosing the mirror
# only. tests/material/stand-in/ takes the place of the rest: partman, base-installer, grub-installer. It
# reads the same answers, runs the same hooks, and debootstraps.
# Needs: apt mmdebstrap xorriso xz-utils, debian-installer-12-netboot-amd64, debian-installer.iso in $1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:?usage: debian-dvd.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/debian-dvd.iso" ] && exit 0
work=$(mktemp -d "$out/.dvd.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
kernel=$(strings /usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux |
  sed -n 's/^\(6[^ ]*-amd64\) (.*/\1/p' | head -n 1)

# An apt of its own that thinks that nothing is installed.
apt=$work/apt
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/preferences.d,etc/apt.conf.d,etc/trusted.gpg.d}
: >"$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" \
  >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
Dir "$apt";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc "$apt/etc";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
own() { APT_CONFIG=$apt/apt.conf apt-get -qq "$@"; }
own update
index=("$apt"/state/lists/*_main_binary-amd64_Packages)

# What debootstrap takes, and what the stand-in and our preseed add to it.
mapfile -t base < <(awk 'BEGIN {RS=""; FS="\n"} /\nPriority: required/ || /\nEssential: yes/ {print substr($1, 10)}' "${index[0]}")
more=(linux-image-amd64 initramfs-tools systemd-sysv udev kmod ifupdown isc-dhcp-client iproute2
  openssh-server ifenslave ca-certificates apt usr-is-merged zstd)
for boot in grub-pc grub-efi-amd64; do
  own -y --print-uris install "${base[@]}" "${more[@]}" "$boot"
done | sort -u >"$work/uris"

# 'URI' NAME SIZE HASH. The path below pool/ is the index's Filename; names there have no epoch.
cd=$work/cd
mkdir -p "$work/get" "$cd/.disk" "$cd/stand-in" "$cd/dists/bookworm/main/"{,debian-installer/}binary-amd64
sed -n "s#^'[^']*/debian/\(pool/[^']*\)' .*#\1#p" "$work/uris" | sed 's/%3a/:/g; s/%2b/+/g; s/%7e/~/g' >"$work/pool"
mapfile -t names < <(sed 's#.*/##; s#_.*##' "$work/pool" | sort -u)
(cd "$work/get" && own download "${names[@]}")
while read -r path; do
  file=${path##*/} name=${path##*/}
  mkdir -p "$cd/${path%/*}"
  mv "$work/get/${name%%_*}_"*"_${file##*_}" "$cd/$path"
done <"$work/pool"
awk 'BEGIN {RS=""; FS="\n"; ORS="\n\n"} NR==FNR {n=split($0, a, "\n"); for (i in a) want[a[i]]; next}
  {for (i=1; i<=NF; i++) if ($i ~ /^Filename: / && substr($i, 11) in want) print}' \
  "$work/pool" "${index[0]}" >"$cd/dists/bookworm/main/binary-amd64/Packages"

# The stand-in's package, and its tools: a small system with the drivers of the installer's kernel.
mkdir -p "$work/udeb/DEBIAN"
cat >"$work/udeb/DEBIAN/control" <<END
Package: isowright-stand-in
Version: 1
Section: debian-installer
Priority: standard
Architecture: amd64
Kernel-Version: $kernel
Installer-Menu-Item: 6000
Maintainer: the tests <tests@example.org>
Description: Install the system
END
cp "$here/stand-in/postinst" "$work/udeb/DEBIAN/postinst"
chmod 755 "$work/udeb/DEBIAN/postinst"
udeb=pool/main/i/isowright-stand-in_1_amd64.udeb
mkdir -p "$cd/pool/main/i"
dpkg-deb -Zxz --root-owner-group --build "$work/udeb" "$cd/$udeb" >/dev/null
{
  cat "$work/udeb/DEBIAN/control"
  printf 'Filename: %s\nSize: %s\nSHA256: %s\nMD5sum: %s\n\n' "$udeb" "$(stat -c %s "$cd/$udeb")" \
    "$(sha256sum <"$cd/$udeb" | cut -d' ' -f1)" "$(md5sum <"$cd/$udeb" | cut -d' ' -f1)"
} >"$cd/dists/bookworm/main/debian-installer/binary-amd64/Packages"
dpkg-deb --fsys-tarfile "$cd"/pool/main/l/linux-signed-amd64/linux-image-"$kernel"_*.deb |
  tar -x -C "$work" --wildcards './lib/modules/*/kernel/fs/*' './lib/modules/*/kernel/drivers/block/virtio_blk.ko' \
    './lib/modules/*/kernel/lib/*' './lib/modules/*/kernel/crypto/*' './lib/modules/*/modules.*'
depmod -b "$work" "$kernel"
mmdebstrap --quiet --variant=essential --aptopt='APT::Install-Recommends "false"' \
  --include=debootstrap,wget,fdisk,mount,e2fsprogs,dosfstools,kmod \
  --customize-hook="cp -a $work/lib/modules \"\$1/usr/lib/\"" \
  --customize-hook="cp $here/stand-in/install \"\$1/install\"" \
  --customize-hook='rm -rf "$1"/usr/share/{doc,locale,man,info}/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  bookworm "$work/tools.tar" >&2
gzip -1 <"$work/tools.tar" >"$cd/stand-in/tools.tar.gz"

d=$cd/dists/bookworm
printf 'Archive: stable\nOrigin: Debian\nLabel: Debian\nVersion: 12.13\nComponent: main\nArchitecture: amd64\n' \
  >"$d/main/binary-amd64/Release"
for f in "$d/main/binary-amd64/Packages" "$d/main/debian-installer/binary-amd64/Packages"; do xz -k "$f"; done
{
  printf 'Origin: Debian\nLabel: Debian\nSuite: stable\nVersion: 12.13\nCodename: bookworm\nDate: %s\n' "$(date -uR)"
  printf 'Architectures: amd64\nComponents: main\nSHA256:\n'
  (cd "$d" && find main -type f | sort | while read -r f; do
    printf ' %s %s %s\n' "$(sha256sum <"$f" | cut -d' ' -f1)" "$(stat -c %s "$f")" "$f"
  done)
} >"$d/Release"
printf '%s' 'Debian GNU/Linux 12.13.0 "Bookworm" - Official amd64 DVD Binary-1 with firmware 20260110-10:59' >"$cd/.disk/info"
xorriso -indev "$out/debian-installer.iso" -outdev "$work/dvd.iso" -boot_image any replay -volid 'Debian 12.13.0 amd64 1' \
  -map "$cd/pool" /pool -map "$cd/dists/bookworm" /dists/bookworm -map "$cd/stand-in" /stand-in \
  -map "$cd/.disk/info" /.disk/info >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mv "$work/dvd.iso" "$out/debian-dvd.iso"
