# make demo      create .venv, install Rondo into it, learn from text and from digits
# make test      install what the tests need; then style, types, tests, and native tests under sanitizers
# make format    bring the code into the style that `make test` asks for
#
# make nightly   thousands of cells drawn at random, on the engine and on the reference (EXAMPLES=5000)
# make native    compile what has changed in native/, for this checkout
# make sanitize  the native tests under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer
# make cross     compile the engine for ARM64 Linux; run its tests if qemu is there
#
# Needs Python 3.11 or newer. Another interpreter than python3:  make demo PYTHON=python3.12
# Options for one run of the tests:                             make test PYTEST_ARGS="-k gru"

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
EXAMPLES ?= 5000

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install $(if $(CI),--quiet,) --disable-pip-version-check --constraint constraints.txt
# Built by the tools in .venv, which are pinned, and in the folder where `make native` goes on.
EDITABLE := --no-build-isolation --config-settings=build-dir=build/engine --editable
TOOLS = bin="$$(cd "$(BIN)" && pwd)" && export PATH="$$bin:$$PATH" &&

# Without a compiler there is no engine: torch code runs, and `make test` tests the rest.
COMPILER := $(shell command -v $(firstword $(CXX)) || command -v c++ || command -v clang++)

.PHONY: help install demo test style types tests nightly native sanitize cross format clean
.NOTPARALLEL:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/rondo demo --out demo-output

test: style types tests $(if $(COMPILER),sanitize,)

style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

tests: $(VENV)/.installed-dev $(if $(COMPILER),native,)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope $(PYTEST_ARGS)

nightly: $(VENV)/.installed-dev native
	RONDO_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s tests/backends/cpu/test_random_cells.py

native: $(VENV)/.installed-dev
	$(TOOLS) cmake -S native --preset engine -DPython_EXECUTABLE="$$bin/python" && cmake --build build/engine

sanitize: $(VENV)/.installed-dev
	$(TOOLS) for kind in address thread; do \
	  cmake -S native --preset $$kind && cmake --build build/$$kind && \
	  ctest --test-dir build/$$kind --output-on-failure --no-tests=$(if $(CI),error,ignore) || failed=1; \
	done; test -z "$$failed"

cross: $(VENV)/.installed-dev
	$(PIP_INSTALL) ziglang
	$(TOOLS) cmake -S native --preset aarch64-linux && cmake --build build/aarch64-linux && \
	  ctest --test-dir build/aarch64-linux --output-on-failure --no-tests=ignore

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The files in .venv below are stamps: a second call finds them newer and installs nothing.
# One command installs everything but the build's own tools, so that pip settles on one torch, the pinned one.
$(VENV)/.installed: $(VENV)/.build-tools $(wildcard native/CMakeLists.txt native/src/*)
	@echo "Installing Rondo into $(VENV): its engine is compiled (a minute or two), and the download of torch is large."
	$(PIP_INSTALL) $(EDITABLE) '.[poetry]'
	@touch $@

# seqeval comes as source only and needs an isolated build, which the tools above would not be used by.
$(VENV)/.installed-dev: $(VENV)/.build-tools
	@echo "Installing Rondo and what its tests need into $(VENV): its engine is compiled (a minute or two), and the"
	@echo "download of torch is large."
	$(PIP_INSTALL) seqeval
	$(PIP_INSTALL) $(EDITABLE) '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.build-tools: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP_INSTALL) scikit-build-core nanobind cmake ninja
	@touch $@

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Rondo needs Python 3.11 or newer; there is no '$(PYTHON)' here. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Rondo needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "'$(PYTHON)' cannot create environments; install its venv module (on Debian and Ubuntu: python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist src/rondo/_engine.*.so .pytest_cache .ruff_cache .mypy_cache .hypothesis
