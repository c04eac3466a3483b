"""Process values beside the verdicts: what the machine did when a part was made (S1, S5, S22).

Enters: samples of named tags from the plant's side (OPC UA, MQTT, the MES), each batch of them with
its principal. Leaves: series, and the last values at any moment, such as a verdict's. Every room
may import this; several processes may write at once.

The samples stand in ``<data>/tags.db``, append-only by position, because a ledger record for each
would cost more than the parts do. About once a minute a desk record of kind ``tags`` seals what has
come since: ``first`` and ``last`` position, ``count``, and ``sha256`` over the exact content, so a
changed, removed or inserted sample is found by `walk_tags`, and the desk's chain vouches for it.
Values join verdicts by time alone: the line's hot path knows nothing of tags.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError, StoreError
from inspector.store.related import desk_records
from inspector.store.report import Report

KIND = "tags"
"""The kind of the desk's records that seal samples."""
LOST = "tags.lost"
"""The kind of those that say which sealed samples are here no more: a disk went with them."""
FILE = "tags.db"
SCHEMA = 1
SEAL_S = 60.0
SERIES_MAX = 100_000
FRESH_S = 3600.0
"""A last value older than this is no value of the part any more."""
_SCHEMA = """
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL,
  UNIQUE (name, unit));
CREATE TABLE sample (position INTEGER PRIMARY KEY, tag INTEGER NOT NULL, utc_ns INTEGER NOT NULL,
  value REAL, quality INTEGER NOT NULL, principal TEXT NOT NULL);
CREATE INDEX sample_time ON sample (tag, utc_ns);
CREATE TABLE sealed (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER, at_ns INTEGER);
INSERT INTO sealed VALUES (1, 0, 0);
"""


class Quality(StrEnum):
    """How far a value may be believed, after OPC UA's severities."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    """The source could not read it; the value is the last one, or none."""


# The stored number of a quality is its place here: append only.
QUALITIES = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one tag."""

    tag: str
    value: float | None
    """None where the source had none; a switch is 0 or 1."""
    unit: str
    """UCUM, such as ``Cel``, ``bar``, ``mm/s``; ``1`` where there is none."""
    utc_ns: int
    """When the source says it was so."""
    quality: Quality = Quality.GOOD


