"""The nouns that the ledger holds besides those of `inspector.part`, and the numbers they carry.

Enters: the nouns of `inspector.part`. Leaves: kinds of records and their fields; `layout` turns
them into bytes and back. Everyone who reads or writes the ledger may import this.

Every record is a CBOR array that begins ``[kind, version, …]``. What many records share is written
once, as a *definition* record, and referred to by its position in the ledger: a stream's name; a
*context* (stream, station, mode, batch, recipe, digests, software, boot, clock state); a *shape* of
finding (tool, kind, label, ok, view, severity, unit). A definition always stands before its first
use, in the same chain, so a reference is as tamper-evident as the text itself would be.

Scores and places are stored as float32, the precision that models compute in; measured values as
float64. Times are nanoseconds; frame, verdict and acknowledgement as distances from the record's
first monotonic time. ``docs/ledger.md`` has every field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from inspector.part import GateAction, GateDecision, Mode, Outcome, PartId, Verdict

VERSION = 1
OUTLINED = 2
"""Version of a verdict record of which a finding has an outline; all others stay what they were."""
MAX_BYTES = 1 << 20
"""A longer record is refused: it is a mistake of the caller, not a finding."""


class Kind(IntEnum):
    """The first element of every record. Numbers are for ever."""

    DEFINITION = 0
    VERDICT = 1
    GATE = 2
    EVENT = 3
    BATCH = 4
    IMAGE = 5
    DESK = 6
    CHECKPOINT = 7


class Defined(IntEnum):
    """What a definition record defines."""

    STREAM = 0
    CONTEXT = 1
    SHAPE = 2


# The stored number of a value is its place here: append only.
OUTCOMES = (Outcome.PASS, Outcome.REJECT, Outcome.ERROR, Outcome.NOT_INSPECTED)
MODES = (
    Mode.AUTO, Mode.SETUP, Mode.CLEANING, Mode.CHALLENGE, Mode.BYPASS, Mode.REINSPECT,
)  # fmt: skip
ACTIONS = (GateAction.PERMIT, GateAction.REJECT, GateAction.REVOKE)
OUTCOME_NUMBER = {outcome: number for number, outcome in enumerate(OUTCOMES)}
MODE_NUMBER = {mode: number for number, mode in enumerate(MODES)}
ACTION_NUMBER = {action: number for number, action in enumerate(ACTIONS)}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, or that somebody did."""

    kind: str
    principal: str
    """Who, as a user id or a process name. Never empty (I9)."""
    utc_ns: int
    monotonic_ns: int
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchChange:
    """A batch that begins or ends."""

    id: str
    action: str
    """``begin`` or ``end``."""
    principal: str
    product: str
    recipe: str
    texts: dict[str, str]
    utc_ns: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image file that is in the archive and will stay what it is."""

    part_id: PartId
    view: str
    digest: str
    """SHA-256 of the file, 64 hex digits."""
    path: str
    """Relative to the data folder, with ``/``."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class LineHead:
    """How far the line's ledger had come when somebody looked."""

    size: int
    """Records in the newest checkpoint."""
    root: bytes
    """Its Merkle root, 32 bytes."""
    newest: int
    """Position of the newest record, -1 if there is none."""
    newest_leaf: bytes
    """Its leaf hash, 32 bytes; empty if there is none."""


LINE_LOST = "line.lost"
"""Kind of the desk's record that the line's records from ``first`` on, which it may have seen, are
here no more: a disk went with them."""


@dataclass(frozen=True, slots=True)
class DeskRecord:
    """What anyone but the line did: a review, a request of the MES, an event."""

    kind: str
    principal: str
    utc_ns: int
    body: dict[str, Any]
    line: LineHead


@dataclass(frozen=True, slots=True)
class Definition:
    """What records that come later refer to."""

    what: Defined
    value: tuple[Any, ...]


Record = Verdict | GateDecision | Event | BatchChange | ImageRecord | DeskRecord | Definition
Lookup = Callable[[int], Definition]
"""Gives the definition at a position; raises RecordError if there is none."""
