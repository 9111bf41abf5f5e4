"""Sqllogictest suites in real boxes: every file of tests/slt through sqlite3, and engines that are wrong in
one place.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.stock import Images, Order, suite_order
from harness.oracle_runner import oracle_box
from harness.oracle_runner.oracle_box import OracleBox
from harness.oracle_runner.oracle_work import Work
from harness.oracle_runner.warm_boxes import WarmBoxes
from mcp_server.wire.jobs import JobOrder
from oracle.cases.spec import Suite
from oracle.judging.run import Ran
from oracle.suites import kinds

pytestmark = pytest.mark.containers

FILES = Path(__file__).parent.parent / "slt"
SQLITE = "sqlite3 -nullvalue NULL :memory:"
# until an engine counts as hanging: long enough for one to start on a machine that is busy with other tests
HANG_S = 5.0
ENDS_S = 60.0  # where none hangs
SUITE = Suite(
    "slt",
    "sqllogictest",
    "engine",
    cases=("slt/**/*.slt",),
    candidate=SQLITE,
    engine="sqlite",
    case_timeout_s=ENDS_S,
    run_timeout_s=240.0,
)
NUMBERS = count(1)

# A shell around SQLite that goes wrong at the one statement that holds a word of the name of what it does.
SHELL = """
import os, signal, sqlite3, subprocess, sys, time
db, wrong, text = sqlite3.connect(":memory:", isolation_level=None), sys.argv[1:], ""

def spied():
    # whatever of the files and processes in the box it can read and speaks of the result
    names = [os.path.join(at, name) for place in ("/work", "/scratch", "/tmp", "/dev/shm", "/mnt") for at, _, found in os.walk(place) for name in found]
    names += [f"/proc/{number}/{name}" for number in os.listdir("/proc") if number.isdigit() for name in ("cmdline", "environ")]
    found = []
    for name in names:
        try:
            with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                if b"secret" + b"-result" in file.read(1 << 20):
                    found.append(name)
        except (OSError, ValueError):
            pass
    return f"looked at {len(names)} files, found {', '.join(found) or 'nothing'}"

def rows(sql):
    try:
        return db.execute(sql).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        if "drops-errors" in wrong and "drops-errors" in sql:
            return []
        print("Error:", error, file=sys.stderr, flush=True)
        return []

for line in sys.stdin:
    text += line
    if not sqlite3.complete_statement(text):
        continue
    sql, text = text, ""
    mode = next((word for word in wrong if word in sql), "")
    found = rows(sql)
    if mode == "swaps-rows":
        found = found[::-1]
    if mode == "changes-one" and found:
        found[-1] = (found[-1][0] + 1,)
    if mode == "dies":
        os.abort()
    if mode == "leaves":
        sys.exit("had enough")
    if mode == "hangs":
        time.sleep(60)
    if mode == "closes":
        os.close(1), os.close(2), time.sleep(60)
    if mode == "keeps-silent":
        found, sys.stdout = [], open(os.devnull, "w")
    if mode == "spies":
        print(spied())
    if mode == "kills-all":
        os.kill(-1, signal.SIGKILL)
    if mode == "leaves-a-daemon":
        subprocess.Popen(["sh", "-c", "trap '' HUP TERM; yes oh >&2 & while :; do echo 7; sleep 0.01; done"], start_new_session=True)
    while mode == "floods":
        print("x" * 4000)
    for row in found:
        print(*("NULL" if value is None else value for value in row), sep="|")
"""
JSON_ENGINE = """
import json, sqlite3, sys
db = sqlite3.connect(":memory:", isolation_level=None)
for line in sys.stdin:
    try:
        cursor = db.execute(json.loads(line)["sql"])
        rows = [[value.decode() if isinstance(value, bytes) else value for value in row] for row in cursor.fetchall()]
        print(json.dumps({"count": cursor.rowcount} if cursor.rowcount >= 0 and not rows else {"rows": rows}))
    except (sqlite3.Error, sqlite3.Warning) as error:
        print(json.dumps({"error": str(error)}))
"""
PLAIN = """
statement ok
CREATE TABLE t(a INTEGER)

statement ok
INSERT INTO t VALUES(3), (1), (2)

query I
SELECT a FROM t ORDER BY a -- {word}
----
1
2
3

query I rowsort
SELECT a FROM t -- {word}-too
----
1
2
3

