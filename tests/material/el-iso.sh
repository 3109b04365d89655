#!/usr/bin/env bash
# Makes $1/el9.iso: the layout of fixtures/almalinux-9-dvd with a real kernel and dracut initrd. Two hooks
# in the initrd stand in for what Anaconda adds to dracut: one takes stage 2 from inst.repo=, one shows
# the bond on the second serial port. Neither sets anything that isowright's kernel arguments are to
# set. Stage 2 is a stand-in: it is fetched over the bond, not started.
set -euo pipefail
out=$(mkdir -p "${1:?usage: el-iso.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/el9.iso" ] && exit 0
here=$(cd "$(dirname "$0")" && pwd)
"$here/dracut-initrd.sh" "$out"
work=$(mktemp -d "$out/.el9.XXXXXX")
trap 'rm -rf "$work"' EXIT

hooks=$work/hooks/usr/lib/dracut/hooks
mkdir -p "$hooks/cmdline" "$hooks/initqueue/online"
cat > "$hooks/cmdline/25-stage2.sh" <<'H'
#!/bin/sh
repo=$(getarg inst.repo=)
[ -n "$repo" ] && root="live:${repo}images/install.img"
H
cat > "$hooks/initqueue/online/10-show-bond.sh" <<'H'
#!/bin/sh
{ echo "== the bond"; cat /proc/net/bonding/bond0; ip addr show bond0; sed "s/^/ks: /" /ks.cfg; echo "== end"; } > /dev/ttyS1 2>&1
H
find "$hooks" -name "*.sh" -exec chmod 755 {} +
(cd "$work/hooks" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) > "$work/hooks.cpio"

mkdir -p "$work/root/proc"
mksquashfs "$work/root" "$work/install.img" -quiet -no-progress -all-root >/dev/null

tree=$work/tree
cp -r "$here/../../fixtures/almalinux-9-dvd/tree" "$tree"
cp "$out/dracut/vmlinuz" "$tree/images/pxeboot/vmlinuz"
cat "$out/dracut/initrd.img" > "$tree/images/pxeboot/initrd.img"
truncate -s %4 "$tree/images/pxeboot/initrd.img"
cat "$work/hooks.cpio" >> "$tree/images/pxeboot/initrd.img"
cp "$work/install.img" "$tree/images/install.img"
ln -f "$tree/images/pxeboot/vmlinuz" "$tree/isolinux/vmlinuz"
ln -f "$tree/images/pxeboot/initrd.img" "$tree/isolinux/initrd.img"
cp /usr/lib/ISOLINUX/isolinux.bin "$tree/isolinux/"
cp /usr/lib/syslinux/modules/bios/{ldlinux,libcom32,libutil,vesamenu,menu}.c32 "$tree/isolinux/"
mkfs.vfat -C -n ANACONDA "$tree/images/efiboot.img" 512 >/dev/null
mmd -i "$tree/images/efiboot.img" ::/EFI ::/EFI/BOOT
mcopy -i "$tree/images/efiboot.img" "$tree/EFI/BOOT/grub.cfg" ::/EFI/BOOT/
xorriso -as mkisofs -quiet -r -J -V AlmaLinux-9-4-x86_64-dvd -o "$work/el9.iso" \
  -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
  -eltorito-alt-boot -e images/efiboot.img -no-emul-boot "$tree" 2>/dev/null
mv "$work/el9.iso" "$out/el9.iso"
