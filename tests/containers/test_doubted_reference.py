"""A reference that breaks down in its box: nothing is judged by it, before anything starts and afterwards."""

import threading
from collections.abc import Callable, Iterator

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from oracle.cases.spec import Suite

from .test_runner import Server

pytestmark = pytest.mark.containers

MEMORY_MB = 256
TRACEBACK = "python3 -c 'import engine_that_is_not_there'"


def suite(reference: str, **more: object) -> Suite:
    fields = {
        "name": "doubted",
        "kind": "differential",
        "repo": "toy",
        "cases": ["c/*"],
        "candidate": "sh run.sh",
        "reference": reference,
        "case_timeout_s": 10.0,
        "run_timeout_s": 60.0,
    }
    return Suite.from_json(fields | more)


@pytest.fixture(scope="module")
def judge(engine: Engine, run: str) -> Iterator[Callable[..., dict]]:
    server = Server()
    runner = Runner(
        server,
        engine,
        Images(engine).image_for,
        "doubt",
        labels={sandbox.RUN: run},
        slots=1,
        memory_mb=MEMORY_MB,
    )

    def judged(candidate: str, suite: Suite, **more: object) -> dict:
        job = server.add({"run.sh": candidate}, {"a": "1\n"}, suite=suite, **more)
        runner.serve(job, threading.Event())
        return server.results[job.job][0]

    yield judged
    runner.close()


@pytest.mark.parametrize("kind", ["run", "check"])
def test_a_candidate_that_breaks_down_as_the_reference_does_is_not_right(
    judge: Callable[..., dict], kind: str
):
    verdict = judge(TRACEBACK, suite(TRACEBACK), kind=kind)
    assert verdict["status"] == "broken"
    assert "the reference failed on case 'a'" in verdict["reason"]
    assert "No module named 'engine_that_is_not_there'" in verdict["reason"]


def test_a_reference_that_answers_by_such_reports_is_believed_if_its_suite_says_so(
    judge: Callable[..., dict],
):
    raises = 'python3 -c "print(int(input())); raise ValueError"'
    declared = suite(raises, reference_exit=[1])
    assert judge("cat; exit 1", declared)["status"] == "passed"
    assert judge("echo 2; exit 1", declared)["status"] == "failed"
