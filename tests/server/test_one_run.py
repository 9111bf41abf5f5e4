"""A landing rests on one run of all cases: what partial runs have shown is never put together."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.edge import app

from . import wide
from .conftest import Agent, Server
from .test_oracle_jobs import CASES, claim, finish, none_left, silence
from .wide import refused, settled

NUMBERS = itertools.count(1)  # a task for each test
ONE_IN = 4


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Main passes every case."""
    with wide.serving(tmp_path_factory.mktemp("one-run"), wait_s=0.3) as made:
        answer(made)
        app.tick(made.world)
        yield made


@pytest.fixture
def server(shared: Server) -> Server:
    while (job := claim(shared, "cleaner")) is not None:
        finish(shared, job["job"], said(job, CASES), runner="cleaner")
    silence(shared)
    return shared


def said(job: dict, passing: list[str]) -> dict:
    """The verdict of an engine that has these cases right."""
    outcomes = {case["id"]: "pass" if case["id"] in passing else "fail" for case in job["cases"]}
    return {"status": "failed" if "fail" in outcomes.values() else "passed", "outcomes": outcomes}


def answer(server: Server, passing: list[str] = CASES) -> list[str]:
    """Answer the next run; which cases it was of."""
    job = claim(server, wait_s=20)
    assert job is not None and job["kind"] == "run"
    assert finish(server, job["job"], said(job, passing)) == 200
    return [case["id"] for case in job["cases"]]


def changed(server: Server, where: Path) -> tuple[Agent, dict]:
    """An agent with a commit of its own, and how it pushes that."""
    number = next(NUMBERS)
    one, task = server.agent(f"one-run-{number}"), f"M{number:02}"
    fence = one.call("claim_task", task=task)["fence"]
    commit = one.commit(one.clone(where / "clone"), {f"{task.lower()}/x": f"{number}\n"})
    return one, {"fence": fence, "commit": commit, "summary": "x"}


def test_an_engine_that_is_right_one_time_in_four_does_not_land_on_what_its_runs_add_up_to(
    server: Server, tmp_path: Path
):
    one, push = changed(server, tmp_path)
    right = itertools.count()
    for asked in itertools.combinations(CASES, 2):
        assert one.call("run_oracle", fence=push["fence"], cases=list(asked))["status"] == "running"
        lucky = CASES[next(right) % ONE_IN]
        answer(server, [lucky])
    for case in CASES:  # each of them has passed by itself
        assert one.call("run_oracle", fence=push["fence"], cases=[case])["status"] == "running"
        answer(server, [case])
    before = server.world.main("toy")
    assert one.call("push", **push)["status"] == "testing"
    assert answer(server, CASES[:1]) == CASES, "the gate asked for a run of all cases"
    assert answer(server) == CASES[1:], "main is asked again, and passes what was lost"
    assert refused(settled(one, "push", **push), "regression") and server.world.main("toy") == before


def test_a_whole_run_that_an_agent_asked_for_stands_in_for_the_gates(server: Server, tmp_path: Path):
    one, push = changed(server, tmp_path)
    one.call("run_oracle", fence=push["fence"], scope="full")
    answer(server)
    assert settled(one, "push", **push)["status"] == "landed" and none_left(server)


@pytest.mark.parametrize("order", ["the failure first", "the failure last"])
def test_a_whole_run_stands_for_nothing_if_a_case_that_it_passes_has_failed_on_the_same_tree(
    server: Server, tmp_path: Path, order: str
):
    one, push = changed(server, tmp_path)
    runs = [({"cases": ["low/0"]}, []), ({"scope": "full"}, CASES)]
    for scope, passing in runs if order == "the failure first" else reversed(runs):
        one.call("run_oracle", fence=push["fence"], **scope)
        answer(server, passing)
    assert one.call("push", **push)["status"] == "testing"
    assert answer(server, CASES[1:]) == CASES
    assert answer(server) == ["low/0"], "main is asked again"
    assert "low/0" in refused(settled(one, "push", **push), "regression")["happened"]
    told = one.call("run_oracle", fence=push["fence"], scope="full")
    assert told["status"] == "failed" and none_left(server), "the asker is shown the run that decided"


def test_what_fails_on_the_tree_as_it_does_on_main_asks_for_no_second_run(server: Server, tmp_path: Path):
    one, push = changed(server, tmp_path)
    one.call("run_oracle", fence=push["fence"], scope="full")
    answer(server, CASES[1:])
    assert one.call("run_oracle", fence=push["fence"], scope="full")["status"] == "failed"
    assert one.call("push", **push)["status"] == "testing"
    assert answer(server) == ["low/0"], "main alone is asked again"
    assert refused(settled(one, "push", **push), "regression") and none_left(server)
