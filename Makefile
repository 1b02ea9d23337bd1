# The course's commands. Each sets up first: .venv with the pinned set of requirements.lock and this checkout, editable.
#
#   make lab       open the course in JupyterLab             LAB_ARGS="--no-browser --port 9999"
#   make test      ruff, mypy, tests, doctests, notebooks    PYTEST_ARGS="-k tokenizer"
#   make course    run every lesson, save nothing            LESSONS="02 03"
#   make lessons   rebuild the notebooks from their sources  LESSONS="03"  PROFILE=gpu
#   make bench     measure beside the peers
#   make lock      pin the newest set that pyproject.toml admits
#   make clean     remove the environment
#
# PYTHON=/path/to/python3.12 chooses the Python that .venv is made with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := lab

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PROFILE ?= cpu
LESSONS ?=
LAB_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2

# A folder of public data beside or in the checkout is an offline mirror; without one, data is downloaded when first used.
MIRROR := $(firstword $(wildcard ../shared/data shared/data))
ifneq ($(MIRROR),)
export MINILM_DATA ?= $(abspath $(MIRROR))
endif

# Threads that wait for each other sleep soon, so that a busy machine stays fast; see minilm/system/waiting.py.
export GOMP_SPINCOUNT ?= 10000

.PHONY: lab test course lessons bench lock clean setup venv moved
setup: $(STAMP)

# Trusted, the saved notebooks show their pictures at once; untrusted, JupyterLab takes all styles and SVG out of them.
# Trusted are the course's own notebooks, one for each lesson, and nothing else that may lie beside them.
NOTEBOOKS := $(patsubst lessons/%.py,notebooks/%.ipynb,$(wildcard lessons/[0-9]*.py))
lab: setup
	@$(RUN) -m jupyter trust $(NOTEBOOKS) >/dev/null
	$(RUN) -m jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) notebooks/00_welcome.ipynb

# One thread a worker: the notebooks and the tests share the cores. A notebook is one file, so one kernel, so one worker.
test: setup
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check --quiet
	$(RUN) -m mypy
	MINILM_PROFILE=smoke OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile tests notebooks \
	  --nbval-lax --nbval-current-env --nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 300 $(PYTEST_ARGS)

course: setup
	$(RUN) -m lessons.build --dry-run $(LESSONS)

lessons: setup
	$(RUN) -m lessons.build --profile $(PROFILE) $(LESSONS)

bench: setup
	for benchmark in $$(grep -l __main__ benchmarks/*.py); do echo "== $$benchmark"; $(RUN) "$$benchmark"; done

# Installs once, and again when the pins, the declaration or the checkout's place change.
$(STAMP): requirements.lock pyproject.toml $(if $(filter-out $(CURDIR),$(shell cat $(STAMP) 2>/dev/null)),moved)
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory venv
	$(RUN) -m pip install --disable-pip-version-check -r requirements.lock -e '.[test]'
	@pwd > $@

# The first Python that will do; PYTHON, where given, is the only one tried.
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
SUITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
venv:
	@for python in $(PYTHONS); do \
	  if "$$python" -c '$(SUITS)' 2>/dev/null; then exec "$$python" -m venv --clear $(VENV); fi; \
	done; \
	echo "The course needs Python 3.11, 3.12 or 3.13 with its venv module; tried: $(PYTHONS)." >&2; \
	echo "Install one (on Debian or Ubuntu also python3-venv), or name it: make lab PYTHON=/path/to/python3.12" >&2; \
	exit 1

lock:
	$(MAKE) --no-print-directory venv
	$(RUN) -m pip install --disable-pip-version-check -e '.[test]'
	{ sed -n '/^#/p' requirements.lock; \
	  $(RUN) -m pip freeze --all --exclude-editable | grep -v '^pip=' | sed 's/+.*//'; } > requirements.new
	mv requirements.new requirements.lock

clean:
	rm -rf $(VENV)
