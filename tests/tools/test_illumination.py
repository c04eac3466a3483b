"""The reference patch: right light is silent, wrong light is no judgement."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.part import Batch, Pixels
from inspector.tools.illumination import LIGHT_FAULT, Illumination, IlluminationStep
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Unjudged


def lamp(**params: Any) -> Illumination:
    step = {"name": "light", "kind": "illumination", "roi": [10, 10, 30, 30], "params": params}
    return Illumination(IlluminationStep.model_validate(step), Shelf(Path("none")))


def look(tool: Illumination, pixels: Pixels) -> list[Any]:
    return tool.look(pixels, Context(Batch("B"), date(2026, 11, 23)))


@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 3)])
def test_right_light_is_silent(shape: tuple[int, ...]) -> None:
    assert look(lamp(low=100, high=160), np.full(shape, 130, np.uint8)) == []


@pytest.mark.parametrize("level", [0, 99, 161, 255])
def test_wrong_light_is_a_light_fault_and_no_defect(level: int) -> None:
    with pytest.raises(Unjudged, match="light: patch at") as fault:
        look(lamp(low=100, high=160), np.full((40, 40, 3), level, np.uint8))

    (finding,) = fault.value.findings
    assert (finding.label, finding.value) == (LIGHT_FAULT, float(level))


def test_a_covered_patch_is_a_light_fault() -> None:
    pixels = np.full((40, 40), 130, np.uint8)
    pixels[:, :20] = 110

    with pytest.raises(Unjudged, match="uneven or covered"):
        look(lamp(low=100, high=160, spread=5), pixels)


def test_levels_that_are_no_range_are_refused() -> None:
    with pytest.raises(ValueError, match="low < high"):
        lamp(low=160, high=100)
