"""A study of agreement judges the pictures that the line would have judged."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.agreement import study
from inspector.quality.errors import QualityError

SPOT = """
name: spot
tools:
  - name: spots
    kind: blob
    params: {threshold: {method: fixed, level: 60}}
"""


def keep_study(folder: Path, suffix: str, good: np.ndarray, bad: np.ndarray) -> Path:
    """Two parts of each truth with two runs each; the recipe that judges them."""
    for truth, pixels in (("good", good), ("bad", bad)):
        for part in ("1", "2"):
            place = folder / "study" / truth / part
            place.mkdir(parents=True)
            for run in ("a", "b"):
                cv2.imwrite(str(place / f"{run}{suffix}"), pixels)
    recipe = folder / "spot.yaml"
    recipe.write_text(SPOT)
    return recipe


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_of_twelve_bits_are_those_that_the_line_sees(tmp_path: Path, suffix: str) -> None:
    """The low eight of their bits were judged: noise, in which a good part was full of spots."""
    good = np.full((80, 80), 0x801, np.uint16)
    good[0, 0] = 0xFFF
    bad = good.copy()
    bad[30:50, 30:50] = 0x101

    said = study(keep_study(tmp_path, suffix, good, bad), tmp_path / "study", {}, tmp_path)

    assert (said["escapes"], said["false_rejects"]) == (0, 0)


def test_a_picture_that_is_cut_short_is_no_run(tmp_path: Path) -> None:
    """Decoders fill what is missing with grey, and grey passes."""
    good = np.full((80, 80), 200, np.uint8)
    recipe = keep_study(tmp_path, ".png", good, good)
    cut = tmp_path / "study" / "bad" / "2" / "b.png"
    cut.write_bytes(cut.read_bytes()[:-30])

    with pytest.raises(QualityError, match="truncated"):
        study(recipe, tmp_path / "study", {}, tmp_path)


def test_two_pictures_of_one_view_in_one_run_are_refused(tmp_path: Path) -> None:
    """Of the two the later one by name was judged, and of the other nothing was said."""
    good = np.full((80, 80), 200, np.uint8)
    recipe = keep_study(tmp_path, ".png", good, good)
    cv2.imwrite(str(tmp_path / "study" / "good" / "1" / "a.jpg"), good)

    with pytest.raises(QualityError, match=r"good/1: a.jpg and a.png show one view of one run"):
        study(recipe, tmp_path / "study", {}, tmp_path)


def test_a_study_of_one_part_is_refused_in_words(tmp_path: Path) -> None:
    """It was an internal error to be reported."""
    recipe = keep_study(tmp_path, ".png", *[np.full((8, 8), 200, np.uint8)] * 2)
    for part in ("good/1", "good/2", "bad/1"):
        shutil.rmtree(tmp_path / "study" / part)

    with pytest.raises(QualityError, match="two parts at least; there is bad/2"):
        study(recipe, tmp_path / "study", {}, tmp_path)


DATED = """
name: code
tools:
  - name: code
    kind: code
    params: {expect: {not_before_days: 30}}
"""


def test_dates_are_judged_as_on_the_day_of_the_pictures(tmp_path: Path) -> None:
    """Parts that were good when they were fed had all expired when the study was made."""
    import zxingcpp

    code = zxingcpp.create_barcode(
        "[01]09506000134352[17]260301", zxingcpp.BarcodeFormat.DataMatrix, gs1=True
    )
    drawn = np.array(zxingcpp.write_barcode_to_image(code, scale=6))
    recipe = keep_study(tmp_path, ".png", drawn, np.full_like(drawn, 255))
    recipe.write_text(DATED)

    fed = study(recipe, tmp_path / "study", {}, tmp_path, today=date(2026, 1, 1))
    later = study(recipe, tmp_path / "study", {}, tmp_path, today=date(2026, 2, 20))

    assert (fed["false_rejects"], later["false_rejects"]) == (0, 2)
