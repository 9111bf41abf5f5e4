"""`harness status`: the run at a glance."""

import json as jsons

import typer
from rich.console import Console

from harness.client import Json
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.show.table import accounts_lines, agents_table, gate_lines, headline


def status(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Show agents, tasks and landings; also of a run that has ended."""
    where = place(context, config, state)
    up = where.has_run()
    with where.served() as client:
        answer = client.status()
    if json:
        print(jsons.dumps({**answer, "up": up}, indent=2))
        return
    console = Console()
    console.print(agents_table(answer))
    console.print(headline(answer), markup=False, highlight=False, soft_wrap=True)
    for name, suite in answer.get("suites", {}).items():
        console.print(_suite(name, suite), markup=False, highlight=False, soft_wrap=True)
    for warning in answer.get("warnings", []):
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for line in (*gate_lines(answer), *accounts_lines(answer)):
        console.print(line, markup=False, highlight=False)
    if not up:
        console.print("no run is up; this is how the last one ended", style="dim")


def _suite(name: str, suite: Json) -> str:
    parts = []
    if red := suite.get("red"):
        cases = f"{red['count']} cases that had passed fail ({', '.join(red['cases'][:5])})"
        parts.append(f"RED on main since {red['commit'][:12]}: {cases}")
    parts.append(f"{suite.get('passing', 0)} of {suite.get('cases', 0)} pass")
    parts.append("proven able to fail" if suite.get("checked") else "not yet checked")
    if held_out := suite.get("held_out"):
        parts.append(f"of {held_out['cases']} held-out ones {held_out['passed']} pass")
    flaky = suite.get("flaky") or {}
    if exempt := flaky.get("exempt"):
        parts.append(f"{len(exempt)} flaky ones count for nothing")
    if expired := flaky.get("expired"):
        parts.append(f"no longer flaky and counting again: {', '.join(expired)}")
    return f"oracle {name}: {', '.join(parts)}"
