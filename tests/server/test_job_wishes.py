"""Who wants a job: one that nobody wants any more is run by nobody, and who loses interest takes away only
his own wish.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.use_cases.oracle import jobs
from mcp_server.use_cases.oracle.jobs import ASKED, GATE, TRAIN, JobRequest

from . import toy
from .test_crash import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    toy.project(tmp_path / "project")
    made = Desk.open(tmp_path)
    yield made
    made.world.store.close()


def want(desk: Desk, priority: int, by: str = "", **more) -> int:
    return jobs.request(desk.world, JobRequest("words", desk.main(), priority, by=by, **more)).id


def taken(desk: Desk) -> list[int]:
    return [job.job for job in desk.take()]


def test_a_job_that_nobody_wants_any_more_is_not_run_until_somebody_wants_it_again(desk: Desk):
    job = want(desk, TRAIN, "train")
    jobs.want_only(desk.world, "toy", "train", [])
    assert taken(desk) == []
    assert want(desk, ASKED) == job and taken(desk) == [job]


def test_a_job_that_an_agent_asked_for_too_stays_at_his_priority(desk: Desk):
    job = want(desk, ASKED)
    assert want(desk, TRAIN, "train") == job
    other = want(desk, GATE, nonce="other")
    jobs.want_only(desk.world, "toy", "train", [])
    assert taken(desk) == [other, job]


def test_a_job_that_is_still_wanted_goes_first_and_a_wish_of_long_standing_before_later_ones(desk: Desk):
    late = want(desk, GATE, nonce="late")
    early = want(desk, GATE, "train", nonce="early", since_ms=1)
    first = want(desk, TRAIN, "train", nonce="first")
    jobs.want_only(desk.world, "toy", "train", [first, early])
    assert taken(desk) == [first, early, late]
