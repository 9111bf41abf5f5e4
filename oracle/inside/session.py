"""Asks engines inside a box, one process for each session: settings and sessions in as JSON lines, answers
out as JSON lines.

Rule: as batch's, and: what an engine says belongs to the record it was asked last, up to a mark that it could
not foresee; a record at which the engine dies, hangs or floods ends its session and no other. Started as
batch, whose text comes first.
"""

import json
import os
import select
import time
import tty

from oracle.inside.batch import (
    CHUNK_BYTES,
    ERROR_BYTES_MAX,
    NotRunnable,
    Output,
    Slot,
    drain,
    ready,
    tell,
)
from oracle.inside.checking import TYPE_CHECKING
from oracle.inside.processes import kill_all, kill_children, kill_others, reap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    Json = dict[str, Any]

MARK_BYTES = 12


class Stopped(Exception):
    """The engine answers no more. `flags` go into the answer to the record at which it stopped."""

    def __init__(self, how: str, **flags: bool) -> None:
        super().__init__(how)
        self.how, self.flags = how, flags


class EngineProcess:
    """One process of an engine: a pipe to it and a terminal from it, so that its library sends each line at
    once.
    """

    def __init__(self, slot: Slot) -> None:
        self.slot, self.settings = slot, slot.settings
        self.pid: int | None = None
        self.status: int | None = None
        # Of its output: the last line end that was made use of, and what came after it.
        self.kept = bytearray(b"\n")
        self.err = Output(ERROR_BYTES_MAX)
        theirs, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stdout, terminal = os.openpty()
        tty.setraw(terminal)
        for fd in (self.stdin, self.stdout):
            os.set_blocking(fd, False)
        self.poller = select.poll()
        for fd in (self.stdout, self.err.reader, slot.woken):
            self.poller.register(fd, select.POLLIN)
        try:
            self.pid = slot.start((theirs, terminal, self.err.writer))
        except NotRunnable:
            self.close()
            raise
        finally:
            os.close(theirs)
            os.close(terminal)
        self.err.hand_over()

    def answer(self, record: "Json") -> bytes:
        """Return what the engine prints for one record; where that is `counted`, the number of rows that it
        changed. Raise Stopped.
        """
        if self.settings["protocol"] == "json":
            return self.ask(json.dumps({"sql": record["sql"]}).encode() + b"\n", b"\n", skip=1)
        printed = self.ask_marked(record["sql"])
        if record["counted"] and not self.errors():
            return self.ask_marked("SELECT changes();\n")
        return printed

    def ask_marked(self, sql: str) -> bytes:
        """Ask a shell, whose answer has no end of its own, for a mark as well."""
        mark = os.urandom(MARK_BYTES).hex()
        return self.ask(f"{sql}SELECT '{mark}';\n".encode(), f"\n{mark}\n".encode())

    def ask(self, question: bytes, ending: bytes, skip: int = 0) -> bytes:
        """Return what the engine prints up to an ending; raise Stopped if that does not come."""
        self.err.kept.clear()
        until = time.monotonic() + self.settings["timeout_s"]
        question = question[self.send(question) :]
        while (found := self.kept.find(ending, skip)) < 0:
            skip = max(skip, len(self.kept) - len(ending))  # what was looked through
            if len(self.kept) > self.most():
                raise Stopped("the engine printed more than allowed", truncated=True)
            if self.status is not None:
                raise Stopped(ended_how(self.status))
            if (left := until - time.monotonic()) <= 0:
                raise Stopped("the engine gave no answer in time", timed_out=True)
            question = self.exchange(question, left)
        printed = bytes(self.kept[1 : found + 1])
        del self.kept[: found + len(ending) - 1]
        self.slot.bytes_left -= len(printed)
        return printed

    def most(self) -> int:
        """Return how many bytes the engine may print for one record."""
        most: int = self.settings["output_bytes_max"]
        return min(most, max(self.slot.bytes_left, ERROR_BYTES_MAX))

    def exchange(self, question: bytes, left: float) -> bytes:
        """Wait for something to read or to write, and do it; return what of the question is then unsent."""
        if question:
            self.poller.register(self.stdin, select.POLLOUT)
        found = [fd for fd, _ in self.poller.poll(left * 1000 + 1)]
        if question:
            self.poller.unregister(self.stdin)
            question = question[self.send(question) :]
        if self.slot.woken in found:
            drain(self.slot.woken)
            assert self.pid is not None
            self.status = reap(self.pid)
        if self.stdout in found and not self.read():
            self.poller.unregister(self.stdout)
        if self.err.reader in found and not self.err.take():
            self.poller.unregister(self.err.reader)
        while self.status is not None and len(self.kept) <= self.most() and self.read():
            pass
        return question

    def send(self, question: bytes) -> int:
        """Write to the engine; return how many bytes it took."""
        try:
            return os.write(self.stdin, question)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            return len(question)  # it has ended, or will never answer: either is noticed elsewhere

    def read(self) -> bool:
        """Read what the engine printed; return True if there was anything.

        A terminal that no process has open any more says so by an error.
        """
        try:
            got = os.read(self.stdout, CHUNK_BYTES)
        except OSError:
            return False
        self.kept += got
        return bool(got)

    def errors(self) -> str:
        """Return what the engine wrote to stderr since it was asked. One look is enough, since a pipe holds
        no more than that: two may never end.
        """
        self.err.take()
        return bytes(self.err.kept).decode("utf-8", "replace")

    def close(self) -> None:
        """End the engine, and whatever it left."""
        kill_others()
        if self.pid and self.status is None:
            os.waitpid(self.pid, 0)
        kill_children() if self.slot.adopts else kill_all()
        self.err.close()
        os.close(self.stdin)
        os.close(self.stdout)


