"""What agents share besides code: notes and progress. Rule: progress is rendered, and edited by nobody."""

from typing import Any

from mcp_server.core import landing, progress
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Tasks, TaskState
from mcp_server.store import leases as lease_rows
from mcp_server.store import notes as note_rows
from mcp_server.store import reports as report_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.store.reports import Report
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.landing import waiting
from mcp_server.use_cases.oracle import baseline, case_sets, red
from mcp_server.use_cases.tasks import planning
from mcp_server.world import World
from oracle.judging.verdict import FAIL, PASS, SKIP

PROGRESS_BYTES = 6_000
NOTES_CHARACTERS = 6_000
NOTE_CHARACTERS_MAX = 4_000
TOPIC_CHARACTERS_MAX = 100
LANDED_SHOWN = 8


def write_note(world: World, who: Principal, topic: str, text: str) -> dict[str, Any] | Refused:
    """Write a note. Writing the newest note of a topic once more changes nothing."""
    if not 0 < len(topic) <= TOPIC_CHARACTERS_MAX or not 0 < len(text) <= NOTE_CHARACTERS_MAX:
        return Refused(
            Code.BAD_REQUEST,
            f"the note was not written: {len(topic)} and {len(text)} characters",
            f"a topic has 1 to {TOPIC_CHARACTERS_MAX} characters and a text 1 to {NOTE_CHARACTERS_MAX}",
            "shorten it and call again",
        )
    with world.store.write() as tx:
        newest = note_rows.newest(tx, topic=topic, limit=1)
        if not newest or (newest[0].topic, newest[0].agent, newest[0].text) != (topic, who.name, text):
            note_rows.add(tx, note_rows.Note(topic, who.name, text, world.now_ms()))
            world.record(tx, "note_written", who, topic=topic, text=text)
    world.bell.ring()
    return {"status": "written", "topic": topic}


def read_notes(world: World, topic: str | None) -> str:
    """Return notes, the newest first, within the budget, and how many did not fit."""
    with world.store.read() as tx:
        newest = note_rows.newest(tx, topic=topic)
    lines: list[str] = []
    used = 0
    for note in newest:
        line = f"{note.topic} ({note.agent}): {note.text}"
        used += len(line) + 1
        if used > NOTES_CHARACTERS:
            older = len(newest) - len(lines)
            lines.append(f"... and {older} older notes: read_notes(topic=...) narrows it down")
            break
        lines.append(line)
    return "\n".join(lines) or "no notes" + (f" on {topic}" if topic else "")


def read_progress(world: World) -> str:
    """Return the run as it is now, as a text for agents."""
    return progress.render(state(world), now_ms=world.now_ms(), bytes_max=PROGRESS_BYTES)


def state(world: World) -> progress.ProgressState:
    """Return the run as it is now, in the words of core.progress."""
    tasks, _ = planning.board(world)
    with world.store.read() as tx:
        leases = lease_rows.open_ones(tx)
        landed = submission_rows.newest_landed(tx, limit=LANDED_SHOWN)
        pending = [(one, waiting.place(world, tx, one)) for one in submission_rows.pending(tx)]
        reported = report_rows.newest(tx, limit=LANDED_SHOWN)
    counts = tasks.counts()
    blocked = [task for task in tasks.undone if task.state is TaskState.BLOCKED]
    measured = {name: baseline.of_main(world, name) for name in world.config.suites}
    hidden = {name: case_sets.hidden(world, name, cases) for name, cases in measured.items()}
    outcomes = [outcome for cases in measured.values() for outcome in cases.values()]
    unseen = [measured[name][case] for name, cases in hidden.items() for case in cases]
    return progress.ProgressState(
        run=world.config.run.name,
        open=counts[TaskState.OPEN],
        claimed=counts[TaskState.LEASED],
        done=counts[TaskState.DONE],
        blocked_count=counts[TaskState.BLOCKED],
        passing=outcomes.count(PASS),
        skipped=outcomes.count(SKIP),
        cases=len(outcomes),
        held_out_passing=unseen.count(PASS),
        held_out=len(unseen),
        red=[red.sentence(world, name) for name in world.config.suites if name in world.red],
        held=[_held(world, tasks, lease) for lease in leases],
        blocked=[
            progress.Blocked(task.id, task.title, task.reason)
            for task in sorted(blocked, key=lambda task: task.id)
        ],
        failing=[group for name, cases in measured.items() for group in _failing(name, cases, hidden[name])],
        flaky=[case for name in world.config.suites for case in _flaky(world, name)],
        landed=[_landed(tasks, submission) for submission in landed],
        in_gate=[progress.InGate(one.task, one.agent, **place) for one, place in pending],
        reported=[_reported(tasks, report) for report in reported],
    )


def _held(world: World, tasks: Tasks, lease: Lease) -> progress.Held:
    task = tasks[lease.task]
    return progress.Held(
        lease.agent,
        lease.task,
        task.title,
        task.module,
        lease.expires_ms,
        _quota_until(world, lease),
    )


def _landed(tasks: Tasks, submission: Submission) -> progress.Landed:
    return progress.Landed(
        submission.task,
        tasks[submission.task].title,
        submission.agent,
        submission.candidate or "",
        submission.ended_ms or 0,
    )


def _reported(tasks: Tasks, report: Report) -> progress.Reported:
    return progress.Reported(
        report.task,
        tasks[report.task].title,
        report.agent,
        len(report.text),
        report.written_ms,
    )


def _quota_until(world: World, lease: Lease) -> int | None:
    wait = world.accounts.wait_of(lease.agent, lease.session, world.now_ms())
    return wait.until_ms if wait is not None else None


def _failing(suite: str, outcomes: dict[str, str], hidden: frozenset[str]) -> list[progress.FailingGroup]:
    groups: dict[str, list[str]] = {}
    failing = [case for case, outcome in outcomes.items() if outcome == FAIL and case not in hidden]
    for case in sorted(failing):
        groups.setdefault(case.rpartition("/")[0], []).append(case)
    return [progress.FailingGroup(suite, group, len(cases), tuple(cases)) for group, cases in groups.items()]


def _flaky(world: World, suite: str) -> list[progress.Flaky]:
    flaky = world.config.suites[suite].flaky
    exempt = landing.exempt(flaky, world.today())
    seen = flaky.keys() - case_sets.hidden(world, suite, flaky)
    return [progress.Flaky(suite, case, flaky[case], case not in exempt) for case in seen]
