# Everything a person does here, by name. `make` alone lists it; the list is made from the comments behind `##`.

PYTHON  ?= python3
WORKERS ?= 2
ARGS    ?=

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN  := .venv/bin
# Wheels only: a fresh machine has no compiler, and a build script would run unlocked code.
PIP  := $(BIN)/python -m pip --disable-pip-version-check --no-input install --require-hashes --only-binary :all:
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet $(if $(UPGRADE),--upgrade)

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.runtime ## start everything on this machine: database, cashier, worker, demo shop, sandbox provider
	@$(BIN)/cashier up $(ARGS)

.PHONY: test
test: .venv/.development ## run every test (ARGS="tests/ledger -k hold" runs some)
	@CASHIER_CHROMIUM="$$($(BIN)/python -m tests.browser.chromium)"; export CASHIER_CHROMIUM; \
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

.PHONY: nightly
nightly: .venv/.development ## run every test, with the long rounds of the wallet (ARGS as for test)
	@export CASHIER_NIGHTLY=1; $(MAKE) --no-print-directory test

.PHONY: check
check: .venv/.development ## look without running: format, lint, types, directions, architecture, OpenAPI
	@$(MAKE) --no-print-directory --keep-going --output-sync=target --jobs=$(WORKERS) \
	  check-types check-architecture check-openapi check-lint check-format check-imports
	@echo "check: all six looked and found nothing"

.PHONY: check-format check-lint check-types check-imports check-architecture check-openapi
check-format:
	@$(BIN)/ruff format --quiet --check --output-format concise . || { echo "repaired by: make format"; exit 1; }
check-lint:
	@$(BIN)/ruff check --quiet --output-format concise .
check-types:
	@$(BIN)/mypy --no-error-summary
check-imports:
	@found=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$found"; exit 1; }
check-architecture:
	@$(BIN)/python -m pytest --quiet tests/architecture
check-openapi:
	@$(BIN)/cashier openapi --check

.PHONY: bench
bench: .venv/.runtime ## measure the product beside its peers, write docs/benchmarks.md (ARGS=--quick: a smoke run)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: mutate
mutate: .venv/.development ## plant faults in the pure decisions and count what the tests notice (docs/mutation.md)
	@$(BIN)/python -m tests.mutation $(WORKERS)

.PHONY: format
format: .venv/.development ## rewrite the files as the formatter and the linter's safe repairs want them
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format .

.PHONY: migrate
migrate: .venv/.runtime ## bring the database of CASHIER_DATABASE_URL to the newest revision
	@$(BIN)/cashier migrate $(ARGS)

.PHONY: lock
lock: .venv/.development ## write both lock files from pyproject.toml (UPGRADE=1 takes the newest of everything)
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraints requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean: ## remove what make made; the data in var/ stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find app bench migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is younger than what it was made from, so a second call does nothing.

# The first Python that is new enough and can make environments; PYTHON=... is asked first.
.venv/.created:
	@new_enough=; \
	for python in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  new_enough=$$python; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	  echo "Making .venv with $$("$$python" --version)"; \
	  "$$python" -m venv .venv && touch $@ && exit 0; \
	done; \
	if [ -n "$$new_enough" ]; then \
	  echo "$$new_enough cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	else \
	  echo "Python 3.11 or newer is needed; none was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	fi; \
	exit 1

.venv/.runtime: .venv/.created requirements.lock pyproject.toml
	@echo "Installing the locked packages (only what is missing; the first time takes a minute)"
	@$(PIP) -r requirements.lock | { grep -v '^Requirement already satisfied' || true; }
	@$(BIN)/python -m pip --disable-pip-version-check --no-input --quiet \
	  install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.development: .venv/.runtime requirements-dev.lock
	@echo "Installing the locked packages for tests and checks"
	@$(PIP) -r requirements-dev.lock | { grep -v '^Requirement already satisfied' || true; }
	@touch $@
