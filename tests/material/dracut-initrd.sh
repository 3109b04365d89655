#!/bin/sh
# Makes $1/dracut/{vmlinuz,initrd.img}: a distribution kernel with all its modules' drivers that
# matter here, and a dracut initrd that knows network, bond= and live roots. It is the dracut that an
# EL installer runs, so it judges the kernel arguments that we write for that family.
#
# dracut-core, not dracut: the latter would push initramfs-tools off the machine.
set -eu
out=${1:?usage: dracut-initrd.sh OUTPUT-FOLDER}
[ -s "$out/dracut/initrd.img" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d "$out/dracut.XXXXXX")
trap 'rm -rf "$work"' EXIT

command -v dracut >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
    dracut-core dracut-network dracut-live isc-dhcp-client iputils-arping cpio >&2

# The meta package names the version that this archive has.
package=$(apt-cache depends linux-image-amd64 |
    sed -n 's/.*Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1)
version=${package#linux-image-}
mkdir "$work/deb" "$work/k" "$work/dracut"
chmod 777 "$work/deb" # apt fetches as its own user
chmod 755 "$work"
(cd "$work/deb" && apt-get -qq download "$package")
dpkg -x "$work"/deb/*.deb "$work/k"
depmod -b "$work/k" "$version"
dracut --quiet --force --no-hostonly --kver "$version" --kmoddir "$work/k/lib/modules/$version" \
    -m "base bash dash kernel-modules kernel-network-modules network network-legacy url-lib \
        livenet dmsquash-live udev-rules rootfs-block shutdown" \
    --add-drivers "bonding virtio_net virtio_pci e1000 loop squashfs overlay isofs" \
    "$work/dracut/initrd.img" >&2
cp "$work/k/boot/vmlinuz-$version" "$work/dracut/vmlinuz"
chmod 644 "$work/dracut/initrd.img" "$work/dracut/vmlinuz"
rm -rf "$out/dracut"
mv "$work/dracut" "$out/dracut"
