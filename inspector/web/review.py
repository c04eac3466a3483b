"""Review: what the line decided, looked at again by a person; an override never is an edit.

Filters enter by the address; a gallery of parts, a part with its findings, its neighbour and a good
one, and what a reviewer says of it go to and fro as JSON. ``static/review.js`` is the page's life.
`app` makes the page; the record itself is `inspector.store.reviews`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal
from uuid import UUID

import cv2
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from inspector.config import Station
from inspector.identity import USER_PATTERN, Action
from inspector.part import Finding, Outcome, Severity
from inspector.store import RecordError
from inspector.store.pages import parts_of, stations
from inspector.store.query import History, PartHistory
from inspector.store.reviews import KIND, Decision, Label, Opinion, Review, Reviews, review_body
from inspector.web import days
from inspector.web.access import May, Refused
from inspector.web.desk import Desk
from inspector.web.frame import Shown, lives, page
from inspector.web.moments import moment_of
from inspector.web.pictures import KEPT, address, file_of, part_of
from inspector.web.sessions import Session, Sessions
from inspector.web.words_review import EN

PATH = "/review"
PORTION = 200
SEARCHED = 4000
"""Parts that one portion looks through at most; the rest comes with the next."""
NEAR = 0.7
"""A passed part whose least certain finding scores below this was a near miss."""
THUMB = (200, 150)
AWAITED_S = 60.0
"""For how long a page asks whether the picture of a part that was just judged has come: the line
never waits for its archive, so a verdict is there before its picture."""
FOR_EVER = 1 << 62
Kind = Literal["reject", "error", "near", "override", "second"]


class LabelGiven(BaseModel):
    """One thing that the reviewer sees, in the view's pixels."""

    label: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")
    severity: Severity = Severity.MAJOR
    box: tuple[float, float, float, float] | None = None
    polygon: list[tuple[float, float]] = Field([], max_length=2000)


