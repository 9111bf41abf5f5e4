"""Owns a warm box in which cases run: who is who inside, how a tree gets in and answers get out. It judges nothing.

Rule: one box serves one job at a time; the source is the builder's, each slot has a user id of its own, and the box
is as good as new for the next job or it is thrown away.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

from harness import sandbox
from harness.containers import IDLE, Box, BoxBroke, BoxSpec, Ended
from oracle import command
from oracle.answer import Answer
from oracle.spec import Case, Suite
from oracle.verdict import Built

IDLER = "65534:65534"  # pid 1: neither the builder nor a slot, so that neither can end it
BUILDER = 10001
FIRST_SLOT = 10002
WORK, SOURCE = "/work", "/work/src"
SHARED = ("/tmp", "/dev/shm", "/dev/mqueue")  # writable for every slot; what a case leaves there is removed after it
SLOT_CASES_MIN = 8  # below that many cases a second exec (about 60 ms) costs more than it saves
MEMORY_MB = 2048
PIDS = 256
WORK_MB = 1024
SCRATCH_MB = 512
CASE_OUTPUT_BYTES_MAX = 1 << 20
PROJECT_OUTPUT_BYTES_MAX = 8 << 20  # test runners are chatty, and JUnit files large
SLOT_OUTPUT_BYTES_MAX = 32 << 20  # of all cases of one slot together; beyond it each is cut to 4 KB
JSON_BYTES_A_BYTE = 6  # a control character becomes \u0000
PREPARE_MARGIN_S = 60.0  # unpacking, beside the build's own time
BATCH_MARGIN_S = 30.0
ENGINE_KILLED = 137


def spec(
    image: str, *, name: str, labels: Mapping[str, str], slots: int, memory_mb: int = MEMORY_MB, runtime: str | None = None
) -> BoxSpec:
    """A box for oracle jobs: no network, nothing writable but memory, and everything in it owned by exactly one user."""
    owned = "rw,exec,nosuid,nodev,mode={mode},uid={uid},gid={uid},size={size}m"
    tmpfs = {
        WORK: owned.format(mode="0755", uid=BUILDER, size=WORK_MB),
        "/tmp": "rw,exec,nosuid,nodev,mode=1777,size=64m,nr_inodes=16384",
        **{scratch(slot): owned.format(mode="0700", uid=FIRST_SLOT + slot, size=SCRATCH_MB) for slot in range(slots)},
    }
    return sandbox.hardened(
        image=image, argv=IDLE[1:], entrypoint=IDLE[:1], name=name, labels=labels, runtime=runtime, tmpfs=tmpfs,
        user=IDLER, memory_mb=memory_mb, cpus=float(slots), pids=PIDS, workdir="/", hostname="oracle",
    )  # fmt: skip


def cores() -> int:
    """How many cores this process may use: as many cases run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scratch(slot: int) -> str:
    return f"/scratch/{slot}"


