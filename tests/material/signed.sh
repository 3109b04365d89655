#!/bin/sh
# Debian's EFI programs as the archive has them: shim, its helpers and GRUB, signed; systemd-boot, not.
# Unpacked and not installed, for their packages would set up this machine's own boot loader.
# Usage: signed.sh OUTPUT-FOLDER, makes OUTPUT-FOLDER/signed unless it is there.
set -eu
out=$1
[ -d "$out/signed" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d "$out/.signed.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/deb" "$work/x" "$work/signed"
(cd "$work/deb" && apt-get download -qq \
    shim-signed shim-helpers-amd64-signed grub-efi-amd64-signed systemd-boot-efi)
for deb in "$work"/deb/*.deb; do dpkg -x "$deb" "$work/x"; done
find "$work/x/usr/lib" -name '*.efi' -o -name '*.efi.signed' | while read -r f; do
    cp "$f" "$work/signed/"
done
mv "$work/signed" "$out/signed"
