"""A runner's boxes are kept from job to job: after many jobs, bad ones among them, neither it nor they hold
more than after a few.
"""

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Box, Engine
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner

from .test_runner import MEMORY_MB, Server, script

pytestmark = [pytest.mark.containers, pytest.mark.slow]

FIRST, SERIES = 6, 18  # more of the series only takes longer: 200 were tried
GROWTH_MB_MAX = 16
OUTCOMES = {"plain": "pass", "leave": "pass", "flood": "fail"}
WORST = {"kill": "fail"} | OUTCOMES  # its executor goes too, so this takes several
LEAVING = """read n
case $n in
leave) setsid sleep 1000 >/dev/null 2>&1 & mkdir -p /tmp/d/d $HOME/h; for f in /tmp/d/f /dev/shm/f $HOME/h/f; do head -c 100000 /dev/zero >$f; done;;
kill) kill -9 $PPID;;
flood) yes;;
esac
echo $n
"""
LOOK = """set -- /proc/[0-9]*; echo $#; df -k --output=used /tmp /dev/shm /scratch/0 | tail -n +2; df -i --output=iused /tmp /dev/shm /scratch/0 | tail -n +2"""


@dataclass(frozen=True)
class Census:
    """What could grow. `inside`: per box, its processes, and the space and the files on what its cases may
    write to.
    """

    boxes: tuple[str, ...]
    inside: tuple[tuple[int, ...], ...]
    fds: int
    threads: int
    runner_mb: int


def census(engine: Engine, labels: dict[str, str | None]) -> Census:
    boxes = tuple(sorted(box.id for box in engine.list(labels)))
    inside = tuple(look(box) for id in boxes if (box := engine.find(id)))
    status = Path("/proc/self/status").read_text()
    resident_mb = int(status.partition("VmRSS:")[2].split()[0]) >> 10
    return Census(boxes, inside, len(os.listdir("/proc/self/fd")), threading.active_count(), resident_mb)


def look(box: Box) -> tuple[int, ...]:
    ended = box.exec(["/bin/sh", "-c", LOOK], user="65534:65534", timeout_s=20)
    return tuple(map(int, ended.stdout.split()))


def test_neither_a_runner_nor_its_boxes_grow_with_their_jobs(engine: Engine, run: str):
    server, labels = Server(), {sandbox.RUN: run, "harness.test": "series"}
    files, suite = script(LEAVING, reference="cat", case_timeout_s=5)
    runner = Runner(
        server, engine, Images(engine).image_for, "series", labels=labels, slots=1, memory_mb=MEMORY_MB
    )
    try:
        for number in range(FIRST + SERIES):
            if number == FIRST:
                before = census(engine, labels)
            tree = files | {"number": str(number // 2)}  # every other one is there already
            expected = WORST if number % FIRST == 0 else OUTCOMES
            cases = {name: f"{name}\n" for name in expected}
            job = server.add(
                tree, cases, suite=suite, tree_key=hashlib.sha256(repr(tree).encode()).hexdigest()
            )
            assert runner.serve(job, threading.Event())
            verdict = server.results.pop(job.job)[0]
            assert verdict["outcomes"] == expected, verdict
            server.trees[job.job] = b""
        after = census(engine, labels)
    finally:
        runner.close()
    assert (after.boxes, after.inside, after.threads) == (before.boxes, before.inside, before.threads)
    assert after.fds <= before.fds and after.runner_mb - before.runner_mb < GROWTH_MB_MAX
    assert len(after.boxes) == 2
