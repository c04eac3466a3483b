"""What the MES says and hears about batches. Only models; the plant's routes import them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from inspector.plant.words import Asked, Held, Name, Number, OneLine, Said
from inspector.store.batches import State

Print = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class BatchStart(Asked):
    """A batch to begin."""

    id: Name
    product: OneLine = ""
    """What is made; where it is a GTIN, the station resolves its GS1 Digital Links."""
    recipe: Name | None = None
    """The planned one, else the running one if none is given."""
    texts: dict[Name, Print] = Field({}, max_length=50)
    """Expected print by name, such as ``lot`` and ``date``."""
    from_: Number | None = Field(None, alias="from")
    """Part number from which it holds; the next one if none is given."""


class BatchOrder(BatchStart):
    """A batch to plan, or to begin at once. What was planned fills in what is left out."""

    order: OneLine = ""
    """The order's number in the MES."""
    target: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Good parts that are wanted."""
    operator: OneLine = ""
    """Who runs the station; the API key's user is recorded besides."""
    begin: bool = True
    """False: only plan it; `/batches/{id}/start` begins it."""


class Changeover(Asked):
    """Another recipe, and perhaps another batch with it."""

    recipe: Name
    batch: BatchStart | None = None
    """What was planned of it fills in what is left out; its ``recipe`` and ``from`` are not used.
    The running batch goes on if none is given."""
    from_: Number | None = Field(None, alias="from")


class Counts(Said):
    passed: int
    rejected: int
    errors: int
    not_inspected: int
    """Parts that went by in by-pass."""
    others: int
    """Parts in other modes than ``auto``, such as set-up and challenge."""
    reinspected: int
    """Of those, parts that came back: each is counted once, by its first inspection …"""
    recovered: int
    """… and how many of them passed."""


class PeriodSaid(Said):
    """A stretch of one stream in which one batch was made, by the PLC's own counters."""

    stream: str
    first: int
    why: str
    principal: str
    at: datetime
    infeed: int
    triggers: int
    rejects_commanded: int
    rejects_confirmed: int
    refused: int | None
    """Parts that the station told the gate to refuse; none where it was restarted in between."""
    alarmed: int | None
    """Rejects without confirmation of which an alarm told."""
    late: int | None
    """Rejects where the decision may have come too late, of which an alarm told; none as above."""
    withheld: int | None
    """Rejects by the PLC while the station was not ready."""
    alone: int | None
    """Rejects by the PLC of parts that nobody had refused: a difference."""
    through: int | None
    """Refused parts that the gate let through: a difference."""
    open: bool


class Reconciled(Said):
    """The counts side by side (I1)."""

    agree: bool
    differences: list[str]
    """Each count that should equal another and does not."""
    verdicts: int
    periods: list[PeriodSaid]


class BatchSaid(Said):
    id: str
    state: State
    running: bool
    """As the line says; false while it is lost."""
    product: str
    recipe: str
    texts: dict[str, str]
    order: str
    target: int | None
    operator: str
    production_day: date | None
    shift: str
    """In which it began, by the station's calendar."""
    began_at: datetime | None
    ended_at: datetime | None
    counts: Counts
    first_part_at: datetime | None
    last_part_at: datetime | None
    disposition: Held | None


class BatchDetail(BatchSaid):
    defects: dict[str, int]
    """Faulty parts by what was wrong with them, most frequent first."""
    reconciliation: Reconciled | None
    """None where no PLC counts, and before the first part has come to the gate."""


class BatchPage(Said):
    items: list[BatchSaid]
    next: str | None
    """Cursor of the next page."""


class LineSaid(Said):
    """What the line did."""

    id: str
    at: datetime
    result: dict[str, Any]
    """In the line's words: batch, recipe, ``from`` (the first part number it holds for) …"""
