"""Several places of one picture: one run where the model's batch is free, the same findings where
it is not. (S3, S6)"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from inspector.part import Batch, Finding, Pixels
from inspector.tools.detect import Detect, DetectStep
from inspector.tools.onnx import Shelf, recorded
from inspector.tools.step import Context, Unjudged

CONTEXT = Context(Batch("B"), date(2026, 11, 25))
LEFT, RIGHT = (0, 0, 64, 64), (64, 0, 128, 64)


def shelve(models: Path, batch: str | int, spot: tuple[int, ...] = (10, 20, 30, 40)) -> Shelf:
    """Finds one spot of 64×64, as sure as its brightest pixel."""
    corner = np.array([[spot]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["floats"], ["top"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Div", ["top", "full"], ["share"]),
            helper.make_node("Squeeze", ["share", "last"], ["score"]),
            helper.make_node("Mul", ["score", "none"], ["nothing"]),
            helper.make_node("Add", ["nothing", "corner"], ["box"]),
            helper.make_node("Concat", ["box", "score", "nothing"], ["found"], axis=2),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, (batch, 64, 64, 3))],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, (batch, 1, 6))],
        [
            numpy_helper.from_array(np.float32(255), "full"),
            numpy_helper.from_array(np.float32(0), "none"),
            numpy_helper.from_array(np.array([3], np.int64), "last"),
            numpy_helper.from_array(corner, "corner"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    folder = models / "spot" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    card = {
        "name": "spot",
        "version": "1",
        "task": "detect",
        "sha256": hashlib.sha256(data).hexdigest(),
        "output": {"format": "end-to-end"},
        "classes": ["spot"],
    }
    (folder / "card.json").write_text(json.dumps(card))
    return Shelf(models, threads=1)


def detector(shelf: Shelf, roi: Any = None, **params: Any) -> Detect:
    step = {"name": "d", "kind": "detect", "roi": roi, "params": {"model": "spot/1"} | params}
    return Detect(DetectStep.model_validate(step, context={"shelf": shelf}), shelf)


def two_halves() -> Pixels:
    """Left half grey 150, right half grey 230."""
    pixels = np.full((64, 128, 3), 150, np.uint8)
    pixels[:, 64:] = 230
    return pixels


def places(found: list[Finding]) -> list[tuple[float, ...]]:
    return [f.box for f in found if f.box]


@pytest.mark.parametrize(("batch", "runs"), [("n", 1), (1, 2)])
def test_every_place_is_looked_at_and_found_in_the_frames_pixels(
    tmp_path: Path, batch: str | int, runs: int
) -> None:
    spots = detector(shelve(tmp_path, batch), rois=[LEFT, RIGHT])

    with recorded() as made:
        found = spots.look(two_halves(), CONTEXT)

    assert places(found) == [(74.0, 20.0, 94.0, 40.0), (10.0, 20.0, 30.0, 40.0)]
    assert [round(f.score, 3) for f in found] == [0.902, 0.588]
    assert len(made) == runs


def test_what_overlapping_places_both_see_counts_once(tmp_path: Path) -> None:
    spots = detector(
        shelve(tmp_path, "n"),
        rois=[LEFT, (2, 1, 66, 65)],
        counts=[{"label": "spot", "exactly": 1}],
    )

    found = spots.look(np.full((65, 128, 3), 200, np.uint8), CONTEXT)

    assert len(found) == 1 and found[0].ok


WIDE, NARROW = (0, 0, 128, 128), (8, 20, 72, 84)


@pytest.mark.parametrize(
    ("spot", "count"),
    [
        # At (0, 40, 16, 80) of the wide place, and the rest of it at the narrow one's edge.
        ((0, 20, 8, 40), 1),
        # At (16, 40, 32, 80), and a smaller one within it that no edge has cut.
        ((8, 20, 16, 40), 2),
    ],
)
def test_what_one_place_sees_whole_and_another_one_cut_counts_once(
    tmp_path: Path, spot: tuple[int, ...], count: int
) -> None:
    spots = detector(
        shelve(tmp_path, "n", spot), rois=[NARROW, WIDE], counts=[{"label": "spot", "at_least": 2}]
    )

    found = spots.look(np.full((128, 128, 3), 200, np.uint8), CONTEXT)

    assert [f.ok for f in found] == ([True, True] if count == 2 else [True, False])
    assert (0.0, 40.0, 16.0, 80.0) in places(found) or count == 2


def test_a_rule_counts_over_all_places(tmp_path: Path) -> None:
    spots = detector(
        shelve(tmp_path, "n"), rois=[LEFT, RIGHT], counts=[{"label": "spot", "exactly": 1}]
    )

    broken = spots.look(two_halves(), CONTEXT)[-1]

    assert (broken.ok, broken.value, broken.box) == (False, 2.0, (0.0, 0.0, 128.0, 64.0))


def test_a_place_outside_the_picture_is_no_judgement(tmp_path: Path) -> None:
    spots = detector(shelve(tmp_path, "n"), rois=[LEFT, (96, 0, 160, 64)])

    with pytest.raises(Unjudged, match="outside the 128x64 picture"):
        spots.look(two_halves(), CONTEXT)


def test_one_place_or_several_but_not_both(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="not both"):
        detector(shelve(tmp_path, "n"), roi=LEFT, rois=[LEFT, RIGHT])
