# The commands of this repository. `make demo` and `make test` are all a stranger needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow benchmarks check lint types layers azurite lock clean

demo: $(VENV)/.ready ## generated channels, from rows to a promoted champion and a page
	$(BIN)/greenlight demo-data channels --rows 1500 --seed 7
	$(BIN)/greenlight run channels --source "$(or $(GREENLIGHT_HOME),.greenlight)/demo/channels-1500-7.csv"

# Three at a time on two cores: one of them mostly waits for a server or a disk.
test: $(VENV)/.ready azurite check ## everything that proves the code, in under ten minutes on two cores
	$(BIN)/pytest -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-slow: $(VENV)/.ready azurite ## kills, floods and large data
	$(BIN)/pytest -m slow -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --ignore tests/benchmarks

benchmarks: $(VENV)/.ready azurite ## ratios against what one would use instead, with nothing beside them
	$(BIN)/pytest -m slow tests/benchmarks

check: lint types layers

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

layers: $(VENV)/.ready
	$(BIN)/lint-imports --no-cache

# pip, not uv or poetry: only pip finds the torch build that this machine offers for the pinned version.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Greenlight needs Python 3.11 or newer; run: make PYTHON=python3.11 ...")'
	@echo "Building the environment in $(VENV) from requirements.lock: some minutes, about 4 GB."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --requirement requirements.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

# The tests of Azure's store skip without it; nothing else does.
azurite: $(VENV)/.ready
	@command -v npm >/dev/null && $(MAKE) -s $(VENV)/azurite/.ready \
	|| echo "npm is missing or brought no Azurite: the tests of Azure's store will skip."

$(VENV)/azurite/.ready: tests/emulators/azurite/package.json tests/emulators/azurite/package-lock.json
	@echo "Installing Azurite in $(VENV)/azurite: 190 MB."
	@mkdir -p $(@D) && cp $^ $(@D)
	@npm ci --prefix $(@D) --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

lock: ## resolve pyproject.toml anew and pin what came out
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --editable '.[clouds,postgres,redis,xlsx,dask,test]'
	(sed -n '/^#/p' requirements.lock; build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//; s/ @ .*//') > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache
