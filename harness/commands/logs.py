"""`harness logs`: what an agent's sessions printed; the files stay for ever, this only shows them."""

import difflib
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from harness.agents.kinds import KINDS
from harness.commands.options import ConfigOption, StateOption, place
from harness.failure import Exit, VerbFailed
from harness.run.place import Place
from harness.run.plan import load_config
from harness.run.state import StateDirectory
from harness.sessions import transcript
from harness.sessions.transcript import Parse

FOLLOW_POLL_S = 0.3
OTHER_LOGS = ("server", "up")


def logs(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="An agent, or `server`, or `up` (a detached run).")],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what is written, into the next session too.")
    ] = False,
    session: Annotated[str | None, typer.Option(help="This session; default: the newest.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Every line as it was printed, instead of what it tells.")
    ] = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Show the log of an agent's session."""
    where = place(context, config, state)
    directory = where.state_dir()
    parse = None if raw else _parser(where, agent)
    file = _chosen(directory, agent, session)
    sys.stderr.write(f"--- {file}\n")
    end = _print_from(file, 0, parse)
    while follow:
        time.sleep(FOLLOW_POLL_S)
        end = _print_from(file, end, parse)
        newest = _chosen(directory, agent, session)
        if newest != file:
            file, end = newest, 0
            sys.stderr.write(f"--- {file}\n")


def _chosen(state: StateDirectory, agent: str, session: str | None) -> Path:
    if agent in OTHER_LOGS:
        files = [file for file in [state.logs / f"{agent}.log"] if file.exists()]
    else:
        files = [log for log in state.session_logs(agent) if session in (None, log.stem)]
    if not files:
        raise VerbFailed(_missing(state, agent, session), Exit.FAILED)
    return files[-1]


def _missing(state: StateDirectory, agent: str, session: str | None) -> str:
    agents = state.agents_with_logs()
    if agent in agents:
        sessions = ", ".join(log.stem for log in state.session_logs(agent)) or "none"
        return f"no session {session} of {agent}; there are {sessions}"
    near = difflib.get_close_matches(agent, agents, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(agents) or 'none'}"
    return f"no log of {agent} under {state.logs}; {hint}"


def _parser(where: Place, agent: str) -> Parse | None:
    """Return how this agent's lines are read; None where nobody can tell what kind of agent it is."""
    try:
        spec = load_config(where.config_file()).spec_of(agent)
    except VerbFailed:
        return None
    # An agent without a table is named after its kind.
    kind = spec.kind if spec is not None else agent.rpartition("-")[0]
    return KINDS[kind].adapter.parse if kind in KINDS else None


def _print_from(file: Path, start: int, parse: Parse | None) -> int:
    """Print the file's complete lines from byte `start`, as `parse` reads them. Return where the last one
    ended.
    """
    with file.open("rb") as log:
        log.seek(start)
        for line in log:
            if not line.endswith(b"\n"):
                break  # it is being written
            start += len(line)
            if parse is None:
                sys.stdout.buffer.write(line)
            else:
                text = transcript.readable(line.decode(errors="replace").rstrip("\n"), parse)
                sys.stdout.write("" if text is None else f"{text}\n")
    sys.stdout.flush()
    return start
