#!/usr/bin/env bash
# The long ones: each fuzz target for 60 s (SECONDS_EACH=n for another time).
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
rustup toolchain list | grep -q nightly || { echo "cargo fuzz needs a nightly toolchain: rustup toolchain install nightly"; exit 1; }
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
