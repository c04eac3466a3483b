"""Whatever a picture's file is, it ends in its pixels or in a sentence that says why not (S3)."""

from __future__ import annotations

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
    for name, layers in (("rgb", [black] * 3), ("grey", [black])):
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.dstack([*layers, ink])).save(path)
        read, _ = read_image(path)
        assert read is not None
        paper = read if read.ndim == 2 else read[..., 0]
        assert (paper == 255 - ink).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp", "pgm", "jp2"])
def test_half_a_file_is_no_picture(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    picture(colour=suffix != "pgm").save(whole)
    half = tmp_path / f"half.{suffix}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    read, flaw = read_image(half)
    assert read is None and "half" in flaw


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
