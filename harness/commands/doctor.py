"""`harness doctor`: what a run needs, looked at before it."""

import json as jsons
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import typer
from rich.console import Console

from harness.client import ServerGone, ServerSaidNo
from harness.commands.checkup import checkup
from harness.commands.finding import Finding
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run.place import Place
from harness.run.state import DIRECTORY_NAME, StateDirectory
from harness.show.table import red_words

MEND_RED = "mend it, or see with `harness oracle run --fresh` whether it is so still"


def doctor(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Check engine, images, disk, inodes, configuration and agents; exit 2 for a bad configuration, 1 for
    anything else.
    """
    where = place(context, config, state)
    checks: list[Finding] = []
    console = Console()
    for check in chain(checkup(*_places(where)), _red_mains(where)):
        checks.append(check)
        if not json:
            style = None if check.ok else "red"
            console.print(_line(check), markup=False, highlight=False, soft_wrap=True, style=style)
    if json:
        print(jsons.dumps([asdict(check) for check in checks], indent=2))
    raise typer.Exit(_exit(checks))


def _places(where: Place) -> tuple[Path | None, StateDirectory]:
    """Return the configuration file if there is one, and the state directory that a run would use."""
    try:
        return where.config_file(), where.state_dir()
    except VerbFailed:
        return None, StateDirectory((where.state or where.here / DIRECTORY_NAME).resolve())


def _red_mains(where: Place) -> Iterator[Finding]:
    """Yield every suite that main fails though it passed, where a run is up that can be asked."""
    try:
        with where.running() as client:
            suites = client.status().suites
    except (VerbFailed, ServerGone, ServerSaidNo):
        return
    for name, suite in suites.items():
        if suite.red is not None:
            yield Finding(f"main.{name}", False, red_words(suite.red), MEND_RED)


def _line(check: Finding) -> str:
    mark = "ok  " if check.ok else "FAIL"
    line = f"{mark} {check.name}: {check.detail}"
    return f"{line}\n     -> {check.fix}" if check.fix and not check.ok else line


def _exit(checks: list[Finding]) -> Exit:
    failed = {check.name for check in checks if not check.ok}
    if "config" in failed:
        return Exit.USAGE
    return Exit.FAILED if failed else Exit.DONE
