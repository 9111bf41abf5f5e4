"""Owns the notes of requests that are under way, kept where a `kill -9` of this process does not reach them.

Rule: a request is noted before its first byte goes to a vendor and struck out after its record is committed,
so what a start finds noted was lost. One file of slots and one unsynced write each, some microseconds: the
kernel keeps it when we die. What a power cut takes is the notes of the last seconds.
"""

import heapq
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from mcp_server.store import Unwritable

FILE = "model-requests.under-way"
SLOT_BYTES = 4096  # a page: written whole or not at all
MODEL_CHARACTERS = 200
EMPTY = bytes(SLOT_BYTES)


@dataclass(frozen=True)
class PendingRequest:
    """`slot` and `id` name it: a slot is used again, an id never."""

    slot: int
    id: str
    began_ms: int
    agent: str
    session: str | None
    account: str
    form: str
    model: str | None


class UnderWay:
    """Used on the event loop alone. Made once the notes of the server before have been read."""

    def __init__(self, state: Path):
        self._file = os.open(state / FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._free: list[int] = []
        self._slots = 0

    def begin(
        self, *, began_ms: int, agent: str, session: str | None, account: str, form: str, model: str | None
    ) -> PendingRequest:
        """Note a request and return the note; raise Unwritable if that fails: what cannot be noted is not
        sent.
        """
        if not self._free:
            heapq.heappush(self._free, self._slots)
            self._slots += 1
        note = PendingRequest(
            self._free[0],
            secrets.token_hex(8),
            began_ms,
            agent,
            session,
            account,
            form,
            model[:MODEL_CHARACTERS] if model else None,
        )
        written = json.dumps(asdict(note)).encode().ljust(SLOT_BYTES, b"\0")
        assert len(written) == SLOT_BYTES
        try:
            os.pwrite(self._file, written, note.slot * SLOT_BYTES)
        except OSError as error:
            raise Unwritable(f"a model request cannot be noted: {error.strerror}") from error
        heapq.heappop(self._free)
        return note

    def end(self, note: PendingRequest) -> None:
        """Strike the request out, once its record is committed."""
        os.pwrite(self._file, EMPTY, note.slot * SLOT_BYTES)
        heapq.heappush(self._free, note.slot)

    def close(self) -> None:
        os.close(self._file)


def left(state: Path) -> list[PendingRequest]:
    """Return what the server before has not struck out."""
    path = state / FILE
    written = path.read_bytes() if path.exists() else b""
    slots = (
        written[start : start + SLOT_BYTES].rstrip(b"\0") for start in range(0, len(written), SLOT_BYTES)
    )
    return [PendingRequest(**json.loads(slot)) for slot in slots if slot]
