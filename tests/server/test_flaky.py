"""Cases that are known to be flaky: up to their day they hold nobody up, afterwards they count again and
everybody is told.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .conftest import Agent, Server
from .wide import refused, settled

DAY_MS = 24 * 3_600_000
TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    project = wide.project(tmp_path / "project")
    table = f'[oracle.words.flaky]\n"up/0" = "{TODAY}"\n"low/0" = "{TODAY}"\n"gone/1" = "2000-01-01"\n'
    (project / "harness.toml").write_text(wide.toml().replace("[agents.worker]", f"{table}\n[agents.worker]"))
    toy.git("commit", "-qam", "flaky", cwd=project)
    made = Server(project, tmp_path / "state", wide.WAIT_S)
    try:
        with wide.running(made):
            made.clock.ahead_ms -= (
                made.clock() % DAY_MS - DAY_MS // 2
            )  # noon: midnight is not to come between two calls
            yield made
    finally:
        made.stop()


def take(server: Server, one: Agent, module: str) -> dict:
    made = one.call("create_task", title=f"Mend low/0 in {module}", module=module, brief="x", cases=["low/0"])
    return one.call("claim_task", task=made["task"])


def test_a_flaky_case_counts_for_nothing_until_its_day_is_over(server: Server, tmp_path: Path):
    one = server.agent("patient")
    clone = one.clone(tmp_path / "clone")
    fence = one.call("claim_task", task="M01")["fence"]
    lower = one.commit(clone, {"m01/filter": "FROM=A-Z\nTO=a-z\n"})
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"], "main to be measured")
    told = settled(one, "run_oracle", fence=fence, cases=["up/*"])
    assert (told["status"], told["suites"]["words"]["status"]) == ("passed", "passed")
    assert "words:up/0" in told["flaky"] and "not_lost" not in told
    told = settled(one, "run_oracle", fence=fence, cases=["*"])
    assert told["status"] == "passed" and "words:low/1" in told["not_lost"], (
        "it fails on main, and is not flaky"
    )
    assert settled(one, "push", fence=fence, commit=lower, summary="Lower")["status"] == "landed", (
        "up/0 passed on main"
    )
    claimed = take(server, one, "m02")
    assert (claimed["failing"], claimed["failing_cases"]) == (0, [])
    commit = one.commit(clone, {"m02/x": "1\n"})
    assert settled(one, "push", fence=claimed["fence"], commit=commit, summary="x")["status"] == "landed", (
        "the task names low/0"
    )
    assert f"words/low/0 counts for nothing until {TODAY}" in one.call("read_progress")["text"]

    server.clock.ahead_ms += DAY_MS
    claimed = take(server, one, "m03")
    assert claimed["failing_cases"] == ["low/0"]
    late = one.commit(clone, {"m03/x": "1\n"})
    answer = refused(settled(one, "push", fence=claimed["fence"], commit=late, summary="x"), "oracle_failed")
    assert "low/0" in answer["happened"]
    assert "flaky" not in settled(one, "run_oracle", fence=claimed["fence"], cases=["up/*"])
    assert f"words/low/0 was flaky until {TODAY}: it counts again" in one.call("read_progress")["text"]
    with server.http() as http:
        status = http.get("/api/status").json()
    assert status["suites"]["words"]["flaky"] == {"exempt": [], "expired": ["gone/1", "low/0", "up/0"]}
    assert status["warnings"] == ["[oracle.words.flaky] names 'gone/1', and there is no such case"]


def test_a_regression_of_a_case_whose_day_is_over_is_refused(server: Server, tmp_path: Path):
    one = server.agent("late")
    server.clock.ahead_ms += DAY_MS
    fence = one.call("claim_task", task="M01")["fence"]
    commit = one.commit(one.clone(tmp_path / "clone"), {"m01/filter": "FROM=A-Z\nTO=a-z\n"})
    assert (
        "up/0"
        in refused(settled(one, "push", fence=fence, commit=commit, summary="Lower"), "regression")[
            "happened"
        ]
    )
