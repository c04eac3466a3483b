"""The last good parts of a station go in; a bank that knows them comes out, and a map of each part.

Good is what the line passed and nobody overrode, and what it rejected and a reviewer says is good:
those are what a taught tool must let through. Every part is judged by members that did not know it,
so its score and its heat map are what the tool will say of a new one. Imported by the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Mode, Outcome, Pixels
from inspector.pictures import read_image
from inspector.store import History
from inspector.store.circumstance import batch_of
from inspector.store.files import write_whole
from inspector.store.pages import parts_of
from inspector.store.query import PartHistory
from inspector.store.reviews import Decision, Reviews
from inspector.teach.anomaly import FALSE_REJECT, MOST_GOOD
from inspector.teach.follow import Leader
from inspector.teach.material import LEAST_GOOD
from inspector.teach.pictures import Progress, TeachError
from inspector.teach.recipe import taught_from
from inspector.tools.anomaly import Map, worst
from inspector.tools.bank import Bank, keep_bank
from inspector.tools.onnx import Shelf
from inspector.tools.step import Roi, Unjudged, crop

PORTION = 500
SEARCHED = 200_000
"""Parts that are gone through for good ones: more than an hour at 50 parts/s."""
REVIEWED = 10_000
"""The newest reviews that are asked what is good."""
BOUND_S = 60.0
MODES = frozenset({Mode.AUTO, Mode.SETUP})
"""In production, or while somebody feeds good parts to set the station up."""
SHOWN = 24
"""Parts that are pictured: those that are most unlike the others, worst first."""
SIDE = 480
"""Pixels of a picture's longer side; a map has some hundred cells."""
RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which parts teach, and what of them."""

    recipe: str
    """By which they were judged."""
    view: str
    """The camera."""
    last: int = 50
    roi: Roi | None = None
    product: str = ""
    """Only parts of its batches."""
    without: frozenset[str] = frozenset()
    """Parts that are left out, by id: somebody has looked, and they are not good."""
    false_reject: float = FALSE_REJECT
    follow: Leader | None = None
    """The ``align`` step by which each part is turned back first; the ROI is on its golden
    picture."""
    run: Path | None = None
    """Folder of the training of a network that judges too (``--thorough``)."""
    epochs: int | None = None


def teach_parts(
    data: Path,
    asked: Asked,
    out: Path,
    models: Path,
    threads: int = 1,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Teaches from the station's own parts into ``out``; what it was measured to do, JSON-ready.

    ``out`` then holds the bank as a recipe's folder would, the pictures of the parts that are most
    unlike the others with their heat maps (``0.jpg``, ``0.png`` …) and ``result.json``. Raises
    ``TeachError``, ``ModelError``, ``StoreError`` or ``OSError``.
    """
    shelf = Shelf(models, threads)
    parts, pictures = _seen(data, asked, shelf, progress)
    taught, kept, report = taught_from(
        pictures,
        [],
        shelf,
        false_reject=asked.false_reject,
        run=asked.run,
        epochs=asked.epochs,
        progress=progress,
    )
    parts, pictures = [parts[i] for i in kept], [pictures[i] for i in kept]
    out.mkdir(parents=True, exist_ok=True)
    bank = taught.bank
    digest = keep_bank(bank, out)
    judged = taught.judged if taught.judged is not None else range(len(parts))
    maps = dict(zip(judged, taught.maps[0], strict=True))
    scores = {i: bank.score(worst(m)) for i, m in maps.items()}
    order = sorted(scores, key=lambda i: -scores[i])
    for number, i in enumerate(order[:SHOWN]):
        _draw(out / f"{number}.jpg", pictures[i], None, bank)
        _draw(out / f"{number}.png", pictures[i], maps[i], bank)
    result = {
        "bank": digest,
        "view": asked.view,
        "roi": asked.roi,
        "follow": asked.follow.step.name if asked.follow else "",
        "size": list(bank.size),
        "report": report,
        "parts": [_row(parts[i], scores[i]) for i in order],
        "shown": min(SHOWN, len(order)),
        "selfmade": [round(bank.score(worst(m)), 4) for m in taught.maps[1]],
    }
    write_whole(out / RESULT, json.dumps(result, ensure_ascii=False).encode())
    return result


