"""`harness status`: the run at a glance."""

import json as jsons

import typer
from rich.console import Console

from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.show.table import accounts_lines, agents_table, gate_lines, headline


def status(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
    """Show agents, tasks and landings; also of a run that has ended."""
    where = place(context, config, state)
    up = where.has_run()
    with where.served() as client:
        said = client.status()
    if json:
        print(jsons.dumps({**said, "up": up}, indent=2))
        return
    console = Console()
    console.print(agents_table(said))
    console.print(headline(said), markup=False, highlight=False, soft_wrap=True)
    for suite, seen in said.get("suites", {}).items():
        console.print(_suite(suite, seen), markup=False, highlight=False, soft_wrap=True)
    for warning in said.get("warnings", []):
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for line in (*gate_lines(said), *accounts_lines(said)):
        console.print(line, markup=False, highlight=False)
    if not up:
        console.print("no run is up; this is how the last one ended", style="dim")


def _suite(name: str, seen: dict) -> str:
    told = [
        f"{seen.get('passing', 0)} of {seen.get('cases', 0)} pass",
        "proven able to fail" if seen.get("checked") else "not yet checked",
    ]
    if red := seen.get("red"):
        told.insert(
            0,
            f"RED on main since {red['commit'][:12]}: {red['count']} cases that had passed fail ({', '.join(red['cases'][:5])})",
        )
    if held_out := seen.get("held_out"):
        told.append(f"of {held_out['cases']} held-out ones {held_out['passed']} pass")
    flaky = seen.get("flaky") or {}
    told += [f"{len(flaky.get('exempt', ()))} flaky ones count for nothing"] * bool(flaky.get("exempt"))
    told += [f"no longer flaky and counting again: {', '.join(flaky.get('expired', ()))}"] * bool(
        flaky.get("expired")
    )
    return f"oracle {name}: {', '.join(told)}"
