#!/usr/bin/env bash
# An ISO into an object store: publish against what one does without it, which is to extract the ISO and to copy
# the folder with `aws s3 sync` (PyPI) or with rclone (Debian). Limits: 1.5 x aws, 1.0 x rclone, a second run
# with nothing changed in a second and without a PUT, 96 MiB of memory. benches/run.sh calls it; alone:
# benches/publish.sh [RUNS]. The store is s3s-fs (examples/s3.rs) on the same machine, for all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
material=${ISOWRIGHT_MATERIAL:-$PWD/target/material}
aws=$material/awscli/bin/aws
work=$(mktemp -d /dev/shm/isowright-publish.XXXXXX)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
runs=${1:-${RUNS:-5}}

if [ ! -x "$aws" ]; then
  python3 -m venv "$material/awscli"
  "$material/awscli/bin/pip" install --quiet --disable-pip-version-check awscli
fi
command -v rclone >/dev/null || { echo "rclone is not there: apt-get install rclone" >&2; exit 1; }
cargo build --quiet --release --example s3

mkdir -p "$work/s3/boot" "$work/tree/images/pxeboot" "$work/tree/Packages"
openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 380000 > "$work/block" || true
for i in $(seq 1 1400); do
  { printf '%08d' "$i"; cat "$work/block"; } > "$work/tree/Packages/package-$i.rpm"
done
rm "$work/block"
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
iso=$work/big.iso
xorriso -as mkisofs -quiet -r -J -V BENCH -o "$iso" "$work/tree" 2>/dev/null
rm -rf "$work/tree"

port=$((20000 + RANDOM % 20000))
target/release/examples/s3 "$work/s3" "$port" &
server=$!
url=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=benchbench AWS_DEFAULT_REGION=us-east-1
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_CA_BUNDLE HTTP_PROXY http_proxy
export RCLONE_CONFIG_B_TYPE=s3 RCLONE_CONFIG_B_PROVIDER=Other RCLONE_CONFIG_B_ENV_AUTH=true
export RCLONE_CONFIG_B_ENDPOINT=$url RCLONE_CONFIG_B_FORCE_PATH_STYLE=true
for _ in $(seq 50); do curl -s -o /dev/null "$url" && break; sleep 0.1; done

# The tree as publish has it: kernel and initrd beside the whole medium.
extract="mkdir -p $work/x/repo && bsdtar -xf $iso -C $work/x/repo && cp $work/x/repo/images/pxeboot/* $work/x/"
publish="$tool publish $iso s3://boot/x --endpoint $url --full-tree --plus once"

declare -A best cpu
# once NAME COMMAND: into an empty bucket; the best wall time in milliseconds, and the processor's in that run.
once() {
  rm -rf "$work/s3" "$work/x"; mkdir -p "$work/s3/boot"
  local t
  t=$( { TIMEFORMAT='%R %U %S'; time bash -c "$2" >"$work/log" 2>&1 </dev/null; } 2>&1 ) || {
    echo "FAILED: $2" >&2; tail -3 "$work/log" >&2; exit 1; }
  local ms=$(awk -v t="$t" 'BEGIN {split(t, a, " "); printf "%d", a[1] * 1000}')
  if [ -z "${best[$1]:-}" ] || [ "${best[$1]}" -gt "$ms" ]; then
    best[$1]=$ms
    cpu[$1]=$(awk -v t="$t" 'BEGIN {split(t, a, " "); printf "%.2f", a[2] + a[3]}')
  fi
}
row() {
  awk -v n="$1" -v a="${best[$1]}" -v c="${cpu[$1]}" -v b="${best[publish]}" \
    'BEGIN {printf "  %-28s %8d ms, %6.2f s of processor; publish is %5.2f x as fast\n", n, a, c, a/b}'
}

echo "publish: an ISO of $(stat -c %s "$iso") bytes and 1,404 files into an empty prefix (limits: 1.5 x aws, 1.0 x rclone)"
for _ in $(seq "$runs"); do
  once publish "$publish"
  once "extract, aws s3 sync" "$extract && $aws s3 sync --quiet --endpoint-url $url $work/x s3://boot/x"
  once "extract, rclone copy" "$extract && rclone copy $work/x b:boot/x"
  once "rclone copy alone" "$extract" # the folder is there before the clock starts
  rm -rf "$work/s3"; mkdir -p "$work/s3/boot"
  unset "best[rclone copy alone]"
  t0=$EPOCHREALTIME; rclone copy "$work/x" b:boot/x 2>"$work/log"; t1=$EPOCHREALTIME
  ms=$(( (${t1/[.,]/} - ${t0/[.,]/}) / 1000 ))
  [ -n "${alone:-}" ] && [ "$alone" -le "$ms" ] || alone=$ms
done
for n in publish "extract, aws s3 sync" "extract, rclone copy"; do row "$n"; done
awk -v a="$alone" -v b="${best[publish]}" \
  'BEGIN {printf "  %-28s %8d ms; publish is %5.2f x as fast\n", "rclone copy, extracted before", a, a/b}'

rm -rf "$work/s3" "$work/x"; mkdir -p "$work/s3/boot"
peak=$( { /usr/bin/time -f %M bash -c "exec $publish" >/dev/null; } 2>&1 | tail -1)
echo "  memory, first run            $peak KiB (limit: 98304)"
touch "$work/mark"
best=()
for _ in $(seq "$runs"); do
  t0=$EPOCHREALTIME; $publish > "$work/log"; t1=$EPOCHREALTIME
  ms=$(( (${t1/[.,]/} - ${t0/[.,]/}) / 1000 ))
  [ -n "${second:-}" ] && [ "$second" -le "$ms" ] || second=$ms
done
echo "  second run                   $second ms (limit: 1000), objects written: $(find "$work/s3/boot" -type f -newer "$work/mark" | wc -l) (limit: 0)"
