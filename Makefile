# make demo   install if needed, run the whole study on the built-in cohort, write reports/demo with its predictions
# make test   install if needed, run the tests in two processes (WORKERS=4 for more)
# make test-all   the same with those that repeat what others show once: every page of the docs, kills, damaged files
# make check  ruff and mypy
# make coverage  the tests with the coverage of lines and branches; its pages are in .coverage/html
# make docs   install if needed, build the documentation into site/; docs-serve shows it while it is written
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
WORKERS ?= 2
IN_PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: install demo test test-all check coverage docs docs-serve clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	# Python compiles each module when it is first used; most of those of the packages never are
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/python -m study.cv --ablation all --data phantom --name demo --with-predictions

test: $(INSTALLED)
	$(BIN)/python -m pytest $(IN_PARALLEL) -m 'not exhaustive'

test-all: $(INSTALLED)
	$(BIN)/python -m pytest $(IN_PARALLEL)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(INSTALLED)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(IN_PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

docs-serve: $(INSTALLED)
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .coverage
