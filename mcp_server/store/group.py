"""Group commit: writes of the event loop that wait for the disk together, so that one sync makes all of them
durable.

Rule: an act is run on the loop, in a part of a transaction that it shares with the acts that came while the
one before was being synced; nobody is answered before that transaction is durable. Only the commit, which
waits for the disk, has a thread of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp_server.store.database import Store, Tx
from mcp_server.store.unusable import BROKEN, Unwritable, as_unwritable

T = TypeVar("T")
ACTS_MAX = 64  # in one transaction; the loop does nothing else while they run, some 0.3 ms each


@dataclass
class _Act:
    run: Callable[[Tx], Any]
    answer: asyncio.Future[Any]
    result: Any = None
    wrong: BaseException | None = None

    def answer_caller(self) -> None:
        if self.answer.done():  # its caller has gone
            return
        if self.wrong is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.wrong)


class CommitGroup:
    """The writes of one event loop to one store, which it takes turns at with the store's other writers."""

    def __init__(self, store: Store):
        self._store = store
        self._waiting: deque[_Act] = deque()
        self._under_way = False
        self._committing = ThreadPoolExecutor(1, thread_name_prefix="commit")

    async def write(self, act: Callable[[Tx], T]) -> T:
        """Return what `act` returns, once it is durable. An act that raises is undone, and what it raised is
        raised here; the others stay.

        A caller who goes away changes nothing: the act is run. Raise Unwritable if the disk takes nothing.
        """
        return await self.post(act)

    def post(self, act: Callable[[Tx], T]) -> "asyncio.Future[T]":
        """Do what `write` does, for a caller that cannot wait: return the future answer."""
        loop = asyncio.get_running_loop()
        waiting = _Act(act, loop.create_future())
        self._waiting.append(waiting)
        if not self._under_way:
            self._under_way = True
            self._next(loop)
        return waiting.answer

    async def close(self) -> None:
        """Return once all acts that were given before are done; take no more."""
        await self.write(lambda _: None)
        self._committing.shutdown()

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the acts that wait and hand them to be committed. If another thread is writing, wait for it in
        the committing thread.
        """
        if not self._waiting:
            self._under_way = False
        elif self._store.turn.acquire(blocking=False):
            acts = [self._waiting.popleft() for _ in range(min(ACTS_MAX, len(self._waiting)))]
            try:
                with as_unwritable():
                    tx = self._run(acts)
            except Exception as wrong:  # noqa: BLE001 - told to every caller
                self._store.turn.release()
                loop.call_soon(self._finish, loop, acts, wrong)
            else:
                self._committing.submit(self._commit, loop, tx, acts)
        else:
            self._committing.submit(self._wait_for_the_turn, loop)

    def _run(self, acts: list[_Act]) -> Tx:
        tx = self._store.begin()
        for act in acts:
            try:
                with tx.part():
                    act.result = act.run(tx)
            except BROKEN as wrong:
                self._store.undo(tx, wrong)
                raise
            except BaseException as wrong:  # noqa: BLE001 - its caller's, and raised there
                act.wrong = wrong
        return tx

    def _wait_for_the_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._store.turn:
            pass
        _call(loop, self._next, loop)

    def _commit(self, loop: asyncio.AbstractEventLoop, tx: Tx, acts: list[_Act]) -> None:
        """Commit in the committing thread, which also releases the turn: nothing waits for a loop that has
        ended.
        """
        wrong: Exception | None = None
        try:
            with as_unwritable():
                try:
                    tx.commit()
                except BROKEN as broke:
                    self._store.undo(tx, broke)
                    raise
        except Exception as broke:  # noqa: BLE001 - told to every caller
            wrong = broke
        finally:
            self._store.turn.release()
        _call(loop, self._finish, loop, acts, wrong)

    def _finish(self, loop: asyncio.AbstractEventLoop, acts: list[_Act], wrong: Exception | None) -> None:
        for act in acts:
            if wrong is not None:
                act.wrong = Unwritable(str(wrong)) if isinstance(wrong, Unwritable) else wrong
            act.answer_caller()
        loop.call_soon(self._next, loop)  # after those who have their answer now have gone on


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:  # the loop has ended, and whoever waited with it
        return
