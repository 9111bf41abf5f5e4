"""`harness logs`: what an agent's sessions printed; the files stay for ever, this only shows them."""

import difflib
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from harness.failure import Exit, Failed
from harness.place import ConfigOption, StateOption, place
from harness.state import State

FOLLOW_POLL_S = 0.3
CHUNK_BYTES = 1 << 16
OTHER_LOGS = ("server", "up")


def logs(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="An agent, or `server`, or `up` (a detached run).")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written, into the next session too.")] = False,
    session: Annotated[str | None, typer.Option(help="This session; default: the newest.")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Show the log of an agent's session."""
    directory = place(context, config, state).state_dir()
    file = _chosen(directory, agent, session)
    sys.stderr.write(f"--- {file}\n")
    end = _print_from(file, 0)
    while follow:
        time.sleep(FOLLOW_POLL_S)
        end = _print_from(file, end)
        newest = _chosen(directory, agent, session)
        if newest != file:
            file, end = newest, 0
            sys.stderr.write(f"--- {file}\n")


def _chosen(state: State, agent: str, session: str | None) -> Path:
    if agent in OTHER_LOGS:
        found = [file for file in [state.logs / f"{agent}.log"] if file.exists()]
    else:
        found = [log for log in state.session_logs(agent) if session in (None, log.stem)]
    if not found:
        raise Failed(_missing(state, agent, session), Exit.FAILED)
    return found[-1]


def _missing(state: State, agent: str, session: str | None) -> str:
    agents = state.agents_with_logs()
    if agent in agents:
        sessions = ", ".join(log.stem for log in state.session_logs(agent)) or "none"
        return f"no session {session} of {agent}; there are {sessions}"
    near = difflib.get_close_matches(agent, agents, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(agents) or 'none'}"
    return f"no log of {agent} under {state.logs}; {hint}"


def _print_from(file: Path, start: int) -> int:
    """Prints the file from byte `start`; returns where it ended."""
    with file.open("rb") as log:
        log.seek(start)
        while chunk := log.read(CHUNK_BYTES):
            sys.stdout.buffer.write(chunk)
            start += len(chunk)
    sys.stdout.flush()
    return start
