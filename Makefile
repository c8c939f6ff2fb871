# What a person or the CI asks for; `make help` lists it. Long steps and system packages are in
# infra/setup.sh. Each step leaves a stamp, so a second `make` does only what changed.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
STEP := infra/setup.sh step
UV := $(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes
JAVA_SOURCES := $(shell find infra/jars -type f)

.PHONY: help setup demo test test-udfs test-faults check lock edge-env influxdb clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: build/stamps/classes ## install and build everything that the jobs and the demo need

demo: setup ## run the whole way for a minute, from simulated machines to alerts (ARGS="--keep")
	@$(BIN)/hardiot demo $(ARGS)

test: setup build/stamps/dev check ## check the code, then run every test
	$(BIN)/pytest -m "not stack"
	@infra/influxdb/build.sh --if-possible
	$(BIN)/pytest -m stack

test-udfs: build/stamps/dev ## only the tests without any server: seconds
	$(BIN)/pytest tests/udfs

# each test says what it measured; the kills alone take a quarter of an hour
test-faults: build/stamps/dev ## long forms of the faults: an hour (parts need root)
	HARDIOT_FAULTS=long $(BIN)/pytest tests/edge/faults tests/edge/spool tests/edge/test_outage.py \
		tests/differential tests/archive tests/influx \
		-v -s -rs --timeout 3600 -o log_cli=true -o log_cli_level=INFO

check: build/stamps/dev ## lint, format, types, import directions, generated pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy udfs jobs edge
	$(BIN)/lint-imports
	$(BIN)/hardiot docs --check

# for any 3.11: without annotations, so that a diff shows only what changed
lock: build/stamps/venv ## pin requirements*.in by hash
	@for name in requirements-setup requirements requirements-dev edge/requirements edge/requirements-opcua; do \
		$(STEP) "Pin $$name" $(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --generate-hashes \
			--override requirements-override.txt \
			--custom-compile-command "make lock" --output-file $$name.txt $$name.in || exit 1; \
	done

edge-env: build/edge-venv/installed ## only what a gateway needs, in build/edge-venv

build/edge-venv/installed: build/stamps/venv edge/requirements.txt
	@$(STEP) "What a gateway needs" bash -c \
		'$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/edge-venv && \
		$(BIN)/uv pip install --python build/edge-venv/bin/python --require-hashes -r edge/requirements.txt'
	@touch $@

influxdb: build/stamps/runtime ## build the InfluxDB server once, outside the tree: 10 minutes
	@infra/influxdb/build.sh

clean: ## remove what was built and installed (a running stack is stopped first)
	@[ ! -x $(BIN)/hardiot ] || $(BIN)/hardiot down || true
	rm -rf build .venv

build/stamps/venv: requirements-setup.txt
	@infra/setup.sh packages
	@$(STEP) "Virtual environment" bash -c \
		'"$$(infra/setup.sh python)" -m venv .venv && \
		$(BIN)/pip install --require-hashes --requirement requirements-setup.txt'
	@mkdir -p $(@D) && touch $@

build/stamps/runtime: build/stamps/venv requirements.txt pyproject.toml
	@$(STEP) "Python packages (2.4 GB, some 90 s when nothing is cached)" $(UV) -r requirements.txt
	@$(STEP) "The project itself" $(BIN)/uv pip install --python $(BIN)/python \
		--no-deps --no-build-isolation --editable .
	@touch $@

build/stamps/dev: build/stamps/runtime requirements-dev.txt
	@$(STEP) "Tools for tests" $(UV) -r requirements-dev.txt
	@touch $@

build/stamps/jars: build/stamps/venv $(JAVA_SOURCES)
	@$(STEP) "Kafka, Flink's connector and our own jar" \
		mvn --batch-mode --file infra/jars/pom.xml package
	@touch $@

# Optional: the stack starts without them, only slower.
build/stamps/classes: build/stamps/runtime build/stamps/jars $(wildcard build/jars/*/*.jar)
	@$(STEP) "Class archives: start the stack once" $(BIN)/python -m jobs.local.train || true
	@touch $@
