"""Several changes in the gate at once: what nothing has touched lands without another run, whatever landed
meanwhile.
"""

import threading
from pathlib import Path

from tests.waiting import BOUND_S, until

from . import several, toy, wide
from .conftest import Agent, Server


def begin(server: Server, number: int, where: Path, files: dict[str, str]) -> tuple[Agent, int, str]:
    one = server.agent(f"agent-{number}")
    fence = one.call("claim_task", task=f"M{number:02}")["fence"]
    return one, fence, one.commit(one.clone(where / one.name), files)


def started(server: Server) -> list[tuple[str, str]]:
    return [(event["data"]["suite"], event["data"]["commit"]) for event in server.events(kind="job_started")]


def test_changes_that_no_suite_reads_together_land_side_by_side_with_one_run_each(tmp_path: Path):
    """All are under test at once; each lands when its own run is good, on whatever main is then."""
    server = Server(several.disjoint(tmp_path / "project", 6), tmp_path / "state", 1.5)
    try:
        with several.runners(server, 4) as runners:
            pushes = [begin(server, n, tmp_path, {f"m{n:02}/x": f"{n}\n"}) for n in range(6)]
            with server.http() as http:
                until(
                    lambda: all(suite["cases"] for suite in http.get("/api/status").json()["suites"].values())
                )
            measured = len(started(server))
            for runner in runners:
                runner.hold.clear()
            for one, fence, commit in pushes:
                assert one.call("push", fence=fence, commit=commit, summary="x")["status"] == "testing"
            until(
                lambda: (
                    [one["data"]["state"] for one in server.events(kind="submission")].count("testing") == 6
                )
            )
            for runner in runners:
                runner.hold.set()
            answers = several.at_once(pushes)
            assert {answer["status"] for answer in answers} == {"landed"}, answers
            runs = started(server)[measured:]
            assert sorted(suite for suite, _ in runs) == [wide.module(n) for n in range(6)], (
                "each suite once for its own change, and no other"
            )
            with server.http() as http:
                commits = http.get("/api/commits").json()["commits"][1:]
                assert http.get("/api/audit/verify").json()["problems"] == []
            assert len(commits) == 6 and all(
                after["parents"] == [before["commit"]]
                for before, after in zip(commits, commits[1:], strict=False)
            )
            assert several.untested(server) == []
    finally:
        server.stop()


def filters(text: str, number: int) -> dict[str, str]:
    return {f"m{number:02}/filter": text}


def held(server: Server, runners: list, pushes: list[tuple[Agent, int, str]]) -> int:
    """Bring all into the gate and under test, and let no run end. Return how many jobs were claimed before."""
    with server.http() as http:
        until(lambda: all(suite["cases"] for suite in http.get("/api/status").json()["suites"].values()))
    measured = sum(runner.claimed for runner in runners)
    for runner in runners:
        runner.hold.clear()
    for one, fence, commit in pushes:
        assert (
            one.call("push", fence=fence, commit=commit, summary=f"Change of {one.name}")["status"]
            == "testing"
        )
    until(
        lambda: (
            [one["data"]["state"] for one in server.events(kind="submission")].count("testing") == len(pushes)
        )
    )
    return measured


def release(runners: list) -> None:
    for runner in runners:
        runner.hold.set()


