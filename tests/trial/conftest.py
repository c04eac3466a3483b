"""Whole stations on the virtual line: one film for all trials of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.virtual.film import FilmSet, render_set


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    """Sixty water bottles, a quarter of them defective; fonts and textures that no model saw."""
    return render_set("bottle-line", 41, 60, tmp_path_factory.mktemp("films"), defect_rate=0.25)


@pytest.fixture(scope="session")
def juice(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    """Thirty good juice bottles."""
    return render_set("juice-line", 42, 30, tmp_path_factory.mktemp("juice"), defect_rate=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A short path: the station's sockets are in it."""
    return tmp_path
