"""Main is doubted before a change is blamed: what turned red by itself is told, is nobody's fault, and stays
told until main passes it again.

The engine on main depends on what no suite can see, a file of the machine: it stands for a date, or for a
change that is right until a moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_server.edge import app
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import doubts
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from tests.waiting import until

from . import toy, wide
from .conftest import Server
from .test_gate_parallel import begin


class Timed:
    """A project whose main turns red once `mark` is there: `up/*` fail, `low/*` never passed."""

    def __init__(self, root: Path):
        self.root, self.mark = root, root / "mark"
        project = wide.project(root / "project")
        engine = (project / "main.sh").read_text()
        (project / "main.sh").write_text(f"[ ! -e {self.mark} ] || {{ echo wrong; exit; }}\n{engine}")
        toml = (project / "harness.toml").read_text()
        (project / "harness.toml").write_text(
            toml.replace("lease_minutes = 1\n", "lease_minutes = 1\ntip_check = false\n")
        )
        (project / "tasks/m07.md").write_text(toy.task("M07", "m07", cases=["up/*"]))
        toy.git("commit", "-qam", "the engine looks at the machine", cwd=project)
        self.server = Server(project, root / "state", wide.WAIT_S)

    def measured(self) -> None:
        """Wait until main is on record."""
        until(lambda: self.suite()["cases"])

    def suite(self) -> dict:
        with self.server.http() as http:
            return http.get("/api/status").json()["suites"]["words"]

    def push(self, number: int, files: dict[str, str]) -> dict:
        one, fence, commit = begin(self.server, number, self.root, files)
        return wide.settled(one, "push", fence=fence, commit=commit, summary="x")

    def fresh(self) -> dict:
        """A fresh run of main that a person asks for."""
        with self.server.http() as http:
            job = http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"]["words"]
            return until(lambda: http.get(f"/api/jobs/{job}").json()["verdict"])

    def doubts(self) -> list[dict]:
        """The runs of main beside its first one."""
        main = self.server.world.main("toy")
        runs = [one["data"] for one in self.server.events(kind="job_started")]
        return [run for run in runs if run["commit"] == main][1:]


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[Timed]:
    made = Timed(tmp_path)
    yield made
    made.server.stop()


@contextmanager
def turned_red(timed: Timed) -> Iterator[toy.LocalRunner]:
    """Main was measured while it was green, and is red now."""
    with wide.running(timed.server) as runner:
        timed.measured()
        timed.mark.write_text("")
        yield runner


def test_a_change_is_not_blamed_for_what_main_fails_too_and_main_is_told_as_red(timed: Timed):
    with turned_red(timed):
        main = timed.server.world.main("toy")
        assert timed.push(1, {"m01/x": "1\n"})["status"] == "landed"
        [event] = timed.server.events(kind="main_red")
        assert event["data"]["cases"] == ["up/0", "up/1"] and event["data"]["since"] == main
        suite = timed.suite()
        assert (suite["red"]["count"], suite["red"]["commit"], suite["passing"]) == (2, main, 0)
        assert timed.server.events(kind="refusal") == []
        assert timed.push(2, {"m02/x": "1\n"})["status"] == "landed"
        assert len(timed.server.events(kind="main_red")) == 1, "what is known to be red is not told again"


def test_a_change_that_loses_what_main_still_passes_is_refused_and_hears_that_main_was_asked(timed: Timed):
    with wide.running(timed.server):
        timed.measured()
        answer = wide.refused(timed.push(1, {"m01/filter": "FROM=A-Z\nTO=a-z\n"}), "regression")
        assert "up/0" in answer["happened"] and "main was run again" in answer["holds"]
        assert len(timed.doubts()) == 1 and timed.doubts()[0]["cases"] == 1, "only what was lost runs again"
        assert timed.server.events(kind="main_red") == [] and "red" not in timed.suite()


def test_a_change_is_refused_for_its_own_losses_alone_where_main_has_lost_others(timed: Timed):
    """`up/1` holds digits, which the engine's mark spoils and the change does not."""
    engine = '[ ! -e {mark} ] || {{ read -r line; [ "$line" = 123 ] && echo wrong || echo "$line"; exit; }}\n'
    project = timed.server.project
    script = (project / "main.sh").read_text().partition("\n")[2]
    (project / "main.sh").write_text(
        "[ -e m01/broken ] && { echo broken; exit; }\n" + engine.format(mark=timed.mark) + script
    )
    toy.git("commit", "-qam", "spoils digits alone", cwd=project)
    timed.server.stop()
    timed.server.start()
    with turned_red(timed):
        answer = wide.refused(timed.push(1, {"m01/broken": ""}), "regression")
        assert "1 cases" in answer["happened"] and "up/0" in answer["happened"]
        assert timed.suite()["red"]["cases"] == ["up/1"]


