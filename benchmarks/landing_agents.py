"""Owns the agents of the simulation: each claims over MCP, writes for the time that was dealt to it, uploads
by git over HTTP, pushes, and waits for the verdict.

Rule: an agent knows what its doors tell it, and nothing else. One whose change is refused mends it: another
time of writing, another commit, on the same lease.
"""

import asyncio
import time

from benchmarks.door_clients import Wire
from benchmarks.landing_changes import Change, Draws
from benchmarks.landing_site import Site
from harness.failure import Exit, VerbFailed
from mcp_server.wire.tasks import TaskProposal

OF_THE_CHANGE = ("oracle_failed", "regression", "conflict")  # refusals that its author mends
AGAIN = ("oracle_broken",)  # refusals that say nothing of the change


class Author:
    """One agent."""

    def __init__(self, site: Site, number: int):
        self._site, self.name = site, f"author-{number}"
        grant = site.served.admin.create_session(self.name, "command", door=False)
        self._session, self._token = grant.session, grant.token
        self._wire = Wire(int(site.served.server.url.rpartition(":")[2]), self._token)

    async def work(self, draws: Draws) -> None:
        """Until cancelled: task after task."""
        author_s = draws.first_author_s()
        try:
            while True:
                lease, landed = await self.claim(), False
                while not landed:
                    self.close()  # the server gives up a connection that nobody uses for so long
                    await asyncio.sleep(author_s)
                    landed = await self.land(lease, draws.change(lease["task"]["module"]))
                    author_s = draws.author_s()
                await asyncio.to_thread(self.plan, lease)
        finally:
            self.close()

    async def claim(self) -> dict:
        """A lease, and its base fetched."""
        lease = (await self._wire.call("claim_task")).answer
        if lease.get("status") != "leased":
            raise VerbFailed(f"{self.name} got no task: {lease}", Exit.INFRASTRUCTURE)
        await asyncio.to_thread(
            self._site.clones.fetch, self._site.git_url, self._token, f"refs/main/{self.name}"
        )
        return lease

    async def land(self, lease: dict, change: Change) -> bool:
        """Whether it landed; False where it was refused for what it is."""
        commit = await asyncio.to_thread(self._upload, lease, change)
        tally, summary = self._site.tally, f"Write {change.path}"
        tally.asked(self, time.monotonic())
        while True:
            answer = (
                await self._wire.call("push", fence=lease["fence"], commit=commit, summary=summary)
            ).answer
            if answer.get("status") == "landed" or answer.get("code") in OF_THE_CHANGE:
                break
            if answer.get("code") in AGAIN:
                tally.again += 1
            elif answer.get("status") != "testing":
                raise VerbFailed(f"push answered {self.name}: {answer}", Exit.INFRASTRUCTURE)
        landed = answer.get("status") == "landed"
        tally.told(self, time.monotonic(), landed=landed)
        return landed

    def close(self) -> None:
        self._wire.close()

    def end(self) -> None:
        self._site.served.admin.end_session(self._session, "worked")

    def _upload(self, lease: dict, change: Change) -> str:
        commit = self._site.clones.commit(
            lease["base"],
            {change.path: f"{self.name} under fence {lease['fence']}\n"},
            f"Work on {change.path}",
            f"refs/work/{self.name}",
        )
        self._site.clones.push(
            self._site.git_url, self._token, commit, f"refs/agents/{self.name}/{self._session}"
        )
        return commit

    def plan(self, lease: dict) -> None:
        """There is always one more task in the module."""
        task = lease["task"]
        self._site.served.admin.add_task(
            TaskProposal(title=f"Go on after {task['id']}", module=task["module"], brief="Write a file.")
        )
