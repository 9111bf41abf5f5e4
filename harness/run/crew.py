"""Owns the hands of a run: the images, the runner threads and one supervisor per agent.

Rule: agents stop before runners, so that what is in the gate can still be judged; at the end nothing labelled
is left.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from harness.agents.kinds import KINDS
from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine, Found, Swept
from harness.client import ServerClient, ServerGone
from harness.images.stock import Images, suite_orders
from harness.oracle_runner.runner import Runner
from harness.run.place import Place
from harness.run.plan import RunPlan, load_config
from harness.run.server_process import stop_stray_server
from harness.run.state import StateDirectory
from harness.sessions.agent_loop import Hired
from harness.sessions.session import STOP_GRACE_S
from harness.sessions.site import Site
from harness.sessions.supervisor import Supervisor
from mcp_server.config import AgentSpec, RunSettings
from mcp_server.wire.environments import EnvironmentOrder
from mcp_server.wire.sessions import AgentState

RUNNERS_STOP_S = 15.0
HEARD_S_MAX = 60.0  # for a missing image to be made by a verb that did not prepare any; then it goes on
STRAY_STOP_S = 60.0  # for the boxes of a killed run, all at once

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cleared:
    """What a killed run had left."""

    swept: Swept
    had_server: bool

    def __str__(self) -> str:
        server = " and its server" if self.had_server else ""
        return f"{self.swept.boxes} boxes, {self.swept.volumes} volumes{server}"


class Crew:
    """Used `with`: what it started is stopped and removed when it is left."""

    def __init__(
        self, plan: RunPlan, client: ServerClient, runner_client: ServerClient, engine: Engine, *, say: Say
    ) -> None:
        self._plan, self._engine, self._say = plan, engine, say
        self._client, self._runner_client = client, runner_client
        self._images = Images(engine, say=say)
        self._environments: dict[str, EnvironmentOrder] = {}
        self._supervisor: Supervisor | None = None
        self._runners_stop = threading.Event()
        self._runners: list[threading.Thread] = []
        self._reported: list[AgentState] | None = None
        # What the last sweep found; more than nothing means that somebody did not clean up.
        self.left_over = Swept()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_agents()
        self._runners_stop.set()
        _join(self._runners, RUNNERS_STOP_S)
        self.left_over = sweep(self._engine, self._plan.state)
        boxes, volumes = self.left_over.boxes, self.left_over.volumes
        if boxes or volumes:
            self._say(f"removed {boxes} boxes and {volumes} volumes that were left over")

    def prepare_images(self) -> None:
        """Make what is missing before anybody waits for it."""
        for _, spec in self._plan.agents():
            self._agent_image(spec)
        for suite in self._plan.config.suites.values():
            for order in suite_orders(suite):
                self._images.deliver(order, self._environment(order.environment))

    def _environment(self, name: str | None) -> EnvironmentOrder | None:
        """Return what an environment is made of, as main was when the run began."""
        if name is None:
            return None
        if name not in self._environments:
            self._environments[name] = self._runner_client.environment(name)
        return self._environments[name]

    def start_runners(self) -> None:
        """Start the runners, and return once the server knows which images they have."""
        config = self._plan.config.run
        runners = [
            _runner(number, self._runner_client, self._engine, self._images, self._plan.state, config)
            for number in range(1, config.oracle_slots + 1)
        ]
        self._runners += _started(runners, self._runners_stop)

    def start_agents(self) -> None:
        hired = [Hired(name, spec, self._agent_image(spec)) for name, spec in self._plan.agents()]
        self._supervisor = Supervisor(self._site(), hired)
        self.tell()
        self._supervisor.start()

    def is_spent(self) -> bool:
        """Return True if there were agents and the last one has stopped; a run without any serves connected
        clients.
        """
        return bool(self.states()) and self._supervisor is not None and not self._supervisor.any_alive()

    def may_bring_tasks(self) -> bool:
        """Return whether an agent is left that may make tasks where none is."""
        return self._supervisor is not None and self._supervisor.may_bring_tasks()

    def states(self) -> list[AgentState]:
        """Return what each agent does now, as its supervisor knows it."""
        return self._supervisor.states() if self._supervisor is not None else []

    def tell(self) -> None:
        """Let the server know, which sees only sessions: who waits, who has stopped and why, who never came
        to a session.
        """
        report = self.states()
        if report != self._reported:
            self._runner_client.report_crew(report)
            self._reported = report

    def stop_agents(self) -> None:
        """End every session, its work saved; remove as it is what does not end in time."""
        if self._supervisor is not None and not self._supervisor.stop():
            self._say("some agents did not end in time; their boxes were removed as they were")

    def _agent_image(self, spec: AgentSpec) -> str:
        order = KINDS[spec.kind].image_order(spec.image, spec.environment)
        return self._images.deliver(order, self._environment(order.environment))

    def _site(self) -> Site:
        config = self._plan.config
        return Site(
            engine=self._engine,
            server=self._runner_client,
            run=self._plan.state.label,
            state=self._plan.state.root,
            root=config.root,
            repos=tuple((repo.name, repo.branch) for repo in config.repos.values()),
            settings=config.run,
        )


@contextlib.contextmanager
def runners_at_hand(where: Place, *, needed: bool) -> Iterator[None]:
    """Have runners for as long as one verb takes, where no run is up to have them."""
    if not needed:
        yield
        return
    state, config = where.state_dir(), load_config(where.config_file())
    url, token = state.server_url(), state.token("runner")
    if url is None or token is None:
        raise ServerGone(f"the server wrote no runner token; see {state.server_log}")
    stop = threading.Event()
    with Engine.connect() as engine, ServerClient(url, token) as client:
        images = Images(engine, say=lambda line: print(line, file=sys.stderr))
        for suite in config.suites.values():
            for order in suite_orders(suite):
                images.deliver(order, client.environment(order.environment) if order.environment else None)
        runners = [
            _runner(number, client, engine, images, state, config.run)
            for number in range(1, config.run.oracle_slots + 1)
        ]
        threads = _started(runners, stop)
        try:
            yield
        finally:
            stop.set()
            _join(threads, RUNNERS_STOP_S)
            sweep(engine, state)


def clear(engine: Engine, state: StateDirectory, *, with_server: bool) -> Cleared:
    """End what a run left that never said goodbye. Its agents first: while its server lives, they save what
    they have not committed.
    """
    stopping = [_thread(f"stop-{box.name}", _stopper(engine, box.id)) for box in _agents(engine, state)]
    _join(stopping, STRAY_STOP_S)
    server = with_server and stop_stray_server(state.root)
    return Cleared(sweep(engine, state), had_server=server)


def _agents(engine: Engine, state: StateDirectory) -> list[Found]:
    return engine.list({sandbox.RUN: state.label, sandbox.KIND: "agent"}, running_only=True)


def _stopper(engine: Engine, id: str) -> Callable[[threading.Event], None]:
    def stop(_: threading.Event) -> None:
        with contextlib.suppress(BoxBroke):  # the sweep removes it as it is
            box = engine.find(id)
            if box is not None:
                box.stop(STOP_GRACE_S)

    return stop


def sweep(engine: Engine, state: StateDirectory) -> Swept:
    """Remove every box and volume of the run on this state directory."""
    return sandbox.sweep_run(engine, state.label)


def _runner(
    number: int,
    client: ServerClient,
    engine: Engine,
    images: Images,
    state: StateDirectory,
    config: RunSettings,
) -> Runner:
    return Runner(
        client,
        engine,
        images.image_for,
        f"runner-{number}",
        labels={sandbox.RUN: state.label},
        image_on=images.image_on,
        memory_mb=config.oracle_memory_mb,
        work_mb=config.oracle_work_mb,
        scratch_mb=config.oracle_scratch_mb,
        tmp_mb=config.oracle_tmp_mb,
    )


def _started(runners: Sequence[Runner], stop: threading.Event) -> list[threading.Thread]:
    """Start the runners, and return their threads once the server has heard of the first one's images: what
    it knows of a suite in other images counts for nothing.
    """
    threads = [_thread(f"runner-{number}", runner.run, stop) for number, runner in enumerate(runners, 1)]
    for runner in runners[:1]:
        runner.registered.wait(HEARD_S_MAX)
    return threads


def _thread(
    name: str, work: Callable[[threading.Event], None], stop: threading.Event | None = None
) -> threading.Thread:
    """Start the work in a thread of its own. `stop` is what ends it; None where it ends by itself."""
    thread = threading.Thread(target=work, args=(stop or threading.Event(),), name=name, daemon=True)
    thread.start()
    return thread


def _join(threads: list[threading.Thread], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
