"""Real pictures that lie outside the project, or a loud skip."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from inspector.part import Pixels
from inspector.pictures import read_image

T = TypeVar("T")


def pixels_of(path: Path) -> Pixels:
    pixels, flaw = read_image(path)
    assert pixels is not None, flaw
    return pixels


def there(found: list[T], where: Path) -> list[T]:
    """What was ``found`` ``where`` it should be; skips the test where nothing was."""
    if not found:
        pytest.skip(f"REAL DATA MISSING: {where}; set INSPECTOR_REAL_DATA")
    return found
