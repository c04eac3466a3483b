"""Parts, their images, and what was decided about them; GS1 Digital Links resolve here too.

Enters: ids, serials, filters. Leaves: the ledger's own words as JSON, and the very file whose
digest the ledger holds. ``app.py`` imports it.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Response
from fastapi import Path as PathParameter

from inspector.identity import Action, authorise
from inspector.part import Disposition, Outcome, PartId
from inspector.plant.access import (
    ETAGGED,
    PROBLEMS,
    Before,
    Limit,
    Viewer,
    Writer,
    cursor,
)
from inspector.plant.desk import Desk
from inspector.plant.etag import matches
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.selection import run_said, runs_of
from inspector.plant.times import moment, now
from inspector.plant.words import (
    Dispose,
    DisposeSaid,
    FindingSaid,
    GateSaid,
    Held,
    HeldPage,
    ImageSaid,
    PartDetail,
    PartPage,
    PartSaid,
    Serial,
    TagSaid,
)
from inspector.store import History, ImageRecord
from inspector.store.epcis import gtin_of
from inspector.store.holds import KIND, Standing
from inspector.store.pages import beginnings_of, parts_of
from inspector.store.query import PartHistory
from inspector.store.tags import Sample

EARLIER = 100
IMAGE_MAX = 64 << 20
"""Bytes; no picture of a camera we know comes near it."""
BatchFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
View = Annotated[str, PathParameter(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Gtin = Annotated[str, PathParameter(pattern=r"^[0-9]{14}$")]
Gs1Text = Annotated[str, PathParameter(pattern=r"^[!-~]{1,20}$")]


def router(desk: Desk) -> APIRouter:
    """``/parts``, ``/holds``, ``/dispositions``."""
    routes = APIRouter(tags=["parts"], responses=PROBLEMS)

    @routes.get("/parts", responses=ETAGGED)
    def get_parts(
        who: Viewer,
        before: Before,
        batch: BatchFilter = None,
        outcome: Outcome | None = None,
        serial: Annotated[Serial | None, Query()] = None,
        limit: Limit = 50,
    ) -> PartPage:
        """Parts, the newest first."""
        with desk.history() as history:
            if serial is not None:
                found = [
                    part
                    for part in history.by_serial(serial, 10_000)
                    if (before is None or part.position < before)
                    and batch in (None, part.verdict.batch)
                    and outcome in (None, part.verdict.outcome)
                ]
                more = found[limit - 1].position if len(found) > limit else None
                page: tuple[PartHistory, ...] = tuple(found[:limit])
            else:
                page, more = parts_of(
                    history, batch=batch, outcome=outcome, before=before, limit=limit
                )
            return PartPage(items=[part_said(desk, part) for part in page], next=cursor(more))

    @routes.get("/parts/{id}", responses=ETAGGED)
    def get_part(id: UUID, who: Viewer) -> PartDetail:
        """Everything about one part."""
        return part_detail(desk, _part(desk, id))

    @routes.get(
        "/parts/{id}/images/{view}",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, **ETAGGED},
    )
    def get_image(
        id: UUID, view: View, who: Viewer, if_none_match: Annotated[str | None, Header()] = None
    ) -> Response:
        """The picture that was archived, checked against the digest in the ledger."""
        image = next((i for i in reversed(_part(desk, id).images) if i.view == view), None)
        if image is None:
            raise Problem(404, "no-image", f"no picture of view {view!r} was kept of this part")
        headers = {
            "ETag": f'"{image.digest}"',
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if matches(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(read_image(desk.data, image), headers=headers, media_type="image/jpeg")

    @routes.get("/holds", responses=ETAGGED)
    def get_holds(
        who: Viewer,
        before: Before,
        disposition: Disposition = Disposition.HOLD,
        limit: Limit = 50,
    ) -> HeldPage:
        """What is on hold now (or scrapped, to be reworked, released), newest decision first."""
        found = desk.holds.standing(
            disposition, before=1 << 62 if before is None else before, limit=limit
        )
        more = found[-1].position if len(found) >= limit else None
        return HeldPage(items=[held(desk, standing) for standing in found], next=cursor(more))

    @routes.post("/dispositions", status_code=201)
    def post_disposition(asked: Dispose, by: Writer) -> DisposeSaid:
        """Decide what becomes of parts: rework, scrap or release."""
        authorise(by.who, Action.DISPOSE)
        named = {"POST": "/dispositions", "body": asked.model_dump(mode="json")}
        return by.once(desk.requests, named, lambda: dispose(desk, asked), DisposeSaid)

    return routes


def links(desk: Desk) -> APIRouter:
    """GS1 Digital Link URIs (GS1 Digital Link: URI syntax 1.4), for those who may read."""
    routes = APIRouter(tags=["identity"], responses=PROBLEMS)

    @routes.get("/01/{gtin}/10/{lot}/21/{serial}", responses=ETAGGED)
    def get_link(gtin: Gtin, lot: Gs1Text, serial: Gs1Text, who: Viewer) -> PartDetail:
        """The newest inspection of the item with this GTIN, lot and serial."""
        part = _item(desk, gtin, lot, serial)
        if part is None:
            raise Problem(404, "unknown-part", f"no item {gtin} of lot {lot} has serial {serial}")
        return part_detail(desk, part)

    @routes.get("/01/{gtin}/21/{serial}", responses=ETAGGED)
    def get_sgtin(gtin: Gtin, serial: Gs1Text, who: Viewer) -> PartDetail:
        """The newest inspection of the item with this GTIN and serial (SGTIN)."""
        part = _item(desk, gtin, None, serial)
        if part is None:
            raise Problem(404, "unknown-part", f"no item {gtin} has serial {serial}")
        return part_detail(desk, part)

    return routes


def _item(desk: Desk, gtin: str, lot: str | None, serial: str) -> PartHistory | None:
    with desk.history() as history:
        for part in history.by_serial(serial, 1000):
            products, lots = sold_as(history, part.verdict.batch)
            if gtin in products and (lot is None or lot in lots):
                return part
    return None


def sold_as(history: History, batch: str) -> tuple[list[str], list[str]]:
    """The GTINs and the lots that a batch's parts carry, the newest last."""
    begun = beginnings_of(history, batch)
    products = [gtin for c in begun if (gtin := gtin_of(c.product))]
    return products, [batch, *(c.texts["lot"] for c in begun if c.texts.get("lot"))]


