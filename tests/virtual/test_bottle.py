"""The virtual product tells the truth, and a good part never looks like a bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.virtual import bottle, geometry, glyphs, label, materials, product
from inspector.virtual import print as printing
from inspector.virtual.bottle import BOTTLE_LINE, DEFECTS, JUICE_LINE, PartSpec, render_part
from inspector.virtual.film import PixelFormat, encode
from inspector.virtual.filmset import render_set

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def setup() -> product.Setup:
    return bottle.draw_setup(np.random.default_rng(1), BOTTLE_LINE, "held_out")


def boxes(truth: dict[str, Any], name: str, view: str = "side", kind: str = "defects") -> list[Box]:
    return [tuple(d["box"]) for d in truth[kind] if d["label"] == name and d["view"] == view]


def cut(picture: np.ndarray, box: Box, grow: float = 0) -> np.ndarray:
    x1, y1, x2, y2 = box
    return picture[
        max(0, int(y1 - grow)) : int(y2 + grow) + 1, max(0, int(x1 - grow)) : int(x2 + grow) + 1
    ].astype(int)


def test_the_same_seed_gives_the_same_bytes(setup: product.Setup) -> None:
    spec = PartSpec(defects=("cap_tilted",), setup=setup)
    first, second, other = render_part(4, spec), render_part(4, spec), render_part(5, spec)
    assert np.array_equal(first.side, second.side)
    assert np.array_equal(first.code, second.code)
    assert first.truth == second.truth
    assert not np.array_equal(first.side, other.side)


def test_the_pictures_are_those_of_the_two_cameras(setup: product.Setup) -> None:
    part = render_part(1, PartSpec(setup=setup))
    assert (part.side.shape, part.side.dtype) == ((480, 640, 3), np.uint8)
    assert (part.code.shape, part.code.dtype) == ((240, 320), np.uint8)
    assert 60 < part.side.mean() < 190
    assert (part.side == 255).mean() < 0.02


def test_the_side_picture_is_what_a_bayer_sensor_delivers(setup: product.Setup) -> None:
    side = render_part(1, PartSpec(setup=setup)).side
    again = bottle.optics.demosaic(encode(side, PixelFormat.BayerRG8))
    assert np.array_equal(again[2:-2, 2:-2], side[2:-2, 2:-2])


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_is_in_the_truth_with_its_severity_and_place(name: str) -> None:
    for seed in range(3):
        truth = render_part(seed, PartSpec(defects=(name,), split="held_out")).truth
        assert {d["label"] for d in truth["defects"]} == {name}
        for defect in truth["defects"]:
            width, height = geometry.SIDE_SIZE if defect["view"] == "side" else geometry.CODE_SIZE
            x1, y1, x2, y2 = defect["box"]
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert defect["severity"] == DEFECTS[name].value
        assert boxes(truth, name)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_changes_the_picture_where_the_truth_says(name: str, setup: product.Setup) -> None:
    """One part good and bad, all else equal: what differs lies inside the defect's boxes."""
    for seed in range(2):
        good = render_part(seed, PartSpec(setup=setup))
        bad = render_part(seed, PartSpec(setup=setup, defects=(name,)))
        change = np.abs(good.side.astype(int) - bad.side).max(2)
        inside = np.zeros(change.shape, bool)
        where = boxes(bad.truth, name)
        if name.startswith("cap"):  # a cap that is gone or lifted has also left its place
            where += boxes(good.truth, "cap", kind="objects")
        for x1, y1, x2, y2 in where:
            inside[int(y1) - 6 : int(y2) + 7, int(x1) - 6 : int(x2) + 7] = True
        assert change[inside].max() > 35
        assert (change[~inside] > 60).mean() < 0.001


def test_a_good_part_has_no_defect_and_all_its_things() -> None:
    for seed in range(2):
        part = render_part(seed, PartSpec(JUICE_LINE))
        assert part.truth["defects"] == []
        assert [o["label"] for o in part.truth["objects"]] == ["bottle", "label", "cap"]
        assert part.truth["printed"] == {"lot": "L2417A", "date": "16 NOV 26"}
        assert all(line["legible"] for line in part.truth["lines"])
        assert len(part.truth["lines"]) == 4


def test_the_print_stays_inside_the_rois_of_a_recipe(setup: product.Setup) -> None:
    for seed in range(60):
        truth = render_part(seed, PartSpec(setup=setup)).truth
        for line in truth["lines"]:
            roi = (bottle.LOT_ROI if line["name"] == "lot" else bottle.DATE_ROI)[line["view"]]
            x1, y1, x2, y2 = line["box"]
            assert roi[0] <= x1
            assert roi[1] <= y1
            assert x2 <= roi[2]
            assert y2 <= roi[3]


