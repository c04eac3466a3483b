"""Reviews come in from QA tools and the MES, and go out to whoever learns from them.

Enters: what somebody found on a second look at a part. Leaves: a record of the desk that names the
reviewer; pages of reviews, open questions, how two reviewers agree. ``app.py`` imports it.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query
from pydantic import Field

from inspector.identity import USER_PATTERN, Action, authorise
from inspector.part import Outcome, PartId, Severity
from inspector.plant.access import ETAGGED, PROBLEMS, Before, Limit, Viewer, Writer, cursor
from inspector.plant.desk import Desk
from inspector.plant.parts import BatchFilter
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.times import moment, now
from inspector.plant.words import Asked, Said
from inspector.store import RecordError
from inspector.store.reviews import KIND, Decision, Label, Opinion, Review, review_body

Pixel = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
LabelText = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Reviewer = Annotated[str, Query(pattern=f"^{USER_PATTERN.pattern}$")]


class LabelWords(Asked):
    """One thing that is on the part, in the view's pixels: a box or a polygon."""

    label: LabelText
    severity: Severity = Severity.MAJOR
    box: Annotated[list[Pixel], Field(min_length=4, max_length=4)] | None = None
    """``[x1, y1, x2, y2]``"""
    polygon: (
        Annotated[
            list[Annotated[list[Pixel], Field(min_length=2, max_length=2)]],
            Field(min_length=3, max_length=2000),
        ]
        | None
    ) = None
    """``[[x, y], …]``"""


class ReviewWords(Asked):
    """What somebody found on a second look. To change one's mind, post another."""

    part: UUID
    view: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,63})?$")] = ""
    """The picture that was looked at."""
    decision: Decision
    outcome: Outcome
    """What the part truly is: ``pass`` or ``reject``."""
    labels: list[LabelWords] = Field([], max_length=500)
    reason: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] = ""
    """Needed for an override."""
    sample: bool = False
    """Whether its pictures should go to training."""


class ReviewSaid(Said):
    """A review on record."""

    id: str
    position: int | None = None
    """Of its record at the desk; none yet in the answer to the request that made it."""
    reviewer: str
    at: str
    part: UUID
    batch: str
    view: str
    decision: Decision
    was: Outcome
    """The verdict's outcome, which stands in the ledger for ever."""
    outcome: Outcome
    labels: list[LabelWords]
    reason: str
    sample: bool


class ReviewPage(Said):
    items: list[ReviewSaid]
    next: str | None
    """Cursor of the next page."""


class AgreementSaid(Said):
    """Parts that both have judged, by each one's newest judgement."""

    parts: int
    agreed: int
    kappa: float | None
    """Cohen's κ; none where chance alone would always agree."""


def router(desk: Desk) -> APIRouter:
    """``/reviews``."""
    routes = APIRouter(tags=["reviews"], responses=PROBLEMS)

    @routes.post("/reviews", status_code=201)
    def post_review(asked: ReviewWords, by: Writer) -> ReviewSaid:
        """Say what a part truly is. The verdict stays; this stands beside it."""
        authorise(by.who, Action.REVIEW)
        named = {"POST": "/reviews", "body": asked.model_dump(mode="json")}
        return by.once(desk.requests, named, lambda: _done(desk, by.who.id, asked), ReviewSaid)

    @routes.get("/reviews", responses=ETAGGED)
    def get_reviews(
        who: Viewer,
        before: Before,
        part: UUID | None = None,
        batch: BatchFilter = None,
        reviewer: Reviewer | None = None,
        pending: Annotated[bool, Query(description="Only open second opinions.")] = False,
        limit: Limit = 50,
    ) -> ReviewPage:
        """Reviews, the newest first. `pending` are requests for a second opinion that nobody but
        who asked has answered; with `reviewer`, those that this one may answer."""
        if pending:
            found = desk.reviews.pending(not_by=reviewer, before=before, limit=limit + 1)
        else:
            found = desk.reviews.find(
                part=None if part is None else PartId(part),
                batch=batch,
                reviewer=reviewer,
                before=before,
                limit=limit + 1,
            )
        more = found[limit - 1].position if len(found) > limit else None
        items = [_said(desk, review) for review in found[:limit]]
        return ReviewPage(items=items, next=cursor(more))

    @routes.get("/reviews/agreement", responses=ETAGGED)
    def get_agreement(who: Viewer, first: Reviewer, second: Reviewer) -> AgreementSaid:
        """How well two reviewers agree."""
        found = desk.reviews.agreement(first, second)
        return AgreementSaid(parts=found.parts, agreed=found.agreed, kappa=found.kappa)

    return routes


def _done(desk: Desk, who: str, asked: ReviewWords) -> Done:
    opinion = Opinion(
        PartId(asked.part),
        asked.decision,
        asked.outcome,
        asked.view,
        tuple([_label(label) for label in asked.labels]),
        asked.reason,
        asked.sample,
    )
    with desk.history() as history:
        part = history.part(opinion.part)
    if part is None:
        raise Problem(404, "unknown-part", f"no part has the id {asked.part}")
    try:
        record = review_body(opinion, part)
    except RecordError as error:
        raise Problem(422, "no-review", str(error)) from None
    said = {name: record[name] for name in ("part", "view", "decision", "outcome", "labels",
                                            "reason", "sample", "batch", "was")}  # fmt: skip
    answer = ReviewSaid(id=str(uuid4()), reviewer=who, at=now().isoformat(), **said)
    return Done(KIND, 201, answer.model_dump(mode="json", exclude_none=True), record)


def _label(words: LabelWords) -> Label:
    box = words.box
    return Label(
        words.label,
        words.severity,
        None if box is None else (box[0], box[1], box[2], box[3]),
        tuple([(x, y) for x, y in words.polygon or ()]),
    )


def _said(desk: Desk, review: Review) -> ReviewSaid:
    record = desk.reviews.record(review.position)
    answer = record.body.get("answer")
    opinion = review.opinion
    return ReviewSaid(
        id=str(answer["id"]) if isinstance(answer, dict) else str(review.position),
        position=review.position,
        reviewer=review.reviewer,
        at=moment(review.utc_ns).isoformat(),
        part=opinion.part,
        batch=review.batch,
        view=opinion.view,
        decision=opinion.decision,
        was=review.was,
        outcome=opinion.outcome,
        labels=[
            LabelWords(
                label=label.label,
                severity=label.severity,
                box=list(label.box) if label.box else None,
                polygon=[list(point) for point in label.polygon] or None,
            )
            for label in opinion.labels
        ],
        reason=opinion.reason,
        sample=opinion.sample,
    )
