"""Clients that do not behave: other refs, other protocols, bodies without end, and fifty at once. The server
stays as it was and serves the next.
"""

import gzip
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_server.edge.git_http import receive as git_push
from mcp_server.edge.git_http import routes
from tests.waiting import BOUND_S, until

from . import packs, toy
from .hostile import Stand, standing
from .packs import FILE, ZERO, commands, pack, packet, took
from .wide import refused

ONE = "1" * 40
EMPTY_PACK = pack([])


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("clients")) as made:
        yield made


# -- refs that are not the agent's own

FOREIGN = (
    "refs/heads/main refs/heads/new refs/heads/one refs/tags/v1 refs/landed/M01/1/1 refs/kept/202601 refs/candidates/1 refs/salvage/M01/1 refs/import/main "
    "refs/notes/commits refs/replace/"
    + ONE
    + " refs/stash refs/bisect/bad refs/worktree/x refs/agents/two/w refs/agents/onetwo/w refs/agents/one refs/agents "
    "HEAD FETCH_HEAD ORIG_HEAD main refs config refs/../HEAD refs/heads/../../config /etc/passwd ../../../etc/passwd REFS/AGENTS/ONE/x refs/agents/ONE/x "
    "refs/Agents/one/x refs//agents/one/x refs/agents//one/x ./refs/agents/one/x"
).split()
NO_NAMES = [
    "refs/agents/one/../../heads/main",
    "refs/agents/one/../two/w",
    "refs/agents/one/.",
    "refs/agents/one/..",
    "refs/agents/one/a..b",
    "refs/agents/one/x.lock",
    "refs/agents/one/.x",
    "refs/agents/one/x/",
    "refs/agents/one//x",
    "refs/agents/one/x.",
    "refs/agents/one/@{1}",
    "refs/agents/one/x~1",
    "refs/agents/one/x^",
    "refs/agents/one/x:y",
    "refs/agents/one/x?",
    "refs/agents/one/*",
    "refs/agents/one/[x",
    "refs/agents/one/a\\b",
    "refs/agents/one/",
]


@pytest.mark.parametrize("ref", FOREIGN)
def test_no_other_ref_can_be_made_moved_or_deleted(stand: Stand, ref: str):
    main = stand.main()
    with stand.untouched():
        for old, new in ((ZERO, main), (main, ZERO), (main, stand.git("rev-parse", "main^{tree}"))):
            status, words = stand.wire.push(ref, new, EMPTY_PACK, old=old)
            assert (
                not took((status, words), ref)
                and b"only refs/agents/one/* can be pushed" not in words
                or b"ng " + ref.encode() in words
            )


@pytest.mark.parametrize("ref", NO_NAMES)
def test_a_name_that_is_none_is_refused(stand: Stand, ref: str):
    with stand.untouched():
        answer = stand.wire.push(ref, stand.main(), EMPTY_PACK)
        assert not took(answer, ref) and answer[0] in (200, 400), answer


def test_a_name_in_the_way_of_another_is_refused(stand: Stand):
    ref = stand.ref()
    assert took(stand.wire.push(f"{ref}/below", stand.main(), EMPTY_PACK), f"{ref}/below")
    with stand.untouched():
        assert not took(stand.wire.push(ref, stand.main(), EMPTY_PACK), ref)
        assert not took(stand.wire.push(f"{ref}/below/more", stand.main(), EMPTY_PACK), f"{ref}/below/more")


def test_a_name_that_no_disk_can_hold_is_refused(stand: Stand):
    with stand.untouched():
        for size in (251, 300, 480, 5_000):
            ref = "refs/agents/one/" + "n" * size
            assert not took(stand.wire.push(ref, stand.main(), EMPTY_PACK), ref)


def test_what_was_pushed_is_kept(stand: Stand):
    """Its own refs an agent may move wherever it likes, and delete none of them."""
    ref, main = stand.ref(), stand.main()
    first, objects = stand.change({(b"first",): (FILE, b"1")})
    assert took(stand.wire.push(ref, first.oid, pack(objects)), ref)
    assert took(stand.wire.push(ref, main, EMPTY_PACK, old=first.oid), ref), "backwards"
    assert took(stand.wire.push(ref, first.oid, EMPTY_PACK, old=main), ref), "and forwards again"
    with stand.untouched():
        assert not took(stand.wire.push(ref, ZERO, b"", old=first.oid), ref)
        assert not took(stand.wire.push(ref, main, EMPTY_PACK, old=main), ref), (
            "another has moved it meanwhile"
        )
        assert not took(stand.wire.push(ref, main, EMPTY_PACK, old=ZERO), ref)


