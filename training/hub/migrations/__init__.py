"""How the database of the centre came to be what it is: alembic's revisions."""
