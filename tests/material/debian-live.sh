#!/usr/bin/env bash
# Makes $1/debian-live.iso: a real Debian live system out of Debian's packages, laid out as Debian's
# live media are: live/, isolinux/, boot/grub/, an EFI image. Log in as root, password live.
set -euo pipefail
out=$(mkdir -p "${1:?usage: debian-live.sh FOLDER}" && cd "$1" && pwd)
[ -s "$out/debian-live.iso" ] && exit 0
work=$(mktemp -d "$out/.live.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd=$work/cd
mkdir -p "$cd/live" "$cd/isolinux" "$cd/boot/grub" "$cd/.disk" "$cd/EFI/boot"
mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
  --include=linux-image-cloud-amd64,live-boot,live-config,systemd-sysv,iproute2,isc-dhcp-client,kmod,udev,initramfs-tools \
  --customize-hook="cp \"\$1\"/boot/vmlinuz-* \"\$1\"/boot/initrd.img-* $cd/live/" \
  --customize-hook='echo root:live | chroot "$1" chpasswd' \
  --customize-hook='rm -rf "$1"/usr/share/doc/* "$1"/usr/share/locale/* "$1"/var/lib/apt/lists/*' \
  bookworm "$work/root.tar" >&2
tar2sqfs --quiet --force --compressor zstd --comp-extra level=3 "$cd/live/filesystem.squashfs" < "$work/root.tar"
rm "$work/root.tar"

kernel=$(cd "$cd/live" && echo vmlinuz-*)
initrd=$(cd "$cd/live" && echo initrd.img-*)
printf 'Debian GNU/Linux Live 12.12 "Bookworm" - Unofficial amd64 made for tests\n' > "$cd/.disk/info"
cat > "$cd/isolinux/isolinux.cfg" <<I
include menu.cfg
default vesamenu.c32
prompt 0
timeout 0
I
cat > "$cd/isolinux/menu.cfg" <<'I'
menu hshift 0
menu width 82
menu title Boot menu
include live.cfg
menu clear
I
cat > "$cd/isolinux/live.cfg" <<I
label live-amd64
	menu label ^Live system (amd64)
	menu default
	linux /live/$kernel
	initrd /live/$initrd
	append boot=live components quiet splash
label live-amd64-failsafe
	menu label ^Live system (amd64 fail-safe mode)
	linux /live/$kernel
	initrd /live/$initrd
	append boot=live components memtest noapic noapm nodma nomce nosmp nosplash vga=788
I
cat > "$cd/boot/grub/grub.cfg" <<I
set default=0
if loadfont \$prefix/unicode.pf2 ; then
  insmod gfxterm
  terminal_output gfxterm
fi
menuentry "Live system (amd64)" --hotkey=l {
	linux	/live/$kernel boot=live components quiet splash findiso=\${iso_path}
	initrd	/live/$initrd
}
menuentry "Live system (amd64 fail-safe mode)" {
	linux	/live/$kernel boot=live components memtest noapic noapm nodma nomce nosmp nosplash vga=normal
	initrd	/live/$initrd
}
I
cp /usr/lib/ISOLINUX/isolinux.bin "$cd/isolinux/"
cp /usr/lib/syslinux/modules/bios/{ldlinux,libcom32,libutil,vesamenu}.c32 "$cd/isolinux/"
printf 'search --set=root --file /live/filesystem.squashfs\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' > "$work/early.cfg"
grub-mkimage -O x86_64-efi -o "$cd/EFI/boot/bootx64.efi" -p /boot/grub -c "$work/early.cfg" \
  iso9660 part_gpt part_msdos fat search search_fs_file configfile normal linux test echo \
  serial terminal font gfxterm all_video http tftp efinet regexp
mkfs.vfat -C "$cd/boot/grub/efi.img" 2048 >/dev/null
mmd -i "$cd/boot/grub/efi.img" ::/EFI ::/EFI/boot
mcopy -i "$cd/boot/grub/efi.img" "$cd/EFI/boot/bootx64.efi" ::/EFI/boot/
xorriso -as mkisofs -quiet -r -J -joliet-long -V "d-live 12.12 st amd64" -o "$work/live.iso" \
  -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
  -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
  -eltorito-alt-boot -e boot/grub/efi.img -no-emul-boot -isohybrid-gpt-basdat "$cd" 2>/dev/null
mv "$work/live.iso" "$out/debian-live.iso"
