"""The shipped model ``bottle-line``: the virtual line's bottles from the side, and their defects.

Parts are rendered, so anyone can make them again from the seeds. Enters a folder to keep them in;
leaves the plan that ``training fit detect bottle-line`` follows. The model looks at ``ROI`` of the
640x480 frame at full resolution: a foreign particle of 6 px would be 3 px in a whole frame scaled
to 320, and the pixels beside the bottle tell nothing.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from inspector.virtual.bottle import render_part
from inspector.virtual.print import Split
from inspector.virtual.product import (
    CONFLICTS,
    DEFECTS,
    PRODUCTS,
    PartSpec,
    draw_date,
    draw_defects,
    draw_lot,
)
from training.augment import Variation
from training.dataset.row import GIVEN, Draft, Label, Row
from training.dataset.snapshot import Snapshot, write
from training.detector import Shape
from training.evaluate import Look, wilson
from training.fit import Schedule
from training.pictures import Picture
from training.plan import Plan
from training.rendered import rendered

ROI = (192, 0, 448, 480)
"""x1, y1, x2, y2 in the side view: what a recipe gives the model to look at."""
OBJECTS = ("bottle", "cap", "label")
VISIBLE = tuple(
    name for name in DEFECTS if name.partition("_")[2] not in ("wrong", "missing")
    or name.startswith("cap_")
)  # fmt: skip
"""Defects that the side view shows; a wrong or missing lot or date is for the reader to find."""
CLASSES = (*OBJECTS, *(f"juice_{name}" for name in OBJECTS), *VISIBLE)
"""Each product has its own good things, so that under its recipe another product lacks them all."""
OFTEN = ("foreign_particle", "label_scratched", "label_scratched")
"""Drawn more often: a particle is critical, a scratch the slowest to be learned."""
PARTS, HELD_OUT = 5_000, 1_500
SEED = 5
CHUNK = 100
SHIFT_PX = 8
THRESHOLD = 0.4


def draw_part(rng: Generator, split: Split) -> PartSpec:
    """A part to learn from or to measure with."""
    defects: tuple[str, ...] = draw_defects(rng, 1.0)
    kind = rng.random()
    if kind < 0.35:
        defects = ()
    elif kind < 0.85:
        names = [*VISIBLE, *OFTEN]
        defects = (names[rng.integers(len(names))],)
        other = names[rng.integers(len(names))]
        together = {*defects, other}
        if rng.random() < 0.2 and not any(len(together & c) > 1 for c in CONFLICTS):
            defects = tuple(sorted(together))
    name = "bottle-line" if rng.random() < 0.7 else "juice-line"
    return PartSpec(PRODUCTS[name], draw_lot(rng), draw_date(rng), defects, split)


def see(pixels: np.ndarray, truth: dict[str, Any], shift: tuple[int, int] = (0, 0)) -> Picture:
    """The side view's ROI, moved by ``shift``, with its boxes and classes."""
    x1, x2 = ROI[0] + shift[0], ROI[2] + shift[0]
    prefix = "juice_" if truth["product"] == "juice-line" else ""
    things = [(prefix + thing["label"], thing) for thing in truth["objects"]]
    things += [(thing["label"], thing) for thing in truth["defects"]]
    here = [(n, t["box"]) for n, t in things if t["view"] == "side" and n in CLASSES]
    boxes = np.array([box for _, box in here], np.float32).reshape(-1, 4)
    boxes -= np.array([x1, 0, x1, 0], np.float32)
    return Picture(
        np.ascontiguousarray(pixels[:, x1:x2]),
        np.clip(boxes, 0, [x2 - x1, ROI[3]] * 2).astype(np.float32),
        np.array([CLASSES.index(n) for n, _ in here], np.int64),
        truth["product"],
    )


def _render(seed: int, split: Split) -> list[Picture]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(CHUNK):
        part = render_part(rng, draw_part(rng, split))
        if split == "held_out":
            pictures.append(see(part.side, part.truth))
            continue
        picture = see(part.side, part.truth, (int(rng.integers(-SHIFT_PX, SHIFT_PX + 1)), 0))
        pictures.append(_other_inks(picture, rng))
    return pictures


def _other_inks(picture: Picture, rng: Generator) -> Picture:
    """Half of the labels in other colours: there are more designs in the world than in a split."""
    label = np.isin(picture.labels, [i for i, n in enumerate(CLASSES) if "label" in n])
    if rng.random() < 0.5 or not label.any():
        return picture
    x1, y1, x2, y2 = picture.boxes[label][0].astype(int)
    patch = picture.pixels[y1:y2, x1:x2]
    hsv = cv2.cvtColor(patch, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + rng.integers(180)) % 180
    patch[:] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return picture


