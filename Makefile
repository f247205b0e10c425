# audience-consent: `make help` lists what there is.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
DATA_DIR ?= ./data

.DEFAULT_GOAL := help
.PHONY: help install serve test check widgets bench format lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'
	@echo "  Settings: make serve PORT=9000 DATA_DIR=./other (README.md lists all)"

install: $(VENV)/.installed ## prepare .venv with what the service needs

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "audience-consent needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what the service needs (about 30 packages, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

serve: $(VENV)/.installed ## run the service with its own PostgreSQL; Ctrl-C stops both
	@PORT='$(PORT)' DATA_DIR='$(DATA_DIR)' exec $(BIN)/audience-consent serve --demo

test: $(VENV)/.installed-dev ## run all tests
	@$(BIN)/python -m pytest

static/node_modules/.installed: static/package-lock.json
	@command -v npm >/dev/null || { echo "Building and testing the browser code needs node 20 or newer and npm; the service does not." >&2; exit 1; }
	@cd static && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

widgets: static/node_modules/.installed ## build the browser code into static/dist (needs node)
	@cd static && node build.mjs

check: $(VENV)/.installed-dev static/node_modules/.installed ## what CI runs: format, lint, types, import rules, built files, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@cd static && npm run --silent types && npm run --silent check && npm run --silent test
	@$(BIN)/python -m pytest

bench: $(VENV)/.installed-dev ## measure against a bare handler and a naive service (needs wrk)
	@$(BIN)/python -m tests.bench.run

format: $(VENV)/.installed-dev ## format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## renew the lock files from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -o requirements.lock
	@uv pip compile pyproject.toml --extra build --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet -c requirements.lock -o requirements-dev.lock

clean: ## remove .venv and caches, never the data
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build static/node_modules
