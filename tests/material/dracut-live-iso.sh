#!/usr/bin/env bash
# Makes $1/dracut-live.iso: the layout of a live medium with dracut's live root (LiveOS/squashfs.img), with a
# real kernel and dracut initrd. The live system is busybox: its init says on the second serial port that
# the root is there, and shows the bond that it found.
set -euo pipefail
out=$(mkdir -p "${1:?usage: dracut-live-iso.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/dracut-live.iso" ] && exit 0
here=$(cd "$(dirname "$0")" && pwd)
"$here/dracut-initrd.sh" "$out"
work=$(mktemp -d "$out/.dracut-live.XXXXXX")
trap 'rm -rf "$work"' EXIT

root=$work/root
mkdir -p "$root"/{bin,sbin,etc,dev,proc,sys,run,tmp}
cp /bin/busybox "$root/bin/busybox"
for tool in sh cat grep sleep mount ip; do ln -s busybox "$root/bin/$tool"; done
cat >"$root/sbin/init" <<'I'
#!/bin/sh
[ -d /proc/self ] || mount -t proc proc /proc
{
  echo "live: root is $(grep ' / ' /proc/mounts | tail -n 1)"
  cat /proc/net/bonding/bond0
  echo "live: init is running"
} >/dev/ttyS1 2>&1
while :; do sleep 1000; done
I
chmod 755 "$root/sbin/init"
tree=$work/tree
mkdir -p "$tree/LiveOS" "$tree/images/pxeboot" "$tree/EFI/BOOT"
# As the vendors' media of this dracut's age have it: an ext4 image inside the squashfs.
mkdir -p "$work/squash/LiveOS"
truncate -s 32M "$work/squash/LiveOS/rootfs.img"
mkfs.ext4 -q -F -d "$root" "$work/squash/LiveOS/rootfs.img"
mksquashfs "$work/squash" "$tree/LiveOS/squashfs.img" -quiet -no-progress -all-root >/dev/null
cp "$out/dracut/vmlinuz" "$out/dracut/initrd.img" "$tree/images/pxeboot/"
cat >"$tree/EFI/BOOT/grub.cfg" <<'I'
set default="0"
search --no-floppy --set=root -l 'Made-Live-1'
menuentry 'Start the live system' {
	linux /images/pxeboot/vmlinuz root=live:CDLABEL=Made-Live-1 rd.live.image quiet rhgb
	initrd /images/pxeboot/initrd.img
}
I
xorriso -as mkisofs -quiet -r -J -V Made-Live-1 -o "$work/live.iso" "$tree" 2>/dev/null
mv "$work/live.iso" "$out/dracut-live.iso"