def part_detail(desk: Desk, part: PartHistory) -> PartDetail:
    """One part with its identity, its earlier inspections, and the process values at the time."""
    verdict = part.verdict
    link, earlier = None, []
    if verdict.serial is not None:
        with desk.history() as history:
            products, lots = sold_as(history, verdict.batch)
            others = history.by_serial(verdict.serial, EARLIER)
        earlier = [p.verdict.part_id for p in others if p.position < part.position]
        if products:
            names = [quote(name, safe="") for name in (products[-1], lots[-1], verdict.serial)]
            link = f"/01/{names[0]}/10/{names[1]}/21/{names[2]}"
    return PartDetail(
        **part_said(desk, part).model_dump(),
        digital_link=link,
        earlier=earlier,
        process=[tag_said(sample) for sample in desk.tags.at(verdict.times.utc_ns)],
    )


def tag_said(sample: Sample) -> TagSaid:
    """A process value in the interface's words."""
    return TagSaid(
        tag=sample.tag,
        value=sample.value,
        unit=sample.unit,
        quality=sample.quality,
        at=moment(sample.utc_ns),
    )


def dispose(desk: Desk, asked: Dispose) -> Done:
    """A decision of the plant, at the desk; the line has no part in it."""
    with desk.history() as history:
        runs = runs_of(history, asked)
    if asked.disposition != "scrap":
        for run in runs:
            if desk.holds.scrapped(run):
                raise Problem(
                    409,
                    "scrapped",
                    f"of parts {run.first} to {run.last} some are scrap; it is final",
                )
    answer = DisposeSaid(
        id=str(uuid4()),
        at=now(),
        disposition=Disposition(asked.disposition),
        runs=[run_said(run) for run in runs],
    ).model_dump(mode="json")
    record = {
        "cause": "disposition",
        "disposition": asked.disposition,
        "reason": asked.reason,
        "requester": asked.requester,
        "runs": [[run.stream, run.first, run.last] for run in runs],
    }
    return Done(KIND, 201, answer, record)


