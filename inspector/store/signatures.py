"""Electronic signatures after 21 CFR Part 11: who put a name under what, meaning what.

Enters: a subject (a kind, an id, exactly what is signed), a meaning, a name with its PIN or
password. Leaves: desk records of kind ``signature``, and those of a subject. Every room may import
this; ``inspector.identity.Users`` checks the secrets. The records are the truth;
``<data>/signatures.db`` is an index of them (`deskindex`).

A ``signature`` record's body has ``meaning``, ``kind`` and ``subject`` (what was signed), its
``sha256``, ``by`` (``pin`` or ``password``), ``batch`` where it concerns one, and ``remark``; its
principal is the signer and its time the signing's (11.50). Every signature takes the secret anew: a
session is no signature (11.200). The digest goes over kind, id and content together, so a signature
that is copied to another subject does not fit it; and it stands in the desk's chain, so one that is
taken out is missed by ``inspector verify`` (11.70).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from inspector.store import schema
from inspector.store.cbor import encode
from inspector.store.desk import DeskLedger
from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.errors import RecordError
from inspector.store.layout import desk_record
from inspector.store.records import DeskRecord
from inspector.store.related import body_at, reading

KIND = "signature"
"""The kind of these desk records."""
DESK = "desk_record"
"""The kind of a subject that is a record of the desk; its id is its position."""
VERSION = 1
REMARK_MAX = 1000
_TABLES = """
CREATE TABLE signature (kind TEXT, subject TEXT, position INTEGER PRIMARY KEY);
CREATE INDEX signature_subject ON signature (kind, subject);
"""


class Signer(Protocol):
    """Somebody who is known by now."""

    @property
    def id(self) -> str: ...


Who = TypeVar("Who", bound=Signer, covariant=True)


class Secrets(Protocol[Who]):
    """Checks secrets; ``inspector.identity.Users`` does. Raises for a wrong one."""

    def verify_pin(self, user: str, pin: str) -> Who: ...
    def verify_password(self, user: str, password: str) -> Who: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is signed."""

    kind: str
    """Such as ``first_article``, ``line_clearance``, ``batch_release``."""
    id: str
    """Which one of its kind."""
    sha256: str
    """Of kind, id and content, 64 hex digits."""
    batch: str = ""
    """The batch it is about; the batch's report and package then carry the signature."""

    @classmethod
    def of(cls, kind: str, id: str, content: Mapping[str, Any], batch: str = "") -> Subject:
        """A subject whose ``content`` is what the signer was shown: texts, numbers, lists, maps.

        Raises:
            RecordError: no kind or id, or content that CBOR cannot hold.
        """
        if not kind or not id:
            raise RecordError("a signature is under something: its kind and id are needed")
        signed = encode([kind, id, dict(content)])
        return cls(kind, id, hashlib.sha256(signed).hexdigest(), batch)

    @classmethod
    def record(cls, data_dir: Path | str, position: int, batch: str = "") -> Subject:
        """A subject that is a record of the desk, byte for byte.

        Raises:
            StoreError: there is no such record.
        """
        with reading(Path(data_dir) / schema.DESK_FILE) as desk:
            body = body_at(desk, position)
        signed = encode([DESK, str(position), body])
        return cls(DESK, str(position), hashlib.sha256(signed).hexdigest(), batch)


@dataclass(frozen=True, slots=True)
class Signature:
    """One that was given."""

    name: str
    """The signer's user id."""
    meaning: str
    """Such as ``checked``, ``approved``, ``released``."""
    kind: str
    subject: str
    sha256: str
    by: str
    """``pin`` or ``password``."""
    utc_ns: int
    batch: str
    remark: str
    position: int
    """Of its record at the desk."""

    def fits(self, subject: Subject) -> bool:
        """Whether this was given under ``subject`` as it is now: same thing, same content."""
        return (self.kind, self.subject, self.sha256) == (subject.kind, subject.id, subject.sha256)


