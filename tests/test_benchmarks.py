"""The benchmarks run, tell every figure with its bound, and leave nothing. Their figures are the machine's,
and not judged here.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import kill_sweep
from benchmarks.report import Figure, as_json, markdown, table
from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine

SOURCES = Path(__file__).resolve().parents[1]
QUICK_S = 240  # some 25 s on two quiet cores, each of them
BOX_S = 90
END_S = 60

containers = [pytest.mark.containers, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        with Engine.connect() as connected:
            yield connected
    except BoxBroke as gone:
        pytest.skip(str(gone))


def started(scratch: Path, *words: str, name: str = "sandbox") -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--quick", *words]
    env = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen(
        argv,
        cwd=SOURCES,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(engine: Engine, scratch: Path, pid: int) -> list[str]:
    """Boxes, volumes, directories, and servers on one of those directories."""
    label = {sandbox.RUN: f"bench-{pid}"}
    directories = [entry.name for entry in scratch.glob("harness-bench-*")]
    return (
        [box.name for box in engine.list(label)]
        + list(engine.volumes(label))
        + directories
        + sorted(map(str, kill_sweep.servers_below(scratch)))
    )


class TestForReal:
    pytestmark = containers

    def test_a_quick_run_tells_every_figure_and_leaves_nothing(self, engine: Engine, tmp_path: Path) -> None:
        with started(tmp_path, "--json") as running:
            told, errors = running.communicate(timeout=QUICK_S)
        assert running.returncode == 0, errors
        found = json.loads(told.splitlines()[-1])
        figures = found["figures"]
        assert all(set(figure) == {"value", "unit", "bound", "ratio", "met"} for figure in figures.values())
        bounded = {name: figure["bound"] for name, figure in figures.items() if figure["bound"] is not None}
        assert (
            bounded.items()
            >= {
                "start_small_2_more_s": 0.5,
                "start_player_2_more_s": 0.5,
                "server_mb": 150,
                "leak": 0,
                "sweep_left": 0,
            }.items()
        )
        measured = (
            "start_small_2_plain_s",
            "start_small_2_sandbox_s",
            "memory_small_mb",
            "memory_small_plain_mb",
            "server_idle_mb",
            "sweep_s",
        )
        assert all(figures[name]["value"] > 0 for name in measured)
        assert figures["sweep_orphans"]["value"] >= 5  # two boxes, two volumes, the server
        gone = (
            "leak_boxes",
            "leak_volumes",
            "leak_doors",
            "leak_server_fds",
            "sweep_left",
            "sweep_left_at_end",
        )
        assert {name: figures[name]["value"] for name in gone} == dict.fromkeys(gone, 0)
        assert (found["quick"], found["machine"]["cores"]) == (True, os.cpu_count())
        assert left(engine, tmp_path, running.pid) == []

    def test_a_quick_run_of_the_oracles_benchmark_does_so_too(self, engine: Engine, tmp_path: Path) -> None:
        with started(tmp_path, "--json", name="oracle") as running:
            told, errors = running.communicate(timeout=QUICK_S)
        assert running.returncode == 0, errors
        figures = json.loads(told.splitlines()[-1])["figures"]
        bounds = {
            "first_process_times": 1.15,
            "first_fork_times": 1.15,
            "again_p50_ms": 50,
            "one_p50_ms": 300,
            "changed_cases": 20,
        }
        assert {name: figures[name]["bound"] for name in bounds} == bounds
        assert all(figures[name]["value"] > 0 for name in bounds)
        assert (figures["changed_cases"]["value"], figures["changed_unread_cases"]["value"]) == (20, 0)
        assert left(engine, tmp_path, running.pid) == []

    def test_an_interrupted_run_leaves_nothing(self, engine: Engine, tmp_path: Path) -> None:
        with started(tmp_path) as running:
            deadline = time.monotonic() + BOX_S
            while not engine.list({sandbox.RUN: f"bench-{running.pid}"}):
                assert running.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=END_S)
        assert running.returncode == 130, errors
        assert left(engine, tmp_path, running.pid) == []


@pytest.mark.slow
def test_a_quick_run_of_the_claims_has_one_winner_in_each_race_and_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "benchmarks.claims", "--quick", "--json"]
    done = subprocess.run(
        argv,
        cwd=SOURCES,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=QUICK_S,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert {name: figures[name]["bound"] for name in ("sdk_ratio", "claims_per_s_4", "races_wrong_4", "times_lock_files")} == {
        "sdk_ratio": 2, "claims_per_s_4": 400, "races_wrong_4": 0, "times_lock_files": 100
    }  # fmt: skip
    assert figures["races_wrong_4"]["value"] == 0
    assert all(
        figures[name]["value"] > 0
        for name in (
            "claims_per_s_1",
            "claims_per_s_4",
            "lock_files_per_s",
            "sdk_empty_p50_ms",
            "sdk_claim_p50_ms",
        )
    )
    assert (
        list(tmp_path.glob("harness-bench-*")) == []
        and sorted(map(str, kill_sweep.servers_below(tmp_path))) == []
    )


@pytest.mark.slow
def test_a_quick_run_of_the_restarts_tells_both_starts_and_leaves_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "benchmarks.restart", "--quick", "--json"]
    done = subprocess.run(
        argv,
        cwd=SOURCES,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=QUICK_S,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert (
        figures["restart_s"]["bound"] == 2
        and figures["restart_s"]["value"] > 0 < figures["empty_start_s"]["value"]
    )
    assert (
        list(tmp_path.glob("harness-bench-*")) == []
        and sorted(map(str, kill_sweep.servers_below(tmp_path))) == []
    )


def test_a_least_is_met_from_above() -> None:
    enough, little = (
        Figure("a", 500, "/s", "claims", 400, at_least=True),
        Figure("b", 300, "/s", "claims", 400, at_least=True),
    )
    assert (
        (enough.met, little.met) == (True, False)
        and "NOT MET" in little.row()[3]
        and "NOT MET" not in enough.row()[3]
    )


def test_the_bound_stands_beside_the_figure() -> None:
    within, beyond = Figure("a", 0.25, "s", "start", 0.5, "5 times"), Figure("b", 3, "", "left over", 0)
    part = Figure("c", 7.25, "MB")
    lines = table([within, beyond, part]).splitlines()
    assert lines[2].split() == ["start", "0.25", "s", "0.50", "s", "0.50", "5", "times"]
    assert lines[3].split() == ["left", "over", "3", "0", "NOT", "MET"]
    assert len(lines) == 4
    assert markdown([within], {"cores": 2}).splitlines()[2] == "| start | 0.25 s | 0.50 s | 0.50 | 5 times |"
    told = json.loads(as_json([within, beyond, part], {}, quick=True))["figures"]
    assert told["a"] == {"value": 0.25, "unit": "s", "bound": 0.5, "ratio": 0.5, "met": True}
    assert (told["b"]["ratio"], told["b"]["met"], told["c"]["met"]) == (None, False, None)
