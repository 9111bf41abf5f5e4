"""Held-out cases in real boxes: what the tested code does with one is nowhere to be found afterwards."""

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.stock import Images
from harness.oracle_runner import held_out_box
from harness.oracle_runner.runner import Runner
from oracle.cases.spec import Case, Suite

from .test_runner import Server

pytestmark = pytest.mark.containers

MEMORY_MB = 256
# Says the number of the next file in the box; of any other input it makes that many files.
ENGINE = """
read said
case $said in
look) touch "$TMPDIR/f"; stat -c %i "$TMPDIR/f";;
*) n=0; while [ $n -lt $said ]; do : > "$TMPDIR/$n"; n=$((n+1)); done; echo $said;;
esac
"""
COUNTING = Suite(
    "counting",
    "differential",
    "toy",
    cases=("c/*",),
    candidate="sh engine.sh",
    reference="cat",
    case_timeout_s=20.0,
    run_timeout_s=60.0,
)


@pytest.fixture(scope="module")
def judge(engine: Engine, run: str) -> Iterator[Callable[..., dict]]:
    server = Server()
    runner = Runner(
        server,
        engine,
        Images(engine).image_for,
        "hidden",
        labels={sandbox.RUN: run},
        slots=1,
        memory_mb=MEMORY_MB,
    )

    def judged(*hidden: str) -> dict:
        """A run of one visible case and of these; the warm box holds the tree from the run before."""
        job = server.add({"engine.sh": ENGINE}, {"look": "look\n"}, suite=COUNTING)
        secret = (Case(f"held-out/{text}", f"{text}\n", "../h", 1, hidden=True) for text in hidden)
        runner.serve(job.changed(cases=(*job.cases, *secret)), threading.Event())
        return server.results[job.job][0]

    yield judged
    runner.close()


def test_a_warm_box_tells_by_no_counter_what_a_held_out_case_was(judge: Callable[..., dict]):
    """The number of the next file is the same after a case that makes one file as after one that makes 400."""

    def looked() -> int:
        return int(judge()["failures"][0]["candidate"]["output"])

    numbers = [looked(), looked()]
    for secret in ("1", "400"):
        verdict = judge(secret)
        assert verdict["held_out"] == {"cases": 1, "passed": 1}, verdict
        numbers += [int(verdict["failures"][0]["candidate"]["output"]), looked()]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    assert len(set(steps)) == 1, numbers


def test_the_box_of_held_out_cases_is_gone_after_the_run(
    judge: Callable[..., dict], engine: Engine, run: str
):
    def boxes() -> set[str]:
        return {box.name for box in engine.list({sandbox.RUN: run}) if "candidate" in box.name}

    judge()
    before = boxes()
    judge("2")
    assert before and boxes() == before


@pytest.mark.parametrize(("took_s", "duration_s"), [(0.0, 1), (0.9, 1), (1.1, 2), (4.0, 4), (33.0, 64)])
def test_what_held_out_cases_took_is_told_as_one_of_a_few_durations(took_s: float, duration_s: float):
    assert held_out_box.rounded_up_s(took_s) == duration_s
    times = iter([100.0, 100.0 + took_s])
    hidden = held_out_box.HeldOutBox(lambda: lambda cases: {}, lambda: next(times))
    assert hidden.pause_s() == 0
    hidden.answer([])
    assert took_s + hidden.pause_s() == pytest.approx(duration_s)
