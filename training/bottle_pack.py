"""The model ``bottle-pack``: bottles of a real conveyor by product, their caps by type, their
labels, and levels that are too low.

The frames are CapVision's (github.com/voolbeat/CapVision, CC BY 4.0) and never part of the repo.
They have boxes round bottles and caps. Which product a film shows gives the cap's type; a label is
found by its paper, which is paler than what is in a bottle; and what no film shows, a cap of the
other product, no label, a low level, is painted. Enters that data folder; leaves the plan that
``training fit detect bottle-pack`` follows, and the paintings, for who measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inspector.part import Pixels
from training import bottle_cap
from training.augment import Variation, paint_out
from training.detector import Shape
from training.fit import Schedule
from training.pictures import Picture, read_yolo
from training.plan import Plan

CLASSES = ("gel_bottle", "soap_bottle", "flip_cap", "pump_cap", "label", "low_fill")
GEL, SOAP, FLIP, PUMP, LABEL, LOW = range(len(CLASSES))
GELS = ("IMG_2662", "IMG_4825", "IMG_4826", "document_5303551021555925004")
"""The films of shower gel; the others show soap."""
HELD_OUT = bottle_cap.HELD_OUT
SIDE = 448
PALE = 0.55
"""A label's paper: its saturation is at most so much of the bottle's own …"""
LEAST_LABEL = 0.08
"""… over so much of the bottle."""
LEVEL = 0.19
"""Where the gel begins, as a share of a bottle's height, its cap included. The soap's level cannot
be seen on these films: green before a green wall."""
LOWERED = (0.08, 0.3)
"""A low level is lower by so much of the bottle's height."""
PAINTED = 2
"""Painted copies of each frame."""

Paint = Callable[[Picture, int, Sequence[Picture], Generator], Picture | None]


def seen(folder: Path, films: Sequence[str], side: int = SIDE) -> list[Picture]:
    """The frames of these films, their boxes by product and cap type, with the labels found."""
    pictures = []
    for frame in read_yolo(folder, side=side, only=films):
        gel = frame.group in GELS
        kinds = {0: GEL if gel else SOAP, 1: FLIP if gel else PUMP}
        labels = np.array([kinds[int(k)] for k in frame.labels], np.int64)
        found = [label_of(frame.pixels, box) for box in frame.boxes[frame.labels == 0]]
        boxes = [box for box in found if box is not None]
        pictures.append(
            Picture(
                frame.pixels,
                np.concatenate([frame.boxes, np.array(boxes, np.float32).reshape(-1, 4)]),
                np.concatenate([labels, np.full(len(boxes), LABEL, np.int64)]),
                frame.group,
                frame.name,
            )
        )
    return pictures


