"""A camera is calibrated from pictures of a board: what was rendered is what is recovered."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.part import Pixels
from inspector.tools.calibration import (
    Board,
    Calibration,
    calibrate,
    draw_board,
    find_corners,
    read_calibration,
    save_calibration,
)

CHECKER = Board(columns=10, rows=7, square_mm=8)
CHARUCO = Board(kind="charuco", columns=10, rows=7, square_mm=8, marker_mm=6)
CAMERA = np.array([(900.0, 0, 318), (0, 900, 242), (0, 0, 1)])
LENS = np.array([-0.18, 0.06, 0.0, 0.0])
DRAWN = 12.0


@cache
def picture_of(
    board: Board, tilt: tuple[float, float], mm: tuple[float, float, float], lens: bool = True
) -> Pixels:
    """A 640x480 picture of the board, tilted by degrees about x and y, its middle at ``mm``."""
    drawn = draw_board(board, DRAWN)
    height, width = 480, 640
    turn, _ = cv2.Rodrigues(np.radians([tilt[0], tilt[1], 2.0]))
    pose = np.column_stack([turn[:, 0], turn[:, 1], mm])
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 1, 2)
    seen = cv2.undistortPoints(grid.astype(np.float64), CAMERA, LENS if lens else None)
    on_board = cv2.perspectiveTransform(seen, np.linalg.inv(pose))
    # its middle, in drawn pixels; a pixel's centre has whole coordinates
    middle = np.array(drawn.shape[::-1]) / 2 - 0.5
    maps = (on_board * DRAWN + middle).astype(np.float32).reshape(height, width, 2)
    soft = cv2.GaussianBlur(drawn, (0, 0), 1.2)
    seen_board = cv2.remap(soft, maps, None, cv2.INTER_LINEAR, borderValue=255)
    grain = np.random.default_rng(int(sum(mm))).normal(0, 2, seen_board.shape)
    return np.clip(seen_board * 0.8 + 20 + grain, 0, 255).astype(np.uint8)


POSES = [
    ((0, 0), (0, 0, 140)),
    ((22, 0), (8, -5, 150)),
    ((-20, 10), (-10, 6, 150)),
    ((5, 25), (4, 8, 155)),
    ((12, -24), (-6, -8, 160)),
    ((-18, -18), (10, 0, 165)),
]


@cache
def calibrated(board: Board) -> Calibration:
    return calibrate([picture_of(board, *pose) for pose in POSES], board)


@pytest.mark.parametrize("board", [CHECKER, CHARUCO], ids=["checkerboard", "charuco"])
def test_lens_and_scale_are_recovered(board: Board) -> None:
    result = calibrated(board)
    assert result.pictures == 6 and result.rms_px < 0.15
    assert result.matrix[0][0] == pytest.approx(900, rel=0.01)
    assert result.distortion[0] == pytest.approx(-0.18, abs=0.03)
    # seen from 140 mm: 900 / 140 px a millimetre
    assert result.px_per_mm == pytest.approx(900 / 140, rel=0.002)
    assert 0 < result.px_per_mm_u < 0.01


def test_lengths_in_the_corners_of_a_distorted_picture_come_out_right() -> None:
    found = find_corners(picture_of(CHECKER, *POSES[0]), CHECKER)
    assert found
    seen = calibrated(CHECKER).to_mm(found[0]).reshape(6, 9, 2)
    assert np.hypot(*(seen[0, -1] - seen[0, 0])) == pytest.approx(64, abs=0.03)
    assert np.hypot(*(seen[-1, -1] - seen[0, 0])) == pytest.approx(np.hypot(64, 40), abs=0.03)


def test_one_flat_picture_gives_a_scale_without_a_lens() -> None:
    result = calibrate([picture_of(CHARUCO, (0, 0), (0, 0, 140), lens=False)], CHARUCO)
    assert result.distortion == () and result.px_per_mm == pytest.approx(900 / 140, rel=0.002)


def test_the_boards_tolerance_is_in_the_uncertainty() -> None:
    pictures = [picture_of(CHECKER, (0, 0), (0, 0, 140), lens=False)]
    sure = calibrate(pictures, CHECKER)
    unsure = calibrate(pictures, CHECKER.model_copy(update={"tolerance_mm": 0.1}))
    assert unsure.px_per_mm_u > 5 * sure.px_per_mm_u
    assert unsure.relative_u == pytest.approx(2 * 0.1 / 3**0.5 / np.hypot(64, 40), rel=0.05)


def test_a_partly_hidden_charuco_board_will_do() -> None:
    picture = picture_of(CHARUCO, (0, 0), (0, 0, 140), lens=False).copy()
    picture[:200, :250] = 90
    assert calibrate([picture], CHARUCO).px_per_mm == pytest.approx(900 / 140, rel=0.003)


def test_pictures_that_do_not_fix_the_lens_are_refused() -> None:
    flat = [picture_of(CHECKER, (0, 0), (x, 0, 140)) for x in (-3, 0, 3)]
    with pytest.raises(ValueError, match="tilt it by 15 to 30 deg"):
        calibrate(flat, CHECKER)


@pytest.mark.parametrize(
    ("pictures", "plane", "what"),
    [
        ([np.zeros((480, 640), np.uint8)], 0, "no 10x7 checkerboard in picture 0"),
        ([np.zeros((480, 640), np.uint8), np.zeros((240, 320), np.uint8)], 0, "not of one size"),
        ([np.zeros((480, 640), np.uint8)], 3, "there are 1 pictures"),
    ],
)
def test_pictures_without_a_board_are_refused(
    pictures: list[Pixels], plane: int, what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        calibrate(pictures, CHECKER, plane)


def test_a_calibration_survives_its_file_and_a_broken_file_is_named(tmp_path: Path) -> None:
    result = calibrate([picture_of(CHECKER, (0, 0), (0, 0, 140), lens=False)], CHECKER)
    digest = save_calibration(result, tmp_path / "cam.json")
    assert read_calibration(tmp_path / "cam.json") == (result, digest)
    (tmp_path / "cam.json").write_text('{"width": 3}')
    with pytest.raises(ValueError, match=r"cam\.json: height: Field required; calibrate again"):
        read_calibration(tmp_path / "cam.json")


def test_a_board_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="marker_mm"):
        Board(kind="charuco", columns=5, rows=5, square_mm=5, marker_mm=6)
    with pytest.raises(ValueError, match="no marker set"):
        Board(kind="charuco", columns=5, rows=5, square_mm=5, marker_mm=3, dictionary="DICT_9")
