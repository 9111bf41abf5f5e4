"""Owns what landings are measured beside: the lock-file loop of published swarms, a serial queue, and batches
with bisection as bors makes them.

Rule: real git, the same changes, times and truth as ours gets, and each choice that the literature leaves
open made in their favour: nothing but git and the oracle costs them anything.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.landing_changes import Change, Draws, is_red
from benchmarks.landing_git import Bare
from benchmarks.landing_tally import Tally

BATCH_MAX = 16


@dataclass(frozen=True)
class Ground:
    """A repository with its draws, and what happens there."""

    repo: Bare
    draws: Draws
    tally: Tally

    async def tested(self, commit: str) -> bool:
        """Whether the oracle passes it, after the time that it takes."""
        await asyncio.sleep(self.draws.oracle_s())
        red = is_red(await asyncio.to_thread(self.repo.paths, commit))
        self.tally.ran(time.monotonic(), commit)
        return not red

    async def write(self, agent: int, change: Change, *, more: dict[str, str | None] | None = None) -> str:
        main = await asyncio.to_thread(self.repo.main)
        return await asyncio.to_thread(
            self.repo.commit,
            main,
            {change.path: "", **(more or {})},
            f"Work on {change.path}",
            f"refs/work/{agent}",
        )


class LockFiles:
    """Each agent for itself: a claim is a commit on main; then write, pull --rebase, test, push, and once
    more when the push is rejected.

    In its favour: every agent has a slot of its own, the lock is taken away by the commit of the work, and
    what only moved lock files is not tested again.
    """

    def __init__(self, ground: Ground):
        self._ground = ground

    async def agent(self, number: int, module: str) -> None:
        ground, author_s = self._ground, self._ground.draws.first_author_s()
        while True:
            lock = f"locks/{module}.lock"
            await self._claim(number, lock)
            landed = False
            while not landed:
                await asyncio.sleep(author_s)
                commit = await ground.write(number, ground.draws.change(module), more={lock: None})
                ground.tally.asked(number, time.monotonic())
                landed = await self.land(commit)
                ground.tally.told(number, time.monotonic(), landed=landed)
                author_s = ground.draws.author_s()

    async def _claim(self, number: int, lock: str) -> None:
        repo = self._ground.repo
        while True:
            main = await asyncio.to_thread(repo.main)
            claim = await asyncio.to_thread(
                repo.commit, main, {lock: f"agent {number}\n"}, f"Claim {lock}", f"refs/work/{number}"
            )
            if await asyncio.to_thread(repo.swap, claim, main):
                return

    async def land(self, commit: str) -> bool:
        """False: the author has to mend it."""
        repo, work = self._ground.repo, None
        while True:
            main = await asyncio.to_thread(repo.main)
            rebased = await asyncio.to_thread(repo.onto, main, commit, "Work")
            if rebased is None:
                return False
            now = _but_locks(await asyncio.to_thread(repo.paths, rebased))
            if work != now:
                work = now
                if not await self._ground.tested(rebased):
                    return False
            if await asyncio.to_thread(repo.swap, rebased, main):
                return True


def _but_locks(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not path.startswith("locks/")]


@dataclass(frozen=True)
class Waiting:
    commit: str
    verdict: "asyncio.Future[bool]"


class Queue:
    """One gate with one run at a time: all that wait, up to `batch_max`, are merged and tested together, and
    halved when that fails.
    """

    def __init__(self, ground: Ground, batch_max: int):
        self._ground, self._batch_max = ground, batch_max
        self._waiting: asyncio.Queue[Waiting] = asyncio.Queue()

    async def agent(self, number: int, module: str) -> None:
        ground, author_s = self._ground, self._ground.draws.first_author_s()
        while True:
            await asyncio.sleep(author_s)
            waiting = Waiting(
                await ground.write(number, ground.draws.change(module)),
                asyncio.get_running_loop().create_future(),
            )
            ground.tally.asked(number, time.monotonic())
            self._waiting.put_nowait(waiting)
            landed = await waiting.verdict
            ground.tally.told(number, time.monotonic(), landed=landed)
            author_s = ground.draws.author_s()

    async def gate(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._batch_max and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._judge(batch)

    async def _judge(self, batch: list[Waiting]) -> None:
        repo = self._ground.repo
        main = tip = await asyncio.to_thread(repo.main)
        merged = []
        for waiting in batch:
            onto = await asyncio.to_thread(repo.onto, tip, waiting.commit, "Work")
            if onto is None:
                waiting.verdict.set_result(False)
            else:
                tip, merged = onto, [*merged, waiting]
        if not merged:
            return
        if await self._ground.tested(tip):
            assert await asyncio.to_thread(repo.swap, tip, main), "nobody else moves main"
            for waiting in merged:
                waiting.verdict.set_result(True)
        elif len(merged) == 1:
            merged[0].verdict.set_result(False)
        else:
            half = len(merged) // 2
            await self._judge(merged[:half])
            await self._judge(merged[half:])
