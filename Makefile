# The commands of this project. `make help` prints this list.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MATURIN := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/maturin
ARGS ?=
PYTEST_ARGS ?=
RUST := $(shell find crates python/twinplane/plugins -path '*/fuzz' -prune -o \( -name '*.rs' -o -name 'Cargo.toml' \) -print 2>/dev/null) Cargo.toml Cargo.lock
LOCKS := requirements/dev.txt

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/core-release ## a control plane and a node on this machine (options: ARGS="--port 9443 ...")
	@exec $(BIN)/twinplane up $(ARGS)

test: test-tools check test-rust test-python ## every test: what CI runs, what must pass on a fresh clone

check: $(VENV)/core-dev ## the fast gate: format, lint, types, import rules, house rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate --dry
	$(BIN)/python -m tools.tidy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

test-rust: $(VENV)/core-dev ## the Rust tests alone
	cargo test --workspace --quiet

test-python: $(VENV)/core-dev ## the Python tests alone (options: PYTEST_ARGS="tests/unit -k name")
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

generate: $(VENV)/python ## write every generated file anew
	$(BIN)/python -m tools.generate

bench: $(VENV)/core-release ## answer the questions of bench/ and print the tables (options: ARGS="all --quick")
	@sh tools/install_bench_tools
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/core-dev ## mixed traffic on a node for three minutes, everything compared (options: ARGS="--seconds 1800")
	PYTHONPATH=python:. $(BIN)/python -m tests.hardness.soak $(ARGS)

fuzz: ## every parser with inputs led by coverage, a minute each (options: ARGS="--seconds 600 chunks")
	@sh tools/fuzz $(ARGS)

screenshots: $(VENV)/core-dev ## pictures of every page of the console into build/screenshots (options: ARGS="overview 'node*' --formats dark")
	$(BIN)/python -m tools.screenshots $(ARGS)

guide-pictures: $(VENV)/core-dev ## the pictures of docs/guides anew, by doing what they tell (options: ARGS="--demo DIR")
	$(BIN)/python -m tools.screenshots.guide $(ARGS)

loc: $(VENV)/python ## lines of Python and Rust, and whether the line between them holds
	@$(BIN)/python -m tools.tidy --loc

new-plugin: $(VENV)/python ## a new plugin folder (NAME=my-plugin)
	$(BIN)/python -m tools.new_plugin $(NAME)

lock: ## write the locked lists of requirements/ anew, after a change of dependencies
	@sh tools/lock $(PYTHON)

setup: $(VENV)/core-dev ## everything that development needs, and nothing more

test-tools: ## programs that tests drive, where this machine lets them be installed
	@sh tools/install_test_tools

clean: ## remove what was built (not the data directory)
	rm -rf $(VENV) target python/twinplane/*.so .mypy_cache .ruff_cache .pytest_cache

# What follows makes itself.
$(VENV)/python: $(LOCKS)
	@sh tools/require $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# The core is one file in the tree, so either build takes the other one's place.
$(VENV)/core-dev: $(VENV)/python pyproject.toml $(RUST)
	@sh tools/require $(PYTHON) cargo
	$(MATURIN) develop --quiet
	@rm -f $(VENV)/core-release; touch $@

$(VENV)/core-release: $(VENV)/python pyproject.toml $(RUST)
	@sh tools/require $(PYTHON) cargo
	$(MATURIN) develop --quiet --release
	@rm -f $(VENV)/core-dev; touch $@

.PHONY: help lock up test check test-rust test-python generate bench soak fuzz screenshots guide-pictures loc new-plugin setup test-tools clean
