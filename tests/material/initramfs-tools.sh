#!/bin/sh
# Makes $1/initramfs-tools.img: what Debian's mkinitramfs makes of a kernel without modules, with
# stand-ins for CPU microcode in front as the packages intel-microcode and amd64-microcode put them
# there.
set -eu
out=${1:?usage: initramfs-tools.sh OUTPUT-FOLDER}
[ -s "$out/initramfs-tools.img" ] && exit 0
command -v mkinitramfs >/dev/null || { echo "mkinitramfs is missing: initramfs-tools-core"; exit 1; }
mkdir -p "$out"
work=$(mktemp -d "$out/initramfs-tools.XXXXXX")
trap 'rm -rf "$work"' EXIT
version=6.1.0-isowright
mkdir -p "$work/modules/$version" "$work/conf/hooks" "$work/conf/conf.d" "$work/conf/scripts" \
    "$work/early/kernel/x86/microcode"
depmod -b "$work" "$version" 2>/dev/null || : # an empty list of modules
for f in modules.builtin modules.order modules.dep; do : > "$work/modules/$version/$f"; done
cat > "$work/conf/initramfs.conf" <<C
MODULES=list
BUSYBOX=auto
COMPRESS=zstd
DEVICE=
NFSROOT=auto
RUNSIZE=10%
FSTYPE=auto
C
: > "$work/conf/modules"
echo "intel microcode, a stand-in" > "$work/early/kernel/x86/microcode/GenuineIntel.bin"
echo "amd microcode, a stand-in" > "$work/early/kernel/x86/microcode/AuthenticAMD.bin"
(cd "$work/early" && find . | sort | cpio --quiet -o -H newc -R 0:0) > "$work/early.cpio"
cat > "$work/conf/hooks/microcode" <<H
#!/bin/sh
[ "\${1:-}" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
prepend_earlyinitramfs "$work/early.cpio"
H
chmod +x "$work/conf/hooks/microcode"
mkdir "$work/boot"
echo CONFIG_RD_ZSTD=y > "$work/boot/config-$version"
# mkinitramfs looks in /lib/modules and /boot and nowhere else: a name space of its own keeps this
# machine's.
unshare -m sh -c "mkdir -p /lib/modules /boot && mount --bind '$work/modules' /lib/modules && \
    mount --bind '$work/boot' /boot && \
    mkinitramfs -d '$work/conf' -o '$work/initrd' $version" >&2
mv "$work/initrd" "$out/initramfs-tools.img"
chmod 644 "$out/initramfs-tools.img"
