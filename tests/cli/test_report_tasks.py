"""A person reads what an agent has found: `harness tasks show` has the report of a task."""

import json
from pathlib import Path

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.waiting import BOUND_S

from .conftest import Verb, running_server

TASK = '+++\nid = "R1"\ntitle = "Find out"\nmodule = "pkg"\nresult = "report"\n+++\nRead and report.\n'


def test_a_report_is_shown_with_its_task(harness: Verb, project: Path) -> None:
    (project / "tasks" / "r1.md").write_text(TASK)
    with running_server(project):
        door = json.loads(harness("connect", "alice", "--json").stdout)

        async def report() -> None:
            async with (
                httpx2.AsyncClient(
                    headers={"Authorization": f"Bearer {door['token']}"}, timeout=BOUND_S
                ) as http,
                Client(streamable_http_client(door["mcp_url"], http_client=http)) as alice,
            ):
                fence = (await alice.call_tool("claim_task", {"task": "R1"})).structured_content["fence"]
                await alice.call_tool(
                    "submit_report", {"fence": fence, "markdown": "# Found\n\nAll is well."}
                )

        assert "report by" not in harness("tasks", "show", "R1").stdout
        anyio.run(report)
        shown = harness("tasks", "show", "R1").stdout
    assert "state: done" in shown
    assert "Read and report.\n\nreport by alice:\n\n# Found\n\nAll is well." in shown
