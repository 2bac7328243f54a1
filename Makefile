# run: the demo. test: everything, as CI does. check: what must hold before a commit. bench: measured against yardsticks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test check lint bench bench-cluster chaos py-consul envoy-scenarios docs soak soak-stack soak-points soak-agents go-client tools fmt lock venv venv-dev

run: $(VENV)/.run-stamp
	$(BIN)/meshagent demo

test: lint
	tests/prepare
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests

check: lint
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/agent tests/catalog tests/connect tests/dns tests/meta tests/test_*.py

lint: $(VENV)/.dev-stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH= $(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.dev-stamp
	tests/prepare
	$(BIN)/python bench/run.py

# The same for three servers on this machine, beside three of etcd.
bench-cluster: $(VENV)/.dev-stamp
	tests/prepare
	$(BIN)/python bench/run.py --only cluster

# Clients of three (or SERVERS=5) real servers while things go wrong; every answer is checked.
chaos: $(VENV)/.dev-stamp
	$(BIN)/python tests/chaos/run.py --seconds $(or $(SECONDS),300) --servers $(or $(SERVERS),3) $(if $(SEED),--seed $(SEED))

# Every recorded mesh with real Envoys under an agent of ours: they hold what they held under Consul (some minutes).
envoy-scenarios: $(VENV)/.dev-stamp
	tests/prepare
	$(BIN)/python tests/interop/recorded_envoys.py $(NAMES)

# The tests that ship with py-consul, against agents of ours (some minutes; needs the package index).
py-consul: $(VENV)/.dev-stamp
	$(BIN)/python tests/interop/py_consul/run.py

# The pages of docs/ that are made from the tables of the code.
docs: $(VENV)/.dev-stamp
	$(BIN)/python docs/generate.py

# The simulation for MINUTES minutes, from seed FIRST on; prints each failing seed and how to replay it.
soak: $(VENV)/.dev-stamp
	$(BIN)/python tests/sim/soak.py --minutes $${MINUTES:-10} --first $${FIRST:-1000}

# The same with forwarding and the RPC port over simulated streams, and two client agents on it (AGENTS).
soak-stack: $(VENV)/.dev-stamp
	$(BIN)/python tests/sim/soak.py --stack --agents $${AGENTS:-2} --minutes $${MINUTES:-10} --first $${FIRST:-1000}

# A server dies at every point of a scripted life, one after the other: all of them take some minutes.
soak-points: $(VENV)/.dev-stamp
	$(BIN)/python tests/sim/soak.py --points --minutes $${MINUTES:-60} --skip $${SKIP:-0}

# Real agents, killed and started again.
soak-agents: $(VENV)/.dev-stamp
	$(BIN)/python tests/chaos/kill9.py --rounds $${ROUNDS:-1000}

# The tests of Consul's own Go client against this agent (needs go; 5 to 10 minutes).
go-client: $(VENV)/.dev-stamp
	$(BIN)/python tests/interop/go_client.py $(ARGS)

# Traefik, consul-esm, Fabio and registrator, built with go and run against this agent (minutes; SOURCES=folder with
# checkouts of the last three, or they are cloned).
tools: $(VENV)/.dev-stamp
	$(BIN)/python tests/interop/tools/run.py $(if $(SOURCES),--sources $(SOURCES)) $(ARGS)

fmt: $(VENV)/.dev-stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Exact versions with hashes: requirements.lock for running, requirements-dev.lock for everything.
lock:
	uv pip compile -q --python-version 3.11 --no-strip-extras --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	uv pip compile -q --python-version 3.11 --no-strip-extras --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

venv: $(VENV)/.run-stamp
venv-dev: $(VENV)/.dev-stamp

$(VENV)/.run-stamp: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) from requirements.lock (half a minute, once)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) from requirements-dev.lock (a minute, once)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.run-stamp
