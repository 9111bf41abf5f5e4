"""Every cheating change ends in failed or broken, none in passed, and none harms the run after it. Pushed through
the real gate with just that verdict, none lands.
"""

import io
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from mcp_server.wire.jobs import JobOrder
from oracle.cases.spec import Case, Suite
from oracle.suites import kinds
from tests.server.gated import Gated, gated

from . import cheats
from .cheats import Cheat
from .test_runner import Server

pytestmark = pytest.mark.containers

SLOTS = 2
MEMORY_MB = 256
SQUARES = Suite(
    "squares", "differential", "engine", cases=("c/*",), candidate="python3 -S -E engine.py", reference="sqlite3 :memory:",
    reference_packages=("sqlite3",), case_timeout_s=cheats.ENDS_S, run_timeout_s=120.0,
)  # fmt: skip
SESSIONS = Suite(
    "sessions",
    "sqllogictest",
    "engine",
    cases=("c/*.slt",),
    candidate="python3 engine.py",
    protocol="json",
    case_timeout_s=cheats.HANG_S,
    run_timeout_s=120.0,
)
CASES = [
    Case(f"n/{n}", f"{n}\n", "c/squares", n, expect=f"{cheats.KNOWN.format(n=n)}{n * n}")
    for n in cheats.NUMBERS
]
ANSWERS = {f"n/{n}": {"output": f"{n * n}\n", "exit": 0} for n in cheats.NUMBERS}
HELD = [*cheats.ANSWERS, *cheats.EXECUTOR, *cheats.BOX, *cheats.BUILDS]


