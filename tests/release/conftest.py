"""A centre with two people, and stations that know them."""

from __future__ import annotations

from pathlib import Path

import pytest
from release.centre import Centre


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Centre:
    return Centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture
def data(centre: Centre, tmp_path: Path) -> Path:
    return centre.known_at(tmp_path / "data")
