# make setup       installs everything that the targets below need (each of them installs its own part)
# make build       the daemon and its CLI, target/release/forebay
# make demo        mounts a generated dataset and reads it cold, warm, and warm after a restart; SCALE=1 is about 2 GB
# make test        all tests, beside a real Ceph RGW
# make test-long   the same beside Ceph on disk and beside SeaweedFS
# make check       formatting, lints, licences, dependency arrows, documentation
# make bench-quick the figures of docs/PERFORMANCE.md, shortened

SCALE ?= 1
DENY_WARNINGS = -D warnings

.PHONY: setup setup-build build demo test test-long check bench-quick

setup:
	.ci/setup build test check long

setup-build:
	.ci/setup build

build: setup-build
	cargo build --release --locked --package forebay

demo: build
	cargo build --release --locked --package forebay-bench
	cargo run --quiet --release --locked --package forebay-bench -- demo --scale $(SCALE)

test:
	.ci/setup build test
	cargo build --locked --workspace --bins
	tests/support/with-ceph.sh .ci/test

test-long:
	.ci/setup build test long
	cargo build --locked --workspace --bins
	CEPH_STORE=bluestore tests/support/with-ceph.sh .ci/test
	tests/support/with-seaweedfs.sh .ci/test --package ufs --package forebay-tests

check:
	.ci/setup build check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- $(DENY_WARNINGS)
	cargo deny --log-level error check bans licenses sources
	RUSTDOCFLAGS="$(DENY_WARNINGS)" cargo doc --workspace --no-deps --locked --quiet
	cargo test --locked --quiet --package forebay-tests --test dependency_arrows

bench-quick: build
	cargo run --quiet --release --locked --package forebay-bench -- all --quick
