"""Makes docs/tools.png and docs/tools-classical.png: what each kind of tool says of a part, by the
shipped recipes, on pictures that nothing was taught with.

    python scripts/tool_pictures.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zxingcpp

from inspector.part import Batch, Box, Finding, Pixels
from inspector.recipe import load
from inspector.tools.onnx import Shelf
from inspector.virtual.bottle import BOTTLE_LINE, PartSpec, render_part

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "station_configs" / "recipes"
LOT, DATE, TODAY = "L2417A", "16 NOV 28", date(2026, 11, 26)
TILE = (420, 300)
UNITS = {"[px]": "px", "[px]2": "px2", "{px}": "px", "{px}2": "px2", "deg": "deg", "d": "days"}
GOOD, BAD = (70, 190, 60), (50, 50, 235)


@dataclass(frozen=True, slots=True)
class Shown:
    """One tile: what a kind of tool says by a recipe of a part with some defects."""

    kind: str
    recipe: str
    defects: tuple[str, ...] = ()
    view: str = "side"
    part: Box | None = None
    """What of the picture is shown; all of it by default."""


LEARNT = (
    Shown("detect", "bottle-line", ("cap_tilted",), part=(160, 0, 480, 230)),
    Shown("classify", "bottle-line-cap", ("cap_wrong",), part=(160, 0, 480, 230)),
    Shown("segment", "bottle-line-marks", ("label_scratched",), part=(160, 200, 480, 430)),
    Shown("read", "bottle-line", view="code"),
    Shown("code", "any-code"),
    Shown("illumination", "bottle-line"),
)
CLASSICAL = (
    Shown("align", "blister"),
    Shown("compare", "blister"),
    Shown("count", "blister"),
    Shown("blob", "blister"),
    Shown("measure", "bottle-sizes", ("low_fill",), part=(160, 0, 480, 230)),
    Shown("colour", "bottle-sizes", ("cap_wrong",), part=(160, 0, 480, 230)),
)


def blister() -> Pixels:
    """The golden blister turned, without one of its tablets, a crumb on it."""
    step = load(RECIPES / "blister.yaml", Shelf(ROOT / "models")).file.tools[0]
    picture: Any = step.params.golden.pixels.copy()
    cv2.circle(picture, (200, 85), 19, 120, -1, cv2.LINE_AA)
    cv2.circle(picture, (110, 120), 4, 225, -1)
    turned = cv2.warpAffine(
        picture, cv2.getRotationMatrix2D((200, 120), 7, 1.0), (400, 240), borderValue=60
    )
    grain = np.random.default_rng(4).normal(0, 2, turned.shape)
    return np.clip(turned + grain, 0, 255).astype(np.uint8)


def codes() -> Pixels:
    """A DataMatrix and an EAN on grey card, turned a little."""
    made = (
        zxingcpp.create_barcode("0109506000134352", zxingcpp.BarcodeFormat.DataMatrix),
        zxingcpp.create_barcode("9506000134352", zxingcpp.BarcodeFormat.EAN13),
    )
    card: Any = np.full((300, 420), 205, np.uint8)
    for code, (x, y), scale in zip(made, ((40, 90), (170, 90)), (5, 2), strict=True):
        image = np.array(code.to_image(scale=scale))
        card[y : y + image.shape[0], x : x + image.shape[1]] = image
    matrix = cv2.getRotationMatrix2D((210, 150), 5, 1.0)
    return np.asarray(cv2.warpAffine(card, matrix, (420, 300), borderValue=205), np.uint8)


def tile(shown: Shown, shelf: Shelf) -> Pixels:
    """The picture with the findings of the tool's kind over it, the kind above it."""
    recipe = load(RECIPES / f"{shown.recipe}.yaml", shelf)
    spec = PartSpec(BOTTLE_LINE, LOT, DATE, defects=shown.defects, split="held_out")
    bottle = render_part(52_010, spec)
    frames: Mapping[str, Pixels]
    if shown.recipe == "blister":
        frames = {"image": blister()}
    elif shown.kind == "code":
        frames = {"image": codes()}
    else:
        frames = {v: getattr(bottle, v) for v in recipe.views}
    judged = recipe.judge(frames, Batch("p", texts={"lot": LOT, "date": DATE}), TODAY)
    view = shown.view if shown.view in frames else next(iter(frames))
    frame = frames[view]
    picture = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if frame.ndim == 2 else frame.copy()
    x1, y1, x2, y2 = shown.part or (0, 0, picture.shape[1], picture.shape[0])
    scale = min(TILE[0] / (x2 - x1), (TILE[1] - 30) / (y2 - y1))
    size = round((x2 - x1) * scale), round((y2 - y1) * scale)
    canvas = np.full((TILE[1], TILE[0], 3), 24, np.uint8)
    left = (TILE[0] - size[0]) // 2
    cut = picture[round(y1) : round(y2), round(x1) : round(x2)]
    part = cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC)
    found = [f for f in judged.findings if f.kind == shown.kind and f.view in ("", view)]
    if not found:  # a patch that is as it should be says nothing
        for step, _ in recipe.tools:
            if step.kind == shown.kind and step.roi and step.view in ("", view):
                found.append(Finding(step.name, step.kind, step.name, box=step.roi))
    for finding in found:
        draw(part, finding, (x1, y1), scale)
    canvas[30 : 30 + size[1], left : left + size[0]] = part
    write(canvas, shown.kind, (8, 21), (255, 255, 255), 0.6)
    return canvas


def draw(part: Any, finding: Finding, origin: tuple[float, float], scale: float) -> None:
    """A finding's box and what it says."""
    tone = GOOD if finding.ok else BAD
    box = finding.box
    if box is None:
        return
    a, b, c, d = (round((v - origin[n % 2]) * scale) for n, v in enumerate(box))
    cv2.rectangle(part, (a, b), (c, d), tone, 2, cv2.LINE_AA)
    text = finding.text or finding.label
    if finding.value is not None:
        text = f"{finding.label} {finding.value:.4g} {UNITS.get(finding.unit or '', '')}"
    write(part, text[:34], (max(2, a), b - 5 if b > 18 else d + 14), tone, 0.42)


def write(picture: Any, text: str, at: tuple[int, int], tone: Any, size: float) -> None:
    """Text with a dark rim."""
    plain = text.encode("ascii", "replace").decode()
    rim = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    for x, y, ink in (*((*step, (0, 0, 0)) for step in rim), (0, 0, tone)):
        place = (at[0] + x, at[1] + y)
        cv2.putText(picture, plain, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)


def main() -> None:
    """Writes both pictures."""
    shelf = Shelf(ROOT / "models")
    for name, shown in (("tools", LEARNT), ("tools-classical", CLASSICAL)):
        tiles = [tile(one, shelf) for one in shown]
        rows = [np.hstack(tiles[n : n + 3]) for n in range(0, len(tiles), 3)]
        cv2.imwrite(str(ROOT / "docs" / f"{name}.png"), np.vstack(rows))


if __name__ == "__main__":
    main()
