"""Owns a warm box in which cases run: who is who inside, how a tree gets in and answers get out. It judges
nothing.

Rule: one box serves one job at a time; the source is the builder's, each slot has a user id of its own, and
the box is as good as new for the next job or it is thrown away.
"""

import base64
import functools
import json
import os
import re
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from harness.boxes import sandbox
from harness.boxes.containers import IDLE, Box, BoxBroke, BoxSpec, ExecResult, Stdin
from oracle.cases.spec import Case, Suite
from oracle.judging.answer import Answer
from oracle.judging.verdict import Built
from oracle.suites import kinds
from oracle.suites.base import AlteredTest, Canary, CommandResult, ResultsFile, SessionRecord

IDLER = "65534:65534"  # pid 1: neither the builder nor a slot, so that neither can end it
BUILDER = 10001
FIRST_SLOT = 10002
WORK, SOURCE = "/work", "/work/src"
# Writable for every slot; what a case leaves there is removed after it.
SHARED = ("/tmp", "/dev/shm", "/dev/mqueue")
SLOT_CASES_MIN = 8  # below that many cases a second exec (about 60 ms) costs more than it saves
MEMORY_MB = 2048
PIDS = 256
WORK_MB = 1024
SCRATCH_MB = 512
TMP_MB = 64
NO_SPACE = "No space left on device"
SETTING = "`oracle_{}_mb` of [run]"
CASE_OUTPUT_BYTES_MAX = 1 << 20
PROJECT_OUTPUT_BYTES_MAX = 8 << 20  # test runners are chatty
RESULTS_BYTES_MAX = 16 << 20  # of all results files together: a hundred thousand tests and their output
SLOT_OUTPUT_BYTES_MAX = 32 << 20  # of all cases of one slot together; beyond it each is cut to 4 KB
JSON_BYTES_A_BYTE = 6  # a control character becomes \u0000
PREPARE_MARGIN_S = 60.0  # unpacking, beside the build's own time
BATCH_MARGIN_S = 30.0
# An executor speaks after each case; the start of a session is asked one, too.
SILENT_CASES = 2
SILENCE_MARGIN_S = 3.0
BY_SIGNAL = 128  # plus the signal's number: the exit status of what a signal ended
ENGINE_KILLED = 137
OWN_MAIN = (
    '\nif __name__ == "__main__":'  # with it a script ends; where another imports it, that one's counts
)
OWN_IMPORT = re.compile(r"^from oracle\.inside\.(\w+) import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def spec(
    image: str,
    *,
    name: str,
    labels: Mapping[str, str],
    slots: int,
    memory_mb: int = MEMORY_MB,
    work_mb: int = WORK_MB,
    scratch_mb: int = SCRATCH_MB,
    tmp_mb: int = TMP_MB,
    runtime: str | None = None,
) -> BoxSpec:
    """A box for oracle jobs: no network, nothing writable but memory, and everything in it owned by exactly
    one user.
    """
    owned = "rw,exec,nosuid,nodev,mode={mode},uid={uid},gid={uid},size={size}m"
    tmpfs = {
        WORK: owned.format(mode="0755", uid=BUILDER, size=work_mb),
        "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={tmp_mb}m,nr_inodes=16384",
        **{
            scratch(slot): owned.format(mode="0700", uid=FIRST_SLOT + slot, size=scratch_mb)
            for slot in range(slots)
        },
    }
    return sandbox.hardened(
        image=image,
        argv=IDLE[1:],
        entrypoint=IDLE[:1],
        name=name,
        labels=labels,
        runtime=runtime,
        tmpfs=tmpfs,
        user=IDLER,
        memory_mb=memory_mb,
        cpus=float(slots),
        pids=PIDS,
        workdir="/",
        hostname="oracle",
    )


