"""`harness up`: one run, from the lock to the summary.

Rule: the run itself is lifecycle.py; here are only the wishes of the command line and what the person sees.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.agents.kinds import PROGRAMS
from harness.boxes.containers import Engine
from harness.commands.options import ConfigOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run import lifecycle
from harness.run import plan as plans
from harness.run.lifecycle import Why
from harness.run.place import Place
from harness.run.plan import Remote, RunPlan
from harness.run.server_process import SOURCES
from harness.run.signals import StopSignal
from harness.run.state import StateDirectory, now_ms
from harness.show.table import headline, view
from mcp_server.wire.status import RunStatus

DETACH_WAIT_S = 900.0  # the first start builds images
DETACH_POLL_S = 0.2
LOG_TAIL_LINES = 5
AGENT_HELP = (
    "How many agents of a kind; may be repeated. Without a table in harness.toml: "
    + ", ".join(f"{name} ({kind.title})" for name, kind in PROGRAMS.items())
    + "."
)


def up(
    context: typer.Context,
    config: ConfigOption = None,
    state: StateOption = None,
    agent: Annotated[list[str] | None, typer.Option(metavar="KIND=N", help=AGENT_HELP)] = None,
    port: Annotated[
        int | None, typer.Option(help="The server's port; 0: any free one. Default: run.port.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the run in the background once it works.")
    ] = False,
    stay: Annotated[
        bool, typer.Option("--stay", help="Go on when no task is left, and wait for new ones.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of the live table.")] = False,
) -> None:
    """Start the swarm, and watch it until no task is left."""
    where = place(context, config, state)
    plan = planned(where, agent or [], port, stay=stay)
    if detach:
        _detach(plan.state, _argv(plan, where, agent or []))
        return
    why, exit = run(plan, Console(), plain=plain)
    raise typer.Exit(exit)


def planned(where: Place, wishes: list[str], port: int | None, *, stay: bool) -> RunPlan:
    """Return the plan, with every problem of configuration and command line told before anything starts."""
    file = where.config_file()
    config = plans.with_counts(plans.load_config(file), wishes)
    remote = _remote(where) if where.is_remote else None
    return RunPlan(file, config, where.state_dir(), config.run.port if port is None else port, remote, stay)


def _remote(where: Place) -> Remote:
    """Return the server that is up already; its doors must be on this machine, or no sandbox could reach
    it.
    """
    state = where.state_dir()
    if not state.database.exists():
        raise VerbFailed(
            f"{state.root} is not that server's state directory; "
            "name it with --state: agents enter by its doors",
            Exit.USAGE,
        )
    with where.remote_client() as client:
        client.status()  # it answers, and the token is good
        return Remote(client.url, client.token)


def run(plan: RunPlan, console: Console, *, plain: bool) -> tuple[Why, Exit]:
    """Have one run with a view, and print its summary. Return why it ended and the exit status."""
    start_ms = now_ms()
    with (
        StopSignal() as stop,
        Engine.connect() as engine,
        view(console, start_ms=start_ms, plain=plain) as seen,
        lifecycle.opened(plan, seen, stop, engine) as run,
    ):
        if not plan.agents():
            seen.say(f"no agent of our own; `harness connect NAME` lets clients work at {run.client.url}")
        why = run.watch()
        seen.say(f"stopping the agents: {why}")
        run.stop_agents()
        status = run.client.status()
        seen.status(status)
    console.print(
        summary(status, why, plan.state, now_ms() - start_ms), markup=False, highlight=False, soft_wrap=True
    )
    return why, _exit(why, status)


def summary(status: RunStatus, why: Why, state: StateDirectory, took_ms: int) -> str:
    """Return the lines with which a run ends."""
    refusals = sorted(status.refusals.items())
    counts = ", ".join(f"{code} {count}" for code, count in refusals) or "none"
    main = ", ".join(f"{repo} {str(sha)[:10]}" for repo, sha in status.main.items())
    return "\n".join(
        [
            f"ended after {took_ms / 1000:.1f} s: {why}",
            f"  {headline(status)}",
            f"  refusals by code: {counts}",
            f"  main: {main}",
            *(f"  warning: {warning}" for warning in status.warnings),
            f"  logs: {state.logs}   log of events: harness audit query",
        ]
    )


def _exit(why: Why, status: RunStatus) -> Exit:
    if why is Why.STOPPED:
        return Exit.INTERRUPTED
    if why is Why.FINISHED and not status.tasks.blocked:
        return Exit.DONE
    return Exit.FAILED


def _argv(plan: RunPlan, where: Place, wishes: list[str]) -> list[str]:
    """Return this command again, without --detach, and with every path spelled out: it runs in another
    directory.
    """
    remote = []
    if plan.remote:
        token_file = str(Path(where.token_file or "").resolve())
        remote = ["--server", plan.remote.url, "--token-file", token_file]
    agents = [word for wish in wishes for word in ("--agent", wish)]
    place = ["--config", str(plan.config_file), "--state", str(plan.state.root), "--port", str(plan.port)]
    stay = ["--stay"] if plan.stay else []
    return [sys.executable, "-m", "harness", *remote, "up", *place, *agents, *stay, "--plain"]


def _detach(state: StateDirectory, argv: list[str]) -> None:
    """Start `argv` in a session of its own, and return once its agents are started."""
    state.prepare()
    if state.is_held():
        raise VerbFailed(f"a run is already up on {state.root}; `harness status` shows it")
    from_byte = state.up_log.stat().st_size if state.up_log.exists() else 0
    with state.up_log.open("ab") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=SOURCES
        )
    deadline = time.monotonic() + DETACH_WAIT_S
    while time.monotonic() < deadline:
        run = state.run()
        if run is not None and run.pid == child.pid and run.running:
            print(f"up as process {child.pid} at {run.url}; log {state.up_log}; `harness down` stops it")
            return
        if child.poll() is not None:
            _ended_early(child.returncode, state.up_log, from_byte)
            return
        time.sleep(DETACH_POLL_S)
    raise VerbFailed(
        f"not running after {DETACH_WAIT_S:.0f} s; process {child.pid} goes on; see {state.up_log}",
        Exit.INFRASTRUCTURE,
    )


def _ended_early(status: int, log: Path, from_byte: int) -> None:
    """Print the end of its log: a short run may be over before it is seen. Raise VerbFailed if it failed."""
    with log.open("rb") as lines:
        lines.seek(from_byte)
        tail = lines.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    print("\n".join(tail), file=sys.stderr if status else sys.stdout)
    if status:
        exit = Exit(status) if status in set(Exit) else Exit.INFRASTRUCTURE
        raise VerbFailed(f"the run ended with status {status}; see {log}", exit)
