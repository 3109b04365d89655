#!/usr/bin/env bash
# Timings with the peers side by side, best of five each, taken in turn (A B C A B C …) so that a
# machine that drifts drifts for all. Everything lies in /dev/shm, where the noise is least.
# Needs some 7 GiB there. Usage: benches/run.sh [extract|ls|boot-only|hosts|memory|initrd|image|serve|publish …]
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
python=${ISOWRIGHT_MATERIAL:-target/material}/validators/bin/python
work=$(mktemp -d /dev/shm/isowright-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
runs=${RUNS:-5}
which=("${@:-all}")
want() { [[ " ${which[*]} " == *" all "* || " ${which[*]} " == *" $1 "* ]]; }

declare -A best
# once NAME COMMAND: runs it, keeps the best wall time in microseconds.
once() {
  local name=$1 t0 t1 us
  rm -rf "$work/out" "$work/copy.iso"; mkdir "$work/out"
  t0=$EPOCHREALTIME
  bash -c "$2" >"$work/log" 2>&1 </dev/null || { echo "FAILED: $2" >&2; tail -3 "$work/log" >&2; exit 1; }
  t1=$EPOCHREALTIME
  us=$(( ${t1/[.,]/} - ${t0/[.,]/} ))
  [ -n "${best[$name]:-}" ] && [ "${best[$name]}" -le "$us" ] || best[$name]=$us
}
# row NAME BASE: the time and its ratio to BASE's.
row() {
  awk -v n="$1" -v a="${best[$1]}" -v m="$2" -v b="${best[$2]}" \
    'BEGIN {printf "  %-28s %9.1f ms   %6.3f x %s\n", n, a/1000, a/b, m}'
}
peak() { /usr/bin/time -f %M "$@" 2>&1 >/dev/null | tail -1; }

if want extract || want memory || want boot-only; then
  echo "making an install ISO of 2.8 GB and 7,500 files"
  mkdir -p "$work/tree/images/pxeboot" "$work/tree/isolinux" "$work/tree/Packages"
  # 2.8 GB that no file system can share: each file is its own stretch of a keystream.
  openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 380000 > "$work/block" || true
  for i in $(seq 1 7497); do
    d=$work/tree/Packages/$((i % 26)); [ -d "$d" ] || mkdir "$d"
    { printf '%08d' "$i"; cat "$work/block"; } > "$d/package-$i.rpm"
  done
  echo stand-in > "$work/tree/images/install.img"
  head -c 12000000 /dev/urandom > "$work/tree/images/pxeboot/vmlinuz"
  head -c 60000000 /dev/urandom > "$work/tree/images/pxeboot/initrd.img"
  cat > "$work/tree/.treeinfo" <<'I'
[general]
arch = x86_64
family = AlmaLinux
version = 9.4
[images-x86_64]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img
[release]
name = AlmaLinux
short = AlmaLinux
version = 9.4
I
  xorriso -as mkisofs -quiet -r -J -V BENCH -o "$work/big.iso" "$work/tree" 2>/dev/null
  rm -rf "$work/tree" "$work/block"
  ls -l "$work/big.iso" | awk '{print "  " $5 " bytes"}'
fi

if want extract; then
  echo "extract everything (limit: 1.3 x cp, and faster than each peer)"
  for _ in $(seq "$runs"); do
    once isowright "$tool extract $work/big.iso -o $work/out"
    once "cp of the ISO" "cp --reflink=never $work/big.iso $work/copy.iso"
    once 7z "7z x -y -o$work/out $work/big.iso"
    once xorriso "xorriso -osirrox on -indev stdio:$work/big.iso -extract / $work/out"
    once bsdtar "bsdtar -xf $work/big.iso -C $work/out"
  done
  for n in isowright 7z xorriso bsdtar; do row "$n" "cp of the ISO"; done
  for n in 7z xorriso bsdtar; do row isowright "$n"; done
  rm -rf "$work/out" "$work/copy.iso"
fi

if want ls; then
  echo "ls -R of 30,000 entries (limit: 1.0 x isoinfo, 0.05 x pycdlib)"
  mkdir -p "$work/many"
  for d in $(seq 300); do mkdir "$work/many/d$d"; (cd "$work/many/d$d" && touch $(seq -f 'file-with-a-name-%g' 99)); done
  xorriso -as mkisofs -quiet -r -J -V MANY -o "$work/many.iso" "$work/many" 2>/dev/null
  rm -rf "$work/many"
  for _ in $(seq "$runs"); do
    once "isowright ls -R" "$tool ls -R $work/many.iso"
    once "isoinfo -f -R" "isoinfo -f -R -i $work/many.iso"
    [ -x "$python" ] && once pycdlib "$python benches/pycdlib_walk.py $work/many.iso"
  done
  row "isowright ls -R" "isoinfo -f -R"
  [ -n "${best[pycdlib]:-}" ] && row "isowright ls -R" pycdlib || echo "  pycdlib is not there: make material"
fi

if want boot-only; then
  echo "build --boot-only: kernel + initrd of 72 MB out of 2.8 GB, against a cp of as many bytes"
  head -c 72000000 /dev/urandom > "$work/72mb"
  for _ in $(seq "$runs"); do
    once "build --boot-only" "$tool build $work/big.iso --boot-only -o $work/out"
    once "cp + sha256sum of 72 MB" "cp $work/72mb $work/out/x && sha256sum $work/out/x"
  done
  row "build --boot-only" "cp + sha256sum of 72 MB"
fi

if want hosts; then
  benches/hosts.sh
fi

if want memory; then
  echo "peak memory (limit: 40 MiB = 40960 KiB)"
  rm -rf "$work/out" "$work/tree-out"
  printf '  %-28s %9s KiB\n' "extract, all of 2.8 GB" "$(peak "$tool" extract "$work/big.iso" -o "$work/out")"
  rm -rf "$work/out"
  printf '  %-28s %9s KiB\n' "build --full-tree" "$(peak "$tool" build "$work/big.iso" --full-tree -o "$work/tree-out")"
  rm -rf "$work/tree-out"
  truncate -s 40G "$work/big.iso" 2>/dev/null && \
    printf '  %-28s %9s KiB\n' "inspect, ISO grown to 40 GB" "$(peak "$tool" inspect "$work/big.iso")"
fi

if want initrd; then
  benches/initrd.sh "$runs"
fi

if want image; then
  rm -f "$work"/*.iso
  benches/image.sh "$runs"
fi

if want serve; then
  rm -rf "$work"/*.iso
  benches/serve.sh "$runs"
fi

if want publish; then
  rm -f "$work"/*.iso
  benches/publish.sh "$runs"
fi
