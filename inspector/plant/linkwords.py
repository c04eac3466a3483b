"""What the MES says and hears about where things came from and went. Only models; the plant's
routes import them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from inspector.part import Disposition
from inspector.plant.times import Moment
from inspector.plant.words import (
    Asked,
    Name,
    OneLine,
    PartDetail,
    PartSaid,
    RunOf,
    RunSaid,
    Said,
    Sequences,
    Serial,
    Span,
    Text,
    Word,
)
from inspector.store.batches import State
from inspector.store.epcis import check_digit_holds

SSCC_DIGITS = 18


def _checked(name: str) -> str:
    sscc = name.isdigit() and name.isascii() and len(name) == SSCC_DIGITS
    if sscc and not check_digit_holds(name):
        raise ValueError(f"{name} is no SSCC: its check digit is wrong")
    return name


UnitName = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(_checked),
]
"""An SSCC of 18 digits, whose check digit is checked, or the plant's own name."""


class ConsumedWords(Asked):
    """A material lot goes into a batch."""

    relation: Literal["consumed"]
    batch: Name
    material: Word
    """What it is: an article number, such as ``cap-28``."""
    lot: Word
    supplier: OneLine = ""
    from_: Moment | None = Field(None, alias="from")
    """From the batch's beginning if none is given."""
    to: Moment | None = None
    """To the batch's end if none is given; not included."""

    @model_validator(mode="after")
    def _is_a_span(self) -> ConsumedWords:
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise ValueError("`to` must be after `from`")
        return self


class PackedWords(Asked):
    """Parts or units are packed into a unit: a case, a pallet."""

    relation: Literal["packed"]
    unit: UnitName
    level: OneLine = "case"
    serials: Annotated[list[Serial], Field(max_length=1000)] = Field([])
    parts: Annotated[list[UUID], Field(max_length=1000)] = Field([])
    sequences: Sequences | None = None
    units: Annotated[list[UnitName], Field(max_length=1000)] = Field([])

    @model_validator(mode="after")
    def _holds_something(self) -> PackedWords:
        if not (self.serials or self.parts or self.sequences or self.units):
            raise ValueError("give what is in it: `serials`, `parts`, `sequences` or `units`")
        return self


class UnpackedWords(Asked):
    """A unit is opened; it holds nothing any more."""

    relation: Literal["unpacked"]
    unit: UnitName


class ShippedWords(Asked):
    """Units leave the plant."""

    relation: Literal["shipped"]
    units: list[UnitName] = Field(min_length=1, max_length=1000)
    destination: Word
    """A GLN, or the customer's name."""
    document: OneLine = ""
    """The delivery note."""
    at: Moment | None = None
    """Now if none is given."""


LinkWords = Annotated[
    ConsumedWords | PackedWords | UnpackedWords | ShippedWords, Field(discriminator="relation")
]


class LinkSaid(Said):
    id: str
    at: datetime
    relation: str
    runs: list[RunOf] = Field([])
    """The parts that were packed."""
    batches: list[str] = Field([])
    """Of those parts."""


class MaterialSaid(Said):
    batch: str
    material: str
    lot: str
    supplier: str
    from_: datetime | None = Field(None, alias="from")
    to: datetime | None = None


class UnitSaid(Said):
    id: str
    level: str
    parent: str | None
    destination: str | None
    """Where it, or what holds it, was sent last."""
    document: str | None
    shipped_at: datetime | None


class TracedBatch(Said):
    id: str
    product: str
    state: State
    parts: int
    """Of all modes and outcomes."""
    materials: list[MaterialSaid]


class EventSaid(Said):
    """Something that the line recorded of itself."""

    kind: str
    principal: str
    at: datetime
    body: dict[str, Any]


class TraceSaid(Said):
    """From a lot, a batch, a unit or a part to all that hangs together with it."""

    batches: list[TracedBatch]
    runs: list[RunOf]
    """The parts that are meant, where it is not whole batches."""
    parts: int
    """How many are meant."""
    units: list[UnitSaid]
    """Up to 1000."""
    units_total: int
    part: PartDetail | None = None
    """Of a trace from a part: its newest inspection …"""
    earlier: list[PartSaid] = Field([])
    """… and those before it, of the same serial."""
    events: list[EventSaid] = Field([])
    """… and what was recorded of the machine around it."""


class LotWords(Asked):
    lot: Word
    material: OneLine = ""
    """Of any material if none is given."""


class RecallCriteria(Asked):
    """What is recalled; each criterion adds to it."""

    lots: Annotated[list[LotWords], Field(max_length=100)] = Field([])
    """Material lots."""
    batches: Annotated[list[Name], Field(max_length=1000)] = Field([])
    time: Span | None = None
    """When the parts triggered; a second more at both ends."""
    serials: Annotated[list[Serial], Field(max_length=1000)] = Field([])
    sequences: Sequences | None = None
    units: Annotated[list[UnitName], Field(max_length=1000)] = Field([])
    """All parts within."""
    defect: OneLine = ""
    """A label: the parts on which it was found, of ``batches`` where some are named (which are
    then not recalled whole)."""

    @model_validator(mode="after")
    def _names_something(self) -> RecallCriteria:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        return self


class RecallWords(Asked):
    """Parts to get back, wherever they are."""

    criteria: RecallCriteria
    reason: Text
    requester: Text
    drill: bool = False
    """True: find them and record it, but hold nothing; for a mock recall."""


class RecallSaid(Said):
    """What is affected. All of it is on hold, in one record, unless it was a drill."""

    id: str
    at: datetime
    drill: bool
    disposition: Disposition | None
    batches: list[str]
    """Whole ones."""
    runs: list[RunOf]
    """Parts of others."""
    parts: int
    units: list[UnitSaid]
    """Cases, pallets and where they went; up to 200, all of them in the export."""
    units_total: int
    destinations: list[str]
    gate: list[RunSaid]
    """Parts that were still before the gate."""
    paused: bool
    """A batch that runs is affected: the line was paused."""
    detail: str = ""


class RecallState(Said):
    recall: RecallSaid
    reason: str
    requester: str
    principal: str
    criteria: dict[str, Any]
    standing: bool
    """Whether anything of it is still on hold."""
