"""A task names the cases that may be gone once it has landed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("removes", sa.JSON(), nullable=False, server_default="[]"))
