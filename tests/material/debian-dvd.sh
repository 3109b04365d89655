#!/usr/bin/env bash
# Makes $1/debian-dvd.iso: debian-installer.iso with a package pool as Debian's DVD-1 has one, for a whole
# installation without another mirror. Debian's own packages and their own index stanzas; the Release
# file is ours and not signed.
# Needs: apt xorriso xz-utils, and debian-installer.iso in the same folder.
set -euo pipefail
out=$(mkdir -p "${1:?usage: debian-dvd.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/debian-dvd.iso" ] && exit 0
work=$(mktemp -d "$out/.dvd.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# An apt of its own, that knows the installer's packages too and thinks that nothing is installed.
apt=$work/apt
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/preferences.d,etc/apt.conf.d,etc/trusted.gpg.d}
: >"$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main main/debian-installer" \
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
export APT_CONFIG=$apt/apt.conf
apt-get -qq update
debs=("$apt"/state/lists/*_main_binary-amd64_Packages)
udebs=("$apt"/state/lists/*_debian-installer_binary-amd64_Packages)

# What debootstrap takes, and what the installer and our preseed add to it.
mapfile -t base < <(awk 'BEGIN {RS=""; FS="\n"} /\nPriority: (required|important)/ {print substr($1, 10)}' "${debs[0]}")
more=(linux-image-amd64 initramfs-tools busybox console-setup keyboard-configuration kbd locales
  tasksel task-ssh-server openssh-server ifenslave popularity-contest laptop-detect installation-report
  mdadm lvm2 efibootmgr os-prober pciutils usbutils eject discover ca-certificates dosfstools zstd)
boot=(grub-pc "grub-efi-amd64 grub-efi-amd64-signed shim-signed")
for b in "${boot[@]}"; do
  # shellcheck disable=SC2086 # several packages
  apt-get -y -qq --print-uris install "${base[@]}" "${more[@]}" $b
done >"$work/uris"
# The installer's own: all but what draws, speaks, and belongs to another kernel.
abi=$(strings /usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux | sed -n 's/^\(6[^ ]*\)-amd64 (.*/\1/p' | head -n 1)
mapfile -t installer < <(awk -v abi="$abi" '/^Package:/ {p=$2}
  /^Package:/ && p !~ /^(fonts|libgtk|libglib|libcairo|libpango|espeak|brltty|nic-wireless|sound)/ && (p !~ /-di$/ || index(p, "-" abi "-amd64-di")) {print p}' "${udebs[0]}")
(cd "$work" && mkdir get && cd get && apt-get -qq --print-uris download "${installer[@]}") >>"$work/uris"

# 'URI' NAME SIZE HASH, in pool/ as the URI says.
cd=$work/cd
mkdir -p "$cd/.disk" "$cd/dists/bookworm/main/binary-amd64" "$cd/dists/bookworm/main/debian-installer/binary-amd64"
sort -u "$work/uris" | sed -n "s#^'[^']*/debian/\(pool/[^']*\)' \([^ ]*\) .*#\1 \2#p" | sed 's/%3a/:/g; s/%2b/+/g; s/%7e/~/g' >"$work/wanted"
names=$(sed 's#.*/##; s#_.*##' "$work/wanted" | sort -u)
# shellcheck disable=SC2086 # many packages
(cd "$work/get" && apt-get -qq download $names)
for f in "$work"/get/*deb; do
  name=${f##*/} name=${name//%3a/:}
  # The pool's names have no epoch.
  plain=$(sed 's/_[0-9]*:/_/' <<<"$name")
  to=$(awk -v n="/$plain" '{p=$1; if (substr(p, length(p)-length(n)+1) == n) {print p; exit}}' "$work/wanted")
  mkdir -p "$cd/${to%/*}"
  mv "$f" "$cd/$to"
done
# The stanzas of what is in the pool, as Debian's index has them.
awk '{print $1}' "$work/wanted" >"$work/pool"
stanzas() {
  awk 'BEGIN {RS=""; FS="\n"; ORS="\n\n"} NR==FNR {n=split($0, a, "\n"); for (i in a) want[a[i]]; next}
    {for (i=1; i<=NF; i++) if ($i ~ /^Filename: / && substr($i, 11) in want) print}' "$work/pool" "$1" >"$2/Packages"
  xz -k "$2/Packages"
}
d=$cd/dists/bookworm
stanzas "${debs[0]}" "$d/main/binary-amd64"
stanzas "${udebs[0]}" "$d/main/debian-installer/binary-amd64"
{
  printf 'Origin: Debian\nLabel: Debian\nSuite: stable\nVersion: 12.13\nCodename: bookworm\nArchitectures: amd64\nComponents: main\nSHA256:\n'
  (cd "$d" && find main -type f | sort | while read -r f; do
    printf ' %s %s %s\n' "$(sha256sum <"$f" | cut -d' ' -f1)" "$(stat -c %s "$f")" "$f"
  done)
} >"$d/Release"
printf '%s' 'Debian GNU/Linux 12.13.0 "Bookworm" - Official amd64 DVD Binary-1 with firmware 20260110-10:59' >"$cd/.disk/info"
xorriso -indev "$out/debian-installer.iso" -outdev "$work/dvd.iso" -boot_image any replay -volid 'Debian 12.13.0 amd64 1' \
  -map "$cd/pool" /pool -map "$cd/dists/bookworm" /dists/bookworm -map "$cd/.disk/info" /.disk/info >"$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
mv "$work/dvd.iso" "$out/debian-dvd.iso"
