"""The reader of dot-matrix and ink-jet strips: what it is taught with, and how it begins (S7)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training import dot_read
from training.dot_glyphs import FIVE_BY_FIVE, FIVE_BY_SEVEN, alphabet
from training.dot_print import fonts, render_strip
from training.measure import run, session
from training.recogniser import CHARSET, ReadLine, encode

MODELS = Path(__file__).parents[2] / "models"


def test_every_character_has_designs_and_no_two_are_one() -> None:
    for rows, designs in ((7, FIVE_BY_SEVEN), (5, FIVE_BY_FIVE)):
        assert set(designs) == set(CHARSET) - {" "}
        drawn = alphabet(np.random.default_rng(3), rows)
        assert {grid.shape for grid in drawn.values()} == {(rows, 5)}
        digits = {drawn[c].tobytes() for c in CHARSET[26:36]}
        assert len(digits) == 10


def test_the_splits_share_no_font_and_a_seed_gives_the_same_strips() -> None:
    assert not set(fonts()["train"]) & set(fonts()["held_out"])
    first, again = (dot_read.render(4, "train", seed=9) for _ in range(2))
    assert [a.text for a in first] == [b.text for b in again]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    other = dot_read.render(4, "held_out", seed=9)
    assert [a.text for a in first] != [b.text for b in other]


def test_a_machine_without_fonts_prints_dots_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    none: dict[str, list[str]] = {"train": [], "held_out": []}
    monkeypatch.setattr("training.dot_print.fonts", lambda: none)
    rng = np.random.default_rng(1)
    for split in ("train", "held_out"):
        strips = [render_strip("LOT 1A", rng, split) for _ in range(60)]
        assert all(strip.ndim == 2 for strip in strips)


@pytest.mark.parametrize("seed", range(8))
def test_a_strip_is_one_grey_line_that_the_reader_can_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = dot_read.draw_text(rng)
    assert encode(text) and text == " ".join(text.split())
    strip = render_strip(text, rng, "train")
    assert strip.dtype == np.uint8 and strip.ndim == 2 and min(strip.shape) >= 8


def test_lines_are_put_into_the_input_as_a_station_does() -> None:
    rows = dot_read.place([np.full((64, 300), 9, np.uint8), np.full((20, 40), 200, np.uint8)])
    assert rows.shape == (2, 32, 160)
    assert (rows[0, :, :150] == 9).all() and (rows[0, :, 150:] == 114).all()
    assert (rows[1, :, :64] == 200).all() and (rows[1, :, 64:] == 114).all()


def test_it_begins_with_what_line_read_has_learned() -> None:
    path = MODELS / "line-read" / "1" / "model.onnx"
    pixels = np.random.default_rng(2).integers(0, 256, (1, 32, 160, 1), dtype=np.uint8)
    with torch.no_grad():
        begun = ReadLine(dot_read.begun_with(path)).eval()(torch.from_numpy(pixels)).numpy()
    assert np.abs(begun - run(session(path), pixels)).max() < 2e-3
