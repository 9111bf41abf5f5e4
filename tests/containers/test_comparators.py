"""Comparators and references that live in the repository, in real boxes: main's files, the reference's box,
and never a pass by accident.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from oracle.cases.spec import Suite

from .test_runner import MEMORY_MB, SLOTS, SUITE, SUMS, Server, caught, tar

pytestmark = pytest.mark.containers

HANG_S = 5.0  # until a program counts as hanging: longer than the engine takes to start on a busy machine
ENDS_S = 60.0  # where none hangs
MARK = "known-to-the-reference-alone"
COMPARE = f"""
import json, sys
asked = json.load(sys.stdin)  # {MARK}
ours, theirs = (sorted(asked[side]["output"].split()) for side in ("candidate", "reference"))
if ours != theirs:
    print("other words for", asked["input"].strip())
    sys.exit(1)
"""
REFERENCE = """
import sys
from table import ANSWERS
print(ANSWERS.get(sys.stdin.read().strip(), "?"))
"""
TABLE = f"ANSWERS = {{'one': 'a b c', 'two': 'd e'}}  # {MARK}\n"
FILES = {"ref/engine.py": REFERENCE, "ref/table.py": TABLE, "ref/compare.py": COMPARE}
CASES = {"one": "one\n", "two": "two\n"}
ENGINE = "import sys\nprint({'one': 'c b a', 'two': 'e d'}[sys.stdin.read().strip()])\n"


class Main(Server):
    """The server, which also has the files of main that a job's reference reads."""

    def __init__(self) -> None:
        super().__init__()
        self.main: dict[str, str] = FILES
        self.reference_downloads: list[int] = []

    def job_reference_files(self, job: int) -> bytes:
        self.reference_downloads.append(job)
        return tar(self.main)


def suite(**more: object) -> Suite:
    own = {
        "reference": "python3 ref/engine.py",
        "compare": "command",
        "comparator": "python3 ref/compare.py",
        "reference_reads": ["ref/**"],
        "case_timeout_s": ENDS_S,
    }
    return Suite.from_json(SUITE.to_json() | own | more)


@pytest.fixture
def server() -> Main:
    return Main()


@pytest.fixture(scope="module")
def warm(engine: Engine, run: str) -> Iterator[Runner]:
    runner = Runner(
        Main(),
        engine,
        Images(engine).image_for,
        "c",
        labels={sandbox.RUN: run},
        slots=SLOTS,
        memory_mb=MEMORY_MB,
    )
    yield runner
    runner.close()


@pytest.fixture
def judge(warm: Runner, server: Main) -> Callable[..., dict]:
    def judged(engine: str, cases: dict[str, str] = CASES, **more: object) -> dict:
        state = hashlib.sha256(repr(server.main).encode()).hexdigest()
        job = server.add({"engine.py": engine}, cases, **{"reference_key": state} | more)
        numbered = enumerate(job.cases, start=7)
        job = job.changed(
            cases=tuple(replace(case, file=f"c/{case.id}.txt", line=line) for line, case in numbered)
        )
        warm.client = server
        warm.serve(job, threading.Event())
        return server.results[job.job][0]

    return judged


def test_a_reference_and_a_comparator_of_the_repository_judge(judge, server):
    verdict = judge(ENGINE, suite=suite())
    assert (verdict["status"], verdict["outcomes"]) == ("passed", {"one": "pass", "two": "pass"}), verdict
    assert server.results[1][1]["one"] == {"output": "a b c\n", "exit": 0}
    verdict = judge(ENGINE.replace("c b a", "c b b"), suite=suite())
    assert (verdict["status"], verdict["outcomes"]) == ("failed", {"one": "fail", "two": "pass"})
    assert verdict["failures"][0]["difference"] == "other words for one"


def test_a_candidate_cannot_see_the_files_of_the_reference(judge):
    look = f"""
import os, sys
for place, _, names in os.walk("/"):
    if place.startswith(("/proc", "/sys", "/usr")): continue  # the last is the image's, and read-only
    for name in names:
        try:
            if os.path.isfile(os.path.join(place, name)) and {MARK.encode()!r} in open(os.path.join(place, name), "rb").read():
                print(os.path.join(place, name))
        except OSError: pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if {MARK.encode()!r} in open(f"/proc/{{pid}}/cmdline", "rb").read() and int(pid) != os.getpid(): print(pid)
    except OSError: pass
print(sorted(os.listdir(".")))
""".replace(MARK, MARK[:9] + "' b'" + MARK[9:])
    verdict = judge(look, {"one": "one\n"}, suite=suite(compare="exact", comparator=None))
    assert [failure["candidate"]["output"] for failure in verdict["failures"]] == ["['engine.py']\n"]