def test_changes_that_every_suite_reads_go_by_train_and_several_land_with_one_run(tmp_path: Path):
    """The first to pass lands alone. The train's runs are held until one of them is of all the others."""
    numbers = range(10, 16)
    with wide.serving(tmp_path) as server, several.runners(server, len(numbers)) as runners:
        pushes = [begin(server, n, tmp_path, {f"m{n:02}/x": f"{n}\n"}) for n in numbers]
        measured = held(server, runners, pushes)
        until(lambda: sum(runner.claimed for runner in runners) == measured + len(pushes), "a run of each")
        landed_together = threading.Event()

        def before(job: dict) -> None:
            if 1 < len(changed(server, job["commit"])) < len(numbers):
                landed_together.wait(BOUND_S)

        for runner in runners:
            runner.before = before
        before_all = len(started(server)) - len(pushes)
        release(runners)
        answers = several.at_once(pushes)
        landed_together.set()
        assert {answer["status"] for answer in answers} == {"landed"}, answers
        with server.http() as http:
            commits = http.get("/api/commits").json()["commits"][1:]
            assert http.get("/api/audit/verify").json()["problems"] == []
        assert [len(commit["changes"]) for commit in commits] == [1, 5], "one alone, and the others together"
        assert len(started(server)) - before_all < 2 * len(pushes), "with fewer runs than two for each"
        assert several.untested(server) == []
        changes = [change for commit in commits for change in commit["changes"]]
        assert sorted(change["Task"] for change in changes) == [f"M{n}" for n in range(10, 16)]
        landed = server.events(kind="landed")
        assert sorted((event["data"]["commit"], event["task"]) for event in landed) == sorted(
            (commit["commit"], change["Task"]) for commit in commits for change in commit["changes"]
        )
        bare = server.state / "repos/toy.git"
        for event in landed:
            if own := event["data"].get("own"):
                parents = toy.git("rev-list", "--parents", "-n1", event["data"]["commit"], cwd=bare).split()[
                    2:
                ]
                assert own in parents, "each change is a commit of its own behind the batch"


def test_of_two_changes_that_break_only_together_the_younger_is_refused_by_name(tmp_path: Path):
    """The one that landed first was tested first: a single runner takes the older one's run before the
    other's.
    """
    with wide.serving(tmp_path) as server, several.runners(server, 1) as runners:
        left = begin(server, 10, tmp_path, filters("LEFT=1\n", 10))
        right = begin(server, 11, tmp_path, filters('[ -z "$LEFT" ] || { FROM=A-Z; TO=a-z; }\n', 11))
        held(server, runners, [left, right])
        release(runners)
        first, second = several.at_once([left, right])
        assert first["status"] == "landed"
        assert "up/0" in wide.refused(second, "regression")["happened"]
        assert several.untested(server) == []


def test_a_bad_one_among_five_is_the_only_one_refused(tmp_path: Path):
    """Each passes by itself; the third breaks with the first."""
    texts = {
        10: "LEFT=1\n",
        11: "A=1\n",
        12: '[ -z "$LEFT" ] || { FROM=A-Z; TO=a-z; }\n',
        13: "B=1\n",
        14: "C=1\n",
    }
    with wide.serving(tmp_path) as server, several.runners(server, 3) as runners:
        pushes = [begin(server, n, tmp_path, filters(text, n)) for n, text in texts.items()]
        held(server, runners, pushes)
        release(runners)
        answers = several.at_once(pushes)
        codes = [answer["status"] for answer in answers]
        assert codes.count("refused") == 1 and answers[codes.index("refused")]["code"] == "regression", (
            answers
        )
        assert codes[0] == "refused" or codes[2] == "refused"
        assert several.untested(server) == []


def changed(server: Server, tree: str) -> set[str]:
    """The files that pushes of these tests have brought into a tree."""
    return {
        path
        for path in toy.git("ls-tree", "-r", "--name-only", tree, cwd=server.state / "repos/toy.git").split(
            "\n"
        )
        if path.endswith("/x")
    }


def test_a_run_of_the_train_that_breaks_blames_nobody(tmp_path: Path):
    with wide.serving(tmp_path) as server, several.runners(server, 1) as [runner]:
        pushes = [begin(server, n, tmp_path, {f"m{n:02}/x": f"{n}\n"}) for n in range(10, 14)]
        held(server, [runner], pushes)
        # All tries of one that tests several together. A run of one alone that breaks so often gives that one
        # back.
        runner.broken, runner.breaks = (
            3,
            lambda job: len(changed(server, job["commit"]) - changed(server, "main")) > 1,
        )
        runner.hold.set()
        answers = several.at_once(pushes)
        assert {answer["status"] for answer in answers} == {"landed"}, answers
        assert several.untested(server) == []


