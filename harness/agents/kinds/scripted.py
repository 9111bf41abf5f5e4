"""Owns kind "scripted": the player plays a playbook, then, after a death, the playbook's `.again` sibling.

Rule: pure.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from harness.agents.base import HOME, AgentEvent, AgentKind, Launch, Mark, ProjectFile, Seat
from mcp_server.config import AgentSpec

PLAYER = "/opt/harness/player.py"
PLAYBOOK = "playbook.toml"
AGAIN = "again.toml"
MATERIALS = "materials"
CALLS = ("call", "note", "await_note", "await_task", "work")  # the verbs of steps that use a tool


class Player:
    def probe(self, spec: AgentSpec) -> str:
        return "/usr/bin/python3"

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]:
        playbook = _named(seat.spec.playbook or "playbooks/{agent}.toml", seat)
        files = [ProjectFile(playbook, PLAYBOOK)]
        if seat.number > 1:
            files.append(ProjectFile(_again(playbook), AGAIN, required=False))
        if seat.spec.materials:
            files.append(ProjectFile(_named(seat.spec.materials, seat), MATERIALS))
        return tuple(files)

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        playbook = AGAIN if AGAIN in files else PLAYBOOK
        return Launch(("/usr/bin/python3", PLAYER, str(HOME / playbook)), dict(seat.spec.env), dict(files))

    def parse(self, line: str) -> AgentEvent | None:
        """Return what a line of the player tells: {"t", "step", "verb", "status", "detail"}."""
        try:
            step = json.loads(line)
        except ValueError:
            return AgentEvent(Mark.SAID, line) if line.strip() else None
        if not isinstance(step, dict) or "verb" not in step:
            return AgentEvent(Mark.SAID, line)
        text = " ".join(str(step[key]) for key in ("verb", "status", "detail") if step.get(key))
        return AgentEvent(_mark(step), text)

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        return True  # to play the same book twice would repeat its story, not its work


def _mark(step: Mapping[str, object]) -> Mark:
    if step.get("status") == "unexpected":
        return Mark.ERROR
    return Mark.TOOL if step["verb"] in CALLS else Mark.SAID


def _named(path: str, seat: Seat) -> str:
    return path.replace("{agent}", seat.agent)


def _again(playbook: str) -> str:
    path = PurePosixPath(playbook)
    return str(path.with_name(f"{path.stem}.again{path.suffix}"))


KIND = AgentKind(
    name="scripted",
    title="a playbook",
    image="scripted",
    adapter=Player(),
    program=None,
    needs="playbook",
    waits_itself=True,
)
