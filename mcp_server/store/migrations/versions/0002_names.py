"""Three columns are called by what they hold."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE crew RENAME COLUMN told TO member")
    op.execute("ALTER TABLE jobs RENAME COLUMN known TO passed_before")
    op.execute("ALTER TABLE model_requests RENAME COLUMN known TO counted")
