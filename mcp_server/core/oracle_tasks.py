"""Tasks out of what fails on main: one for each cause, in the module that paths point to. Pure decisions.

Rule: a cause has one task at a time, a case is in one such task at a time, and a task all of whose cases pass
is over.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_server.core import budget, case_globs, paths
from mcp_server.core.task import Task, TaskState
from oracle.judging import side_by_side

SOURCE = "oracle"
RED = "main passed them and fails them now"
TITLE_CHARACTERS = 120
NAMED_MAX = 10  # cases that a brief names; claim_task lists those that still fail
INPUT_CHARACTERS, SIDES_CHARACTERS, ERROR_CHARACTERS = 1_500, 2_500, 600
PATH = re.compile(r"[\w./@+~-]*[\w@+~-]")
UNFINISHED = (TaskState.OPEN, TaskState.LEASED, TaskState.BLOCKED)

Json = Mapping[str, Any]


@dataclass(frozen=True)
class SuiteRun:
    """A run of one suite on main: its outcomes, its causes, and examples of failures; `ignored` cases make no
    task.
    """

    suite: str
    outcomes: Mapping[str, str]
    causes: Sequence[Json]
    failures: Sequence[Json]
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Places:
    """Modules with their path globs, and the files of main: only what is both in a file and in a module is a
    place.
    """

    modules: Mapping[str, Sequence[str]]
    files: Collection[str]
    otherwise: str | None = None


@dataclass(frozen=True)
class Draft:
    """A task to be made; without a module it cannot be."""

    source: str
    title: str
    brief: str
    module: str | None
    suite: str
    cases: tuple[str, ...]


@dataclass
class TaskPlan:
    make: list[Draft] = field(default_factory=list)
    homeless: list[Draft] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # tasks of causes that are there still
    left_out: int = 0  # causes over the limit


def of_red(measured: SuiteRun, red: Collection[str]) -> SuiteRun:
    """The same run with what it says of red cases alone. Those it does not tell of are one more cause."""
    in_causes = {case for cause in measured.causes for case in cause["cases"]}
    rest = sorted(set(red) - in_causes - measured.ignored)
    causes = list(measured.causes)
    if rest:
        id = hashlib.sha256("\n".join(rest).encode()).hexdigest()[:8]
        causes.append({"id": id, "says": RED, "count": len(rest), "cases": rest})
    ignored = measured.ignored | (in_causes - set(red))
    return replace(measured, causes=causes, ignored=ignored)


def source(suite: str, cause: str) -> str:
    return f"{SOURCE}:{suite}:{cause}"


def is_ours(task: Task, suite: str) -> bool:
    return task.source.startswith(f"{SOURCE}:{suite}:")


def over(undone: Iterable[Task], suite: str, outcomes: Mapping[str, str]) -> list[Task]:
    """The tasks made for this suite that nobody holds and whose cases all pass: a case without an outcome
    does not.
    """
    passing = {case_globs.entry(suite, case) for case, outcome in outcomes.items() if outcome == "pass"}
    waiting = [
        task for task in undone if is_ours(task, suite) and task.state in (TaskState.OPEN, TaskState.BLOCKED)
    ]
    return [task for task in waiting if task.cases and set(task.cases) <= passing]


def plan(undone: Iterable[Task], measured: SuiteRun, places: Places, limit: int | None) -> TaskPlan:
    """What to make for the causes that have no task yet, those with most cases first; `limit` is for what is
    made.
    """
    ours = [task for task in undone if is_ours(task, measured.suite) and task.state in UNFINISHED]
    at_work = {task.source: task.id for task in ours}
    taken = {entry for task in ours for entry in task.cases}
    found = TaskPlan()
    for cause in measured.causes:
        if (known := source(measured.suite, cause["id"])) in at_work:
            found.kept.append(at_work[known])
            continue
        ids = [
            id
            for id in cause["cases"]
            if id not in measured.ignored and case_globs.entry(measured.suite, id) not in taken
        ]
        if not ids:
            continue
        draft = _draft(cause, ids, measured, places)
        if draft.module is None:
            found.homeless.append(draft)
        elif limit is not None and len(found.make) >= limit:
            found.left_out += 1
        else:
            found.make.append(draft)
    return found


def _draft(cause: Json, ids: Sequence[str], measured: SuiteRun, places: Places) -> Draft:
    examples = [failure for failure in measured.failures if failure["id"] in set(ids)]
    says = " ".join(cause["says"].split())
    return Draft(
        source=source(measured.suite, cause["id"]),
        title=(
            f"{measured.suite}, {len(ids)} {'case' if len(ids) == 1 else 'cases'}:"
            f" {budget.cut(says, TITLE_CHARACTERS)}"
        ),
        brief=_brief(says, ids, examples, measured.suite),
        module=module_of(ids, examples, places),
        suite=measured.suite,
        cases=tuple(case_globs.entry(measured.suite, id) for id in ids),
    )


def module_of(ids: Sequence[str], examples: Sequence[Json], places: Places) -> str | None:
    """By the last path in what a failure says that lies in a module, else by a directory in the cases' ids
    that is called like one.
    """
    for failure in examples:
        for text in (
            failure["candidate"].get("error", ""),
            failure["candidate"]["output"],
            failure["difference"],
        ):
            if (module := _last_module(text, places)) is not None:
                return module
    named = Counter(part for id in ids for part in id.split("/")[:-1] if part in places.modules)
    return min(named, key=lambda module: (-named[module], module), default=places.otherwise)


def _last_module(text: str, places: Places) -> str | None:
    for path in reversed(PATH.findall(text)):
        parts = path.split("/")
        for tail in (
            "/".join(parts[at:]) for at in range(len(parts))
        ):  # a path in a box begins with where the tree lay
            if tail in places.files:
                module = next(
                    (name for name, globs in places.modules.items() if paths.covers(globs, tail)), None
                )
                if module is not None:
                    return module
    return None


def _brief(says: str, ids: Sequence[str], examples: Sequence[Json], suite: str) -> str:
    more = f" and {len(ids) - NAMED_MAX} more" if len(ids) > NAMED_MAX else ""
    parts = [f"{len(ids)} of the cases of suite {suite} that fail on main fail alike: {says}"]
    if examples:
        parts += _example(min(examples, key=lambda failure: len(failure["input"])))
    parts.append(f"The cases: {', '.join(ids[:NAMED_MAX])}{more}. claim_task lists those that still fail.")
    parts.append(
        "To check: run_oracle() runs just these cases, run_oracle(scope='full') shows that nothing else is"
        " lost."
    )
    return "\n\n".join(parts)


def _example(failure: Json) -> list[str]:
    ours, theirs = failure["candidate"], failure["reference"]
    if not failure["input"]:
        return [
            f"One of them, {failure['id']}:",
            _indented(budget.cut(ours["output"] or failure["difference"], SIDES_CHARACTERS)),
        ]
    sides = side_by_side.text(ours["output"], theirs["output"], from_line=failure.get("from_line", 1))
    lines = [f"The smallest, {failure['id']}, with its output beside the one that is expected:"]
    lines += [
        _indented(budget.cut(failure["input"], INPUT_CHARACTERS)),
        _indented(budget.cut(sides, SIDES_CHARACTERS)),
        failure["difference"],
    ]
    error = ours.get("error", "")[-ERROR_CHARACTERS:].strip()
    return lines + (["Its error output ends:", _indented(error)] if error else [])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip("\n").split("\n"))
