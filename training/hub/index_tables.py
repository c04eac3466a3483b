"""The tables that index the records of every station: they can be made again from the segments.

Leaves: SQLAlchemy models; `tables` has all others and names these too, `reindex` makes them again.
A place is (station, position in its ledger). On PostgreSQL verdicts, findings and gate decisions
lie in a partition for each week (`weeks`), so ``utc_ns`` is part of their keys there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

OUTCOMES = ("pass", "reject", "error", "not_inspected")
"""`Verdict.outcome` is a place here: the numbers of the station's ledger, for ever."""
MODES = ("auto", "setup", "cleaning", "challenge", "bypass")
"""`Tally.mode` and `Context.mode` likewise."""


class Base(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


# The index over the line's records.


class Context(Base):
    """What neighbouring verdicts share; `Verdict.context` is its position."""

    __tablename__ = "context"
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stream_at: Mapped[int]
    """Position of its stream's definition."""
    stream: Mapped[str] = mapped_column(Text)
    mode: Mapped[int] = mapped_column(SmallInteger)
    batch: Mapped[str] = mapped_column(Text)
    recipe: Mapped[str] = mapped_column(Text)
    """``name@revision``."""
    recipe_digest: Mapped[str] = mapped_column(Text)
    models: Mapped[list[Any]]
    """Digests."""
    software: Mapped[str] = mapped_column(Text)
    __table_args__ = (Index("context_batch", "batch"),)


class Definition(Base):
    """A definition's exact bytes: what later segments refer to."""

    __tablename__ = "definition"
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Verdict(Base):
    """One part's verdict. All that it says beyond this is in its segment: `records.verdict`."""

    __tablename__ = "verdict"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    context: Mapped[int]
    sequence: Mapped[int]
    outcome: Mapped[int] = mapped_column(SmallInteger)
    utc_ns: Mapped[int]
    part: Mapped[bytes] = mapped_column(LargeBinary)
    serial: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (
        Index("verdict_part", "part"),
        Index(
            "verdict_serial",
            "serial",
            sqlite_where=serial.column.isnot(None),
            postgresql_where=serial.column.isnot(None),
        ),
        {"sqlite_with_rowid": False},
    )


class Finding(Base):
    """What was wrong with a part: the findings that were not ok, in their order."""

    __tablename__ = "finding"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    """Of its verdict."""
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tool: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text, index=True)
    view: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    score: Mapped[float]
    box: Mapped[list[Any] | None] = mapped_column(JSON)
    """``[x1, y1, x2, y2]`` in pixels of the view, or null."""
    text: Mapped[str | None] = mapped_column(Text)
    value: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Text)
    utc_ns: Mapped[int]
    """Of its verdict."""


class Gate(Base):
    """What the gate was told about a part, each time."""

    __tablename__ = "gate"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    stream_at: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[int] = mapped_column(SmallInteger)
    """0 permit, 1 reject, 2 revoke."""
    acknowledged: Mapped[int] = mapped_column(SmallInteger)
    utc_ns: Mapped[int]
    """Of the last verdict before it in the ledger; its own time is a monotonic one."""
    __table_args__ = ({"sqlite_with_rowid": False},)


class Tally(Base):
    """Parts per hour, context and outcome: what yields and charts add up."""

    __tablename__ = "tally"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    hour: Mapped[int] = mapped_column(primary_key=True)
    """UTC hours since 1970, by the station's clock."""
    context: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    parts: Mapped[int]


class BatchChange(Base):
    """A batch that began or ended."""

    __tablename__ = "batch"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[str] = mapped_column(Text, index=True)
    action: Mapped[str] = mapped_column(Text)
    """``begin`` or ``end``."""
    principal: Mapped[str] = mapped_column(Text)
    product: Mapped[str] = mapped_column(Text)
    recipe: Mapped[str] = mapped_column(Text)
    utc_ns: Mapped[int]


class Event(Base):
    """What happened or was done, of either ledger: alarms, requests, approvals, reviews too."""

    __tablename__ = "event"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ledger: Mapped[str] = mapped_column(String(8), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    principal: Mapped[str] = mapped_column(Text)
    utc_ns: Mapped[int]
    body: Mapped[dict[str, Any]]
    """As JSON; bytes are spelled in hex."""
    __table_args__ = (Index("event_kind", "kind", "utc_ns"),)


class Image(Base):
    """A picture that a station has in its archive; whether the centre has it, `Blob` says."""

    __tablename__ = "image"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    view: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]


# The index over the desk's records.


class Review(Base):
    """A person's decision about a part, from a station's desk (kind ``review``)."""

    __tablename__ = "review"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    """In the desk's ledger."""
    part: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    view: Mapped[str] = mapped_column(Text)
    decision: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    labels: Mapped[list[Any]]
    """``[{"label", "box" | "polygon", "severity"}]``, as the desk has it."""
    reason: Mapped[str] = mapped_column(Text)
    principal: Mapped[str] = mapped_column(Text)
    utc_ns: Mapped[int]


class Tag(Base):
    """A value of the process at an instant: a temperature, a filler's pressure (S5). Not out of a
    segment, but checked against the desk's record that sealed it (`sealed`)."""

    __tablename__ = "tag"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    """In the station's ``tags.db``."""
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    utc_ns: Mapped[int]
    value: Mapped[float | None]
    text: Mapped[str | None] = mapped_column(Text)
    """The quality: ``good``, ``uncertain`` or ``bad``."""
    unit: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (Index("tag_name", "name", "utc_ns"),)
