# make demo | test | unit | engines | golden | lint | reliability | cluster | conformance | soak | bench | docs
SHELL := /bin/bash
PYTHON ?= python3.11
ifeq (,$(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
BIN := .venv/bin
STAMP := .venv/.ready
PYTEST := $(BIN)/pytest
JOBS ?= 2
PROVIDER ?= envoy
SHOP ?= examples/shop
HTTP_PORT ?= 8080
HTTPS_PORT ?= 8443

.PHONY: setup demo test unit engines golden lint reliability cluster soak conformance bench docs clean
setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@

demo: setup            ## serve the example shop through a real Envoy
	@$(BIN)/python -m weirkeeper.testing.demo $(SHOP) --http-port $(HTTP_PORT) --https-port $(HTTPS_PORT) --provider $(PROVIDER)

test: setup lint       ## everything that needs neither a cluster nor a stopwatch
	@$(PYTEST) -q -n $(JOBS) --dist loadgroup -m "not cluster and not reliability"

unit: setup            ## the pure core, no network
	@$(PYTEST) -q -n $(JOBS) tests/unit tests/properties tests/golden

engines: setup         ## real engines
	@$(PYTEST) -q -n $(JOBS) -m "engine and not cluster"

golden: setup          ## write the golden cases anew
	@$(PYTEST) -q tests/golden --write-golden

lint: setup
	@$(BIN)/ruff check src tests examples
	@$(BIN)/ruff format --check --quiet src
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -3

reliability: setup     ## minutes of traffic through every fault, over the fake API server; `make cluster` runs them first
	@$(PYTEST) -q -n $(JOBS) --dist loadgroup -m reliability tests/features

cluster: setup         ## against kubelab where it is there, else the cluster that KUBECONFIG names
	@tests/cluster/run

conformance: setup     ## Gateway API's own suite, as published, of PROVIDER (or of the peer: traefik) in the cluster of `make cluster`; needs Go
	@PROVIDER=$(PROVIDER) tests/conformance/gateway/run $(TESTS)

soak: setup            ## the long versions: every trouble of an API server under a thousand schedules
	@SCHEDULES=1000 $(PYTEST) -q -n $(JOBS) tests/api/test_faults_reflector.py
	@$(BIN)/python tests/soak
	@WEIR_TEST_REQUESTS=60000 tests/cluster/run tests/cluster/test_upgrade.py

bench: setup           ## every benchmark, with its in-run peers; figures under bench/results
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@$(BIN)/python -m bench

docs: setup            ## generated pages
	@$(BIN)/python -m weirkeeper docs

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .hypothesis
