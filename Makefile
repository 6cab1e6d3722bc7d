# `make` alone prints what there is. Recipes that need an `if` are scripts in tools/.
# PYTHONS="3.11 3.14" or paths: work with these interpreters instead of all that are found.

PYTHON3 ?= python3
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help demo test develop fix bench bench-peers torture torture-record loom fuzz audit docs clean prerequisites
.DEFAULT_GOAL := help

help:  ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

prerequisites:
	@tools/prerequisites

demo: develop  ## the fork experiment and the question, with tables (about a minute after the build)
	cargo build --release --locked -p onecopy-cli
	$(CARGO_TARGET_DIR)/release/onecopy demo
	.venv/bin/python examples/question.py

test: prerequisites  ## all checks: format, clippy, Rust tests, then every Python that is found
	$(PYTHON3) tools/dependencies.py
	cargo fmt --all --check
	PYO3_PYTHON="$$($(PYTHON3) tools/pythons.py newest)" \
	cargo clippy --workspace --all-targets --features onecopy/testing --locked -- -D warnings
	$(PYTHON3) tools/rust.py
	cargo build --release --locked -p onecopy-cli
	$(PYTHON3) tools/check.py

develop: prerequisites  ## .venv with the package importable and .venv/bin/onecopy
	$(PYTHON3) tools/environment.py develop

fix: develop  ## format, and repair what clippy and ruff can
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

bench: develop  ## ratios side by side, into docs/benchmarks*.md (35 minutes; QUICK=1: 3; ONLY=views, containers, sections)
	cargo build --release --locked -p onecopy-cli
	.venv/bin/python python/benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

bench-peers: develop  ## onecopy.Dict and List beside a Manager and other packages (2 minutes; installs them apart)
	.venv/bin/python python/benchmarks/peers.py

torture: develop  ## kill -9 at random for SECONDS=60, after every store; damaged tables; no memory; nothing is lost
	.venv/bin/python tools/torture.py --seconds $(or $(SECONDS),60)
	.venv/bin/python tools/torture_containers.py --seconds $(or $(SECONDS),60)
	.venv/bin/python tools/torture_waiting.py --seconds $(or $(SECONDS),60)
	.venv/bin/python tools/fuzz_changes.py
	.venv/bin/python tools/epochs.py
	.venv/bin/python tools/freeze_fuzz.py --seconds $(or $(SECONDS),60)
	CRASH_STRIDE=1 cargo test --features onecopy/testing --locked -p onecopy --test crash --test reference_crash --test interrupted --test stopped --test past
	FORKS=5000 cargo test --release --features onecopy/testing --locked -p onecopy --test fork -- children_one
	STEP_STRIDE=3 cargo test --release --features onecopy/testing --locked -p onecopy --test single_step
	HISTORIES=100000 cargo test --release --features onecopy/testing --locked -p onecopy --test linearizable
	STEP_STRIDE=1 cargo test --locked -p onecopy-meter --test steps
	DAMAGE_ROUNDS=10000 cargo test --release --features onecopy/testing --locked -p onecopy --test damage
	cargo run --release --locked -p onecopy --example exhaust

torture-record: develop  ## kills at random alone, for twice SECONDS=3600, written down in docs/torture-*.md
	.venv/bin/python tools/torture_containers.py --seconds $(or $(SECONDS),3600) --record docs/torture-containers.md
	.venv/bin/python tools/torture_waiting.py --seconds $(or $(SECONDS),3600) --record docs/torture-waiting.md

loom: prerequisites  ## model check of the lock-free parts
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/loom cargo test --release -p onecopy --lib

fuzz: develop  ## damaged images by the million for SECONDS=60: errors, never a crash (needs g++)
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	.venv/bin/python tools/fuzz.py --seconds $(or $(SECONDS),60)

audit: prerequisites  ## known vulnerabilities, licences and sources of all that is pinned (needs a network)
	$(PYTHON3) tools/audit.py

docs: prerequisites  ## the Rust API's pages; a broken link is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

clean:  ## remove everything that was built
	cargo clean
	rm -rf build .venv python/onecopy/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
