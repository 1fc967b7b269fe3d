# One line to type for everything: `make help` lists them. The same lines run in CI.
#
# Everything is installed into .venv/, once: a file in .make/ remembers it until what it was made from changes.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest
# Tests wait for programs that they have started: two for each core; and those of a cluster, which wait for its pods, come
# after them, more at once. A test that fails is tried a second time, for what else went on at that moment may have been
# the reason; what its first try said is printed ("tried a second time").
CORES := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= $(shell echo $$((2 * $(CORES))))
CLUSTER_WORKERS ?= $(shell echo $$((3 * $(CORES))))
TESTS := $(PYTEST) --dist worksteal --reruns 1

# The tests start thousands of commands: each would compile all of Tieline again where Python is told to keep nothing.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test check format bench soak docs clean

help:  ## What can be typed here
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

run: .make/tieline  ## Set up, run the main job (examples/penguins), and say what happened
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/penguins/run

test: .make/dev  ## All tests
	@failed=0; \
	$(TESTS) -n $(WORKERS) -m "not cluster" || failed=1; \
	$(TESTS) -n $(CLUSTER_WORKERS) -rfEs -m cluster tests/contract tests/integration || failed=1; exit $$failed

check: .make/dev  ## Style, types, and the rules of the house (.importlinter)
	$(BIN)/ruff check . examples/penguins/prepare
	$(BIN)/ruff format --check . examples/penguins/prepare
	$(BIN)/mypy
	cd client && ../$(BIN)/mypy
	$(BIN)/lint-imports

format: .make/dev  ## Put the code into the house's style
	$(BIN)/ruff check --fix-only . examples/penguins/prepare
	$(BIN)/ruff format . examples/penguins/prepare

bench: .make/dev  ## Tieline beside its peers: times, memory, ratios
	$(BIN)/python bench/control/run.py
	$(BIN)/python bench/outbox/run.py
	$(BIN)/python bench/logs/run.py
	$(BIN)/python bench/stores/run.py
	$(BIN)/python bench/stores/cache.py
	$(BIN)/python bench/recovery/run.py
	$(BIN)/python bench/kubernetes/run.py

soak: .make/dev  ## The long versions of the randomised tests
	TIELINE_SOAK=1 $(PYTEST) --timeout 0

docs: .make/docs  ## The site, in site/
	$(BIN)/python scripts/kind_pages.py docs/kinds
	$(BIN)/python scripts/job_fields.py docs/jobs.md
	$(PYTEST) --quiet tests/unit/test_house_rules.py -k documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## Remove everything that was made here (not the runs in Tieline's home)
	rm -rf .venv .venv-peer-* .make site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf examples/penguins/.work
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@echo "making a virtual environment in .venv/"
	@PYTHON="$(PYTHON)" scripts/make_venv .venv

.make/tieline: .venv/pyvenv.cfg pyproject.toml examples/penguins/requirements.txt
	@echo "installing Tieline, and what the example needs"
	@$(PIP) install --editable . --requirement examples/penguins/requirements.txt
	@mkdir -p .make && touch $@

.make/dev: .make/tieline scripts/requirements.py
	@echo "installing what tests and checks need"
	@$(BIN)/python scripts/requirements.py dev | $(PIP) install --no-compile --requirement /dev/stdin
	@touch $@

.make/docs: .make/dev
	@echo "installing what the documentation needs"
	@$(BIN)/python scripts/requirements.py docs | $(PIP) install --requirement /dev/stdin
	@touch $@
