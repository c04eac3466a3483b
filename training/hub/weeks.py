"""The index in weeks: on PostgreSQL verdicts, findings and gate decisions are partitioned by time.

Enters: the hours in which rows lie, a day. Leaves: a partition of each table for every week that
has rows, made when the first of them comes; whole weeks let go in an instant, which the segments
can bring back (`reindex`). On SQLite there are none and all of this does nothing. `ingest`,
`reindex`, the migrations and the command line import this.

A week begins on Monday, UTC; its tables have a schema of their own: ``weeks.gate_2026_11_23``. A
station whose clock is far off makes no table: what lies before 2020 or after 2099 has one each. A
new week is made on a connection of its own and attached, which waits for no insert and no reader.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from training.hub.database import HubError, is_sqlite

SLICED = ("verdict", "finding", "gate")
SCHEMA = "weeks"
DAY_NS = 86_400_000_000_000
MONDAY = date(1970, 1, 5)
FIRST, END = date(2020, 1, 6), date(2099, 12, 28)
"""The first Monday with a week of its own, and the first without one."""
BEFORE, AFTER = "before", "after"
MAKING = 0x7765656B
"""The advisory lock under which one hub of a group makes a week."""


@dataclass(frozen=True, slots=True)
class Week:
    """One week of the index."""

    monday: date
    rows: int
    """Verdicts, as PostgreSQL estimates them."""
    bytes: int
    """Of its tables with their indexes."""


class Weeks:
    """The weeks that this hub knows to be there. Calls from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: set[date] = set()
        self._lock = threading.Lock()

    def ready(self, hours: Collection[int]) -> None:
        """Makes the weeks of these hours since 1970 that are missing."""
        if is_sqlite(self._engine):
            return
        missing = {monday_of(hour) for hour in hours} - self._known
        if not missing:
            return
        with self._lock:
            # not one of the pool's: whoever asks holds one, and all of them may be asking
            apart = create_engine(self._engine.url, poolclass=NullPool)
            with apart.begin() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MAKING})
                for monday in sorted(missing):
                    make(connection, monday)
            self._known |= missing

    def forget(self) -> None:
        """Looks again next time: a week may have been let go."""
        self._known = set()


def monday_of(hour: int) -> date:
    """The week of an hour since 1970; `FIRST` less a week, or `END`, for what has none."""
    days = max(0, hour // 24)
    far = (END - date(1970, 1, 1)).days
    monday = MONDAY + timedelta(days=7 * ((min(days, far) - 4) // 7))
    return max(FIRST - timedelta(days=7), min(monday, END))


def make(connection: Connection, monday: date) -> None:
    """The week's partitions, unless they are there; the caller holds the lock and commits."""
    if not FIRST <= monday < END:
        return  # its rows lie in the first or the last partition, which are always there
    name = f"{monday:%Y_%m_%d}"
    first, end = _instant(monday), _instant(monday + timedelta(days=7))
    for table in SLICED:
        _attach(connection, table, name, str(first), str(end))


def begin(connection: Connection) -> None:
    """The schema, and the partitions for what has no week of its own: for the migration."""
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    for table in SLICED:
        _attach(connection, table, BEFORE, "MINVALUE", str(_instant(FIRST)))
        _attach(connection, table, AFTER, str(_instant(END)), "MAXVALUE")


def weeks(connection: Connection) -> list[Week]:
    """Every week that has partitions, the oldest first; none on SQLite."""
    if is_sqlite(connection):
        return []
    rows = connection.execute(
        text(
            "SELECT c.relname, GREATEST(c.reltuples, 0), pg_total_relation_size(c.oid)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND c.relkind = 'r'"
        ),
        {"schema": SCHEMA},
    ).all()
    found: dict[date, list[int]] = {}
    for name, tuples, size in rows:
        table, _, day = name.partition("_")
        if day in (BEFORE, AFTER):
            continue
        week = found.setdefault(datetime.strptime(day, "%Y_%m_%d").date(), [0, 0])
        week[0] += int(tuples) if table == "verdict" else 0
        week[1] += int(size)
    return [Week(monday, *found[monday]) for monday in sorted(found)]


def let_go(connection: Connection, before: date) -> list[date]:
    """Drops the weeks that had ended by ``before``; their Mondays.

    The records stay, in their segments; tallies stay, and with them every yield. What is let go is
    finding a part of those weeks by its id or serial, until `reindex` brings them back.

    Raises:
        HubError: the database has no weeks, or somebody holds one of them for long.
    """
    if is_sqlite(connection):
        raise HubError("SQLite keeps the index in one piece: there are no weeks to let go")
    gone = [w.monday for w in weeks(connection) if w.monday + timedelta(days=7) <= before]
    for monday in gone:
        for table in SLICED:
            try:
                connection.execute(text(f"DROP TABLE {SCHEMA}.{table}_{monday:%Y_%m_%d}"))
            except OperationalError as error:
                why = str(error.orig).strip()
                raise HubError(
                    f"the week of {monday} is in use, such as by `training hub reindex` ({why}):"
                    " no week is let go; try again"
                ) from error
    return gone


def _attach(connection: Connection, table: str, name: str, first: str, end: str) -> None:
    whole = f"{SCHEMA}.{table}_{name}"
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": whole}).scalar() is not None:
        return
    connection.execute(text(f"CREATE TABLE {whole} (LIKE {table} INCLUDING DEFAULTS)"))
    connection.execute(
        text(f"ALTER TABLE {table} ATTACH PARTITION {whole} FOR VALUES FROM ({first}) TO ({end})")
    )


def _instant(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
