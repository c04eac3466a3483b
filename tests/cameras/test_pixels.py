"""Pixel formats against buffers packed by hand, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from harvesters.util.pfnc import dict_by_names
from numpy.typing import NDArray

from inspector.cameras.formats import BY_NAME, FORMATS
from inspector.cameras.pixels import as_image, convert, empty

BAYER = ("GR", "RG", "GB", "BG")


def pack(name: str, samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """``samples`` as the standards say, in plain arithmetic on one long integer."""
    flat = [int(s) for s in samples.reshape(-1)]
    digits = name.removeprefix("Mono").removeprefix("Bayer").lstrip("GRB")
    if digits == "8":
        return np.array(flat, np.uint8)
    bits = int(digits[:2])
    if digits[2:] == "":
        return np.array(flat, "<u2").view(np.uint8)
    if digits[2:] == "p":
        whole = sum(sample << bits * i for i, sample in enumerate(flat))
        size = -(-bits * len(flat) // 8)
        return np.frombuffer(whole.to_bytes(size, "little"), np.uint8)
    out = bytearray()
    for a, b in zip(flat[::2], flat[1::2], strict=True):
        low = (1 << bits - 8) - 1
        out += bytes((a >> bits - 8, (a & low) | (b & low) << 4, b >> bits - 8))
    return np.frombuffer(bytes(out), np.uint8)


def depth(name: str) -> int:
    return BY_NAME[name].bits


def test_names_and_codes_are_those_of_the_standard() -> None:
    assert {f.name: f.code for f in FORMATS.values()} == {
        name: dict_by_names[name] for name in BY_NAME
    }
    assert len(FORMATS) == 7 + 4 + 4 * 7


@pytest.mark.parametrize("name", [n for n in BY_NAME if n.startswith("Mono")])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (7, 2), (6, 3)])
def test_mono_keeps_the_high_eight_bits(name: str, width: int, height: int) -> None:
    bits = depth(name)
    samples = np.random.default_rng(3).integers(0, 1 << bits, (height, width), np.uint16)
    form = BY_NAME[name]
    raw = pack(name, samples)
    assert raw.size == form.size(width, height)
    image = convert(raw, form, width, height, empty(form, width, height))
    np.testing.assert_array_equal(image, samples >> bits - 8)


@pytest.mark.parametrize("pattern", BAYER)
@pytest.mark.parametrize("suffix", ["8", "10", "12", "10p", "12p", "10Packed", "12Packed"])
def test_bayer_gives_back_the_colour_of_an_even_surface(pattern: str, suffix: str) -> None:
    form = BY_NAME[f"Bayer{pattern}{suffix}"]
    colour = {"R": 200, "G": 120, "B": 40}
    first, second = pattern
    rows = {"R": "RG", "G": None, "B": "GB"}
    tile = np.zeros((2, 2), np.uint16)
    # the second row follows from the first: red and blue are never in one row
    below = {"RG": "GB", "GR": "BG", "BG": "GR", "GB": "RG"}[pattern]
    tile[0] = colour[first], colour[second]
    tile[1] = colour[below[0]], colour[below[1]]
    assert rows
    samples = np.tile(tile, (8, 10)) << form.bits - 8
    image = convert(pack(form.name, samples), form, 20, 16, empty(form, 20, 16))
    assert image.shape == (16, 20, 3)
    np.testing.assert_array_equal(image[2:-2, 2:-2].reshape(-1, 3).max(0), [40, 120, 200])
    np.testing.assert_array_equal(image[2:-2, 2:-2].reshape(-1, 3).min(0), [40, 120, 200])


@pytest.mark.parametrize(
    ("name", "order"), [("RGB8", [2, 1, 0]), ("RGBa8", [2, 1, 0]), ("BGRa8", [0, 1, 2])]
)
def test_colour_becomes_bgr(name: str, order: list[int]) -> None:
    form = BY_NAME[name]
    raw = np.random.default_rng(4).integers(0, 256, (6, 8, len(form.layout)), np.uint8)
    image = convert(raw.reshape(-1), form, 8, 6, empty(form, 8, 6))
    np.testing.assert_array_equal(image, raw[:, :, order])


@pytest.mark.parametrize(("name", "shape"), [("Mono8", (6, 8)), ("BGR8", (6, 8, 3))])
def test_what_is_an_image_already_is_not_copied(name: str, shape: tuple[int, ...]) -> None:
    form = BY_NAME[name]
    raw = np.random.default_rng(5).integers(0, 256, 6 * 8 * form.channels + 32, np.uint8)
    image = as_image(raw, form, 8, 6)
    assert form.ready and image.shape == shape and np.shares_memory(image, raw)
    np.testing.assert_array_equal(convert(raw, form, 8, 6, empty(form, 8, 6)), image)


def test_too_few_bytes_are_refused() -> None:
    form = BY_NAME["Mono12p"]
    with pytest.raises(ValueError, match="no 8×6 Mono12p of 72 bytes"):
        convert(np.zeros(71, np.uint8), form, 8, 6, empty(form, 8, 6))


@pytest.mark.parametrize("name", ["BayerRG8", "BayerGB8", "RGB8"])
@pytest.mark.parametrize("area", [(0, 0, 8, 8), (7, 5, 24, 17), (30, 21, 48, 32), (0, 0, 48, 32)])
def test_an_area_is_converted_as_it_is_in_the_whole_and_nothing_far_from_it(
    name: str, area: tuple[int, int, int, int]
) -> None:
    form, (width, height) = BY_NAME[name], (48, 32)
    raw = np.random.default_rng(1).integers(0, 256, form.size(width, height), np.uint8)
    whole = convert(raw, form, width, height, empty(form, width, height))
    out = np.full_like(whole, 99)

    convert(raw, form, width, height, out, area)

    x1, y1, x2, y2 = area
    np.testing.assert_array_equal(out[y1:y2, x1:x2], whole[y1:y2, x1:x2])
    out[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4] = 99
    assert (out == 99).all()


@pytest.mark.parametrize("area", [(60, 0, 80, 8), (0, 40, 8, 50), (50, 34, 51, 35)])
def test_of_an_area_outside_the_picture_there_is_nothing_to_convert(
    area: tuple[int, int, int, int],
) -> None:
    """The step whose ROI lies there says so; the line must not fail before it."""
    form, (width, height) = BY_NAME["BayerRG8"], (48, 32)
    raw, out = np.zeros(form.size(width, height), np.uint8), empty(form, width, height)

    assert convert(raw, form, width, height, out, area) is out
