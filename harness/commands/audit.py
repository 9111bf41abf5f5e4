"""`harness audit`: verify and read the log of everything that happened."""

import contextlib
import json as jsons
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from harness.client import Json, ServerClient
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.show import lines, witness

PAGE = 500
COMMIT_DIGITS_MIN = 6

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Check the chain, the signed checkpoints, and that main's history tells the same."""
    with place(context, config, state).served() as client:
        said = verified(client)
    if json:
        print(jsons.dumps(said, indent=2))
    else:
        for problem in said["problems"]:
            print(f"PROBLEM {problem}")
        word = "ok" if said["ok"] else f"NOT OK, {len(said['problems'])} problems"
        print(
            f"audit {word}: {said['events']} events, {said['checkpoints']} checkpoints, {said['commits']} commits on main"
        )
    raise typer.Exit(Exit.DONE if said["ok"] else Exit.FAILED)


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
    """Events that match, oldest first; --json prints one object a line."""
    with place(context, config, state).served() as client:
        wanted = {"kind": kind, "agent": agent, "task": task, "commit": commit}
        start_ms = next((event["ms"] for event in client.events(0, limit=1)), 0)
        for number, event in enumerate(every(client, after, **wanted), 1):
            print(jsons.dumps(event) if json else row(event, start_ms))
            if number == limit:
                return


@app.command()
def show(context: typer.Context, commit: str, config: ConfigOption = None, state: StateOption = None) -> None:
    """Everything about a commit on main: who, under which lease, judged how."""
    with place(context, config, state).served() as client:
        found = _one([one for repo in client.status()["main"] for one in client.commits(repo)], commit)
        print(f"commit {found['commit']}\ntree   {found['tree']}\n{found['subject']}\n")
        changes = found.get("changes") or []
        for change in changes[:-1]:  # the last one's are among the commit's own
            print("  " + ", ".join(f"{key}: {value}" for key, value in change.items()))
        for key, value in (found.get("trailers") or {}).items():
            print(f"  {key}: {value}")
        start_ms = next((event["ms"] for event in client.events(0, limit=1)), 0)
        about = {event["seq"]: event for event in every(client, commit=found["commit"])}
        for change in changes:
            about |= {event["seq"]: event for event in every(client, task=change["Task"])}
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
    """The whole log as JSON lines."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(place(context, config, state).served())
        out = stack.enter_context(output.open("w")) if output else sys.stdout
        for event in every(client):
            out.write(jsons.dumps(event, separators=(",", ":")) + "\n")


def verified(client: ServerClient) -> Json:
    """The server's own check, and the cross-check of every landed commit."""
    said = client.audit_verify()
    commits = [commit for repo in client.status()["main"] for commit in client.commits(repo)]
    problems = [*said["problems"], *witness.disagreements(commits, every(client))]
    return {**said, "ok": said["ok"] and not problems, "commits": len(commits), "problems": problems}


def every(client: ServerClient, after: int = 0, **wanted: str | None) -> Iterator[Json]:
    """All events that match, page by page."""
    while page := client.events(after, limit=PAGE, **wanted):
        yield from page
        after = page[-1]["seq"]


def row(event: Json, start_ms: int) -> str:
    """One line of any event: the readable one where there is one, else its data."""
    told = lines.line(event, start_ms=start_ms)
    if told is None:
        who = event.get("agent") or "-"
        data = lines.clipped(jsons.dumps(event.get("data") or {}))
        told = f"{lines.relative(event['ms'] - start_ms)}  {who:<14} {event['kind']} {event.get('task') or ''} {data}"
    return f"{event['seq']:>6} {told}"


def _one(commits: list[Json], wanted: str) -> Json:
    found = [commit for commit in commits if commit["commit"].startswith(wanted)]
    if len(wanted) < COMMIT_DIGITS_MIN or not found:
        raise VerbFailed(f"no commit {wanted} on main (write at least {COMMIT_DIGITS_MIN} digits)")
    return found[0]
