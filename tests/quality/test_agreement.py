"""Agreement of judgements: the published examples of Cohen's and Fleiss' κ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.quality.agreement import agreement, cohen, fleiss, wilson

FLEISS = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip
"""Ten subjects, fourteen judges, five categories: κ = 0.210 (the usual worked example)."""


def spelled(counts: tuple[int, ...]) -> list[str]:
    return [str(j) for j, n in enumerate(counts) for _ in range(n)]


def test_the_worked_example_of_fleiss_kappa() -> None:
    assert fleiss([spelled(row) for row in FLEISS]).value == pytest.approx(0.210, abs=5e-4)


def test_the_worked_example_of_cohens_kappa() -> None:
    # 50 grants, two readers: 20 both yes, 15 both no, 5 and 10 apart: κ = 0.40
    one = ["y"] * 20 + ["y"] * 5 + ["n"] * 10 + ["n"] * 15
    other = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    kappa = cohen(one, other)
    assert kappa.value == pytest.approx(0.40)
    assert (kappa.low, kappa.high) == pytest.approx((0.15, 0.65), abs=0.01)


def test_kappas_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    # truth half bad; each judge is right in 9 of 10: κ between them is 2·(0.9²+0.1²)-1 = 0.64
    hits = 0
    for _ in range(300):
        truth = rng.random(120) < 0.5
        one, other = (truth ^ (rng.random(120) < 0.1) for _ in (0, 1))
        kappa = cohen([str(b) for b in one], [str(b) for b in other])
        hits += kappa.low <= 0.64 <= kappa.high
    assert hits / 300 == pytest.approx(0.95, abs=0.04)


def test_a_study_of_a_station() -> None:
    ratings = [["pass"] * 10] * 24 + [["reject"] * 10] * 24 + [["pass", "reject"] * 5] * 2
    truth = ["pass"] * 24 + ["reject"] * 26
    study = agreement(ratings, truth)
    assert study.between.value == pytest.approx(48 / 50) and study.flipping == (48, 49)
    assert study.against[0].value == pytest.approx(48 / 50) and study.against[1].value == 1
    assert study.cohen[1].value == 1 and study.always_right is not None
    assert study.always_right.value == pytest.approx(48 / 50)
    assert 0.9 < study.fleiss.value < 1 and study.verdict == "acceptable"


def test_agreeing_wholly_on_few_parts_is_no_certainty() -> None:
    few = cohen(["a"] * 5 + ["b"] * 5, ["a"] * 5 + ["b"] * 5)
    many = cohen(["a"] * 500 + ["b"] * 500, ["a"] * 500 + ["b"] * 500)
    assert few.value == many.value == 1 and few.low < 0.5 < 0.98 < many.low
    study = agreement([["a", "a"]] * 5 + [["b", "b"]] * 5)
    assert study.fleiss.value == pytest.approx(1) and study.fleiss.low < 0.5


def test_wholly_alike_is_one_and_chance_is_none() -> None:
    assert agreement([["pass"] * 3] * 5).fleiss.value == 1
    rng = np.random.default_rng(4)
    noise = [[str(x) for x in rng.integers(0, 2, 8)] for _ in range(300)]
    assert abs(fleiss(noise).value) < 0.03
    assert agreement(noise).verdict == "unacceptable"


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=3, max_size=3), min_size=2, max_size=20))
def test_any_study_stays_within_its_bounds(ratings: list[list[str]]) -> None:
    study = agreement(ratings, ["a"] * len(ratings))
    assert -1 <= study.fleiss.low <= study.fleiss.value <= study.fleiss.high <= 1
    assert 0 <= study.between.low <= study.between.value <= study.between.high <= 1


def test_wilsons_interval() -> None:
    found = wilson(0, 50)
    assert found.low == 0 and found.high == pytest.approx(0.0713, abs=1e-4)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_studies_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 parts"):
        agreement([["a", "b"], ["a"]])
    with pytest.raises(ValueError, match="truth of 1"):
        agreement([["a", "b"]] * 2, ["a"])
