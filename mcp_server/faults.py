"""Where a test ends the server: at the point that HARNESS_FAULT names when its process starts, as suddenly as
kill -9 does.

Rule: without that variable nothing here does anything, and nothing but a test sets it.
"""

import os
import signal
from collections.abc import Mapping

VARIABLE = "HARNESS_FAULT"
# Every point with what is done when it is reached, and what is not.
POINTS: Mapping[str, str] = {
    "migration.copied": "an older database is copied aside; it is not migrated",
    "migration.written": "a database is migrated in a transaction that is not committed",
    "migration.committed": "a database is migrated; nobody has used it",
    "start.imported": "main is imported; the tasks are not read yet",
    "claim.decided": "a lease is granted in a transaction that is not committed",
    "claim.committed": "a lease is committed; nobody has been told",
    "call.logged": "a tool call is done and logged; its answer is not sent",
    "upload.stored": "git has stored an upload; no event tells of it",
    "upload.told": "the event tells of an upload; git's client has no answer",
    "push.decided": "a submission is queued in a transaction that is not committed",
    "push.queued": "a submission is committed; the gate has not seen it",
    "gate.merged": "the merge is made in memory",
    "gate.held": "candidate and refs are there; the submission is still queued",
    "gate.testing": "the submission is under test",
    "gate.passed": "a submission has passed by itself, and main has moved; it waits for the train",
    "gate.coupled": "the commit of a batch is there; the intent to land it is not written",
    "gate.judged": "the verdicts are good; the intent is not written",
    "gate.intended": "the intent is written; main has not moved",
    "gate.swapped": "main has moved; nobody has written so",
    "gate.writing": "the landing is written in a transaction that is not committed",
    "gate.landed": "the landing is committed; the candidate's ref is still there",
    "gate.cleared": "all is done but showing it to the user",
    "checkpoint.signed": "a checkpoint is committed; it is not published",
    "checkpoint.published": "a checkpoint is published",
    "release.decided": "a release is written in a transaction that is not committed",
    "release.committed": "a release is committed; its salvage has no ref",
    "session.ended": "a session's end is committed; its salvage has no ref",
    "upkeep.held": "refs of finished work are held by one; no event tells, and they are still there",
    "upkeep.told": "the event tells of it; the refs are still there",
    "upkeep.packed": "refs are packed; packs are not joined",
    "upkeep.repacked": "all is joined; no event tells of it",
}
_armed: str | None = None


def arm(environment: Mapping[str, str]) -> None:
    """Arm the point that the environment names; the process's main does so once. Raise ValueError if there is
    no such point, because a test would wait for it in vain.
    """
    global _armed
    _armed = environment.get(VARIABLE)
    if _armed is not None and _armed not in POINTS:
        raise ValueError(f"{VARIABLE}={_armed} is no point; there are: {', '.join(POINTS)}")


def reached(point: str) -> None:
    """End this process as kill -9 does if `point` is armed."""
    assert point in POINTS, point
    if point == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
