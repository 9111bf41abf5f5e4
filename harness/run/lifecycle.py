"""Owns one run from the lock to the last removed container; `up` and `demo` are the same run with other eyes.

Rule: whatever a stage opened is closed when the stage is left, on every way out.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum

from harness.boxes.containers import Engine
from harness.client import ServerClient, ServerGone
from harness.failure import Exit, VerbFailed
from harness.run import crew, oracle_jobs
from harness.run.crew import Crew
from harness.run.plan import Remote, RunPlan
from harness.run.server_process import ServerProcess, start_server
from harness.run.signals import StopSignal
from harness.run.state import Hold, RunFile, StateBusy, StateDirectory, now_ms
from harness.show.table import View
from mcp_server.wire.events import LoggedEvent

POLL_S = 0.25  # how often the event log is read; also the resolution of what a person sees
STATUS_EVERY_S = 1.0
SERVER_GONE_MAX_S = 60.0  # a server that restarts is back in 2 s; one that is silent this long has left
EVENTS_PER_READ = 500

Observer = Callable[[LoggedEvent], None]


class Why(StrEnum):
    """Why the watch ended."""

    FINISHED = "no task is left"
    STOPPED = "interrupted"
    LIMIT = "the run's time is over"
    NO_AGENT = "no agent is left"


@dataclass
class Run:
    """An open run: the server answers, images are there, runners work; agents start when told."""

    plan: RunPlan
    client: ServerClient
    view: View
    stop: StopSignal
    server: ServerProcess | None
    crew: Crew
    started_ms: int
    last_event: int = 0  # the highest that was shown
    was_idle: bool = False  # no task was left at some time since the agents were started

    def watch(self, observe: Observer | None = None) -> Why:
        """Show what happens until there is a reason to end; return it."""
        self.stop.from_now_in_order()
        limit_s = self.plan.max_s
        began = answered = time.monotonic()
        next_status = 0.0
        while True:
            now = time.monotonic()
            try:
                self.show_events(observe)
                if now >= next_status:
                    next_status = now + STATUS_EVERY_S
                    why = self._look()
                    if why is not None and not self.plan.stay:
                        return why
                answered = now
            except ServerGone as gone:
                self._bear(gone, silent_s=now - answered)
            if self.stop.event.is_set():
                return Why.STOPPED
            if limit_s is not None and now - began >= limit_s:
                return Why.LIMIT
            self.stop.event.wait(POLL_S)

    def _look(self) -> Why | None:
        """Show how things stand. Return why the run could end now, if it could. New tasks find agents
        again.
        """
        self.crew.tell()
        # Asked first: an agent's last act must be in the status that follows.
        spent, more = self.crew.is_spent(), self.crew.may_bring_tasks()
        status = self.client.status()
        self.view.status(status)
        if status.finished and not more:
            self.was_idle = True
            return Why.FINISHED
        if self.plan.stay and spent and self.was_idle:
            self.view.say("there are new tasks: starting the agents again")
            self.was_idle = False
            self.crew.start_agents()
            return None
        return Why.NO_AGENT if spent else None

    def show_events(self, observe: Observer | None = None) -> None:
        """Show the events that were not shown yet."""
        while True:
            events = self.client.events(self.last_event, limit=EVENTS_PER_READ)
            for event in events:
                self.last_event = event.seq
                self.view.event(event)
                if observe is not None:
                    observe(event)
            if len(events) < EVENTS_PER_READ:
                return

    def stop_agents(self, observe: Observer | None = None) -> None:
        """End every session, its work salvaged and its container removed; then show what that left in the
        log.
        """
        self.crew.stop_agents()
        self.crew.tell()
        self.show_events(observe)

    def _bear(self, gone: ServerGone, *, silent_s: float) -> None:
        given_up = self.server is not None and self.server.gone.is_set()
        if given_up or silent_s > SERVER_GONE_MAX_S:
            raise VerbFailed(f"{gone}; {self._server_log()}", Exit.INFRASTRUCTURE) from gone

    def _server_log(self) -> str:
        return f"see {self.plan.state.server_log}" if self.server is not None else "is that server still up?"


@contextmanager
def opened(plan: RunPlan, view: View, stop: StopSignal, engine: Engine) -> Iterator[Run]:
    """Lock the state directory, prove the oracles, start the agents, and leave nothing behind."""
    with ExitStack() as stack:
        hold = _held(plan.state, stack)
        started_ms = now_ms()
        recover(plan, hold, engine, say=view.say)
        stack.callback(hold.goodbye)
        hold.announce(RunFile(os.getpid(), started_ms))
        server = _server(plan, stack)
        url = server.url if server is not None else _remote(plan).url
        hold.announce(RunFile(os.getpid(), started_ms, url))
        client, runner_client = map(stack.enter_context, _clients(plan, url))
        _end_lost_sessions(client, say=view.say)
        hands = stack.enter_context(Crew(plan, client, runner_client, engine, say=view.say))
        run = Run(plan, client, view, stop, server, hands, started_ms, last_event=client.status().head_seq)
        hands.prepare_images()
        hands.start_runners()
        run.show_events()
        oracle_jobs.prove(client, say=view.say)
        hands.start_agents()
        hold.say_running()
        yield run


def recover(plan: RunPlan, hold: Hold, engine: Engine, *, say: Callable[[str], None]) -> None:
    """Clear what a run left that never said goodbye: its server, boxes and volumes."""
    if hold.stale is None:
        return
    cleared = crew.clear(engine, plan.state, with_server=plan.remote is None)
    say(f"recovered from run {hold.stale.pid} that ended without goodbye: removed {cleared}")
    hold.goodbye()


def _end_lost_sessions(client: ServerClient, *, say: Callable[[str], None]) -> None:
    """End the sessions of a run that was killed: their leases end and their uploads are handed on.

    Whoever holds the state directory has all doors, so no session of another harness can be among them.
    """
    lost = [agent for agent in client.status().agents if agent.live]
    for agent in lost:
        client.end_session(str(agent.session), "crashed", detail="the harness that watched it was killed")
    if lost:
        say(f"ended {len(lost)} sessions that were cut off")


def _held(state: StateDirectory, stack: ExitStack) -> Hold:
    try:
        return stack.enter_context(state.hold())
    except StateBusy as busy:
        raise VerbFailed(str(busy)) from busy


def _server(plan: RunPlan, stack: ExitStack) -> ServerProcess | None:
    if plan.remote is not None:
        return None
    server = start_server(plan.config_file, plan.state.root, port=plan.port)
    stack.callback(server.stop)
    return server


def _remote(plan: RunPlan) -> Remote:
    assert plan.remote is not None
    return plan.remote


def _clients(plan: RunPlan, url: str) -> tuple[ServerClient, ServerClient]:
    """Return one client with the admin's token and one with the runner's; a remote server is given one token
    for both.
    """
    if plan.remote is not None:
        return ServerClient(url, plan.remote.token), ServerClient(url, plan.remote.token)
    tokens = [plan.state.token(role) for role in ("admin", "runner")]
    if None in tokens:
        raise ServerGone(f"the server wrote no tokens; see {plan.state.server_log}")
    return ServerClient(url, str(tokens[0])), ServerClient(url, str(tokens[1]))
