# `make run` and `make test` do everything from a fresh clone: Python 3.11 or later and make are all they need.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHARED ?= ../shared
CV := .crossvalidated
PEERS := .venv-peers

TOGETHER := --numprocesses auto --maxprocesses 4  # more would compile the same kernels at once
FAULTS ?= 200
KILLS ?= 4

.PHONY: run test faults engines lint format quality bench bench-worst crossvalidate peers bench-pages bench-copies bench-scale lock clean

run: $(VENV)/.run  ## Copydesk over seeds/ into out/
	$(BIN)/copydesk run seeds --output out

test: $(VENV)/.test  ## the unit suite, then the tests that run the whole pipeline
	$(BIN)/pytest $(TOGETHER) -m "not whole and not faults and not engines"
	$(BIN)/pytest $(TOGETHER) -m whole

faults: $(VENV)/.test  ## kills, full and read-only disks, damaged files, clocks, runs at once; FAULTS=20 for a short one
	FAULTS=$(FAULTS) $(BIN)/pytest -m faults

engines: $(VENV)/.test  ## Prism, Flink, Kafka: fetched into .engines/, started, tested, stopped; needs go, java, mvn; KILLS=20 for many kills
	KILLS=$(KILLS) $(BIN)/pytest -m engines -rs

lint: $(VENV)/.test  ## style, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: $(VENV)/.test  ## the figures against their floors; needs the labelled data in SHARED
	$(BIN)/python -m tests.quality.gate $(SHARED)

bench: $(VENV)/.test  ## articles per CPU-second, peak memory, where the time goes
	$(BIN)/python tests/benchmarks/batch.py $(SHARED)

bench-worst: $(VENV)/.test  ## pages at the caps: seconds and memory; fails when one costs over 1 s or 1 GiB
	$(BIN)/python tests/benchmarks/pages_worst.py

crossvalidate: $(VENV)/.test  ## pages, texts and outlet memory, judged by models that never saw the outlet: some ten minutes
	@mkdir -p $(CV)
	PYTHONPATH=. $(BIN)/python tests/training/train_pages.py $(SHARED)/data/extraction --predictions $(CV)/pages.jsonl
	$(BIN)/python $(SHARED)/eval/evaluate_extraction.py $(SHARED)/data/extraction/manifest.jsonl $(CV)/pages.jsonl --by set
	rm -f $(CV)/scores.npz
	PYTHONPATH=. $(BIN)/python tests/training/measure_memory.py $(SHARED)/data/extraction $(SHARED)/eval --scores $(CV)/scores.npz
	PYTHONPATH=. $(BIN)/python tests/training/train_plaintext.py $(SHARED) --seeds 2
	for by in label band outlet; do PYTHONPATH=. $(BIN)/python tests/quality/units.py $(SHARED) --by $$by; done

peers: $(PEERS)/.peers  ## other projects' extractors, in an environment of their own beside the product's

bench-pages: $(PEERS)/.peers  ## Copydesk and its peers over the same pages; its quality is that of `make crossvalidate`
	$(PEERS)/bin/python -m tests.benchmarks.pages $(SHARED) --predictions $(CV)/pages.jsonl

bench-copies: $(VENV)/.test $(PEERS)/.peers  ## signatures and verified copies against the peers, in turns; components
	$(BIN)/python tests/benchmarks/copies.py $(SHARED) --peers $(PEERS)/bin/python

bench-scale: $(VENV)/.test  ## whole runs over 10,000 and 100,000 articles: cost and memory an article, by stage
	$(BIN)/python tests/benchmarks/scale.py $(SHARED)

lock:  ## resolve pyproject.toml again; needs uv
	uv pip compile -q pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
	uv pip compile -q pyproject.toml --group build --group test -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements-test.lock

$(VENV)/.run: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q pipeline transforms schemas
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.run
	$(PIP) install --quiet --require-hashes -r requirements-test.lock
	@touch $@

$(PEERS)/.peers: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(PEERS)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["peers"], sep="\n")' > $(PEERS)/peers.txt
	sed -n 's/ *\\$$//; /^lxml=/d; /^[a-z]/p' requirements.lock > $(PEERS)/pins.txt  # hashes pin all or nothing
	$(PEERS)/bin/python -m pip install --quiet --upgrade pip  # that of Python 3.11 stumbles over lxml's extras
	$(PEERS)/bin/python -m pip install --quiet -c $(PEERS)/pins.txt -r $(PEERS)/peers.txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(CV) .engines out dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
