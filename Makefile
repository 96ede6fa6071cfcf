# make demo: every stage on phantoms.  make test: style and tests.  make benchmark: speed and memory, on the case folders
# in DATA=... or on phantoms.  Each installs what it needs into .venv first.

PYTHON ?= python3
BIN := .venv/bin
# Only Python 3.10 and 3.11 need the constraint (see README.md); it does no harm elsewhere.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet

.PHONY: demo test benchmark

demo: .venv/installed
	$(BIN)/python demo.py

test: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

benchmark: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA))

.venv/installed: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(INSTALL) -r requirements-dev.txt
	touch $@

.venv/installed-benchmarks: requirements-benchmarks.txt .venv/installed
	$(INSTALL) -r requirements-benchmarks.txt
	touch $@
