# Every target sets up what it needs by itself. `make help` lists them.
PYTHON ?= python3.11
BIN := .venv/bin
SETUP := .venv/requirements.lock
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test check ui bench faults lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(SETUP)  ## train, export, verify and log the configured model
	dvc repro && python -m pipeline.summary

test: $(SETUP)  ## run the whole test suite
	python -m pytest -n 2 --dist worksteal

check: $(SETUP)  ## formatting, lint and types
	ruff format --check .
	ruff check .
	mypy

ui: $(SETUP)  ## MLflow's UI on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	  mlflow ui --workers 1 --host 127.0.0.1 --port 5000 \
	  --backend-store-uri "sqlite:///$(CURDIR)/mlflow.db" --default-artifact-root "$(CURDIR)/mlartifacts"

bench: $(SETUP)  ## the pipeline beside the same job written by hand
	python -m benchmarks.compare

faults: $(SETUP)  ## kill, fill, flip and cut off everything; docs/reliability.md gets the figures
	python -m faults

lock: $(SETUP)  ## pin the newest versions that pyproject.toml allows
	uv pip compile -q --universal --python-version 3.11 --extra dev --extra s3 --extra signing \
	  --group server --upgrade pyproject.toml \
	  | sed 's/^\(torch==[0-9.]*\)+cpu/\1/' > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:  ## remove the environment and everything a run made, but for MLflow's store
	rm -rf .venv artifacts reports

# The copy is made last, so that an interrupted installation is done again. pip's own setting
# for where wheels lie (a CPU build of torch, say) is handed on to uv, which does not read it.
$(SETUP): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	UV_FIND_LINKS="$$($(BIN)/python -m pip config list | sed -n "s/.*find-links='\(.*\)'/\1/p" | head -1 | tr ' ' ',')" \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	cp requirements.lock $@
