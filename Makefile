# Every target sets up what it needs by itself. `make help` lists them.
# The environment's Python is the first of these that requirements.lock is for, or the one that is
# named: `make PYTHON=/path/to/python3.12`.
PYTHONS := python3.11 python3.12 python3.13 python3
NEWER := python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[23].*/bin/python)

PYTEST := python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# What `make test-fast` leaves out, and what `make test-newer` runs and needs.
SLOW := complete_model end_to_end formats frameworks hostile models resolve tracking
SLOW += provenance/test_lineage.py training/test_recomputed.py
SLOW += $(patsubst %,test_%.py,diff examine export_complete log_to_mlflow relog reproduce resume trace verify)
PLAIN := dvc hydra-core jinja2 numpy pyarrow pyyaml ruamel.yaml.clib scikit-learn tqdm onnx psutil hypothesis pytest pytest-xdist
PLAIN_TESTS := $(addprefix tests/,test_compose.py test_deps.py test_files.py test_imports.py \
  test_prepare.py config/test_bounds.py config/test_reading.py config/test_yaml_text.py \
  provenance/test_statement.py sandbox/test_worker.py \
  untrusted/test_plain_files.py verification/test_comparison.py)
BIN := .venv/bin
SETUP := .venv/requirements.lock
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-newer check ui bench bench-compare bench-scale faults lock python clean

# Prints the first of its arguments that is a Python with wheels in requirements.lock, our own
# environment's apart; if none is, one line says what was found.
define FIRST_PYTHON
first_python() ( \
  PATH="$${PATH#$(CURDIR)/$(BIN):}"; \
  met=""; \
  for name in "$$@"; do \
    version=$$("$$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
    case "$$version" in 3.11 | 3.12 | 3.13) command -v "$$name"; exit ;; esac; \
    met="$${met:+$$met, }$$name is Python $$version"; \
  done; \
  echo "error: make: found $${met:-nothing} among $$*, expected Python 3.11, 3.12 or 3.13;" \
    "install one, or name it: make PYTHON=/path/to/python3" >&2; \
  exit 1; \
)
endef

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(SETUP)  ## train, export, verify and log the configured model
	@git rev-parse --git-dir > /dev/null 2>&1 || \
	  { echo "error: make run: no git repository here; run \`git init\` first" >&2; exit 1; }
	dvc repro && python -m pipeline.summary

test: $(SETUP)  ## run the whole test suite: about 25 minutes on 2 cores
	$(PYTEST)

test-fast: $(SETUP)  ## run all but whole pipelines, commands on trained models, and frameworks: 3 minutes
	$(PYTEST) $(SLOW:%=--ignore=tests/%)

test-newer: $(SETUP)  ## run what needs no framework on a newer Python, if there is one
	@$(FIRST_PYTHON); \
	newer=$$(first_python $(NEWER) 2>/dev/null) || \
	  { echo "test-newer: nothing tested, found none of $(NEWER)"; exit 0; }; \
	uv venv --quiet --clear --python "$$newer" .venv/newer && \
	uv pip install --quiet --python .venv/newer --constraint requirements.lock $(PLAIN) && \
	.venv/newer/bin/$(PYTEST) $(PLAIN_TESTS) \
	  --deselect tests/provenance/test_statement.py::test_every_installed_distribution_is_recorded \
	  --deselect tests/config/test_reading.py::test_names_that_mlflow_takes_are_taken

check: $(SETUP)  ## formatting, lint and types
	ruff format --check .
	ruff check .
	mypy

ui: $(SETUP)  ## MLflow's UI on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	  mlflow ui --workers 1 --host 127.0.0.1 --port 5000 \
	  --backend-store-uri "sqlite:///$(CURDIR)/mlflow.db" --default-artifact-root "$(CURDIR)/mlartifacts"

bench: $(SETUP)  ## the pipeline beside the same job written by hand; what a large model costs
	python -m benchmarks.compare
	python -m benchmarks.compare --model keras_mlp
	python -m benchmarks.loop
	python -m benchmarks.no_op
	python -m benchmarks.large
	python -m benchmarks.loading

bench-compare: $(SETUP)  ## the pipeline beside that of another revision: make bench-compare REV=HEAD~1
	python -m benchmarks.compare --beside $(or $(REV),HEAD)

bench-scale: $(SETUP)  ## two processes against one, what a rank of FSDP2 holds, a sweep beside its runs, and how costs grow
	python -m benchmarks.ranks
	python -m benchmarks.sweeps
	python -m benchmarks.sweep_by_hand
	python -m benchmarks.growth

faults: $(SETUP)  ## kill, fill, flip and cut off everything; docs/reliability.md gets the figures
	python -m faults

lock: $(SETUP)  ## pin the newest versions that pyproject.toml allows
	uv pip compile -q --universal --python-version 3.11 --extra audio --extra dev --extra lightning --extra litert --extra metrics --extra optuna \
	  --extra ray --extra s3 --extra signing --extra slurm --extra transformers --group server --upgrade pyproject.toml \
	  | sed 's/^\(torch==[0-9.]*\)+cpu/\1/' > requirements.lock.new
	mv requirements.lock.new requirements.lock

python:  ## print the Python that the environment is made with
	@$(FIRST_PYTHON); first_python $(or $(PYTHON),$(PYTHONS))

clean:  ## remove the environment and everything a run made, but for MLflow's store
	rm -rf .venv artifacts reports

# The copy is made last, so that an interrupted installation is done again. pip's own setting
# for where wheels lie (a CPU build of torch, say) is handed on to uv, which does not read it.
$(SETUP): requirements.lock pyproject.toml
	$(FIRST_PYTHON); python=$$(first_python $(or $(PYTHON),$(PYTHONS))) && "$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	UV_FIND_LINKS="$$($(BIN)/python -m pip config list | sed -n "s/.*find-links='\(.*\)'/\1/p" | head -1 | tr ' ' ',')" \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python scripts/vega.py .venv/vega.js
	cp requirements.lock $@
