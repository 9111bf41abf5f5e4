"""The door, the entry and the salvage, inside real sandboxes and against a real server."""

import dataclasses
import socket
import threading
import time
from collections.abc import Callable

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.boxes.sandbox import SandboxSession
from tests.waiting import until

from .boxes import python, ran, ready, told, wait_for_log
from .mini import MiniServer, git

pytestmark = pytest.mark.containers

SessionOf = Callable[..., SandboxSession]
KILLED = 128 + 9

# -- the door
# --------------------------------------------------------------------------------------------------------

STREAM = """
import http.client
c = http.client.HTTPConnection("127.0.0.1", 8765); c.request("GET", "/sse"); r = c.getresponse()
seen = []
while line := r.readline():
    if line.startswith(b"data"):
        seen.append(line.decode().strip())
        heard = http.client.HTTPConnection("127.0.0.1", 8765); heard.request("POST", "/heard"); heard.getresponse().read()
print(seen)
"""
BIG = """
import http.client, os
data = os.urandom(20 << 20)
c = http.client.HTTPConnection("127.0.0.1", 8765); c.request("POST", "/echo", data); print(c.getresponse().read() == data)
"""
HALF = """
import socket
s = socket.create_connection(("127.0.0.1", 8765)); s.sendall(b"one two"); s.shutdown(socket.SHUT_WR)
got = b""
while part := s.recv(1000): got += part
print(got)
"""
FAST = """
import http.client, time
c = http.client.HTTPConnection("127.0.0.1", 8765); halves = []
while len(halves) < 20 and min(halves, default=1) > 0.025:
    times = []
    for _ in range(100):
        began = time.perf_counter(); c.request("GET", "/health"); c.getresponse().read(); times.append(time.perf_counter() - began)
    halves.append(sorted(times)[50])
print(min(halves) * 1000)
"""


def test_events_pass_the_door_as_they_are_sent(session_of: SessionOf, engine: Engine) -> None:
    """None is sent before the one before it was heard."""
    box = ready(engine, session_of())
    assert python(box, STREAM) == ["['data: 0', 'data: 1', 'data: 2']"]


def test_twenty_megabytes_pass_both_ways_and_small_requests_wait_for_no_acknowledgement(
    session_of: SessionOf, engine: Engine
) -> None:
    """An answer that is held back until its head is acknowledged takes 40 ms, however quiet the machine; on a
    busy one others do too, so it is tried until half of them are faster.
    """
    box = ready(engine, session_of())
    assert python(box, BIG) == ["True"]
    assert float(python(box, FAST)[0]) < 25


