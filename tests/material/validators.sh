#!/bin/sh
# Makes $1/validators: a Python environment with ksvalidator, the judge of our kickstarts.
set -eu
out=${1:?usage: validators.sh OUTPUT_FOLDER}/validators
version=3.78
if [ "$("$out/bin/pip" show pykickstart 2>/dev/null | sed -n 's/^Version: //p')" = "$version" ]; then
    exit 0
fi
mkdir -p "${out%/*}"
# Nothing that looks whole is left where the download breaks.
rm -rf "$out"
trap 'rm -rf "$out"' EXIT
python3 -m venv "$out"
"$out/bin/pip" install --quiet --disable-pip-version-check "pykickstart==$version"
"$out/bin/ksvalidator" --listversions >/dev/null
trap - EXIT
