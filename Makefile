# `make help` lists the targets: every line below with a "## " comment is one.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:

# A Python that is 3.11 or newer; say `make PYTHON=… demo` to choose another one.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Options for pytest, e.g. `make test ARGS="-k quota -x"`.
ARGS ?=

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: python
python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: Python 3.11 or newer is needed: install it (Debian: apt-get install python3) or say make PYTHON=/path/to/python3.11 …" >&2; exit 1; fi

.PHONY: demo-env
demo-env: python
	@$(PYTHON) bin/bootstrap demo

.PHONY: dev-env
dev-env: python
	@$(PYTHON) bin/bootstrap dev

.PHONY: setup
setup: dev-env assets ## make .venv with everything for development and build the assets

.PHONY: assets
assets:
	@$(BIN)/python -m portal.build_assets

.PHONY: demo
demo: demo-env ## start the whole product with demo data and live traffic (Ctrl-C stops it)
	@exec $(BIN)/python -m portal.demo

.PHONY: platform-env
platform-env: python
	@$(PYTHON) bin/bootstrap platform

.PHONY: demo-platform
demo-platform: platform-env ## start the demo with the reference platform in front of it: gateway, imaging, search, ml (docs/platform.md)
	@PYTHONPATH=.:infra/platform:clients/python exec $(BIN)/python infra/platform/demo.py

.PHONY: load
load: platform-env ## load the reference platform with Locust and k6 for LOAD_SECONDS (60) each and write docs/load-results.md
	@$(BIN)/python infra/observability/run_load.py --check
	@PYTHONPATH=.:infra/platform:clients/python $(BIN)/python infra/platform/demo.py --run $(BIN)/python infra/observability/run_load.py

.PHONY: demo-reset
demo-reset: demo-env ## stop the demo and delete its data, so that the next start is a first one
	@$(BIN)/python -m portal.demo --reset

.PHONY: test
test: dev-env assets ## run the tests on a real PostgreSQL and Redis, started for it
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not browser" $(ARGS)

.PHONY: test-browser
test-browser: dev-env assets ## run the browser tests (needs Chromium; root on Debian gets it installed)
	@if bin/chromium; then $(BIN)/python -m pytest -n0 -m browser $(ARGS); status=$$?; [ $$status -eq 5 ] && exit 0; exit $$status; fi

.PHONY: lint
lint: dev-env assets ## check style, types, import laws, templates, migrations and deployment settings
	@bin/lint

.PHONY: fmt
fmt: dev-env ## format the code and repair what can be repaired
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	@$(BIN)/djlint --reformat --quiet templates || true

.PHONY: stack-tools
stack-tools: ## build what tests of the observability stack need beyond Debian's packages (needs Go)
	@bin/stack-tools

.PHONY: stack-check
stack-check: dev-env ## check the whole compose stack without Docker: compose, nginx, rules, mails, collector, Grafana, queries
	@$(BIN)/python -m infra.observability.as_code.stack_check

.PHONY: test-stack
test-stack: dev-env assets ## run the tests on real Prometheus, Alertmanager, nginx and exporters (Debian packages; says what is missing)
	@$(BIN)/python -m pytest -n0 -p no:randomly tests/observability $(ARGS)

.PHONY: dashboards
dashboards: dev-env ## write the Grafana dashboards from their code
	@$(BIN)/python -m infra.observability.as_code

.PHONY: bench
bench: dev-env ## measure enforcement and metering beside their peers
	@$(BIN)/python -m bench $(ARGS)

.PHONY: docs-metrics
docs-metrics: dev-env ## write docs/metrics.md from the metrics themselves
	@UPDATE_DOCS=1 $(BIN)/python -m pytest -n0 -q tests/portal/telemetry/test_the_table_of_metrics_is_current.py

.PHONY: docs-api
docs-api: dev-env ## write docs/api-reference.md from the OpenAPI document
	@UPDATE_DOCS=1 $(BIN)/python -m pytest -n0 -q tests/portal/api/test_the_api_reference_is_current.py

.PHONY: lock
lock: python ## renew the hash-pinned lock files from pyproject.toml
	@$(PYTHON) bin/bootstrap dev && bin/lock

.PHONY: shell
shell: demo-env ## open a Django shell on the running demo
	@$(BIN)/python -m portal.demo --manage shell

.PHONY: manage
manage: demo-env ## run a management command on the running demo: make manage ARGS="showmigrations"
	@$(BIN)/python -m portal.demo --manage $(ARGS)

.PHONY: clean
clean: ## delete the environment, caches and built assets (the demo's data stays)
	@rm -rf .venv .tools .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis staticfiles \
		portal/static