def cores() -> int:
    """How many cores this process may use: as many cases run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scratch(slot: int | str) -> str:
    return f"/scratch/{slot}"


@dataclass(frozen=True)
class BoxSizes:
    """How large a box is, in MB. What lies in its places counts as memory, too."""

    memory_mb: int = MEMORY_MB
    work_mb: int = WORK_MB
    scratch_mb: int = SCRATCH_MB
    tmp_mb: int = TMP_MB

    def note(self, text: str, full: Sequence[str], *, exit: int) -> str:
        """Return what of the box ran out when something in it failed, with its size and setting; "" if
        nothing did. `full` are the places in which nothing was left.
        """
        if full or NO_SPACE in text:  # whoever fills /work has no room there to say so
            places = full or (WORK, scratch(0), "/tmp")
            named = ", ".join(f"{place} ({self._limit(place)})" for place in places)
            return f"\n[harness] {'full' if full else 'one of these was full'}: {named}"
        if exit in (-signal.SIGKILL, ENGINE_KILLED):
            limit = f"{self.memory_mb} MB ({SETTING.format('memory')})"
            return f"\n[harness] killed, perhaps for memory: the box has {limit}"
        return ""

    def _limit(self, place: str) -> str:
        if place == WORK:
            return f"{self.work_mb} MB, {SETTING.format('work')}"
        if place.startswith(scratch("")):
            return f"{self.scratch_mb} MB, {SETTING.format('scratch')}"
        return f"{self.tmp_mb} MB, {SETTING.format('tmp')}" if place == "/tmp" else "the engine's limit"


class OracleBox:
    """One started box and what is placed in it."""

    def __init__(self, box: Box, slots: int, sizes: BoxSizes = BoxSizes()) -> None:
        self._box = box
        self._slots, self._sizes = slots, sizes
        self.placed: object = None  # what the tree in it is known by, if its build succeeded
        self.built: Built | None = None
        self.spoilt = False  # not as good as new any more: to be thrown away after this job

    def kill(self) -> None:
        self._box.kill()

    def remove(self) -> None:
        self._box.remove()

    def alive(self) -> bool:
        return self._box.alive()

    def prepare(self, tree: Stdin, suite: Suite) -> Built | None:
        """Places the tree alone, and builds it; None = the suite has no build.

        Raises BoxBroke when the box is to blame.
        """
        self.placed = self.built = None
        settings = {
            "user": BUILDER,
            "work": WORK,
            "env": suite.env,
            "build": suite.build,
            "timeout_s": suite.run_timeout_s,
            "shared": SHARED,
        }
        argv = _python("prepare.py", json.dumps(settings))
        ended = self._box.exec(
            argv,
            stdin=tree,
            user=_user(BUILDER),
            workdir="/",
            timeout_s=suite.run_timeout_s + PREPARE_MARGIN_S,
        )
        self.spoilt = ended.exit != 0  # it may be full of what could not be removed any more
        self.built = _built(ended, self._sizes)
        return self.built

    def batch(
        self, suite: Suite, run: str, cases: Sequence[Case], *, source: bool, deadline_s: float
    ) -> dict[str, Answer]:
        """Answers by case id, spread over the slots. `source` = run in the source tree, else in an empty
        directory.
        """
        settings = {
            "command": run,
            "env": suite.env,
            "timeout_s": suite.case_timeout_s,
            "deadline_s": deadline_s,
            "shared": SHARED,
            "output_bytes_max": CASE_OUTPUT_BYTES_MAX,
            "total_bytes_max": SLOT_OUTPUT_BYTES_MAX,
            "copy": False,
            "collect": None,
            "fork": source and suite.start == "fork",
            "at_once": False,
        }
        slots = max(1, min(self._slots, len(cases) // SLOT_CASES_MIN))
        shares = [
            [{"id": case.id, "input": case.input} for case in cases[slot::slots]] for slot in range(slots)
        ]
        timeout_s = deadline_s + suite.case_timeout_s + BATCH_MARGIN_S

        def one(slot: int) -> list[dict[str, Any]]:
            return self._share(
                slot, settings | {"cwd": SOURCE if source else scratch(slot)}, shares[slot], timeout_s
            )

        with ThreadPoolExecutor(max_workers=slots) as pool:
            lines = [line for answered in pool.map(one, range(slots)) for line in answered]
        asked = {case.id for case in cases}
        return {line["id"]: _answer(line) for line in lines if line["id"] in asked}

    def answer(
        self, suite: Suite, run: str, cases: Sequence[Case], *, source: bool, deadline_s: float
    ) -> dict[str, Answer]:
        """Return answers by case id, as `batch` does; where the kind of suite has sessions, each session is
        asked of one process of the engine.
        """
        rules = kinds.of(suite).cases
        sessions = rules.sessions if rules else None
        if sessions is None:
            return self.batch(suite, run, cases, source=source, deadline_s=deadline_s)
        by_id = {case.id: case for case in cases}
        answers = self.sessions(
            suite, run, sessions.sessions(suite, cases), source=source, deadline_s=deadline_s
        )
        return {
            id: sessions.answer(suite, by_id[id], answer) for id, answer in answers.items() if id in by_id
        }

    def sessions(
        self,
        suite: Suite,
        run: str,
        sessions: Sequence[Sequence[SessionRecord]],
        *,
        source: bool,
        deadline_s: float,
    ) -> dict[str, Answer]:
        """What was heard of each record, by its id. One session alone is told at once: it may have killed an
        executor before.
        """
        settings = {
            "command": run,
            "env": suite.env,
            "timeout_s": suite.case_timeout_s,
            "deadline_s": deadline_s,
            "shared": SHARED,
            "output_bytes_max": CASE_OUTPUT_BYTES_MAX,
            "total_bytes_max": SLOT_OUTPUT_BYTES_MAX,
            "copy": False,
            "fork": False,
            "protocol": suite.protocol,
            "at_once": len(sessions) == 1,
        }
        shares: list[list[Sequence[SessionRecord]]] = [[] for _ in range(min(self._slots, len(sessions)))]
        for session in sorted(sessions, key=len, reverse=True):
            min(shares, key=lambda share: sum(map(len, share))).append(session)
        timeout_s = deadline_s + suite.case_timeout_s + BATCH_MARGIN_S

        def one(slot: int) -> ExecResult:
            here = settings | {"cwd": SOURCE if source else scratch(slot)}
            asked = [[asdict(record) for record in session] for session in shares[slot]]
            ended = self._run(slot, here, asked, timeout_s, script="session.py")
            if ended.exit != 0:
                self._clean(slot, here)
            return ended

        with ThreadPoolExecutor(max_workers=max(1, len(shares))) as pool:
            return {
                line["id"]: _answer(line)
                for ended in pool.map(one, range(len(shares)))
                for line in _lines(ended)
            }

    def project(
        self, suite: Suite, run: str, planted: Canary | None = None, altered: Sequence[AlteredTest] = ()
    ) -> CommandResult | None:
        """Runs a `command` suite's command in a writable copy of the tree; None = its executor did not live
        to tell.
        """
        rules = kinds.of(suite).project
        results_file = rules.results_file(suite) if rules else None
        settings = {
            "command": run,
            "env": suite.env,
            "timeout_s": suite.run_timeout_s,
            "deadline_s": suite.run_timeout_s,
            "shared": SHARED,
            "output_bytes_max": PROJECT_OUTPUT_BYTES_MAX,
            "total_bytes_max": PROJECT_OUTPUT_BYTES_MAX,
            "copy": True,
            "collect": results_file,
            "results_bytes_max": RESULTS_BYTES_MAX,
            "plant": {planted.path: planted.text} if planted else {},
            "altered": [asdict(test) for test in altered],
            "cwd": SOURCE,
            "fork": False,
            "at_once": True,
        }
        began_s = time.monotonic()
        ended = self._run(0, settings, [], suite.run_timeout_s + BATCH_MARGIN_S)
        took_s = time.monotonic() - began_s
        lines = _lines(ended)
        if ended.exit != 0:
            self._clean(0, settings)
        if not lines and ended.exit is not None and 0 < ended.exit < BY_SIGNAL:
            words = _last_words(ended)
            note = self._sizes.note(words, [scratch(0)] if NO_SPACE in words else [], exit=0)
            raise BoxBroke(f"the tests were not run (exit status {ended.exit}): {words}{note}")
        if not lines:
            return None
        answer = _answer(lines[-1])
        return CommandResult(
            answer.exit,
            answer.output,
            answer.error + self._why_full(answer, lines[-1].get("full", [])),
            _collected(lines[-1]),
            answer.timed_out,
            answer.truncated,
            directory=lines[-1].get("directory", ""),
            unplanted=bool(lines[-1].get("unplanted")),
            took_s=took_s,
            altered=lines[-1].get("altered") or "",
        )

    def _why_full(self, answer: Answer, full: Sequence[str]) -> str:
        """Return what of the box ran out while the tests ran, if they failed for that."""
        if not answer.exit or answer.timed_out:
            return ""
        return self._sizes.note(answer.output + answer.error, full, exit=answer.exit)

    def _share(
        self, slot: int, settings: dict[str, Any], cases: list[dict[str, str]], timeout_s: float
    ) -> list[dict[str, Any]]:
        """What one slot tells. An executor that a case killed takes its latest answers along: the next one
        tells each at once.
        """
        lines: list[dict[str, Any]] = []
        for at_once in (False, True) if len(cases) > 1 else (True,):
            ended = self._run(slot, settings | {"at_once": at_once}, cases, timeout_s)
            lines += _lines(ended)
            if ended.exit == 0:
                return lines
            answered = {line["id"] for line in lines}
            cases = [case for case in cases if case["id"] not in answered]
        self._clean(slot, settings)
        return lines

    def _clean(self, slot: int, settings: Mapping[str, Any]) -> None:
        """After an executor that died: without cases one cleans up, and nothing else. A box where even that
        fails is used no more.
        """
        ended = self._run(slot, {**settings, "copy": False}, [], BATCH_MARGIN_S)
        self.spoilt = self.spoilt or ended.exit != 0

    def _run(
        self,
        slot: int,
        settings: Mapping[str, Any],
        cases: Iterable[Any],
        timeout_s: float,
        *,
        script: str = "batch.py",
    ) -> ExecResult:
        user = FIRST_SLOT + slot
        given = [dict(settings) | {"user": user, "scratch": scratch(slot)}, *cases]
        stdin = "\n".join(json.dumps(line) for line in given).encode()
        ended = self._box.exec(
            _python(script),
            stdin=stdin,
            user=_user(user),
            workdir="/",
            timeout_s=timeout_s,
            silence_s=SILENT_CASES * settings["timeout_s"] + SILENCE_MARGIN_S,
            output_bytes_max=2 * JSON_BYTES_A_BYTE * SLOT_OUTPUT_BYTES_MAX,
        )
        if ended.exit is not None and 0 < ended.exit < BY_SIGNAL and not _lines(ended, needs="ready"):
            raise BoxBroke(f"the executor did not start (exit status {ended.exit}): {_last_words(ended)}")
        return ended


def _python(script: str, *arguments: str) -> list[str]:
    """Isolated from the image and the source: no site packages, no environment, no current directory.

    There is no package to import from either, so what a script imports of the oracle is put before it.
    """
    return ["python3", "-I", "-S", "-c", _text(script), *arguments]


@functools.cache
def _text(script: str) -> str:
    return "".join(_with_imports(script, set()))


def _with_imports(script: str, placed: set[str]) -> Iterable[str]:
    """Yield what a script imports of ours, each once, and the script itself."""
    text = resources.files("oracle.inside").joinpath(script).read_text()
    for name in OWN_IMPORT.findall(text):
        if name not in placed:
            placed.add(name)
            yield "".join(_with_imports(f"{name}.py", placed)).partition(OWN_MAIN)[0]
    yield OWN_IMPORT.sub("", text)


def _last_words(ended: ExecResult) -> str:
    """Its last words; the engine's own are on stdout."""
    return (ended.stderr + ended.stdout)[-500:].decode("utf-8", "replace").strip()


