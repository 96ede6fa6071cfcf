# make demo: run every stage on phantoms.  make test: check style and run tests.  make benchmark: measure speed and
# memory on the case folders in DATA=... or on phantoms.  Each installs its requirements into .venv first.

PYTHON ?= python3
BIN := .venv/bin
# constraints.txt holds the tested versions.
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt

.PHONY: demo test benchmark

demo: .venv/installed
	$(BIN)/python demo.py

test: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

benchmark: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA))

.venv/installed: requirements.txt requirements-visdom.txt constraints.txt
	@echo "installing into .venv; on Linux, the first time, several GB"
	$(PYTHON) -m venv .venv
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-build-isolation -r requirements-visdom.txt
	touch $@

.venv/installed-dev: requirements-dev.txt requirements-export.txt .venv/installed
	$(INSTALL) -r requirements-dev.txt
	touch $@

.venv/installed-benchmarks: requirements-benchmarks.txt requirements-export.txt .venv/installed
	$(INSTALL) -r requirements-benchmarks.txt
	touch $@
