# HealthBrain. The two commands: `make demo` runs a synthetic district, `make test` proves the build.
# A Python 3.11+ is all that is needed; everything else is fetched into .venv by `make setup`.

PYTHON ?= python3
VENV   := .venv
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
BIN    := $(VENV)/bin
HB_DATA ?= $(CURDIR)/.demo
export HB_DATA

.PHONY: help setup setup-dev setup-spark demo serve test check fix bench lock clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.setup   ## .venv with hb in it, definitions compiled, front-end assets fetched
$(VENV)/.setup: requirements/run.txt requirements/build.txt vendor.lock tools/setup.py pyproject.toml
	@$(PYTHON) tools/setup.py
	@touch $@

setup-dev: $(VENV)/.setup-dev   ## the same, with the tools for checking and testing
$(VENV)/.setup-dev: $(VENV)/.setup requirements/dev.txt
	@$(PYTHON) tools/setup.py --dev
	@touch $@

setup-spark: $(VENV)/.setup-spark   ## the same, with PySpark for HB_LAKE_ENGINE=spark (needs Java 17)
$(VENV)/.setup-spark: $(VENV)/.setup requirements/spark.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/spark.txt
	@touch $@

demo: setup      ## a synthetic district, its messages sent through the real doors, the web at a printed address
	@$(BIN)/hb demo

serve: setup     ## the platform on HB_DATA
	@$(BIN)/hb serve

test: setup-dev  ## everything: units, specs, engines against oracles, faults, browser
	@$(PYTHON) tools/browser.py
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(ARGS)

check: setup-dev ## lint, format, types, import contracts
	$(BIN)/ruff check src tests tools
	$(BIN)/ruff format --check src tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

fix: setup-dev   ## format and mend what can be mended
	$(BIN)/ruff check --fix src tests tools
	$(BIN)/ruff format src tests tools

bench: setup-dev ## figures, with data size, hardware and method
	$(BIN)/python tools/bench.py $(ARGS)

lock:            ## pin the newest allowed versions again (needs uv)
	cd requirements && for name in build run dev spark; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $$name.in -o $$name.txt -q; done

clean:           ## remove everything that setup and demo made
	rm -rf $(VENV) .demo build dist artefacts src/*.egg-info src/healthbrain/fhir/r4.bin src/healthbrain/fhir/r4-profiles.bin src/healthbrain/web/static/vendor src/healthbrain/web/paper/fonts
