"""The centre's database: opened by URL, brought up to date before anything is asked of it.

Enters: ``sqlite:///…`` or ``postgresql://…``. Leaves: an SQLAlchemy engine whose tables
are those of `tables`. Several hubs may start on one database at once: one migrates, the others
wait. The hub and whoever reads its data import this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATING = 0x696E7370
"""The advisory lock under which one hub of a group migrates PostgreSQL."""

LOCK_WAIT_S = 20.0
"""On PostgreSQL a request waits no longer for what another holds: a station hangs up after 30 s and
asks again, and whoever went on waiting would keep a thread and a connection from the others."""


class HubError(Exception):
    """What a person who runs the centre can mend; ``str()`` says how."""


def open_database(url: str) -> Engine:
    """The database of ``url``, migrated.

    Raises:
        HubError: it cannot be reached, or it is of a newer version of this software.
    """
    engine = connect(url)
    try:
        with engine.connect() as connection, _alone(connection):
            command.upgrade(migrations(connection), "head")
    except CommandError as error:
        engine.dispose()
        raise HubError(f"{_shown(url)}: of a newer version of this software: {error}") from error
    except SQLAlchemyError as error:
        engine.dispose()
        reason = str(getattr(error, "orig", error)).strip()
        raise HubError(f"{_shown(url)}: {reason}") from error
    return engine


def migrations(connection: Connection) -> Config:
    """What alembic's commands need to work on this connection, in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def connect(url: str) -> Engine:
    """The engine alone, nothing migrated. Raises ``HubError`` for a URL that is none."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise HubError(
            f"{url!r} is no database: sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if not parsed.drivername.startswith(("sqlite", "postgresql")):
        raise HubError(f"{parsed.drivername}: the centre runs on sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": 30})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = create_engine(parsed, pool_size=8, max_overflow=8, pool_pre_ping=True)
    except ImportError as error:
        raise HubError("PostgreSQL needs psycopg: pip install 'inspector[scale]'") from error
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def is_sqlite(connection: Connection | Engine) -> bool:
    """Whether this is SQLite, which locks the whole file where PostgreSQL locks rows."""
    return connection.dialect.name == "sqlite"


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's BEGIN is ours to send: see `_begin_sqlite`
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, record: Any) -> None:
    connection.execute(_waiting(LOCK_WAIT_S))
    connection.commit()


def _waiting(seconds: float) -> str:
    return f"SET lock_timeout = {seconds * 1000:.0f}"


def _begin_sqlite(connection: Connection) -> None:
    # DEFERRED would refuse to become a writer when another hub has written meanwhile
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads, so that on SQLite it waits for no writer."""
    with engine.connect().execution_options(reads=True) as connection:
        yield connection


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    if is_sqlite(connection):
        with connection.begin():
            yield
        return
    connection.execute(text(_waiting(0)))  # who migrates, and who waits for it, may take long
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATING})
    connection.commit()
    try:
        with connection.begin():
            yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATING})
        connection.execute(text(_waiting(LOCK_WAIT_S)))
        connection.commit()


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