def render(count: int, split: Split, seed: int = SEED) -> list[Picture]:
    """``count`` parts, the same for a seed; the splits share no seed."""
    first = seed * 1_000_000 + (500_000 if split == "held_out" else 0)
    seeds = range(first, first + -(-count // CHUNK))
    chunks = rendered(_render, seeds, split)
    return [picture for chunk in chunks for picture in chunk][:count]


def pictures(folder: Path) -> tuple[list[Picture], list[Picture]]:
    """Training and held-out parts, rendered on the first call and then kept in ``folder``."""
    return _kept(folder / "train.npz", PARTS, "train"), _kept(
        folder / "held_out.npz", HELD_OUT, "held_out"
    )


def _kept(path: Path, count: int, split: Split) -> list[Picture]:
    if not path.exists():
        parts = render(count, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            pixels=np.stack([p.pixels for p in parts]),
            boxes=np.concatenate([p.boxes for p in parts]),
            labels=np.concatenate([p.labels for p in parts]),
            ends=np.cumsum([len(p.labels) for p in parts]),
            groups=[p.group for p in parts],
        )
    kept = np.load(path)
    ends = kept["ends"][:-1]
    rows = zip(
        kept["pixels"],
        np.split(kept["boxes"], ends),
        np.split(kept["labels"], ends),
        kept["groups"].tolist(),
        strict=True,
    )
    return [Picture(*row) for row in rows]


def snapshot(home: Path, count: int, seed: int = SEED + 1) -> Snapshot:
    """A snapshot of parts as the model was trained on, so that a taught-on one forgets nothing.

    Whole side views in PNG with every box and class, all of them to learn from.
    """
    rng = np.random.default_rng(seed)
    drafts = []
    for number in range(count):
        part = render_part(rng, draw_part(rng, "train"))
        prefix = "juice_" if part.truth["product"] == "juice-line" else ""
        good = [(prefix + t["label"], t, False) for t in part.truth["objects"]]
        things = [*good, *((t["label"], t, True) for t in part.truth["defects"])]
        labels = tuple(
            Label(name, tuple(t["box"]), (), t.get("severity", "major"), GIVEN, defect=defect)
            for name, t, defect in things
            if t["view"] == "side" and name in CLASSES
        )
        content = cv2.imencode(".png", part.side, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()
        row = Row(
            sha256(content).hexdigest(), "side", part.side.shape[1], part.side.shape[0],
            "reject" if part.truth["defects"] else "pass", labels, part=f"{seed}-{number}",
            product=str(part.truth["product"]), batch=f"seed-{seed}", position=number,
            reason=GIVEN, light=round(float(part.side.mean()), 2),
        )  # fmt: skip
        drafts.append(Draft(row, content))
    return write(home, "bottle-line-train", drafts, made_from={"seed": seed}, by=__name__)


def judged(look: Look, held_out: list[Picture]) -> dict[str, Any]:
    """Parts as a plain recipe would judge them: a defect found, or a good thing missing, rejects.

    Per defect the share of parts that carry it alone and are let through (escapes); over the good
    parts the share that is rejected.
    """
    passed: dict[str, list[bool]] = {name: [] for name in ("good", *VISIBLE)}
    for picture in held_out:
        names = {CLASSES[i] for i in picture.labels}
        faults = sorted(names & set(VISIBLE))
        if len(faults) > 1:
            continue
        found = look(picture)
        seen = {CLASSES[int(row[5])] for row in found if row[4] >= THRESHOLD}
        prefix = "juice_" if picture.group == "juice-line" else ""
        whole = all(prefix + thing in seen for thing in OBJECTS)
        passed[faults[0] if faults else "good"].append(whole and not seen & set(VISIBLE))
    good = passed.pop("good")
    return {
        f"false_rejects@{THRESHOLD}": wilson(len(good) - sum(good), len(good)).as_dict(),
        f"escapes@{THRESHOLD}": {
            name: wilson(sum(parts), len(parts)).as_dict() for name, parts in passed.items()
        },
    }


PLAN = Plan(
    name="bottle-line",
    shape=Shape(480, 256, CLASSES, channels=(24, 48, 80, 112), neck=48),
    variation=Variation(
        plain=0.3,
        zoom=(0.97, 1.03),
        shift=0.015,
        turn=0.8,
        light=0.12,
        colour=0.03,
        blur=0.1,
        noise=4.0,
    ),
    schedule=Schedule(epochs=26, rate=2e-3),
    pictures=pictures,
    trained_on=(
        "The virtual line's bottles (inspector.virtual.bottle.render_part, split train), rendered "
        "from seeds; measured on seeds, textures, artworks and fonts of split held_out."
    ),
    probe=judged,
)
