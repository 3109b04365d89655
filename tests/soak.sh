#!/usr/bin/env bash
# The long ones: whole installations in QEMU, many more cases of each property, then each fuzz target for 60 s (SECONDS_EACH=n for another
# time).
set -euo pipefail
cd "$(dirname "$0")/.."
tests/material/debian-dvd.sh "${ISOWRIGHT_MATERIAL:-target/material}"
cargo test --test soak-install -- --test-threads 1
PROPTEST_CASES=${PROPTEST_CASES:-100000} cargo test --lib --test bootconfig
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
rustup toolchain list | grep -q nightly || { echo "cargo fuzz needs a nightly toolchain: rustup toolchain install nightly"; exit 1; }
# Seeds: our own fixtures, so that a run starts from what the parsers know.
seed() {
  local dir=fuzz/corpus/$1 n=0 f
  mkdir -p "$dir"
  shift
  for f in "$@"; do n=$((n + 1)); cp "$f" "$dir/seed-$n"; done
}
mapfile -t isolinux < <(find fixtures -path '*isolinux/*.cfg')
mapfile -t grub < <(find fixtures -name grub.cfg)
mapfile -t bls < <(find fixtures -path '*loader/*.conf')
mapfile -t treeinfo < <(find fixtures -name .treeinfo)
mapfile -t diskinfo < <(find fixtures -name .discinfo -o -path '*/.disk/info')
seed media fixtures/demo.iso
seed iso9660 <(tail -c +32769 fixtures/demo.iso)
seed syslinux "${isolinux[@]}"
seed grub "${grub[@]}"
seed bls "${bls[@]}"
seed treeinfo "${treeinfo[@]}"
seed diskinfo "${diskinfo[@]}"
seed recipe recipes/*.toml
seed profile profiles/*.toml
# An initrd of each codec, made by the codec's own tool.
small() { (cd templates && find . | sort | head -8 | cpio --quiet -o -H newc); }
seed initrd <(small) <(small | gzip -n) <(small | xz --check=crc32) <(small | lzma) \
  <(small | bzip2) <(small | zstd -q) <(small | lz4 -l -c -q)
seed repack fuzz/corpus/initrd/seed-*
failed=()
for target in $(cargo +nightly fuzz list); do
  echo "fuzz: $target"
  cargo +nightly fuzz run "$target" -- -max_total_time="${SECONDS_EACH:-60}" -rss_limit_mb=512 -timeout=10 || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "found something: ${failed[*]}"
  exit 1
fi
echo "all targets held"
