# Two commands: `make demo` runs the main job, `make test` the whole suite.
# Both create .venv first; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -qq: only errors; an index that lacks a page is no news to a newcomer.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
# Only files whose SHA-256 stand in requirements/; the lists are complete (--no-deps).
LOCKED := $(PIP) --require-hashes --no-deps --only-binary :all: -r requirements

.PHONY: demo test test-long check lint types layers docs lock dist clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/embrm demo --out demo

# Pages are tested in a browser where there is one; continuous integration has it.
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# What `make docs` tests: the site, all that its pages show, the gallery, the notebooks.
OF_DOCS := tests/test_site.py tests/test_docs.py tests/serve/test_docs.py \
	tests/policy/test_docs.py tests/test_gallery.py tests/test_notebooks.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 $(OF_DOCS:%=--ignore=%) $(if $(BROWSER),,-m "not browser")

# What takes hours by its nature: 500 kills, 10,000 flipped bits, full disks and a
# crowd of processes at one cache; 10,000 random requests to the reward server; 100,000
# damaged models, 5,000 kills of whatever writes, a hostile embeddings server; all
# examples of the gallery. Damage, kills and the hostile server go on where they were
# stopped. Results go into benchmarks/results; look at them.
test-long: $(VENV)/.test
	$(BIN)/python benchmarks/cache_faults.py
	$(BIN)/python benchmarks/model_faults.py
	$(BIN)/python benchmarks/model_faults.py --mutations 100000
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/server_faults.py
	$(BIN)/python benchmarks/reading.py fuzz --rows 50000
	$(BIN)/python benchmarks/serve.py --only fuzz
	$(BIN)/python benchmarks/promises.py
	$(BIN)/python docs/gallery/build.py --check

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

# The site, into build/site: a warning is an error. Nothing is fetched. Then links,
# snippets, search and reference are tested.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	EMBRM_SITE=build/site $(BIN)/python -m pytest -n 2 $(OF_DOCS) $(if $(BROWSER),,-m "not browser")

# Look the hashes up again after a change of constraints.txt or of a dependency.
lock: $(VENV)/.docs
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python requirements/lock.py
	$(BIN)/python requirements/licences.py

# Wheel and sdist into dist/; the same files, byte for byte, wherever they are built.
dist: $(VENV)/.demo
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build demo dist

$(VENV)/.build: requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(LOCKED)/build.txt
	@touch $@

# torch goes in by its version alone: which of its builds is right depends on the
# machine, and a local CPU wheel is preferred where one is provided.
$(VENV)/.demo: $(VENV)/.build requirements/demo.txt pyproject.toml
	@echo "Installing what the demo needs into $(VENV) (once) ..."
	@$(LOCKED)/demo.txt
	@echo "Installing torch into $(VENV) (once) ..."
	@$(PIP) -c constraints.txt torch
	@echo "Installing embrm into $(VENV) (once) ..."
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.demo requirements/test.txt
	@echo "Installing the test tools into $(VENV) (once) ..."
	@$(LOCKED)/test.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.test requirements/dev.txt
	@echo "Installing the linters into $(VENV) (once) ..."
	@$(LOCKED)/dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev requirements/docs.txt
	@echo "Installing what builds the site into $(VENV) (once) ..."
	@$(LOCKED)/docs.txt
	@touch $@
