"""Care of the repositories: beside landings and uploads, broken off at any moment, and nothing that an event
names is ever lost.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server import faults
from mcp_server.core import upkeep as core
from mcp_server.repos import settings
from mcp_server.repos import upkeep as repository_upkeep
from mcp_server.repos.process import GitFailed
from mcp_server.repos.repository import Repository
from mcp_server.use_cases.landing import upkeep
from tests.waiting import until

from . import packs, toy, wide
from .conftest import Agent, Clock, Server
from .nursery import Nursery, lives
from .test_kills import Mortal, again
from .wide import settled

DAY_MS = upkeep.MS_PER_DAY
LAST_OF_ALL = 19  # no process is nicer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with wide.serving(tmp_path) as made, wide.running(made):
        yield made


def bare(server: Server | Mortal) -> Path:
    return server.state / "repos/toy.git"


def refs(where: Path) -> dict[str, str]:
    out = toy.git("for-each-ref", "--format=%(refname) %(objectname)", cwd=where)
    return dict(line.split(" ") for line in out.splitlines())


def is_sound(where: Path) -> bool:
    return toy.git("fsck", "--full", "--strict", "--no-dangling", cwd=where) == ""


def scatter(where: Path, count: int, *, at: str = "refs/agents/old") -> list[str]:
    """So many commits on main, each in a pack and on a ref of its own, as pushes leave them."""
    main, tree = (
        toy.git("rev-parse", "refs/heads/main", cwd=where),
        toy.git("rev-parse", "refs/heads/main^{tree}", cwd=where),
    )
    made = []
    for number in range(count):
        commit = packs.commit(tree, [main], words=b"%d\n" % number)
        subprocess.run(
            ["git", "index-pack", "--stdin"],
            input=packs.pack([commit]),
            cwd=where,
            check=True,
            capture_output=True,
        )
        made.append(commit.oid)
    crowd(where, at, made, count)
    return made


def crowd(where: Path, prefix: str, commits: list[str], count: int) -> dict[str, str]:
    """So many refs to these commits."""
    made = {f"{prefix}/{number}": commits[number % len(commits)] for number in range(count)}
    updates = "".join(f"create {ref} {commit}\n" for ref, commit in made.items())
    subprocess.run(["git", "update-ref", "--stdin"], input=updates.encode(), cwd=where, check=True)
    return made


def land(server: Server, one: Agent, task: str, where: Path) -> dict:
    fence = one.call("claim_task", task=task)["fence"]
    module = task.lower()
    head = one.commit(where, {f"{module}/{task}": "1\n"})
    answer = settled(one, "push", fence=fence, commit=head, summary=task)
    assert answer["status"] == "landed", answer
    return answer | {"head": head}


def grown_old(server: Server) -> None:
    """As if all that is there had been made 31 days ago."""
    clock = server.clock
    assert isinstance(clock, Clock)
    clock.ahead_ms += 31 * DAY_MS


# -- when and what


def test_a_repository_in_order_is_left_alone(server: Server):
    before = [entry.stat().st_ino for entry in sorted(bare(server).glob("objects/pack/*"))]
    upkeep.run(server.world)
    assert [entry.stat().st_ino for entry in sorted(bare(server).glob("objects/pack/*"))] == before
    assert server.events(kind="repacked") == server.events(kind="refs_kept") == []


def test_packs_and_refs_are_joined_once_there_are_many_and_an_event_tells(server: Server):
    made = scatter(bare(server), core.PACKS_MAX + 10)
    upkeep.run(server.world)
    [event] = server.events(kind="repacked")
    assert event["data"]["before"]["packs"] > core.PACKS_MAX > 5 > event["data"]["after"]["packs"]
    assert event["data"]["after"]["refs"] == 0
    assert set(made) <= set(refs(bare(server)).values()) and is_sound(bare(server))
    upkeep.run(server.world)
    assert len(server.events(kind="repacked")) == 1, "it is in order now"


def test_the_server_does_it_by_itself(server: Server):
    scatter(bare(server), core.PACKS_MAX + 10)
    server.stop()
    server.start()
    until(lambda: server.events(kind="repacked"))
    assert server.world.repos["toy"].upkeep.counts().packs < core.PACKS_MAX


def test_the_refs_of_finished_work_go_after_their_time_and_their_commits_stay(server: Server, tmp_path: Path):
    one = server.agent("one")
    clone = one.clone(tmp_path / "one")
    landed = land(server, one, "M01", clone)
    fence = one.call("claim_task", task="M02")["fence"]
    one.commit(clone, {"m02/first": "1\n"})
    left = one.commit(clone, {"m02/left": "1\n"})
    one.call("release_task", fence=fence, outcome="abandoned")
    assert upkeep.fold(server.world, "toy") == 0, "it is too early"
    with server.http("runner") as http:
        http.post(
            f"/api/sessions/{one.session}/end", json={"outcome": "worked", "detail": "", "exit": 0}
        ).raise_for_status()
    grown_old(server)
    upkeep.run(server.world)
    [event] = server.events(kind="refs_kept")
    now = refs(bare(server))
    assert [ref for ref in now if ref.startswith(("refs/landed/", "refs/candidates/"))] == []
    assert [
        ref
        for ref, commit in now.items()
        if ref.startswith(("refs/agents/", "refs/salvage/")) and commit != left
    ] == []
    assert now["refs/salvage/M02/" + str(fence)] == left, "an open task still offers it"
    assert now[event["data"]["into"]] == event["data"]["commit"]
    for commit in (landed["head"], landed["main"], left):
        assert commit in toy.git("rev-list", "--all", cwd=bare(server))
    assert landed["head"] in toy.git("log", "-1", "--format=%B", event["data"]["commit"], cwd=bare(server)), (
        "its name is written down"
    )
    with server.http() as http:
        assert http.get("/api/audit/verify").json()["problems"] == []
        shown = http.get("/api/events", params={"commit": landed["head"]}).json()["events"]
    assert "landed" in {event["kind"] for event in shown}
    assert is_sound(bare(server))
    two = server.agent("two")
    land(server, two, "M03", two.clone(tmp_path / "two"))


def test_young_names_of_finished_work_are_folded_once_they_are_many_and_salvage_of_an_open_task_is_not(
    server: Server, tmp_path: Path
):
    where, repo = bare(server), server.world.repos["toy"]
    one = server.agent("one")
    clone = one.clone(tmp_path / "one")
    fence = one.call("claim_task", task="M02")["fence"]
    left = one.commit(clone, {"m02/left": "1\n"})
    one.call("release_task", fence=fence, outcome="abandoned")
    with server.http("runner") as http:
        http.post(
            f"/api/sessions/{one.session}/end", json={"outcome": "worked", "detail": "", "exit": 0}
        ).raise_for_status()
    upkeep.run(server.world)
    before = repo.upkeep.ref_count()
    made = scatter(where, 3)
    many = crowd(where, "refs/landed/X", made, core.NAMES_MAX + core.FOLDED_MAX)
    upkeep.run(server.world)
    upkeep.run(server.world)  # what the first has left over
    now = refs(where)
    assert len([ref for ref in now if ref.startswith(("refs/landed/", "refs/agents/old/"))]) == core.NAMES_MAX
    assert now[f"refs/salvage/M02/{fence}"] == left, "an open task offers it, and it is the oldest"
    events = server.events(kind="refs_kept")
    assert [event["data"]["refs"] for event in events[-2:]] == [core.FOLDED_MAX, len(made)]
    words = toy.git("log", "--format=%B", events[-1]["data"]["commit"], cwd=where)
    assert all(f"{commit} {ref}" in words for ref, commit in many.items() if ref not in now), (
        "each name is written down"
    )
    assert {left, *made} <= set(toy.git("rev-list", "--all", cwd=where).split())
    assert repo.upkeep.ref_count() < before + core.NAMES_MAX + core.GATHERED_MAX
    toy.git("update-ref", "refs/landed/Y/1", made[0], cwd=where)
    upkeep.run(server.world)
    assert "refs/landed/Y/1" in refs(where) and server.events(kind="refs_kept") == events, (
        "one more is not many"
    )


def test_every_month_holds_what_it_folded_and_a_second_time_adds_to_it(server: Server):
    where, repo = bare(server), server.world.repos["toy"]
    first = scatter(where, 3, at="refs/agents/first")
    grown_old(server)
    assert upkeep.fold(server.world, "toy") == 3
    second = scatter(where, 3, at="refs/agents/second")
    grown_old(server)
    assert upkeep.fold(server.world, "toy") == 3 and upkeep.fold(server.world, "toy") == 0
    held = toy.git("rev-list", *repo.refs.tips("refs/kept/").values(), cwd=where).split()
    assert {*first, *second} <= set(held) and repo.refs.tips("refs/agents/") == {}


def test_more_refs_than_a_commit_has_parents_are_all_held(server: Server):
    where, repo = bare(server), server.world.repos["toy"]
    made = scatter(where, 3)
    many = crowd(
        where,
        "refs/agents/crowd",
        [made[0]] * repository_upkeep.HELD_MAX + made[1:],
        repository_upkeep.HELD_MAX + 2,
    )
    kept = repo.upkeep.hold("refs/kept/202601", many, 1)
    assert kept == many and set(made) <= set(toy.git("rev-list", "refs/kept/202601", cwd=where).split())
    repo.refs.delete_unmoved(kept)
    assert repo.refs.tips("refs/agents/crowd/") == {}


def test_a_ref_that_was_moved_meanwhile_is_not_deleted(server: Server):
    where, repo = bare(server), server.world.repos["toy"]
    one, two, three = scatter(where, 3)
    repo.refs.put("refs/agents/old/0", three)
    with pytest.raises(GitFailed):
        repo.refs.delete_unmoved({"refs/agents/old/0": one, "refs/agents/old/1": two})
    assert repo.refs.tips("refs/agents/old/") == {
        "refs/agents/old/0": three,
        "refs/agents/old/1": two,
        "refs/agents/old/2": three,
    }


def test_what_a_live_lease_and_an_open_session_name_stays_however_old(server: Server, tmp_path: Path):
    one = server.agent("one")
    clone = one.clone(tmp_path / "one")
    one.commit(clone, {"m01/x": "1\n"})
    for log in (bare(server) / "logs/refs/agents").rglob("*"):
        if log.is_file():
            os.utime(log, (1, 1))
    assert upkeep.fold(server.world, "toy") == 0
    assert list(server.world.repos["toy"].refs.tips("refs/agents/one/")) == [f"refs/agents/one/{one.session}"]


def test_only_one_looks_after_a_repository_at_a_time(server: Server):
    scatter(bare(server), core.PACKS_MAX + 10)
    with Repository(bare(server)).upkeep.exclusive() as alone:
        assert alone
        upkeep.run(server.world)
        assert server.events(kind="repacked") == []
    upkeep.run(server.world)
    assert len(server.events(kind="repacked")) == 1


def test_git_works_behind_everybody_else_and_dies_with_the_server(tmp_path: Path):
    argv = [
        *settings.UNHURRIED,
        "sh",
        "-c",
        "nice; cat /proc/self/stat >/dev/null; grep -c . /proc/self/limits",
    ]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert int(said.splitlines()[0]) == min(os.nice(0) + 10, LAST_OF_ALL)
    code = f"import subprocess, sys; p = subprocess.Popen({[*settings.UNHURRIED, 'sleep', '600']!r}); print(p.pid, flush=True); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until(
        lambda: (
            b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes()
            and b"setpriv" not in Path(f"/proc/{child}/cmdline").read_bytes()
        )
    )
    parent.kill()
    parent.wait()
    until(lambda: not lives(child) or "Z (zombie)" in Path(f"/proc/{child}/status").read_text())


# -- beside everything else


def test_landings_uploads_and_fetches_go_on_while_it_repacks_again_and_again(server: Server, tmp_path: Path):
    """Repacked without a pause while an agent works: every landing succeeds, and all of it is there
    afterwards.
    """
    one, repo, over = server.agent("one"), server.world.repos["toy"], threading.Event()
    clone, failed, rounds = one.clone(tmp_path / "one"), [], []

    def repack() -> None:
        while not over.is_set():
            try:
                repo.upkeep.repack()
                repo.refs.pack()
                rounds.append(1)
            except BaseException as wrong:  # noqa: BLE001 - told by the test's own thread
                failed.append(wrong)
                return

    busy = threading.Thread(target=repack)
    busy.start()
    try:
        landed = [land(server, one, f"M{number:02}", clone) for number in range(1, 7)]
        toy.git("fetch", "-q", "origin", cwd=clone)
        until(lambda: rounds or failed)
    finally:
        over.set()
        busy.join()
    assert not failed and rounds
    assert toy.git("rev-parse", "origin/main", cwd=clone) == landed[-1]["main"]
    assert is_sound(bare(server))
    with server.http() as http:
        assert http.get("/api/audit/verify").json()["problems"] == []


# -- broken off


@pytest.mark.slow
def test_a_server_killed_at_any_point_of_its_upkeep_goes_on_with_it(tmp_path: Path):
    points = [point for point in faults.POINTS if point.startswith("upkeep.")]
    nursery = Nursery()
    mortal = Mortal(wide.project(tmp_path / "project"), tmp_path / "s", free_port(), nursery)
    try:
        mortal.start()
        one = mortal.begin("one")
        clone = one.clone(tmp_path / "clone")
        mortal.stop()
        made = scatter(bare(mortal), core.PACKS_MAX + 10)
        for log in (bare(mortal) / "logs/refs/agents/old").iterdir():
            os.utime(log, (1, 1))
        crowd(
            bare(mortal), "refs/agents/young", made[:1], core.LOOSE_REFS_MAX + 10
        )  # these stay, so that there is work at each start
        with contextlib.closing(sqlite3.connect(mortal.state / "state.db")) as database, database:
            database.execute(
                "DELETE FROM meta WHERE key LIKE 'last fold%'"
            )  # it looked for refs a moment ago, before there were any
        mortal.faults = list(points)
        mortal.start()
        with mortal.watched():
            for number in range(1, len(points) + 1):
                until(lambda number=number: mortal.deaths >= number)
            runner = toy.LocalRunner(mortal.url, (mortal.state / "tokens/runner").read_text().strip())
            try:
                fence = again(lambda: one.call("claim_task", task="M01"))["fence"]
                head = one.commit(clone, {"m01/x": "1\n"})
                assert settled(one, "push", fence=fence, commit=head, summary="x")["status"] == "landed"
            finally:
                runner.close()
            with mortal.http() as http:
                assert http.get("/api/audit/verify").json()["problems"] == []
                assert http.get("/api/events", params={"kind": "refs_kept"}).json()["events"]
        where = bare(mortal)
        assert is_sound(where) and set(made) <= set(toy.git("rev-list", "--all", cwd=where).split())
        assert [ref for ref in refs(where) if ref.startswith("refs/agents/old/")] == []
        mortal.stop()
    finally:
        nursery.close()


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_a_repack_killed_in_its_middle_leaves_a_sound_repository_and_no_rubbish_after_the_next_start(
    tmp_path: Path,
):
    """The processes of git are killed at the moment when half of a pack is on the disk."""
    project = wide.project(tmp_path / "project")
    repo = Repository.create(tmp_path / "r.git")
    repo.exchange.import_branch(project, "main")
    made = scatter(repo.path, 30)
    for _ in range(40):  # something to be busy with: what compresses to nothing is done before anybody looks
        packed = packs.pack([packs.blob(os.urandom(200_000))])
        subprocess.run(
            ["git", "index-pack", "--stdin"], input=packed, cwd=repo.path, check=True, capture_output=True
        )
    argv = [*settings.LIMITED, "git", f"--git-dir={repo.path}", "repack", "-q", "-d", "--geometric=2"]
    going = subprocess.Popen(argv, env=settings.ENVIRONMENT, start_new_session=True)
    until(lambda: half_packs(repo.path) or going.poll() is not None)
    if going.poll() is None:
        os.killpg(going.pid, signal.SIGKILL)
    going.wait()
    (repo.path / "objects/pack/tmp_pack_old").write_bytes(b"half")
    (repo.path / "objects/pack/pack-1.keep").write_bytes(b"a push")
    assert is_sound(repo.path)
    again = Repository.open(repo.path)
    assert half_packs(repo.path) == [] and not list(repo.path.glob("objects/pack/*.keep"))
    again.upkeep.repack()
    again.refs.pack()
    assert is_sound(repo.path) and set(made) <= set(again.refs.tips("refs/").values())
    assert len(list(repo.path.glob("objects/pack/*.pack"))) < 10


def half_packs(where: Path) -> list[Path]:
    return [*where.glob("objects/pack/tmp_*"), *where.glob("objects/pack/.tmp-*")]


def test_counts_are_of_what_a_repack_would_join(tmp_path: Path):
    repo = Repository.create(tmp_path / "r.git")
    repo.exchange.import_branch(wide.project(tmp_path / "project"), "main")
    for number in range(600):
        body = b"%d" % number
        oid = packs.blob(body).oid
        if oid.startswith(tuple(f"{n:02x}" for n in range(repository_upkeep.SAMPLED))):
            subprocess.run(
                ["git", "hash-object", "-w", "--stdin"],
                input=body,
                cwd=repo.path,
                check=True,
                capture_output=True,
            )
    assert repo.upkeep.counts().loose > 100
    repo.upkeep.repack()
    repo.refs.pack()
    after = repo.upkeep.counts()
    assert (after.loose, after.refs) == (0, 0) and after.packs <= 2
    assert (
        repo.refs.branch_tip("main") == toy.git("rev-parse", "refs/heads/main", cwd=repo.path)
        and repo.refs.tip("refs/heads/none") is None
    )
