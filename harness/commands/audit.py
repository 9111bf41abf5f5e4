"""`harness audit`: verify and read the log of everything that happened."""

import contextlib
import json as jsons
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.client import ServerClient
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.show import lines, witness
from mcp_server.wire.events import AuditCheck, LoggedEvent, MainCommit

PAGE = 500
COMMIT_DIGITS_MIN = 6

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Check the chain, the signed checkpoints, and that main's history tells the same."""
    with place(context, config, state).served() as client:
        finding = verification(client)
    if json:
        print(jsons.dumps(finding.to_json(), indent=2))
    else:
        for problem in finding.problems:
            print(f"PROBLEM {problem}")
        word = "ok" if finding.ok else f"NOT OK, {len(finding.problems)} problems"
        counts = f"{finding.log.events} events, {finding.log.checkpoints} checkpoints"
        print(f"audit {word}: {counts}, {finding.commits} commits on main")
    raise typer.Exit(Exit.DONE if finding.ok else Exit.FAILED)


@app.command()
def query(
    context: typer.Context,
    agent: str | None = None,
    task: str | None = None,
    kind: str | None = None,
    commit: str | None = None,
    after: Annotated[int, typer.Option(help="Only events with a higher number.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """List the events that match, oldest first; --json prints one object a line."""
    with place(context, config, state).served() as client:
        criteria = {"kind": kind, "agent": agent, "task": task, "commit": commit}
        start_ms = next((event.ms for event in client.events(0, limit=1)), 0)
        for number, event in enumerate(every(client, after, **criteria), 1):
            print(jsons.dumps(event.render()) if json else row(event, start_ms))
            if number == limit:
                return


@app.command()
def show(context: typer.Context, commit: str, config: ConfigOption = None, state: StateOption = None) -> None:
    """Show everything about a commit on main: who, under which lease, judged how."""
    with place(context, config, state).served() as client:
        commits = [entry for repo in client.status().main for entry in client.commits(repo)]
        landed = _named(commits, commit)
        print(f"commit {landed.commit}\ntree   {landed.tree}\n{landed.subject}\n")
        changes = landed.changes
        for change in changes[:-1]:  # the last one's are among the commit's own
            print("  " + ", ".join(f"{key}: {value}" for key, value in change.items()))
        for key, value in landed.trailers.items():
            print(f"  {key}: {value}")
        start_ms = next((event.ms for event in client.events(0, limit=1)), 0)
        about = {event.seq: event for event in every(client, commit=landed.commit)}
        for change in changes:
            about |= {event.seq: event for event in every(client, task=change["Task"])}
        print()
        for seq in sorted(about):
            print(row(about[seq], start_ms))


@app.command()
def export(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Write the whole log as JSON lines."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(place(context, config, state).served())
        out = stack.enter_context(output.open("w")) if output else sys.stdout
        for event in every(client):
            out.write(jsons.dumps(event.render(), separators=(",", ":")) + "\n")


@dataclass(frozen=True)
class CrossCheck:
    """The server's own check of its log, and what main's history says against the log."""

    log: AuditCheck
    disagreements: tuple[str, ...]
    commits: int  # of main, in all repositories

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, a sentence each."""
        return (*self.log.problems, *self.disagreements)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return self.log.ok and not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the server's answer, with what history says against it."""
        here = {"ok": self.ok, "commits": self.commits, "problems": list(self.problems)}
        return {**self.log.render(), **here}


def verification(client: ServerClient) -> CrossCheck:
    """Return the server's own check of its log, with the cross-check of every landed commit."""
    log = client.audit_verify()
    commits = [commit for repo in client.status().main for commit in client.commits(repo)]
    return CrossCheck(log, tuple(witness.disagreements(commits, every(client))), len(commits))


def every(client: ServerClient, after: int = 0, **criteria: str | None) -> Iterator[LoggedEvent]:
    """Yield all events that match, page by page."""
    while page := client.events(after, limit=PAGE, **criteria):
        yield from page
        after = page[-1].seq


def row(event: LoggedEvent, start_ms: int) -> str:
    """Return one line of any event: the readable one where there is one, else its data."""
    text = lines.line(event, start_ms=start_ms) or _raw(event, start_ms)
    return f"{event.seq:>6} {text}"


def _raw(event: LoggedEvent, start_ms: int) -> str:
    when, who = lines.relative(event.ms - start_ms), event.agent or "-"
    data = lines.clipped(jsons.dumps(event.data))
    return f"{when}  {who:<14} {event.kind} {event.task or ''} {data}"


def _named(commits: list[MainCommit], digits: str) -> MainCommit:
    """Return the commit that begins so; raise VerbFailed if none does, or if these are too few digits."""
    matching = [commit for commit in commits if commit.commit.startswith(digits)]
    if len(digits) < COMMIT_DIGITS_MIN or not matching:
        raise VerbFailed(f"no commit {digits} on main (write at least {COMMIT_DIGITS_MIN} digits)")
    return matching[0]
