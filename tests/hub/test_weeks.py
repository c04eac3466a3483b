"""The index of PostgreSQL lies in weeks: each is made when its first row comes, may be let go, and
comes back from the segments (S20)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.entries import Entries
from inspector.store.merkle import leaf_hash, root_of
from inspector.store.resume import State
from inspector.sync import segment
from inspector.sync.enrol import raw_key
from training.cli import app
from training.hub import database as database_module
from training.hub.database import HubError, connect, migrations, open_database
from training.hub.enrolment import _add_station
from training.hub.fleet import defects
from training.hub.hub import Hub, open_hub
from training.hub.index import COLUMNS
from training.hub.ingest import Sender
from training.hub.reindex import reindex
from training.hub.weeks import END, FIRST, Weeks, let_go, monday_of, weeks

KEY = Ed25519PrivateKey.generate()
SLICED = ("verdict", "gate", "finding")


def instant(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc,arg-type]


SUNDAY, MONDAY = instant(2026, 11, 22, 23), instant(2026, 11, 23)
OFF, FAR = 5, instant(2200, 1, 1)
"""Clocks that are wrong."""


def ledger(*instants: int) -> list[bytes]:
    """The records of a part at each of these instants, none of them good."""
    entries = Entries(State())
    for number, at in enumerate(instants, 1):
        verdict = sample_verdict(number * 50)
        verdict = replace(verdict, times=replace(verdict.times, utc_ns=at))
        entries.verdict(verdict)
        entries.gate(sample_gate(verdict))
    return [body for _, body in entries.take().records]


@pytest.fixture
def hub(tmp_path: Path, database: str) -> Iterator[Hub]:
    opened = open_hub(tmp_path / "hub", database)
    yield opened
    opened.close()


@pytest.fixture
def send(hub: Hub) -> Callable[..., None]:
    """Sends records of a station to the hub, in segments that end at these positions."""
    with hub.engine.begin() as connection:
        number = _add_station(connection, "ST-01", "", "", raw_key(KEY.public_key()), 1)
    sender = Sender(number, "ST-01", KEY.public_key())

    def send(records: list[bytes], *ends: int, first: int = 0) -> None:
        roots = [root_of([leaf_hash(r) for r in records[:n]]) for n in range(len(records) + 1)]
        for end in (*ends, len(records)):
            packed = segment.pack(
                "ST-01", "line", first, records[first:end], (roots[first], roots[end]), (), KEY
            )
            hub.ingest.take(sender, packed)
            first = end

    return send


def where(connection: Connection, table: str) -> list[tuple[str, int]]:
    """In which table each row lies, and its instant."""
    rows = connection.execute(
        text(f"SELECT tableoid::regclass::text, utc_ns FROM {table} ORDER BY utc_ns")
    )
    return [(name, at) for name, at in rows]


def rows_of(connection: Connection) -> dict[str, list[str]]:
    names = {name: ", ".join(f'"{c}"' for c in COLUMNS[name]) for name in (*SLICED, "tally")}
    return {
        name: sorted(map(repr, connection.execute(text(f"SELECT {columns} FROM {name}"))))
        for name, columns in names.items()
    }


def test_each_week_has_its_own_tables(hub: Hub, send: Callable[..., None]) -> None:
    records = ledger(SUNDAY, MONDAY, OFF, FAR)
    send(records, len(records) - 1)  # the last gate decision comes without its verdict
    with hub.engine.connect() as connection:
        for table in SLICED:
            assert where(connection, table) == [
                (f"weeks.{table}_before", OFF),
                (f"weeks.{table}_2026_11_16", SUNDAY),
                (f"weeks.{table}_2026_11_23", MONDAY),
                (f"weeks.{table}_after", FAR),
            ]
        found = weeks(connection)
    assert [week.monday for week in found] == [date(2026, 11, 16), date(2026, 11, 23)]
    assert all(week.bytes > 0 for week in found)


def test_a_question_about_days_reads_their_weeks_alone(hub: Hub, send: Callable[..., None]) -> None:
    send(ledger(SUNDAY, MONDAY))
    with hub.engine.connect() as connection:
        assert [row.parts for row in defects(connection, 1, MONDAY)] == [1]
        plan = connection.execute(
            text("EXPLAIN SELECT * FROM finding WHERE station_id = 1 AND utc_ns >= :at"),
            {"at": MONDAY},
        )
        said = "\n".join(line for (line,) in plan)
    assert "finding_2026_11_23" in said and "finding_2026_11_16" not in said


def test_a_week_let_go_comes_back_from_the_segments(hub: Hub, send: Callable[..., None]) -> None:
    send(ledger(SUNDAY, MONDAY))
    with hub.engine.begin() as connection:
        before = rows_of(connection)
        assert let_go(connection, date(2026, 11, 22)) == []  # it has not ended
        assert let_go(connection, date(2026, 11, 23)) == [date(2026, 11, 16)]
        assert [at for _, at in where(connection, "verdict")] == [MONDAY]
        assert rows_of(connection)["tally"] == before["tally"]  # yields stay
    with hub.engine.begin() as connection:
        reindex(connection, hub.blobs, 1)
        assert rows_of(connection) == before


def test_the_command_lists_weeks_and_lets_old_ones_go(
    hub: Hub, send: Callable[..., None], database: str, tmp_path: Path
) -> None:
    send(ledger(SUNDAY, MONDAY))

    def said(*words: str) -> Any:
        where = ["--database", database, "--home", str(tmp_path / "hub")]
        done = CliRunner().invoke(app, ["hub", "weeks", *where, *words])
        return done.exception if done.exit_code else json.loads(done.stdout)

    assert [w["monday"] for w in said("--json")["weeks"]] == ["2026-11-16", "2026-11-23"]
    told = said("--drop-before", "2026-11-30", "--json")
    assert told == {"gone": ["2026-11-16", "2026-11-23"], "weeks": []}
    assert "is no day such as" in str(said("--drop-before", "30.11.2026"))


def test_a_week_that_somebody_holds_is_let_go_later(
    hub: Hub, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that needs a new week waited for the one who let old ones go, who waited for it."""
    send(ledger(SUNDAY))
    monkeypatch.setattr(database_module, "LOCK_WAIT_S", 0.1)
    hub.engine.dispose()
    with hub.engine.begin() as reader:
        reader.execute(text("SELECT FROM verdict"))
        with pytest.raises(HubError, match="try again"), hub.engine.begin() as connection:
            let_go(connection, date(2026, 11, 23))
    with hub.engine.begin() as connection:
        assert let_go(connection, date(2026, 11, 23)) == [date(2026, 11, 16)]


