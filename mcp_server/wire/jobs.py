"""Owns what a runner and the server say to each other of oracle jobs: order, result, and how a job stands.

Suites, cases, answers and verdicts are the oracle's own values, in the oracle's own JSON. Rule: a suite with
a setting that this side does not know is refused, since a run without that setting judges something else.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field, PlainSerializer, PlainValidator

from mcp_server.wire.base import Number, WireAnswer, WireRequest
from oracle.cases.spec import Case, Suite
from oracle.judging.answer import Answer
from oracle.judging.verdict import Verdict

VERDICT_DEFAULTS: Mapping[str, Any] = {
    "reason": "",
    "counts": {},
    "outcomes": {},
    "failures": [],
    "took_ms": 0,
}


class _HasJson(Protocol):
    def to_json(self) -> dict[str, Any]: ...


V = TypeVar("V", bound=_HasJson)


def _reader(kind: type[V], read: Callable[[Mapping[str, Any]], V]) -> PlainValidator:
    """Return what reads an oracle value from its JSON and lets one through that is read already."""

    def validated(value: object) -> V:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise ValueError("an object is expected")
        try:
            return read(value)
        except KeyError as missing:
            raise ValueError(f"field {missing} is missing") from missing
        except (TypeError, AttributeError) as wrong:
            raise ValueError(f"it has a field of a wrong type: {wrong}") from wrong

    return PlainValidator(validated)


def _read_verdict(value: Mapping[str, Any]) -> Verdict:
    verdict = Verdict.from_json({**VERDICT_DEFAULTS, **value})
    if not isinstance(verdict.status, str) or not isinstance(verdict.reason, str):
        raise TypeError("status and reason are texts")
    if type(verdict.run_ms) is not int or type(verdict.timed_out_s) not in (int, float):
        raise TypeError("run_ms and timed_out_s are numbers")
    if not isinstance(verdict.problem, str) or not isinstance(verdict.log, str):
        raise TypeError("problem and log are texts")
    if verdict.run_ms < 0 or verdict.timed_out_s < 0:
        raise TypeError("a duration is not below 0")
    return verdict


def _write(value: _HasJson) -> dict[str, Any]:
    return value.to_json()


WireSuite = Annotated[Suite, _reader(Suite, Suite.from_json), PlainSerializer(_write)]
WireCase = Annotated[Case, _reader(Case, Case.from_json), PlainSerializer(_write)]
WireAnswerOfCase = Annotated[Answer, _reader(Answer, Answer.from_json), PlainSerializer(_write)]
WireVerdict = Annotated[Verdict, _reader(Verdict, _read_verdict), PlainSerializer(_write)]


class JobClaim(WireRequest):
    """A runner asks for its next job."""

    runner: str
    """The runner's name, which no other runner has; every request about the job repeats it."""
    wait_s: Number = 0
    """Seconds for which the answer may wait for a job to come."""
    images: Mapping[str, str] = Field(default_factory=dict)
    """By suite, the ids of the images that the runner has for it now, whatever their names say."""


class RunnerSuites(WireAnswer):
    """Every suite, for a runner to see which images it has for them."""

    suites: tuple[WireSuite, ...]
    """The suites, as the server's configuration has them."""
    environments: Mapping[str, str] = Field(default_factory=dict)
    """By environment, a name of all that its image is made of now."""


class JobRenewal(WireRequest):
    """A runner is still at work on its job."""

    runner: str
    """The name under which the job was claimed."""


class JobOrder(WireAnswer):
    """What a runner needs to run one job; its trees are fetched apart."""

    job: int
    """The job's number."""
    kind: str
    """`run` judges a tree; `check` judges the suite itself, with planted wrong engines."""
    suite: WireSuite
    """What is run and how answers are compared."""
    repo: str
    """The repository of the tree."""
    commit: str
    """The commit that is judged, as 40 hex digits."""
    tree_key: str
    """Names all that the run may read of the tree: trees with the same key are the same to it."""
    cases: tuple[WireCase, ...]
    """The cases to run and to judge; those of a command suite are found by its command instead."""
    beside: tuple[WireCase, ...] = ()
    """Cases that are run with them, since they mean something only together, and judged by nobody."""
    known_reference: Mapping[str, WireAnswerOfCase] = Field(default_factory=dict)
    """By case, the reference's answers that the server remembers."""
    on_main: tuple[str, ...] = ()
    """The tests that main runs, which this tree must run too; of command suites."""
    reference_key: str = ""
    """Names the files of main that reference and comparator read; empty if nothing names them."""
    sources: tuple[str, ...] = ()
    """Globs of the project's modules: what a planted engine may empty."""
    shrink_s: Number = 0
    """Seconds that may be spent on making failing cases small; 0 for none."""
    deadline_s: Number
    """Seconds within which all cases of one side have to be run."""


class JobResult(WireRequest):
    """What a runner found."""

    runner: str
    """The name under which the job was claimed."""
    verdict: WireVerdict
    """Outcomes, failures, causes and counts; fields that are not sent are empty."""
    reference: Mapping[str, WireAnswerOfCase] = Field(default_factory=dict)
    """By case, the reference's answers that the runner had to ask for."""
    image: str = ""
    """The ids of the images that it was run in; empty where none could be had."""


class HeldOutFailure(WireAnswer):
    """A held-out case that fails, for people alone."""

    id: str
    """The case's id, which says nothing of its contents."""
    file: str
    """The file that it stands in, outside of every repository."""
    line: int
    """The line at which it begins there, from 1."""


class JobState(WireAnswer):
    """How a job stands."""

    job: int
    """The job's number."""
    kind: str
    """`run` or `check`."""
    suite: str
    """The suite's name."""
    commit: str
    """The commit that is judged."""
    state: str
    """`queued`, `running` or `done`."""
    verdict: WireVerdict | None
    """The verdict once the job is done."""
    held_out_failing: tuple[HeldOutFailure, ...] = ()
    """The held-out cases that fail; not sent if there is none."""


class OracleRunRequest(WireRequest):
    """Run one suite, or every suite, on a commit."""

    suite: str | None = None
    """The suite's name; every suite if there is none."""
    commit: str | None = None
    """The commit; main if there is none."""
    fresh: bool = False
    """Run every case, whatever is known of it."""


class OracleRunJobs(WireAnswer):
    """The runs that were asked for."""

    jobs: Mapping[str, int]
    """By suite, the number of its job."""


class OracleCheckJob(WireAnswer):
    """The check of one suite."""

    suite: str
    """The suite's name."""
    job: int
    """The number of the job that plants wrong engines in it."""
