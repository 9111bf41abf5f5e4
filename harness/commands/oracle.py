"""`harness oracle`: prove that the oracle can fail, and judge any commit."""

import json as jsons
from typing import Annotated

import typer

from harness import oracle_jobs
from harness.crew import runners_at_hand
from harness.failure import Exit, Failed
from harness.place import ConfigOption, JsonOption, StateOption, place

app = typer.Typer(no_args_is_help=True)

VERDICT_EXIT = {"passed": Exit.DONE, "failed": Exit.FAILED, "broken": Exit.INFRASTRUCTURE}


@app.command()
def check(context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None) -> None:
    """Plant wrong engines, and demand that every one is caught."""
    where = place(context, config, state)
    needed = not where.has_run()
    with where.served() as client, runners_at_hand(where, needed=needed):
        verdicts = oracle_jobs.check_all(client)
    if json:
        print(jsons.dumps(dict(verdicts), indent=2))
    else:
        for suite, verdict in verdicts:
            print(f"{suite}: {verdict['status']}, {oracle_jobs.teeth(verdict)}")
            for planted in verdict.get("planted", []):
                print(f"  {planted.get('engine')}: {'caught' if planted.get('caught') else 'NOT CAUGHT'} ({planted.get('status')})")
    raise typer.Exit(max((VERDICT_EXIT[verdict["status"]] for _, verdict in verdicts), default=Exit.DONE))


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[str | None, typer.Option(help="Default: the only suite, or each of them.")] = None,
    commit: Annotated[str | None, typer.Option(help="Default: main.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Without the cache of verdicts.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Judge a commit."""
    where = place(context, config, state)
    needed = not where.has_run()
    with where.served() as client, runners_at_hand(where, needed=needed):
        suites = [suite] if suite else sorted(client.status().get("suites", {}))
        if not suites:
            raise Failed("no [oracle.NAME] is configured", Exit.USAGE)
        verdicts = dict(zip(suites, oracle_jobs.run_many(client, [(name, commit) for name in suites], fresh=fresh, at_once=2)))
    if json:
        print(jsons.dumps(verdicts, indent=2))
    else:
        for name, verdict in verdicts.items():
            print(told(name, verdict))
    raise typer.Exit(max(VERDICT_EXIT[verdict["status"]] for verdict in verdicts.values()))


def told(suite: str, verdict: dict) -> str:
    """The counts first, then the smallest failing examples."""
    counts = verdict.get("counts", {})
    reason = f": {verdict['reason']}" if verdict.get("reason") else ""
    said = [f"{suite}: {verdict['status']}{reason}", f"  {counts.get('passed', 0)} of {counts.get('cases', 0)} cases pass"]
    for failure in verdict.get("failures", []):
        said.append(f"  {failure['id']}")
        said += [f"    {row}" for row in str(failure.get("difference", "")).splitlines()]
    return "\n".join(said)
