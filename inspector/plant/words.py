"""What the MES says and hears: the shapes of requests and answers, with their units.

Nothing but pydantic models; the OpenAPI document is made of them. The plant's routes import it.
Times are RFC 3339 in UTC; durations are milliseconds; boxes are ``[x1, y1, x2, y2]`` in pixels.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from inspector.part import Disposition, GateAction, Mode, Outcome, Severity
from inspector.plant.times import Moment
from inspector.quality.stopping import GateState
from inspector.store.tags import Quality

U32 = 0xFFFF_FFFF
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
"""Of a batch or a recipe: no control characters, and nothing that a path would split."""
Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*\S[^\x00]*$")]


def _is_counted(value: Any) -> Any:
    """``true`` is no 1: a slip must not select the wrong part."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Number = Annotated[int, Field(ge=1, le=U32), BeforeValidator(_is_counted)]
"""A part's number in its stream."""
Word = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
OneLine = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
Serial = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]


class Asked(BaseModel):
    """A request: unknown fields are refused, because a typo must not select the wrong parts."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Said(BaseModel):
    """An answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Sequence(Asked):
    """One part by its number."""

    number: Number
    stream: Word | None = None
    """The stream it was counted in; the running one if none is given."""


class Sequences(Asked):
    """Parts by their numbers, both ends included."""

    first: Number
    last: Number
    stream: Word | None = None
    """The stream they were counted in; the running one if none is given."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Sequences:
        if self.last < self.first:
            raise ValueError("`last` must not be below `first`")
        return self


class Span(Asked):
    """Parts by when they triggered, by the station's clock."""

    from_: Moment = Field(alias="from")
    """Included."""
    to: Moment
    """Not included."""

    @model_validator(mode="after")
    def _is_a_span(self) -> Span:
        if self.to <= self.from_:
            raise ValueError("`to` must be after `from`")
        return self


SELECTORS = ("part", "serial", "sequence", "sequences", "time")


class Selection(Asked):
    """Exactly one way to say which parts."""

    part: UUID | None = None
    """A part id."""
    serial: Serial | None = None
    """Every part that carried this serial."""
    sequence: Sequence | None = None
    sequences: Sequences | None = None
    time: Span | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Selection:
        names = [*SELECTORS, *(["batch"] if "batch" in type(self).model_fields else [])]
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(names)}; given: {given or 'none'}")
        return self


class Reject(Selection):
    """Parts that must not reach the customer."""

    batch: Name | None = None
    """A whole batch: it is put on hold, and the line is paused if it runs."""
    reason: Text
    requester: Text
    """Who wants it, in the MES's words; the API key's user is recorded besides."""


class Dispose(Selection):
    """What is to become of parts that were held or rejected."""

    disposition: Literal["rework", "scrap", "release"]
    """Scrap is final."""
    reason: Text
    requester: Text


class Why(Asked):
    """A reason that is kept."""

    reason: Text
    requester: Text


class RunOf(Said):
    """Parts with numbers ``first`` to ``last`` of a stream."""

    stream: str
    first: int
    last: int


class RunSaid(RunOf):
    """… and where they were."""

    gate: GateState
    """``pending``: before the gate, refused there. ``passed``: gone by. ``unknown``: the line did
    not answer. ``none``: this station has no gate."""


class RejectSaid(Said):
    """What was done. All parts named are on hold until somebody disposes of them."""

    id: str
    at: datetime
    gate: GateState
    """The worst of the runs': ``unknown``, then ``pending``, ``passed``, ``none``."""
    disposition: Disposition = Disposition.HOLD
    runs: list[RunSaid]
    batch: str | None = None
    paused: bool = False
    """The line was paused; a person resumes it."""
    detail: str = ""


class GateCounts(Said):
    """Of the parts that were pending, by what the gate said since."""

    acknowledged: int
    """Refused at the gate in time."""
    failed: int
    """The gate never acknowledged: find the part, it is on hold."""
    pending: int


class RejectState(Said):
    """A reject request as it stands now."""

    request: RejectSaid
    reason: str
    requester: str
    principal: str
    confirmation: GateCounts


class Held(Said):
    """A decision that stands."""

    disposition: Disposition
    reason: str
    requester: str
    principal: str
    at: datetime
    request: str | None
    """Id of the request that decided it."""
    stream: str | None = None
    first: int | None = None
    last: int | None = None
    batch: str | None = None
    """The decision is about a whole batch."""


class HeldPage(Said):
    items: list[Held]
    next: str | None
    """Cursor of the next page."""


class FindingSaid(Said):
    tool: str
    kind: str
    label: str
    ok: bool
    score: float
    view: str
    box: tuple[float, float, float, float] | None
    severity: Severity
    text: str | None
    value: float | None
    unit: str | None
    """UCUM."""
    reason: str


class GateSaid(Said):
    action: GateAction
    reason: str
    acknowledged: bool
    acknowledged_ms: float | None
    """After the decision."""


class ImageSaid(Said):
    view: str
    sha256: str
    bytes: int
    href: str


class PartSaid(Said):
    """Everything that is known about one part."""

    id: UUID
    station: str
    stream: str
    sequence: int
    outcome: Outcome
    mode: Mode
    batch: str
    serial: str | None
    reasons: list[str]
    judged_at: datetime
    clock_synced: bool
    judged_ms: float | None
    """From trigger to verdict."""
    recipe: str
    recipe_digest: str
    model_digests: list[str]
    software: str
    findings: list[FindingSaid]
    gate: list[GateSaid]
    images: list[ImageSaid]
    disposition: Held | None
    position: int
    """Of the verdict in the line's ledger."""


class TagSaid(Said):
    """A process value."""

    tag: str
    value: float | None
    unit: str
    """UCUM."""
    quality: Quality
    at: datetime
    """When the source says it was so."""


class PartDetail(PartSaid):
    """… and what hangs together with it."""

    digital_link: str | None
    """Its GS1 Digital Link, which this station resolves; where the product is a GTIN."""
    earlier: list[UUID]
    """Inspections of the same serial before this one, the newest first."""
    process: list[TagSaid]
    """The last values of the process when it was judged, up to an hour old."""


class PartPage(Said):
    items: list[PartSaid]
    next: str | None
    """Cursor of the next page."""


class DisposeSaid(Said):
    id: str
    at: datetime
    disposition: Disposition
    runs: list[RunOf] = []
    batch: str | None = None


class StatusSaid(Said):
    """The station now. Where ``line`` is ``lost`` nothing below ``ready`` is known."""

    station: str
    site: str
    at: datetime
    software: str
    line: Literal["alive", "lost"]
    """``lost``: no heartbeat for 0.8 s. Nothing is inspected, and the gate rejects."""
    ready: bool
    heartbeat_age_ms: float | None
    mode: Mode | None = None
    running: bool | None = None
    paused: bool | None = None
    batch: str | None = None
    product: str | None = None
    recipe: str | None = None
    parts_per_s: float | None = None
    counts: dict[str, int] = {}
    """Of the running batch."""
    latency_ms: dict[str, float | None] = {}
    alarms: list[dict[str, Any]] = []
    health: list[dict[str, Any]] = []
