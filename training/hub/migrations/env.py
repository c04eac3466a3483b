"""How alembic runs here: on the connection that `database.open_database` holds, in its transaction,
or offline never."""

from __future__ import annotations

from alembic import context

from training.hub.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
