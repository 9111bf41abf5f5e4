"""Oracle jobs in real boxes: candidate and sqlite3 apart, and what a candidate may try against them."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine, ExecResult
from harness.client import ServerSaidNo
from harness.images.image_engine import BuildFailed
from harness.images.stock import Images
from harness.oracle_runner import oracle_box
from harness.oracle_runner.oracle_box import OracleBox
from harness.oracle_runner.runner import Runner
from mcp_server.wire.environments import EnvironmentOrder
from mcp_server.wire.jobs import JobOrder, JobResult, RunnerSuites
from oracle.cases.spec import Case, Suite
from tests.waiting import BOUND_S, until

pytestmark = pytest.mark.containers

SLOTS = 2
ARGUMENT_BYTES_MAX = 128 << 10  # of one argument, on Linux
MEMORY_MB = 256
ENGINE = """
import sys
TABLE = {"select 1;": "1", "select 'a';": "a", "select 1 union select 2;": "1\\n2"}
for line in sys.stdin:
    line = line.strip()
    print(TABLE[line] if line in TABLE else eval(line.removeprefix("select ").rstrip(";")))
"""
SUITE = Suite(
    "sql", "differential", "engine", cases=("c/*.sql",), candidate="python3 -S -E engine.py", reference="sqlite3 :memory:",
    reference_packages=("sqlite3",), case_timeout_s=2.0, run_timeout_s=60.0,
)  # fmt: skip
SUMS = {f"sum/{number:02}": f"select {number} + 1;\n" for number in range(20)}


def tar(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(text.encode()), 0o644, 1_700_000_000
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


class Server:
    """The server's side of the jobs, in memory."""

    def __init__(self) -> None:
        self.trees: dict[int, bytes] = {}
        self.queue: list[JobOrder] = []
        self.results: dict[int, tuple[dict, dict]] = {}
        self.renewals: list[int] = []
        self.downloads: list[int] = []
        self.lost: set[int] = set()
        self.claims: list[Mapping[str, str]] = []
        self.on_renew: Callable[[int], None] = lambda job: None

    def add(
        self, files: dict[str, str], cases: dict[str, str], *, suite: Suite = SUITE, **more: object
    ) -> JobOrder:
        number = len(self.trees) + 1
        self.trees[number] = tar(files)
        job_order = JobOrder.of_json({
            "job": number, "kind": "run", "suite": suite.to_json(), "repo": suite.repo, "commit": "0" * 40, "tree_key": hashlib.sha256(self.trees[number]).hexdigest(),
            "cases": [{"id": name, "input": text} for name, text in cases.items()], "known_reference": {}, "deadline_s": suite.run_timeout_s,
        } | more)  # fmt: skip
        self.queue.append(job_order)
        return job_order

    def runner_suites(self) -> RunnerSuites:
        return RunnerSuites(suites=(SUITE,))

    def claim_job(self, runner: str, wait_s: float, images: Mapping[str, str]) -> JobOrder | None:
        self.claims.append(images)
        return self.queue.pop(0) if self.queue else None

    def renew_job(self, runner: str, job: int) -> None:
        self.renewals.append(job)
        self.on_renew(job)
        if job in self.lost:
            raise ServerSaidNo(409, "job_lost", "not yours any more")

    def job_tree(self, job: int) -> bytes:
        self.downloads.append(job)
        return self.trees[job]

    def finish_job(self, job: int, result: JobResult) -> None:
        sent = result.render()
        self.results[job] = (sent["verdict"], sent["reference"])


@pytest.fixture(scope="module")
def images(engine: Engine) -> Images:
    return Images(engine)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def warm(engine: Engine, run: str, images: Images) -> Iterator[Runner]:
    """One runner for all tests of this file: that its boxes are as new after each of them is part of what is
    tested.
    """
    runner = Runner(
        Server(), engine, images.image_for, "t", labels={sandbox.RUN: run}, slots=SLOTS, memory_mb=MEMORY_MB
    )
    yield runner
    runner.close()


@pytest.fixture
def judge(warm: Runner, server: Server) -> Callable[..., dict]:
    def judged(files: dict[str, str], cases: dict[str, str] = SUMS, **more: object) -> dict:
        job = server.add(files, cases, **more)
        warm.client = server
        warm.serve(job, threading.Event())
        return server.results[job.job][0]

    return judged


