"""What people found on a second look: reviews of parts, as records and as an index of them.

Enters: an `Opinion` about a part that the ledger knows. Leaves: a desk record of kind ``review``,
which is never edited: who changes their mind writes another one. `Reviews` answers from
``<data>/reviews.db``, an index of those records (`deskindex`): by part, by batch, newest first,
what still waits for a second opinion, how well two reviewers agree. Every room may import this.

A record's body has ``part`` (UUID), ``view``, ``decision``, ``outcome`` (what the part truly is),
``labels`` (each with ``label``, ``severity``, and ``box`` or ``polygon`` in pixels of the view),
``reason``, ``sample`` (wanted for training), and from the ledger ``batch``, ``stream``,
``sequence`` and ``was`` (the verdict's outcome); other fields are the writer's own.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from inspector.part import Box, Outcome, PartId, Severity
from inspector.store.desk import DeskLedger
from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.errors import RecordError
from inspector.store.query import History, PartHistory
from inspector.store.records import DeskRecord

KIND = "review"
"""The kind of these desk records."""
VERSION = 1
LABELS_MAX = 500
POINTS_MAX = 2000
_TABLES = """
CREATE TABLE review (position INTEGER PRIMARY KEY, part TEXT, batch TEXT, reviewer TEXT,
  decision TEXT, outcome TEXT);
CREATE INDEX review_part ON review (part, position);
CREATE INDEX review_batch ON review (batch, position);
CREATE TABLE opinion (reviewer TEXT, part TEXT, outcome TEXT, PRIMARY KEY (reviewer, part))
  WITHOUT ROWID;
CREATE TABLE asked (part TEXT PRIMARY KEY, reviewer TEXT, position INTEGER) WITHOUT ROWID;
CREATE INDEX asked_position ON asked (position);
"""


class Decision(StrEnum):
    """What a reviewer does with a verdict."""

    CONFIRM = "confirm"
    """The verdict's outcome is right."""
    OVERRIDE = "override"
    """It is wrong: an escape, a false reject, or an error that is told what the part is."""
    RELABEL = "relabel"
    """The outcome is right, what was found or where is not."""
    SECOND_OPINION = "second_opinion"
    """Somebody else should look; the outcome given is no judgement yet."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that a person sees on the part, by a box or a polygon."""

    label: str
    severity: Severity = Severity.MAJOR
    box: Box | None = None
    polygon: tuple[tuple[float, float], ...] = ()
    """``(x, y)`` in pixels of the view, at least three."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody says about a part."""

    part: PartId
    decision: Decision
    outcome: Outcome
    """What the part truly is: ``pass`` or ``reject``."""
    view: str = ""
    """The picture that was looked at; empty where it was the part itself."""
    labels: tuple[Label, ...] = ()
    reason: str = ""
    sample: bool = False
    """Whether its pictures should go to training."""


@dataclass(frozen=True, slots=True)
class Review:
    """An opinion on record."""

    position: int
    """Of the desk's record."""
    reviewer: str
    utc_ns: int
    opinion: Opinion
    batch: str
    stream: str
    sequence: int
    was: Outcome
    """The verdict's outcome."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two reviewers judged the parts that both have judged."""

    parts: int
    agreed: int
    kappa: float | None
    """Cohen's κ (Cohen 1960); None where chance alone would agree always, or without parts."""


