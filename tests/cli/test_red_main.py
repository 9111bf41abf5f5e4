"""What is red on main is told by the verbs that a person runs: over HTTP, from a server that says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from typer.testing import CliRunner

from harness.cli import app
from tests import wired

from . import stub

RED = {"commit": "0123456789abcdef" * 2, "count": 3, "cases": ["up/0"], "since_ms": 1_795_872_000_000}
SUITES = {
    "words": {"checked": True, "passing": 1, "cases": 4, "red": RED},
    "units": {"checked": True, "passing": 4, "cases": 4},
}
SAID = "RED on main since 0123456789ab, 2026-11-28 13:20Z: 3 cases that had passed fail (up/0)"


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    status = wired.run_status(suites=SUITES).render()
    answers: dict[str, stub.Answer] = {"GET /api/status": lambda *_: JSONResponse(status)}
    (tmp_path / "token").write_text("t")
    with stub.serving(stub.Stub(answers)) as served:
        yield ["--server", served.url, "--token-file", str(tmp_path / "token")]


@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_a_person_reads_since_when_main_is_red(arguments: list[str], verb: str) -> None:
    printed = CliRunner().invoke(app, [*arguments, verb]).output
    assert SAID in printed and printed.count("RED on main") == 1
