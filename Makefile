# Everything from a fresh clone: needs Python 3.11 or newer, make and a network. No compiler.
#
#   make demo        set up, then recognise spoken keywords on an emulated device
#   make demo-board  the same on a virtual board: the hardware, simulated cycle by cycle
#   make test        set up, then run the tests
#   make lint        style, types, layers, stale generated files
#   make bench       speed against other engines, as JSON
#   make planted  plant bugs in a copy of the sources: the tests have to notice every one
#   make coverage-firmware  line coverage of firmware/lib; needs gcc
#   make clean       remove what make made
#
# PYTHON=/path/to/python chooses the interpreter, VENV=dir the virtual environment.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-board test lint lint-style lint-format lint-types lint-layers lint-generated bench planted coverage-firmware clean

# What make test installs; dev,train adds PyTorch and the tests of norcim.train.
EXTRAS ?= dev
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
	  echo "no Python >= 3.11 with the venv module found: install one (on Debian: apt install" \
	    "python3 python3-venv) or give PYTHON=/path/to/python" >&2; exit 1; }
	@echo "creating $(VENV) with $(PYTHON)" >&2
	@$(PYTHON) -m venv $(VENV)

# The stamps: an installation is as old as pyproject.toml says.
$(VENV)/.core: pyproject.toml | $(BIN)/python
	@echo "installing norcim into $(VENV) (about 1 minute the first time)" >&2
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing norcim and its development tools into $(VENV) (about 2 minutes)" >&2
	@$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.core

$(VENV)/.overlay: pyproject.toml | $(BIN)/python
	@echo "installing norcim and the overlay's tools into $(VENV) (about 3 minutes, 740 MB)" >&2
	@$(PIP) --editable '.[overlay]'
	@touch $@ $(VENV)/.core

demo: $(VENV)/.core
	@$(BIN)/norcim demo

demo-board: $(VENV)/.overlay
	@$(BIN)/norcim demo --board

# Two processes, each with whole files: what a file's tests share is made once.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

lint: lint-style lint-format lint-types lint-layers lint-generated

lint-style: $(VENV)/.dev
	$(BIN)/ruff check .

lint-format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint-types: $(VENV)/.dev
	$(BIN)/mypy

lint-layers: $(VENV)/.dev
	$(BIN)/lint-imports

lint-generated: $(VENV)/.dev
	$(BIN)/python -m norcim.spec.render --check

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

planted: $(VENV)/.dev
	@$(BIN)/python -m tests.planted

coverage-firmware: $(VENV)/.dev
	@$(BIN)/python -m tests.firmware.coverage

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find sdk host_tools bitstreams tests -name __pycache__ -type d -prune -exec rm -rf {} +