def script(text: str, **more: object) -> tuple[dict[str, str], Suite]:
    """A candidate that is a shell script, and its suite."""
    return {"run.sh": text}, Suite.from_json(SUITE.to_json() | {"candidate": "sh run.sh"} | more)


# -- the two sides
# --------------------------------------------------------------------------------------------


def test_a_right_engine_passes_against_sqlite3(judge, server):
    cases = {"one": "select 1;\n", "text": "select 'a';\n", "rows": "select 1 union select 2;\n", **SUMS}
    verdict = judge({"engine.py": ENGINE}, cases)
    assert (verdict["status"], verdict["counts"]) == (
        "passed",
        {"cases": 23, "executed": 23, "compared": 23, "passed": 23, "failed": 0, "skipped": 0},
    )
    reference = server.results[1][1]
    assert reference["rows"] == {"output": "1\n2\n", "exit": 0} and len(reference) == 23


def test_a_wrong_engine_fails_and_the_smallest_failure_comes_first(judge):
    verdict = judge(
        {"engine.py": ENGINE.replace("print(", "print(99 if '+ 1' in line else ")},
        {**SUMS, "one": "select 1;\n"},
    )
    assert (verdict["status"], verdict["counts"]["failed"], verdict["outcomes"]["one"]) == (
        "failed",
        20,
        "pass",
    )
    assert verdict["failures"][0]["id"] == "sum/00"
    assert verdict["failures"][0]["difference"] == "line 1: '99' instead of '1'"


def test_a_crash_fails_that_case_and_no_other_and_shows_what_it_printed(judge):
    verdict = judge(
        {"engine.py": ENGINE},
        {**SUMS, "bad": "select 1 from nowhere;\n", "kill": "select exec('import os; os.abort()');\n"},
    )
    assert [name for name, outcome in verdict["outcomes"].items() if outcome == "fail"] == [
        "kill"
    ]  # sqlite3 refuses "bad" too
    shown = verdict["failures"][0]
    assert (shown["candidate"]["exit"], shown["difference"]) == (-6, "killed by signal 6")
    verdict = judge({"engine.py": "import nothing_of_that_name\n"})
    assert verdict["counts"]["failed"] == 20
    assert "nothing_of_that_name" in verdict["failures"][0]["candidate"]["error"]


def test_known_reference_answers_are_used_and_not_computed_again(judge, server):
    known = {name: {"output": "7\n", "exit": 0} for name in list(SUMS)[:5]}
    verdict = judge({"engine.py": ENGINE}, known_reference=known)
    assert [name for name, outcome in verdict["outcomes"].items() if outcome == "pass"] == [
        "sum/06",
        *list(SUMS)[5:],
    ][1:]
    assert set(server.results[1][1]) == set(list(SUMS)[5:])


def test_zero_cases_are_broken(judge):
    assert judge({"engine.py": ENGINE}, {})["status"] == "broken"


def test_a_reference_that_is_not_there_is_broken_and_nothing_of_it_is_kept(judge, server):
    verdict = judge(
        {"engine.py": ENGINE}, suite=Suite.from_json(SUITE.to_json() | {"reference": "no-such-engine"})
    )
    assert (verdict["status"], server.results[1][1]) == ("broken", {})
    assert "exit status 127" in verdict["reason"]


def test_output_that_is_not_utf8_is_compared_byte_for_byte(judge):
    files, suite = script("printf '\\377\\n'", reference="printf '\\376\\n'")
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "failed"
    files, suite = script("printf '\\376\\n'", reference="printf '\\376\\n'")
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "passed"


def test_a_large_input_arrives_whole(judge):
    files, suite = script("wc -c", reference="wc -c")
    assert judge(files, {"a": "x" * 900_000}, suite=suite)["status"] == "passed"


# -- the build
# ------------------------------------------------------------------------------------------------


def test_the_build_runs_before_the_cases_and_its_products_are_there(judge):
    suite = Suite.from_json(SUITE.to_json() | {"build": "mv draft.py engine.py && echo built"})
    verdict = judge({"draft.py": ENGINE}, suite=suite)
    assert (verdict["status"], verdict["build"]) == (
        "passed",
        {"exit": 0, "tail": "built\n", "made": ["engine.py"]},
    )