def test_rois_are_small_enough_for_a_fast_recogniser() -> None:
    widths = [roi["side"][2] - roi["side"][0] for roi in (bottle.LOT_ROI, bottle.DATE_ROI)]
    assert max(widths) <= 155
    assert bottle.LOT_ROI["code"][2] - bottle.LOT_ROI["code"][0] <= 160
    assert bottle.DATE_ROI["code"][2] - bottle.DATE_ROI["code"][0] <= 240


def test_where_the_truth_says_print_there_is_ink(setup: product.Setup) -> None:
    part = render_part(2, PartSpec(setup=setup))
    bare = render_part(2, PartSpec(setup=setup, defects=("lot_missing", "date_missing")))
    for line in part.truth["lines"]:
        for picture, least, most in ((part, 40, 255), (bare, 0, 40)):
            grey = picture.code if line["view"] == "code" else picture.side[..., 1]
            area = cut(cv2.GaussianBlur(grey, (5, 5), 0), tuple(line["box"]), -1)
            assert least <= np.percentile(area, 95) - area.min() <= most


def test_a_foreign_particle_stands_out_at_half_resolution() -> None:
    for seed in range(12):
        kind = JUICE_LINE if seed % 2 else BOTTLE_LINE
        part = render_part(seed, PartSpec(kind, defects=("foreign_particle",)))
        (box,) = boxes(part.truth, "foreign_particle")
        assert min(box[2] - box[0], box[3] - box[1]) >= 5
        x1, y1, x2, y2 = (value / 2 for value in box)
        half = cv2.resize(part.side, (320, 240), interpolation=cv2.INTER_AREA).astype(int)
        middle = half[int((y1 + y2) / 2), int((x1 + x2) / 2)]
        around = np.median(cut(half, (x1, y1, x2, y2), 4).reshape(-1, 3), axis=0)
        assert np.abs(middle - around).max() > 40


def test_there_is_a_margin_between_the_worst_good_part_and_the_mildest_defect() -> None:
    for good, mildest, worst in (
        product.CAP_TILT_DEG, product.FILL_PX, product.LABEL_SKEW_DEG, product.PARTICLE_PX,
        product.SCRATCH_PX, product.SMEAR_TEXTURE_PX,
    ):  # fmt: skip
        assert 3 * good < mildest < worst
    assert 3 * product.PARTICLE_CONTRAST[0] < product.PARTICLE_CONTRAST[1]


def test_the_grey_card_tells_the_light_and_not_the_part(setup: product.Setup) -> None:
    levels = {"side": [], "code": []}
    for seed in range(10):
        defects = ("cap_missing", "label_skewed") if seed % 2 else ()
        part = render_part(seed, PartSpec(JUICE_LINE, setup=setup, defects=defects))
        for view, picture in (("side", part.side), ("code", part.code)):
            levels[view].append(cut(picture, bottle.REFERENCE_PATCH[view], -2).mean())
    for measured in levels.values():
        assert min(measured) > 80
        assert max(measured) < 180
        assert max(measured) / min(measured) < 1.6


def test_a_wrong_text_is_never_the_right_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        assert product.wrong_text("L2417A", "lot", rng) != "L2417A"
        assert product.wrong_text("16 NOV 26", "date", rng) != "16 NOV 26"


def test_defects_come_at_their_rate_and_only_together_where_they_can() -> None:
    rng = np.random.default_rng(0)
    drawn = [bottle.draw_defects(rng, 0.1) for _ in range(4000)]
    assert 0.08 < np.mean([bool(d) for d in drawn]) < 0.12
    assert {name for d in drawn for name in d} == set(DEFECTS)
    for defects in drawn:
        product.check_defects(defects)


def test_impossible_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot have both cap_missing and cap_tilted"):
        render_part(1, PartSpec(defects=("cap_tilted", "cap_missing")))
    with pytest.raises(ValueError, match="unknown defect 'dent'; there are cap_missing"):
        render_part(1, PartSpec(defects=("dent",)))


def test_training_and_measuring_share_no_font_texture_or_artwork() -> None:
    train, held = bottle.TEXTURES_TRAIN, bottle.TEXTURES_HELD_OUT
    for kind in ("cells", "bodies", "caps", "droplets"):
        assert not set(getattr(train, kind)) & set(getattr(held, kind))
    assert not set(printing.FONTS_TRAIN) & set(printing.FONTS_HELD_OUT)
    brands = [{art.brand for art in label.arts(split)} for split in ("train", "held_out")]
    assert not brands[0] & brands[1]
    assert min(len(printing.FONTS_TRAIN), len(printing.FONTS_HELD_OUT)) >= 4


