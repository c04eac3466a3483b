"""Labelled pictures come in as they lie in the folder, and are split by film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.tools.card import read_card
from inspector.tools.letterbox import Letterbox
from training.augment import Variation, paint_out, vary
from training.pictures import PAD, Picture, letterbox, read_yolo, split

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for film in ("a_MOV-1", "a_MOV-2", "b_mp4-1"):
        cv2.imwrite(str(tmp_path / "images" / f"{film}.png"), np.full((40, 80, 3), 90, np.uint8))
        (tmp_path / "labels" / f"{film}.txt").write_text(
            "0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n"
        )
    return tmp_path


def test_boxes_and_polygons_become_pixels(folder: Path) -> None:
    first = read_yolo(folder)[0]
    assert first.boxes.tolist() == pytest.approx(np.array([[30, 10, 50, 30], [8, 8, 24, 24]]))
    assert first.labels.tolist() == [0, 1]
    assert read_yolo(folder, side=40)[0].boxes[0].tolist() == [15, 5, 25, 15]


@pytest.mark.parametrize(("line", "told"), [
    ("cat .5 .5 .5 .5", "'cat .5 .5 .5 .5' is neither"), ("0 .5 .5", "'0 .5 .5' is neither"),
    ("0 .1 .1 .2 .2 .3", "is neither"), ("2 .5 .5 .5 .5", "class 2 is none of 2 classes"),
])  # fmt: skip
def test_a_label_that_is_none_is_told_with_its_line(folder: Path, line: str, told: str) -> None:
    (folder / "labels" / "a_MOV-1.txt").write_text(f"\n0 .5 .5 .5 .5\n{line}\n\n")
    with pytest.raises(ValueError, match=rf"a_MOV-1\.txt, line 3: .*{told}"):
        read_yolo(folder, classes=2)


def test_no_film_is_on_both_sides_of_the_split(folder: Path) -> None:
    learn, measure = split(read_yolo(folder), ["b"])
    assert {p.group for p in learn} == {"a"} and {p.group for p in measure} == {"b"}
    with pytest.raises(ValueError, match="there are: a, b"):
        split(read_yolo(folder), ["c"])


def test_letterboxing_centres_and_pads() -> None:
    picture = Picture(
        np.zeros((40, 80, 3), np.uint8), np.array([[0, 0, 80, 40]], np.float32), np.array([0])
    )
    boxed = letterbox(picture, 64, 64)
    assert boxed.boxes.tolist() == [[0, 16, 64, 48]]
    assert boxed.pixels[0, 0].tolist() == [PAD] * 3 and boxed.pixels[32, 32].tolist() == [0] * 3


@pytest.mark.parametrize("shape", [(1024, 1280), (600, 320), (100, 90), (300, 300)])
def test_a_net_is_taught_on_what_a_station_shows_it(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    seen = np.zeros((1, 480, 256, 3), np.uint8)
    Letterbox(read_card(MODELS / "bottle-line" / "1", "bottle-line/1"), seen).fill(pixels)
    bare = Picture(pixels, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert np.array_equal(letterbox(bare, 480, 256).pixels, seen[0])


def cap_on_bottle() -> Picture:
    pixels = np.full((96, 96, 3), 120, np.uint8)
    pixels[30:80, 30:60] = (0, 90, 200)
    pixels[20:30, 38:52] = (255, 255, 255)
    boxes = np.array([[30, 20, 60, 80], [38, 20, 52, 30]], np.float32)
    return Picture(pixels, boxes, np.array([0, 1]))


@pytest.mark.parametrize("seed", range(8))
def test_a_painted_out_cap_loses_its_pixels_and_its_label(seed: int) -> None:
    bare = paint_out(cap_on_bottle(), 1, np.random.default_rng(seed))
    assert bare.labels.tolist() == [0]
    covered = bare.pixels[20:30, 38:52].astype(int)
    assert np.abs(covered - 255).mean() > 5
    assert (cap_on_bottle().pixels[50:, :] == bare.pixels[50:, :]).all()


def test_a_variation_keeps_boxes_on_their_objects() -> None:
    how = Variation(zoom=(0.7, 1.2), shift=0.1, turn=2.0, flip=0.5)
    for seed in range(20):
        varied = vary(cap_on_bottle(), 96, 96, how, np.random.default_rng(seed))
        assert (varied.boxes >= 0).all() and (varied.boxes <= 96).all()
        for (x1, y1, x2, y2), label in zip(varied.boxes.astype(int), varied.labels, strict=True):
            if label == 1 and x2 - x1 > 4 and y2 - y1 > 4:
                middle = varied.pixels[(y1 + y2) // 2, (x1 + x2) // 2]
                assert (middle > 200).all()


def test_what_belongs_to_an_object_that_left_the_frame_leaves_with_it() -> None:
    moved = cap_on_bottle()
    away = Picture(moved.pixels, moved.boxes + np.float32([55, 0, 55, 0]), moved.labels)
    assert vary(away, 96, 96, Variation(), np.random.default_rng(0)).labels.tolist() == []


def test_the_same_seed_gives_the_same_picture() -> None:
    how = Variation(zoom=(0.7, 1.2), light=0.3, colour=0.3, blur=0.5, noise=9, erase=0.5)
    twice = [vary(cap_on_bottle(), 64, 64, how, np.random.default_rng(3)).pixels for _ in range(2)]
    assert (twice[0] == twice[1]).all()
