"""Held-out cases: they judge every landing, people can find out which file fails, and agents learn of them
only by what lands.
"""

import asyncio
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.edge import app
from mcp_server.use_cases.oracle import asking
from mcp_server.world import World
from oracle.cases.files import BadCases
from oracle.judging import report
from tests.waiting import until

from . import toy, wide
from .conftest import Server
from .wide import refused, settled

# On main the words in capitals pass and the others fail; no visible case has a Q in it.
HIDDEN = {
    "hidden/zoo/okapi.txt": "-- case: gnu\nQUOKKA\n-- case: emu\nwombat quoll\n",
    "hidden/yak.txt": "QUETZAL\n",
}
INPUTS = ["quokka", "wombat", "quoll", "quetzal"]
NAMES = ["okapi", "zoo/", "gnu", "emu", "yak"]
SUITE = 'held_out = ["../hidden/**/*.txt"]\n'


def project(root: Path, more: str = SUITE, files: dict[str, str] | None = None) -> Path:
    for name, text in (HIDDEN if files is None else files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    made = wide.project(root / "project")
    (made / "harness.toml").write_text(wide.toml().replace("[agents.worker]", f"{more}[agents.worker]"))
    toy.git("commit", "-qam", "hold out", cwd=made)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("held-out")
    made = Server(project(root), root / "state", wide.WAIT_S)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", autouse=True)
def runner(server: Server) -> Iterator[toy.LocalRunner]:
    with wide.running(server) as made:
        yield made


def secrets(server: Server) -> list[str]:
    """Whatever must not be told, in small letters: names, files, inputs."""
    assert server.world is not None
    cases = server.world.held_out["words"].cases
    assert len(cases) == 3
    return [id.partition("/")[2] for id in cases] + INPUTS + NAMES + ["../hidden/"]


def give_away(server: Server, text: str) -> list[str]:
    return [secret for secret in secrets(server) if secret in text.lower()]


def test_no_answer_tells_an_agent_more_of_them_than_how_many_main_passes(server: Server, tmp_path: Path):
    told: list[str] = []
    one = server.agent("curious")
    fence = one.call("claim_task", task="M01")["fence"]
    clone = one.clone(tmp_path / "clone")
    worse = one.commit(clone, {"m01/filter": "FROM=Q\nTO=q\n"})
    full = settled(one, "run_oracle", fence=fence, scope="full")
    told.append(full["text"])
    assert "held_out" not in full["suites"]["words"] and full["suites"]["words"]["counts"]["cases"] == 4
    ids = list(server.world.held_out["words"].cases)
    globs = [
        "*",
        "held-out/*",
        "*held*",
        "words:held-out/*",
        "words:*",
        "../hidden/*",
        "*okapi*",
        ids[0],
        f"words:{ids[0]}",
        "[h]eld-out/?*",
    ]
    for asked in (
        [{"scope": scope} for scope in ("task", "module", "fast")]
        + [{"cases": [glob]} for glob in globs]
        + [{"cases": globs}]
    ):
        answer = settled(one, "run_oracle", fence=fence, **asked)
        told.append(answer["text"])
        if answer["status"] != "refused" and asked != {"scope": "task"} and asked != {"scope": "module"}:
            assert (
                "held_out" not in answer["suites"]["words"]
                and answer["suites"]["words"]["counts"]["cases"] <= 4
            ), asked
    pushed = refused(settled(one, "push", fence=fence, commit=worse, summary="Worse"), "regression")
    assert "held-out cases of words pass on main and fail" in pushed["happened"]
    told += [
        pushed["text"],
        one.call("read_progress")["text"],
        one.call("list_tasks")["text"],
        one.call("claim_task")["text"],
    ]
    assert "(of 3 held-out ones 2)" in told[-3]
    for number, glob in enumerate(globs[1:3] + [ids[1]]):
        made = one.call("create_task", title=f"Find {number}", module="m02", brief="x", cases=[glob])
        told.append(made["text"])
    one.call("release_task", fence=fence, outcome="abandoned")
    for number in itertools.count():
        claimed = one.call("claim_task", module="m02")
        if claimed["status"] != "leased":
            break
        assert claimed["failing"] == 0
        commit = (
            one.commit(clone, {"m01/filter": "x\n", f"m02/{number}": "1\n"})
            if number == 0
            else one.commit(clone, {f"m02/{number}": "1\n"})
        )
        told += [
            claimed["text"],
            settled(one, "push", fence=claimed["fence"], commit=commit, summary="x")["text"],
        ]
        told.append(
            one.call("release_task", fence=claimed["fence"], outcome="blocked", note="held-out?")["text"]
        )
    one.call("write_note", topic="t", text="x")
    told += [
        one.call("read_notes")["text"],
        one.call("drop_database")["text"],
        one.call("read_progress")["text"],
    ]
    shown = [guess.lower() for guess in globs]  # what the agent itself wrote is no news to it
    for text in told:
        seen = text.lower()
        for guess in shown:
            seen = seen.replace(guess, "")
        assert give_away(server, seen) == [], text


def test_no_number_of_runs_that_an_agent_asks_for_tells_anything_of_them(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    """Each run tests one bit of a hidden word, by an engine that is right if it guesses: all answers are
    alike.
    """
    one = server.agent("guesser")
    fence = one.call("claim_task", task="M05")["fence"]
    clone = one.clone(tmp_path / "clone")
    before = len(runner.jobs)
    answers = []
    for letter in "QUOKAERSTVWXYZ":
        commit = one.commit(
            clone, {"m05/filter": f"FROM={letter.lower()}\nTO={letter.lower()}\n# {letter}\n"}
        )
        answer = settled(one, "run_oracle", fence=fence, scope="full")
        answers.append(
            {key: value for key, value in answer.items() if key not in ("commit", "text")}
            | {"text": answer["text"].replace(commit, "")}
        )
    one.call("release_task", fence=fence, outcome="abandoned")
    assert (
        all(answer == answers[0] for answer in answers)
        and answers[0]["suites"]["words"]["counts"]["cases"] == 4
    )
    own = [job for job in runner.jobs[before:] if job["shrink_s"] > 0]
    assert len(own) == len(answers) and not any(case["hidden"] for job in own for case in job["cases"])


def test_neither_git_nor_any_route_for_agents_has_them(server: Server, tmp_path: Path):
    one = server.agent("digger")
    fence = one.call("claim_task", task="M03")["fence"]
    clone = one.clone(tmp_path / "clone")
    commit = one.commit(clone, {"m03/filter": "FROM=a-z\nTO=A-Z\n"})
    settled(one, "run_oracle", fence=fence, scope="full")
    assert settled(one, "push", fence=fence, commit=commit, summary="All pass")["status"] == "landed"
    header = f"http.extraHeader=Authorization: Bearer {one.token}"
    toy.git("clone", "-q", "--mirror", "-c", header, f"{server.url}/git/toy.git", "mirror", cwd=tmp_path)
    for where in (tmp_path / "mirror", server.state / "repos/toy.git"):
        names = toy.git(
            "ls-remote" if where.name == "mirror" else "for-each-ref",
            *(["."] if where.name == "mirror" else []),
            cwd=where,
        )
        assert "refs/heads/main" in names
        objects = subprocess.run(
            ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=where, capture_output=True, check=True
        ).stdout
        text = f"{names}\n{objects.decode('utf-8', 'replace')}".replace(
            "../hidden/**/*.txt", ""
        )  # harness.toml itself says where
        assert "ABC" in text and give_away(server, text) == []
    with server.http() as admin:
        last = max(event["data"]["job"] for event in server.events(kind="job_done"))
        routes = [
            f"/api/jobs/{last}",
            f"/api/jobs/{last}/tree.tar",
            "/api/status",
            "/api/events",
            "/api/tasks",
            "/api/commits",
        ]
        assert all(admin.get(route).status_code == 200 for route in routes)
        for route in routes:
            assert admin.get(route, headers={"Authorization": f"Bearer {one.token}"}).status_code == 403


def test_people_find_out_which_file_fails(server: Server, tmp_path: Path):
    one = server.agent("worsener")
    fence = one.call("claim_task", task="M04")["fence"]
    clone = one.clone(tmp_path / "clone")
    lands = one.commit(clone, {"m04/x": "1\n"})
    assert settled(one, "push", fence=fence, commit=lands, summary="Harmless")["status"] == "landed"
    fence = one.call("claim_task", task="M05")["fence"]
    worse = one.commit(clone, {"m05/filter": "FROM=Q\nTO=q\n"})
    refused(settled(one, "push", fence=fence, commit=worse, summary="Worse"), "regression")
    one.call("release_task", fence=fence, outcome="abandoned")
    with server.http() as http:
        [job] = http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"].values()
        told: dict = {}
        while told.get("state") != "done":
            told = http.get(f"/api/jobs/{job}").json()
        world = server.world
        assert world is not None
        failing = [
            case
            for case in world.held_out["words"].cases.values()
            if told["verdict"]["outcomes"][case.id] == "fail"
        ]
        assert told.get("held_out_failing", []) == [
            {"id": case.id, "file": case.file, "line": case.line}
            for case in sorted(failing, key=lambda case: case.id)
        ]
        assert http.get("/api/status").json()["suites"]["words"]["held_out"]["cases"] == 3
    events = [
        event["data"] for event in server.events(kind="job_done") if "held_out_failing" in event["data"]
    ]
    assert any("../hidden/zoo/okapi.txt:4" in event["held_out_failing"] for event in events)


def lies(id: str) -> dict[str, dict]:
    shown = {
        "id": id,
        "input": "QUOKKA",
        "candidate": {"output": "", "exit": 0},
        "reference": {"output": "QUOKKA", "exit": 0},
        "difference": "line 1",
    }
    return {
        "a failure shown": {"failures": [shown]},
        "in a cause": {"causes": [{"id": "0" * 8, "says": "QUOKKA", "count": 1, "cases": [id]}]},
        "broken": {
            "status": "broken",
            "reason": f"the reference failed on case {id!r} (../hidden/yak.txt:1): QUOKKA",
        },
    }


def test_a_runner_that_would_give_one_away_is_not_passed_on(tmp_path: Path):
    with wide_server(tmp_path) as server, server.http() as http:
        for lie in lies(""):
            [wanted] = http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"].values()
            for _ in range(3):  # broken, it is tried again
                job = claimed(server, wanted)
                assert [case["hidden"] for case in job["cases"]] == [False] * 4 + [True] * 3, (
                    "the runner knows which they are"
                )
                id = job["cases"][-1]["id"]
                outcomes = {case["id"]: "fail" if case["id"] == id else "pass" for case in job["cases"]}
                verdict = {"status": "failed", "outcomes": outcomes} | lies(id)[lie]
                assert (
                    http.post(
                        f"/api/jobs/{wanted}/result", json={"runner": "r", "verdict": verdict}
                    ).status_code
                    == 200
                )
            answer = asking.answer(server.world, asking.Started({"words": wanted}, job["commit"]))
            assert answer["status"] == "broken" and give_away(server, report.encode(answer)) == [], lie


class wide_server:
    """A server of its own, and no runner."""

    def __init__(self, root: Path):
        self._server = Server(project(root), root / "state", 0.3)

    def __enter__(self) -> Server:
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def held_out_on_main(server: Server) -> dict | None:
    """What people are told of them."""
    with server.http() as http:
        return http.get("/api/status").json()["suites"]["words"].get("held_out")


def claimed(server: Server, wanted: int) -> dict:
    """This job, claimed by `r`; main's own run may come first."""
    with server.http("runner") as http:
        while True:
            job = http.post("/api/jobs/claim", json={"runner": "r"}).json()
            if job["job"] == wanted:
                return job


# -- where they come from


async def opened(project: Path, state: Path) -> World:
    loaded = config.load(project / "harness.toml")
    assert isinstance(loaded, config.Config), loaded
    world = app.open_world(loaded, app.StateDir(state), Bell())
    world.store.close()
    return world


def start(project: Path, state: Path) -> World:
    return asyncio.run(opened(project, state))


def test_their_names_last_as_long_as_the_database_and_tell_nothing(tmp_path: Path):
    made = project(tmp_path)
    first, again = (start(made, tmp_path / "state").held_out["words"] for _ in range(2))
    other = start(made, tmp_path / "other").held_out["words"]
    assert first == again and set(first.cases).isdisjoint(other.cases) and first.key != other.key
    assert [(case.file, case.line, case.hidden) for case in first.cases.values()] == [
        ("../hidden/yak.txt", 1, True), ("../hidden/zoo/okapi.txt", 4, True), ("../hidden/zoo/okapi.txt", 2, True),
    ]  # fmt: skip
    (tmp_path / "hidden/yak.txt").write_text("CHANGED\n")
    changed = start(made, tmp_path / "state").held_out["words"]
    assert set(changed.cases) == set(first.cases) and changed.key != first.key, (
        "what was measured with the old ones is measured again"
    )


def problems(project: Path, state: Path) -> str:
    with pytest.raises(BadCases) as told:
        start(project, state)
    return str(told.value)


def test_what_is_wrong_with_them_is_told_by_file_and_line_before_anything_starts(tmp_path: Path):
    made = project(tmp_path, 'held_out = ["../hidden/**/*.txt", "../nowhere/*.txt"]\n')
    (tmp_path / "hidden/latin.txt").write_bytes(b"one\ntwo \xe9\n")
    assert "../nowhere/*.txt:1: oracle.words.held_out names no file" in problems(made, tmp_path / "state")
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere/one.txt").write_text("ONE\n")
    assert "../hidden/latin.txt:2: not UTF-8" in problems(made, tmp_path / "state")


@pytest.mark.parametrize("how", ["tracked", "copied", "once"])
def test_a_file_that_agents_could_read_in_the_repository_or_its_history_is_not_held_out(
    tmp_path: Path, how: str
):
    made = project(tmp_path)
    if how == "tracked":
        (made / "harness.toml").write_text(
            (made / "harness.toml").read_text().replace("../hidden/**/*.txt", "m01/*.txt")
        )
    name = "m01/animal.txt"
    (made / name).write_text(HIDDEN["hidden/yak.txt"])
    toy.git("add", "-A", cwd=made)
    toy.git("commit", "-qm", "there it is", cwd=made)
    if how == "once":
        toy.git("rm", "-q", name, cwd=made)
        toy.git("commit", "-qm", "and gone", cwd=made)
    told = problems(made, tmp_path / "state")
    assert told == {
        "tracked": "m01/animal.txt:1: it is held out, and repository toy tracks it: agents read it there",
    }.get(
        how,
        "../hidden/yak.txt:1: it is held out, and the history of repository toy holds its content: agents read it there",
    )


def test_what_is_known_of_a_file_counts_for_nothing_once_its_content_has_changed(tmp_path: Path):
    with wide_server(tmp_path) as server:
        for content, passed in (("QUETZAL\n", 2), ("quetzal\n", 1)):
            server.stop()
            (tmp_path / "hidden/yak.txt").write_text(content)
            server.start()
            with wide.running(server):
                until(lambda passed=passed: held_out_on_main(server) == {"cases": 3, "passed": passed})


def test_a_run_that_waits_while_they_change_is_broken_and_the_next_one_has_the_new_ones(tmp_path: Path):
    with wide_server(tmp_path) as server:
        with server.http() as http:
            [wanted] = http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"].values()
        claimed(server, wanted)
        server.stop()
        (tmp_path / "hidden/yak.txt").unlink()
        server.start()
        with wide.running(server), server.http() as http:
            until(lambda: (held_out_on_main(server) or {}).get("cases") == 2)
            old = until(
                lambda: (found := http.get(f"/api/jobs/{wanted}").json())["state"] == "done" and found
            )
        assert old["verdict"]["status"] == "broken" and "have changed" in old["verdict"]["reason"]