@pytest.mark.parametrize("capability", ["", " atomic"])
def test_one_ref_too_many_refuses_them_all(stand: Stand, capability: str):
    main = stand.main()
    updates = [(stand.ref(), ZERO, main) for _ in range(10)]
    with stand.untouched():
        body = commands(
            [*updates, ("refs/heads/main", main, main)], capabilities=packs.CAPABILITIES + capability
        )
        answer = stand.wire.post(body + EMPTY_PACK)
        assert answer[0] == 200 and not any(took(answer, ref) for ref, _, _ in updates)
        too_many = [(stand.ref(), ZERO, main) for _ in range(git_push.COMMANDS_MAX + 1)]
        assert stand.wire.post(commands(too_many) + EMPTY_PACK)[0] == 400
        same = stand.ref()
        twice = stand.wire.post(
            commands([(same, ZERO, main), (same, main, stand.git("rev-parse", "main^{tree}"))]) + EMPTY_PACK
        )
        assert twice[0] == 400 and b"is pushed twice" in twice[1]


def test_many_refs_at_once_are_taken_all_or_none(stand: Stand):
    main = stand.main()
    updates = [(stand.ref(), ZERO, main) for _ in range(git_push.COMMANDS_MAX)]
    answer = stand.wire.post(commands(updates, capabilities=f"{packs.CAPABILITIES} atomic") + EMPTY_PACK)
    assert all(took(answer, ref) for ref, _, _ in updates)
    with stand.untouched():
        mixed = [(stand.ref(), ZERO, main), (updates[0][0], ZERO, main)]  # the second is there already
        answer = stand.wire.post(commands(mixed, capabilities=f"{packs.CAPABILITIES} atomic") + EMPTY_PACK)
        assert not took(answer, mixed[0][0]) and not took(answer, mixed[1][0])


# -- what git's own client can be told to do


def client(stand: Stand, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *args], cwd=stand.clone, capture_output=True, text=True, timeout=BOUND_S)


@pytest.mark.parametrize(
    "args",
    [
        ("--mirror", "origin"),
        ("--all", "origin"),
        ("--tags", "origin", "HEAD:refs/heads/main"),
        ("--prune", "origin", "refs/heads/*:refs/heads/*"),
        ("--delete", "origin", "main"),
        ("--force", "origin", "HEAD:refs/heads/main"),
        ("--force-with-lease", "origin", "HEAD:main"),
        ("origin", "HEAD:refs/agents/two/w"),
        ("--push-option=x\n--exec=touch /tmp/x", "origin", "HEAD:refs/agents/one/option"),
        ("--signed=true", "origin", "HEAD:refs/agents/one/signed"),
    ],
    ids=lambda args: args[0],
)
def test_whatever_git_push_is_told_main_stays(stand: Stand, args: tuple[str, ...]):
    toy.git("commit", "-q", "--allow-empty", "-m", "mine", cwd=stand.clone)
    toy.git("tag", "-f", "v1", cwd=stand.clone)
    with stand.untouched():
        done = client(stand, "push", *args)
        assert done.returncode != 0, done.stderr


def test_a_shallow_push_is_refused_or_whole(stand: Stand, tmp_path: Path):
    """A clone without its history may push: what it leaves out the server has. What nobody has stays out."""
    header = f"http.extraHeader=Authorization: Bearer {stand.wire.token}"
    url = f"{stand.server.url}/git/toy.git"
    toy.git(
        "clone",
        "-q",
        "--depth",
        "1",
        "-c",
        header,
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x.invalid",
        url,
        "shallow",
        cwd=tmp_path,
    )
    toy.git("commit", "-q", "--allow-empty", "-m", "mine", cwd=tmp_path / "shallow")
    toy.git("push", "-q", "origin", f"HEAD:{stand.ref()}", cwd=tmp_path / "shallow")
    assert (
        stand.git("fsck", "--connectivity-only", "--no-dangling") == ""
        and not (stand.bare / "shallow").exists()
    )
    rootless = packs.commit(stand.git("rev-parse", "main^{tree}"), [ONE])
    with stand.untouched():
        ref = stand.ref()
        body = commands([(ref, ZERO, rootless.oid)], shallow=[rootless.oid])
        assert not took(stand.wire.post(body + pack([rootless])), ref)
        assert not (stand.bare / "shallow").exists()


# -- bodies without end, and none


def test_push_options_and_certificates_are_not_understood(stand: Stand):
    """Said of the commands' own packet they are words like any other: what they would bring is never read."""
    main = stand.main()
    with stand.untouched():
        cert = (
            packet(b"push-cert\0report-status\n")
            + packet(b"certificate version 0.1\n")
            + packet(b"push-cert-end\n")
            + b"0000"
        )
        assert stand.wire.post(cert + EMPTY_PACK)[0] == 400
        ref = stand.ref()
        body = (
            commands([(ref, ZERO, main)], capabilities=f"{packs.CAPABILITIES} push-options")
            + packet(b"ci.skip")
            + b"0000"
        )
        assert not took(stand.wire.post(body + EMPTY_PACK), ref)


