"""Owns one cell: so many agents and slots, one share of failing changes, one system; run for a warm-up and a
window, and looked at afterwards.

Rule: nothing before the window and nothing after it counts; what is on main is judged commit by commit, from
its trees.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import landing_site
from benchmarks.command import cpu_s, machine_s
from benchmarks.landing_agents import Author
from benchmarks.landing_changes import Change, Draws, Load
from benchmarks.landing_git import BRANCH, Bare
from benchmarks.landing_project import MODULE_PREFIX, module
from benchmarks.landing_rivals import BATCH_MAX, Ground, LockFiles, Queue
from benchmarks.landing_site import LOOK_S, Site
from benchmarks.landing_tally import History, Tally, Window
from harness.failure import Exit, VerbFailed

DISJOINT, WHOLE, LOCKS, SERIAL, BORS = "disjoint", "no closures", "lock files", "serial queue", "batches"
OURS, RIVALS = (DISJOINT, WHOLE), (LOCKS, SERIAL, BORS)
PAIRED = (
    0.05  # of good changes, where suites read more than one module: halves of pairs that only fail together
)
GIT_THREADS = 16
ALONE = 5  # submissions that `merge_s` is the median of


@dataclass(frozen=True)
class Cell:
    """Times in real seconds; `slots` is not looked at by rivals, which have as many as they use."""

    system: str
    agents: int
    slots: int
    failing: float
    author_s: float
    oracle_s: float
    warm_s: float
    window_s: float

    @property
    def load(self) -> Load:
        return Load(self.author_s, self.oracle_s, self.failing, 0.0 if self.system == DISJOINT else PAIRED)

    @property
    def draws(self) -> Draws:
        return Draws(self.load, f"{self.agents} {self.failing}")

    def __str__(self) -> str:
        slots = f"{self.slots} slots, " if self.slots else ""
        return f"{self.agents} agents, {slots}f {self.failing:g}, {self.system}"


@dataclass(frozen=True)
class Found:
    cell: Cell
    tally: Tally
    window: Window
    main: History
    machine_share: float  # of all cores, whoever used them
    server_cpu_s: float

    @property
    def landings(self) -> int:
        return self.tally.landings(self.window)

    @property
    def runs(self) -> tuple[int, int]:
        """Of the oracle, about changes; and of main itself. A rival has none of main: what it tests becomes
        main.
        """
        return self.tally.runs_in(self.window, self.main.ids if self.cell.system in OURS else ())

    @property
    def per_h(self) -> float:
        return self.landings * 3600 / self.window.length_s


def run(cell: Cell, stop: threading.Event) -> Found:
    return _ours(cell, stop) if cell.system in OURS else _rival(cell, stop)


def merge_s(modules: int) -> float:
    """m: a submission alone on an idle server, whose oracle takes no time, from `push` until it has landed;
    the median of a few.
    """
    with landing_site.opened(modules, closures=True, slots=2) as site:
        asyncio.run(_alone(site))
    return site.tally.quantile_s(Window(0, time.monotonic()), 0.5)


async def _alone(site: Site) -> None:
    author = Author(site, 0)
    for number in range(ALONE):
        lease = await author.claim()
        if not await author.land(lease, Change(lease["task"]["module"], number)):
            raise VerbFailed("a good change alone did not land", Exit.INFRASTRUCTURE)
        author.plan(lease)
    author.close()


def _ours(cell: Cell, stop: threading.Event) -> Found:
    with landing_site.opened(cell.agents, closures=cell.system == DISJOINT, slots=cell.slots) as site:
        draws, authors = cell.draws, [Author(site, number) for number in range(cell.agents)]
        site.runners.paced(draws.oracle_s)
        working = [author.work(draws) for author in authors]
        window, share, server_cpu_s = asyncio.run(
            _measured(working, cell, stop, lambda: cpu_s(site.served.server.pid))
        )
        if site.runners.broke is not None:
            raise VerbFailed(f"a runner lost the server: {site.runners.broke}", Exit.INFRASTRUCTURE)
        main = site.landed.history(site.first, MODULE_PREFIX)
    return Found(cell, site.tally, window, main, share, server_cpu_s)


def _rival(cell: Cell, stop: threading.Event) -> Found:
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as scratch:
        repo = Bare.create(Path(scratch) / "shared.git")
        first = repo.commit(
            None, {f"{module(number)}/begin.good": "" for number in range(cell.agents)}, "begin", BRANCH
        )
        ground = Ground(repo, cell.draws, Tally())
        window, share, _ = asyncio.run(_measured(_agents(cell, ground), cell, stop, lambda: 0.0))
        return Found(cell, ground.tally, window, repo.history(first, MODULE_PREFIX), share, 0.0)


def _agents(cell: Cell, ground: Ground) -> list[Coroutine]:
    if cell.system == LOCKS:
        return [LockFiles(ground).agent(number, module(number)) for number in range(cell.agents)]
    queue = Queue(ground, 1 if cell.system == SERIAL else BATCH_MAX)
    return [queue.gate(), *(queue.agent(number, module(number)) for number in range(cell.agents))]


async def _measured(
    working: Sequence[Coroutine], cell: Cell, stop: threading.Event, spent: Callable[[], float]
) -> tuple[Window, float, float]:
    """The window, the share of the machine that was busy in it, and what `spent` grew by."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(GIT_THREADS))
    tasks = [asyncio.create_task(work) for work in working]
    try:
        await _goes_on(tasks, cell.warm_s, stop)
        begin, spent_before, busy_before = time.monotonic(), spent(), machine_s()
        await _goes_on(tasks, cell.window_s, stop)
        window = Window(begin, time.monotonic())
        busy, all_of_it = (after - before for after, before in zip(machine_s(), busy_before))
        return window, busy / all_of_it, spent() - spent_before
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _goes_on(tasks: list[asyncio.Task], for_s: float, stop: threading.Event) -> None:
    until = time.monotonic() + for_s
    while (left := until - time.monotonic()) > 0:
        done, _ = await asyncio.wait(tasks, timeout=min(left, LOOK_S), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # nobody ends but by failing
        if stop.is_set():
            raise VerbFailed("another cell failed", Exit.INFRASTRUCTURE)
