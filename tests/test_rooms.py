"""The rooms and their doors: who may import what. The contracts are in .importlinter; each is also shown to
bite.
"""

import configparser
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = ROOT / ".importlinter"
ROOMS = ("oracle", "mcp_server", "harness")
LINT_S = 60
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(is_debug_mode=False, no_cache=True, {}))"

# contract -> a file, and an import that must not be in it
VIOLATIONS = {
    "floors": ("oracle/judging/compare.py", "import mcp_server.core.paths"),
    "narrow": (
        "harness/planted.py",
        "from mcp_server.core import paths\nfrom mcp_server.wire import jobs\nimport mcp_server.store",
    ),
    "wire": ("mcp_server/wire/planted.py", "from mcp_server.config import Budget"),
    "shared": ("mcp_server/config/planted.py", "import mcp_server.world"),
    "server": ("mcp_server/models/planted.py", "import mcp_server.world"),
    "edge": ("mcp_server/edge/git_http/planted.py", "import mcp_server.edge.model_proxy"),
    "use_cases": ("mcp_server/use_cases/oracle/planted.py", "import mcp_server.use_cases.landing.submit"),
    "circles": ("mcp_server/models/apis.py", "import mcp_server.models.errors"),
    "docker": ("mcp_server/planted.py", "def late():\n    import docker.errors"),
    "git": ("harness/planted.py", "from git import Repo"),
    "harness": ("harness/boxes/planted.py", "import harness.agents"),
    "show": ("harness/show/planted.py", "from harness.client import ServerClient"),
    "database": ("mcp_server/use_cases/planted.py", "import sqlite3"),
    "core": ("mcp_server/core/planted.py", "from os import environ"),
    "judgement": ("oracle/planted.py", "import urllib.request"),
    "oracle": ("oracle/cases/planted.py", "import oracle.judging.verdict"),
    "pure": ("oracle/planted.py", "import oracle.inside.batch\nimport time"),
}

# Module names that stand in more than one room, how often, and why one word is right in each.
# A name that is not here stands once; one that no longer repeats is taken out of the table.
SHARED_MODULE_NAMES = {
    # one matter, once in each room that it passes through: kept, decided, sent, served, shown
    "audit": 2,
    "crew": 2,
    "environments": 4,
    "events": 3,
    "faults": 2,
    "jobs": 3,
    "model_requests": 2,
    "notes": 2,
    "report": 3,
    "reports": 3,
    "session": 2,
    "sessions": 2,
    "status": 3,
    "tasks": 4,
    "upkeep": 3,
    # one part of a kind, once for each family of kinds
    "base": 4,
    "sections": 2,
    "shrink": 2,
    "spec": 4,
    "suite": 2,
    "teeth": 2,
    # a plain word with a meaning of its own in each of two rooms
    "answer": 2,
    "exchange": 2,
    "files": 2,
    "merging": 2,
    "proxy": 2,
}


def lint(root: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    limit = f"limit_to_contracts=({contract!r},)" if contract else ""
    return subprocess.run(
        [sys.executable, "-c", LINT.format(limit)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=LINT_S,
    )


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Path:
    """A copy of the rooms, to be spoilt."""
    copy = tmp_path_factory.mktemp("rooms")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CONTRACTS, copy)
    return copy


def test_every_import_keeps_to_the_rooms():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_has_a_violation_that_shows_it_can_fail():
    parser = configparser.ConfigParser()
    parser.read(CONTRACTS)
    named = {
        section.removeprefix("importlinter:contract:")
        for section in parser.sections()
        if ":contract:" in section
    }
    assert named == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_forbidden_import_breaks_its_contract(rooms: Path, contract: str):
    name, text = VIOLATIONS[contract]
    file = rooms / name
    before = file.read_text() if file.exists() else None
    assert lint(rooms, contract).returncode == 0
    file.write_text((before or "") + "\n" + text + "\n")
    try:
        done = lint(rooms, contract)
    finally:
        file.unlink() if before is None else file.write_text(before)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done.stdout + done.stderr


def test_no_test_replaces_parts_of_the_program():
    ours = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    spoilt = [
        str(path) for path in ours if "unittest.mock" in path.read_text() or "mock.patch" in path.read_text()
    ]
    assert spoilt == []


def test_a_module_name_repeats_only_where_the_table_says_so():
    names = Counter(
        path.stem for room in ROOMS for path in (ROOT / room).rglob("*.py") if not path.stem.startswith("__")
    )
    assert {name: count for name, count in names.items() if count > 1} == SHARED_MODULE_NAMES
