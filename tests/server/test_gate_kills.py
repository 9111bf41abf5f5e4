"""`kill -9` in the middle of a batch: at every point between a good verdict and its record, with several
changes in the gate.
"""

import threading
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .test_kills import Mortal, again, mortal, upload, whole

__all__ = ["mortal"]
POINTS = (
    "gate.passed",
    "gate.coupled",
    "gate.intended",
    "gate.swapped",
    "gate.writing",
    "gate.landed",
)  # one batch passes all of them
CHANGES = 5

pytestmark = pytest.mark.slow


def test_a_server_killed_in_the_middle_of_a_batch_lands_each_of_it_once(mortal: Mortal, tmp_path: Path):
    ones = {number: mortal.begin(f"one-{number}") for number in range(1, 1 + CHANGES)}
    clones = {number: one.clone(tmp_path / one.name) for number, one in ones.items()}
    mortal.stop()
    mortal.faults = [*POINTS]
    mortal.start()
    answers: dict[int, dict] = {}

    def work(number: int) -> None:
        one, task = ones[number], f"M{number:02}"
        fence = again(lambda: one.call("claim_task", task=task))["fence"]
        commit = upload(one, clones[number], {f"{task.lower()}/x": f"{number}\n"})
        answers[number] = again(lambda: wide.settled(one, "push", fence=fence, commit=commit, summary=task))

    runner = toy.LocalRunner(mortal.url, (mortal.state / "tokens/runner").read_text().strip())
    threads = [threading.Thread(target=work, args=(number,)) for number in ones]
    try:
        with mortal.watched():
            until(lambda: again(lambda: measured(mortal)))
            runner.hold.clear()
            [thread.start() for thread in threads]
            until(lambda: again(lambda: under_test(mortal)) == CHANGES)
            runner.hold.set()
            [thread.join() for thread in threads]
        assert mortal.deaths == len(POINTS), f"not reached: {POINTS[mortal.deaths :]}"
        assert {answer["status"] for answer in answers.values()} == {"landed"}, answers
        assert len({answer["main"] for answer in answers.values()}) < CHANGES, "some landed together"
        with mortal.http() as http:
            on_main = [commit["commit"] for commit in http.get("/api/commits").json()["commits"]]
        landings = [(f"M{number:02}", answer["main"]) for number, answer in answers.items()]
        whole(mortal, sorted(landings, key=lambda landing: on_main.index(landing[1])))
    finally:
        runner.hold.set()
        runner.close()


def measured(mortal: Mortal) -> bool:
    with mortal.http() as http:
        return all(suite["cases"] for suite in http.get("/api/status").json()["suites"].values())


def under_test(mortal: Mortal) -> int:
    with mortal.http() as http:
        return [one["state"] for one in http.get("/api/status").json()["submissions"]].count("testing")
