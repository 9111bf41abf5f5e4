"""Owns the canaries of a command suite: two tests under random names, of which one must fail and one must
pass.

Rule: where tested code shares a process with its tests, a run is worth what its canaries show: missing or
wrong, and no test of that run counts. They are in the box's own copy of the tree only, and in no outcome.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from oracle.cases.spec import Suite
from oracle.judging.verdict import PASS
from oracle.suites.base import NO_CANARY, AlteredTest, Canary
from oracle.suites.command import readers, whole
from oracle.suites.command.readers import TestReport

NAME = "{name}"
TEXTS: Mapping[str, str] = {
    PurePosixPath(tool.canary_path).suffix: tool.canary_text for tool in readers.TOOLS
}
USUAL: Mapping[str, str] = {
    PurePosixPath(tool.canary_path).suffix: tool.canary_path for tool in readers.TOOLS
}
DEFAULT = ".py"
ALTERABLE = "pytest"  # the results that say in which file a test is
TEMPLATE = (
    "all canaries of these results are of one template, so code that recognises it, or whose answers equal "
    "everything, could as well, and a differential suite would tell"
)
PYTEST_ID = re.compile(r"(?P<path>(?:[^:]*/)?test_[^:/]*\.py)::(?:(?P<scope>\w+)::)?(?P<name>test\w*)")
ALTERED_MAX = 20  # tests of which the first is taken that can be altered
ALTERED_PASSED = "a copy of a test of main that expects another value passed as well"
BESIDE = (
    "in its command stands beside the tests or around them, so it also runs without canaries and has to exit "
    "with 0 where main's does, which takes a second run"
)


def has(suite: Suite) -> bool:
    """Return True if each run of the suite carries a canary."""
    return suite.canary not in (None, NO_CANARY)


def runs_apart(suite: Suite) -> bool:
    """Return True if the canary needs a run of its own: results without names show it as a failure alone."""
    return not readers.of(suite.results).names_tests


def hatch(suite: Suite, secret: str) -> Canary | None:
    """Return the canary of one run, its names made from a `secret` that nobody could know before; None where
    the suite has none.
    """
    if suite.canary is None or not has(suite):
        return None
    names = {key: _word(f"{key} {secret}") for key in ("name", "passes", "fails")}
    text = suite.canary_text or TEXTS[PurePosixPath(suite.canary).suffix]
    return Canary(_filled(suite.canary, names), _filled(text, names), names["passes"], names["fails"])


def _word(text: str) -> str:
    """Return lower-case letters: a word that no language takes for a number."""
    return hashlib.sha256(text.encode()).hexdigest()[:16].translate(str.maketrans("0123456789", "ghijklmnop"))


def _filled(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\{(name|passes|fails)\}", lambda found: names[found[1]], text)


def is_needed(suite: Suite) -> bool:
    """Return True if results of this form are due a canary, and the suite says nothing about it."""
    return suite.canary is None and readers.of(suite.results).is_forgeable


def missing(suite: Suite) -> str | None:
    """Return a usual path for the canary that the suite needs and has not, or None."""
    return usual(suite) if is_needed(suite) else None


def usual(suite: Suite) -> str:
    """Return where the canary of such a suite is likely to be found by its command."""
    words = f"{suite.results} {suite.command}"
    paths = [tool.canary_path for tool in readers.TOOLS if tool.named_in.search(words)]
    return paths[0] if paths else USUAL[DEFAULT]


def exposure(suite: Suite) -> str:
    """Return in how far the code that the suite tests could fool it."""
    names_tests = readers.of(suite.results).names_tests
    if has(suite):
        carried = (
            "each run carries canaries; code under test that knows its tests by name could still fool it"
        )
        if suite.results != ALTERABLE:
            carried += f"; {TEMPLATE}"
        beside = whole.beside_tests(suite.command or "") if names_tests else ""
        return f"{carried}; {beside} {BESIDE}" if beside else carried
    how = "write its own results" if names_tests else "leave with exit status 0"
    mended = f'canary = "{usual(suite)}" would'
    return f"code under test can fool it: it could {how}, and nothing would tell; {mended}"


def problems(suite: Suite) -> list[str]:
    """Return what makes the suite's canary impossible to plant, one sentence each."""
    if suite.canary is None or not has(suite):
        return ["canary_text is given without canary"] if suite.canary_text else []
    return _path_problems(suite.canary) + _text_problems(suite.canary, suite.canary_text)


