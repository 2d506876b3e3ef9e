# Everything by one word. `make` alone says which words there are.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# What must hold in both worlds of the emulated portal (worker/emulator/spec.py, SECOND).
SETTLED_BY_NO_PAGE := tests/integration/sync tests/integration/cli/test_connect.py tests/integration/test_portal_mode.py \
	tests/integration/test_client_emulator.py tests/contract/test_token_stores.py tests/probe
# Where programs of our own run, and wait for each other, more than they compute.
WHOLE_PROGRAMS := tests/e2e tests/faults
STAMP := $(VENV)/.installed

##@ Use
.PHONY: demo
demo: $(STAMP) ## Watch an invented portal being mirrored (ARGS="--once" ends after the first mirror)
	@$(BIN)/b24sync demo $(ARGS)

##@ Develop
.PHONY: install check format test test-long test-faults test-worlds chaos capabilities judges schema bench soak migrate revision clean
install: $(STAMP) ## Make the virtual environment and install everything into it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "b24sync needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "this Python cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) (once) ..."
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

check: $(STAMP) ## What CI checks besides the tests: format, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(STAMP) ## All tests but the long ones (ARGS="-k name" for some)
	$(BIN)/pytest -n 4 --dist loadfile -m "not long" $(ARGS)

test-long: $(STAMP) ## Longer stories of the same kind, bounded to 15 minutes
	timeout 900 $(BIN)/pytest -n 2 --dist loadfile -m long $(addprefix --ignore=,$(WHOLE_PROGRAMS)) $(ARGS)

test-faults: $(STAMP) ## Fifty kills, outages of a minute, sick portals beside fifty healthy ones; 15 minutes
	timeout 900 $(BIN)/pytest -n 2 --dist loadfile -m long $(WHOLE_PROGRAMS) $(ARGS)

test-worlds: $(STAMP) ## What no page settles the other way round: the mirror in a second world; 15 minutes
	timeout 900 $(BIN)/pytest --second-world -n 2 --dist loadfile -m "not long" $(SETTLED_BY_NO_PAGE) $(ARGS)

chaos: $(STAMP) ## Every fault against every resource, written to docs/chaos.md
	WRITE_CHAOS=1 $(BIN)/pytest tests/chaos $(ARGS)

schema: $(STAMP) ## docs/schema.md from the models
	WRITE_SCHEMA=1 $(BIN)/pytest tests/architecture/test_schema_page.py $(ARGS)

capabilities: $(STAMP) ## What the probe finds of the emulated portal in all its modes, written to docs/capabilities.md
	WRITE_CAPABILITIES=1 $(BIN)/pytest tests/probe $(ARGS)

judges: ## Other people's clients read the emulated portal; needs the package index once
	@test -x .judges/bin/python || $(PYTHON) -m venv .judges
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .judges/bin/python -m pip install --quiet --requirement tests/judges/requirements.txt
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .judges/bin/python -m pip install --quiet --no-deps --editable .
	.judges/bin/python -m tests.judges

bench: $(STAMP) ## Figures beside two peers (ARGS=--full for a million tasks, ARGS=--write for docs/benchmarks.md)
	timeout $(if $(findstring full,$(ARGS)),3000,1200) $(BIN)/python tests/benchmarks/run.py $(ARGS)

soak: $(STAMP) ## Many portals, faults and kills for 20 minutes, written to docs/soak.md (needs PostgreSQL and Redis)
	timeout 1200 $(BIN)/python -m tests.soak.run $(ARGS)

migrate: $(STAMP) ## Bring the configured database to this program's schema
	$(BIN)/b24sync db upgrade

revision: $(STAMP) ## New migration from the models: make revision MESSAGE="what and why"
	$(BIN)/alembic revision --autogenerate -m "$(MESSAGE)"

clean: ## Remove what the tools made (not your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* htmlcov .judges dist build demo-data

##@ Help
.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
