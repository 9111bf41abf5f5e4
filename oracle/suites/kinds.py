"""Owns the list of the kinds of suite, which is made of what lies in this directory.

Rule: a new kind is one new module here, or package, with a KIND; nothing else has to be told of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from oracle import suites
from oracle.cases import files
from oracle.cases.spec import SLOW, STARTS, BadSpec, Case, Suite
from oracle.judging import compare
from oracle.suites import discovery
from oracle.suites.base import SuiteKind

CANDIDATE, REFERENCE = "candidate", "reference"  # roles
SHARED = ("base", "discovery", "kinds", "teeth")  # the modules here that are no kind


def discovered(places: Iterable[str], package: str) -> dict[str, SuiteKind]:
    """Return the kinds in the directories `places` by name; raise HalfRecord for a module that has none."""
    found = discovery.records(places, package, named="KIND", of=SuiteKind, beside=SHARED)
    return {kind.name: kind for kind in found}


KINDS: Mapping[str, SuiteKind] = discovered(suites.__path__, suites.__name__)


def find(suite: Suite) -> SuiteKind | None:
    """Return the kind of a suite, or None where there is no such kind."""
    return KINDS.get(suite.kind)


def of(suite: Suite) -> SuiteKind:
    """Return the kind of a suite; raise BadSpec where there is no such kind."""
    kind = find(suite)
    if kind is None:
        raise BadSpec(_unknown(suite))
    return kind


def problems(suite: Suite) -> list[str]:
    """Return everything that makes the suite impossible to run, one sentence each."""
    kind = find(suite)
    found = [] if kind else [_unknown(suite)]
    if suite.compare not in compare.names():
        found.append(f"compare is {suite.compare!r}; it can be {', '.join(compare.names())}")
    if suite.start not in STARTS:
        found.append(f"start is {suite.start!r}; it can be {' or '.join(STARTS)}")
    if kind:
        missing = [name for name in kind.needs if not getattr(suite, name)]
        found += [f"a {kind.name} suite needs {name}" for name in missing]
        found += kind.problems(suite)
        if suite.reference_exit and not suite.reference:
            found.append("reference_exit says how a reference answers, and there is no reference")
        if suite.from_zero and kind.project is None:
            found.append(
                f"from_zero is for suites of tests; of a {kind.name} suite any share may pass on main"
            )
    return found + _time_problems(suite) + _compare_problems(suite)


def _time_problems(suite: Suite) -> list[str]:
    found = [
        f"{name} must be above 0" for name in ("case_timeout_s", "run_timeout_s") if getattr(suite, name) <= 0
    ]
    if suite.slow_factor <= 1:
        found.append("slow_factor must be above 1")
    if suite.slow not in SLOW:
        found.append(f"slow is {suite.slow!r}; it can be {' or '.join(SLOW)}")
    return found


def load(patterns: Iterable[str], contents: Iterable[tuple[str, bytes]], suite: Suite) -> list[Case]:
    """Return the cases of all files (path, content) that match a pattern, in the order of their ids.

    There are none where a test command says which tests there are. Raise BadCases with every problem.
    """
    rules = of(suite).cases
    if rules is None:
        return []
    sections = rules.sections
    return files.load(patterns, contents, lambda path, text: sections(suite, path, text))


def together(suite: Suite, cases: Sequence[Case], chosen: Collection[str]) -> list[str]:
    """Return the ids that have to run for the chosen ones to mean something."""
    rules = of(suite).cases
    return rules.together(cases, chosen) if rules else []


def answer_inputs(suite: Suite, cases: Iterable[Case]) -> dict[str, str]:
    """Return by case id what its answer depends on: its input, and whatever is asked before it."""
    rules = of(suite).cases
    return rules.answer_inputs(cases) if rules else {}


def roles(suite: Suite) -> tuple[str, ...]:
    """Return the roles for which a run of the suite needs a box."""
    if of(suite).reference_image and (suite.reference or suite.comparator):
        return (CANDIDATE, REFERENCE)
    return (CANDIDATE,)


def image(suite: Suite, role: str) -> tuple[str, tuple[str, ...]]:
    """Return the kind of image that one role of the suite runs in, and the packages on top of it."""
    kind = of(suite)
    if role == CANDIDATE:
        return kind.candidate_image, suite.packages
    if kind.reference_image is None:
        raise BadSpec(f"a {kind.name} suite has no {role}")
    return kind.reference_image, suite.reference_packages


def _unknown(suite: Suite) -> str:
    return f"kind is {suite.kind!r}; it can be {' or '.join(KINDS)}"


def _compare_problems(suite: Suite) -> list[str]:
    found = []
    if suite.compare == compare.BY_COMMAND and not suite.comparator:
        found.append(
            'compare = "command" needs comparator: the command that says whether two outputs are the same'
        )
    if suite.comparator and suite.compare != compare.BY_COMMAND:
        found.append('comparator is used only with compare = "command"')
    # A NaN is in no range either.
    if not 0 <= suite.tolerance < 1:
        found.append("tolerance is relative: at least 0 and below 1")
    if suite.reference_reads and not suite.reference and not suite.comparator:
        found.append("reference_reads are the files of a reference or a comparator, and there is neither")
    return found