def _path_problems(canary: str) -> list[str]:
    found, path = [], PurePosixPath(canary)
    if NAME not in canary:
        found.append(f'canary is {canary!r}; it needs {NAME} in it, such as "tests/test_{NAME}.py"')
    if path.is_absolute() or ".." in path.parts or "\\" in canary:
        found.append(f"canary is {canary!r}; it must be a path below the repository's top")
    return found


def _text_problems(canary: str, text: str | None) -> list[str]:
    suffix = PurePosixPath(canary).suffix
    if text is not None:
        lacking = [word for word in ("{passes}", "{fails}") if word not in text]
        return [
            f"canary_text has no {word}: it needs a test of that name that {word[1:-1]}" for word in lacking
        ]
    if suffix in TEXTS:
        return []
    ours = ", ".join(TEXTS)
    return [f"canary ends in {suffix!r}; for anything but {ours} canary_text says what the file holds"]


def altered(suite: Suite, on_main: Collection[str], secret: str) -> list[AlteredTest]:
    """Return tests that main runs, drawn by a `secret`, each with a name for a copy of its file that fits
    among the others; none where results do not say in which file a test is.
    """
    if suite.results != ALTERABLE or not has(suite):
        return []
    found = [test for name in sorted(on_main) if (test := PYTEST_ID.fullmatch(name))]
    words = sorted({word for test in found for word in test["name"].split("_")[1:] if word}) or ["more"]
    taken = {test["path"].rpartition("/")[2] for test in found}
    chosen = []
    for test in sorted(found, key=lambda test: _lot(f"{secret} {test[0]}"))[:ALTERED_MAX]:
        word = words[_lot(f"word {secret} {test[0]}") % len(words)]
        copy = f"{test['path'].removesuffix('.py')}_{word}.py"
        if copy.rpartition("/")[2] not in taken:
            scope = test["scope"] or ""
            id = "::".join(filter(None, [copy, scope, test["name"]]))
            chosen.append(AlteredTest(test["path"], scope, test["name"], copy, id))
    return chosen


def _lot(text: str) -> int:
    """Return a number that nobody knows who does not know the text."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def take_out_altered(report: TestReport, id: str) -> tuple[TestReport, str]:
    """Return the report without an altered copy of a test, and what is wrong if that copy has passed."""
    if not id:
        return report, ""
    file = id.partition("::")[0]
    rest = {
        name: outcome
        for name, outcome in report.outcomes.items()
        if not name.startswith((f"{file}::", f"{file} ("))
    }
    wrong = ALTERED_PASSED if report.outcomes.get(id) == PASS else ""
    return replace(report, outcomes=rest), wrong


def take_out(report: TestReport, canary: Canary) -> tuple[TestReport, str]:
    """Return the report without the canaries, and what is wrong with those: "" when both showed what they
    must.
    """
    passing = [report.outcomes[name] for name in report.ran() if canary.passes in name]
    failing = [report.outcomes[name] for name in report.ran() if canary.fails in name]
    rest = {
        name: outcome
        for name, outcome in report.outcomes.items()
        if canary.passes not in name and canary.fails not in name
    }
    return replace(report, outcomes=rest), _wrong(passing, failing)


def _wrong(passing: Sequence[str], failing: Sequence[str]) -> str:
    """Return what is wrong with the outcomes of the test that must pass and of the one that must fail."""
    if not passing and not failing:
        return "the canary tests that were added to this run did not run"
    if failing and set(failing) != {"fail"}:
        return "a canary test that must fail was reported as passed"
    if passing and set(passing) != {"pass"}:
        return "a canary test that must pass was reported as failed"
    if not failing:
        return "of the two canary tests the one that must fail was not reported"
    if not passing:
        return "of the two canary tests the one that must pass was not reported"
    return ""
