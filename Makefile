# Everything below sets itself up in .venv first; nothing but Python 3.11 to 3.14 has to be there.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo connect-demo test test-full check bench bench-engine bench-cost lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the environment in .venv, from the lock; done by every other target as needed
	@command -v $(PYTHON) > /dev/null || { echo "error: there is no $(PYTHON) here: install Python 3.11 to 3.14\
	 (Debian, Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m local.setup

demo: setup ## the whole pipeline on a local Kafka, with simulated models
	@$(BIN)/sluice demo

connect-demo: setup ## file and outbox in, PostgreSQL tables out through a real Kafka Connect that is killed
	@$(BIN)/sluice connect-demo

# Tests mostly wait: for a broker, for a process to start or end. Each process that runs them has a broker of its own,
# and a file's tests stay in one.
AT_ONCE := -n 3 --dist loadfile

test: setup ## the tests, those on a real Kafka among them
	$(BIN)/pytest $(AT_ONCE) -m "not slow"

test-full: setup ## the long tests: kills, outages
	@failed=0; set -x; $(BIN)/pytest $(AT_ONCE) -m "slow and not alone" || failed=1; \
	$(BIN)/pytest -m alone tests/chaos || failed=1; exit $$failed

check: setup ## style, types and layers, as CI looks at them
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## the speed, cost and quality figures that the README quotes
	$(BIN)/python -m bench

bench-engine: setup ## the engine beside Faust, FastStream, Quix Streams and Kafka Streams, which it installs apart
	$(BIN)/python -m bench engine slow_calls --peers

DATA ?= ../shared/data
bench-cost: setup ## cost and quality of each means; DATA=folder of labelled files ARGS="--errors FILE --seed N"
	$(BIN)/sluice eval $(DATA) --compare --reference nano-single --reference flagship --epsilon 0.02 --epsilon 0.1 \
		--save .sluice/cost $(ARGS)

lock: setup ## lock the newest packages and jars that pyproject.toml and local/jars.py allow
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra local --extra dev --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --output-file bench/peers/requirements.lock bench/peers/requirements.in
	$(BIN)/python -m local.jars
	$(BIN)/python -m local.connect.jars
	$(BIN)/python -m local.registry

clean: ## remove .venv and all that was made here; packages and jars stay in the user's caches
	rm -rf .venv .sluice build dist demo-report.json *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
