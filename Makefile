# Each target makes its own virtual environment and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARALLEL := -n 3 --dist worksteal  # more than two cores: the tests of servers mostly wait
READY := $(VENV)/.ready
UV := .cache/uv/bin/uv
SUPERSET := .cache/superset
GRAFANA := .cache/grafana
AXE := .cache/axe
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock"

.PHONY: demo up shell superset test test-kafka laws soak check bench fmt readme lock clean

demo: $(READY)  ## run the whole pipeline for a minute and prove its numbers
	$(BIN)/nps demo --for $(or $(FOR),60s) $(ARGS)

up: $(READY)  ## run the whole pipeline on this machine until Ctrl-C
	$(BIN)/nps up

shell: $(READY)  ## a shell in which `nps` is found
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec "$${SHELL:-/bin/sh}"

superset: $(SUPERSET)/.ready  ## Superset with our dashboards on NPS_CLICKHOUSE_URL, until Ctrl-C
	deploy/superset/open.sh $(SUPERSET)

test: $(READY)  ## all tests, laws on few examples (make laws: on all); those on real Kafka say loudly when they are skipped
	$(BIN)/pytest $(PARALLEL) $(ARGS)

test-kafka: $(READY)  ## the fault suite on real Apache Kafka on all seeds, with its report; needs Java 17 and Maven
	FAULTS=all LAWS=$(or $(LAWS),many) $(BIN)/pytest $(PARALLEL) tests/faults $(ARGS)

laws: $(READY)  ## the laws on all their examples (LAWS=anew: on others each time)
	LAWS=$(or $(LAWS),many) $(BIN)/pytest $(PARALLEL) tests/laws $(ARGS)

soak: $(READY)  ## SOAK minutes of everything that can go wrong, mixed from one seed: make soak SOAK=30 SEED=7
	SOAK=$(or $(SOAK),30) $(if $(SEED),SEED=$(SEED)) $(BIN)/pytest tests/faults/scenarios/test_soak.py -s $(ARGS)

check: $(READY)  ## what CI runs: style, types, import contracts, schemas, README, then all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nps schemas check
	$(MAKE) test

bench: $(READY)  ## rates as a ratio to a hand-written loop in the same run, latency, restore, memory
	$(BIN)/python -m tests.bench.bench $(ARGS)

fmt: $(READY)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(READY)  ## write the README's reference tables anew
	$(BIN)/python -m streams.commands.reference README.md

lock: $(UV)  ## write the lock files anew, with hashes; versions stay unless told otherwise: make lock ARGS="--upgrade-package rich"
	$(COMPILE) --extra local --extra dev $(ARGS) -o requirements.lock pyproject.toml
	$(COMPILE) -c requirements.lock -o deploy/runtime.lock pyproject.toml
	echo hatchling | $(COMPILE) -c requirements.lock -o deploy/build.lock -
	$(COMPILE) $(ARGS) -o deploy/superset/requirements.lock deploy/superset/requirements.in

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(UV):
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

$(SUPERSET)/.ready: deploy/superset/requirements.lock $(UV)
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] in ((3, 11), (3, 12)) else "Superset needs Python 3.11 or 3.12: make superset PYTHON=python3.11")'
	$(PYTHON) -m venv $(SUPERSET)/venv
	$(UV) pip sync --quiet --require-hashes --python $(SUPERSET)/venv deploy/superset/requirements.lock
	touch $@

$(GRAFANA)/.ready: tests/support/grafana/package-lock.json
	mkdir -p $(GRAFANA)
	cp tests/support/grafana/package.json tests/support/grafana/package-lock.json $(GRAFANA)
	npm ci --silent --prefix $(GRAFANA)
	touch $@

$(AXE)/.ready: tests/support/axe/package-lock.json
	mkdir -p $(AXE)
	cp tests/support/axe/package.json tests/support/axe/package-lock.json $(AXE)
	npm ci --silent --prefix $(AXE)
	touch $@

clean:  ## remove what make and the tests made
	rm -rf $(VENV) .cache data dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
