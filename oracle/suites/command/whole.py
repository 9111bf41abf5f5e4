"""Owns what a test command says as a whole, beside its tests: linters behind `&&`, bounds of coverage, the
rest of a script.

Rule: a canary makes every run fail, so the exit status of a run with one says nothing; where more than tests
stands in a command, it runs without one as well, and has to exit with 0 where main's does.
"""

import re
import shlex
from collections.abc import Mapping

from oracle.cases.spec import Suite
from oracle.judging import excerpt
from oracle.judging.verdict import FAIL, PASS
from oracle.suites.base import CommandResult
from oracle.suites.command import readers
from oracle.suites.command.readers import WHOLE, TestReport

REDIRECTION = re.compile(r"\s2>&1(?=\s|$)")  # where errors are printed changes no status
SHELL_SIGNS = re.compile(r"&&|\|\||[;|&\n<>()`]|\$\(")
ASSIGNMENT = re.compile(r"\w+=.*")
# What a program is called with so that it runs tests and nothing else.
BARE = (
    re.compile(r"(pytest|py\.test)( .*)?"),
    re.compile(r"python[\d.]*( -[BEIPSsu]+| -[XW] ?\S+)* -m (pytest|unittest)( .*)?"),
    re.compile(r"go test( .*)?"),
    re.compile(r"cargo( \+\S+)? (test|t|nextest run)( .*)?"),
    re.compile(r"node( -\S+)* --test( .*)?"),
)
BOUND_OPTION = re.compile(r"--?[\w-]*(?:cov|threshold|fail-under)[\w-]*(?:=.*)?")
BOUND_IN_OUTPUT = re.compile(r"^.*Required test coverage of ", re.MULTILINE)  # as pytest-cov says it


def beside_tests(command: str) -> str:
    """Return what makes a command more than the call of a known test program; "" if it is just that."""
    text = REDIRECTION.sub("", command.strip())
    if sign := SHELL_SIGNS.search(text):
        return repr(sign[0])
    try:
        words = shlex.split(text)
    except ValueError:
        return "an open quote"
    while words and ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if not words:
        return "no program"
    words[0] = words[0].rpartition("/")[2]
    if not any(form.fullmatch(" ".join(words)) for form in BARE):
        return words[0]
    bounds = (word for word in words if BOUND_OPTION.fullmatch(word))
    return next(bounds, "")


def says_more(suite: Suite, ended: CommandResult | None) -> bool:
    """Return True if the command's exit status could say more than its tests do, of which a run with a canary
    has `ended` so.
    """
    if ended is None or ended.unplanted or not readers.of(suite.results).names_tests:
        return False
    return bool(beside_tests(suite.command or "") or BOUND_IN_OUTPUT.search(ended.output))


def is_explained(suite: Suite, outcomes: Mapping[str, str]) -> bool:
    """Return True if a case fails that is not known to be flaky: the whole then fails with it."""
    return any(outcome == FAIL and name not in suite.flaky for name, outcome in outcomes.items())


def is_believed(suite: Suite, plain: CommandResult | None) -> bool:
    """Return True unless a run without canaries has failed and known flaky cases alone may be to blame."""
    if plain is None or plain.exit == 0:
        return True
    failing = [
        name for name, outcome in readers.read(suite.results, plain).outcomes.items() if outcome == FAIL
    ]
    return not failing or any(name not in suite.flaky for name in failing)


def enter(report: TestReport, suite: Suite, plain: CommandResult | None) -> str:
    """Add the outcome of the command as a whole, from its run without canaries, to those of its tests.

    What passed with canaries has to pass without them. Return what is wrong with the whole; "" if nothing is.
    """
    if is_explained(suite, report.outcomes):
        report.skip(WHOLE, "tests of it fail")
        return ""
    if plain is None:
        wrong = "without canaries the command took down the process that ran it"
    else:
        _compare(report, readers.read(suite.results, plain))
        wrong = _wrong_end(plain)
    if wrong:
        report.add(WHOLE, passed=False, message=wrong)
        return wrong
    report.outcomes[WHOLE] = PASS
    return ""


def _compare(report: TestReport, plain: TestReport) -> None:
    for name in [name for name in report.ran() if readers.is_test(name)]:
        if report.outcomes[name] == PASS and plain.outcomes.get(name) != PASS:
            message = plain.messages.get(name, "") or plain.problem or "it does not run"
            report.add(name, passed=False, message=f"passes with canaries and not without them: {message}")


def _wrong_end(plain: CommandResult) -> str:
    if plain.timed_out:
        return "without canaries the command as a whole came to no end within the time of the run"
    if plain.truncated:
        return "without canaries the command as a whole prints more than is allowed"
    if plain.exit == 0:
        return ""
    words = excerpt.as_words(plain.output, plain.error)
    return f"the tests pass, and the command as a whole exits with {plain.exit}{words}"
