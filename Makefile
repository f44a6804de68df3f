# Every target sets up what it needs, says what it does, and is quick the second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := $(wildcard _native/*.pyx _native/*.pxd _native/*.cc _native/*.hpp) setup.py pyproject.toml

.PHONY: help setup demo test lint bench clean

help:
	@echo "make demo   run the worker on an embedded Kafka broker with made-up traffic, and check what came out"
	@echo "make test   run the tests"
	@echo "make lint   ruff and mypy"
	@echo "make bench  run the benchmarks"
	@echo "make setup  only set up: system packages, virtual environment, native build"
	@echo "make clean  remove what setup and builds made"

setup: $(VENV)/.installed

$(VENV)/.installed: $(NATIVE) tools/system-packages
	@tools/system-packages $(PYTHON)
	@test -x $(BIN)/python || { echo "setup: making the virtual environment $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "setup: installing Python packages and building the native core (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "setuptools>=77" "cython>=3.1" "pysimdjson>=7.0.2,<8"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable ".[dev]"
	@touch $@

demo: setup
	@$(BIN)/recording-worker demo

test: setup
	@echo "test: running the tests"
	@$(BIN)/python -m pytest

lint: setup
	@echo "lint: ruff and mypy"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,ops,rounds

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info recording_worker/*.so
