# make demo   build the tool and turn fixtures/demo.iso into a tree
# make test   install what the tests need, make the test material, run everything
# make check  fmt, clippy, licences and sources of crates, docs, layers
# make bench  timings with the peers side by side
# make soak   the long ones: installations in QEMU, and each fuzz target for 60 s
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MATERIAL := $(abspath $(or $(ISOWRIGHT_MATERIAL),target/material))
export ISOWRIGHT_MATERIAL := $(MATERIAL)

.PHONY: demo test check bench soak packages material deny

demo:
	cargo build --release
	rm -rf target/demo
	target/release/isowright inspect fixtures/demo.iso
	@echo
	target/release/isowright build fixtures/demo.iso -o target/demo
	@echo
	target/release/isowright verify target/demo
	@echo
	@echo "The tree:"
	@cd target/demo && find . -type f | sort | sed 's/^/  /'

packages:
	tests/material/packages.sh

material: packages
	tests/material/all.sh "$(MATERIAL)"

test: material
	tests/run.sh

check: deny
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
	cargo test --quiet --test layers

# The advisory database is a git repository; where it can't be fetched that one check is left out,
# and said so.
deny:
	@command -v cargo-deny >/dev/null || cargo install --locked --quiet --debug cargo-deny
	cargo deny check bans licenses sources
	@cargo deny check advisories || { \
	  if cargo deny fetch >/dev/null 2>&1; then exit 1; \
	  else echo "advisories NOT checked: the database can't be fetched from here"; fi; }

bench: material
	cargo build --release
	benches/run.sh

soak: material
	tests/soak.sh