def test_a_half_closed_connection_still_gets_its_answer(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(engine, session)
    mini.close()

    def answer_after_the_end(listener: socket.socket) -> None:
        client, _ = listener.accept()
        got = b""
        while part := client.recv(1000):
            got += part
        client.sendall(b"heard " + got)
        client.close()

    path = session.door / "door.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        threading.Thread(target=answer_after_the_end, args=(listener,), daemon=True).start()
        assert python(box, HALF) == ["b'heard one two'"]


def test_the_door_works_again_after_the_server_restarts_and_after_the_forwarder_is_killed(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    box = ready(engine, session_of())
    health = (
        "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8765/health').read().decode())"
    )
    with mini.outage():
        assert box.exec(["python3", "-c", health], timeout_s=20).exit != 0
    assert python(box, health) == ["ok"]
    box.exec(["python3", "-c", KILL_FORWARDER], timeout_s=20)
    wait_for_log(box, "door_reopened")
    until(lambda: box.exec(["python3", "-c", health], timeout_s=20).exit == 0)


KILL_FORWARDER = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    if b"forwarder.py" in open(f"/proc/{pid}/cmdline", "rb").read(): os.kill(int(pid), signal.SIGKILL)
"""


def test_the_door_is_read_only_from_inside_and_holds_nothing_else(
    session_of: SessionOf, engine: Engine
) -> None:
    box = ready(engine, session_of())
    assert box.exec(["ls", "-A", "/run/harness"], timeout_s=20).stdout.split() == [
        b"door.sock",
        b"session.json",
    ]
    assert (
        box.exec(["sh", "-c", "rm -f /run/harness/session.json; touch /run/harness/x"], timeout_s=20).exit
        != 0
    )
    assert (
        b" ro," in box.exec(["grep", " /run/harness ", "/proc/mounts"], timeout_s=20).stdout
    )  # not by its owner alone


# -- the entry
# -------------------------------------------------------------------------------------------------------


def test_the_agent_finds_its_clone_its_files_its_environment_and_its_exit_status_is_passed_on(
    session_of: SessionOf, engine: Engine
) -> None:
    session = session_of()
    script = 'pwd; cat README.md "$HOME/notes/a.txt"; echo "$HARNESS_AGENT $HARNESS_URL $HARNESS_MCP_URL $HARNESS_TOKEN $EXTRA"; git log --oneline | wc -l; exit 5'
    exit, lines = ran(engine, session, script, env={"EXTRA": "extra"}, files={"notes/a.txt": "a note\n"})
    assert exit == 5
    for line in (
        "/workspace/engine",
        "# seed",
        "a note",
        f"ada http://127.0.0.1:8765 http://127.0.0.1:8765/mcp {session.token} extra",
    ):
        assert line in lines
    assert told(lines, "ended") == [{"harness": "ended", "exit": 5, "saved": True}]


def test_every_commit_is_on_the_server_as_it_is_made(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(engine, session)
    for number in range(2):
        done = box.exec(
            ["sh", "-c", f"echo {number} >f; git add f; git commit -qm c{number}; git rev-parse HEAD"],
            timeout_s=60,
            workdir="/workspace/engine",
        )
        assert done.stderr == b""
        assert mini.uploaded("ada", session.session) == done.stdout.decode().strip()
    rewritten = "git commit -q --amend -m other; git rev-parse HEAD; git rebase -q --force-rebase HEAD~2; git rev-parse HEAD"
    done = box.exec(["sh", "-c", rewritten], timeout_s=60, workdir="/workspace/engine")
    assert mini.uploaded("ada", session.session) == done.stdout.decode().split()[-1]


def test_a_client_that_looks_for_its_vendors_key_finds_the_sessions_token(
    session_of: SessionOf, engine: Engine
) -> None:
    session = session_of()
    _, lines = ran(
        engine,
        session,
        'echo "$VENDOR_KEY $OTHER"',
        env={"VENDOR_KEY": "$HARNESS_TOKEN", "OTHER": "a $HARNESS_TOKEN"},
    )
    assert f"{session.token} a $HARNESS_TOKEN" in lines


def test_a_commit_succeeds_with_one_line_of_warning_while_the_server_is_away(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(engine, session)
    with mini.outage():
        done = box.exec(
            ["sh", "-c", "echo x >f; git add f; git commit -qm offline"],
            timeout_s=60,
            workdir="/workspace/engine",
        )
        assert done.exit == 0
        warning = done.stderr.decode().splitlines()
        assert [line.startswith("harness: this commit is not on the server yet") for line in warning] == [
            True
        ]
    box.stop(30)
    assert mini.uploaded("ada", session.session) is not None  # the entry's own upload made it good


def test_leftovers_are_committed_and_uploaded_at_the_end(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    script = "echo changed >>README.md; mkdir d; echo new >d/new; head -c 3000000 /dev/zero >big; echo '*.o' >.gitignore; echo x >a.o; git init -q inner; exit 3"
    exit, lines = ran(engine, session, script)
    head = mini.uploaded("ada", session.session)
    assert exit == 3
    assert head is not None
    shown = git("show", "--stat", "--format=%s%n%an", head, cwd=mini.repos["engine"])
    assert shown.startswith(f"leftovers of {session.session}\nada")
    files = git("ls-tree", "-r", "--name-only", head, cwd=mini.repos["engine"]).split()
    assert sorted(files) == [".gitignore", "README.md", "d/new"]
    assert sorted(told(lines, "leftovers")[0]["skipped"]) == ["big", "inner/"]


def test_a_session_that_changes_nothing_uploads_nothing(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    exit, lines = ran(engine, session, "true")
    assert (exit, mini.uploaded("ada", session.session)) == (0, None)
    assert told(lines, "leftovers") == told(lines, "uploaded") == []


def test_an_unfinished_merge_is_undone_and_its_commits_are_kept(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    script = """git checkout -q -b side; echo side >README.md; git commit -qam side; git checkout -q main
        echo mine >README.md; git commit -qam mine; git rev-parse HEAD >/tmp/mine; git merge -q side; cat /tmp/mine; exit 1"""
    _, lines = ran(engine, session, script)
    head = mini.uploaded("ada", session.session)
    assert head in lines
    assert git("show", f"{head}:README.md", cwd=mini.repos["engine"]) == "mine"


def test_a_stop_ends_the_agents_whole_process_tree_and_saves_its_work(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(
        engine,
        session,
        [
            "sh",
            "-c",
            "trap '' TERM; echo late >late; echo '{\"harness\": \"late\"}'; "
            "setsid -f sh -c \"trap '' TERM; sleep 999\"; sleep 999 & wait; sleep 999",
        ],
    )
    wait_for_log(box, "late")
    box.stop(120)
    assert box.wait(20) != KILLED, "it ended by itself, before its time was up"
    head = mini.uploaded("ada", session.session)
    assert head is not None
    assert "late" in git("ls-tree", "--name-only", head, cwd=mini.repos["engine"])


def test_no_process_of_the_agent_can_disturb_the_saving(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    ran(engine, session, "echo x >x; setsid -f sh -c 'while :; do : >.git/index.lock; done'; sleep 0.5")
    assert mini.uploaded("ada", session.session) is not None


def test_orphans_are_reaped_while_the_agent_works(session_of: SessionOf, engine: Engine) -> None:
    _, lines = ran(
        engine,
        session_of(),
        "for i in 1 2 3 4 5; do setsid -f true; done; sleep 1; grep -l '^State:.*zombie' /proc/[0-9]*/status; echo counted",
    )
    assert [line for line in lines if line.startswith("/proc")] == []
    assert "counted" in lines


def test_what_cannot_start_is_said_and_not_guessed(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = sandbox.start(engine, session, argv=["no-such-agent"], env={}, files={})
    lines = [line.decode() for _, line in box.follow_logs()]
    assert (box.wait(10), told(lines, "no_command")[0]["detail"]) == (
        127,
        "no-such-agent: No such file or directory",
    )
    wrong = dataclasses.replace(session_of("bob"), token="wrong")
    box = sandbox.start(engine, wrong, argv=["true"], env={}, files={})
    lines = [line.decode() for _, line in box.follow_logs()]
    assert box.wait(60) == 69
    assert told(lines, "clone_failed")[0]["detail"] == "the server does not know the session's token"


def test_the_clone_waits_for_a_server_that_is_just_restarting(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    with mini.outage():
        box = sandbox.start(engine, session, argv=["cat", "README.md"], env={}, files={})
        time.sleep(1.5)
    assert b"# seed" in [line for _, line in box.follow_logs()]


# -- salvage and limits
# ----------------------------------------------------------------------------------------------


def test_what_a_killed_box_left_is_salvaged_from_its_workspace(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(engine, session)
    script = "echo half >half-done; : >.git/index.lock; echo never >>README.md"
    box.exec(["sh", "-c", script], timeout_s=20, workdir="/workspace/engine")
    box.kill()
    assert mini.uploaded("ada", session.session) is None
    saved, lines = sandbox.salvage(engine, session)
    assert (saved, [b"leftovers" in line for line in lines]) == (True, [False, True, False, False])
    head = mini.uploaded("ada", session.session)
    assert git("ls-tree", "--name-only", str(head), cwd=mini.repos["engine"]).split() == [
        "README.md",
        "half-done",
    ]
    assert sandbox.salvage(engine, session)[0]  # again: nothing new, no error
    assert mini.uploaded("ada", session.session) == head
    sandbox.remove(engine, session, box)
    assert engine.list({sandbox.RUN: session.run, sandbox.SESSION: session.session}) == []
    assert engine.volumes({sandbox.SESSION: session.session}) == {}
    assert not (session.door / "session.json").exists()


def test_a_salvage_with_nothing_to_save_is_no_failure(session_of: SessionOf, engine: Engine) -> None:
    session = session_of()
    box = sandbox.start(engine, session, argv=["sleep", "600"], env={}, files={})
    box.kill()
    assert sandbox.salvage(engine, session)[0]


def test_a_salvage_that_cannot_reach_the_server_says_so(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of()
    box = ready(engine, session)
    box.exec(["sh", "-c", "echo x >x"], timeout_s=20, workdir="/workspace/engine")
    box.kill()
    mini.close()
    assert not sandbox.salvage(engine, session)[0]


def test_when_memory_ends_even_the_agents_smallest_process_goes_before_the_entry(
    session_of: SessionOf, engine: Engine, mini: MiniServer
) -> None:
    session = session_of(memory_mb=96, pids=300)
    many_small = "for i in $(seq 40); do (head -c 4000000 /dev/zero | tail -c 4000000 | sleep 3) & done; wait"
    exit, lines = ran(engine, session, f"echo saved >saved; {many_small}; exit 4")
    assert exit in (4, 137), lines
    assert told(lines, "ended")[0]["saved"]
    assert mini.uploaded("ada", session.session) is not None
