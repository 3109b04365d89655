#!/usr/bin/env bash
# Makes two live media with dracut's live root (LiveOS/squashfs.img), a real kernel and a dracut initrd, in
# $1. dracut-live.iso has an ext4 image inside the squashfs, dracut-live-plain.iso the root file system itself,
# in KIWI's layout. The live system is busybox: its init says on the second serial port that the root is there,
# and shows the bond that it found.
set -euo pipefail
out=$(mkdir -p "${1:?usage: dracut-live-iso.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/dracut-live.iso" ] && [ -s "$out/dracut-live-plain.iso" ] && exit 0
here=$(cd "$(dirname "$0")" && pwd)
"$here/dracut-initrd.sh" "$out"
work=$(mktemp -d "$out/.dracut-live.XXXXXX")
trap 'rm -rf "$work"' EXIT

root=$work/root
mkdir -p "$root"/{bin,sbin,etc,dev,proc,sys,run,tmp,usr}
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

# pack NAME LABEL ROOT KERNEL INITRD MENU: the medium NAME of the folder ROOT as LiveOS/squashfs.img.
pack() {
  local tree=$work/tree
  rm -rf "$tree"
  mkdir -p "$tree/LiveOS" "$tree/$(dirname "$4")" "$tree/$(dirname "$6")"
  mksquashfs "$3" "$tree/LiveOS/squashfs.img" -quiet -no-progress -all-root >/dev/null
  cp "$out/dracut/vmlinuz" "$tree/$4"
  cp "$out/dracut/initrd.img" "$tree/$5"
  cat >"$tree/$6"
  xorriso -as mkisofs -quiet -r -J -V "$2" -o "$work/live.iso" "$tree" 2>/dev/null
  mv "$work/live.iso" "$out/$1"
}

# As the vendors' media up to Fedora 40 have it: an ext4 image inside the squashfs.
mkdir -p "$work/squash/LiveOS"
truncate -s 32M "$work/squash/LiveOS/rootfs.img"
mkfs.ext4 -q -F -d "$root" "$work/squash/LiveOS/rootfs.img"
[ -s "$out/dracut-live.iso" ] || pack dracut-live.iso Made-Live-1 "$work/squash" \
  images/pxeboot/vmlinuz images/pxeboot/initrd.img EFI/BOOT/grub.cfg <<'I'
set default="0"
search --no-floppy --set=root -l 'Made-Live-1'
menuentry 'Start the live system' {
	linux /images/pxeboot/vmlinuz root=live:CDLABEL=Made-Live-1 rd.live.image quiet rhgb
	initrd /images/pxeboot/initrd.img
}
I
# As from 41 on, with 42's label: that is what the argument for an overlayfs goes by.
[ -s "$out/dracut-live-plain.iso" ] || pack dracut-live-plain.iso Fedora-WS-Live-42 "$root" \
  boot/x86_64/loader/linux boot/x86_64/loader/initrd boot/grub2/grub.cfg <<'I'
set default=0
menuentry "Start the live system" --class os --unrestricted {
    linux ($root)/boot/x86_64/loader/linux ${extra_cmdline} ${isoboot} root=live:CDLABEL=Fedora-WS-Live-42 rd.live.image quiet rhgb
    initrd ($root)/boot/x86_64/loader/initrd
}
I