class Tags:
    """The process values of a station. Safe to share between threads."""

    def __init__(
        self,
        data_dir: Path | str,
        *,
        seal_s: float = SEAL_S,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """
        Args:
            seal_s: samples are sealed by the first `add` after this long.

        Raises:
            StoreError: the disk does not let us.
        """
        self._data_dir = Path(data_dir)
        self._path = self._data_dir / FILE
        self._seal_ns, self._utc_ns = int(seal_s * 1e9), utc_ns
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, str], int] = {}
        self._tried_ns = 0
        """When a seal was tried last."""
        self._desk: DeskLedger | None = None
        with self._sound():
            self._data_dir.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self._path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # what is sealed must be on the disk
            self._db.execute("BEGIN IMMEDIATE")
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
            self._db.execute("COMMIT")

    def add(self, samples: Sequence[Sample], principal: str) -> int:
        """Keeps samples, durable when it returns; gives how many. Seals what is due; where the desk
        cannot, it is tried again after as long: they are kept, and who sent them must not do it
        once more.

        Raises:
            RecordError: no principal (I9), a tag or unit that is no name, a value that is no
                number. None of them is kept.
            StoreError: they were not written.
        """
        if not principal.strip():
            raise RecordError("every write names its principal (I9): it is empty here")
        for sample in samples:
            _check(sample)
        if not samples:
            return 0
        with self._lock, self._sound(), self._transaction():
            # Behind what is sealed too, for that may be lost; its places are not given twice.
            last, at_ns = self._db.execute(
                "SELECT max(last, (SELECT coalesce(max(position), 0) FROM sample)), at_ns"
                " FROM sealed"
            ).fetchone()
            rows = [
                (
                    position,
                    self._id(sample.tag, sample.unit),
                    sample.utc_ns,
                    sample.value,
                    QUALITIES.index(sample.quality),
                    principal,
                )
                for position, sample in enumerate(samples, last + 1)
            ]
            self._db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?)", rows)
        at_ns = max(at_ns, self._tried_ns)
        if self._utc_ns() - at_ns >= self._seal_ns or self._utc_ns() < at_ns:
            self._tried_ns = self._utc_ns()
            with suppress(StoreError):
                self.seal(principal)
        return len(samples)

    def seal(self, principal: str) -> int:
        """Seals what has come since the last seal; gives how many samples that were.

        The record is written while no other process can write a sample: were it written and the
        mark not, the next seal would cover these samples once more, which harms nobody.
        """
        with self._lock, self._sound(), self._transaction():
            last = self._db.execute("SELECT last FROM sealed").fetchone()[0]
            count, end, digest = _digest(self._db, last + 1, 1 << 62)
            if count:
                if self._desk is None:
                    self._desk = DeskLedger.open(self._data_dir)
                body = {"first": last + 1, "last": end, "count": count, "sha256": digest}
                self._desk.add(KIND, body, principal)
            self._db.execute(
                "UPDATE sealed SET last = ?, at_ns = ?", (max(last, end), self._utc_ns())
            )
        return count

    def give_up(self, principal: str) -> int:
        """Records that sealed samples which are not here are lost; gives how many they are.

        For a station whose desk came back from its centre while this file is of a back-up.
        """
        with self._lock, self._sound(), self._transaction():
            (last,) = self._db.execute("SELECT last FROM sealed").fetchone()
            seals = [record.body for record in desk_records(self._data_dir, KIND)]
            end = max((int(seal["last"]) for seal in seals), default=0)
            if end <= last:
                return 0
            sealed = sum(int(seal["count"]) for seal in seals if seal["first"] > last)
            here, _, _ = _digest(self._db, last + 1, end)
            with DeskLedger.open(self._data_dir) as desk:
                desk.add(LOST, {"first": last + 1, "last": end, "count": sealed - here}, principal)
            self._db.execute("UPDATE sealed SET last = ?", (end,))
        return sealed - here

    def names(self) -> tuple[tuple[str, str], ...]:
        """Every tag with its unit, by name."""
        with self._lock, self._sound():
            return tuple(self._db.execute("SELECT name, unit FROM tag ORDER BY name, unit"))

    def at(self, utc_ns: int, *, fresh_s: float = FRESH_S) -> tuple[Sample, ...]:
        """The last value of each tag at a moment, by name; those older than ``fresh_s`` are left
        out."""
        with self._lock, self._sound():
            found = []
            for id, name, unit in self._db.execute("SELECT id, name, unit FROM tag ORDER BY name"):
                row = self._db.execute(
                    "SELECT value, utc_ns, quality FROM sample WHERE tag = ? AND utc_ns <= ?"
                    " AND utc_ns >= ? ORDER BY utc_ns DESC, position DESC LIMIT 1",
                    (id, utc_ns, utc_ns - int(fresh_s * 1e9)),
                ).fetchone()
                if row is not None:
                    found.append(Sample(name, row[0], unit, row[1], QUALITIES[row[2]]))
        return tuple(found)

    def series(
        self, tag: str, from_ns: int, to_ns: int, *, limit: int = SERIES_MAX
    ) -> tuple[Sample, ...]:
        """The samples of a tag from a moment (included) to another (not), oldest first."""
        with self._lock, self._sound():
            rows = self._db.execute(
                "SELECT value, unit, utc_ns, quality FROM sample JOIN tag ON tag.id = sample.tag"
                " WHERE name = ? AND utc_ns >= ? AND utc_ns < ? ORDER BY utc_ns, position LIMIT ?",
                (tag, from_ns, to_ns, limit),
            ).fetchall()
        return tuple([Sample(tag, v, unit, at, QUALITIES[q]) for v, unit, at, q in rows])

    def close(self) -> None:
        """Lets go of the files. What is not sealed yet is sealed by the next `add`, whoever's."""
        with self._lock:
            self._db.close()
            if self._desk is not None:
                self._desk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _id(self, name: str, unit: str) -> int:
        id = self._ids.get((name, unit))
        if id is None:
            self._db.execute("INSERT OR IGNORE INTO tag (name, unit) VALUES (?, ?)", (name, unit))
            id = self._db.execute(
                "SELECT id FROM tag WHERE name = ? AND unit = ?", (name, unit)
            ).fetchone()[0]
            self._ids[name, unit] = id
        return int(id)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._ids.clear()  # a full disk rolls back by itself, new tags and all
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}") from error


def walk_tags(data_dir: Path, report: Report) -> None:
    """Adds to a report what is wrong with the samples that the desk's records seal."""
    path = data_dir / FILE
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) if path.exists() else None
    try:
        # Before the seals are read: a seal is at the desk before this mark says so.
        mark = None if db is None else db.execute("SELECT last FROM sealed").fetchone()
        seals = [record.body for record in desk_records(data_dir, KIND)]
        lost = [record.body for record in desk_records(data_dir, LOST)]
        if db is not None:
            _walk(db, mark, seals, lost, report)
        elif seals:
            report.add(FILE, f"is gone; the desk has sealed {seals[-1].get('last')} samples")
    except StoreError:
        return  # the desk's own walk has said so
    except (sqlite3.Error, struct.error, KeyError, TypeError, ValueError) as error:
        report.add(FILE, f"cannot be read any further: {error}")
    finally:
        if db is not None:
            db.close()


