"""A client that is not ours works under the same rules: the official MCP Inspector CLI claims, tests, lands
and releases, with what `harness connect` printed and nothing else; over HTTP and over stdio, in both protocol
eras.
"""

import json
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server import toy

from .conftest import SOURCES, Inspector, Running

pytestmark = [pytest.mark.protocol, pytest.mark.timeout(900)]

ERAS = ("legacy", "modern")
TOOLS = {
    "claim_task",
    "release_task",
    "run_oracle",
    "push",
    "submit_report",
    "list_tasks",
    "create_task",
    "read_progress",
    "read_notes",
    "write_note",
}
NO_AUTH, TOOL_SAID_NO = 3, 5  # the Inspector's exit statuses
TRIES = 5


@dataclass(frozen=True)
class Printed:
    """What `harness connect NAME` printed for a person to copy."""

    config: dict[str, Any]
    clone: str
    upload: str


def connected(running: Running, name: str) -> Printed:
    told = running.told("connect", name)
    config, _ = json.JSONDecoder().raw_decode(told[told.index("{") :])
    lines = told.splitlines()
    clone, upload = (
        next(line for line in lines if line.startswith(start)) for start in ("git clone ", "git push ")
    )
    return Printed(config, clone, upload)


def on_stdio(running: Running, name: str) -> dict[str, Any]:
    command, *args = running.harness("connect", name, "--stdio")
    return {
        "mcpServers": {"harness": {"type": "stdio", "command": command, "args": args, "cwd": str(SOURCES)}}
    }


def shell(line: str, cwd: Path) -> None:
    done = subprocess.run(shlex.split(line), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def until_settled(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The same call again while the answer is that the work goes on."""
    answer = ask()
    for _ in range(TRIES):
        if answer["status"] not in ("running", "testing"):
            break
        answer = ask()
    return answer


def committed(printed: Printed, where: Path) -> str:
    """A clone and an upload by the printed commands, with the work between them that makes the task's cases
    pass.
    """
    where.mkdir()
    shell(printed.clone, where)
    clone = where / "toy"
    (clone / "shout" / "filter").write_text("FROM=a-z TO=A-Z\n")
    toy.git("add", "--all", cwd=clone)
    toy.git(
        "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message=shout", cwd=clone
    )
    shell(printed.upload, clone)
    return toy.git("rev-parse", "HEAD", cwd=clone)


def works(inspector: Inspector, printed: Printed, era: str, where: Path) -> str:
    """Claim, test, land and release; the commit that is main now."""
    claimed = inspector.call("claim_task", task="T01", era=era)
    assert (claimed.exit, claimed.value["status"]) == (0, "leased"), claimed
    fence = claimed.value["fence"]
    commit = committed(printed, where)
    judged = until_settled(
        lambda: inspector.call("run_oracle", fence=fence, commit=commit, scope="task", era=era).value
    )
    assert judged["status"] == "passed", judged
    assert judged["suites"]["words"]["counts"]["passed"] == 2, judged
    landed = until_settled(
        lambda: inspector.call("push", fence=fence, commit=commit, summary="Shout", era=era).value
    )
    assert landed["status"] == "landed", landed
    released = inspector.call("release_task", fence=fence, outcome="done", era=era)
    assert (released.exit, released.value["status"]) == (0, "released"), released
    return landed["main"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_a_foreign_client_lists_claims_tests_lands_and_releases(
    way: str, era: str, running: Running, inspect, tmp_path: Path
) -> None:
    printed = connected(running, "alice")
    inspector = inspect(printed.config if way == "http" else on_stdio(running, "alice"))
    listed = inspector("tools/list", "--strict", era=era)
    assert listed.exit == 0, listed.errors
    assert {tool["name"] for tool in listed.answer["result"]["tools"]} == TOOLS
    main = works(inspector, printed, era, tmp_path / "work")
    status = json.loads(running.told("status", "--json"))
    assert (status["main"]["toy"], status["tasks"]["done"], status["landings"]) == (main, 1, 1)


@pytest.mark.parametrize("era", ERAS)
def test_a_refusal_is_an_error_that_says_what_to_do_next(era: str, running: Running, inspect) -> None:
    first = inspect(connected(running, "alice").config).call("claim_task", task="T01", era=era)
    assert first.exit == 0, first
    second = inspect(connected(running, "bob").config).call("claim_task", task="T01", era=era)
    assert (second.exit, second.value["code"]) == (TOOL_SAID_NO, "held")
    assert "alice" in second.value["holds"]
    assert "claim_task(task='T02')" in second.value["next"]


def test_a_client_without_a_token_is_told_where_one_is_made(running: Running, inspect) -> None:
    entry = {"type": "http", "url": f"{running.url}/mcp", "headers": {"Authorization": "Bearer nonsense"}}
    said = inspect({"mcpServers": {"harness": entry}})("tools/list", era="legacy")
    assert said.exit == NO_AUTH
    assert "harness connect NAME" in said.errors


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_a_foreign_client_without_git_reads_main_and_lands_a_patch(
    way: str, era: str, running: Running, inspect
):
    inspector = inspect(connected(running, "alice").config if way == "http" else on_stdio(running, "alice"))
    templates = inspector("resources/templates/list", era=era).answer["result"]["resourceTemplates"]
    assert "harness://{repo}/{+path}" in [template["uriTemplate"] for template in templates]
    listed = inspector("resources/read", "--uri", "harness://toy/shout/", era=era)
    assert (listed.exit, listed.answer["result"]["contents"][0]["text"]) == (0, "README"), listed
    fence = inspector.call("claim_task", task="T01", era=era).value["fence"]
    patch = "--- /dev/null\n+++ b/shout/filter\n@@ -0,0 +1 @@\n+FROM=a-z TO=A-Z\n"
    landed = until_settled(
        lambda: inspector.call("push", fence=fence, patch=patch, summary="Shout", era=era).value
    )
    assert landed["status"] == "landed", landed
    read = inspector("resources/read", "--uri", "harness://toy/shout/filter", era=era)
    assert read.answer["result"]["contents"][0]["text"] == "FROM=a-z TO=A-Z\n"
