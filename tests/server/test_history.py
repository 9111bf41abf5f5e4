"""What is asked at every call costs no more after much history than after little: counted in instructions, never in time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_server import app, config
from mcp_server.auth import ADMIN, AGENT, Principal
from mcp_server.bell import Bell
from mcp_server.core.task import State, Task
from mcp_server.store import Store
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import claim, planning, release
from mcp_server.world import World

from . import toy, work

LITTLE, MUCH = 100, 1_500
SHARE_MAX = 1.25  # of the work after little history; were each done thing looked at, it would be several times as much
ME, ADMINISTRATOR = Principal("me", AGENT), Principal("admin", ADMIN)


def opened(root: Path) -> World:
    async def silent_bell() -> Bell:
        return Bell()

    loaded = config.load(toy.project(root / "project") / "harness.toml")
    assert isinstance(loaded, config.Config)
    return app.open_world(loaded, app.StateDir(root / "state"), asyncio.run(silent_bell()))


def grown(world: World, first: int, until: int) -> None:
    """Tasks of some agents that are done, each with its landing."""
    with world.store.write() as tx:
        for number in range(first, until):
            id = f"T{number}"
            needs = (f"T{number - 1}",) if number % 10 else ()
            task_rows.add(tx, Task(id, f"old {number}", "b", "count", "toy", ("count/**",), needs=needs, state=State.DONE))


@dataclass(frozen=True)
class Histories:
    little: World
    much: World

    def hold(self, act: Callable[[World], object]) -> None:
        """That `act` is as much work here as there, when it is done for the second time."""
        spent = []
        for world in (self.little, self.much):
            act(world)
            with work.counted(world.store) as counted:
                act(world)
            assert counted.python > 0 and counted.sqlite > 0
            spent.append(counted.total)
        assert spent[1] <= SHARE_MAX * spent[0], spent


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Histories]:
    made = Histories(*(opened(tmp_path_factory.mktemp(name)) for name in ("little", "much")))
    for world, count in ((made.little, LITTLE), (made.much, MUCH)):
        grown(world, 1_000, 1_000 + count)
    yield made
    made.little.store.close()
    made.much.store.close()


def proposed(world: World, title: str) -> Task:
    made = planning.create(world, ADMINISTRATOR, planning.Proposal(title, "shout", "brief"))
    assert isinstance(made, Task)
    return made


def claimed_and_given_back(world: World) -> Task:
    with world.store.write() as tx:
        found = claim.claim(world, tx, ME)
        assert isinstance(found, claim.Claimed)
        release.release(world, tx, ME, found.lease.fence, "abandoned", "")
    return found.task


def test_a_claim_and_its_end_are_no_more_work_after_many_done_tasks(histories: Histories):
    histories.hold(claimed_and_given_back)


def test_a_proposal_and_the_claim_after_it_are_no_more_work_after_many_done_tasks(histories: Histories):
    titles = iter(range(10))

    def act(world: World) -> None:
        title = f"new {next(titles)}"
        made = proposed(world, title)
        assert proposed(world, title) == made
        claimed_and_given_back(world)

    histories.hold(act)


def test_a_list_for_an_agent_with_room_for_the_open_ones_alone_looks_at_no_done_task(histories: Histories):
    for world in (histories.little, histories.much):
        for number in range(40):
            proposed(world, f"{number} {'long ' * 30}")
    histories.hold(lambda world: planning.listed(world, ME))


# -- what the writer knows


class Enough(Exception):
    pass


def known(world: World) -> dict[str, Task]:
    """As the writer has it in memory, which is to be what the database has."""
    with world.store.write() as tx:
        found = dict(task_rows.every(tx))
        undone, greatest = {task.id for task in task_rows.every(tx).undone}, task_rows.greatest_number(tx)
    with world.store.read() as tx:
        assert found == dict(task_rows.all(tx)) and undone == {task.id for task in task_rows.undone(tx)}
        assert greatest == task_rows.greatest_number(tx)
    return found


@pytest.mark.parametrize("part", [False, True], ids=["a whole transaction", "a part of one"])
def test_a_task_that_was_added_and_undone_is_unknown_and_its_number_is_given_again(tmp_path: Path, part: bool):
    world = opened(tmp_path)
    before = known(world)
    with suppress(Enough), world.store.write() as tx, tx.part() if part else nullcontext():
        id = planning.next_id(tx)
        task_rows.add(tx, Task(id, "undone", "b", "count", "toy", ("count/**",)))
        task_rows.put(tx, replace(before["T01"], state=State.DONE))
        raise Enough
    assert known(world) == before
    made = proposed(world, "next")
    assert made.id == id == "T05" and known(world) == before | {id: made}
    world.store.close()


def test_a_number_follows_the_greatest_whatever_else_the_ids_are(tmp_path: Path):
    world = opened(tmp_path)
    with world.store.write() as tx:
        for id in ("T0041", "T7x", "X99", "T"):
            task_rows.add(tx, Task(id, id, "b", "count", "toy", ("count/**",)))
        assert planning.next_id(tx) == "T42"
        task_rows.add(tx, Task("T100", "t", "b", "count", "toy", ("count/**",)))
        assert planning.next_id(tx) == "T101"
    world.store.close()


def test_a_database_that_is_older_than_an_index_gets_it(tmp_path: Path):
    def names(tx) -> set[str]:
        return {row[0] for row in tx.driver.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")}

    store = Store.open(tmp_path / "state.db")
    with store.write() as tx:
        before = names(tx)
        tx.exec_driver_sql("DROP INDEX tasks_by_title")
    store.close()
    again = Store.open(tmp_path / "state.db")
    with again.read() as tx:
        assert names(tx) == before and "tasks_by_title" in before
    again.close()
