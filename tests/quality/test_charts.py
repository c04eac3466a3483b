"""Control charts give what the handbooks give for their worked examples (S1, S5).

Montgomery: "Introduction to Statistical Quality Control", 6th edition. NIST: NIST/SEMATECH
e-Handbook of Statistical Methods, section 6.3.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.quality.charts import false_alarms, p_chart, u_chart, xbar_r, xbar_r_limits
from inspector.quality.subgroups import Sums

JUICE = [
    12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22,
    8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6,
]  # fmt: skip
"""Montgomery, example 7.1, and NIST 6.3.3.2: cans that leak, of 50."""
CUSUM = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600,
    324.625, 325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip
"""NIST 6.3.2.3."""


def test_montgomerys_p_chart() -> None:
    chart = p_chart(JUICE, [50] * 30)
    assert chart.centre == pytest.approx(0.2313, abs=5e-5)
    assert chart.lower[0] == pytest.approx(0.0524, abs=5e-5)
    assert chart.upper[0] == pytest.approx(0.4102, abs=5e-5)
    assert chart.outside == [14, 22]


def test_his_revised_limits_after_the_causes_were_found() -> None:
    good = [d for i, d in enumerate(JUICE) if i not in (14, 22)]
    chart = p_chart(JUICE, [50] * 30, p_chart(good, [50] * 28).centre)
    assert chart.centre == pytest.approx(0.2150, abs=5e-5)
    assert chart.upper[0] == pytest.approx(0.3893, abs=5e-5)
    assert chart.lower[0] == pytest.approx(0.0407, abs=5e-5)
    assert 20 in chart.outside, "sample 21 then is beyond, too"


def test_montgomerys_u_chart() -> None:
    chart = u_chart([193], [100], centre=1.93)
    assert u_chart([10] * 20, [5] * 20, centre=1.93).upper[0] == pytest.approx(3.79, abs=5e-3)
    assert u_chart([10] * 20, [5] * 20, centre=1.93).lower[0] == pytest.approx(0.07, abs=5e-3)
    assert chart.points[0] == pytest.approx(1.93)


def test_montgomerys_xbar_and_r_chart() -> None:
    (low, _, high), (r_low, _, r_high) = xbar_r_limits(1.5056, 0.32521, 5)
    assert low == pytest.approx(1.31795, abs=2e-4) and high == pytest.approx(1.69325, abs=2e-4)
    assert r_low == 0 and r_high == pytest.approx(0.68749, abs=3e-4)


def test_subgroups_give_their_means_and_ranges() -> None:
    xbar, ranges = xbar_r([[1.0, 2.0, 3.0], [2.0, 2.0, 5.0], [0.0, 1.0, 2.0]])
    assert list(xbar.points) == [2.0, 3.0, 1.0] and list(ranges.points) == [2.0, 3.0, 2.0]
    assert xbar.centre == 2.0 and ranges.centre == pytest.approx(7 / 3)
    assert xbar.upper[0] - 2 == pytest.approx(1.023 * 7 / 3, rel=1e-3), "A₂ of 3 is 1.023"
    with pytest.raises(ValueError, match="subgroups"):
        xbar_r_limits(0, 1, 11)


def test_nists_cusum() -> None:
    # its k and h are in units of the data: 0.3175 and 4.1959, of a σ of 0.635
    sums, above = Sums(), []
    for at, value in enumerate(CUSUM):
        sums.add((value - 325.0) / 0.635, at, allowance=0.5)
        above.append(0.635 * sums.above)
    assert above[12:] == pytest.approx(
        [3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04], abs=0.012
    )
    assert [at for at, total in enumerate(above) if total > 4.1959] == list(range(13, 20))
    assert sums.began == 12


def test_false_alarms_of_attribute_charts_are_those_of_their_own_distributions() -> None:
    rng = np.random.default_rng(1)
    for centre, size in ((0.08, 100), (0.2313, 50), (0.02, 400), (0.005, 100)):
        chart = p_chart(rng.binomial(size, centre, 100_000), [size] * 100_000, centre)
        assert len(chart.outside) / 100_000 == pytest.approx(
            false_alarms("p", centre, size), rel=0.2, abs=3e-4
        )
    chart = u_chart(rng.poisson(0.08 * 100, 100_000), [100] * 100_000, 0.08)
    assert len(chart.outside) / 100_000 == pytest.approx(false_alarms("u", 0.08, 100), rel=0.2)
    assert false_alarms("p", 0.0, 50) == 0 and false_alarms("u", 0.0, 50) == 0


def test_rare_events_have_the_limits_of_their_own_distribution() -> None:
    # one in 2,000, subgroups of 100: one is nothing (a chance of 5 %), two are (0.12 %)
    chart = p_chart([0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], [100] * 14, 0.0005)
    assert chart.rare and chart.outside == [4]
    assert chart.z[4] > 3 > chart.z[2] > 1.5 and set(chart.z[5:]) == {0.0}
    assert false_alarms("p", 0.0005, 100) < 0.00135 < false_alarms("p", 0.0003, 1000) * 10


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 90)), min_size=1, max_size=40))
def test_limits_hold_their_centre(groups: list[tuple[int, int]]) -> None:
    chart = p_chart([d for d, _ in groups], [n for _, n in groups])
    assert (chart.lower <= chart.centre + 1e-12).all()
    assert (chart.upper >= chart.centre - 1e-12).all()
    assert ((chart.points >= 0) & (chart.points <= 1)).all()


@pytest.mark.parametrize("groups", [([1], [0]), ([], []), ([1, 2], [3])])
def test_groups_that_are_none_are_refused(groups: tuple[list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="subgroup"):
        p_chart(*groups)
