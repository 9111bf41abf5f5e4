"""A real server over scripted models, real boxes, and agents that are one line of shell or Python each."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine
from harness.client import ServerClient
from harness.images.stock import Images
from harness.sessions.agent_loop import Hired
from harness.sessions.site import Site
from harness.sessions.supervisor import Supervisor
from mcp_server.config import AgentSpec, RunSettings
from mcp_server.wire.sessions import AgentState
from tests.fake_models import FakeModels, Script
from tests.gateway.place import Place, place


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    try:
        opened = Engine.connect()
    except BoxBroke as broke:
        pytest.skip(str(broke))
    with opened:
        yield opened


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    return Images(engine).ensure("base")


@dataclass
class Crew:
    """`hire` agents on the place's server; those that still run are stopped at the end."""

    place: Place
    site: Site
    client: ServerClient
    image: str
    supervisor: Supervisor | None = None

    def hire(self, *specs: AgentSpec, **settings: object) -> Supervisor:
        """One agent of each table, named NAME-1."""
        site = dataclasses.replace(self.site, settings=dataclasses.replace(self.site.settings, **settings))
        self.supervisor = Supervisor(site, [Hired(f"{spec.name}-1", spec, self.image) for spec in specs])
        self.supervisor.start()
        return self.supervisor

    def state(self, agent: str) -> AgentState:
        assert self.supervisor is not None
        return next(state for state in self.supervisor.states() if state.agent == agent)

    def ends(self, agent: str) -> list[tuple[str, str]]:
        ended = self.place.server.events(kind="session_ended", agent=agent)
        return [(event["data"]["outcome"], event["data"]["detail"]) for event in ended]


@pytest.fixture
def crew(engine: Engine, base_image: str, tmp_path: Path) -> Iterator[Callable]:
    """`with crew(script, toml) as made`: the toy project's server, with these scripted models as its
    accounts.
    """

    @contextmanager
    def make(script: Script = Script(), toml: str = "", gateway: str = "") -> Iterator[Crew]:
        with FakeModels(script) as models, place(tmp_path, models, more=toml, gateway=gateway) as made:
            server = made.server
            with ServerClient(server.url, server.token("runner")) as client:
                site = Site(
                    engine, client, run=f"crew{os.urandom(4).hex()}", state=server.state, root=server.project, repos=(("toy", "main"),),
                    settings=RunSettings("t"), look_every_s=0.3, waits_s=(0.1, 0.2, 0.3),
                )  # fmt: skip
                hands = Crew(made, site, client, base_image)
                try:
                    yield hands
                finally:
                    if hands.supervisor is not None:
                        hands.supervisor.stop(30)
                    sandbox.sweep_run(engine, site.run)

    return make


def agent(name: str, script: str, **more: object) -> AgentSpec:
    return AgentSpec(name, **{"kind": "command", "command": script, "memory_mb": 256, "pids": 64, **more})
