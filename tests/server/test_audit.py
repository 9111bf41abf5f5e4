"""The audit log of a real run: every kind of call leaves an event, and whatever is done to the log afterwards
is seen.
"""

import asyncio
import base64
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mcp_server import config
from mcp_server.audit import redacted
from mcp_server.bell import Bell
from mcp_server.core import chain
from mcp_server.core.principal import AGENT, Principal
from mcp_server.edge import app
from mcp_server.store import Unsafe
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.people import events

from . import toy, wide
from .conftest import Server
from .wide import refused, settled

SECRET = "sk-" + "ant-" + "x1" * 15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("audit")
    with wide.serving(root) as made:
        with wide.running(made):
            play(made, root)
        yield made


def play(server: Server, root: Path) -> None:
    """A little of everything."""
    one, connected = server.agent("one"), server.agent("connected", session=False)
    fence = one.call("claim_task", task="M01")["fence"]
    clone = one.clone(root / "one")
    commit = one.commit(clone, {"m01/x": "1\n"})
    refused(connected.call("claim_task", task="M01"), "held")
    connected.call("write_note", topic="keys", text=f"my key is {SECRET}, and {one.token} too")
    connected.call("write_note", topic="long", text="x" * 3_500)
    toy.git("push", "origin", "HEAD:refs/heads/main", cwd=clone, check=False)
    settled(one, "run_oracle", fence=fence)
    assert settled(one, "push", fence=fence, commit=commit, summary="Land")["status"] == "landed"
    gone = connected.call("claim_task", task="M02")["fence"]
    connected.call("release_task", fence=gone, outcome="abandoned")
    with server.http() as http:
        http.post("/api/oracle/check")
        http.post("/api/tasks", json={"title": "More", "module": "m03", "brief": "b"})
        http.post("/api/tasks/M01/reopen", json={"reason": "again"})
        id = next(
            token["id"] for token in http.get("/api/tokens").json()["tokens"] if token["name"] == "connected"
        )
        http.delete(f"/api/tokens/{id}")
        http.post(f"/api/sessions/{one.session}/end", json={"outcome": "worked"})
    two = server.agent("two")
    two.call("claim_task", task="M04")
    server.clock.ahead_ms += 61_000
    two.call("list_tasks")


def verify(server: Server) -> dict:
    with server.http() as http:
        return http.get("/api/audit/verify").json()


def test_every_kind_of_act_has_left_its_event(server: Server):
    kinds = {event["kind"] for event in server.events()}
    assert kinds >= {
        "main_imported", "session_started", "session_ended", "tool_call", "refusal", "lease_granted", "lease_ended", "task_created", "task_state",
        "git_fetch", "git_push", "submission", "landed", "job_started", "job_done", "note_written", "token_issued", "token_revoked", "admin_action",
    }  # fmt: skip
    verdict = verify(server)
    assert verdict["ok"] and verdict["problems"] == []


def test_an_event_tells_who_did_what_to_which_task_under_which_lease(server: Server):
    [landed] = server.events(kind="landed")
    assert (
        (landed["agent"], landed["task"]) == ("one", "M01")
        and landed["fence"]
        and landed["data"]["commit"]
        and landed["data"]["head"]
    )
    calls = server.events(kind="tool_call", agent="one")
    assert [call["data"]["tool"] for call in calls][0] == "claim_task" and {"push", "run_oracle"} <= {
        call["data"]["tool"] for call in calls
    }
    assert all(
        call["session"] == "S1" and call["data"]["ms"] >= 0 and call["data"]["status"] for call in calls
    )
    assert {event["data"]["code"] for event in server.events(kind="refusal")} == {"held", "protected_ref"}
    assert [event["data"]["reason"] for event in server.events(kind="lease_ended")] == [
        "landed",
        "abandoned",
        "expired",
    ]


def test_events_are_found_by_kind_agent_task_and_commit(server: Server):
    [landed] = server.events(kind="landed")
    found = server.events(commit=landed["data"]["commit"][:10])
    assert landed["seq"] in [event["seq"] for event in found] and len(found) < len(server.events())
    assert {event["task"] for event in server.events(task="M02")} == {"M02"}
    with server.http() as http:
        page = http.get("/api/events", params={"after": 5, "limit": 3}).json()["events"]
        assert [event["seq"] for event in page] == [6, 7, 8]
        assert http.get("/api/events", params={"limit": -1}).json()["events"] == []
        assert http.get("/api/events", params={"after": "x"}).status_code == 400


def test_the_log_alone_tells_who_held_what_when(server: Server):
    held: dict[str, int] = {}
    for event in server.events():
        if event["kind"] == "lease_granted":
            assert event["task"] not in held
            held[event["task"]] = event["fence"]
        if event["kind"] == "lease_ended":
            assert held.pop(event["task"]) == event["fence"]
    assert held == {}


