"""The engine and the label of this session's boxes."""

from tests.containers.conftest import engine, run

__all__ = ["engine", "run"]
