"""The landing gate over a real server: what it refuses, in which words, and that main moves only to the tree
that was tested.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .conftest import Agent, Server
from .wide import refused, settled


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, toy.LocalRunner]]:
    with wide.serving(tmp_path_factory.mktemp("gate")) as server, wide.running(server) as runner:
        yield server, runner


@pytest.fixture
def server(serving: tuple[Server, toy.LocalRunner]) -> Server:
    return serving[0]


@pytest.fixture
def runner(serving: tuple[Server, toy.LocalRunner]) -> toy.LocalRunner:
    return serving[1]


def bare(server: Server) -> Path:
    return server.state / "repos" / "toy.git"


def main(server: Server) -> str:
    return toy.git("rev-parse", "refs/heads/main", cwd=bare(server))


def begin(server: Server, name: str, task: str, where: Path) -> tuple[Agent, int, Path]:
    one = server.agent(name)
    return one, one.call("claim_task", task=task)["fence"], one.clone(where / name)


def test_a_landing_is_one_commit_on_main_with_exactly_the_tested_tree(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    one, fence, clone = begin(server, "lander", "M01", tmp_path)
    one.commit(clone, {"m01/a": "1\n"}, "first step")
    commit = one.commit(clone, {"m01/b": "2\n"}, "second step")
    before = main(server)
    landed = settled(
        one, "push", fence=fence, commit=commit, summary="A and b\n\nWith a body.\n\nTask: M99\nFence: 0"
    )
    assert landed["main"] == main(server) != before
    with server.http() as http:
        top = http.get("/api/commits").json()["commits"][-1]
        job = http.get(f"/api/jobs/{top['trailers']['Oracle-Verdict'].partition('=')[2]}").json()
    assert (top["parents"], top["author"], top["subject"], top["paths"]) == (
        [before],
        "lander",
        "A and b",
        ["m01/a", "m01/b"],
    )
    assert (top["trailers"]["Task"], top["trailers"]["Fence"]) == ("M01", str(fence)), (
        "the summary's own trailers count for nothing"
    )
    assert job["commit"] == top["tree"] and job["verdict"]["counts"]["executed"] == 4
    [event] = server.events(kind="landed", agent="lander")
    assert (event["data"]["commit"], event["data"]["head"], event["fence"]) == (landed["main"], commit, fence)
    assert toy.git("for-each-ref", "--format=%(refname)", "refs/candidates/", cwd=bare(server)) == ""
    assert commit in toy.git("rev-list", "--all", cwd=bare(server)), "the agent's own commits stay"


def test_a_change_that_conflicts_with_main_is_refused_and_lands_once_it_is_merged(
    server: Server, tmp_path: Path
):
    one, fence, clone = begin(server, "early", "M02", tmp_path)
    behind = server.agent("behind").clone(tmp_path / "behind")
    settled(one, "push", fence=fence, commit=one.commit(clone, {"m02/README": "theirs\n"}), summary="Theirs")
    with server.http() as http:
        http.post("/api/tasks/M02/reopen", json={"reason": "again"})
    two = server.agent("behind")
    fence = two.call("claim_task", task="M02")["fence"]
    commit, before = two.commit(behind, {"m02/README": "ours\n"}), main(server)
    answer = refused(settled(two, "push", fence=fence, commit=commit, summary="Ours"), "conflict")
    assert "m02/README" in answer["happened"] and main(server) == before
    toy.git("fetch", "-q", "origin", cwd=behind)
    toy.git("merge", "-q", "-X", "ours", "origin/main", "-m", "merge", cwd=behind)
    assert (
        settled(two, "push", fence=fence, commit=two.commit(behind, {"m02/more": "1\n"}), summary="Ours")[
            "status"
        ]
        == "landed"
    )


def test_a_commit_without_common_history_is_refused_in_words(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "rootless", "M03", tmp_path)
    toy.git("checkout", "-q", "--orphan", "other", cwd=clone)
    commit = one.commit(clone, {"m03/x": "1\n"})
    assert (
        "no history in common"
        in refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "conflict")["happened"]
    )


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"m05/x": "1\n"}, "outside_module"),
        ({"m04/x": "1\n", "README": "1\n"}, "outside_module"),
        ({"oracle/cases/up/0.txt": "x\n"}, "protected_path"),
        ({"harness.toml": "[run]\n"}, "protected_path"),
        ({"m04/.gitattributes": "* merge=union\n"}, "protected_path"),
        ({"m04/.gitmodules": "x\n"}, "protected_path"),
        ({"m04/big": "x" * (9 << 20)}, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_leaves_the_lease_or_is_protected_or_too_large_is_refused_and_main_stays(
    server: Server, tmp_path: Path, files: dict, code: str
):
    one, fence, clone = begin(server, "intruder", "M04", tmp_path)
    commit, before = one.commit(clone, files), main(server)
    refused(settled(one, "push", fence=fence, commit=commit, summary="x"), code)
    assert main(server) == before and one.call("claim_task")["fence"] == fence
    one.call("release_task", fence=fence, outcome="abandoned")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "../.git/config"])
def test_a_symlink_out_of_the_tree_is_refused(server: Server, tmp_path: Path, target: str):
    one, fence, clone = begin(server, "linker", "M04", tmp_path)
    (clone / "m04/link").symlink_to(target)
    refused(settled(one, "push", fence=fence, commit=one.commit(clone, {}), summary="x"), "protected_path")
    one.call("release_task", fence=fence, outcome="abandoned")


def test_deleting_and_moving_files_out_of_the_lease_is_leaving_it_too(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "mover", "M04", tmp_path)
    toy.git("rm", "-q", "m05/README", cwd=clone)
    assert (
        "m05/README"
        in refused(
            settled(one, "push", fence=fence, commit=one.commit(clone, {}), summary="x"), "outside_module"
        )["happened"]
    )
    toy.git("reset", "-q", "--hard", "origin/main", cwd=clone)
    toy.git("mv", "m04/README", "m06/moved", cwd=clone)
    assert (
        "m06/moved"
        in refused(
            settled(one, "push", fence=fence, commit=one.commit(clone, {}), summary="x"), "outside_module"
        )["happened"]
    )


def test_a_tree_that_nobody_can_list_is_refused_and_the_queue_goes_on(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "bomber", "M07", tmp_path)
    blob = toy.git("hash-object", "-w", "m07/README", cwd=clone)
    tree = mktree(clone, [f"100644 blob {blob}\tf{n}" for n in range(10)])
    for _ in range(7):
        tree = mktree(clone, [f"040000 tree {tree}\td{n}" for n in range(10)])
    commit = toy.git("commit-tree", "-p", "HEAD", "-m", "bomb", tree, cwd=clone)
    toy.git("push", "-q", "-f", "origin", f"{commit}:refs/agents/bomber/bomb", cwd=clone)
    refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "too_large")
    honest = one.commit(clone, {"m07/x": "1\n"})
    assert settled(one, "push", fence=fence, commit=honest, summary="x")["status"] == "landed"


def mktree(clone: Path, lines: list[str]) -> str:
    import subprocess

    return subprocess.run(
        ["git", "mktree"], cwd=clone, input="\n".join(lines), capture_output=True, text=True, check=True
    ).stdout.strip()


def test_nothing_to_land_is_said_of_main_itself_and_of_work_that_cancels_out(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "nothing", "M08", tmp_path)
    refused(settled(one, "push", fence=fence, commit=main(server), summary="x"), "nothing_to_land")
    one.commit(clone, {"m08/x": "1\n"})
    (clone / "m08/x").unlink()
    refused(settled(one, "push", fence=fence, commit=one.commit(clone, {}), summary="x"), "nothing_to_land")


def test_a_task_lands_only_with_the_cases_it_names(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "named", "M00", tmp_path)
    half = one.commit(clone, {"m00/filter": "FROM=a-c\nTO=A-C\n"})
    answer = refused(settled(one, "push", fence=fence, commit=half, summary="Half"), "oracle_failed")
    assert "low/1" in answer["happened"] and "low/0" not in answer["happened"]
    assert answer == settled(one, "push", fence=fence, commit=half, summary="Half")
    whole = one.commit(clone, {"m00/filter": "FROM=a-z\nTO=A-Z\n"})
    assert settled(one, "push", fence=fence, commit=whole, summary="Whole")["status"] == "landed"
    with server.http() as http:
        assert http.get("/api/status").json()["suites"]["words"] | {"checked": None} == {
            "checked": None,
            "passing": 4,
            "cases": 4,
            "skipped": 0,
        }


def test_two_changes_that_pass_alone_and_break_together_do_not_both_land(tmp_path: Path):
    """On the same main each keeps every case; the second, merged onto the first, does not."""
    with wide.serving(tmp_path) as server, wide.running(server):
        one, first, left = begin(server, "left", "M10", tmp_path)
        two, second, right = begin(server, "right", "M11", tmp_path)
        a = one.commit(left, {"m10/filter": "LEFT=1\n"})
        b = two.commit(right, {"m11/filter": '[ -z "$LEFT" ] || { FROM=A-Z; TO=a-z; }\n'})
        with server.http() as http:
            until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])  # main is measured
        for agent, fence in ((one, first), (two, second)):
            assert (
                settled(agent, "run_oracle", fence=fence)["suites"]["words"]["against_main"]["newly_failing"]
                == 0
            )
        assert settled(one, "push", fence=first, commit=a, summary="Left")["status"] == "landed"
        before = main(server)
        answer = refused(settled(two, "push", fence=second, commit=b, summary="Right"), "regression")
        assert "up/0" in answer["happened"] and main(server) == before


def test_main_moved_behind_the_gates_back_is_seen_and_the_change_is_tested_again_on_it(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    one, fence, clone = begin(server, "racer", "M12", tmp_path)
    commit = one.commit(clone, {"m12/x": "1\n"})
    runner.hold.clear()
    try:
        waiting = one.call("push", fence=fence, commit=commit, summary="x")
        assert waiting["status"] == "testing"
        tree = toy.git("rev-parse", "refs/heads/main^{tree}", cwd=bare(server))
        moved = toy.git(
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "commit-tree",
            "-p",
            main(server),
            "-m",
            "by hand",
            tree,
            cwd=bare(server),
        )
        toy.git("update-ref", "refs/heads/main", moved, cwd=bare(server))
    finally:
        runner.hold.set()
    landed = settled(one, "push", fence=fence, commit=commit, summary="x")
    assert (
        landed["status"] == "landed" and toy.git("rev-parse", f"{landed['main']}^", cwd=bare(server)) == moved
    )
    assert "main moved" in [
        event["data"].get("reason") for event in server.events(kind="submission", agent="racer")
    ]
    with server.http() as http:
        verdict = http.get("/api/audit/verify").json()
    assert not verdict["ok"] and any(moved[:12] in problem for problem in verdict["problems"]), (
        "a commit that nobody landed is told"
    )


def test_a_lease_taken_over_makes_the_late_push_stale_and_main_stays(server: Server, tmp_path: Path):
    one, fence, clone = begin(server, "slow", "M13", tmp_path)
    commit, before = one.commit(clone, {"m13/x": "1\n"}), main(server)
    server.clock.ahead_ms += 61_000
    two = server.agent("quick")
    assert two.call("claim_task", task="M13")["fence"] > fence
    answer = refused(one.call("push", fence=fence, commit=commit, summary="late"), "stale_fence")
    assert "quick" in answer["holds"] and main(server) == before


def test_a_run_that_breaks_is_retried_and_then_refused_without_blame(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    one, fence, clone = begin(server, "unlucky", "M14", tmp_path)
    runner.broken = 2
    first = one.commit(clone, {"m14/x": "1\n"})
    assert settled(one, "run_oracle", fence=fence, commit=first)["status"] == "failed" or runner.broken == 0
    runner.broken = 3
    commit = one.commit(clone, {"m14/x": "2\n"})
    settled(
        one, "push", fence=fence, commit=commit, summary="x"
    )  # on a slow machine its second call already pushes again
    told = [event["data"] for event in server.events(kind="refusal", agent="unlucky")]
    assert (
        [one["code"] for one in told] == ["oracle_broken"]
        and "broke 3 times" in told[0]["happened"]
        and runner.broken == 0
    )
    assert settled(one, "push", fence=fence, commit=commit, summary="x")["status"] == "landed"


def test_a_main_that_cannot_be_measured_is_told_to_who_pushes(tmp_path: Path):
    with wide.serving(tmp_path) as server:
        one, fence, clone = begin(server, "first", "M01", tmp_path)
        commit = one.commit(clone, {"m01/x": "1\n"})
        with wide.running(server) as runner:
            runner.broken = 1_000
            refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "oracle_broken")
            runner.broken = 0
            assert settled(one, "push", fence=fence, commit=commit, summary="x")["status"] == "landed"


def test_simultaneous_pushes_land_one_after_the_other_on_each_other(server: Server, tmp_path: Path):
    begun = [begin(server, f"many-{n}", f"M{20 + n}", tmp_path) for n in range(4)]
    commits = [one.commit(clone, {f"m{20 + n}/x": "1\n"}) for n, (one, _, clone) in enumerate(begun)]
    answers: dict[str, dict] = {}
    before = server.world.main("toy")

    def push(one: Agent, fence: int, commit: str) -> None:
        answers[one.name] = settled(one, "push", fence=fence, commit=commit, summary=one.name)

    threads = [
        threading.Thread(target=push, args=(one, fence, commit))
        for (one, fence, _), commit in zip(begun, commits, strict=True)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert {answer["status"] for answer in answers.values()} == {"landed"}
    with server.http() as http:
        history = http.get("/api/commits").json()["commits"]
    begins = next(at for at, commit in enumerate(history) if commit["commit"] == before)
    # Changes that gathered while another was tested may be one commit, on top of the one before it all the same.
    assert [commit["parents"][0] for commit in history[begins + 1 :]] == [
        commit["commit"] for commit in history[begins:-1]
    ]
    landed = [change["Agent"] for commit in history[begins + 1 :] for change in commit["changes"]]
    assert sorted(landed) == sorted(answers)


def test_every_landed_tree_is_a_tested_one(server: Server):
    with server.http() as http:
        commits = {commit["commit"]: commit for commit in http.get("/api/commits").json()["commits"]}
        for event in server.events(kind="landed"):
            for job in event["data"]["jobs"].values():
                told = http.get(f"/api/jobs/{job}").json()
                assert told["state"] == "done" and told["verdict"]["status"] != "broken"
            trailers = commits[event["data"]["commit"]]["trailers"]
            assert trailers["Oracle-Verdict"] == " ".join(
                f"{name}={job}" for name, job in event["data"]["jobs"].items()
            )


SECOND = """
[oracle.letters]
kind = "differential"
repo = "toy"
cases = ["letters/*.txt"]
candidate = "sh main.sh"
reference = "cat"
protect = ["letters/**"]
"""


def test_every_suite_of_a_repository_has_a_say(tmp_path: Path):
    project = toy.project(tmp_path / "project", toy.TOML + SECOND)
    (project / "letters").mkdir()
    (project / "letters/one.txt").write_text("abc\n")
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "letters", cwd=project)
    server = Server(project, tmp_path / "state", 1.5)
    try:
        with wide.running(server):
            one, fence, clone = begin(server, "both", "T01", tmp_path)
            commit = one.commit(clone, {"shout/filter": "FROM=a-z TO=A-Z\n"})
            told = settled(one, "run_oracle", fence=fence, scope="full")
            assert (
                set(told["suites"]) == {"words", "letters"}
                and told["suites"]["letters"]["status"] == "failed"
            )
            answer = refused(settled(one, "push", fence=fence, commit=commit, summary="Shout"), "regression")
            assert "letters" in answer["happened"]
    finally:
        server.stop()


OTHER = """
[repos.other]
path = "../other"
branch = "main"

[modules.other]
repo = "other"
paths = ["other/**"]
"""


def test_nothing_lands_in_a_repository_that_no_oracle_covers(tmp_path: Path):
    toy.repository(tmp_path / "other", {"other/README": "x\n"})
    project = toy.project(tmp_path / "project", toy.TOML + OTHER)
    (project / "tasks/5.md").write_text('+++\nid = "T05"\ntitle = "Other"\nmodule = "other"\n+++\nOther.\n')
    server = Server(project, tmp_path / "state", 1.5)
    try:
        one = server.agent("untested")
        fence = one.call("claim_task", task="T05")["fence"]
        header = f"http.extraHeader=Authorization: Bearer {one.token}"
        toy.git(
            "clone",
            "-q",
            "-c",
            header,
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x.invalid",
            f"{server.url}/git/other.git",
            "o",
            cwd=tmp_path,
        )
        commit = one.commit(tmp_path / "o", {"other/x": "1\n"})
        assert (
            "untested"
            in refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "oracle_broken")[
                "holds"
            ]
        )
    finally:
        server.stop()
