"""A recipe that judges beside the champion and decides nothing.

Enters: the line's offers. Leaves: a count, and for each part judged otherwise a desk record
``shadow`` with its pictures in ``<data>/shadow``, which the centre wants most of all. Imports
recipe, store and this room; ``process`` imports this.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Batch, Mode, Outcome, Pixels, Severity
from inspector.recipe import Judgement, Recipe
from inspector.release.offer import Offer
from inspector.release.stage import SHADOW, TALLY
from inspector.store import DeskLedger
from inspector.store.files import write_whole

PICTURES = "shadow"
TOLD_PER_HOUR = 200
"""Disagreements that get a record and pictures; what is over is counted only."""
KEPT_PICTURES = 4000


@dataclass(slots=True)
class Shadow:
    """One recipe in shadow, and what it has said so far."""

    digest: str
    """Of the release; empty for the station file's own recipe."""
    title: str
    recipe: Recipe
    beside: str
    """Recipe digest of the champion."""
    share: float
    judged: int = 0
    disagreed: int = 0
    errors: int = 0
    began_ns: int = field(default_factory=time.time_ns)
    _ms: deque[float] = field(default_factory=lambda: deque(maxlen=2000))
    _told: deque[float] = field(default_factory=deque)

    def wants(self, offer: Offer) -> bool:
        """Whether this part is one of its share: by the part's own id, so that all agree on it."""
        body = offer.body
        if body["digest"] != self.beside or body["mode"] != Mode.AUTO:
            return False
        if body["outcome"] not in (Outcome.PASS, Outcome.REJECT):
            return False
        drawn = int.from_bytes(sha256(str(body["part"]).encode()).digest()[:4]) / 2**32
        return bool(drawn < self.share)

    def look(self, offer: Offer, frames: Mapping[str, Pixels], data: Path) -> bool:
        """Judge one part; whether it agrees. Records it when it does not."""
        body = offer.body
        batch = Batch(body["batch"], body["product"], self.recipe.name, body["texts"])
        day = datetime.fromtimestamp(body["utc_ns"] / 1e9, UTC).astimezone().date()
        spent = body.get("spent")
        if spent is not None:
            spent = {Severity(severity): n for severity, n in spent.items()}
        judged = self.recipe.judge(frames, batch, day, body["synced"], spent)
        self.judged += 1
        self._ms.append(judged.ms)
        if judged.outcome is Outcome.ERROR:
            self.errors += 1
        same = judged.outcome.value == str(body["outcome"])
        if not same:
            self.disagreed += 1
            if self._may_tell():
                self._tell(offer, frames, judged, data)
        return same

    def tally(self) -> dict[str, Any]:
        """What it has said so far, for the desk's record."""
        ms = np.array(self._ms or [0.0])
        return {
            "release": self.title, "digest": self.digest, "recipe": self.recipe.name,
            "beside": self.beside, "judged": self.judged, "disagreed": self.disagreed,
            "errors": self.errors, "p50_ms": round(float(np.median(ms)), 2),
            "p99_ms": round(float(np.quantile(ms, 0.99)), 2), "since_utc_ns": self.began_ns,
        }  # fmt: skip

    def record(self, data: Path, principal: str) -> None:
        """Put the tally on the desk."""
        with DeskLedger.open(data) as desk:
            desk.add(TALLY, self.tally(), principal)

    def _may_tell(self) -> bool:
        now = time.monotonic()
        while self._told and now - self._told[0] > 3600:
            self._told.popleft()
        if len(self._told) >= TOLD_PER_HOUR:
            return False
        self._told.append(now)
        return True

    def _tell(
        self, offer: Offer, frames: Mapping[str, Pixels], judged: Judgement, data: Path
    ) -> None:
        body = offer.body
        with DeskLedger.open(data) as desk:
            desk.add(
                SHADOW,
                {
                    "part": body["part"], "stream": body["stream"], "sequence": body["sequence"],
                    "batch": body["batch"], "recipe": body["recipe"], "champion": body["digest"],
                    "outcome": body["outcome"], "labels": list(body["labels"]),
                    "release": self.title, "digest": self.digest,
                    "shadow_outcome": judged.outcome.value,
                    "shadow_labels": sorted({f.label for f in judged.findings if not f.ok}),
                    "shadow_reasons": list(judged.reasons[:4]),
                    "images": [_keep(data, view, pixels) for view, pixels in frames.items()],
                },
                "releases",
            )  # fmt: skip


def _keep(data: Path, view: str, pixels: Pixels) -> dict[str, Any]:
    """The picture in the shadow's own folder, by its content; the oldest give way."""
    content = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
    digest = sha256(content).hexdigest()
    folder = data / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest}.jpg"
    if not path.exists():
        write_whole(path, content)
        there = sorted(folder.glob("*.jpg"), key=lambda p: p.stat().st_mtime_ns)
        for old in there[:-KEPT_PICTURES]:
            old.unlink(missing_ok=True)
    return {
        "view": view, "sha256": digest, "path": path.relative_to(data).as_posix(),
        "bytes": len(content),
    }  # fmt: skip
