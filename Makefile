# The commands of this project; each does its own set-up, and a second run finds it done.
#   make demo   DEMO_ARGS="--keep"       six scripted agents build a small SQL engine against sqlite3
#   make test   TEST_ARGS="-k lease"     all tests
#   make test-quick                      those of a minute, without containers: the pure floors, the rooms, and the quick ones of the server
#   make test-agents                     what needs npm: foreign clients and the official MCP programs against the real server
#   make check                           format, lint, types, contracts on imports, names
#   make images IMAGES="server runner"   sandbox images (default), those that compose.yaml uses, or agents' (claude codex ...)
# YES=1 installs missing Debian packages without asking; PYTHON=python3.12 uses another Python.

PYTHON ?= python3
IMAGES ?=

QUICK_SERVER = api audit auth brief doors group in_memory many_suites memory reference_files resources runners
QUICK_CLI = clients merging plan prompts report server_client state telling
QUICK = --ignore=tests/core/test_lease_machine.py tests/core tests/oracle tests/test_rooms.py $(QUICK_SERVER:%=tests/server/test_%.py) $(QUICK_CLI:%=tests/cli/test_%.py)

.PHONY: demo test test-quick test-agents check images setup constraints clean
.DEFAULT_GOAL := setup

setup:
	@$(PYTHON) scripts/bootstrap.py

images: setup
	@.venv/bin/harness images $(IMAGES)

demo: setup
	@.venv/bin/harness images --quiet
	@.venv/bin/harness demo $(DEMO_ARGS)

test: setup
	@$(PYTHON) scripts/bootstrap.py compose strace
	@.venv/bin/harness images --quiet
	@scripts/run-tests $(TEST_ARGS)

test-quick: setup
	@TEST_WORKERS=2 scripts/run-tests -m "not slow and not containers and not e2e and not agents and not protocol" $(QUICK) $(TEST_ARGS)

# One script a line; each installs what it needs, pinned, and finds it there the next time.
test-agents: setup
	@$(PYTHON) scripts/bootstrap.py npm
	@scripts/test-programs $(TEST_ARGS)
	@scripts/test-protocol

check:
	@$(PYTHON) scripts/bootstrap.py environment
	@.venv/bin/ruff format --check --quiet . || { echo "format it: .venv/bin/ruff format ." >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/python -m pytest -q tests/test_rooms.py tests/test_words.py

# Writes down the exact versions of what is installed now; edit pyproject.toml, then this, then make test.
constraints:
	@scripts/write-constraints

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
