#!/bin/sh
# Makes $1/nmcli: NetworkManager's own nmcli, which reads keyfiles without a running NetworkManager. Unpacked
# and not installed: the package would take over the machine's network.
set -eu
out=${1:?usage: nmcli.sh OUTPUT-FOLDER}
[ -x "$out/nmcli/usr/bin/nmcli" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d "$out/nmcli.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/deb" "$work/nmcli"
chmod 777 "$work/deb" # apt fetches as its own user
chmod 755 "$work"
(cd "$work/deb" && apt-get -qq download network-manager libnm0)
for deb in "$work"/deb/*.deb; do dpkg -x "$deb" "$work/nmcli"; done
mv "$work/nmcli" "$out/nmcli"
