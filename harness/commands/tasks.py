"""`harness tasks`: see, add and reopen tasks; the server owns them."""

import json as jsons
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.failure import Exit, Failed
from harness.place import ConfigOption, JsonOption, StateOption, place

app = typer.Typer(no_args_is_help=True)

Many = Annotated[list[str] | None, typer.Option(help="May be repeated.")]


@app.command("list")
def list_(
    context: typer.Context,
    state_is: Annotated[str | None, typer.Option("--is", metavar="STATE", help="Only tasks in this state.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Every task, its state and who holds it."""
    with place(context, config, state).served() as client:
        found = [task for task in client.tasks() if state_is in (None, task.get("state"))]
    if json:
        print(jsons.dumps(found, indent=2))
        return
    table = Table()
    for name in ("task", "module", "state", "holder", "waits for", "title"):
        table.add_column(name, overflow="fold")
    for task in found:
        waits = " ".join(task.get("waits_for") or [])
        table.add_row(task["id"], task.get("module"), task.get("state"), task.get("holder") or "-", waits, task.get("title"))
    Console().print(table)


@app.command()
def show(
    context: typer.Context, task: str, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """One task with its brief."""
    with place(context, config, state).served() as client:
        found = client.task(task)
    if json:
        print(jsons.dumps(found, indent=2))
        return
    for name, value in found.items():
        if name != "brief" and value not in (None, "", [], {}):
            print(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if found.get("brief"):
        print(f"\n{found['brief'].rstrip()}")


@app.command()
def add(
    context: typer.Context,
    title: str,
    module: Annotated[str, typer.Option(help="The module whose paths it may change.")],
    brief: Annotated[str, typer.Option(help="What to do.")] = "",
    brief_file: Annotated[Path | None, typer.Option(help="The brief, from a file.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="Only these paths of the module; may be repeated.")] = None,
    needs: Many = None,
    cases: Many = None,
    suite: str | None = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Add a task to the run."""
    if brief_file is not None:
        brief = _text(brief_file)
    with place(context, config, state).served() as client:
        made = client.add_task(title, module, brief or title, paths=path, needs=needs, cases=cases, suite=suite)
    print(made.get("task") or made.get("id"))


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


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}", Exit.USAGE) from error
