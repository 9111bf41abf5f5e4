"""`harness report`: the figures of a run, present or past, counted from its log and history."""

import json as jsons
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.commands import audit
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.run.plan import load_config
from harness.show import demo_report, spending_table
from harness.show import report as reports


def report(
    context: typer.Context,
    json: JsonOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON to a file, too.")
    ] = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Show landings, refusals, work and coordination commits, how long claims and pushes took, and what
    the models cost.
    """
    where = place(context, config, state)
    modules = load_config(where.config_file()).modules.values()
    with where.served() as client:
        history = {repo: client.commits(repo) for repo in client.status().main}
        figures = reports.of_log(list(audit.every(client)), history, modules)
        spending = reports.of_spending(client.spending())
    text = jsons.dumps({**figures.to_json(), "spending": spending.to_json()}, indent=2)
    if output is not None:
        output.write_text(text + "\n")
    if json:
        print(text)
    else:
        Console().print(demo_report.table(figures), *spending_table.tables(spending))
