#!/bin/sh
# An ISO laid out as Debian's netinst is, with Debian's own installer kernel, initrd, menus, shim,
# isolinux and GRUB; it boots from CD and disk under BIOS and UEFI. No package pool.
# Usage: debian-installer-iso.sh OUTPUT-FOLDER, makes debian-installer.iso there unless it is there.
# Needs: debian-installer-12-netboot-amd64 isolinux syslinux-common grub-efi-amd64-bin grub-common
# xorriso mtools dosfstools.
set -eu
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -e "$out/debian-installer.iso" ] && exit 0
d=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
work=$(mktemp -d "$out/.debian-installer.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd=$work/cd
mkdir -p "$cd/.disk" "$cd/install.amd" "$cd/isolinux" "$cd/boot/grub" "$cd/EFI/boot" \
    "$cd/dists/bookworm" "$cd/pool"

printf '%s' "Debian GNU/Linux 12.13.0 \"Bookworm\" - Official amd64 NETINST with firmware 20260110-10:59" \
    >"$cd/.disk/info"
echo main >"$cd/.disk/base_components"
: >"$cd/.disk/base_installable"
echo not_complete >"$cd/.disk/cd_type"
cat >"$cd/dists/bookworm/Release" <<'EOF'
Origin: Debian
Label: Debian
Suite: stable
Version: 12.13
Codename: bookworm
Architectures: amd64
Components: main
EOF
ln -s bookworm "$cd/dists/stable"
ln -s . "$cd/debian"

cp "$d/linux" "$cd/install.amd/vmlinuz"
cp "$d/initrd.gz" "$cd/install.amd/initrd.gz"

# The netboot menus name files from the TFTP root; on CD they lie in isolinux/ and /install.amd.
for f in "$d"/boot-screens/*; do
    case $f in
    *.cfg | *.txt)
        sed -e 's#debian-installer/amd64/boot-screens/##g' \
            -e 's#initrd=debian-installer/amd64/#initrd=/install.amd/#g' \
            -e 's#debian-installer/amd64/linux#/install.amd/vmlinuz#g' "$f" \
            >"$cd/isolinux/${f##*/}"
        ;;
    *) cp "$f" "$cd/isolinux/" ;;
    esac
done
sed 's#^path .*#path#' "$cd/isolinux/syslinux.cfg" >"$cd/isolinux/isolinux.cfg"
rm "$cd/isolinux/syslinux.cfg"
cp /usr/lib/ISOLINUX/isolinux.bin "$cd/isolinux/"
for f in ldlinux.c32 libcom32.c32 libutil.c32 vesamenu.c32; do
    cp "/usr/lib/syslinux/modules/bios/$f" "$cd/isolinux/"
done

sed 's#/debian-installer/amd64/linux#/install.amd/vmlinuz#; s#/debian-installer/amd64/#/install.amd/#' \
    "$d/grub/grub.cfg" >"$cd/boot/grub/grub.cfg"
cp "$d/grub/font.pf2" "$cd/boot/grub/"
mkdir "$cd/boot/grub/x86_64-efi"
cp /usr/lib/grub/x86_64-efi/*.mod /usr/lib/grub/x86_64-efi/*.lst "$cd/boot/grub/x86_64-efi/"
echo 'source /boot/grub/grub.cfg' >"$cd/boot/grub/x86_64-efi/grub.cfg"

cat >"$work/find-cd.cfg" <<'EOF'
search --file --set=root /.disk/info
set prefix=($root)/boot/grub
source $prefix/x86_64-efi/grub.cfg
EOF
grub-mkimage -O x86_64-efi -o "$cd/EFI/boot/grubx64.efi" -p /EFI/debian \
    part_gpt part_msdos fat iso9660 search search_fs_file normal configfile linux echo test ls \
    boot reboot halt minicmd serial terminal gfxterm all_video efi_gop font gzio
cp "$d/bootnetx64.efi" "$cd/EFI/boot/bootx64.efi"

efi=$cd/boot/grub/efi.img
export MTOOLS_SKIP_CHECK=1
mkfs.msdos -C "$efi" 3072 >/dev/null
mmd -i "$efi" ::/efi ::/efi/boot ::/efi/debian
mcopy -i "$efi" "$cd/EFI/boot/bootx64.efi" "$cd/EFI/boot/grubx64.efi" ::/efi/boot
mcopy -i "$efi" "$work/find-cd.cfg" ::/efi/debian/grub.cfg

(cd "$cd" && find . -type f ! -name md5sum.txt ! -path './isolinux/isolinux.bin' -print0 |
    sort -z | xargs -0 md5sum >"$work/md5sum.txt")
mv "$work/md5sum.txt" "$cd/md5sum.txt"

xorriso -as mkisofs -r -V 'Debian 12.13.0 amd64 n' -J -joliet-long \
    -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
    -b isolinux/isolinux.bin -c isolinux/boot.cat -boot-load-size 4 -boot-info-table -no-emul-boot \
    -eltorito-alt-boot -e boot/grub/efi.img -no-emul-boot \
    -isohybrid-gpt-basdat -isohybrid-apm-hfsplus \
    -o "$work/debian-installer.iso" "$cd" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
mv "$work/debian-installer.iso" "$out/debian-installer.iso"
