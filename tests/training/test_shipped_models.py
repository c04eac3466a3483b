"""The models in ``models/``: each has a true card, runs, and does what its card says."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from inspector.part import Batch
from inspector.tools.contract import probe
from inspector.tools.onnx import Shelf
from inspector.tools.read import Read, ReadStep
from inspector.tools.step import Context
from training import bottle_cap, bottle_line, dot_read, line_read
from training.card import sha256
from training.evaluate import mean_average_precision
from training.measure import look_with, measure_reader
from training.pictures import letterbox, read_yolo

MODELS = Path(__file__).parents[2] / "models"
SHIPPED = sorted(path.parent for path in MODELS.glob("*/*/card.json"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.parent.name)
def shipped(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def test_the_card_is_of_this_model_and_tells_where_it_comes_from(shipped: Path) -> None:
    card = json.loads((shipped / "card.json").read_text())
    assert card["sha256"] == sha256(shipped / "model.onnx")
    assert (card["name"], card["version"]) == (shipped.parent.name, shipped.name)
    assert card["license"] == "Apache-2.0" and card["trained_on"]
    assert card["command"].startswith("scripts/train-models ")
    if card["task"] != "features":  # those are measured by what `anomaly` makes of them
        assert "interval95" in json.dumps(card["metrics"])
    assert (shipped / "model.onnx").stat().st_size < 5_000_000


def test_a_station_takes_it(shipped: Path) -> None:
    card = json.loads((shipped / "card.json").read_text())
    model = Shelf(MODELS).open(f"{card['name']}/{card['version']}", card["task"])
    shape = [1, *(64 if side == -1 else side for side in card["input"]["shape"][1:])]
    bound = model.bind(shape)
    bound.input[...] = probe(3, shape)
    answer = np.array(bound.run())
    assert np.isfinite(answer).all()
    if card["task"] == "features":
        assert answer.shape == (1, sum(card["output"]["layers"]), 8, 8)
    else:
        sides = zip(answer.shape[1:], card["output"]["shape"][1:], strict=True)
        assert all(side == told or told == -1 for side, told in sides)


def test_no_path_of_the_machine_that_trained_it_is_inside(shipped: Path) -> None:
    for file in ("model.onnx", "card.json"):
        content = (shipped / file).read_bytes()
        assert b"site-packages" not in content and b"/tmp/" not in content


def test_bottle_cap_finds_bottles_and_caps_on_films_it_never_saw(real_data: Path) -> None:
    frames = read_yolo(real_data / "bottles", side=320, only=bottle_cap.HELD_OUT)
    held_out = [letterbox(p, 320, 320) for p in frames[::4]]
    look = look_with(MODELS / "bottle-cap-int8" / "1" / "model.onnx")
    value, _ = mean_average_precision([look(p) for p in held_out], held_out, 2)
    assert value >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bottle-line", "bottle-line-int8"])
def test_bottle_line_misses_few_defects_on_parts_it_never_saw(name: str) -> None:
    parts = bottle_line.render(400, "held_out", seed=77)
    figures = bottle_line.judged(look_with(MODELS / name / "1" / "model.onnx"), parts)
    threshold = bottle_line.THRESHOLD
    escapes = figures[f"escapes@{threshold}"]
    assert figures[f"false_rejects@{threshold}"]["value"] <= 0.02
    assert escapes["cap_missing"]["value"] == 0
    assert sum(e["value"] * e["n"] for e in escapes.values()) <= 0.02 * len(parts)


@pytest.mark.slow
def test_line_read_reads_fonts_it_never_saw() -> None:
    lines = line_read.render(1000, "held_out", seed=77)
    figures = measure_reader(MODELS / "line-read" / "1" / "model.onnx", lines)
    assert figures["exact_lines"]["value"] >= 0.99


@pytest.mark.slow
def test_beside_pp_ocr_dot_read_reads_strips_that_pp_ocr_alone_misreads() -> None:
    """On designs and fonts that it never learned."""
    lines = dot_read.render(120, "held_out", seed=77)
    context = Context(Batch("rendered"), date(2026, 1, 1))
    right = {"": 0, "dot-read/1": 0}
    for also in right:
        params = {"dot_matrix": True, "script": "ascii", "also": also}
        step = ReadStep.model_validate({"name": "line", "kind": "read", "params": params})
        reader = Read(step, Shelf(MODELS))
        for line in lines:
            right[also] += reader.look(line.pixels, context)[0].text == line.text
    assert right["dot-read/1"] > right[""]
