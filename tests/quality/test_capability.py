"""Capability with its uncertainty, as Montgomery works it out (chapter 8)."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.quality.capability import capability, chi_square, cp_interval, cpk_interval


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
