"""Oracle jobs over HTTP: who has a job, what a runner's word is worth, what is joined, cached and taken back."""

import io
import itertools
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_server.edge import app
from mcp_server.edge.json_api import WAIT_S_MAX
from tests.waiting import until

from . import wide
from .conftest import Agent, Server
from .wide import refused

NUMBERS = itertools.count(1)  # a task for each test
CASES = ["low/0", "low/1", "up/0", "up/1"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("jobs"), wait_s=0.3) as made:
        yield made


@pytest.fixture
def server(shared: Server) -> Server:
    """With nothing queued or running: whatever an earlier test left is answered, main's own run among it."""
    for _ in ("queued", "running"):
        while (job := claim(shared, "cleaner")) is not None:
            verdict = (
                {"status": "failed", "planted": [{"engine": "x", "caught": False}]}
                if job["kind"] == "check"
                else said("failed", **{case["id"]: "fail" for case in job["cases"]})
            )
            assert finish(shared, job["job"], verdict, runner="cleaner") == 200
        silence(shared)
    return shared


def silence(server: Server) -> None:
    """Every runner is silent for so long that it loses its job."""
    server.steady.ahead_ms += 31_000
    app.tick(server.world)


def claim(server: Server, runner: str = "r", wait_s: float = 0) -> dict | None:
    with server.http("runner") as http:
        answer = http.post("/api/jobs/claim", json={"runner": runner, "wait_s": wait_s})
        return answer.json() if answer.status_code == 200 else None


def none_left(server: Server) -> bool:
    with server.http("runner") as http:
        return http.post("/api/jobs/claim", json={"runner": "r"}).status_code == 204


def finish(server: Server, job: int, verdict: dict, runner: str = "r", reference: dict | None = None) -> int:
    with server.http("runner") as http:
        return http.post(
            f"/api/jobs/{job}/result",
            json={"runner": runner, "verdict": verdict, "reference": reference or {}},
        ).status_code


def look(server: Server, job: int) -> dict:
    with server.http() as http:
        return http.get(f"/api/jobs/{job}").json()


def asked(server: Server, where: Path) -> tuple[Agent, int, dict]:
    """An agent that waits for a run of one commit, and that run, claimed by `r`."""
    number = next(NUMBERS)
    one, task = server.agent(f"asker-{number}"), f"M{number:02}"
    fence = one.call("claim_task", task=task)["fence"]
    one.commit(one.clone(where / "asker"), {f"{task.lower()}/x": f"{number}\n"})
    assert one.call("run_oracle", fence=fence)["status"] == "running"
    job = claim(server)
    assert job is not None and [case["id"] for case in job["cases"]] == CASES
    return one, fence, job


def said(status: str, **outcomes: str) -> dict:
    return {
        "status": status,
        "outcomes": {name.replace("_", "/"): outcome for name, outcome in outcomes.items()},
    }