def part_said(desk: Desk, part: PartHistory) -> PartSaid:
    """One part in the interface's words."""
    verdict, times = part.verdict, part.verdict.times
    return PartSaid(
        id=verdict.part_id,
        station=verdict.station,
        stream=verdict.stream,
        sequence=verdict.sequence,
        outcome=verdict.outcome,
        mode=verdict.mode,
        batch=verdict.batch,
        serial=verdict.serial,
        reasons=list(verdict.reasons),
        judged_at=moment(times.utc_ns),
        clock_synced=times.clock_synced,
        judged_ms=(times.verdict_ns - times.trigger_ns) / 1e6 if times.trigger_ns else None,
        recipe=verdict.recipe,
        recipe_digest=verdict.recipe_digest,
        model_digests=list(verdict.model_digests),
        software=verdict.software,
        findings=[_finding(finding) for finding in verdict.findings],
        gate=[_gate(decision) for decision in part.gates],
        images=[
            ImageSaid(
                view=image.view,
                sha256=image.digest,
                bytes=image.size,
                href=f"/api/v1/parts/{verdict.part_id}/images/{image.view}",
            )
            for image in part.images
        ],
        disposition=held(desk, desk.holds.of_part(verdict.stream, verdict.sequence, verdict.batch)),
        position=part.position,
    )


def held(desk: Desk, standing: Standing | None) -> Any:
    """A decision in the interface's words; None stays None."""
    if standing is None:
        return None
    record = desk.holds.record(standing.position)
    run = standing.run
    answer = record.body.get("answer")
    return Held(
        disposition=standing.disposition,
        reason=str(record.body.get("reason", "")),
        requester=str(record.body.get("requester", "")),
        principal=record.principal,
        at=moment(record.utc_ns),
        request=answer.get("id") if isinstance(answer, dict) else None,
        stream=run.stream if run else None,
        first=run.first if run else None,
        last=run.last if run else None,
        batch=standing.batch or None,
    )


def read_image(data: Path, image: ImageRecord) -> bytes:
    """The file of an image record, if it is what was recorded. Raises ``Problem`` 410 or 500."""
    path = (data / image.path).resolve()
    altered = Problem(
        500, "image-altered", "this picture is not the one in the ledger; run: inspector verify"
    )
    if not path.is_relative_to((data / "images").resolve()):
        raise altered
    try:
        with path.open("rb") as file:
            content = file.read(min(image.size, IMAGE_MAX) + 1)
    except FileNotFoundError:
        raise Problem(410, "image-gone", "this picture is no longer kept") from None
    if len(content) != image.size or sha256(content).hexdigest() != image.digest:
        raise altered
    return content


def _part(desk: Desk, id: UUID) -> PartHistory:
    with desk.history() as history:
        part = history.part(PartId(id))
    if part is None:
        raise Problem(404, "unknown-part", f"no part has the id {id}")
    return part


def _finding(finding: Any) -> FindingSaid:
    return FindingSaid.model_validate(finding, from_attributes=True)


def _gate(decision: Any) -> GateSaid:
    heard = decision.acknowledged_ns
    return GateSaid(
        action=decision.action,
        reason=decision.reason,
        acknowledged=bool(heard),
        acknowledged_ms=(heard - decision.decided_ns) / 1e6 if heard else None,
    )