def test_products_differ_in_what_a_camera_sees() -> None:
    water, juice = (render_part(3, PartSpec(kind)) for kind in (BOTTLE_LINE, JUICE_LINE))
    for part, colour in ((water, "blue"), (juice, "green")):
        (cap,) = boxes(part.truth, "cap", kind="objects")
        blue, green, _ = cut(part.side, cap, -12).reshape(-1, 3).mean(0)
        assert ("blue" if blue > green else "green") == colour
    liquid = [part.side[165:185, 280:360].reshape(-1, 3).mean(0) for part in (water, juice)]
    assert np.abs(liquid[0] - liquid[1]).max() > 80


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_character_can_be_printed_in_every_font(split: printing.Split) -> None:
    rng = np.random.default_rng(0)
    for font in printing.fonts(split):
        masks = [printing.ink(c, font, rng, 30.0, 35.0) for c in glyphs.CHARACTERS if c != " "]
        assert all(mask.max() > 150 for mask in masks)
        assert printing.ink(" ", font, rng, 30.0, 35.0).max() == 0


def test_no_two_characters_of_a_font_look_the_same() -> None:
    """But the letter O, which some alphabets draw as they draw a nought."""
    for font in printing.FONTS_TRAIN + printing.FONTS_HELD_OUT:
        seen: dict[bytes, str] = {}
        for character in glyphs.CHARACTERS.replace("O", ""):
            if font.alphabet == "stroke":
                shape = glyphs.STROKES[character].encode()
            elif font.alphabet == "head":
                shape = glyphs.stroke_dots(character, font.columns, font.rows).tobytes()
            else:
                shape = glyphs.matrix_dots(character, font.alphabet != "matrix").tobytes()
            assert shape not in seen, (font.name, character, seen[shape])
            seen[shape] = character


def test_a_printed_line_is_the_size_of_a_recipes_roi() -> None:
    rng = np.random.default_rng(2)
    for text in ("L2417A", "16 NOV 26", "", "7", "BB 12/27 A:1-"):
        for split in ("train", "held_out"):
            line = printing.render_line(text, rng, split)
            assert line.dtype == np.uint8
            assert 24 <= line.shape[0] <= 48
            assert 20 <= line.shape[1] <= 260


def test_condensation_is_faint() -> None:
    for seed in bottle.TEXTURES_TRAIN.droplets + bottle.TEXTURES_HELD_OUT.droplets:
        assert np.abs(materials.droplets(seed)).max() <= materials.DROPLET_CONTRAST


@pytest.mark.slow
def test_a_part_takes_less_than_30_ms_on_one_core(setup: product.Setup) -> None:
    import time

    spec = PartSpec(setup=setup)
    for seed in range(10):
        render_part(seed, spec)
    before = time.process_time()
    for seed in range(50):
        render_part(seed, spec)
    assert (time.process_time() - before) / 50 < 0.030


def test_a_novelty_is_drawn_where_it_is_asked_for_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    assert not {n for _ in range(2000) for n in bottle.draw_defects(rng, 1.0)} & {*bottle.NOVELTIES}
    whole = render_part(5)
    torn = render_part(5, PartSpec(defects=("label_torn",)))
    assert {d["label"] for d in torn.truth["defects"]} == {"label_torn"}
    x1, y1, x2, y2 = (round(v) for v in torn.truth["defects"][0]["box"])
    changed = np.abs(torn.side.astype(int) - whole.side).max(-1) > 40
    assert changed[y1:y2, x1:x2].mean() > 0.1
    changed[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3] = False
    assert not changed.any()


def test_a_film_with_a_novelty_differs_in_those_parts_alone(tmp_path: Path) -> None:
    plain = render_set("bottle-line", 7, 24, tmp_path / "plain", 0.2)
    novel = render_set(
        "bottle-line", 7, 24, tmp_path / "novel", 0.2, novelty="label_torn", novelty_rate=0.4
    )
    torn = [any(d["label"] == "label_torn" for d in part["defects"]) for part in novel.truth()]
    assert 3 < sum(torn) < 16
    same = [
        np.array_equal(a, b)
        for a, b in zip(plain.film("side").frames, novel.film("side").frames, strict=True)
    ]
    assert same == [not t for t in torn]
