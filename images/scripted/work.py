"""Owns the `work` verb: claim, do, check, land, again. Rule: every answer of the server has its one next
step; main is always where a task starts.
"""

import asyncio
from typing import TYPE_CHECKING

from board import Answer, brief, matches, status_of

if TYPE_CHECKING:
    from player import Player

MATERIALS = "materials"
POLL_S = 1.5  # an idle agent asks seldom: its questions cost the server and the log more than they bring
UPLOAD_PAUSE_S = 0.3
PUSH_TRIES = 5
ORACLE_TRIES = 5
NO_VERDICT = ("refused:commit_unknown", "refused:oracle_broken")
LOST_LEASE = ("refused:stale_fence", "refused:not_leased")


class Surprise(Exception):
    """The world did not answer as the playbook says."""


class Worker:
    def __init__(self, player: "Player") -> None:
        self._player = player

    async def work(self) -> tuple[str, str]:
        """Claim and do tasks until none is left that anybody could do."""
        landed: list[str] = []
        while True:
            lease = await self._player.board.call("claim_task", {})
            if lease["status"] == "leased":
                landed += [lease["task"]["id"]] if await self.do(lease) else []
                continue
            if status_of(lease) != "refused:no_task":
                self._player.tell(0, "work", status_of(lease), brief(lease))
            if not await self.another_free():
                return "finished", f"landed {', '.join(landed) or 'nothing'}"

    async def another_free(self) -> bool:
        """Wait until a task is open that waits for no other. Return False once all have ended."""
        while True:
            tasks = await self._player.tasks()
            if all(task["state"] in ("done", "blocked") for task in tasks):
                return False
            await asyncio.sleep(POLL_S)
            if any(task["state"] == "open" and not task.get("waits_for") for task in tasks):
                return True

    async def do(self, lease: Answer) -> bool:
        """Do the task. Return True once it has landed, False if the lease was lost or the task had to be
        given back.
        """
        task, fence = lease["task"], lease["fence"]
        main = await self._player.main()
        await self._player.git("fetch", "--quiet", "origin")
        await self._player.git("checkout", "--quiet", "--force", "-B", f"task/{task['id']}", main)
        if lease.get("salvage"):
            self._player.tell(0, "work", *await self.take_over(lease["salvage"]))
        if not (self._player.home / MATERIALS / task["id"]).is_dir():
            note = "the playbook has no materials for it"
            await self._player.board.call(
                "release_task", {"fence": fence, "outcome": "blocked", "note": note}
            )
            raise Surprise(f"no materials for {task['id']}")
        await self._player.apply({"apply": task["id"]})
        await self._player.commit({"commit": f"{task['id']}: {task['title']}"})
        self._player.tell(0, "work", "checked", f"{task['id']} {brief(await self.check(fence))}")
        return await self.land(task, fence, main)

    async def check(self, fence: int) -> Answer:
        for _ in range(ORACLE_TRIES):
            args = {"fence": fence, "commit": await self._player.head(), "scope": "task"}
            answer = await self._player.board.call("run_oracle", args)
            if answer["status"] != "broken" and not matches(answer, NO_VERDICT):
                break
            await self.upload()
        return answer

    async def land(self, task: Answer, fence: int, main: str) -> bool:
        for _ in range(PUSH_TRIES):
            summary = f"{task['id']}: {task['title']}"
            args = {"fence": fence, "commit": await self._player.head(), "summary": summary}
            answer = await self._player.board.call("push", args)
            self._player.tell(0, "work", status_of(answer), f"{task['id']} {brief(answer)}")
            if answer["status"] == "landed" or matches(answer, "refused:nothing_to_land"):
                await self._player.board.call("release_task", {"fence": fence, "outcome": "done"})
                return True
            if matches(answer, LOST_LEASE):
                return False
            if matches(answer, ["refused:conflict", "refused:regression", "refused:oracle_failed"]):
                await self.catch_up(task, main)
            await self.upload()
        note = f"{PUSH_TRIES} pushes were refused"
        await self._player.board.call("release_task", {"fence": fence, "outcome": "abandoned", "note": note})
        raise Surprise(f"{task['id']}: {note}, at last: {brief(answer)}")

    async def take_over(self, salvage: Answer) -> tuple[str, str]:
        """Start from another agent's unfinished work where it still merges. Return whether it did, in
        words.
        """
        source = f"{salvage.get('agent', '?')}'s work from {salvage['ref']}"
        fetched = await self._player.run(["git", "fetch", "--quiet", "origin", salvage["ref"]])
        if fetched.returncode == 0:
            merged = await self._player.run(["git", "merge", "--quiet", "--no-edit", "FETCH_HEAD"])
            if merged.returncode == 0:
                return "resumed", source
        await self._player.run(["git", "merge", "--abort"])
        return "not resumed", source

    async def catch_up(self, task: Answer, main: str) -> None:
        """Rebase onto the new main; where that conflicts, the materials are the truth."""
        await self._player.git("fetch", "--quiet", "origin")
        if (await self._player.run(["git", "rebase", "--quiet", main])).returncode != 0:
            await self._player.run(["git", "rebase", "--abort"])
            await self._player.git("reset", "--quiet", "--hard", main)
            await self._player.apply({"apply": task["id"]})
            await self._player.commit({"commit": f"{task['id']}: {task['title']}"})

    async def upload(self) -> None:
        ref = (await self._player.git("config", "--get", "harness.upload")).strip()
        await self._player.run(["git", "push", "--quiet", "--force", "origin", f"HEAD:{ref}"])
        await asyncio.sleep(UPLOAD_PAUSE_S)