def test_bodies_over_their_limits_are_cut_off(stand: Stand):
    with stand.untouched():
        head = commands([(stand.ref(), ZERO, ONE)])
        bomb = gzip.compress(head + bytes(routes.PUSH_BYTES_MAX + 1), compresslevel=9)
        assert len(bomb) < 100_000
        assert stand.wire.post(bomb, headers={"Content-Encoding": "gzip"})[0] in (0, 200, 413)
        assert stand.wire.post(gzip.compress(bomb), headers={"Content-Encoding": "gzip"})[0] == 400, (
            "packed twice is not understood"
        )
        assert stand.wire.post(b"x" * (routes.FETCH_BYTES_MAX + 1), "git-upload-pack")[0] in (0, 200, 413)
        long = b"".join(packet(f"{ZERO} {ONE} refs/agents/one/{n}".encode()) for n in range(5_000))
        assert stand.wire.post(long)[0] in (0, 400)


def test_a_client_that_leaves_in_mid_pack_leaves_nothing(stand: Stand):
    commit, objects = stand.change({(b"half",): (FILE, os.urandom(300_000))})
    body = commands([(stand.ref(), ZERO, commit.oid)]) + pack(objects)
    with stand.untouched():
        for part in (0, 10, len(body) // 3, len(body) - 1):
            with begun(stand, len(body)) as connection:
                connection.sendall(body[:part])
        until(
            lambda: (
                [event["data"]["status"] for event in stand.server.events(kind="git_push")].count("error")
                >= 2
            ),
            "the server to see that they have gone",
        )


def begun(stand: Stand, size: int) -> socket.socket:
    """A push of so many bytes, of which none is sent yet."""
    connection = socket.create_connection(("127.0.0.1", stand.server.port), timeout=60)
    head = f"POST /git/toy.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stand.wire.token}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def test_slow_uploads_take_the_places_of_their_agent_and_of_nobody_else(stand: Stand, tmp_path: Path):
    body = commands([(stand.ref(), ZERO, ONE)]) + b"PACK"
    slow = [begun(stand, 10_000_000) for _ in range(routes.REQUESTS_MAX)]
    try:
        for connection in slow:
            for byte in body:
                connection.sendall(bytes([byte]))
        until(lambda: stand.wire.post(b"0000")[0] == 429, "the agent's places to be taken")
        two = stand.server.agent("two")
        two.commit(two.clone(tmp_path / "two"), {"m08/x": "1\n"})
    finally:
        for connection in slow:
            connection.close()
    until(lambda: stand.wire.post(b"0000")[0] == 200, "the places to be free again")
    stand.good_upload()


def test_fifty_pushes_at_once_are_each_taken_or_told_to_wait(stand: Stand):
    pushes = []
    for number in range(50):
        commit, objects = stand.change({(b"many",): (FILE, b"%d" % number)})
        pushes.append((stand.ref(), commit.oid, pack(objects)))
    start = threading.Barrier(len(pushes))

    def push(one: tuple[str, str, bytes]) -> tuple[int, bytes]:
        start.wait(60)
        return stand.wire.push(*one)

    with ThreadPoolExecutor(len(pushes)) as pool:
        answers = list(pool.map(push, pushes))
    refs = stand.refs()
    for (ref, commit, _), answer in zip(pushes, answers, strict=True):
        assert refs.get(ref) == commit if answer[0] == 200 else answer[0] == 429 and ref not in refs, answer
    assert any(answer[0] == 200 for answer in answers)
    assert not list(stand.bare.glob("objects/tmp_*")) and not list(stand.bare.glob("objects/*/tmp_*"))
    stand.good_upload()


def test_a_fetch_is_not_shown_the_many_refs_of_others(stand: Stand, tmp_path: Path):
    main = stand.main()
    for _ in range(4):
        updates = [(stand.ref(), ZERO, main) for _ in range(git_push.COMMANDS_MAX)]
        assert stand.wire.post(commands(updates) + EMPTY_PACK)[0] == 200
    trace = tmp_path / "trace"
    header = f"http.extraHeader=Authorization: Bearer {stand.server.agent('two').token}"
    env = os.environ | {"GIT_TRACE_PACKET": str(trace)}
    subprocess.run(
        ["git", "-c", header, "clone", "-q", f"{stand.server.url}/git/toy.git", tmp_path / "two"],
        env=env,
        check=True,
        timeout=BOUND_S,
    )
    assert "refs/heads/main" in trace.read_text() and "refs/agents/one/" not in trace.read_text()
    stand.good_upload()


def test_a_body_that_is_no_request_is_told_so(stand: Stand):
    with stand.untouched():
        for body in (b"\0" * 5000, b"GET / HTTP/1.1\r\n\r\n", packet(b"x" * 60_000) * 2, b"fff" + b"0" * 10):
            with suppress(ConnectionError):
                assert stand.wire.post(body)[0] == 400


def test_after_all_of_it_the_next_good_change_lands(stand: Stand):
    stand.good_landing()
    assert refused(stand.push(commit=ONE), "commit_unknown")
    assert stand.git("fsck", "--full", "--strict", "--no-dangling") == ""
