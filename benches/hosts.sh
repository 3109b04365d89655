#!/usr/bin/env bash
# A tree for 1,000 hosts against one for a single host: time (limit: 2 x), and what it grows by (limit:
# the answer files, and what names them). benches/run.sh calls it; alone: benches/hosts.sh
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
material=${ISOWRIGHT_MATERIAL:-target/material}
work=$(mktemp -d /dev/shm/isowright-hosts.XXXXXX)
trap 'rm -rf "$work"' EXIT
runs=${RUNS:-5}

# table N: N hosts with four ports and an address each.
table() {
  echo "hostname,macs,address,gateway,disks,raid1,role"
  for ((i = 0; i < $1; i++)); do
    mac=$(printf '52:54:00:%02x:%02x' $((i >> 8)) $((i & 255)))
    net=10.$((i >> 8)).$((i & 255))
    echo "node$i.example.org,$mac:01 $mac:02 $mac:03 $mac:04,$net.2/24,$net.1,,,"
  done
}
table 1 > "$work/1.csv"
table 1000 > "$work/1000.csv"

declare -A best
# once N ISO: builds for N hosts, keeps the best wall time in microseconds.
once() {
  local t0 t1 us
  rm -rf "$work/$1"
  t0=$EPOCHREALTIME
  "$tool" build "$2" --hosts "$work/$1.csv" --unattended -o "$work/$1" >/dev/null
  t1=$EPOCHREALTIME
  us=$(( ${t1/[.,]/} - ${t0/[.,]/} ))
  [ -n "${best[$1]:-}" ] && [ "${best[$1]}" -le "$us" ] || best[$1]=$us
}
bytes() { find "$@" -type f -printf '%s\n' 2>/dev/null | awk '{n += $1} END {print n + 0}'; }

echo "build --hosts, 1,000 hosts against one"
[ $# -gt 0 ] || set -- "$material/el9.iso" "$material/debian-installer.iso"
for iso in "$@"; do
  best=()
  for _ in $(seq "$runs"); do once 1 "$iso"; once 1000 "$iso"; done
  awk -v n="${iso##*/}" -v a="${best[1]}" -v b="${best[1000]}" \
    'BEGIN {printf "  %-24s one %7.1f ms, 1,000 %7.1f ms: %5.2f x (limit: 2)\n", n, a/1000, b/1000, b/a}'
  answers=$(bytes "$work/1000/answers" "$work/1000/hosts" || true)
  scripts=$(bytes "$work/1000/boot.ipxe" "$work/1000/grub" "$work/1000/EFI/BOOT/grub.cfg" || true)
  records=$(bytes "$work/1000/manifest.json" "$work/1000/SHA256SUMS")
  awk -v g=$(( $(bytes "$work/1000") - $(bytes "$work/1") )) -v a="$answers" -v s="$scripts" -v r="$records" \
    'BEGIN {printf "  %-24s grows by %.2f MB: answers %.2f, boot scripts %.2f, records %.2f\n", "", g/1e6, a/1e6, s/1e6, r/1e6}'
done
