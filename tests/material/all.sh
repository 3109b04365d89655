#!/usr/bin/env bash
# Makes all test material in the folder $1. What is there already stays.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: all.sh FOLDER}
mkdir -p "$out"
for script in validators nmcli cloud-init hard-cases image-isos debian-installer-iso dracut-initrd initramfs-tools el-iso dracut-live-iso debian-live signed moto; do
  echo "material: $script"
  # In CI nothing may be missing; elsewhere the tests that need it say so and are skipped.
  "$here/$script.sh" "$out" || [ "${CI:-}" != true ] || exit 1
done
