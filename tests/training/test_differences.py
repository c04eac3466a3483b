"""A classifier of differences is taught from what ``compare`` finds; ``compare`` takes it (S3)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.part import Pixels
from inspector.tools.compare import Compare, CompareStep, Params
from inspector.tools.difference import GOOD, Namer
from inspector.tools.golden import Golden
from inspector.tools.onnx import Shelf
from training.differences import export_namer, fit_namer, told
from training.fit import Schedule
from training.pictures import Picture

CLASSES = (GOOD, "hole", "blot")


def board(spots: tuple[tuple[int, int, int], ...] = ()) -> Pixels:
    """Stripes, with spots of (x, y, grey)."""
    picture = np.full((160, 160), 220, np.uint8)
    picture[:, 40:60] = picture[:, 100:120] = 30
    for x, y, grey in spots:
        cv2.circle(picture, (x, y), 6, grey, -1)
    return picture


@pytest.mark.slow  # the export alone takes some seconds
def test_differences_are_told_by_boxes_taught_and_taken_by_compare(tmp_path: Path) -> None:
    step = CompareStep(
        name="b", kind="compare", params=Params(golden=(Golden.of(board()),), settle_px=0)
    )
    compare = Compare(step, Shelf(tmp_path))
    boxes = np.array([(43, 43, 58, 58), (73, 113, 88, 128)], np.float32)
    truth = Picture(np.zeros((1, 1, 3), np.uint8), boxes, np.array([0, 1]))
    # The third spot has no box: no fault.
    part = board(((50, 50, 220), (80, 120, 30), (140, 20, 120)))

    rows = told(compare, part, truth, CLASSES)
    assert sorted(CLASSES[t.kind] for t in rows) == ["blot", "good", "hole"]

    schedule = Schedule(epochs=1, warm_up=1)
    net = fit_namer(CLASSES, rows * 2, rows, tmp_path / "run", schedule, {}, batch=6)
    path = tmp_path / "spot-kind" / "1" / "model.onnx"
    card, apart = export_namer(
        net, rows, path, license="x", trained_on="drawn", command="test", lineage={}
    )

    assert card.exists() and apart < 2e-3
    likely = Namer("spot-kind/1", Shelf(tmp_path))(
        rows[0].seen, rows[0].golden, rows[0].difference, {}
    )
    assert tuple(likely) == CLASSES and sum(likely.values()) == pytest.approx(1)
    assert all(0 < score < 1 for score in likely.values())
