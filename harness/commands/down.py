"""`harness down`: ends the run that holds the state directory, and clears what it left.

Rule: the run is asked first and given time to salvage; force comes only after.
"""

import os
import signal
import time

import typer

from harness.boxes.containers import Engine
from harness.commands.options import ConfigOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run import crew
from harness.run.state import RunFile, StateDirectory

ASK_S = 90.0  # six sandboxes salvage in a few seconds; a loaded machine takes longer
FORCE_S = 10.0
POLL_S = 0.1


def down(context: typer.Context, config: ConfigOption = None, state: StateOption = None) -> None:
    """Stop the run that is up: work salvaged, containers removed."""
    where = place(context, config, state)
    if where.is_remote:
        raise VerbFailed(
            "down acts on this machine's run; a remote server is stopped where it runs", Exit.USAGE
        )
    directory = where.state_dir()
    run = directory.run()
    if not directory.is_held():
        _clear(directory, run)
        return
    if run is None:
        raise VerbFailed(
            f"{directory.root} is in use, but not by a run (another harness command?); try again", Exit.FAILED
        )
    _end(directory, run)
    print(f"stopped run {run.pid}")


def _end(state: StateDirectory, run: RunFile) -> None:
    for number, patience_s in ((signal.SIGTERM, ASK_S), (signal.SIGKILL, FORCE_S)):
        # The lock is held, so run.json's process lives: its number cannot have been given away.
        os.kill(run.pid, number)
        if _released(state, patience_s):
            break
    else:
        raise VerbFailed(f"process {run.pid} holds {state.root} and does not end", Exit.INFRASTRUCTURE)
    if state.run() is not None:  # it was forced
        _clear(state, run)


def _released(state: StateDirectory, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not state.is_held():
            return True
        time.sleep(POLL_S)
    return False


def _clear(state: StateDirectory, run: RunFile | None) -> None:
    """Remove what a run left that ended without goodbye."""
    if run is None:
        print(f"no run is up on {state.root}")
        return
    with Engine.connect() as engine:
        cleared = crew.clear(engine, state, with_server=True)
    state.run_file.unlink(missing_ok=True)
    print(f"cleared after run {run.pid}: {cleared}")
