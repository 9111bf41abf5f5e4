"""Command suites over HTTP and real git: which files a run gets, what it must run, and what a landing
remembers of it.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.edge import app
from mcp_server.repos import case_files, trees
from mcp_server.repos.repository import Repository
from oracle.cases.spec import Suite

from . import toy
from .conftest import Agent, Server
from .test_oracle_jobs import claim, finish
from .wide import refused, settled

TOML = """
[run]
name = "app"
[repos.toy]
path = "."
[modules.app]
paths = ["app/**", "tests/**", "*.py"]
[oracle.unit]
kind = "command"
command = "sh tests/run.sh"
results = "tap"
"""
FILES = {
    "harness.toml": TOML, "conftest.py": "main's\n", "app/app.py": "main's\n", "app/deep/conftest.py": "main's\n", "tests/run.sh": "sh app/inner.sh\n", "app/inner.sh": "echo\n",
    "tasks/1.md": toy.task("T01", "app").replace('suite = "words"\n', ""), "tasks/2.md": toy.task("T02", "app").replace('suite = "words"\n', ""),
    "tasks/3.md": toy.task("T03", "app").replace('suite = "words"\n', 'removes = ["unit:subtr*"]\n'),
}  # fmt: skip
ON_MAIN = {"adds": "pass", "subtracts": "fail"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Main is measured: one of its two tests passes."""
    made = Server(toy.repository(tmp_path / "project", FILES), tmp_path / "state", wait_s=0.3)
    answer(made, ON_MAIN)
    app.tick(made.world)
    yield made
    made.stop()


def answer(server: Server, outcomes: dict[str, str], **more: object) -> dict:
    """Takes the next job, other than a check of the suite, and answers it."""
    job = claim(server, wait_s=20)
    assert job is not None and job["kind"] == "run"
    status = "failed" if "fail" in outcomes.values() else "passed"
    assert finish(server, job["job"], {"status": status, "outcomes": outcomes} | more) == 200
    return job


def tree(server: Server, job: int) -> dict[str, str]:
    with server.http("runner") as http:
        archive = tarfile.open(fileobj=io.BytesIO(http.get(f"/api/jobs/{job}/tree.tar").content))
    return {entry.name: archive.extractfile(entry).read().decode() for entry in archive if entry.isfile()}


def worker(server: Server, where: Path, name: str, task: str) -> tuple[Agent, int, Path]:
    one = server.agent(name)
    fence = one.call("claim_task", task=task)["fence"]
    return one, fence, one.clone(where / name)


def test_what_steers_the_tests_comes_from_main_whatever_the_change_says(server: Server, tmp_path: Path):
    one, fence, clone = worker(server, tmp_path, "one", "T01")
    (clone / "app/deep/conftest.py").unlink()
    (clone / "app/deep").rmdir()
    hostile = {
        "conftest.py": "mine\n",
        "app/conftest.py": "mine\n",
        "sitecustomize/__init__.py": "mine\n",
        "evil.dist-info/entry_points.txt": "mine\n",
    }
    one.commit(
        clone,
        {
            "app/app.py": "mine\n",
            "tests/test_new.py": "mine\n",
            "app/deep": "a file where main has a directory\n",
            **hostile,
        },
    )
    assert one.call("run_oracle", fence=fence)["status"] == "running"
    job = claim(server)
    assert job is not None and job["on_main"] == sorted(ON_MAIN)
    got = tree(server, job["job"])
    assert got == {name: text for name, text in FILES.items() if name != "app/app.py"} | {
        "app/app.py": "mine\n",
        "tests/test_new.py": "mine\n",
    }


def test_a_test_that_a_landing_lost_is_not_asked_for_ever_after(server: Server, tmp_path: Path):
    one, fence, clone = worker(server, tmp_path, "one", "T03")
    commit = one.commit(clone, {"app/app.py": "without subtraction\n"})
    assert one.call("push", fence=fence, commit=commit, summary="less")["status"] == "testing"
    failures = {"adds": "pass", "subtracts": "fail", "multiplies": "pass"}
    assert answer(server, failures, missing=["subtracts"])["on_main"] == ["adds", "subtracts"]
    assert settled(one, "push", fence=fence, commit=commit, summary="less")["status"] == "landed"
    two, fence, clone = worker(server, tmp_path, "two", "T02")
    commit = two.commit(clone, {"app/app.py": "with division\n"})
    two.call("push", fence=fence, commit=commit, summary="more")
    assert answer(server, {"adds": "pass", "multiplies": "fail"})["on_main"] == ["adds", "multiplies"]
    answer(server, {"adds": "pass", "multiplies": "pass"})  # main, which is asked again
    answered = settled(two, "push", fence=fence, commit=commit, summary="more")
    assert answered["code"] == "regression" and "multiplies" in answered["happened"]


def test_a_red_test_that_a_change_takes_away_is_told_and_refused(server: Server, tmp_path: Path):
    one, fence, clone = worker(server, tmp_path, "one", "T01")
    commit = one.commit(clone, {"app/app.py": "without subtraction\n"})
    one.call("push", fence=fence, commit=commit, summary="less")
    answer(server, {"adds": "pass", "subtracts": "fail"}, missing=["subtracts"])
    refusal = settled(one, "push", fence=fence, commit=commit, summary="less")
    assert refusal["code"] == "regression" and "do not run any more: subtracts" in refusal["happened"]


