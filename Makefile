# What a day's work needs. `make` alone lists it.

.DEFAULT_GOAL := help
SHELL := /bin/bash

CARGO ?= cargo

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

.PHONY: run
run: ## Builds, starts a store with sample documents, syncs them and says where to search; Ctrl-C ends it
	@echo "building Tributary; the first time this takes some minutes and fetches about 100 MB of crates"
	@$(CARGO) run -q --profile quick -p tributary --bin tributary -- quickstart

.PHONY: test
test: ## All tests; installs and starts what they need. ENGINES=store narrows them (default store,elasticsearch,opensearch)
	@scripts/setup-tests
	$(CARGO) test --workspace

.PHONY: simulate
simulate: ## Histories of syncs with crashes and faults, in virtual time. SEEDS=10000 many, or SEED=7 one with its trace
	@SEEDS="$(SEEDS)" SEED="$(SEED)" FROM="$(FROM)" $(CARGO) run -q -p tributary-simulation

.PHONY: lint
lint: ## Format, warnings, licences and banned crates
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@scripts/check-dependencies

.PHONY: bench
bench: ## What a sync costs, as a table; builds for release first. BENCH_RUNS=5 BENCH_ROWS=1000000 BENCH_ONLY=name
	@scripts/setup-tests
	$(CARGO) build --release -p tributary
	$(CARGO) bench -p tributary-tests --bench sync

.PHONY: fuzz
fuzz: ## Feeds a parser with anything: TARGET=name SECONDS=600; without TARGET the names. Needs cargo-fuzz
	@test -n "$(TARGET)" || { $(CARGO) fuzz list; exit 1; }
	@mkdir -p fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET)
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run -s none $(TARGET) fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET) -- \
	  -max_total_time=$(or $(SECONDS),600) -rss_limit_mb=512 -timeout=10 -max_len=16384 \
	  $(addprefix -dict=,$(wildcard fuzz/dictionaries/$(TARGET).txt))

.PHONY: chaos
chaos: ## Kills the service again and again and compares index and table: ROUNDS=50 SEED=1 CHAOS_ROWS=20000
	@scripts/setup-tests
	$(CARGO) build -p tributary
	CHAOS_ROUNDS=$(or $(ROUNDS),50) CHAOS_SEED=$(SEED) $(CARGO) bench --profile dev -p tributary-tests --bench chaos
