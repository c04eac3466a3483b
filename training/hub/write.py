"""Many rows at once, the fastest way each database has: executemany in SQLite, COPY in PostgreSQL.

Enters: a connection in its transaction, a table, rows in the order of `index.COLUMNS`. Only
`ingest` imports this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import JSON, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Float, Integer, LargeBinary, SmallInteger

from training.hub.database import is_sqlite
from training.hub.index import COLUMNS
from training.hub.tables import Base

FEW = 20
"""Fewer rows than this are inserted: a COPY costs a round trip of its own, twice."""


def write(connection: Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows into the table of that name; the caller holds the transaction.

    Raises:
        DBAPIError: the database does not take them, such as for want of room.
    """
    if not rows:
        return
    as_json = _json_columns(name)
    if as_json:
        rows = [
            tuple(
                json.dumps(value, ensure_ascii=False) if at in as_json and value is not None
                else value
                for at, value in enumerate(row)
            )
            for row in rows
        ]  # fmt: skip
    try:
        _insert_all(connection, name, rows)
    except connection.dialect.loaded_dbapi.Error as error:  # SQLAlchemy did not see it
        raise DBAPIError(f'INSERT INTO "{name}"', None, error) from error


def _insert_all(connection: Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    if is_sqlite(connection):
        driver.executemany(_insert(name, "?"), rows)
    elif name == "tally" or len(rows) < FEW:
        driver.cursor().executemany(_insert(name, "%s"), rows)
    else:
        columns = ", ".join(f'"{column}"' for column in COLUMNS[name])
        with (
            driver.cursor() as cursor,
            cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT BINARY)') as copy,
        ):
            copy.set_types(_types(name))
            for row in rows:
                copy.write_row(row)


@cache
def _insert(name: str, mark: str) -> str:
    columns = COLUMNS[name]
    names = ", ".join(f'"{column}"' for column in columns)
    insert = f'INSERT INTO "{name}" ({names}) VALUES ({", ".join([mark] * len(columns))})'
    if name == "tally":
        keys = ", ".join(columns[:-1])
        insert += f" ON CONFLICT ({keys}) DO UPDATE SET parts = tally.parts + excluded.parts"
    return insert


@cache
def _json_columns(name: str) -> frozenset[int]:
    table = Base.metadata.tables[name]
    return frozenset(
        at for at, column in enumerate(COLUMNS[name]) if isinstance(table.c[column].type, JSON)
    )


@cache
def _types(name: str) -> list[str]:
    table = Base.metadata.tables[name]
    return [_postgres(table.c[column].type) for column in COLUMNS[name]]


def _postgres(kind: Any) -> str:
    for sort, name in (
        (SmallInteger, "int2"),
        (BigInteger, "int8"),
        (Integer, "int4"),
        (Float, "float8"),
        (LargeBinary, "bytea"),
        (JSON, "json"),
    ):
        if isinstance(kind, sort):
            return name
    return "text"