def test_place_and_reason_of_waiting_are_told_to_the_agent_and_to_people(tmp_path: Path):
    with wide.serving(tmp_path) as server:
        one, fence, commit = begin(server, 10, tmp_path, {"m10/x": "1\n"})
        waiting = one.call("push", fence=fence, commit=commit, summary="Change of agent-10")
        assert (waiting["status"], waiting["position"], waiting["waiting_for"]) == (
            "testing",
            1,
            "main to be measured by words",
        )
        two = begin(server, 11, tmp_path, {"m11/x": "1\n"})
        with server.http("runner") as http:
            job = http.post("/api/jobs/claim", json={"runner": "by hand"}).json()
            good = {
                "status": "passed",
                "outcomes": {
                    case["id"]: "fail" if case["id"].startswith("low") else "pass" for case in job["cases"]
                },
            }
            assert (
                http.post(
                    f"/api/jobs/{job['job']}/result",
                    json={"runner": "by hand", "verdict": good | {"status": "failed"}, "reference": {}},
                ).status_code
                == 200
            )
            assert (
                two[0].call("push", fence=two[1], commit=two[2], summary="Change of agent-11")["status"]
                == "testing"
            )
            until(
                lambda: {one["state"] for one in http.get("/api/status").json()["submissions"]} == {"testing"}
            )
            shown = http.get("/api/status").json()["submissions"]
        assert [(one["place"], one["task"]) for one in shown] == [(1, "M10"), (2, "M11")] and all(
            "its own oracle runs (job " in one["waiting_for"] for one in shown
        )
        waiting = two[0].call("push", fence=two[1], commit=two[2], summary="Change of agent-11")
        assert waiting["position"] == 2 and waiting["waiting_for"] == shown[1]["waiting_for"]
        assert "1. M10: agent-10, waiting for its own oracle runs" in one.call("read_progress")["text"]
        with several.runners(server, 1):
            assert {answer["status"] for answer in several.at_once([(one, fence, commit), two])} == {"landed"}


def test_no_stream_of_younger_changes_keeps_an_older_one_waiting(tmp_path: Path):
    """Its own run is slow, and younger ones land past it; once it has passed, only a batch under way goes
    before it.
    """
    with wide.serving(tmp_path) as server, several.runners(server, 1) as [slow]:
        old, *young = [begin(server, n, tmp_path, {f"m{n:02}/x": f"{n}\n"}) for n in range(10, 18)]
        held(server, [slow], [old])
        until(lambda: len(started(server)) == 2)  # main's and its own
        with several.runners(server, 1):
            first = several.at_once(young[:2])
            assert {answer["status"] for answer in first} == {"landed"}, "they do not wait for it"
            answers: list[dict] = []
            stream = threading.Thread(target=lambda: answers.extend(several.at_once(young[2:])))
            stream.start()
            until(lambda: any(event["task"] not in ("M11", "M12") for event in server.events(kind="landed")))
            release([slow])
            assert (
                wide.settled(old[0], "push", fence=old[1], commit=old[2], summary="Change of agent-10")[
                    "status"
                ]
                == "landed"
            )
            stream.join()
            assert {answer["status"] for answer in answers} == {"landed"}
        events = server.events()
        passed = {
            event["task"]: event["seq"]
            for event in events
            if event["kind"] == "submission" and event["data"]["state"] == "passed"
        }
        landed = [event for event in events if event["kind"] == "landed" and event["seq"] > passed["M10"]]
        mine = next(event["data"]["commit"] for event in landed if event["task"] == "M10")
        before = [
            event["task"] for event in landed[: [event["data"]["commit"] for event in landed].index(mine)]
        ]
        assert all(passed.get(task, passed["M10"] + 1) < passed["M10"] for task in before), (
            "only those landed first whose run was under way"
        )
        assert several.untested(server) == []
