"""The engine and the images of the real programs. Rule: every test of this directory is of `make test-agents`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.containers import Engine

from .place import watched_image

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.agents)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine.connect() as connected:
        yield connected


@pytest.fixture(scope="session")
def watched(engine: Engine) -> Callable[[str], str]:
    """The image of a kind whose look-ups are written down, as a line of an agent's table."""
    made: dict[str, str] = {}

    def image(kind: str) -> str:
        if kind not in made:
            made[kind] = watched_image(engine, kind)
        return f'image = "{made[kind]}"'

    return image
