#!/usr/bin/env bash
# Runs every test and ends with the counts. A skipped test says why; in CI none may be.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The same cases each time, so that the change is judged and not the draw; `make soak` draws anew.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}
cargo test --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
passed=$(awk '/^test result:/ {for (i=1;i<=NF;i++) if ($(i+1)=="passed;") n+=$i} END {print n+0}' "$log")
failed=$(awk '/^test result:/ {for (i=1;i<=NF;i++) if ($(i+1)=="failed;") n+=$i} END {print n+0}' "$log")
skipped=$(grep -c '^SKIPPED: ' "$log")
# A skipped test returns early, so the runner counted it among the passed ones.
passed=$((passed - skipped))
if [ "$skipped" -gt 0 ]; then
  echo "skipped:"
  grep '^SKIPPED: ' "$log" | sort | uniq -c
fi
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || echo "the tests did not build or did not end"
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then status=1; fi
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