def test_a_build_that_fails_is_failed_and_not_broken(judge):
    verdict = judge(
        {"engine.py": ENGINE}, suite=Suite.from_json(SUITE.to_json() | {"build": "echo no compiler; exit 3"})
    )
    assert (verdict["status"], verdict["build"], verdict["counts"]["executed"]) == (
        "failed",
        {"exit": 3, "tail": "no compiler\n", "made": []},
        0,
    )
    assert set(verdict["outcomes"].values()) == {"fail"}


def test_a_build_that_hangs_or_kills_its_executor_is_failed(judge):
    hanging = Suite.from_json(SUITE.to_json() | {"build": "sleep 60", "run_timeout_s": 1.0})
    assert judge({"engine.py": ENGINE}, suite=hanging)["build"]["exit"] == 124
    killing = Suite.from_json(SUITE.to_json() | {"build": "kill -9 -1; kill -9 $PPID; sleep 1"})
    assert judge({"engine.py": ENGINE}, suite=killing)["status"] == "failed"


def test_a_daemon_of_the_build_is_gone_before_the_cases(judge):
    files, suite = script(
        "ls /proc/*/cwd >/dev/null 2>&1; for p in /proc/[0-9]*; do stat -c %u $p; done | grep -c 10001",
        build="setsid sleep 50 &",
    )
    suite = Suite.from_json(suite.to_json() | {"reference": "echo 0; exit 1"})
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "passed"


def test_the_same_tree_is_placed_once(judge, server):
    first = judge({"engine.py": ENGINE}, tree_key="k" * 64)
    second = judge({"engine.py": ENGINE}, tree_key="k" * 64)
    assert (first["status"], second["status"], server.downloads) == ("passed", "passed", [1])
    assert judge({"engine.py": ""}, tree_key="l" * 64)["status"] == "failed"
    assert server.downloads == [1, 3]


# -- against a candidate that cheats
# --------------------------------------------------------------------------


def test_no_reference_and_no_answer_is_in_the_candidates_box(judge):
    look = "command -v sqlite3; python3 -c 'import sqlite3' 2>/dev/null && echo module; find / -xdev -name '*sqlite3*.so*' 2>/dev/null; grep -rls 'select 1[9] . 1' /work /scratch /tmp /dev/shm; true"
    files, suite = script(look, reference="true")
    verdict = judge(files, suite=suite)
    assert verdict["status"] == "passed", verdict["failures"][:1]


def test_the_source_cannot_be_written_and_neither_can_the_build(judge):
    tries = "for f in run.sh made/x new made/new ../new ../src; do (echo bad > $f) 2>/dev/null && echo wrote $f; done; rm -f run.sh 2>/dev/null; chmod 777 . 2>/dev/null; ls"
    files, suite = script(
        tries, build="mkdir -m 777 made; touch made/x; chmod 666 made/x", reference="echo made; echo run.sh"
    )
    assert judge(files, suite=suite)["status"] == "passed"


def test_there_is_no_network(judge):
    files, suite = script("cat /proc/net/dev | tail -n +3 | grep -vc lo:", reference="echo 0; exit 1")
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "passed"


def test_a_daemon_left_by_one_case_does_not_live_to_see_the_next(judge):
    look = "grep -lsa 'sleep.77' /proc/[0-9]*/cmdline >/dev/null && echo seen"
    leave = f"{look}; (setsid sleep 77 </dev/null >/dev/null 2>&1 &); setsid sh -c 'sleep 77 & sleep 77' & echo done"
    files, suite = script(leave, reference="echo done")
    verdict = judge(
        files, {f"c{number}": "x" for number in range(7)}, suite=suite
    )  # fewer than a second slot would need
    assert verdict["status"] == "passed", verdict["failures"][:1]


def test_what_a_case_writes_is_gone_for_the_next_one_and_for_the_next_job(judge):
    leave = "ls -A $HOME $TMPDIR /tmp /dev/shm; mkdir -p $HOME/a/b /tmp/t; echo x > $HOME/a/b/c; echo x > /tmp/t/y; echo x > /dev/shm/z; chmod 0 $HOME/a; chmod 0 /tmp/t"
    files, suite = script(
        leave, reference="for d in 1 2 3 4; do :; done; echo /dev/shm:; echo; echo $HOME:; echo; echo /tmp:"
    )
    suite = Suite.from_json(
        suite.to_json() | {"candidate": "sh run.sh | grep -v :$ | grep .", "reference": "false"}
    )
    for _ in range(2):
        verdict = judge(files, {f"c{number}": "x" for number in range(7)}, suite=suite)
        assert verdict["status"] == "passed", verdict["failures"][:1]