def sign(
    data_dir: Path | str,
    secrets: Secrets[Who],
    user: str,
    secret: str,
    *,
    by: str,
    meaning: str,
    subject: Subject,
    may: Callable[[Who], None],
    remark: str = "",
) -> Signature:
    """Put ``user``'s signature under ``subject``; durable when this returns.

    Args:
        secrets: the station's ``identity.Users``.
        secret: the PIN or password, entered for this signature.
        by: ``pin`` or ``password``: which of them ``secret`` is.
        may: raises for who may not sign this, such as
            ``lambda who: identity.authorise(who, identity.Action.REVIEW)``.

    Raises:
        IdentityError: the secret is wrong, or the signer may not; nothing is written.
        RecordError: no meaning, or a ``by`` that is neither.
        StoreError: it was not written.
    """
    if by not in ("pin", "password"):
        raise RecordError(f"a signature is given by pin or password, not by {by!r}")
    if not meaning.strip():
        raise RecordError("a signature means something: say what, such as `approved`")
    who = secrets.verify_pin(user, secret) if by == "pin" else secrets.verify_password(user, secret)
    may(who)
    body = {
        "meaning": meaning,
        "kind": subject.kind,
        "subject": subject.id,
        "sha256": subject.sha256,
        "by": by,
        "batch": subject.batch,
        "remark": remark[:REMARK_MAX],
    }
    with DeskLedger.open(data_dir) as desk:
        position = desk.add(KIND, body, who.id)
    with Signatures(data_dir) as signatures:
        return signatures.at(position)


def given(data_dir: Path | str, position: int) -> Signature | None:
    """The signature at this position of the desk, read from its record alone; None if it is none.

    Raises:
        StoreError: the desk cannot be read.
    """
    path = Path(data_dir) / schema.DESK_FILE
    if not path.is_file():
        return None
    with reading(path) as desk:
        row = desk.execute("SELECT body FROM record WHERE position = ?", (position,)).fetchone()
    try:
        record = desk_record(row[0]) if row else None
        return _signature(position, record) if record and record.kind == KIND else None
    except (RecordError, KeyError, TypeError):
        return None


class Signatures(DeskIndex):
    """The signatures of a station. Safe to share between threads."""

    def __init__(self, data_dir: Path | str) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        super().__init__(Path(data_dir), PROJECTION)

    def of(self, kind: str, subject: str) -> tuple[Signature, ...]:
        """Those under a subject, oldest first. Whether each fits it as it is now, `fits` says."""
        with self.current() as index:
            rows = index.execute(
                "SELECT position FROM signature WHERE kind = ? AND subject = ? ORDER BY position",
                (kind, subject),
            ).fetchall()
        return tuple([self.at(position) for (position,) in rows])

    def under(self, subject: Subject) -> tuple[Signature, ...]:
        """Those that hold for ``subject`` as it is now, oldest first."""
        return tuple([s for s in self.of(subject.kind, subject.id) if s.fits(subject)])

    def at(self, position: int) -> Signature:
        """The signature at this position of the desk. Raises ``RecordError`` if it is none."""
        record = self.record(position)
        if record.kind != KIND:
            raise RecordError(f"the desk's record {position} is no signature")
        return _signature(position, record)


def _signature(position: int, record: DeskRecord) -> Signature:
    body = record.body
    return Signature(
        record.principal, str(body["meaning"]), str(body["kind"]), str(body["subject"]),
        str(body["sha256"]), str(body["by"]), record.utc_ns, str(body.get("batch", "")),
        str(body.get("remark", "")), position,
    )  # fmt: skip


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    if record.kind == KIND:
        signature = _signature(position, record)
        index.execute(
            "INSERT INTO signature VALUES (?, ?, ?)", (signature.kind, signature.subject, position)
        )


PROJECTION = Projection("signatures.db", VERSION, _TABLES, _apply)
