"""What is asked at every call costs no more after much history than after little: counted in instructions,
never in time.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.config import Budget
from mcp_server.core.landing import SubmissionState
from mcp_server.core.lease import Lease
from mcp_server.core.principal import ADMIN, AGENT, Principal
from mcp_server.core.task import Task, TaskState
from mcp_server.edge import app
from mcp_server.models.budgets import Scope
from mcp_server.store import Store, meta, people
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import leasing, status
from mcp_server.use_cases.memory import notes
from mcp_server.use_cases.oracle import baseline, tip_check
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import spending
from mcp_server.use_cases.tasks import claim, from_oracle, planning, release
from mcp_server.world import World

from . import toy, work

LITTLE, MUCH = 100, 1_500
WARM = 3  # times; what is kept at hand is made meanwhile
# of the work after little history; were each done thing looked at, it would be several times as much
SHARE_MAX = 1.25
ME, ADMINISTRATOR = Principal("me", AGENT), Principal("admin", ADMIN)


def opened(root: Path, toml: str = toy.TOML) -> World:
    async def silent_bell() -> Bell:
        return Bell()

    loaded = config.load(toy.project(root / "project", toml) / "harness.toml")
    assert isinstance(loaded, config.Config)
    return app.open_world(loaded, app.StateDir(root / "state"), asyncio.run(silent_bell()))


def grown(world: World, first: int, until: int) -> None:
    """Tasks of some agents that are done, each with its lease, its landing and a refusal; every tenth ended a
    session.
    """
    with world.store.write() as tx:
        for number in range(first, until):
            id, who = f"T{number}", Principal(f"one-{number % 4}", AGENT)
            needs = (f"T{number - 1}",) if number % 10 else ()
            task_rows.add(
                tx,
                Task(
                    id, f"old {number}", "b", "count", "toy", ("count/**",), needs=needs, state=TaskState.DONE
                ),
            )
            lease_rows.add(
                tx,
                Lease(
                    number,
                    id,
                    who.name,
                    None,
                    "toy",
                    ("count/**",),
                    number,
                    number,
                    ended_ms=number,
                    end_reason="landed",
                ),
            )
            made = submission_rows.add(
                tx,
                fence=number,
                task=id,
                agent=who.name,
                repo="toy",
                commit=f"{number:040x}",
                summary="s",
                now_ms=number,
            )
            submission_rows.put(
                tx, replace(made, state=SubmissionState.LANDED, ended_ms=number, candidate=made.commit)
            )
            world.record(tx, "landed", who, task=id, fence=number, commit=made.commit)
            world.record(
                tx, "refusal", who, task=id, tool="push", code="conflict", happened="it was refused before"
            )
            if number % 10 == 0:
                session = people.add_session(tx, agent=who.name, kind="command", door=False, now_ms=number)
                people.put_session(tx, replace(session, ended_ms=number, outcome="worked"))
        meta.put(tx, lease_rows.FENCE, str(until))


@dataclass(frozen=True)
class Histories:
    little: World
    much: World

    def hold(self, act: Callable[[World], object]) -> None:
        """That `act` is as much work here as there, once everything is at hand."""
        spent = []
        for world in (self.little, self.much):
            for _ in range(WARM):
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
    titles = iter(range(2 * (WARM + 1)))

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


@pytest.mark.parametrize(
    "look", [status.status, notes.state, from_oracle.close_passing, leasing.expire, tip_check.look]
)
def test_what_is_asked_again_and_again_is_no_more_work_after_many_landings(
    histories: Histories, look: Callable[[World], object]
):
    for world in (histories.little, histories.much):
        with world.store.write() as tx:
            if "FAILS" not in task_rows.every(
                tx
            ):  # it was made from the oracle: the ticker looks whether it is over
                task_rows.add(
                    tx,
                    Task(
                        "FAILS",
                        "f",
                        "b",
                        "shout",
                        "toy",
                        ("shout/**",),
                        cases=("words:low/one",),
                        suite="words",
                        source="oracle:words:x",
                    ),
                )
    histories.hold(look)


def test_a_budget_of_minutes_is_no_more_work_after_many_landings(histories: Histories):
    def look(world: World) -> None:
        with world.store.read() as tx:
            for scope, name in ((Scope.RUN, ""), (Scope.TASK, "T1005")):
                assert spending.standing(world, tx, [(scope, name, Budget(minutes=1))]) is not None

    histories.hold(look)


# -- what is told of it


def test_status_tells_all_landings_and_refusals_and_the_newest_sessions_and_counts_those_that_came_since(
    tmp_path: Path,
):
    world = opened(tmp_path)
    for first, until in ((1_000, 1_021), (1_021, 1_030)):
        grown(world, first, until)
        told = status.status(world)
        total = until - 1_000
        assert (told.landings, told.refusals) == (total, {"conflict": total})
        by_agent = Counter(f"one-{number % 4}" for number in range(1_000, until))
        for row in told.agents:
            assert row.landings == row.refusals == by_agent[row.agent]
    assert {row.agent: (row.session, row.outcome) for row in told.agents} == {
        "one-0": ("S3", "worked"),
        "one-2": ("S2", "worked"),
    }
    with world.store.write() as tx:
        people.add_session(tx, agent="one-2", kind="command", door=False, now_ms=2_000)
    [now] = [row for row in status.status(world).agents if row.agent == "one-2"]
    assert (now.session, now.live, now.outcome) == ("S4", True, "worked"), (
        "what became of the one before is told with it"
    )
    assert [one.task for one in notes.state(world).landed] == [f"T{number}" for number in range(1_022, 1_030)]
    with suppress(Enough), world.store.write() as tx:
        world.record(tx, "landed", ME)
        raise Enough
    assert status.status(world).landings == 30
    world.store.close()


def test_how_long_an_agent_was_in_sessions_and_since_when_there_are_any(tmp_path: Path):
    store = Store.open(tmp_path / "state.db")
    with store.write() as tx:
        assert people.first_began_ms(tx) is None and people.in_sessions_ms(tx, "one", 50) == 0
        for began, ended in ((10, 15), (20, 22), (30, None)):
            made = people.add_session(tx, agent="one", kind="command", door=False, now_ms=began)
            people.put_session(tx, replace(made, ended_ms=ended))
        people.add_session(tx, agent="two", kind="command", door=False, now_ms=40)
        assert people.in_sessions_ms(tx, "one", 50) == 5 + 2 + 20 and people.first_began_ms(tx) == 10
    store.close()


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
def test_a_task_that_was_added_and_undone_is_unknown_and_its_number_is_given_again(
    tmp_path: Path, part: bool
):
    world = opened(tmp_path)
    before = known(world)
    with suppress(Enough), world.store.write() as tx, tx.part() if part else nullcontext():
        id = planning.next_id(tx)
        task_rows.add(tx, Task(id, "undone", "b", "count", "toy", ("count/**",)))
        task_rows.put(tx, replace(before["T01"], state=TaskState.DONE))
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
        return {
            row[0]
            for row in tx.driver.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
            )
        }

    store = Store.open(tmp_path / "state.db")
    with store.write() as tx:
        before = names(tx)
        tx.exec_driver_sql("DROP INDEX tasks_by_title")
    store.close()
    again = Store.open(tmp_path / "state.db")
    with again.read() as tx:
        assert names(tx) == before and "tasks_by_title" in before
    again.close()


# -- many suites


SUITES = 12


@pytest.fixture
def suites(tmp_path: Path) -> Iterator[World]:
    one = toy.TOML[toy.TOML.index("[oracle.words]") : toy.TOML.index("[agents.worker]")]
    more = "".join(
        one.replace("[oracle.words]", f"[oracle.more-{number}]").replace(
            "tr a-z", f"LC_ALL=C.{number} tr a-z"
        )
        for number in range(SUITES - 1)
    )
    world = opened(tmp_path, toy.TOML.replace(one, one + more))
    yield world
    world.store.close()


def written(world: World, act: Callable[[], object]) -> int:
    """How many transactions of the writer `act` made."""
    begun: list[str] = []
    with world.store.write() as tx:
        tx.driver.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
    act()
    with world.store.write() as tx:
        tx.driver.set_trace_callback(None)
    return len(begun) - 1  # this last one is ours


def wanted(world: World, priority: int) -> list[oracle_jobs.JobRequest]:
    return [oracle_jobs.JobRequest(name, world.main("toy"), priority) for name in world.config.suites]


def test_the_runs_of_all_suites_are_asked_for_in_one_transaction_and_again_in_none(suites: World):
    asked: list[list[int]] = []

    def ask(priority: int) -> None:
        asked.append([job.id for job in oracle_jobs.request_all(suites, wanted(suites, priority))])

    assert written(suites, lambda: ask(oracle_jobs.ASKED)) == 1 and len(set(asked[0])) == SUITES
    assert written(suites, lambda: ask(oracle_jobs.ASKED)) == 0
    assert written(suites, lambda: ask(oracle_jobs.GATE)) == 1, "they are wanted more than before"
    assert written(suites, lambda: ask(oracle_jobs.BASELINE)) == 0
    assert asked == [asked[0]] * 4
    with suites.store.read() as tx:
        assert {job_rows.get(tx, id).priority for id in asked[0]} == {oracle_jobs.GATE}


def test_a_tick_while_main_is_being_measured_writes_nothing_for_it(suites: World):
    baseline.measure_main(suites)
    with suites.store.read() as tx:
        assert len(baseline.unmeasured(suites, tx, "toy", suites.main("toy"))) == SUITES
    assert written(suites, lambda: baseline.measure_main(suites)) == 0