def test_an_output_flood_is_cut_off(judge):
    files, suite = script("read n; [ $n = flood ] && exec yes; echo $n", reference="cat", case_timeout_s=20)
    verdict = judge(files, {"a": "1\n", "b": "flood\n", "c": "3\n"}, suite=suite)
    assert verdict["outcomes"] == {"a": "pass", "b": "fail", "c": "pass"}
    assert verdict["failures"][0]["difference"] == "more output than allowed"


def test_a_hanging_case_times_out_and_the_others_are_judged(judge):
    files, suite = script("read n; [ $n = hang ] && sleep 100; echo $n", reference="cat", case_timeout_s=3)
    verdict = judge(files, {"a": "1\n", "b": "hang\n", "c": "3\n"}, suite=suite)
    assert verdict["outcomes"] == {"a": "pass", "b": "fail", "c": "pass"}
    assert verdict["failures"][0]["difference"] == "no end within the time of a case"


def test_an_engine_that_always_hangs_is_failed_when_the_time_of_the_run_is_up(judge):
    files, suite = script("sleep 100", reference="cat", case_timeout_s=0.5, run_timeout_s=4.0)
    verdict = judge(files, suite=suite)
    assert verdict["status"] == "failed"
    assert 0 < verdict["counts"]["executed"] < 20


def test_a_case_that_kills_its_executor_fails_and_the_others_are_judged(judge):
    files, suite = script(
        "read n; [ $n = kill ] && { kill -9 -1; kill -9 $PPID; sleep 1; }; echo $n", reference="cat"
    )
    cases = {f"c{number:02}": f"{number}\n" for number in range(20)} | {"c07": "kill\n"}
    verdict = judge(files, cases, suite=suite)
    assert [name for name, outcome in verdict["outcomes"].items() if outcome == "fail"] == ["c07"]
    assert verdict["status"] == "failed"


def test_what_a_case_left_that_killed_its_executor_does_not_live_on(judge):
    files, suite = script(
        "read n; [ $n = kill ] && { setsid sleep 99 & sleep 0.1; kill -9 $PPID; sleep 99; }; echo $n",
        reference="cat",
    )
    assert (
        judge(
            files, {f"c{number:02}": f"{number}\n" for number in range(20)} | {"c07": "kill\n"}, suite=suite
        )["status"]
        == "failed"
    )
    files, suite = script("grep -lsa 'sleep.99' /proc/[0-9]*/cmdline; true", reference="true")
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "passed"


def test_forged_lines_of_the_executor_do_not_arrive(judge):
    forge = """for fd in /proc/$PPID/fd/1 /proc/$PPID/fd/2; do
        for n in 00 01 02 03; do echo '{"id":"sum/'$n'","output":"forged","exit":0}' > $fd; done
    done 2>/dev/null; echo '{"id":"sum/05","output":"forged","exit":0}'; echo"""
    files, suite = script(forge, reference="""echo '{"id":"sum/05","output":"forged","exit":0}'; echo""")
    assert judge(files, suite=suite)["status"] == "passed"


def test_a_fork_bomb_fails_its_case_and_harms_no_later_job(judge):
    files, suite = script(
        "read n; [ $n = bomb ] && { b() { b | b & }; b; sleep 1; }; echo $n",
        reference="cat",
        case_timeout_s=1.0,
    )
    verdict = judge(files, {"a": "1\n", "b": "bomb\n", "c": "3\n"}, suite=suite)
    assert verdict["status"] in (
        "failed",
        "broken",
        "passed",
    )  # a bomb whose case still answers rightly has done no harm
    assert judge({"engine.py": ENGINE})["status"] == "passed"


def test_a_case_is_the_first_to_go_when_memory_runs_out(judge):
    files, suite = script("sleep 0.2; cat /proc/self/oom_score_adj", reference="echo 1000")
    assert judge(files, {"a": "x"}, suite=suite)["status"] == "passed"


def test_a_memory_bomb_fails_its_case_and_harms_no_later_job(judge):
    files, suite = script(
        "read n; [ $n = bomb ] && exec python3 -c 'x = b\"x\" * (1 << 30)'; echo $n",
        reference="cat",
        case_timeout_s=20,
    )
    verdict = judge(files, {"a": "1\n", "b": "bomb\n", "c": "3\n"}, suite=suite)
    assert verdict["outcomes"] == {"a": "pass", "b": "fail", "c": "pass"}
    assert verdict["failures"][0]["difference"] == "killed by signal 9"
    assert judge({"engine.py": ENGINE})["status"] == "passed"


