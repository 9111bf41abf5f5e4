"""Owns the command `harness`: the verbs, the global options, and how each ending becomes an exit status.

Rule: only here is the environment read; a verb lives in its own file under commands/.
"""

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from harness.boxes.containers import BoxBroke
from harness.client import ServerGone, ServerSaidNo
from harness.commands import (
    audit,
    connect,
    demo,
    doctor,
    down,
    images,
    init,
    logs,
    oracle,
    report,
    status,
    tasks,
    up,
)
from harness.commands.options import ConfigOption, StateOption
from harness.failure import Exit, Interrupted, VerbFailed
from harness.images.image_engine import ImageFailed
from harness.images.recipes import BadRecipe
from harness.run.place import Place

SERVER_VARIABLE = "HARNESS_SERVER"
TOKEN_FILE_VARIABLE = "HARNESS_TOKEN_FILE"

PACKAGE = "harness-swarm"  # pyproject.toml has its version, and nothing else

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A swarm of coding agents that claims, proves and lands its work through one server.",
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"harness {metadata.version(PACKAGE)}")
        raise typer.Exit


@app.callback()
def everywhere(
    context: typer.Context,
    config: ConfigOption = None,
    state: StateOption = None,
    server: Annotated[
        str | None, typer.Option(help=f"Act on this server (or {SERVER_VARIABLE}).", metavar="URL")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with that server's admin token (or {TOKEN_FILE_VARIABLE}).", metavar="F"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep what the options before the verb say of where it acts."""
    from_environment = os.environ.get(TOKEN_FILE_VARIABLE)
    context.obj = Place(
        config=config,
        state=state,
        server=server or os.environ.get(SERVER_VARIABLE) or None,
        token_file=token_file or (Path(from_environment) if from_environment else None),
        here=Path.cwd(),
    )


app.command()(init.init)
app.command()(doctor.doctor)
app.command()(up.up)
app.command()(down.down)
app.command()(status.status)
app.command()(logs.logs)
app.command()(connect.connect)
app.command()(report.report)
app.command()(demo.demo)
app.command()(images.images)
app.add_typer(tasks.app, name="tasks", help="See, add and reopen tasks.")
app.add_typer(oracle.app, name="oracle", help="Prove the oracle, or judge a commit.")
app.add_typer(audit.app, name="audit", help="Verify and read the audit log.")


def main() -> int:
    """Run the verb of the command line, and return its exit status; every ending otherwise than well is
    one line on stderr.
    """
    try:
        app(prog_name="harness")
    except VerbFailed as failed:
        return _ended(str(failed), failed.exit)
    except ServerSaidNo as no:
        return _ended(f"the server refused: {no}", Exit.FAILED)
    except (ServerGone, BoxBroke, ImageFailed, BadRecipe) as gone:
        return _ended(str(gone), Exit.INFRASTRUCTURE)
    except (Interrupted, KeyboardInterrupt):
        return _ended("interrupted", Exit.INTERRUPTED)
    except SystemExit as ended:  # typer's own way out: help, usage errors, typer.Exit
        return int(ended.code or 0)
    return Exit.DONE


def _ended(line: str, status: Exit) -> int:
    print(f"harness: {line}" if "\n" not in line else line, file=sys.stderr)
    return int(status)
