#!/bin/sh
# Makes $1/cloud-init: Debian's package, unpacked. Its schema judges user-data. It is not installed, for it
# would want to set up this machine at the next boot.
set -eu
out=${1:?usage: cloud-init.sh OUTPUT_FOLDER}/cloud-init
[ -e "$out/usr/lib/python3/dist-packages/cloudinit" ] && exit 0
mkdir -p "${out%/*}"
work=$(mktemp -d "${out%/*}/.cloud-init.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download cloud-init)
dpkg -x "$work"/cloud-init_*.deb "$work/x"
rm -rf "$out"
mv "$work/x" "$out"
