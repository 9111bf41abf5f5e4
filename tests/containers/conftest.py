"""A real engine, the real images, a run label of this test session's own; whatever a test leaves is removed
at the end.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import IDLE, Box, BoxBroke, Engine
from harness.images.stock import Images
from mcp_server.config import AgentSpec

from .mini import MiniServer


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    try:
        opened = Engine.connect()
    except BoxBroke as broke:
        pytest.skip(str(broke))
    with opened:
        yield opened


@pytest.fixture(scope="session")
def run(engine: Engine) -> Iterator[str]:
    """The value of the label harness.run."""
    name = f"test{os.getpid()}"
    yield name
    sandbox.sweep_run(engine, name)


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    return Images(engine).ensure("base")


@pytest.fixture(scope="session")
def scripted_image(engine: Engine) -> str:
    return Images(engine).ensure("scripted")


@pytest.fixture
def boxed(engine: Engine, run: str, base_image: str) -> Iterator[Callable[..., Box]]:
    """Starts an idle box with the profile of all boxes; keyword arguments replace fields of the BoxSpec."""
    boxes: list[Box] = []

    def start(**changes: object) -> Box:
        name = f"harness-{run}-{os.urandom(4).hex()}"
        spec = sandbox.hardened(
            image=base_image,
            argv=IDLE,
            name=name,
            labels={sandbox.RUN: run, sandbox.KIND: "test"},
            tmpfs={"/tmp": "size=64m,mode=1777"},
        )
        boxes.append(engine.start(dataclasses.replace(spec, **changes)))
        return boxes[-1]

    yield start
    for box in boxes:
        box.remove()


@pytest.fixture
def mini(tmp_path: Path) -> Iterator[MiniServer]:
    server = MiniServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def session_of(
    mini: MiniServer, run: str, base_image: str, engine: Engine
) -> Iterator[Callable[..., sandbox.SandboxSession]]:
    """A session of the mini server, with an open door; its box and volume are removed afterwards."""
    made: list[sandbox.SandboxSession] = []

    def create(agent: str = "ada", *, image: str = base_image, **spec: object) -> sandbox.SandboxSession:
        grant = mini.create_session(agent, "command")
        name = f"{grant.session}-{os.urandom(3).hex()}"  # volumes of several tests must not meet
        mini.sessions[name] = mini.sessions[grant.session]
        settings = {"name": agent, "kind": "command", "memory_mb": 256, "pids": 64, "disk_mb": 64, **spec}
        made.append(sandbox.SandboxSession(
            run=run, session=name, agent=agent, token=grant.token, door=mini.root / "doors" / str(grant.door), image=image,
            repos=tuple((repo, "main") for repo in mini.repos), spec=AgentSpec(**settings),
        ))  # fmt: skip
        return made[-1]

    yield create
    for session in made:
        for name in (session.box_name, session.box_name + "-salvage"):
            box = engine.find(name)
            if box is not None:
                box.remove()
        engine.remove_volume(session.box_name)
