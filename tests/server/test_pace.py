"""Time is part of the verdict: a change that makes a suite many times slower is told, or refused, and a refusal
by time says time.

What the runner reports is fixed in the tests: `paces` has the milliseconds of a run by a file of its tree.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .conftest import Server
from .test_gate_parallel import begin

FAST_MS, SLOW_MS = 300, 15_000
LIMIT_S = 20
PROBLEM = "out.xml is not XML:\nmake: *** no rule"
LOSES = {"m01/filter": "FROM=A-Z\nTO=a-z\n"}


class PacedRunner(toy.LocalRunner):
    """Reports SLOW_MS of a tree with a file `slow`, a run that did not end of one with `endless`, and one that
    could not be read of one with `unread`.
    """

    busy = 0  # runs that are slow because the machine is

    def _judge(self, job: dict) -> tuple[dict, dict]:
        verdict, reference = super()._judge(job)
        tar = self._http.get(f"/api/jobs/{job['job']}/tree.tar").content
        names = {Path(name).name for name in tarfile.open(fileobj=io.BytesIO(tar)).getnames()}
        is_busy, self.busy = self.busy > 0, max(0, self.busy - 1)
        verdict["run_ms"] = SLOW_MS if "slow" in names or is_busy else FAST_MS
        if "endless" in names:
            verdict |= {"timed_out_s": LIMIT_S, "run_ms": LIMIT_S * 1000}
        if "unread" in names:
            verdict["problem"] = PROBLEM
        return verdict, reference


@pytest.fixture(params=["tell", "refuse"])
def slow(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def serving(tmp_path: Path, slow: str) -> Iterator[tuple[Server, PacedRunner]]:
    project = wide.project(tmp_path / "project")
    toml = (project / "harness.toml").read_text()
    (project / "harness.toml").write_text(
        toml.replace("[oracle.words]\n", f'[oracle.words]\nslow = "{slow}"\n')
    )
    toy.git("commit", "-qam", "slow", cwd=project)
    server = Server(project, tmp_path / "state", wide.WAIT_S)
    runner = PacedRunner(server.url, server.token("runner"))
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])
    yield server, runner
    runner.close()
    server.stop()


def push(server: Server, number: int, where: Path, files: dict[str, str]) -> dict:
    one, fence, commit = begin(server, number, where, files)
    return wide.settled(one, "push", fence=fence, commit=commit, summary="x")


def test_a_change_that_makes_a_suite_slower_is_told_or_refused(
    serving: tuple[Server, PacedRunner], slow: str, tmp_path: Path
):
    server, _ = serving
    one, fence, commit = begin(server, 1, tmp_path, {"m01/slow": "1\n"})
    words = "words takes 15 s, 50 times as long as on main (0.3 s)"
    assert wide.settled(one, "run_oracle", fence=fence, scope="full")["slower"] == words
    answer = wide.settled(one, "push", fence=fence, commit=commit, summary="x")
    if slow == "refuse":
        assert words in wide.refused(answer, "too_slow")["happened"]
        assert push(server, 2, tmp_path, {"m02/x": "1\n"})["status"] == "landed"
        return
    assert (answer["status"], answer["slower"]) == ("landed", words)
    [event] = server.events(kind="landed")
    assert event["data"]["slower"] == words
    with server.http() as http:
        assert "the oracle words takes 15 s on main" in " ".join(http.get("/api/status").json()["warnings"])
    later = push(server, 2, tmp_path, {"m02/x": "1\n"})
    assert later["status"] == "landed" and "slower" not in later, "the next one did not make it slow"


@pytest.mark.parametrize("slow", ["refuse"], indirect=True)
def test_a_busy_machine_refuses_nobody(serving: tuple[Server, PacedRunner], tmp_path: Path):
    server, runner = serving
    runner.busy = 1
    assert push(server, 1, tmp_path, {"m01/x": "1\n"})["status"] == "landed"
    assert runner.busy == 0 and server.events(kind="refusal") == []


@pytest.mark.parametrize("slow", ["tell"], indirect=True)
def test_a_refusal_by_time_says_time_and_what_main_takes(serving: tuple[Server, PacedRunner], tmp_path: Path):
    server, _ = serving
    answer = wide.refused(push(server, 1, tmp_path, LOSES | {"m01/endless": "1\n"}), "too_slow")
    assert "words timed out after 20 s on the merged commit; main takes 0.3 s" in answer["happened"]
    assert "1 cases" in answer["holds"]


@pytest.mark.parametrize("slow", ["tell"], indirect=True)
def test_a_refusal_says_why_a_run_could_not_be_read_and_how_a_lost_case_fails(
    serving: tuple[Server, PacedRunner], tmp_path: Path
):
    server, _ = serving
    one, fence, commit = begin(server, 1, tmp_path, LOSES)
    answer = wide.settled(one, "push", fence=fence, commit=commit, summary="x")
    assert "up/0: line 1" in wide.refused(answer, "regression")["happened"]
    commit = one.commit(tmp_path / one.name, {"m01/unread": "1\n"})
    answer = wide.settled(one, "push", fence=fence, commit=commit, summary="x")
    assert PROBLEM in wide.refused(answer, "oracle_failed")["happened"]


@pytest.mark.parametrize("slow", ["tell"], indirect=True)
@pytest.mark.parametrize(
    "lie", [{"run_ms": -1}, {"run_ms": "3"}, {"timed_out_s": True}, {"log": "x" * 50_000}, {"problem": 3}]
)
def test_a_time_that_is_none_is_not_taken(serving: tuple[Server, PacedRunner], lie: dict, tmp_path: Path):
    server, _ = serving
    with server.http("runner") as http:
        verdict = {"status": "passed", "outcomes": {}, **lie}
        answer = http.post("/api/jobs/1/result", json={"runner": "r", "verdict": verdict})
    assert answer.status_code == 400