def _walk(
    db: sqlite3.Connection,
    mark: tuple[int] | None,
    seals: list[dict[str, Any]],
    lost: list[dict[str, Any]],
    report: Report,
) -> None:
    upto = 0
    for seal in seals:
        first, last = int(seal["first"]), int(seal["last"])
        count, _, digest = _digest(db, first, last)
        if first > upto + 1:
            report.add(f"{FILE} samples {upto + 1} to {first - 1}", "were never sealed")
        if (count, digest) != (seal["count"], seal["sha256"]) and not _covers(lost, first, last):
            report.add(
                f"{FILE} samples {first} to {last}",
                "were changed: they are not those that the desk has sealed"
                if count == seal["count"]
                else f"are {count}; the desk has sealed {seal['count']}",
            )
        upto = max(upto, last)
    report.unknown += [
        f"{one['count']} process values were lost with a disk, as the desk has recorded"
        for one in lost
    ]
    if mark is None or not isinstance(mark[0], int) or mark[0] > upto:
        said = "nothing" if mark is None else f"{mark[0]!r:.40} samples"
        report.add(FILE, f"says that {said} is sealed; the desk has sealed {upto}")
    if db.execute("SELECT 1 FROM sample WHERE position < 1 LIMIT 1").fetchone():
        report.add(FILE, "has a sample before the first one")
    loose = db.execute("SELECT count(*) FROM sample WHERE position > ?", (upto,)).fetchone()[0]
    if loose:
        report.unknown.append(f"the last {loose} process values are not sealed yet")


def are_lost(data_dir: Path, first: int, last: int) -> bool:
    """Whether the desk has recorded that samples among these went with a disk."""
    return _covers([record.body for record in desk_records(data_dir, LOST)], first, last)


def _covers(lost: list[dict[str, Any]], first: int, last: int) -> bool:
    return any(one["first"] <= first and last <= one["last"] for one in lost)


def sealed_rows(data_dir: Path, first: int, last: int) -> list[Row]:
    """The samples at these positions, as `digest_of` takes them; for who sends them elsewhere.

    Raises:
        StoreError: they cannot be read.
    """
    path = data_dir / FILE
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return list(_rows(db, first, last))
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


Row = tuple[int, str, str, int, float | None, int, str]
"""Position, tag, unit, UTC, value, quality's number, principal."""


def digest_of(rows: Iterable[Row]) -> tuple[int, int, str]:
    """Count, last position and SHA-256 of samples: what a seal says of them."""
    digest, count, end = hashlib.sha256(), 0, 0
    for position, name, unit, utc_ns, value, quality, principal in rows:
        number = b"" if value is None else struct.pack(">d", value)
        fields = [str(name).encode(), str(unit).encode(), number, str(principal).encode()]
        digest.update(struct.pack(">qqq", position, utc_ns, quality))
        for field in fields:
            digest.update(len(field).to_bytes(4, "big") + field)
        count, end = count + 1, position
    return count, end, digest.hexdigest()


def _digest(db: sqlite3.Connection, first: int, last: int) -> tuple[int, int, str]:
    return digest_of(_rows(db, first, last))


def _rows(db: sqlite3.Connection, first: int, last: int) -> Iterator[Row]:
    yield from db.execute(
        "SELECT position, name, unit, utc_ns, value, quality, principal FROM sample"
        " LEFT JOIN tag ON tag.id = sample.tag WHERE position BETWEEN ? AND ? ORDER BY position",
        (first, last),
    )


def _check(sample: Sample) -> None:
    if not 1 <= len(sample.tag) <= 128 or not sample.tag.isprintable():
        raise RecordError(f"a tag's name is 1 to 128 printable characters: {sample.tag!r:.80}")
    unit = sample.unit
    if not 1 <= len(unit) <= 32 or not all("!" <= character <= "~" for character in unit):
        raise RecordError(f"no UCUM unit, such as `Cel`, `bar` or `1`: {unit!r:.80}")
    if sample.value is not None and not math.isfinite(sample.value):
        raise RecordError(f"tag {sample.tag!r:.80}: {sample.value} is no value; say None, and bad")
    if not 0 < sample.utc_ns < 1 << 63:
        raise RecordError(f"tag {sample.tag!r:.80}: no time since 1970: {sample.utc_ns}")
