"""Owns the playing of a playbook: an agent without a model. Rule: one verb per step, one JSON line per step,
and the first surprise ends it with exit 1.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from board import Answer, Board, ServerAway, brief, matches, status_of
from work import Surprise, Worker

MATERIALS = "materials"
POLL_S = 0.3
AWAIT_TIMEOUT_S = 60.0
SHELL_TIMEOUT_S = 600.0
DETAIL_MAX = 400
MODIFIERS = ("if_status", "save", "expect", "expect_exit", "timeout_s", "args", "text", "state")

Step = dict[str, Any]


class Player:
    def __init__(self, board: Board, home: Path, work: Path) -> None:
        self.board, self.home, self.work = board, home, work
        self.saved: dict[str, Answer] = {}
        self.began = time.monotonic()
        self.verbs: dict[str, Callable[[Step], Awaitable[tuple[str, str]]]] = {
            "call": self.call,
            "shell": self.shell,
            "apply": self.apply,
            "commit": self.commit,
            "note": self.note,
            "await_note": self.await_note,
            "await_task": self.await_task,
            "say": self.say,
            "hang": self.hang,
            "resume": self.resume,
            "work": self.work_all,
        }

    async def play(self, steps: list[Step]) -> int:
        for number, step in enumerate(steps, 1):
            verb = next((verb for verb in self.verbs if verb in step), None)
            try:
                if verb is None:
                    raise Surprise(f"no verb in {sorted(step)}; verbs are {', '.join(self.verbs)}")
                if unknown := set(step) - set(MODIFIERS) - {verb}:
                    raise Surprise(f"unknown keys: {', '.join(sorted(unknown))}")
                if not self.applies(step):
                    self.tell(number, verb, "skipped", "")
                    continue
                status, detail = await self.verbs[verb](step)
            except (Surprise, ServerAway, subprocess.TimeoutExpired, OSError) as surprise:
                self.tell(number, verb or "?", "unexpected", str(surprise))
                return 1
            self.tell(number, verb, status, detail)
        return 0

    def tell(self, step: int, verb: str, status: str, detail: str) -> None:
        ms = round((time.monotonic() - self.began) * 1000)
        line = {"t": ms, "step": step, "verb": verb, "status": status, "detail": detail[:DETAIL_MAX]}
        print(json.dumps(line), flush=True)

    def applies(self, step: Step) -> bool:
        conditions = step.get("if_status", {}).items()
        return all(name in self.saved and matches(self.saved[name], status) for name, status in conditions)

    # -- verbs

    async def call(self, step: Step) -> tuple[str, str]:
        answer = await self.board.call(step["call"], self.filled(step.get("args", {})))
        if "save" in step:
            self.saved[step["save"]] = answer
        expected = step.get("expect")
        if expected is None:
            is_good = answer["status"] not in ("refused", "error")
        else:
            is_good = matches(answer, expected)
        if not is_good:
            surprise = f"expected {expected or 'no refusal'}, got {status_of(answer)}: {brief(answer)}"
            raise Surprise(f"{step['call']}: {surprise}")
        return status_of(answer), f"{step['call']} {brief(answer)}"

    async def shell(self, step: Step) -> tuple[str, str]:
        ended = await self.run(["/bin/sh", "-c", step["shell"]])
        expected = step.get("expect_exit", 0)
        good = ended.returncode != 0 if expected == "nonzero" else ended.returncode == expected
        tail = ended.stdout.decode(errors="replace").strip()[-DETAIL_MAX:]
        if not good:
            raise Surprise(f"{step['shell']}: exit {ended.returncode}, expected {expected}: {tail}")
        return f"exit {ended.returncode}", tail

    async def apply(self, step: Step) -> tuple[str, str]:
        source = self.home / MATERIALS / step["apply"]
        if not source.is_dir():
            raise Surprise(f"no materials {step['apply']}")
        await asyncio.to_thread(shutil.copytree, source, self.work, dirs_exist_ok=True)
        return "applied", step["apply"]

    async def commit(self, step: Step) -> tuple[str, str]:
        await self.git("add", "-A")
        if (await self.run(["git", "diff", "--cached", "--quiet"])).returncode == 0:
            return "nothing", "no change to commit"
        await self.git("commit", "--quiet", "-m", step["commit"])
        return "committed", await self.head()

    async def note(self, step: Step) -> tuple[str, str]:
        kept = {key: step[key] for key in ("save", "expect") if key in step}
        args = {"topic": step["note"], "text": step.get("text", "-")}
        return await self.call({"call": "write_note", "args": args, **kept})

    async def await_note(self, step: Step) -> tuple[str, str]:
        topic = step["await_note"]

        async def there() -> str | None:
            text = str((await self.board.call("read_notes", {"topic": topic})).get("text", ""))
            return next((line for line in text.splitlines() if line.startswith(topic)), None)

        return "there", await self.until(there, step, f"no note on {topic}")

    async def await_task(self, step: Step) -> tuple[str, str]:
        state = step.get("state", "done")

        async def there() -> str | None:
            task = next((task for task in await self.tasks() if task["id"] == step["await_task"]), None)
            if task is None:
                raise Surprise(f"there is no task {step['await_task']}")
            return f"{task['id']} is {state}" if task["state"] == state else None

        return state, await self.until(there, step, f"{step['await_task']} is not {state}")

    async def say(self, step: Step) -> tuple[str, str]:
        return "said", step["say"]

    async def hang(self, step: Step) -> tuple[str, str]:
        self.tell(0, "hang", "hanging", "until it is killed")
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    async def resume(self, step: Step) -> tuple[str, str]:
        lease = self.saved.get(step["resume"])
        if lease is None:
            raise Surprise(f"{step['resume']} was never saved")
        if not lease.get("salvage"):
            return "nothing", "no work to resume from"
        return await Worker(self).take_over(lease["salvage"])

    async def work_all(self, step: Step) -> tuple[str, str]:
        return await Worker(self).work()

    # -- the world

    async def tasks(self) -> list[Answer]:
        return (await self.board.call("list_tasks", {})).get("tasks", [])

    async def until(self, there: Callable[[], Awaitable[str | None]], step: Step, what: str) -> str:
        timeout_s = step.get("timeout_s", AWAIT_TIMEOUT_S)
        deadline = time.monotonic() + timeout_s
        while (found := await there()) is None:
            if time.monotonic() > deadline:
                raise Surprise(f"{what} after {timeout_s} s")
            await asyncio.sleep(POLL_S)
        return found

    async def run(self, argv: list[str]) -> subprocess.CompletedProcess:
        # So that $head works in a shell step.
        env = {**os.environ, "head": await asyncio.to_thread(head_of, self.work)}
        return await asyncio.to_thread(
            subprocess.run,
            argv,
            cwd=self.work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SHELL_TIMEOUT_S,
            check=False,
        )

    async def git(self, *argv: str) -> str:
        ended = await self.run(["git", *argv])
        text = ended.stdout.decode(errors="replace")
        if ended.returncode != 0:
            raise Surprise(f"git {' '.join(argv)}: exit {ended.returncode}: {text.strip()}")
        return text

    async def head(self) -> str:
        return await asyncio.to_thread(head_of, self.work)

    async def main(self) -> str:
        return (await self.git("rev-parse", "--abbrev-ref", "origin/HEAD")).strip()

    def filled(self, value: Any) -> Any:
        """Replace every "$head" and "$name.key.key" by what it stands for."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not (isinstance(value, str) and value.startswith("$")):
            return value
        name, *keys = value[1:].split(".")
        meaning: Any = head_of(self.work) if name == "head" else self.saved.get(name)
        for key in keys:
            meaning = meaning.get(key) if isinstance(meaning, dict) else None
        if meaning is None:
            raise Surprise(f"{value} stands for nothing")
        return meaning


def head_of(work: Path) -> str:
    ended = subprocess.run(["git", "rev-parse", "HEAD"], cwd=work, capture_output=True, check=False)
    return ended.stdout.decode().strip()


async def play(playbook: Path) -> int:
    steps = tomllib.loads(playbook.read_text(encoding="utf-8")).get("step", [])
    async with Board(os.environ["HARNESS_MCP_URL"], os.environ["HARNESS_TOKEN"]) as board:
        return await Player(board, Path.home(), Path.cwd()).play(steps)


if __name__ == "__main__":
    sys.exit(asyncio.run(play(Path(sys.argv[1]))))