ALL = dict.fromkeys(["low_0", "low_1", "up_0", "up_1"], "pass")
LIES = {
    "a case left out": said("passed", low_0="pass", up_0="pass", up_1="pass"),
    "no case at all": said("passed"),
    "passed with a failure": said("passed", **ALL | {"low_0": "fail"}),
    "failed with none": said("failed", **ALL),
    "a case of its own": said("passed", **ALL | {"more_0": "pass"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_verdict_that_contradicts_its_job_is_broken_and_never_passes(
    server: Server, tmp_path: Path, lie: str
):
    one, fence, job = asked(server, tmp_path)
    for attempt in range(3):
        assert (
            finish(
                server,
                job["job"],
                LIES[lie] | {"counts": {"cases": 4, "executed": 4, "compared": 4, "passed": 4, "failed": 0}},
            )
            == 200
        )
        again = claim(server) if attempt < 2 else None
        assert again is None or again["job"] == job["job"], "a broken run is tried again"
    told = look(server, job["job"])
    assert (told["state"], told["verdict"]["status"], told["verdict"]["outcomes"]) == ("done", "broken", {})
    assert told["verdict"]["counts"]["executed"] == 0 and "contradicts" in told["verdict"]["reason"]
    assert [
        event["data"]["status"]
        for event in server.events(kind="job_done")
        if event["data"]["job"] == job["job"]
    ] == ["broken"] * 3


def test_status_and_counts_follow_from_the_outcomes(server: Server, tmp_path: Path):
    _, _, job = asked(server, tmp_path)
    boast = {"cases": 4_000, "executed": 4_000, "compared": 4_000, "passed": 4_000, "failed": 0}
    assert finish(server, job["job"], said("failed", **ALL | {"low_1": "fail"}) | {"counts": boast}) == 200
    verdict = look(server, job["job"])["verdict"]
    assert verdict["status"] == "failed" and verdict["counts"] == {
        "cases": 4,
        "executed": 4,
        "compared": 4,
        "passed": 3,
        "failed": 1,
        "skipped": 0,
    }


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"status": "great"},
        {"status": "passed", "outcomes": ["x"]},
        said("passed", low_0="maybe"),
        {"status": "passed", "counts": {"won": 1}},
        {"status": "failed", "failures": ["x"]},
        {
            "status": "failed",
            "failures": [dict.fromkeys(["id", "input", "candidate", "reference", "difference"], "")],
        },
        {"status": "failed", "causes": 7},
        said("failed", low_0="fail") | {"causes": [{"id": "0123abcd", "says": "", "count": 1}]},
        said("failed", low_0="fail")
        | {"causes": [{"id": "0123abcd", "says": "", "count": 1, "cases": ["low/1"]}]},
    ],
    ids=str,
)
def test_what_is_no_verdict_is_turned_down_and_the_job_goes_on(
    server: Server, tmp_path: Path, nonsense: dict
):
    _, _, job = asked(server, tmp_path)
    assert finish(server, job["job"], nonsense) == 400
    assert look(server, job["job"])["state"] == "running"
    assert finish(server, job["job"], said("passed", **ALL)) == 200


def test_causes_and_failures_reach_the_agent_and_the_answer_stays_small(server: Server, tmp_path: Path):
    one, fence, job = asked(server, tmp_path)
    causes = [{"id": "0123abcd", "says": "no JOIN yet", "count": 2, "cases": ["low/0", "low/1"]}]
    side = {"output": "line\n" * 400, "exit": 0}
    failures = [
        {
            "id": id,
            "input": "select 1;\n" * 400,
            "candidate": side | {"error": "x" * 1_000},
            "reference": side,
            "difference": "y" * 500,
        }
        for id in ("low/0", "low/1")
    ]
    assert (
        finish(
            server,
            job["job"],
            said("failed", **ALL | {"low_0": "fail", "low_1": "fail"})
            | {"causes": causes, "failures": failures},
        )
        == 200
    )
    assert look(server, job["job"])["verdict"]["causes"] == causes
    told = one.call("run_oracle", fence=fence)
    words = told["suites"]["words"]
    assert words["causes"] == [{"id": "0123abcd", "says": "no JOIN yet", "count": 2}] and [
        failure["id"] for failure in words["failures"]
    ] == ["low/0", "low/1"]
    assert 2_500 < len(told["text"]) <= 4_000


def test_the_word_of_a_runner_that_lost_its_job_counts_for_nothing(server: Server, tmp_path: Path):
    one, fence, job = asked(server, tmp_path)
    assert finish(server, job["job"], said("failed", **dict.fromkeys(ALL, "fail")), runner="stranger") == 409
    silence(server)
    again = claim(server, "second")
    assert again is not None and again["job"] == job["job"]
    with server.http("runner") as http:
        assert http.post(f"/api/jobs/{job['job']}/renew", json={"runner": "r"}).status_code == 409
        assert http.post(f"/api/jobs/{job['job']}/renew", json={"runner": "second"}).status_code == 200
    assert finish(server, job["job"], said("failed", **dict.fromkeys(ALL, "fail"))) == 409
    assert look(server, job["job"])["state"] == "running"
    assert finish(server, job["job"], said("passed", **ALL), runner="second") == 200
    assert one.call("run_oracle", fence=fence)["status"] == "passed"
    assert finish(server, job["job"], said("failed", **dict.fromkeys(ALL, "fail")), runner="second") == 409, (
        "a verdict is given once"
    )