def good_parts(data: Path, asked: Asked) -> Iterator[PartHistory]:
    """The newest good parts of which the view is kept, newest first; of those whose pictures are
    one and the same, as where a folder is replayed, one. Raises ``StoreError``."""
    truly: dict[str, Outcome] = {}
    with History(data, bound_s=BOUND_S) as history:  # first: it says where there is no ledger
        with Reviews(data) as reviews:
            said = reviews.find(limit=REVIEWED)
        for review in said:  # newest first
            if review.opinion.decision is not Decision.SECOND_OPINION:
                truly.setdefault(str(review.opinion.part), review.opinion.outcome)
        before: int | None = None
        pictures: set[str] = set()
        for _ in range(SEARCHED // PORTION):
            parts, before = parts_of(history, before=before, limit=PORTION)
            for part in parts:
                verdict, id = part.verdict, str(part.verdict.part_id)
                if (
                    verdict.recipe.rpartition("@")[0] == asked.recipe
                    and verdict.mode in MODES
                    and truly.get(id, verdict.outcome) is Outcome.PASS
                    and id not in asked.without
                    and (path := _picture(part, asked.view))
                    and (digest := Path(path).name) not in pictures
                    and (not asked.product or batch_of(history, part).product == asked.product)
                ):
                    pictures.add(digest)
                    yield part
            if before is None:
                return


def _seen(
    data: Path, asked: Asked, shelf: Shelf, progress: Progress
) -> tuple[list[PartHistory], list[Pixels]]:
    """The parts that teach and what lies under the ROI of each. A picture that a disk has damaged
    is left out, and one in which the step that is followed does not find the part; one of another
    size than the ROI was drawn for is a mistake."""
    if not LEAST_GOOD <= asked.last <= MOST_GOOD:
        what = f"{LEAST_GOOD} to {MOST_GOOD} parts teach"
        raise TeachError(f"{what}, not {asked.last}")
    parts: list[PartHistory] = []
    pictures: list[Pixels] = []
    turned = asked.follow.eye(shelf, asked.roi) if asked.follow else None
    missed = ""
    for part in good_parts(data, asked):
        pixels, _ = read_image(data / _picture(part, asked.view))
        if pixels is None:
            continue
        try:
            pictures.append(turned(pixels) if turned else crop(pixels, asked.roi))
        except Unjudged as error:
            if turned is not None:
                missed = missed or f"part {part.verdict.sequence}: {error}"
                continue
            raise TeachError(f"part {part.verdict.sequence}: {error}; draw it anew") from None
        parts.append(part)
        progress("finding good parts", len(parts), asked.last)
        if len(parts) == asked.last:
            break
    if len(parts) < LEAST_GOOD and missed and asked.follow:
        raise TeachError(
            f"step `{asked.follow.step.name}` finds the part in {len(parts)} good pictures, "
            f"{LEAST_GOOD} are needed; {missed}"
        )
    if len(parts) < LEAST_GOOD:
        of = f" of {asked.product}" if asked.product else ""
        raise TeachError(
            f"{len(parts)} good parts{of} by recipe {asked.recipe} have a kept picture of "
            f"{asked.view}, copies left out, {LEAST_GOOD} are needed; let the line run, and have "
            "the station file keep pictures of more passes (`store.pass_image_every`)"
        )
    return parts, pictures


def _picture(part: PartHistory, view: str) -> str:
    """Where the picture by a camera lies; nothing where it is not kept, whatever else is."""
    return next((image.path for image in part.images if image.view == view), "")


def _row(part: PartHistory, score: float) -> dict[str, Any]:
    verdict = part.verdict
    return {
        "id": str(verdict.part_id),
        "number": verdict.sequence,
        "batch": verdict.batch,
        "utc_ns": verdict.times.utc_ns,
        "score": round(score, 4),
    }


def _draw(path: Path, pixels: Pixels, seen: Map | None, bank: Bank) -> None:
    """The picture itself, or how unlike good ones each of its places is, to be laid over it: what
    is as good ones are is clear, and the limit is half way up."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if seen is None:
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        path.write_bytes(cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 88))[1].tobytes())
        return
    far = cv2.resize(seen, size, interpolation=cv2.INTER_CUBIC) / (2 * max(bank.limit, 0.1))
    heat = np.clip(far, 0, 1)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    clear = np.clip(1.6 * heat, 0, 0.9)
    layers = np.dstack([colours, (clear * 255).astype(np.uint8)])
    path.write_bytes(cv2.imencode(".png", layers)[1].tobytes())
