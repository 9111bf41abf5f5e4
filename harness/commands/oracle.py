"""`harness oracle`: prove that the oracle can fail, judge any commit, and find the cases that are not the
same twice.
"""

import json as jsons
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run import oracle_jobs
from harness.run.crew import runners_at_hand
from harness.run.oracle_jobs import Repeated

app = typer.Typer(no_args_is_help=True)

FLAKY_DAYS = 14  # long enough to mend a case, short enough that nobody forgets it
AT_ONCE = 2
VERDICT_EXIT = {"passed": Exit.DONE, "failed": Exit.FAILED, "broken": Exit.INFRASTRUCTURE}


@app.command()
def check(
    context: typer.Context, json: JsonOption = False, config: ConfigOption = None, state: StateOption = None
) -> None:
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
            if verdict.get("reason"):
                print(f"  {verdict['reason']}")
            for planted in verdict.get("planted", []):
                print(
                    f"  {planted.get('engine')}: {'caught' if planted.get('caught') else 'NOT CAUGHT'} ({planted.get('status')})"
                )
    raise typer.Exit(max((VERDICT_EXIT[verdict["status"]] for _, verdict in verdicts), default=Exit.DONE))


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[str | None, typer.Option(help="Default: the only suite, or each of them.")] = None,
    commit: Annotated[str | None, typer.Option(help="Default: main.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Without the cache of verdicts.")] = False,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Run N times, fresh, and list the cases that differ.")
    ] = 1,
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
            raise VerbFailed("no [oracle.NAME] is configured", Exit.USAGE)
        if repeat > 1:
            runs = oracle_jobs.repeat(client, suites, commit, times=repeat, at_once=AT_ONCE)
            print(jsons.dumps(_differences(runs), indent=2) if json else "\n".join(_repeated(runs)))
            raise typer.Exit(_repeat_exit(runs))
        verdicts = dict(
            zip(
                suites,
                oracle_jobs.run_many(
                    client, [(name, commit) for name in suites], fresh=fresh, at_once=AT_ONCE
                ),
            )
        )
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
    said = [
        f"{suite}: {verdict['status']}{reason}",
        f"  {counts.get('passed', 0)} of {counts.get('cases', 0)} cases pass",
    ]
    for failure in verdict.get("failures", []):
        said.append(f"  {failure['id']}")
        said += [f"    {row}" for row in str(failure.get("difference", "")).splitlines()]
    if held_out := verdict.get("held_out"):
        said.append(f"  held out: {held_out['passed']} of {held_out['cases']} cases pass")
        said += [f"    {case['file']}:{case['line']} fails" for case in verdict.get(oracle_jobs.HELD_OUT, [])]
    return "\n".join(said)


def _repeated(runs: Mapping[str, Repeated]) -> list[str]:
    """Which cases differ and how often, then the tables that keep them out of the ratchet for a while."""
    said, tables = [], []
    for suite, run in runs.items():
        flaky, places = run.flaky(), run.places()
        broken = len(run.verdicts) - len(run.judged)
        said.append(
            f"{suite}: {len(run.judged)} runs, {len(flaky)} cases differ between them"
            + (f"; {broken} more runs broke" if broken else "")
        )
        said += [
            f"  {case}{f' ({places[case]})' if case in places else ''}: no pass in {count} of {len(run.judged)}"
            for case, count in flaky.items()
        ]
        if flaky:
            tables += [
                f"[oracle.{suite}.flaky]",
                *(f"{_quoted(case)} = {_quoted(until)}" for case, until in _until(flaky).items()),
            ]
    return (
        [*said, "", "in harness.toml, this keeps them out of the ratchet until they are mended:", *tables]
        if tables
        else said
    )


def _differences(runs: Mapping[str, Repeated]) -> dict:
    return {
        suite: {
            "runs": len(run.judged), "broken": len(run.verdicts) - len(run.judged), "flaky": run.flaky(),
            "until": _until(run.flaky()), "files": {case: place for case, place in run.places().items() if case in run.flaky()},
        }
        for suite, run in runs.items()
    }  # fmt: skip


def _repeat_exit(runs: Mapping[str, Repeated]) -> Exit:
    if any(run.flaky() for run in runs.values()):
        return Exit.FAILED
    return (
        Exit.INFRASTRUCTURE
        if any(len(run.judged) < len(run.verdicts) for run in runs.values())
        else Exit.DONE
    )


def _until(flaky: Mapping[str, int]) -> dict[str, str]:
    until = (datetime.now(UTC) + timedelta(days=FLAKY_DAYS)).date().isoformat()
    return dict.fromkeys(flaky, until)


def _quoted(text: str) -> str:
    """A JSON string without escapes for other than control characters is a TOML string too."""
    return jsons.dumps(text, ensure_ascii=False)
