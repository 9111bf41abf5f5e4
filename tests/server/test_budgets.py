"""What an agent's context pays: the tools' schemas in tokens, and each tool's answer in characters, at their
worst.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.core.task import Task
from mcp_server.edge.mcp_tools import tools
from mcp_server.store import tasks as task_rows
from tests.waiting import until

from . import toy, wide
from .conftest import Server
from .test_tools import in_client
from .wide import settled

SCHEMA_TOKENS_MAX = 2_500
# Real tokenizers (cl100k, o200k, and one of a Claude-like vocabulary) have 3.5 to 3.6 characters of these
# schemas a token.
CHARACTERS_A_TOKEN = 3
INSTRUCTIONS_CHARACTERS_MAX = 2_048  # what comes after is cut by one client, silently
ANSWER_CHARACTERS_MAX = 8_000
ORACLE_CHARACTERS_MAX = 4_000
LONG = "x" * 20_000
ODD = '\N{SNOWMAN}"\\\n' * 3_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("budgets")
    project = wide.project(root / "project", brief="A long brief. " * 1_500)
    for number in range(60):
        case = project / f"oracle/cases/low/{'long-name-' * 12}{number}.txt"
        case.write_text(f"{number} " + "low and \N{SNOWMAN} " * 500 + "\n")
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "cases", cwd=project)
    made = Server(project, root / "state", wide.WAIT_S)
    assert made.world is not None
    with made.world.store.write() as tx:
        for number in range(500):
            task_rows.add(
                tx,
                Task(
                    f"N{number}",
                    f"{number} {'t' * 190}",
                    "b" * 8_000,
                    "m09",
                    "toy",
                    (f"m09/{'p' * 300}{number}",),
                ),
            )
    with wide.running(made):
        yield made
    made.stop()


def size(answer: dict) -> int:
    """Of the text; the structure beside it says the same."""
    assert answer["text"].strip()
    return len(answer["text"])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_schemas_of_all_tools_and_the_instructions_are_within_their_budget(server: Server, mode: str):
    one = server.agent(f"counter-{mode}")
    one.mode = mode
    listed, said = in_client(one, _told)
    text = json.dumps(
        [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools],
        ensure_ascii=False,
    )
    assert (len(text) + len(said)) / CHARACTERS_A_TOKEN < SCHEMA_TOKENS_MAX
    assert len(said) < INSTRUCTIONS_CHARACTERS_MAX and said == tools.INSTRUCTIONS
    assert all(len(tool.description or "") < 500 for tool in listed.tools)


async def _told(client):
    return await client.list_tools(), client.instructions


def test_a_claim_of_a_task_with_a_long_brief_and_many_failing_cases_fits(server: Server):
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])
    one = server.agent("claimer")
    for number in range(3):
        one.call("write_note", topic=f"m00/{number}", text=ODD[:4_000])
    claimed = one.call("claim_task", task="M00")
    assert claimed["failing"] == 62 and size(claimed) <= ANSWER_CHARACTERS_MAX
    assert claimed["fence"] and claimed["check"] and claimed["paths"] == ["m00/**"]


def test_an_oracle_run_with_many_long_failures_fits(server: Server, tmp_path: Path):
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])
    one = server.agent("tester")
    commit = one.commit(one.clone(tmp_path / "one"), {"m01/x": "1\n"})
    told = settled(one, "run_oracle", commit=commit, scope="full")
    # Main fails them too, so that nothing holds the change up.
    assert told["status"] == "passed" and told["suites"]["words"]["counts"]["failed"] == 62
    assert size(told) <= ORACLE_CHARACTERS_MAX


@pytest.mark.parametrize("tool", ["list_tasks", "read_progress", "read_notes"])
def test_what_lists_hundreds_of_things_fits_and_says_what_is_left_out(server: Server, tool: str):
    one = server.agent("lister")
    for number in range(12):
        one.call("write_note", topic=f"{tool}/{number}", text=ODD[:4_000])
    assert size(one.call(tool)) <= ANSWER_CHARACTERS_MAX


@pytest.mark.parametrize("text", [LONG, ODD], ids=["long", "odd"])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("claim_task", {"task": "?"}),
        ("claim_task", {"module": "?"}),
        ("release_task", {"fence": 1, "outcome": "blocked", "note": "?"}),
        ("release_task", {"fence": 1, "outcome": "?"}),
        ("run_oracle", {"cases": ["?"]}),
        ("run_oracle", {"commit": "?"}),
        ("push", {"fence": 1, "commit": "?", "summary": "?"}),
        ("push", {"fence": 1, "patch": "?", "summary": "s"}),
        ("push", {"fence": 1, "base": "?", "patch": "?", "summary": "s"}),
        ("submit_report", {"fence": 1, "markdown": "?"}),
        ("create_task", {"title": "?", "module": "m05", "brief": "b"}),
        ("create_task", {"title": "t", "module": "?", "brief": "b", "needs": ["?"] * 20}),
        ("create_task", {"title": "t", "module": "m05", "brief": "b", "paths": ["?"] * 20}),
        ("read_notes", {"topic": "?"}),
        ("write_note", {"topic": "?", "text": "?"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_huge_argument_is_not_told_back_at_length(server: Server, tool: str, arguments: dict, text: str):
    one = server.agent("holder")
    held = {"fence": one.call("claim_task", task="M02")["fence"]} if "fence" in arguments else {}
    huge = {
        name: [text] * len(value) if isinstance(value, list) else text if value == "?" else value
        for name, value in arguments.items()
    }
    assert size(one.call(tool, **huge | held)) <= ANSWER_CHARACTERS_MAX


def test_a_patch_over_hundreds_of_long_paths_is_refused_in_few_words(server: Server):
    one = server.agent("sprawler")
    fence = one.call("claim_task", task="M03")["fence"]
    for where in ("elsewhere", "oracle", "m03/.git"):
        patch = "".join(
            f"--- /dev/null\n+++ b/{where}/{'d' * 200}/{'f' * 200}{number}\n@@ -0,0 +1 @@\n+1\n"
            for number in range(300)
        )
        answer = one.call("push", fence=fence, patch=patch, summary="s")
        assert answer["status"] == "refused" and size(answer) <= ANSWER_CHARACTERS_MAX
