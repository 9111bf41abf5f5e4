"""`harness oracle log`: what the command of a run has printed, from a server that has kept it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from typer.testing import CliRunner

from harness.cli import app
from harness.failure import VerbFailed

from . import stub

VERDICT = {
    "status": "broken",
    "reason": "no test ran",
    "counts": {},
    "outcomes": {},
    "failures": [],
    "took_ms": 1,
}
JOB = {"kind": "check", "suite": "unit", "commit": "c" * 40, "state": "done"}


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    verdicts = {1: VERDICT | {"log": "first\nlast"}, 2: VERDICT, 3: None}
    answers: dict[str, stub.Answer] = {
        f"GET /api/jobs/{job}": lambda *_, job=job, verdict=verdict: JSONResponse(
            JOB | {"job": job, "verdict": verdict}
        )
        for job, verdict in verdicts.items()
    }
    answers["POST /api/oracle/check"] = lambda *_: JSONResponse([{"suite": "unit", "job": 1}])
    (tmp_path / "token").write_text("t")
    with stub.serving(stub.Stub(answers)) as served:
        yield ["--server", served.url, "--token-file", str(tmp_path / "token"), "oracle"]


def test_the_whole_output_of_a_run_is_printed(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, [*arguments, "log", "1"]).output == "first\nlast\n"


@pytest.mark.parametrize(("job", "words"), [("2", "nothing is kept"), ("3", "no verdict yet")])
def test_what_is_not_there_is_told(arguments: list[str], job: str, words: str) -> None:
    failed = CliRunner().invoke(app, [*arguments, "log", job]).exception
    assert isinstance(failed, VerbFailed) and words in str(failed)


def test_a_check_that_fails_says_how_to_see_the_output(arguments: list[str]) -> None:
    printed = CliRunner().invoke(app, [*arguments, "check"]).output
    assert "no test ran" in printed and "`harness oracle log 1`" in printed
