# The commands of the project. `make demo` and `make test` need nothing but a Rust toolchain and
# Debian or Ubuntu: what else is missing is installed, and said, by scripts/setup.sh.

SHELL := /bin/bash
CARGO ?= cargo
BIN := target/release

.PHONY: demo test check check-build fuzz lab lab-all bench setup build clean

demo: setup build ## two gateways, one power cut, what the client saw
	$(BIN)/evergate-lab demo

test: setup check lab ## everything that a change must pass; under 40 minutes on two cores

check: check-build ## the quick gate: format, lints, docs, unit tests, model, fixtures, mutants
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	$(CARGO) test --workspace --locked --quiet
	$(BIN)/evergate-sim check
	$(BIN)/evergate-fuzz check

check-build:
	$(CARGO) build --release --locked -p evergate-sim -p evergate-fuzz

fuzz: setup ## every decoder and the importers under libFuzzer, ten seconds each; not part of make test
	$(MAKE) -C fuzz all SECONDS=10

build:
	$(CARGO) build --release --locked

lab: setup build ## the short lab: real daemons in network namespaces
	$(BIN)/evergate-lab test

lab-all: setup build ## the long lab
	$(BIN)/evergate-lab test --long

bench: setup build ## side by side with keepalived and conntrackd
	$(BIN)/evergate-lab bench
	$(BIN)/evergate-lab bench-replicate

setup: ## installs what build, demo and tests need (Debian, Ubuntu), or names it
	@scripts/setup.sh

clean:
	$(CARGO) clean
