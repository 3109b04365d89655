#!/bin/sh
# Makes $1/moto: moto's S3 server (PyPI), a second store beside s3s-fs to publish to.
set -eu
out=${1:?usage: moto.sh OUTPUT-FOLDER}
[ -x "$out/moto/bin/moto_server" ] && exit 0
mkdir -p "$out"
rm -rf "$out/moto.new" "$out/moto"
trap 'rm -rf "$out/moto.new" "$out/moto"' EXIT
python3 -m venv "$out/moto"
"$out/moto/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
trap - EXIT