def test_no_secret_is_in_the_log_and_long_texts_are_hashed(server: Server):
    text = json.dumps(server.events())
    assert SECRET not in text and "hs_" not in text and "my key is (secret)" in text
    [note] = [event for event in server.events(kind="note_written") if event["data"]["topic"] == "long"]
    assert note["data"]["text"]["characters"] == 3_500 and len(note["data"]["text"]["sha256"]) == 64


@pytest.mark.parametrize("name", ["token", "api_key", "Authorization", "PASSWORD", "client_secret"])
def test_what_is_named_like_a_secret_is_hidden_at_any_depth(name: str):
    assert redacted({"args": [{name: "x", "other": "y"}]}) == {"args": [{name: "(secret)", "other": "y"}]}


def test_checkpoints_are_signed_by_the_key_on_disk_and_pinned_by_landed_commits(server: Server):
    key = load_pem_private_key((server.state / "audit/key.pem").read_bytes(), None).public_key()
    notes = [json.loads(line) for line in (server.state / "audit/checkpoints").read_text().splitlines()]
    hashes = {event["seq"]: event["hash"] for event in server.events()}
    assert notes
    for note in notes:
        text, _, signature = note.partition("\n\u2014 harness audit log ")
        key.verify(base64.b64decode(signature), text.encode())
        found = chain.parse_checkpoint(text)
        assert hashes[found.size] == found.root
    with server.http() as http:
        size, root = http.get("/api/commits").json()["commits"][-1]["trailers"]["Audit-Checkpoint"].split()
    assert hashes[int(size)] == root and verify(server)["witnessed_by_commits"] == 1


# -- tampering, on a copy of the state that is opened anew, as a server does


