"""The pixel formats that cameras send: names and codes of EMVA's Pixel Format Naming Convention.

Enters: nothing. Leaves: a table. Imports nothing of ours; this room imports it. (How their bytes
become images is in ``pixels.py``, which needs OpenCV; a camera's process does without.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Packing(StrEnum):
    """How samples lie in bytes."""

    BYTE = "byte"
    WORD = "word"
    """16-bit little-endian words, the sample in their low bits."""
    GEV = "packed"
    """GigE Vision's "Packed": two samples in three bytes, high byte, both low parts, high byte."""
    DENSE = "dense"
    """PFNC's "p": no bit is unused, the least significant one comes first."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One format."""

    name: str
    code: int
    """PFNC code; bits 16..23 are the bits per pixel as sent."""
    bits: int = 8
    """Of a sample."""
    packing: Packing = Packing.BYTE
    layout: str = "grey"
    """``grey``, the order of the colours (``BGR``, ``RGBa`` …), or the Bayer pattern's first two
    pixels (``RG`` …)."""

    @property
    def channels(self) -> int:
        """Of the image it becomes: 1 grey, 3 BGR."""
        return 1 if self.layout == "grey" else 3

    @property
    def ready(self) -> bool:
        """Whether the bytes are that image already."""
        return self.packing is Packing.BYTE and self.layout in ("grey", "BGR")

    def size(self, width: int, height: int) -> int:
        """Bytes of an image of that size, without padding."""
        return (width * height * (self.code >> 16 & 0xFF) + 7) // 8


def _family(layout: str, prefix: str, codes: dict[str, int]) -> tuple[PixelFormat, ...]:
    packings = {"": Packing.WORD, "Packed": Packing.GEV, "p": Packing.DENSE}
    formats = [PixelFormat(f"{prefix}8", codes["8"], layout=layout)]
    for suffix, code in codes.items():
        if suffix != "8":
            packing = packings[suffix.lstrip("0123456789")]
            bits = int(suffix.rstrip("Packedp"))
            formats.append(PixelFormat(prefix + suffix, code, bits, packing, layout))
    return tuple(formats)


_TABLE = (
    *_family(
        "grey",
        "Mono",
        {
            "8": 0x01080001,
            "10": 0x01100003,
            "12": 0x01100005,
            "10Packed": 0x010C0004,
            "12Packed": 0x010C0006,
            "10p": 0x010A0046,
            "12p": 0x010C0047,
        },
    ),
    PixelFormat("RGB8", 0x02180014, layout="RGB"),
    PixelFormat("BGR8", 0x02180015, layout="BGR"),
    PixelFormat("RGBa8", 0x02200016, layout="RGBa"),
    PixelFormat("BGRa8", 0x02200017, layout="BGRa"),
    *(
        form
        for index, pattern in enumerate(("GR", "RG", "GB", "BG"))
        for form in _family(
            pattern,
            f"Bayer{pattern}",
            {
                "8": 0x01080008 + index,
                "10": 0x0110000C + index,
                "12": 0x01100010 + index,
                "10Packed": 0x010C0026 + index,
                "12Packed": 0x010C002A + index,
                # the p formats follow another order: BG, GB, GR, RG
                "10p": 0x010A0052 + 2 * (2, 3, 1, 0)[index],
                "12p": 0x010C0053 + 2 * (2, 3, 1, 0)[index],
            },
        )
    ),
)

FORMATS = {form.code: form for form in _TABLE}
"""By PFNC code."""
BY_NAME = {form.name: form for form in _TABLE}
