# make demo: install and run the main job.   make test: install and run the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
WORKERS ?= 2

.PHONY: install install-dev demo test test-slow lint docs speed clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

demo: install
	$(BIN)/clcore run split-digits --out runs/demo --overwrite --workers $(WORKERS)
	@echo "Open runs/demo/report.html in a browser."

test: install-dev
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest -n $(WORKERS) -q

test-slow: install-dev
	WANDB_MODE=offline $(BIN)/python -m pytest -m slow -q

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: install-dev
	$(BIN)/python -m pytest tests/docs -q

speed: install
	$(BIN)/clcore speed buffers

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