# -- the suite's own tests
# ------------------------------------------------------------------------------------

PROJECT = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "tests/run.sh": "echo 1..2; python3 -c 'from calc import add; assert add(1, 2) == 3' && echo ok 1 - adds || echo not ok 1 - adds; test -w . && echo ok 2 - writes\n",
}
TESTS = Suite(
    "unit",
    "command",
    "calc",
    command="sh tests/run.sh",
    results="tap",
    protect=("tests/**",),
    run_timeout_s=30,
)


def test_a_projects_own_tests_run_in_a_writable_copy(judge):
    verdict = judge(PROJECT, {}, suite=TESTS)
    assert (verdict["status"], verdict["outcomes"]) == ("passed", {"adds": "pass", "writes": "pass"})
    verdict = judge(PROJECT | {"calc.py": "def add(a, b):\n    return a - b\n"}, {}, suite=TESTS)
    assert (verdict["status"], verdict["outcomes"]) == ("failed", {"adds": "fail", "writes": "pass"})


def test_a_results_file_that_was_committed_counts_for_nothing(judge):
    forged = {"out.xml": '<testsuite><testcase name="a"/></testsuite>'}
    suite = Suite("unit", "command", "calc", command="true", results="out.xml", run_timeout_s=30)
    assert judge(PROJECT | forged, {}, suite=suite)["status"] == "broken"
    writing = Suite(
        "unit", "command", "calc", command="cp forged.xml out.xml", results="out.xml", run_timeout_s=30
    )
    assert judge(PROJECT | {"forged.xml": forged["out.xml"]}, {}, suite=writing)["outcomes"] == {"a": "pass"}


# -- teeth
# ----------------------------------------------------------------------------------------------------


def caught(verdict: dict) -> dict[str, bool]:
    return {row["engine"]: row["caught"] for row in verdict["planted"]}


def test_every_planted_engine_is_caught_and_needs_no_tree(judge, server):
    verdict = judge({}, kind="check")
    assert verdict["status"] == "passed", verdict
    assert caught(verdict) == dict.fromkeys(
        ["silent", "failing", "constant", "echo", "last-answer-repeated", "one-in-fifty-wrong"], True
    )
    assert server.downloads == []
    assert len(server.results[1][1]) == 20


def test_a_suite_that_cannot_fail_is_found_out(judge):
    verdict = judge({}, kind="check", suite=Suite.from_json(SUITE.to_json() | {"reference": "true"}))
    assert verdict["status"] == "failed"
    assert "silent" in verdict["reason"]
    assert not caught(verdict)["silent"]


def test_a_check_whose_reference_is_missing_is_broken(judge):
    assert (
        judge({}, kind="check", suite=Suite.from_json(SUITE.to_json() | {"reference": "no-such-engine"}))[
            "status"
        ]
        == "broken"
    )


def test_a_projects_tests_are_checked_with_its_sources_emptied(judge):
    verdict = judge(PROJECT, {}, kind="check", suite=TESTS)
    assert (verdict["status"], caught(verdict)) == ("passed", {"emptied": True, "nothing-runs": True})
    blind = Suite.from_json(TESTS.to_json() | {"command": "echo 1..1; echo ok 1"})
    assert caught(judge(PROJECT, {}, kind="check", suite=blind)) == {"emptied": False, "nothing-runs": True}


# -- what may break
# -------------------------------------------------------------------------------------------


def test_a_box_killed_in_mid_run_is_broken_and_the_next_job_gets_a_new_one(judge, server, warm, engine, run):
    files, suite = script("sleep 1; cat", reference="cat", case_timeout_s=5)
    assert judge({"engine.py": ENGINE})["status"] == "passed"
    killer = threading.Timer(
        1.5,
        lambda: [
            engine.find(found.id).kill()
            for found in engine.list({sandbox.RUN: run, sandbox.KIND: "oracle-candidate"})
        ],
    )
    killer.start()
    verdict = judge(files, suite=suite)
    killer.join()
    assert (verdict["status"], verdict["outcomes"], verdict["failures"]) == ("broken", {}, [])
    assert judge({"engine.py": ENGINE})["status"] == "passed"