query I
SELECT max(a) FROM t
----
3
"""


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    """One with sqlite3 in it for both sides, which outside of this test no candidate ever has."""
    return Images(engine).ensure("oracle-reference", ("sqlite3",))


@pytest.fixture(scope="module")
def work(engine: Engine, run: str, image: str) -> Iterator[Work]:
    def start(image: str, role: str) -> OracleBox:
        labels = {sandbox.RUN: run, sandbox.KIND: f"oracle-{role}"}
        spec = oracle_box.spec(
            image, name=f"harness-oracle-slt-{run}-{next(NUMBERS)}", labels=labels, slots=2, memory_mb=256
        )
        return OracleBox(engine.start(spec), 2)

    boxes = WarmBoxes(start)
    yield Work(boxes, dict.fromkeys(("candidate", "reference"), image))
    boxes.close()


@pytest.fixture
def judge(work: Work) -> Callable[..., Ran]:
    def judged(
        files: Mapping[str, str | bytes],
        suite: Suite = SUITE,
        tree: Mapping[str, str] | None = None,
        **job: object,
    ) -> Ran:
        content = [(path, text.encode() if isinstance(text, str) else text) for path, text in files.items()]
        order = JobOrder.of_json(
            {
                "job": 1,
                "kind": "run",
                "suite": suite.to_json(),
                "repo": "engine",
                "commit": "0" * 40,
                "tree_key": f"tree-{next(NUMBERS)}",
                "deadline_s": suite.run_timeout_s,
                "cases": [case.to_json() for case in kinds.load(suite.cases, content, suite)],
                **job,
            }
        )
        return work.judge(order, lambda: tar(tree or {}), lambda: tar({}))

    return judged


def tar(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def every_file() -> dict[str, bytes]:
    return {
        path.relative_to(FILES.parent).as_posix(): path.read_bytes() for path in sorted(FILES.rglob("*.slt"))
    }


def wrong(mode: str, **more: object) -> dict[str, object]:
    """What `judge` needs for the shell with one thing wrong."""
    return {
        "suite": replace(SUITE, candidate=f"python3 -S -E engine.py {mode}", case_timeout_s=HANG_S, **more),
        "tree": {"engine.py": SHELL},
    }


def failing(ran: Ran) -> list[str]:
    return sorted(name for name, outcome in ran.verdict.outcomes.items() if outcome != "pass")


def said(ran: Ran) -> dict[str, str]:
    return {failure["id"]: failure["difference"] for failure in ran.verdict.failures}


# -- all files
# ------------------------------------------------------------------------------------------------------


def test_sqlite_passes_every_record_of_every_file(judge):
    verdict = judge(every_file()).verdict
    assert (verdict.status, said(Ran(verdict))) == ("passed", {})
    assert (
        verdict.counts.cases >= 600
        and verdict.counts.compared == verdict.counts.cases == verdict.counts.passed
    )


def test_sqlite_passes_every_record_against_itself_as_the_reference(judge):
    ran = judge(every_file(), replace(SUITE, reference=SQLITE))
    assert (ran.verdict.status, said(ran)) == ("passed", {}) and len(
        ran.reference
    ) == ran.verdict.counts.cases
    known = {name: answer.to_json() for name, answer in ran.reference.items()}
    again = judge(every_file(), replace(SUITE, reference="no such engine"), known_reference=known)
    assert (again.verdict.status, again.reference) == ("passed", {})


def test_an_engine_of_the_json_protocol_passes_every_record(judge):
    suite = replace(SUITE, protocol="json", candidate="python3 -S -E engine.py")
    ran = judge(every_file(), suite, {"engine.py": JSON_ENGINE})
    assert (ran.verdict.status, said(ran)) == ("passed", {})


def test_every_wrong_engine_that_is_planted_is_noticed(judge):
    verdict = judge(every_file(), kind="check").verdict
    assert verdict.status == "passed", verdict.reason
    assert {row["engine"]: row["status"] for row in verdict.planted} == dict.fromkeys(
        ["gone", "silent", "constant", "echo", "last-answer-repeated", "one-in-fifty-wrong"], "failed"
    )
    verdict = judge({"slt/a.slt": PLAIN}, replace(SUITE, reference=SQLITE), kind="check").verdict
    assert verdict.status == "passed", verdict.reason


def test_a_suite_that_cannot_fail_has_no_teeth(judge):
    verdict = judge(
        {"slt/a.slt": "statement ok\nCREATE TABLE t(a)\n\nstatement ok\nSELECT 1\n"}, kind="check"
    ).verdict
    assert (verdict.status, verdict.reason) == (
        "failed",
        "the suite does not notice: silent, constant, echo, last-answer-repeated",
    )


# -- wrong in one place
# ---------------------------------------------------------------------------------------------

IN_TIME, FLOOD = "the engine gave no answer in time", "the engine printed more than allowed"
# By mode: the lines of the records that fail, and why the first of them does; where there are many, the
# others were not run.
MODES = {
    "nothing": ([], ""),
    "swaps-rows": ([8], "'3'"),
    "changes-one": ([8, 15], "'4'"),
    "drops-errors": ([27], "no error, where one is expected"),
    "dies": ([8, 15, 22, 27], "the engine was killed by signal 6"),
    "leaves": ([8, 15, 22, 27], "the engine ended with exit status 1"),
    "hangs": ([8, 15, 22, 27], IN_TIME),
    "closes": ([8, 15, 22, 27], IN_TIME),
    "keeps-silent": ([8, 15, 22, 27], IN_TIME),
    "floods": ([8, 15, 22, 27], FLOOD),
}
DROPPING = "\nstatement error no such table\nDROP TABLE u -- {word}\n"


def test_exactly_the_records_concerned_fail(judge):
    files = {f"slt/{mode}.slt": (PLAIN + DROPPING).format(word=mode) for mode in MODES}
    ran = judge(files, **wrong(" ".join(MODES)))
    assert failing(ran) == sorted(f"{mode}/{line:05}" for mode, (lines, _) in MODES.items() for line in lines)
    assert ran.verdict.counts.compared == 6 * len(MODES)
    by_cause = {case: cause["says"] for cause in ran.verdict.causes for case in cause["cases"]}
    for mode, (lines, how) in MODES.items():
        assert not lines or how in by_cause[f"{mode}/{lines[0]:05}"], mode
        assert all(
            by_cause[f"{mode}/{line:05}"] == f"not run: at an earlier record {how}"
            for line in lines[1:]
            if len(lines) > 2
        )


def test_a_record_that_ends_the_executor_fails_its_file_from_there_on_and_no_other(judge):
    files = {
        f"slt/{name}.slt": PLAIN.format(word=word)
        for name, word in (("a", "fine"), ("b", "kills-all"), ("c", "fine"), ("d", "fine"))
    }
    ran = judge(files, **wrong("kills-all"))
    assert failing(ran) == ["b/00008", "b/00015", "b/00022"] and set(said(ran).values()) == {
        "it ended the process that runs the cases"
    }


def test_another_error_than_the_expected_one_is_wrong(judge):
    ran = judge({"slt/a.slt": (PLAIN + DROPPING).replace("no such table", "no such (view|index)")})
    assert failing(ran) == ["a/00027"] and said(ran)["a/00027"].startswith(
        "another error than 'no such (view|index)': "
    )


def test_a_daemon_of_an_engine_says_nothing_in_the_next_session(judge):
    files = {f"slt/{number:02}.slt": PLAIN.format(word="leaves-a-daemon") for number in range(4)}
    ran = judge(files, **wrong("leaves-a-daemon"))
    assert not [name for name in failing(ran) if name.endswith(("00002", "00005"))], (
        "what comes before it is answered by the engine alone"
    )
    assert failing(judge({"slt/a.slt": PLAIN})) == []


def test_an_engine_finds_no_expected_result_where_it_runs(judge):
    text = "query T\nSELECT 'spies'\n----\nsecret-result\n"
    [failure] = judge({"slt/a.slt": text}, **wrong("spies")).verdict.failures
    assert failure["candidate"]["output"].startswith("looked at ") and failure["candidate"][
        "output"
    ].endswith(", found nothing\nspies\n")


def test_a_candidate_runs_where_there_is_no_sqlite():
    assert suite_order(SUITE, "candidate").kind == "oracle-candidate"
    assert suite_order(replace(SUITE, reference_packages=("sqlite3",)), "reference") == Order(
        "oracle-reference", ("sqlite3",)
    )


# -- how engines are started
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "how"),
    [
        ("true", "the engine ended with exit status 0"),
        ("no-such-engine", "the engine ended with exit status 127"),
        ("cat", "the engine gave no answer in time"),
        ("yes", "the engine printed more than allowed"),
    ],
)
def test_an_engine_that_never_answers_fails_every_record(judge, candidate, how):
    case_timeout_s = HANG_S if candidate == "cat" else ENDS_S
    ran = judge({"slt/a.slt": PLAIN}, replace(SUITE, candidate=candidate, case_timeout_s=case_timeout_s))
    assert failing(ran) == [f"a/{line:05}" for line in (2, 5, 8, 15, 22)]
    assert said(ran)["a/00022"] == f"at its start, asked for SELECT 'a word', {how}"


def test_an_engine_that_cannot_be_started_fails_every_record(judge):
    ran = judge({"slt/a.slt": PLAIN}, replace(SUITE, candidate="./engine.bin"), {"engine.bin": "\x7fELF"})
    assert len(failing(ran)) == 5 and "engine" in said(ran)["a/00022"]


def test_what_an_engine_says_before_its_first_record_belongs_to_none(judge):
    banner = "echo welcome; echo warning >&2; exec " + SQLITE
    assert judge({"slt/a.slt": PLAIN}, replace(SUITE, candidate=banner)).verdict.status == "passed"


def test_a_long_statement_and_a_long_answer_arrive_whole(judge):
    sql = "SELECT '" + "y" * 700_000 + "'"
    text = f"query T\n{sql}\n----\n{'y' * 700_000}\n\nquery I\nSELECT 1\n----\n1\n"
    assert judge({"slt/a.slt": text}).verdict.status == "passed"
    assert (
        judge(
            {"slt/a.slt": text},
            replace(SUITE, protocol="json", candidate="python3 -S -E engine.py"),
            {"engine.py": JSON_ENGINE},
        ).verdict.status
        == "passed"
    )


@pytest.mark.parametrize("line", ["not json", '{"rows": [1]}', '{"error": 1}{', ""])
def test_what_is_no_answer_of_the_json_protocol_fails_its_record_alone(judge, line):
    engine = f"import sys\nfor at, line in enumerate(sys.stdin):\n  print({line!r} if at == 1 else '{{\"rows\": [[1]]}}')\n"
    text = "\n".join(["query I\nSELECT 1\n----\n1\n"] * 3)
    ran = judge(
        {"slt/a.slt": text},
        replace(SUITE, protocol="json", candidate="python3 -S -E engine.py"),
        {"engine.py": engine},
    )
    assert failing(ran) == ["a/00006"] and said(ran)["a/00006"].startswith(
        "this is no answer of the protocol"
    )


# -- jobs
# -----------------------------------------------------------------------------------------------------------


def test_one_record_is_judged_after_the_rest_of_its_file_has_run(judge):
    found = kinds.load(SUITE.cases, [("slt/a.slt", PLAIN.encode())], SUITE)
    asked, beside = [found[-1]], found[:-1]
    ran = judge({}, cases=[case.to_json() for case in asked], beside=[case.to_json() for case in beside])
    assert ran.verdict.outcomes == {"a/00022": "pass"} and ran.verdict.counts.cases == 1
    alone = judge({}, cases=[case.to_json() for case in asked])
    assert "no such table" in alone.verdict.failures[0]["candidate"]["error"]


def test_a_run_whose_time_is_up_is_broken(judge):
    verdict = judge({"slt/a.slt": PLAIN}, deadline_s=0.0).verdict
    assert (
        verdict.status == "broken"
        and "the run's time was up before case 'a/00002' (slt/a.slt:2)" in verdict.reason
    )


def test_a_reference_that_is_missing_or_dies_is_broken_and_says_where(judge):
    for reference, how in (
        ("no-such-engine", "the engine ended with exit status 127"),
        ("sqlite3 -bail :memory:", "the engine ended with exit status 1"),
    ):
        ran = judge(
            {"slt/a.slt": PLAIN + "\nstatement error\nnonsense\n"}, replace(SUITE, reference=reference)
        )
        assert (
            ran.verdict.status == "broken"
            and how in ran.verdict.reason
            and "(slt/a.slt:" in ran.verdict.reason
        )


def test_a_failing_record_is_shrunk_to_what_it_needs_where_there_is_a_reference(judge):
    setup = "".join(
        f"statement ok\nCREATE TABLE t{n}(a INTEGER)\n\nstatement ok\nINSERT INTO t{n} VALUES({n})\n\n"
        for n in range(6)
    )
    text = setup + "query I\nSELECT a FROM t3 WHERE a > 0 -- changes-one\n"
    ran = judge({"slt/a.slt": text}, **wrong("changes-one", reference=SQLITE), shrink_s=30)
    [failure] = ran.verdict.failures
    assert (
        failure["input"]
        == "CREATE TABLE t3(a INTEGER);\nINSERT INTO t3 VALUES(3);\nSELECT a FROM t3 WHERE a > 0 -- changes-one\n;\n"
    )
    assert (failure["candidate"]["output"], failure["reference"]["output"]) == ("4\n", "3\n")


def test_held_out_files_run_after_the_others_and_are_only_counted(judge):
    found = [
        replace(case, id=f"held-out/{case.line}", hidden=True, file="../hidden.slt")
        for case in kinds.load(SUITE.cases, [("slt/h.slt", PLAIN.replace("\n3\n", "\n4\n").encode())], SUITE)
    ]
    visible = kinds.load(SUITE.cases, [("slt/a.slt", PLAIN.encode())], SUITE)
    verdict = judge({}, cases=[case.to_json() for case in [*visible, *found]]).verdict
    assert (verdict.status, verdict.held_out, list(verdict.failures)) == (
        "failed",
        {"cases": 5, "passed": 2},
        [],
    )
    assert "hidden.slt" not in verdict.reason
