"""Runs migrations on a connection that the caller has begun a transaction on, and leaves the commit to it."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def settings(connection: Connection) -> Config:
    """Return Alembic's settings: there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "mcp_server.store:migrations")
    config.attributes["connection"] = connection
    return config


def stamp(connection: Connection, revision: str) -> None:
    """Write down that the database has `revision`, without changing anything else."""
    command.stamp(settings(connection), revision)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run every migration between the database's version and `revision`."""
    command.upgrade(settings(connection), revision)