def test_an_engine_whose_program_cannot_be_started_fails(judge):
    files, suite = script("#!/no/such/interpreter\n", build="chmod +x run.sh", candidate="./run.sh")
    verdict = judge(files, suite=suite)
    assert (verdict["status"], verdict["failures"][0]["candidate"]["exit"]) == ("failed", 126)


class NoPython:
    """A box of an image without Python, as the engine reports it."""

    def exec(self, argv: list[str], **_: object) -> ExecResult:
        return ExecResult(
            126, b'OCI runtime exec failed: exec: "python3": executable file not found in $PATH', b""
        )


def test_an_image_without_python_is_broken_and_not_the_candidates_fault():
    box = OracleBox(NoPython(), SLOTS)
    with pytest.raises(BoxBroke, match="executable file not found"):
        box.batch(SUITE, "true", [Case("a", "", "", 0)], source=False, deadline_s=10)
    with pytest.raises(BoxBroke, match="executable file not found"):
        box.prepare(b"", SUITE)


def test_an_image_that_does_not_exist_is_broken(engine, server, run):
    runner = Runner(
        server, engine, lambda suite, role: "harness-no-such-image:1", "t", labels={sandbox.RUN: run}, slots=1
    )
    job = server.add({"engine.py": ENGINE}, SUMS)
    runner.serve(job, threading.Event())
    verdict = server.results[1][0]
    assert verdict["status"] == "broken" and "harness-no-such-image" in verdict["reason"]


def test_an_environment_that_cannot_be_built_is_not_tried_again_with_every_claim(engine, run):
    stop, tries, claims = threading.Event(), [], []

    class Changing(Server):
        def runner_suites(self) -> RunnerSuites:
            suite = Suite("unit", "command", "r", command="x", environment="tools")
            return RunnerSuites(suites=(suite,), environments={"tools": "old" if len(claims) < 3 else "new"})

        def environment(self, name: str) -> EnvironmentOrder:
            return EnvironmentOrder(name=name)

        def claim_job(self, runner: str, wait_s: float, images: Mapping[str, str]) -> JobOrder | None:
            claims.append(dict(images))
            if len(claims) == 6:
                stop.set()
            return None

    def image_on(suite: Suite, environment: EnvironmentOrder) -> str:
        tries.append(len(claims))
        raise BuildFailed("no such package")

    labels = {sandbox.RUN: run}
    Runner(Changing(), engine, lambda *_: "none", "t", labels=labels, slots=1, image_on=image_on).run(stop)
    assert claims == [{}] * 6 and tries == [0, 3], "once for each content of its files"


def test_a_lost_job_is_dropped_at_once_and_gets_no_answer(warm, server):
    files, suite = script("sleep 9999; cat", reference="cat", case_timeout_s=9999, run_timeout_s=9999)
    job = server.add(files, SUMS, suite=suite)
    server.lost.add(job.job)
    warm.client = server
    warm.serve(job, threading.Event())
    assert (server.results, server.renewals) == ({}, [1])


def test_a_stopped_runner_ends_soon_and_leaves_no_box(engine, server, run, images):
    labels = {sandbox.RUN: run, "harness.test": "stopped"}
    runner = Runner(server, engine, images.image_for, "stopped", labels=labels, slots=1)
    files, suite = script("sleep 2; cat", reference="cat", case_timeout_s=20)
    server.add(files, SUMS, suite=suite)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    until(lambda: engine.list(labels | {sandbox.KIND: "oracle-candidate"}))
    stop.set()
    thread.join(BOUND_S)
    assert not thread.is_alive()
    assert engine.list(labels) == []
    assert server.results == {}


def test_a_box_shuts_out_everything_but_its_users(engine, run, images):
    spec = oracle_box.spec(
        images.image_for(SUITE, "candidate"),
        name=f"harness-{run}-shut",
        labels={sandbox.RUN: run, sandbox.KIND: "test"},
        slots=1,
    )
    assert (spec.network, spec.read_only, spec.binds, spec.volumes) == ("none", True, (), ())
    box = engine.start(spec)
    try:
        seen = OracleBox(box, 1).batch(
            SUITE,
            "id -u; touch /x; touch /work/x; cat /proc/self/status | grep CapEff",
            [Case("a", "", "", 0)],
            source=False,
            deadline_s=10,
        )
    finally:
        box.remove()
    assert seen["a"].output == "10002\nCapEff:\t0000000000000000\n"
    with pytest.raises(BoxBroke):
        OracleBox(box, 1).batch(SUITE, "true", [Case("a", "", "", 0)], source=False, deadline_s=10)


