# Everything a fresh machine needs is Python 3.11 or newer, make and a C++20 compiler.
# The rest (cmake, ninja, nanobind, ...) is installed into .venv, from the lists in pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# Options of the native build and of pytest: make test ARGS="-k kvm"
CONFIG :=
ARGS :=

# Directories too: their time changes when a file is removed.
NATIVE := $(shell find native -type d -o -name '*.[ch]pp' -o -name '*.h' 2>/dev/null)

# Three stamps, so that an edit in native/ costs one incremental build and nothing else.
READY := $(VENV)/ready.stamp
BUILT := $(VENV)/built.stamp
DEV := $(VENV)/dev.stamp

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Prints one list of requirements of pyproject.toml, one a line.
REQUIREMENTS = $(BIN)/python -c 'import sys, tomllib; \
	table = tomllib.load(open("pyproject.toml", "rb")); \
	[table := table[key] for key in sys.argv[1:]]; \
	print(*table, sep="\n")'

.DELETE_ON_ERROR:
.PHONY: help build run test long lint types format san stub docs bench clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '  make %-8s %s\n' "$$target" "$$text"; done

build: $(BUILT)  ## Build the core and install mmunotify into .venv

run: $(BUILT)  ## Check a correct driver (holds), then one with a line removed (a page shows the bug)
	$(BIN)/mmunotify check src/mmunotify/drivers/kvm.py
	@rm -f kvm_without_retry.html
	@echo "$(BIN)/mmunotify check examples/kvm_without_retry.py --html kvm_without_retry.html"
	@$(BIN)/mmunotify check examples/kvm_without_retry.py --html kvm_without_retry.html; \
	status=$$?; \
	if [ $$status -ne 1 ] || [ ! -s kvm_without_retry.html ]; then \
		echo "make run: the second check must find the bug: exit 1 and a page (exit was $$status)" >&2; \
		exit 1; \
	fi
	@echo
	@echo "Found, as it should be. The interleaving, step by step: file://$(CURDIR)/kvm_without_retry.html"

test: $(BUILT) $(DEV)  ## Run the tests (ARGS="-k word" selects)
	$(PYTEST) $(ARGS)

long: $(BUILT) $(DEV)  ## Run the tests and the long randomized ones
	$(PYTEST) --long $(ARGS)

lint: $(DEV)  ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV)  ## Check the types (mypy, strict)
	$(BIN)/mypy

format: $(DEV)  ## Format the code and fix what can be fixed by rule
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The sanitizers come first in the process, before Python; libstdc++ with them, or the first C++
# exception finds no handler. Python itself never frees everything, so leaks are not reported.
SAN_ENV = LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
SAN_TESTS := tests/core tests/live
# A finding ends the process: pytest must not hold back what is written to its standard error.
SAN_ARGS := -q --capture=sys

san:  ## Run the tests of native code on a build with address and undefined behaviour sanitizers
	$(MAKE) test VENV=.venv-san ARGS="$(SAN_ARGS) $(SAN_TESTS) $(ARGS)" \
		CONFIG="--config-settings=build-dir=build/san --config-settings=install.strip=false \
			--config-settings=cmake.define.MMUNOTIFY_SANITIZE=ON" \
		PYTEST='$(value SAN_ENV) .venv-san/bin/python -m pytest'

stub: $(BUILT) $(DEV)  ## Write src/mmunotify/_core.pyi and _monitor.pyi from the built extensions
	$(BIN)/python -m nanobind.stubgen -q -m mmunotify._core -o src/mmunotify/_core.pyi
	$(BIN)/python -m nanobind.stubgen -q -p native/bind/monitor.pat -m mmunotify._monitor -o src/mmunotify/_monitor.pyi

docs: $(BUILT) $(DEV)  ## Write the generated pages of docs/
	$(BIN)/python docs/generate.py

bench: $(BUILT) $(DEV)  ## Measure beside Spin (docs/benchmarks.md); ARGS=--page renews its figures
	$(BIN)/python bench/run.py $(ARGS)

clean:  ## Remove everything that make made
	rm -rf .venv .venv-san build dist bench/out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f kvm_without_retry.html
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# How .venv comes to be -------------------------------------------------------------------------

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: there is no $(PYTHON); name a Python 3.11 or newer: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: mmunotify needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "      Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) has no venv module (Debian: apt install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; \
		sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { \
		echo "make: the C headers of $(PYTHON) are missing (Debian: apt install python3-dev)." >&2; exit 1; }
	@command -v $(CXX) >/dev/null || { \
		echo "make: no C++ compiler $(CXX) (Debian: apt install g++)." >&2; exit 1; }
	@echo 'Preparing $(VENV); this takes a moment the first time.'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ $(REQUIREMENTS) build-system requires; $(REQUIREMENTS) project dependencies; \
		echo cmake; echo ninja; } > $(VENV)/ready.txt
	$(PIP) install --requirement $(VENV)/ready.txt
	@touch $@

# Editable: edits of Python files count at once, and builds reuse the objects in build/.
$(BUILT): $(READY) CMakeLists.txt $(NATIVE)
	$(PIP) install --no-build-isolation --no-deps $(CONFIG) --editable .
	@touch $@

$(DEV): $(READY)
	@$(REQUIREMENTS) project optional-dependencies dev > $(VENV)/dev.txt
	$(PIP) install --requirement $(VENV)/dev.txt
	@touch $@
