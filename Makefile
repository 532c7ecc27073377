PYTHON ?= python3
VENV := .venv
# Extras of pyproject.toml; CI adds the others, whose tests are skipped without them.
EXTRAS ?= dev
BIN := $(VENV)/bin
# One thread a process: searches and tests run processes beside one another.
export OMP_NUM_THREADS ?= 1
# One process a core takes its share of the tests, and what others have left when it is done.
PYTEST := $(BIN)/python -m pytest -q -n auto --dist worksteal

# What a measurement on a GPU without a network needs, in one folder; prints the command to run.
gpu-bundle: install
	$(BIN)/python -m benchmarks.gpu.bundle

# The site in build/site, of the extra docs; any warning fails.
docs: install
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

.PHONY: docs gpu-bundle install demo test slow lint types clean

# Everything that the demo, the tests and the checks need; again only when pyproject.toml changes.
install: $(VENV)/.installed
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

# A whole run on the embedded digits: a baseline network, how it scales, both reports.
demo: SHORT = --proxy-images 1000
demo: install
	rm -rf runs/demo-nas runs/demo-scaling
	$(BIN)/python -m nas.search --budget 400M --trials 16 --minutes 5 $(SHORT) --out runs/demo-nas
	$(BIN)/python -m scaling_search --target-flops 2x --baseline runs/demo-nas --trials 20 \
		--minutes 7 $(SHORT) --out runs/demo-scaling
	@echo "reports: runs/demo-nas/report.html and runs/demo-scaling/report.html"

test: install
	$(PYTEST) -m 'not slow'

slow: install
	$(PYTEST) -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
