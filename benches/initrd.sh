#!/usr/bin/env bash
# Initrds: ours and the peers in turn, best of several, in /dev/shm. Called by run.sh; needs some 1 GiB
# there. Usage: benches/initrd.sh [RUNS]
#
# append: a preseed behind Debian's installer initrd, against unpacking it and packing it again.
# repack: to zstd, against unpacking it into a folder, then find | cpio | zstd -T0 (the whole way),
# and against the second half alone, from a folder that is unpacked already.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
initrd=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/initrd.gz
[ -e "$initrd" ] || { echo "no Debian installer initrd here: make packages"; exit 0; }
work=$(mktemp -d /dev/shm/isowright-initrd.XXXXXX)
trap 'rm -rf "$work"' EXIT
runs=${1:-${RUNS:-5}}
cd "$work"
cp "$initrd" initrd.gz
echo 'd-i debian-installer/locale string C' > preseed.cfg
mkdir tree && (cd tree && gzip -dc ../initrd.gz | cpio --quiet -idm)

declare -A best
once() {
  local t0 t1 us
  rm -rf out; mkdir out
  t0=$EPOCHREALTIME
  bash -c "set -e; set -o pipefail; $2" >log 2>&1 </dev/null || { echo "FAILED: $2" >&2; tail -3 log >&2; exit 1; }
  t1=$EPOCHREALTIME
  us=$(( ${t1/[.,]/} - ${t0/[.,]/} ))
  [ -n "${best[$1]:-}" ] && [ "${best[$1]}" -le "$us" ] || best[$1]=$us
}
row() {
  awk -v n="$1" -v a="${best[$1]}" -v m="$2" -v b="${best[$2]}" \
    'BEGIN {printf "  %-20s %9.1f ms   %8.4f x %-36s (%.1f times as fast)\n", n, a/1000, a/b, m, b/a}'
}
unpack="cd out && gzip -dc ../initrd.gz | cpio --quiet -idm"
pack="find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0"

echo "initrd append of a preseed (limit: 100 times as fast as each)"
for _ in $(seq "$runs"); do
  once append "$tool initrd append initrd.gz --add preseed.cfg -o new.gz"
  once "unpack, cpio | gzip -9" "$unpack && cp ../preseed.cfg . && $pack | gzip -9 > ../peer.gz"
  once "unpack, cpio | zstd -T0 -10" "$unpack && cp ../preseed.cfg . && $pack | zstd -q -T0 -10 > ../peer.zst"
done
row append "unpack, cpio | gzip -9"
row append "unpack, cpio | zstd -T0 -10"

for level in 3 10 15; do
  echo "initrd repack to zstd -$level (limit: 1.0 x)"
  for _ in $(seq "$runs"); do
    once "repack -$level" "$tool initrd repack initrd.gz --codec zstd --level $level -o new.zst"
    once "unpack, cpio | zstd -T0 -$level" "$unpack && $pack | zstd -q -T0 -$level > ../peer.zst"
    once "cpio | zstd -T0 -$level alone" "cd tree && $pack | zstd -q -T0 -$level > ../alone.zst"
  done
  row "repack -$level" "unpack, cpio | zstd -T0 -$level"
  row "repack -$level" "cpio | zstd -T0 -$level alone"
  stat -c '  %n %s bytes' new.zst alone.zst
done
