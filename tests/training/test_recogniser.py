"""The reader says what it sees, character by character, and how sure it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inspector.tools.card import read_card
from inspector.tools.letterbox import Letterbox
from training.line_read import draw_text
from training.read import Line, exact, place, vary_line
from training.recogniser import CHARSET, HEIGHT, WIDTH, ReadLine, Recogniser, decode_line, encode

MODELS = Path(__file__).parents[2] / "models"


def steps(*path: tuple[str, float]) -> np.ndarray:
    rows = np.zeros((len(path), len(CHARSET) + 1), np.float32)
    for row, (character, sure) in zip(rows, path, strict=True):
        row[0 if character == "_" else CHARSET.index(character) + 1] = sure
    return rows


def test_repeats_merge_unless_a_blank_is_between() -> None:
    line, sure = decode_line(steps(("A", 0.6), ("A", 0.9), ("_", 1), ("A", 0.7), ("1", 0.8)))
    assert line == "AA1"
    assert sure == pytest.approx([0.9, 0.7, 0.8])


def test_outer_spaces_are_no_text() -> None:
    assert decode_line(steps((" ", 0.9), ("B", 0.8), (" ", 0.9)))[0] == "B"
    assert decode_line(steps(("_", 1.0)))[0] == ""


def test_a_character_that_cannot_be_read_is_refused_by_name() -> None:
    assert encode("A0") == [1, 27]
    with pytest.raises(ValueError, match="'ä'"):
        encode("Aä")


def test_the_net_gives_probabilities_every_second_pixel() -> None:
    answer = ReadLine(Recogniser().eval())(torch.zeros(2, HEIGHT, WIDTH, 1, dtype=torch.uint8))
    assert answer.shape == (2, WIDTH // 2, len(CHARSET) + 1)
    assert torch.allclose(answer.sum(-1), torch.ones(2, WIDTH // 2), atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 100), (80, 300), (24, 400), (130, 700)])
def test_a_line_is_placed_as_a_station_places_it(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seen = np.zeros((1, HEIGHT, WIDTH, 1), np.uint8)
    Letterbox(read_card(MODELS / "line-read" / "1", "line-read/1"), seen).fill(pixels)
    assert np.array_equal(place(pixels), seen[0, :, :, 0])


@pytest.mark.parametrize("shape", [(20, 60), (48, 400), (31, 46)])
def test_a_line_of_any_size_fits_the_input(shape: tuple[int, int]) -> None:
    pixels = np.full(shape, 200, np.uint8)
    assert place(pixels).shape == (HEIGHT, WIDTH)
    assert place(pixels)[0, 0] == 200
    assert vary_line(pixels, np.random.default_rng(0)).shape == (HEIGHT, WIDTH)


def test_texts_to_learn_from_can_all_be_read() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = draw_text(rng)
        assert text == text.strip() and len(encode(text)) <= 13


def test_only_an_exact_line_counts() -> None:
    lines = [Line(np.zeros((8, 8), np.uint8), text) for text in ("L2417A", "16 NOV 26")]
    assert exact(["L2417A", "16 NOV 28"], lines).value == 0.5