class OracleBox:
    """One started box and what is placed in it."""

    def __init__(self, box: Box, slots: int) -> None:
        self._box = box
        self._slots = slots
        self.placed: object = None  # what the tree in it is known by, if its build succeeded
        self.built: Built | None = None

    def kill(self) -> None:
        self._box.kill()

    def remove(self) -> None:
        self._box.remove()

    def alive(self) -> bool:
        return self._box.alive()

    def prepare(self, tree: bytes, suite: Suite, *, empty: Sequence[str] = ()) -> Built | None:
        """Places the tree alone and builds it; None = the suite has no build. Raises BoxBroke when the box is to blame."""
        self.placed = self.built = None
        absent = [suite.results] if suite.kind == "command" and suite.results not in (None, "tap", "pytest") else []
        settings = {
            "user": BUILDER, "work": WORK, "env": suite.env, "build": suite.build, "timeout_s": suite.run_timeout_s,
            "empty": list(empty), "absent": absent,
        }  # fmt: skip
        argv = _python("prepare.py", json.dumps(settings))
        ended = self._box.exec(
            argv, stdin=tree, user=_user(BUILDER), workdir="/", timeout_s=suite.run_timeout_s + PREPARE_MARGIN_S
        )
        self.built = _built(ended, suite)
        return self.built

    def batch(self, suite: Suite, run: str, cases: Sequence[Case], *, source: bool, deadline_s: float) -> dict[str, Answer]:
        """Answers by case id, spread over the slots. `source` = run in the source tree, else in an empty directory."""
        settings = {
            "command": run, "env": suite.env, "timeout_s": suite.case_timeout_s, "deadline_s": deadline_s, "shared": SHARED,
            "output_bytes_max": CASE_OUTPUT_BYTES_MAX, "total_bytes_max": SLOT_OUTPUT_BYTES_MAX, "copy": False, "collect": None,
            "fork": source and suite.start == "fork",
        }  # fmt: skip
        slots = max(1, min(self._slots, len(cases) // SLOT_CASES_MIN))
        shares = [[{"id": case.id, "input": case.input} for case in cases[slot::slots]] for slot in range(slots)]
        timeout_s = deadline_s + suite.case_timeout_s + BATCH_MARGIN_S

        def one(slot: int) -> Ended:
            here = settings | {"cwd": SOURCE if source else scratch(slot)}
            ended = self._run(slot, here, shares[slot], timeout_s)
            if ended.exit != 0:  # the executor died and could not clean up; without cases it does just that
                self._run(slot, here, [], timeout_s)
            return ended

        with ThreadPoolExecutor(max_workers=slots) as pool:
            lines = [line for ended in pool.map(one, range(slots)) for line in _lines(ended)]
        asked = {case.id for case in cases}
        return {line["id"]: _answer(line) for line in lines if line["id"] in asked}

    def project(self, suite: Suite, run: str) -> command.Ended | None:
        """Runs a `command` suite's command in a writable copy of the tree; None = its executor did not live to tell."""
        collect = suite.results if suite.results not in (None, "tap", "pytest") else None
        settings = {
            "command": run, "env": suite.env, "timeout_s": suite.run_timeout_s, "deadline_s": suite.run_timeout_s, "shared": SHARED,
            "output_bytes_max": PROJECT_OUTPUT_BYTES_MAX, "total_bytes_max": PROJECT_OUTPUT_BYTES_MAX, "copy": True,
            "collect": collect, "cwd": SOURCE, "fork": False,
        }  # fmt: skip
        lines = _lines(self._run(0, settings, [], suite.run_timeout_s + BATCH_MARGIN_S))
        if not lines:
            return None
        answer = _answer(lines[-1])
        return command.Ended(
            answer.exit, answer.output, answer.error, lines[-1].get("collected"), answer.timed_out, answer.truncated
        )

    def _run(self, slot: int, settings: Mapping[str, Any], cases: Iterable[Mapping[str, str]], timeout_s: float) -> Ended:
        user = FIRST_SLOT + slot
        given = [dict(settings) | {"user": user, "scratch": scratch(slot)}, *cases]
        stdin = "\n".join(json.dumps(line) for line in given).encode()
        ended = self._box.exec(
            _python("batch.py"), stdin=stdin, user=_user(user), workdir="/", timeout_s=timeout_s,
            output_bytes_max=2 * JSON_BYTES_A_BYTE * SLOT_OUTPUT_BYTES_MAX,
        )  # fmt: skip
        if ended.exit not in (0, None, ENGINE_KILLED) and not _lines(ended):
            said = (ended.stderr + ended.stdout)[-500:].decode("utf-8", "replace").strip()  # the engine's own word is on stdout
            raise BoxBroke(f"the executor did not start (exit status {ended.exit}): {said}")
        return ended


def _python(script: str, *arguments: str) -> list[str]:
    """Isolated from the image and the source: no site packages, no environment, no current directory."""
    return ["python3", "-I", "-S", "-c", resources.files("oracle").joinpath(script).read_text(), *arguments]


def _user(uid: int) -> str:
    return f"{uid}:{uid}"


def _built(ended: Ended, suite: Suite) -> Built | None:
    lines = _lines(ended, needs="build")
    if lines:
        build = lines[-1]["build"]
        return Built(int(build["exit"]), str(build["tail"])) if build else None
    said = (ended.stderr + ended.stdout)[-1000:].decode("utf-8", "replace").strip()
    if suite.build and (ended.timed_out or ended.exit == ENGINE_KILLED):
        return Built(ENGINE_KILLED, f"the build ended the process that ran it. {said}".strip())
    raise BoxBroke(f"the tree could not be placed (exit status {ended.exit}): {said}")


def _lines(ended: Ended, *, needs: str = "id") -> list[dict[str, Any]]:
    """The JSON objects among the output's lines; the last one may be cut off where the executor was killed."""
    found = []
    for line in ended.stdout.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and needs in value:
            found.append(value)
    return found


def _answer(line: Mapping[str, Any]) -> Answer:
    if line.get("late"):
        return Answer("", -9, late=True)
    flags = {name: bool(line.get(name)) for name in ("timed_out", "truncated")}
    return Answer(str(line["output"]), int(line["exit"]), str(line.get("error", "")), **flags)
