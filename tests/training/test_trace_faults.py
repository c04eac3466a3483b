"""Faults drawn on boards are what their names say, and leave what was there alone (S3)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inspector.part import Pixels
from inspector.tools.traces import TOO_MUCH, trace_fault
from training.boards import board as drawn_board
from training.pictures import Picture
from training.trace_faults import APART_PX, NAMES, with_faults

MARGIN_PX = 9


def board() -> Pixels:
    """Dark conductors of three widths on a light ground, some of them near each other."""
    picture = np.full((320, 320), 250, np.uint8)
    for y, thick in ((60, 8), (90, 8), (160, 20), (200, 14), (260, 6)):
        cv2.line(picture, (20, y), (300, y), 6, thick)
    cv2.circle(picture, (260, 130), 24, 6, -1)
    return picture


def bare(boxes: list[tuple[int, int, int, int]] | None = None) -> Picture:
    own = np.array(boxes or [], np.float32).reshape(-1, 4)
    return Picture(np.zeros((1, 1, 3), np.uint8), own, np.zeros(len(own), np.int64))


@pytest.mark.parametrize("dark", [True, False])
def test_each_fault_is_what_an_electrician_would_call_it(dark: bool) -> None:
    pixels = board() if dark else 255 - board()
    rng = np.random.default_rng(1)

    drawn, truth = with_faults(pixels, bare(), NAMES, dark, MARGIN_PX, 12, rng)

    assert len(truth.labels) >= 6
    then, now = ((p < 128) == dark for p in (pixels, drawn))
    for box, label in zip(truth.boxes.astype(int), truth.labels, strict=True):
        x1, y1, x2, y2 = box
        cut = (slice(max(0, y1 - 8), y2 + 8), slice(max(0, x1 - 8), x2 + 8))
        spot = now[cut] ^ then[cut]
        assert trace_fault(now[cut], then[cut], spot, 2) == NAMES[label]
        assert (NAMES[label] in TOO_MUCH) == bool(now[cut].sum() > then[cut].sum())


def test_faults_keep_apart_from_those_that_are_there_and_from_each_other() -> None:
    own = [(100, 140, 200, 220)]

    drawn, truth = with_faults(
        board(), bare(own), NAMES, True, MARGIN_PX, 20, np.random.default_rng(2)
    )

    assert truth.boxes[0].tolist() == list(own[0])
    x1, y1, x2, y2 = own[0]
    near = slice(y1 - APART_PX + 3, y2 + APART_PX - 3), slice(x1 - APART_PX + 3, x2 + APART_PX - 3)
    assert np.array_equal(drawn[near], board()[near])


def test_the_same_draw_is_the_same_board_and_one_without_conductors_stays_as_it_is() -> None:
    one, again = (
        with_faults(board(), bare(), NAMES, True, 9, 6, np.random.default_rng(5))[0]
        for _ in range(2)
    )
    assert np.array_equal(one, again)

    plain = np.full((64, 64), 200, np.uint8)
    _, truth = with_faults(plain, bare(), NAMES, True, 9, 6, np.random.default_rng(5))
    assert len(truth.labels) <= 6


def test_a_board_that_nobody_photographed_differs_from_its_template_at_the_rims_alone() -> None:
    template, seen = drawn_board(np.random.default_rng(3))
    again = drawn_board(np.random.default_rng(3))[1]

    assert template.shape == seen.shape == (640, 640) and np.array_equal(seen, again)
    then, now = template < 128, seen < 128
    assert 0.02 < then.mean() < 0.98
    off = cv2.erode((then ^ now).astype(np.uint8), np.ones((9, 9), np.uint8))
    assert not off.any(), "no good board differs by what could be a fault"
