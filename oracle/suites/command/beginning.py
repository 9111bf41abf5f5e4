"""Owns whether the tests of a project have shown anything on main, before a swarm may rely on them.

Rule: a suite that did not run proves nothing, however red it is; a suite whose tests all fail is a beginning
that the project has to declare.
"""

from oracle.cases.spec import Suite
from oracle.judging import excerpt
from oracle.judging.verdict import PASS, SKIP, Built, Verdict
from oracle.suites.base import CommandResult
from oracle.suites.command import readers

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # a shell's exit statuses for a command that it could not start
DECLARE = "if the project begins with tests that all fail, say `from_zero = true` in its table"


def unproven(suite: Suite, ended: CommandResult | None, build: Built | None, verdict: Verdict) -> str:
    """Return why a run of the suite on main, without a canary, proves nothing; "" if it does.

    `ended` is None where the command was never seen to end, or was not started because the build failed.
    """
    if build is not None and build.exit != 0:
        return f"the build fails on main with exit status {build.exit}{excerpt.as_words(build.tail)}"
    if ended is None:
        return "the command took down the process that ran it"
    words = excerpt.as_words(ended.output, ended.error)
    if ended.exit in (NOT_EXECUTABLE, NOT_FOUND):
        return f"the command could not be started (exit status {ended.exit}){words}"
    if PASS in verdict.outcomes.values():
        return ""
    if not readers.of(suite.results).names_tests:
        if suite.from_zero:
            return ""
        failing = f"the command fails on main with exit status {ended.exit}"
        return f"{failing}, so no change could make it fail; {DECLARE}{words}"
    named = [name for name, outcome in verdict.outcomes.items() if readers.is_test(name) and outcome != SKIP]
    if not named:
        return f"no test could be run on main (exit status {ended.exit}){words}"
    if suite.from_zero:
        return ""
    return (
        f"none of its {len(named)} tests passes on main, so no change could make one fail; {DECLARE}{words}"
    )
