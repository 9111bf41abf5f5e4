"""Owns what people and the server say to each other of tasks."""

from collections.abc import Mapping

from pydantic import Field

from mcp_server.wire.base import WireAnswer, WireRequest


class TaskProposal(WireRequest):
    """Create a task."""

    title: str
    """One line, which with the module says whether there is such a task already."""
    module: str
    """The module whose paths it may change."""
    brief: str
    """What is to be done, as Markdown."""
    paths: tuple[str, ...] = ()
    """Globs inside of the module; all of the module's if there is none."""
    needs: tuple[str, ...] = ()
    """The tasks that have to be done before."""
    cases: tuple[str, ...] = ()
    """The cases that must pass afterwards, as globs."""
    suite: str | None = None
    """The suite of cases that name none."""
    removes: tuple[str, ...] = ()
    """The cases that may be gone afterwards, as globs; of command suites."""


class TaskReopening(WireRequest):
    """Make a done or blocked task open again."""

    reason: str = ""
    """Why, for whoever claims it."""


class TasksFromOracleRequest(WireRequest):
    """Create a task for each cause of what fails on main."""

    suite: str | None = None
    """The suite to look at; every suite if there is none."""
    module: str | None = None
    """The module for causes that point to none."""
    limit: int | None = None
    """How many tasks to create at most."""
    dry_run: bool = False
    """Say what would be created, and create nothing."""


class TaskSummary(WireAnswer):
    """A task without its brief."""

    id: str
    """Its id."""
    title: str
    """One line."""
    module: str
    """The module whose paths it may change."""
    state: str
    """`open`, `leased`, `done` or `blocked`."""
    holder: str | None = None
    """The agent that holds it; sent if there is one."""
    waits_for: tuple[str, ...] = ()
    """The tasks that have to be done before; sent if there are any."""
    reason: str = ""
    """Why it is in this state; sent if something is said of it."""


class TaskList(WireAnswer):
    """Every task, open ones first."""

    tasks: tuple[TaskSummary, ...]
    """As many as the answer has room for; a person and a harness are sent every one."""
    open: int
    """How many are open."""
    leased: int
    """How many are held."""
    blocked: int
    """How many are blocked."""
    done: int
    """How many are done."""
    left_out: int = 0
    """How many the answer had no room for; sent if there are any."""
    finished: bool
    """No task is left to be done."""


class SalvagedWork(WireAnswer):
    """Work that a lease left behind without landing."""

    ref: str
    """The ref under which it is kept."""
    commit: str
    """Its newest commit."""
    agent: str
    """The agent that made it."""


class TaskReport(WireAnswer):
    """The result of a task that changes no code."""

    fence: int
    """The fence of the lease under which it was written."""
    task: str
    """The task."""
    agent: str
    """The agent that wrote it."""
    text: str
    """The report, as Markdown."""
    written_ms: int
    """When it was handed in."""


class TaskDetail(WireAnswer):
    """One task with all that is known of it."""

    id: str
    """Its id."""
    title: str
    """One line."""
    brief: str
    """What is to be done, as Markdown."""
    module: str
    """The module whose paths it may change."""
    repo: str
    """The repository of its paths."""
    paths: tuple[str, ...]
    """The globs of what it may change; none for a task whose result is a report."""
    needs: tuple[str, ...]
    """The tasks that have to be done before."""
    suite: str | None
    """The suite of cases that name none."""
    cases: tuple[str, ...]
    """The cases that must pass afterwards, as globs."""
    removes: tuple[str, ...] = ()
    """The cases that may be gone afterwards, as globs."""
    priority: int
    """Tasks of a higher one are given out first."""
    state: str
    """`open`, `leased`, `done` or `blocked`."""
    source: str
    """Who proposed it: `config`, an agent's name, or the oracle's cause."""
    reason: str
    """Why it is in this state."""
    salvage: SalvagedWork | None
    """Work to go on from."""
    holder: str | None = None
    """The agent that holds it."""
    report: TaskReport | None = None
    """Its newest report."""


class MadeTask(WireAnswer):
    """A task that was made of failures, or would be."""

    task: str | None
    """Its id; None in a dry run."""
    title: str
    """One line."""
    module: str | None
    """The module that the failures point to."""
    cases: int
    """How many cases it names."""


class ClosedTask(WireAnswer):
    """A task all of whose cases pass now."""

    task: str
    """Its id."""
    title: str
    """One line."""


class HomelessCause(WireAnswer):
    """A cause of failures that points to no module."""

    title: str
    """One line."""
    cases: int
    """How many cases fail by it."""


class TasksFromOracle(WireAnswer):
    """What became of the failures on main; or what has to be run before that can be said."""

    running: Mapping[str, int] = Field(default_factory=dict)
    """By suite, the job that measures main; sent instead of everything else."""
    made: tuple[MadeTask, ...] = ()
    """Tasks that were made."""
    closed: tuple[ClosedTask, ...] = ()
    """Tasks that were closed."""
    kept: tuple[str, ...] = ()
    """Tasks that their causes have already."""
    no_module: tuple[HomelessCause, ...] = ()
    """Causes that point to no module."""
    left_out: int = 0
    """How many causes are over the limit."""
