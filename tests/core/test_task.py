"""The states of a task: the whole product of states and events, readiness and the end of a run."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core.task import (
    Task,
    TaskEvent,
    Tasks,
    TaskState,
    is_reachable,
    is_ready,
    missing_needs,
    next_state,
    run_is_finished,
)

LEGAL = {
    ("open", "claim"): "leased",
    ("leased", "land"): "done",
    ("leased", "report"): "done",
    ("leased", "block"): "blocked",
    ("leased", "abandon"): "open",
    ("leased", "lease_lost"): "open",
    ("open", "close"): "done",
    ("blocked", "close"): "done",
    ("done", "reopen"): "open",
    ("blocked", "reopen"): "open",
}


def task(id: str, state: TaskState = TaskState.OPEN, needs: tuple[str, ...] = ()) -> Task:
    return Task(id, id, "", "m", "r", ("m/**",), needs=needs, state=state)


@pytest.mark.parametrize(("state", "event"), list(product(TaskState, TaskEvent)))
def test_every_event_in_every_state_leads_where_the_table_says_or_nowhere(state: TaskState, event: TaskEvent):
    assert next_state(state, event) == LEGAL.get((str(state), str(event)))


@given(st.lists(st.sampled_from(TaskEvent)))
def test_a_task_is_done_only_by_landing_reporting_or_closing_and_leased_only_by_a_claim(
    events: list[TaskEvent],
):
    state, last = TaskState.OPEN, None
    for event in events:
        if (after := next_state(state, event)) is not None:
            state, last = after, event
    assert (state is TaskState.DONE) == (last in (TaskEvent.LAND, TaskEvent.REPORT, TaskEvent.CLOSE))
    assert (state is TaskState.LEASED) == (last is TaskEvent.CLAIM)
    assert (state is TaskState.BLOCKED) == (last is TaskEvent.BLOCK)


@pytest.mark.parametrize("state", list(TaskState))
def test_only_an_open_task_with_every_need_done_is_ready(state: TaskState):
    for need in TaskState:
        tasks = {"A": task("A", need), "B": task("B", state, needs=("A",))}
        assert is_ready(tasks["B"], tasks) == (state is TaskState.OPEN and need is TaskState.DONE)
        assert missing_needs(tasks["B"], tasks) == ([] if need is TaskState.DONE else ["A"])


def test_a_need_that_does_not_exist_is_missing_for_ever():
    tasks = {"B": task("B", needs=("gone",))}
    assert missing_needs(tasks["B"], tasks) == ["gone"]
    assert not is_reachable(tasks["B"], tasks) and run_is_finished(Tasks(tasks.values()))


def test_a_blocked_task_cuts_off_all_that_needs_it_directly_or_not():
    tasks = {
        "A": task("A", TaskState.BLOCKED),
        "B": task("B", needs=("A",)),
        "C": task("C", needs=("B",)),
        "D": task("D", TaskState.DONE),
    }
    assert not any(is_reachable(tasks[id], tasks) for id in "ABC")
    assert run_is_finished(Tasks(tasks.values()))
    assert not run_is_finished(Tasks([*tasks.values(), task("E")]))


@pytest.mark.parametrize("state", list(TaskState))
def test_a_run_goes_on_while_a_task_is_leased_or_open(state: TaskState):
    assert run_is_finished(Tasks([task("A", state)])) == (state in (TaskState.DONE, TaskState.BLOCKED))


def test_a_run_with_a_leased_task_is_not_finished_even_when_the_rest_is_blocked():
    assert not run_is_finished(Tasks([task("A", TaskState.LEASED), task("B", TaskState.BLOCKED)]))


def test_what_is_done_is_reached_whatever_has_become_of_what_it_needed():
    tasks = Tasks(
        [task("A", TaskState.BLOCKED), task("B", TaskState.DONE, needs=("A",)), task("C", needs=("B",))]
    )
    assert is_reachable(tasks["C"], tasks) and not run_is_finished(tasks)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(TaskState))))
def test_the_undone_and_the_counts_are_those_of_what_was_put_last(puts: list[tuple[str, TaskState]]):
    tasks, plain = Tasks(), {}
    for id, state in puts:
        before, held = tasks.copy(), dict(plain)
        tasks.put(task(id, state))
        plain[id] = task(id, state)
        assert dict(before) == held, "a copy stays as it was"
    assert dict(tasks) == plain
    assert {one.id for one in tasks.undone} == {
        id for id, one in plain.items() if one.state is not TaskState.DONE
    }
    assert tasks.counts() == {state: sum(one.state is state for one in plain.values()) for state in TaskState}
