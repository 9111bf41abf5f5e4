"""The tip check over a real server: what was on record as passing on main and does not is found, told and
worked around.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from . import several, wide
from .conftest import Server
from .test_gate_parallel import begin

MODULES = 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(several.disjoint(tmp_path / "project", MODULES, tip_check=True), tmp_path / "state", 1.5)
    yield made
    made.stop()


def land(server: Server, number: int, where: Path, files: dict[str, str]) -> str:
    one, fence, commit = begin(server, number, where, files)
    answer = wide.settled(one, "push", fence=fence, commit=commit, summary="x")
    assert answer["status"] == "landed", answer
    return answer["main"]


def runs(server: Server, commit: str) -> list[str]:
    return sorted(
        event["data"]["suite"]
        for event in server.events(kind="job_done")
        if event["data"].get("commit") == commit
    )


def test_a_main_that_turned_red_by_itself_is_found_and_told_and_its_suite_is_distrusted_until_it_is_green(
    server: Server, tmp_path: Path
):
    """The landed engine depends on something that no suite can see: a file of the machine."""
    mark, suites = tmp_path / "mark", [wide.module(n) for n in range(MODULES)]
    with several.runners(server, 2), server.http() as http:
        first = land(server, 0, tmp_path, {"m00/main.sh": f"[ -e {mark} ] && echo wrong || cat\n"})
        until(lambda: runs(server, first) == suites)
        assert server.events(kind="main_red") == []
        mark.write_text("")
        second = land(server, 1, tmp_path, {"m01/x": "1\n"})
        [event] = until(lambda: server.events(kind="main_red"))
        assert (event["data"]["suite"], event["data"]["commit"], event["data"]["cases"]) == (
            "m00",
            second,
            ["same"],
        )
        until(lambda: runs(server, second) == sorted([*suites, "m00"]))  # run once more before it is believed
        shown = http.get("/api/status").json()["suites"]
        assert (
            shown["m00"]["red"]["count"] == 1 and shown["m00"]["passing"] == 0 and "red" not in shown["m01"]
        )
        mark.unlink()
        pushes = [begin(server, n, tmp_path, {f"m{n:02}/x": "1\n"}) for n in (2, 3)]
        assert {answer["status"] for answer in several.at_once(pushes)} == {"landed"}
        for n in (2, 3):
            tree = next(
                event["data"]["tree"]
                for event in server.events(kind="submission", agent=f"agent-{n}")
                if "tree" in event["data"]
            )
            assert {"m00", f"m{n:02}"} <= set(runs(server, tree)), (
                "nothing lands without a run of the red suite on its own tree"
            )
        [event] = until(lambda: server.events(kind="main_green"))
        assert event["data"]["suite"] == "m00"
        assert "red" not in http.get("/api/status").json()["suites"]["m00"]
        assert http.get("/api/audit/verify").json()["problems"] == []
