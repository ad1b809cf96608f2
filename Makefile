# The few commands. `make` or `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --all-extras pyproject.toml

.PHONY: help venv run test lint format proto lock bench bench-engine fuzz-engine soak demo-revocation clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[36mmake %-14s\033[0m %s\n", $$1, $$2}'

venv: $(VENV)/.installed ## create .venv with locked, hash-checked dependencies
$(VENV)/.installed: requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 on PATH; say make PYTHON=/path/to/python"; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q pdp
	@touch $@

run: venv ## serve the sample policy on 127.0.0.1:50051 (gRPC) and :8181 (HTTP), with an embedded Redis
	@$(BIN)/pdp serve --sample

test: venv ## unit, property, contract and end-to-end tests on real parts
	@$(BIN)/pytest -n 2 -q -m "not slow"

lint: venv ## style, types, import contracts, generated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@PATH="$(BIN):$$PATH" proto/generate.sh --check

format: venv ## rewrite the sources in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: venv ## generate Python from proto/
	@PATH="$(BIN):$$PATH" proto/generate.sh

bench: venv ## requests/s and latency beside Cerbos and grpcio (needs h2load and npm)
	@$(BIN)/python -m tests.bench.dataplane

bench-engine: venv ## the compiled engine beside pycasbin and Cedar
	@$(BIN)/python -m tests.bench.engine

fuzz-engine: venv ## a million comparisons of the compiled engine with pycasbin (about 25 minutes)
	@PDP_FUZZ_COMPARISONS=1000000 $(BIN)/pytest tests/engine -k differential -q -s --hypothesis-profile=explore

soak: venv ## ten minutes of load with cancelled calls; draws memory, descriptors and tasks
	@$(BIN)/python -m tests.bench.soak

demo-revocation: venv ## watch an agent lose access within milliseconds, and get it back
	@$(BIN)/python -m examples.revocation

lock: ## resolve the dependencies anew (needs uv)
	@$(LOCK) -o requirements.lock
	@$(LOCK) --group dev -o requirements-dev.lock

clean: ## remove what the other commands made
	@rm -rf $(VENV) build var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
