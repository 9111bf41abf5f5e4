"""The audit log: events written in the transaction of their change, chained, and signed from time to time.

A published checkpoint stands in three places: the table, the file `audit/checkpoints`, and the trailer of
every landed commit. Whoever shortens or rewrites the log has to change all three, and every clone holds the
third.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mcp_server import faults
from mcp_server.core import chain
from mcp_server.disk import write_whole
from mcp_server.store import Store, Tx, Unsafe
from mcp_server.store import events as rows

ORIGIN = "harness audit log"  # the first line of every checkpoint
CHECKPOINT_EVENTS = 256  # sign at the latest after so many events ...
TAIL_BYTES = 16 << 10  # of the published checkpoints are read at the start; one has some 250
CHECKPOINT_MS = 5_000  # ... or so much time, whichever is first
SUBJECT = ("agent", "session", "task", "fence")  # of whom and what an event is; everything else is its data
# Characters of one argument kept in an event; a longer one is replaced by its hash and length.
TEXT_MAX = 2_000
ARGUMENTS_BYTES_MAX = 16_000  # of one call's arguments, all of them together
ARGUMENT_BYTES_MAX = 1_000  # of one of them where they are more; it is kept by its hash then
ARGUMENTS_MAX = 20  # as many are kept of a call with more
NAME_MAX = 100  # characters of an argument's name
NAMES_MAX = 1_000  # of arguments, looked through for a secret word once; nearly all are of our tools
SECRET_WORDS = ("token", "secret", "password", "authorization", "api_key", "apikey")
# Keys that give themselves away wherever they stand: ours, and those of well-known services.
SECRET_TEXT = re.compile(
    r"\b("
    r"hs_[A-Za-z0-9_-]{40,}"
    r"|sk-[A-Za-z0-9_-]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|AKIA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}"
    r")|(?<=Bearer )\S{16,}"
)
SIGNATURE_MARK = "\u2014 "  # the line that carries the signature, as in C2SP signed notes


@dataclass(frozen=True)
class Event:
    """One thing that happened: who, what, to which task, under which lease. `data` is a JSON value."""

    seq: int
    ms: int
    kind: str
    agent: str | None
    session: str | None
    task: str | None
    fence: int | None
    data: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, row: rows.Row) -> "Event":
        body = json.loads(row.body)
        subject = {name: body[name] for name in SUBJECT}
        return cls(seq=row.seq, ms=body["ms"], kind=body["kind"], data=body["data"], hash=row.hash, **subject)


class SigningKey:
    """The Ed25519 key that signs checkpoints; its file is readable by its owner only."""

    def __init__(self, private: Ed25519PrivateKey):
        self._private = private

    @classmethod
    def open(cls, path: Path) -> "SigningKey":
        """Read the key, or make one if there is none. After a power loss there is a whole one or none."""
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
            assert isinstance(loaded, Ed25519PrivateKey)
            return cls(loaded)
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(path, pem, 0o400)
        return cls(private)

    def sign(self, text: str) -> str:
        return base64.b64encode(self._private.sign(text.encode())).decode()

    @property
    def public(self) -> Ed25519PublicKey:
        return self._private.public_key()


class Audit:
    """Appends events inside the caller's transaction and publishes signed checkpoints."""

    def __init__(self, store: Store, key: SigningKey, published: Path):
        self._store, self._key, self._published = store, key, published
        self._signed_ms = 0

    def record(self, tx: Tx, now_ms: int, kind: str, /, **fields: Any) -> None:
        """Append one event; it is durable if and only if the transaction is. The fields of SUBJECT may be
        left out; the others are JSON values.
        """
        last = rows.last(tx)
        seq, prev = (last.seq + 1, last.hash) if last else (1, chain.GENESIS)
        subject = {name: fields.pop(name, None) for name in SUBJECT}
        body = chain.canonical({"ms": now_ms, "kind": kind, "data": redacted(fields)} | subject)
        event = rows.Row(seq, body, chain.hash_of(prev, seq, body))
        rows.append(tx, event, kind=kind, agent=subject["agent"], task=subject["task"])

    def checkpoint(self, now_ms: int) -> chain.Checkpoint:
        """Sign and publish the present head; return it, or the last checkpoint if nothing is new."""
        with self._store.write() as tx:
            last = rows.last(tx)
            size, root = (last.seq, last.hash) if last else (0, chain.GENESIS)
            head = chain.Checkpoint(ORIGIN, size, root)
            newest = rows.last_checkpoint(tx)
            if newest is not None and newest[0] == head.size:
                return head
            text = chain.checkpoint_text(head)
            note = f"{text}\n{SIGNATURE_MARK}{ORIGIN} {self._key.sign(text)}\n"
            rows.add_checkpoint(tx, head.size, note)
        faults.reached("checkpoint.signed")
        self._publish(note)
        faults.reached("checkpoint.published")
        self._signed_ms = now_ms
        return head

    def checkpoint_if_due(self, now_ms: int) -> None:
        """Sign and publish the head if CHECKPOINT_EVENTS or CHECKPOINT_MS have passed since the last time."""
        with self._store.read() as tx:
            last, newest = rows.last(tx), rows.last_checkpoint(tx)
        new = (last.seq if last else 0) - (newest[0] if newest else 0)
        # A clock that jumped back is no reason to wait for it.
        recent = 0 <= now_ms - self._signed_ms < CHECKPOINT_MS
        if new >= CHECKPOINT_EVENTS or (new > 0 and not recent):
            self.checkpoint(now_ms)

    def _publish(self, note: str) -> None:
        with open(self._published, "ab") as file:
            file.write(json.dumps(note).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def check_not_rolled_back(self) -> None:
        """Raise Unsafe if the database is older than what was published of it: it would give out the same
        numbers, tasks and fences once more.
        """
        newest = self._newest_published()
        if newest is None or newest.size == 0:
            return
        with self._store.read() as tx:
            last, signed = rows.last(tx), rows.last_checkpoint(tx)
        # Where the database knows of the checkpoint, its log was cut: `verify` tells that, and how.
        if max(last.seq if last else 0, signed[0] if signed else 0) < newest.size:
            raise Unsafe(
                f"{self._store.path} is older than its own log: {self._published} says that"
                f" event {newest.size} was recorded. Nothing was changed; put the newer database back, or, if"
                " this one shall stand, move that file away and start again."
            )

    def _newest_published(self) -> chain.Checkpoint | None:
        """Return the newest checkpoint of our key that stands at the end of the published ones."""
        if not self._published.exists():
            return None
        with open(self._published, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().splitlines()
        notes = [value for value in map(_value, lines) if isinstance(value, str)]
        opened = [checkpoint for note in notes if (checkpoint := self._open_note(note)) is not None]
        return max(opened, key=lambda checkpoint: checkpoint.size, default=None)

    def verify(self, witnesses: Iterable[chain.Checkpoint] = ()) -> dict[str, Any]:
        """Check chain, signatures and every published checkpoint; `witnesses` come from the trailers of main.
        Return "ok", the numbers of "events" and "checkpoints", and the "problems" in words.
        """
        # First what rests on the log, then the log: it grows meanwhile, and is no shorter than what was said.
        witnesses = list(witnesses)
        published, unreadable = self._read_published()
        with self._store.read() as tx:
            stored = rows.all_checkpoints(tx)
            entries = [chain.ChainEntry(row.seq, _value(row.body), row.hash) for row in rows.all(tx)]
            copies = dict(rows.copies(tx))
        checkpoints, problems = [], _differing_copies(entries, copies)
        if unreadable:
            problems.append(f"{unreadable} lines of the published checkpoints cannot be read")
        for note in dict.fromkeys(stored + published):
            checkpoint = self._open_note(note)
            if checkpoint is None:
                problems.append(f"checkpoint with a wrong signature: {note.splitlines()[:3]}")
            else:
                checkpoints.append(checkpoint)
        in_database = set(stored)
        if missing := sum(note not in in_database for note in published):
            problems.append(f"{missing} published checkpoints are missing from the database")
        problems += chain.verify(entries, dict.fromkeys([*checkpoints, *witnesses]))
        return {
            "ok": not problems,
            "events": len(entries),
            "checkpoints": len(checkpoints),
            "problems": problems,
        }

    def _read_published(self) -> tuple[list[str], int]:
        """Return the published notes, and how many lines of their file cannot be read."""
        lines = self._published.read_bytes().splitlines() if self._published.exists() else []
        values = [_value(line) for line in lines]
        notes = [value for value in values if isinstance(value, str)]
        return notes, len(values) - len(notes)

    def _open_note(self, note: str) -> chain.Checkpoint | None:
        """Return the checkpoint that the note holds, or None if it is not signed by this key."""
        text, _, signature = note.partition(f"\n{SIGNATURE_MARK}{ORIGIN} ")
        try:
            self._key.public.verify(base64.b64decode(signature.strip(), validate=True), text.encode())
            return chain.parse_checkpoint(text)
        except (InvalidSignature, ValueError):
            return None


def _value(raw: bytes) -> object:
    """Return what a body holds. If it is not the JSON that we write, return the bytes themselves, which no
    entry's hash covers.
    """
    if not isinstance(raw, bytes):  # SQLite keeps whatever type somebody else wrote
        return repr(raw)
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    return value if chain.canonical(value) == raw or isinstance(value, str) else raw


def _differing_copies(entries: list[chain.ChainEntry], copies: dict[int, dict[str, Any]]) -> list[str]:
    """Return a problem for each event whose columns differ from its body. Queries read the columns: whoever
    changes only these hides an event without breaking the chain.
    """
    problems = []
    for entry in entries:
        if not isinstance(entry.body, dict):
            continue
        columns = copies[entry.seq]
        if any(entry.body.get(name) != value for name, value in columns.items()):
            problems.append(f"seq {entry.seq}: edited: its columns are not what its body says")
    return problems


@lru_cache(maxsize=NAMES_MAX)
def _names_a_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def redacted(value: Any, name: str = "") -> Any:
    """Return arguments as they may be logged: secrets hidden by their name or their look, long texts replaced
    by their hash.
    """
    if _names_a_secret(name):
        return "(secret)"
    if isinstance(value, dict):
        return {key: redacted(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(inner, name) for inner in value]
    if isinstance(value, str):
        value = SECRET_TEXT.sub("(secret)", value)
    if isinstance(value, str) and len(value) > TEXT_MAX:
        return {
            "sha256": hashlib.sha256(value.encode("utf-8", "backslashreplace")).hexdigest(),
            "characters": len(value),
            "begins": value[:200],
        }
    return value


def bounded(args: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as they may be logged: redacted, and no larger than they are worth."""
    args = redacted(args)
    if len(chain.canonical(args)) <= ARGUMENTS_BYTES_MAX:
        return args
    kept = {name[:NAME_MAX]: _hashed(value) for name, value in list(args.items())[:ARGUMENTS_MAX]}
    return kept if len(args) <= ARGUMENTS_MAX else kept | {"left_out": len(args) - ARGUMENTS_MAX}


def _hashed(value: Any) -> Any:
    """Return a JSON value, or the hash, size and begin of a large one."""
    written = chain.canonical(value)
    if len(written) <= ARGUMENT_BYTES_MAX:
        return value
    digest = hashlib.sha256(written).hexdigest()
    return {"sha256": digest, "bytes": len(written), "begins": written[:200].decode(errors="replace")}
