# make demo    create .venv, install Rondo into it, learn from text and from digits
# make test    install what the tests need; then style, types and tests
# make format  bring the code into the style that `make test` asks for
#
# Needs Python 3.11 or newer. Another interpreter than python3:  make demo PYTHON=python3.12
# Options for one run of the tests:                             make test PYTEST_ARGS="-k gru"

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install $(if $(CI),--quiet,) --disable-pip-version-check --constraint constraints.txt

.PHONY: help install demo test style types tests format clean
.NOTPARALLEL:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/rondo demo --out demo-output

test: style types tests

style: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope $(PYTEST_ARGS)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The files in .venv below are stamps: a second call finds them newer and installs nothing.
# One command installs everything, so that pip settles on one torch, the pinned one.
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Rondo into $(VENV). The download of torch is large; this can take minutes."
	$(PIP_INSTALL) --editable '.[poetry]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Rondo and what its tests need into $(VENV). The download of torch is large; this can take minutes."
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

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
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