def label_of(pixels: Pixels, bottle: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The box of a bottle's label, or None where there is none."""
    x1, y1, x2, y2 = (max(0, round(float(v))) for v in bottle)
    top = y1 + (y2 - y1) * 3 // 10
    cut = pixels[top:y2, x1:x2]
    if min(cut.shape[:2]) < 12:
        return None
    hsv = cv2.cvtColor(cv2.medianBlur(cut, 3), cv2.COLOR_BGR2HSV)
    liquid = float(np.percentile(hsv[..., 1], 75))
    pale = ((hsv[..., 1] <= PALE * liquid) & (hsv[..., 2] > 70)).astype(np.uint8)
    join = max(3, (x2 - x1) // 12) | 1
    pale = np.asarray(cv2.morphologyEx(pale, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    pale = np.asarray(
        cv2.morphologyEx(pale, cv2.MORPH_CLOSE, np.ones((join, join), np.uint8)), np.uint8
    )
    count, _, stats, _ = cv2.connectedComponentsWithStats(pale)
    if count < 2:
        return None
    best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h, area = (int(v) for v in stats[best])
    if area < LEAST_LABEL * (x2 - x1) * (y2 - y1) or w < 0.3 * (x2 - x1):
        return None
    return np.array([x1 + x, top + y, x1 + x + w, top + y + h], np.float32)


def without_cap(
    picture: Picture, bottle: int, others: Sequence[Picture], rng: Generator
) -> Picture | None:
    """The bottle without its cap, covered by what could stand behind it."""
    cap = _inside(picture, bottle, (FLIP, PUMP))
    if cap is None:
        return None
    alone = Picture(picture.pixels, picture.boxes[[cap]], picture.labels[[cap]])
    bare = paint_out(alone, int(picture.labels[cap]), rng)
    return _changed(picture, bare.pixels, gone=(cap,))


def other_cap(
    picture: Picture, bottle: int, others: Sequence[Picture], rng: Generator
) -> Picture | None:
    """The bottle with the other product's cap, taken from one of ``others``."""
    cap = _inside(picture, bottle, (FLIP, PUMP))
    if cap is None:
        return None
    wanted = PUMP if picture.labels[cap] == FLIP else FLIP
    for _ in range(20):
        other = others[rng.integers(len(others))]
        there = [b for b in other.boxes[other.labels == wanted] if _is_whole(other, b)]
        if there:
            break
    else:
        return None
    x1, y1, x2, y2 = (round(float(v)) for v in there[rng.integers(len(there))])
    bare = without_cap(picture, bottle, others, rng)
    if bare is None or min(x2 - x1, y2 - y1) < 6:
        return None
    box = picture.boxes[cap]
    # As high as the cap that was there, and down to where it ended.
    high = float(box[3] - box[1])
    wide = high * (x2 - x1) / (y2 - y1)
    middle = float(box[0] + box[2]) / 2
    left, top = round(middle - wide / 2), round(float(box[1]))
    size = max(4, round(wide)), max(4, round(high))
    patch = cv2.resize(other.pixels[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
    height, width = picture.pixels.shape[:2]
    if left < 0 or top < 0 or left + size[0] > width or top + size[1] > height:
        return None
    alpha = np.zeros(size[::-1], np.float32)
    alpha[1:-1, 1:-1] = 1
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0)[..., None]
    pixels = bare.pixels.copy()
    under = pixels[top : top + size[1], left : left + size[0]]
    under[:] = (under + (patch.astype(np.float32) - under) * alpha).astype(np.uint8)
    placed = np.array([left, top, left + size[0], top + size[1]], np.float32)
    return _changed(bare, pixels, new=((placed, wanted),))


def without_label(
    picture: Picture, bottle: int, others: Sequence[Picture], rng: Generator
) -> Picture | None:
    """The bottle without its label: what is in it shows through."""
    label = _inside(picture, bottle, (LABEL,))
    if label is None:
        return None
    x1, y1, x2, y2 = _whole(picture.boxes[label] + (-3, -3, 3, 3), picture)
    left, _, right, _ = _whole(picture.boxes[bottle], picture)
    beside = max(left + 2, x1 - 4), min(right - 2, x2 + 4)
    if beside[1] - beside[0] < 8 or y2 - y1 < 8:
        return None
    pixels = picture.pixels.copy()
    ends = [_column(pixels, x, y1, y2) for x in beside]
    ramp = np.linspace(0, 1, x2 - x1, dtype=np.float32)[None, :, None]
    shown = ends[0][:, None] * (1 - ramp) + ends[1][:, None] * ramp
    shown += rng.normal(0, rng.uniform(1, 4), shown.shape)
    shown *= np.float32(rng.uniform(0.85, 1.2))
    pixels[y1:y2, x1:x2] = np.clip(shown, 0, 255)
    return _changed(picture, pixels, gone=(label,))


def low_fill(
    picture: Picture, bottle: int, others: Sequence[Picture], rng: Generator
) -> Picture | None:
    """The gel bottle with a lower level: what stands behind shows through clear plastic above."""
    if picture.labels[bottle] != GEL:
        return None
    box = picture.boxes[bottle]
    high = float(box[3] - box[1])
    start = float(box[1]) + LEVEL * high
    end = start + float(rng.uniform(*LOWERED)) * high
    inset = 0.04 * float(box[2] - box[0])
    x1, y1, x2, y2 = _whole(
        np.array([box[0] + inset, start, box[2] - inset, end], np.float32), picture
    )
    if x2 - x1 < 10 or y2 - y1 < 4:
        return None
    width = picture.pixels.shape[1]
    left, right = max(0, round(float(box[0])) - 5), min(width - 1, round(float(box[2])) + 5)
    pixels = picture.pixels.copy()
    band = pixels[y1:y2, x1:x2].astype(np.float32)
    behind = np.median(
        np.concatenate([picture.pixels[y1:y2, left], picture.pixels[y1:y2, right]]), axis=0
    )
    # Light that glances off the plastic stays; so does a label that reaches up here.
    shine = np.clip((band.min(2, keepdims=True) - 150) / 60, 0, 1)
    clear = (1 - shine) * np.float32(rng.uniform(0.65, 0.9))
    paper = _inside(picture, bottle, (LABEL,))
    if paper is not None:
        px1, py1, px2, _ = _whole(picture.boxes[paper], picture)
        clear[max(0, py1 - y1) :, max(0, px1 - x1) : max(0, px2 - x1)] = 0
    band += (behind * np.float32(rng.uniform(0.85, 1.05)) - band) * clear
    band[-1:] *= np.float32(rng.uniform(0.6, 0.95))  # the surface is a darker line
    pixels[y1:y2, x1:x2] = np.clip(band, 0, 255)
    return _changed(picture, pixels, new=((np.array([x1, y1, x2, y2], np.float32), LOW),))


PAINTINGS: dict[str, Paint] = {
    "no cap": without_cap,
    "other cap": other_cap,
    "no label": without_label,
    "low fill": low_fill,
}


def bottles_of(picture: Picture) -> list[int]:
    """The bottles that stand in the frame whole, by their row."""
    return [
        int(i)
        for i in np.flatnonzero(np.isin(picture.labels, (GEL, SOAP)))
        if _is_whole(picture, picture.boxes[i])
    ]


def pictures(folder: Path) -> tuple[list[Picture], list[Picture]]:
    """Frames to learn from, each also painted, and the held-out ones as they are."""
    films = sorted(
        {p.name.split("_MOV")[0].split("_mp4")[0] for p in (folder / "images").iterdir()}
    )
    learn = seen(folder, [film for film in films if film not in HELD_OUT])
    rng = np.random.default_rng(3)
    painted = []
    ways = list(PAINTINGS.values())
    for frame in learn:
        for _ in range(PAINTED):
            changed = frame
            for number in range(len(bottles_of(frame))):
                if rng.random() < 0.6:
                    # No painting takes a bottle away, but other rows go.
                    bottle = bottles_of(changed)[number]
                    done = ways[rng.integers(len(ways))](changed, bottle, learn, rng)
                    changed = changed if done is None else done
            if changed is not frame:
                painted.append(changed)
    return learn + painted, seen(folder, HELD_OUT)


def _inside(picture: Picture, bottle: int, kinds: tuple[int, ...]) -> int | None:
    """The row of the bottle's own thing of one of these kinds."""
    x1, y1, x2, y2 = picture.boxes[bottle]
    middle = (picture.boxes[:, :2] + picture.boxes[:, 2:]) / 2
    near = (middle[:, 0] > x1) & (middle[:, 0] < x2) & (middle[:, 1] > y1 - (y2 - y1) * 0.3)
    rows = np.flatnonzero(near & (middle[:, 1] < y2) & np.isin(picture.labels, kinds))
    return int(rows[0]) if len(rows) else None


def _is_whole(picture: Picture, box: NDArray[np.float32]) -> bool:
    return bool(box[0] > 4 and box[2] < picture.pixels.shape[1] - 4)


def _whole(box: NDArray[np.float32], picture: Picture) -> tuple[int, int, int, int]:
    height, width = picture.pixels.shape[:2]
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    return max(0, x1), max(0, y1), min(width, x2), min(height, y2)


def _column(pixels: Pixels, x: int, y1: int, y2: int) -> NDArray[np.float32]:
    column = pixels[y1:y2, max(0, x - 1) : x + 2].astype(np.float32).mean(1)
    return np.asarray(cv2.blur(column[:, None], (1, 9))[:, 0], np.float32)


def _changed(
    picture: Picture,
    pixels: Pixels,
    gone: tuple[int, ...] = (),
    new: tuple[tuple[NDArray[np.float32], int], ...] = (),
) -> Picture:
    keep = np.setdiff1d(np.arange(len(picture.labels)), gone)
    boxes = np.concatenate([picture.boxes[keep], *(box[None] for box, _ in new)])
    labels = np.concatenate([picture.labels[keep], np.array([k for _, k in new], np.int64)])
    return Picture(pixels, boxes, labels, picture.group, picture.name)


PLAN = Plan(
    name="bottle-pack",
    shape=Shape(320, 320, CLASSES),
    variation=Variation(
        zoom=(0.55, 1.3),
        shift=0.1,
        turn=3.0,
        flip=0.5,
        light=0.3,
        colour=0.5,
        blur=0.2,
        noise=10.0,
        erase=0.15,
    ),
    schedule=Schedule(epochs=4, rate=1.2e-3, warm_up=50, average=0.99),
    pictures=pictures,
    trained_on=(
        "CapVision (github.com/voolbeat/CapVision), licensed CC BY 4.0: frames of shower-gel and "
        f"soap bottles on a conveyor, all films but {', '.join(HELD_OUT)}, which measure; begun as "
        "bottle-cap/1, which knew the same. Changed: caps exchanged and painted over, labels "
        "painted over, levels lowered; scaled, recoloured, blurred, partly covered."
    ),
)
