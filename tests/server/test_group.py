"""Writes of the event loop share their syncs, and nothing else: each is done or undone alone, and none is
told before it is durable.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_server.core.task import Task
from mcp_server.store import CommitGroup, Store, Tx, meta, tasks
from mcp_server.store.group import ACTS_MAX

WRITES = 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def putting(key: str, value: str = "there") -> Callable[[Tx], str]:
    def act(tx: Tx) -> str:
        meta.put(tx, key, value)
        return key

    return act


def on_disk(store: Store, key: str) -> str | None:
    """As another process sees it: committed or not there."""
    with sqlite3.connect(store.path) as other:
        row = other.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    other.close()
    return row[0] if row else None


def commits(store: Store) -> Callable[[], int]:
    """How many transactions the writer has committed since."""
    seen: list[str] = []
    with store.turn:
        tx = store.begin()
        tx.commit()
        tx.driver.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    return lambda: len(seen)


def test_writes_that_come_while_one_is_synced_share_the_next_sync(store: Store):
    async def all_at_once() -> list[str]:
        group = CommitGroup(store)
        return await asyncio.gather(*(group.write(putting(f"k{number}")) for number in range(WRITES)))

    count = commits(store)
    assert asyncio.run(all_at_once()) == [f"k{number}" for number in range(WRITES)]
    assert count() == 2, "the first had nobody to wait for; all others waited for it"
    assert all(on_disk(store, f"k{number}") for number in range(WRITES))


def test_no_transaction_grows_without_end(store: Store):
    async def all_at_once() -> None:
        group = CommitGroup(store)
        await asyncio.gather(*(group.write(putting(f"k{number}")) for number in range(2 * ACTS_MAX + 1)))

    count = commits(store)
    asyncio.run(all_at_once())
    assert count() == 3


def test_nobody_is_told_before_the_commit(store: Store):
    """The commit is held up by a lock that nobody else would take: while it is, the write has happened for
    nobody.
    """
    committing, may = threading.Event(), threading.Event()

    class Slow(Tx):
        def commit(self) -> None:
            committing.set()
            assert may.wait(30)
            super().commit()

    async def write() -> None:
        group = CommitGroup(store)
        with store.turn:
            tx = store.begin()
            tx.commit()
            tx.__class__ = Slow
        told = asyncio.ensure_future(group.write(putting("slow")))
        await asyncio.to_thread(committing.wait, 30)
        assert on_disk(store, "slow") is None and not told.done()
        may.set()
        assert await told == "slow"
        assert on_disk(store, "slow") == "there"

    asyncio.run(write())


def test_a_write_that_raises_is_undone_alone(store: Store):
    def wrong(tx: Tx) -> None:
        meta.put(tx, "wrong", "there")
        raise LookupError("no such thing")

    async def three() -> list:
        group = CommitGroup(store)
        return await asyncio.gather(
            *(group.write(act) for act in (putting("first"), putting("before"), wrong, putting("after"))),
            return_exceptions=True,
        )

    first, before, raised, after = asyncio.run(three())
    assert (first, before, after) == ("first", "before", "after") and isinstance(raised, LookupError)
    assert on_disk(store, "before") and on_disk(store, "after") and on_disk(store, "wrong") is None


def test_what_a_write_that_was_undone_has_read_and_written_is_forgotten(store: Store):
    def task(id: str) -> Task:
        return Task(id, "Title", "Brief", "module", "repo", ("a/**",))

    def wrong(tx: Tx) -> None:
        assert set(tasks.every(tx)) == {"T1"}
        tasks.put(tx, Task("T1", "Another title", "Brief", "module", "repo", ("a/**",)))
        tasks.add(tx, task("T2"))
        assert set(tasks.every(tx)) == {"T1", "T2"}
        raise LookupError

    async def write() -> None:
        group = CommitGroup(store)
        await group.write(lambda tx: tasks.add(tx, task("T1")))
        for undone in (group.write(wrong), asyncio.to_thread(_write_in_a_thread, store, wrong)):
            with pytest.raises(LookupError):
                await undone
            assert await group.write(lambda tx: dict(tasks.every(tx))) == {"T1": task("T1")}

    asyncio.run(write())


def _write_in_a_thread(store: Store, act: Callable[[Tx], None]) -> None:
    with store.write() as tx:
        act(tx)


def test_a_caller_who_goes_away_changes_nothing(store: Store):
    async def write() -> None:
        group = CommitGroup(store)
        staying = asyncio.ensure_future(group.write(putting("staying")))
        leaving = asyncio.ensure_future(group.write(putting("leaving")))
        await asyncio.sleep(0)  # both have begun
        leaving.cancel()
        await staying
        await group.close()

    asyncio.run(write())
    assert on_disk(store, "leaving") == "there"


def test_loop_and_threads_take_turns(store: Store):
    def counted(tx: Tx) -> None:
        meta.put(tx, "count", str(int(meta.get(tx, "count") or 0) + 1))

    async def write() -> None:
        group = CommitGroup(store)
        of_threads = [asyncio.to_thread(_write_in_a_thread, store, counted) for _ in range(WRITES)]
        await asyncio.gather(*of_threads, *(group.write(counted) for _ in range(WRITES)))

    asyncio.run(write())
    assert on_disk(store, "count") == str(2 * WRITES), "no write was lost between two that read the same"


def test_a_loop_that_ends_in_the_middle_of_a_write_leaves_the_turn_to_others(store: Store):
    async def write() -> None:
        CommitGroup(store).post(putting("last"))

    asyncio.run(write())
    _write_in_a_thread(store, putting("next"))
    assert on_disk(store, "next") == "there"
