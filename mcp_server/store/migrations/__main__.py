"""`python -m mcp_server.store.migrations MESSAGE`: writes the next migration, from the newest version to the
tables as schema.py has them now. Read it before it is committed: a rename looks like one column less and one
more.
"""

import sys

from alembic import command
from sqlalchemy import create_engine

from mcp_server.store.migrations import REVISIONS, running


def main(message: str) -> None:
    with create_engine("sqlite://").connect() as connection:
        running.upgrade(connection)
        number = f"{int(REVISIONS[-1]) + 1:04}"
        command.revision(running.settings(connection), message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
