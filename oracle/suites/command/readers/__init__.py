"""Owns what a project's own test command said, in whichever form: outcomes by test. One file for each form.

Rule: what was skipped did not run, what contradicts itself is a failure, and where nothing ran there is
nothing to judge.
"""

from collections.abc import Callable, Mapping

from oracle.suites.command.readers import cargo, go, junit, pytest_text, tap
from oracle.suites.command.readers.base import AS_A_WHOLE, COMMAND, CommandResult, TestReport

__all__ = ["COMMAND", "CommandResult", "TestReport", "is_test", "read", "results_file"]


def _exit_status(ended: CommandResult) -> TestReport:
    told = TestReport()
    told.add(COMMAND, passed=ended.exit == 0, message=f"exit status {ended.exit}\n{ended.tail}")
    return told


_READERS: Mapping[str | None, Callable[[CommandResult], TestReport]] = {
    None: _exit_status, "tap": tap.read, "pytest": pytest_text.read, "cargo": cargo.read, "go": go.read
}  # fmt: skip


def results_file(results: str | None) -> str | None:
    """The path of the JUnit XML file that a suite's `results` names; None where the output itself is read."""
    return None if results in _READERS else results


def is_test(name: str) -> bool:
    """Whether an outcome's name is a test's own: what stands for several is gone once they run again."""
    return name != COMMAND and not name.endswith(AS_A_WHOLE)


def read(results: str | None, ended: CommandResult) -> TestReport:
    """What the command said, in the form that the suite names: None, "tap", "pytest", "cargo", "go" or a
    JUnit XML file.
    """
    told = _READERS.get(results, junit.read)(ended)
    if told.problem:
        return told
    if not told.outcomes:
        told.problem = "no test ran"
    elif ended.timed_out:
        told.contradicts("no end within the time of the run")
    elif ended.truncated:
        told.contradicts("more output than allowed")
    elif ended.exit < 0:
        told.contradicts(f"killed by signal {-ended.exit}\n{ended.tail}")
    elif ended.exit != 0 and "fail" not in told.outcomes.values():
        told.contradicts(f"exit status {ended.exit} though no test failed\n{ended.tail}")
    return told
