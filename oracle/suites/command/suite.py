"""Owns the verdict on a project's own tests: what its command told, what its canaries showed, and what main
runs.

Rule: a run that was meddled with passes no test; a test that main runs is lost if this run skips it, and has
failed if this run does not report it. What a run says against itself is no test: it is told beside them.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from oracle.cases.spec import Case, Suite
from oracle.judging import excerpt, verdict
from oracle.judging.contradictions import WORDS_CHARS_MAX, Contradiction, ContradictionKind
from oracle.judging.verdict import FAIL, SKIP, Built, Verdict
from oracle.suites.base import Canary, CommandResult, PlainRun
from oracle.suites.command import canary, readers, whole
from oracle.suites.command.readers import COMMAND, TestReport

NOT_RUN = "main runs this test, and this run did not"
SKIPPED = "main runs this test, and this run skipped it"
GO_ON = (
    "the command must go on after a failure: cargo test needs --no-fail-fast, "
    "pytest must do without -x and --maxfail"
)


def judge(
    suite: Suite,
    ended: CommandResult | None,
    *,
    build: Built | None = None,
    planted: Canary | None = None,
    sabotaged: CommandResult | None = None,
    plain: PlainRun | None = None,
    on_main: Collection[str] = (),
) -> Verdict:
    """Return the verdict, from how the command ended; None = it was never seen to end.

    `planted` is the canary that was in the tree of that run. Where only the exit status counts, `ended` is
    the run without the canary and `sabotaged` the one with it. `plain` is the run without it where the
    command says more than its tests do. `on_main` names the tests that main runs.
    """
    if build is not None and build.exit != 0:
        return verdict.build_failed([Case(name, "", "", 0) for name in on_main or (COMMAND,)], build)
    if ended is None:
        return verdict.broken("the command took down the process that ran it", build=build)
    report, fooled = _read(suite, ended, sabotaged, planted)
    missing = _missing(report, on_main)
    if report.problem:
        report.problem += excerpt.as_words(ended.output, ended.error)
    if report.problem and not missing:
        return verdict.broken(report.problem, build=build)
    if fooled:
        return _fooled(report, missing, fooled, ended, build)
    for name, message in _ambiguous(report, on_main):
        report.add(name, passed=False, message=message)
    _enter_missing(report, missing)
    wrong_end = whole.enter(report, suite, plain.ended) if plain else ""
    if report.problem:
        report.contradicts(ContradictionKind.RESULTS, report.problem)
    decided = verdict.of_tests(
        report.outcomes,
        report.messages,
        exit=ended.exit,
        build=build,
        missing=missing,
        contradictions=report.contradictions,
    )
    words = (decided.reason, wrong_end, _named_missing(report, missing), *report.remarks)
    return replace(decided, reason="; ".join(filter(None, words)), problem=report.problem)


def _enter_missing(report: TestReport, missing: Iterable[str]) -> None:
    """Fail the tests that main runs and this run does not report, and say it of those that it skipped."""
    for name in missing:
        if report.outcomes.get(name) == SKIP:
            why = report.messages.get(name, "")
            report.messages[name] = f"{SKIPPED}: {why}" if why else SKIPPED
        else:
            file = name.partition("::")[0]
            skips = [line for line in report.unnamed_skips if line.startswith(f"{file}:")]
            words = "\n".join(filter(None, [NOT_RUN, report.problem, *skips]))
            report.add(name, passed=False, message=words)


def _read(
    suite: Suite, ended: CommandResult, sabotaged: CommandResult | None, planted: Canary | None
) -> tuple[TestReport, str]:
    """Return what the command told of its own tests, and how the canary shows that this is worth nothing, or
    "".
    """
    report = readers.read(suite.results, ended)
    if planted is None:
        return report, ""
    if lost := next((run for run in (ended, sabotaged) if run and run.unplanted), None):
        fooled = f"the canary tests could not be added to this run ({lost.error})"
        return replace(report, problem=""), fooled
    if canary.runs_apart(suite):
        return report, _unmoved(ended, sabotaged)
    if report.problem:
        return report, ""
    report, altered_passed = canary.take_out_altered(report, ended.altered)
    report, wrong = canary.take_out(report, planted)
    return report, wrong or altered_passed


def _unmoved(ended: CommandResult, sabotaged: CommandResult | None) -> str:
    """Return what gives a command away that succeeds whatever its tests find, or ""."""
    if ended.exit != 0:
        return ""  # it fails as it is
    if sabotaged is None:
        return "with a canary test that must fail the command took down the process that ran it"
    if sabotaged.timed_out or sabotaged.truncated:
        return "with a canary test that must fail the command came to no end"
    if sabotaged.exit == 0:
        return "with a canary test that must fail the command still succeeds"
    return ""


def unseen(suite: Suite, plain: CommandResult, planted: Canary, ended: CommandResult | None) -> str:
    """Return why the canary could not do its part on main, whose run without it was `plain`, and what to
    mend; "" when it can.
    """
    if ended is None:
        return "with it the command took down the process that ran it"
    if ended.unplanted:
        return f"it could not be added ({ended.error}); name another path as canary"
    where = f"is {suite.canary} where the command looks for tests?"
    if canary.runs_apart(suite):
        return "" if plain.exit != 0 else _mended(_unmoved(plain, ended), where)
    report = readers.read(suite.results, ended)
    if report.problem:
        said = excerpt.as_words(ended.output, ended.error)
        return f"with it {report.problem}; does the command run to its end when a test fails?{said}"
    report, wrong = canary.take_out(report, planted)
    if missing := _missing(report, readers.read(suite.results, plain).ran()):
        return f"with a test that fails {len(missing)} others do not run; {GO_ON}"
    hint = readers.of(suite.results).naming_hint
    step = f"{where} And {hint}" if hint else where
    return _mended(wrong, f"{step}{excerpt.as_words(ended.output, ended.error)}")


def _mended(wrong: str, step: str) -> str:
    return wrong and f"{wrong}; {step}"


def _missing(report: TestReport, on_main: Iterable[str]) -> list[str]:
    """Return the tests that main runs and this run did not: it skipped them, or does not report them."""
    ran = set(report.ran())
    return sorted(name for name in on_main if readers.is_test(name) and name not in ran)


def _ambiguous(report: TestReport, on_main: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the tests of each name that more tests have than on main, so that nobody knows which is which."""
    before, now = readers.homonyms(on_main), readers.homonyms(report.outcomes)
    grown = {name: count for name, count in now.items() if count > max(before[name], 1) and before[name]}
    for name, count in grown.items():
        message = f"{count} tests are called so, and on main {before[name]}: nobody can tell which is which"
        yield from ((readers.numbered(name, number), message) for number in range(1, count + 1))