class Given(BaseModel):
    """What the reviewer says of a part."""

    decision: Decision
    outcome: Outcome
    view: str = Field("", max_length=64)
    labels: list[LabelGiven] = Field([], max_length=500)
    reason: str = Field("", max_length=500)
    sample: bool = False


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/review`` and the routes that feed it."""
    reviews = Reviews(desk.data)
    routes = APIRouter(prefix="/review")

    @page(desk, sessions, PATH, word="nav.review", icon="review", action=Action.REVIEW)
    async def review(shown: Shown) -> None:
        cameras = [camera.name for camera in desk.station.cameras]
        lives(shown, "review", EN, {"days": days.words(shown), "cameras": cameras})

    @routes.get("/parts")
    def parts(
        who: Annotated[Session, May(Action.REVIEW)],
        kind: Kind = "reject",
        batch: Annotated[str, Query(max_length=64)] = "",
        label: Annotated[str, Query(max_length=64)] = "",
        view: Annotated[str, Query(max_length=64)] = "",
        station: Annotated[str, Query(max_length=64)] = "",
        since: Annotated[str, Query(max_length=32)] = "",
        until: Annotated[str, Query(max_length=32)] = "",
        below: Annotated[float | None, Query(ge=0, le=1)] = None,
        before: Annotated[int | None, Query(ge=0)] = None,
    ) -> dict[str, Any]:
        with desk.history() as history:
            begin, end = moment_of(since) or 0, moment_of(until, 1) or FOR_EVER
            wanted = kind, batch or None, begin
            found, more = _found(history, reviews, who.principal.id, *wanted, before)
            rows = [
                _row(part, reviews)
                for part in found
                if begin <= part.verdict.times.utc_ns < end
                and _tells(part, reviews, label, view)
                and (not station or part.verdict.station == station)
            ]
            shown = [row for row in rows if below is None or row["score"] <= below]
            return {"parts": shown, "next": more}

    @routes.get("/labels")
    def labels(who: Annotated[Session, May(Action.REVIEW)]) -> dict[str, list[str]]:
        with desk.history() as history:
            return {
                "labels": list(dict.fromkeys([*history.defects(), *_taught(desk.station)]))[:40],
                "batches": [summary.id for summary in history.batches(50)],
                "stations": list(stations(history)),
            }

    @routes.get("/part/{id}")
    def part(id: UUID, who: Annotated[Session, May(Action.REVIEW)]) -> dict[str, Any]:
        with desk.history() as history:
            found = part_of(history, id)
            verdict = found.verdict
            before = history.by_sequence(verdict.stream, verdict.sequence - 1)
            return _row(found, reviews) | {
                "reasons": list(verdict.reasons),
                "serial": verdict.serial or "",
                "recipe": verdict.recipe,
                "mode": str(verdict.mode),
                "views": [
                    {"name": i.view, "picture": address(found, i.view)} for i in found.images
                ],
                "findings": [_finding(f) for f in verdict.findings],
                "previous": address(before) if before else None,
                "golden": _golden(history, found),
                "awaited": _awaited(found),
                "reviews": [_said(r) for r in reviews.find(part=verdict.part_id, limit=20)],
            }

    @routes.post("/part/{id}")
    def say(id: UUID, given: Given, who: Annotated[Session, May(Action.REVIEW)]) -> dict[str, Any]:
        with desk.history() as history:
            found = part_of(history, id)
        try:
            labels = tuple(
                Label(one.label, one.severity, one.box, tuple(one.polygon)) for one in given.labels
            )
            opinion = Opinion(
                found.verdict.part_id, given.decision, given.outcome, given.view, labels,
                given.reason, given.sample,
            )  # fmt: skip
            body = review_body(opinion, found)
        except RecordError as error:
            raise Refused(str(error)) from None
        desk.record(KIND, body, who.principal)
        return {"reviews": [_said(r) for r in reviews.find(part=found.verdict.part_id, limit=20)]}

    @routes.get("/agreement")
    def agreement(
        who: Annotated[Session, May(Action.REVIEW)],
        other: Annotated[str, Query(pattern=f"^{USER_PATTERN.pattern}$")],
    ) -> dict[str, Any]:
        found = reviews.agreement(who.principal.id, other)
        return {"parts": found.parts, "agreed": found.agreed, "kappa": found.kappa}

    @routes.get("/thumb/{id}/{view}")
    def thumb(id: UUID, view: str, who: Annotated[Session, May(Action.REVIEW)]) -> Response:
        # Decoded at a quarter, which the JPEG's own transform does: 1 ms for 640×480.
        pixels = cv2.imread(str(file_of(desk, id, view)), cv2.IMREAD_REDUCED_COLOR_4)
        if pixels is None:
            raise HTTPException(404)
        scale = min(1.0, THUMB[0] / pixels.shape[1], THUMB[1] / pixels.shape[0])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
        return Response(jpeg.tobytes(), media_type="image/jpeg", headers=KEPT)

    return routes


def _taught(station: Station) -> Iterator[str]:
    """What the models of the station's recipes can find: on a new station none of it was found
    yet, and the first that a model missed must have a name."""
    with suppress(OSError):
        recipes = " ".join(path.read_text() for path in station.recipes)
        for card in sorted(station.models.glob("*/*/card.json")):
            if f"{card.parent.parent.name}/{card.parent.name}" in recipes:
                with suppress(ValueError):
                    yield from json.loads(card.read_bytes()).get("classes") or ()


def _found(
    history: History, reviews: Reviews, who: str, kind: Kind, batch: str | None, begin_ns: int,
    before: int | None,
) -> tuple[list[PartHistory], int | None]:  # fmt: skip
    """A portion of parts of a kind for ``who``, and where the next one begins; None where what
    comes next is older than ``begin_ns``, which only the line's own order tells: what was said of
    parts comes in the order in which it was said."""
    if kind in ("override", "second"):
        asked = (
            reviews.pending(batch=batch, not_by=who, before=before, limit=PORTION)
            if kind == "second"
            else reviews.find(
                batch=batch, decision=Decision.OVERRIDE, before=before, limit=PORTION
            )
        )  # fmt: skip
        ids = dict.fromkeys(r.opinion.part for r in asked)
        parts = [part for id in ids if (part := history.part(id)) is not None]
        return parts, asked[-1].position if len(asked) == PORTION else None
    if kind == "near":
        looked, more = parts_of(
            history, batch=batch, outcome=Outcome.PASS, before=before, limit=SEARCHED
        )
        found = [p for p in looked if p.images and _least(p) < NEAR]
        if len(found) > PORTION:
            found, more = found[:PORTION], found[PORTION - 1].position
            looked = tuple(found)
    else:
        outcome = Outcome.REJECT if kind == "reject" else Outcome.ERROR
        looked, more = parts_of(history, batch=batch, outcome=outcome, before=before, limit=PORTION)
        found = list(looked)
    older = bool(looked) and looked[-1].verdict.times.utc_ns < begin_ns
    return found, None if older else more


def _tells(part: PartHistory, reviews: Reviews, label: str, view: str) -> bool:
    """Whether a part is here for a defect and a camera, or any where none is named: for what the
    line found wrong, of a passed part what it was least sure of, and what a person has drawn."""
    if not label and not view:
        return True
    said = reviews.newest_of(part.verdict.part_id)
    passed = part.verdict.outcome is Outcome.PASS
    seen = [
        *(
            (f.label, f.view)
            for f in part.verdict.findings
            if not f.ok or (passed and f.score < NEAR)
        ),
        *((drawn.label, said.opinion.view) for drawn in (said.opinion.labels if said else ())),
    ]
    return any(label in ("", one) and view in ("", by) for one, by in seen)


def _least(part: PartHistory) -> float:
    return min((f.score for f in part.verdict.findings if f.ok), default=1.0)


def _row(part: PartHistory, reviews: Reviews) -> dict[str, Any]:
    verdict = part.verdict
    bad = next((f for f in verdict.findings if not f.ok), None)
    view = next((i.view for i in part.images if bad and i.view == bad.view), None)
    view = view or (part.images[0].view if part.images else None)
    newest = reviews.newest_of(verdict.part_id)
    return {
        "id": str(verdict.part_id),
        "number": verdict.sequence,
        "batch": verdict.batch,
        "outcome": str(verdict.outcome),
        "reason": verdict.reasons[0] if verdict.reasons else "",
        "label": bad.label if bad else "",
        "score": round(bad.score if bad else _least(part), 3),
        "ms": verdict.times.utc_ns // 1_000_000,
        "thumb": f"/review/thumb/{verdict.part_id}/{view}" if view else None,
        "said": str(newest.opinion.decision) if newest else None,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "tool": finding.tool,
        "kind": finding.kind,
        "label": finding.label,
        "ok": finding.ok,
        "score": round(finding.score, 3),
        "box": finding.box,
        "view": finding.view,
        "text": finding.text,
        "value": finding.value,
        "unit": finding.unit,
        "reason": finding.reason,
        "severity": str(finding.severity),
    }


def _said(review: Review) -> dict[str, Any]:
    opinion = review.opinion
    return {
        "who": review.reviewer,
        "ms": review.utc_ns // 1_000_000,
        "decision": str(opinion.decision),
        "outcome": str(opinion.outcome),
        "reason": opinion.reason,
        "sample": opinion.sample,
        "labels": [
            {"label": one.label, "box": one.box, "polygon": one.polygon} for one in opinion.labels
        ],
    }


def _awaited(part: PartHistory) -> bool:
    """Whether a picture of this part may still be on its way to the archive."""
    missing = {f.view for f in part.verdict.findings if f.view} - {i.view for i in part.images}
    young = time.time_ns() - part.verdict.times.utc_ns < AWAITED_S * 1e9
    return young and (bool(missing) or not part.images)


def _golden(history: History, part: PartHistory) -> str | None:
    """The picture of the newest good part of the same recipe that has one."""
    passed, _ = parts_of(history, batch=part.verdict.batch, outcome=Outcome.PASS, limit=400)
    for good in passed:
        if good.images and good.verdict.recipe == part.verdict.recipe:
            return address(good)
    return None