def packed(files: dict[str, str], links: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()


@pytest.fixture(scope="module")
def warm(engine: Engine, run: str) -> Iterator[Runner]:
    """One runner for all: that its boxes are as new after each cheat is what is tested."""
    runner = Runner(
        Server(),
        engine,
        Images(engine).image_for,
        "cheats",
        labels={sandbox.RUN: run},
        slots=SLOTS,
        memory_mb=MEMORY_MB,
    )
    yield runner
    runner.close()


Judge = Callable[..., dict]
OF_SQUARES = """
[oracle.squares]
kind = "differential"
cases = ["oracle/cases/**/*.txt"]
candidate = "python3 -S -E engine.py"
reference = "sqlite3 :memory:"
"""
OF_SESSIONS = """
[oracle.sessions]
kind = "sqllogictest"
cases = ["c/*.slt"]
candidate = "python3 engine.py"
protocol = "json"
"""


def passing(ids: Iterable[str]) -> dict:
    return {"status": "passed", "outcomes": dict.fromkeys(ids, "pass")}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    """The gate of a project whose main has every square right."""
    files = {f"oracle/cases/{case.id}.txt": case.input for case in CASES}
    main = passing(case.id for case in CASES)
    with gated(tmp_path_factory.mktemp("squares"), main, OF_SQUARES, files) as made:
        yield made


def lands_nowhere(gate: Gated, verdict: dict) -> bool:
    """Neither the gate nor run_oracle takes this verdict for a pass."""
    decided = gate.decide(verdict)
    assert decided.state == "refused", decided
    assert decided.status in ("failed", "broken"), decided
    return True


@pytest.fixture(scope="module")
def judge(warm: Runner) -> Judge:
    server = Server()

    def judged(
        files: dict[str, str], suite: Suite, *, links: dict[str, str] | None = None, **job_says: object
    ) -> dict:
        job = JobOrder.of_json(server.add({}, {}, suite=suite, tree_key="").render() | job_says)
        server.trees[job.job] = packed(files, links or {})
        warm.client = server
        warm.serve(job, threading.Event())
        return server.results[job.job][0]

    return judged


def squares(
    judge: Judge, files: dict[str, str], *, links: dict[str, str] | None = None, **changes: object
) -> dict:
    suite = Suite.from_json(SQUARES.to_json() | changes)
    return judge(files, suite, links=links, cases=[case.to_json() for case in CASES], known_reference=ANSWERS)


def harmless(judge: Judge) -> bool:
    """The same boxes tell right answers from wrong ones, whatever was in them before."""
    verdict = squares(judge, {"engine.py": cheats.HALF_RIGHT}, start="fork")
    expected = {f"n/{n}": "pass" if n % 2 == 0 else "fail" for n in cheats.NUMBERS}
    assert (verdict["status"], verdict["outcomes"]) == ("failed", expected), verdict
    return True


def test_an_honest_engine_passes(judge: Judge):
    assert squares(judge, {"engine.py": cheats.HONEST})["status"] == "passed"
    assert harmless(judge)


@pytest.mark.parametrize(
    ("cheat", "start"),
    [
        pytest.param(cheat, start, id=f"{cheat.name}-{start}")
        for cheat in HELD
        for start in (("process", "fork") if cheat.forked else ("process",))
    ],
)
def test_an_engine_that_cheats_gains_nothing_and_harms_nothing(
    judge: Judge, gate: Gated, cheat: Cheat, start: str
):
    case_timeout_s = cheats.HANG_S if cheat.passes else cheats.GIVEN_UP_S
    changes = {"start": start, "case_timeout_s": case_timeout_s} | cheat.suite
    verdict = squares(judge, cheat.files, links=cheat.links, **changes)
    assert verdict["status"] in cheat.verdict.split("|"), verdict
    assert cheat.passes in (None, verdict["counts"]["passed"]), verdict["outcomes"]
    assert lands_nowhere(gate, verdict)
    assert harmless(judge)


def test_two_cases_at_once_cannot_reach_each_other(judge: Judge):
    numbers = range(2, 34)
    cases = [Case(f"n/{n:02}", f"{n}\n", "c/squares", n).to_json() for n in numbers]
    known = {f"n/{n:02}": {"output": f"{n * n}\n", "exit": 0} for n in numbers}
    verdict = judge(
        {"engine.py": cheats.ENGINE.format(trick=cheats.OTHER_SLOT)},
        replace(SQUARES, case_timeout_s=cheats.GIVEN_UP_S),
        cases=cases,
        known_reference=known,
    )
    assert (verdict["status"], verdict["counts"]["passed"], verdict["counts"]["executed"]) == (
        "failed",
        0,
        32,
    ), verdict
    assert harmless(judge)


@pytest.fixture(scope="module")
def gate_of_sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    main = passing(case.id for case in records())
    files = {"c/t.slt": cheats.SLT}
    with gated(tmp_path_factory.mktemp("sessions"), main, OF_SESSIONS, files) as made:
        yield made


def records() -> list[Case]:
    return kinds.load(SESSIONS.cases, [("c/t.slt", cheats.SLT.encode())], SESSIONS)


@pytest.mark.parametrize("cheat", cheats.SESSIONS)
def test_an_engine_that_cheats_in_a_session_gains_nothing_and_harms_nothing(
    judge: Judge, gate_of_sessions: Gated, cheat: str
):
    cases = [case.to_json() for case in records()]
    right, wrong = (
        judge({"engine.py": text}, SESSIONS, cases=cases)
        for text in (cheats.HONEST_SLT, cheats.SLT_ENGINE.format(trick=cheats.SESSIONS[cheat]))
    )
    assert (right["status"], wrong["status"]) == ("passed", "failed"), (right, wrong)
    assert lands_nowhere(gate_of_sessions, wrong)
    assert harmless(judge)


@pytest.mark.parametrize("place", cheats.POISONS)
def test_what_a_build_leaves_is_not_there_for_the_next_tree(judge: Judge, gate: Gated, place: str):
    leave, find = cheats.POISONS[place]
    finds = f"try:\n    {find}\n    worked = True\nexcept Exception:\n    pass"
    assert squares(judge, {"engine.py": cheats.WRONG}, build=leave)["status"] == "failed"
    verdict = squares(judge, {"engine.py": cheats.ENGINE.format(trick=finds)})
    assert (verdict["status"], verdict["counts"]["passed"]) == ("failed", 0)
    assert lands_nowhere(gate, verdict)
    assert harmless(judge)
