"""The executor in the box, where it saves time: answers told together, orphans taken in, the reference
answering ahead.
"""

import threading
from collections.abc import Callable, Iterator

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Box, Engine
from harness.images.stock import Images
from harness.oracle_runner import oracle_box
from harness.oracle_runner.runner import Runner
from oracle.cases.spec import Suite
from tests.waiting import BOUND_S, until

from .test_runner import ENGINE, MEMORY_MB, SLOTS, SUITE, SUMS, Server, script

pytestmark = pytest.mark.containers

Judge = Callable[..., dict]
NOBODY = "65534:65534"


@pytest.fixture(scope="module")
def warm(engine: Engine, run: str) -> Iterator[Runner]:
    runner = Runner(
        Server(),
        engine,
        Images(engine).image_for,
        "x",
        labels={sandbox.RUN: run},
        slots=SLOTS,
        memory_mb=MEMORY_MB,
    )
    yield runner
    runner.close()


@pytest.fixture
def server(warm: Runner) -> Server:
    warm.client = Server()
    return warm.client


@pytest.fixture
def judge(warm: Runner, server: Server) -> Judge:
    def judged(files: dict[str, str], cases: dict[str, str] = SUMS, **more: object) -> dict:
        job = server.add(files, cases, **more)
        warm.serve(job, threading.Event())
        return server.results[job.job][0]

    return judged


@pytest.mark.parametrize("signal", ["KILL", "TERM", "INT"])
def test_answers_that_were_not_told_yet_are_not_lost_with_their_executor(judge: Judge, signal: str):
    """More of them than the cases that a run may lose; and whichever signal it was, that is the case's doing,
    not the box's.
    """
    files, suite = script(
        f"read n; [ $n = kill ] && {{ kill -{signal} $PPID; sleep 1; }}; echo $n", reference="cat"
    )
    cases = {f"c{number:02}": f"{number}\n" for number in range(30)} | {"c24": "kill\n"}
    verdict = judge(files, cases, suite=suite)
    assert (
        verdict["status"],
        [name for name, outcome in verdict["outcomes"].items() if outcome == "fail"],
    ) == ("failed", ["c24"])


def test_orphans_are_taken_in_while_their_case_runs(judge: Judge):
    """Each would count against the box's processes for ever, of which a case needs more here than there are."""
    files, suite = script(
        "n=0; while [ $n -lt 400 ]; do (true & ) || exit 1; n=$((n+1)); done; cat",
        reference="cat",
        case_timeout_s=20,
    )
    assert judge(files, {"a": "1\n"}, suite=suite)["status"] == "passed"


def test_what_a_case_left_is_gone_before_the_next_one_begins(judge: Judge):
    files, suite = script(
        "grep -lsa 'sleep.71' /proc/[0-9]*/cmdline && echo seen; for n in 1 2 3; do (setsid sleep 71 & ) >/dev/null 2>&1; done; cat",
        reference="cat",
    )
    suite = Suite.from_json(suite.to_json() | {"candidate": "sh run.sh"})
    verdict = judge(files, {f"c{number}": "x\n" for number in range(6)}, suite=suite)
    assert verdict["status"] == "passed", verdict["failures"]


def test_a_fault_of_ours_is_told_as_broken_and_the_runner_lives_on(
    warm: Runner, judge: Judge, server: Server
):
    job = server.add({"engine.py": ENGINE}, SUMS, tree_key="")
    del server.trees[job.job]
    assert not warm.serve(job, threading.Event())
    assert (
        server.results[job.job][0]["status"] == "broken"
        and "KeyError" in server.results[job.job][0]["reason"]
    )
    assert judge({"engine.py": ENGINE})["status"] == "passed"


# -- the reference, ahead
# -------------------------------------------------------------------------------------


def test_the_reference_answers_while_the_candidate_is_built(judge: Judge, engine: Engine, run: str):
    """Both sleep until both are seen to sleep, which one after the other they never are."""
    suite = Suite.from_json(
        SUITE.to_json()
        | {
            "build": "sleep 3001; true",
            "reference": "sleep 3001; sqlite3 :memory:",
            "case_timeout_s": 3000,
            "run_timeout_s": 3000,
        }
    )
    waker = threading.Thread(target=wake_both, args=(engine, run))
    waker.start()
    assert judge({"engine.py": ENGINE}, {"one": "select 1;\n"}, suite=suite)["status"] == "passed"
    waker.join()


def wake_both(engine: Engine, run: str) -> None:
    until(lambda: asleep(engine, run, "candidate", 3001) and asleep(engine, run, "reference", 3001))
    for side, user in (("candidate", oracle_box.BUILDER), ("reference", oracle_box.FIRST_SLOT)):
        box = asleep(engine, run, side, 3001)
        assert box is not None
        wake = "for file in $(grep -lsa '^sleep.3001' /proc/[0-9]*/cmdline); do kill ${file//[!0-9]/}; done"
        assert box.exec(["/bin/bash", "-c", wake], user=f"{user}:{user}", timeout_s=BOUND_S).exit == 0


def test_answers_of_the_reference_are_kept_where_the_build_fails(judge: Judge, server: Server):
    verdict = judge({"engine.py": ENGINE}, suite=Suite.from_json(SUITE.to_json() | {"build": "false"}))
    assert (verdict["status"], len(server.results[1][1])) == ("failed", len(SUMS))


def test_a_box_of_the_reference_that_goes_breaks_the_run_whatever_the_build_says(
    judge: Judge, engine: Engine, run: str
):
    suite = Suite.from_json(
        SUITE.to_json() | {"build": "sleep 2; false", "reference": "sleep 3030", "case_timeout_s": 3000}
    )
    killer = threading.Thread(target=kill_reference, args=(engine, run))
    killer.start()
    verdict = judge({"engine.py": ENGINE}, {"one": "select 1;\n"}, suite=suite)
    killer.join()
    assert (verdict["status"], verdict["outcomes"]) == ("broken", {})


def kill_reference(engine: Engine, run: str) -> None:
    until(lambda: asleep(engine, run, "reference", 3030)).kill()


def asleep(engine: Engine, run: str, side: str, seconds: int) -> Box | None:
    """Return the box of that side in which somebody sleeps for so long."""
    look = f"grep -lsa '^sleep.{seconds}' /proc/[0-9]*/cmdline"
    for found in engine.list({sandbox.RUN: run, sandbox.KIND: f"oracle-{side}"}, running_only=True):
        box = engine.find(found.id)
        if box is not None and box.exec(["/bin/sh", "-c", look], user=NOBODY, timeout_s=BOUND_S).exit == 0:
            return box
    return None
