"""Owns the verdict on a project's own tests: what its command told, what its canaries showed, and what main
runs.

Rule: a run that was meddled with passes no test, and a test that main runs and this run does not has failed.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from oracle.cases.spec import Case, Suite
from oracle.judging import verdict
from oracle.judging.verdict import Built, Verdict
from oracle.suites.command import canary, readers
from oracle.suites.command.canary import Canary
from oracle.suites.command.readers import COMMAND, CommandResult, TestReport

NOT_RUN = "main runs this test, and this run did not"
NAMED_MAX = 3
GO_ON = "the command must go on after a failure: cargo test needs --no-fail-fast, pytest must do without -x and --maxfail"
NAMED_BY = {  # without these the output names no test that passes
    "pytest": " And does it have -rA or -v, so that pytest names its tests?", "go": " And does it have -v or -json, so that go names its tests?",
    "cargo": " And does it do without -q, so that cargo names its tests?",
}  # fmt: skip


def judge(
    suite: Suite,
    ended: CommandResult | None,
    *,
    build: Built | None = None,
    planted: Canary | None = None,
    sabotaged: CommandResult | None = None,
    on_main: Collection[str] = (),
) -> Verdict:
    """The verdict, from how the command ended; None = it was never seen to end.

    `planted` is the canary that was in the tree of that run. Where only the exit status counts, `ended` is
    the run without the canary and `sabotaged` the one with it. `on_main` names the tests that main runs.
    """
    if build is not None and build.exit != 0:
        return verdict.build_failed([Case(name, "", "", 0) for name in on_main or (COMMAND,)], build)
    if ended is None:
        return verdict.broken("the command took down the process that ran it", build=build)
    told, fooled = _read(suite, ended, sabotaged, planted)
    missing = _missing(told, on_main)
    if told.problem and not missing:
        return verdict.broken(told.problem, build=build)
    if fooled:
        return _fooled(told, missing, fooled, ended, build)
    for name in missing:
        told.add(name, passed=False, message=f"{NOT_RUN}\n{told.problem}".strip())
    decided = verdict.told(told.outcomes, told.messages, exit=ended.exit, build=build)
    reason = "; ".join(filter(None, (decided.reason, told.problem, _named(missing))))
    return replace(decided, reason=reason, missing=tuple(missing))


def _read(
    suite: Suite, ended: CommandResult, sabotaged: CommandResult | None, planted: Canary | None
) -> tuple[TestReport, str]:
    """What the command told of its own tests, and how the canary shows that this is worth nothing, or ""."""
    told = readers.read(suite.results, ended)
    if planted is None:
        return told, ""
    if lost := next((one for one in (ended, sabotaged) if one and one.unplanted), None):
        return replace(told, problem=""), f"the canary tests could not be added to this run ({lost.error})"
    if suite.results is None:
        return told, _unmoved(ended, sabotaged)
    return (told, "") if told.problem else canary.take_out(told, planted)


def _unmoved(ended: CommandResult, sabotaged: CommandResult | None) -> str:
    """What gives a command away that succeeds whatever its tests find."""
    if ended.exit != 0:
        return ""  # it fails as it is
    if sabotaged is None:
        return "with a canary test that must fail the command took down the process that ran it"
    if sabotaged.timed_out or sabotaged.truncated:
        return "with a canary test that must fail the command came to no end"
    return "with a canary test that must fail the command still succeeds" if sabotaged.exit == 0 else ""


def unseen(suite: Suite, plain: CommandResult, planted: Canary, ended: CommandResult | None) -> str:
    """Why the canary could not do its part on main, whose run without it was `plain`, and what to mend; ""
    when it can.
    """
    if ended is None:
        return "with it the command took down the process that ran it"
    if ended.unplanted:
        return f"it could not be added ({ended.error}); name another path as canary"
    if suite.results is None:
        return (
            ""
            if plain.exit != 0
            else _mended(_unmoved(plain, ended), f"is {suite.canary} where the command looks for tests?")
        )
    told = readers.read(suite.results, ended)
    if told.problem:
        return f"with it {told.problem}; does the command run to its end when a test fails?"
    told, wrong = canary.take_out(told, planted)
    if missing := _missing(told, readers.read(suite.results, plain).outcomes):
        return f"with a test that fails {len(missing)} others do not run; {GO_ON}"
    return _mended(
        wrong, f"is {suite.canary} where the command looks for tests?{NAMED_BY.get(suite.results or '', '')}"
    )


def _mended(wrong: str, step: str) -> str:
    return wrong and f"{wrong}; {step}"


def _missing(told: TestReport, on_main: Iterable[str]) -> list[str]:
    return sorted(name for name in on_main if readers.is_test(name) and name not in told.outcomes)


def _named(missing: list[str]) -> str:
    if not missing:
        return ""
    more = len(missing) - NAMED_MAX
    return f"not run, and main runs them: {', '.join(missing[:NAMED_MAX])}" + (
        f" and {more} more" if more > 0 else ""
    )


def _fooled(
    told: TestReport, missing: list[str], fooled: str, ended: CommandResult, build: Built | None
) -> Verdict:
    """No test of such a run counts. What failed in it by itself is shown, for it may be what cut the run
    short.
    """
    failed = {name: "fail" for name, outcome in told.outcomes.items() if outcome != "pass"} or {
        COMMAND: "fail"
    }
    messages = {COMMAND: f"{fooled}\n{ended.tail}"} | told.messages
    shown = verdict.told(failed, messages, exit=ended.exit, build=build)
    whole = verdict.told(
        dict.fromkeys([*told.outcomes, *failed, *missing], "fail"), {}, exit=ended.exit, build=build
    )
    last = ended.tail.strip().splitlines()[-1:]
    reason = f"{fooled}, so no test of this run counts (exit status {ended.exit}{': ' + last[0].strip() if last else ''})"
    return replace(whole, reason=reason, failures=shown.failures, causes=shown.causes, missing=tuple(missing))