def ended_how(status: int) -> str:
    """Return how an engine ended, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"the engine was killed by signal {-code}"
    return f"the engine ended with exit status {code}"


def session(slot: Slot, records: "Sequence[Json]") -> "Iterator[Json]":
    """Yield the answers to the records of one session; none where the box had no room to start the engine."""
    if time.monotonic() >= slot.deadline:
        yield from ({"id": record["id"], "late": True} for record in records)
        return
    try:
        engine = EngineProcess(slot)
    except NotRunnable as error:
        yield from stopped(records, f"the engine cannot be started: {error}")
        return
    try:
        if engine.pid is not None:
            yield from ask_all(slot, engine, records)
    finally:
        engine.close()
        slot.clean()


def ask_all(slot: Slot, engine: EngineProcess, records: "Sequence[Json]") -> "Iterator[Json]":
    """Yield the engine's answers, up to the record at which it stops."""
    try:
        if slot.settings["protocol"] != "json":
            engine.ask_marked("")  # what a shell says before its first question belongs to no record
    except Stopped as stop:
        yield from stopped(
            records, f"at its start, asked for SELECT 'a word', {stop.how}", engine.errors(), **stop.flags
        )
        return
    for at, record in enumerate(records):
        if time.monotonic() >= slot.deadline:
            yield from ({"id": record["id"], "late": True} for record in records[at:])
            return
        try:
            printed = engine.answer(record)
            yield {
                "id": record["id"],
                "output": printed.decode("utf-8", "surrogateescape"),
                "exit": 0,
                "error": engine.errors(),
            }
        except Stopped as stop:
            partial = engine.kept[1 : ERROR_BYTES_MAX + 1].decode("utf-8", "surrogateescape")
            yield {
                "id": record["id"],
                "output": partial,
                "exit": 0,
                "error": engine.errors(),
                "stopped": stop.how,
                **stop.flags,
            }
            yield from stopped(records[at + 1 :], f"not run: at an earlier record {stop.how}")
            return


def stopped(records: "Iterable[Json]", how: str, error: str = "", **flags: bool) -> "Iterator[Json]":
    """Yield that there is no answer, for each of the records."""
    for record in records:
        yield {"id": record["id"], "output": "", "exit": 0, "error": error, "stopped": how, **flags}


def main() -> None:
    """Ask the sessions that come on stdin, one line each."""
    settings, lines = ready()
    os.chdir(settings["cwd"])
    slot = Slot(settings)
    tell((answer for line in lines for answer in session(slot, json.loads(line))), settings["at_once"])


if __name__ == "__main__":
    main()