def test_the_files_are_placed_once_and_those_of_another_state_of_main_instead_of_them(judge, server):
    for key, downloads in (("k", [1]), ("k", [1]), ("l", [1, 3])):
        assert judge(ENGINE, suite=suite(), reference_key=key * 64)["status"] == "passed"
        assert server.reference_downloads == downloads
    server.main = FILES | {"ref/table.py": TABLE.replace("a b c", "x y z")}
    assert judge(ENGINE, suite=suite(), reference_key="m" * 64)["outcomes"] == {"one": "fail", "two": "pass"}


def test_a_suite_without_files_has_an_empty_directory_in_a_box_that_served_one_with_files(judge, server):
    assert judge(ENGINE, suite=suite(), reference_key="k" * 64)["status"] == "passed"
    bare = suite(reference="ls -A; cat", reference_reads=[], compare="exact", comparator=None)
    assert judge("import sys\nprint(sys.stdin.read(), end='')\n", suite=bare)["status"] == "passed"
    assert judge(ENGINE, suite=suite(), reference_key="k" * 64)["status"] == "passed"
    assert server.reference_downloads == [1]


@pytest.mark.parametrize(
    ("comparator", "said"),
    [
        ("python3 ref/none.py", "exit status 2: python3: can't open file '/work/src/ref/none.py'"),
        ("no-such-comparator", "exit status 127 (the comparator is missing or cannot be run)"),
        ("python3 -c 'raise ValueError(7)'", "exit status 1: ValueError: 7"),
        ("kill -11 $$", "killed by signal 11"),
        ("sleep 60", "no end within the time of a case"),
        ("yes", "more output than allowed"),
        ("exit 3", "exit status 3"),
        ("kill -9 $PPID; sleep 1", "the comparator gave no answer"),
    ],
)
def test_a_comparator_that_cannot_say_breaks_the_verdict_and_names_the_case(judge, comparator, said):
    case_timeout_s = HANG_S if comparator == "sleep 60" else ENDS_S
    verdict = judge(
        ENGINE, {"one": "one\n"}, suite=suite(comparator=comparator, case_timeout_s=case_timeout_s)
    )
    assert (verdict["status"], verdict["outcomes"], verdict["failures"]) == ("broken", {}, [])
    assert said in verdict["reason"] and "case 'one' (c/one.txt:7)" in verdict["reason"], verdict["reason"]


def test_files_that_main_does_not_have_break_the_verdict(judge, server):
    verdict = judge(ENGINE, suite=suite(reference_reads=["ref/**", "data/*.csv"]))
    assert verdict["status"] == "broken" and "no file of main matches 'data/*.csv'" in verdict["reason"]
    server.main = {}
    assert judge(ENGINE, suite=suite())["status"] == "broken"


def test_numbers_are_compared_with_the_suites_tolerance(judge):
    engine = "import sys\nprint('x', float(eval(sys.stdin.read().removeprefix('select ').rstrip(';\\n'))) + 1e-12)\n"
    shell = suite(
        reference="sed 's/select \\(.*\\);/\\1/' | (read a b c; echo x $((a + c)))",
        compare="numbers",
        comparator=None,
        reference_reads=[],
    )
    assert judge(engine, SUMS, suite=shell)["status"] == "passed"
    assert judge(engine.replace("1e-12", "1e-3"), SUMS, suite=shell)["counts"]["failed"] == len(SUMS)


def test_wrong_engines_are_planted_before_a_comparator_too(judge):
    numbers = {f"n{at:02}": f"{at}\n" for at in range(6)}
    verdict = judge("", numbers, kind="check", suite=suite(reference="tr 0-9 a-j"))
    assert (verdict["status"], all(caught(verdict).values())) == ("passed", True), verdict
    blind = judge("", numbers, kind="check", suite=suite(comparator="true"))
    assert blind["status"] == "failed" and not caught(blind)["constant"]
    broken = judge("", numbers, kind="check", suite=suite(comparator="exit 2"))
    assert broken["status"] == "broken" and "the comparator failed" in broken["reason"]


def test_a_reference_whose_script_is_not_there_is_found_out(judge):
    """Its interpreter is there, and ends with an ordinary exit status: whatever fails agrees with it."""
    verdict = judge("", kind="check", suite=suite(reference="python3 ref/typo.py"))
    assert (verdict["status"], verdict["reason"]) == ("failed", "the suite does not notice: failing")


def test_failures_are_made_small_with_a_comparator(judge, server):
    engine = "import sys\nprint(*('x' if line == 'c' else line for line in sys.stdin.read().split()))\n"
    echo = suite(reference="cat", cases=["c/*.txt"])
    verdict = judge(engine, {"long": "a\nb\nc\nd\ne\nf\n"}, suite=echo, shrink_s=20)
    assert (verdict["failures"][0]["input"], verdict["failures"][0]["shrunk_from"]) == ("c\n", 12)
    assert verdict["failures"][0]["difference"] == "other words for c"
