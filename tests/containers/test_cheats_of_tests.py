"""Every change that cheats a project's own tests ends in failed or broken, none in passed, and none harms the
run after it. Pushed through the real gate with just that verdict, none lands.
"""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from oracle.cases.spec import Suite
from tests.server.gated import Gated, gated

from .cheats import Cheat
from .cheats_of_tests import CODE, ENDS, PROJECT, RIGHT, SPOKEN, STEERED, WRONG
from .test_cheats import Judge, judge, lands_nowhere, passing, warm  # noqa: F401 - fixtures

pytestmark = pytest.mark.containers

PYTEST = "python3 -m pytest -p no:cacheprovider"
COMMANDS = {
    "out.xml": f"{PYTEST} -q --continue-on-collection-errors --junitxml=out.xml",
    "/tmp/out.xml": f"{PYTEST} -q --junitxml=/tmp/out.xml",
    "pytest": f"{PYTEST} -rA",
    "tap": "python3 tests/tap.py",
    None: "python3 -m unittest discover -s tests",
}
ON_MAIN = {
    "tap": ["test_app.TestApp.test_adds", "test_app.TestApp.test_zero"], None: ["command"],
    "pytest": ["tests/test_app.py::TestApp::test_adds", "tests/test_app.py::TestApp::test_zero"],
    "out.xml": ["tests.test_app.TestApp::test_adds", "tests.test_app.TestApp::test_zero"],
}  # fmt: skip
WHOLE_TOO = {"tap": 3, None: 1}  # a script is more than its tests, and an exit status is one case
IMAGE = ("python3-pytest",)
QUICK = Suite(
    "quick",
    "command",
    "app",
    command="python3 -c 'from app import add; assert add(1, 2) == 3'",
    packages=IMAGE,
    run_timeout_s=240,
)


def suite_of(changes: dict) -> Suite:
    results = changes.get("results", "out.xml")
    command = changes.get("prefix", "") + COMMANDS[results]
    rest = {name: value for name, value in changes.items() if name not in ("prefix", "results")}
    own = {
        "command": command,
        "packages": list(IMAGE),
        "canary": "tests/test_{name}.py",
        "run_timeout_s": 240.0,
    } | ({"results": results} if results else {})
    return Suite.from_json({"name": "unit", "kind": "command", "repo": "app"} | own | rest)


def judged(judge: Judge, files: dict[str, str], **changes: object) -> dict:
    return judge(PROJECT | files, suite_of(changes), on_main=names_on_main(changes))


def harmless(judge: Judge) -> bool:
    right, wrong = (judge({"app.py": text}, QUICK) for text in (RIGHT, WRONG))
    assert (right["status"], wrong["status"]) == ("passed", "failed"), (right, wrong)
    return True


def names_on_main(changes: dict) -> list[str]:
    return ON_MAIN.get(changes.get("results", "out.xml"), ON_MAIN["out.xml"])


@pytest.fixture(scope="module")
def gate_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict], Gated]]:
    """Gates of projects whose main passes both tests, one for each way in which these are named."""
    with contextlib.ExitStack() as stack:
        made: dict[tuple[str, ...], Gated] = {}

        def gate(changes: dict) -> Gated:
            names = tuple(names_on_main(changes))
            if names not in made:
                opened = gated(tmp_path_factory.mktemp("gate"), passing(names))
                made[names] = stack.enter_context(opened)
            return made[names]

        yield gate


@pytest.mark.parametrize("cheat", [*STEERED, *CODE, *SPOKEN], ids=lambda cheat: cheat.name)
def test_a_change_that_cheats_its_tests_gains_nothing_and_harms_nothing(
    judge: Judge, gate_of: Callable[[dict], Gated], cheat: Cheat
):
    verdict = judged(judge, cheat.files, **cheat.suite)
    assert verdict["status"] in cheat.verdict.split("|"), verdict
    assert lands_nowhere(gate_of(cheat.suite), verdict)
    assert harmless(judge)


@pytest.mark.parametrize("cheat", ENDS, ids=lambda cheat: cheat.name)
def test_a_right_change_whose_run_does_not_end_as_it_should_does_not_land(
    judge: Judge, gate_of: Callable[[dict], Gated], cheat: Cheat
):
    verdict = judged(judge, cheat.files, **cheat.suite)
    assert verdict["status"] == "failed" and verdict["contradictions"], verdict
    assert lands_nowhere(gate_of(cheat.suite), verdict)


@pytest.mark.parametrize("results", ["out.xml", "/tmp/out.xml", "pytest", "tap", None])
def test_the_same_suites_pass_a_right_change_and_fail_a_plain_wrong_one(judge: Judge, results: str | None):
    right, wrong = (judged(judge, {"app.py": text}, results=results) for text in (RIGHT, WRONG))
    assert right["status"] == "passed", right
    assert (wrong["status"], wrong["counts"]["failed"]) == ("failed", 1), wrong
    assert not any("canary" in str(verdict["reason"]) for verdict in (right, wrong))
    assert right["counts"]["cases"] == WHOLE_TOO.get(results, 2), "the canaries are not counted"


