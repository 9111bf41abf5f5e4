"""The engine and the images of the real programs."""

from collections.abc import Callable, Iterator

import pytest

from harness.boxes.containers import Engine

from .images import wrapped


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine.connect() as connected:
        yield connected


@pytest.fixture(scope="session")
def image(engine: Engine) -> Callable[[str, str, str], str]:
    """The line of an agent's table that names an image of a kind in which something runs first: kind, name,
    shell lines.
    """
    made: dict[tuple[str, str], str] = {}

    def line(kind: str, name: str, before: str) -> str:
        if (kind, name) not in made:
            made[kind, name] = wrapped(engine, kind, name, before)
        return f'image = "{made[kind, name]}"'

    return line
