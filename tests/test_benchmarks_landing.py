"""The benchmarks of landings: the truth they judge by, the rivals, and that quick runs tell every figure and
leave nothing.

Their figures are the machine's, and not judged here.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import kill_sweep
from benchmarks.landing_changes import CARDS, Change, Draws, Load, bound_per_h, is_red
from benchmarks.landing_git import BRANCH, Bare
from benchmarks.landing_ideal import ideal
from benchmarks.landing_rivals import BATCH_MAX, Ground, LockFiles, Queue
from benchmarks.landing_tally import Tally, Window
from benchmarks.report import Figure

SOURCES = Path(__file__).resolve().parents[1]
QUICK_S = 240  # some 40 s on two quiet cores, each of them
END_S = 60


# -- the truth


def test_a_tree_is_red_by_one_bad_change_or_by_both_halves_of_a_pair() -> None:
    assert not is_red(["m0/begin.good", Change("m0", 1).path, "m1/c2.left-1", "m2/c3.right-2"])
    assert is_red(["m0/begin.good", Change("m1", 4, "bad").path])
    assert is_red(["m1/c2.left-7", "m0/c9.right-7"])


def test_a_red_commit_and_one_that_only_coordinates_are_found_on_main(tmp_path: Path) -> None:
    repo = Bare.create(tmp_path / "shared.git")
    first = main = repo.commit(None, {"m0/begin.good": ""}, "begin", BRANCH)
    for files in (
        {"m0/c1.good": ""},
        {"locks/m0.lock": "agent 1"},
        {"m0/c2.bad": "", "locks/m0.lock": None},
        {"m0/c2.bad": None, "m0/c3.good": ""},
    ):
        main = repo.commit(main, files, "next", BRANCH)
    found = repo.history(first, "m")
    assert (found.commits, found.red, found.coordination) == (4, 1, 1) and main in found.ids


def test_each_deck_holds_its_mean_and_its_share_of_bad_changes() -> None:
    load = Load(author_s=30, oracle_s=3, failing=0.2, paired=0.1)
    draws = Draws(load, "seed")
    assert sum(draws.author_s() for _ in range(CARDS)) / CARDS == pytest.approx(30)
    assert sum(draws.oracle_s() for _ in range(CARDS)) / CARDS == pytest.approx(3)
    changes = [draws.change("m0") for _ in range(10 * CARDS)]
    marks = [change.mark.partition("-")[0] for change in changes]
    assert (marks.count("bad"), marks.count("left"), marks.count("right")) == (40, 8, 8)
    assert [Draws(load, "seed").author_s() for _ in range(3)] == [
        Draws(load, "seed").author_s() for _ in range(3)
    ]
    again = Draws(load, "seed")
    assert [again.change("m0") for _ in changes] == changes


@pytest.mark.parametrize(
    ("agents", "slots", "failing", "per_h"), [(64, 8, 0.05, 332), (6, 8, 0.05, 31), (32, 2, 0.2, 96)]
)
def test_the_bound_is_what_agents_offer_or_slots_can_test(
    agents: int, slots: int, failing: float, per_h: float
) -> None:
    assert bound_per_h(Load(600, 60, failing), agents, slots, merge_s=0.1) == pytest.approx(per_h, abs=0.5)


@pytest.mark.parametrize(("agents", "slots"), [(6, 8), (64, 2)])
def test_a_gate_that_costs_nothing_comes_to_the_bound_and_not_far_beyond(agents: int, slots: int) -> None:
    best = ideal(Load(60, 6, 0.2), agents, slots, warm_s=90, window_s=600)
    assert best.mean == pytest.approx(1, abs=0.05) and best.sd < 0.1


def test_only_what_lies_in_the_window_counts_and_whoever_waits_still_has_waited() -> None:
    tally = Tally()
    for who, asked, told, landed in (
        ("before", 0, 9, True),
        ("within", 8, 12, True),
        ("refused", 12, 18, False),
        ("after", 15, 21, True),
    ):
        tally.asked(who, asked)
        tally.told(who, told, landed=landed)
        tally.ran(told, of=who)
    tally.asked("still", 5)
    window = Window(10, 20)
    assert (tally.landings(window), tally.runs_in(window), tally.runs_in(window, {"refused", "after"})) == (
        1,
        (2, 0),
        (1, 1),
    )
    assert tally.waited_s(window) == [4, 6, 15]
    assert tally.quantile_s(window, 0.95) == 6


# -- the rivals, on real git and in no time


def ground(tmp_path: Path, *, failing: float, agents: int) -> tuple[Ground, str]:
    repo = Bare.create(tmp_path / "shared.git")
    first = repo.commit(None, {f"m{number}/begin.good": "" for number in range(agents)}, "begin", BRANCH)
    return Ground(
        repo, Draws(Load(author_s=0.01, oracle_s=0.01, failing=failing, paired=0.2), "seed"), Tally()
    ), first


async def until(done: Callable[[], bool], *working) -> None:
    tasks = [asyncio.create_task(work) for work in working]
    try:
        async with asyncio.timeout(END_S):
            while not done():
                await asyncio.wait(tasks, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [what for what in ended if not isinstance(what, asyncio.CancelledError)] == []


@pytest.mark.parametrize("batch_max", [1, BATCH_MAX])
def test_a_queue_lands_good_changes_refuses_bad_ones_and_never_reddens_main(
    tmp_path: Path, batch_max: int
) -> None:
    on, first = ground(tmp_path, failing=0.2, agents=4)
    queue = Queue(on, batch_max)
    asyncio.run(
        until(
            lambda: len(on.tally.verdicts) >= 25,
            queue.gate(),
            *(queue.agent(number, f"m{number}") for number in range(4)),
        )
    )
    landed = sum(verdict.landed for verdict in on.tally.verdicts)
    main = on.repo.history(first, "m")
    assert 0 < landed < len(on.tally.verdicts)
    assert main.commits >= landed and (main.red, main.coordination) == (0, 0)


def test_lock_files_put_a_commit_of_coordination_on_main_for_each_claim_and_never_redden_it(
    tmp_path: Path,
) -> None:
    on, first = ground(tmp_path, failing=0.2, agents=3)
    loop = LockFiles(on)
    asyncio.run(
        until(
            lambda: sum(verdict.landed for verdict in on.tally.verdicts) >= 8,
            *(loop.agent(number, f"m{number}") for number in range(3)),
        )
    )
    main = on.repo.history(first, "m")
    assert main.red == 0 and main.coordination >= 8 and main.commits - main.coordination >= 8
    assert not all(verdict.landed for verdict in on.tally.verdicts)


def test_with_lock_files_whoever_is_outrun_tests_again(tmp_path: Path) -> None:
    on, first = ground(tmp_path, failing=0, agents=2)

    async def both() -> list[bool]:
        halves = [
            await on.write(number, Change(f"m{number}", number, mark))
            for number, mark in enumerate(("left-1", "right-1"))
        ]
        return await asyncio.gather(*map(LockFiles(on).land, halves))

    assert sorted(asyncio.run(both())) == [False, True]
    main = on.repo.history(first, "m")
    assert (main.commits, main.red, main.coordination) == (1, 0, 0)


# -- for real


def quick(name: str, scratch: Path, *words: str) -> dict[str, Figure]:
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", *words]
    env = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(
        argv, cwd=SOURCES, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=QUICK_S
    )
    assert done.returncode == 0, done.stderr
    assert (
        list(scratch.glob("harness-bench-*")) == []
        and sorted(map(str, kill_sweep.servers_below(scratch))) == []
    )
    return json.loads(done.stdout.splitlines()[-1])["figures"]


@pytest.mark.slow
def test_a_quick_run_of_the_landings_keeps_main_green_and_leaves_nothing(tmp_path: Path) -> None:
    plot = tmp_path / "landing.png"
    figures = quick("landing", tmp_path, "--plot", str(plot))
    bounds = {
        "n4_w2_f20_disjoint_share": 90,
        "n4_w2_f20_whole_share": 75,
        "n4_w2_f20_disjoint_runs": 1.625,
        "red_disjoint": 0,
        "coordination_whole": 0,
    }
    assert {name: figures[name]["bound"] for name in bounds} == bounds
    assert {
        name: figures[name]["value"]
        for name in ("red_disjoint", "red_whole", "coordination_disjoint", "coordination_whole")
    } == dict.fromkeys(("red_disjoint", "red_whole", "coordination_disjoint", "coordination_whole"), 0)
    assert figures["merge_ms"]["value"] > 0 and figures["coordination_locks"]["value"] > 0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_quick_long_run_has_a_commit_for_each_landing_and_leaves_nothing(tmp_path: Path) -> None:
    figures = quick("long_run", tmp_path)
    assert {name: figures[name]["bound"] for name in ("wall_s_growth", "cpu_s_growth", "landed")} == {
        "wall_s_growth": 1.3,
        "cpu_s_growth": 1.3,
        "landed": 20,
    }
    assert figures["landed"]["value"] == 20
    assert all(
        figures[name]["value"] > 0
        for name in ("repository_mb", "database_mb", "server_mb", "loose_refs", "push_s_first")
    )