def test_a_run_of_main_answers_for_all_who_ask_before_it_begins_and_for_nobody_afterwards(timed: Timed):
    """A run that is under way may have seen a case before it turned red: it says nothing of later failures."""
    world = timed.server.world
    main = world.main("toy")
    requests = [oracle_jobs.JobRequest("words", main, oracle_jobs.AUDIT, nonce=f"{n}") for n in range(3)]
    first, second, third = oracle_jobs.request_all(world, requests)

    def ask(of: Job) -> int:
        return doubts.ask(world, of, main, ["up/0"], since_ms=1).id

    doubt = ask(first)
    assert ask(second) == doubt, "a run that waits answers for everybody"
    claimed = oracle_jobs.claim(world, "r")
    assert claimed is not None and claimed.job == doubt, "it goes before what nobody waits for"
    assert ask(third) != doubt and (ask(first), ask(second)) == (doubt, doubt)
    assert doubts.ask(world, first, main, ["up/0", "up/1"], since_ms=1).id != doubt, "it ran one case alone"


def test_what_is_red_outlives_a_restart_and_is_no_longer_held_against_anybody(timed: Timed):
    with turned_red(timed):
        timed.push(1, {"m01/x": "1\n"})
    timed.server.stop()
    timed.server.start()
    with wide.running(timed.server):
        assert timed.suite()["red"]["count"] == 2
        assert timed.push(2, {"m02/x": "1\n"})["status"] == "landed"
        assert len(timed.server.events(kind="main_red")) == 1


def test_a_fresh_run_that_a_person_asks_for_corrects_the_record_downwards_and_upwards(timed: Timed):
    with turned_red(timed):
        timed.fresh()
        until(lambda: timed.suite().get("red"))
        assert timed.suite()["passing"] == 0
        timed.mark.unlink()
        timed.fresh()
        until(lambda: "red" not in timed.suite())
        assert timed.suite()["passing"] == 2
        [event] = timed.server.events(kind="main_green")
        assert (event["data"]["cases"], event["data"]["left"]) == (["up/0", "up/1"], 0)
        answer = timed.push(1, {"m01/filter": "FROM=A-Z\nTO=a-z\n"})
        assert "up/0" in wide.refused(answer, "regression")["happened"], (
            "what is green again is guarded again"
        )


def test_a_case_that_turns_red_again_is_told_as_flaky(timed: Timed):
    with turned_red(timed):
        timed.fresh()
        until(lambda: "red" in timed.suite())
        timed.mark.unlink()
        timed.fresh()
        until(lambda: "red" not in timed.suite())
        timed.mark.write_text("")
        timed.fresh()
        until(lambda: "red" in timed.suite())
        assert timed.server.events(kind="main_red")[-1]["data"]["flaky"] == ["up/0", "up/1"]
        with timed.server.http() as http:
            warnings = http.get("/api/status").json()["warnings"]
        assert any("up/0" in warning and "flaky" in warning for warning in warnings), warnings


def test_one_task_to_mend_what_is_red_is_opened_and_closed_once_main_passes_it(timed: Timed):
    with turned_red(timed):
        timed.fresh()
        [task] = until(lambda: mending(timed))
        assert task["cases"] == ["words:up/0", "words:up/1"] and task["module"] == "m07"
        timed.fresh()
        timed.push(1, {"m01/x": "1\n"})
        app.tick(timed.server.world)
        assert len(mending(timed)) == 1, "one task, however often it is seen"
        timed.mark.unlink()
        timed.fresh()
        until(lambda: mending(timed)[0]["state"] == "done")


def mending(timed: Timed) -> list[dict]:
    """The tasks that were opened for what is red."""
    created = [event for event in timed.server.events(kind="task_created")]
    ids = [event["task"] for event in created if event["data"]["source"].startswith("oracle:words:")]
    with timed.server.http() as http:
        return [http.get(f"/api/tasks/{id}").json() for id in ids]


def test_what_a_landing_mends_is_green_where_no_tip_check_would_find_it(timed: Timed):
    with turned_red(timed):
        timed.push(1, {"m01/x": "1\n"})
        timed.mark.unlink()
        assert timed.push(2, {"m02/x": "1\n"})["status"] == "landed"
        assert "red" not in timed.suite() and timed.suite()["passing"] == 2
        assert len(timed.server.events(kind="main_green")) == 1


def test_agents_read_that_main_is_red(timed: Timed):
    with turned_red(timed):
        timed.fresh()
        until(lambda: "red" in timed.suite())
        one, fence, _ = begin(timed.server, 1, timed.root, {"m01/x": "1\n"})
        assert "main is red in words since" in one.call("read_progress")["text"]
        answer = wide.settled(one, "run_oracle", fence=fence, scope="full")
        assert answer["main_red"].startswith("main is red in words since") and "up/0" in answer["main_red"]


def test_a_doubt_that_breaks_blames_nobody_and_is_asked_for_again(timed: Timed):
    with wide.running(timed.server) as runner:
        timed.measured()
        main = timed.server.world.main("toy")
        runner.breaks = lambda job: job["commit"] == main
        runner.broken = 3
        one, fence, commit = begin(timed.server, 1, timed.root, {"m01/filter": "FROM=A-Z\nTO=a-z\n"})
        push = {"fence": fence, "commit": commit, "summary": "x"}
        wide.settled(one, "push", **push)
        told = [event["data"]["code"] for event in timed.server.events(kind="refusal")]
        assert told[0] == "oracle_broken" and runner.broken == 0
        wide.refused(wide.settled(one, "push", **push), "regression")