def test_a_runner_that_renews_keeps_its_job(server: Server, tmp_path: Path):
    _, _, job = asked(server, tmp_path)
    for _ in range(3):
        server.steady.ahead_ms += 20_000
        with server.http("runner") as http:
            assert http.post(f"/api/jobs/{job['job']}/renew", json={"runner": "r"}).status_code == 200
    assert finish(server, job["job"], said("passed", **ALL)) == 200


def test_whoever_asks_the_same_joins_and_no_outcome_is_taken_over_from_another_run(
    server: Server, tmp_path: Path
):
    one, fence, job = asked(server, tmp_path)
    assert one.call("run_oracle", fence=fence)["jobs"] == {"words": job["job"]} and none_left(server)
    finish(server, job["job"], said("failed", **ALL | {"low_0": "fail"}))
    assert failing(one.call("run_oracle", fence=fence)) == 1 and none_left(server)
    assert one.call("run_oracle", fence=fence, cases=["low/*"])["status"] == "running"
    rest = claim(server)
    assert rest is not None and [case["id"] for case in rest["cases"]] == ["low/0", "low/1"], (
        "low/1 has passed on this tree, and runs again"
    )
    finish(server, rest["job"], said("passed", low_0="pass", low_1="pass"))
    assert failing(one.call("run_oracle", fence=fence)) == 1, "the run of all cases said so"


def failing(answer: dict) -> int:
    return answer["suites"]["words"]["counts"]["failed"]


def test_a_fresh_run_runs_everything_whatever_is_known(server: Server, tmp_path: Path):
    one, fence, job = asked(server, tmp_path)
    finish(server, job["job"], said("passed", **ALL))
    with server.http() as http:
        [fresh] = (
            http.post("/api/oracle/run", json={"commit": job["commit"], "fresh": True})
            .json()["jobs"]
            .values()
        )
        assert http.post("/api/oracle/run", json={"commit": "f" * 40}).status_code == 404
        assert http.post("/api/oracle/run", json={"suite": "none"}).status_code == 404
    again = claim(server)
    assert again is not None and again["job"] == fresh != job["job"] and len(again["cases"]) == 4


def test_the_tree_of_a_job_holds_nothing_protected_and_the_references_answers_are_kept(
    server: Server, tmp_path: Path
):
    _, _, job = asked(server, tmp_path)
    with server.http("runner") as http:
        names = tarfile.open(
            fileobj=io.BytesIO(http.get(f"/api/jobs/{job['job']}/tree.tar").content)
        ).getnames()
        assert http.get("/api/jobs/999/tree.tar").status_code == 404
    assert "main.sh" in names and [name for name in names if name.endswith("/x")]
    assert not [name for name in names if name.startswith(("oracle", "tasks")) or name == "harness.toml"]
    assert job["known_reference"] == {}
    finish(
        server,
        job["job"],
        said("failed", **ALL | {"low_0": "fail"}),
        reference={"low/0": {"output": "ABC\n", "exit": 0}, "not/ours": {"output": "", "exit": 0}},
    )
    with server.http() as http:
        http.post("/api/oracle/run", json={"commit": job["commit"], "fresh": True})
    again = claim(server)
    assert again is not None and again["known_reference"] == {"low/0": {"output": "ABC\n", "exit": 0}}


