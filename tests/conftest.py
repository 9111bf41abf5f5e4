"""What holds for every test: property tests have no time limit per example, and long files begin first."""

import pytest
from hypothesis import settings

# A busy machine is no reason for a function to fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, and then those with containers.

    Workers take whole files in this order: at the end of a run none waits long for the last.
    """
    slow, boxes = (
        {item.path for item in items if item.get_closest_marker(mark)} for mark in ("slow", "containers")
    )
    items.sort(key=lambda item: (item.path not in slow, item.path not in boxes))
