"""What main's own run said against itself is kept beside its outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("baselines", sa.Column("contradictions", sa.JSON(), nullable=True))