def review_body(opinion: Opinion, part: PartHistory) -> dict[str, Any]:
    """The record's body. ``part``: what the ledger knows of the opinion's part.

    Raises:
        RecordError: the opinion contradicts itself or the verdict; ``str()`` says how.
    """
    was = part.verdict.outcome
    if opinion.outcome not in (Outcome.PASS, Outcome.REJECT):
        raise RecordError(f"a part truly is `pass` or `reject`, never {opinion.outcome!r:.20}")
    if opinion.decision is Decision.CONFIRM and opinion.outcome is not was:
        raise RecordError(f"the verdict was `{was}`: to say `{opinion.outcome}`, override it")
    if opinion.decision is Decision.OVERRIDE and opinion.outcome is was:
        raise RecordError(f"the verdict was `{was}` already: confirm or relabel it")
    if opinion.decision is Decision.OVERRIDE and not opinion.reason.strip():
        raise RecordError("an override needs a reason")
    if len(opinion.labels) > LABELS_MAX:
        raise RecordError(f"{len(opinion.labels)} labels on one part; at most {LABELS_MAX}")
    return {
        "part": str(opinion.part),
        "view": opinion.view,
        "decision": str(opinion.decision),
        "outcome": str(opinion.outcome),
        "labels": [_label_body(label) for label in opinion.labels],
        "reason": opinion.reason,
        "sample": opinion.sample,
        "batch": part.verdict.batch,
        "stream": part.verdict.stream,
        "sequence": part.verdict.sequence,
        "was": str(was),
    }


def add_review(desk: DeskLedger, history: History, opinion: Opinion, principal: str) -> int:
    """Records an opinion; gives its position at the desk.

    Raises:
        RecordError: the ledger has no such part, or as `review_body`.
        StoreError: it was not written.
    """
    part = history.part(opinion.part)
    if part is None:
        raise RecordError(f"no part has the id {opinion.part}")
    return desk.add(KIND, review_body(opinion, part), principal)


