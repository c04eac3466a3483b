"""The rules of control charts: what they see, and how often they cry wolf (S5).

The average run lengths are Champ and Woodall's (Technometrics 29, 1987, table 1), Lucas and
Saccucci's for the EWMA, and Montgomery's for the CUSUM; and what a simulation finds.
"""

from __future__ import annotations

import numpy as np
import pytest

from inspector.quality.charts import D2, range_cdf, xbar_r
from inspector.quality.rules import (
    BEYOND,
    FOUR_OF_FIVE,
    SELECTED,
    TWO_OF_THREE,
    Rule,
    cusum_run_length,
    ewma_run_length,
    poisson_cusum,
    run_length,
    signals,
)

EIGHT_ON_A_SIDE = Rule("8 on a side", 8, 8, 0.0)
WESTERN_ELECTRIC = (BEYOND, TWO_OF_THREE, FOUR_OF_FIVE, EIGHT_ON_A_SIDE)
"""Western Electric, "Statistical Quality Control Handbook" (1956), zone tests 1 to 4."""


@pytest.mark.parametrize(
    ("rules", "published"),
    [
        ((BEYOND,), 370.40),
        ((BEYOND, TWO_OF_THREE), 225.44),
        ((BEYOND, FOUR_OF_FIVE), 166.05),
        ((BEYOND, EIGHT_ON_A_SIDE), 152.73),
        (WESTERN_ELECTRIC, 91.75),
    ],
)
def test_run_lengths_are_the_published_ones(rules: tuple[Rule, ...], published: float) -> None:
    assert run_length(rules) == pytest.approx(published, abs=0.005)


def test_a_shift_of_one_sigma_is_found_after_nine_points() -> None:
    assert run_length(WESTERN_ELECTRIC, 1.0) == pytest.approx(9.22, abs=0.005)
    assert run_length((BEYOND,), 1.0) == pytest.approx(43.89, abs=0.01)


def test_the_stated_false_alarm_rate_is_what_a_simulation_finds() -> None:
    rng = np.random.default_rng(2)
    lengths = []
    for _ in range(150):
        z = rng.normal(size=400)
        first = next((s.at for s in signals(z, SELECTED)), None)
        lengths.append(400 if first is None else first + 1)
    # of runs cut at 400 the mean is shorter: 1 - exp(-400/ARL) of it
    arl = run_length(SELECTED)
    assert arl == pytest.approx(109.05, abs=0.01)
    assert np.mean(lengths) == pytest.approx(arl * (1 - np.exp(-400 / arl)), rel=0.2)


@pytest.mark.parametrize(("size", "length"), [(2, 58.5), (5, 88.8), (10, 92.3)])
def test_ranges_are_skewed_and_alarm_more_often_than_normal_points(
    size: int, length: float
) -> None:
    assert run_length(SELECTED, cdf=range_cdf(size)) == pytest.approx(length, abs=0.05)
    rng = np.random.default_rng(size)
    _, ranges = xbar_r(rng.normal(size=(20_000, size)), (0.0, D2[size]))
    runs = ranges.z.reshape(100, 200)
    first = [next((s.at + 1 for s in signals(list(z), SELECTED)), 200) for z in runs]
    assert np.mean(first) == pytest.approx(length * (1 - np.exp(-200 / length)), rel=0.2)


def test_the_ewma_chart_and_the_cusum_keep_their_promises() -> None:
    assert ewma_run_length(0.10, 2.814) == pytest.approx(500, rel=0.005)
    assert ewma_run_length(0.20, 2.86) == pytest.approx(370, rel=0.005)
    assert ewma_run_length(0.20, 2.86, 1.0) == pytest.approx(9.8, abs=0.1)
    assert cusum_run_length(0.5, 5.0) == pytest.approx(469.1, abs=0.1)
    assert cusum_run_length(0.5, 5.0, 1.0) == pytest.approx(10.34, abs=0.02)


def test_a_count_cusum_alarms_as_rarely_as_it_says_and_finds_a_doubling() -> None:
    rng = np.random.default_rng(6)
    for mean in (0.3, 1.75):
        k, h, length = poisson_cusum(mean)
        assert length >= 500 and mean < k < 2 * mean
        found = {}
        for factor in (1, 2):
            lengths = []
            for _ in range(200):
                total, n = 0.0, 0
                for count in rng.poisson(mean * factor, 6000):
                    total, n = max(0.0, total + count - k), n + 1
                    if total > h:
                        break
                lengths.append(n)
            found[factor] = float(np.mean(lengths))
        assert found[1] == pytest.approx(length, rel=0.25)
        assert found[2] < 40


def test_each_rule_names_its_points() -> None:
    z = [0.1, 2.1, 0.0, 2.2, 3.5, *[-0.2] * 9]
    found = {(s.rule, s.at): s for s in signals(z)}
    assert found["2 of 3 beyond 2σ", 3].points == (1, 3)
    assert found["1 beyond 3σ", 4].points == (4,) and found["1 beyond 3σ", 4].above
    nine = found["9 on a side", 13]
    assert nine.points == tuple(range(5, 14)) and not nine.above
    assert ("4 of 5 beyond 1σ", 4) not in found
    assert [s.at for s in signals(z, since=5)] == [13]


def test_points_on_the_centre_are_on_no_side() -> None:
    assert signals([0.0] * 30) == []
