"""Every table of the centre, portable between SQLite and PostgreSQL.

Leaves: SQLAlchemy models; `training.hub.database` opens them, ``migrations`` brings an older
database up to them. Whoever builds on the centre's data imports this.

The truth is the segments: exact records as the station hashed them, whole in the blob store. Every
table from `Verdict` to `Image` is an index of them that can be made again (`ingest.reindex`), so a
change here never touches what was acknowledged. Places are (station, position in its ledger), as
in the station; instants are UTC in nanoseconds; digests are 64 hex digits; a part's id is the 16
bytes of its UUID.
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
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts: SQLite does so for INTEGER alone."""

OUTCOMES = ("pass", "reject", "error", "not_inspected")
"""`Verdict.outcome` is a place here: the numbers of the station's ledger, for ever."""
MODES = ("auto", "setup", "cleaning", "challenge", "bypass")
"""`Tally.mode` and `Context.mode` likewise."""


class Base(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


# Who reports, and who asks.


class Key(Base):
    """The centre's own public key: a second hub on this database must hold the same one."""

    __tablename__ = "hub_key"
    one: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    """Always 1."""
    public: Mapped[bytes] = mapped_column(LargeBinary)
    """Ed25519, raw, 32 bytes."""


class Station(Base):
    """A station that has enrolled."""

    __tablename__ = "station"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    site: Mapped[str] = mapped_column(String(128), default="")
    line: Mapped[str] = mapped_column(String(128), default="")
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """Ed25519, raw, 32 bytes: the one that signs its checkpoints, segments and sessions."""
    enrolled_utc_ns: Mapped[int]
    seen_utc_ns: Mapped[int] = mapped_column(default=0)
    """By the centre's clock, when it last sent anything."""
    revoked: Mapped[int] = mapped_column(SmallInteger, default=0)
    """1 when its key is no longer believed."""
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What it last said of itself: ``software``, ``behind`` (records), ``utc_ns``, ``models`` …"""


class Enrolment(Base):
    """A token by which one station may enrol, once."""

    __tablename__ = "enrolment"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the token; the token itself is shown once and not kept."""
    station: Mapped[str] = mapped_column(String(64), default="")
    """The only station that may use it; empty: any new one."""
    made_by: Mapped[str] = mapped_column(String(128))
    made_utc_ns: Mapped[int]
    expires_utc_ns: Mapped[int]
    used_utc_ns: Mapped[int] = mapped_column(default=0)
    used_by: Mapped[str] = mapped_column(String(64), default="")


class Person(Base):
    """Somebody who may log in at the centre."""

    __tablename__ = "person"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    roles: Mapped[str] = mapped_column(String(256))
    """By comma, of `inspector.identity.Role`."""
    password: Mapped[str] = mapped_column(String(256))
    """argon2id."""
    disabled: Mapped[int] = mapped_column(SmallInteger, default=0)
    wrong: Mapped[int] = mapped_column(Integer, default=0)
    """Wrong passwords in a row."""
    locked_until_ns: Mapped[int] = mapped_column(default=0)
    made_by: Mapped[str] = mapped_column(String(128))
    made_utc_ns: Mapped[int]


class Session(Base):
    """A station or person that has shown who it is; any hub of the group believes it."""

    __tablename__ = "session"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the token that it carries."""
    kind: Mapped[str] = mapped_column(String(8))
    """``station`` or ``person``."""
    name: Mapped[str] = mapped_column(String(64))
    expires_utc_ns: Mapped[int] = mapped_column(index=True)


# How far each station's ledgers have come: the truth.


class Ledger(Base):
    """One of a station's two ledgers, as far as the centre has it."""

    __tablename__ = "ledger"
    station_id: Mapped[int] = mapped_column(
        Integer, ForeignKey("station.id"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(String(8), primary_key=True)
    """``line`` or ``desk``."""
    size: Mapped[int] = mapped_column(default=0)
    """Records acknowledged: positions 0 … size - 1."""
    edge: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    """The edge of their Merkle tree, 32 bytes for each 1 in the binary size."""
    root: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    utc_ns: Mapped[int] = mapped_column(default=0)
    """Of the newest verdict or desk record, by the station's clock."""


class Segment(Base):
    """A run of exact records, whole in the blob store, under the station's signature."""

    __tablename__ = "segment"
    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"))
    ledger: Mapped[str] = mapped_column(String(8))
    first: Mapped[int]
    """Position of its first record."""
    count: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the file: its key in the blob store."""
    size: Mapped[int]
    """Bytes of the file."""
    edge: Mapped[bytes] = mapped_column(LargeBinary)
    """The edge of the ledger's Merkle tree after it: a root at any size takes one segment."""
    received_utc_ns: Mapped[int]
    __table_args__ = (UniqueConstraint("station_id", "ledger", "first"),)


class Checkpoint(Base):
    """A checkpoint that a station signed and the centre countersigned."""

    __tablename__ = "checkpoint"
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    line_size: Mapped[int]
    desk_size: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    countersignature: Mapped[bytes] = mapped_column(LargeBinary)
    """The centre's, over `inspector.sync.receipt.countersigned`."""
    utc_ns: Mapped[int]
    """By the station's clock."""


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
    """A value of the process at an instant: a temperature, a filler's pressure (S5)."""

    __tablename__ = "tag"
    station_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True)
    """In the desk's ledger."""
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    utc_ns: Mapped[int]
    value: Mapped[float | None]
    text: Mapped[str | None] = mapped_column(Text)
    unit: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (Index("tag_name", "name", "utc_ns"),)


# Pictures, and why they are here.


class Blob(Base):
    """Content that the blob store has whole."""

    __tablename__ = "blob"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    received_utc_ns: Mapped[int]


class Sample(Base):
    """A part's picture that was chosen to learn from, why, and how likely that was."""

    __tablename__ = "sample"
    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"))
    part: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    view: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    """``threshold``, ``disagreement``, ``novelty``, ``rare``, ``random``, ``review``,
    ``complaint``."""
    stratum: Mapped[str] = mapped_column(Text, default="")
    probability: Mapped[float | None]
    """Of its part having been chosen (Horvitz and Thompson 1952); null for what was added
    afterwards by a review or a complaint, which no estimate may count."""
    chosen_utc_ns: Mapped[int]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    __table_args__ = (UniqueConstraint("station_id", "part", "view"),)


class Complaint(Base):
    """What after-sales heard about a product, traced to the part's record (S21)."""

    __tablename__ = "complaint"
    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    serial: Mapped[str] = mapped_column(Text, index=True)
    station_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("station.id"))
    """Null until a record of this serial is here."""
    part: Mapped[bytes | None] = mapped_column(LargeBinary)
    label: Mapped[str] = mapped_column(Text)
    """The defect that the customer found."""
    text: Mapped[str] = mapped_column(Text)
    escape: Mapped[int] = mapped_column(SmallInteger, default=0)
    """1 when the station had let it pass."""
    made_by: Mapped[str] = mapped_column(String(128))
    made_utc_ns: Mapped[int]


class Wish(Base):
    """A picture that the centre asks a station for: it sends it with its next samples."""

    __tablename__ = "wish"
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    part: Mapped[bytes] = mapped_column(LargeBinary)
    why: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(String(128))
    made_utc_ns: Mapped[int]


class Alarm(Base):
    """Something that is wrong with a station or what it sent."""

    __tablename__ = "alarm"
    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), index=True)
    code: Mapped[str] = mapped_column(String(32))
    """``gap``, ``fork``, ``changed``, ``signature``, ``image``, ``cut`` …"""
    detail: Mapped[str] = mapped_column(Text)
    since_utc_ns: Mapped[int]
    last_utc_ns: Mapped[int]
    times: Mapped[int] = mapped_column(Integer, default=1)
    closed_by: Mapped[str] = mapped_column(String(128), default="")
    """Who has dealt with it; empty while it stands."""


# Models on their way back.


class Release(Base):
    """A signed release: a model or recipe with its card, as an archive in the blob store."""

    __tablename__ = "release"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    version: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    """Of the archive: its key in the blob store."""
    size: Mapped[int]
    card: Mapped[dict[str, Any]]
    signatures: Mapped[list[Any]]
    """``[{"principal", "key", "signature"}]``: four eyes."""
    made_by: Mapped[str] = mapped_column(String(128))
    made_utc_ns: Mapped[int]
    __table_args__ = (UniqueConstraint("name", "version"),)


class Channel(Base):
    """Which release a station is to run, and how far it may go with it."""

    __tablename__ = "channel"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    """The release's name."""
    stage: Mapped[str] = mapped_column(String(16))
    """``shadow``, ``canary`` or ``champion``."""
    release_id: Mapped[int] = mapped_column(Integer, ForeignKey("release.id"))
    stations: Mapped[list[Any]]
    """Names; empty is every station."""
    set_by: Mapped[str] = mapped_column(String(128))
    set_utc_ns: Mapped[int]
    __table_args__ = (UniqueConstraint("name", "stage"),)
