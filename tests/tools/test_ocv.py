"""Each character is judged against taught prints: missing dots, smear, contrast (S4)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.part import Batch, Finding, Pixels
from inspector.tools.card import ModelError
from inspector.tools.golden import Golden
from inspector.tools.ocv import Taught, Verifier, Verify
from inspector.tools.onnx import Shelf
from inspector.tools.read import Read, ReadStep
from inspector.tools.recognise import Reading
from inspector.tools.step import Context

SHELF = Shelf(Path("none"), threads=2)
CONTEXT = Context(Batch("B1"), date(2026, 11, 23))
PITCH, LEFT = 34, 30


def line(text: str, ink: int = 30, x: int = 0, seed: int = 0) -> Pixels:
    """A label of 60×340 px with one character each 34 px, in a sensor's noise."""
    label = np.full((60, 340), 210, np.uint8)
    for i, char in enumerate(text):
        at = (LEFT + x + i * PITCH, 44)
        cv2.putText(label, char, at, cv2.FONT_HERSHEY_SIMPLEX, 1.2, ink, 4, cv2.LINE_AA)
    noise = np.random.default_rng(seed).normal(0, 3, label.shape)
    return np.clip(label + noise, 0, 255).astype(np.uint8)


def reader(taught: dict[str, Pixels], **rule: Any) -> Read:
    goldens = [{"golden": Golden.of(pixels), "text": text} for text, pixels in taught.items()]
    lines = [{"name": "lot", "verify": {"taught": goldens, **rule}}]
    step = {"name": "r", "kind": "read", "params": {"lines": lines, "script": "ascii"}}
    return Read(ReadStep.model_validate(step), SHELF)


@pytest.fixture(scope="module")
def lot() -> Read:
    return reader({"L2417A": line("L2417A"), "B2476": line("B2476", seed=1)})


def characters(tool: Read, pixels: Pixels) -> list[Finding]:
    text, *marks = tool.look(pixels, CONTEXT)
    assert text.label == "lot"
    return marks


def test_a_good_print_has_a_score_and_a_box_for_each_character(lot: Read) -> None:
    marks = characters(lot, line("L2417A", x=2, seed=7))

    assert [m.text for m in marks] == list("L2417A")
    assert all(m.ok and m.score > 0.95 for m in marks)
    for i, mark in enumerate(marks):
        assert mark.box is not None
        middle = (mark.box[0] + mark.box[2]) / 2
        assert middle == pytest.approx(LEFT + 2 + i * PITCH + 11, abs=8)


def test_missing_ink_a_smear_and_faint_print_are_told_apart(lot: Read) -> None:
    spoilt = line("L2417A", seed=3)
    spoilt[21:35, LEFT - 3 : LEFT + 26] = 210  # half of the L's stem
    spoilt[20:48, LEFT + 3 * PITCH - 2 : LEFT + 3 * PITCH + 8] = 40  # beside the 1

    marks = {m.text: m for m in characters(lot, spoilt)}
    faint = characters(lot, line("L2417A", ink=150))

    assert "ink is missing" in marks["L"].reason
    assert "smeared" in marks["1"].reason
    assert marks["7"].ok and marks["2"].ok
    assert all("faint" in m.reason for m in faint)


def test_a_character_that_was_never_taught_is_rejected_unless_the_recipe_says_so() -> None:
    taught = {"L2417A": line("L2417A")}
    (nine,) = [m for m in characters(reader(taught), line("L2917A")) if m.text == "9"]
    assert nine.reason == "lot `9` was never taught"

    lenient = reader(taught, untaught="pass")
    assert all(m.ok for m in characters(lenient, line("L2917A")))


def test_a_taught_print_that_says_something_else_is_refused() -> None:
    with pytest.raises(ModelError, match="the recipe says `L2418A`"):
        reader({"L2418A": line("L2417A")})


@settings(max_examples=60, deadline=None)
@given(
    text=st.text("AB1 ", max_size=6),
    shape=st.sampled_from([(1, 1), (1, 300), (60, 3), (60, 340), (60, 340, 3)]),
    level=st.integers(0, 255),
    seed=st.integers(0, 9),
)
def test_any_line_and_reading_end_in_marks(
    text: str, shape: tuple[int, ...], level: int, seed: int
) -> None:
    at = tuple(np.linspace(0, 1, len(text)).tolist())
    taught = Taught(golden=Golden.of(line("AB1")), text="AB1")
    places = (0.12, 0.22, 0.32)
    verifier = Verifier(Verify(taught=(taught,)), [Reading("AB1", 1, 1, (1, 2, 3), places)])
    rng = np.random.default_rng(seed)
    picture = np.full(shape, level, np.uint8) if seed else rng.integers(0, 256, shape, np.uint8)

    marks = verifier.judge(picture, Reading(text, 1, 1, tuple(range(len(text))), at))

    assert [m.character for m in marks] == [c for c in text if c != " "]
    assert all(0 <= m.score <= 1 and np.isfinite(m.box).all() for m in marks)