def test_a_skip_is_an_outcome_of_its_own_on_main_and_a_loss_where_main_passes(server: Server, tmp_path: Path):
    one, fence, clone = worker(server, tmp_path, "one", "T01")
    commit = one.commit(clone, {"app/app.py": "a test of its own is skipped\n"})
    assert one.call("push", fence=fence, commit=commit, summary="one")["status"] == "testing"
    answer(server, ON_MAIN | {"divides": "skip"})
    assert settled(one, "push", fence=fence, commit=commit, summary="one")["status"] == "landed"
    unit = status_of(server, "unit")
    assert (unit["passing"], unit["skipped"], unit["cases"]) == (1, 1, 3)
    two, fence, clone = worker(server, tmp_path, "two", "T02")
    assert "Cases on main: 1 of 3 pass, 1 skipped." in str(two.call("read_progress"))
    commit = two.commit(clone, {"app/app.py": "a test of main is skipped\n"})
    two.call("push", fence=fence, commit=commit, summary="two")
    skipping = ON_MAIN | {"adds": "skip", "divides": "skip"}
    job = answer(server, skipping, status="failed", missing=["adds"])
    assert job["on_main"] == sorted(ON_MAIN), "main does not run what it skips"
    answer(server, ON_MAIN | {"divides": "skip"})  # main, which is asked again
    answered = settled(two, "push", fence=fence, commit=commit, summary="two")
    assert answered["code"] == "regression" and "1 of them are skipped: adds" in answered["happened"]
    with server.http("admin") as http:
        verdict = http.get(f"/api/jobs/{job['job']}").json()["verdict"]
    counts = {"cases": 3, "executed": 1, "compared": 1, "passed": 0, "failed": 1, "skipped": 2}
    assert (verdict["status"], verdict["counts"]) == ("failed", counts)


def status_of(server: Server, suite: str) -> dict:
    with server.http("admin") as http:
        return http.get("/api/status").json()["suites"][suite]


@pytest.fixture
def repo(tmp_path: Path) -> tuple[Repository, Path]:
    made = Repository.create(tmp_path / "bare.git")
    return made, toy.repository(tmp_path / "work", {"conftest.py": "1\n", "app.py": "1\n", "docs/x": "1\n"})


def committed(repo: tuple[Repository, Path], branch: str, **files: str) -> str:
    made, work = repo
    toy.git("checkout", "-q", "-B", branch, cwd=work)
    for name, text in files.items():
        (work / name.replace("_", ".")).write_text(text)
    toy.git("commit", "-qam", branch, "--allow-empty", cwd=work)
    return made.exchange.import_branch(work, branch).commit


def test_the_key_of_a_run_changes_with_whatever_its_tree_is_made_of_and_nothing_else(repo):
    suite = Suite("unit", "command", "r", command="x", protect=("**/conftest.py",), reads=("**/*.py",))

    def key(treeish: str, main: str) -> str:
        return trees.key(case_files.visible(repo[0], treeish, main, suite))

    main = committed(repo, "one")
    steered = committed(repo, "two", conftest_py="2\n")
    changed = committed(repo, "three", app_py="2\n")
    (repo[1] / "docs/x").write_text("2\n")
    elsewhere = committed(repo, "four")
    assert key(main, main) == key(steered, main) != key(main, steered)
    assert len({key(main, main), key(main, steered), key(changed, steered), key(changed, main)}) == 4
    assert key(elsewhere, main) == key(changed, main) and key(main, elsewhere) == key(main, steered)
    packed = tarfile.open(
        fileobj=io.BytesIO(repo[0].files.pack(case_files.visible(repo[0], changed, main, suite)))
    )
    assert {name: packed.extractfile(name).read() for name in packed.getnames()} == {
        "conftest.py": b"1\n",
        "app.py": b"2\n",
    }


@pytest.mark.parametrize("kind", ["command", "differential"])
def test_a_cache_on_main_is_handed_out_only_where_the_suite_calls_it_an_artifact(tmp_path: Path, kind: str):
    files = {"app.py": "1\n", "__pycache__/app.pyc": "1\n", "target/a": "1\n", "data/old.pyc": "1\n"}
    work = toy.repository(tmp_path / "work", {**files, "Cargo.toml": "1\n"})
    repo = Repository.create(tmp_path / "bare.git")
    main = repo.exchange.import_branch(work, "main").commit
    suite = Suite("unit", kind, "r", reads=("**",), artifacts=("data/**",))
    assert [entry.path for entry in case_files.visible(repo, main, main, suite)] == [
        "Cargo.toml",
        "app.py",
        "data/old.pyc",
    ]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("tests/run.sh", "a command of the suite unit runs it"),
        ("app/inner.sh", "tests/run.sh runs it for a suite"),
        ("app/AGENTS.md", "it tells agents what to do"),
        ("app/Conftest.PY", "it steers how tests are built and run"),
        ("tests/json.py", "it stands in the place of a module that test tools import"),
    ],
)
def test_what_steers_a_run_does_not_land_though_no_suite_protects_it(
    server: Server, tmp_path: Path, path: str, why: str
):
    one, fence, clone = worker(server, tmp_path, "one", "T01")
    commit = one.commit(clone, {"app/app.py": "mine\n", path: "mine\n"})
    one.call("push", fence=fence, commit=commit, summary="x")
    answered = refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "protected_path")
    assert f"{path} ({why})" in answered["happened"] and "app/app.py" not in answered["happened"]
    assert "unprotected" in answered["holds"]
