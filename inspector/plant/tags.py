"""Process values by REST: an MES or a gateway tells them, whoever analyses reads them.

Enters: samples of named tags with their units. Leaves: series, and the last values at a moment.
OPC UA and MQTT subscribers write through the same store (`inspector.store.tags`). ``app.py``
imports it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from inspector.identity import Action, authorise
from inspector.plant.access import ETAGGED, PROBLEMS, Someone, Viewer
from inspector.plant.desk import Desk
from inspector.plant.parts import tag_said
from inspector.plant.problems import Problem
from inspector.plant.times import Moment, now, utc_ns
from inspector.plant.words import Asked, Said, TagSaid, Word
from inspector.store import RecordError
from inspector.store.tags import Quality, Sample


class SampleWords(Asked):
    """One value of one tag."""

    tag: Word
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """None where the source had none; a switch is 0 or 1."""
    unit: Annotated[str, Field(pattern=r"^[!-~]{1,32}$")] = "1"
    """UCUM: ``Cel``, ``bar``, ``mm/s``; ``1`` where there is none."""
    quality: Quality = Quality.GOOD
    at: Moment | None = None
    """When it was so; now if none is given."""


class SamplesWords(Asked):
    samples: list[SampleWords] = Field(min_length=1, max_length=1000)


class SamplesSaid(Said):
    kept: int


class TagsSaid(Said):
    items: list[TagSaid]


def router(desk: Desk) -> APIRouter:
    """``/tags``."""
    routes = APIRouter(tags=["process values"], responses=PROBLEMS)

    @routes.post("/tags", status_code=201)
    def post_tags(asked: SamplesWords, who: Someone) -> SamplesSaid:
        """Keep process values. They join the parts by time, and are sealed by the ledger; a
        sample that is sent again stands twice, which changes no last value."""
        authorise(who, Action.TELL_TAGS)
        at = now()
        samples = [
            Sample(one.tag, one.value, one.unit, utc_ns(one.at or at), one.quality)
            for one in asked.samples
        ]
        try:
            return SamplesSaid(kept=desk.tags.add(samples, who.id))
        except RecordError as error:
            raise Problem(422, "invalid-request", str(error)) from None

    @routes.get("/tags", responses=ETAGGED)
    def get_tags(who: Viewer, at: Moment | None = None) -> TagsSaid:
        """The last value of each tag, now or at a moment, up to an hour old."""
        return TagsSaid(items=[tag_said(sample) for sample in desk.tags.at(utc_ns(at or now()))])

    @routes.get("/tags/series", responses=ETAGGED)
    def get_series(
        who: Viewer,
        tag: Annotated[Word, Query()],
        begin: Annotated[Moment, Query(alias="from")],
        end: Annotated[Moment, Query(alias="to")],
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> TagsSaid:
        """The values of a tag from a moment (included) to another (not), oldest first."""
        if end <= begin:
            raise Problem(422, "invalid-request", "`to` must be after `from`")
        found = desk.tags.series(tag, utc_ns(begin), utc_ns(end), limit=limit)
        return TagsSaid(items=[tag_said(sample) for sample in found])

    return routes
