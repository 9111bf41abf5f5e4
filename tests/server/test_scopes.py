"""What a run covers: the cases that a task, a module or a caller names, in one suite or several, a sample, or
everything.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.store import jobs as job_rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases.oracle import scopes

from . import toy, wide
from .conftest import Agent, Server
from .wide import refused, settled

MANY = 640
TOML = (
    toy.TOML.replace(
        '[modules.count]\nrepo = "toy"', '[modules.count]\ncases = ["n/00*", "letters:*"]\nrepo = "toy"'
    )
    + """
[oracle.letters]
kind = "differential"
repo = "toy"
cases = ["letters/*.txt"]
candidate = "sh main.sh"
reference = "cat"
protect = ["letters/**"]

[oracle.unit]
kind = "command"
repo = "toy"
command = "true"
"""
)


def entries(id: str, module: str, cases: list[str]) -> str:
    return toy.task(id, module, cases=cases).replace(
        'suite = "words"', 'suite = "words"' if any(":" not in case for case in cases) else ""
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("scopes")
    files = {
        "harness.toml": TOML,
        "main.sh": toy.MAIN,
        "shout/README": "x\n",
        "count/README": "x\n",
        **{f"oracle/cases/n/{number:04}.txt": f"{number}\n" for number in range(MANY)},
        **{f"letters/{name}.txt": f"{name}\n" for name in "abc"},
        "tasks/1.md": entries("T01", "shout", ["n/001?", "letters:[ab]"]),
        "tasks/2.md": entries("T02", "shout", ["unit:*"]),
        "tasks/3.md": entries("T03", "shout", ["letters:*"]),
        "tasks/4.md": entries("T04", "count", ["n/0005"]),
    }
    made = Server(toy.repository(root / "project", files), root / "state", 0.1)
    yield made
    made.stop()


@pytest.fixture
def holding(server: Server, tmp_path: Path) -> Iterator:
    """Claims a task, uploads a commit, and asks for runs; answers with the cases of each, None where the
    tests say which they are.
    """
    held: list[tuple[Agent, int]] = []

    def ask(name: str, task: str, **wanted) -> dict[str, list[str]]:
        one = server.agent(name)
        claimed = one.call("claim_task", task=task)
        if not held:
            one.commit(one.clone(tmp_path / name), {f"{claimed['task']['module']}/x": f"{name} {task}\n"})
        held.append((one, claimed["fence"]))
        answer = one.call("run_oracle", fence=claimed["fence"], **wanted)
        assert answer["status"] == "running", answer
        with server.world.store.read() as tx:
            return {suite: sorted(job_rows.get(tx, job).todo) for suite, job in answer["jobs"].items()}

    yield ask
    one, fence = held[0]
    one.call("release_task", fence=fence, outcome="abandoned")


def numbers(*found: int) -> list[str]:
    return [f"n/{number:04}" for number in found]


def test_a_task_runs_what_it_names_in_each_suite(holding):
    assert holding("one", "T01") == {"words": numbers(*range(10, 20)), "letters": ["a", "b"]}


def test_a_whole_suite_can_be_named_and_a_command_suite_runs_whole(holding):
    assert holding("two", "T02") == {"unit": []}


def test_a_module_runs_its_own_cases(holding):
    assert holding("three", "T04", scope="module") == {
        "words": numbers(*range(100)),
        "letters": ["a", "b", "c"],
    }


def test_a_module_that_names_none_runs_those_of_all_its_tasks(holding):
    assert holding("four", "T03", scope="module") == {
        "words": numbers(*range(10, 20)),
        "letters": ["a", "b", "c"],
        "unit": [],
    }


def test_full_runs_everything(holding):
    found = holding("five", "T01", scope="full")
    assert found == {"words": numbers(*range(MANY)), "letters": ["a", "b", "c"], "unit": []}


def test_fast_has_the_tasks_own_cases_and_a_sample_that_is_the_agents_own(server: Server, holding):
    found = holding("six", "T01", scope="fast")
    assert found == holding("six", "T01", scope="fast"), "the same every time"
    own = set(numbers(*range(10, 20)))
    assert (
        own <= set(found["words"])
        and len(found["words"]) == 10 + (MANY - 10) // 10
        and found["letters"] == ["a", "b", "c"]
        and found["unit"] == []
    )
    other = samples(server, "seven")
    assert len(set(found["words"]) - own) == len(other - own) and set(found["words"]) != other


def samples(server: Server, agent: str) -> set[str]:
    with server.world.store.read() as tx:
        task = task_rows.get(tx, "T01")
    return set(scopes.chosen(server.world, agent, "toy", task, scope="fast")["words"] or ())


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        (["n/0000"], {"words": numbers(0)}),
        (["letters:*", "n/0001"], {"words": numbers(1), "letters": ["a", "b", "c"]}),
        (["a"], {"letters": ["a"]}),
        (["words:a", "letters:b"], {"letters": ["b"]}),
        (["unit:*", "words:n/000[0-2]"], {"unit": [], "words": numbers(0, 1, 2)}),
    ],
)
def test_a_caller_names_globs_of_one_suite_or_of_all(holding, cases: list[str], found: dict):
    assert holding("eight", "T01", cases=cases) == found


def test_a_suite_that_is_none_is_refused_by_name_and_so_are_too_many_globs(server: Server, tmp_path: Path):
    one = server.agent("nine")
    fence = one.call("claim_task", task="T01")["fence"]
    one.commit(one.clone(tmp_path / "nine"), {"shout/x": "nine\n"})
    assert (
        "no suite 'slt'"
        in refused(one.call("run_oracle", fence=fence, cases=["slt:*"]), "bad_request")["happened"]
    )
    assert (
        "more than"
        in refused(one.call("run_oracle", fence=fence, cases=["a"] * 300), "bad_request")["happened"]
    )
    told = refused(
        one.call("create_task", title="t", module="shout", brief="b", cases=["slt:*"]), "bad_request"
    )
    assert "'slt'" in told["happened"] and "words, letters, unit" in told["happened"]
    made = one.call("create_task", title="t", module="shout", brief="b", cases=["letters:*"])
    assert made["status"] == "created"
    one.call("release_task", fence=fence, outcome="abandoned")


def test_the_gate_wants_the_cases_that_a_task_names_in_a_suite_that_is_not_its_own(tmp_path: Path):
    text = TOML.partition("[oracle.unit]")[0].replace('reference = "cat"', 'reference = "tr b B"')
    project = toy.project(tmp_path / "project", text)
    (project / "letters").mkdir()
    (project / "letters/one.txt").write_text("abc\n")
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "letters", cwd=project)
    (project / "tasks/5.md").write_text(entries("T05", "shout", ["letters:*", "words:up/*"]))
    made = Server(project, tmp_path / "state", wide.WAIT_S)
    try:
        with wide.running(made):
            one = made.agent("ten")
            clone = one.clone(tmp_path / "ten")
            fence = one.call("claim_task", task="T05")["fence"]
            without = one.commit(clone, {"shout/x": "1\n"})
            told = refused(settled(one, "push", fence=fence, commit=without, summary="x"), "oracle_failed")
            assert "1 cases that the task names do not pass: one" in told["happened"]
            assert one.call("claim_task")["failing_cases"] == ["letters:one"]
            commit = one.commit(clone, {"shout/filter": "FROM=b\nTO=B\n"})
            assert settled(one, "push", fence=fence, commit=commit, summary="x")["status"] == "landed"
    finally:
        made.stop()
