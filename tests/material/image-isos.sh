#!/usr/bin/env bash
# Makes small ISOs in the vendors' layouts, bootable with a real kernel, to be repacked by the tests:
#   img-debian.iso  isolinux, GRUB in an EFI image, hybrid MBR + GPT + APM, md5sum.txt
#   img-el.iso      isolinux, grub.cfg in images/efiboot.img too, that image full, implanted MD5
#   img-grub.iso    GRUB for both firmwares, ESP behind the image, partition offset of 16, as Ubuntu's
#   img-rr.iso      El Torito alone, Rock Ridge and no Joliet
#   img-joliet.iso  El Torito alone, Joliet and no Rock Ridge
#   img-big.iso     a file of 4.5 GB in two extents; sparse
# The initrd is ours. It writes what it was started with on the first serial port, whatever the kernel's
# arguments say, so that a test knows that the medium boots; and on /dev/console, so that it knows what
# an operator sees: on the second port nothing, unless console=ttyS1 was added. Then it powers off.
# The menus are the vendors' but for their time-outs of one second.
set -euo pipefail
out=$(mkdir -p "${1:?usage: image-isos.sh FOLDER}" && cd "$1" && pwd)
all=(debian el grub rr joliet big)
missing=()
for n in "${all[@]}"; do [ -s "$out/img-$n.iso" ] || missing+=("$n"); done
[ ${#missing[@]} -gt 0 ] || exit 0
fixtures=$(cd "$(dirname "$0")/../../fixtures" && pwd)
kernel=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux
work=$(mktemp -d "$out/.image-isos.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
export SOURCE_DATE_EPOCH=1700000000 MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8

make_initrd() {
  local root=$work/initrd
  mkdir -p "$root"/{bin,dev,proc,sys}
  cp /bin/busybox "$root/bin/busybox"
  echo "the vendor's initrd" > "$root/isowright-proof"
  cat > "$root/init" <<'I'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
firmware=bios
[ ! -d /sys/firmware/efi ] || firmware=uefi
for port in /dev/ttyS0 /dev/console; do
  {
    echo "isowright-proof: firmware $firmware"
    echo "isowright-proof: cmdline $($b cat /proc/cmdline)"
    echo "isowright-proof: file $($b cat /isowright-proof)"
  } > $port
done
$b sleep 1
$b poweroff -f
I
  chmod 755 "$root/init"
  find "$root" -exec touch -h -d @$SOURCE_DATE_EPOCH {} +
  (cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) |
    gzip -9n > "$work/initrd.gz"
}

# The distribution's own signed shim and the GRUB that its CDs carry.
make_signed() {
  mkdir "$work/deb"
  chmod 777 "$work/deb" # apt fetches as its own user
  (cd "$work/deb" && apt-get -qq download shim-signed grub-efi-amd64-signed)
  for deb in "$work"/deb/*.deb; do dpkg -x "$deb" "$work/signed"; done
  shim=$work/signed/usr/lib/shim/shimx64.efi.signed
  grub=$work/signed/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed
}

# kernel_to PATH...: kernel and initrd by turns; the second pair and further ones are hard links.
kernel_to() {
  local k='' i=''
  while [ $# -gt 0 ]; do
    mkdir -p "${1%/*}" "${2%/*}"
    rm -f "$1" "$2"
    if [ -z "$k" ]; then cp "$kernel" "$1"; cp "$work/initrd.gz" "$2"; k=$1 i=$2
    else ln "$k" "$1"; ln "$i" "$2"; fi
    shift 2
  done
}

# fat IMAGE KIB LABEL FOLDER: a FAT with the folder's content.
fat() {
  mkfs.vfat -C -i 1507a9e5 -n "$3" "$1" "$2" > /dev/null
  mcopy -s -Q -p -i "$1" "$4"/* ::/
}

# Bytes free in a FAT.
free_in() { mdir -i "$1" ::/ | sed -n 's/ bytes free$//p' | tr -dc 0-9; }

isolinux_to() {
  cp /usr/lib/ISOLINUX/isolinux.bin "$1/"
  cp /usr/lib/syslinux/modules/bios/{ldlinux,libcom32,libutil,vesamenu,menu}.c32 "$1/"
}

# eltorito FILE: GRUB for BIOS from CD and disk, whose folder is /boot/grub.
eltorito() {
  grub-mkimage -O i386-pc-eltorito -p /boot/grub -o "$1" biosdisk iso9660 part_gpt part_msdos fat \
    normal configfile linux search search_label search_fs_file test echo minicmd serial terminal \
    gfxterm vbe video font gzio ls
}

sums() {
  (cd "$1" && find . -type f ! -name md5sum.txt ! -path "./$2" -print0 | LC_ALL=C sort -z |
    xargs -0 md5sum > "$work/sums")
  mv "$work/sums" "$1/md5sum.txt"
}

# image NAME VOLUME-ID TREE OPTION...: runs xorriso, puts the result in its place.
image() {
  local name=$1 id=$2 tree=$3
  shift 3
  find "$tree" -exec touch -h -d @$SOURCE_DATE_EPOCH {} +
  xorriso -as mkisofs -V "$id" -o "$work/$name.iso" "$@" "$tree" > "$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
  [ "$name" != img-el ] || implantisomd5 "$work/$name.iso" > /dev/null
  [ "$name" != img-big ] || fallocate --dig-holes "$work/$name.iso"
  mv "$work/$name.iso" "$out/$name.iso"
  rm -rf "$tree"
}

# As debian-cd makes it.
debian() {
  local cd=$work/debian efi=$work/debian-efi
  cp -r "$fixtures/debian-12-netinst/tree" "$cd"
  kernel_to "$cd"/install.amd/{vmlinuz,initrd.gz} "$cd"/install.amd/gtk/{vmlinuz,initrd.gz}
  isolinux_to "$cd/isolinux"
  sed -i 's/^timeout 0/timeout 10/' "$cd/isolinux/isolinux.cfg"
  sed -i '1i set timeout=1' "$cd/boot/grub/grub.cfg"
  mkdir -p "$cd/boot/grub/x86_64-efi" "$cd/EFI/boot" "$efi/efi/boot" "$efi/efi/debian"
  echo 'source /boot/grub/grub.cfg' > "$cd/boot/grub/x86_64-efi/grub.cfg"
  cp "$shim" "$cd/EFI/boot/bootx64.efi"
  cp "$grub" "$cd/EFI/boot/grubx64.efi"
  cp "$cd"/EFI/boot/* "$efi/efi/boot/"
  cat > "$efi/efi/debian/grub.cfg" <<'G'
search --file --set=root /.disk/info
set prefix=($root)/boot/grub
source $prefix/x86_64-efi/grub.cfg
G
  fat "$cd/boot/grub/efi.img" 5120 EFI "$efi"
  ln -s . "$cd/debian"
  sums "$cd" isolinux/isolinux.bin
  image img-debian 'Debian 12.5.0 amd64 n' "$cd" -r -J -joliet-long \
    -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
    -b isolinux/isolinux.bin -c isolinux/boot.cat -boot-load-size 4 -boot-info-table -no-emul-boot \
    -eltorito-alt-boot -e boot/grub/efi.img -no-emul-boot -isohybrid-gpt-basdat -isohybrid-apm-hfsplus
}

# As lorax makes it. The EFI image has not a cluster free: a longer grub.cfg does not fit.
el() {
  local cd=$work/el efi=$work/el-efi
  cp -r "$fixtures/almalinux-9-dvd/tree" "$cd"
  kernel_to "$cd"/images/pxeboot/{vmlinuz,initrd.img} "$cd"/isolinux/{vmlinuz,initrd.img}
  isolinux_to "$cd/isolinux"
  sed -i 's/^timeout 600/timeout 10/' "$cd/isolinux/isolinux.cfg"
  sed -i 's/^set timeout=60/set timeout=1/' "$cd/EFI/BOOT/grub.cfg"
  cp "$shim" "$cd/EFI/BOOT/BOOTX64.EFI"
  grub-mkimage -O x86_64-efi -o "$cd/EFI/BOOT/grubx64.efi" -p /EFI/BOOT part_gpt part_msdos fat ext2 \
    iso9660 normal configfile linux linuxefi search search_label test echo minicmd serial terminal \
    efi_gop efi_uga all_video gfxterm font gzio ls
  mkdir -p "$efi/EFI"
  cp -r "$cd/EFI/BOOT" "$efi/EFI/"
  fat "$cd/images/efiboot.img" 4096 ANACONDA "$efi"
  mmd -i "$cd/images/efiboot.img" ::/EFI/BOOT/fonts
  truncate -s "$(free_in "$cd/images/efiboot.img")" "$work/unicode.pf2"
  mcopy -i "$cd/images/efiboot.img" "$work/unicode.pf2" ::/EFI/BOOT/fonts/
  [ "$(free_in "$cd/images/efiboot.img")" = 0 ] || { echo "efiboot.img is not full"; exit 1; }
  printf '\n[checksums]\n' >> "$cd/.treeinfo"
  (cd "$cd" && sha256sum images/{efiboot,install}.img images/pxeboot/*) |
    sed 's/\([0-9a-f]*\)  \(.*\)/\2 = sha256:\1/' >> "$cd/.treeinfo"
  image img-el AlmaLinux-9-4-x86_64-dvd "$cd" -R -J -joliet-long \
    -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
    -b isolinux/isolinux.bin -c isolinux/boot.cat -boot-load-size 4 -boot-info-table -no-emul-boot \
    -eltorito-alt-boot -e images/efiboot.img -no-emul-boot -isohybrid-gpt-basdat
}

# As Ubuntu's since 20.10, and in the same way Debian's and EL's newest.
grub() {
  local cd=$work/grub efi=$work/grub-efi
  cp -r "$fixtures/ubuntu-24.04-live-server/tree" "$cd"
  kernel_to "$cd"/casper/{vmlinuz,initrd} "$cd"/casper/{hwe-vmlinuz,hwe-initrd}
  sed -i 's/^set timeout=30/set timeout=1/' "$cd/boot/grub/grub.cfg"
  mkdir -p "$cd/boot/grub/x86_64-efi" "$cd/boot/grub/i386-pc" "$efi/efi/boot"
  echo 'source /boot/grub/grub.cfg' > "$cd/boot/grub/x86_64-efi/grub.cfg"
  eltorito "$cd/boot/grub/i386-pc/eltorito.img"
  cp "$shim" "$cd/EFI/boot/bootx64.efi"
  cp "$grub" "$cd/EFI/boot/grubx64.efi"
  cp "$cd"/EFI/boot/*.efi "$efi/efi/boot/"
  fat "$work/esp.img" 5120 ESP "$efi"
  sums "$cd" boot/grub/i386-pc/eltorito.img
  image img-grub 'Ubuntu-Server 24.04.1 LTS amd64' "$cd" -r -J -joliet-long -iso-level 3 \
    --grub2-mbr /usr/lib/grub/i386-pc/boot_hybrid.img --mbr-force-bootable -partition_offset 16 \
    -append_partition 2 28732ac11ff8d211ba4b00a0c93ec93b "$work/esp.img" -appended_part_as_gpt \
    -iso_mbr_part_type a2a0d0ebe5b9334487c068b6b72699c7 \
    -c boot.catalog -b boot/grub/i386-pc/eltorito.img -no-emul-boot -boot-load-size 4 \
    -boot-info-table --grub2-boot-info \
    -eltorito-alt-boot -e --interval:appended_partition_2::: -no-emul-boot
}

# rescue NAME OPTION...: nobody's medium, GRUB by El Torito for both firmwares.
rescue() {
  local name=$1 cd=$work/rescue efi=$work/rescue-efi
  shift
  mkdir -p "$cd/boot/grub" "$efi/efi/boot"
  kernel_to "$cd"/boot/{vmlinuz,initrd.gz}
  cat > "$cd/boot/grub/grub.cfg" <<'G'
set timeout=1
menuentry "Rescue" {
	linux /boot/vmlinuz quiet
	initrd /boot/initrd.gz
}
G
  eltorito "$cd/boot/grub/eltorito.img"
  printf 'search --file --set=root /boot/grub/eltorito.img\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' \
    > "$work/early.cfg"
  grub-mkimage -O x86_64-efi -o "$efi/efi/boot/bootx64.efi" -p /boot/grub -c "$work/early.cfg" iso9660 \
    part_gpt part_msdos fat search search_fs_file configfile normal linux test echo serial terminal \
    font gfxterm all_video
  rm -f "$cd/boot/grub/efi.img"
  fat "$cd/boot/grub/efi.img" 2048 EFI "$efi"
  rm -rf "$efi"
  if [ "$name" = img-big ]; then
    truncate -s 4500000000 "$cd/boot/big.img"
    echo begin | dd of="$cd/boot/big.img" conv=notrunc status=none
    # On both sides of the border between the extents, at 4 GiB - 2048.
    echo border | dd of="$cd/boot/big.img" bs=1 seek=4294965245 conv=notrunc status=none
    echo end | dd of="$cd/boot/big.img" bs=1 seek=4499999996 conv=notrunc status=none
    echo after > "$cd/zzz.txt"
  fi
  image "$name" RESCUE_1 "$cd" "$@" \
    -c boot/grub/boot.cat -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table \
    --grub2-boot-info -eltorito-alt-boot -e boot/grub/efi.img -no-emul-boot
}
rr() { rescue img-rr -r; }
joliet() { rescue img-joliet -J --norock; }
big() { rescue img-big -r -J -iso-level 3; }

make_initrd
make_signed
for n in "${missing[@]}"; do
  echo "img-$n.iso"
  "$n"
done