@pytest.fixture(scope="module")
def stopped(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of the server after it has stopped."""
    server.stop()
    copy = tmp_path_factory.mktemp("stopped")
    shutil.copytree(server.state, copy / "state", ignore=shutil.ignore_patterns("doors"))
    server.start()
    return copy / "state"


def tampered(
    server: Server, stopped: Path, root: Path, deed: Callable[[sqlite3.Connection, Path], None]
) -> list[str]:
    """What the check says of a state whose log was tampered with while it was down."""
    state = shutil.copytree(stopped, root / "state")
    with sqlite3.connect(state / "state.db") as database:
        deed(database, state)
    database.close()
    loaded = config.load(server.project / "harness.toml")
    assert not isinstance(loaded, list)
    other = app.open_world(loaded, app.StateDir(state), asyncio.run(silent_bell()))
    try:
        found = events.verify(other)
        assert found.ok == (not found.problems)
        return list(found.problems)
    finally:
        other.store.close()


async def silent_bell() -> Bell:
    return Bell()  # its loop has ended: it rings for nobody


def edit(db: sqlite3.Connection, _: Path) -> None:
    db.execute(
        "UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '\"one\"', '\"two\"') AS BLOB) WHERE kind = 'landed'"
    )


def edit_to_garbage(db: sqlite3.Connection, _: Path) -> None:
    db.execute("UPDATE events SET body = x'ff00' WHERE kind IN ('landed', 'main_imported')")


def edit_columns(db: sqlite3.Connection, _: Path) -> None:
    db.execute(
        "UPDATE events SET kind = 'tool_call' WHERE seq = (SELECT min(seq) FROM events WHERE kind = 'refusal')"
    )


def delete(db: sqlite3.Connection, _: Path) -> None:
    db.execute("DELETE FROM events WHERE kind = 'refusal'")


def delete_and_renumber(db: sqlite3.Connection, _: Path) -> None:
    db.execute("DELETE FROM events WHERE seq = 5")
    for (seq,) in db.execute("SELECT seq FROM events WHERE seq > 5 ORDER BY seq").fetchall():
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (seq - 1, seq))


def reorder(db: sqlite3.Connection, _: Path) -> None:
    for new, old in ((-1, 10), (10, 11), (11, -1)):
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))


def insert(db: sqlite3.Connection, _: Path) -> None:
    last = db.execute("SELECT max(seq) FROM events").fetchone()[0]
    for seq in range(last, 6, -1):
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (seq + 1, seq))
    db.execute("INSERT INTO events SELECT 7, body, hash, kind, agent, task FROM events WHERE seq = 6")


def truncate(db: sqlite3.Connection, _: Path) -> None:
    size = db.execute("SELECT max(size) FROM checkpoints").fetchone()[0]
    db.execute("DELETE FROM events WHERE seq >= ?", (size - 3,))


def forget_checkpoints(db: sqlite3.Connection, _: Path) -> None:
    db.execute("DELETE FROM checkpoints")


def roll_back(db: sqlite3.Connection, _: Path) -> None:
    truncate(db, _)
    db.execute("DELETE FROM checkpoints WHERE size > (SELECT max(seq) FROM events)")


def rewrite(db: sqlite3.Connection, _: Path) -> None:
    """The whole chain anew after an edit: only a signature tells."""
    prev = chain.GENESIS
    for seq, body in db.execute("SELECT seq, body FROM events ORDER BY seq").fetchall():
        value = json.loads(body)
        if value["kind"] == "refusal":
            value["data"]["code"] = "harmless"
        prev = chain.entry_hash(prev, seq, value)
        db.execute("UPDATE events SET body = ?, hash = ? WHERE seq = ?", (chain.canonical(value), prev, seq))


def rewrite_without_checkpoints(db: sqlite3.Connection, state: Path) -> None:
    """Chain, table and file: the trailer of a landed commit still tells."""
    rewrite_before_landing(db)
    db.execute("DELETE FROM checkpoints")
    (state / "audit/checkpoints").unlink()


def rewrite_before_landing(db: sqlite3.Connection) -> None:
    prev = chain.GENESIS
    for seq, body in db.execute("SELECT seq, body FROM events ORDER BY seq").fetchall():
        value = json.loads(body) | ({"ms": 1} if seq == 1 else {})
        prev = chain.entry_hash(prev, seq, value)
        db.execute("UPDATE events SET body = ?, hash = ? WHERE seq = ?", (chain.canonical(value), prev, seq))


def forge_checkpoint(db: sqlite3.Connection, _: Path) -> None:
    db.execute("UPDATE checkpoints SET note = replace(note, 'harness audit log\n', 'another log\n')")


def spoil_published(_: sqlite3.Connection, state: Path) -> None:
    (state / "audit/checkpoints").write_bytes(b"\xff not json\n")


def hide_landing(db: sqlite3.Connection, state: Path) -> None:
    (state / "audit/checkpoints").unlink()
    db.execute("DELETE FROM events WHERE seq >= (SELECT seq FROM events WHERE kind = 'landed')")
    db.execute("DELETE FROM checkpoints")


def retype(db: sqlite3.Connection, _: Path) -> None:
    db.execute("UPDATE events SET body = CAST(body AS TEXT) || ' ' WHERE seq = 5")


DEEDS = [
    (retype, "edited"), (edit, "edited"), (edit_to_garbage, "edited"), (edit_columns, "columns"), (delete, "deleted"), (delete_and_renumber, "renumbered"), (reorder, "reordered"),
    (insert, "inserted"), (truncate, "truncated"), (forget_checkpoints, "missing from the database"), (rewrite, "rewritten"),
    (rewrite_without_checkpoints, "rewritten"), (forge_checkpoint, "wrong signature"), (spoil_published, "cannot be read"), (hide_landing, "no landing of it"),
]  # fmt: skip


@pytest.mark.parametrize(("deed", "told"), DEEDS, ids=lambda value: value.__name__ if callable(value) else "")
def test_what_was_done_to_the_log_is_told(
    server: Server, stopped: Path, tmp_path: Path, deed: Callable, told: str
):
    problems = tampered(server, stopped, tmp_path, deed)
    assert any(told in problem for problem in problems), problems


def test_a_database_that_was_rolled_back_is_refused_at_the_start(
    server: Server, stopped: Path, tmp_path: Path
):
    """It would give out the same tasks and fences once more. Moved away, the published log is missed no more."""
    with pytest.raises(Unsafe, match="older than its own log.*put the newer database back"):
        tampered(server, stopped, tmp_path, roll_back)
    moved = tmp_path / "again"
    moved.mkdir()

    def roll_back_knowingly(db: sqlite3.Connection, state: Path) -> None:
        roll_back(db, state)
        (state / "audit/checkpoints").rename(moved / "checkpoints")

    tampered(server, stopped, moved, roll_back_knowingly)


def test_an_untouched_log_is_whole_after_a_restart(server: Server, stopped: Path, tmp_path: Path):
    assert tampered(server, stopped, tmp_path, lambda *_: None) == []


# -- events and changes stand or fall together


class Disk(Exception):
    """The disk is full, or the power is gone."""


def test_a_change_whose_transaction_fails_leaves_neither_itself_nor_its_event(server: Server):
    world, who = server.world, Principal("nobody", AGENT)
    assert world is not None
    before = len(server.events())

    def change_and_fail() -> None:
        with world.store.write() as tx:
            task = task_rows.get(tx, "M05")
            assert task is not None
            leasing.move(world, tx, task, who.name)
            world.record(tx, "admin_action", who, action="nothing")
            task_rows.add(tx, dataclasses.replace(task, id="M99"))
            raise Disk

    with pytest.raises(Disk):
        change_and_fail()
    assert len(server.events()) == before
    with server.http() as http:
        assert http.get("/api/tasks/M99").status_code == 404
    assert verify(server)["ok"]
