"""Real pictures that lie outside the project, or a loud skip."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def there(found: list[T], where: Path) -> list[T]:
    """What was ``found`` ``where`` it should be; skips the test where nothing was."""
    if not found:
        pytest.skip(f"REAL DATA MISSING: {where}; set INSPECTOR_REAL_DATA")
    return found
