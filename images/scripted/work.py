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
LOST_LEASE = ("refused:stale_fence", "refused:not_leased")


class Surprise(Exception):
    """The world did not answer as the playbook says."""


class Worker:
    def __init__(self, player: "Player") -> None:
        self._player = player

    async def work(self) -> tuple[str, str]:
        """Claims and does tasks until none is left that anybody could do."""
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
        """Waits until a task is open that waits for no other; False once all have ended."""
        while True:
            tasks = await self._player.tasks()
            if all(task["state"] in ("done", "blocked") for task in tasks):
                return False
            await asyncio.sleep(POLL_S)
            if any(task["state"] == "open" and not task.get("waits_for") for task in tasks):
                return True

    async def do(self, lease: Answer) -> bool:
        """True once it has landed; False if the lease was lost or the task had to be given back."""
        task, fence = lease["task"], lease["fence"]
        main = await self._player.main()
        await self._player.git("fetch", "--quiet", "origin")
        await self._player.git("checkout", "--quiet", "--force", "-B", f"task/{task['id']}", main)
        if lease.get("salvage"):
            self._player.tell(0, "work", *await self.take_over(lease["salvage"]))
        if not (self._player.home / MATERIALS / task["id"]).is_dir():
            await self._player.board.call(
                "release_task",
                {"fence": fence, "outcome": "blocked", "note": "the playbook has no materials for it"},
            )
            raise Surprise(f"no materials for {task['id']}")
        await self._player.apply({"apply": task["id"]})
        await self._player.commit({"commit": f"{task['id']}: {task['title']}"})
        self._player.tell(0, "work", "checked", f"{task['id']} {brief(await self.checked(fence))}")
        return await self.land(task, fence, main)

    async def checked(self, fence: int) -> Answer:
        for _ in range(ORACLE_TRIES):
            answer = await self._player.board.call(
                "run_oracle", {"fence": fence, "commit": await self._player.head(), "scope": "task"}
            )
            if answer["status"] != "broken" and not matches(
                answer, ["refused:commit_unknown", "refused:oracle_broken"]
            ):
                break
            await self.upload()
        return answer

    async def land(self, task: Answer, fence: int, main: str) -> bool:
        for _ in range(PUSH_TRIES):
            answer = await self._player.board.call(
                "push",
                {
                    "fence": fence,
                    "commit": await self._player.head(),
                    "summary": f"{task['id']}: {task['title']}",
                },
            )
            self._player.tell(0, "work", status_of(answer), f"{task['id']} {brief(answer)}")
            if answer["status"] == "landed" or matches(answer, "refused:nothing_to_land"):
                await self._player.board.call("release_task", {"fence": fence, "outcome": "done"})
                return True
            if matches(answer, LOST_LEASE):
                return False
            if matches(answer, ["refused:conflict", "refused:regression", "refused:oracle_failed"]):
                await self.catch_up(task, main)
            await self.upload()
        await self._player.board.call(
            "release_task",
            {"fence": fence, "outcome": "abandoned", "note": f"{PUSH_TRIES} pushes were refused"},
        )
        raise Surprise(f"{task['id']}: {PUSH_TRIES} pushes were refused, at last: {brief(answer)}")

    async def take_over(self, salvage: Answer) -> tuple[str, str]:
        """Starts from another agent's unfinished work where it still merges."""
        fetched = await self._player.run(["git", "fetch", "--quiet", "origin", salvage["ref"]])
        merged = (
            fetched.returncode == 0
            and (await self._player.run(["git", "merge", "--quiet", "--no-edit", "FETCH_HEAD"])).returncode
            == 0
        )
        if not merged:
            await self._player.run(["git", "merge", "--abort"])
        return (
            "resumed" if merged else "not resumed",
            f"{salvage.get('agent', '?')}'s work from {salvage['ref']}",
        )

    async def catch_up(self, task: Answer, main: str) -> None:
        """Onto the new main; where that conflicts, the materials are the truth."""
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