LINTED = {
    "results": "pytest",
    "command": f"{COMMANDS['pytest']} && python3 tests/lint.py",
}
LINT = {"tests/lint.py": "text = open('app.py').read()\nassert 'TODO' not in text, 'app.py: TODO found'\n"}


def test_what_stands_behind_the_tests_has_its_say_in_a_run_without_canaries(judge: Judge):
    clean = judged(judge, LINT | {"app.py": RIGHT}, **LINTED)
    assert (clean["status"], clean["outcomes"]["command (as a whole)"]) == ("passed", "pass"), clean
    dirty = judged(judge, LINT | {"app.py": f"# TODO\n{RIGHT}"}, **LINTED)
    assert {name for name, outcome in dirty["outcomes"].items() if outcome != "pass"} == {
        "command (as a whole)"
    }
    assert "the command as a whole exits with 1" in dirty["reason"], dirty
    assert "app.py: TODO found" in dirty["reason"]


# -- before anything starts: is the canary seen, and is everything planted caught?
# ------------------------------


def checked(judge: Judge, files: dict[str, str] | None = None, **changes: object) -> dict:
    return judge(
        PROJECT | {"app.py": RIGHT} | (files or {}), suite_of(changes), kind="check", sources=["app.py"]
    )


@pytest.mark.parametrize(("results", "selects"), [("out.xml", True), (None, False)])
def test_a_suite_whose_canary_is_seen_catches_whatever_is_planted(
    judge: Judge, results: str | None, selects: bool
):
    verdict = checked(judge, results=results)
    caught = {row["engine"]: row["caught"] for row in verdict["planted"]}
    expected = ["emptied", "nothing-runs", *(["nothing-selected"] if selects else []), "leaves-early"]
    assert (verdict["status"], caught) == ("passed", dict.fromkeys(expected, True)), verdict


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"canary": "other/test_{name}.py", "env": {"PYTEST_ADDOPTS": "tests"}},
            "is other/test_{name}.py where the command looks for tests?",
        ),
        ({"env": {"PYTEST_ADDOPTS": "-x"}}, "pytest must do without -x and --maxfail"),
        ({"results": "pytest", "command": f"{PYTEST} -q"}, "-rA or -v"),
        ({"results": None, "prefix": "true || "}, "still succeeds"),
    ],
    ids=["elsewhere", "stops at the first failure", "names nothing", "always succeeds"],
)
def test_a_suite_whose_canary_is_not_seen_is_refused_with_what_to_mend(
    judge: Judge, changes: dict, says: str
):
    verdict = checked(judge, {"tests/test_zz.py": PROJECT["tests/test_app.py"]}, **changes)
    assert (verdict["status"], [row["engine"] for row in verdict["planted"]]) == ("failed", ["canary"]), (
        verdict
    )
    assert says in verdict["reason"]


@pytest.mark.parametrize(
    ("files", "changes", "says"),
    [
        ({}, {"results": None, "canary": None, "command": "jest"}, "jest: not found"),
        ({}, {"results": None, "canary": None, "command": "echo no rule; exit 2"}, "no rule"),
        ({}, {"build": "echo cannot compile >&2; exit 2"}, "cannot compile"),
        (
            {"tests/test_app.py": "import attrs_of_nowhere\n" + PROJECT["tests/test_app.py"]},
            {},
            "No module named 'attrs_of_nowhere'",
        ),
        (
            {"tests/test_app.py": "import attrs_of_nowhere\n" + PROJECT["tests/test_app.py"]},
            {"from_zero": True},
            "No module named 'attrs_of_nowhere'",
        ),
        ({"app.py": "def add(a, b):\n    return 7\n"}, {}, "none of its 2 tests passes on main"),
    ],
    ids=["no program", "no target", "no build", "no module", "no module, declared", "nothing passes"],
)
def test_a_suite_that_passes_nothing_on_main_proves_nothing_and_says_why(
    judge: Judge, files: dict, changes: dict, says: str
):
    verdict = checked(judge, files, **changes)
    assert verdict["status"] == "broken", verdict
    assert says in verdict["reason"]


def test_a_project_that_declares_that_it_begins_at_zero_may_begin(judge: Judge):
    verdict = checked(judge, {"app.py": "def add(a, b):\n    return 7\n"}, from_zero=True)
    assert verdict["status"] == "passed", verdict


def test_a_run_tells_how_long_it_took_and_that_its_time_was_up(judge: Judge):
    """The project's own time, whatever the box cost; a test that does not end is told by time as well."""
    slow = {"tests/test_slow.py": "import time\n\ndef test_slow():\n    time.sleep(1.5)\n"}
    paced = judged(judge, {"app.py": RIGHT} | slow)
    assert paced["run_ms"] >= 1_500 and paced["timed_out_s"] == 0
    endless = judged(judge, {"app.py": RIGHT + "while True:\n    pass\n"}, run_timeout_s=2.0)
    assert (endless["status"], endless["timed_out_s"]) == ("failed", 2.0)
