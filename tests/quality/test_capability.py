"""Capability with its uncertainty, as Montgomery works it out (chapter 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inspector.config import Quality
from inspector.quality.capability import capability, chi_square, cp_interval, cpk_interval
from inspector.quality.charts import range_sigma
from inspector.quality.spc import BatchCharts
from inspector.quality.subgroups import Measured


def test_quantiles_are_those_of_the_tables() -> None:
    assert chi_square(0.025, 19) == pytest.approx(8.907, abs=5e-4)
    assert chi_square(0.975, 19) == pytest.approx(32.852, abs=5e-4)
    assert chi_square(0.95, 1) == pytest.approx(3.841, abs=5e-4)
    assert chi_square(0.5, 1000) == pytest.approx(999.33, abs=0.01)


def test_montgomerys_intervals() -> None:
    cp = cp_interval((62 - 38) / (6 * 1.75), 20)
    assert (cp.value, cp.low, cp.high) == pytest.approx((2.29, 1.57, 3.01), abs=0.006)
    cpk = cpk_interval(1.33, 20)
    assert (cpk.low, cpk.high) == pytest.approx((0.88, 1.78), abs=0.006)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    hits_cp = hits_cpk = 0
    for _ in range(800):
        found = capability(list(rng.normal(10.5, 1.0, 50)), 7.0, 13.0)
        assert found.cp is not None
        hits_cp += found.cp.low <= 1.0 <= found.cp.high
        hits_cpk += found.cpk.low <= 2.5 / 3 <= found.cpk.high
    assert hits_cp / 800 == pytest.approx(0.95, abs=0.025)
    assert hits_cpk / 800 == pytest.approx(0.95, abs=0.03)


def test_a_chart_s_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """σ is of the very subgroups that the values are of, with the degrees of freedom of ranges:
    phase one's and n - 1 gave an interval that held the truth two times of three."""
    rng = np.random.default_rng(5)
    hits_cp = hits_cpk = 0
    for _ in range(600):
        charts = BatchCharts(Quality(phase_one=20), "B-1", "bottle@3", {"neck/height": (6.4, 13.6)})
        groups = [list(row) for row in rng.normal(10.0, 1.0, (60, 5))]
        charts.measures["neck/height"] = Measured("mm", groups, centre=(10.0, _ranges(groups[:20])))
        found = charts.capability("neck/height")
        assert found is not None and found.cp is not None
        hits_cp += found.cp.low <= 1.2 <= found.cp.high
        hits_cpk += found.cpk.low <= 1.2 <= found.cpk.high
    assert found.sigma == pytest.approx(_ranges(groups) / 2.326) and found.n == 300
    assert hits_cp / 600 == pytest.approx(0.95, abs=0.025)
    assert hits_cpk / 600 == pytest.approx(0.95, abs=0.025)


def _ranges(groups: list[list[float]]) -> float:
    return float(np.ptp(groups, axis=1).mean())


@pytest.mark.parametrize(("size", "df"), [(2, 0.88), (3, 1.82), (4, 2.74), (5, 3.62), (10, 7.46)])
def test_ranges_are_worth_the_degrees_of_freedom_of_patnaiks_table(size: int, df: float) -> None:
    groups: Any = np.random.default_rng(2).normal(0, 1, (50, size)).tolist()
    assert range_sigma(groups)[1] == pytest.approx(50 * df, rel=0.01)


def test_one_sided_tolerances_have_no_cp() -> None:
    values = list(np.linspace(9, 11, 40))
    upper, both = capability(values, None, 13.0), capability(values, 9.0, 13.0)
    assert upper.cp is None and upper.cpk.value > both.cpk.value


@pytest.mark.parametrize(
    ("values", "low", "high", "what"),
    [
        ([1.0] * 5, 0, 2, "at least 10"),
        ([1.0] * 20, 0, 2, "do not differ"),
        (list(range(20)), None, None, "limit"),
        (list(range(20)), 5, 5, "below the upper"),
    ],
)
def test_what_says_nothing_is_refused(values: list[float], low: float, high: float,
                                      what: str) -> None:  # fmt: skip
    with pytest.raises(ValueError, match=what):
        capability(values, low, high)
