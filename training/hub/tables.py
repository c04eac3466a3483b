"""Every table of the centre, portable between SQLite and PostgreSQL.

Leaves: SQLAlchemy models; `training.hub.database` opens them, ``migrations`` brings an older
database up to them. Whoever builds on the centre's data imports this.

The truth is the segments: exact records as the station hashed them, whole in the blob store. The
tables of `index_tables` can be made again from them (`reindex`), so a change there never touches
what was acknowledged. Places are (station, position in its ledger), as
in the station; instants are UTC in nanoseconds; digests are 64 hex digits; a part's id is the 16
bytes of its UUID.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from training.hub.index_tables import (
    MODES,
    OUTCOMES,
    Base,
    BatchChange,
    Context,
    Definition,
    Event,
    Finding,
    Gate,
    Image,
    Review,
    Tag,
    Tally,
    Verdict,
)

__all__ = [
    "MODES", "OUTCOMES", "Alarm", "Base", "BatchChange", "Blob", "Channel", "Checkpoint",
    "Complaint", "Context", "Definition", "Enrolment", "Event", "Finding", "Gate", "Image", "Key",
    "Ledger", "Person", "Release", "Review", "Sample", "Segment", "Session", "Station", "Tag",
    "Tally", "Verdict", "Wish",
]  # fmt: skip

SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts: SQLite does so for INTEGER alone."""

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


GONE = "gone"


class Wish(Base):
    """A picture that the centre asks a station for: it sends it with its next samples."""

    __tablename__ = "wish"
    station_id: Mapped[int] = mapped_column(Integer, ForeignKey("station.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    part: Mapped[bytes] = mapped_column(LargeBinary)
    why: Mapped[str] = mapped_column(Text)
    """``asked``, ``complaint``; `GONE` once the station has said that it has the picture no more,
    and is asked for it no more."""
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
