# make setup       installs everything that the targets below need (each of them installs its own part)
# make build       the daemon with its CLI, and the benchmark: target/release/forebay, forebay-bench
# make demo        mounts a generated dataset and reads it cold, warm, and warm after a restart; SCALE=1 is about 2 GB
# make test        all tests, beside a real Ceph RGW
# make test-long   the same beside Ceph on disk and beside SeaweedFS
# make check       formatting, lints, licences, dependency arrows, documentation
# make bench-quick the figures of docs/PERFORMANCE.md, shortened

SCALE ?= 1
PROGRAMS = $(or $(CARGO_TARGET_DIR),target)/release
DENY_WARNINGS = -D warnings

.PHONY: setup setup-build build demo test test-long check bench-quick

setup:
	.ci/setup build test check long

setup-build:
	.ci/setup build

# Programs are built by one command, and tests with the programs that they run: cargo unites the features of what is
# built together, and would build dependencies twice otherwise.
build: setup-build
	cargo build --release --locked --package forebay --package forebay-bench

demo: build
	$(PROGRAMS)/forebay-bench demo --scale $(SCALE)

test:
	.ci/setup build test
	cargo build --locked --workspace --bins --tests
	tests/support/with-ceph.sh .ci/test

test-long:
	.ci/setup build test long
	cargo build --locked --workspace --bins --tests
	CEPH_STORE=bluestore tests/support/with-ceph.sh .ci/test --workspace --run-ignored all
	tests/support/with-seaweedfs.sh .ci/test --package ufs --package forebay-tests

check:
	.ci/setup build check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- $(DENY_WARNINGS)
	cargo deny --log-level error check bans licenses sources
	RUSTDOCFLAGS="$(DENY_WARNINGS) -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --locked --quiet
	cargo test --locked --quiet --workspace --test dependency_arrows

bench-quick: build
	$(PROGRAMS)/forebay-bench all --quick
