"""`harness tasks`: see, add and reopen tasks, and make them of what fails; the server owns them."""

import json as jsons
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run import oracle_jobs
from harness.run.crew import runners_at_hand
from mcp_server.wire.tasks import TaskProposal, TasksFromOracle

app = typer.Typer(no_args_is_help=True)

Many = Annotated[list[str] | None, typer.Option(help="May be repeated.")]


@app.command("list")
def list_(
    context: typer.Context,
    state_is: Annotated[
        str | None, typer.Option("--is", metavar="STATE", help="Only tasks in this state.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """List every task, its state and who holds it."""
    with place(context, config, state).served() as client:
        tasks = [task for task in client.tasks() if state_is in (None, task.state)]
    if json:
        print(jsons.dumps([task.render() for task in tasks], indent=2))
        return
    table = Table()
    for name in ("task", "module", "state", "holder", "waits for", "title"):
        table.add_column(name, overflow="fold")
    for task in tasks:
        waits = " ".join(task.waits_for)
        table.add_row(task.id, task.module, task.state, task.holder or "-", waits, task.title)
    Console().print(table)


@app.command()
def show(
    context: typer.Context,
    task: str,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Show one task with its brief, and its report if it has one."""
    with place(context, config, state).served() as client:
        entry = client.task(task)
    if json:
        print(jsons.dumps(entry.render(), indent=2))
        return
    for name, value in entry.render().items():
        if name not in ("brief", "report") and value not in (None, "", [], {}):
            print(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if entry.brief:
        print(f"\n{entry.brief.rstrip()}")
    if report := entry.report:
        print(f"\nreport by {report.agent}:\n\n{report.text.rstrip()}")


@app.command()
def add(
    context: typer.Context,
    title: str,
    module: Annotated[str, typer.Option(help="The module whose paths it may change.")],
    brief: Annotated[str, typer.Option(help="What to do.")] = "",
    brief_file: Annotated[Path | None, typer.Option(help="The brief, from a file.")] = None,
    path: Annotated[
        list[str] | None, typer.Option(help="Only these paths of the module; may be repeated.")
    ] = None,
    needs: Many = None,
    cases: Many = None,
    removes: Annotated[
        list[str] | None, typer.Option(help="A test that may be gone afterwards; may be repeated.")
    ] = None,
    suite: str | None = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Add a task to the run."""
    if brief_file is not None:
        brief = _text(brief_file)
    with place(context, config, state).served() as client:
        proposal = TaskProposal(
            title=title,
            module=module,
            brief=brief or title,
            paths=tuple(path or ()),
            needs=tuple(needs or ()),
            cases=tuple(cases or ()),
            suite=suite,
            removes=tuple(removes or ()),
        )
        task = client.add_task(proposal)
    print(task.id)


@app.command()
def reopen(
    context: typer.Context,
    task: str,
    reason: Annotated[str, typer.Option(help="Why; its next holder reads it.")],
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Open a done or blocked task again."""
    with place(context, config, state).served() as client:
        client.reopen_task(task, reason)
    print(f"{task} is open")


@app.command("from-oracle")
def from_oracle(
    context: typer.Context,
    suite: Annotated[str | None, typer.Option(help="Default: every suite.")] = None,
    module: Annotated[str | None, typer.Option(help="For failures that point to no module.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Make at most so many, those with most cases first.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Make one task of each cause of failures on main, and close those whose cases all pass."""
    where = place(context, config, state)
    needed = not where.has_run()
    with where.served() as client, runners_at_hand(where, needed=needed):
        changes = oracle_jobs.tasks(client, suite, module, limit=limit, dry_run=dry_run)
    print(jsons.dumps(changes.render(), indent=2) if json else _as_text(changes))


def _as_text(changes: TasksFromOracle) -> str:
    rows = [f"closed {task.task}: {task.title}" for task in changes.closed]
    for made in changes.made:
        rows.append(f"made {made.task or '(dry run)'} in {made.module}: {made.title}")
    for cause in changes.no_module:
        rows.append(f"no module for: {cause.title} (--module names one for all of these)")
    if changes.kept:
        rows.append(f"{len(changes.kept)} causes have their tasks already: {', '.join(changes.kept)}")
    if changes.left_out:
        rows.append(f"{changes.left_out} more causes are over the limit")
    return "\n".join(rows or ["nothing fails that needs a task"])


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise VerbFailed(f"cannot read {file}: {error.strerror}", Exit.USAGE) from error
