"""``anomaly`` on real solar cells, taught from good ones alone (S4, S7)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inspector.teach import read_pictures, teach_anomaly
from inspector.teach.anomaly import auroc
from inspector.tools.anomaly import Look, worst
from inspector.tools.onnx import Shelf

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_defective_cells_are_less_like_the_taught_ones_than_good_ones(real_data: Path) -> None:
    """Every fifth good cell teaches; docs/accuracy.md has the figures of all."""
    good = read_pictures(real_data / "solar_cells" / "good")
    bad = read_pictures(real_data / "solar_cells" / "defect")
    shelf = Shelf(ROOT / "models")
    look = Look(teach_anomaly(good[::5], shelf).bank, shelf)
    of_good, of_bad = (
        np.array([worst(look.map_of(p)) for p in part]) for part in (good[1::5], bad[::2])
    )
    assert auroc(of_good, of_bad) > 0.7
