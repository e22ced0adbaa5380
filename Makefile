# `make demo` shows a critical token, `make test` runs the tests; both set up a virtual environment.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/pip --disable-pip-version-check
RUN ?= runs/pocket

.PHONY: demo test lint pocket paper-table bench clean

demo: $(VENV)/.installed
	$(VENV)/bin/ctm build-dataset --output-dir $(RUN)
	$(VENV)/bin/ctm show $(RUN)

test: $(VENV)/.installed-dev lint
	$(VENV)/bin/python -m pytest

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Rebuilds the built-in model from nothing; under two hours on two cores.
pocket: $(VENV)/.installed
	$(VENV)/bin/python -m ctm_train.pocket --output-dir build/pocket

# The main table of arXiv 2411.19943 on pocket; about an hour on two cores.
paper-table: $(VENV)/.installed-dev
	$(VENV)/bin/python experiments/paper_table.py

# The figures of benchmarks/RESULTS.md; hours on two cores.
bench: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/pocket.py
	$(VENV)/bin/python benchmarks/rollout_cost.py
	$(VENV)/bin/python benchmarks/grading.py
	$(VENV)/bin/python benchmarks/train_step.py
	$(VENV)/bin/python benchmarks/query.py

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf build dist *.egg-info
