"""Tasks out of failures: where they belong, what they say, and that no cause and no case has two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core import oracle_tasks as core
from mcp_server.core.oracle_tasks import Places, SuiteRun
from mcp_server.core.task import Task, TaskState

MODULES = {"parser": ("engine/parser/**",), "store": ("engine/store/**", "engine/disk.py")}
FILES = {
    "engine/parser/lex.py",
    "engine/parser/json.py",
    "engine/store/page.py",
    "engine/disk.py",
    "README",
    "json.py",
}
PLACES = Places(MODULES, FILES)

TRACEBACK = """Traceback (most recent call last):
  File "/source/engine/parser/lex.py", line 3, in run
  File "/source/engine/store/page.py", line 9, in read
  File "/usr/lib/python3.11/json.py", line 1, in loads
ValueError: bad page
"""


def failure(
    id: str,
    *,
    input: str = "SELECT 1;\n",
    output: str = "1\n",
    error: str = "",
    difference: str = "line 1: '1' instead of '2'",
) -> dict:
    ours = {"output": output, "exit": 0} | ({"error": error} if error else {})
    return {
        "id": id,
        "input": input,
        "candidate": ours,
        "reference": {"output": "2\n", "exit": 0},
        "difference": difference,
    }


def cause(id: str, *cases: str, says: str = "ValueError: bad page") -> dict:
    return {"id": id * 8, "says": says, "count": len(cases), "cases": list(cases)}


def measured(
    *causes: dict,
    failures: tuple[dict, ...] = (),
    ignored: frozenset[str] = frozenset(),
    passing: tuple[str, ...] = (),
) -> SuiteRun:
    outcomes = {case: "fail" for one in causes for case in one["cases"]} | dict.fromkeys(passing, "pass")
    return SuiteRun("sql", outcomes, causes, failures, ignored)


def task(id: str, cause_: str, cases: tuple[str, ...], state: TaskState = TaskState.OPEN) -> Task:
    return Task(
        id,
        id,
        "",
        "parser",
        "r",
        ("engine/**",),
        suite="sql",
        cases=cases,
        state=state,
        source=f"oracle:sql:{cause_ * 8}",
    )


@pytest.mark.parametrize(
    ("example", "module"),
    [
        (failure("x/1", error=TRACEBACK), "store"),
        (failure("x/1", error="engine/parser/lex.py:3:5: error"), "parser"),
        (failure("x/1", error="see ./engine/disk.py."), "store"),
        (failure("x/1", output="FAILED\nengine/parser/lex.py::test", error="no path"), "parser"),
        (failure("x/1", error="engine/parser/gone.py is not on main"), None),
        (failure("x/1", error="json.py"), None),
        (failure("x/1", difference="engine/store/page.py: assert 1 == 2"), "store"),
    ],
)
def test_the_last_path_that_lies_in_a_module_says_where_a_failure_belongs(example: dict, module: str | None):
    assert core.module_of(["x/1"], [example], PLACES) == module


def test_without_a_path_a_directory_of_the_case_says_it_and_then_whoever_asked():
    assert core.module_of(["select/store/1", "select/store/2", "parser/3"], [failure("x")], PLACES) == "store"
    assert core.module_of(["select/1", "store"], [], PLACES) is None, "the case's own name is no directory"
    assert core.module_of(["select/1"], [], Places(MODULES, FILES, "parser")) == "parser"


def test_a_task_says_what_fails_with_an_example_side_by_side_and_how_to_check():
    example = failure("sel/[1]", input="```\nSELECT 1;\n", error=TRACEBACK)
    found = core.plan(
        (),
        measured(cause("a", "sel/[1]", "sel/2"), failures=(failure("sel/2", input="x" * 99), example)),
        PLACES,
        None,
    )
    [draft] = found.make
    assert (
        draft.title == "sql, 2 cases: ValueError: bad page"
        and draft.cases == ("sql:sel/[[]1]", "sql:sel/2")
        and draft.module == "store"
    )
    for said in (
        "2 of the cases of suite sql",
        "The smallest, sel/[1]",
        "\n    ```\n    SELECT 1;\n",
        "    ! 1",
        "| 2",
        "ValueError: bad page",
        "run_oracle()",
    ):
        assert said in draft.brief
    assert len(draft.brief) < 8_000


def test_a_cause_with_a_task_and_a_case_in_a_task_get_no_second_one():
    causes = (cause("a", "p/1", "p/2", "p/3"), cause("b", "p/4", "p/5"), cause("c", "p/6"))
    places = Places(MODULES, FILES, "parser")
    tasks = {
        "T1": task("T1", "b", ("sql:p/4",)),
        "T2": task("T2", "d", ("sql:p/1", "sql:p/6"), TaskState.BLOCKED),
    }
    found = core.plan(tasks.values(), measured(*causes), places, None)
    assert found.kept == ["T1"] and [(draft.source, draft.cases) for draft in found.make] == [
        ("oracle:sql:aaaaaaaa", ("sql:p/2", "sql:p/3"))
    ]
    again = core.plan(
        [*tasks.values(), task("T3", "a", ("sql:p/2", "sql:p/3"), TaskState.LEASED)],
        measured(*causes),
        places,
        None,
    )
    assert not again.make and again.kept == ["T3", "T1"]
    done = {id: task(id, one.source[-1], one.cases, TaskState.DONE) for id, one in tasks.items()}
    assert len(core.plan(done.values(), measured(*causes), places, None).make) == 3, (
        "what is over does not stand in the way"
    )


def test_a_limit_is_for_what_is_made_and_ignored_cases_make_none():
    causes = (
        cause("a", "x/1", "x/2"),
        cause("b", "parser/1"),
        cause("c", "parser/2", "parser/3"),
        cause("d", "store/1"),
    )
    found = core.plan((), measured(*causes, ignored=frozenset({"parser/3", "parser/1"})), PLACES, 1)
    assert [draft.cases for draft in found.make] == [("sql:parser/2",)] and found.left_out == 1
    assert [draft.title for draft in found.homeless] == ["sql, 2 cases: ValueError: bad page"]


@pytest.mark.parametrize("state", list(TaskState))
def test_a_task_is_over_once_all_its_cases_pass_and_nobody_holds_it(state: TaskState):
    tasks = {
        "T1": task("T1", "a", ("sql:p/1", "sql:p/2"), state),
        "T2": Task("T2", "x", "", "parser", "r", (), suite="sql", cases=("sql:p/1",)),
    }
    both = {"p/1": "pass", "p/2": "pass"}
    assert [one.id for one in core.over(tasks.values(), "sql", both)] == (
        ["T1"] if state in (TaskState.OPEN, TaskState.BLOCKED) else []
    )
    assert (
        core.over(tasks.values(), "sql", {"p/1": "pass"})
        == core.over(tasks.values(), "sql", {"p/1": "pass", "p/2": "fail"})
        == core.over(tasks.values(), "slt", both)
        == []
    )


@given(st.text(max_size=400), st.text(max_size=400))
def test_whatever_an_engine_prints_a_brief_is_made(output: str, error: str):
    [draft] = core.plan(
        (),
        measured(cause("a", "x", says=error or "x"), failures=(failure("x", output=output, error=error),)),
        Places(MODULES, FILES, "parser"),
        None,
    ).make
    assert draft.brief and len(draft.title) <= 200 and "\n" not in draft.title
