#!/bin/sh
# Makes $1/validators: a Python environment with the judges of our answer files, and pycdlib, a peer in
# the benchmarks.
set -eu
out=${1:?usage: validators.sh OUTPUT_FOLDER}/validators
packages=$(cat <<END
configobj==5.0.9
jinja2==3.1.6
jsonpatch==1.33
jsonschema==4.26.0
pycdlib==1.14.0
pykickstart==3.78
pyyaml==6.0.3
END
)
# What was installed is written down last: nothing that looks whole is left where the download breaks.
[ "$(cat "$out/packages" 2>/dev/null)" = "$packages" ] && exit 0
mkdir -p "${out%/*}"
rm -rf "$out"
python3 -m venv "$out"
# shellcheck disable=SC2086 # a word each
"$out/bin/pip" install --quiet --disable-pip-version-check $packages
"$out/bin/ksvalidator" --listversions >/dev/null
echo "$packages" >"$out/packages"