def test_a_hub_that_does_not_know_of_it_makes_the_week_again(
    hub: Hub, send: Callable[..., None]
) -> None:
    """A station that was away comes with records of a week that another hub has let go."""
    records = ledger(SUNDAY, SUNDAY + 1)
    before = len(records) - 2  # the second part's verdict and gate decision
    send(records[:before])
    with hub.engine.begin() as connection:
        let_go(connection, date(2026, 11, 23))
    with pytest.raises(DBAPIError, match="no partition"):
        send(records, first=before)
    send(records, first=before)
    with hub.engine.connect() as connection:
        assert [at for _, at in where(connection, "verdict")] == [SUNDAY + 1]


def test_two_hubs_make_the_same_week_at_once(hub: Hub) -> None:
    import threading

    hours = [MONDAY // 3_600_000_000_000 + 168 * week for week in range(4)]
    threads = [threading.Thread(target=Weeks(hub.engine).ready, args=(hours,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with hub.engine.connect() as connection:
        assert len(weeks(connection)) == 4


def test_sqlite_has_none_and_says_so(tmp_path: Path) -> None:
    hub = open_hub(tmp_path / "hub")
    with hub.engine.begin() as connection:
        assert weeks(connection) == []
        with pytest.raises(HubError, match="no weeks to let go"):
            let_go(connection, date(2030, 1, 1))
    hub.close()


@pytest.mark.parametrize(
    ("hour", "monday"),
    [
        (MONDAY // 3_600_000_000_000, date(2026, 11, 23)),
        (MONDAY // 3_600_000_000_000 - 1, date(2026, 11, 16)),
        (instant(2020, 1, 6) // 3_600_000_000_000, FIRST),
        (instant(2020, 1, 5) // 3_600_000_000_000, date(2019, 12, 30)),
        (0, date(2019, 12, 30)),
        (instant(2099, 12, 27, 23) // 3_600_000_000_000, date(2099, 12, 21)),
        (instant(2099, 12, 28) // 3_600_000_000_000, END),
        ((1 << 63) // 3_600_000_000_000, END),
    ],
)
def test_a_week_begins_on_monday(hour: int, monday: date) -> None:
    assert monday_of(hour) == monday and monday.weekday() == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_database_is_sliced_with_all_that_is_in_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("database")
    engine = connect(url)
    with engine.begin() as connection:
        command.upgrade(migrations(connection), "0001")
    verdicts: list[dict[str, Any]] = [
        {"p": position, "at": at, "part": bytes([position]) * 16}
        for position, at in ((1, SUNDAY), (4, MONDAY), (7, OFF))
    ]
    with engine.begin() as connection:
        for row in verdicts:
            connection.execute(
                text(
                    "INSERT INTO verdict (station_id, position, context, sequence, outcome, utc_ns,"
                    " part, serial) VALUES (1, :p, 0, :p, 1, :at, :part, 'S')"
                ),
                row,
            )
            connection.execute(
                text(
                    "INSERT INTO finding (station_id, position, number, tool, kind, label, view,"
                    " severity, score, reason)"
                    " VALUES (1, :p, 0, 't', 'k', 'dent', 'side', 'major', 0.5, 'r')"
                ),
                row,
            )
            connection.execute(text("INSERT INTO gate VALUES (1, 0, :p, :p + 1, 1, 1)"), row)
    engine.dispose()

    engine = open_database(url)
    with engine.begin() as connection:
        after = rows_of(connection)
        for table in SLICED:
            instants = connection.execute(text(f"SELECT utc_ns FROM {table} ORDER BY utc_ns"))
            assert list(instants.scalars()) == [OFF, SUNDAY, MONDAY], table
        if kind == "postgresql":
            assert [name for name, _ in where(connection, "gate")] == [
                "weeks.gate_before", "weeks.gate_2026_11_16", "weeks.gate_2026_11_23",
            ]  # fmt: skip
    with engine.begin() as connection:
        command.downgrade(migrations(connection), "0001")
    with engine.begin() as connection:
        command.upgrade(migrations(connection), "head")
        assert rows_of(connection) == after
    engine.dispose()
