"""`harness oracle`: prove that the oracle can fail, judge any commit, and find the cases that are not the
same twice.
"""

import json as jsons
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run import oracle_jobs
from harness.run.crew import runners_at_hand
from harness.run.oracle_jobs import JudgedJob, Repeated

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
    with where.served(from_the_start=True) as client, runners_at_hand(where, needed=needed):
        verdicts = oracle_jobs.check_all(client)
    if json:
        print(jsons.dumps({suite: verdict.to_json() for suite, _, verdict in verdicts}, indent=2))
    else:
        for suite, job, verdict in verdicts:
            print(f"{suite}: {verdict.status}, {oracle_jobs.teeth(verdict)}")
            if verdict.reason:
                print(f"  {verdict.reason}{oracle_jobs.log_hint(job, verdict)}")
            for planted in verdict.planted or ():
                fate = "caught" if planted.get("caught") else "NOT CAUGHT"
                print(f"  {planted.get('engine')}: {fate} ({planted.get('status')})")
    raise typer.Exit(max((VERDICT_EXIT[verdict.status] for *_, verdict in verdicts), default=Exit.DONE))


@app.command()
def log(
    context: typer.Context,
    job: Annotated[int, typer.Argument(help="The number of the oracle job.")],
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Print what the command of a run has printed."""
    with place(context, config, state).served() as client:
        verdict = client.job(job).verdict
    if verdict is None:
        raise VerbFailed(f"oracle job {job} has no verdict yet")
    if not verdict.log:
        raise VerbFailed(f"nothing is kept of oracle job {job}: it passed, or its cases were run one by one")
    print(verdict.log)


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
    with where.served(from_the_start=True) as client, runners_at_hand(where, needed=needed):
        suites = [suite] if suite else sorted(client.status().suites)
        if not suites:
            raise VerbFailed("no [oracle.NAME] is configured", Exit.USAGE)
        if repeat > 1:
            runs = oracle_jobs.repeat(client, suites, commit, times=repeat, at_once=AT_ONCE)
            print(jsons.dumps(_differences(runs), indent=2) if json else "\n".join(_repeated(runs)))
            raise typer.Exit(_repeat_exit(runs))
        pairs = [(name, commit) for name in suites]
        judged = oracle_jobs.run_many(client, pairs, fresh=fresh, at_once=AT_ONCE)
        judged_jobs = dict(zip(suites, judged))
    if json:
        print(jsons.dumps({name: job.to_json() for name, job in judged_jobs.items()}, indent=2))
    else:
        for name, job in judged_jobs.items():
            print(as_text(name, job))
    raise typer.Exit(max(VERDICT_EXIT[job.verdict.status] for job in judged_jobs.values()))


def as_text(suite: str, job: JudgedJob) -> str:
    """Return the counts, then the smallest failing examples."""
    verdict = job.verdict
    reason = f": {verdict.reason}" if verdict.reason else ""
    rows = [
        f"{suite}: {verdict.status}{reason}",
        f"  {verdict.counts.passed} of {verdict.counts.cases} cases pass{_skipped(verdict.counts.skipped)}",
    ]
    for failure in verdict.failures:
        rows.append(f"  {failure['id']}")
        rows += [f"    {row}" for row in str(failure.get("difference", "")).splitlines()]
    if held_out := verdict.held_out:
        rows.append(f"  held out: {held_out['passed']} of {held_out['cases']} cases pass")
        rows += [f"    {case.file}:{case.line} fails" for case in job.held_out_failing]
    if hint := oracle_jobs.log_hint(job.number, verdict):
        rows.append(hint.strip())
    return "\n".join(rows)


def _skipped(count: int) -> str:
    return f", {count} skipped" if count else ""


def _repeated(runs: Mapping[str, Repeated]) -> list[str]:
    """Return which cases differ and how often, then the tables that keep them out of the ratchet for a
    while.
    """
    rows, tables = [], []
    for suite, run in runs.items():
        flaky, places, times = run.flaky(), run.places(), len(run.judged)
        broken = len(run.runs) - times
        more = f"; {broken} more runs broke" if broken else ""
        rows.append(f"{suite}: {times} runs, {len(flaky)} cases differ between them{more}")
        for case, count in flaky.items():
            where = f" ({places[case]})" if case in places else ""
            rows.append(f"  {case}{where}: no pass in {count} of {times}")
        if flaky:
            tables.append(f"[oracle.{suite}.flaky]")
            tables += [f"{_quoted(case)} = {_quoted(until)}" for case, until in _until(flaky).items()]
    if not tables:
        return rows
    return [*rows, "", "in harness.toml, this keeps them out of the ratchet until they are mended:", *tables]


def _differences(runs: Mapping[str, Repeated]) -> dict[str, Any]:
    return {suite: _difference(run) for suite, run in runs.items()}


def _difference(run: Repeated) -> dict[str, Any]:
    flaky = run.flaky()
    return {
        "runs": len(run.judged),
        "broken": len(run.runs) - len(run.judged),
        "flaky": flaky,
        "until": _until(flaky),
        "files": {case: place for case, place in run.places().items() if case in flaky},
    }


def _repeat_exit(runs: Mapping[str, Repeated]) -> Exit:
    if any(run.flaky() for run in runs.values()):
        return Exit.FAILED
    some_broke = any(len(run.judged) < len(run.runs) for run in runs.values())
    return Exit.INFRASTRUCTURE if some_broke else Exit.DONE


def _until(flaky: Mapping[str, int]) -> dict[str, str]:
    until = (datetime.now(UTC) + timedelta(days=FLAKY_DAYS)).date().isoformat()
    return dict.fromkeys(flaky, until)


def _quoted(text: str) -> str:
    """Return the text as TOML: a JSON string without escapes for other than control characters is a TOML
    string too.
    """
    return jsons.dumps(text, ensure_ascii=False)
