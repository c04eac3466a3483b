"""Whatever a picture's file is, it ends in its pixels or in a sentence that says why not (S3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from surfaces import surface

from inspector.offline import inspect_images
from inspector.part import Pixels
from inspector.pictures import read_image

ROOT = Path(__file__).parents[1]
GREY = surface(3, (48, 64))
COLOUR = np.ascontiguousarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1]]), np.uint8)


def picture(colour: bool = True) -> Image.Image:
    return Image.fromarray(COLOUR[..., ::-1] if colour else GREY)


def like(path: Path, wanted: Pixels, by: float = 3) -> None:
    """The file's picture is ``wanted``, but for what its compression loses."""
    read, flaw = read_image(path)
    assert read is not None, flaw
    assert read.shape == wanted.shape and read.dtype == np.uint8
    assert np.abs(read.astype(int) - wanted).mean() < by


@pytest.mark.parametrize(
    ("name", "mode", "keep"),
    [
        ("a.png", "RGB", {}),
        ("a.bmp", "RGB", {}),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.ppm", "RGB", {}),
        ("a.jpg", "RGB", {"quality": 97, "subsampling": 0}),
        ("progressive.jpg", "RGB", {"quality": 97, "subsampling": 0, "progressive": True}),
        ("print.jpg", "CMYK", {"quality": 97, "subsampling": 0}),
        ("alpha.png", "RGBA", {}),
        ("a.jp2", "RGB", {}),
    ],
)
def test_coloured_pictures_of_any_kind(
    tmp_path: Path, name: str, mode: str, keep: dict[str, Any]
) -> None:
    picture().convert(mode).save(tmp_path / name, **keep)
    like(tmp_path / name, COLOUR)


@pytest.mark.parametrize(("name", "mode"), [("a.png", "L"), ("a.pgm", "L"), ("alpha.png", "LA")])
def test_grey_pictures_of_any_kind(tmp_path: Path, name: str, mode: str) -> None:
    picture(colour=False).convert(mode).save(tmp_path / name)
    read, flaw = read_image(tmp_path / name)
    assert read is not None, flaw
    assert (read == (GREY if read.ndim == 2 else GREY[..., None])).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    ("tag", "turn"),
    [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90),
     (8, Image.Transpose.ROTATE_270)],
)  # fmt: skip
def test_a_picture_taken_with_the_camera_on_its_side_is_upright(
    tmp_path: Path, suffix: str, tag: int, turn: Image.Transpose
) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    keep = {"quality": 97} if suffix in ("jpg", "webp") else {}
    path = tmp_path / f"turned.{suffix}"
    picture().transpose(turn).save(path, exif=exif, **keep)
    like(path, COLOUR, by=6)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    """Black ink on nothing, as print is drawn: without its paper it would be black on black."""
    ink = np.zeros((40, 60), np.uint8)
    ink[10:20, 10:50] = 255
    black = np.zeros_like(ink)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    drawn = Image.fromarray(np.dstack([black] * 3 + [ink]))
    drawn.save(tmp_path / "rgb.png")
    drawn.save(tmp_path / "ink.webp", lossless=True)
    drawn.save(tmp_path / "ink.tif")
    for suffix in ("png", "tif", "webp"):
        turned = drawn.transpose(Image.Transpose.ROTATE_90)
        keep = {"lossless": True} if suffix == "webp" else {}
        turned.save(tmp_path / f"turned.{suffix}", exif=exif, **keep)
    Image.fromarray(np.dstack([black, ink])).save(tmp_path / "grey.png")
    few = Image.fromarray((ink > 0).astype(np.uint8), "P")
    few.putpalette(bytes(6))
    few.save(tmp_path / "palette.png", transparency=0)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 8
    for path in paths:
        read, _ = read_image(path)
        assert read is not None
        paper = read if read.ndim == 2 else read[..., 0]
        assert paper.shape == ink.shape and (paper == 255 - ink).all(), path.name


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp", "pgm", "jp2"])
def test_half_a_file_is_no_picture(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    picture(colour=suffix != "pgm").save(whole)
    half = tmp_path / f"half.{suffix}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    read, flaw = read_image(half)
    assert read is None and "half" in flaw


def test_a_folder_that_cannot_be_read_is_told_and_hidden_files_are_no_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in it was not judged: that must not look like a folder without pictures."""
    picture().save(tmp_path / "b.png")
    picture().save(tmp_path / "._b.png")  # a Mac leaves one beside each
    shut = tmp_path / "shut"
    shut.mkdir()
    scandir, access = os.scandir, os.access

    def refusing(path: Any) -> Any:
        if Path(path) == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    # As root, whom some test machines are, no folder can be shut.
    monkeypatch.setattr(os, "scandir", refusing)
    monkeypatch.setattr(os, "access", lambda path, how: Path(path) != shut and access(path, how))
    recipe = ROOT / "station_configs" / "recipes" / "any-code.yaml"

    rows = list(inspect_images(recipe, [tmp_path], models=ROOT / "models"))

    assert [(Path(row["image"]).name, row["outcome"]) for row in rows] == [
        ("b.png", "reject"), ("shut", "error"),
    ]  # fmt: skip
    assert rows[1]["reasons"] == ["shut is a folder, and it cannot be read"]


def test_pictures_that_cannot_be_read_are_errors_and_the_others_go_on(tmp_path: Path) -> None:
    picture().save(tmp_path / "b.png")
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "c.jpg").touch()
    cv2.imwrite(str(tmp_path / "d.tif"), GREY.astype(np.float32) / 255)
    recipe = ROOT / "station_configs" / "recipes" / "print-line.yaml"

    rows = list(inspect_images(recipe, [tmp_path, tmp_path / "gone.png"], models=ROOT / "models"))

    assert [Path(row["image"]).name for row in rows] == [
        "a.png", "b.png", "c.jpg", "d.tif", "gone.png",
    ]  # fmt: skip
    assert [row["outcome"] == "error" for row in rows] == [True, False, True, True, True]
    assert all(row["reasons"] for row in rows if row["outcome"] == "error")
