"""EAN and UPC numbers told by what their bars would look like through a blur (S13)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from inspector.tools.code_digits import read_number

MODULE = 6
"""Steps of the profiles here a module."""


def profile(symbology: str, content: str, blur: float = 0.0, noise: float = 0.0) -> NDArray[Any]:
    """Across a code between two margins, blurred by a standard deviation in modules."""
    barcode = zxingcpp.create_barcode(content, getattr(zxingcpp.BarcodeFormat, symbology))
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=MODULE))
    row = drawn.reshape(drawn.shape[:2])[drawn.shape[0] // 2].astype(np.float64) / 255
    row = np.pad(row, 6 * MODULE, constant_values=1)
    if blur:
        at = np.arange(-4 * MODULE, 4 * MODULE + 1) / MODULE
        kernel = np.exp(-((at / blur) ** 2) / 2)
        row = np.convolve(np.pad(row, len(at) // 2, mode="edge"), kernel / kernel.sum(), "valid")
    row = row + np.random.default_rng(1).normal(0, noise, len(row))
    return np.clip(row, 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("symbology", "content", "says"),
    [
        ("EAN13", "4006381333931", "4006381333931"),
        ("UPCA", "012345678905", "0012345678905"),
        ("EAN8", "96385074", "96385074"),
    ],
)
@pytest.mark.parametrize("blur", [0.0, 0.5, 0.8])
def test_a_number_is_told_through_a_blur(
    symbology: str, content: str, says: str, blur: float
) -> None:
    seen = profile(symbology, content, blur, noise=0.02)

    number = read_number(seen)
    turned = read_number(seen[::-1])

    assert number is not None and turned is not None
    assert number.text == turned.text == says
    assert number.symbology == ("EAN8" if symbology == "EAN8" else "EAN13")
    assert number.misfit < 0.014 and number.margin > 3
    left, right = number.ends
    assert left < right and turned.ends[0] > turned.ends[1]
    modules = 67 if symbology == "EAN8" else 95
    assert right - left == pytest.approx(modules * MODULE, abs=MODULE)


def test_a_bent_code_is_told() -> None:
    seen = profile("EAN13", "4006381333931", 0.4)
    t = np.linspace(0, 1, len(seen))
    bent = np.interp(t + 4 * 0.02 * t * (1 - t), t, seen)

    number = read_number(bent.astype(np.float32))

    assert number is not None and number.text == "4006381333931" and number.margin > 3


@pytest.mark.parametrize(
    ("symbology", "content"), [("Code128", "AB12CD34"), ("Code39", "CWPKBPT4"), ("ITF", "99333299")]
)
def test_another_code_is_no_number(symbology: str, content: str) -> None:
    number = read_number(profile(symbology, content, 0.4))

    assert number is None or number.margin < 1 or number.misfit > 0.02


@pytest.mark.parametrize("length", [16, 40, 500])
def test_what_is_no_code_is_no_number(length: int) -> None:
    rng = np.random.default_rng(length)
    for seen in (
        np.zeros(length), np.ones(length), rng.random(length), np.linspace(0, 1, length),
        (np.arange(length) // 5 % 2).astype(float),
    ):  # fmt: skip
        number = read_number(seen.astype(np.float32))
        assert number is None or number.margin < 1 or number.misfit > 0.02