class Reviews(DeskIndex):
    """The reviews of a station. Safe to share between threads."""

    def __init__(self, data_dir: Path | str) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        super().__init__(Path(data_dir), PROJECTION)

    def find(
        self,
        *,
        part: PartId | None = None,
        batch: str | None = None,
        reviewer: str | None = None,
        decision: Decision | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[Review, ...]:
        """Reviews, the newest first, of one part, one batch, one reviewer, one kind, or all.

        Args:
            before: only those recorded at the desk before this position, to page on.
        """
        wanted = {
            "part": None if part is None else str(part), "batch": batch, "reviewer": reviewer,
            "decision": decision,
        }  # fmt: skip
        given = {name: value for name, value in wanted.items() if value is not None}
        where = "".join(f" AND {name} = ?" for name in given)
        with self.current() as index:
            rows = index.execute(
                f"SELECT position FROM review WHERE position < ?{where}"
                " ORDER BY position DESC LIMIT ?",
                (1 << 62 if before is None else before, *given.values(), limit),
            ).fetchall()
        return tuple([self._review(position) for (position,) in rows])

    def newest_of(self, part: PartId) -> Review | None:
        """What was said last about a part."""
        found = self.find(part=part, limit=1)
        return found[0] if found else None

    def pending(
        self,
        *,
        batch: str | None = None,
        not_by: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[Review, ...]:
        """Requests for a second opinion that nobody but who asked has answered, newest first, of
        one batch's parts or of all.

        Args:
            not_by: leave out those that this reviewer asked for, who must not answer them.
        """
        with self.current() as index:
            rows = index.execute(
                "SELECT position FROM asked JOIN review USING (position)"
                " WHERE position < ? AND asked.reviewer IS NOT ? AND batch = coalesce(?, batch)"
                " ORDER BY position DESC LIMIT ?",
                (1 << 62 if before is None else before, not_by, batch, limit),
            ).fetchall()
        return tuple([self._review(position) for (position,) in rows])

    def pending_in(self, batch: str) -> int:
        """How many such requests are of a batch's parts."""
        with self.current() as index:
            (count,) = index.execute(
                "SELECT count(*) FROM asked JOIN review USING (position) WHERE batch = ?", (batch,)
            ).fetchone()
        return int(count)

    def agreement(self, first: str, second: str) -> Agreement:
        """How two reviewers agree, by each one's newest judgement of each part that both judged;
        a request for a second opinion is none."""
        with self.current() as index:
            pairs = index.execute(
                "SELECT a.outcome, b.outcome, count(*) FROM opinion a JOIN opinion b"
                " ON b.reviewer = ? AND b.part = a.part WHERE a.reviewer = ?"
                " GROUP BY a.outcome, b.outcome",
                (second, first),
            ).fetchall()
        return agreement_of({(mine, yours): parts for mine, yours, parts in pairs})

    def _review(self, position: int) -> Review:
        return review_of(position, self.record(position))


def agreement_of(pairs: Mapping[tuple[str, str], int]) -> Agreement:
    """Cohen's κ = (pₒ - pₑ) / (1 - pₑ) from how often each pair of judgements was given."""
    total = sum(pairs.values())
    agreed = sum(parts for (mine, yours), parts in pairs.items() if mine == yours)
    outcomes = {outcome for pair in pairs for outcome in pair}
    by_chance = sum(
        sum(parts for (mine, _), parts in pairs.items() if mine == outcome)
        * sum(parts for (_, yours), parts in pairs.items() if yours == outcome)
        for outcome in outcomes
    )
    if by_chance == total * total:  # also where there is no part
        return Agreement(total, agreed, None)
    expected = by_chance / (total * total)
    return Agreement(total, agreed, (agreed / total - expected) / (1 - expected))


def review_of(position: int, record: DeskRecord) -> Review:
    """The review that a desk record is. Raises ValueError, KeyError or TypeError if it is none."""
    body = record.body
    return Review(
        position,
        record.principal,
        record.utc_ns,
        Opinion(
            PartId(UUID(body["part"])),
            Decision(body["decision"]),
            Outcome(body["outcome"]),
            str(body.get("view", "")),
            tuple([_label_of(label) for label in body.get("labels", ())]),
            str(body.get("reason", "")),
            bool(body.get("sample", False)),
        ),
        str(body["batch"]),
        str(body["stream"]),
        int(body["sequence"]),
        Outcome(body["was"]),
    )


def _label_body(label: Label) -> dict[str, Any]:
    if not label.label.strip():
        raise RecordError("a label needs a name")
    if (label.box is None) == (not label.polygon):
        raise RecordError(f"label {label.label!r:.60} needs either a box or a polygon")
    body: dict[str, Any] = {"label": label.label, "severity": str(label.severity)}
    if label.box is not None:
        x1, y1, x2, y2 = label.box
        if not all(map(math.isfinite, label.box)) or not (0 <= x1 < x2 and 0 <= y1 < y2):
            raise RecordError(
                f"label {label.label!r:.60}: a box is [x1, y1, x2, y2] in pixels, x1 < x2, y1 < y2"
            )
        return body | {"box": [float(value) for value in label.box]}
    points = [[float(x), float(y)] for x, y in label.polygon]
    inside = all(math.isfinite(value) and value >= 0 for point in points for value in point)
    if not 3 <= len(points) <= POINTS_MAX or not inside:
        raise RecordError(
            f"label {label.label!r:.60}: a polygon is 3 to {POINTS_MAX} points [x, y] in pixels"
        )
    return body | {"polygon": points}


def _label_of(body: Mapping[str, Any]) -> Label:
    box, polygon = body.get("box"), body.get("polygon", ())
    return Label(
        str(body["label"]),
        Severity(body["severity"]),
        None if box is None else (box[0], box[1], box[2], box[3]),
        tuple([(point[0], point[1]) for point in polygon]),
    )


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    if record.kind != KIND:
        return
    review = review_of(position, record)
    opinion, part = review.opinion, str(review.opinion.part)
    index.execute(
        "INSERT INTO review VALUES (?, ?, ?, ?, ?, ?)",
        (position, part, review.batch, review.reviewer, opinion.decision, opinion.outcome),
    )
    if opinion.decision is Decision.SECOND_OPINION:
        index.execute(
            "INSERT OR REPLACE INTO asked VALUES (?, ?, ?)", (part, review.reviewer, position)
        )
        return
    index.execute(
        "INSERT OR REPLACE INTO opinion VALUES (?, ?, ?)", (review.reviewer, part, opinion.outcome)
    )
    index.execute("DELETE FROM asked WHERE part = ? AND reviewer <> ?", (part, review.reviewer))


PROJECTION = Projection("reviews.db", VERSION, _TABLES, _apply)
