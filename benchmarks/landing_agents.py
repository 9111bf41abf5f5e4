"""Owns the agents of the simulation: each claims over MCP, writes for the time that was dealt to it, uploads by git over HTTP, pushes, and waits for the verdict.

Rule: an agent knows what its doors tell it, and nothing else. One whose change is refused mends it: another time of writing, another
commit, on the same lease.
"""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.door_clients import Wire
from benchmarks.landing_changes import Change, Draws
from benchmarks.landing_git import Bare
from benchmarks.landing_tally import Tally
from benchmarks.project import REPO, Served
from harness.failure import Exit, Failed

OF_THE_CHANGE = ("oracle_failed", "regression", "conflict")  # refusals that its author mends
AGAIN = ("oracle_broken",)  # refusals that say nothing of the change


@dataclass(frozen=True)
class Site:
    """What the agents of a cell share."""

    served: Served
    clones: Bare
    tally: Tally
    first: str  # main before anything landed

    @property
    def git_url(self) -> str:
        return f"{self.served.server.url}/git/{REPO}.git"


class Author:
    """One agent."""

    def __init__(self, site: Site, number: int):
        self._site, self.name = site, f"author-{number}"
        self._token = site.served.admin.create_session(self.name, "command", door=False)["token"]
        self._wire = Wire(int(site.served.server.url.rpartition(":")[2]), self._token)
        self._written = 0

    async def work(self, draws: Draws) -> None:
        """Until cancelled: task after task."""
        author_s = draws.first_author_s()
        try:
            while True:
                lease, landed = await self.claim(), False
                while not landed:
                    await asyncio.sleep(author_s)
                    landed = await self.land(lease, draws.change(lease["task"]["module"]))
                    author_s = draws.author_s()
                await asyncio.to_thread(self.plan, lease["task"]["module"])
        finally:
            self.close()

    async def claim(self) -> dict:
        """A lease, and its base fetched."""
        lease = (await self._wire.call("claim_task")).answer
        if lease.get("status") != "leased":
            raise Failed(f"{self.name} got no task: {lease}", Exit.INFRASTRUCTURE)
        await asyncio.to_thread(self._site.clones.fetch, self._site.git_url, self._token, f"refs/main/{self.name}")
        return lease

    async def land(self, lease: dict, change: Change) -> bool:
        """Whether it landed; False where it was refused for what it is."""
        commit = await asyncio.to_thread(self._upload, lease["base"], change)
        tally, summary = self._site.tally, f"Add {change.path}"
        tally.asked(self, time.monotonic())
        while True:
            answer = (await self._wire.call("push", fence=lease["fence"], commit=commit, summary=summary)).answer
            if answer.get("status") == "landed" or answer.get("code") in OF_THE_CHANGE:
                break
            if answer.get("code") in AGAIN:
                tally.again += 1
            elif answer.get("status") != "testing":
                raise Failed(f"push answered {self.name}: {answer}", Exit.INFRASTRUCTURE)
        landed = answer.get("status") == "landed"
        tally.told(self, time.monotonic(), landed=landed)
        return landed

    def close(self) -> None:
        self._wire.close()

    def _upload(self, base: str, change: Change) -> str:
        commit = self._site.clones.commit(base, {change.path: f"{self.name}\n"}, f"Work on {change.path}", f"refs/work/{self.name}")
        self._site.clones.push(self._site.git_url, self._token, commit, f"refs/agents/{self.name}/work")
        return commit

    def plan(self, module: str) -> None:
        """There is always one more task in the module."""
        self._written += 1
        self._site.served.admin.add_task(f"Go on by {self.name}, {self._written}", module, "Add a file.")
