# Two commands matter: `make run` and `make test`. Both make what they need in .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
DATA   ?= data
SOAK   ?= 20
REFERENCE := diptych diptych.errors diptych.telemetry diptych.testing diptych.testing.conformance diptych.web
PEERS  := .venv-peers benchmarks/peers/node_modules

.DEFAULT_GOAL := help
.PHONY: help run run-postgres test soak check style mypy pyright imports unit docs bench browser peers clean

# With byte code the many processes of the tests start in half the time, also where it is not wanted.
test soak: export PYTHONDONTWRITEBYTECODE =

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp  ## Start the order service on SQLite (PORT, DATA, WORKERS, DIPTYCH_LOG, DIPTYCH_READ)
	@PORT=$(PORT) DATA=$(DATA) exec $(BIN)/python -m examples.orders

run-postgres: $(VENV)/postgres.stamp  ## The same on PostgreSQL: web workers and a projector (PORT, WORKERS, POSTGRES)
	@PORT=$(PORT) exec $(BIN)/python -m examples.orders.postgres

test: check browser  ## Run everything: style, types, architecture, the whole suite
	$(BIN)/pytest -n 2 --dist loadgroup

soak: $(VENV)/dev.stamp  ## What is random or violent, SOAK times as much as in `make test`
	DIPTYCH_SOAK=$(SOAK) $(BIN)/pytest -n 2 --dist loadgroup -o timeout=0 -m soak

check: $(VENV)/dev.stamp  ## Style, types and architecture only
	@$(MAKE) --no-print-directory --jobs=2 pyright mypy style imports

pyright:
	$(BIN)/pyright --pythonpath $(BIN)/python

mypy:
	$(BIN)/mypy

style:
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

imports:
	$(BIN)/lint-imports

unit: $(VENV)/dev.stamp  ## Only the tests without I/O
	$(BIN)/pytest tests/unit -q

docs: $(VENV)/dev.stamp  ## Write the reference, made of the docstrings, to site/
	$(BIN)/python -m pdoc --docformat google --output-directory site $(REFERENCE)

bench: $(VENV)/dev.stamp peers  ## Run the benchmarks and write benchmarks/results/
	$(BIN)/python -m benchmarks

browser:  ## Install Chromium, which the tests of the page need, where that can be done
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "installing Chromium (apt-get)"; \
		{ timeout 120 apt-get -qq update && timeout 300 apt-get -qq install -y --no-install-recommends chromium; } >/dev/null 2>&1; \
	fi; command -v chromium >/dev/null || echo "There is no Chromium here: the page will NOT be tested."

peers:  # What the benchmarks compare with, where it can be installed; they say what is missing
	-@$(MAKE) --no-print-directory --keep-going $(PEERS:%=%/installed)

clean:  ## Remove the environment and the caches, never the data
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[examples]'
	@touch $@

$(VENV)/postgres.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[examples-postgres]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp $(VENV)/postgres.stamp

.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

benchmarks/peers/node_modules/installed: benchmarks/peers/package.json
	cd benchmarks/peers && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@