def _named_missing(report: TestReport, missing: list[str]) -> str:
    skipped = [name for name in missing if report.outcomes.get(name) == SKIP]
    absent = [name for name in missing if name not in skipped]
    named = {"skipped, and main runs them": skipped, "not run, and main runs them": absent}
    return "; ".join(f"{what}: {readers.some(names)}" for what, names in named.items() if names)


def _fooled(
    report: TestReport, missing: list[str], fooled: str, ended: CommandResult, build: Built | None
) -> Verdict:
    """Return a verdict by which no test of the run counts.

    What failed in it by itself is shown, for it may be what cut the run short.
    """
    failed = {name: FAIL for name, outcome in report.outcomes.items() if outcome == FAIL} or {COMMAND: FAIL}
    messages = {COMMAND: f"{fooled}\n{ended.tail}"} | report.messages
    visible = verdict.of_tests(failed, messages, exit=ended.exit, build=build)
    all_names = [*report.outcomes, *failed, *missing]
    failing = verdict.of_tests(dict.fromkeys(all_names, FAIL), {}, exit=ended.exit, build=build)
    last_line = "".join(f": {line.strip()}" for line in ended.tail.strip().splitlines()[-1:])
    return replace(
        failing,
        reason=f"{fooled}, so no test of this run counts (exit status {ended.exit}{last_line})",
        failures=visible.failures,
        causes=visible.causes,
        missing=tuple(missing),
        contradictions=(Contradiction(ContradictionKind.CANARY, fooled[:WORDS_CHARS_MAX]),),
    )
