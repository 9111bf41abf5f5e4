"""What Alembic runs for every command: it works on the connection of `running`, and opens none itself."""

from alembic import context

from mcp_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