def test_the_gate_goes_before_those_who_only_ask(server: Server, tmp_path: Path):
    one = server.agent("hurried")
    fence = one.call("claim_task", task="M39")["fence"]
    clone = one.clone(tmp_path / "hurried")
    first = one.commit(clone, {"m39/x": "1\n"})
    one.call("run_oracle", fence=fence)
    second = one.commit(clone, {"m39/x": "2\n"})
    one.call("push", fence=fence, commit=second, summary="x")
    until(
        lambda: (
            "testing"
            in [event["data"]["state"] for event in server.events(kind="submission", agent="hurried")]
        )
    )
    jobs = [claim(server), claim(server)]
    assert [job is not None and job["commit"] == first for job in jobs] == [False, True]


def test_a_suite_is_checked_once_every_planted_engine_was_caught(server: Server):
    def checked() -> bool:
        with server.http() as http:
            return http.get("/api/status").json()["suites"]["words"]["checked"]

    for planted, good in (
        ([], False),
        ([{"engine": "silent", "caught": True}, {"engine": "echo", "caught": False}], False),
        ([{"engine": "silent", "caught": True}], True),
    ):
        with server.http("runner") as http:
            [asked] = http.post("/api/oracle/check").json()
            assert http.post("/api/oracle/check").json() == [asked], "asked twice, run once"
        for _ in range(3):
            job = claim(server)
            if job is None:
                break
            assert (job["job"], job["kind"]) == (asked["job"], "check")
            finish(server, job["job"], {"status": "passed", "planted": planted})
            if good:
                break
        assert checked() is good
    assert [event["data"]["status"] for event in server.events(kind="oracle_checked")][-1] == "passed"


def test_a_verdict_of_a_silent_runner_reaches_the_agent_as_broken(server: Server, tmp_path: Path):
    one, fence, job = asked(server, tmp_path)
    for _ in range(3):
        silence(server)
        taken = claim(server)
        assert taken is None or taken["job"] == job["job"]
    verdict = look(server, job["job"])["verdict"]
    assert verdict["status"] == "broken" and "silent" in verdict["reason"]


def test_a_refused_case_glob_starts_nothing(server: Server, tmp_path: Path):
    one, fence, job = asked(server, tmp_path)
    refused(one.call("run_oracle", fence=fence, cases=["none/*"]), "bad_request")
    assert none_left(server)


def test_who_waits_for_a_job_hears_of_its_verdict_when_it_comes(server: Server, tmp_path: Path):
    _, _, job = asked(server, tmp_path)

    def waited(wait_s: float) -> tuple[dict, float]:
        began = time.monotonic()
        with server.http("runner") as http:
            told = http.get(f"/api/jobs/{job['job']}", params={"wait_s": wait_s}).json()
        return told, time.monotonic() - began

    early, _ = waited(0.2)
    assert (early["state"], early["verdict"]) == ("running", None)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waited, WAIT_S_MAX)
        assert finish(server, job["job"], said("failed", **ALL | {"low_0": "fail"})) == 200
        told, took_s = waiting.result()
    assert told["verdict"]["status"] == "failed" and took_s < WAIT_S_MAX
    with server.http("runner") as http:
        assert http.get(f"/api/jobs/{job['job']}", params={"wait_s": "soon"}).status_code == 400


def test_each_try_of_a_job_is_in_the_log_with_its_number_and_reason(server: Server, tmp_path: Path):
    _, _, job = asked(server, tmp_path)
    assert finish(server, job["job"], {"status": "broken", "reason": "the disk is full"}) == 200
    silence(server)
    again = claim(server)
    assert again is not None and again["job"] == job["job"]
    silence(server)
    assert claim(server) is not None
    assert finish(server, job["job"], said("passed", **ALL)) == 200
    tries = [event["data"] for event in server.events(kind="job_done") if event["data"]["job"] == job["job"]]
    assert [(told["attempt"], told["status"]) for told in tries] == [
        (1, "broken"),
        (2, "broken"),
        (3, "passed"),
    ]
    assert "disk" in tries[0]["reason"] and "silent" in tries[1]["reason"]