def _user(uid: int) -> str:
    return f"{uid}:{uid}"


def _built(ended: ExecResult, sizes: BoxSizes) -> Built | None:
    # One that was killed in its middle has said nothing, whatever it seems to say.
    lines = _lines(ended, needs="build") if ended.exit == 0 else []
    if lines:
        build = lines[-1]["build"]
        if not build:
            return None
        exit, tail = int(build["exit"]), str(build["tail"])
        note = sizes.note(tail, build["full"], exit=exit) if exit else ""
        return Built(exit, tail + note, tuple(build["made"]))
    last_words = (ended.stderr + ended.stdout)[-1000:].decode("utf-8", "replace").strip()
    begun = bool(_lines(ended, needs="placed"))
    if begun and (ended.timed_out or ended.exit is not None and ended.exit > BY_SIGNAL):
        return Built(ENGINE_KILLED, f"the build ended the process that ran it. {last_words}".strip())
    note = sizes.note(last_words, [WORK] if NO_SPACE in last_words else [], exit=0)
    raise BoxBroke(f"the tree could not be placed (exit status {ended.exit}): {last_words}{note}")


def _lines(ended: ExecResult, *, needs: str = "id") -> list[dict[str, Any]]:
    """Return the JSON objects among the output's lines; the last one may be cut off where the executor was
    killed.
    """
    found = []
    for line in ended.stdout.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and needs in value:
            found.append(value)
    return found


def _collected(line: Mapping[str, Any]) -> tuple[ResultsFile, ...]:
    return tuple(
        ResultsFile(file["path"], base64.b64decode(file["content"]), file["bytes"])
        for file in line.get("collected", ())
    )


def _answer(line: Mapping[str, Any]) -> Answer:
    if line.get("late"):
        return Answer("", -9, late=True)
    flags = {name: bool(line.get(name)) for name in ("timed_out", "truncated")}
    return Answer(
        str(line["output"]),
        int(line["exit"]),
        str(line.get("error", "")),
        **flags,
        stopped=str(line.get("stopped", "")),
    )
