# `make help` lists what there is; `make book` and `make test` are the two that matter.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Override on the command line, e.g. `make test VENV=/elsewhere PYTHON=python3.12`.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
VENV ?= .venv
PYTEST_ARGS ?=
# Processes that share the tests, a file at a time; 0: all in one, as a debugger wants it.
TEST_JOBS ?= 2
# --nbval-lax compares the cells tagged nbval-check-output; NBVAL=--nbval compares every output, to the byte.
NBVAL ?= --nbval-lax

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
HTML := book/_build/html
JB := $(BIN)/jupyter-book build
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)
SHARED := -n $(TEST_JOBS) --dist loadfile
NOTEBOOK ?= book
# What `make elsewhere` sets MKL_CBWR to: which of its paths MKL takes, and so how products are rounded.
MKL ?= COMPATIBLE
NBTEST := $(NBVAL) --nbval-current-env --nbval-cell-timeout 1800

.PHONY: help setup book restore html pdf strict offline links linkcheck test unit nbtest colab weekly elsewhere browser run lint format lock dist clean distclean

# The text after ## is what `make help` shows; it begins with the cost on two cores.
help: ## seconds: list the targets, cheapest first
	@echo "make book   set up, run every chapter, build the site"
	@echo "make test   set up, unit tests, notebook tests, browser test"
	@echo
	@for cost in seconds minutes; do \
	  sed -nE "s/^([a-z]+):.*## ($$cost): (.*)/\1|\2|\3/p" $(firstword $(MAKEFILE_LIST)) \
	    | while IFS='|' read -r name time what; do printf '%-10s %-8s %s\n' "$$name" "$$time" "$$what"; done; \
	done

setup: $(STAMP) ## minutes: make .venv and install from requirements.lock (once)

# Without a stamp, what stands in .venv is half-made and is made anew; an old stamp means: bring it up to date.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python found; install Python 3.11, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "requirements.lock needs Python 3.11 or newer, and $(PYTHON) is %d.%d; say make PYTHON=/path/to/python3.11" % v[:2])'
	@if [ ! -e $(STAMP) ]; then \
	  if [ -e $(VENV) ] && [ ! -e $(VENV)/pyvenv.cfg ]; then \
	    echo "$(VENV) is there and is not a virtual environment; remove it or say make VENV=elsewhere" >&2; exit 1; \
	  fi; \
	  echo "setting up $(VENV) (a few minutes)"; \
	  $(PYTHON) -m venv --clear $(VENV); \
	fi
	@rm -f $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

book: setup ## minutes: compute what the store lacks, run every chapter, write the claims table, build the site
	$(BIN)/canonlib run --tier world
	$(BIN)/canonlib notebooks
	$(BIN)/canonlib explore book/explorer/data --data-only
	$(BIN)/canonlib claims --write
	$(BIN)/python -m canonlib.book.accepted
	$(JB) book/
	@$(BIN)/python -m canonlib.book.committed summary

restore: setup ## seconds: put the committed chapters, claims and explorer back after a make book that changed them
	@$(BIN)/python -m canonlib.book.committed restore

html: setup ## seconds: build the site from the committed notebooks, running nothing
	$(JB) book/

pdf: setup ## minutes: print the whole book from the committed notebooks; needs Chromium
	$(BIN)/canonlib pdf

strict: setup ## seconds: build the site from nothing; any warning fails
	rm -rf book/_build
	$(JB) -W -n --keep-going book/

offline: setup ## seconds: check that no page of the built site loads anything from the network
	$(BIN)/python -m canonlib.book.check_offline $(HTML)

links: setup ## seconds: check that every link inside the built site leads somewhere
	$(BIN)/python -m canonlib.book.check_links $(HTML)

linkcheck: setup ## minutes: ask other sites whether the pages that we link to are there (network)
	$(JB) --builder linkcheck book/

# One pytest run, so that one closing line counts everything; the browser test looks at the site that html builds.
test: html ## minutes: unit tests, browser test, every committed notebook run again
	$(BIN)/canonlib run --tier world
	$(PYTEST) $(SHARED) $(NBTEST) tests $(NOTEBOOK)

unit: setup ## minutes: unit tests alone
	$(PYTEST) $(SHARED) -m "not gpu and not weekly and not fresh and not browser" tests

nbtest: setup ## minutes: run every committed notebook again and compare (NOTEBOOK=book/... one of them)
	$(PYTEST) $(NBTEST) $(NOTEBOOK)

# The same test file runs the quick chapters in `make test`; the others are marked weekly.
colab: setup ## minutes: every chapter as Colab runs it: a fresh environment, its own install cell, no repository
	$(BIN)/canonlib run --tier world
	$(PYTEST) -m "not gpu" tests/test_colab.py

weekly: html ## minutes: what `make test` leaves to once a week: every chapter as Colab runs it, all windows under axe-core, the book printed
	$(BIN)/canonlib run --tier world
	$(PYTEST) $(SHARED) -m weekly tests

elsewhere: setup ## minutes: make book and make test in a copy as another processor would; says what differs from the commit
	bash scripts/elsewhere.sh $(VENV) $(MKL)

browser: html ## minutes: every page and every view of the explorer in headless Chromium, with the network blocked
	$(PYTEST) $(SHARED) -m "browser and not weekly" tests

run: setup ## minutes: the whole line on the world, from model to claims table
	$(BIN)/canonlib run --tier world

lint: setup ## seconds: ruff, its formatter in check mode, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## seconds: let ruff put imports and layout right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## minutes: choose all versions anew; writes requirements.lock and environment.yml
	$(PYTHON) scripts/lock.py

dist: setup ## seconds: build wheel and sdist into dist/
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

clean: ## seconds: remove the built site and all caches; keeps .venv and the store
	rm -rf book/_build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './.*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## seconds: clean, and remove .venv; keeps the store
	rm -rf .venv src/canonlib.egg-info
