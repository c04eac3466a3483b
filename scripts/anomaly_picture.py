"""Makes docs/anomaly.png: bottles that `bottle-neck` never saw, above how unlike good ones each
place of them is.

    python scripts/anomaly_picture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.recipe import read
from inspector.teach.follow import leader_of
from inspector.tools.anomaly import AnomalyStep, Look
from inspector.tools.onnx import Shelf
from inspector.virtual.bottle import PartSpec, render_part

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ((), ("cap_tilted",), ("cap_wrong",), ("cap_missing",))
WIDTH = 260


def main() -> None:
    """Writes the picture."""
    shelf = Shelf(ROOT / "models")
    path = ROOT / "station_configs" / "recipes" / "bottle-neck.yaml"
    step = read(path, shelf).tools[-1]
    assert isinstance(step, AnomalyStep) and step.roi is not None
    bank = step.params.bank.bank
    look, leader = Look(bank, shelf), leader_of(path, shelf)
    columns: list[Any] = []
    for number, defects in enumerate(SHOWN):
        spec = PartSpec(split="held_out", defects=defects)  # type: ignore[arg-type]
        side = render_part(52_000 + number, spec).side
        (area,) = leader.turned_back([side], shelf, step.roi)
        seen = look.map_of(area)
        heat = np.clip(seen / (2 * bank.limit) * 255, 0, 255).astype(np.uint8)
        size = (WIDTH, round(WIDTH * area.shape[0] / area.shape[1]))
        picture = cv2.resize(area, size, interpolation=cv2.INTER_CUBIC)
        colours = cv2.applyColorMap(
            cv2.resize(heat, size, interpolation=cv2.INTER_CUBIC), cv2.COLORMAP_INFERNO
        )
        columns.append(np.vstack([picture, cv2.addWeighted(picture, 0.35, colours, 0.65, 0)]))
    cv2.imwrite(str(ROOT / "docs" / "anomaly.png"), np.hstack(columns))


if __name__ == "__main__":
    main()
