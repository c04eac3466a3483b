"""Gauge R&R by ANOVA gives what AIAG's manual gives for its worked example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inspector.quality.gauge import gauge_study

# AIAG MSA, 4th edition, chapter III, table III-B 6a: 3 appraisers, 3 trials, 10 parts
AIAG = """
 0.29 -0.56  1.34  0.47 -0.80  0.02  0.59 -0.31  2.26 -1.36
 0.41 -0.68  1.17  0.50 -0.92 -0.11  0.75 -0.20  1.99 -1.25
 0.64 -0.58  1.27  0.64 -0.84 -0.21  0.66 -0.17  2.01 -1.31
 0.08 -0.47  1.19  0.01 -0.56 -0.20  0.47 -0.63  1.80 -1.68
 0.25 -1.22  0.94  1.03 -1.20  0.22  0.55  0.08  2.12 -1.62
 0.07 -0.68  1.34  0.20 -1.28  0.06  0.83 -0.34  2.19 -1.50
 0.04 -1.38  0.88  0.14 -1.46 -0.29  0.02 -0.46  1.77 -1.49
-0.11 -1.13  1.09  0.20 -1.07 -0.67  0.01 -0.56  1.45 -1.77
-0.15 -0.96  0.67  0.11 -1.45 -0.49  0.21 -0.49  1.87 -2.16
"""


def aiag() -> np.ndarray:
    rows = [[float(v) for v in line.split()] for line in AIAG.strip().splitlines()]
    return np.array(rows).reshape(3, 3, 10).transpose(2, 0, 1)


def test_the_manuals_analysis_of_variance() -> None:
    rows = {row.source: row for row in gauge_study(aiag()).table}
    assert [rows[s].df for s in ("appraiser", "part", "interaction", "repeatability")] == [
        2,
        9,
        18,
        60,
    ]
    assert rows["appraiser"].ss == pytest.approx(3.1673, abs=5e-5)
    assert rows["part"].ss == pytest.approx(88.3619, abs=5e-5)
    assert rows["interaction"].ss == pytest.approx(0.3590, abs=5e-5)
    assert rows["repeatability"].ss == pytest.approx(2.7589, abs=5e-5)
    assert rows["total"].ss == pytest.approx(94.6471, abs=5e-5)
    assert rows["interaction"].f == pytest.approx(0.434, abs=5e-4)


def test_the_manuals_components_of_variation() -> None:
    study = gauge_study(aiag())
    assert study.pooled and study.interaction == 0
    assert study.ev == pytest.approx(0.199933, abs=5e-7)
    assert study.av == pytest.approx(0.226838, abs=5e-7)
    assert study.grr == pytest.approx(0.302373, abs=2e-6)  # rounded on the way
    assert study.pv == pytest.approx(1.042327, abs=5e-7)
    assert study.tv == pytest.approx(1.085, abs=5e-4)
    assert [round(study.percent(s), 1) for s in (study.ev, study.av, study.grr, study.pv)] == [
        18.4,
        20.9,
        27.9,
        96.0,
    ]
    assert study.ndc == 4 and study.verdict == "conditional"


def test_the_tolerance_judges_when_there_is_one() -> None:
    study = gauge_study(aiag(), tolerance=60.0)
    assert study.percent_tolerance == pytest.approx(3.0237, abs=1e-4)
    assert study.verdict == "acceptable"
    assert gauge_study(aiag(), tolerance=4.0).verdict == "unacceptable"


def test_a_gauge_that_always_says_the_same_is_not_acceptable() -> None:
    stuck = np.full((5, 1, 3), 98.05)
    assert gauge_study(stuck).verdict == "unacceptable"
    assert gauge_study(stuck, tolerance=4.0).verdict == "unacceptable"
    exact = stuck + np.arange(5.0)[:, None, None]
    assert gauge_study(exact).verdict == "acceptable"


def test_a_station_alone_is_a_study_of_repeatability() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 1, 400)[:, None, None]
    study = gauge_study(truth + rng.normal(0, 0.05, (400, 1, 4)))
    assert study.av == 0 and study.ev == pytest.approx(0.05, rel=0.05)
    assert study.pv == pytest.approx(1, rel=0.1) and study.verdict == "acceptable"


def test_an_interaction_that_is_there_is_kept() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (60, 1, 1)) + rng.normal(0, 0.3, (60, 4, 1))
    study = gauge_study(x + rng.normal(0, 0.05, (60, 4, 3)))
    assert not study.pooled and study.interaction == pytest.approx(0.3, rel=0.15)
    assert study.ev == pytest.approx(0.05, rel=0.1)


def test_an_interaction_beside_no_repeatability_is_no_noise() -> None:
    """Trials that are always alike, of appraisers who disagree on some parts and not on others:
    pooled with the repeatability, it was spread over degrees of freedom that never varied."""
    off = np.array([[0.0, 0.5], [0.0, -0.5], [0.0, 0.25], [0.0, -0.25], [0.0, 1.0], [0.0, -1.0]])
    alike = (np.arange(6.0)[:, None] + off)[:, :, None]
    study = gauge_study(np.repeat(alike, 8, 2))
    assert not study.pooled and study.ev == 0
    within = float((off[:, 1] ** 2).sum()) / 2 / 5  # a part's two cells differ by `off`
    assert study.interaction == pytest.approx(within**0.5)
    assert study.grr == pytest.approx(study.interaction)
    exact = np.repeat(np.arange(6.0)[:, None, None] + np.array([0.1, 0.7])[:, None], 3, 2)
    assert gauge_study(exact).pooled, "they differ by one and the same"


def test_chance_is_that_of_the_f_distribution() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    for row in gauge_study(aiag()).table[:3]:
        below = 60 if row.source == "interaction" else 18
        assert row.p == pytest.approx(scipy_stats.f.sf(row.f, row.df, below), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([[[1.0]]], "2 parts, 2 trials"),
        ([[[1.0, 2.0]], [[1.0]]], "2 parts, 2 trials"),
        (np.full((3, 2, 2), np.nan), "not a number"),
        (np.zeros((0, 2, 2)), "2 parts"),
    ],
)
def test_studies_that_are_not_whole_are_refused(values: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        gauge_study(values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance"):
        gauge_study(aiag(), tolerance=0)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(2, 4)),
        elements=st.floats(-1e6, 1e6),
    )
)
def test_any_study_has_variances_that_add_up(values: np.ndarray) -> None:
    study = gauge_study(values)
    assert study.tv**2 == pytest.approx(study.grr**2 + study.pv**2, rel=1e-9, abs=1e-9)
    assert study.grr >= study.ev >= 0 and study.ndc >= 0
    assert all(row.p is None or -1e-9 <= row.p <= 1 + 1e-9 for row in study.table)
