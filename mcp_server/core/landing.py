"""What may land: the boundary check on the merged diff, and the ratchet on the oracle's outcomes and on what
a run says against itself. Pure decisions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcp_server.core import case_globs, duration, names, paths, protection
from mcp_server.core.protection import Protection
from mcp_server.core.refusal import Code, Refused
from oracle.judging import contradictions
from oracle.judging.contradictions import Contradiction

NOTHING_STEERS = Protection({})
NAMED_MAX = 6  # how many paths or cases a refusal names; the rest is counted
NAME_CHARS_MAX = 200  # of one of them
WHY_CHARS_MAX = 300  # of how a case fails
PROBLEM_CHARS_MAX = 900  # of why a run could not be read, with an excerpt of what it printed
CONTRADICTION_CHARS_MAX = 600  # in a refusal


class SubmissionState(StrEnum):
    """The life of one `push`. PASSED: good by itself, but on another main. LANDING: the intent is recorded,
    and only the ref knows whether it landed."""

    QUEUED = "queued"
    TESTING = "testing"
    PASSED = "passed"
    LANDING = "landing"
    LANDED = "landed"
    REFUSED = "refused"


FINAL = frozenset({SubmissionState.LANDED, SubmissionState.REFUSED})


@dataclass(frozen=True)
class SuiteOutcomes:
    """One suite's part in a landing: outcomes on main, on the candidate, and the globs that the task names.

    `exempt` cases count for nothing; of `hidden` ones only their number is told, and no glob names them.
    `timed_out_s` is the time in which the candidate's run did not end, `main_ms` what main's takes; 0 if it
    did, or nobody knows. `problem` is why nothing of that run could be read; `why` has, by case, how some of
    those that fail do so.
    `contradictions` are what the candidate's run says against itself, `kinds_on_main` what main's own says.
    `gone` are tests that main reports and the candidate's run does not run, `removes` globs of those that may
    be.
    """

    name: str
    on_main: Mapping[str, str]
    on_candidate: Mapping[str, str]
    named: tuple[str, ...] = ()
    exempt: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    timed_out_s: float = 0
    main_ms: int = 0
    problem: str = ""
    why: Mapping[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    kinds_on_main: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    removes: tuple[str, ...] = ()


def boundary(
    changed: Iterable[str],
    allowed: tuple[str, ...],
    protected: tuple[str, ...],
    module: str,
    *,
    steering: Protection = NOTHING_STEERS,
) -> Refused | None:
    """Every path of the merged diff lies inside the lease and none is protected, by a suite or because it
    steers.
    """
    changed = sorted(set(changed))
    reasons = {path: reason for path in changed if (reason := steering.why(path))}
    if reasons:
        named = some(f"{path} ({reason})" for path, reason in reasons.items())
        return Refused(
            Code.PROTECTED_PATH,
            f"the change touches what steers a run: {named}",
            "main is unchanged; no agent may change such files, but a person can, and can release them to "
            "agents by `unprotected` of [repos.NAME] in harness.toml",
            "take those files out of your commits (git checkout origin/HEAD -- PATH) and push again; if the "
            "task cannot be done without them, release it as blocked and say so",
        )
    if touched := [path for path in changed if protection.covers(protected, path)]:
        return Refused(
            Code.PROTECTED_PATH,
            f"the change touches protected paths: {some(touched)}",
            f"protected are {some(protected)}; no agent may change them",
            "take those files out of your commits (git checkout origin/HEAD -- PATH) and push again",
        )
    if outside := [path for path in changed if not paths.covers(allowed, path)]:
        return Refused(
            Code.OUTSIDE_MODULE,
            f"the change leaves its lease: {some(outside)}",
            f"your lease in module {module} covers"
            f" {some(allowed) or 'no path: its result is a report, by submit_report'}",
            "take those files out and push again; for work elsewhere use create_task with the module that"
            " owns them",
        )
    return None


def ratchet(suites: Iterable[SuiteOutcomes]) -> Refused | None:
    """No case that passes on main fails afterwards, the cases that the task names pass, and a run says
    nothing against itself that main's own run does not.

    A case that passed on main and has no outcome on the candidate counts as failing: a run that skips it
    proves nothing.
    """
    for suite in suites:
        against = contradictions.untolerated(suite.contradictions, suite.kinds_on_main)
        if losses := lost(suite):
            return _regression(suite, losses, against)
        if vanished := sorted(_vanished(suite)):
            return _gone(suite, vanished)
        if against:
            return _contradicted(suite, against)
        missing = sorted(unmet(suite))
        if missing:
            return Refused(
                Code.ORACLE_FAILED,
                f"{len(missing)} cases that the task names do not pass: {some(missing)}"
                f"{_because(suite, missing)}",
                "nothing that passes on main is lost; main is unchanged",
                "run_oracle shows the smallest failing ones; fix, commit and push again",
            )
    return None


def lost(suite: SuiteOutcomes) -> set[str]:
    """Return the cases that pass on main and do not pass on the candidate, but for those that it may
    remove.
    """
    passing = {case for case, outcome in suite.on_main.items() if outcome == "pass"}
    lost = {case for case in passing - suite.exempt if suite.on_candidate.get(case) != "pass"}
    return lost - removed(suite)


def removed(suite: SuiteOutcomes) -> set[str]:
    """Return the cases that are gone as a task of the change says that they may be."""
    return case_globs.chosen(suite.removes, suite.gone) if suite.removes else set()


def _vanished(suite: SuiteOutcomes) -> set[str]:
    """Return the cases that main reports without passing them, and that are gone though no task says so."""
    return set(suite.gone - suite.exempt - removed(suite))


def _gone(suite: SuiteOutcomes, vanished: list[str]) -> Refused:
    return Refused(
        Code.REGRESSION,
        f"{len(vanished)} tests of {suite.name} that fail or are skipped on main do not run any more:"
        f" {some(vanished)}",
        "what main reports stays reported, so that nothing red is lost by deleting or renaming it; main is"
        " unchanged",
        "bring them back under their names, commit and push again; where they are to go, a person says so in"
        " the task (`removes`)",
    )


def _contradicted(suite: SuiteOutcomes, against: list[Contradiction]) -> Refused:
    of_run = f"the run of {suite.name} on the merged commit"
    return Refused(
        Code.CONTRADICTED,
        f"no case is lost, but {of_run} says against itself: {_words(against)}",
        "no run of main excuses that; main is unchanged",
        "see that the command ends well, with the exit status that its tests deserve, commit and push again",
    )


def _words(against: list[Contradiction]) -> str:
    words = "; ".join(" ".join(contradiction.words.split()) for contradiction in against)
    return names.printable(words)[:CONTRADICTION_CHARS_MAX]


def _regression(suite: SuiteOutcomes, lost: set[str], against: list[Contradiction]) -> Refused:
    """Return the refusal of a change that loses these.

    Held-out ones are only told where nothing else is lost, and without their number: each push could
    otherwise read more than one bit of them.
    """
    seen = sorted(lost - suite.hidden)
    if suite.timed_out_s and seen:
        return _timed_out(suite, len(seen))
    if suite.problem and seen:
        return _unread(suite, len(seen))
    what, step = f"{len(seen)} cases of {suite.name} pass", "run_oracle with these cases"
    if not seen:
        what = f"held-out cases of {suite.name} pass"
        step = "look for what your change breaks beside the cases that you can see"
    examples = f": {some(seen)}" if seen else ""
    skipped = [case for case in seen if suite.on_candidate.get(case) == "skip"]
    if skipped:
        examples += f"; {len(skipped)} of them are skipped: {some(skipped)}"
    if against:
        examples += f"; the run says against itself: {_words(against)}"
    return Refused(
        Code.REGRESSION,
        f"{what} on main and fail on the merged commit{examples}{_because(suite, seen)}",
        "your change was merged onto the newest main before it was tested; main is unchanged",
        f"fetch and merge origin, {step}, fix, commit and push again",
    )


def _because(suite: SuiteOutcomes, seen: Iterable[str]) -> str:
    """Return how the first of these fails of which that is known, as the end of a sentence."""
    case = next((case for case in seen if suite.why.get(case)), None)
    return f". {_short(names.printable(case))}: {suite.why[case][:WHY_CHARS_MAX]}" if case else ""


def _unread(suite: SuiteOutcomes, lost: int) -> Refused:
    return Refused(
        Code.ORACLE_FAILED,
        f"{suite.name} could not judge the merged commit: {suite.problem[:PROBLEM_CHARS_MAX]}",
        f"{lost} cases that pass on main have no result; main is unchanged",
        "fetch and merge origin, run it as the suite does, fix what it says, commit and push again",
    )


def _timed_out(suite: SuiteOutcomes, lost: int) -> Refused:
    main = f"; main takes {duration.seconds(suite.main_ms)}" if suite.main_ms else ""
    return Refused(
        Code.TOO_SLOW,
        f"{suite.name} timed out after {suite.timed_out_s:g} s on the merged commit{main}",
        f"{lost} cases that pass on main had no result by then; main is unchanged",
        "find what does not end or takes so long, fix, commit and push again",
    )


def failing_and_free(suite: SuiteOutcomes) -> set[str]:
    """Return the cases that may be named, fail, and hold nothing up: main does not pass them, and no task
    names them.
    """
    failing = {case for case, outcome in suite.on_candidate.items() if outcome == "fail"}
    not_lost = {case for case in failing if suite.on_main.get(case) != "pass"}
    return not_lost - suite.exempt - suite.hidden - unmet(suite)


def unmet(suite: SuiteOutcomes) -> set[str]:
    """Named cases without a pass; a glob that names nothing at all is itself unmet."""
    failing, seen = set(), suite.on_candidate.keys() - suite.hidden
    for glob in suite.named:
        hits = case_globs.hits(glob, seen)
        failing |= (
            {case for case in hits - suite.exempt if suite.on_candidate[case] != "pass"} if hits else {glob}
        )
    return failing


CHANGE = (
    "Task",
    "Agent",
    "Fence",
    "Submission",
)  # the trailers of each change in a landed commit, in this order


def changes(body: str) -> list[dict[str, str]]:
    """The changes that a landed commit brought, as its message tells; none of a commit that did not land
    here.
    """
    pairs = [line.partition(": ")[::2] for line in body.rstrip("\n").rpartition("\n\n")[2].split("\n")]
    if "Audit-Checkpoint" not in dict(pairs):
        return []
    values = [(name, value) for name, value in pairs if name in CHANGE]
    return [dict(values[at : at + len(CHANGE)]) for at in range(0, len(values), len(CHANGE))]


def exempt(flaky: Mapping[str, str], today: str) -> frozenset[str]:
    """Of cases with the date up to which they count for nothing, those for which that is so on `today` (both
    YYYY-MM-DD).
    """
    return frozenset(case for case, until in flaky.items() if today <= until)


def some(named: Iterable[str]) -> str:
    """The first few names, as they can be shown, and a count of the rest."""
    named = list(named)
    first = ", ".join(_short(names.printable(name)) for name in named[:NAMED_MAX])
    return first if len(named) <= NAMED_MAX else f"{first} and {len(named) - NAMED_MAX} more"


def _short(name: str) -> str:
    """Begin and end of a name that is longer than a sentence bears: a tree can hold names of any length."""
    if len(name) <= NAME_CHARS_MAX:
        return name
    return f"{name[: NAME_CHARS_MAX // 2]}... ({len(name):,} characters) ...{name[-NAME_CHARS_MAX // 4 :]}"
