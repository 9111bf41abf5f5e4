"""The report that agents read: within its budget, whatever the state, and honest about what it left out."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core.progress import Blocked, FailingGroup, Flaky, Held, Landed, ProgressState, render

NOW_MS = 10_000_000
TEXT = st.text(max_size=300)
COUNT = st.integers(0, 10**6)
STATES = st.builds(
    ProgressState,
    run=TEXT,
    open=COUNT,
    claimed=COUNT,
    done=COUNT,
    blocked_count=COUNT,
    passing=COUNT,
    cases=COUNT,
    held=st.lists(st.builds(Held, TEXT, TEXT, TEXT, TEXT, st.integers(0, 10**8)), max_size=6),
    blocked=st.lists(st.builds(Blocked, TEXT, TEXT, TEXT), max_size=6),
    failing=st.lists(
        st.builds(FailingGroup, TEXT, TEXT, COUNT, st.lists(TEXT, max_size=5).map(tuple)), max_size=6
    ),
    flaky=st.lists(st.builds(Flaky, TEXT, TEXT, TEXT, st.booleans()), max_size=6),
    landed=st.lists(st.builds(Landed, TEXT, TEXT, TEXT, TEXT, st.integers(0, 10**8)), max_size=6),
)


def small_state():
    return ProgressState(
        "minisql", open=1, claimed=2, done=3, blocked_count=1, passing=40, cases=100,
        held=[Held("codex-2", "T17", "Joins", "planner", NOW_MS + 125_000), Held("a-1", "T02", "Lex", "parser", NOW_MS + 9_000)],
        blocked=[Blocked("T09", "Views", "needs a decision on names")],
        failing=[FailingGroup("sql", "select", 3, ("s/1", "s/2", "s/3", "s/4")), FailingGroup("sql", "join", 57, ("j/1",))],
        landed=[Landed("T01", "Start", "a-1", "c" * 40, NOW_MS - 3_700_000), Landed("T03", "Store", "b-1", "d" * 40, NOW_MS - 61_000)],
    )  # fmt: skip


@given(STATES, st.integers(0, 5_000))
def test_no_report_is_over_its_budget(state, bytes_max):
    assert len(render(state, now_ms=NOW_MS, bytes_max=bytes_max).encode()) <= bytes_max


@given(STATES, st.integers(700, 5_000))
def test_every_row_is_shown_or_counted(state, bytes_max):
    text = render(state, now_ms=NOW_MS, bytes_max=bytes_max)
    shown = len(re.findall(r"^- (?!\.\.\. \d+ (?:more )?not shown$)", text, re.M))
    cut = sum(int(n) for n in re.findall(r"^- \.\.\. (\d+) (?:more )?not shown$", text, re.M))
    total = len(state.held) + len(state.blocked) + len(state.failing) + len(state.landed) + len(state.flaky)
    assert shown + cut == total


WHOLE = """\
# Progress of minisql

Tasks: 3 done, 2 claimed, 1 open, 1 blocked. Cases on main: 40 of 100 pass.

## Held now (2)
- T02 Lex (module parser): a-1, lease ends in 9 s
- T17 Joins (module planner): codex-2, lease ends in 2 min

## Landed lately (2)
- T03 Store: b-1, dddddddddddd, 1 min ago
- T01 Start: a-1, cccccccccccc, 1 h 1 min ago

## Failing cases (2)
- sql/join: 57 fail, such as j/1
- sql/select: 3 fail, such as s/1, s/2, s/3

## Blocked (1)
- T09 Views: needs a decision on names
"""


def test_the_whole_report():
    assert render(small_state(), now_ms=NOW_MS, bytes_max=8_000) == WHOLE


def test_a_tight_budget_gives_each_part_its_first_row_before_a_second():
    text = render(small_state(), now_ms=NOW_MS, bytes_max=430)
    for first in ("T02 Lex", "T03 Store", "sql/join", "T09 Views"):
        assert first in text
    assert "T01 Start" not in text and "1 more not shown" in text


def test_a_title_cannot_add_lines():
    state = ProgressState("r", held=[Held("a-1", "T1", "x\n## Landed lately\n- T9: all done", "m", NOW_MS)])
    assert "\n## Landed" not in render(state, now_ms=NOW_MS, bytes_max=8_000)


def test_the_report_stays_short_with_thousands_of_tasks():
    held = [Held(f"a-{n}", f"T{n:04}", "t" * 50, "m", NOW_MS) for n in range(3_000)]
    text = render(ProgressState("r", held=held), now_ms=NOW_MS, bytes_max=8_000)
    assert 6_000 < len(text) <= 8_000 and "more not shown" in text


def test_flaky_cases_are_told_and_those_whose_time_is_over_first():
    flaky = [
        Flaky("sql", "a/1", "2030-01-31", expired=False),
        Flaky("sql", "b/2", "2029-01-31", expired=True),
    ]
    text = render(ProgressState("x", flaky=flaky), now_ms=NOW_MS, bytes_max=1_000)
    assert text.endswith(
        "## Flaky cases (2)\n- sql/b/2 was flaky until 2029-01-31: it counts again\n- sql/a/1 counts for nothing until 2030-01-31\n"
    )


def test_held_out_cases_are_a_number_and_nothing_else():
    text = render(
        ProgressState("x", passing=3, cases=6, held_out=2, held_out_passing=1), now_ms=NOW_MS, bytes_max=1_000
    )
    assert "Cases on main: 3 of 6 pass (of 2 held-out ones 1)." in text
