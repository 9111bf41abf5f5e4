"""Verdicts are known by the ids of the images that they were had in: whoever rebuilds one begins anew, and
runners with different ones never answer for each other.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_server.core.landing import SubmissionState as State
from mcp_server.use_cases import status
from mcp_server.use_cases.oracle import baseline, case_sets, check, suite_images
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import events
from mcp_server.use_cases.people.events import EventFilter
from mcp_server.wire.jobs import JobOrder, JobResult
from mcp_server.world import World

from .test_trains import Yard, waiting, yard

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
__all__ = ["yard"]


class Clock:
    """A steady clock that is set forward by hand."""

    def __init__(self, world: World) -> None:
        self.ahead_ms, self._now_ms = 0, world.steady_ms

    def __call__(self) -> int:
        return self._now_ms() + self.ahead_ms


def suite_of(world: World) -> str:
    [name] = world.config.suites
    return name


def claim(world: World, runner: str, image: str | None) -> JobOrder | None:
    told: Mapping[str, str] = {} if image is None else {suite_of(world): image}
    return oracle_jobs.claim(world, runner, told)


def finish(world: World, job: JobOrder, runner: str, image: str, *, failing: str = "none") -> bool:
    outcomes = {case.id: "fail" if case.id.startswith(failing) else "pass" for case in job.cases}
    failed = "fail" in outcomes.values()
    verdict = {"status": "failed" if failed else "passed", "outcomes": outcomes}
    if job.kind == "check":
        verdict = {"status": "passed", "planted": [{"engine": "x", "caught": True}]}
    result = {"runner": runner, "verdict": verdict, "image": image}
    return oracle_jobs.finish(world, job.job, JobResult.of_json(result))


def measured(world: World, runner: str, image: str, **more: str) -> None:
    """Main is measured in this image."""
    oracle_jobs.claim(world, runner, {suite_of(world): image})
    baseline.measure_main(world)
    job = claim(world, runner, image)
    assert job is not None and finish(world, job, runner, image, **more)
    baseline.measure_main(world)


@pytest.fixture
def world(tmp_path: Path, yard: Yard) -> World:
    """Main is measured in OLD by `r1`; what the yard measured without any image counts no more."""
    world = yard.desk.world
    measured(world, "r1", OLD)
    assert baseline.of_main(world, suite_of(world))
    return world


def test_main_is_measured_again_once_an_image_was_rebuilt_under_its_name(world: World):
    suite = suite_of(world)
    assert claim(world, "r1", NEW) is None
    assert baseline.of_main(world, suite) == {}, "what was true in the old image is not true of the new one"
    measured(world, "r1", NEW, failing="low")
    assert "fail" in baseline.of_main(world, suite).values()


def test_teeth_that_were_shown_in_the_old_image_count_no_more(world: World):
    suite = suite_of(world)
    asked = check.ask(world, suite)
    job = claim(world, "r1", OLD)
    assert job is not None and job.job == asked.id and finish(world, job, "r1", OLD)
    assert check.is_checked(world, suite)
    claim(world, "r1", NEW)
    assert not check.is_checked(world, suite)
    again = check.ask(world, suite)
    assert again.id != asked.id and again.state == "queued"


def test_a_run_that_a_runner_had_in_the_old_image_is_run_again_and_counts_as_no_try(world: World):
    asked = check.ask(world, suite_of(world))
    job = claim(world, "r1", OLD)
    assert job is not None
    for _ in range(2 * oracle_jobs.BROKEN_TRIES):  # however often
        assert finish(world, job, "r1", NEW)
        state = oracle_jobs.get(world, asked.id)
        assert state is not None and (state.state, state.attempts) == ("queued", 0)
        job = claim(world, "r1", OLD)
        assert job is not None and job.job == asked.id
    assert finish(world, job, "r1", OLD) and check.is_checked(world, suite_of(world))


def test_what_was_asked_for_before_the_image_changed_is_answered_in_the_new_one_under_the_same_number(
    world: World,
):
    asked = check.ask(world, suite_of(world))
    job = claim(world, "r1", NEW)
    assert job is not None and job.job == asked.id
    assert finish(world, job, "r1", NEW)
    done = oracle_jobs.get(world, asked.id)
    assert done is not None and done.image == NEW and check.is_checked(world, suite_of(world))


def test_a_runner_with_another_image_gets_no_job_while_one_with_that_in_force_lives(world: World):
    check.ask(world, suite_of(world))
    assert claim(world, "r2", NEW) is None
    [warning] = suite_images.warnings(world)
    assert "runner r2" in warning and suite_of(world) in warning and "docker save" in warning
    assert warning in status.status(world).warnings
    assert claim(world, "r1", OLD) is not None and baseline.of_main(world, suite_of(world))


def test_once_no_runner_has_the_image_in_force_the_next_one_takes_its_place(world: World):
    clock = Clock(world)
    object.__setattr__(world, "steady_ms", clock)
    assert claim(world, "r2", NEW) is None and world.images[suite_of(world)] == OLD
    clock.ahead_ms = suite_images.LOST_MS + 1
    claim(world, "r2", NEW)
    assert world.images[suite_of(world)] == NEW and suite_images.warnings(world) == []


def test_a_runner_that_cannot_say_which_images_it_has_may_say_what_is_wrong_and_nothing_else(world: World):
    asked = check.ask(world, suite_of(world))
    job = claim(world, "r3", None)
    assert job is not None and finish(world, job, "r3", "")
    state = oracle_jobs.get(world, asked.id)
    assert state is not None and (state.state, state.attempts) == ("queued", 1)
    assert not check.is_checked(world, suite_of(world))


def test_what_is_in_force_outlasts_a_restart_and_a_rebuild_meanwhile_is_seen(world: World, yard: Yard):
    yard.desk.crash()
    world = yard.desk.world
    assert baseline.of_main(world, suite_of(world)), "the same image: nothing is run again"
    claim(world, "r1", NEW)
    assert baseline.of_main(world, suite_of(world)) == {}
    [_, changed] = events.query(world, EventFilter(0, 10, kind="suite_image"))
    assert (changed.data["before"], changed.data["image"]) == (OLD, NEW)


def test_finished_runs_and_the_references_answers_are_known_by_the_image(world: World):
    suite, main = suite_of(world), world.main("toy")
    request = oracle_jobs.JobRequest(suite, main, oracle_jobs.ASKED)
    job = oracle_jobs.request(world, request)
    before = oracle_jobs.answer_keys(world, job, case_sets.load(world, suite, main))
    assert job.state == "done"
    claim(world, "r1", NEW)
    after = oracle_jobs.answer_keys(world, job, case_sets.load(world, suite, main))
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())
    again = oracle_jobs.request(world, request)
    assert again.state == "queued" and again.id != job.id


def test_a_submission_that_passed_in_the_old_image_lands_only_after_it_passed_in_the_new_one(yard: Yard):
    ids, world = waiting(yard, 1), yard.desk.world
    assert yard.states(ids) == [State.PASSED]
    job = claim(world, "runner", NEW)
    yard.settle()
    assert yard.states(ids) == [State.QUEUED]
    yard.settle()
    while job is not None:
        assert finish(world, job, "runner", NEW)
        yard.settle()
        job = claim(world, "runner", NEW)
    assert yard.states(ids) == [State.LANDED]
    landed = yard.of(ids[0])
    jobs = [oracle_jobs.get(world, id) for id in landed.jobs.values()]
    assert [job.image for job in jobs if job] == [NEW]


def test_a_finished_test_in_the_old_image_sends_its_submission_back_to_be_tested_again(yard: Yard):
    world = yard.desk.world
    measured(world, "runner", NEW)  # so that main is known in both
    measured(world, "runner", OLD)
    id = yard.push(10)
    yard.settle()
    job = claim(world, "runner", OLD)
    assert job is not None and finish(world, job, "runner", OLD)
    claim(world, "runner", NEW)  # before the gate has looked
    yard.settle()
    assert yard.states([id]) == [State.TESTING] and yard.of(id).tries == 1


def test_a_landing_in_the_old_image_says_nothing_of_main_in_the_new_one(yard: Yard):
    world = yard.desk.world
    measured(world, "runner", OLD)
    id = yard.push(10)
    yard.settle()
    job = claim(world, "runner", OLD)
    assert job is not None and finish(world, job, "runner", OLD)
    assert yard.gate.advance() and yard.states([id]) == [State.LANDING]
    claim(world, "runner", NEW)
    yard.settle()
    assert yard.states([id]) == [State.LANDED]
    assert baseline.outcomes_at(world, suite_of(world), world.main("toy")) is None
