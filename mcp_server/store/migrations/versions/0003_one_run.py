"""A verdict is of one run: passes are not remembered case by case, and failures are.

What was put together from several runs stands for nothing any more, and what such a run had left is run.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    joined = connection.execute(
        sa.text("SELECT id, key, todo, passed_before FROM jobs WHERE passed_before != '{}'")
    ).all()
    for row in joined:
        values = {
            "id": row.id,
            "key": f"{row.key} joined {row.id}",
            "todo": json.dumps([*json.loads(row.todo), *json.loads(row.passed_before)]),
        }
        connection.execute(sa.text("UPDATE jobs SET key = :key, todo = :todo WHERE id = :id"), values)
    op.drop_column("jobs", "passed_before")
    op.drop_table("passes")
    op.create_table(
        "failures",
        sa.Column("suite_key", sa.Text(), nullable=False),
        sa.Column("tree_key", sa.Text(), nullable=False),
        sa.Column("cases", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("suite_key", "tree_key"),
    )