FORKED = Suite.from_json(SUITE.to_json() | {"start": "fork"})
AS_NEW = """
import atexit, os, sys
wanted = sys.stdin.read().strip()
if wanted == "exit": sys.exit(3)
if wanted == "words": sys.exit("last words")
if wanted == "raise": raise ValueError("no")
if wanted == "bytes": os.write(1, sys.stdin.buffer.raw.name.to_bytes(1, "big"))
import helper
helper.count += 1
print(helper.count, __name__, sys.argv, sys.path[0] == os.getcwd(), sorted(k for k in os.environ if k.isupper())[:2])
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:4], os.getpid() == os.getsid(0))
"""


@pytest.mark.parametrize("suite", [SUITE, FORKED], ids=["process", "fork"])
def test_a_script_runs_the_same_in_a_process_of_its_own_and_in_a_fork(judge, suite):
    """The reference is the same script under a plain interpreter, so whatever differs in a fork fails here."""
    files = {"engine.py": AS_NEW, "helper.py": "count = 0\n"}
    plain = Suite.from_json(
        suite.to_json()
        | {
            "reference": f"cat > in; mkdir -p w; cd w; printf '%s' '{files['helper.py']}' > helper.py; cat > engine.py <<'E'\n{AS_NEW}E\nexec python3 -S -E engine.py < ../in",
            "reference_exit": [0, 1, 3],  # what it reports of itself is its answer here
        }
    )
    verdict = judge(files, {"a": "one", "b": "two", "c": "exit", "d": "words", "e": "raise"}, suite=plain)
    assert verdict["status"] == "passed", verdict["failures"]


def test_cases_in_forks_share_nothing_and_cannot_speak_for_their_executor(judge):
    cheat = """
import os, sys, gc
text = sys.stdin.read()
found = [o for o in gc.get_objects() if isinstance(o, dict) and "output_bytes_max" in o]
for fd in range(3, 64):
    try: os.write(fd, b'{"id": "sum/01", "output": "2\\\\n", "exit": 0}\\n')
    except OSError: pass
try: sys.modules["engine_state"]; print("leaked")
except KeyError: sys.modules["engine_state"] = sys
os.kill(os.getppid(), 0)
print("wrong")
"""
    verdict = judge({"engine.py": cheat}, SUMS, suite=FORKED)
    assert (verdict["status"], verdict["counts"]["failed"]) == ("failed", len(SUMS))
    assert all(failure["candidate"]["output"] == "wrong\n" for failure in verdict["failures"])


def test_a_fork_that_kills_its_executor_or_hangs_fails_its_own_case_only(judge):
    files = {
        "engine.py": "import os, sys, time\nq = sys.stdin.read()\nif '3 +' in q: os.kill(os.getppid(), 9)\nif '5 +' in q: time.sleep(60)\n"
        + "print(eval(q.removeprefix('select ').rstrip(';\\n')))\n"
    }
    cases = {name: text for name, text in SUMS.items() if name < "sum/10"}
    verdict = judge(files, cases, suite=FORKED)
    assert [name for name, outcome in sorted(verdict["outcomes"].items()) if outcome == "fail"] == [
        "sum/03",
        "sum/05",
    ]


def test_a_project_of_any_number_of_files_is_checked(judge):
    """The planted faults rewrite all of them: more than an argument of a program can hold."""
    names = [f"src/package_{n:04}/module_with_a_long_name_{n:04}.py" for n in range(3_000)]
    run = "test -s src/package_2999/module_with_a_long_name_2999.py && echo ok 1 - there || echo not ok 1 - there\necho 1..1\n"
    suite = Suite(
        "unit", "command", "engine", command="sh run.sh", results="tap", canary="none", protect=("run.sh",)
    )
    files = {**dict.fromkeys(names, "x = 1\n"), "run.sh": run}
    assert len("".join(names)) > ARGUMENT_BYTES_MAX
    verdict = judge(files, {}, suite=suite, kind="check", sources=["src/**"])
    assert verdict["status"] == "passed", verdict["reason"]
    assert {row["engine"] for row in verdict["planted"] if row["caught"]} >= {"emptied"}
