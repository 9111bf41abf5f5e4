"""`harness status`: the run at a glance."""

import json as jsons

import typer
from rich.console import Console

from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.show.table import accounts_lines, agents_table, gate_lines, headline, red_words
from mcp_server.wire.status import SuiteStatus


def status(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Show agents, tasks and landings; also of a run that has ended."""
    where = place(context, config, state)
    up = where.has_run()
    with where.served() as client:
        answer = client.status()
    if json:
        print(jsons.dumps({**answer.render(), "up": up}, indent=2))
        return
    console = Console()
    console.print(agents_table(answer))
    console.print(headline(answer), markup=False, highlight=False, soft_wrap=True)
    for name, suite in answer.suites.items():
        console.print(_suite(name, suite), markup=False, highlight=False, soft_wrap=True)
    for warning in answer.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for line in (*gate_lines(answer), *accounts_lines(answer)):
        console.print(line, markup=False, highlight=False)
    if not up:
        console.print("no run is up; this is how the last one ended", style="dim")


def _suite(name: str, suite: SuiteStatus) -> str:
    parts = []
    if suite.red is not None:
        parts.append(red_words(suite.red))
    skipped = f", {suite.skipped} skipped" if suite.skipped else ""
    parts.append(f"{suite.passing} of {suite.cases} pass{skipped}")
    parts.append("proven able to fail" if suite.checked else "not yet checked")
    if held_out := suite.held_out:
        parts.append(f"of {held_out.cases} held-out ones {held_out.passed} pass")
    if suite.flaky is not None and suite.flaky.exempt:
        parts.append(f"{len(suite.flaky.exempt)} flaky ones count for nothing")
    if suite.flaky is not None and suite.flaky.expired:
        parts.append(f"no longer flaky and counting again: {', '.join(suite.flaky.expired)}")
    return f"oracle {name}: {', '.join(parts)}"
