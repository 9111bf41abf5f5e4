"""Tasks whose result is a text: they hold no path, a report completes them, and everybody finds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server import config

from . import toy, wide
from .conftest import Server
from .test_resources import read
from .wide import refused

REPORT = """+++
id = "{id}"
title = "Find out {id}"
module = "{module}"
result = "report"
priority = -50
+++
Read and report.
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("reports")
    project = wide.project(root / "project")
    for number in range(5):
        (project / f"tasks/r{number}.md").write_text(REPORT.format(id=f"R{number}", module="m01"))
    made = Server(project, root / "state", wide.WAIT_S)
    yield made
    made.stop()


def task(server: Server, id: str) -> dict:
    with server.http() as http:
        return http.get(f"/api/tasks/{id}").json()


def test_a_report_completes_its_task_and_is_found_by_agents_and_people(server: Server):
    one = server.agent("reader")
    claimed = one.call("claim_task", task="R0")
    assert claimed["paths"] == [] and "submit_report" in claimed["check"]
    text = "# Found\n\n" + "All is well. " * 500
    done = one.call("submit_report", fence=claimed["fence"], markdown=text)
    assert (done["status"], done["task"]) == ("reported", "R0")
    assert done == one.call("submit_report", fence=claimed["fence"], markdown=text)
    shown = task(server, "R0")
    assert shown["state"] == "done" and (shown["report"]["agent"], shown["report"]["text"]) == (
        "reader",
        text,
    )
    assert "characters cut" in one.call("read_notes", topic="report/R0")["text"]
    assert read(one, "harness-report://R0") == text
    assert f"R0 Find out R0: reader, {len(text)} characters" in one.call("read_progress")["text"]
    [event] = server.events(kind="report_submitted")
    assert (event["task"], event["agent"], event["data"]["characters"]) == ("R0", "reader", len(text))
    assert [event["data"]["reason"] for event in server.events(kind="lease_ended", task="R0")] == ["reported"]
    assert one.call("release_task", fence=claimed["fence"], outcome="done")["status"] == "released"


def test_a_report_stands_in_nobodys_way_and_changes_nothing(server: Server, tmp_path: Path):
    one, other = server.agent("scout"), server.agent("builder")
    fence = one.call("claim_task", task="R1")["fence"]
    assert other.call("claim_task", task="M01")["status"] == "leased"
    commit = one.commit(one.clone(tmp_path / "one"), {"m01/x": "1\n"})
    patch = "--- /dev/null\n+++ b/m01/x\n@@ -0,0 +1 @@\n+1\n"
    assert (
        "submit_report"
        in refused(one.call("push", fence=fence, patch=patch, summary="x"), "outside_module")["holds"]
    )
    with wide.running(server):
        assert (
            "submit_report"
            in refused(wide.settled(one, "push", fence=fence, commit=commit, summary="x"), "outside_module")[
                "holds"
            ]
        )
    assert one.call("submit_report", fence=fence, markdown="found")["status"] == "reported"


def test_only_the_holder_of_a_report_task_hands_it_in_and_only_once(server: Server):
    one, other = server.agent("author"), server.agent("ghost")
    fence = one.call("claim_task", task="R2")["fence"]
    refused(other.call("submit_report", fence=fence, markdown="mine"), "not_leased")
    for text, code in (("", "bad_request"), (" \n", "bad_request"), ("x" * 60_001, "too_large")):
        refused(one.call("submit_report", fence=fence, markdown=text), code)
    assert task(server, "R2")["state"] == "leased" and task(server, "R2")["report"] is None
    assert one.call("submit_report", fence=fence, markdown="first")["status"] == "reported"
    assert (
        "reported"
        in refused(one.call("submit_report", fence=fence, markdown="second"), "stale_fence")["happened"]
    )
    assert task(server, "R2")["report"]["text"] == "first"


def test_a_task_that_asks_for_a_change_takes_no_report(server: Server):
    one = server.agent("writer")
    fence = one.call("claim_task", task="M02")["fence"]
    assert (
        "asks for a change"
        in refused(one.call("submit_report", fence=fence, markdown="done, I think"), "bad_request")[
            "happened"
        ]
    )
    assert task(server, "M02")["state"] == "leased"


def test_a_report_task_that_is_opened_again_has_its_newest_report(server: Server):
    for number, text in enumerate(("old", "new")):
        one = server.agent(f"again-{number}")
        fence = one.call("claim_task", task="R3")["fence"]
        one.call("submit_report", fence=fence, markdown=text)
        with server.http() as http:
            assert task(server, "R3")["report"]["text"] == text
            http.post("/api/tasks/R3/reopen", json={"reason": "more"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('result = "reports"', "did you mean"),
        ('result = "report"\npaths = ["m01/x"]', "has no paths"),
        ('result = "report"\ncases = ["low/*"]', "has no cases"),
    ],
)
def test_a_task_file_that_asks_for_both_is_refused_with_its_line(tmp_path: Path, line: str, said: str):
    project = toy.repository(
        tmp_path,
        {
            "harness.toml": toy.TOML,
            "tasks/1.md": f'+++\nid = "T1"\ntitle = "t"\nmodule = "shout"\n{line}\n+++\nDo.\n',
        },
    )
    problems = config.load(project / "harness.toml")
    assert isinstance(problems, list) and any(said in str(problem) for problem in problems), problems
