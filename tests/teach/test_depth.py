"""Picture files of sixteen bits are read by what they hold, the same when taught and when judged
(S3)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from surfaces import surface

from inspector.cli import main
from inspector.part import Pixels
from inspector.pictures import bits_of, read_image
from inspector.recipe import load

MODELS = Path(__file__).parents[2] / "models"


def kept(path: Path, pixels: Pixels, bits: int) -> Path:
    """``pixels`` as a sensor of ``bits`` has them, in a file of sixteen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels.astype(np.uint16) << (bits - 8))
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_all_files_together_say_how_many_bits_they_hold(
    tmp_path: Path, suffix: str, bits: int
) -> None:
    bright, dark = np.full((8, 9), 250, np.uint8), np.full((8, 9), 3, np.uint8)
    files = [
        kept(tmp_path / f"{name}.{suffix}", pixels, bits)
        for name, pixels in (("bright", bright), ("dark", dark))
    ]
    assert bits_of(files) == bits
    for path, pixels in zip(files, (bright, dark), strict=True):
        read, flaw = read_image(path, bits)
        assert not flaw and read is not None and (read == pixels).all()


def test_files_of_eight_bits_are_what_they_are(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), surface(1))
    (tmp_path / "broken.tif").write_bytes(b"II*\0 no picture")
    assert bits_of([plain, tmp_path / "broken.tif", tmp_path / "gone.png"]) is None
    read, _ = read_image(plain, 12)
    assert read is not None and (read == surface(1)).all()


def test_what_is_brighter_than_its_bits_is_white(tmp_path: Path) -> None:
    path = kept(tmp_path / "more.png", np.array([[10, 200]], np.uint8), 14)
    read, _ = read_image(path, 12)
    assert read is not None and read.tolist() == [[40, 255]]


def test_a_recipe_remembers_the_bits_that_it_was_taught_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dark picture judged alone has values up to 1000 and is none of ten bits for that."""

    def inspector(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["inspector", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    for number in range(8):
        kept(tmp_path / "good" / f"{number}.png", surface(number, (96, 64)), 12)
    recipe = tmp_path / "plate.yaml"
    inspector("teach", "anomaly", "--good", str(tmp_path / "good"), "--out", str(recipe), "--json")
    assert load(recipe, MODELS).file.bits == 12

    dark = surface(30, (96, 64)) // 4
    deep = kept(tmp_path / "dark.tif", dark, 12)
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    said = inspector("inspect", str(recipe), str(deep), str(tmp_path / "dark.png"), "--json")
    scores = [json.loads(line)["score"] for line in said.splitlines()]
    assert scores[0] == scores[1] > 0.5
