"""Which task a claim gets: every refusal, each naming something else to do; and what holds for any board."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core import lease as leases
from mcp_server.core import task as tasks
from mcp_server.core.lease import Lease
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.schedule import Board, best_open, choose, dependents, moment, needed_by
from mcp_server.core.task import Task, Tasks, TaskState

NOW = 1_000_000


def task(
    id: str,
    module: str = "a",
    state: TaskState = TaskState.OPEN,
    needs: tuple[str, ...] = (),
    priority: int = 0,
    reason: str = "",
) -> Task:
    return Task(
        id, id, "", module, "r", (f"{module}/**",), needs=needs, priority=priority, state=state, reason=reason
    )


def held(task_: Task, agent: str = "other", fence: int = 7) -> Lease:
    return Lease(fence, task_.id, agent, None, task_.repo, task_.paths, NOW - 10, NOW + 60_000)


def board(*given: Task, live: tuple[Lease, ...] = ()) -> Board:
    return Board(Tasks(given), live, NOW)


def refused(found: object, code: Code) -> Refused:
    assert isinstance(found, Refused) and found.code is code, found
    assert found.happened and found.holds and found.next
    return found


def test_the_named_task_is_given_where_it_is_free():
    assert choose(board(task("A"), task("B", "b")), "me", task="B") == task("B", "b")


def test_the_best_open_task_has_the_highest_priority_then_the_most_dependents_then_the_first_id():
    low, first, second = task("A"), task("B", "b", priority=1), task("C", "c", priority=1)
    waiting = task("D", "d", needs=("C",))
    assert choose(board(low, first, second), "me") == first
    assert choose(board(low, first, second, waiting), "me") == second
    assert choose(board(low, first, second, waiting), "me", module="a") == low


def test_whoever_holds_a_lease_gets_it_again_and_no_second_one():
    mine, other = task("A", state=TaskState.LEASED), task("B", "b")
    lease = held(mine, "me")
    here = board(mine, other, live=(lease,))
    assert choose(here, "me") == lease == choose(here, "me", task="A") == choose(here, "me", module="b")
    assert f"release_task(fence={lease.fence}" in refused(choose(here, "me", task="B"), Code.HELD).next


def test_a_taken_task_is_refused_with_its_holder_and_a_free_one():
    taken, free = task("A", state=TaskState.LEASED), task("B", "b")
    found = refused(choose(board(taken, free, live=(held(taken),)), "me", task="A"), Code.HELD)
    assert (
        "other" in found.holds
        and moment(NOW + 60_000) in found.holds
        and "claim_task(task='B')" in found.next
    )


def test_a_taken_task_with_nothing_else_free_says_when_the_next_lease_ends():
    taken = task("A", state=TaskState.LEASED)
    assert (
        moment(NOW + 60_000)
        in refused(choose(board(taken, live=(held(taken),)), "me", task="A"), Code.HELD).next
    )


def test_a_task_over_paths_that_somebody_holds_overlaps():
    taken, same = task("A", state=TaskState.LEASED), task("B")
    found = refused(
        choose(board(taken, same, task("C", "c"), live=(held(taken),)), "me", task="B"), Code.OVERLAP
    )
    assert "other holds A" in found.holds and "claim_task(task='C')" in found.next


def test_an_unknown_task_points_to_the_list():
    assert "list_tasks" in refused(choose(board(task("A")), "me", task="Z"), Code.UNKNOWN_TASK).next


def test_done_blocked_and_waiting_tasks_are_no_tasks_and_another_is_named():
    free = task("Z", "z")
    for one in (
        task("A", state=TaskState.DONE),
        task("A", state=TaskState.BLOCKED, reason="no network"),
        task("A", needs=("Z",)),
    ):
        found = refused(choose(board(one, free), "me", task="A"), Code.NO_TASK)
        assert "claim_task(task='Z')" in found.next
    assert (
        "no network"
        in refused(
            choose(board(task("A", state=TaskState.BLOCKED, reason="no network"), free), "me", task="A"),
            Code.NO_TASK,
        ).holds
    )


def test_nothing_free_tells_waiting_from_finished():
    taken = task("A", state=TaskState.LEASED)
    waiting = refused(choose(board(taken, task("B", needs=("A",)), live=(held(taken),)), "me"), Code.NO_TASK)
    assert "1 open" in waiting.holds and "1 are leased" in waiting.holds and "again" in waiting.next
    over = refused(choose(board(task("A", state=TaskState.DONE)), "me"), Code.NO_TASK)
    assert "end your session" in over.next
    assert "in module b" in refused(choose(board(task("A")), "me", module="b"), Code.NO_TASK).happened


def test_dependents_are_counted_once_directly_or_not_and_none_that_is_done():
    diamond = [
        task("A"),
        task("B", needs=("A",)),
        task("C", needs=("A",)),
        task("D", needs=("B", "C")),
        task("E", needs=("A",), state=TaskState.DONE),
    ]
    assert [dependents(id, needed_by(Tasks(diamond))) for id in "ABCDE"] == [3, 1, 1, 0, 0]


class Unseen(Tasks):
    """Whoever looks through all of it fails."""

    def __iter__(self):
        raise AssertionError("a claim must not look at every task that was ever done")


def test_a_claim_looks_at_no_done_task_that_none_names():
    done = [task(f"D{number}", state=TaskState.DONE, needs=(f"D{number - 1}",)) for number in range(1, 50)]
    here = Board(
        Unseen(
            [*done, task("A", needs=("D7",)), task("B", "b", needs=("D8",)), task("C", "c", needs=("A",))]
        ),
        (),
        NOW,
    )
    assert choose(here, "me") == here.tasks["A"] and not tasks.run_is_finished(here.tasks)
    refused(choose(here, "me", module="z"), Code.NO_TASK)
    refused(choose(here, "me", task="D9"), Code.NO_TASK)


def test_a_moment_is_utc_wall_time():
    assert moment(1_700_000_000_123) == "22:13:20Z"


@st.composite
def boards(draw: st.DrawFn) -> Board:
    ids = [f"T{n}" for n in range(draw(st.integers(1, 7)))]
    all_tasks, live = {}, []
    for number, id in enumerate(ids):
        needs = (
            tuple(draw(st.lists(st.sampled_from(ids[:number]), unique=True, max_size=2))) if number else ()
        )
        made = task(
            id,
            draw(st.sampled_from("abc")),
            draw(st.sampled_from([TaskState.OPEN, TaskState.DONE, TaskState.BLOCKED])),
            needs,
            draw(st.integers(-1, 1)),
        )
        if (
            made.state is TaskState.OPEN
            and draw(st.booleans())
            and leases.overlapping("r", made.paths, live) is None
        ):
            made = task(id, made.module, TaskState.LEASED, needs, made.priority)
            live.append(held(made, draw(st.sampled_from(["one", "two", "three"])), number + 1))
        all_tasks[id] = made
    return Board(Tasks(all_tasks.values()), tuple(live), NOW)


@given(
    boards(),
    st.sampled_from(["me", "one"]),
    st.none() | st.sampled_from([f"T{n}" for n in range(8)]),
    st.none() | st.sampled_from("abcd"),
)
def test_on_any_board_a_claim_gives_a_free_ready_task_or_ones_own_lease_or_names_something_that_works(
    here: Board, agent: str, wanted: str | None, module: str | None
):
    found = choose(here, agent, task=wanted, module=module)
    mine = [lease for lease in here.live if lease.agent == agent]
    match found:
        case Task():
            assert (
                not mine
                and tasks.is_ready(found, here.tasks)
                and leases.overlapping("r", found.paths, here.live) is None
            )
            assert wanted in (None, found.id) and (wanted is not None or module in (None, found.module))
        case Lease():
            assert found == mine[0] and wanted in (None, found.task)
        case Refused():
            assert found.happened and found.holds and found.next
            named = re.search(r"claim_task\(task='(\w+)'\)", found.next)
            if named:  # what a refusal proposes is really to be had
                assert isinstance(choose(here, agent, task=named[1]), Task)
            elif not mine and best_open(here) is not None:
                assert found.code is Code.UNKNOWN_TASK
