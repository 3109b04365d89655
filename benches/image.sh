#!/usr/bin/env bash
# Repacked ISOs: ours and the peers in turn, best of several, in /dev/shm. Called by run.sh; needs some
# 9 GiB there. Usage: benches/image.sh [RUNS]
#
# The edits are the same for all: the console and the bond in each boot configuration, also in the EFI
# image. The peers get them ready made, in files that were edited beforehand; ours finds and edits them.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
material=${ISOWRIGHT_MATERIAL:-$PWD/target/material}
base=$material/img-el.iso
runs=${1:-${RUNS:-5}}
[ -s "$base" ] || { echo "no img-el.iso here: make material"; exit 0; }
"$tool" image --help >/dev/null 2>&1 || { echo "this isowright has no verb image"; exit 0; }
work=$(mktemp -d /dev/shm/isowright-image.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo "making an ISO of 2.8 GB in EL's layout, with an implanted MD5"
xorriso -osirrox on:auto_chmod_on -indev "$base" -extract / tree >/dev/null 2>&1
chmod -R u+rwX tree
# 2.8 GB that no file system can share.
openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 2800000000 > tree/BaseOS/Packages/all.rpm || true
xorriso -as mkisofs -R -J -joliet-long -V AlmaLinux-9-4-x86_64-dvd -o base.iso \
  -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -boot-load-size 4 -boot-info-table -no-emul-boot -eltorito-alt-boot -e images/efiboot.img \
  -no-emul-boot -isohybrid-gpt-basdat tree >/dev/null 2>&1
cp --reflink=never base.iso md5.iso
implantisomd5 --force md5.iso >/dev/null

# What the peers map in: each configuration with the arguments added, and an EFI image that has it.
args="console=tty0 console=ttyS1,115200n8 bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=slow,miimon=100,xmit_hash_policy=layer3+4 ip=bond0:dhcp"
mkdir edited
sed "s#^\( *append .*\)#\1 $args#" tree/isolinux/isolinux.cfg > edited/isolinux.cfg
sed "s#^\([[:space:]]*linux.*/vmlinuz.*\)#\1 $args#" tree/EFI/BOOT/grub.cfg > edited/grub.cfg
export MTOOLS_SKIP_CHECK=1
mkfs.vfat -C -n ANACONDA edited/efiboot.img 8192 >/dev/null
mcopy -s -i tree/images/efiboot.img ::/EFI edited/
mcopy -s -Q -i edited/efiboot.img edited/EFI ::/
mcopy -o -i edited/efiboot.img edited/grub.cfg ::/EFI/BOOT/grub.cfg
rm -rf tree edited/EFI
cat > profile.toml <<'P'
console = ["tty0", "ttyS1,115200n8"]
[network.bond]
ports = ["eth0", "eth1"]
P

declare -A best
# once NAME COMMAND: runs it, keeps the best wall time in microseconds.
once() {
  local t0 t1 us
  rm -f new.iso new.patch
  [ -z "${before:-}" ] || bash -c "$before"
  t0=$EPOCHREALTIME
  bash -c "$2" >log 2>&1 </dev/null || { echo "FAILED: $2" >&2; tail -3 log >&2; exit 1; }
  t1=$EPOCHREALTIME
  us=$(( ${t1/[.,]/} - ${t0/[.,]/} ))
  [ -n "${best[$1]:-}" ] && [ "${best[$1]}" -le "$us" ] || best[$1]=$us
}
# row NAME PEER LIMIT
row() {
  awk -v n="$1" -v a="${best[$1]}" -v m="$2" -v b="${best[$2]}" -v l="$3" \
    'BEGIN {printf "  %-24s %9.1f ms   %6.3f x %-24s (limit: %s)\n", n, a/1000, a/b, m, l}'
}
peak() { /usr/bin/time -f %M "$@" 2>&1 >/dev/null | tail -1; }

xorriso_edits="-boot_image any replay -map $work/edited/isolinux.cfg /isolinux/isolinux.cfg \
  -map $work/edited/grub.cfg /EFI/BOOT/grub.cfg -map $work/edited/efiboot.img /images/efiboot.img"
echo "image of 2.8 GB, without the MD5"
for _ in $(seq "$runs"); do
  once image "$tool image base.iso -p profile.toml --implant-md5 no -o new.iso"
  once "cp --reflink=never" "cp --reflink=never base.iso new.iso"
  once "xorriso replay" "xorriso -indev stdio:base.iso -outdev stdio:new.iso $xorriso_edits"
done
row image "cp --reflink=never" "1.15 x"
row image "xorriso replay" "0.5 x"

# mkksiso does as much, and xorriso's work before it; it is Fedora's, and not in Debian.
echo "image of 2.8 GB, the MD5 implanted (implantisomd5 works on a copy that is there already)"
for _ in $(seq "$runs"); do
  once "image --implant-md5" "$tool image md5.iso -p profile.toml --implant-md5 yes -o new.iso"
  before="cp --reflink=never base.iso new.iso" once implantisomd5 "implantisomd5 --force new.iso"
  if command -v mkksiso >/dev/null; then
    once mkksiso "mkksiso -c '$args' md5.iso new.iso"
  fi
done
row "image --implant-md5" implantisomd5 "1.1 x"
if [ -n "${best[mkksiso]:-}" ]; then row "image --implant-md5" mkksiso "none"; else echo "  mkksiso is not here"; fi

echo "image --patch-only (limit: 100 ms)"
for _ in $(seq "$runs"); do
  once "image --patch-only" "$tool image base.iso -p profile.toml --implant-md5 no --patch-only new.patch"
done
awk -v a="${best["image --patch-only"]}" 'BEGIN {printf "  %-24s %9.1f ms\n", "image --patch-only", a/1000}'
"$tool" image base.iso -p profile.toml --implant-md5 no --patch-only new.patch >/dev/null
stat -c '  the patch has %s bytes' new.patch
cp new.patch kept.patch
for _ in $(seq "$runs"); do
  once "image apply" "$tool image apply base.iso kept.patch -o new.iso"
done
row "image apply" "cp --reflink=never" "none"

# Where a folder can share blocks (REFLINKS names one; a new XFS or Btrfs), the copy costs nothing.
shared=$(mktemp -d "${REFLINKS:-$(dirname "$tool")}/image.XXXXXX")
trap 'rm -rf "$work" "$shared"' EXIT
cp base.iso "$shared/base.iso"
if cp --reflink=always "$shared/base.iso" "$shared/probe.iso" 2>/dev/null; then
  echo "image on a file system with reflinks (limit: 100 ms)"
  cp profile.toml "$shared/"
  for _ in $(seq "$runs"); do
    rm -f "$shared/new.iso"
    once "image, reflink" "$tool image $shared/base.iso -p profile.toml --implant-md5 no -o $shared/new.iso"
  done
  awk -v a="${best["image, reflink"]}" 'BEGIN {printf "  %-24s %9.1f ms\n", "image, reflink", a/1000}'
else
  echo "no reflinks here: not measured"
fi
rm -rf "$shared" base.iso md5.iso new.iso

echo "peak memory on a sparse image of 10 GB (limit: 40 MiB = 40960 KiB)"
xorriso -osirrox on:auto_chmod_on -indev "$base" -extract / tree >/dev/null 2>&1
chmod -R u+rwX tree
truncate -s 10000000000 tree/BaseOS/Packages/all.rpm
xorriso -as mkisofs -R -iso-level 3 -V AlmaLinux-9-4-x86_64-dvd -o big.iso \
  -b isolinux/isolinux.bin -c isolinux/boot.cat -boot-load-size 4 -boot-info-table -no-emul-boot \
  -eltorito-alt-boot -e images/efiboot.img -no-emul-boot tree >/dev/null 2>&1
fallocate --dig-holes big.iso
rm -rf tree
plain=("$tool" image big.iso -p profile.toml --implant-md5 no)
printf '  %-24s %9s KiB\n' "image -o -" "$(peak "${plain[@]}" -o -)"
printf '  %-24s %9s KiB\n' "image --patch-only" "$(peak "${plain[@]}" --patch-only new.patch)"
printf '  %-24s %9s KiB\n' "image --implant-md5 -o -" \
  "$(peak "$tool" image big.iso -p profile.toml --implant-md5 yes -o -)"
