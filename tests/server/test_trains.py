"""The train without a server: submissions, the gate's rounds and a runner's answers, one after the other as
each test says.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.principal import AGENT, Principal
from mcp_server.gate import Gate
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.oracle import baseline
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import events, sessions
from mcp_server.wire.jobs import JobResult

from . import toy, wide
from .histories import claimed
from .test_crash import Desk

Says = Callable[
    [list[str]], str
]  # of the paths in a tree: passed, failed, broken, or low if only the cases in `low` fail


@dataclass
class Yard:
    desk: Desk
    clone: Path
    gate: Gate
    runs: int = 0

    def push(self, number: int, shared: str = "") -> int:
        """A change of module `number`, as `mNN/x`; with `shared`, of a file that no lease in truth lets two
        write.
        """
        world, name = self.desk.world, f"a{number}"
        toy.git("checkout", "-q", "-B", "work", "origin/main", cwd=self.clone)
        (self.clone / ("shared" if shared else f"m{number:02}/x")).write_text(shared or f"{number}\n")
        toy.git("add", "-A", cwd=self.clone)
        toy.git("commit", "-qm", "x", cwd=self.clone)
        toy.git("push", "-q", str(self.desk.bare), f"HEAD:refs/agents/{name}/work", cwd=self.clone)
        who = Principal(name, AGENT, sessions.begin(world, name, "command", door=False)[0].id)
        fence = claimed(world, who, f"M{number:02}")["fence"]
        if shared:
            with world.store.write() as tx:
                tx.exec_driver_sql(
                    f"""UPDATE leases SET paths = '["m{number:02}/**", "shared"]' WHERE fence = {fence}"""
                )
        return submit.submit(world, who, fence, toy.git("rev-parse", "HEAD", cwd=self.clone), "x").id

    def settle(self) -> None:
        """Rounds until nothing moves without a runner."""
        while self.gate.advance():
            pass

    def answer(self, says: Says, *, most: int = 1_000) -> int:
        """A runner answers jobs until there are none; how many. The gate moves after each."""
        for done in range(most):
            job = oracle_jobs.claim(self.desk.world, "runner")
            if job is None:
                return done
            self.runs += 1
            status = says([entry.path for entry in self.desk.world.repos["toy"].objects.ls_tree(job.commit)])
            failing = {"passed": (), "low": ("low",), "failed": ("low", "up"), "broken": ()}[status]
            outcomes = {case.id: "fail" if case.id.startswith(failing) else "pass" for case in job.cases}
            told = {
                "status": "failed" if failing else status,
                "outcomes": {} if status == "broken" else outcomes,
            }
            assert oracle_jobs.finish(
                self.desk.world, job.job, JobResult.of_json({"runner": "runner", "verdict": told})
            )
            self.settle()
        return most

    def of(self, id: int) -> Submission:
        return self.desk.submission(id)

    def states(self, ids: list[int]) -> list[State]:
        return [self.of(id).state for id in ids]


def good(_: list[str]) -> str:
    return "passed"


def low(_: list[str]) -> str:
    return "low"


def broken(_: list[str]) -> str:
    return "broken"


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    wide.project(tmp_path / "project")
    desk, clone = Desk.open(tmp_path), tmp_path / "clone"
    toy.git(
        "clone",
        "-q",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x.invalid",
        str(desk.bare),
        str(clone),
        cwd=tmp_path,
    )
    made = Yard(desk, clone, Gate(desk.world))
    baseline.measure_main(desk.world)
    made.answer(low)
    baseline.measure_main(desk.world)
    yield made
    made.desk.world.store.close()


def waiting(yard: Yard, count: int) -> list[int]:
    """So many that passed alone and wait for the train, as another one has landed before them."""
    ids = [yard.push(number) for number in range(10, 11 + count)]
    yard.settle()
    assert yard.answer(good, most=1 + count) == 1 + count
    assert yard.of(ids[0]).state is State.LANDED
    return ids[1:]


def test_a_whole_batch_lands_with_one_run(yard: Yard):
    ids = waiting(yard, 4)
    before = yard.runs
    assert yard.answer(good) == 1 and yard.runs == before + 1
    assert {yard.of(id).candidate for id in ids} == {yard.desk.main()} and yard.states(ids) == [
        State.LANDED
    ] * 4
    assert events.verify(yard.desk.world).problems == ()


def test_where_every_run_breaks_all_are_given_back_and_none_is_blamed(yard: Yard):
    ids, main = waiting(yard, 3), yard.desk.main()
    yard.answer(broken)
    assert yard.states(ids) == [State.REFUSED] * 3 and yard.desk.main() == main
    assert {yard.of(id).refusal["code"] for id in ids} == {"oracle_broken"}


def test_a_batch_whose_run_broke_is_run_again_and_lands(yard: Yard):
    ids = waiting(yard, 3)
    yard.answer(broken, most=oracle_jobs.BROKEN_TRIES)
    yard.answer(good)
    assert yard.states(ids) == [State.LANDED] * 3


def test_the_one_that_breaks_with_another_is_found_and_the_rest_lands(yard: Yard):
    def says(paths: list[str]) -> str:
        return "failed" if {"m12/x", "m14/x"} <= set(paths) else "passed"

    ids = [yard.push(number) for number in range(10, 16)]
    yard.settle()
    yard.answer(says)
    assert [state for state in yard.states(ids) if state is not State.LANDED] == [State.REFUSED] and yard.of(
        ids[4]
    ).refusal["code"] == "regression"
    assert yard.runs <= 1 + 6 + 7, "alone, then halves and what is left"


def test_a_change_that_undoes_what_another_mends_is_refused_though_main_never_had_it(yard: Yard):
    """Tested only together, nothing that main passes would be lost."""

    def says(paths: list[str]) -> str:
        return "passed" if "m11/x" in paths and "m12/x" not in paths else "low"

    ids = [yard.push(number) for number in (10, 11, 12)]
    yard.settle()
    yard.answer(says)
    assert yard.states(ids) == [State.LANDED, State.LANDED, State.REFUSED]
    refusal = yard.of(ids[2]).refusal
    assert refusal is not None and refusal["code"] == "regression" and "low/0" in refusal["happened"]


def test_a_lease_that_ended_is_refused_alone_and_the_rest_of_its_batch_lands(yard: Yard):
    ids = waiting(yard, 3)
    with yard.desk.world.store.write() as tx:
        tx.exec_driver_sql(
            f"UPDATE leases SET ended_ms = 1, end_reason = 'by hand' WHERE fence = {yard.of(ids[1]).fence}"
        )
    yard.answer(good)
    assert (
        yard.states(ids) == [State.LANDED, State.REFUSED, State.LANDED]
        and yard.of(ids[1]).refusal["code"] == "stale_fence"
    )
    assert not [
        entry.path
        for entry in yard.desk.world.repos["toy"].objects.ls_tree(yard.desk.main())
        if entry.path == "m12/x"
    ]


def test_a_younger_change_that_would_make_the_trains_run_worthless_waits_behind_it(yard: Yard):
    [old], world = waiting(yard, 1), yard.desk.world
    job = oracle_jobs.claim(world, "slow")
    young = yard.push(12)
    yard.settle()
    assert yard.answer(good, most=1) == 1 and yard.of(young).state is State.PASSED, (
        "good on the newest main, and yet it does not land"
    )
    assert job is not None and oracle_jobs.finish(
        world,
        job.job,
        JobResult.of_json(
            {
                "runner": "slow",
                "verdict": {"status": "passed", "outcomes": {case.id: "pass" for case in job.cases}},
            }
        ),
    )
    yard.settle()
    assert yard.states([old, young]) == [State.LANDED, State.PASSED]
    yard.answer(good)
    assert yard.of(young).state is State.LANDED


def test_one_that_does_not_merge_with_those_before_it_steps_aside_and_is_refused_once_they_have_landed(
    yard: Yard,
):
    ids = [yard.push(10), yard.push(11, "one\n"), yard.push(12, "two\n")]
    yard.settle()
    assert yard.answer(good, most=3) == 3
    assert yard.states(ids) == [State.LANDED, State.PASSED, State.PASSED] and yard.of(ids[2]).tries == 1
    yard.answer(good)
    assert yard.states(ids) == [State.LANDED, State.LANDED, State.REFUSED]
    refusal = yard.of(ids[2]).refusal
    assert refusal is not None and refusal["code"] == "conflict" and "shared" in refusal["happened"]


def test_a_train_is_put_together_anew_after_a_crash_and_finds_its_run(yard: Yard):
    ids = waiting(yard, 4)
    job = oracle_jobs.claim(yard.desk.world, "runner")
    yard.desk.crash()
    yard.gate = Gate(yard.desk.world)
    yard.settle()
    again = oracle_jobs.claim(yard.desk.world, "runner")
    assert job is not None and again is not None and again.job == job.job
    assert oracle_jobs.finish(
        yard.desk.world,
        job.job,
        JobResult.of_json(
            {
                "runner": "runner",
                "verdict": {"status": "passed", "outcomes": {case.id: "pass" for case in job.cases}},
            }
        ),
    )
    yard.settle()
    assert yard.states(ids) == [State.LANDED] * 4
