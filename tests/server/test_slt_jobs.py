"""Jobs of sqllogictest suites: single records are judged, whole files are run, and no result goes where the
candidate runs.
"""

import io
import tarfile
from collections.abc import Iterator

import pytest

from . import toy
from .conftest import Agent, Server
from .test_oracle_jobs import claim, finish, look, none_left, said

SUITE = """[oracle.words]
kind = "sqllogictest"
repo = "toy"
cases = ["slt/**/*.slt"]
candidate = "sh main.sh"
reference = "sqlite3 -nullvalue NULL :memory:"
protect = ["harness.toml", "tasks/**"]

"""
FIRST = "statement ok\nCREATE TABLE t(a INTEGER)\n\nstatement ok\nINSERT INTO t VALUES(1)\n\nquery I\nSELECT a FROM t\n----\n1\n"
SECOND = "statement ok\nSELECT 1\n\nstatement error\nSELECT\n"
FILES = {"slt/x/first.slt": FIRST, "slt/second.slt": SECOND}
RECORDS = ["second/00001", "second/00004", "x/first/00001", "x/first/00004", "x/first/00007"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("slt")
    head, _, tail = toy.TOML.partition("[oracle.words]")
    toml = head + SUITE + "[agents" + tail.partition("[agents")[2]
    files = {
        "harness.toml": toml,
        "main.sh": "true\n",
        "shout/x": "x\n",
        "tasks/1.md": toy.task("T01", "shout", cases=["x/*"]),
        **FILES,
    }
    made = Server(toy.repository(root / "project", files), root / "state", 0.3)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def asking(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Agent, int, str]:
    """An agent with a lease and an uploaded commit; main's own run and the check of the suite are out of the
    way.
    """
    one = server.agent("asker")
    fence = one.call("claim_task", task="T01")["fence"]
    commit = one.commit(one.clone(tmp_path_factory.mktemp("clone") / "work"), {"shout/x": "y\n"})
    while (job := claim(server, "cleaner")) is not None:
        finish(
            server,
            job["job"],
            said("failed", **{case["id"]: "fail" for case in job["cases"]}),
            runner="cleaner",
        )
    return one, fence, commit


def ids(job: dict, key: str) -> list[str]:
    return [case["id"] for case in job[key]]


def test_of_one_record_the_whole_file_runs_and_the_answer_is_about_the_record(
    server: Server, asking: tuple[Agent, int, str]
):
    one, fence, _ = asking
    assert one.call("run_oracle", fence=fence, cases=["x/first/00007"])["status"] == "running"
    job = claim(server)
    assert (ids(job, "cases"), ids(job, "beside")) == (["x/first/00007"], ["x/first/00001", "x/first/00004"])
    assert (
        job["beside"][0]["input"] == "CREATE TABLE t(a INTEGER)\n"
        and job["cases"][0]["expect"] == "query I\n----\n1"
    )

    with server.http("runner") as http:
        tree = tarfile.open(fileobj=io.BytesIO(http.get(f"/api/jobs/{job['job']}/tree.tar").content))
    assert "main.sh" in tree.getnames() and not [name for name in tree.getnames() if name.endswith(".slt")]

    answers = {id: {"output": "1\n", "exit": 0} for id in ids(job, "cases") + ids(job, "beside")}
    assert finish(server, job["job"], said("passed", **{"x/first/00007": "pass"}), reference=answers) == 200
    told = one.call("run_oracle", fence=fence, cases=["x/first/00007"])
    assert (told["status"], told["suites"]["words"]["counts"]["cases"]) == ("passed", 1)

    assert one.call("run_oracle", fence=fence, cases=["*"])["status"] == "running"
    rest = claim(server)
    assert (ids(rest, "cases"), ids(rest, "beside")) == (RECORDS, []), "one run of all records decides"
    assert set(rest["known_reference"]) == set(answers), "the reference's answers to a whole file are known"
    assert finish(server, rest["job"], said("failed", **dict.fromkeys(ids(rest, "cases"), "fail"))) == 200
    assert one.call("run_oracle", fence=fence, cases=["*"])["suites"]["words"]["counts"] == {
        "cases": 5,
        "executed": 5,
        "compared": 5,
        "passed": 0,
        "failed": 5,
    }
    assert none_left(server)


def test_a_verdict_on_a_record_that_only_ran_beside_is_a_lie(server: Server, asking: tuple[Agent, int, str]):
    one, fence, _ = asking
    assert one.call("run_oracle", fence=fence, cases=["second/00004"])["status"] == "running"
    job = claim(server)
    assert ids(job, "beside") == ["second/00001"]
    lie = said("passed", **{"second/00001": "pass", "second/00004": "pass"})
    assert finish(server, job["job"], lie) == 200 and look(server, job["job"])["state"] == "queued"


def test_the_check_of_the_suite_has_every_record_and_needs_no_tree(server: Server):
    with server.http() as http:
        [asked] = http.post("/api/oracle/check", json={}).json()
    job = next(job for job in iter(lambda: claim(server), None) if job["job"] == asked["job"])
    assert (job["kind"], job["tree_key"]) == ("check", "")
    assert sorted(ids(job, "cases")) == RECORDS and job["beside"] == []
