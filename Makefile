# `make` alone lists the targets. On Windows see docs/troubleshooting.md#installing: each target is two or three commands.
PYTHON ?= python3
# `cmd: python ...` in dvc.yaml means the first python on PATH; UTF-8 whatever the locale, for file names in Hangul.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUTF8 := 1

.PHONY: help setup run table gate demo test lint clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: .venv/installed  ## create .venv with the pinned requirements

run: .venv/installed  ## run what is left of the pipeline, then print the table before/after transfer
	dvc repro || { python -m tools.leftovers; exit 1; }
	@echo
	@python -m tools.table

table: .venv/installed  ## print that table again
	@python -m tools.table

AGAINST ?= HEAD^
gate: .venv/installed  ## fail if an emotion is recognised worse than in AGAINST (HEAD^) by more than limits.max_drop
	@python -m tools.gate $(AGAINST)

demo: .venv/installed  ## start the page that reads faces
	@python -m demo --web

FILES ?=
test: .venv/installed-dev  ## run the tests in FILES (tests/test_crop.py ...) or all
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 1 $(FILES)

lint: .venv/installed-dev  ## check style, format, types and the deps in dvc.yaml
	ruff check .
	ruff format --check .
	python -m tools.deps --check
	mypy

clean:  ## remove .venv and caches of tools; data, results and DVC's cache stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; name one: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python lacks its venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/installed: requirements.txt | .venv/bin/pip
	python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
